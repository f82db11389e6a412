/*
 * clients/web/logview.js -- the log itself: its source, its list, its live end, what is selected.
 *
 * Follows as long as the reader stays at the end; scrolling up stops that, and a pill counts what
 * comes meanwhile. A filter makes a new source and a new tail; the place is kept.
 */
import { getJson, jobPath, readLines, request } from "./api.js";
import { h, icon, put, say } from "./dom.js";
import { emptyFilter, isOpen, markPattern, viewArgs } from "./filter.js";
import { bytes, count, fullTime, lineHash, progressOf, stateKind, stateName, time } from "./format.js";
import { LogList } from "./list.js";
import { copyText, fromLine, fromObject } from "./record.js";
import { makeRow } from "./row.js";
import { setRank } from "./colour.js";
import { LOAD, Source } from "./source.js";
import { Tail } from "./tail.js";

const SKIP_AHEAD = 20000; // so many records behind, after a pause or because they come faster than they are taken: go on near the end, the rest is fetched when seen
const SKIP_TO = 1000;
const FULL_CHARS_MAX = 8 << 20;
const LIVE_ROWS_MAX = 4;
const REST_SHARE = 3; // drawing takes at most one part in four of the time
const OPEN_MAX = 200; // messages opened at a time

export class LogView {
    /**
     * on: {status(tail status), job() (something changed it: ask again), seen(), selected(), follow(),
     * failed(error), deleted(), sections() -> Map, reset()}
     */
    constructor({ host, project, job, filter, prefs, on }) {
        Object.assign(this, { host, project, job, prefs, on });
        this.filter = filter || emptyFilter();
        this.pattern = markPattern(this.filter);
        this.selection = null; // {from, to}
        this.cursor = 0; // line of j and k
        this.open = new Map(); // seq -> full text or true
        this.unfolded = new Set(); // heads of blocks that are shown whole
        this.foldedSections = new Map(); // seq -> section
        this.progress = new Map(); // rank -> text
        this.info = null;
        this.tail = null;
        this.tailSeq = 0;
        this.behind = 0;
        this.dirty = false;
        this.restUntil = 0;
        this.revealBlock = 0;
        this.build();
    }

    build() {
        this.scroller = h("div", { class: "scroller", tabindex: "0", role: "log", "aria-live": "off", "aria-label": `Log of ${this.job}`,
            click: (e) => this.onClick(e), pointerover: (e) => this.onHover(e) });
        this.pill = h("button", { class: "pill", type: "button", hidden: true, click: () => this.toEnd() });
        this.live = h("div", { class: "live-rows", hidden: true, "aria-label": "Progress", role: "group" });
        this.notice = h("div", { class: "log-notice", hidden: true, role: "status" });
        this.box = h("div", { class: "log-box" }, this.scroller, this.notice, h("div", { class: "pill-place" }, this.pill), this.live);
        put(this.host, this.box);
        this.source = this.makeSource();
        this.list = new LogList({
            scroller: this.scroller, source: this.source, make: (r) => this.makeRow(r),
            measured: (r) => this.open.has(r.seq) || r.kind === "lost" || r.kind === "state", hidden: (r) => this.isHidden(r),
            moved: () => this.onMoved(), wantsFollow: (yes) => this.setFollow(yes), keep: () => this.cursor,
        });
        this.applyPrefs(false);
    }

    close() {
        this.closed = true;
        if (this.tail) this.tail.close();
        this.source.close();
        this.list.close();
    }

    /* ---- source and tail ---- */

    makeSource() {
        const args = viewArgs(this.filter), epoch = this.info ? this.info.epoch : 0;
        const at = (seq) => (epoch ? `${epoch}:${seq}` : String(seq));
        const source = new Source({
            open: (page, signal) => request(jobPath(this.project, this.job, "/logs", {
                format: "ndjson", ...args, limit: page.limit, order: page.order, after: at(page.after), before: at(page.before),
            }), { signal }),
            changed: () => source === this.source && this.touch(),
            failed: (e) => source === this.source && this.onFailed(e),
        });
        if (this.info) source.setEnd(this.info.seq);
        source.setEnd(this.tailSeq);
        return source;
    }

