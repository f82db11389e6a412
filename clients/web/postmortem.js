/*
 * clients/web/postmortem.js -- why a job ended as it did (or whether it hangs), on one page.
 *
 * GET …/postmortem says it all; here it is set in the order of a reader at three in the morning: the
 * verdict, its evidence, what happened when, how each rank stands, the errors, the last lines. Every
 * line that is named leads into the log.
 */
import { getJson, jobPath, request, ticket } from "./api.js";
import { Picture } from "./canvas.js";
import { levelColours, setRank } from "./colour.js";
import { h, put } from "./dom.js";
import { count, duration, fullTime, time } from "./format.js";
import { write } from "./row.js";
import { stateBadge } from "./joblist.js";
import { toast } from "./toast.js";

const AGAIN_MS = 10000;
const BEHIND_MS = 1000; // while newer lines are still being read
const RANKS_MAX = 512;
const SURE = { certain: "certain", likely: "likely", unsure: "not sure", none: "cannot tell" };
const STATUS = {
    failed_first: ["failed first", "bad"], failed: ["failed", "bad"], cascade: ["followed", "warn"], killed: ["killed", "bad"], silent: ["silent", "warn"],
    running: ["running", "live"], ok: ["ok", "good"], never_started: ["never started", "warn"],
};
const WHAT = { state: "wait", error: "bad", silence: "warn", resume: "good", gap: "warn", end: "still" };

function rankTag(rank) {
    if (rank === null || rank === undefined) return null;
    const el = h("span", { class: "rank-tag" }, `rank ${rank}`);
    setRank(el, rank);
    return el;
}

/* Text of a job: coloured as its escapes say, nothing else. */
function written(tag, kind, text) {
    const el = h(tag, { class: kind, dir: "ltr" });
    write(el, text || "");
    return el;
}

export class PostmortemView {
    constructor(host, { project, job, prefs, failed, line, rank }) {
        Object.assign(this, { host, project, job, prefs, failed, line, rank });
        this.order = "status";
        this.pictures = [];
        put(host, h("div", { class: "empty", role: "status" }, "Working it out…"));
        this.load();
        this.timer = setInterval(() => document.visibilityState === "visible" && this.data && this.data.live && this.load(), AGAIN_MS);
    }

    close() {
        this.closed = true;
        clearInterval(this.timer);
        clearTimeout(this.soon);
        this.pictures.forEach((p) => p.close());
    }

    renewed() {
        this.load();
    }

    setData() {}

    async load() {
        try {
            const data = await getJson(jobPath(this.project, this.job, "/postmortem"));
            if (this.closed) return;
            this.data = data;
            this.draw();
            clearTimeout(this.soon);
            if (data.behind) this.soon = setTimeout(() => this.load(), BEHIND_MS);
        } catch (e) {
            if (this.closed || this.data) return;
            put(this.host, h("div", { class: "empty" }, h("h2", null, e.status === 404 ? "No post-mortem here" : "It could not be worked out"),
                h("p", null, e.status === 404 ? "This joblogd does not make them." : e.message)));
        }
    }

    /* ---- pieces ---- */

    clock(at) {
        return h("time", { class: "ts", datetime: at, title: fullTime(at) }, time(Date.parse(at), this.prefs.time === "utc" ? "utc" : "local"));
    }

    lineLink(seq, to = seq) {
        return h("a", { class: "line-link", href: `/jobs/${encodeURIComponent(this.project)}/${encodeURIComponent(this.job)}#L${seq}${to > seq ? `-L${to}` : ""}`,
            click: (e) => {
                if (e.ctrlKey || e.metaKey || e.shiftKey) return;
                e.preventDefault();
                e.stopPropagation();
                this.line(seq, to);
            } }, to > seq ? `L${count(seq)}–${count(to)}` : `L${count(seq)}`);
    }

    part(title, note, ...body) {
        return h("section", { class: "part" }, h("h2", null, title, note && h("span", { class: "faint note" }, note)), body);
    }

    draw() {
        const d = this.data, keep = this.host.scrollTop;
        this.pictures.forEach((p) => p.close());
        this.pictures = [];
        put(this.host, h("article", { class: "page-part postmortem" }, this.verdict(d), d.hung && this.hung(d.hung), d.rate && d.rate.lines && d.rate.lines.length > 1 && this.rate(d.rate),
            d.causes && d.causes.length > 0 && this.causes(d.causes), d.timeline && d.timeline.length > 0 && this.timeline(d.timeline), d.ranks && d.ranks.length > 0 && this.ranks(d.ranks),
            d.groups && d.groups.length > 0 && this.groups(d.groups), d.tails && d.tails.length > 0 && this.tails(d.tails), ((d.gaps && d.gaps.length) || (d.missing && d.missing.length)) && this.holes(d),
            h("p", { class: "hint" }, `As of line ${count(d.seq)}${d.live ? ", the job goes on" : ""}${d.behind ? `; ${count(d.behind)} newer lines are being read` : ""}.`)));
        this.host.scrollTop = keep;
    }

