/*
 * clients/web/list.js -- the virtual list: only the rows that are seen, of however many records.
 *
 *     scroller ── sizer (as high as the bar) ── block (the rows there are, at this.y)
 *
 * Rows of the block are real and as high as they are; the browser scrolls them. What lies above and
 * below is asked of the source row by row. The bar (scroll.js) only says roughly where that is: a
 * far jump goes through it, and when scrolling rests the block is moved, unseen, to where the bar
 * wants it. At both ends the bar is exact.
 *
 * Memory     MARGIN_PX of rows above and below what is seen, whatever the log's length.
 */
import { h } from "./dom.js";
import { Scale } from "./scroll.js";
import { LOAD } from "./source.js";

const MARGIN_PX = 500;
const KEEP_PX = 1100; // rows farther out than this go
const REST_MS = 160;
const MEASURED_MAX = 5000;
const SKIP_MAX = 4000; // hidden records passed at a time

export class LogList {
    /**
     * make(record): its row. measured(record): its height is not the standard one. hidden(record): folded
     * away. moved(): what is seen has changed. wantsFollow(bool): the reader came to the end, or left it.
     * keep(): the record that stays in sight when the view becomes smaller, 0 none.
     */
    constructor({ scroller, source, make, measured, hidden, moved, wantsFollow, keep }) {
        Object.assign(this, { scroller, source, make, measured, hidden, moved, wantsFollow, keep });
        this.block = h("div", { class: "block", role: "list" });
        this.sizer = h("div", { class: "sizer" }, this.block);
        scroller.append(this.sizer);
        this.rows = []; // {r, el, h}
        this.y = 0; // top of the block
        this.height = 0;
        this.want = null; // a jump that waits for its records
        this.follow = false;
        this.atStart = this.atEnd = false;
        this.lastTop = 0;
        this.wrap = false;
        this.rowPx = 20;
        this.foot = null;
        this.restTimer = 0;
        this.touching = false;
        this.measuredRows = this.measuredPx = 0; // of wrapped rows, for their mean height
        this.viewPx = scroller.clientHeight; // asked of the browser only when it changes: asking costs a layout
        this.listen();
    }

    listen() {
        const s = this.scroller;
        s.addEventListener("scroll", () => this.onScroll(), { passive: true });
        s.addEventListener("wheel", (e) => e.deltaY < 0 && this.leaveEnd(), { passive: true });
        s.addEventListener("touchstart", () => (this.touching = true), { passive: true });
        for (const end of ["touchend", "touchcancel"])
            s.addEventListener(end, () => ((this.touching = false), this.rest()), { passive: true });
        this.observer = new ResizeObserver(() => this.onResize());
        this.observer.observe(s);
    }

    close() {
        this.observer.disconnect();
        clearTimeout(this.restTimer);
        this.sizer.remove();
    }

    /* ---- the scale ---- */

    /* A mean height for the bar: rows that are seen tell it when they differ. */
    meanPx() {
        return this.wrap && this.measuredRows > 5 ? Math.max(this.rowPx, this.measuredPx / this.measuredRows) : this.rowPx;
    }

    scale() {
        if (!this.bar || this.bar.count !== this.source.end) this.bar = new Scale(this.source.end, this.meanPx());
        return this.bar;
    }

    setSizer() {
        const foot = this.atEnd && this.foot ? this.foot.offsetHeight : 0;
        const end = this.y + this.height + foot;
        const px = this.atEnd ? Math.max(end, 0) : Math.max(this.scale().bar_px, end + this.viewPx);
        if (px !== this.sizerPx) this.sizer.style.height = `${(this.sizerPx = px)}px`;
    }

    place() {
        if (this.y !== this.placed) this.block.style.top = `${(this.placed = this.y)}px`;
    }

    setTop(px) {
        this.setSizer();
        px = Math.max(0, px);
        this.lastTop = px;
        if (Math.abs(this.scroller.scrollTop - px) < 0.5) return;
        this.scroller.scrollTop = px;
        this.lastTop = this.scroller.scrollTop;
    }

    /* ---- neighbours, past what is folded ---- */