    /** The job as GET /v1/jobs/J tells it; the first time this starts everything. */
    setInfo(info, place) {
        const first = !this.info;
        const replaced = !first && info.epoch !== this.info.epoch && (!this.tail || this.tail.phase === "ended");
        this.info = info;
        if (replaced) {
            this.restart();
            this.tailSeq = info.seq;
            this.source.setEnd(info.seq);
            this.on.reset();
        }
        if (first) {
            this.source.close();
            this.tailSeq = info.seq;
            this.source = this.makeSource();
            this.list.reset(this.source);
            this.scroller.classList.toggle("has-ranks", this.hasRanks());
            if (place) this.goTo(place);
            else this.toEnd();
        }
        this.setFoot();
        if (!info.sealed && !this.tail) this.startTail();
        else if (this.tail && this.tail.phase === "live" && info.epoch === this.info.epoch && this.isBehind(info)) this.skipAhead(info);
        this.setEmpty();
    }

    startTail() {
        this.tail = new Tail({
            project: this.project, job: this.job, cursor: `${this.info.epoch}:${this.tailSeq}`, args: () => viewArgs(this.filter),
            on: { message: (m) => this.take(m), status: (s) => this.onStatus(s) },
        });
        this.tail.connect();
    }

    onStatus(s) {
        if (s.phase === "retrying") this.catchUp();
        this.on.status(s);
        if (s.phase === "deleted") this.on.deleted();
    }

    /* Too far behind to be told everything: go on near the end. */
    async catchUp() {
        try {
            const info = await getJson(jobPath(this.project, this.job)), tail = this.tail;
            if (this.closed || !tail || tail.phase === "live" || info.epoch !== this.info.epoch) return;
            if (this.isBehind(info)) this.skipAhead(info);
        } catch {
            /* it is tried again with the tail */
        }
    }

    /* With a filter only matches come, and say nothing of how far the rest is. */
    isBehind(info) {
        return !this.isFiltered() && info.seq - this.tailSeq > SKIP_AHEAD;
    }

    skipAhead(info) {
        this.behind += this.list.follow ? 0 : info.seq - SKIP_TO - this.tailSeq;
        this.tailSeq = info.seq - SKIP_TO;
        this.source.setEnd(info.seq);
        this.tail.moveTo(`${info.epoch}:${this.tailSeq}`);
    }

    take(m) {
        const seq = m.cursor ? +m.cursor.split(":")[1] : 0;
        if (m.type === "lines") {
            const recs = m.lines.map((o) => fromObject(o));
            for (const r of recs) this.progress.delete(r.rank);
            this.append(seq, recs);
        } else if (m.type === "state") {
            this.append(seq, [fromObject(m)]);
            this.on.job();
        } else if (m.type === "gap") {
            this.append(seq || m.to, [fromObject({ gap: m })]);
        } else if (m.type === "progress") {
            this.progress.set(m.rank ?? -1, m.msg);
            this.drawLive();
        } else if (m.type === "reset" && !m.deleted) {
            this.info = { ...this.info, epoch: m.epoch, seq: 0, sealed: false };
            this.restart();
            this.on.reset();
        } else if (m.type === "end") {
            this.progress.clear();
            this.drawLive();
            this.on.job();
        }
    }

    append(seq, recs) {
        if (seq <= this.tailSeq) return;
        this.source.append(this.tailSeq + 1, seq, recs);
        this.tailSeq = seq;
        if (!this.list.follow) this.behind += recs.length;
        this.touch();
    }

    /* All that is known is void: stored history was replaced. */
    restart() {
        this.tailSeq = 0;
        this.behind = 0;
        this.open.clear();
        this.selection = null;
        this.source.close();
        this.source = this.makeSource();
        this.source.end = 0;
        this.list.reset(this.source);
        this.list.follow = true;
        this.touch();
    }

    /* Draw with the next frame. */
    touch() {
        if (this.dirty || this.closed) return;
        this.dirty = true;
        const draw = () => requestAnimationFrame(() => {
            this.dirty = false;
            if (this.closed) return;
            const began = performance.now();
            this.list.changed();
            this.drawPill();
            this.drawLive();
            this.setEmpty();
            this.restUntil = performance.now() + REST_SHARE * (performance.now() - began);
        });
        const wait_ms = this.restUntil - performance.now();
        if (wait_ms > 8) setTimeout(draw, wait_ms); // lines come faster than they can be drawn: most of the time is for taking them
        else draw();
    }

