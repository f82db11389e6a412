"""tests/e2e/45-clients-web-find.py -- finding one's way in a log: search, minimap, keyboard, times, folds, links out."""
import json

from browser import Browser, Keys, need
from harness import Joblogd, wait_for

d = b = None
EXPECTED = ("/nodes",)
LINES = 20000


def setup():
    global d, b
    need()
    d = Joblogd("--drain-time", "500ms", "--segment-bytes", "512KiB", "--hot-bytes", "128KiB", "--segment-age", "1s",
                "--settle-level", "0")
    rows = [{"msg": f"step {i} {'needle' if i % 1000 == 500 else 'hay'} (x.y)", "rank": i % 4, "level": "info"} for i in range(1, LINES + 1)]
    for i in range(0, LINES, 5000):
        d.post_lines("hay", rows[i:i + 5000])
    d.event("hay", "COMPLETED")
    wait_for(lambda: d.job("hay")["sealed"], what="sealed")
    b = Browser()


def teardown():
    if b:
        b.close()
    if d:
        d.close()


def open_job(job, rest=""):
    b.open("about:blank")  # else another hash alone would not load the page again
    b.open(f"{d.url}/jobs/default/{job}{rest}")
    b.wait("document.querySelector('.link-state.live, .link-state.ended') !== null", what="the log is open")
    b.wait("document.querySelectorAll('.row[data-seq]').length > 0")


def healthy():
    problems = b.problems(but=EXPECTED)
    assert not problems, problems


def test_search_over_the_whole_log():
    """Hits of the whole log are counted by the server; n and N walk them, wherever they lie; they are marked in the lines."""
    open_job("hay")
    b.keys("g")
    b.wait_row(1)
    b.keys("/")
    b.wait("document.activeElement === document.querySelector('.find input')")
    b.keys("NEEDLE")
    b.wait("document.querySelector('.score').textContent === '1 / 20'", what="the first hit is shown by itself")
    b.wait_row(500)
    assert b.js("document.querySelector('.row[data-seq=\"500\"] mark').textContent") == "needle"
    b.keys(Keys.ENTER)
    b.wait_row(1500)
    b.keys(Keys.ESCAPE, Keys.ESCAPE)
    b.wait("document.querySelector('.hits').hidden")
    b.keys("/", "needle")
    b.wait("document.querySelector('.score').textContent === '2 / 20'", what="the first hit from here on")
    b.js("document.querySelector('.scroller').focus()")
    for want in (2500, 3500, 4500):
        b.keys("n")
        b.wait_row(want)
    b.keys("N", "N")
    b.wait_row(2500)
    b.keys("G")
    b.wait_row(LINES)
    b.keys("N")
    assert "q=needle" in b.js("location.search")
    healthy()


def test_case_and_patterns():
    """Case matters when asked; a pattern is RE2; one that cannot be read is said so."""
    open_job("hay", "?q=NEEDLE&case=1")
    b.wait("document.querySelector('.score').textContent === 'no hits'")
    b.click("[aria-label='Match case'], .toggles .toggle:nth-child(1)")
    b.wait("document.querySelector('.score').textContent.endsWith('20')")
    open_job("hay", "?q=step%20%5Cd%2B500%20needle&re=1")
    b.wait("document.querySelector('.score').textContent.endsWith('19')")
    b.js("history.replaceState(null, '', location.pathname)")
    open_job("hay", "?q=x.y")
    b.wait("document.querySelector('.score').textContent.endsWith('20,000')")
    open_job("hay", "?q=(&re=1")
    b.wait("document.querySelector('.find .is-bad') !== null")
    assert "re:" in b.find(".score").text
    b.problems()
    b.seen.clear()  # the 400 is what this was about


