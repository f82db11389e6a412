/*
 * tests/unit/clients/web/filter_test.js -- filters as arguments, as addresses, as patterns.
 */
import { allBut, emptyFilter, fromQuery, isOpen, markPattern, scopeArgs, textArgs, toQuery, viewArgs } from "/clients/web/filter.js";
import { ok, same, test } from "./check.js";

const filter = (more) => ({ ...emptyFilter(), ...more });

test("All but some ranks is lines without a rank and the ranges between.", () => {
    same(allBut(new Set([3])), "none,0-2,4-65535");
    same(allBut(new Set([0, 1, 5])), "none,2-4,6-65535");
    same(allBut(new Set([65535])), "none,0-65534");
    same(allBut(new Set([-1, 1])), "0,2-65535");
    same(allBut(new Set()), "none,0-65535");
});

test("Solo beats mute; only an asked for text narrows the view.", () => {
    same(scopeArgs(filter({ solo: new Set([1, 2, 7]), muted: new Set([5]) })).rank, "1-2,7");
    same(scopeArgs(filter({ solo: new Set([-1]) })).rank, "none");
    ok(isOpen(filter({ q: "x" })));
    ok(!isOpen(filter({ q: "x", only: true })) && !isOpen(filter({ level: "warn" })) && isOpen(filter({})));
    same(viewArgs(filter({ q: "x", only: true })).q, "x");
    same(textArgs(filter({ q: "a.b", re: true, case: true })), { re: "a.b", case: "1" });
    same(textArgs(filter({})), {});
});

test("An address holds the whole filter and gives it back.", () => {
    const f = filter({ level: "warn", solo: new Set([0, 1, 9, -1]), since: "2026-11-23T20:54:01Z", until: "2026-11-23T21:00:00Z", q: "a&b=c #", re: true, case: true, only: true });
    const back = fromQuery(new URLSearchParams(toQuery(f).toString()));
    same({ ...back, solo: [...back.solo].sort(), muted: [...back.muted] }, { ...f, solo: [...f.solo].sort(), muted: [] });
    same(toQuery(filter({})).toString(), "");
    same(fromQuery(new URLSearchParams("level=loud&rank=x&re=yes")), emptyFilter());
});

test("What is looked for is marked as text, whatever characters it has.", () => {
    for (const q of ["a.b*c", "[x](y){2}", "\\d+", "a-b/c|d^e$", "ünï 🎉", "-"]) {
        const m = markPattern(filter({ q }));
        same([..."..." + q + "...".repeat(1)].join("").match(m)[0], q);
    }
    ok(markPattern(filter({ q: "abc" })).test("xABCx"));
    ok(!markPattern(filter({ q: "abc", case: true })).test("xABCx"));
    same(markPattern(filter({})), null);
});

test("Patterns are marked when the browser can; of RE2's own forms none is an error.", () => {
    ok(markPattern(filter({ q: "rank \\d+", re: true })).test("rank 12"));
    ok(markPattern(filter({ q: "(?i)ERR", re: true, case: true })).test("err"));
    same(markPattern(filter({ q: "\\pN+(?P<x>", re: true })), null);
    same(markPattern(filter({ q: "(", re: true })), null);
});