    next(seq) {
        for (let i = 0; i < SKIP_MAX; i++) {
            const r = this.source.after(seq);
            if (r === null || r === LOAD || !this.hidden(r)) return r;
            seq = r.last;
        }
        this.later();
        return LOAD;
    }

    prev(seq) {
        for (let i = 0; i < SKIP_MAX; i++) {
            const r = this.source.before(seq);
            if (r === null || r === LOAD || !this.hidden(r)) return r;
            seq = r.seq;
        }
        this.later();
        return LOAD;
    }

    later() {
        requestAnimationFrame(() => this.render());
    }

    /* ---- rows ---- */

    row(r) {
        return { r, el: this.make(r), h: this.rowPx };
    }

    measure(rows) {
        for (const row of rows) if (this.wrap || this.measured(row.r)) row.h = row.el.offsetHeight;
        if (!this.wrap) return;
        if (this.measuredRows > MEASURED_MAX) this.measuredRows /= 2, this.measuredPx /= 2; // what was seen lately counts more
        this.measuredRows += rows.length;
        this.measuredPx += LogList.sum(rows);
    }

    static sum(rows) {
        let px = 0;
        for (const row of rows) px += row.h;
        return px;
    }

    clearRows() {
        this.block.replaceChildren();
        this.rows = [];
        this.height = 0;
        this.atStart = this.atEnd = false;
        if (this.foot) this.foot.remove();
    }

    /* Add rows below until upto (a y). Returns whether anything was added. */
    growDown(upto, max = Infinity) {
        const added = [], box = document.createDocumentFragment();
        let y = this.y + this.height, seq = this.rows.length ? this.rows[this.rows.length - 1].r.last : 0;
        this.atEnd = false;
        while (y < upto && added.length < max) {
            const r = this.next(seq);
            if (r === LOAD) break;
            if (r === null) {
                this.atEnd = true;
                break;
            }
            const row = this.row(r);
            added.push(row);
            box.append(row.el);
            y += row.h;
            seq = r.last;
        }
        if (!this.atEnd && this.rows.length + added.length && this.next(seq) === null) this.atEnd = true;
        if (!added.length) return false;
        this.block.append(box);
        this.measure(added);
        this.rows.push(...added);
        this.height += LogList.sum(added);
        return true;
    }

    growUp(downto) {
        const added = [], box = document.createDocumentFragment();
        let y = this.y, seq = this.rows.length ? this.rows[0].r.seq : 0;
        if (!seq) return false;
        this.atStart = false;
        while (y > downto) {
            const r = this.prev(seq);
            if (r === LOAD) break;
            if (r === null) {
                this.atStart = true;
                break;
            }
            const row = this.row(r);
            added.unshift(row);
            y -= row.h;
            seq = r.seq;
        }
        if (!this.atStart && this.prev(seq) === null) this.atStart = true;
        if (!added.length) return false;
        for (const row of added) box.append(row.el);
        this.block.prepend(box);
        this.measure(added);
        this.rows.unshift(...added);
        const px = LogList.sum(added);
        this.height += px;
        this.y -= px;
        return true;
    }

    trim(top, bottom) {
        while (this.rows.length > 1 && this.y + this.rows[0].h < top) {
            const row = this.rows.shift();
            row.el.remove();
            this.y += row.h;
            this.height -= row.h;
            this.atStart = false;
        }
        while (this.rows.length > 1 && this.y + this.height - this.rows[this.rows.length - 1].h > bottom) {
            const row = this.rows.pop();
            row.el.remove();
            this.height -= row.h;
            this.atEnd = false;
        }
    }

    /* Move block and view together by px: nothing seems to move. */
    shift(px) {
        this.y += px;
        this.place();
        this.setTop(this.lastTop + px);
    }

    /* ---- drawing ---- */

    render() {
        if (this.want && !this.tryJump()) return;
        if (this.follow) {
            this.renderEnd();
            return;
        }
        const view = this.viewPx, top = this.scroller.scrollTop;
        if (!this.rows.length) {
            if (this.source.end) this.jump(this.scale().at(top), "top");
            return;
        }
        this.lastTop = top;
        this.source.center = this.rows[0].r.seq;
        this.growDown(top + view + MARGIN_PX);
        this.growUp(top - MARGIN_PX);
        this.trim(top - KEEP_PX, top + view + KEEP_PX);
        this.settle();
        this.moved();
    }

