/*
 * clients/web/overview.js -- the job over time: its states, and its lines by level.
 *
 *     [ waiting | running ............................ | failed ]      states
 *      ▂▃▅▅▅▅▆▅▅▅▅▅▅▅▅▅▅▅▇█                                         lines a bucket, by level
 *      20:54        20:55        20:56
 *
 * Drag over it: only that time is shown. Click: go there. The band says what is on the screen.
 */
import { Picture } from "./canvas.js";
import { levelColours, themeColour } from "./colour.js";
import { h, put } from "./dom.js";
import { count, duration, stateKind, stateName, time } from "./format.js";

const DRAG_PX_MIN = 5;
const NAMES = ["none", "trace", "debug", "info", "warn", "error", "fatal"];

export class Overview {
    /** on: {range(from_ms, to_ms), clear(), go(ms)} */
    constructor(on, prefs) {
        this.on = on;
        this.prefs = prefs;
        this.info = null;
        this.stats = null;
        this.window = null; // {from, to} ms seen
        this.range = null; // {from, to} ms filtered
        this.drag = null;
        this.picture = new Picture({ class: "histogram", "aria-hidden": "true" }, (c, w, hh) => this.draw(c, w, hh));
        this.tip = h("div", { class: "tip", hidden: true });
        this.states = h("ol", { class: "states", "aria-label": "States of the job over time" });
        this.axis = h("div", { class: "axis", "aria-hidden": "true" });
        this.box = h("div", { class: "histogram-box", role: "img", pointerdown: (e) => this.down(e), pointermove: (e) => this.move(e),
            pointerup: (e) => this.up(e), pointercancel: () => this.cancel(), pointerleave: () => !this.drag && (this.tip.hidden = true) }, this.picture.el, this.tip);
        this.el = h("section", { class: "overview", "aria-label": "Over time" }, this.states, this.box, this.axis);
    }

    close() {
        this.picture.close();
    }

    set(data) {
        Object.assign(this, data);
        this.drawStates();
        this.drawAxis();
        this.describe();
        this.picture.again();
    }

    setWindow(from, to) {
        this.window = isFinite(from) && isFinite(to) ? { from: Math.min(from, to), to: Math.max(from, to) } : null;
        this.picture.again();
    }

    /* ---- time ---- */

    /* [from, to] in ms of the whole picture; null when nothing is known. */
    span() {
        const i = this.info, s = this.stats, live = i && !i.sealed && !i.ended_at;
        if (!i) return null;
        const starts = [Date.parse(i.created_at)], ends = [Date.parse(i.updated_at), Date.parse(i.ended_at), live ? Date.now() : NaN];
        if (s && s.from) starts.push(Date.parse(s.from)), ends.push(Date.parse(s.to));
        const from = Math.min(...starts.filter(isFinite)), to = Math.max(...ends.filter(isFinite));
        return isFinite(from) ? [from, Math.max(to, from + 1000)] : null;
    }

    x(ms, w) {
        const [from, to] = this.span();
        return ((ms - from) / (to - from)) * w;
    }

    msAt(e) {
        const box = this.box.getBoundingClientRect(), [from, to] = this.span();
        return from + Math.max(0, Math.min(1, (e.clientX - box.left) / box.width)) * (to - from);
    }

    /* ---- hand ---- */

    down(e) {
        if (e.button || !this.span()) return;
        this.drag = { x: e.clientX, from: this.msAt(e), to: this.msAt(e) };
        this.box.setPointerCapture(e.pointerId);
    }

    move(e) {
        if (!this.span()) return;
        const ms = this.msAt(e);
        if (this.drag) this.drag.to = ms;
        this.showTip(e, ms);
        this.picture.again();
    }

    up(e) {
        const d = this.drag;
        this.drag = null;
        this.tip.hidden = true;
        this.picture.again();
        if (!d) return;
        if (Math.abs(e.clientX - d.x) < DRAG_PX_MIN) this.on.go(d.from);
        else this.on.range(Math.min(d.from, d.to), Math.max(d.from, d.to));
    }

    cancel() {
        this.drag = null;
        this.picture.again();
    }

    bucketAt(ms) {
        const s = this.stats;
        if (!s || !s.from || !s.buckets.first_seq.length) return -1;
        const i = Math.floor((ms - Date.parse(s.from)) / (s.bucket_s * 1000));
        return i >= 0 && i < s.buckets.first_seq.length ? i : -1;
    }

    showTip(e, ms) {
        const box = this.box.getBoundingClientRect(), i = this.bucketAt(ms), rows = [];
        if (this.drag && Math.abs(e.clientX - this.drag.x) >= DRAG_PX_MIN)
            rows.push(h("div", null, `${this.clock(Math.min(this.drag.from, ms))} – ${this.clock(Math.max(this.drag.from, ms))} · ${duration(Math.abs(ms - this.drag.from) / 1000)}`));
        else rows.push(h("div", { class: "tip-head" }, this.clock(ms)));
        if (i >= 0)
            for (const name of [...NAMES].reverse()) {
                const n = (this.stats.buckets.lines[name] || [])[i];
                if (n) rows.push(h("div", { class: "tip-row" }, h("i", { class: `swatch l-${name}` }), name === "none" ? "no level" : name, h("b", null, count(n))));
            }
        put(this.tip, rows);
        this.tip.hidden = false;
        const x = e.clientX - box.left;
        this.tip.style.left = `${Math.max(4, Math.min(box.width - this.tip.offsetWidth - 4, x + 12))}px`;
    }

