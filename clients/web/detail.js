/*
 * clients/web/detail.js -- all that is known of the line one is at, in a strip below the lines.
 */
import { attr, h, icon, put } from "./dom.js";
import { setRank } from "./colour.js";
import { count, fullTime, lineHash, stateName } from "./format.js";
import { LEVELS } from "./record.js";

const FIELDS_CHARS_MAX = 4000;

function fieldsText(fields) {
    const text = Object.entries(fields).map(([k, v]) => `${k}=${typeof v === "string" ? v : JSON.stringify(v)}`).join("  ");
    return text.length > FIELDS_CHARS_MAX ? `${text.slice(0, FIELDS_CHARS_MAX)}…` : text;
}

export class Detail {
    /** on: {copy(record), link(record), rank(rank), close()} */
    constructor(on) {
        this.on = on;
        this.seq = 0;
        this.el = h("aside", { class: "detail", hidden: true, "aria-label": "The line at the cursor" });
    }

    /** r null: nothing. */
    show(r) {
        this.el.hidden = !r;
        if (!r) this.seq = 0;
        if (!r || (r.seq === this.seq && this.el.firstChild)) return;
        this.seq = r.seq;
        const button = (name, text, title, click) => h("button", { class: "button small quiet", type: "button", title, click }, icon(name), text);
        const rank = r.rank >= 0 && h("span", { class: "rank-tag" }, `rank ${r.rank}`);
        if (rank) setRank(rank, r.rank);
        put(this.el,
            h("div", { class: "detail-facts" }, h("b", null, `L${count(r.seq)}`), r.ts && h("time", { datetime: r.ts }, fullTime(r.ts)), rank, r.replica && h("span", null, r.replica), r.stream && h("span", null, r.stream),
                r.level > 0 && h("span", null, LEVELS[r.level]), r.state && h("span", null, stateName(r.state))),
            r.fields && h("div", { class: "detail-fields", dir: "ltr" }, fieldsText(r.fields)),
            h("div", { class: "detail-tools" }, button("copy", "Copy", "Copy this line (c)", () => this.on.copy(r)), button("link", "Link", `Copy a link to ${lineHash({ from: r.seq, to: r.seq })}`, () => this.on.link(r)),
                r.rank >= 0 && button("filter", `Only rank ${r.rank}`, "Show only this rank", () => this.on.rank(r.rank)),
                h("button", { class: "button small quiet square", type: "button", "aria-label": "Close", title: "Close (Esc)", click: () => this.on.close() }, icon("close"))));
        attr(this.el, "data-seq", r.seq);
    }
}