    verdict(d) {
        const v = d.verdict, sure = SURE[v.confidence] || v.confidence, details = [];
        if (v.cause) details.push(h("span", { class: "chip strong" }, (d.causes.find((c) => c.cause === v.cause) || { title: v.cause.replaceAll("_", " ") }).title));
        if (v.rank !== null && v.rank !== undefined) details.push(rankTag(v.rank));
        if (v.replica) details.push(h("span", { class: "chip" }, v.replica));
        if (v.margin_s !== null && v.margin_s !== undefined)
            details.push(h("span", { class: "faint" }, `${duration(v.margin_s)} before the next failure${v.clock_error_s ? `, clocks agree within ${duration(v.clock_error_s)}` : ""}`));
        return h("header", { class: `verdict ${v.kind}` },
            h("div", { class: "verdict-top" }, stateBadge(d.job.state), h("span", { class: `sure ${v.confidence}` }, sure), h("span", { class: "grow" }),
                h("button", { class: "button small", type: "button", click: () => this.copyMarkdown() }, "Copy as Markdown"),
                h("button", { class: "button small", type: "button", click: () => this.saveHtml() }, "Save as HTML")),
            h("h2", { class: "sentence" }, v.sentence), h("div", { class: "verdict-facts" }, details),
            v.evidence && v.evidence.length > 0 && h("ul", { class: "evidence" }, v.evidence.map((e) => h("li", null, this.lineLink(e.seq), " ", e.why))));
    }

    hung(x) {
        const words = { one_silent: "One rank is silent while its peers talk", some_silent: "Some ranks are silent while others talk", all_silent: "All ranks are silent", never_started: "Ranks never started" };
        return h("p", { class: "banner warn" }, `${words[x.kind] || x.kind}: rank ${x.ranks}, for ${duration(x.silent_s)}.`);
    }

    rate(r) {
        const totals = r.lines.map((l) => l.reduce((a, v) => a + v, 0)), most = Math.max(1, ...totals);
        const p = new Picture({ class: "rate-canvas", "aria-hidden": "true" }, (c, w, hh) => {
            const colours = levelColours(), n = r.lines.length;
            r.lines.forEach((levels, i) => {
                let y = hh;
                levels.forEach((v, l) => {
                    if (!v) return;
                    const px = Math.max(l >= 4 ? 3 : 1, (v / most) * (hh - 3));
                    c.fillStyle = colours[l];
                    c.globalAlpha = l >= 4 ? 1 : 0.55;
                    c.fillRect((i * w) / n, y - px, Math.max(1, w / n - 1), px);
                    y -= px;
                });
            });
        });
        this.pictures.push(p);
        return h("div", { class: "rate", role: "img", "aria-label": `Lines over time, at most ${count(most)} in ${duration(r.bucket_s)}` }, p.el);
    }

    causes(list) {
        const order = { primary: 0, other: 1, cascade: 2 };
        return this.part("Causes", null, h("ul", { class: "causes" }, [...list].sort((a, b) => order[a.role] - order[b.role]).map((c) => h("li", { class: `cause ${c.role}` },
            h("span", { class: `role ${c.role}` }, { primary: "cause", cascade: "consequence", other: "also" }[c.role] || c.role), h("b", null, c.title),
            h("span", { class: "faint" }, `${c.ranks ? `rank ${c.ranks}` : ""}${c.count > 1 ? ` · ×${count(c.count)}` : ""}`), this.lineLink(c.first.seq), written("code", "quote", c.line)))));
    }

    timeline(list) {
        return this.part("What happened", null, h("ol", { class: "timeline" }, list.map((x) => h("li", { class: WHAT[x.what] || "still" }, this.clock(x.at), h("span", { class: "point", "aria-hidden": "true" }),
            h("span", { class: "what" }, rankTag(x.rank), " ", written("span", "", x.text)), x.seq && this.lineLink(x.seq)))));
    }

