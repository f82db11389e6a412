/*
 * clients/web/colour.js -- the colours of ranks and levels.
 *
 * A rank has a hue; how light and strong it is comes from the theme (style.css, --rank-l, --rank-c), so
 * that all of them are readable on its ground. Neighbours differ: hues go round by the golden angle.
 */

export function rankHue(rank) {
    return Math.round((235 + rank * 137.508) % 360);
}

/** Give an element the colour of a rank: its CSS uses var(--rank). */
export function setRank(el, rank) {
    if (rank < 0) el.style.removeProperty("--hue");
    else el.style.setProperty("--hue", String(rankHue(rank)));
    el.classList.toggle("no-rank", rank < 0);
}

/** A custom property of the theme as it is now; canvases draw with it. */
export function themeColour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The colour of a rank for a canvas. */
export function rankColour(rank) {
    if (rank === null || rank === undefined || rank < 0) return themeColour("--text-faint");
    return `oklch(${themeColour("--rank-l")} ${themeColour("--rank-c")} ${rankHue(rank)})`;
}

/** Colours of levels none..fatal for a canvas. */
export function levelColours() {
    return ["none", "trace", "debug", "info", "warn", "error", "fatal"].map((name) => themeColour(`--level-${name}`));
}

const watchers = new Set();

/** fn() whenever the theme changes. Returns how to stop. */
export function onTheme(fn) {
    watchers.add(fn);
    return () => watchers.delete(fn);
}

export function themeChanged() {
    for (const fn of watchers) fn();
}
