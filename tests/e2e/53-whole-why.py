"""tests/e2e/53-whole-why.py -- the post-mortem over the whole way: real programs, agents, joblogd, archive, joblog why."""
import http.server
import itertools
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from harness import JOBLOG, PATIENCE, ROOT, Joblogd, free_port, joblog, wait_for

PROGRAMS = os.path.join(ROOT, "tests", "corpus", "failures", "programs")
ALONE = True
# Agents of a slow build stamp lines so late that the clocks speak against the rank that was first.
SURE, FIRST = (("certain",), "Rank 2 failed first") if PATIENCE == 1 else (("certain", "likely"), "Rank 2 (most likely )?failed first")
server = None
state_dir = None


def setup():
    global server, state_dir
    state_dir = tempfile.mkdtemp(prefix="jl-state-")
    server = Joblogd("--drain-time", "5s")


def teardown():
    if server:
        server.close()
    shutil.rmtree(state_dir, ignore_errors=True)


def start(job, ranks, *argv):
    """One `joblog run` a rank on programs/train.py."""
    env = {k: v for k, v in os.environ.items() if not re.match(r"JOBLOG_|RANK$|WORLD_SIZE$|SLURM_|OMPI_|LOCAL_RANK$|TORCHELASTIC_", k)}
    env.update(JOBLOG_URL=server.url, XDG_STATE_HOME=state_dir, MASTER_PORT=str(free_port()), PYTHONPATH=PROGRAMS)
    return [subprocess.Popen([JOBLOG, "run", "--job", job, "--ranks", str(ranks), "--quiet", "--", "/usr/bin/python3",
                              os.path.join(PROGRAMS, "train.py"), *argv], env={**env, "RANK": str(r), "WORLD_SIZE": str(ranks)},
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for r in range(ranks)]


def run(job, ranks, *argv):
    for p in start(job, ranks, *argv):
        p.wait(60)
    wait_for(lambda: server.job(job)["sealed"], 20, f"{job} is sealed")


def postmortem(job, query=""):
    r = server.get(f"/v1/jobs/{job}/postmortem?format=json{query}")
    assert r.status == 200, r
    return r.json()


def test_the_first_rank_is_found():
    """Of four real processes the one that failed is named with its error, the others as consequences, with their exits."""
    run("four", 4, "--fail", "value_error@2")
    p = postmortem("four")
    v = p["verdict"]
    assert (v["kind"], v["rank"], v["cause"]) == ("failed", 2, "python_exception") and v["confidence"] in SURE, v
    assert "ValueError: expected input of shape" in v["sentence"], v
    assert [r["status"] for r in p["ranks"]] == ["cascade", "cascade", "failed_first", "cascade"], p["ranks"]
    assert all(r["exit_code"] == 1 and r["exit_at"] for r in p["ranks"]), p["ranks"]
    primary = p["groups"][0]
    assert primary["role"] == "primary" and primary["ranks"] == "2" and primary["text"].startswith("Traceback"), primary
    seq = v["evidence"][0]["seq"]
    assert any(r["seq"] == seq and r["rank"] == 2 for r in server.records("four")), v
    assert p["tails"][0]["rank"] == 2 and p["tails"][0]["lines"][-1]["msg"].startswith("ValueError"), p["tails"][0]
    assert [t["what"] for t in p["timeline"]].count("state") == 2 and p["timeline"][-1]["what"] == "end", p["timeline"]
    assert p["seq"] == server.job("four")["seq"] and p["live"] is False and p["missing"] == [], p["seq"]
    assert sum(map(sum, p["rate"]["lines"])) == server.job("four")["lines"], p["rate"]


def test_killed_without_a_word():
    """A rank that SIGKILL ended is the first though it could say nothing; its peers' connection errors are consequences."""
    run("killed", 3, "--fail", "sigkill@1")
    p = postmortem("killed")
    assert (p["verdict"]["rank"], p["verdict"]["cause"]) == (1, "sigkill"), p["verdict"]
    assert p["ranks"][1]["signal"] == "SIGKILL" and {c["cause"]: c["role"] for c in p["causes"]}["connection"] == "cascade", p["causes"]


def test_harmless_errors_blame_nobody():
    """A job that logged tracebacks, went on and completed is completed."""
    run("healthy", 2, "--handled", "1:3", "--steps", "40", "--pace", "0.02")
    v = postmortem("healthy")["verdict"]
    assert v["kind"] == "completed" and v["rank"] is None and "none ended it" in v["sentence"], v


def test_same_after_archive_and_restart():
    """The verdict of a job is the same from the archive after a restart, and without its digest file."""
    before = postmortem("four")
    wait_for(lambda: server.job("four")["archived_upto"] == server.job("four")["seq"], 20, "archived")
    server.restart()
    after = postmortem("four")
    for name in ("verdict", "causes", "timeline", "groups", "tails", "rate", "seq"):
        assert before[name] == after[name], (name, before[name], after[name])
    folder = os.path.join(server.data, "archive", "default", "four")
    os.unlink(os.path.join(folder, "digest"))
    server.restart()
    assert postmortem("four")["verdict"] == before["verdict"]


def test_a_running_job_is_not_failed():
    """While it runs and talks the answer is running, with its step; no rank is blamed."""
    procs = start("live", 2, "--steps", "2000", "--pace", "0.02")
    try:
        wait_for(lambda: server.get("/v1/jobs/live").status == 200 and server.job("live")["lines"] > 20, 20, "it talks")
        p = postmortem("live")
        assert p["live"] is True and p["verdict"]["kind"] == "running" and p["verdict"]["rank"] is None, p["verdict"]
        assert p["ranks"][0]["status"] == "running" and p["ranks"][0]["silent_s"] < 10 and p["hung"] is None, p["ranks"]
    finally:
        for p in procs:
            p.kill()
            p.wait()


def test_stopped_and_never_deployed():
    """A stopped job did not fail, one that was never deployed says why; a job without lines is answered."""
    server.post("/v1/jobs", {"id": "pull", "ranks": 2})
    v = postmortem("pull")["verdict"]
    assert v["kind"] == "running" and "no line" in v["sentence"], v
    server.event("pull", "DEPLOYING")
    server.event("pull", "DEPLOY_FAILED", message="ErrImagePull: manifest unknown")
    v = postmortem("pull")["verdict"]
    assert (v["kind"], v["cause"]) == ("deploy_failed", "bad_image") and "manifest unknown" in v["sentence"], v
    server.post_lines("stop", ["a"])
    server.event("stop", "STOPPED", message="by ada")
    v = postmortem("stop")["verdict"]
    assert v["kind"] == "stopped" and "by ada" in v["sentence"], v


def test_forms():
    """JSON, markdown and HTML by format or Accept; what cannot be given is 406, a mistake 400, a missing job 404."""
    def of(accept):
        return server.get("/v1/jobs/four/postmortem", {"Accept": accept}).headers["content-type"]
    assert of("*/*") == "application/json" and of("text/html,application/xhtml+xml,*/*;q=0.8").startswith("text/html")
    assert of("text/markdown").startswith("text/markdown") and of("text/*;q=0.5, application/json;q=0.4").startswith("text/html")
    assert server.get("/v1/jobs/four/postmortem", {"Accept": "image/png"}).status == 406
    md = server.get("/v1/jobs/four/postmortem?format=markdown").text
    assert re.match(r"# Post-mortem of four\n\n\*\*" + FIRST, md), md[:200]
    for query in ("format=pdf", "ranks=x", "lines=41", "wat=1"):
        assert server.get(f"/v1/jobs/four/postmortem?{query}").status == 400, query
    assert server.get("/v1/jobs/nobody/postmortem").status == 404
    short = postmortem("four", "&ranks=1&groups=1&lines=0")
    assert len(short["ranks"]) == 1 and short["ranks"][0]["rank"] == 2 and short["ranks_omitted"] == 3, short["ranks"]
    assert len(short["groups"]) == 1 and all(t["lines"] == [] for t in short["tails"]), short["tails"]


def test_hostile_lines():
    """Markup, escapes and bidi marks of a job stay text in the page, whose policy allows no script and no fetch."""
    evil = "ValueError: </pre><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[2J \u202e\x00 \"onload='x' ```"
    server.post_lines("evil", [{"msg": evil, "rank": 0, "level": "error"}, {"msg": evil * 300, "rank": 1, "level": "error"}])
    server.event("evil", "FAILED", message=evil, rank=0, exit_code=1)
    r = server.get("/v1/jobs/evil/postmortem?format=html")
    assert r.status == 200 and "default-src 'none'" in r.headers["content-security-policy"], r.headers
    assert r.headers["x-content-type-options"] == "nosniff"
    page = r.text
    assert "<script" not in page and "<img" not in page and "&lt;script&gt;" in page
    assert "\x1b" not in page and "\u202e" not in page and "\0" not in page
    assert "\x1b" not in server.get("/v1/jobs/evil/postmortem?format=markdown").text
    answer = server.get("/v1/jobs/evil/postmortem?format=json").text
    assert json.loads(answer)["verdict"]["sentence"] and "\\u0000" not in answer
    assert json.loads(answer)["tails"][0]["lines"][-1]["msg"].endswith("onload='x' ```"), "what stands after a NUL is there"
    out = joblog("why", "evil", url=server.url)
    assert out.returncode == 0 and "\x1b" not in out.stdout and "\u202e" not in out.stdout, out


def test_the_command():
    """joblog why prints the verdict first, whole and plain into a pipe; other forms as they are; exit codes as documented."""
    out = joblog("why", "four", url=server.url)
    assert out.returncode == 0 and re.match(FIRST, out.stdout), out
    assert "\x1b" not in out.stdout and "the error, rank 2, line" in out.stdout and "Traceback" in out.stdout, out.stdout
    assert json.loads(joblog("why", "four", "-o", "json", url=server.url).stdout)["verdict"]["rank"] == 2
    assert joblog("why", "four", "-o", "markdown", url=server.url).stdout.startswith("# Post-mortem")
    assert joblog("why", "four", "-o", "html", url=server.url).stdout.startswith("<!doctype html>")
    assert "\x1b[" in joblog("why", "four", "--color", "always", url=server.url).stdout
    assert joblog("why", "nobody", url=server.url).returncode == 5
    assert joblog("why", url=server.url).returncode == 2
    assert joblog("why", "four", url=f"http://127.0.0.1:{free_port()}").returncode == 5


def test_a_busy_server_is_asked_again():
    """joblog why asks a server that is busy (503, 429 with Retry-After) again a few times; one that stays busy is told of, Ctrl-C ends the wait."""
    answer = server.get("/v1/jobs/four/postmortem?format=json").body
    asked = []

    class Busy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status = next(states)
            body = answer if status == 200 else b'{"code":"busy","message":"16 post-mortems are being made"}'
            self.send_response(status)
            if status != 200:
                self.send_header("Retry-After", "0" if status == 503 else "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as busy:
        threading.Thread(target=busy.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{busy.server_port}"
        states = iter([503, 429, 503, 200])
        out = joblog("why", "four", url=url)
        assert out.returncode == 0 and re.match(FIRST, out.stdout) and len(asked) == 4 and not out.stderr, (out, asked)
        states = itertools.repeat(503)
        out = joblog("why", "four", url=url)
        assert out.returncode == 5 and out.stderr.count("\n") == 1 and "16 post-mortems" in out.stderr and len(asked) == 4 + 6, (out, len(asked))
        states = itertools.repeat(429)
        p = subprocess.Popen([JOBLOG, "why", "four"], env={**os.environ, "JOBLOG_URL": url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for(lambda: len(asked) > 10, 30, "it asked")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=30)
        assert p.returncode == 130 and not out and not err, (p.returncode, out, err)
        busy.shutdown()


def on_terminal(columns, *argv, **env):
    """joblog on a pseudo-terminal of so many columns; what it writes."""
    pid, fd = pty.fork()
    if pid == 0:
        e = {k: v for k, v in os.environ.items() if not k.startswith("JOBLOG_") and k != "NO_COLOR"}
        e.update(JOBLOG_URL=server.url, TERM="xterm-256color", JOBLOG_PAGER="", **env)
        subprocess.run(["stty", "cols", str(columns), "rows", "50"], check=False)
        os.execve(JOBLOG, [JOBLOG, *argv], e)
    data = b""
    while True:
        try:
            part = os.read(fd, 65536)
        except OSError:
            break
        if not part:
            break
        data += part
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, data
    return data.decode().replace("\r\n", "\n")


def test_on_a_terminal():
    """At 80 and 200 columns no row is wider; colour on a terminal, none with NO_COLOR."""
    for columns in (80, 200):
        text = on_terminal(columns, "why", "four")
        assert re.search("\x1b\\[1;31m" + FIRST, text), text[:200]
        rows = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")
        assert max(map(len, rows)) <= columns, max(rows, key=len)
        assert any(len(r) > 80 for r in rows) == (columns > 80)
    assert "\x1b" not in on_terminal(80, "why", "four", NO_COLOR="1")


def test_askers_that_go_away():
    """Askers that hang up at any moment leave nothing behind; too many at once are told to come again."""
    question = b"GET /v1/jobs/four/postmortem?format=html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for i in range(60):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(question)
            s.settimeout(0.001 * (i % 12) + 0.0001)
            try:
                s.recv(1)
            except TimeoutError:
                pass
    wait_for(lambda: server.get("/v1/jobs/four/postmortem").status == 200, 10, "it is answered again")
    many = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    for s in many:
        s.sendall(question)
    answers = [s.makefile("rb").read() for s in many]
    for s in many:
        s.close()
    codes = [a[9:12] for a in answers]
    assert set(codes) <= {b"200", b"503"} and b"200" in codes, codes
    assert all(b"retry-after" in a.lower() for a in answers if a[9:12] == b"503"), codes


def test_a_burst_of_a_running_job():
    """Right after a burst a running job is answered at once, of what was read so far, and says how much not; soon of all of it. joblog why waits for
    that, and nobody is called silent meanwhile; the answer to a job that has ended knows every line."""
    body = "".join(json.dumps({"msg": f"step={i} loss={2.5 - i / 1e6:.4f} lr=3e-4", "rank": i % 8}) + "\n" for i in range(50000))
    head = {"Content-Type": "application/x-ndjson"}
    for _ in range(10):
        assert server.post("/v1/jobs/burst/logs", body, head, timeout=60).status == 200
    server.post_lines("burst", [{"msg": "OSError: [Errno 28] No space left on device", "rank": 5, "level": "error", "stream": "stderr"}])
    seq, seen = server.job("burst")["seq"], []

    def all_of_it():
        p = postmortem("burst")
        seen.append(p)
        return p["behind"] == 0

    wait_for(all_of_it, 60, "all lines were read")
    assert all(p["seq"] + p["behind"] == seq for p in seen) and seen[-1]["seq"] == seq, [(p["seq"], p["behind"]) for p in seen]
    assert [p["seq"] for p in seen] == sorted(p["seq"] for p in seen) and not any(p["verdict"]["kind"] == "hung" for p in seen)
    for _ in range(10):
        assert server.post("/v1/jobs/burst/logs", body, head, timeout=60).status == 200
    out = joblog("why", "burst", "-o", "json", url=server.url)
    assert out.returncode == 0 and json.loads(out.stdout)["seq"] == server.job("burst")["seq"], out.stdout[:300]
    assert server.post("/v1/jobs/burst/logs", body, head, timeout=60).status == 200
    server.event("burst", "FAILED", rank=5, exit_code=1)
    p = postmortem("burst")
    assert p["behind"] == 0 and p["seq"] == server.job("burst")["seq"], (p["seq"], p["behind"])


def test_many_lines():
    """Of a hundred thousand archived lines the verdict is there at once: the log is not read."""
    lines = [{"msg": f"step={i} loss={2.5 - i / 1e6:.4f} lr=3e-4 tokens/s=41000", "rank": i % 8} for i in range(20000)]
    for _ in range(5):
        assert server.post_lines("long", lines, timeout=60).status == 200
    server.post_lines("long", [{"msg": "OSError: [Errno 28] No space left on device", "rank": 5, "level": "error", "stream": "stderr"}])
    server.event("long", "FAILED", rank=5, exit_code=1)
    wait_for(lambda: (lambda j: j["sealed"] and j["archived_upto"] == j["seq"])(server.job("long")), 60, "archived")
    p = postmortem("long")
    assert (p["verdict"]["rank"], p["verdict"]["cause"]) == (5, "disk_full"), p["verdict"]
    times = sorted(postmortem("long")["computed_ms"] for _ in range(3))
    assert times[0] < 250 * PATIENCE, times
