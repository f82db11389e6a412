/*
 * clients/web/scroll.js -- where a record lies on the scroll bar. Pure.
 *
 * A browser's element is at most some 17 million pixels high; two million lines are 40. Near both
 * ends a pixel of the bar is a pixel of the log (EDGE_PX each), between them the bar is squeezed:
 *
 *     log    0 ......EDGE ................................ L-EDGE ...... L
 *     bar    0 ......EDGE ........ squeezed ........ BAR_MAX-EDGE ...... BAR_MAX
 */

export const BAR_MAX_PX = 6_000_000;
export const EDGE_PX = 1_000_000;

export class Scale {
    /** count records of row_px each (a mean when heights differ). */
    constructor(count, row_px) {
        this.count = count;
        this.row_px = row_px;
        this.log_px = count * row_px;
        this.bar_px = Math.min(this.log_px, BAR_MAX_PX);
        this.squeezed = this.log_px > BAR_MAX_PX;
    }

    /** The top of record seq (1..count) on the bar. */
    top(seq) {
        const y = Math.max(0, Math.min(this.count, seq - 1)) * this.row_px;
        if (!this.squeezed || y <= EDGE_PX) return y;
        const rest = this.log_px - y;
        if (rest <= EDGE_PX) return this.bar_px - rest;
        return EDGE_PX + (y - EDGE_PX) * this.ratio();
    }

    /** The record at y on the bar, 1..count (0 of an empty log). */
    at(y) {
        let log_y = y;
        if (this.squeezed && y > EDGE_PX) {
            const rest = this.bar_px - y;
            log_y = rest <= EDGE_PX ? this.log_px - rest : EDGE_PX + (y - EDGE_PX) / this.ratio();
        }
        return Math.max(Math.min(1, this.count), Math.min(this.count, Math.floor(log_y / this.row_px + 1e-6) + 1));
    }

    ratio() {
        return (this.bar_px - 2 * EDGE_PX) / (this.log_px - 2 * EDGE_PX);
    }
}
