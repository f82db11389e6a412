/*
 * clients/web/api.js -- requests to joblogd, with the token when there is one.
 *
 * A 401 is told to whoever listens (onDenied: the login); the request fails with ApiError like any
 * other refusal, and its caller asks again when there is a new token.
 */
import { setToken, token } from "./store.js";

export class ApiError extends Error {
    constructor(status, code, message, retryAfter_s) {
        super(message);
        this.status = status; // 0: joblogd was not reached
        this.code = code;
        this.retryAfter_s = retryAfter_s;
    }
}

let denied = () => {};

/** fn(error) is called for every 401. */
export function onDenied(fn) {
    denied = fn;
}

/** "/v1/jobs/demo/logs?project=default&limit=5": nothing for values that are null, undefined or "". */
export function jobPath(project, job, rest = "", args = {}) {
    const query = new URLSearchParams();
    if (project) query.set("project", project);
    for (const [k, v] of Object.entries(args))
        if (v !== null && v !== undefined && v !== "") query.set(k, String(v));
    return `/v1/jobs/${encodeURIComponent(job)}${rest}?${query}`;
}

async function errorOf(response) {
    let body = {};
    try {
        body = await response.json();
    } catch {
        /* not ours: a proxy's page */
    }
    const wait = Number(response.headers.get("Retry-After"));
    return new ApiError(response.status, body.code || `http_${response.status}`,
        body.message || `${response.status} ${response.statusText}`, wait > 0 ? wait : 0);
}

/** The response of a request that was answered 2xx; ApiError else; AbortError when signal says so. */
export async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
    const secret = token(), all = { ...headers };
    if (secret) all.Authorization = `Bearer ${secret}`;
    let response;
    try {
        response = await fetch(path, { method, body, headers: all, signal, credentials: "omit", redirect: "error" });
    } catch (e) {
        if (e.name === "AbortError") throw e;
        throw new ApiError(0, "unreachable", "joblogd cannot be reached");
    }
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status === 401) denied(error);
    throw error;
}

export async function getJson(path, options = {}) {
    const response = await request(path, { ...options, headers: { Accept: "application/json", ...options.headers } });
    return response.json();
}

/**
 * Every line of an NDJSON answer, as text, to onLine; onLine returns false to stop reading.
 * More than bytes_max: the rest is not read. Returns true when the answer was read to its end.
 */
export async function readLines(response, onLine, bytes_max = Infinity) {
    const reader = response.body.getReader(), decoder = new TextDecoder();
    let rest = "", read = 0;
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            read += value.length;
            const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
            rest = lines.pop();
            for (const line of lines) if (line && onLine(line) === false) return false;
            if (read > bytes_max) return false;
        }
        rest += decoder.decode();
        return !(rest && onLine(rest) === false);
    } catch (e) {
        if (e.name === "AbortError") throw e;
        throw new ApiError(0, "broken", "the answer broke off");
    } finally {
        reader.cancel().catch(() => {});
    }
}

/** Who we are: {auth, token, project, scopes}; a joblogd that knows no tokens: auth "none". */
export async function whoami() {
    try {
        return await getJson("/v1/whoami");
    } catch (e) {
        if (e.status === 404) return { auth: "none", token: null, project: null, scopes: ["read", "ingest", "admin"] };
        throw e;
    }
}

/** A one-time ticket for what cannot carry a header (WebSocket, download); null where none is needed. */
export async function ticket() {
    if (!token()) return null;
    const answer = await (await request("/v1/tickets", { method: "POST" })).json();
    return answer.ticket;
}

export function signOut() {
    setToken(null, false);
}
