/*
 * clients/web/keys.js -- the keyboard: one table of the view that is open, and its help.
 *
 * Keys are letters a person types; with Ctrl, Alt or Meta they are the browser's. In a text field
 * only Escape is ours.
 */
import { h } from "./dom.js";

let table = () => ({});

/** fn() -> {key: [what it does, function or null when the browser does it]}. */
export function setKeys(fn) {
    table = fn;
}

function isTyping(el) {
    return el && (el.isContentEditable || /^(TEXTAREA|SELECT)$/.test(el.tagName) ||
        (el.tagName === "INPUT" && !/^(radio|checkbox|button|range)$/.test(el.type)));
}

const NAMES = { " ": "Space", ArrowUp: "↑", ArrowDown: "↓", Enter: "↵", Escape: "Esc" };

export function showHelp() {
    const old = document.querySelector("dialog.help");
    if (old) {
        old.close();
        return;
    }
    const rows = Object.entries(table()).filter(([, [text]]) => text).map(([key, [text]]) =>
        h("div", { class: "key-row" }, h("dt", null, key.split(" ").map((k) => h("kbd", null, NAMES[k] || k))), h("dd", null, text)));
    const dialog = h("dialog", { class: "dialog help", "aria-labelledby": "help-title", close: () => dialog.remove(),
        click: (e) => e.target === dialog && dialog.close() },
    h("div", { class: "dialog-body" }, h("h2", { id: "help-title" }, "Keyboard"), h("dl", { class: "keys" }, rows),
        h("p", { class: "hint" }, "Digits before g or G go to that line: 812G."),
        h("button", { class: "button", type: "button", click: () => dialog.close() }, "Close")));
    document.body.append(dialog);
    dialog.showModal();
}

let digits = "";

/** The number typed before a key, and forget it; 0: none. */
export function takeNumber() {
    const n = +digits || 0;
    digits = "";
    return n;
}

addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    if (isTyping(e.target) && e.key !== "Escape") return;
    if (document.querySelector("dialog[open]")) {
        if (e.key === "?") showHelp();
        return;
    }
    if (e.key === "?") {
        e.preventDefault();
        showHelp();
        return;
    }
    if (/^\d$/.test(e.key)) {
        digits = (digits + e.key).slice(-12);
        return;
    }
    const all = table(), found = Object.entries(all).find(([keys]) => keys === e.key || keys.split(" ").includes(e.key));
    if (found && found[1][1]) {
        e.preventDefault();
        found[1][1](e);
    }
    digits = "";
});
