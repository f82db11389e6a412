/*
 * clients/web/store.js -- what is remembered: choices, and the token.
 *
 * Choices (theme, wrap, times, …) lie in localStorage. The token lies in sessionStorage, and in
 * localStorage only when its owner asked for that. Without storage everything lasts as long as
 * the page.
 */

const PREFIX = "joblog.";
const fallback = new Map();

function area(name) {
    try {
        return window[name];
    } catch {
        return null;
    }
}

function read(where, key) {
    try {
        return area(where).getItem(PREFIX + key);
    } catch {
        return fallback.get(where + key) ?? null;
    }
}

function write(where, key, value) {
    try {
        if (value === null) area(where).removeItem(PREFIX + key);
        else area(where).setItem(PREFIX + key, value);
    } catch {
        if (value === null) fallback.delete(where + key);
        else fallback.set(where + key, value);
    }
}

/** A choice: one of allowed, else the first of them. */
export function choice(key, allowed) {
    const value = read("localStorage", key);
    return allowed.includes(value) ? value : allowed[0];
}

export function setChoice(key, value) {
    write("localStorage", key, value);
}

export function token() {
    return read("sessionStorage", "token") || read("localStorage", "token");
}

/** value null: forget it everywhere. */
export function setToken(value, remember) {
    write("sessionStorage", "token", value);
    write("localStorage", "token", value && remember ? value : null);
}
