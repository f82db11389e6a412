/*
 * tests/unit/clients/web/format_test.js -- numbers and times as people read them.
 */
import { ago, bytes, count, duration, fullTime, isTerminal, lineHash, parseLineHash, parseRanks, progressOf, rankRanges, rate, short, stateKind, stateName, time } from "/clients/web/format.js";
import { ok, random, same, test } from "./check.js";

test("Counts have separators; short ones a letter and at most four characters before it.", () => {
    same([0, 7, 999, 1000, 1234567].map(count), ["0", "7", "999", "1,000", "1,234,567"]);
    same([0, 7, 999, 1000, 9994, 9996, 10500, 999499, 999600, 1.5e6, 2e9].map(short), ["0", "7", "999", "1.0k", "10k", "10k", "11k", "999k", "1.0M", "1.5M", "2.0G"]);
    for (const r = random(3), n = []; n.length < 500; n.push(0)) ok(short(r() * 10 ** (r() * 14)).length <= 5);
});

test("Bytes are in binary units.", () => {
    same([0, 1023, 1024, 1536, 1048576, 5e9].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "4.7 GiB"]);
});

test("Durations grow from milliseconds to days.", () => {
    same([null, 0, 0.25, 1.23, 59.9, 60, 3599, 3600, 7260, 200000].map(duration), ["–", "0 ms", "250 ms", "1.2 s", "59 s", "1 m 00 s", "59 m 59 s", "1 h 00 m", "2 h 01 m", "2 d 7 h"]);
    same([0, 30, 90, 7200, 3 * 86400].map(ago), ["now", "30 s ago", "1 m ago", "2 h ago", "3 d ago"]);
    same([0, 0.01, 0.44, 12, 34567].map(rate), ["0", "<0.1", "0.4", "12", "35k"]);
});

test("A time shows in UTC, relative, since the start, or not at all.", () => {
    const ms = Date.parse("2026-11-23T20:54:01.123Z");
    same(time(ms, "utc"), "20:54:01.123");
    same(time(ms, "utc", { long: true }), "11-23 20:54:01.123");
    same(time(ms, "relative", { now_ms: ms + 65000 }), "1 m ago");
    same(time(ms, "start", { start_ms: ms - 62500 }), "+1:02.500");
    same(time(ms, "start", { start_ms: ms - 3723004 }), "+1:02:03.004");
    same(time(ms, "start", { start_ms: ms + 500 }), "-0:00.500");
    same(time(ms, "none"), "");
    same(time(NaN, "utc"), "");
    ok(/^\d\d:\d\d:\d\d\.123$/.test(time(ms, "local")));
    ok(fullTime("2026-11-23T20:54:01.123456Z").includes("20:54:01 UTC") && fullTime("2026-11-23T20:54:01.123456Z").includes(".123456"));
    same(fullTime("soon"), "soon");
});

test("States have words and kinds.", () => {
    same(stateName("TRAINING_JOB_DEPLOY_FAILED"), "deploy failed");
    same(["RUNNING", "TRAINING_JOB_COMPLETED", "FAILED", "DEPLOY_FAILED", "STOPPED", "CREATED", "", undefined].map(stateKind), ["live", "good", "bad", "bad", "still", "wait", "wait", "wait"]);
    same(["RUNNING", "COMPLETED", "STOPPED"].map(isTerminal), [false, true, true]);
});

test("Ranks are written as ranges and read back.", () => {
    same(rankRanges([5, 0, 1, 2, 9, 8]), "0-2,5,8-9");
    same(rankRanges([]), "");
    same(parseRanks("0-2,5, 8-9"), [0, 1, 2, 5, 8, 9]);
    same(parseRanks("none,x,3-,-1,4"), [4]);
    ok(parseRanks("0-99999,0-99999,0-99999").length <= 65537);
    const r = random(11);
    for (let n = 0; n < 200; n++) {
        const set = [...new Set(Array.from({ length: 20 }, () => Math.floor(r() * 40)))].sort((a, b) => a - b);
        same(parseRanks(rankRanges(set)), set);
    }
});

test("A hash names a line or a range, in any order; other hashes none.", () => {
    same(parseLineHash("#L812"), { from: 812, to: 812 });
    same(parseLineHash("#L830-L812"), { from: 812, to: 830 });
    same(parseLineHash("#L5-9"), { from: 5, to: 9 });
    for (const bad of ["", "#", "#main", "#L", "#L0", "#Lx", "#L5-", "#L5-L0", null, undefined]) same(parseLineHash(bad), null, bad);
    same(lineHash({ from: 5, to: 5 }), "#L5");
    same(lineHash({ from: 5, to: 9 }), "#L5-L9");
});

test("The share of a progress line is its percentage, else its fraction, else unknown.", () => {
    same(progressOf(" 40%|####      | 4/10 [00:01<00:02]"), 0.4);
    same(progressOf("Downloading 12.5 %"), 0.125);
    same(progressOf("Epoch 3/10"), 0.3);
    same(progressOf("loading"), null);
    same(progressOf("250% of budget"), null);
    same(progressOf("2026/11/23"), null);
});
