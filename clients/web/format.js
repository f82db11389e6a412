/*
 * clients/web/format.js -- numbers, durations and times as people read them. Pure.
 */

/** 1234567 -> "1,234,567": fixed separators, so that digits stay where they are. */
export function count(n) {
    return String(Math.round(n)).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** 1234567 -> "1.2M"; at most four characters and a letter. */
export function short(n) {
    const steps = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
    for (const [size, letter] of steps) {
        if (n < size * 0.9995) continue;
        const v = n / size;
        return (v < 9.95 ? v.toFixed(1) : Math.round(v).toString()) + letter;
    }
    return n < 10 && n % 1 ? n.toFixed(1) : String(Math.round(n));
}

/** 1536 -> "1.5 KiB". */
export function bytes(n) {
    const names = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    while (n >= 1024 && i < names.length - 1) n /= 1024, i++;
    return `${i && n < 99.95 ? n.toFixed(1) : Math.round(n)} ${names[i]}`;
}

/** Seconds -> "12.5 s", "3 m 05 s", "2 h 14 m", "5 d 3 h". */
export function duration(s) {
    if (s === null || s === undefined || !isFinite(s)) return "–";
    if (s < 0) s = 0;
    if (s < 1) return `${Math.round(s * 1000)} ms`;
    if (s < 10) return `${s.toFixed(1)} s`;
    if (s < 60) return `${Math.floor(s)} s`;
    const m = Math.floor(s / 60), pad = (v) => String(v).padStart(2, "0");
    if (m < 60) return `${m} m ${pad(Math.floor(s % 60))} s`;
    const hours = Math.floor(m / 60);
    if (hours < 48) return `${hours} h ${pad(m % 60)} m`;
    return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Seconds since -> "now", "12 s ago", "3 m ago", "5 d ago". */
export function ago(s) {
    if (s < 1.5) return "now";
    if (s < 60) return `${Math.round(s)} s ago`;
    if (s < 3600) return `${Math.floor(s / 60)} m ago`;
    if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ago`;
    return `${Math.floor(s / 86400)} d ago`;
}

/** A line rate: "0", "0.4", "12", "3.4k". */
export function rate(v) {
    return v > 0 && v < 9.95 ? (v < 0.05 ? "<0.1" : v.toFixed(1)) : short(v);
}

const pad2 = (v) => (v < 10 ? "0" + v : String(v));
const pad3 = (v) => (v < 10 ? "00" + v : v < 100 ? "0" + v : String(v));

/** The ways a time is shown. */
export const TIME_MODES = ["local", "utc", "relative", "start", "none"];
export const TIME_NAMES = {
    local: "Local time", utc: "UTC", relative: "Relative", start: "Since start", none: "Hidden",
};

/**
 * Milliseconds since 1970 in a mode. long: with the date. start_ms: of the job, for "start".
 */
export function time(ms, mode, { long = false, start_ms = 0, now_ms = Date.now() } = {}) {
    if (mode === "none" || !isFinite(ms)) return "";
    if (mode === "relative") return ago((now_ms - ms) / 1000);
    if (mode === "start") {
        let v = Math.round(ms - start_ms);
        const sign = v < 0 ? "-" : "+";
        v = Math.abs(v);
        const s = Math.floor(v / 1000), hours = Math.floor(s / 3600);
        return `${sign}${hours ? hours + ":" + pad2(Math.floor(s / 60) % 60) : Math.floor(s / 60)}:` +
            `${pad2(s % 60)}.${pad3(v % 1000)}`;
    }
    const d = new Date(ms);
    if (mode === "utc") {
        const clock = `${pad2(d.getUTCHours())}:${pad2(d.getUTCMinutes())}:${pad2(d.getUTCSeconds())}.${pad3(d.getUTCMilliseconds())}`;
        return long ? `${pad2(d.getUTCMonth() + 1)}-${pad2(d.getUTCDate())} ${clock}` : clock;
    }
    const clock = `${pad2(d.getHours())}:${pad2(d.getMinutes())}:${pad2(d.getSeconds())}.${pad3(d.getMilliseconds())}`;
    return long ? `${pad2(d.getMonth() + 1)}-${pad2(d.getDate())} ${clock}` : clock;
}

/** A point of time in full, both ways: "2026-11-23 21:54:01.123456 (20:54:01 UTC)". */
export function fullTime(ts) {
    const d = new Date(ts);
    if (isNaN(d)) return ts;
    const micros = /\.(\d{1,9})/.exec(ts);
    return `${d.getFullYear()}-${pad2(d.getMonth() + 1)}-${pad2(d.getDate())} ${pad2(d.getHours())}:` +
        `${pad2(d.getMinutes())}:${pad2(d.getSeconds())}${micros ? "." + micros[1] : ""} ` +
        `(${pad2(d.getUTCHours())}:${pad2(d.getUTCMinutes())}:${pad2(d.getUTCSeconds())} UTC)`;
}

/** "TRAINING_JOB_DEPLOY_FAILED" -> "deploy failed". */
export function stateName(state) {
    return String(state || "unknown").replace(/^TRAINING_JOB_/, "").toLowerCase().replaceAll("_", " ");
}

/** How a state looks: live, wait, good, bad or still. */
export function stateKind(state) {
    const s = String(state || "").replace(/^TRAINING_JOB_/, "");
    if (s === "RUNNING") return "live";
    if (s === "COMPLETED") return "good";
    if (s === "FAILED" || s === "DEPLOY_FAILED") return "bad";
    if (s === "STOPPED") return "still";
    return "wait";
}

export function isTerminal(state) {
    return ["good", "bad", "still"].includes(stateKind(state));
}

/** [0,1,2,5] -> "0-2,5", as ?rank= takes it. */
export function rankRanges(ranks) {
    const sorted = [...ranks].sort((a, b) => a - b), out = [];
    for (let i = 0; i < sorted.length; i++) {
        let j = i;
        while (j + 1 < sorted.length && sorted[j + 1] === sorted[j] + 1) j++;
        out.push(i === j ? `${sorted[i]}` : `${sorted[i]}-${sorted[j]}`);
        i = j;
    }
    return out.join(",");
}

/** "0-2,5" -> [0,1,2,5]; what is no rank is left out. */
export function parseRanks(text, max = 65535) {
    const out = [];
    for (const part of String(text || "").split(",")) {
        const m = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
        if (!m) continue;
        const lo = +m[1], hi = Math.min(m[2] === undefined ? lo : +m[2], max);
        for (let r = lo; r <= hi && out.length <= max; r++) out.push(r);
    }
    return out;
}

/** "#L812" or "#L812-L830" -> {from, to}; null for anything else. */
export function parseLineHash(hash) {
    const m = /^#?L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(hash || "");
    if (!m) return null;
    const a = +m[1], b = m[2] === undefined ? a : +m[2];
    return a >= 1 && b >= 1 ? { from: Math.min(a, b), to: Math.max(a, b) } : null;
}

export function lineHash({ from, to }) {
    return from === to ? `#L${from}` : `#L${from}-L${to}`;
}

/** The percentage a progress line names, 0..1; null when it names none. */
export function progressOf(msg) {
    const percent = /(?:^|[^\d.])(\d{1,3}(?:\.\d+)?)\s?%/.exec(msg);
    if (percent && +percent[1] <= 100) return +percent[1] / 100;
    const of = /(?:^|[^\d./])(\d{1,12})\/(\d{1,12})(?![\d.]*[\/\d])/.exec(msg);
    if (of && +of[2] > 0 && +of[1] <= +of[2]) return +of[1] / +of[2];
    return null;
}
