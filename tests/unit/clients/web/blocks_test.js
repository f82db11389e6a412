/*
 * tests/unit/clients/web/blocks_test.js -- lines of one traceback find their head, over other ranks' lines.
 */
import { linkBlocks } from "/clients/web/blocks.js";
import { same, test } from "./check.js";

const rec = (seq, rank, block, msg = "m" + seq, stream = "stderr") => ({ kind: "line", seq, last: seq, rank, stream, msg, ...(block ? { block } : {}) });

test("Lines of a block have its head, which knows how many they are and how it closes.", () => {
    const recs = [rec(1, 0), rec(2, 1), rec(3, 0, 2), rec(4, 1, 2), rec(5, 0, 3, "ValueError: x"), rec(6, 0)], changed = new Set();
    linkBlocks(recs, [], changed);
    same(recs.map((r) => r.head), [undefined, undefined, 1, 2, 1, undefined]);
    same([recs[0].lines, recs[0].closing, recs[1].lines], [3, "ValueError: x", 2]);
    same([...changed].sort(), [1, 2]);
});

test("A block that began before what is known is left as it is, until its head comes.", () => {
    const first = [rec(1, 0), rec(2, 0, 2)], second = [rec(3, 0, 3), rec(4, 0, 4)], changed = new Set();
    linkBlocks(second, [], changed);
    same(second.map((r) => r.head), [undefined, undefined]);
    const open = linkBlocks(first, [], changed);
    linkBlocks(second, open, changed);
    same(second.map((r) => r.head), [1, 1]);
    same(first[0].lines, 4);
});

test("A missing line in between breaks the chain; streams and ranks are apart.", () => {
    const recs = [rec(1, 0), rec(2, 0, 2), rec(4, 0, 4), rec(5, 0, 5), rec(6, 0, 2, "x", "stdout"), rec(7, 1, 3)];
    linkBlocks(recs, [], new Set());
    same(recs.map((r) => r.head), [undefined, 1, undefined, undefined, undefined, undefined]);
});

test("Going over the same lines again tells nothing new.", () => {
    const recs = [rec(1, 0), rec(2, 0, 2)], changed = new Set();
    linkBlocks(recs, [], changed);
    changed.clear();
    linkBlocks(recs, [], changed);
    same(changed.size, 0);
});
