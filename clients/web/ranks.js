/*
 * clients/web/ranks.js -- every rank in a line: its colour, when it spoke, how it stands.
 *
 * A click on a rank shows it alone (again: all), with Ctrl or Shift it is added; the eye mutes it.
 *
 * Limits     ROWS_MAX ranks are listed at a time; the field above picks which.
 */
import { Picture } from "./canvas.js";
import { rankColour, setRank } from "./colour.js";
import { attr, h, icon, put, say } from "./dom.js";
import { ago, count, parseRanks, short } from "./format.js";

const ROWS_MAX = 256;
const SILENT_S = 60; // a rank of a running job that said nothing for so long is marked

const ORDERS = [["rank", "by rank"], ["errors", "most errors first"], ["silent", "longest silent first"], ["lines", "most lines first"]];

export class Ranks {
    /** on: {filter(solo, muted)} */
    constructor(on) {
        this.on = on;
        this.rows = new Map();
        this.solo = new Set();
        this.muted = new Set();
        this.order = "rank";
        this.title = h("h2", { class: "side-title" }, "Ranks");
        this.all = h("button", { class: "button small", type: "button", hidden: true, click: () => this.set(new Set(), new Set()) }, "Show all");
        this.sort = h("select", { class: "input select small", "aria-label": "Order of ranks", change: () => ((this.order = this.sort.value), this.draw()) },
            ORDERS.map(([value, name]) => h("option", { value }, name)));
        this.pick = h("input", { class: "input small", type: "text", placeholder: "0-7,12", "aria-label": "Which ranks to list", input: () => this.draw() });
        this.body = h("ul", { class: "rank-list" });
        this.more = h("p", { class: "hint", hidden: true });
        this.el = h("aside", { class: "ranks", "aria-label": "Ranks" }, h("div", { class: "side-head" }, this.title, this.all),
            h("div", { class: "side-tools" }, this.sort, this.pick), this.body, this.more);
    }

    close() {
        for (const row of this.rows.values()) row.strip.close();
    }

    /* ---- what is known ---- */

    /** info: the job with by_rank; stats may be null. */
    setData(info, stats) {
        this.live = info && !info.sealed && !info.ended_at;
        const known = new Map();
        for (const x of (info && info.by_rank) || []) known.set(x.rank ?? -1, { rank: x.rank ?? -1, lines: x.lines, last: Date.parse(x.last_at) });
        for (const x of (stats && stats.ranks) || []) {
            const levels = x.levels || {};
            known.set(x.rank ?? -1, { ...known.get(x.rank ?? -1), rank: x.rank ?? -1, lines: x.lines, last: Date.parse(x.last_at), replica: x.replica,
                activity: x.activity, errors: (levels.error || 0) + (levels.fatal || 0), warnings: levels.warn || 0, step: x.step });
        }
        if (info && info.ranks) for (let r = 0; r < Math.min(info.ranks, 4096); r++) if (!known.has(r)) known.set(r, { rank: r, lines: 0, last: NaN });
        this.known = known;
        this.span = stats ? [Date.parse(stats.from), Date.parse(stats.to)] : null;
        this.draw();
    }

    isUseful() {
        return Boolean(this.known && [...this.known.keys()].some((r) => r >= 0));
    }

    setFilter(filter) {
        this.solo = new Set(filter.solo);
        this.muted = new Set(filter.muted);
        this.draw();
    }

    /* ---- hand ---- */

    set(solo, muted) {
        this.solo = solo;
        this.muted = muted;
        this.draw();
        this.on.filter(solo, muted);
    }

    toggleSolo(rank, add) {
        const solo = new Set(add ? this.solo : []);
        if (!(this.solo.has(rank) && (add || this.solo.size === 1))) solo.add(rank);
        else solo.delete(rank);
        this.set(solo, new Set());
    }

    toggleMute(rank) {
        const muted = new Set(this.muted);
        if (!muted.delete(rank)) muted.add(rank);
        this.set(new Set(), muted);
    }

    /* ---- rows ---- */

    listed() {
        const now = Date.now(), wanted = this.pick.value.trim() ? new Set(parseRanks(this.pick.value)) : null;
        const all = [...this.known.values()].filter((x) => !wanted || wanted.has(x.rank));
        const by = { rank: (x) => x.rank, errors: (x) => -(x.errors || 0), silent: (x) => (isFinite(x.last) ? x.last - now : -Infinity), lines: (x) => -x.lines }[this.order];
        return all.sort((a, b) => by(a) - by(b) || a.rank - b.rank);
    }

