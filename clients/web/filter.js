/*
 * clients/web/filter.js -- what of a log is shown, and what is looked for. Pure.
 *
 * {level, solo, muted, since, until, q, re, case, only}: solo and muted are sets of ranks (solo
 * empty: all of them); q is looked for (re: as RE2 pattern; case: sensitive), and with only
 * nothing but its matches is shown.
 */
import { parseRanks, rankRanges } from "./format.js";
import { LEVELS } from "./record.js";

const RANK_MAX = 65535;

export function emptyFilter() {
    return { level: "", solo: new Set(), muted: new Set(), since: "", until: "", q: "", re: false, case: false, only: false };
}

/** Everything but the ranks of muted, as ?rank= takes it: "none,0-2,4-65535". */
export function allBut(muted) {
    const out = ["none"];
    let from = 0;
    for (const rank of [...muted].filter((r) => r >= 0).sort((a, b) => a - b)) {
        if (rank > from) out.push(rank - 1 === from ? `${from}` : `${from}-${rank - 1}`);
        from = rank + 1;
    }
    if (from <= RANK_MAX) out.push(from === RANK_MAX ? `${from}` : `${from}-${RANK_MAX}`);
    return (muted.has(-1) ? out.slice(1) : out).join(",");
}

function ranksOf(f) {
    if (f.solo.size) return [f.solo.has(-1) ? "none" : "", rankRanges([...f.solo].filter((r) => r >= 0))].filter(Boolean).join(",");
    return f.muted.size ? allBut(f.muted) : "";
}

/** Arguments of /search: the filter without what is looked for. */
export function scopeArgs(f) {
    return { rank: ranksOf(f), level: f.level, since: f.since, until: f.until };
}

/** What is looked for, as arguments. */
export function textArgs(f) {
    if (!f.q) return {};
    return { [f.re ? "re" : "q"]: f.q, case: f.case ? "1" : "0" };
}

/** Arguments of /logs and /tail. */
export function viewArgs(f) {
    return f.only && f.q ? { ...scopeArgs(f), ...textArgs(f), states: "0" } : scopeArgs(f);
}

/** Is every record shown? */
export function isOpen(f) {
    return !Object.values(viewArgs(f)).some(Boolean);
}

/** Of an address' query. */
export function fromQuery(query) {
    const f = emptyFilter(), ranks = (name) => {
        const text = query.get(name) || "", set = new Set(parseRanks(text));
        if (text.split(",").includes("none")) set.add(-1);
        return set;
    };
    f.level = LEVELS.includes(query.get("level")) ? query.get("level") : "";
    f.solo = ranks("rank");
    f.muted = ranks("mute");
    f.since = query.get("since") || "";
    f.until = query.get("until") || "";
    f.q = query.get("q") || "";
    f.re = query.get("re") === "1";
    f.case = query.get("case") === "1";
    f.only = query.get("only") === "1";
    return f;
}

/** Into an address' query. */
export function toQuery(f) {
    const query = new URLSearchParams(), set = (k, v) => v && query.set(k, v);
    const ranks = (s) => [s.has(-1) ? "none" : "", rankRanges([...s].filter((r) => r >= 0))].filter(Boolean).join(",");
    set("rank", ranks(f.solo));
    set("mute", ranks(f.muted));
    set("level", f.level);
    set("since", f.since);
    set("until", f.until);
    set("q", f.q);
    set("re", f.re && f.q ? "1" : "");
    set("case", f.case && f.q ? "1" : "");
    set("only", f.only && f.q ? "1" : "");
    return query;
}

/**
 * What is looked for as a RegExp (global), to mark it in rows; null: nothing, or a pattern only RE2
 * understands (its hits are still found by the server).
 */
export function markPattern(f) {
    if (!f.q) return null;
    const flags = f.case ? "gu" : "giu";
    if (!f.re) return new RegExp(f.q.replace(/[.*+?^${}()|[\]\\/-]/g, (c) => (c === "-" ? "\\x2d" : "\\" + c)), flags);
    const inline = /^\(\?([ims]+)\)/.exec(f.q); // RE2's leading flags
    try {
        return inline ? new RegExp(f.q.slice(inline[0].length), [...new Set("gu" + inline[1] + (f.case ? "" : "i"))].join("")) : new RegExp(f.q, flags);
    } catch {
        try {
            return new RegExp(f.q, f.case ? "g" : "gi");
        } catch {
            return null;
        }
    }
}
