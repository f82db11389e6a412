"""tests/e2e/45-clients-web-hostile.py -- what a job cannot do to its reader; small screens; proxies in between."""
import json
import socket
import threading

from browser import Browser, Keys, need
from harness import Joblogd, wait_for

d = b = None
EXPECTED = ("/nodes",)


def setup():
    global d, b
    need()
    d = Joblogd("--drain-time", "500ms", "--line-bytes", "2MiB")
    b = Browser()


def teardown():
    if b:
        b.close()
    if d:
        d.close()


def open_job(job, rest="", url=None):
    b.open("about:blank")
    b.open(f"{url or d.url}/jobs/default/{job}{rest}")
    b.wait("document.querySelector('.link-state.live, .link-state.ended') !== null", what="the log is open")
    b.wait("document.querySelectorAll('.row[data-seq]').length > 0")


def healthy():
    problems = b.problems(but=EXPECTED)
    assert not problems, problems


EVIL = [
    "<img src=x onerror=\"window.hurt=1\">", "<script>window.hurt=2</script>", "</span></div><iframe srcdoc='<script>parent.hurt=3</script>'>",
    "<svg onload=window.hurt=4>", "{{constructor.constructor('window.hurt=5')()}}", "javascript:window.hurt=6", "<style>*{display:none}</style>",
    "<meta http-equiv=refresh content='0;url=http://example.invalid/'>", "&lt;b&gt;&amp;&#x41;", "<a href='//example.invalid'>link</a>",
    "\x1b]8;;javascript:window.hurt=7\x07click\x1b]8;;\x07", "\x1b]0;evil title\x07after the title", "\x1b[2J\x1b[1;1Hcleared", "\x1b[8mhidden text\x1b[0m",
]


def test_markup_is_text():
    """HTML, scripts, styles and links in lines, names, messages and labels are shown as the text they are; none of it acts."""
    d.post("/v1/jobs", {"id": "evil", "name": "<img src=x onerror=window.hurt=8>", "labels": {"a": "<script>window.hurt=9</script>"}})
    d.post_lines("evil", [{"msg": m, "rank": 0, "replica": "n1", "fields": {"<b>": "<script>"}} for m in EVIL])
    d.event("evil", "RUNNING", message="<img src=x onerror=window.hurt=10>")
    d.event("evil", "FAILED", message="<script>window.hurt=11</script>")
    open_job("evil")
    b.wait("document.querySelectorAll('.row.line').length === a0", len(EVIL))
    shown = b.js("[...document.querySelectorAll('.row.line .msg')].map(m => m.textContent)")
    assert shown[:10] == EVIL[:10], shown
    assert shown[10:14] == ["click", "after the title", "cleared", "hidden text"], shown[10:]
    assert b.js("document.querySelectorAll('.scroller img, .scroller script, .scroller iframe, .scroller style, .scroller a:not(.no)').length") == 0
    assert "<script>window.hurt=11</script>" in b.find(".job-error").text
    b.open(d.url + "/")
    b.wait("document.body.innerText.includes('<img src=x onerror=window.hurt=8>')")
    assert b.js("window.hurt === undefined") and "evil title" not in b.js("document.title")
    healthy()


def test_the_page_cannot_be_tricked_into_markup():
    """Were there a mistake in the page: the browser itself refuses markup, inline code and other hosts."""
    assert b.run("try { document.body.innerHTML = '<b>x</b>'; return 'taken' } catch (e) { return e.name }") == "TypeError"
    assert b.run("try { document.createElement('script').textContent = 'window.hurt=12'; return 'taken' } catch (e) { return e.name }") == "TypeError"
    assert b.run("try { document.body.setAttribute('onclick', 'window.hurt=13'); return 'taken' } catch (e) { return e.name }") == "TypeError"
    assert b.run("try { await fetch('http://example.invalid/'); return 'asked' } catch (e) { return e.name }") == "TypeError"
    assert b.run("const s = document.createElement('style'); s.textContent = 'body { display: none }'; document.head.append(s); return getComputedStyle(document.body).display") == "block"
    b.problems()
    b.seen.clear()  # the refusals are what this was about
    b.asked.clear()