    /* ---- filter and look ---- */

    setFilter(filter) {
        const seen = this.list.seen(), was = JSON.stringify(viewArgs(this.filter)), follow = this.list.follow;
        this.filter = filter;
        this.pattern = markPattern(filter);
        if (!this.info) return;
        if (JSON.stringify(viewArgs(filter)) === was) {
            this.list.rebuild();
            return;
        }
        this.source.close();
        this.source = this.makeSource();
        this.list.reset(this.source);
        if (this.tail && this.tail.phase !== "ended") {
            this.tail.close();
            this.tail = null;
            this.startTail();
        }
        this.behind = 0;
        if (seen && this.cursor >= seen.first.seq && this.cursor <= seen.last.last) this.goNear(this.cursor);
        else if (follow || !seen) this.toEnd();
        else this.list.jump(seen.first.seq, "top");
        this.drawPill();
    }

    isFiltered() {
        return !isOpen(this.filter);
    }

    hasRanks() {
        return Boolean(this.info && ((this.info.by_rank || []).some((x) => x.rank !== null) || this.info.ranks));
    }

    applyPrefs(again = true) {
        this.list.wrap = this.prefs.wrap;
        this.scroller.classList.toggle("wrap", this.prefs.wrap);
        this.scroller.dataset.time = this.prefs.time;
        this.list.rowPx = parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 20;
        if (again) this.list.rebuild();
    }

    setEmpty() {
        if (this.source.refused && this.source.refused.status === 400) {
            this.tell(this.source.refused.message);
            return;
        }
        const none = this.info && this.list.atStart === false && !this.list.rows.length && !this.source.fetching.size;
        if (this.info && this.source.end === 0) this.tell("No line yet. It appears here the moment a rank sends it.");
        else if (none && this.list.next(0) === null) this.tell(this.isFiltered() ? "No line passes these filters." : "The log is empty.");
        else this.tell("");
    }

    tell(text) {
        this.notice.hidden = !text;
        say(this.notice, text);
    }

    /** There is a new token. */
    renewed() {
        this.source.refused = null;
        if (this.tail) this.tail.retryNow();
        this.touch();
    }

    onFailed(e) {
        this.setEmpty();
        if (e.status === 409) this.on.job(); // another epoch: the job says which
        else if (e.status !== 400) this.on.failed(e);
    }

    /* ---- rows ---- */

    makeRow(r) {
        const el = makeRow(r, this.rowView());
        this.style(el, r);
        return el;
    }

    rowView() {
        const info = this.info || {};
        return {
            timeMode: this.prefs.time, start_ms: Date.parse(info.started_at || info.created_at || 0),
            long: (info.duration_s || 0) > 86400, now_ms: Date.now(), pattern: this.pattern, hasRanks: this.hasRanks(),
            folds: this.foldsBlocks(), setSize: () => (this.isFiltered() ? -1 : this.source.end),
            isOpen: (x) => this.open.has(x.seq), fullText: (x) => (typeof this.open.get(x.seq) === "string" ? this.open.get(x.seq) : null),
            toggle: (x) => this.toggleOpen(x), isUnfolded: (x) => this.unfolded.has(x.seq) || this.prefs.unfold, toggleBlock: (x) => this.toggleBlock(x),
            section: (seq) => this.on.sections().get(seq), isFolded: (s) => this.foldedSections.has(s.seq), toggleSection: (s) => this.toggleSection(s),
        };
    }

    /** Relative times grow old. */
    refreshTimes() {
        const view = { ...this.rowView(), now_ms: Date.now() };
        for (const row of this.list.rows) {
            const el = row.el.querySelector("time.ts");
            if (el) say(el, time(row.r.t, "relative", view));
        }
    }

    style(el, r) {
        const s = this.selection;
        el.classList.toggle("is-selected", Boolean(s && r.last >= s.from && r.seq <= s.to));
        el.classList.toggle("is-cursor", Boolean(this.cursor && r.seq <= this.cursor && this.cursor <= r.last));
    }

    restyle() {
        for (const row of this.list.rows) this.style(row.el, row.r);
    }

    /* With a text filter the lines of a block do not come whole: nothing is folded then. */
    foldsBlocks() {
        return !(this.filter.only && this.filter.q);
    }

