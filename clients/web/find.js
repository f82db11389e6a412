/*
 * clients/web/find.js -- what is looked for in a whole log: the server searches, this keeps the score.
 *
 * The first HITS_MAX hits come with their numbers, of all of them counts by place in the log (for
 * the minimap). The hit after or before a line beyond those is asked for one by one. While the job
 * lives, what has come since is searched every AGAIN_MS.
 */
import { getJson, jobPath, readLines, request } from "./api.js";
import { scopeArgs, textArgs } from "./filter.js";

const HITS_MAX = 2000;
const BUCKETS = 400;
const AGAIN_MS = 2500;
const PARTS_MAX = 64; // searched ranges kept apart for the minimap

export class Find {
    /**
     * changed(): there is news. end(): the last record known. scope: a filter without a text counts too (only
     * where its lines are and how many; they are not walked one by one).
     */
    constructor({ project, job, changed, end, scope = false }) {
        Object.assign(this, { project, job, changed, end, scope });
        this.filter = null;
        this.reset();
    }

    reset() {
        if (this.controller) this.controller.abort();
        clearTimeout(this.timer);
        this.controller = null;
        this.hits = [];
        this.parts = []; // {from, to, counts}
        this.total = 0;
        this.scanned = 0; // everything up to here was looked at
        this.running = false;
        this.error = null;
    }

    close() {
        this.reset();
        this.filter = null;
    }

    /** Look for what filter says; nothing when it looks for nothing. */
    start(filter) {
        this.reset();
        const wanted = filter && (this.scope ? !filter.q && Object.values(scopeArgs(filter)).some(Boolean) : filter.q);
        this.filter = wanted ? filter : null;
        if (this.filter) this.run();
        this.changed();
    }

    args() {
        return { ...scopeArgs(this.filter), ...textArgs(this.filter) };
    }

    async run() {
        const controller = (this.controller = new AbortController()), base = this.total;
        const part = { from: this.scanned + 1, to: this.scanned, counts: [] };
        this.running = true;
        this.parts.push(part);
        if (this.parts.length > PARTS_MAX) this.parts.splice(1, 1);
        let last = 0;
        try {
            const response = await request(jobPath(this.project, this.job, "/search", {
                ...this.args(), after: this.scanned, limit: this.scope ? 1 : Math.max(1, HITS_MAX - this.hits.length), buckets: BUCKETS,
            }), { signal: controller.signal });
            await readLines(response, (line) => {
                const m = JSON.parse(line);
                if (m.type === "hit") {
                    if (this.hits.length < HITS_MAX) this.hits.push(m);
                } else {
                    this.total = base + m.hits;
                    part.from = m.from;
                    part.to = m.to;
                    part.counts = m.buckets;
                    if (m.type === "progress") this.scanned = Math.max(this.scanned, m.scanned_to);
                    if (m.type === "done") last = m.to;
                }
                if (!this.hurry) this.hurry = requestAnimationFrame(() => ((this.hurry = 0), this.changed()));
            });
            if (controller.signal.aborted) return;
            this.scanned = Math.max(this.scanned, last);
            this.error = null;
        } catch (e) {
            if (controller.signal.aborted) return;
            this.error = e;
        }
        this.running = false;
        this.changed();
        this.timer = setTimeout(() => this.again(), AGAIN_MS);
    }

    again() {
        if (!this.filter || this.running) return;
        if (this.end() > this.scanned && !(this.error && this.error.status === 400)) this.run();
        else this.timer = setTimeout(() => this.again(), AGAIN_MS);
    }

    /** Are all hits up to the scanned end known one by one? */
    isWhole() {
        return this.hits.length >= this.total;
    }

    /** Which hit is at seq, from 1; 0: none that is known. */
    indexOf(seq) {
        let lo = 0, hi = this.hits.length;
        while (lo < hi) {
            const mid = (lo + hi) >> 1;
            if (this.hits[mid].seq >= seq) hi = mid;
            else lo = mid + 1;
        }
        return lo < this.hits.length && this.hits[lo].seq === seq ? lo + 1 : 0;
    }

    /** The number of the next hit after (d 1) or before (d -1) seq; null: there is none. */
    async next(seq, d) {
        const known = this.hits;
        if (d > 0) {
            const hit = known.find((x) => x.seq > seq);
            if (hit) return hit.seq;
            if (this.isWhole() && !this.running) return null;
        } else if (known.length && (this.isWhole() || seq <= known[known.length - 1].seq)) {
            for (let i = known.length - 1; i >= 0; i--) if (known[i].seq < seq) return known[i].seq;
            return null;
        }
        const answer = await getJson(jobPath(this.project, this.job, "/logs", {
            ...this.args(), states: "0", format: "json", limit: 1, ...(d > 0 ? { after: seq } : { before: seq, order: "desc" }),
        }));
        return answer.logs.length ? answer.logs[0].seq : null;
    }
}