def test_controls_and_directions():
    """Control characters and marks that turn text around are visible, and stay inside their line."""
    d.post_lines("rtl", [{"msg": "user=\u202egnp.exe\u202c end"}, {"msg": "bell \x07 nul \x00 del \x7f"}, {"msg": "zero\u200bwidth"}, {"msg": "مرحبا بالعالم 42"},
                         {"msg": "Z\u0335\u0321" + "\u0300" * 200 + "algo"}, {"msg": "plain neighbour"}])
    open_job("rtl")
    b.wait("document.querySelectorAll('.row.line').length === 6")
    texts = [t for _, t in b.rows()]
    assert texts[0] == "user=\u27e8RLO\u27e9gnp.exe\u27e8PDF\u27e9 end", texts
    assert texts[1] == "bell \u2407 nul \u2400 del \u2421" and texts[2] == "zero\u27e8ZWSP\u27e9width" and texts[3] == "مرحبا بالعالم 42"
    assert b.js("document.querySelectorAll('.row .control').length") == 6
    heights = b.js("[...document.querySelectorAll('.row.line')].map(r => r.getBoundingClientRect().height)")
    assert set(heights) == {20}, heights
    order = b.js("""(r => [...r.children].filter(c => c.getBoundingClientRect().width).map(c => c.getBoundingClientRect().left))(document.querySelector('.row[data-seq="4"]'))""")
    assert order == sorted(order), "a line in Arabic does not turn its row around"
    healthy()


def test_a_line_of_a_mebibyte():
    """A line of 1 MiB is shown cut, costs little, and is all there on demand."""
    big = "".join(f"{i:07d} " for i in range(1 << 17))
    d.post_lines("huge", [{"msg": "before"}, {"msg": big}, {"msg": "many\nlines\nin one"}, {"msg": "after"}])
    open_job("huge")
    b.wait_row(4)
    assert len(b.rows()[1][1]) < 3000
    assert "1.0 MiB" in b.find('.row[data-seq="2"] .more').text
    heap = b.heap_bytes()
    b.click('.row[data-seq="2"] .more')
    b.wait("document.querySelector('.row[data-seq=\"2\"] .whole') && document.querySelector('.row[data-seq=\"2\"] .whole').textContent.length === a0", len(big))
    assert b.js("document.querySelector('.row[data-seq=\"2\"] .whole').textContent === a0", big)
    assert b.js("document.querySelector('.row[data-seq=\"2\"]').getBoundingClientRect().height") < 900
    b.click('.row[data-seq="2"] .less')
    b.wait("document.querySelector('.row[data-seq=\"2\"] .whole') === null")
    assert b.find('.row[data-seq="3"] .more').text == "+2 lines"
    b.click('.row[data-seq="3"] .more')
    b.wait("document.querySelector('.row[data-seq=\"3\"] .whole').textContent === 'many\\nlines\\nin one'")
    assert b.heap_bytes() < heap + 12e6
    healthy()


def test_a_page_of_huge_lines():
    """Hundreds of huge lines are read part by part: memory stays bounded, and all of them can be reached."""
    for _ in range(6):
        assert d.post_lines("heavy", [{"msg": "x" * 250000} for _ in range(50)], timeout=60).status == 200
    open_job("heavy", "#L1")
    b.wait_row(1)
    for n in (300, 150, 20, 299):
        b.keys(*str(n), "G")
        b.wait_row(n)
    assert b.heap_bytes() < 60e6, b.heap_bytes()
    healthy()


def test_colours_of_a_job_are_readable():
    """Colours a job chose itself keep their hue but are light enough on dark and dark enough on light."""
    d.post_lines("paint", [{"msg": "\x1b[38;2;20;20;40mdark\x1b[0m \x1b[38;2;250;250;210mpale\x1b[0m \x1b[31mred\x1b[0m \x1b[7minverse\x1b[0m"}])
    contrast = """(() => { const lum = c => { const x = document.createElement('canvas').getContext('2d', {willReadFrequently: true}); x.fillStyle = c; x.fillRect(0, 0, 1, 1);
        const [r, g, bl] = [...x.getImageData(0, 0, 1, 1).data].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * bl };
        const ground = lum(getComputedStyle(document.body).backgroundColor);
        return [...document.querySelectorAll('.row .text > *')].slice(0, 3).map(e => lum(getComputedStyle(e).color)).map(l => (Math.max(l, ground) + .05) / (Math.min(l, ground) + .05)) })()"""
    for theme in ("dark", "light"):
        b.theme(theme)
        open_job("paint")
        values = b.js(contrast)
        assert len(values) == 3 and min(values) >= 4.5, (theme, values)
    b.theme("dark")
    healthy()