    isHidden(r) {
        if (r.block && r.head && this.foldsBlocks() && !this.prefs.unfold && !this.unfolded.has(r.head)) {
            if (r.seq !== this.revealBlock) return true;
            this.unfolded.add(r.head); // a link or a hit leads into it
            setTimeout(() => { // lines of it that were there before its beginning was known
                if (this.closed) return;
                this.list.rebuild();
                if (this.cursor === r.seq) this.list.reveal(r.seq);
            });
        }
        for (const s of this.foldedSections.values())
            if (r.seq > s.seq && r.seq <= (s.end_seq ?? Infinity) && r.rank === (s.rank ?? -1) && r.kind === "line") return true;
        return false;
    }

    toggleBlock(r) {
        if (!this.unfolded.delete(r.seq)) this.unfolded.add(r.seq);
        this.list.rebuild();
    }

    toggleSection(s) {
        if (!this.foldedSections.delete(s.seq)) this.foldedSections.set(s.seq, s);
        this.list.rebuild();
    }

    async toggleOpen(r) {
        if (this.open.delete(r.seq)) {
            this.list.rebuild();
            return;
        }
        if (this.open.size >= OPEN_MAX) this.open.delete(this.open.keys().next().value);
        this.open.set(r.seq, true);
        this.list.rebuild();
        if (!r.full_length) return;
        const whole = await this.fetchOne(r.seq, FULL_CHARS_MAX);
        if (!whole || !this.open.has(r.seq)) return;
        this.open.set(r.seq, whole.msg);
        this.list.rebuild();
    }

    /* One record, whole. */
    async fetchOne(seq, keep) {
        let found = null;
        try {
            const response = await request(jobPath(this.project, this.job, "/logs", { format: "ndjson", after: seq - 1, before: seq + 1 }));
            await readLines(response, (line) => (found = fromLine(line, keep)));
        } catch (e) {
            this.on.failed(e);
        }
        return found;
    }

    setFoot() {
        const i = this.info;
        if (!i || !i.sealed) {
            if (this.list.foot) this.list.foot.remove();
            this.list.foot = null;
            return;
        }
        const missing = i.missing && i.missing.length ? ` · never said fin: ${i.missing.slice(0, 8).join(", ")}${i.missing.length > 8 ? ", …" : ""}` : "";
        this.list.foot = h("div", { class: `row foot ${stateKind(i.state)}`, role: "note" },
            h("span", { class: "msg" }, h("span", { class: `state-word ${stateKind(i.state)}` }, `end · ${stateName(i.state)}`),
                `${i.exit_code !== null ? `exit code ${i.exit_code} · ` : ""}${count(i.lines)} lines · ${bytes(i.bytes)} · ${i.complete ? "complete" : "incomplete"}${missing}`));
        this.touch();
    }

    /* ---- the live end ---- */

    setFollow(yes) {
        if (yes) this.behind = 0;
        this.drawPill();
        this.on.follow(yes);
    }

    toEnd() {
        this.behind = 0;
        this.list.toEnd();
        this.setFollow(true);
    }

    toggleFollow() {
        if (this.list.follow) this.list.leaveEnd();
        else this.toEnd();
    }

    onMoved() {
        const show = this.wantsPill();
        if (this.pill.hidden === show) this.drawPill();
        this.on.seen();
    }

    wantsPill() {
        return Boolean(this.info) && !this.list.follow && (this.behind > 0 || !this.list.isAtBottom());
    }

    drawPill() {
        this.pill.hidden = !this.wantsPill();
        if (this.pill.hidden) return;
        const text = this.behind ? `${count(this.behind)} new ${this.behind === 1 ? "line" : "lines"}` : this.info.sealed ? "To the end" : "Follow";
        put(this.pill, text, icon("down"));
    }