def test_only_the_matches():
    """With the filter on, only matching lines are listed, all of them; off again, one is where one was."""
    open_job("hay", "?q=needle&only=1")
    b.wait("document.querySelectorAll('.row.line').length === 20")
    assert [n for n, _ in b.rows() if n <= LINES] == list(range(500, LINES, 1000))
    b.js("document.querySelector('.row[data-seq=\"7500\"] .msg').click()")
    b.js("document.querySelector('.toggles .toggle:nth-child(3)').click()")
    b.wait_row(7500)
    b.wait_row(7499)
    healthy()


def test_how_many_pass_a_filter():
    """With a filter the page says how many lines of the whole log pass it, and the minimap where they are."""
    open_job("hay", "?rank=1")
    b.wait("document.querySelector('.where').textContent.includes('5,000 pass the filter')")
    open_job("hay", "?q=needle&only=1&rank=0")
    b.wait("document.querySelector('.where').textContent.includes(' 20 pass the filter')")
    healthy()


def test_minimap_is_the_scroll_bar():
    """The minimap shows hits of the whole log, and a click or a drag on it goes there."""
    open_job("hay", "?q=needle")
    b.wait("document.querySelector('.score').textContent.endsWith('20')")
    box = b.js("(r => [r.left, r.top, r.width, r.height])(document.querySelector('.minimap').getBoundingClientRect())")
    x = box[0] + box[2] / 2
    b.drag(x, box[1] + box[3] * 0.5, x, box[1] + box[3] * 0.5, steps=1)
    b.wait("(r => r && Math.abs(+r.dataset.seq - 10000) < 400)([...document.querySelectorAll('.row[data-seq]')].at(-1))")
    b.drag(x, box[1] + box[3] * 0.5, x, box[1] + 1)
    b.wait_row(1)
    assert b.js("document.querySelector('.minimap').getAttribute('role')") == "scrollbar"
    marked = b.js("""(c => { const g = c.getContext('2d').getImageData(Math.round(c.width * .65), 0, 1, c.height).data; let n = 0, on = false;
        for (let i = 0; i < g.length; i += 4) { const lit = g[i + 3] > 100 && g[i] > 180 && g[i + 2] < 160; if (lit && !on) n++; on = lit; } return n })(document.querySelector('.minimap-canvas'))""")
    assert marked == 20, f"{marked} marks for 20 hits"
    healthy()


def test_go_to_a_place():
    """A line, a share or a time typed into the field goes there at once."""
    open_job("hay")
    for text, seq in (("812", 812), ("L19000", 19000), ("25%", 5000), ("99999999", LINES + 1)):
        b.type(".place", text)
        b.find(".place").send_keys(Keys.ENTER)
        b.wait_row(seq)
    ts = next(r for r in d.records("hay", "after=14999&limit=1"))["ts"]
    b.type(".place", ts)
    b.find(".place").send_keys(Keys.ENTER)
    b.wait("document.querySelector('.row.is-selected') !== null && Math.abs(+document.querySelector('.row.is-selected').dataset.seq - 15000) < 5001")
    healthy()


def test_keyboard():
    """j and k move a line, f follows, w wraps, t changes times, ? shows the keys and Escape closes them."""
    open_job("hay", "#L100")
    b.wait_row(100)
    b.keys("j", "j", "k")
    b.wait("document.querySelector('.row.is-cursor').dataset.seq === '101'")
    b.keys(Keys.ARROW_DOWN)
    b.wait("document.querySelector('.row.is-cursor').dataset.seq === '102'")
    for _ in range(40):
        b.keys("j")
    b.wait("document.querySelector('.row.is-cursor').dataset.seq === '142'")
    b.wait_row(142)
    b.keys("?")
    b.wait("document.querySelector('dialog.help[open]') !== null")
    text = b.find("dialog.help").text
    for key in ("/", "n", "N", "g", "G", "f", "j", "k"):
        assert f"\n{key}\n" in f"\n{text}\n", (key, text)
    b.keys(Keys.ESCAPE)
    b.wait("document.querySelector('dialog') === null")
    time_now = b.find(".row .ts").text
    b.keys("t", "t")
    wait_for(lambda: b.find(".row .ts").text != time_now, what="another way to show times")
    b.keys("t", "t", "t")
    b.keys("w")
    b.wait("document.querySelector('.scroller.wrap') !== null")
    b.keys("w", "4", "2", "G")
    b.wait_row(42)
    b.keys("f")
    b.wait_row(LINES + 1)
    assert b.at_end()
    healthy()


