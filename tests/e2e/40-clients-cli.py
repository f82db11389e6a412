"""tests/e2e/40-clients-cli.py -- the joblog command as a reader: tail, logs, jobs, show, state, rm, completion, help."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from harness import JOBLOG, PATIENCE, Joblogd, free_port, wait_for
from terminal import Terminal

server = None
COMMANDS = "run ship tail logs jobs top show why state stop rm token ping completion rules receivers events".split()


def setup():
    global server
    server = Joblogd()


def teardown():
    if server:
        server.close()


def environment(url=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("JOBLOG_") and k != "NO_COLOR"}
    env.update({"JOBLOG_URL": url or server.url, "TERM": "xterm-256color", **more})
    return env


def cli(*argv, timeout=30, url=None, **env):
    return subprocess.run([JOBLOG, *argv], env=environment(url, **env), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout)


def terminal(*argv, url=None, **more):
    return Terminal(*argv, url=url or server.url, **more)


def end(job, state="COMPLETED", **more):
    server.post(f"/v1/jobs/{job}/logs", b"", {"X-Producer": "p", "X-Epoch": "1", "X-Sequence": "1", "X-Producer-Fin": "0"})
    r = server.event(job, state, **more)
    assert r.status == 200, r


def finished(job, lines, state="COMPLETED", **more):
    server.post("/v1/jobs", {"id": job})
    r = server.post_lines(job, lines)
    assert r.status == 200, r
    end(job, state, **more)


def test_help():
    """Every command explains itself within a screen, with an example; --version names the program."""
    for name in COMMANDS:
        for argv in ([name, "--help"], ["help", name]):
            p = cli(*argv)
            text = p.stdout.decode()
            assert p.returncode == 0 and "example:" in text and f"joblog {name}" in text, (name, text)
            assert len(text.splitlines()) <= 24 and max(map(len, text.splitlines())) <= 80, (name, text)
    assert all(name in cli("--help").stdout.decode() for name in COMMANDS)
    assert len(cli("--help").stdout.splitlines()) <= 24
    assert cli("--version").stdout.startswith(b"joblog ")
    for bad in ([], ["nonsense"], ["tail"], ["tail", "a", "b"], ["tail", "a", "--bad"], ["tail", "bad/id"], ["tail", "x", "-n", "-3"],
                ["logs", "x", "-o", "xml"], ["jobs", "--url", "ftp://x"], ["help", "nothing"]):
        p = cli(*bad)
        assert p.returncode == 2 and p.stderr and not p.stdout, (bad, p)


def test_no_server():
    """Without a server the complaint names the URL and what to do; exit code 5."""
    url = f"http://127.0.0.1:{free_port()}"
    for argv in (["tail", "x"], ["logs", "x"], ["jobs"], ["show", "x"], ["state", "x", "FAILED"], ["rm", "x", "-y"]):
        p = cli(*argv, url=url)
        assert p.returncode == 5 and url.encode() in p.stderr and b"make run" in p.stderr, (argv, p)


def test_unknown_job():
    """A job that does not exist is said to be missing; exit code 5."""
    for argv in (["tail", "nojob", "--wait", "100ms"], ["logs", "nojob"], ["show", "nojob"]):
        p = cli(*argv)
        assert p.returncode == 5 and b"no job nojob" in p.stderr, (argv, p)


def test_tail_exit_codes():
    """tail ends with the job: 0 COMPLETED, 1 FAILED, 3 STOPPED, 4 DEPLOY_FAILED; the verdict is on stderr."""
    for state, code in (("COMPLETED", 0), ("FAILED", 1), ("STOPPED", 3)):
        job = f"exit-{state.lower()}"
        finished(job, ["one", "two"], state, exit_code=7 if state == "FAILED" else 0,
                 message="rank 3 exited with code 7" if state == "FAILED" else "")
        p = cli("tail", job)
        assert (p.returncode, p.stdout) == (code, b"one\ntwo\n"), (state, p)
        assert re.search(rf"joblog: {job} {state} after .*\(2 lines, complete\)", p.stderr.decode()), p.stderr
        if state == "FAILED":
            assert b"rank 3 exited with code 7" in p.stderr, p.stderr
    server.post("/v1/jobs", {"id": "exit-df"})
    end("exit-df", "DEPLOY_FAILED")
    assert cli("tail", "exit-df").returncode == 4


def test_tail_incomplete():
    """A producer that never finished makes the end incomplete: exit code 5, and its name is said."""
    with Joblogd("--drain-time", "1s") as d:
        head = {"X-Producer": "rank-9", "X-Epoch": "1", "X-Sequence": "1"}
        assert d.post_lines("inc", ["a"], headers=head).status == 200
        d.event("inc", "COMPLETED")
        p = cli("tail", "inc", url=d.url)
        assert p.returncode == 5 and b"incomplete" in p.stderr and b"rank-9" in p.stderr, p


def test_tail_follows():
    """tail shows lines as they come, begins N lines back, and waits for a job that is about to be."""
    p = subprocess.Popen([JOBLOG, "tail", "live", "-n", "2", "--wait", "20s"], env=environment(), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    server.post_lines("live", ["a", "b", "c"])
    assert p.stdout.readline() in (b"a\n", b"b\n")
    server.post_lines("live", ["d"])
    while p.stdout.readline() != b"d\n":
        pass
    end("live")
    out, err = p.communicate(timeout=15)
    assert p.returncode == 0 and b"4 lines" in err, (out, err)


def test_tail_interrupted():
    """SIGINT ends tail with 130, at once."""
    server.post_lines("int", ["a"])
    p = subprocess.Popen([JOBLOG, "tail", "int"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline() == b"a\n"
    began = time.monotonic()
    p.send_signal(signal.SIGINT)
    assert p.wait(10) == 130 and time.monotonic() - began < 2 * PATIENCE
    p.stdout.close()
    p.stderr.close()


def test_tail_over_restarts():
    """Over kill -9 and restart of joblogd a tail shows each line once and in order."""
    with Joblogd("--drain-time", "1s") as d:
        d.post_lines("restart", ["0"])
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            p = subprocess.Popen([JOBLOG, "tail", "restart", "-n", "all"], env=environment(d.url), stdout=out, stderr=err)

            def shown():
                out.seek(0)
                return out.read().decode().split()

            n = 1
            for sig in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                wait_for(lambda: len(shown()) == n, 15, f"{n} lines")
                d.restart(sig)
                for _ in range(300):
                    d.post_lines("restart", [str(n)])
                    n += 1
            wait_for(lambda: len(shown()) == n, 15, f"{n} lines")
            d.event("restart", "COMPLETED")
            assert p.wait(20) == 0, (err.seek(0), err.read())
            assert shown() == [str(i) for i in range(n)]


def test_no_reconnect():
    """With --no-reconnect a broken connection ends the tail: exit code 5."""
    with Joblogd() as d:
        d.post_lines("brk", ["a"])
        p = subprocess.Popen([JOBLOG, "tail", "brk", "--no-reconnect"], env=environment(d.url), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        assert p.stdout.readline() == b"a\n"
        d.kill()
        _, err = p.communicate(timeout=15)
        assert p.returncode == 5 and b"connection broke" in err, err


def test_filters():
    """Filters of tail and logs: grep, -q, -i, rank, level, stream, since, -n, order, limit."""
    records = [{"msg": "alpha", "rank": 0, "level": "info", "stream": "stdout", "ts": "2026-01-01T00:00:00Z"},
               {"msg": "Beta 12", "rank": 1, "level": "warn", "stream": "stderr", "ts": "2026-01-02T00:00:00Z"},
               {"msg": "gamma 7", "rank": 2, "level": "error", "stream": "stderr", "ts": "2026-01-03T00:00:00Z"}]
    finished("filters", records)
    for argv, want in ((["--grep", r"[a-z]+ \d"], ["Beta 12", "gamma 7"]), (["-q", "beta", "-i"], ["Beta 12"]), (["-q", "beta"], []),
                       (["--rank", "0,2"], ["alpha", "gamma 7"]), (["--level", "warn"], ["Beta 12", "gamma 7"]),
                       (["--stream", "stdout"], ["alpha"]), (["--since", "2026-01-02T00:00:00Z"], ["Beta 12", "gamma 7"]),
                       (["-n1"], ["gamma 7"]), (["--until", "2026-01-02T00:00:00Z"], ["alpha"]),
                       (["--order", "desc", "--limit", "2"], ["gamma 7", "Beta 12"])):
        p = cli("logs", "filters", "--no-prefix", *argv)
        assert p.returncode == (0 if want else 1) and p.stdout.decode().splitlines() == want, (argv, p)
        if not {"--until", "--order"} & set(argv):
            q = cli("tail", "filters", "--no-prefix", *argv)
            assert q.returncode == 0 and q.stdout.decode().splitlines() == want, (argv, q)
    p = cli("logs", "filters", "--grep", "(")
    assert p.returncode == 2 and p.stderr, p
    p = cli("logs", "filters", "--timestamps", "-n", "1")
    assert p.stdout == b"2026-01-03T00:00:00.000000Z rank 2 | gamma 7\n", p


def test_formats():
    """-o json and ndjson are the canonical records, states included, from tail and logs alike."""
    finished("forms", ["x\u202ey", "z"])
    want = server.records("forms")
    p = cli("tail", "forms", "-n", "all", "-o", "json")
    assert [json.loads(x) for x in p.stdout.splitlines()] == want, p
    p = cli("logs", "forms", "-o", "ndjson")
    assert [json.loads(x) for x in p.stdout.splitlines()] == want, p
    assert json.loads(cli("logs", "forms", "-o", "json").stdout)["logs"] == want


def test_prefix_and_colour():
    """Lines of a job with several ranks carry their rank; colours only on a terminal, or when asked for."""
    finished("ranks", [{"msg": "zero", "rank": 0}, {"msg": "bad", "rank": 1, "level": "error"}])
    assert cli("logs", "ranks").stdout == b"rank 0 | zero\nrank 1 | bad\n"
    assert cli("logs", "ranks", "--no-prefix").stdout == b"zero\nbad\n"
    colored = cli("logs", "ranks", "--color", "always").stdout
    assert b"\x1b[31mbad\x1b[0m" in colored and b"\x1b[38;5;32mrank 0 | \x1b[0mzero" in colored, colored
    t = terminal("tail", "ranks")
    assert b"\x1b[31mbad\x1b[0m" in t.read() and t.wait() == 0, t.seen
    for argv, env in ((["--color", "never", "--no-status"], {}), (["--no-status"], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})):
        t = terminal("tail", "ranks", *argv, **env)
        assert b"\x1b" not in t.read() and b"bad" in t.seen and t.wait() == 0, t.seen


def test_control_sequences_never_reach_the_terminal():
    """On a terminal only colour passes; cursor, title, OSC, C1, bidi and CR are shown; a pipe gets the bytes as they are."""
    evil = ["\x1b[2Jclear", "\x1b]0;title\x07t", "\x1b[31mred", "\x1b[6n", "\u009b2Jc1", "a\u202eb\u2066c", "bell\x07", "tab\tok",
            "\x1b[38;5;200mpink\x1b[0m", "back\x08\x08", "\x1bPdcs\x1b\\", "ключ ok"]
    finished("evil", [{"msg": m} for m in evil])
    for argv in (["tail", "evil", "-n", "all"], ["logs", "evil", "--no-pager"]):
        t = terminal(*argv)
        seen = t.read()
        t.wait()
        rest = re.sub(rb"\x1b\[[0-9;:]*m", b"", seen)
        assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", rest), rest
        text = rest.decode()
        assert not re.search("[\u0080-\u009f\u202a-\u202e\u2066-\u2069]", text), text
        assert rb"\x1b[2Jclear" in rest and rb"\u202e" in rest and "tab\tok" in text and "ключ ok" in text, rest
        assert b"\x1b[31mred\x1b[0m" in seen and b"\x1b[38;5;200mpink" in seen, seen
        plain = terminal(*argv, "--color", "never", *(["--no-status"] if argv[0] == "tail" else []))
        assert b"\x1b" not in plain.read() and b"red" in plain.seen, plain.seen
        plain.wait()
    t = terminal("tail", "evil", "-n", "all", "-o", "json")
    assert b"\x1b" not in t.read() and b"\xe2\x80\xae" not in t.seen
    t.wait()
    piped = cli("logs", "evil").stdout.decode().split("\n")
    assert piped == evil + [""], piped


def test_progress_row():
    """On a terminal a progress bar is one live row, redrawn in place and gone when a line comes; never in a pipe."""
    state = tempfile.mkdtemp(prefix="jl-state-")
    go = os.path.join(state, "go")
    os.mkfifo(go)
    script = f"i=0; while [ $i -lt 8 ]; do printf '\\rstep %d of 8 \\033[2K' $i; sleep 0.2; i=$((i+1)); done; read x < {go}; echo; echo done"
    run = subprocess.Popen([JOBLOG, "run", "--job", "row", "--", "sh", "-c", script], env=environment(XDG_STATE_HOME=state),
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: server.get("/v1/jobs/row").status == 200, 10, "the job")
    t = terminal("tail", "row", "--no-status")
    pipe = subprocess.Popen([JOBLOG, "tail", "row", "-n", "all"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    t.read(lambda seen: len(re.findall(rb"step \d of 8", seen)) >= 2)
    with open(go, "w") as f:
        f.write("x\n")
    seen = t.read()
    assert run.wait(20) == 0 and t.wait() == 0
    rows = re.split(rb"\r\x1b\[2K", seen)
    bars = [r for r in rows[:-1] if b"of 8" in r]
    assert len(bars) >= 2 and not any(b"\n" in r for r in bars[:-1]), rows
    assert seen.replace(b"\r\n", b"\n").rstrip().endswith(b"done"), seen
    out, _ = pipe.communicate(timeout=15)
    assert out.decode().splitlines()[-1] == "done" and len(out.splitlines()) == 2, out
    shutil.rmtree(state)


def test_pipe_to_head():
    """joblog logs J | head -1 ends at once and without a word."""
    for i in range(8):
        server.post_lines("big", ["x" * 200] * 5000)
    p = subprocess.run(["bash", "-c", f"set -o pipefail; {JOBLOG} logs big | head -1 | wc -c; {JOBLOG} tail big -n all | head -1 | wc -c"],
                       env=environment(), capture_output=True, timeout=30)
    assert p.stdout.split() == [b"201", b"201"], p
    assert b"rror" not in p.stderr and b"ipe" not in p.stderr, p.stderr
    assert len(cli("logs", "big").stdout) == 40000 * 201


def test_jobs():
    """jobs lists newest first in 80 columns, filters by state and label, and prints names and JSON."""
    server.post("/v1/jobs", {"id": "lab-1", "labels": {"team": "vision"}, "ranks": 8, "name": "n"})
    server.post("/v1/jobs", {"id": "lab-2", "labels": {"team": "text"}})
    p = cli("jobs")
    rows = p.stdout.decode().splitlines()
    assert rows[0].startswith("JOB") and max(map(len, rows)) <= 80 and rows[1].startswith("lab-2"), rows
    assert cli("jobs", "-l", "team=vision", "-o", "name").stdout == b"lab-1\n"
    assert "lab-1" in cli("jobs", "--state", "created", "-o", "name").stdout.decode().split()
    assert "exit-failed" not in cli("jobs", "--active", "-o", "name", "-n", "500").stdout.decode().split()
    assert len(cli("jobs", "-n", "3", "-o", "name").stdout.split()) == 3
    assert json.loads(cli("jobs", "-n", "1", "-o", "json").stdout)["jobs"][0]["id"] == "lab-2"
    assert cli("jobs", "--state", "sleeping").returncode == 2


def test_show_state_rm():
    """state moves a job and refuses what may not be, show tells its story, rm deletes it after asking."""
    server.post("/v1/jobs", {"id": "story", "labels": {"k": "v"}, "ranks": 2})
    server.post_lines("story", [{"msg": "a", "rank": 0, "level": "warn"}])
    assert cli("state", "story", "running").returncode == 0
    assert cli("state", "story", "TRAINING_JOB_FAILED", "-m", "node lost", "--exit-code", "3", "--rank", "1").returncode == 0
    p = cli("state", "story", "COMPLETED")
    assert p.returncode == 1 and b"cannot become COMPLETED" in p.stderr, p
    assert cli("state", "story", "SLEEPING").returncode == 2
    text = cli("show", "story").stdout.decode()
    for word in ("story", "FAILED", "exit code 3", "node lost", "warn 1", "k=v"):
        assert word in text, (word, text)
    assert json.loads(cli("show", "story", "-o", "json").stdout)["id"] == "story"
    p = cli("rm", "story")
    assert p.returncode == 1 and b"-y" in p.stderr and server.get("/v1/jobs/story").status == 200, p
    t = terminal("rm", "story", err_too=True)
    t.read(lambda seen: b"[y/N]" in seen)
    os.write(t.master, b"y\n")
    t.read()
    assert t.wait() == 0 and server.get("/v1/jobs/story").status == 404
    assert cli("rm", "story", "-y").returncode == 5


def test_deleted_while_tailed():
    """A tail of a job that is deleted says so and ends with 5."""
    server.post_lines("gone", ["a"])
    p = subprocess.Popen([JOBLOG, "tail", "gone"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline() == b"a\n"
    assert cli("rm", "gone", "-y").returncode == 0
    _, err = p.communicate(timeout=15)
    assert p.returncode == 5 and b"deleted" in err, err


def test_completion():
    """The bash completion completes commands, options and the ids of jobs."""
    server.post_lines("compl-job", ["a"])
    script = ("source <(\"$JOBLOG\" completion bash); joblog() { \"$JOBLOG\" \"$@\"; }; "
              "try() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($#-1)); COMPREPLY=(); _joblog; echo \"${COMPREPLY[*]}\"; }; "
              "try joblog ta; try joblog tail --no-; try joblog tail compl; try joblog state compl-job FA")
    p = subprocess.run(["bash", "-c", script], env=environment(JOBLOG=JOBLOG), capture_output=True, timeout=20)
    assert p.stdout.decode().splitlines() == ["tail", "--no-reconnect --no-prefix --no-status", "compl-job", "FAILED"], p
    for shell in ("zsh", "fish"):
        assert b"joblog" in cli("completion", shell).stdout
    assert cli("completion", "tcsh").returncode == 2
