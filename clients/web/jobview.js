/*
 * clients/web/jobview.js -- one job: the frame around its log, and what all parts of it share.
 *
 * The filter, the tab and the selected lines are in the address, so that what one sees can be
 * sent to somebody else. The job is asked for every INFO_MS while it lives, its statistics every
 * STATS_MS; both rest while the page is not seen.
 */
import { getJson, jobPath } from "./api.js";
import { attr, h, icon, put, say } from "./dom.js";
import { Detail } from "./detail.js";
import { copy, downloads, share } from "./export.js";
import { fromQuery, scopeArgs, toQuery } from "./filter.js";
import { Find } from "./find.js";
import { ago, count, duration, isTerminal, lineHash, parseLineHash, rankRanges, rate, stateKind, time, TIME_MODES } from "./format.js";
import { copyText } from "./record.js";
import { takeNumber } from "./keys.js";
import { stateBadge } from "./joblist.js";
import { LogView } from "./logview.js";
import { MetricsView } from "./metrics.js";
import { Minimap } from "./minimap.js";
import { Overview } from "./overview.js";
import { findPlace, findRange } from "./place.js";
import { PostmortemView } from "./postmortem.js";
import { Ranks } from "./ranks.js";
import { choice, setChoice } from "./store.js";
import { toast } from "./toast.js";
import { Toolbar } from "./toolbar.js";

const INFO_MS = 3000;
const STATS_MS = 6000;
const ASK_SHARE = 10; // a job of very many ranks is long in coming: it is asked for less often
const STATS_BUCKETS = 300;
const SEEN_MS = 100; // the address and the minimap follow the scroll that slowly
const TABS = [["log", "Log"], ["postmortem", "Post-mortem"], ["metrics", "Metrics"]];

const isPhone = () => innerWidth < 720;

export class JobView {
    constructor(host, { project, job, query, failed, reached, navigate }) {
        Object.assign(this, { host, project, job, failed, reached, navigate });
        this.filter = fromQuery(query);
        this.tab = TABS.some(([t]) => t === query.get("tab")) ? query.get("tab") : "log";
        this.prefs = {
            time: choice("time", TIME_MODES), wrap: choice(isPhone() ? "wrap.phone" : "wrap", isPhone() ? ["on", "off"] : ["off", "on"]) === "on",
            unfold: choice("unfold", ["off", "on"]) === "on", ranks: choice(isPhone() ? "ranks.phone" : "ranks", isPhone() ? ["off", "on"] : ["on", "off"]) === "on",
            overview: choice(isPhone() ? "overview.phone" : "overview", isPhone() ? ["off", "on"] : ["on", "off"]) === "on",
        };
        this.info = null;
        this.stats = null;
        this.hasStats = true;
        this.sections = new Map();
        this.pace = null; // {lines, at, rate}
        this.link = { phase: "idle" };
        this.build();
        this.refresh(true);
        this.timers = [setInterval(() => this.tick(), 1000)];
        this.shown = () => document.visibilityState === "visible" && this.refresh();
        document.addEventListener("visibilitychange", this.shown);
        document.title = `${job} · joblog`;
    }

    close() {
        this.closed = true;
        this.timers.forEach(clearInterval);
        clearTimeout(this.seenTimer);
        document.removeEventListener("visibilitychange", this.shown);
        for (const part of [this.log, this.find, this.spread, this.ranks, this.minimap, this.overview, this.other]) if (part) part.close();
    }

    /* ---- the frame ---- */

