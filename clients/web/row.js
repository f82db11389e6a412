/*
 * clients/web/row.js -- one record as a row of the list.
 *
 *     | line number | time | rank | level | message … chips |
 *
 * Promises   What a job wrote is text: it goes in through textContent only, its direction and controls
 *            stay inside its own box, and no row shows more than DISPLAY_CUT of it unasked.
 */
import { runs } from "./ansi.js";
import { setRank } from "./colour.js";
import { h } from "./dom.js";
import { bytes, count, stateKind, stateName, time } from "./format.js";
import { LEVELS } from "./record.js";

export const DISPLAY_CUT = 2000; // characters
const LEVEL_LETTERS = ["", "T", "D", "", "W", "E", "F"]; // info is what lines are: no letter

function colour(el, property, value) {
    if (value === null || value === undefined) return;
    if (typeof value === "number") el.classList.add(`${property}-${value}`);
    else {
        el.classList.add(`${property}-rgb`);
        el.style.setProperty(`--${property}`, value);
    }
}

function look(run) {
    const el = document.createElement(run.mark ? "i" : "span");
    if (run.mark) el.className = "control";
    const inverse = run.inverse, fg = inverse ? (run.bg ?? "bg") : run.fg, bg = inverse ? (run.fg ?? "fg") : run.bg;
    if (fg === "bg" || bg === "fg") el.classList.add("inverse");
    if (fg !== "bg") colour(el, "fg", fg);
    if (bg !== "fg") colour(el, "bg", bg);
    if (run.faint) el.classList.add("dim");
    for (const name of ["bold", "italic", "underline", "strike"]) if (run[name]) el.classList.add(name);
    return el;
}

/* [from, to] of every match; empty ones do not count. */
function matches(text, pattern) {
    const out = [];
    pattern.lastIndex = 0;
    for (let m; out.length < 500 && (m = pattern.exec(text)); ) {
        if (m[0] === "") pattern.lastIndex++;
        else out.push([m.index, m.index + m[0].length]);
    }
    return out;
}

/** Put text, with its colours, into el; what pattern (global) matches is marked. */
export function write(el, text, pattern) {
    const list = runs(text);
    if (!pattern) {
        if (list.length === 1 && Object.keys(list[0]).length === 1) {
            el.textContent = list[0].text;
            return;
        }
        for (const run of list) {
            const part = look(run);
            part.textContent = run.text;
            el.append(part);
        }
        return;
    }
    const found = matches(list.map((r) => r.text).join(""), pattern);
    let at = 0, i = 0;
    for (const run of list) {
        const part = look(run), end = at + run.text.length;
        let from = at;
        while (from < end) {
            while (i < found.length && found[i][1] <= from) i++;
            const hit = found[i], inside = hit && hit[0] <= from;
            const to = Math.min(end, hit ? (inside ? hit[1] : hit[0]) : end), piece = run.text.slice(from - at, to - at);
            if (inside) part.append(h("mark", null, piece));
            else part.append(piece);
            from = to;
        }
        el.append(part);
        at = end;
    }
}

function chip(kind, text, title, click) {
    return h(click ? "button" : "span", { class: `chip ${kind}`, title, click, type: click && "button" }, text);
}

/* What is shown of a message that is not opened: its first line, cut. */
function opening(msg) {
    const nl = msg.indexOf("\n");
    const line = nl >= 0 ? msg.slice(0, nl) : msg;
    return { text: line.length > DISPLAY_CUT ? line.slice(0, DISPLAY_CUT) : line, lines: nl >= 0 ? msg.split("\n").length - 1 : 0 };
}