    /* The ends are exact; the block never lies before the bar's start. */
    settle() {
        if (this.atStart && this.y !== 0) this.shift(-this.y);
        else if (!this.atStart && this.y < 0) this.shift(Math.max(this.scale().top(this.rows[0].r.seq), KEEP_PX) - this.y);
        this.place();
        this.setSizer();
        this.setFoot();
    }

    setFoot() {
        if (!this.foot) return;
        if (!this.atEnd) this.foot.remove();
        else if (this.block.lastChild !== this.foot) {
            this.block.append(this.foot);
            this.setSizer();
        }
    }

    renderEnd() {
        this.source.center = this.source.end;
        const view = this.viewPx;
        const last = this.rows.length ? this.rows[this.rows.length - 1].r.last : 0;
        if (last && this.source.after(last) !== LOAD) this.growDown(Infinity, Math.ceil(view / this.rowPx)); // more: from the end again
        if (!last || !this.atEnd) { // far away: from the end backwards
            const r = this.prev(this.source.end + 1);
            if (r === LOAD || r === null) {
                if (r === null) this.clearRows();
                return;
            }
            this.clearRows();
            this.y = this.scale().top(r.seq);
            this.rows = [this.row(r)];
            this.block.append(this.rows[0].el);
            this.measure(this.rows);
            this.height = this.rows[0].h;
            this.atEnd = true;
        }
        const bottom = this.y + this.height;
        this.growUp(bottom - view - MARGIN_PX);
        this.trim(bottom - view - KEEP_PX, Infinity);
        this.settle();
        this.setTop(this.sizerPx - view);
        this.moved();
    }

    /* ---- jumps ---- */

    /** Show record seq, or what comes next to it. align: "top" or "center". */
    jump(seq, align = "center") {
        this.want = { seq, align };
        this.source.moveTo(seq);
        this.scroller.classList.toggle("is-seeking", true);
        if (this.tryJump()) this.render();
    }

    tryJump() {
        const { seq, align } = this.want;
        let r = this.next(seq - 1);
        const before = this.prev(seq); // asked for in the same breath
        if (r === null) r = before;
        if (r === LOAD) return false;
        this.want = null;
        this.scroller.classList.toggle("is-seeking", false);
        if (r === null) {
            this.clearRows();
            this.setSizer();
            this.moved();
            return false;
        }
        const view = this.viewPx;
        this.clearRows();
        this.y = this.scale().top(r.seq);
        this.rows = [this.row(r)];
        this.block.append(this.rows[0].el);
        this.measure(this.rows);
        this.height = this.rows[0].h;
        const room = align === "center" ? Math.max(0, (view - this.height) / 2) : 0;
        this.growUp(this.y - room - MARGIN_PX);
        this.growDown(this.rowTop(r.seq) + view + MARGIN_PX);
        this.settle();
        this.setTop(this.rowTop(r.seq) - room);
        return true;
    }

    /* The y of a row that is there. */
    rowTop(seq) {
        let y = this.y;
        for (const row of this.rows) {
            if (row.r.last >= seq) return y;
            y += row.h;
        }
        return y;
    }

    /** Scroll as little as is needed to see the row of seq; a far one is jumped to. */
    reveal(seq) {
        const row = this.rows.find((x) => x.r.seq <= seq && seq <= x.r.last);
        if (!row) {
            this.jump(seq);
            return;
        }
        const y = this.rowTop(seq), top = this.scroller.scrollTop, view = this.viewPx, room = 3 * this.rowPx;
        if (y < top + room) this.setTop(y - room);
        else if (y + row.h > top + view - room) this.setTop(y + row.h - view + room);
        else return;
        this.render();
    }

    toEnd() {
        this.want = null;
        this.scroller.classList.toggle("is-seeking", false);
        this.follow = true;
        this.render();
    }

    leaveEnd() {
        if (!this.follow) return;
        this.follow = false;
        this.wantsFollow(false);
    }