CONTRAST = """(() => {
    const x = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = c => { x.clearRect(0, 0, 1, 1); x.fillStyle = c; x.fillRect(0, 0, 1, 1); return [...x.getImageData(0, 0, 1, 1).data] };
    const lum = p => { const [r, g, b] = p.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
    const ground = e => { let under = [0, 0, 0]; const all = []; for (let n = e; n; n = n.parentElement) all.unshift(n);
        for (const n of all) { const c = rgba(getComputedStyle(n).backgroundColor), a = c[3] / 255; under = under.map((v, i) => v * (1 - a) + c[i] * a); } return under };
    const bad = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let n; (n = walk.nextNode()); ) {
        const e = n.parentElement, s = getComputedStyle(e), box = e.getBoundingClientRect();
        if (!n.textContent.trim() || !box.width || !box.height || s.visibility === 'hidden' || e.closest('.sr-only, [hidden], [aria-hidden=true], .skip, dialog:not([open]), :disabled, .is-off')) continue;
        let opacity = 1; for (let p = e; p; p = p.parentElement) opacity *= +getComputedStyle(p).opacity;
        const g = ground(e), f = rgba(s.color), a = f[3] / 255 * opacity, mixed = f.slice(0, 3).map((v, i) => v * a + g[i] * (1 - a)), l1 = lum(mixed), l2 = lum(g);
        const ratio = (Math.max(l1, l2) + .05) / (Math.min(l1, l2) + .05);
        if (ratio < 4.5) bad.push([n.textContent.trim().slice(0, 30), e.className, Math.round(ratio * 100) / 100]);
    }
    return bad })()"""


def test_contrast():
    """Every text of the list and of a job has a contrast of at least 4.5, dark and light."""
    d.post_lines("plain", [{"msg": f"{level} line", "level": level, "rank": i} for i, level in enumerate(("trace", "debug", "info", "warn", "error", "fatal"))])
    d.event("plain", "FAILED", message="broken", exit_code=1)
    wait_for(lambda: d.job("plain")["sealed"], what="sealed")
    for theme in ("dark", "light"):
        b.theme(theme)
        for path in ("/", "/jobs/default/plain", "/jobs/default/plain?q=line&level=debug#L3"):
            b.open("about:blank")
            b.open(d.url + path)
            b.wait("document.querySelectorAll('.row[data-seq], .jobs tbody tr').length > 0")
            bad = b.js(CONTRAST)
            assert not bad, (theme, path, bad)
    b.theme("dark")


def test_on_a_phone():
    """At 375 pixels nothing is wider than the screen, lines wrap, and everything can be reached by touch."""
    d.post("/v1/jobs", {"id": "a-job-with-quite-a-long-name-" + "x" * 60, "ranks": 8})
    d.post_lines("phone", [{"msg": f"a rather long line number {i} with words that must be wrapped on a small screen", "rank": i % 8} for i in range(500)])
    b.size(375, 812, mobile=True)
    try:
        for path in ("/", "/jobs/default/phone", "/jobs/default/evil", "/jobs/default/phone?q=line&level=error"):
            b.open("about:blank")
            b.open(d.url + path)
            b.wait("document.querySelectorAll('.row[data-seq], .jobs tbody tr, .log-notice:not([hidden])').length > 0")
            assert b.js("[document.documentElement.scrollWidth, innerWidth]") == [375, 375], path
            wide = b.js("[...document.querySelectorAll('.row, button, .jobs tr')].filter(e => e.getBoundingClientRect().right > 376).map(e => e.className)")
            assert not wide, (path, wide)
        open_job("phone")
        b.wait_row(500)
        assert b.js("document.querySelector('.scroller').scrollWidth - document.querySelector('.scroller').clientWidth") <= 0
        b.cdp("Emulation.setTouchEmulationEnabled", enabled=True)
        b.swipe(180, 350, 250)
        b.wait("document.querySelector('.pill:not([hidden])') !== null")
        b.click(".pill")
        b.wait_row(500)
        b.click(".ranks-button")
        b.wait("document.querySelector('.ranks').getBoundingClientRect().width > 200")
        b.click(".rank-row:nth-child(3) .rank-pick")
        b.click(".ranks-button")
        b.wait("[...document.querySelectorAll('.row.line .rank')].every(r => r.textContent === '2')")
        healthy()
    finally:
        b.cdp("Emulation.setTouchEmulationEnabled", enabled=False)
        b.size(1440, 900)


