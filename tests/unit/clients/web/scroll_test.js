/*
 * tests/unit/clients/web/scroll_test.js -- the scale of the scroll bar: exact at the ends, never backwards.
 */
import { BAR_MAX_PX, EDGE_PX, Scale } from "/clients/web/scroll.js";
import { ok, random, same, test } from "./check.js";

test("A log that fits has a pixel of bar for a pixel of log.", () => {
    const s = new Scale(1000, 20);
    same([s.bar_px, s.squeezed, s.top(1), s.top(2), s.top(1000)], [20000, false, 0, 20, 19980]);
    same([s.at(0), s.at(19), s.at(20), s.at(19999), s.at(1e9)], [1, 1, 2, 1000, 1000]);
});

test("Two million lines fit on a bar that browsers can make, exact near both ends.", () => {
    const n = 2_000_000, s = new Scale(n, 20), px = 20;
    ok(s.squeezed && s.bar_px === BAR_MAX_PX);
    for (let i = 0; i < EDGE_PX / px - 1; i += 997) {
        same(s.top(1 + i), i * px);
        same(s.top(n - i), BAR_MAX_PX - (i + 1) * px);
        same(s.at(i * px), 1 + i);
    }
});

test("From record to bar and back is the same record, or its neighbour where the bar is squeezed.", () => {
    const r = random(5);
    for (const n of [1, 2, 999, 300000, 2_000_000, 50_000_000]) {
        const s = new Scale(n, 20);
        for (let k = 0; k < 300; k++) {
            const seq = 1 + Math.floor(r() * n);
            ok(Math.abs(s.at(s.top(seq)) - seq) <= 1, `${n} ${seq} ${s.at(s.top(seq))}`);
        }
    }
});

test("Going down the bar never goes up the log.", () => {
    const r = random(6), s = new Scale(3_000_000, 20);
    for (let k = 0; k < 2000; k++) {
        const a = r() * s.bar_px, b = a + r() * 1000;
        ok(s.at(b) >= s.at(a));
        const x = 1 + Math.floor(r() * 2_999_000);
        ok(s.top(x + 1) > s.top(x));
    }
});

test("An empty log has no record and no bar.", () => {
    const s = new Scale(0, 20);
    same([s.bar_px, s.at(0), s.at(50), s.top(1)], [0, 0, 0, 0]);
});