    /* ---- what the reader and the world do ---- */

    onScroll() {
        const top = this.scroller.scrollTop, view = this.viewPx;
        if (Math.abs(top - this.lastTop) < 1) return; // ours
        const down = top > this.lastTop;
        this.lastTop = top;
        if (!down) this.leaveEnd();
        if (this.want) return; // a jump is under way
        if (!this.rows.length || top + view < this.y - view || top > this.y + this.height + view) {
            if (!this.follow) this.jump(this.scale().at(top), "top");
        } else {
            this.render();
        }
        if (down && !this.follow && this.atEnd && top + view >= this.sizerPx - 2) {
            this.follow = true;
            this.wantsFollow(true);
        }
        clearTimeout(this.restTimer);
        this.restTimer = setTimeout(() => this.rest(), REST_MS);
    }

    /* Scrolling has come to rest: the block goes where the bar wants it. */
    rest() {
        if (this.touching || this.follow || this.want || !this.rows.length || this.atStart || this.atEnd) return;
        this.bar = null;
        const row = this.rows[0], px = this.scale().top(row.r.seq) - this.y;
        if (Math.abs(px) > this.rowPx) this.shift(px);
    }

    onResize() {
        const width = this.scroller.clientWidth, seq = this.keep(), was = seq && this.isSeen(seq);
        this.viewPx = this.scroller.clientHeight;
        if (this.wrap && width !== this.widthPx) {
            this.widthPx = width;
            this.measuredRows = this.measuredPx = 0;
            this.rebuild();
        } else {
            this.render();
        }
        if (was && !this.follow && !this.want && !this.isSeen(seq)) this.reveal(seq);
    }

    isSeen(seq) {
        const y = this.rowTop(seq);
        return y >= this.lastTop && y + this.rowPx <= this.lastTop + this.viewPx;
    }

    /** The records changed, or more is known of them. */
    changed() {
        this.bar = null;
        if (this.source.heads.size) {
            for (const row of this.rows) if (this.source.heads.has(row.r.seq)) this.remake(row);
            this.source.heads.clear();
            this.dropHidden();
        }
        this.render();
    }

    remake(row) {
        const el = this.make(row.r);
        row.el.replaceWith(el);
        row.el = el;
        this.height -= row.h;
        this.measure([row]);
        this.height += row.h;
    }

    /* Rows that were there before their fold was known. */
    dropHidden() {
        this.rows = this.rows.filter((row) => {
            if (!this.hidden(row.r)) return true;
            row.el.remove();
            this.height -= row.h;
            return false;
        });
    }

    /** Every row is made again; what is at the top stays there. */
    rebuild() {
        if (!this.rows.length || this.want) { // a jump under way makes them again
            this.render();
            return;
        }
        const top = this.scroller.scrollTop;
        let y = this.y, at = this.rows[0];
        for (const row of this.rows) {
            if (y + row.h > top) {
                at = row;
                break;
            }
            y += row.h;
        }
        const into = Math.max(0, top - y);
        this.bar = null;
        if (this.follow) {
            this.clearRows();
            this.render();
            return;
        }
        this.want = { seq: at.r.seq, align: "top" };
        if (!this.tryJump()) return;
        this.setTop(this.lastTop + Math.min(into, this.rowPx));
        this.render();
    }

    /** Empty, for another source or filter. */
    reset(source) {
        this.source = source;
        this.bar = null;
        this.want = null;
        this.clearRows();
        this.y = 0;
        this.place();
        this.setSizer();
        this.lastTop = this.scroller.scrollTop; // the browser has cut it to the new height: no hand did
    }

    /** Is the very end on the screen? */
    isAtBottom() {
        return this.atEnd && this.lastTop + this.viewPx >= this.sizerPx - 2;
    }

    /** {first, last}: numbers of the records seen; null when there are none. */
    seen() {
        const top = this.lastTop, bottom = top + this.viewPx;
        let y = this.y, first = null, last = null;
        for (const row of this.rows) {
            if (y + row.h > top + 1 && y < bottom - 1) {
                first = first || row.r;
                last = row.r;
            }
            y += row.h;
        }
        return first ? { first, last } : null;
    }
}
