/*
 * clients/web/dom.js -- elements made by calls, never by markup.
 *
 * Promises   A string that goes in as a child or text is text: there is no way from here to HTML
 *            (the page's Trusted Types policy forbids the others too).
 */

const SVG = "http://www.w3.org/2000/svg";

function set(el, name, value) {
    if (value === undefined || value === null || value === false) return;
    if (name === "class") el.setAttribute("class", value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) el.style.setProperty(k, v);
    else if (name === "data") Object.assign(el.dataset, value);
    else if (typeof value === "function") el.addEventListener(name, value);
    else el.setAttribute(name, value === true ? "" : String(value));
}

function fill(el, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) set(el, name, value);
    for (const child of children.flat(Infinity)) {
        if (child === undefined || child === null || child === false) continue;
        el.append(child instanceof Node ? child : String(child));
    }
    return el;
}

/** An HTML element: h("button", {class: "x", click: fn, "aria-label": "…"}, "text", node, …). */
export function h(tag, attributes, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, the same way. */
export function svg(tag, attributes, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Replace what is in el. */
export function put(el, ...children) {
    el.replaceChildren();
    return fill(el, null, children);
}

/** Set text only when it differs: selections and screen readers are not disturbed for nothing. */
export function say(el, text) {
    if (el.textContent !== text) el.textContent = text;
}

/** One attribute, or none when value is null or false. */
export function attr(el, name, value) {
    const text = value === true ? "" : value;
    if (text === null || text === undefined || text === false) {
        if (el.hasAttribute(name)) el.removeAttribute(name);
    } else if (el.getAttribute(name) !== String(text)) {
        el.setAttribute(name, String(text));
    }
}

/* Drawn on a grid of 16, as strokes. */
const PATHS = {
    search: "M7 12.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM11 11l3.5 3.5",
    sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
    moon: "M13.5 9.6A6 6 0 0 1 6.4 2.5a6 6 0 1 0 7.1 7.1Z",
    down: "M8 2.5v11M3.5 9 8 13.5 12.5 9",
    up: "M8 13.5v-11M3.5 7 8 2.5 12.5 7",
    chevron: "M4 6l4 4 4-4",
    back: "M10 3 5 8l5 5",
    close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
    filter: "M1.5 3h13l-5 6v4.5l-3-1.5V9Z",
    wrap: "M2 3.5h12M2 8h9.5a2.25 2.25 0 0 1 0 4.5H8M2 12.5h2.5M10 10.5l-2 2 2 2",
    clock: "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM8 4v4l2.5 2",
    download: "M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
    link: "M6.5 9.5l3-3M7 4.5l1.5-1.6a3.2 3.2 0 0 1 4.6 4.6L11.5 9M9 11.5l-1.5 1.6a3.2 3.2 0 0 1-4.6-4.6L4.5 7",
    copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8Z",
    help: "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM6 6.2a2 2 0 1 1 2.8 1.8c-.6.3-.8.6-.8 1.3M8 11.6v.1",
    eye: "M1 8s2.5-4.5 7-4.5S15 8 15 8s-2.5 4.5-7 4.5S1 8 1 8ZM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
    muted: "M2 2l12 12M6.5 3.7C7 3.6 7.5 3.5 8 3.5c4.5 0 7 4.5 7 4.5s-.7 1.3-2.1 2.5M3.6 5C1.9 6.3 1 8 1 8s2.5 4.5 7 4.5c1.1 0 2.1-.3 3-.7",
    key: "M5.5 13a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM7.6 7.9 13.5 2M11 4.5l2 2",
    ranks: "M2 3.5h12M2 8h8M2 12.5h10",
    more: "M3 8h.1M8 8h.1M13 8h.1",
    warn: "M8 2 1.5 13.5h13ZM8 6.5v3.5M8 12v.1",
    pulse: "M1.5 8H4l2-5 4 10 2-5h2.5",
    fold: "M3 5.5 8 2l5 3.5M3 10.5 8 14l5-3.5",
    target: "M8 12.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM8 1v3M8 12v3M1 8h3M12 8h3",
    stop: "M4 4h8v8H4Z",
};

export function icon(name) {
    return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" },
        svg("path", { d: PATHS[name] }));
}
