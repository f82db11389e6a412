/*
 * clients/web/place.js -- from what a person types to a line: a number, a share, or a time.
 */
import { getJson, jobPath } from "./api.js";

/**
 * "812", "L812", "50%", "end", "-10m" (before the end), "20:54" or "20:54:01.5" (local, on the day
 * of the line one is at), or a date that the browser reads -> {seq}, {share}, {ms}, {back_s}; null: none of these.
 */
export function readPlace(text, { near_ms = Date.now(), utc = false } = {}) {
    const s = text.trim();
    let m = /^L?([\d,]{1,19})$/i.exec(s);
    if (m) return { seq: +m[1].replaceAll(",", "") };
    m = /^(\d{1,3}(?:\.\d+)?)\s*%$/.exec(s);
    if (m && +m[1] <= 100) return { share: +m[1] / 100 };
    if (/^(end|last)$/i.test(s)) return { share: 1 };
    if (/^(start|first)$/i.test(s)) return { share: 0 };
    m = /^-\s*(\d+(?:\.\d+)?)\s*(s|m|h|d)$/i.exec(s);
    if (m) return { back_s: +m[1] * { s: 1, m: 60, h: 3600, d: 86400 }[m[2].toLowerCase()] };
    m = /^(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?$/.exec(s);
    if (m && +m[1] < 24 && +m[2] < 60 && +(m[3] || 0) < 60) {
        const d = new Date(near_ms), ms = +(m[4] || "0").padEnd(3, "0");
        if (utc) d.setUTCHours(+m[1], +m[2], +(m[3] || 0), ms);
        else d.setHours(+m[1], +m[2], +(m[3] || 0), ms);
        return { ms: d.getTime() };
    }
    const ms = Date.parse(s);
    return /\d{4}/.test(s) && isFinite(ms) ? { ms } : null;
}

/* What is near: a time of day alone is on that day. */
function near(view) {
    const seen = view.log.list.seen();
    return { near_ms: seen ? seen.first.t : Date.parse(view.info.updated_at), utc: view.prefs.time === "utc" };
}

/** "20:54..20:56", "-10m..": a span of time, {from, to} in ms; null: text is none. */
export function findRange(view, text) {
    const parts = text.split("..");
    if (parts.length !== 2 || !(parts[0].trim() || parts[1].trim())) return null;
    const end_ms = Date.parse(view.info.updated_at), ms = (s, otherwise) => {
        const p = s.trim() ? readPlace(s, near(view)) : { ms: otherwise };
        return p && p.back_s !== undefined ? end_ms - p.back_s * 1000 : p && p.ms !== undefined ? p.ms : NaN;
    };
    const from = ms(parts[0], Date.parse(view.info.created_at)), to = ms(parts[1], end_ms + 1);
    return isFinite(from) && isFinite(to) && from < to ? { from, to } : null;
}

/* The first record at or after ms; the last one when all are older. */
async function firstAt(view, ms) {
    const answer = await getJson(jobPath(view.project, view.job, "/logs", { since: new Date(ms).toISOString(), format: "json", limit: 1 }));
    return answer.logs.length ? answer.logs[0].seq : view.log.source.end;
}

/** The seq of what text says in view (a JobView); 0: it is no place. */
export async function findPlace(view, text) {
    const end = view.log.source.end, p = readPlace(text, near(view));
    if (!p || !end) return 0;
    if (p.seq !== undefined) return Math.max(1, Math.min(end, p.seq));
    if (p.share !== undefined) return Math.max(1, Math.round(p.share * end));
    if (p.back_s !== undefined) return firstAt(view, Date.parse(view.info.updated_at) - p.back_s * 1000);
    return firstAt(view, p.ms);
}
