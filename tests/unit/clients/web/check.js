/*
 * tests/unit/clients/web/check.js -- a test is a sentence and a function; results go to window.results.
 *
 * tests/e2e/45-clients-web-unit.py reads the sentences from the files (a line begins with test(") and
 * opens index.html in Chromium to run them.
 */

export const results = (window.results = {});
const waiting = [];

export function test(sentence, fn) {
    waiting.push([sentence, fn]);
}

export async function runAll() {
    for (const [sentence, fn] of waiting) {
        try {
            await fn();
            results[sentence] = "";
        } catch (e) {
            results[sentence] = String((e && e.stack) || e) || "failed";
        }
    }
    window.finished = true;
}

export function ok(value, what = "") {
    if (!value) throw new Error(`not true: ${what}`);
}

function text(value) {
    return JSON.stringify(value, (k, v) => (v instanceof Set ? [...v] : v instanceof Map ? [...v] : Number.isNaN(v) ? "NaN" : v === undefined ? "undefined" : v));
}

export function same(got, want, what = "") {
    if (text(got) !== text(want)) throw new Error(`${what} got ${text(got)}, wanted ${text(want)}`);
}

/** Numbers from a seed, 0..1: a failure can be replayed. */
export function random(seed) {
    let s = seed >>> 0;
    return () => {
        s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
        return s / 4294967296;
    };
}
