"""tests/e2e/45-clients-web.py -- the page in a real Chromium: follow, scroll, filter, link, reconnect, end."""
import os
import re
import shutil
import signal

from browser import Browser, Keys, need
from harness import Joblogd, wait_for

d = b = None
EXPECTED = ("/nodes",)  # 404 of a joblogd without them


def setup():
    global d, b
    need()
    d = Joblogd("--drain-time", "500ms")
    b = Browser()


def teardown():
    if b:
        b.close()
    if d:
        d.close()


def lines(n, first=0, ranks=4, level="info"):
    return [{"msg": f"line {i} of many", "rank": i % ranks, "level": level} for i in range(first, first + n)]


def open_job(job, rest="", project="default"):
    b.open(f"{d.url}/jobs/{project}/{job}{rest}")
    b.wait("document.querySelector('.link-state.live, .link-state.ended') !== null", what="the log is open")


def healthy(but=()):
    problems = b.problems(but=EXPECTED + tuple(but))
    assert not problems, problems


def test_the_list_of_jobs():
    """Jobs show with state, project and lines; the list refreshes by itself, is searched and filtered."""
    d.post("/v1/jobs", {"id": "alpha", "labels": {"team": "vision"}})
    d.post_lines("alpha", ["x"] * 40)
    d.event("alpha", "RUNNING")
    b.open(d.url + "/")
    b.wait("document.querySelectorAll('.jobs tbody tr').length === 1")
    text = b.find(".jobs tbody tr").text
    assert "Running" in text and "alpha" in text and "team=vision" in text and "40" in text, text
    d.post("/v1/jobs", {"id": "beta", "project": "nlp"})
    d.post_lines("beta", ["x"], query="?project=nlp")
    d.post("/v1/jobs/beta/events?project=nlp", {"state": "RUNNING"})
    d.post("/v1/jobs/beta/events?project=nlp", {"state": "FAILED", "message": "out of memory", "exit_code": 137})
    b.wait("document.querySelectorAll('.jobs tbody tr').length === 2", what="the new job appears by itself")
    b.wait("document.body.innerText.includes('out of memory')")
    b.type(".jobs-tools input[type=search]", "vision")
    b.wait("[...document.querySelectorAll('.job-link')].map(a => a.textContent).join() === 'alpha'")
    b.js("[...document.querySelectorAll('.jobs-tools input[name=state]')].find(i => i.value.includes('FAILED')).click()")
    b.wait("document.querySelector('.empty:not([hidden])') !== null")
    b.js("document.querySelector('.empty button').click()")
    b.wait("document.querySelectorAll('.jobs tbody tr').length === 2")
    b.js("document.activeElement.blur()")
    b.keys("j", "j", Keys.ENTER)
    b.wait("location.pathname === '/jobs/default/alpha'", what="j, j, Enter open the second job")
    b.js("history.back()")
    b.wait("location.pathname === '/' && document.querySelectorAll('.jobs tbody tr').length === 2")
    healthy()


def test_follow_live():
    """The end of a live job is followed as it comes; scrolling up stops that, a pill counts what is new, and takes one back."""
    d.post_lines("live", lines(200))
    open_job("live")
    b.wait_row(200)
    d.post_lines("live", lines(50, 200))
    b.wait_row(250)
    assert b.at_end()
    b.wheel_to_rest(-1200)
    b.wait("document.querySelector('.pill:not([hidden])') !== null", what="a way back to the end")
    seen = b.rows()[0][0]
    assert seen < 220, seen
    d.post_lines("live", lines(30, 250))
    b.wait("document.querySelector('.pill').textContent.startsWith('30 new lines')")
    assert b.rows()[0][0] == seen, "what one reads stays where it is"
    b.click(".pill")
    b.wait_row(280)
    d.post_lines("live", lines(1, 280))
    b.wait_row(281)
    b.wait("document.querySelector('.status-button[aria-pressed=true]') !== null")
    healthy()


def test_scroll_back_to_the_start():
    """From the end to the first line and anywhere between, every line is there once and in order."""
    d.post_lines("long", lines(5000))
    d.event("long", "COMPLETED")
    wait_for(lambda: d.job("long")["sealed"], what="sealed")
    open_job("long")
    b.wait("document.querySelector('.row.foot') !== null")
    b.js("document.querySelector('.scroller').focus()")
    b.keys("g")
    b.wait_row(1)
    seen = set()
    for _ in range(400):
        rows = b.rows()
        numbers = [n for n, _ in rows]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
        seen.update(numbers)
        if 1200 in seen:
            break
        b.wheel(200)
        wait_for(lambda: b.rows() and b.rows()[-1][0] > numbers[-1], what="the wheel moves the lines")
    assert seen >= set(range(1, 1200)), sorted(set(range(1, 1200)) - seen)[:10]
    for n in (3000, 17, 4999, 2500):
        b.keys(*str(n), "G")
        text = b.wait_row(n)
        assert text == f"line {n - 1} of many", (n, text)
        numbers = [n for n, _ in b.rows()]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
    healthy()


def test_link_to_a_line_and_a_range():
    """#L812 and #L812-L830 open at those lines, selected; selecting writes the address."""
    open_job("long", "#L812-L830")
    b.wait_row(820)
    marked = b.js("[...document.querySelectorAll('.row.is-selected')].map(r => +r.dataset.seq)")
    assert marked == list(range(812, 831)), marked
    assert not b.at_end()
    b.js("location.hash = '#L4000'")
    b.wait_row(4000)
    b.js("document.querySelector('.no[data-seq=\"4002\"]').click()")
    assert b.js("location.hash") == "#L4002"
    b.js("document.querySelector('.no[data-seq=\"4005\"]').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true, shiftKey: true}))")
    assert b.js("location.hash") == "#L4002-L4005"
    address = b.js("location.href")
    b.open("about:blank")
    b.open(address)
    b.wait_row(4003)
    assert b.js("[...document.querySelectorAll('.row.is-selected')].map(r => +r.dataset.seq)") == [4002, 4003, 4004, 4005]
    healthy()


