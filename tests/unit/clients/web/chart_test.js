/*
 * tests/unit/clients/web/chart_test.js -- ticks and short values.
 */
import { Chart, shortValue, ticks } from "/clients/web/chart.js";
import { ok, random, same, test } from "./check.js";

test("Ticks are round, within the range, and a handful.", () => {
    same(ticks(0, 10, 4), [0, 2.5, 5, 7.5, 10]);
    same(ticks(5, 5), [5]);
    const r = random(9);
    for (let n = 0; n < 500; n++) {
        const lo = (r() - 0.5) * 10 ** (r() * 12 - 6), hi = lo + r() * 10 ** (r() * 12 - 6) + 1e-9, list = ticks(lo, hi, 4);
        ok(list.length >= 1 && list.length <= 11, `${lo} ${hi} ${list.length}`);
        for (const v of list) ok(v >= lo - (hi - lo) * 0.01 && v <= hi + (hi - lo) * 0.01);
    }
    same(ticks(0, 3 * 2 ** 30, 3, 2 ** 30), [0, 2 ** 30, 2 * 2 ** 30, 3 * 2 ** 30]);
});

test("Values are short.", () => {
    same([0, 2.3145, 0.00031, 41234, 1234567, -5, 999.94, 1500].map(shortValue), ["0", "2.31", "3.1e-4", "41.2k", "1.2M", "-5", "999.9", "1500"]);
});

test("The nearest point is the nearest.", () => {
    const p = [[0, 1], [10, 2], [20, 3]];
    same([-5, 4, 6, 14.9, 16, 99].map((x) => Chart.nearest(p, x)[0]), [0, 0, 10, 10, 20, 20]);
});