def test_times():
    """Times are local, UTC, relative, since the start, or hidden; the choice is kept."""
    d.post_lines("timed", [{"msg": "one", "ts": "2026-01-02T03:04:05.678901Z"}])
    open_job("timed")
    def choose(name):
        b.click("[title^='How times']")
        b.wait("document.querySelector('.menu:not([hidden]) .menu-item') !== null")
        b.js("[...document.querySelectorAll('.menu:not([hidden]) .menu-item')].find(i => i.textContent === a0).click()", name)
    choose("UTC")
    b.wait("document.querySelector('.row .ts').textContent.includes('03:04:05.678')")
    choose("Relative")
    b.wait("document.querySelector('.row .ts').textContent.includes('ago') || document.querySelector('.row .ts').textContent === 'now'")
    choose("Since start")
    b.wait("/^[+-]/.test(document.querySelector('.row .ts').textContent)")
    choose("Hidden")
    b.wait("document.querySelector('.row .ts') === null")
    open_job("timed")
    assert b.js("document.querySelector('.row .ts') === null"), "the choice is kept"
    choose("Local time")
    b.wait("document.querySelector('.row .ts') !== null")
    healthy()


def test_a_traceback_is_one_row():
    """Lines of one block are folded under their first with a count and their last, over lines of other ranks; a click, or z, shows them."""
    rows = []
    for i in range(60):
        block = {"fields": {"block": i + 1}} if i else {}
        rows.append({"msg": "Traceback (most recent call last):" if i == 0 else f"  frame {i}" if i < 59 else "ValueError: boom",
                     "rank": 1, "stream": "stderr", "level": "error", **block})
        rows.append({"msg": f"other {i}", "rank": 0, "level": "info"})
    d.post_lines("trace", rows)
    open_job("trace")
    b.keys("g")
    b.wait_row(1)
    b.wait("document.querySelector('.row[data-seq=\"1\"] .fold').textContent === '+59 lines'")
    assert "ValueError: boom" in b.find('.row[data-seq="1"]').text
    assert [n for n, _ in b.rows()][:4] == [1, 2, 4, 6]
    b.click('.row[data-seq="1"] .fold')
    b.wait_row(3)
    assert [n for n, _ in b.rows()][:4] == [1, 2, 3, 4]
    b.click('.row[data-seq="1"] .fold')
    b.wait("document.querySelector('.row[data-seq=\"3\"]') === null")
    b.keys("z")
    b.wait_row(3)
    b.keys("z")
    open_job("trace", "#L41")
    b.wait_row(41)
    b.wait_row(39)
    healthy()


def test_a_traceback_that_grows_live():
    """A block whose lines come one by one is folded as it grows, and the count with it."""
    d.post_lines("grow", [{"msg": "start", "rank": 0}])
    open_job("grow")
    for i in range(5):
        d.post_lines("grow", [{"msg": f"frame {i}", "rank": 1, "level": "error", **({"fields": {"block": i + 1}} if i else {})}])
    b.wait("document.querySelector('.row .fold') && document.querySelector('.row .fold').textContent === '+4 lines'")
    b.wait("[...document.querySelectorAll('.row.line')].map(r => r.dataset.seq).join() === '1,2'")
    healthy()


