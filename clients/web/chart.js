/*
 * clients/web/chart.js -- a small line chart: a few series over steps or time, with a reading under the hand.
 */
import { Picture } from "./canvas.js";
import { themeColour } from "./colour.js";
import { h, put } from "./dom.js";

const BOTTOM = 18, TOP = 6, RIGHT = 10, LEFT_MIN = 34;
const TIP_ROWS_MAX = 8;

/** A few round numbers from lo to hi; unit: of multiples of this (bytes are round in GiB). */
export function ticks(lo, hi, want = 4, unit = 1) {
    if (!(hi > lo)) return [lo];
    if (unit !== 1) return ticks(lo / unit, hi / unit, want).map((v) => v * unit);
    const raw = (hi - lo) / want, size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].find((k) => k * size >= raw) * size, out = [];
    for (let v = Math.ceil(lo / step - 1e-9) * step; v <= hi + step * 1e-9; v += step) out.push(Math.abs(v) < step * 1e-9 ? 0 : v);
    return out;
}

/** A value as short as it can be: "2.31", "3.0e-4", "41.2k". */
export function shortValue(v) {
    const a = Math.abs(v);
    if (v === 0) return "0";
    if (a >= 1e6) return (v / 1e6).toFixed(a >= 1e7 ? 0 : 1) + "M";
    if (a >= 1e4) return (v / 1e3).toFixed(a >= 1e5 ? 0 : 1) + "k";
    if (a >= 1000) return v.toFixed(0);
    if (a < 0.001) return v.toExponential(1);
    return String(+v.toPrecision(a >= 100 ? 4 : 3));
}

export class Chart {
    /** series: [{label, colour() , points: [[x, y], …] by x, strong}]; range: [lo, hi] or null; value, place: how y and x are written; unit, unitX: of what they are round numbers. */
    constructor({ title, note, series, range = null, value = shortValue, place = shortValue, unit = 1, unitX = 1 }) {
        Object.assign(this, { title, series, range, value, place, unit, unitX });
        this.at = null;
        this.picture = new Picture({ class: "chart-canvas", "aria-hidden": "true" }, (c, w, hh) => this.draw(c, w, hh));
        this.tip = h("div", { class: "tip", hidden: true });
        this.last = h("b", { class: "chart-last" });
        const box = h("div", { class: "chart-box", pointermove: (e) => this.move(e), pointerleave: () => this.leave() }, this.picture.el, this.tip);
        this.el = h("figure", { class: "chart", role: "img" }, h("figcaption", null, h("span", { class: "chart-title" }, title), note && h("span", { class: "faint" }, note), this.last), box);
        this.set(series);
    }

    close() {
        this.picture.close();
    }

    set(series) {
        this.series = series.filter((s) => s.points.length);
        const ends = this.series.map((s) => s.points[s.points.length - 1][1]), strong = this.series.find((s) => s.strong) || this.series[0];
        const now = strong ? this.value(strong.points[strong.points.length - 1][1]) : "";
        put(this.last, now);
        this.el.setAttribute("aria-label", strong ? `${this.title}: last ${now}${ends.length > 1 ? `, over ${ends.length} series from ${this.value(Math.min(...ends))} to ${this.value(Math.max(...ends))}` : ""}` : this.title);
        this.picture.again();
    }

    bounds() {
        let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
        for (const s of this.series)
            for (const [x, y] of s.points) {
                if (!isFinite(y)) continue;
                x0 = Math.min(x0, x), x1 = Math.max(x1, x), y0 = Math.min(y0, y), y1 = Math.max(y1, y);
            }
        if (!isFinite(x0)) return null;
        if (this.range) [y0, y1] = this.range;
        else {
            const room = (y1 - y0) * 0.06 || Math.abs(y1) * 0.05 || 1;
            y0 -= room, y1 += room;
        }
        return { x0, x1: x1 > x0 ? x1 : x0 + 1, y0, y1 };
    }

