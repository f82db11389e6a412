"""tests/e2e/44-clients-top.py -- joblog top: live jobs as one table in a pipe, as a screen through a pty and in tmux."""
import contextlib
import os
import re
import subprocess
import threading

from harness import JOBLOG, Joblogd, free_port, wait_for
from terminal import Terminal, Tmux, environment

server = None
SLOW_S = 60


def setup():
    global server
    server = Joblogd()


def teardown():
    if server:
        server.close()


def cli(*argv, url=None, **env):
    return subprocess.run([JOBLOG, *argv], env=environment(url or server.url, **env), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=SLOW_S)


def live(job, project=None, ranks=None, labels=None):
    body = {"id": job, **({"project": project} if project else {}), **({"ranks": ranks} if ranks else {}), "labels": labels or {}}
    assert server.post("/v1/jobs", body).status == 201, job
    r = server.post(f"/v1/jobs/{job}/events" + (f"?project={project}" if project else ""), {"state": "RUNNING"})
    assert r.status == 200, r


def steps(job, of_rank, project=None):
    where = f"?project={project}" if project else ""
    r = server.post_lines(job, [{"msg": f"step={n} loss=2.5", "rank": rank} for rank, n in of_rank.items()], where)
    assert r.status == 200, r


def end(job, state="STOPPED", project=None):
    r = server.post(f"/v1/jobs/{job}/events" + (f"?project={project}" if project else ""), {"state": state})
    assert r.status == 200, r


def table(*argv, **env):
    """{job: {title: cell}} of what stands in a pipe, and the order of the jobs."""
    p = cli("top", *argv, **env)
    assert p.returncode == 0 and not p.stderr, p
    head, *rows = p.stdout.splitlines()
    titles = re.findall(r"\S+", head)
    cells = [re.split(r"\s{2,}", r.strip()) for r in rows]
    assert all(len(c) == len(titles) for c in cells), p.stdout
    return {c[0]: dict(zip(titles, c)) for c in cells}, [c[0] for c in cells]


@contextlib.contextmanager
def jobs():
    """Three live jobs of two projects, and one that has ended."""
    live("alpha", ranks=4)
    steps("alpha", {0: 1200, 1: 1200, 2: 1188})
    live("beta", project="vision", labels={"team": "red"})
    steps("beta", {0: 7, 1: 7}, "vision")
    live("gamma")
    live("over")
    end("over")
    try:
        yield
    finally:
        for job, project in (("alpha", None), ("beta", "vision"), ("gamma", None)):
            end(job, project=project)
            server.request("DELETE", f"/v1/jobs/{job}" + (f"?project={project}" if project else ""))
        server.request("DELETE", "/v1/jobs/over")


def test_a_pipe_gets_one_table():
    """In a pipe: one plain table of all live jobs and an end; what is not known is a dash."""
    with jobs():
        seen, order = table()
        assert order == ["gamma", "beta", "alpha"], order  # newest first
        a, b, g = seen["alpha"], seen["beta"], seen["gamma"]
        assert (a["PROJECT"], a["STATE"], a["RANKS"], a["STEP"], a["SLOWEST"]) == ("default", "RUNNING", "3/4", "1,200", "r2 -12"), a
        assert (b["PROJECT"], b["RANKS"], b["STEP"], b["SLOWEST"]) == ("vision", "2/2", "7", "="), b
        assert (g["RANKS"], g["STEP"], g["SLOWEST"], g["SILENT"], g["DONE"]) == ("-", "-", "-", "-", "-"), g
        for row in seen.values():
            assert re.fullmatch(r"(\d+[smhd])+", row["AGE"]) and row["LINES/S"] == "0", row
        assert re.fullmatch(r"(\d+[smhd])+", a["SILENT"]), a
        assert "\x1b" not in cli("top").stdout and "\x1b[" in cli("top", "--color", "always").stdout


def test_order_and_choice():
    """--sort and -R put the rows in order, what is not known always last; projects and labels choose."""
    with jobs():
        for argv, want in ((["--sort", "job"], ["alpha", "beta", "gamma"]), (["--sort", "job", "-R"], ["gamma", "beta", "alpha"]),
                           (["--sort", "ranks"], ["alpha", "beta", "gamma"]), (["--sort", "ranks", "-R"], ["beta", "alpha", "gamma"]),
                           (["--sort", "step"], ["alpha", "beta", "gamma"]), (["--sort", "step", "-R"], ["beta", "alpha", "gamma"]),
                           (["--sort", "slowest"], ["alpha", "beta", "gamma"]), (["--sort", "silent"], ["alpha", "beta", "gamma"]),
                           (["--sort", "project"], ["gamma", "alpha", "beta"]), (["--sort", "age", "-R"], ["alpha", "beta", "gamma"]),
                           (["--project", "vision"], ["beta"]), (["-l", "team=red"], ["beta"]), (["-l", "team=blue"], [])):
            order = table("--interval", "200ms", *argv)[1]
            assert order == want, (argv, order)


