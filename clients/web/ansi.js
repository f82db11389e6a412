/*
 * clients/web/ansi.js -- a line as runs of text, each with how it looks. Pure.
 *
 * Colours and styles (SGR: 16, 256 and true colours, bold, faint, italic, underline, inverse,
 * strike) are read; every other escape sequence (cursor moves, titles, hyperlinks, …) is left out.
 * Control characters, and characters that change the direction of text or have no width, are
 * shown as marked symbols: what a line does to a terminal it cannot do to the reader.
 *
 *     runs("\x1b[31mno\x1b[0m\x07") -> [{text:"no", fg:1}, {text:"␇", mark:true}]
 */

/* CSI and the string sequences (OSC, DCS, SOS, PM, APC), with their 8-bit forms; then two-byte escapes. */
// eslint-disable-next-line no-control-regex
const TOKEN = /(?:\x1b\[|\x9b)([0-?]*)([ -/]*)([@-~])|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,8192}(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

const NAMES = {
    0xad: "SHY", 0x61c: "ALM", 0x115f: "HF", 0x1160: "HF", 0x180e: "MVS", 0x200b: "ZWSP", 0x200e: "LRM", 0x200f: "RLM",
    0x2028: "LS", 0x2029: "PS", 0x202a: "LRE", 0x202b: "RLE", 0x202c: "PDF", 0x202d: "LRO", 0x202e: "RLO",
    0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0x3164: "HF", 0xfeff: "BOM", 0xffa0: "HF",
};

/** What a control or invisible character is shown as. */
export function visible(char) {
    const c = char.codePointAt(0);
    if (c < 0x20) return String.fromCharCode(0x2400 + c);
    if (c === 0x7f) return "\u2421";
    return `\u27e8${NAMES[c] || "U+" + c.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

/** 16..255 of the 256 colours as "rgb(r g b)". */
export function paletteRgb(n) {
    if (n >= 232) {
        const v = 8 + (n - 232) * 10;
        return `rgb(${v} ${v} ${v})`;
    }
    const steps = [0, 95, 135, 175, 215, 255], i = n - 16;
    return `rgb(${steps[Math.floor(i / 36)]} ${steps[Math.floor(i / 6) % 6]} ${steps[i % 6]})`;
}

const PLAIN = { fg: null, bg: null, bold: false, faint: false, italic: false, underline: false, inverse: false, strike: false };

/* The colour after 38 or 48 at p[i]: [colour, where it ends]. Colon forms came as their own list. */
function extended(p, i) {
    const byte = (v) => Math.min(255, Math.max(0, v || 0));
    if (p[i + 1] === 5) {
        const n = byte(p[i + 2]);
        return [n < 16 ? n : paletteRgb(n), i + 2];
    }
    if (p[i + 1] === 2) return [`rgb(${byte(p[i + 2])} ${byte(p[i + 3])} ${byte(p[i + 4])})`, i + 4];
    return [undefined, i + 1];
}

function colonColour(part) {
    const p = part.split(":").map((v) => (v === "" ? 0 : +v));
    /* 38:2::r:g:b has a colour space between, 38:2:r:g:b has not */
    const list = p[1] === 2 && p.length >= 6 ? [p[0], 2, ...p.slice(3)] : p;
    return extended(list, 0)[0];
}

const CODES = {
    1: { bold: true }, 2: { faint: true }, 3: { italic: true }, 4: { underline: true }, 7: { inverse: true }, 8: { faint: true },
    9: { strike: true }, 21: { underline: true }, 22: { bold: false, faint: false }, 23: { italic: false },
    24: { underline: false }, 27: { inverse: false }, 28: { faint: false }, 29: { strike: false }, 39: { fg: null }, 49: { bg: null },
};

function sgr(state, text) {
    let next = { ...state };
    const parts = text === "" ? ["0"] : text.split(";");
    for (let i = 0; i < parts.length; i++) {
        if (parts[i].includes(":")) {
            const n = parseInt(parts[i], 10), colour = n === 38 || n === 48 ? colonColour(parts[i]) : undefined;
            if (colour !== undefined) next[n === 38 ? "fg" : "bg"] = colour;
            else if (n === 4) next.underline = parts[i] !== "4:0";
            continue;
        }
        const n = parts[i] === "" ? 0 : +parts[i];
        if (n === 0) next = { ...PLAIN };
        else if (n >= 30 && n <= 37) next.fg = n - 30;
        else if (n >= 90 && n <= 97) next.fg = n - 82;
        else if (n >= 40 && n <= 47) next.bg = n - 40;
        else if (n >= 100 && n <= 107) next.bg = n - 92;
        else if (n === 38 || n === 48 || n === 58) {
            const list = parts.map((v) => (v === "" ? 0 : +v)), [colour, end] = extended(list, i);
            if (colour !== undefined && n !== 58) next[n === 38 ? "fg" : "bg"] = colour;
            i = end;
        } else if (CODES[n]) Object.assign(next, CODES[n]);
    }
    return next;
}

/** The runs of a line. Only what differs from plain text is set on a run. */
export function runs(text) {
    const out = [];
    let state = PLAIN, at = 0;
    const add = (s, mark) => {
        if (!s) return;
        const run = { text: s };
        for (const key of Object.keys(PLAIN)) if (state[key] !== PLAIN[key]) run[key] = state[key];
        if (mark) run.mark = true;
        const last = out[out.length - 1];
        if (last && !mark && !last.mark && sameLook(last, run)) last.text += s;
        else out.push(run);
    };
    TOKEN.lastIndex = 0;
    for (let m; (m = TOKEN.exec(text)); ) {
        add(text.slice(at, m.index));
        at = m.index + m[0].length;
        if (m[3] === "m" && !m[2] && !/[<-?]/.test(m[1])) state = sgr(state, m[1]);
        else if (m[0].length <= 2 && !m[3] && (m[0] === "\x1b" || m[0][0] !== "\x1b")) add(visible(m[0]), true);
    }
    add(text.slice(at));
    return out;
}

function sameLook(a, b) {
    for (const key of Object.keys(PLAIN)) if (a[key] !== b[key]) return false;
    return true;
}

/** The text without its escape sequences (what search and copy see of it); other characters stay. */
export function plain(text) {
    if (!text.includes("\x1b") && !text.includes("\x9b")) return text;
    return text.replace(TOKEN, (m, a, b, final) => (final || (m.length > 1 && m[0] === "\x1b") || m.length > 2 ? "" : m));
}
