"""tests/e2e/41-clients-run.py -- joblog run and joblog ship: exactly once, whatever happens to the server."""
import asyncio
import contextlib
import http.server
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from harness import JOBLOG, PATIENCE, Joblogd, free_port, joblog, wait_for

server = None
state_dir = None


def setup():
    global server, state_dir
    state_dir = tempfile.mkdtemp(prefix="jl-state-")
    server = Joblogd()


def teardown():
    if server:
        server.close()
    shutil.rmtree(state_dir, ignore_errors=True)


def environment(url=None, **more):
    env = {k: v for k, v in os.environ.items()
           if not re.match(r"JOBLOG_|RANK$|WORLD_SIZE$|SLURM_|OMPI_|LOCAL_RANK$|TORCHELASTIC_", k)}
    env.update({"JOBLOG_URL": url or server.url, "XDG_STATE_HOME": state_dir, **more})
    return env


def run(*argv, url=None, timeout=60, input=None, **env):
    """joblog run … to its end; CompletedProcess with bytes."""
    return subprocess.run([JOBLOG, *argv], env=environment(url, **env), input=input, stdin=subprocess.DEVNULL if input is None else None,
                          capture_output=True, timeout=timeout)


def start(*argv, url=None, **env):
    return subprocess.Popen([JOBLOG, *argv], env=environment(url, **env), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def lines_of(job, d=None):
    return [r for r in (d or server).records(job) if "state" not in r]


def states_of(job, d=None):
    return [r["state"].replace("TRAINING_JOB_", "") for r in (d or server).records(job) if "state" in r]


def spools():
    return [p for p, _, files in os.walk(state_dir) if "meta.json" in files]


def test_passes_output_through_and_ships_it():
    """Output of both streams passes through byte for byte and is the job's log, in order."""
    p = run("run", "--job", "basic", "--", "sh", "-c", r"printf 'a\tb\n\033[31mred\033[0m\n'; echo err >&2; printf 'no end'")
    assert (p.returncode, p.stdout, p.stderr) == (0, b"a\tb\n\x1b[31mred\x1b[0m\nno end", b"err\n"), p
    got = lines_of("basic")
    assert [r["msg"] for r in got if r["stream"] == "stdout"] == ["a\tb", "\x1b[31mred\x1b[0m", "no end"], got
    assert [r["msg"] for r in got if r["stream"] == "stderr"] == ["err"], got
    assert states_of("basic")[-2:] == ["RUNNING", "COMPLETED"]
    assert server.job("basic")["complete"] is True
    assert spools() == []


def test_exit_codes():
    """joblog run exits as the command did: its code, 128 + signal, 127 for none, 126 for one that may not run."""
    assert run("run", "--job", "e7", "--", "sh", "-c", "exit 7").returncode == 7
    assert run("run", "--job", "ek", "--", "sh", "-c", "kill -9 $$").returncode == 137
    assert run("run", "--job", "en", "--", "/no/such/command").returncode == 127
    assert run("run", "--job", "ed", "--", "/etc/passwd").returncode == 126
    assert run("run", "--job", "eu", "--no-such-option", "--", "true").returncode == 2
    job = server.job("ek")
    assert job["state"] == "TRAINING_JOB_FAILED" and job["exit_code"] == 137, job
    assert "killed by SIGKILL" in job["error_message"], job
    assert server.job("e7")["error_message"] == "exited with code 7"
    assert "could not start" in server.job("en")["error_message"]


def test_fresh_job_id_is_printed():
    """Without any id a job is made, and its id is said on stderr."""
    p = run("run", "--", "echo", "hi")
    job = re.search(rb"job (job-[0-9a-z]{16})", p.stderr).group(1).decode()
    assert [r["msg"] for r in lines_of(job)] == ["hi"]


def test_environment():
    """The command sees PYTHONUNBUFFERED, JOBLOG_JOB and JOBLOG_URL; job and rank are read from the launcher's variables."""
    p = run("run", "--", "sh", "-c", "echo $PYTHONUNBUFFERED $JOBLOG_JOB $JOBLOG_URL", SLURM_JOB_ID="4711",
            SLURM_PROCID="1", SLURM_NTASKS="2")
    assert p.stdout.decode().split() == ["1", "4711", server.url], p
    job = server.job("4711")
    assert job["ranks"] == 2 and job["producers"][0]["id"] == "rank-1", job
    assert run("run", "--", "true", RANK="0", WORLD_SIZE="2").returncode == 2


def test_every_rank_tells_how_it_ended():
    """The exit code or signal of each rank is kept, also of those that fail after the first."""
    for rank, script in enumerate(("exit 3", "kill -9 $$", "true")):
        run("run", "--job", "ends", "--", "sh", "-c", script, RANK=str(rank), WORLD_SIZE="3")
    job = wait_for(lambda: (lambda j: j["sealed"] and j)(server.job("ends")), 10, "sealed")
    assert [(p["exit_code"], p["signal"]) for p in job["producers"]] == [(3, None), (137, "SIGKILL"), (0, None)], job
    assert all(p["fin_at"] for p in job["producers"]) and job["exit_code"] == 3, job
    shown = joblog("show", "ends", url=server.url).stdout
    assert "rank-0  at 0, finished, exit code 3\n" in shown and "finished, killed by SIGKILL\n" in shown, shown


def test_several_ranks():
    """A job of several ranks is COMPLETED when all exit 0, and not before."""
    first = run("run", "--job", "ranks", "--", "echo", "zero", RANK="0", WORLD_SIZE="3")
    assert first.returncode == 0
    assert server.job("ranks")["state"] == "TRAINING_JOB_RUNNING"
    rest = [start("run", "--job", "ranks", "--", "echo", n, RANK=n, WORLD_SIZE="3") for n in ("1", "2")]
    for p in rest:
        p.communicate(timeout=30)
        assert p.returncode == 0
    job = wait_for(lambda: (lambda j: j["sealed"] and j)(server.job("ranks")), 10, "sealed")
    assert job["state"] == "TRAINING_JOB_COMPLETED" and job["complete"], job
    assert sorted(r["rank"] for r in lines_of("ranks")) == [0, 1, 2]


def test_first_failing_rank_fails_the_job():
    """A rank that exits with a code fails the job, with rank, code and a sentence; the others' lines still enter."""
    slow = start("run", "--job", "rankfail", "--", "sh", "-c", "echo before; read x < $FIFO; echo after", RANK="0",
                 WORLD_SIZE="2", FIFO=fifo("rankfail"))
    wait_for(lambda: server.get("/v1/jobs/rankfail").status == 200 and lines_of("rankfail"), 10, "rank 0 writes")
    assert run("run", "--job", "rankfail", "--", "sh", "-c", "exit 9", RANK="1", WORLD_SIZE="2").returncode == 9
    job = server.job("rankfail")
    assert job["state"] == "TRAINING_JOB_FAILED" and job["exit_code"] == 9, job
    assert job["error_message"] == "rank 1 exited with code 9", job
    with open(fifo("rankfail"), "w") as f:
        f.write("go\n")
    slow.communicate(timeout=30)
    assert slow.returncode == 0
    assert [r["msg"] for r in lines_of("rankfail") if r["rank"] == 0] == ["before", "after"]
    assert server.job("rankfail")["complete"] is True


def fifo(name):
    path = os.path.join(state_dir, name + ".fifo")
    if not os.path.exists(path):
        os.mkfifo(path)
    return path


def test_torch_restart_is_no_failure():
    """A worker that torchrun will start again does not fail the job."""
    env = {"RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "elastic", "TORCHELASTIC_MAX_RESTARTS": "1"}
    assert run("run", "--", "sh", "-c", "echo one; exit 1", TORCHELASTIC_RESTART_COUNT="0", **env).returncode == 1
    assert server.job("elastic")["state"] == "TRAINING_JOB_RUNNING"
    assert run("run", "--", "sh", "-c", "echo two; exit 0", TORCHELASTIC_RESTART_COUNT="1", **env).returncode == 0
    assert server.job("elastic")["state"] == "TRAINING_JOB_COMPLETED"
    assert [r["msg"] for r in lines_of("elastic")] == ["one", "two"]


def test_kill_9_of_the_server():
    """50,000 numbered lines through three kill -9 of joblogd arrive exactly once and in order."""
    with Joblogd() as d:
        script = ("import sys,time\n"
                  "for i in range(50000):\n"
                  "    sys.stdout.write('line %d\\n' % i)\n"
                  "    if i % 100 == 99: sys.stdout.flush(); time.sleep(0.01)\n")
        p = start("run", "--job", "killed", "--", sys.executable, "-c", script, url=d.url)
        out = []
        reader = threading.Thread(target=lambda: out.append(p.stdout.read()))
        reader.start()
        for enough in (2000, 12000, 25000):
            wait_for(lambda: d.get("/v1/jobs/killed").status == 200 and d.job("killed")["lines"] > enough, 40, f"{enough} lines")
            d.restart(signal.SIGKILL)
        p.wait(timeout=90)
        reader.join(10)
        assert p.returncode == 0, p.stderr.read()
        assert out[0].count(b"\n") == 50000
        got = [r["msg"] for r in lines_of("killed", d)]
        assert got == [f"line {i}" for i in range(50000)], (len(got), len(set(got)))
        assert d.job("killed")["complete"] is True
        assert d.job("killed")["state"] == "TRAINING_JOB_COMPLETED"


def test_kill_9_of_redis():
    """Lines arrive exactly once and in order when Redis is killed under the server, and again."""
    with Joblogd() as d:
        script = "import time\nfor i in range(20000):\n    print('line', i)\n    if i % 100 == 99: time.sleep(0.015)\n"
        p = start("run", "--job", "rekilled", "--", sys.executable, "-c", script, url=d.url)
        reader = threading.Thread(target=p.stdout.read)
        reader.start()
        for enough in (1000, 8000):
            wait_for(lambda: (lambda r: r.status == 200 and r.json()["lines"] > enough)(d.get("/v1/jobs/rekilled")), 40, f"{enough} lines")
            os.kill(d.redis_pid(), signal.SIGKILL)
            wait_for(lambda: d.get("/readyz").status != 200, 10, "not ready")
            wait_for(d.is_ready, 20, "ready again")
        p.wait(timeout=60)
        reader.join(10)
        got = [r["msg"] for r in lines_of("rekilled", d)]
        assert p.returncode == 0 and got == [f"line {i}" for i in range(20000)], (p.returncode, len(got), len(set(got)), p.stderr.read())
        assert d.job("rekilled")["complete"] is True


def test_server_away_from_the_start():
    """A command starts at once and ends with its code while the server is away; its lines follow later by ship --spool."""
    with Joblogd() as d:
        d.kill()
        began = time.monotonic()
        p = run("run", "--job", "later", "--flush-timeout", "1s", "--", "sh", "-c", "seq 1 1000; exit 4", url=d.url)
        assert p.returncode == 4 and time.monotonic() - began < 8 * PATIENCE, p
        assert p.stdout.decode().split() == [str(i) for i in range(1, 1001)]
        where = re.search(rb"joblog ship --spool (\S+)", p.stderr).group(1).decode()
        assert b"1,000 lines" in p.stderr and os.path.isdir(where), p.stderr
        d.start()
        q = run("ship", "--spool", where, url=d.url)
        assert q.returncode == 0, q.stderr
        assert [r["msg"] for r in lines_of("later", d)] == [str(i) for i in range(1, 1001)]
        job = d.job("later")
        assert job["state"] == "TRAINING_JOB_FAILED" and job["exit_code"] == 4 and job["complete"], job
        assert not os.path.exists(where)
        assert run("ship", "--spool", where, url=d.url).returncode == 5


def test_agent_killed():
    """A kill -9 of the agent itself loses no line that it had read: ship --spool sends them."""
    port = free_port()
    p = start("run", "--job", "orphan", "--", "sh", "-c", "seq 1 500; exec sleep 600", url=f"http://127.0.0.1:{port}")
    got = b""
    while not got.endswith(b"\n500\n"):
        got += os.read(p.stdout.fileno(), 65536)
    child = int(open(f"/proc/{p.pid}/task/{p.pid}/children").read().split()[0])
    busy = run("ship", "--spool", os.path.join(state_dir, "joblog"))
    assert busy.returncode == 5 and b"still alive" in busy.stderr, busy
    segment = [os.path.join(d, f) for d in spools() for f in os.listdir(d) if f.endswith(".seg")]
    wait_for(lambda: any(b'"msg":"500"' in open(s, "rb").read() for s in segment), 10, "line 500 in the spool")
    p.kill()
    p.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{child}") or open(f"/proc/{child}/stat").read().split()[2] == "Z",
             10, "the command ends with its agent")
    q = run("ship", "--spool", os.path.join(state_dir, "joblog"), "--state", "STOPPED")
    assert q.returncode == 0, q.stderr
    assert [r["msg"] for r in lines_of("orphan")] == [str(i) for i in range(1, 501)]
    assert server.job("orphan")["state"] == "TRAINING_JOB_STOPPED"
    assert spools() == []


def test_full_spool():
    """A full spool drops the oldest lines, never blocks the command, says so, and the log holds one gap record."""
    with Joblogd() as d:
        d.kill()
        script = "import sys\nfor i in range(40000): sys.stdout.write('%06d %s\\n' % (i, 'x' * 100))\n"
        go = fifo("full")
        p = start("run", "--job", "full", "--spool-bytes", "1MiB", "--flush-timeout", "40s", "--", "sh", "-c",
                  f"{sys.executable} -c \"$SCRIPT\"; read x < {go}", url=d.url, SCRIPT=script)
        got = 0
        while got < 40000 * 108:
            got += len(os.read(p.stdout.fileno(), 1 << 20))
        d.start()
        with open(go, "w") as f:
            f.write("go\n")
        _, err = p.communicate(timeout=60)
        assert p.returncode == 0 and re.search(rb"spool was full: [\d,]+ lines were dropped", err), err
        records = lines_of("full", d)
        gaps = [r for r in records if "gap" in r.get("fields", {})]
        assert len(gaps) == 1 and gaps[0] is records[0], gaps
        gap = gaps[0]["fields"]["gap"]
        numbers = [int(r["msg"][:6]) for r in records[1:]]
        assert gap["from"] == 1 and numbers == list(range(gap["to"], 40000)), (gap, numbers[:3], len(numbers))
        assert 1000 < len(numbers) < 20000, len(numbers)
        d.event("full", "STOPPED")
        assert d.job("full")["state"] == "TRAINING_JOB_COMPLETED"


def test_signals():
    """SIGTERM and SIGUSR1 reach the command once; what it does with them decides the exit code."""
    script = ("import signal,sys,time\n"
              "signal.signal(signal.SIGUSR1, lambda *_: print('usr1'))\n"
              "signal.signal(signal.SIGTERM, lambda *_: (print('term'), sys.exit(5)))\n"
              "print('ready')\n"
              "while True: time.sleep(0.05)\n")
    p = start("run", "--job", "signals", "--", sys.executable, "-c", script)
    assert p.stdout.readline() == b"ready\n"
    p.send_signal(signal.SIGUSR1)
    assert p.stdout.readline() == b"usr1\n"
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate(timeout=30)
    assert (p.returncode, out) == (5, b"term\n"), (p.returncode, out)
    assert [r["msg"] for r in lines_of("signals")] == ["ready", "usr1", "term"]
    q = start("run", "--job", "signals2", "--", "sh", "-c", "echo ready; exec sleep 600")
    assert q.stdout.readline() == b"ready\n"
    q.send_signal(signal.SIGTERM)
    q.communicate(timeout=30)
    assert q.returncode == 143 and "SIGTERM" in server.job("signals2")["error_message"]


def test_progress():
    """A redrawn line is stored once, with its count and a thinned history, and is live meanwhile."""
    go = fifo("bar")
    script = ("import sys,time\n"
              "for i in range(101): sys.stderr.write('\\r%3d%%|bar|' % i); sys.stderr.flush(); time.sleep(0.01)\n"
              "open(sys.argv[1]).read(); sys.stderr.write('\\n')\n")
    p = start("run", "--job", "bar", "--", sys.executable, "-c", script, go)
    wait_for(lambda: server.get("/v1/jobs/bar").status == 200, 10, "the job")
    seen = []

    def until(m):
        if m["type"] == "progress":
            seen.append(m["msg"])
            return len(seen) == 2
        return False

    server.tail_ws("bar", until=until)
    with open(go, "w") as f:
        f.write("x")
    p.communicate(timeout=30)
    assert p.returncode == 0 and all("bar" in m for m in seen), seen
    records = lines_of("bar")
    assert len(records) == 1 and records[0]["msg"] == "100%|bar|", records
    fields = records[0]["fields"]
    assert fields["redraws"] == 100 and 4 <= len(fields["history"]) <= 8, fields


def test_hard_bytes():
    """Invalid UTF-8, NUL, CRLF, a long line and empty lines arrive in their places."""
    script = ("import sys; w=sys.stdout.buffer.write\n"
              "w(b'bad \\xff\\xfe end\\n'); w(b'nul \\x00 end\\n'); w(b'crlf\\r\\n'); w(b'\\n'); w(b'z'*(600*1024)+b'\\n'); w(b'last\\n')\n"
              "w(b'\\r\\xff1%\\r\\xfe2%\\r3%\\n')\n")
    p = run("run", "--job", "bytes", "--", sys.executable, "-c", script)
    assert p.returncode == 0, p.stderr
    got = lines_of("bytes")
    msgs = [r["msg"] for r in got]
    assert msgs[:4] == ["bad \ufffd\ufffd end", "nul \x00 end", "crlf", ""], msgs[:4]
    parts = [r for r in got if "part" in r.get("fields", {})]
    assert [r["fields"]["part"] for r in parts] == [{"n": i, "of": 3} for i in (1, 2, 3)], [r["fields"] for r in parts]
    assert "".join(r["msg"] for r in parts) == "z" * (600 * 1024)
    assert msgs[7:] == ["last", "3%"] and got[-1]["fields"]["redraws"] == 2, got[-2:]
    assert joblog("logs", "bytes", url=server.url).stdout.count("z" * (600 * 1024) + "\n") == 1


def test_reader_gone():
    """When nobody reads our stdout any more the command goes on, and its log is whole."""
    p = start("run", "--job", "noreader", "--", "sh", "-c", "seq 1 100000")
    p.stdout.read(10)
    p.stdout.close()
    p.wait(timeout=60)
    assert p.returncode == 0, p.stderr.read()
    assert server.job("noreader")["lines"] == 100000


def test_grandchild_holds_the_pipe():
    """A background process that keeps the pipe open does not keep joblog run from ending."""
    began = time.monotonic()
    p = run("run", "--job", "grand", "--", "sh", "-c", "sleep 30 & echo $!")
    os.kill(int(p.stdout), signal.SIGKILL)
    assert p.returncode == 0 and time.monotonic() - began < 10 * PATIENCE


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request with the server's status; keeps what came."""

    def answer(self):
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def answering(status):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as s:
        s.status, s.seen = status, []
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield s
        s.shutdown()


def test_refusing_server():
    """A server that refuses the token does not hold the command up; the token was sent, and what to do is said."""
    with answering(401) as s:
        began = time.monotonic()
        p = run("run", "--job", "refused", "--", "sh", "-c", "echo hi; exit 3", url=f"http://127.0.0.1:{s.server_port}",
                JOBLOG_TOKEN="secret")
        assert p.returncode == 3 and p.stdout == b"hi\n" and time.monotonic() - began < 10 * PATIENCE, p
        assert b"401" in p.stderr and b"JOBLOG_TOKEN" in p.stderr and b"ship --spool" in p.stderr, p.stderr
        assert s.seen[0][2]["Authorization"] == "Bearer secret", s.seen
        assert b"secret" not in p.stderr
    for d in spools():
        shutil.rmtree(d)


def test_silent_server():
    """A server that takes connections and says nothing holds the end up no longer than the flush timeout and a little."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        began = time.monotonic()
        p = run("run", "--job", "silent", "--flush-timeout", "500ms", "--", "echo", "hi",
                url=f"http://127.0.0.1:{s.getsockname()[1]}")
        assert p.returncode == 0 and p.stdout == b"hi\n" and time.monotonic() - began < 5 * PATIENCE, p
        assert b"ship --spool" in p.stderr
    for d in spools():
        shutil.rmtree(d)


def test_tls():
    """Over https run and tail work with --cacert, and do not without."""
    cert, key = os.path.join(state_dir, "cert.pem"), os.path.join(state_dir, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                    "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def pump(reader, writer):
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    door = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context), loop).result(10)
    url = f"https://localhost:{door.sockets[0].getsockname()[1]}"
    p = run("run", "--job", "tls", "--cacert", cert, "--", "seq", "1", "20000", url=url)
    assert p.returncode == 0 and not p.stderr, p.stderr
    assert [r["msg"] for r in lines_of("tls")] == [str(i) for i in range(1, 20001)]
    assert run("tail", "tls", "--cacert", cert, "-n", "all", url=url).stdout.count(b"\n") == 20000
    q = run("run", "--job", "tls2", "--flush-timeout", "1s", "--", "true", url=url)
    assert b"not delivered" in q.stderr and server.get("/v1/jobs/tls2").status == 404, q
    assert run("logs", "tls", url=url).returncode == 5
    loop.call_soon_threadsafe(loop.stop)
    for d in spools():
        shutil.rmtree(d)


def test_unix_socket():
    """JOBLOG_URL=unix:/path reaches a joblogd that listens there."""
    path = os.path.join(state_dir, "sock")
    with Joblogd("--listen", f"unix:{path}") as d:
        url = f"unix:{path}"
        p = run("run", "--job", "unix", "--", "echo", "hi", url=url)
        assert p.returncode == 0 and not p.stderr, p
        assert run("tail", "unix", url=url).stdout == b"hi\n"
        assert [r["msg"] for r in lines_of("unix", d)] == ["hi"]


def test_terminal_signals():
    """On a terminal Ctrl-C reaches the command once, the command may read it, and job control stays the shell's."""
    import pty
    script = ("import os,signal\n"  # whole lines at once: a handler may come between the parts of print()
              "n=[]\n"
              "signal.signal(signal.SIGINT, lambda *_: (n.append(1), os.write(1, b'int %d\\n' % len(n))))\n"
              "os.write(1, b'ready\\n')\n"
              "print('got', input())\n")
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(JOBLOG, [JOBLOG, "run", "--job", "tty", "--", sys.executable, "-c", script], environment())
    seen = b""

    def until(mark):
        nonlocal seen
        end = time.monotonic() + 15 * PATIENCE
        while mark not in seen:
            assert time.monotonic() < end, seen
            if select.select([fd], [], [], 0.1)[0]:
                seen += os.read(fd, 4096)

    until(b"ready")
    os.write(fd, b"\x03")
    until(b"int 1")
    os.write(fd, b"\x03")
    until(b"int 2")
    os.write(fd, b"word\n")
    until(b"got word")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"int 3" not in seen
    os.close(fd)
    got = [r["msg"] for r in lines_of("tty")]
    assert got == ["ready", "int 1", "int 2", "got word"], (got, seen)


def test_flush_interrupted():
    """While the end waits for the server, Ctrl-C (SIGINT) ends the wait; the lines stay in the spool."""
    port = free_port()
    p = start("run", "--job", "waits", "--", "sh", "-c", "echo hi; exit 2", url=f"http://127.0.0.1:{port}")
    wait_for(lambda: not os.path.exists(f"/proc/{p.pid}/task/{p.pid}/children") or
             not open(f"/proc/{p.pid}/task/{p.pid}/children").read(), 10, "the command has ended")
    wait_for(lambda: any('"end"' in open(os.path.join(d, "meta.json")).read() for d in spools()), 10, "the wait")
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=10)
    assert p.returncode == 2 and b"ship --spool" in err, err
    for d in spools():
        shutil.rmtree(d)


