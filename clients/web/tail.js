/*
 * clients/web/tail.js -- follow a job: a WebSocket that comes back from its cursor, else SSE.
 *
 *     connecting -> live -> (retrying -> connecting)* -> ended | deleted | denied
 *
 * Two WebSockets that never opened while the rest of joblogd answers mean that something between
 * does not let them through: then the same messages are read from an event stream.
 *
 * Promises   Every record after the cursor once and in order, or a message that says otherwise
 *            (gap, reset). A connection of an earlier attempt is never heard again.
 */
import { jobPath, request, ticket } from "./api.js";

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 15000;
const WS_FAILURES_MAX = 2;
const SUBPROTOCOL = "joblog.tail.v1";

export class Tail {
    /**
     * args(): the filter, as arguments. on: {message(m), status(s)} with s = {phase, kind, retry_at,
     * cursor, error}.
     */
    constructor({ project, job, cursor, args, on }) {
        Object.assign(this, { project, job, cursor, args, on });
        this.kind = "websocket";
        this.phase = "connecting";
        this.failures = 0;
        this.neverOpened = 0;
        this.attempt = 0;
        this.timer = 0;
        this.stop = () => {};
        this.online = () => this.phase === "retrying" && this.connect();
        addEventListener("online", this.online);
    }

    close() {
        removeEventListener("online", this.online);
        this.attempt++;
        clearTimeout(this.timer);
        this.stop();
        this.phase = "closed";
    }

    say(phase, more = {}) {
        this.phase = phase;
        this.on.status({ phase, kind: this.kind, cursor: this.cursor, ...more });
    }

    connect() {
        clearTimeout(this.timer);
        this.stop();
        this.say("connecting");
        const attempt = ++this.attempt, mine = () => attempt === this.attempt;
        const door = this.kind === "websocket" ? this.openSocket(mine) : this.openStream(mine);
        door.catch((e) => mine() && this.lost(e));
    }

    path(more = {}) {
        return jobPath(this.project, this.job, "/tail", { ...this.args(), ...(this.cursor ? { after: this.cursor } : { tail: "all" }), ...more });
    }

    async openSocket(mine) {
        const pass = await ticket();
        if (!mine()) return;
        const url = new URL(this.path(pass ? { ticket: pass } : {}), location.href);
        url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
        const ws = new WebSocket(url, SUBPROTOCOL);
        let opened = false;
        this.stop = () => {
            ws.onopen = ws.onmessage = ws.onclose = null;
            if (ws.readyState === WebSocket.CONNECTING) ws.onopen = () => ws.close(); // closed now, the browser would complain
            else ws.close();
        };
        ws.onopen = () => {
            opened = true;
            this.neverOpened = 0;
        };
        ws.onmessage = (e) => this.take(JSON.parse(e.data));
        ws.onclose = (e) => {
            if (!mine()) return;
            if (!opened) this.neverOpened++;
            if (this.phase === "ended" || this.phase === "deleted") return;
            if (e.code === 1012) this.failures = 0; // come back now
            this.check(mine);
        };
    }

    /* A socket says nothing of why it did not open: ask by a plain request. */
    async check(mine) {
        try {
            await request(jobPath(this.project, this.job));
        } catch (e) {
            if (mine()) this.lost(e);
            return;
        }
        if (!mine()) return;
        if (this.neverOpened >= WS_FAILURES_MAX) this.kind = "sse";
        this.lost(null);
    }

    async openStream(mine) {
        const controller = new AbortController();
        this.stop = () => controller.abort();
        const response = await request(this.path(), { headers: { Accept: "text/event-stream" }, signal: controller.signal });
        if (!mine()) return;
        const reader = response.body.getReader(), decoder = new TextDecoder();
        let rest = "", data = "";
        for (;;) {
            const { done, value } = await reader.read().catch(() => ({ done: true }));
            if (!mine()) return;
            if (done) break;
            const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
            rest = lines.pop();
            for (const line of lines) {
                if (line.startsWith("data:")) data += line.slice(5).trimStart();
                else if (line === "" && data) {
                    this.take(JSON.parse(data));
                    data = "";
                }
            }
        }
        if (this.phase !== "ended" && this.phase !== "deleted") this.lost(null);
    }

    take(m) {
        if (m.type === "hello") {
            this.failures = 0;
            this.cursor = m.cursor;
            this.say("live");
        } else if (m.cursor) {
            this.cursor = m.cursor;
        }
        if (m.type === "reset") this.cursor = m.deleted ? null : `${m.epoch}:0`;
        if (m.type === "end") this.say("ended");
        if (m.type === "reset" && m.deleted) this.say("deleted");
        this.on.message(m);
    }

    lost(error) {
        this.stop();
        this.attempt++;
        if (error && [400, 401, 403].includes(error.status)) {
            this.say("denied", { error });
            return;
        }
        if (error && error.status === 404) {
            this.say("deleted", { error });
            return;
        }
        const wait_ms = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.failures++) * (0.75 + Math.random() / 2);
        this.say("retrying", { error, retry_at: Date.now() + wait_ms });
        this.timer = setTimeout(() => this.connect(), wait_ms);
    }

    /** Go on from another place. */
    moveTo(cursor) {
        this.cursor = cursor;
        if (this.phase === "live") this.connect();
    }

    /** At once, whatever it waits for. */
    retryNow() {
        if (this.phase === "retrying" || this.phase === "denied") this.connect();
    }
}
