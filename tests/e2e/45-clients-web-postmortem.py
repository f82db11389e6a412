"""tests/e2e/45-clients-web-postmortem.py -- the post-mortem on the page: verdict, evidence, ranks, errors, and the way back into the log."""
from browser import Browser, need
from harness import Joblogd, wait_for

d = b = None
TRACE = ["Traceback (most recent call last):", '  File "/app/train.py", line 412, in <module>', "    main()", '  File "/app/train.py", line 398, in main',
         "    loss = step(model, batch)", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. <b>GPU</b> 3"]
T0 = 1764000000


def setup():
    global d, b
    need()
    d = Joblogd("--drain-time", "500ms")
    d.post("/v1/jobs", {"id": "dead", "ranks": 4})
    d.event("dead", "RUNNING")
    d.post_lines("dead", [{"msg": f"step={i} loss={9 - i / 100:.3f}", "rank": i % 4, "ts": T0 + i / 4} for i in range(400)])
    d.post_lines("dead", [{"msg": m, "rank": 3, "stream": "stderr", "ts": T0 + 101 + i / 1e4, "level": "error"} for i, m in enumerate(TRACE)])
    d.post_lines("dead", [{"msg": f"[rank{r}]:[E1123 20:54:01.000 ProcessGroupNCCL.cpp:629] [Rank {r}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1187, "
                           "OpType=ALLREDUCE, NumelIn=26214400, Timeout(ms)=2000) ran for 2004 milliseconds before timing out.", "rank": r, "level": "error",
                           "stream": "stderr", "ts": T0 + 110 + r / 100} for r in (0, 1, 2)])
    d.event("dead", "FAILED", exit_code=1, rank=3, message="rank 3: exit code 1")
    wait_for(lambda: d.job("dead")["sealed"], what="sealed")
    b = Browser()


def teardown():
    if b:
        b.close()
    if d:
        d.close()


def healthy():
    problems = b.problems(but=("/nodes",))
    assert not problems, problems


def open_postmortem(job="dead"):
    b.open("about:blank")
    b.open(f"{d.url}/jobs/default/{job}?tab=postmortem")
    b.wait("document.querySelector('.verdict') !== null")


def test_the_verdict():
    """The first thing said is who failed first, with what, and how sure; every line it names leads into the log."""
    open_postmortem()
    said = d.get("/v1/jobs/dead/postmortem").json()
    assert b.find(".verdict .sentence").text == said["verdict"]["sentence"]
    assert said["verdict"]["rank"] == 3 and "rank 3" in b.find(".verdict-facts").text
    head = b.js("document.querySelector('.verdict .sentence').getBoundingClientRect().bottom")
    assert head < 500, "without scrolling"
    text = b.find(".postmortem").text
    for word in ("CUDA out of memory", "consequence", "What happened", "Ranks", "Errors", "<b>GPU</b>"):
        assert word in text, word
    seq = said["verdict"]["evidence"][0]["seq"]
    b.click(".evidence .line-link")
    b.wait_row(seq)
    assert b.js("document.querySelector('.row.is-selected').dataset.seq") == str(seq)
    assert b.js("location.hash") == f"#L{seq}" and "tab=" not in b.js("location.search")
    b.js("history.back()")
    b.wait("document.querySelector('.verdict') !== null", what="back is back")
    healthy()


def test_ranks_and_groups():
    """Ranks are listed, the one that failed first above; one leads to its lines; errors are groups with counts."""
    open_postmortem()
    rows = b.js("[...document.querySelectorAll('.postmortem tbody tr')].map(r => r.innerText.replace(/\\s+/g, ' '))")
    assert len(rows) == 4 and "rank 3" in rows[0] and "failed first" in rows[0], rows
    groups = b.js("[...document.querySelectorAll('.group-title')].map(g => g.parentElement.innerText.replace(/\\s+/g, ' '))")
    assert any("OutOfMemoryError" in g and "×1" in g for g in groups) and any("Watchdog" in g and "×3" in g for g in groups), groups
    b.js("[...document.querySelectorAll('.sort')].find(s => s.textContent === 'Rank').click()")
    b.wait("document.querySelector('.postmortem tbody tr').innerText.includes('rank 0')")
    b.js("document.querySelector('.postmortem tbody .rank-button').click()")
    b.wait("document.querySelectorAll('.row.line').length > 5 && [...document.querySelectorAll('.row.line .rank')].every(r => r.textContent === '0')")
    healthy()


def test_out_of_the_page():
    """It is copied as Markdown and saved as HTML, as the server makes them."""
    open_postmortem()
    b.run("Object.defineProperty(navigator, 'clipboard', {value: {writeText: async t => { window.copied = t }}}); HTMLAnchorElement.prototype.click = function () { window.saved = [this.getAttribute('href'), this.download] }")
    b.js("[...document.querySelectorAll('.verdict button')].find(x => x.textContent.includes('Markdown')).click()")
    text = b.wait("window.copied")
    assert "Rank 3" in text and text.lstrip().startswith("#"), text[:200]
    b.js("[...document.querySelectorAll('.verdict button')].find(x => x.textContent.includes('HTML')).click()")
    href, name = b.wait("window.saved")
    assert name == "dead-postmortem.html" and d.get(href).text.lstrip().lower().startswith("<!doctype html")
    healthy()


def test_a_running_job():
    """Of a running job it says how it goes, and goes on saying it."""
    d.post("/v1/jobs", {"id": "well", "ranks": 2})
    d.event("well", "RUNNING")
    d.post_lines("well", [{"msg": f"step={i} loss=1", "rank": i % 2} for i in range(50)])
    open_postmortem("well")
    assert "running" in b.find(".verdict").text.lower()
    assert "the job goes on" in b.find(".postmortem").text
    healthy()


def test_newer_lines_are_being_read():
    """An answer that was made in the middle of a burst says how many newer lines it does not know, and is asked for again at once."""
    d.post("/v1/jobs", {"id": "burst", "ranks": 1})
    d.event("burst", "RUNNING")
    d.post_lines("burst", ["step=1 loss=1"])
    b.open("about:blank")
    b.open(f"{d.url}/jobs/default/burst")
    b.wait("document.querySelector('.row') !== null")
    b.js("""(() => {
        const real = window.fetch; let asked = 0;
        window.fetch = async (path, options) => {
            const r = await real(path, options);
            if (!String(path).includes('/postmortem')) return r;
            const said = await r.json();
            window.asked = ++asked;
            return new Response(JSON.stringify({ ...said, behind: asked < 3 ? 12345 : 0 }), { status: r.status, headers: r.headers });
        }; })()""")
    b.click("[data-tab=postmortem]")
    b.wait("document.querySelector('.postmortem') !== null && document.querySelector('.postmortem').innerText.includes('12,345 newer lines are being read')")
    b.wait("window.asked >= 3 && !document.querySelector('.postmortem').innerText.includes('newer lines')")
    healthy()