    row(rank) {
        const row = { data: null };
        row.strip = new Picture({ class: "strip", "aria-hidden": "true" }, (c, w, hh) => this.drawStrip(c, w, hh, row.data));
        row.errors = h("span", { class: "rank-errors" });
        row.age = h("span", { class: "rank-age" });
        row.pick = h("button", { class: "rank-pick", type: "button", click: (e) => this.toggleSolo(rank, e.ctrlKey || e.shiftKey || e.metaKey) },
            h("span", { class: "swatch", "aria-hidden": "true" }), h("span", { class: "rank-no" }, rank < 0 ? "–" : String(rank)), row.strip.el, row.errors, row.age);
        row.mute = h("button", { class: "rank-mute", type: "button", click: () => this.toggleMute(rank) });
        row.el = h("li", { class: "rank-row" }, row.pick, row.mute);
        setRank(row.el, rank);
        return row;
    }

    draw() {
        if (!this.known) return;
        const list = this.listed(), shown = list.slice(0, ROWS_MAX), keep = new Set(shown.map((x) => x.rank));
        for (const [rank, row] of this.rows)
            if (!keep.has(rank)) {
                row.el.remove();
                row.strip.close();
                this.rows.delete(rank);
            }
        let place = this.body.firstChild;
        for (const x of shown) {
            let row = this.rows.get(x.rank);
            if (!row) this.rows.set(x.rank, (row = this.row(x.rank)));
            this.fill(row, x);
            if (row.el !== place) this.body.insertBefore(row.el, place);
            else place = place.nextSibling;
        }
        const ranks = [...this.known.keys()].filter((r) => r >= 0).length;
        put(this.title, "Ranks ", h("span", { class: "faint" }, count(ranks)));
        this.all.hidden = !this.solo.size && !this.muted.size;
        this.sort.hidden = ranks < 3;
        this.pick.hidden = ranks <= 32;
        this.more.hidden = list.length <= shown.length;
        say(this.more, `${count(list.length - shown.length)} more: pick them above.`);
    }

    fill(row, x) {
        const off = this.muted.has(x.rank) || (this.solo.size > 0 && !this.solo.has(x.rank)), age_s = (Date.now() - x.last) / 1000;
        row.data = x;
        row.el.classList.toggle("is-off", off);
        row.el.classList.toggle("is-solo", this.solo.has(x.rank));
        say(row.errors, x.errors ? short(x.errors) : "");
        say(row.age, !isFinite(x.last) ? "never" : this.live ? ago(age_s).replace(" ago", "") : short(x.lines));
        row.age.classList.toggle("is-silent", Boolean(this.live && age_s > SILENT_S));
        const name = x.rank < 0 ? "lines without a rank" : `rank ${x.rank}`;
        attr(row.pick, "aria-pressed", String(this.solo.has(x.rank)));
        attr(row.pick, "aria-label", `Show only ${name}: ${count(x.lines)} lines${x.errors ? `, ${count(x.errors)} errors` : ""}`);
        attr(row.pick, "title", `${name}${x.replica ? ` on ${x.replica}` : ""} · ${count(x.lines)} lines${x.errors ? ` · ${count(x.errors)} errors` : ""}` +
            `${x.step !== null && x.step !== undefined ? ` · step ${count(x.step)}` : ""}${isFinite(x.last) ? ` · last ${ago(age_s)}` : ""}\nClick: only this one. Ctrl-click: add it.`);
        attr(row.mute, "aria-pressed", String(this.muted.has(x.rank)));
        attr(row.mute, "aria-label", `Mute ${name}`);
        attr(row.mute, "title", this.muted.has(x.rank) ? "Show it again" : "Mute");
        if (row.off !== off || !row.mute.firstChild) put(row.mute, icon(off ? "muted" : "eye"));
        row.off = off;
        row.strip.again();
    }

    drawStrip(c, w, hh, x) {
        c.fillStyle = rankColour(x.rank);
        const list = x.activity || [];
        if (!list.length) {
            if (x.lines) {
                c.globalAlpha = 0.25;
                c.fillRect(0, hh / 2 - 1, w, 2);
            }
            return;
        }
        const most = Math.max(1, ...list), columns = Math.min(list.length, Math.floor(w / 2) || 1);
        for (let i = 0; i < columns; i++) {
            const a = Math.floor((i * list.length) / columns), b = Math.max(a + 1, Math.floor(((i + 1) * list.length) / columns));
            let n = 0;
            for (let k = a; k < b; k++) n = Math.max(n, list[k]);
            if (!n) continue;
            const px = Math.max(2, Math.sqrt(n / most) * hh);
            c.globalAlpha = 0.85;
            c.fillRect((i * w) / columns, hh - px, Math.max(1, w / columns - 0.5), px);
        }
    }
}
