/*
 * clients/web/toolbar.js -- what is above the lines: search, level, time, and how they look.
 */
import { h, icon, put, say } from "./dom.js";
import { count, TIME_MODES, TIME_NAMES } from "./format.js";

const LEVELS = [["", "All"], ["debug", "Debug"], ["info", "Info"], ["warn", "Warn"], ["error", "Error"]];
const INPUT_MS = 250;

function toggle(name, title, label, click) {
    return h("button", { class: "toggle", type: "button", "aria-pressed": "false", title, "aria-label": label || title, click }, name);
}

/** A button that opens a menu of buttons; items() makes them anew each time. */
export function menu(name, title, items) {
    const list = h("div", { class: "menu", role: "menu", hidden: true });
    const button = h("button", { class: "button small", type: "button", "aria-haspopup": "menu", "aria-expanded": "false", title, "aria-label": title }, name);
    const box = h("div", { class: "menu-box" }, button, list);
    const close = (back) => {
        if (list.hidden) return;
        list.hidden = true;
        button.setAttribute("aria-expanded", "false");
        removeEventListener("pointerdown", outside, true);
        if (back) button.focus();
    };
    const outside = (e) => !box.contains(e.target) && close(false);
    button.addEventListener("click", () => {
        if (!list.hidden) {
            close(false);
            return;
        }
        put(list, items(() => close(true)));
        list.hidden = false;
        button.setAttribute("aria-expanded", "true");
        list.classList.toggle("to-left", box.getBoundingClientRect().left > innerWidth / 2);
        addEventListener("pointerdown", outside, true);
        list.querySelector("button,a,input")?.focus();
    });
    box.addEventListener("keydown", (e) => {
        if (e.key === "Escape") {
            e.stopPropagation();
            close(true);
        }
        if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
        const all = [...list.querySelectorAll("button,a")], at = all.indexOf(document.activeElement) + (e.key === "ArrowDown" ? 1 : -1);
        if (all.length && !list.hidden) {
            e.preventDefault();
            all[(at + all.length) % all.length].focus();
        }
    });
    return box;
}

export function menuItem(text, click, { checked, hint, href, download } = {}) {
    return h(href ? "a" : "button", { class: "menu-item", role: checked === undefined ? "menuitem" : "menuitemradio", "aria-checked": checked === undefined ? null : String(checked),
        type: href ? null : "button", href, download, click }, h("span", null, text), hint && h("span", { class: "faint" }, hint));
}

export class Toolbar {
    /**
     * on: {filter(changes), step(d), prefs(changes), goTo(text), download(kind), copy(), link(), ranks()}
     */
    constructor(filter, prefs, on) {
        Object.assign(this, { filter, prefs, on });
        this.timer = 0;
        this.build();
        this.setFilter(filter);
    }

