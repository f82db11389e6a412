/*
 * clients/web/main.js -- the page: the frame around the views, and which of them an address shows.
 *
 *     /?q=&state=&project=                 the list of jobs
 *     /jobs/PROJECT/JOB?filter…#L812-L830  one job (jobview.js)
 */
import { onDenied, signOut, whoami } from "./api.js";
import { themeChanged } from "./colour.js";
import { h, icon, put, say } from "./dom.js";
import { JobList } from "./joblist.js";
import { JobView } from "./jobview.js";
import { setKeys, showHelp } from "./keys.js";
import { askLogin } from "./login.js";
import { setChoice, token } from "./store.js";

let view = null;
const crumbs = h("nav", { class: "crumbs", "aria-label": "Where you are" });
const account = h("button", { class: "button quiet", type: "button", hidden: true, click: () => leave() }, icon("key"), h("span", { class: "account-name" }));
const trouble = h("div", { class: "trouble", role: "alert", hidden: true });
const host = h("div", { class: "view" });

function isDark() {
    return document.documentElement.dataset.theme === "dark";
}

const themeButton = h("button", { class: "button quiet square", type: "button", click: () => toggleTheme() });

function drawTheme() {
    put(themeButton, icon(isDark() ? "sun" : "moon"));
    const name = isDark() ? "Light theme" : "Dark theme";
    themeButton.setAttribute("aria-label", name);
    themeButton.title = name;
}

function toggleTheme() {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    setChoice("theme", next);
    drawTheme();
    themeChanged();
}

function frame() {
    put(document.getElementById("app"),
        h("header", { class: "top" },
            h("a", { class: "brand", href: "/", "aria-label": "joblog: all jobs" }, h("img", { src: "/web/icon.svg", width: "20", height: "20", alt: "" }), h("span", null, "joblog")),
            crumbs, h("div", { class: "grow" }), account,
            h("button", { class: "button quiet square", type: "button", "aria-label": "Keyboard help", title: "Keyboard (?)", click: () => showHelp() }, icon("help")), themeButton),
        trouble, host);
    drawTheme();
}

/* ---- who we are ---- */

async function showAccount() {
    try {
        const me = await whoami();
        account.hidden = me.auth === "none" || !token();
        say(account.querySelector(".account-name"), me.token || "token");
        account.title = `Signed in with ${me.token || "a token"}${me.project ? ` of project ${me.project}` : ""}. Click to sign out.`;
    } catch {
        /* 401 has opened the login already; anything else shows where it matters */
    }
}

function leave() {
    signOut();
    location.assign("/");
}

onDenied((error) => askLogin(error, () => {
    showAccount();
    reached();
    if (view && view.renewed) view.renewed();
}));

/* ---- trouble ---- */

function failed(e) {
    if (e.status === 401) return;
    trouble.hidden = false;
    say(trouble, e.status === 0 ? "joblogd does not answer. Trying again…" : `joblogd: ${e.message}`);
}

function reached() {
    trouble.hidden = true;
}

/* ---- addresses ---- */

function route() {
    const parts = location.pathname.split("/").filter(Boolean).map(decodeURIComponent);
    if (parts[0] === "jobs" && parts.length === 3) return { project: parts[1], job: parts[2] };
    return null;
}

function open() {
    const place = route();
    if (view) view.close();
    reached();
    put(crumbs, place && [h("a", { href: `/?project=${encodeURIComponent(place.project)}`, class: "crumb" }, place.project),
        h("span", { class: "slash here", "aria-hidden": "true" }, "/"), h("span", { class: "crumb here", title: place.job }, place.job)]);
    const query = new URLSearchParams(location.search), common = { query, navigate, failed, reached };
    view = place ? new JobView(host, { ...place, ...common }) : new JobList(host, common);
    setKeys(() => view.keys());
}

export function navigate(href) {
    history.pushState(null, "", href);
    open();
}

addEventListener("click", (e) => {
    const a = e.target.closest && e.target.closest("a[href^='/']");
    if (!a || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || a.target || a.hasAttribute("download")) return;
    if (!/^\/(\?|$|jobs\/)/.test(a.getAttribute("href"))) return;
    e.preventDefault();
    navigate(a.getAttribute("href"));
});

addEventListener("popstate", () => {
    const place = route();
    if (place && view instanceof JobView && view.job === place.job && view.project === place.project) view.addressChanged();
    else open();
});

matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => (drawTheme(), themeChanged()));
frame();
open();
showAccount();