def test_wrapped_lines():
    """With lines of many heights one can go anywhere: numbers stay in order, nothing overlaps, jumps land."""
    d.post_lines("wrapped", [{"msg": f"{i} " + "word " * (i * 37 % 200), "rank": i % 3} for i in range(1, 3001)])
    open_job("wrapped")
    b.keys("w")
    b.wait("document.querySelector('.scroller.wrap') !== null")
    for n in (1500, 3, 2990, 700):
        b.keys(*str(n), "G")
        b.wait_row(n)
        for dy in (300, -700, 900):
            b.wheel(dy)
        b.still()
        spots = b.js("[...document.querySelectorAll('.row[data-seq]')].map(r => [+r.dataset.seq, r.getBoundingClientRect().top, r.getBoundingClientRect().bottom])")
        for (n0, _, bottom), (n1, top, _) in zip(spots, spots[1:]):
            assert n1 == n0 + 1 and abs(top - bottom) < 1, (n0, bottom, n1, top)
    b.keys("w")
    healthy()


def test_where_websockets_do_not_get_through():
    """Behind a proxy that refuses WebSockets the page follows over an event stream instead."""
    d.post_lines("proxied", ["one"])
    with Proxy(d.port) as p:
        open_job("proxied", url=f"http://127.0.0.1:{p.port}")
        b.wait("document.querySelector('.link-state').textContent.includes('event stream')", deadline_s=30)
        d.post_lines("proxied", ["two", "three"])
        b.wait_row(3)
        p.cut()
        d.post_lines("proxied", ["four"])
        b.wait_row(4)
        assert [n for n, _ in b.rows()] == [1, 2, 3, 4]
        d.event("proxied", "COMPLETED")
        b.wait("document.querySelector('.row.foot') !== null")
    b.open("about:blank")
    b.problems()
    b.seen.clear()
    b.asked.clear()


def test_a_job_that_is_deleted():
    """A job that is deleted under its reader is said to be gone; what is on the screen stays."""
    d.post_lines("doomed", ["last words"])
    open_job("doomed")
    b.wait_row(1)
    assert d.request("DELETE", "/v1/jobs/doomed").status == 204
    b.wait("document.querySelector('.job-error').textContent.includes('deleted')")
    assert b.rows()[0][1] == "last words"
    b.open(d.url + "/jobs/default/never-was")
    b.wait("document.body.innerText.includes('There is no such job')")
    d.post_lines("never-was", ["now it is"])
    b.wait_row(1)
    b.problems()
    b.seen.clear()


def test_names_for_screen_readers():
    """Every control has a name, every picture a description, and the order of focus is that of the page."""
    open_job("phone")
    nameless = b.js("""[...document.querySelectorAll('button, a, input, select, [role=img], [role=scrollbar], [role=log], [role=progressbar]')].filter(e =>
        e.offsetParent && !(e.getAttribute('aria-label') || e.title || e.textContent.trim() || e.labels?.length || e.placeholder)).map(e => e.outerHTML.slice(0, 100))""")
    assert not nameless, nameless
    tree = b.cdp("Accessibility.getFullAXTree")["nodes"]
    empty = [n for n in tree if n.get("role", {}).get("value") in ("button", "link", "textbox", "searchbox", "combobox", "image", "img", "radio", "log")
             and not n.get("ignored") and not n.get("name", {}).get("value")]
    assert not empty, empty[:3]
    b.js("document.body.focus()")
    tops = []
    for _ in range(14):
        b.keys(Keys.TAB)
        tops.append(b.js("(r => [Math.round(r.top), document.activeElement.tabIndex])(document.activeElement.getBoundingClientRect())"))
    assert all(t[1] >= 0 for t in tops) and tops[1][0] <= tops[-1][0], tops


class Proxy:
    """Passes everything to a port, but answers an upgrade with 400."""

    def __init__(self, target):
        self.target, self.pairs = target, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()
        self.cut()

    def cut(self):
        for s in self.pairs:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.pairs = []

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        upstream = socket.create_connection(("127.0.0.1", self.target))
        self.pairs += [client, upstream]
        threading.Thread(target=self.pump, args=(upstream, client), daemon=True).start()
        try:
            while True:
                data = client.recv(65536)
                if not data:
                    break
                if b"upgrade: websocket" in data.lower():
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    break
                upstream.sendall(data.replace(b"127.0.0.1:%d" % self.port, b"127.0.0.1:%d" % self.target))
        except OSError:
            pass
        for s in (client, upstream):
            s.close()

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
