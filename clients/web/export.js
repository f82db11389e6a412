/*
 * clients/web/export.js -- what leaves the page: links, copies, downloads.
 *
 * A download is a plain link, so that the browser writes it to disk as it comes; with a token it
 * carries a one-time ticket, asked for at the click.
 */
import { jobPath, ticket } from "./api.js";
import { isOpen, viewArgs } from "./filter.js";
import { count, lineHash } from "./format.js";
import { h } from "./dom.js";
import { toast } from "./toast.js";
import { menuItem } from "./toolbar.js";
import { token } from "./store.js";

/** Text into the clipboard, and a word about it. */
export async function copy(text, what) {
    try {
        await navigator.clipboard.writeText(text);
        toast(`${what} copied`);
    } catch {
        copyOldWay(text, what);
    }
}

/* Without the clipboard API (plain HTTP on another host than localhost). */
function copyOldWay(text, what) {
    const area = h("textarea", { class: "sr-only", readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    toast(done ? `${what} copied` : "The browser did not let us copy", done ? "" : "warn");
}

/** Items of the share menu. */
export function share(view, close) {
    const s = view.log.selection, link = (hash) => location.origin + view.address({ hash });
    const seen = view.log.list.seen(), here = s || (view.log.cursor ? { from: view.log.cursor, to: view.log.cursor } : seen && { from: seen.first.seq, to: seen.first.seq });
    const lines = s ? s.to - s.from + 1 : 0;
    return [
        here && menuItem(`Link to ${lines > 1 ? "these lines" : `line ${count(here.from)}`}`, () => (copy(link(lineHash(here)), "Link"), close()), { hint: lineHash(here) }),
        menuItem("Link to this view", () => (copy(link(""), "Link"), close())),
        s && menuItem(`Copy ${lines > 1 ? `${count(lines)} lines` : "the line"}`, async () => {
            close();
            try {
                await copy(await view.log.selectedText(), lines > 1 ? `${count(lines)} lines` : "Line");
            } catch (e) {
                view.failed(e);
            }
        }),
        !s && h("p", { class: "menu-hint" }, "Click a line number to select it, Shift-click for a range."),
    ];
}

async function download(path, name) {
    const pass = token() ? await ticket() : null;
    const a = h("a", { href: pass ? `${path}&ticket=${encodeURIComponent(pass)}` : path, download: name });
    document.body.append(a);
    a.click();
    a.remove();
}

/** Items of the download menu. */
export function downloads(view, close) {
    const args = viewArgs(view.filter), filtered = !isOpen(view.filter), s = view.log.selection;
    const item = (text, hint, path, name) => menuItem(text, () => {
        close();
        download(path, name).catch(view.failed);
    }, { hint });
    const logs = (more) => jobPath(view.project, view.job, "/logs", more);
    return [
        item("Whole log as text", ".log", logs({ format: "text" }), `${view.job}.log`),
        item("Whole log as NDJSON", ".ndjson", logs({ format: "ndjson" }), `${view.job}.ndjson`),
        item("Archive, packed", ".jsonl.zst", jobPath(view.project, view.job, "/archive.jsonl.zst"), `${view.job}.jsonl.zst`),
        filtered && item("What is shown, as text", ".log", logs({ ...args, format: "text" }), `${view.job}-filtered.log`),
        filtered && item("What is shown, as NDJSON", ".ndjson", logs({ ...args, format: "ndjson" }), `${view.job}-filtered.ndjson`),
        s && item("Selected lines", ".log", logs({ format: "text", after: s.from - 1, before: s.to + 1 }), `${view.job}-L${s.from}-L${s.to}.log`),
        view.info && !view.info.sealed && h("p", { class: "menu-hint" }, "The job goes on: the archive holds what has settled so far."),
    ];
}