def test_rate_and_bar():
    """LINES/S is what comes in now, DONE what the progress bar of a rank says while it moves."""
    live("busy")
    stop = threading.Event()

    def write():
        while not stop.wait(0.02):
            server.post_lines("busy", ["x"] * 20, "?rank=0")

    bar = subprocess.Popen([JOBLOG, "run", "--quiet", "--job", "bar", "--rank", "0", "--ranks", "1", "--", "bash", "-c",
                            r"for i in $(seq 900); do printf '\r 42%%|####      | 42/100 [00:10<00:12, %d.50it/s]' $i; sleep 0.1; done"],
                           env=environment(server.url), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    writer = threading.Thread(target=write)
    writer.start()
    try:  # a bar that does not change is not sent again
        wait_for(lambda: table()[0]["busy"]["LINES/S"].replace(",", "") > "0", SLOW_S, "lines a second")
        wait_for(lambda: table()[0].get("bar", {}).get("DONE") == "42%", SLOW_S, "a bar's percentage")
        row = table()[0]["bar"]
        assert row["RANKS"] == "1/1" and row["SILENT"] in ("0s", "1s", "2s", "3s", "4s"), row
    finally:
        stop.set()
        writer.join()
        bar.terminate()
        bar.wait(SLOW_S)
        end("busy")
        for job in ("busy", "bar"):
            server.request("DELETE", f"/v1/jobs/{job}")


def test_mistakes_and_absence():
    """Words that are none are 2, a server that is not there or wants a token is 5 and said once."""
    for argv in (["--sort", "beauty"], ["-l", "x"], ["--interval", "1ms"], ["operand"], ["--color", "pink"]):
        p = cli("top", *argv)
        assert p.returncode == 2 and p.stderr and not p.stdout, (argv, p)
    p = cli("top", url=f"http://127.0.0.1:{free_port()}")
    assert p.returncode == 5 and p.stderr.count("\n") == 1 and "cannot reach" in p.stderr, p
    with Joblogd() as closed:
        closed.close_doors()
        p = cli("top", url=closed.url)
        assert p.returncode == 5 and "JOBLOG_TOKEN" in p.stderr, p
        reader = closed.make_token("read", "default")["token"]
        p = cli("top", url=closed.url, JOBLOG_TOKEN=reader)
        assert p.returncode == 0 and p.stdout.split()[0] == "JOB", p
    p = cli("top")
    assert p.returncode == 0 and len(p.stdout.splitlines()) == 1, p


def row_of(rows, job):
    return next((r for r in rows if r.split()[:1] == [job]), "")


def test_a_screen_at_80_and_200_columns():
    """On a terminal: fits 80 and 200 columns, is drawn anew as jobs come, change and end; keys sort, q leaves as it was before."""
    with jobs(), Tmux(80, 24) as screen:
        screen.shell(server.url)
        screen.keys("joblog top --interval 300ms; echo code=$?", "Enter")
        rows = screen.wait(lambda rows: "3/4" in row_of(rows, "alpha") and "1,200" in row_of(rows, "alpha"), SLOW_S)
        assert "3 live jobs" in rows[0] and "by AGE" in rows[0] and rows[1].split()[0] == "JOB", rows
        assert all(len(r) < 80 for r in rows) and "q quit" in rows[-1], rows
        assert {"STATE", "RANKS", "LINES/S", "STEP", "SILENT"} <= set(rows[1].split()), rows[1]
        screen.resize(200, 24)
        rows = screen.wait(lambda rows: "SLOWEST" in rows[1] and "silent" in rows[-1], SLOW_S)
        assert "r2 -12" in row_of(rows, "alpha") and "vision" in row_of(rows, "beta"), rows
        screen.keys("j")
        screen.wait(lambda rows: [r.split()[0] for r in rows[2:5]] == ["alpha", "beta", "gamma"] and "by JOB" in rows[0], SLOW_S)
        screen.keys("R")
        screen.wait(lambda rows: [r.split()[0] for r in rows[2:5]] == ["gamma", "beta", "alpha"] and "reversed" in rows[0], SLOW_S)
        live("delta", ranks=2)
        screen.wait(lambda rows: "0/2" in row_of(rows, "delta") and "4 live jobs" in rows[0], SLOW_S)
        end("delta")
        screen.wait(lambda rows: not row_of(rows, "delta") and "3 live jobs" in rows[0], SLOW_S)
        screen.keys("C-z")
        screen.wait(lambda rows: "Stopped" in "\n".join(rows) and rows[-1] == "$", SLOW_S)
        screen.keys("fg; echo code=$?", "Enter")
        screen.wait(lambda rows: "3 live jobs" in rows[0], SLOW_S)
        screen.keys("q")
        rows = screen.wait(lambda rows: any(r == "code=0" for r in rows), SLOW_S)
        assert not row_of(rows, "alpha"), rows  # the screen of before is back
        screen.keys("stty -a | grep -c ' echo '", "Enter")
        screen.wait(lambda rows: "1" in rows, SLOW_S)


def test_more_jobs_than_rows():
    """More jobs than fit are counted, and reached with the arrows; at 80 columns long names lose their middle."""
    names = [f"a-run-with-a-name-that-is-far-too-long-for-eighty-columns-{i:02d}" for i in range(30)]
    for n in names:
        live(n)
    with Tmux(80, 24) as screen:
        screen.run("joblog top --sort job --interval 300ms", url=server.url)
        rows = screen.wait(lambda rows: "0 above, 10 below" in "\n".join(rows), SLOW_S)
        assert len(rows) == 24 and all(len(r) < 80 for r in rows) and re.match(r"a-run-.*….*columns-00 ", rows[2]), rows
        screen.keys("Down")
        screen.wait(lambda rows: "1 above, 9 below" in "\n".join(rows) and "-01 " in rows[2], SLOW_S)
        screen.keys("End")
        screen.wait(lambda rows: "10 above, 0 below" in "\n".join(rows), SLOW_S)
        screen.keys("Home")
        screen.wait(lambda rows: "0 above, 10 below" in "\n".join(rows), SLOW_S)
        screen.resize(40, 8)
        screen.wait(lambda rows: len(rows) <= 8 and all(len(r) < 40 for r in rows) and "26 below" in "\n".join(rows), SLOW_S)
        screen.keys("q")
        wait_for(screen.is_dead, SLOW_S, "the command's end")
    for n in names:
        end(n)
        server.request("DELETE", f"/v1/jobs/{n}")


def test_colours_and_a_server_that_goes():
    """NO_COLOR draws without colour; a server that goes away is told, and its jobs are back when it is."""
    with Joblogd() as mine:
        mine.post("/v1/jobs", {"id": "only", "ranks": 2})
        mine.event("only", "RUNNING")
        for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "xterm-16color"}, True)):
            t = Terminal("top", url=mine.url, columns=120, **env)
            t.read(lambda seen: b"0/2" in seen, SLOW_S)
            assert (re.search(rb"\x1b\[[\d;]+m", t.seen) is not None) == coloured, (env, t.seen)
            assert t.seen.startswith(b"\x1b[?1049h\x1b[?25l"), t.seen
            t.type(b"q")
            t.read(deadline_s=SLOW_S)
            assert t.wait() == 0 and t.seen.endswith(b"\x1b[?25h\x1b[?1049l"), t.seen[-200:]
        t = Terminal("top", url=mine.url)
        t.read(lambda seen: b"0/2" in seen, SLOW_S)
        t.type(b"\x03")
        t.read(deadline_s=SLOW_S)
        assert t.wait() == 130 and t.seen.endswith(b"\x1b[?25h\x1b[?1049l"), t.seen[-200:]
        dumb = Terminal("top", url=mine.url, TERM="dumb")
        dumb.read(deadline_s=SLOW_S)
        assert dumb.wait() == 0 and b"\x1b" not in dumb.seen and b"only" in dumb.seen, dumb.seen
        t = Terminal("top", "--interval", "300ms", url=mine.url, columns=160, NO_COLOR="1")
        t.read(lambda seen: b"0/2" in seen, SLOW_S)
        mine.kill()
        t.read(lambda seen: b"no answer for" in seen, SLOW_S)
        t.seen = b""
        mine.start()
        t.read(lambda seen: b"no answer" not in seen[-2500:] and b"0/2" in seen[-2500:], SLOW_S)
        t.type(b"q")
        t.read(deadline_s=SLOW_S)
        assert t.wait() == 0


def test_help_and_completion():
    """top is in the help of all commands, the completions, and explains its columns in the manual."""
    assert "  top " in cli("--help").stdout
    for shell in ("bash", "zsh", "fish"):
        text = cli("completion", shell).stdout
        assert "top" in text and "interval" in text and ("silent" in text or shell != "fish"), shell
    page = open(os.path.join(os.path.dirname(__file__), "../../docs/man/joblog.1")).read()
    for word in (".SS top", "LINES/S", "SLOWEST", "SILENT", "DONE", "RANKS"):
        assert word in page, word
