/*
 * clients/web/minimap.js -- the whole log at a glance, beside its lines: levels, hits, where one is.
 *
 * It is the scroll bar too: top is the first record, bottom the last. Left half: how much of what
 * level (of /stats); right half: hits of the search (of /search).
 */
import { Picture } from "./canvas.js";
import { levelColours, themeColour } from "./colour.js";
import { attr, h, say } from "./dom.js";
import { count, short } from "./format.js";

const WINDOW_PX_MIN = 14;
const SNAP_PX = 4;

export class Minimap {
    /** jump(seq, done): the reader points at seq; done when the hand is lifted. */
    constructor(jump) {
        this.jump = jump;
        this.data = { end: 0, first: 0, last: 0, stats: null, parts: [], selection: null };
        this.picture = new Picture({ class: "minimap-canvas" }, (c, w, hh) => this.draw(c, w, hh));
        this.label = h("div", { class: "minimap-label", hidden: true });
        this.el = h("div", { class: "minimap", role: "scrollbar", "aria-orientation": "vertical", "aria-label": "Place in the log", "aria-controls": "log", tabindex: "-1",
            pointerdown: (e) => this.down(e), pointermove: (e) => this.move(e), pointerup: (e) => this.up(e), pointercancel: (e) => this.up(e),
            pointerleave: () => !this.held && (this.label.hidden = true) }, this.picture.el, this.label);
    }

    close() {
        this.picture.close();
    }

    set(data) {
        Object.assign(this.data, data);
        const d = this.data;
        attr(this.el, "aria-valuemin", d.end ? 1 : 0);
        attr(this.el, "aria-valuemax", d.end);
        attr(this.el, "aria-valuenow", d.first || 0);
        this.picture.again();
    }

    /* ---- hand ---- */

    seqAt(e) {
        const box = this.el.getBoundingClientRect(), room = box.height - 2 * SNAP_PX;
        const f = Math.max(0, Math.min(1, (e.clientY - box.top - SNAP_PX) / room)); // the ends are easy to hit
        return Math.max(1, Math.min(this.data.end, Math.round(1 + f * (this.data.end - 1))));
    }

    down(e) {
        if (e.button || !this.data.end) return;
        e.preventDefault();
        this.held = true;
        this.el.setPointerCapture(e.pointerId);
        this.move(e);
    }

    move(e) {
        if (!this.data.end) return;
        const seq = this.seqAt(e), box = this.el.getBoundingClientRect();
        this.label.hidden = false;
        say(this.label, count(seq));
        this.label.style.top = `${Math.max(10, Math.min(box.height - 10, e.clientY - box.top))}px`;
        if (this.held) this.jumpSoon(seq);
    }

    /* Once a frame: a hand moves faster than lines come. */
    jumpSoon(seq) {
        if (this.wanted === undefined) requestAnimationFrame(() => {
            const to = this.wanted;
            this.wanted = undefined;
            if (this.held) this.jump(to, false);
        });
        this.wanted = seq;
    }

    up(e) {
        if (!this.held) return;
        this.held = false;
        this.label.hidden = true;
        this.jump(this.seqAt(e), true);
    }

    /* ---- picture ---- */

    y(seq, hh) {
        return this.data.end > 1 ? ((seq - 1) / this.data.end) * hh : 0;
    }

    draw(c, w, hh) {
        if (!this.data.end) return;
        this.drawLevels(c, Math.round(w * 0.55), hh);
        this.drawHits(c, w, hh);
        this.drawSelection(c, w, hh);
        this.drawWindow(c, w, hh);
    }

    /* One row of pixels after the other: the buckets that lie in it, weighed by level. */
    drawLevels(c, w, hh) {
        const b = this.data.stats && this.data.stats.buckets;
        if (!b || !b.first_seq.length) return;
        const colours = levelColours(), rows = Math.max(1, Math.floor(hh / 2)), sums = Array.from({ length: rows }, () => new Float64Array(7));
        const names = ["none", "trace", "debug", "info", "warn", "error", "fatal"];
        for (let i = b.first_seq.length - 1, to = this.data.end + 1; i >= 0; to = Math.min(to, b.first_seq[i] || to), i--) {
            const from = b.first_seq[i]; // an empty bucket has none; lines that came late may go back
            if (!from || from >= to) continue;
            const r0 = Math.min(rows - 1, Math.floor((this.y(from, hh) / hh) * rows)), r1 = Math.min(rows - 1, Math.max(r0, Math.ceil((this.y(to, hh) / hh) * rows) - 1));
            names.forEach((name, l) => {
                const n = (b.lines[name] || [])[i] || 0;
                if (n) for (let r = r0; r <= r1; r++) sums[r][l] += n / (r1 - r0 + 1);
            });
        }
        const most = Math.max(1, ...sums.map((s) => s.reduce((a, v) => a + v, 0)));
        sums.forEach((s, r) => {
            const total = s.reduce((a, v) => a + v, 0);
            if (!total) return;
            const length = Math.max(3, (Math.log1p(total) / Math.log1p(most)) * (w - 4));
            let x = 2;
            for (const l of [6, 5, 4, 3, 2, 1, 0]) {
                if (!s[l]) continue;
                const part = l >= 4 ? Math.max(4, (s[l] / total) * length) : (s[l] / total) * length;
                c.fillStyle = colours[l];
                c.globalAlpha = l >= 5 ? 0.95 : l === 4 ? 0.8 : 0.35;
                c.fillRect(x, (r * hh) / rows, Math.min(part, w - x), Math.max(1, hh / rows - 0.5));
                x += part;
                if (x >= w) break;
            }
        });
        c.globalAlpha = 1;
    }

    drawHits(c, w, hh) {
        const left = Math.round(w * 0.58), colour = themeColour(this.data.isSpread ? "--accent" : "--hit-mark");
        let most = 1;
        for (const p of this.data.parts) for (const n of p.counts) most = Math.max(most, n);
        c.fillStyle = colour;
        for (const p of this.data.parts) {
            const span = (p.to - p.from + 1) / (p.counts.length || 1);
            p.counts.forEach((n, i) => {
                if (!n) return;
                const y = this.y(p.from + i * span, hh), end = this.y(p.from + (i + 1) * span, hh);
                c.globalAlpha = 0.55 + 0.45 * (n / most);
                c.fillRect(left, y, (w - left - 3) * (0.35 + 0.65 * (Math.log1p(n) / Math.log1p(most))), Math.max(2, end - y));
            });
        }
        c.globalAlpha = 1;
    }

    drawSelection(c, w, hh) {
        const s = this.data.selection;
        if (!s) return;
        const y = this.y(s.from, hh);
        c.fillStyle = themeColour("--accent");
        c.fillRect(0, y, w, Math.max(2, this.y(s.to + 1, hh) - y));
    }

    drawWindow(c, w, hh) {
        const { first, last } = this.data;
        if (!first) return;
        let y = this.y(first, hh), px = this.y(last + 1, hh) - y;
        if (px < WINDOW_PX_MIN) {
            y = Math.max(0, Math.min(hh - WINDOW_PX_MIN, y - (WINDOW_PX_MIN - px) / 2));
            px = WINDOW_PX_MIN;
        }
        c.fillStyle = themeColour("--window");
        c.strokeStyle = themeColour("--window-edge");
        c.lineWidth = 1;
        c.beginPath();
        c.roundRect(1.5, y + 0.5, w - 3, px - 1, 3);
        c.fill();
        c.stroke();
    }

    /** What it shows, in words. */
    describe() {
        return `${short(this.data.end)} records`;
    }
}