    draw(c, w, hh) {
        const b = this.bounds();
        if (!b) return;
        c.font = `11px ${getComputedStyle(document.body).fontFamily}`;
        const rows = ticks(b.y0, b.y1, 3, this.unit);
        const LEFT = (this.left = Math.max(LEFT_MIN, ...rows.map((v) => c.measureText(this.value(v)).width + 10)));
        const X = (x) => LEFT + ((x - b.x0) / (b.x1 - b.x0)) * (w - LEFT - RIGHT), Y = (y) => hh - BOTTOM - ((y - b.y0) / (b.y1 - b.y0)) * (hh - BOTTOM - TOP);
        c.fillStyle = themeColour("--text-faint");
        c.strokeStyle = themeColour("--line");
        c.lineWidth = 1;
        c.textAlign = "right";
        c.textBaseline = "middle";
        for (const v of rows) {
            const y = Math.round(Y(v)) + 0.5;
            c.beginPath();
            c.moveTo(LEFT, y);
            c.lineTo(w - RIGHT, y);
            c.stroke();
            c.fillText(this.value(v), LEFT - 7, y);
        }
        c.textAlign = "center";
        c.textBaseline = "alphabetic";
        for (const v of ticks(b.x0, b.x1, Math.max(2, Math.floor(w / 80)), b.x1 - b.x0 > 3 * this.unitX ? this.unitX : 1)) {
            const half = c.measureText(this.place(v)).width / 2;
            c.fillText(this.place(v), Math.max(half, Math.min(w - half, X(v))), hh - 4);
        }
        const plain = [...this.series].sort((p, q) => Number(Boolean(p.strong)) - Number(Boolean(q.strong)));
        for (const s of plain) {
            c.strokeStyle = s.colour();
            c.lineWidth = s.strong ? 1.8 : 1.1;
            c.globalAlpha = s.strong || this.series.length < 4 ? 1 : 0.6;
            c.lineJoin = "round";
            c.beginPath();
            let pen = false;
            for (const [x, y] of s.points) {
                if (!isFinite(y)) {
                    pen = false;
                    continue;
                }
                if (pen) c.lineTo(X(x), Y(y));
                else c.moveTo(X(x), Y(y));
                pen = true;
            }
            c.stroke();
            if (s.points.length === 1) c.fillRect(X(s.points[0][0]) - 2, Y(s.points[0][1]) - 2, 4, 4);
        }
        c.globalAlpha = 1;
        if (this.at !== null) {
            c.strokeStyle = themeColour("--text-faint");
            c.beginPath();
            c.moveTo(X(this.at), TOP);
            c.lineTo(X(this.at), hh - BOTTOM);
            c.stroke();
        }
    }

    /* ---- reading ---- */

    static nearest(points, x) {
        let lo = 0, hi = points.length - 1;
        while (lo < hi) {
            const mid = (lo + hi) >> 1;
            if (points[mid][0] < x) lo = mid + 1;
            else hi = mid;
        }
        return lo > 0 && x - points[lo - 1][0] < points[lo][0] - x ? points[lo - 1] : points[lo];
    }

    move(e) {
        const b = this.bounds(), box = this.picture.el.getBoundingClientRect();
        if (!b) return;
        const left = this.left || LEFT_MIN, share = (e.clientX - box.left - left) / (box.width - left - RIGHT);
        this.at = b.x0 + Math.max(0, Math.min(1, share)) * (b.x1 - b.x0);
        const rows = this.series.map((s) => [s, Chart.nearest(s.points, this.at)]).sort((p, q) => q[1][1] - p[1][1]);
        put(this.tip, h("div", { class: "tip-head" }, this.place(rows[0][1][0])), rows.slice(0, TIP_ROWS_MAX).map(([s, p]) => {
            const swatch = h("i", { class: "swatch" });
            swatch.style.color = s.colour();
            return h("div", { class: "tip-row" }, swatch, s.label, h("b", null, this.value(p[1])));
        }), rows.length > TIP_ROWS_MAX && h("div", { class: "faint" }, `and ${rows.length - TIP_ROWS_MAX} more`));
        this.tip.hidden = false;
        const x = e.clientX - box.left, width = this.tip.offsetWidth;
        this.tip.style.left = `${x + 14 + width < box.width ? x + 14 : Math.max(0, x - width - 14)}px`;
        this.picture.again();
    }

    leave() {
        this.at = null;
        this.tip.hidden = true;
        this.picture.again();
    }
}
