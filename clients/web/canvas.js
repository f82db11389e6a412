/*
 * clients/web/canvas.js -- a canvas as large as its box, sharp on every screen, drawn once a frame.
 */
import { onTheme } from "./colour.js";
import { h } from "./dom.js";

export class Picture {
    /** draw(context, width, height) in CSS pixels. */
    constructor(attributes, draw) {
        this.draw = draw;
        this.el = h("canvas", attributes);
        this.width = this.height = 0;
        this.queued = false;
        this.observer = new ResizeObserver(() => this.again());
        this.observer.observe(this.el);
        this.untheme = onTheme(() => this.again());
    }

    close() {
        this.observer.disconnect();
        this.untheme();
        this.closed = true;
    }

    again() {
        if (this.queued || this.closed) return;
        this.queued = true;
        requestAnimationFrame(() => {
            this.queued = false;
            if (!this.closed && this.el.isConnected) this.now();
        });
    }

    now() {
        const box = this.el.getBoundingClientRect(), ratio = devicePixelRatio || 1;
        this.width = box.width;
        this.height = box.height;
        if (!box.width || !box.height) return;
        const w = Math.round(box.width * ratio), hh = Math.round(box.height * ratio);
        if (this.el.width !== w) this.el.width = w;
        if (this.el.height !== hh) this.el.height = hh;
        const c = this.el.getContext("2d");
        c.setTransform(ratio, 0, 0, ratio, 0, 0);
        c.clearRect(0, 0, box.width, box.height);
        this.draw(c, box.width, box.height);
    }
}
