/*
 * clients/web/toast.js -- a short word at the edge of the page, gone after a while.
 */
import { h } from "./dom.js";

const SHOWN_MS = 4000;

export function toast(text, kind = "") {
    const el = h("div", { class: `toast ${kind}` }, text);
    document.getElementById("toasts").append(el);
    setTimeout(() => el.remove(), SHOWN_MS);
}