    build() {
        this.badge = h("span", { class: "badge-place" });
        this.facts = h("dl", { class: "facts" });
        this.errorLine = h("p", { class: "job-error", hidden: true });
        this.tabs = h("nav", { class: "tabs", "aria-label": "Views of this job" }, TABS.map(([tab, name]) =>
            h("a", { class: "tab", href: this.address({ tab }), data: { tab }, click: (e) => (e.preventDefault(), e.stopPropagation(), this.showTab(tab)) }, name)));
        this.overview = new Overview({ range: (a, b) => this.setRange(a, b), go: (ms) => this.goToTime(ms) }, this.prefs);
        this.toolbar = new Toolbar(this.filter, this.prefs, {
            filter: (more) => this.setFilter({ ...this.filter, ...more }), step: (d) => this.stepHit(d), prefs: (more) => this.setPrefs(more),
            goTo: (text) => this.goToText(text), share: (close) => share(this, close), downloads: (close) => downloads(this, close),
            ranks: () => this.setPrefs({ ranks: !this.prefs.ranks }), leave: () => this.log.scroller.focus(),
        });
        this.ranks = new Ranks({ filter: (solo, muted) => this.setFilter({ ...this.filter, solo, muted }) });
        this.logHost = h("div", { class: "log-host", id: "log" });
        this.minimap = new Minimap((seq) => this.log.goNear(seq));
        this.status = h("footer", { class: "statusbar" });
        this.where = h("span", { class: "where" });
        this.followButton = h("button", { class: "status-button", type: "button", title: "Follow the end (f)", click: () => this.log.toggleFollow() });
        this.linkWord = h("button", { class: "status-button link-state", type: "button", click: () => this.log.tail && this.log.tail.retryNow() });
        this.status.append(this.where, h("span", { class: "grow" }), this.followButton, this.linkWord);
        this.work = h("div", { class: "work" }, this.ranks.el, this.logHost, this.minimap.el);
        this.detail = new Detail({
            copy: (r) => this.copyLine(r), link: (r) => copy(location.origin + this.address({ hash: lineHash({ from: r.seq, to: r.seq }) }), "Link"),
            rank: (rank) => this.setFilter({ ...this.filter, solo: new Set([rank]), muted: new Set() }), close: () => this.log.setCursor(0),
        });
        this.logPane = h("div", { class: "log-pane" }, this.overview.el, this.toolbar.el, this.work, this.detail.el, this.status);
        this.otherPane = h("div", { class: "other-pane", hidden: true, tabindex: "-1" });
        this.announcer = h("div", { class: "sr-only", role: "status", "aria-live": "polite" });
        put(this.host, h("main", { class: "page-job", id: "main", tabindex: "-1" },
            h("header", { class: "job-head" }, h("div", { class: "job-line" }, this.badge, h("h1", { class: "job-name" }, this.job), this.facts), this.tabs), this.errorLine,
            this.logPane, this.otherPane, this.announcer));
        this.log = new LogView({
            host: this.logHost, project: this.project, job: this.job, filter: this.filter, prefs: this.prefs,
            on: {
                status: (s) => this.onLink(s), job: () => this.refreshSoon(), seen: () => this.seenSoon(), selected: () => this.onSelected(), follow: () => this.drawStatus(),
                failed: this.failed, deleted: () => this.onDeleted(), sections: () => this.sections, reset: () => this.onReset(),
            },
        });
        this.find = new Find({ project: this.project, job: this.job, changed: () => this.onHits(), end: () => this.log.source.end });
        this.spread = new Find({ project: this.project, job: this.job, scope: true, changed: () => (this.drawMap(), this.drawStatus()), end: () => this.log.source.end });
        this.showPrefs();
        this.showTab(this.tab, true);
    }

    /* ---- the address ---- */

    address({ tab = this.tab, hash = this.log ? this.log.selectionHash() : location.hash } = {}) {
        const q = toQuery(this.filter);
        if (tab !== "log") q.set("tab", tab);
        const query = q.toString();
        return `/jobs/${encodeURIComponent(this.project)}/${encodeURIComponent(this.job)}${query ? "?" + query : ""}${hash}`;
    }

    writeAddress() {
        const address = this.address();
        if (address !== location.pathname + location.search + location.hash) history.replaceState(null, "", address);
        for (const a of this.tabs.children) a.href = this.address({ tab: a.dataset.tab });
    }

    /** Back, forward, or a hand-edited hash. */
    addressChanged() {
        const query = new URLSearchParams(location.search), range = parseLineHash(location.hash);
        this.setFilter(fromQuery(query), false);
        const tab = query.get("tab") || "log";
        if (tab !== this.tab) this.showTab(tab, true);
        if (range && this.info) this.log.goTo(range);
    }

    /* ---- the job and its statistics ---- */

    async refresh(first) {
        if (this.refreshing || this.closed) return;
        this.refreshing = true;
        this.askedAt = Date.now();
        const began = performance.now();
        try {
            const info = await getJson(jobPath(this.project, this.job));
            if (this.closed) return;
            this.reached();
            this.pause_ms = Math.max(INFO_MS, ASK_SHARE * (performance.now() - began));
            this.take(info);
            if (first || this.statsDue()) this.refreshStats();
        } catch (e) {
            if (this.closed) return;
            if (e.status === 404) this.onMissing();
            else this.failed(e);
        } finally {
            this.refreshing = false;
        }
    }

