/*
 * clients/web/record.js -- one record of a log as the page keeps it. Pure.
 *
 * {seq, last, ts, t, rank, level, msg, …}: rank -1 when it has none, level 0 (none) to 6 (fatal),
 * t milliseconds, last = seq but for lost ranges. A long message is kept cut: full_length says how
 * long it is, and who wants it all fetches it again.
 */
import { plain } from "./ansi.js";

export const LEVELS = ["none", "trace", "debug", "info", "warn", "error", "fatal"];
export const MSG_KEPT = 8192; // characters kept of one message

const encoder = new TextEncoder(), decoder = new TextDecoder();
const LEVEL_NUMBER = new Map(LEVELS.map((name, i) => [name, i]));

/* Cut before a high surrogate, so that no half character is left. A copy: a slice would keep the whole alive. */
function cut(text, length) {
    const c = text.charCodeAt(length - 1);
    return decoder.decode(encoder.encode(text.slice(0, c >= 0xd800 && c <= 0xdbff ? length - 1 : length)));
}

/** A parsed line of /logs or an element of a tail's lines. keep: characters kept of msg. */
export function fromObject(o, keep = MSG_KEPT) {
    if (o.gap && o.seq === undefined)
        return { kind: "lost", seq: o.gap.from, last: o.gap.to, reason: o.gap.reason, ts: "", t: NaN, rank: -1, level: 0, msg: "" };
    const msg = typeof o.msg === "string" ? o.msg : "", fields = o.fields || null;
    const r = {
        kind: o.state ? "state" : fields && fields.gap ? "gap" : "line",
        seq: o.seq, last: o.seq, ts: o.ts, t: Date.parse(o.ts), rank: o.rank ?? -1,
        level: LEVEL_NUMBER.get(o.level) || 0, msg: msg.length > keep ? cut(msg, keep) : msg,
    };
    if (msg.length > keep) r.full_length = msg.length;
    if (o.replica) r.replica = o.replica;
    if (o.stream) r.stream = o.stream;
    if (fields) {
        r.fields = fields;
        if (fields.block >= 2) r.block = fields.block;
    }
    if (o.state) r.state = o.state, r.exit_code = o.exit_code ?? null;
    return r;
}

/** A line of NDJSON; null when it is none (a broken answer). */
export function fromLine(line, keep) {
    try {
        return fromObject(JSON.parse(line), keep);
    } catch {
        return null;
    }
}

/** About how much memory a record takes, in characters. */
export function weight(r) {
    return 120 + r.msg.length + (r.fields ? 200 : 0);
}

/** What copying a record gives. */
export function copyText(r) {
    if (r.kind === "state") return `[${r.state}] ${r.msg}`.trimEnd();
    if (r.kind === "lost") return `[joblog: records ${r.seq}-${r.last} are lost: ${r.reason}]`;
    return plain(r.msg);
}