    build() {
        const change = (more) => this.on.filter(more);
        this.text = h("input", { type: "search", class: "input", placeholder: "Find in the whole log", "aria-label": "Find in the whole log", spellcheck: "false",
            autocomplete: "off", autocapitalize: "off", input: () => this.later(), change: () => this.enter(), keydown: (e) => this.onKey(e) });
        this.case = toggle("Aa", "Match case", "", () => change({ case: !this.filter.case }));
        this.re = toggle(".*", "Regular expression (RE2)", "", () => change({ re: !this.filter.re }));
        this.only = toggle(icon("filter"), "Show only the lines that match", "", () => change({ only: !this.filter.only }));
        this.score = h("span", { class: "score", role: "status" });
        this.prev = h("button", { class: "button small square", type: "button", "aria-label": "Previous hit", title: "Previous hit (N)", click: () => this.on.step(-1) }, icon("up"));
        this.next = h("button", { class: "button small square", type: "button", "aria-label": "Next hit", title: "Next hit (n)", click: () => this.on.step(1) }, icon("down"));
        this.hits = h("div", { class: "hits", hidden: true }, this.score, this.prev, this.next);
        this.levels = h("div", { class: "segmented levels", role: "radiogroup", "aria-label": "Least serious level shown" }, LEVELS.map(([value, name]) =>
            h("label", null, h("input", { type: "radio", name: "level", value, change: () => change({ level: value }) }), h("span", { class: value ? `l-${value}` : null }, name))));
        this.chips = h("div", { class: "filter-chips" });
        this.place = h("input", { class: "input small place", type: "text", placeholder: "Line or time", "aria-label": "Go to a line or a time", spellcheck: "false", autocomplete: "off",
            title: "A line (812), a share (50%), a time (20:54:01, -10m, 2026-11-23T20:54:01Z), or a span of time (20:54..20:56, -10m..)", keydown: (e) => {
                if (e.key !== "Enter" || !this.place.value.trim()) return;
                this.on.goTo(this.place.value.trim());
                this.place.value = "";
                this.on.leave();
            } });
        this.wrap = toggle(icon("wrap"), "Wrap long lines (w)", "", () => this.on.prefs({ wrap: !this.prefs.wrap }));
        this.overview = toggle(icon("pulse"), "Overview over time (o)", "", () => this.on.prefs({ overview: !this.prefs.overview }));
        this.unfold = toggle(icon("fold"), "Unfold all tracebacks (z)", "", () => this.on.prefs({ unfold: !this.prefs.unfold }));
        this.ranks = h("button", { class: "button small ranks-button", type: "button", click: () => this.on.ranks() }, icon("ranks"), "Ranks");
        const times = menu(icon("clock"), "How times are shown (t)", (close) => TIME_MODES.map((m) =>
            menuItem(TIME_NAMES[m], () => (this.on.prefs({ time: m }), close()), { checked: m === this.prefs.time })));
        const share = menu(icon("link"), "Copy and link", (close) => this.on.share(close));
        const down = menu(icon("download"), "Download", (close) => this.on.downloads(close));
        this.el = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Log tools" },
            h("div", { class: "search-box find" }, icon("search"), this.text, h("div", { class: "toggles" }, this.case, this.re, this.only)), this.hits,
            this.levels, this.ranks, this.chips, h("div", { class: "grow" }), this.place, h("div", { class: "tool-group" }, this.overview, this.wrap, this.unfold, times, share, down));
    }

    /* ---- search field ---- */

    later() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.enter(), INPUT_MS);
    }

    enter() {
        clearTimeout(this.timer);
        if (this.text.value !== this.filter.q) this.on.filter({ q: this.text.value });
    }

    onKey(e) {
        if (e.key === "Enter") {
            e.preventDefault();
            const fresh = this.text.value !== this.filter.q;
            this.enter();
            if (!fresh) this.on.step(e.shiftKey ? -1 : 1);
        } else if (e.key === "Escape") {
            e.preventDefault();
            e.stopPropagation();
            if (this.text.value) {
                this.text.value = "";
                this.enter();
            } else {
                this.text.blur();
                this.on.leave();
            }
        }
    }

    focus() {
        this.text.focus();
        this.text.select();
    }

    /* ---- what it shows ---- */

    setFilter(filter, chips = []) {
        this.filter = filter;
        if (document.activeElement !== this.text || !filter.q) if (this.text.value !== filter.q) this.text.value = filter.q;
        this.case.setAttribute("aria-pressed", String(filter.case));
        this.re.setAttribute("aria-pressed", String(filter.re));
        this.only.setAttribute("aria-pressed", String(filter.only));
        for (const input of this.levels.querySelectorAll("input")) input.checked = input.value === filter.level;
        put(this.chips, chips.map(([text, clear]) => h("button", { class: "filter-chip", type: "button", click: clear, "aria-label": `Remove the filter: ${text}` }, text, icon("close"))));
    }

    setPrefs(prefs) {
        this.prefs = prefs;
        this.wrap.setAttribute("aria-pressed", String(prefs.wrap));
        this.overview.setAttribute("aria-pressed", String(prefs.overview));
        this.unfold.setAttribute("aria-pressed", String(prefs.unfold));
    }

    /** find: the Find; seq: where the reader is among its hits. */
    setScore(find, seq) {
        this.hits.hidden = !find.filter;
        if (!find.filter) {
            say(this.score, "");
            return;
        }
        this.text.classList.toggle("is-bad", Boolean(find.error && find.error.status === 400));
        if (find.error) {
            say(this.score, find.error.message);
            this.score.title = find.error.message;
            return;
        }
        const index = find.indexOf(seq), busy = find.running && find.scanned < find.end() ? "…" : "";
        say(this.score, find.total ? `${index ? count(index) + " / " : ""}${count(find.total)}${busy}` : busy ? "searching…" : "no hits");
        this.prev.disabled = this.next.disabled = !find.total;
    }
}
