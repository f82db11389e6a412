/*
 * tests/unit/clients/web/place_test.js -- what a person types to go somewhere.
 */
import { readPlace } from "/clients/web/place.js";
import { same, test } from "./check.js";

const near = { near_ms: Date.parse("2026-11-23T20:54:01Z"), utc: true };

test("Lines, shares, ends and spans before the end.", () => {
    same(readPlace("812"), { seq: 812 });
    same(readPlace(" L1,234,567 "), { seq: 1234567 });
    same(readPlace("50%"), { share: 0.5 });
    same(readPlace("end"), { share: 1 });
    same(readPlace("-10m"), { back_s: 600 });
    same(readPlace("- 1.5 h"), { back_s: 5400 });
});

test("Times of day are on the day one is at; dates are dates.", () => {
    same(readPlace("21:05", near), { ms: Date.parse("2026-11-23T21:05:00Z") });
    same(readPlace("03:04:05.5", near), { ms: Date.parse("2026-11-23T03:04:05.500Z") });
    same(readPlace("2026-11-23T20:54:01.5Z"), { ms: Date.parse("2026-11-23T20:54:01.500Z") });
});

test("Anything else is no place.", () => {
    for (const bad of ["", "x", "24:00", "12:60", "101%", "12:", "tomorrow", "--5m", "1e9x"]) same(readPlace(bad, near), null, bad);
});