    refreshSoon() {
        clearTimeout(this.soon);
        this.soon = setTimeout(() => this.refresh(), 150);
    }

    take(info) {
        const first = !this.info, now = performance.now();
        if (!this.pace) this.pace = { lines: info.lines, at: now, rate: null };
        else if (now - this.pace.at > 1500) this.pace = { lines: info.lines, at: now, rate: ((info.lines - this.pace.lines) * 1000) / (now - this.pace.at) };
        if (this.info && this.info.state !== info.state) say(this.announcer, `The job is now ${info.state.replace(/^TRAINING_JOB_/, "").toLowerCase()}`);
        this.info = info;
        this.log.setInfo(info, first ? parseLineHash(location.hash) : null);
        this.drawHead();
        this.drawData();
        if (first) this.find.start(this.filter), this.spread.start(this.filter);
    }

    statsDue() {
        return this.hasStats && (!this.statsAt || Date.now() - this.statsAt > STATS_MS) && !(this.statsSealed && this.info.sealed);
    }

    async refreshStats() {
        this.statsAt = Date.now();
        try {
            const stats = await getJson(jobPath(this.project, this.job, "/stats", { buckets: STATS_BUCKETS }));
            if (this.closed) return;
            this.stats = stats;
            this.statsSealed = this.info && this.info.sealed;
            const known = this.sections.size;
            this.sections = new Map((stats.sections || []).map((s) => [s.seq, s]));
            if (this.sections.size !== known) this.log.list.rebuild();
            this.drawData();
        } catch (e) {
            if (e.status === 404) this.hasStats = false; // a joblogd without statistics: what needs them is not shown
        }
    }

    tick() {
        if (document.visibilityState !== "visible" || !this.info) return;
        if (!this.info.sealed && Date.now() - this.askedAt >= (this.pause_ms || INFO_MS)) this.refresh();
        else if (this.statsDue()) this.refreshStats();
        this.drawHead();
        this.drawStatus();
        if (this.prefs.time === "relative") this.log.refreshTimes();
    }

    /** There is a new token: everything goes on where it was. */
    renewed() {
        this.refresh();
        this.log.renewed();
        if (this.other && this.other.renewed) this.other.renewed();
    }

    onMissing() {
        if (this.info) {
            this.onDeleted();
            return;
        }
        this.logPane.hidden = true;
        this.otherPane.hidden = false;
        put(this.otherPane, h("div", { class: "empty" }, h("h2", null, "There is no such job"), h("p", null, `Nothing is known of ${this.job} in project ${this.project}. It may not have begun: this page looks again by itself.`),
            h("a", { class: "button", href: "/" }, "All jobs")));
        setTimeout(() => !this.closed && fetchAgain(this), INFO_MS);
    }

    onDeleted() {
        this.errorLine.hidden = false;
        say(this.errorLine, "This job was deleted. What is on the screen is all that is left of it.");
    }

    onReset() {
        toast("Stored history was lost or replaced: the log starts again.", "warn");
        this.refreshSoon();
    }

    /* ---- drawing ---- */

    drawHead() {
        const i = this.info, live = !isTerminal(i.state);
        if (this.drawnState !== i.state) put(this.badge, stateBadge(i.state));
        this.drawnState = i.state;
        document.title = `${live ? "" : stateKind(i.state) === "bad" ? "✗ " : "✓ "}${i.name || i.id} · joblog`;
        const seconds = live && i.started_at ? (Date.now() - Date.parse(i.started_at)) / 1000 : i.duration_s;
        const facts = [["Duration", duration(seconds)], ["Lines", count(i.lines)]];
        if (live && this.pace && this.pace.rate !== null) facts.push(["Lines/s", rate(this.pace.rate)]);
        if (i.ranks) facts.push(["Ranks", count(i.ranks)]);
        facts.push([live ? "Started" : "Ended", ago((Date.now() - Date.parse((live ? i.started_at : i.ended_at) || i.created_at)) / 1000)]);
        if (i.exit_code !== null && i.exit_code !== undefined) facts.push(["Exit code", String(i.exit_code)]);
        const known = [...this.facts.children];
        if (known.length !== facts.length || known.some((el, k) => el.dataset.name !== facts[k][0]))
            put(this.facts, facts.map(([name]) => h("div", { class: "fact", data: { name } }, h("dt", null, name), h("dd", null))));
        facts.forEach(([, value], k) => say(this.facts.children[k].lastChild, value));
        const words = [i.error_message, i.sealed && i.complete === false && i.missing.length ? `incomplete: ${i.missing.slice(0, 6).join(", ")} never said that all was sent` : ""].filter(Boolean);
        if (words.length || !this.errorLine.textContent.includes("deleted")) {
            this.errorLine.hidden = !words.length;
            say(this.errorLine, words.join(" · "));
        }
    }