    drawLive() {
        // a rank that draws several bars at once sends them as lines of one text
        const all = [...this.progress].sort((a, b) => a[0] - b[0]).flatMap(([rank, msg]) => msg.split("\n").map((one) => [rank, one])), shown = all.slice(0, LIVE_ROWS_MAX);
        this.live.hidden = !shown.length;
        if (!shown.length) return;
        put(this.live, shown.map(([rank, msg]) => {
            const p = progressOf(msg), row = h("div", { class: "live-row" }, h("span", { class: "rank" }, rank >= 0 ? String(rank) : "·"),
                h("span", { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": p === null ? null : Math.round(p * 100),
                    "aria-label": `progress of rank ${rank}` }, h("span", { class: "fill", style: { width: `${(p ?? 0) * 100}%` } })),
                h("span", { class: "text", dir: "ltr" }, msg.slice(0, 300)));
            setRank(row, rank);
            row.classList.toggle("is-vague", p === null);
            return row;
        }), all.length > shown.length && h("div", { class: "live-more" }, `and ${all.length - shown.length} more in progress`));
    }

    /* ---- places ---- */

    /** {from, to}: select and show. */
    goTo(range) {
        this.selection = range;
        this.cursor = range.from;
        this.list.leaveEnd();
        this.list.follow = false;
        for (const s of [...this.foldedSections.values()]) if (range.from > s.seq && range.from <= (s.end_seq ?? Infinity)) this.foldedSections.delete(s.seq);
        this.revealBlock = range.from;
        this.list.jump(range.from, "center");
        this.restyle();
        this.setFollow(false);
    }

    /** The minimap's hand: near seq, without selecting it; the very end follows. */
    goNear(seq) {
        if (seq >= this.source.end) {
            this.toEnd();
            return;
        }
        this.list.leaveEnd();
        this.list.follow = false;
        this.list.jump(seq, "center");
        this.setFollow(false);
    }

    /** Show one line and put the cursor on it. */
    show(seq) {
        this.list.leaveEnd();
        this.list.follow = false;
        this.revealBlock = seq;
        this.setCursor(seq);
        this.list.reveal(seq);
        this.restyle();
        this.setFollow(false);
    }

    /** Open or fold what the cursor is on. */
    toggleCursor() {
        const r = this.cursor && this.source.get(this.cursor);
        if (!r) return;
        if (r.lines || r.head) this.toggleBlock(r.head ? this.source.get(r.head) || r : r);
        else if (this.on.sections().has(r.seq)) this.toggleSection(this.on.sections().get(r.seq));
        else this.toggleOpen(r);
    }

    toStart() {
        this.list.leaveEnd();
        this.list.follow = false;
        this.list.jump(1, "top");
        this.setFollow(false);
    }

    /** Move the line of j and k by d rows. */
    step(d) {
        const seen = this.list.seen();
        if (!this.cursor && seen) this.cursor = d > 0 ? seen.first.seq - 1 : seen.last.seq + 1;
        const r = d > 0 ? this.list.next(this.cursor) : this.list.prev(this.cursor);
        if (!r || r === LOAD) return;
        this.setCursor(r.seq);
        this.list.leaveEnd();
        this.list.reveal(r.seq);
        this.setFollow(false);
    }

    setCursor(seq) {
        this.cursor = seq;
        this.restyle();
        this.on.selected();
    }

    /* The whole time of a line is worked out when somebody points at it. */
    onHover(e) {
        const el = e.target.closest("time.ts:not([title])");
        if (el && el.dateTime) el.title = fullTime(el.dateTime);
    }

    onClick(e) {
        const link = e.target.closest("a.no");
        if (!link) {
            const row = e.target.closest(".row[data-seq]");
            if (row && !e.target.closest("button") && !String(getSelection())) this.setCursor(+row.dataset.seq);
            return;
        }
        if (e.ctrlKey || e.metaKey) return;
        e.preventDefault();
        const seq = +link.dataset.seq, s = this.selection;
        this.selection = e.shiftKey && s ? { from: Math.min(s.from, seq), to: Math.max(s.to, seq) } : s && s.from === seq && s.to === seq ? null : { from: seq, to: seq };
        this.cursor = seq;
        this.restyle();
        this.on.selected();
    }

    selectionHash() {
        return this.selection ? lineHash(this.selection) : "";
    }

    /** The selected lines as text; at most limit of them. */
    async selectedText(limit = 10000) {
        const { from, to } = this.selection, out = [];
        const response = await request(jobPath(this.project, this.job, "/logs", { format: "ndjson", after: from - 1, before: to + 1, limit }));
        await readLines(response, (line) => {
            const r = fromLine(line, FULL_CHARS_MAX);
            if (r) out.push(copyText(r));
            return r !== null;
        });
        return out.join("\n") + "\n";
    }
}