def test_filter_by_level_and_rank():
    """With a filter only its lines show, old and new; without it the place is kept."""
    rows = [{"msg": f"m{i}", "rank": i % 8, "level": "error" if i % 500 == 3 else "info"} for i in range(4000)]
    d.post_lines("mixed", rows)
    open_job("mixed")
    b.js("[...document.querySelectorAll('.levels input')].find(i => i.value === 'error').click()")
    b.wait("document.querySelectorAll('.row.line').length === 8")
    assert [t for _, t in b.rows() if t.startswith("m")] == [f"m{i}" for i in range(4000) if i % 500 == 3]
    assert "level=error" in b.js("location.search")
    d.post_lines("mixed", [{"msg": "new error", "level": "error", "rank": 1}, {"msg": "new info", "level": "info", "rank": 1}])
    b.wait("[...document.querySelectorAll('.row .msg')].some(m => m.textContent === 'new error')")
    assert not any(t == "new info" for _, t in b.rows())
    b.js("[...document.querySelectorAll('.levels input')].find(i => i.value === '').click()")
    b.wait("[...document.querySelectorAll('.row .msg')].some(m => m.textContent === 'new info')")
    b.click(".rank-row:nth-child(4) .rank-pick")
    b.wait("document.querySelectorAll('.row.line').length > 20 && [...document.querySelectorAll('.row.line .rank')].every(r => r.textContent === '3')")
    assert "rank=3" in b.js("location.search")
    b.click(".rank-row:nth-child(4) .rank-pick")
    b.wait("new Set([...document.querySelectorAll('.row.line .rank')].map(r => r.textContent)).size === 8")
    healthy()


def test_reconnect_after_a_restart():
    """When joblogd goes away the page says so, comes back by itself from its cursor, and no line is twice or missing."""
    d.post_lines("again", lines(100))
    open_job("again")
    b.wait_row(100)
    for sig in (signal.SIGTERM, signal.SIGKILL):
        last = d.job("again")["seq"]
        d.kill(sig)
        b.wait("document.querySelector('.link-state.retrying') !== null", what="the page says it is disconnected")
        d.start()
        assert d.post_lines("again", lines(40, last)).status == 200
        b.wait_row(last + 40, deadline_s=40)
        numbers = [n for n, _ in b.rows()]
        assert numbers == list(range(numbers[0], last + 41)), numbers
    b.wait("document.querySelector('.link-state.live') !== null")
    b.problems()
    b.seen.clear()  # refused connections are what this was about


def test_the_end_of_a_job():
    """The end is shown for what it is: state, exit code, complete or who is missing; then nothing is asked for any more."""
    d.post("/v1/jobs", {"id": "ending", "ranks": 2})
    d.event("ending", "RUNNING")
    d.post_lines("ending", lines(10, ranks=2))
    open_job("ending")
    b.wait_row(11)
    d.event("ending", "FAILED", exit_code=3, message="it broke")
    b.wait("document.querySelector('.row.foot') !== null", what="the end")
    foot = b.find(".row.foot").text.lower()
    assert "failed" in foot and "exit code 3" in foot and "10 lines" in foot, foot
    assert "it broke" in b.find(".job-error").text
    b.wait("document.querySelector('.link-state.ended') !== null")
    healthy()


def test_no_request_elsewhere():
    """Whatever was done so far: nothing was asked of another host."""
    hosts = {re.match(r"[a-z]+://([^/?#]+)", u).group(1) for u in b.requests() if not u.startswith(("data:", "about:", "chrome"))}
    assert hosts <= {f"127.0.0.1:{d.port}"}, hosts


def test_history_that_was_lost():
    """When Redis comes back empty the log goes on from the archive under another epoch: the page says so, starts again, and follows."""
    with Joblogd("--drain-time", "500ms", "--segment-age", "1s") as e:
        e.post_lines("lost", lines(300))
        wait_for(lambda: e.job("lost")["archived_upto"] >= 300, 20, "archived")
        b.open("about:blank")
        b.open(f"{e.url}/jobs/default/lost")
        b.wait_row(300)
        b.wait("document.querySelector('.link-state.live') !== null")
        epoch, redis = e.job("lost")["epoch"], e.redis_pid()
        e.kill(signal.SIGKILL)
        os.kill(redis, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{redis}"), 10, "redis is gone")
        shutil.rmtree(os.path.join(e.data, "redis", "appendonlydir"))
        e.start()
        wait_for(lambda: e.get("/v1/jobs/lost").status == 200 and e.job("lost")["epoch"] != epoch, 20, "another epoch")
        seq = e.post_lines("lost", ["after the loss"]).json()["last"]
        assert b.wait_row(seq, deadline_s=40) == "after the loss"
        b.wait("document.querySelector('.link-state.live') !== null")
        numbers = [n for n, _ in b.rows()]
        assert numbers == list(range(numbers[0], seq + 1)), numbers
        b.keys("g")
        b.wait_row(1)
        b.open("about:blank")
    b.problems()
    b.seen.clear()
    b.requests()
    b.asked.clear()
