/*
 * clients/web/joblist.js -- the list of jobs: searched, filtered, alive.
 *
 * The newest PAGE jobs are asked for again every REFRESH_MS while the page is seen; older ones come
 * by "older jobs". Rows are kept by job, so that a refresh moves neither focus nor scroll.
 */
import { getJson } from "./api.js";
import { attr, h, icon, put, say } from "./dom.js";
import { ago, count, duration, isTerminal, rate, short, stateKind, stateName } from "./format.js";

const PAGE = 100;
const REFRESH_MS = 2500;
const JOBS_MAX = 2000; // kept; older ones are reached by filters
const STATES = [["", "All"], ["active", "Active"], ["COMPLETED", "Completed"], ["FAILED,DEPLOY_FAILED", "Failed"], ["STOPPED", "Stopped"]];

const keyOf = (job) => `${job.project}/${job.id}`;

export function jobHref(job) {
    return `/jobs/${encodeURIComponent(job.project)}/${encodeURIComponent(job.id)}`;
}

/** "●" of a state with its word; the word is what screen readers get. */
export function stateBadge(state) {
    const name = stateName(state);
    return h("span", { class: `badge ${stateKind(state)}` }, h("span", { class: "dot", "aria-hidden": "true" }), name[0].toUpperCase() + name.slice(1));
}

export class JobList {
    constructor(host, { query, navigate, failed, reached }) {
        Object.assign(this, { host, navigate, failed, reached });
        this.jobs = new Map();
        this.rows = new Map();
        this.rates = new Map(); // key -> {lines, at, rate}
        this.next = null;
        this.loaded = false;
        this.cursor = -1;
        this.build(query);
        this.refresh();
        this.timer = setInterval(() => document.visibilityState === "visible" && this.refresh(), REFRESH_MS);
        this.shown = () => document.visibilityState === "visible" && this.refresh();
        document.addEventListener("visibilitychange", this.shown);
    }

    close() {
        clearInterval(this.timer);
        document.removeEventListener("visibilitychange", this.shown);
        this.closed = true;
    }

    /** There is a new token. */
    renewed() {
        this.refresh();
    }

    /* ---- what stays ---- */

    build(query) {
        this.text = h("input", {
            type: "search", class: "input", placeholder: "Search by name, id, label or project", "aria-label": "Search jobs", spellcheck: "false",
            autocomplete: "off", value: query.get("q") || "", input: () => this.filtersChanged(),
        });
        const state = query.get("state") || "";
        this.states = h("div", { class: "segmented", role: "radiogroup", "aria-label": "State" }, STATES.map(([value, name]) =>
            h("label", null, h("input", { type: "radio", name: "state", value, checked: value === state, change: () => this.filtersChanged(true) }), h("span", null, name))));
        this.project = h("select", { class: "input select", "aria-label": "Project", change: () => this.filtersChanged(true) }, h("option", { value: "" }, "All projects"));
        this.wantedProject = query.get("project") || "";
        this.summary = h("p", { class: "summary", role: "status" });
        this.body = h("tbody", null);
        this.table = h("table", { class: "jobs" },
            h("caption", { class: "sr-only" }, "Jobs, newest first"),
            h("thead", null, h("tr", null, ["State", "Job", "Project", "Ranks", "Started", "Duration", "Lines", "Lines/s", "Last change"].map((name, i) =>
                h("th", { scope: "col", class: i === 3 || i > 4 ? "num" : null }, name)))),
            this.body);
        this.older = h("button", { class: "button", type: "button", hidden: true, click: () => this.loadOlder() }, "Older jobs");
        this.empty = h("div", { class: "empty", hidden: true });
        put(this.host, h("main", { class: "page-jobs", id: "main", tabindex: "-1" },
            h("div", { class: "jobs-head" }, h("h1", null, "Jobs"), this.summary),
            h("div", { class: "jobs-tools" }, h("div", { class: "search-box" }, icon("search"), this.text), this.states, this.project),
            h("div", { class: "jobs-scroll" }, this.table), this.empty, this.older));
        document.title = "Jobs · joblog";
    }