function messageOf(r, view) {
    const el = h("span", { class: "msg", dir: "ltr" }), open = view.isOpen(r);
    if (r.kind === "state") {
        el.append(h("span", { class: `state-word ${stateKind(r.state)}` }, stateName(r.state)));
        if (r.exit_code !== null && r.exit_code !== undefined) el.append(h("span", { class: "chip" }, `exit code ${r.exit_code}`));
    }
    if (r.kind === "lost") {
        el.append(`Records ${count(r.seq)}–${count(r.last)} are lost: ${r.reason}. What was acknowledged and is gone is said, not skipped.`);
        return el;
    }
    if (r.kind === "gap") {
        const g = r.fields.gap;
        el.append(h("span", { class: "gap-word" }, `gap: ${count(g.to - g.from + 1)} lines of this producer were dropped before they were sent`));
        if (r.msg) el.append(" ");
    }
    const whole = open && view.fullText(r);
    if (open) {
        const box = h("span", { class: "whole" });
        write(box, whole || r.msg, view.pattern);
        el.append(box);
        el.append(chip("less", "show less", "Show this line cut again", () => view.toggle(r)));
        return el;
    }
    const { text, lines } = opening(r.msg), box = h("span", { class: "text" });
    write(box, text, view.pattern);
    el.append(box);
    const length = r.full_length || r.msg.length;
    if (lines) el.append(chip("more", `+${count(lines)} ${lines === 1 ? "line" : "lines"}`, "Show the whole message", () => view.toggle(r)));
    else if (length > text.length)
        el.append(chip("more", `show all · ${bytes(length)}`, "This line is cut; show all of it", () => view.toggle(r)));
    return el;
}

function chipsOf(r, view) {
    const out = [], fields = r.fields || {};
    if (r.lines && view.folds)
        out.push(chip(`fold ${view.isUnfolded(r) ? "is-open" : ""}`, `${view.isUnfolded(r) ? "−" : "+"}${count(r.lines - 1)} lines`,
            view.isUnfolded(r) ? "Fold this block" : "Show this block", () => view.toggleBlock(r)));
    if (r.lines && view.folds && !view.isUnfolded(r) && r.closing) {
        const closing = h("span", { class: "closing", dir: "ltr" });
        write(closing, opening(r.closing).text.trim(), view.pattern);
        out.push(closing);
    }
    if (fields.part) out.push(chip("", `part ${fields.part.n} of ${fields.part.of}`, "The line was longer than the server's limit and was split"));
    if (fields.redraws) out.push(chip("", `↻ ${count(fields.redraws)}`, "A live row: this often it was drawn again before its final text"));
    return out;
}

/**
 * view: {timeMode, start_ms, long, pattern, isOpen(r), fullText(r), toggle(r), folds, isUnfolded(r),
 * toggleBlock(r), section(seq), isFolded(section), toggleSection(section), select(r, event)}
 */
export function makeRow(r, view) {
    const number = h("a", { class: "no", href: `#L${r.seq}`, "aria-label": `Line ${r.seq}`, tabindex: "-1", draggable: "false", data: { seq: r.seq } }, String(r.seq));
    const el = h("div", {
        class: `row ${r.kind} l-${LEVELS[r.level]}`, role: "listitem", "aria-posinset": r.seq, "aria-setsize": view.setSize(), data: { seq: r.seq },
    }, number);
    setRank(el, r.rank);
    if (view.timeMode !== "none")
        el.append(h("time", { class: "ts", datetime: r.ts || null }, time(r.t, view.timeMode, view)));
    if (view.hasRanks) el.append(h("span", { class: "rank", title: r.rank >= 0 ? `rank ${r.rank}${r.replica ? " on " + r.replica : ""}` : "no rank" }, r.rank >= 0 ? String(r.rank) : "·"));
    el.append(h("span", { class: "level", title: LEVELS[r.level], "aria-label": r.level ? LEVELS[r.level] : null }, LEVEL_LETTERS[r.level]));
    const section = view.section(r.seq);
    if (section)
        el.append(h("button", { class: `twist ${view.isFolded(section) ? "" : "is-open"}`, type: "button", "aria-expanded": String(!view.isFolded(section)),
            title: "Fold or unfold this section", click: () => view.toggleSection(section) }, "▸"));
    if (section) el.classList.add("section");
    el.append(messageOf(r, view), ...chipsOf(r, view));
    if (r.block) el.classList.add("in-block");
    if (view.isOpen(r)) el.classList.add("is-open");
    return el;
}
