/*
 * tests/unit/clients/web/source_test.js -- the cache against a plain array, under random looks.
 */
import { LOAD, PAGE, Source } from "/clients/web/source.js";
import { ok, random, same, test } from "./check.js";

const TS = "2026-11-23T20:54:01.123456Z";

/* A log of n records of which those pass for which keep(seq) holds, behind the arguments of /logs. */
function world(n, keep = () => true, { fail = () => false, length = () => 10 } = {}) {
    const asked = [];
    const open = async (args, signal) => {
        asked.push(args);
        await null;
        if (signal.aborted) throw new DOMException("", "AbortError");
        if (fail()) throw Object.assign(new Error("down"), { status: 503, retryAfter_s: 0.001 });
        let list = [];
        for (let s = args.after + 1; s < args.before; s++) if (keep(s)) list.push(s);
        if (args.order === "desc") list.reverse();
        list = list.slice(0, args.limit);
        return new Response(list.map((s) => JSON.stringify({ seq: s, ts: TS, msg: "x".repeat(length(s)) }) + "\n").join(""));
    };
    let wake = () => {};
    const source = new Source({ open, changed: () => wake(), failed: () => {} });
    source.setEnd(n);
    const settled = () => new Promise((resolve) => (wake = resolve));
    const look = async (fn) => {
        for (let i = 0; i < 200; i++) {
            const r = fn();
            if (r !== LOAD) return r === null ? null : r.seq;
            await settled();
        }
        throw new Error("it never came");
    };
    return { source, asked, after: (s) => look(() => source.after(s)), before: (s) => look(() => source.before(s)) };
}

test("Forwards and backwards from anywhere, every record is there once and in order.", async () => {
    for (const keep of [() => true, (s) => s % 7 === 0, (s) => s === 3 || s === 2999, () => false]) {
        const w = world(3000, keep), want = Array.from({ length: 3000 }, (_, i) => i + 1).filter(keep), up = [], down = [];
        for (let s = 0; (s = await w.after(s)) !== null; ) up.push(s);
        same(up, want);
        const v = world(3000, keep);
        for (let s = 3001; (s = await v.before(s)) !== null; ) down.unshift(s);
        same(down, want);
    }
});

test("Random looks agree with a plain array, whatever was fetched before.", async () => {
    const r = random(20261123), keep = (s) => s % 5 !== 0, w = world(20000, keep), all = Array.from({ length: 20000 }, (_, i) => i + 1).filter(keep);
    for (let i = 0; i < 400; i++) {
        const at = Math.floor(r() * 20002), up = r() < 0.5;
        const want = up ? all.find((s) => s > at) ?? null : all.findLast((s) => s < at) ?? null;
        same(await (up ? w.after(at) : w.before(at)), want, `${up} ${at}`);
        const s = w.source.segments;
        for (let k = 1; k < s.length; k++) ok(s[k].from > s[k - 1].to, "segments are apart and in order");
    }
});

test("What is known is not asked for again; what is asked for is only the hole.", async () => {
    const w = world(10000);
    await w.after(0);
    same(w.asked.length, 1);
    for (let s = 0; s < PAGE - 1; s++) same(await w.after(s), s + 1);
    same(w.asked.length, 1);
    await w.after(3000);
    await w.before(3001);
    const last = w.asked[w.asked.length - 1];
    same([last.order, last.before, last.after], ["desc", 3001, PAGE]);
});

test("The cache is bounded, by records and by weight; what is near stays.", async () => {
    const w = world(200000);
    for (let s = 0; s < 60000; ) {
        w.source.moveTo(s);
        s = await w.after(s);
        s += PAGE - 1;
    }
    ok(w.source.records <= 20000 + PAGE, w.source.records);
    ok(w.source.get(59000) && !w.source.get(5), "the near end is kept");
    const heavy = world(5000, undefined, { length: () => 8000 });
    for (let s = 0; (s = await heavy.after(s)) !== null; ) heavy.source.moveTo(s);
    ok(heavy.source.weight <= 12e6 + 500 * 8200, heavy.source.weight);
});

test("Live records follow what is known; a hole before them is fetched when looked at.", async () => {
    const w = world(1000);
    await w.before(1001);
    w.source.append(1001, 1003, [1001, 1002, 1003].map((seq) => ({ kind: "line", seq, last: seq, rank: -1, msg: "" })));
    same(await w.after(1000), 1001);
    same(await w.after(1003), null);
    w.source.setEnd(1100);
    w.source.append(1101, 1101, [{ kind: "line", seq: 1101, last: 1101, rank: -1, msg: "" }]);
    same(w.source.after(1003), LOAD);
    same(w.source.get(1101).seq, 1101);
});

test("A failed fetch is tried again.", async () => {
    let left = 2;
    const w = world(10, undefined, { fail: () => left-- > 0 });
    same(await w.after(0), 1);
});

test("A lost range is one record, found from any number in it.", () => {
    const w = world(100);
    w.source.add(1, 20, [{ kind: "line", seq: 1, last: 1, rank: -1, msg: "" }, { kind: "lost", seq: 2, last: 19, rank: -1, msg: "" }, { kind: "line", seq: 20, last: 20, rank: -1, msg: "" }]);
    same([w.source.get(10).kind, w.source.after(1).seq, w.source.after(19).seq, w.source.before(20).seq], ["lost", 2, 20, 2]);
});