    query() {
        const q = new URLSearchParams();
        if (this.text.value.trim()) q.set("q", this.text.value.trim());
        const state = this.states.querySelector("input:checked")?.value;
        if (state) q.set("state", state);
        if (this.project.value || this.wantedProject) q.set("project", this.project.value || this.wantedProject);
        return q;
    }

    filtersChanged(again) {
        if (again) this.wantedProject = "";
        const q = this.query().toString();
        history.replaceState(null, "", q ? `/?${q}` : "/");
        if (again) {
            this.jobs.clear();
            this.next = null;
            this.refresh();
        }
        this.draw();
    }

    /* ---- what comes ---- */

    listPath(cursor) {
        const q = this.query(), args = new URLSearchParams({ limit: String(PAGE) });
        const state = q.get("state");
        if (state === "active") args.set("active", "1");
        else if (state) args.set("state", state);
        if (q.get("project")) args.set("project", q.get("project"));
        if (cursor) args.set("cursor", cursor);
        return `/v1/jobs?${args}`;
    }

    async refresh() {
        const asked = this.query().toString();
        try {
            const answer = await getJson(this.listPath());
            if (this.closed || asked !== this.query().toString()) return;
            this.reached();
            const first = answer.jobs.length ? answer.jobs[answer.jobs.length - 1].updated_at : "";
            for (const [key, job] of this.jobs) // what was among the newest and is not in the answer is gone
                if (!answer.next || job.updated_at > first) this.jobs.delete(key);
            for (const job of answer.jobs) this.take(job);
            if (this.next === null || this.jobs.size <= PAGE) this.next = answer.next;
            this.loaded = true;
            this.draw();
        } catch (e) {
            if (!this.closed) this.failed(e);
        }
    }

    async loadOlder() {
        try {
            const answer = await getJson(this.listPath(this.next));
            for (const job of answer.jobs) if (this.jobs.size < JOBS_MAX) this.take(job);
            this.next = this.jobs.size < JOBS_MAX ? answer.next : null;
            this.draw();
        } catch (e) {
            this.failed(e);
        }
    }

    take(job) {
        const key = keyOf(job), now = performance.now(), was = this.rates.get(key);
        if (isTerminal(job.state)) {
            this.rates.set(key, { rate: job.duration_s > 0 ? job.lines / job.duration_s : 0, mean: true });
        } else if (!was || was.mean) {
            this.rates.set(key, { lines: job.lines, at: now, rate: null });
        } else if (now - was.at > 1000) {
            const fresh = ((job.lines - was.lines) * 1000) / (now - was.at);
            this.rates.set(key, { lines: job.lines, at: now, rate: was.rate === null ? fresh : was.rate * 0.4 + fresh * 0.6 });
        }
        this.jobs.set(key, job);
    }

    /* ---- what is shown ---- */