    ranks(list) {
        const weigh = ["failed_first", "failed", "killed", "never_started", "silent", "cascade", "running", "ok"], by = {
            status: (a, b) => weigh.indexOf(a.status) - weigh.indexOf(b.status), rank: () => 0, age: (a, b) => (b.age_at_end_s ?? -1) - (a.age_at_end_s ?? -1),
            step: (a, b) => (a.step ?? -1) - (b.step ?? -1), errors: (a, b) => b.errors - a.errors,
        };
        const shown = [...list].sort((a, b) => by[this.order](a, b) || a.rank - b.rank).slice(0, RANKS_MAX), dash = (v, f) => (v === null || v === undefined ? "–" : f(v));
        const head = (key, name, num) => h("th", { scope: "col", class: num ? "num" : null, "aria-sort": this.order === key ? "descending" : null },
            h("button", { class: "sort", type: "button", click: () => ((this.order = key), this.draw()) }, name));
        return this.part("Ranks", `${count(list.length)}`, h("div", { class: "table-scroll" }, h("table", { class: "table" },
            h("thead", null, h("tr", null, head("rank", "Rank"), head("status", "Status"), head("step", "Step", 1), head("errors", "Errors", 1), h("th", { scope: "col", class: "num" }, "Lines"),
                head("age", "Silent at the end", 1), h("th", { scope: "col", class: "num" }, "Clock"), h("th", { scope: "col", class: "num" }, "Exit"), h("th", { scope: "col" }, "Last line"))),
            h("tbody", null, shown.map((r) => {
                const [word, kind] = STATUS[r.status] || [r.status, "still"];
                return h("tr", null, h("th", { scope: "row" }, h("button", { class: "rank-button", type: "button", title: "Show only this rank's lines", click: () => this.rank(r.rank) }, rankTag(r.rank)), r.replica && h("span", { class: "faint" }, ` ${r.replica}`)),
                    h("td", null, h("span", { class: `word ${kind}` }, word)), h("td", { class: "num" }, dash(r.step, count), r.step_lag > 0 && h("span", { class: "faint" }, ` −${count(r.step_lag)}`)),
                    h("td", { class: "num" }, r.errors ? count(r.errors) : "–"), h("td", { class: "num" }, count(r.lines)), h("td", { class: "num" }, dash(r.silent_s ?? r.age_at_end_s, duration)),
                    h("td", { class: "num" }, dash(r.skew_s, (v) => `${v >= 0 ? "+" : "−"}${duration(Math.abs(v))}`)), h("td", { class: "num" }, r.signal || dash(r.exit_code, String)),
                    h("td", { class: "last" }, r.last_seq ? this.lineLink(r.last_seq) : null, " ", written("span", "quiet", r.last_line)));
            })))), list.length > shown.length && h("p", { class: "hint" }, `${count(list.length - shown.length)} more ranks are not listed.`));
    }

    groups(list) {
        const order = { primary: 0, other: 1, cascade: 2 };
        return this.part("Errors", `${count(list.length)} different`, [...list].sort((a, b) => order[a.role] - order[b.role] || a.first.seq - b.first.seq).map((g, i) =>
            h("details", { class: `group ${g.role}`, open: i === 0 && g.role === "primary" }, h("summary", null, h("span", { class: `role ${g.role}` }, { primary: "cause", cascade: "consequence", other: "also" }[g.role] || g.role),
                written("b", "group-title", g.title), h("span", { class: "faint" }, `×${count(g.count)} on ${count(g.rank_count)} ${g.rank_count === 1 ? "rank" : "ranks"}${g.ranks ? ` (${g.ranks})` : ""}`)),
            h("div", { class: "group-body" }, h("p", { class: "faint" }, "First ", this.lineLink(g.first.seq, g.first.last_seq || g.first.seq), " at ", this.clock(g.first.at), " ", rankTag(g.first.rank),
                g.count > 1 && [" · last ", this.lineLink(g.last.seq), " at ", this.clock(g.last.at), " ", rankTag(g.last.rank)]), written("pre", "code", g.text)))));
    }

    tails(list) {
        return this.part("Last lines", null, list.map((t) => h("details", { class: "group" }, h("summary", null, t.rank === null ? h("span", { class: "faint" }, "no rank") : rankTag(t.rank), h("span", { class: "faint" }, `${count(t.lines.length)} lines`)),
            h("div", { class: "group-body" }, h("div", { class: "code lines" }, t.lines.map((l) => h("div", { class: `l-${l.level || "none"}` }, this.lineLink(l.seq), " ", written("span", "msg", l.msg))))))));
    }

    holes(d) {
        return this.part("What is missing", null, h("ul", { class: "holes" }, (d.gaps || []).map((g) => h("li", null, `Lines ${count(g.from)}–${count(g.to)}: ${g.reason}`)),
            (d.missing || []).map((m) => h("li", null, `${m} never said that all was sent`))));
    }

    /* ---- out of the page ---- */

    async copyMarkdown() {
        try {
            const text = await (await request(jobPath(this.project, this.job, "/postmortem", { format: "markdown" }))).text();
            await navigator.clipboard.writeText(text);
            toast("Post-mortem copied as Markdown");
        } catch (e) {
            toast(e.message || "The browser did not let us copy", "warn");
        }
    }

    async saveHtml() {
        const pass = await ticket().catch(() => null), a = h("a", { href: jobPath(this.project, this.job, "/postmortem", { format: "html", ticket: pass }), download: `${this.job}-postmortem.html` });
        document.body.append(a);
        a.click();
        a.remove();
    }
}