    drawData() {
        this.overview.set({ info: this.info, stats: this.stats, range: this.range() });
        this.ranks.setData(this.info, this.stats);
        const ranks = this.ranks.isUseful();
        this.toolbar.ranks.hidden = !ranks;
        this.work.classList.toggle("has-ranks", ranks && this.prefs.ranks);
        this.drawMap();
        if (this.other && this.other.setData) this.other.setData(this.info, this.stats);
        this.drawStatus();
    }

    drawMap() {
        const seen = this.log.list.seen();
        this.minimap.set({
            end: Math.max(this.log.source.end, this.info ? this.info.seq : 0), first: seen ? seen.first.seq : 0, last: seen ? seen.last.last : 0, stats: this.stats,
            parts: this.find.filter ? this.find.parts : this.spread.parts, isSpread: !this.find.filter, selection: this.log.selection,
        });
        if (seen) this.overview.setWindow(seen.first.t, seen.last.t);
    }

    seenSoon() {
        if (this.seenTimer) return;
        this.seenTimer = setTimeout(() => {
            this.seenTimer = 0;
            this.drawMap();
            this.drawStatus();
            this.drawDetail();
            this.toolbar.setScore(this.find, this.log.cursor);
        }, SEEN_MS);
    }

    drawStatus() {
        const i = this.info, seen = this.log.list.seen();
        if (!i) return;
        const end = Math.max(this.log.source.end, i.seq);
        const text = seen ? `${count(seen.first.seq)}–${count(seen.last.last)} of ${count(end)}${this.log.isFiltered() ? this.filteredWord() : ""} · ${time(seen.first.t, ["utc", "start"].includes(this.prefs.time) ? this.prefs.time : "local", { long: true, start_ms: Date.parse(i.started_at || i.created_at) })}` : `${count(end)} records`;
        say(this.where, text);
        const follow = this.log.list.follow, over = i.sealed;
        this.followButton.hidden = over;
        attr(this.followButton, "aria-pressed", String(follow));
        say(this.followButton, follow ? "● Following" : "○ Not following");
        const s = this.link, wait = s.retry_at ? Math.max(0, Math.ceil((s.retry_at - Date.now()) / 1000)) : 0;
        const kind = over ? "ended" : s.phase;
        const words = {
            ended: "End of the log", live: s.kind === "sse" ? "Live · event stream" : "Live", connecting: "Connecting…", idle: "Loading…",
            retrying: `Disconnected · again in ${wait} s`, denied: "Not signed in", deleted: "Deleted", closed: "",
        };
        say(this.linkWord, words[kind] ?? kind);
        this.linkWord.className = `status-button link-state ${kind}`;
        attr(this.linkWord, "title", s.cursor ? `Cursor ${s.cursor}${kind === "retrying" ? " · click: now" : ""}` : null);
    }

    /* How many lines pass, as far as that is known. */
    filteredWord() {
        const f = this.filter.only && this.filter.q ? this.find : this.spread;
        if (!f.filter || f.error) return " · filtered";
        return ` · ${count(f.total)}${f.running && f.scanned < f.end() ? "+" : ""} pass the filter`;
    }

    onLink(s) {
        const was = this.link.phase;
        this.link = s;
        if (s.phase === "live" && was !== "live") this.reached();
        this.logPane.classList.toggle("is-offline", s.phase === "retrying");
        this.drawStatus();
    }

    /* ---- filter, search, prefs ---- */

    setFilter(filter, write = true) {
        const was = this.filter, searched = (f) => JSON.stringify([f.q, f.re, f.case, scopeArgs(f)]);
        this.filter = filter;
        this.log.setFilter(filter);
        this.ranks.setFilter(filter);
        this.drawChips();
        this.overview.set({ range: this.range() });
        if (searched(was) !== searched(filter)) {
            this.find.start(filter);
            this.spread.start(filter);
            this.wantsHit = Boolean(filter.q) && (was.q !== filter.q || was.re !== filter.re || was.case !== filter.case);
        }
        if (write) this.writeAddress();
        this.drawMap();
        this.drawStatus();
    }

