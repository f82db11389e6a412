/*
 * tests/unit/clients/web/find_test.js -- which hit one is at.
 */
import { Find } from "/clients/web/find.js";
import { same, test } from "./check.js";

function find(seqs, total = seqs.length) {
    const f = new Find({ project: "p", job: "j", changed: () => {}, end: () => 1000 });
    f.hits = seqs.map((seq) => ({ seq }));
    f.total = total;
    return f;
}

test("The place among the hits is known for a hit only.", () => {
    const f = find([5, 10, 700]);
    same([1, 5, 6, 10, 700, 701].map((s) => f.indexOf(s)), [0, 1, 0, 2, 3, 0]);
});

test("The next and the last hit are found among those that are known.", async () => {
    const f = find([5, 10, 700]);
    same(await Promise.all([f.next(0, 1), f.next(5, 1), f.next(700, 1), f.next(701, -1), f.next(10, -1), f.next(5, -1)]), [5, 10, null, 700, 5, null]);
});