def test_fenced_run():
    """A newer run of the same producer takes over; the older one says so and its command goes on."""
    go = fifo("fence")
    old = start("run", "--job", "fence", "--producer", "p", "--ranks", "2", "--flush-timeout", "5s", "--", "sh", "-c",
                f"echo old; read x < {go}; echo late; exit 6")
    wait_for(lambda: server.get("/v1/jobs/fence").status == 200 and lines_of("fence"), 10, "the old run")
    assert run("run", "--job", "fence", "--producer", "p", "--ranks", "2", "--", "echo", "new").returncode == 0
    with open(go, "w") as f:
        f.write("x\n")
    _, err = old.communicate(timeout=30)
    assert old.returncode == 6 and b"newer run" in err, err
    assert [r["msg"] for r in lines_of("fence")] == ["old", "new"]
    for d in spools():
        shutil.rmtree(d)


def test_ship_files():
    """ship sends a file exactly once, however often it is called, and what was added since."""
    path = os.path.join(state_dir, "train.log")
    with open(path, "w") as f:
        f.writelines(f"step {i}\n" for i in range(5000))
    for _ in range(2):
        p = run("ship", "files", path, "--rank", "0")
        assert p.returncode == 0, p.stderr
    assert [r["msg"] for r in lines_of("files")] == [f"step {i}" for i in range(5000)]
    with open(path, "a") as f:
        f.write("more\n")
    assert run("ship", "files", path, "--rank", "0", "--state", "COMPLETED").returncode == 0
    records = lines_of("files")
    assert len(records) == 5001 and records[-1]["msg"] == "more" and records[-1]["rank"] == 0
    assert server.job("files")["complete"] is True
    assert run("ship", "files", "/no/such/file").returncode == 5