    drawChips() {
        const f = this.filter, chips = [], drop = (more) => () => this.setFilter({ ...this.filter, ...more });
        const names = (set) => [set.has(-1) ? "none" : "", rankRanges([...set].filter((r) => r >= 0))].filter(Boolean).join(",");
        if (f.solo.size) chips.push([`rank ${names(f.solo)}`, drop({ solo: new Set() })]);
        if (f.muted.size) chips.push([`not rank ${names(f.muted)}`, drop({ muted: new Set() })]);
        if (f.since || f.until) chips.push([this.rangeText(), drop({ since: "", until: "" })]);
        this.toolbar.setFilter(f, chips);
    }

    rangeText() {
        const clock = (s) => (s ? time(Date.parse(s), this.prefs.time === "utc" ? "utc" : "local").replace(/\.\d+$/, "") : "");
        return `${clock(this.filter.since) || "…"} – ${clock(this.filter.until) || "…"}`;
    }

    range() {
        const { since, until } = this.filter;
        if (!since && !until) return null;
        return { from: since ? Date.parse(since) : -Infinity, to: until ? Date.parse(until) : Infinity };
    }

    setRange(from_ms, to_ms) {
        this.setFilter({ ...this.filter, since: new Date(from_ms).toISOString(), until: new Date(to_ms).toISOString() });
    }

    setPrefs(more) {
        Object.assign(this.prefs, more);
        for (const [k, v] of Object.entries(more)) setChoice(isPhone() && /^(ranks|overview|wrap)$/.test(k) ? `${k}.phone` : k, typeof v === "boolean" ? (v ? "on" : "off") : v);
        this.showPrefs();
        if ("wrap" in more || "time" in more || "unfold" in more) this.log.applyPrefs();
        if (this.info) this.drawData();
        if ("time" in more && this.info) this.overview.set({});
    }

    showPrefs() {
        this.toolbar.setPrefs(this.prefs);
        this.toolbar.ranks.setAttribute("aria-pressed", String(this.prefs.ranks));
        this.overview.el.hidden = !this.prefs.overview;
        this.drawChips();
    }

    onHits() {
        this.toolbar.setScore(this.find, this.log.cursor);
        this.drawMap();
        if (this.wantsHit && this.find.hits.length) { // a new search: show its first hit from here on
            this.wantsHit = false;
            if (!this.filter.only) this.stepHit(1, true);
        }
    }

    async stepHit(d, stay) {
        if (!this.find.filter) return;
        const seen = this.log.list.seen();
        let from = this.log.cursor || (seen ? (d > 0 ? seen.first.seq - 1 : seen.last.last + 1) : 0);
        if (stay && seen) from = seen.first.seq - 1;
        try {
            let seq = await this.find.next(from, d);
            if (seq === null) {
                seq = await this.find.next(d > 0 ? 0 : this.log.source.end + 1, d);
                if (seq !== null && !stay) toast(d > 0 ? "From the start" : "From the end");
            }
            if (seq === null || this.closed) return;
            this.log.show(seq);
            this.toolbar.setScore(this.find, seq);
        } catch (e) {
            this.failed(e);
        }
    }

    /* ---- places ---- */

    async goToText(text) {
        try {
            const range = await findRange(this, text);
            if (range) {
                this.setRange(range.from, range.to);
                return;
            }
            const seq = await findPlace(this, text);
            if (seq) this.log.goTo({ from: seq, to: seq });
            else toast("There is no such place in this log", "warn");
            this.onSelected();
        } catch (e) {
            toast(e.message, "warn");
        }
    }

    async goToTime(ms) {
        const seq = await findPlace(this, new Date(ms).toISOString()).catch(() => 0);
        if (seq) this.log.show(seq);
    }

    onSelected() {
        this.writeAddress();
        this.drawDetail();
        this.drawMap();
        this.toolbar.setScore(this.find, this.log.cursor);
    }

    drawDetail() {
        const seq = this.log.cursor, r = seq && this.log.source.get(seq);
        if (r || this.detail.seq !== seq) this.detail.show(r || null); // what the cache gave up since stays shown
    }

    async copyLine(r) {
        const whole = r.full_length ? await this.log.fetchOne(r.seq, Infinity) : r;
        if (whole) copy(copyText(whole), "Line");
    }

    /* ---- tabs ---- */