def test_progress_rows():
    """A redraw is a live row with its share; its final line takes its place."""
    import asyncio

    import websockets

    d.post_lines("bars", ["begin"])
    open_job("bars")

    async def agent():
        uri = f"ws://127.0.0.1:{d.port}/v1/jobs/bars/ingest"
        async with websockets.connect(uri, subprotocols=["joblog.ingest.v1"]) as ws:
            await ws.send(json.dumps({"type": "hello", "producer": "rank-2", "epoch": 1, "rank": 2}))
            await ws.recv()
            await ws.send(json.dumps({"type": "progress", "rank": 2, "msg": "Loading:  40%|####      | 4/10"}))
            await asyncio.get_running_loop().run_in_executor(None, lambda: b.wait("document.querySelector('.live-row [role=progressbar]') !== null"))
            assert b.js("document.querySelector('.live-row [role=progressbar]').getAttribute('aria-valuenow')") == "40"
            assert "Loading:" in b.find(".live-rows").text
            # several bars of one rank come as lines of one text; what comes too soon after another redraw is dropped
            for _ in range(60):
                await ws.send(json.dumps({"type": "progress", "rank": 2, "msg": "outer:  10%|#  | 1/10\ninner:  50%|## | 5/10"}))
                if await asyncio.get_running_loop().run_in_executor(None, lambda: b.js("document.querySelectorAll('.live-row').length")) == 2:
                    break
                await asyncio.sleep(0.25)
            assert b.js("[...document.querySelectorAll('.live-row [role=progressbar]')].map(p => p.getAttribute('aria-valuenow')).join()") == "10,50"
            await ws.send(b'{"type":"lines","first":1}\n' + json.dumps({"msg": "Loading: 100%|##########| 10/10", "rank": 2, "fields": {"redraws": 7}}).encode() + b"\n")
            await ws.recv()
    asyncio.run(asyncio.wait_for(agent(), 30))
    b.wait("document.querySelector('.live-rows').hidden")
    b.wait("document.querySelector('.row .chip') && document.querySelector('.row .chip').textContent.includes('7')")
    healthy()


def test_lost_records_and_gaps():
    """Lines an agent had to drop, and records that were lost, are rows that say so."""
    import asyncio
    import glob
    import os

    import websockets

    async def agent():
        async with websockets.connect(f"ws://127.0.0.1:{d.port}/v1/jobs/holes/ingest", subprotocols=["joblog.ingest.v1"]) as ws:
            await ws.send(json.dumps({"type": "hello", "producer": "rank-0", "epoch": 1, "rank": 0}))
            await ws.recv()
            await ws.send(b'{"type":"lines","first":1}\n{"msg":"before"}\n')
            await ws.recv()
            await ws.send(json.dumps({"type": "skip", "from": 2, "to": 101, "reason": "spool full"}))
            await ws.recv()
    asyncio.run(asyncio.wait_for(agent(), 30))
    open_job("holes")
    b.wait("document.querySelector('.row.gap') !== null")
    assert "100 lines" in b.find(".row.gap").text and "spool full" in b.find(".row.gap").text
    d.post_lines("lost", [f"line {i} {'x' * 200}" for i in range(1, 6001)])
    d.event("lost", "COMPLETED")
    wait_for(lambda: d.job("lost")["sealed"] and d.job("lost")["archived_upto"] == 6001, 20, "archived")
    files = sorted(glob.glob(os.path.join(d.data, "archive", "default", "lost", "*.zst")))
    wait_for(lambda: d.job("lost")["held_from"] > 6000, 20, "trimmed")
    os.unlink(files[0])
    d.restart()
    open_job("lost")
    b.keys("g")
    b.wait("document.querySelector('.row.lost') !== null", what="the lost range is a row")
    assert "are lost" in b.find(".row.lost").text
    b.problems()
    b.seen.clear()


def test_share_and_theme():
    """The link of the selected lines is offered; light and dark are one click apart and kept."""
    open_job("hay", "#L10-L12")
    b.run("Object.defineProperty(navigator, 'clipboard', {value: {writeText: async t => { window.copied = t }}})")
    def share(word):
        b.click("[title^='Copy and link']")
        b.wait("document.querySelector('.menu:not([hidden]) .menu-item') !== null")
        b.js("[...document.querySelectorAll('.menu:not([hidden]) .menu-item')].find(i => i.textContent.includes(a0)).click()", word)
        return b.wait("window.copied && [window.copied, window.copied = null][0]")
    assert share("these lines") == f"{d.url}/jobs/default/hay#L10-L12"
    assert share("Copy 3 lines") == "".join(f"step {i} hay (x.y)\n" for i in (10, 11, 12))
    assert b.js("document.documentElement.dataset.theme") == "dark"
    b.click("[aria-label='Light theme']")
    assert b.js("document.documentElement.dataset.theme") == "light"
    open_job("hay")
    assert b.js("document.documentElement.dataset.theme") == "light"
    b.click("[aria-label='Dark theme']")
    healthy()


