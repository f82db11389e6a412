/*
 * tests/unit/clients/web/record_test.js -- records as the page keeps them.
 */
import { copyText, fromLine, fromObject, MSG_KEPT } from "/clients/web/record.js";
import { ok, same, test } from "./check.js";

const TS = "2026-11-23T20:54:01.123456Z";

test("A line keeps number, time, rank, level and message.", () => {
    const r = fromLine(`{"seq":812,"ts":"${TS}","rank":3,"replica":"node-1","stream":"stderr","level":"error","msg":"no","fields":{"block":2}}`);
    same([r.kind, r.seq, r.last, r.rank, r.level, r.msg, r.replica, r.stream, r.block], ["line", 812, 812, 3, 5, "no", "node-1", "stderr", 2]);
    same(r.t, Date.parse(TS));
    const bare = fromLine(`{"seq":1,"ts":"${TS}","msg":""}`);
    same([bare.rank, bare.level, bare.block], [-1, 0, undefined]);
});

test("States, gaps and lost ranges are of their own kind.", () => {
    same(fromObject({ seq: 5, ts: TS, state: "TRAINING_JOB_FAILED", msg: "x", exit_code: 1 }).kind, "state");
    same(fromObject({ seq: 6, ts: TS, msg: "x", fields: { gap: { from: 1, to: 2 } } }).kind, "gap");
    const lost = fromObject({ gap: { from: 5, to: 9, reason: "corrupt" } });
    same([lost.kind, lost.seq, lost.last, lost.reason], ["lost", 5, 9, "corrupt"]);
});

test("A message of a megabyte is kept cut, and never in the middle of a character.", () => {
    const r = fromObject({ seq: 1, ts: TS, msg: "x".repeat(1 << 20) });
    same([r.msg.length, r.full_length], [MSG_KEPT, 1 << 20]);
    const e = fromObject({ seq: 1, ts: TS, msg: "x".repeat(MSG_KEPT - 1) + "🎉🎉" });
    same(e.msg.length, MSG_KEPT - 1);
    ok(e.msg.isWellFormed ? e.msg.isWellFormed() : true);
});

test("A broken line is none.", () => {
    same(fromLine('{"seq":1,"ts":'), null);
    same(fromLine(""), null);
});

test("What is copied is what was written, without its colours.", () => {
    same(copyText(fromObject({ seq: 1, ts: TS, msg: "\x1b[31mred\x1b[0m" })), "red");
    same(copyText(fromObject({ seq: 1, ts: TS, msg: "done", state: "TRAINING_JOB_COMPLETED" })), "[TRAINING_JOB_COMPLETED] done");
});
