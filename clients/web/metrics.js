/*
 * clients/web/metrics.js -- what the job measured: numbers its lines name, and its nodes.
 *
 * Curves come from the statistics (numbers read from lines), nodes from GET …/nodes; a joblogd or
 * a job without one of them shows the other.
 */
import { getJson, jobPath } from "./api.js";
import { Chart } from "./chart.js";
import { rankColour, themeColour } from "./colour.js";
import { h, put, say } from "./dom.js";
import { bytes, count, duration } from "./format.js";

const NODES_MS = 10000;
const HUES = [235, 12, 150, 70, 290, 195, 340, 110];

const GIB = 1 << 30;

const percent = (v) => `${Math.round(v * 100)} %`;

function nodeColour(i) {
    return () => `oklch(${themeColour("--rank-l")} ${themeColour("--rank-c")} ${HUES[i % HUES.length] + 17 * Math.floor(i / HUES.length)})`;
}

/* x of a point: its step when most have one, else seconds since the start. */
function curve(list) {
    const all = list.flatMap((m) => m.points), bySteps = all.filter((p) => p[0] !== null).length > all.length / 2;
    return {
        bySteps,
        series: list.map((m) => ({
            label: m.rank === null || m.rank === undefined ? "no rank" : `rank ${m.rank}`, colour: () => rankColour(m.rank), strong: m.rank === 0 || m.rank === null || list.length === 1,
            points: m.points.filter((p) => !bySteps || p[0] !== null).map((p) => [bySteps ? p[0] : p[1], p[2]]).sort((a, b) => a[0] - b[0]),
        })),
    };
}

export class MetricsView {
    constructor(host, { project, job, failed }) {
        Object.assign(this, { host, project, job, failed });
        this.charts = new Map();
        this.curves = h("div", { class: "charts" });
        this.nodeCharts = h("div", { class: "charts" });
        this.nodeTable = h("div", { class: "table-scroll" });
        this.curvesPart = h("section", { class: "part", hidden: true, "aria-label": "Curves" }, h("h2", null, "From the lines"), this.curves);
        this.nodesPart = h("section", { class: "part", hidden: true, "aria-label": "Nodes" }, h("h2", null, "Nodes"), this.nodeCharts, this.nodeTable);
        this.empty = h("div", { class: "empty", role: "status" }, h("p", null, "Loading…"));
        put(host, h("div", { class: "page-part" }, this.curvesPart, this.nodesPart, this.empty));
        this.loadNodes();
        this.timer = setInterval(() => document.visibilityState === "visible" && !this.over && this.loadNodes(), NODES_MS);
    }

    close() {
        this.closed = true;
        clearInterval(this.timer);
        for (const c of this.charts.values()) c.close();
    }

    renewed() {
        this.loadNodes();
    }

    setData(info, stats) {
        this.over = info && info.sealed;
        const names = new Map();
        for (const m of (stats && stats.metrics) || []) {
            if (!names.has(m.name)) names.set(m.name, []);
            names.get(m.name).push(m);
        }
        for (const [name, list] of names) {
            const { bySteps, series } = curve(list);
            this.chart(`m:${name}`, this.curves, { title: name, note: bySteps ? "by step" : "over time", series, place: bySteps ? (v) => count(v) : (v) => duration(v) });
        }
        this.hasCurves = names.size > 0;
        this.statsKnown = Boolean(stats) || (info && !stats);
        this.show();
    }

    chart(key, host, options) {
        const known = this.charts.get(key);
        if (known) {
            known.set(options.series);
            return;
        }
        const c = new Chart(options);
        this.charts.set(key, c);
        host.append(c.el);
    }

    async loadNodes() {
        try {
            const answer = await getJson(jobPath(this.project, this.job, "/nodes"));
            if (this.closed) return;
            this.nodes = answer.nodes || [];
            this.drawNodes();
        } catch (e) {
            if (this.closed) return;
            this.nodes = [];
            if (e.status !== 404) this.failed(e);
        }
        this.show();
    }

    drawNodes() {
        const start = Math.min(...this.nodes.flatMap((n) => n.at.slice(0, 1)).map(Date.parse));
        const line = (n, i, values, label = n.replica) => ({ label, colour: nodeColour(i), points: n.at.map((at, k) => [(Date.parse(at) - start) / 1000, values[k]]).filter((p) => p[1] !== null && p[1] !== undefined) });
        const place = (v) => (v < 1 ? "0" : duration(v).replace(/ 00 [sm]$/, "")), each = (values) => this.nodes.map((n, i) => line(n, i, values(n)));
        const gpus = (values) => this.nodes.flatMap((n, i) => Array.from({ length: Math.max(0, ...values(n).map((v) => (v || []).length)) }, (_, g) =>
            line(n, i * 8 + g, values(n).map((v) => (v || [])[g]), `${n.replica} GPU ${g}`)));
        const add = (key, title, series, more) => series.some((s) => s.points.length) && this.chart(`n:${key}`, this.nodeCharts, { title, series, place, unitX: 60, ...more });
        add("gpu", "GPU in use", gpus((n) => n.gpu || []), { value: percent, range: [0, 1] });
        add("gpumem", "GPU memory", gpus((n) => n.gpu_memory_bytes || []), { value: bytes, unit: GIB });
        add("cpu", "CPU", each((n) => n.cpu || []), { value: percent, range: [0, 1] });
        add("memory", "Memory", each((n) => n.memory_bytes || []), { value: bytes, unit: GIB });
        add("disk", "Disk", each((n) => n.disk_bytes || []), { value: bytes, unit: GIB });
        const last = (list) => (list && list.length ? list[list.length - 1] : null);
        const share = (v, of) => (v === null ? "–" : of ? `${bytes(v)} of ${bytes(of)}` : bytes(v));
        put(this.nodeTable, h("table", { class: "table" }, h("thead", null, h("tr", null, ["Node", "GPUs", "CPU", "Memory", "Disk", "GPU in use"].map((t) => h("th", { scope: "col" }, t)))),
            h("tbody", null, this.nodes.map((n) => {
                const g = last(n.gpu);
                return h("tr", null, h("th", { scope: "row" }, n.replica), h("td", null, (n.gpu_names || []).join(", ") || "–"), h("td", null, last(n.cpu) === null ? "–" : percent(last(n.cpu))),
                    h("td", null, share(last(n.memory_bytes), n.memory_total_bytes)), h("td", null, share(last(n.disk_bytes), n.disk_total_bytes)),
                    h("td", null, g && g.length ? g.map((v) => (v === null ? "–" : percent(v))).join(" · ") : "–"));
            }))));
    }

    show() {
        this.curvesPart.hidden = !this.hasCurves;
        this.nodesPart.hidden = !this.nodes || !this.nodes.length;
        const nothing = this.curvesPart.hidden && this.nodesPart.hidden;
        this.empty.hidden = !nothing;
        if (nothing && this.nodes && this.statsKnown)
            put(this.empty, h("h2", null, "Nothing was measured"), h("p", null, "Numbers that lines name (loss=2.31, step=120, tokens/s: 41k) become curves here, and what agents tell of their nodes."));
        else say(this.empty, nothing ? "Loading…" : "");
    }
}

