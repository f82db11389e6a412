/*
 * clients/web/source.js -- the records of a view, as far as they are known: a bounded cache.
 *
 *      1 ........[=====]......[========][====]........ end
 *                 from to                  ^ segments: every match within is in recs
 *
 * A log is addressed by seq, so what is not here is asked for where it is needed: after() and
 * before() answer a record, LOAD (it is being fetched; changed() follows) or null (there is none).
 * With a filter on, a segment holds the matches only, and covers the range between them just as
 * well: nothing else differs.
 *
 * Memory     RECORDS_MAX records or WEIGHT_MAX characters; what is farthest from the last place
 *            looked at goes first. One answer is read up to ANSWER_BYTES_MAX.
 */
import { linkBlocks } from "./blocks.js";
import { fromLine, weight } from "./record.js";
import { readLines } from "./api.js";

export const LOAD = Symbol("load");
export const PAGE = 400;
const RECORDS_MAX = 20000;
const WEIGHT_MAX = 12e6;
const SEGMENT_RECORDS = 1000;
const ANSWER_BYTES_MAX = 4 << 20;
const RETRY_MS = 1500;
const PART_MS = 120;
const BLOCK_REACH = 200; // records at a segment's start in which a block from before may go on

/* The index of the first element for which test holds; the length when there is none. */
function lowerBound(list, test) {
    let lo = 0, hi = list.length;
    while (lo < hi) {
        const mid = (lo + hi) >> 1;
        if (test(list[mid])) hi = mid;
        else lo = mid + 1;
    }
    return lo;
}

export class Source {
    /**
     * open(args, signal): the Response of GET …/logs with {after, before, order, limit}.
     * changed(): records came. failed(error): a fetch did not succeed; it is tried again.
     */
    constructor({ open, changed, failed }) {
        this.open = open;
        this.changed = changed;
        this.failed = failed;
        this.segments = [];
        this.end = 0; // last record that exists
        this.records = 0;
        this.weight = 0;
        this.center = 1;
        this.fetching = new Map(); // "after:812" -> AbortController
        this.fetched = 0; // answers so far, for tests
        this.closed = false;
        this.refused = null; // why nothing more is asked for: 400, 401, 404 do not change by asking again
        this.heads = new Set(); // first lines of blocks that learned something; the list empties it
    }

    close() {
        this.closed = true;
        this.abort();
    }

    abort() {
        for (const c of this.fetching.values()) c.abort();
        this.fetching.clear();
    }

    clear() {
        this.abort();
        this.segments = [];
        this.records = this.weight = 0;
    }

    setEnd(seq) {
        if (seq > this.end) this.end = seq;
    }

    /* The segment that covers seq, or undefined. */
    covering(seq) {
        const s = this.segments[lowerBound(this.segments, (x) => x.to >= seq)];
        return s && s.from <= seq ? s : undefined;
    }

    /** The record of seq, when it is here. */
    get(seq) {
        const s = this.covering(seq);
        if (!s) return undefined;
        const r = s.recs[lowerBound(s.recs, (x) => x.last >= seq)];
        return r && r.seq <= seq ? r : undefined;
    }

    /** The first record with a number over seq. */
    after(seq) {
        for (;;) {
            if (seq >= this.end) return null;
            const s = this.covering(seq + 1);
            if (!s) {
                this.fetchAfter(seq);
                return LOAD;
            }
            const r = s.recs[lowerBound(s.recs, (x) => x.seq > seq)];
            if (r) return r;
            seq = s.to;
        }
    }

    /** The last record with a number below seq. */
    before(seq) {
        for (;;) {
            if (seq <= 1) return null;
            if (seq > this.end + 1) seq = this.end + 1;
            const s = this.covering(seq - 1);
            if (!s) {
                this.fetchBefore(seq);
                return LOAD;
            }
            const i = lowerBound(s.recs, (x) => x.last >= seq);
            if (i > 0) return s.recs[i - 1];
            seq = s.from;
        }
    }

    /** The reader jumps to seq: what is near it stays. When it is not here, fetches for other places are given up. */
    moveTo(seq) {
        this.center = seq;
        if (!this.covering(Math.min(seq, this.end))) this.abort();
    }

    /* ---- fetching ---- */