    clock(ms) {
        const mode = ["utc", "start"].includes(this.prefs.time) ? this.prefs.time : "local", [from, to] = this.span();
        const text = time(ms, mode, { start_ms: Date.parse(this.info.started_at || this.info.created_at), long: to - from > 86400e3 });
        return text.replace(/\.\d+$/, to - from < 30e3 ? "$&" : "");
    }

    /* ---- picture ---- */

    drawStates() {
        const span = this.span();
        if (!span || !this.info.history) {
            put(this.states);
            return;
        }
        const [from, to] = span, list = this.info.history;
        put(this.states, list.map((x, i) => {
            const start = Date.parse(x.at), end = i + 1 < list.length ? Date.parse(list[i + 1].at) : to, name = stateName(x.state);
            const left = ((start - from) / (to - from)) * 100, share = Math.max(0, (end - start) / (to - from)) * 100, last = i + 1 === list.length;
            return h("li", { class: `state-part ${stateKind(x.state)} ${last ? "is-last" : ""}`, style: { "--left": `${left}%`, "--share": `${share}%` },
                title: `${name} at ${this.clock(start)}${x.message ? ` – ${x.message}` : ""}${last ? "" : `, for ${duration((end - start) / 1000)}`}` },
            h("span", null, name), !last && share > 12 && h("span", { class: "faint" }, duration((end - start) / 1000)));
        }));
    }

    drawAxis() {
        const span = this.span();
        if (!span) return;
        const [from, to] = span, n = this.box.clientWidth > 700 ? 7 : 4;
        put(this.axis, Array.from({ length: n }, (_, i) => h("span", null, this.clock(from + ((to - from) * i) / (n - 1)))));
    }

    describe() {
        const s = this.stats, span = this.span();
        if (!span) return;
        const sum = (name) => (s && s.buckets ? (s.buckets.lines[name] || []).reduce((a, v) => a + v, 0) : 0);
        this.box.setAttribute("aria-label", s
            ? `Lines over ${duration((span[1] - span[0]) / 1000)}: ${count(sum("error") + sum("fatal"))} errors, ${count(sum("warn"))} warnings. Drag to show only a span of time.`
            : "Time of the job");
        this.box.classList.toggle("is-empty", !s);
    }

    draw(c, w, hh) {
        if (!this.span()) return;
        if (this.stats && this.stats.from) this.drawBars(c, w, hh);
        const band = (r, fill, edge) => {
            const x0 = Math.max(0, this.x(r.from, w)), x1 = Math.min(w, this.x(r.to, w));
            c.fillStyle = fill;
            c.fillRect(x0, 0, Math.max(1, x1 - x0), hh);
            if (edge) {
                c.fillStyle = edge;
                c.fillRect(x0, 0, 1, hh);
                c.fillRect(Math.max(x0, x1 - 1), 0, 1, hh);
            }
        };
        if (this.range) {
            c.fillStyle = themeColour("--veil");
            c.fillRect(0, 0, Math.max(0, this.x(this.range.from, w)), hh);
            c.fillRect(Math.min(w, this.x(this.range.to, w)), 0, w, hh);
            band(this.range, "transparent", themeColour("--accent"));
        }
        if (this.drag) band({ from: Math.min(this.drag.from, this.drag.to), to: Math.max(this.drag.from, this.drag.to) }, themeColour("--brush"), themeColour("--accent"));
        if (this.window) band(this.window, themeColour("--window"), themeColour("--window-edge"));
    }

    drawBars(c, w, hh) {
        const s = this.stats, n = s.buckets.first_seq.length, colours = levelColours(), from = Date.parse(s.from);
        const totals = Array.from({ length: n }, (_, i) => NAMES.reduce((a, name) => a + ((s.buckets.lines[name] || [])[i] || 0), 0));
        const most = Math.max(1, ...totals);
        for (let i = 0; i < n; i++) {
            if (!totals[i]) continue;
            const x0 = this.x(from + i * s.bucket_s * 1000, w), x1 = this.x(from + (i + 1) * s.bucket_s * 1000, w);
            const width = Math.max(1, x1 - x0 - (x1 - x0 > 3 ? 1 : 0));
            let y = hh;
            for (let l = 0; l < NAMES.length; l++) {
                const v = (s.buckets.lines[NAMES[l]] || [])[i] || 0;
                if (!v) continue;
                const px = Math.max(l >= 4 ? 3 : 1, (v / most) * (hh - 4));
                c.fillStyle = colours[l];
                c.globalAlpha = l >= 4 ? 1 : 0.55;
                c.fillRect(x0, y - px, width, px);
                y -= px;
            }
        }
        c.globalAlpha = 1;
    }
}