def test_ranks_by_hand():
    """A rank is shown alone, added with Ctrl, muted; what is muted leaves lines without a rank."""
    d.post_lines("ranks", [{"msg": f"m{i}", **({"rank": i % 4} if i % 5 else {})} for i in range(200)])
    open_job("ranks")
    ranks = "[...new Set([...document.querySelectorAll('.row.line .rank')].map(r => r.textContent))].sort().join()"
    b.wait(f"{ranks} === '0,1,2,3,·'")
    b.click(".rank-row:nth-child(3) .rank-pick")  # the first row is lines without a rank
    b.wait(f"{ranks} === '1'")
    b.js("document.querySelector('.rank-row:nth-child(5) .rank-pick').dispatchEvent(new MouseEvent('click', {bubbles: true, ctrlKey: true}))")
    b.wait(f"{ranks} === '1,3'")
    assert "rank=1%2C3" in b.js("location.search")
    b.js("document.querySelector('.filter-chip').click()")
    b.wait(f"{ranks} === '0,1,2,3,·'")
    b.js("document.querySelector('.rank-row:nth-child(4) .rank-mute').click()")
    b.wait(f"{ranks} === '0,1,3,·'")
    b.js("document.querySelector('.rank-row:nth-child(1) .rank-mute').click()")
    b.wait(f"{ranks} === '0,1,3'")
    healthy()


def test_drag_a_span_of_time():
    """Dragging over the histogram shows only that time; the chip takes it back; a click goes to that time; a typed span does the same."""
    t0 = 1764000000
    d.post_lines("span", [{"msg": f"second {i // 10}", "rank": i % 2, "ts": t0 + i / 10, "level": "error" if i == 3333 else "info"} for i in range(6000)])
    open_job("span")
    b.wait("(c => { const g = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return g.some(v => v) })(document.querySelector('.histogram'))", what="bars are drawn")
    box = b.js("(r => [r.left, r.top + r.height / 2, r.width])(document.querySelector('.histogram-box').getBoundingClientRect())")
    span = b.js("[...document.querySelectorAll('.axis span')].length")
    assert span >= 4
    # created_at is now, the lines are old: the picture reaches from the first line to now
    first_ms, last_ms = t0 * 1000, b.js("Date.now()")
    def x(second):
        return box[0] + (t0 * 1000 + second * 1000 - first_ms) / (last_ms - first_ms) * box[2]
    b.drag(x(0), box[1], box[0] + box[2] * 0.5, box[1])
    b.wait("document.querySelectorAll('.filter-chip').length === 1")
    assert "since=" in b.js("location.search") and "until=" in b.js("location.search")
    b.wait_row(6000)
    b.js("document.querySelector('.filter-chip').click()")
    b.wait("document.querySelectorAll('.filter-chip').length === 0 && !location.search")
    from_, to = (b.js("new Date(a0).toISOString()", (t0 + s) * 1000) for s in (100, 110))
    b.type(".place", f"{from_}..{to}")
    b.find(".place").send_keys(Keys.ENTER)
    b.wait("document.querySelectorAll('.filter-chip').length === 1")
    b.keys("g")
    b.wait_row(1001)
    assert b.rows()[0][1] == "second 100"
    b.keys("G")
    b.wait_row(1100)
    assert [t for _, t in b.rows() if t.startswith("second")][-1] == "second 109"
    b.js("document.querySelector('.filter-chip').click()")
    b.keys("e")
    b.wait("document.querySelectorAll('.filter-chip').length === 0")
    healthy()