    fetchAfter(seq) {
        const next = this.segments[lowerBound(this.segments, (x) => x.from > seq)];
        const before = next ? next.from : this.end + 1;
        let edge = seq;
        this.fetch(`after:${seq}`, { after: seq, before, limit: PAGE }, (recs, whole) => {
            const to = whole ? before - 1 : recs.length ? recs[recs.length - 1].last : 0;
            if (to > edge) this.add(edge + 1, Math.min(to, before - 1), recs);
            edge = Math.max(edge, to);
        });
    }

    fetchBefore(seq) {
        const i = lowerBound(this.segments, (x) => x.to >= seq);
        const after = i > 0 ? this.segments[i - 1].to : 0;
        let edge = seq;
        this.fetch(`before:${seq}`, { after, before: seq, order: "desc", limit: PAGE }, (recs, whole) => {
            recs.reverse();
            const from = whole ? after + 1 : recs.length ? recs[0].seq : edge;
            if (from < edge) this.add(Math.max(from, after + 1), edge - 1, recs);
            edge = Math.min(edge, from);
        });
    }

    /* take(recs, whole) gets what came since its last call; whole: nothing more is there. */
    async fetch(key, args, take) {
        if (this.fetching.has(key) || this.closed || this.refused) return;
        const controller = new AbortController();
        this.fetching.set(key, controller);
        try {
            const response = await this.open(args, controller.signal);
            let recs = [], given = 0, told_ms = performance.now();
            const read = await readLines(response, (line) => {
                const r = fromLine(line);
                if (!r) return false;
                recs.push(r);
                if (r.kind !== "lost") given++;
                if (performance.now() - told_ms > PART_MS) { // matches are rare: show what is here
                    take(recs, false);
                    recs = [];
                    told_ms = performance.now();
                    this.changed();
                }
                return true;
            }, ANSWER_BYTES_MAX);
            if (controller.signal.aborted) return;
            this.fetched++;
            take(recs, read && given < args.limit);
        } catch (e) {
            if (controller.signal.aborted) return;
            if ([400, 401, 403, 404].includes(e.status)) {
                this.refused = e;
                this.fetching.delete(key);
                this.failed(e);
                return;
            }
            this.failed(e);
            const wait_ms = e.retryAfter_s ? e.retryAfter_s * 1000 : RETRY_MS;
            await new Promise((resolve) => setTimeout(resolve, wait_ms));
            if (controller.signal.aborted) return;
        }
        this.fetching.delete(key);
        if (!this.closed) this.changed();
    }

    /* ---- what came ---- */

    /** recs are all matches within from..to. What is known already stays as it is. */
    add(from, to, recs) {
        let i = lowerBound(this.segments, (x) => x.to >= from);
        while (from <= to) {
            const s = this.segments[i];
            const hole_to = s ? Math.min(to, s.from - 1) : to;
            if (hole_to >= from) {
                const part = recs.filter((r) => r.seq >= from && r.seq <= hole_to);
                this.insert(i++, { from, to: hole_to, recs: part });
            }
            if (!s) break;
            from = Math.max(from, s.to + 1);
            i++;
        }
        this.setEnd(to);
        this.trim();
    }

    /** Live records: matches within from..to, at the end of all that is known. */
    append(from, to, recs) {
        const last = this.segments[this.segments.length - 1];
        if (last && last.to === from - 1 && last.recs.length + recs.length <= SEGMENT_RECORDS) {
            last.to = to;
            last.recs.push(...recs);
            last.blocks = linkBlocks(recs, last.blocks, this.heads);
            this.count(recs, 1);
            this.setEnd(to);
            this.trim();
        } else {
            this.add(from, to, recs);
        }
    }

    insert(i, segment) {
        this.segments.splice(i, 0, segment);
        this.count(segment.recs, 1);
        for (; i < this.segments.length; i++) { // blocks may go on in what follows
            const s = this.segments[i], last = this.segments[i - 1], known = s.blocks;
            s.blocks = linkBlocks(s.recs, last && last.to === s.from - 1 ? last.blocks : [], this.heads);
            if (known && !s.recs.some((r) => r.block && r.seq < s.from + BLOCK_REACH)) break;
        }
    }

    count(recs, sign) {
        this.records += sign * recs.length;
        for (const r of recs) this.weight += sign * weight(r);
    }

    trim() {
        while (this.segments.length > 1 && (this.records > RECORDS_MAX || this.weight > WEIGHT_MAX)) {
            const first = this.segments[0], last = this.segments[this.segments.length - 1];
            const gone = this.center - first.to > last.from - this.center ? this.segments.shift() : this.segments.pop();
            this.count(gone.recs, -1);
        }
    }
}