def test_ship_stdin_and_json():
    """ship takes stdin; with --json objects are records."""
    p = run("ship", "stdin", "--json", "--state", "COMPLETED",
            input=b'{"msg":"one","level":"error","loss":0.5}\nplain\n{"ts":"2026-01-02T03:04:05Z","message":"two"}\n')
    assert p.returncode == 0, p.stderr
    got = lines_of("stdin")
    assert [r["msg"] for r in got] == ["one", "plain", "two"], got
    assert got[0]["level"] == "error" and got[0]["fields"]["loss"] == 0.5 and got[2]["ts"].startswith("2026-01-02T03:04:05"), got


def test_ship_follows_rotation():
    """ship -F follows a file through a rename and a new one of its name, and ends by SIGTERM with nothing lost."""
    path = os.path.join(state_dir, "rot.log")
    with open(path, "w") as f:
        f.write("one\ntwo\n")
    p = start("ship", "rot", "-F", path)
    wait_for(lambda: server.get("/v1/jobs/rot").status == 200 and len(lines_of("rot")) == 2, 10, "two lines")
    with open(path, "a") as f:
        f.write("three\n")
    wait_for(lambda: len(lines_of("rot")) == 3, 10, "three lines")
    os.rename(path, path + ".1")
    with open(path, "w") as f:
        f.write("four\n")
    wait_for(lambda: len(lines_of("rot")) == 4, 10, "the new file")
    p.send_signal(signal.SIGTERM)
    _, err = p.communicate(timeout=20)
    assert p.returncode == 130, err
    assert [r["msg"] for r in lines_of("rot")] == ["one", "two", "three", "four"]