def test_next_error():
    """e and E walk the errors, wherever they lie."""
    d.post_lines("errs", [{"msg": f"m{i}", "level": "error" if i in (100, 9000) else "info"} for i in range(1, 10001)])
    open_job("errs", "#L1")
    b.wait_row(1)
    b.keys("e")
    b.wait_row(100)
    b.keys("e")
    b.wait_row(9000)
    b.keys("E")
    b.wait_row(100)
    healthy()


def test_sections_fold():
    """A section's marker folds the lines of its rank up to its end, and no other's."""
    rows = [{"msg": "::group::Build", "rank": 0}] + [{"msg": f"in {i}", "rank": i % 2} for i in range(40)] + [{"msg": "::endgroup::", "rank": 0}, {"msg": "after", "rank": 0}]
    d.post_lines("sect", rows)
    open_job("sect")
    b.keys("g")
    b.wait("document.querySelector('.row[data-seq=\"1\"] .twist') !== null", what="the section is known")
    b.click('.row[data-seq="1"] .twist')
    b.wait("[...document.querySelectorAll('.row.line')].map(r => +r.dataset.seq).slice(0, 4).join() === '1,3,5,7'", what="rank 0's lines are folded, rank 1's are not")
    assert "after" in [t for _, t in b.rows()]
    b.click('.row[data-seq="1"] .twist')
    b.wait_row(2)
    healthy()


def test_curves():
    """Numbers that lines name are curves, by rank, with their last value."""
    d.post_lines("train", [{"msg": f"step={i} loss={2 + 1 / i:.4f} lr=0.001", "rank": 0} for i in range(1, 300)])
    open_job("train")
    b.keys("m")
    b.wait("document.querySelectorAll('.chart').length >= 2", what="curves of loss and lr")
    names = b.js("[...document.querySelectorAll('.chart')].map(c => c.getAttribute('aria-label')).join()")
    assert "loss: last 2" in names and "lr: last" in names, names
    assert "tab=metrics" in b.js("location.search")
    b.keys("m")
    b.wait_row(299)


def test_the_line_at_the_cursor():
    """A click on a line tells all that is known of it, and copies or links it."""
    d.post_lines("detail", [{"msg": "x", "rank": 3, "replica": "node-7", "stream": "stderr", "level": "warn", "fields": {"step": 12, "html": "<b>"}, "ts": "2026-01-02T03:04:05.678901Z"}])
    open_job("detail")
    b.click('.row[data-seq="1"] .msg')
    b.wait("!document.querySelector('.detail').hidden")
    text = b.find(".detail").text
    for word in ("L1", "05.678901", "03:04:05 UTC", "rank 3", "node-7", "stderr", "warn", "step=12", "html=<b>"):
        assert word in text, (word, text)
    b.run("Object.defineProperty(navigator, 'clipboard', {value: {writeText: async t => { window.copied = t }}})")
    b.js("document.querySelector('.scroller').focus()")
    b.keys("c")
    b.wait("window.copied === 'x'")
    b.keys(Keys.ESCAPE)
    b.wait("document.querySelector('.detail').hidden")
    healthy()


def test_a_bad_pattern_is_said_once():
    """A pattern that cannot be read, as a filter: the sentence of the server, and no storm of requests."""
    open_job("hay")
    b.js("document.querySelector('.toggles .toggle:nth-child(3)').click()")
    b.js("document.querySelector('.toggles .toggle:nth-child(2)').click()")
    b.requests()
    b.asked.clear()
    b.type(".find input", "a(b")
    b.wait("document.querySelector('.log-notice:not([hidden])') && document.querySelector('.log-notice').textContent.includes('re:')")
    b.wait("document.querySelector('.find .is-bad') !== null")
    asked = [u for u in b.requests() if "a%28b" in u]
    assert len(asked) <= 4, asked
    b.type(".find input", "needle")
    b.wait("document.querySelectorAll('.row.line').length === 20")
    b.problems()
    b.seen.clear()