    matching() {
        const words = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
        const all = [...this.jobs.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : a.id < b.id ? -1 : 1));
        if (!words.length) return all;
        return all.filter((job) => {
            const text = [job.id, job.name, job.project, stateName(job.state), ...Object.entries(job.labels || {}).map(([k, v]) => `${k}=${v}`)].join(" ").toLowerCase();
            return words.every((w) => text.includes(w));
        });
    }

    row(job) {
        const cell = (name, kind) => h("td", { class: kind, "data-name": name });
        const c = { state: cell("State", "c-state"), job: cell("Job", "c-job"), project: cell("Project", "c-project"), ranks: cell("Ranks", "num c-ranks"),
            started: cell("Started", "c-started"), duration: cell("Duration", "num c-duration"), lines: cell("Lines", "num c-lines"), rate: cell("Lines/s", "num c-rate"), age: cell("Last change", "num c-age") };
        const link = h("a", { href: jobHref(job), class: "job-link" });
        const labels = h("span", { class: "labels" });
        c.job.append(link, labels);
        const el = h("tr", { click: (e) => { if (!e.target.closest("a") && !String(getSelection())) link.click(); } }, Object.values(c));
        return { el, c, link, labels };
    }

    fillRow(row, job) {
        const { c } = row, r = this.rates.get(keyOf(job)), now = Date.now();
        if (row.state !== job.state) {
            put(c.state, stateBadge(job.state));
            row.state = job.state;
            row.el.className = stateKind(job.state);
        }
        say(row.link, job.name || job.id);
        attr(row.link, "title", job.name && job.name !== job.id ? job.id : null);
        const labels = Object.entries(job.labels || {}).slice(0, 4).map(([k, v]) => `${k}=${v}`).join("  ");
        say(row.labels, job.error_message ? job.error_message : labels);
        row.labels.classList.toggle("error", Boolean(job.error_message));
        say(c.project, job.project);
        say(c.ranks, job.ranks ? count(job.ranks) : "–");
        const started = job.started_at || job.created_at;
        say(c.started, ago((now - Date.parse(started)) / 1000));
        attr(c.started, "title", new Date(started).toLocaleString());
        const live = !isTerminal(job.state) && job.started_at;
        say(c.duration, duration(live ? (now - Date.parse(job.started_at)) / 1000 : job.duration_s));
        say(c.lines, short(job.lines));
        attr(c.lines, "title", `${count(job.lines)} lines`);
        say(c.rate, r && r.rate !== null && (!r.mean || job.lines) ? (r.mean ? "⌀ " : "") + rate(r.rate) : "–");
        c.rate.classList.toggle("is-live", Boolean(r && !r.mean && r.rate > 0));
        say(c.age, ago((now - Date.parse(job.updated_at)) / 1000));
    }

    draw() {
        const jobs = this.matching(), keys = new Set();
        let place = this.body.firstChild;
        for (const job of jobs) {
            const key = keyOf(job);
            keys.add(key);
            let row = this.rows.get(key);
            if (!row) this.rows.set(key, (row = this.row(job)));
            this.fillRow(row, job);
            if (row.el !== place) this.body.insertBefore(row.el, place);
            else place = place.nextSibling;
        }
        for (const [key, row] of this.rows)
            if (!keys.has(key)) {
                row.el.remove();
                this.rows.delete(key);
            }
        const live = jobs.filter((j) => stateKind(j.state) === "live").length;
        say(this.summary, !this.loaded ? "Loading…" : `${count(jobs.length)}${this.next ? "+" : ""} ${jobs.length === 1 ? "job" : "jobs"}${live ? ` · ${count(live)} running` : ""}`);
        this.older.hidden = !this.next;
        this.table.hidden = this.loaded && !jobs.length;
        this.empty.hidden = !this.loaded || jobs.length > 0;
        if (!this.empty.hidden) this.drawEmpty();
        this.drawProjects();
    }

    drawEmpty() {
        if (this.query().size) {
            put(this.empty, h("h2", null, "No job matches"), h("p", null, "Nothing fits this search and these filters."),
                h("button", { class: "button", type: "button", click: () => this.clearFilters() }, "Clear them"));
            return;
        }
        put(this.empty, h("h2", null, "No jobs yet"), h("p", null, "Send the first line from any shell:"),
            h("pre", { class: "code" }, `joblog run --job demo -- python3 train.py\n\n# or without any client\ncurl -d 'hello from a shell' ${location.origin}/v1/jobs/demo/logs`));
    }

    clearFilters() {
        this.text.value = "";
        this.states.querySelector("input").checked = true;
        this.project.value = this.wantedProject = "";
        this.filtersChanged(true);
    }

    drawProjects() {
        const known = [...new Set([...this.jobs.values()].map((j) => j.project).concat(this.wantedProject || [], this.project.value || []))].sort();
        for (const p of known) if (![...this.project.options].some((o) => o.value === p)) this.project.append(h("option", { value: p, selected: p === this.wantedProject }, p));
        this.project.hidden = this.project.options.length < 3 && !this.project.value;
    }

    /* ---- keyboard (keys.js) ---- */

    keys() {
        const move = (d) => {
            const links = [...this.body.querySelectorAll(".job-link")];
            if (!links.length) return;
            const now = links.indexOf(document.activeElement);
            links[Math.max(0, Math.min(links.length - 1, now < 0 ? 0 : now + d))].focus();
        };
        return {
            "/": ["Search", () => this.text.focus()],
            j: ["Next job", () => move(1)],
            k: ["Previous job", () => move(-1)],
            g: ["First job", () => this.body.querySelector(".job-link")?.focus()],
            G: ["Last job", () => [...this.body.querySelectorAll(".job-link")].pop()?.focus()],
            Enter: ["Open the job", null],
        };
    }
}