    showTab(tab, quiet) {
        this.tab = tab;
        if (!quiet) history.pushState(null, "", this.address());
        for (const a of this.tabs.children) attr(a, "aria-current", a.dataset.tab === tab ? "page" : null);
        this.logPane.hidden = tab !== "log";
        this.otherPane.hidden = tab === "log";
        if (this.other) this.other.close();
        this.other = null;
        put(this.otherPane);
        if (tab === "log") {
            this.log.touch();
            return;
        }
        const Kind = tab === "metrics" ? MetricsView : PostmortemView;
        this.other = new Kind(this.otherPane, {
            project: this.project, job: this.job, prefs: this.prefs, failed: this.failed,
            line: (from, to = from) => this.showLine(from, to), rank: (rank) => this.showRank(rank),
        });
        if (this.info) this.other.setData(this.info, this.stats);
    }

    showLine(from, to) {
        this.showTab("log");
        this.log.goTo({ from, to });
        this.onSelected();
    }

    showRank(rank) {
        this.showTab("log");
        this.setFilter({ ...this.filter, solo: new Set([rank]), muted: new Set() });
    }

    /* ---- keyboard ---- */

    keys() {
        const log = this.log, onLog = (fn) => (e) => {
            if (this.tab !== "log") this.showTab("log");
            fn(e);
        };
        const lines = (fn) => onLog(() => {
            const n = takeNumber();
            if (n) this.goToText(String(n));
            else fn();
        });
        return {
            "/": ["Find in the whole log", onLog(() => this.toolbar.focus())],
            n: ["Next hit", onLog(() => this.stepHit(1))],
            N: ["Previous hit", onLog(() => this.stepHit(-1))],
            g: ["First line; 812g: line 812", lines(() => log.toStart())],
            G: ["Last line, and follow; 812G: line 812", lines(() => log.toEnd())],
            f: ["Follow the end, or stop", onLog(() => log.toggleFollow())],
            "j ArrowDown": ["Next line", onLog(() => log.step(1))],
            "k ArrowUp": ["Previous line", onLog(() => log.step(-1))],
            e: ["Next error", onLog(() => this.stepError(1))],
            E: ["Previous error", onLog(() => this.stepError(-1))],
            "Enter": ["Open or fold the line", onLog(() => log.toggleCursor())],
            c: ["Copy the line", onLog(() => {
                const r = log.cursor && log.source.get(log.cursor);
                if (r) this.copyLine(r);
            })],
            w: ["Wrap long lines", onLog(() => this.setPrefs({ wrap: !this.prefs.wrap }))],
            z: ["Unfold or fold all tracebacks", onLog(() => this.setPrefs({ unfold: !this.prefs.unfold }))],
            t: ["Next way to show times", onLog(() => this.setPrefs({ time: TIME_MODES[(TIME_MODES.indexOf(this.prefs.time) + 1) % TIME_MODES.length] }))],
            o: ["Overview over time, or none", onLog(() => this.setPrefs({ overview: !this.prefs.overview }))],
            r: ["Ranks, or none", onLog(() => this.setPrefs({ ranks: !this.prefs.ranks }))],
            p: ["Post-mortem", () => this.showTab(this.tab === "postmortem" ? "log" : "postmortem")],
            m: ["Metrics", () => this.showTab(this.tab === "metrics" ? "log" : "metrics")],
            u: ["Back to all jobs", () => this.navigate("/")],
            Escape: ["Let go of the line and the filters", () => this.escape()],
        };
    }

    /* The next line of level error or worse: asked of the server, wherever it lies. */
    async stepError(d) {
        const seen = this.log.list.seen(), from = this.log.cursor || (seen ? seen.first.seq : 1);
        try {
            const answer = await getJson(jobPath(this.project, this.job, "/logs", {
                ...scopeArgs(this.filter), level: "error", states: "0", format: "json", limit: 1, ...(d > 0 ? { after: from } : { before: from, order: "desc" }),
            }));
            if (answer.logs.length) this.log.show(answer.logs[0].seq);
            else toast(d > 0 ? "No error after this line" : "No error before this line");
        } catch (e) {
            this.failed(e);
        }
    }

    escape() {
        if (this.log.selection || this.log.cursor) {
            this.log.selection = null;
            this.log.setCursor(0);
        } else {
            this.setFilter(fromQuery(new URLSearchParams()));
        }
    }
}

function fetchAgain(view) {
    view.refresh(true).then(() => {
        if (!view.info || view.closed) return;
        view.showTab(view.tab, true);
    });
}
