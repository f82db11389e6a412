/*
 * clients/web/blocks.js -- which lines belong to one traceback. Pure.
 *
 * The server marks the second, third, … line of a block (fields.block = n); lines of other ranks may
 * lie between them. Here each gets r.head, the seq of its first line, and that one gets lines (how
 * many) and closing (the last line's message: of a traceback, what it was about).
 */

const keyOf = (r) => `${r.rank}|${r.stream || ""}`;

/**
 * Go over recs in order. open: Map as an earlier call left it ({head, n} by source), for what lies
 * before; a new one is returned. changed: Set that gets the seqs of heads that learned something.
 */
export function linkBlocks(recs, open, changed) {
    const state = new Map(open);
    for (const r of recs) {
        if (r.kind !== "line") continue;
        const key = keyOf(r), last = state.get(key);
        if (!r.block) {
            state.set(key, { head: r, n: 1 });
            continue;
        }
        if (!last || last.n !== r.block - 1) continue; // its beginning is not here (yet)
        if (r.head !== last.head.seq || last.head.lines < r.block || !last.head.lines) changed.add(last.head.seq);
        r.head = last.head.seq;
        state.set(key, { head: last.head, n: r.block });
        if (!(last.head.lines > r.block)) {
            last.head.lines = r.block;
            last.head.closing = r.msg;
        }
    }
    return state;
}
