"""tests/e2e/43-clients-python.py -- the Python package: sending exactly once whatever happens, following, running, resuming."""
import glob
import http.server
import json
import logging
import os
import random
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from harness import PATIENCE, ROOT, Joblogd, free_port, wait_for

PACKAGE = os.path.join(ROOT, "clients", "python")
sys.path.insert(0, PACKAGE)
import joblog  # noqa: E402

server = None
state_dir = None
LAUNCHERS = re.compile(r"JOBLOG_|RANK$|WORLD_SIZE$|SLURM_|OMPI_|PMI_|LOCAL_RANK$|TORCHELASTIC_")


def setup():
    global server, state_dir
    state_dir = tempfile.mkdtemp(prefix="jl-py-")
    for name in list(os.environ):
        if LAUNCHERS.match(name):
            del os.environ[name]
    os.environ["XDG_STATE_HOME"] = state_dir
    server = Joblogd()


def teardown():
    if server:
        server.close()
    shutil.rmtree(state_dir, ignore_errors=True)


def logger_of(handler):
    log = logging.Logger("t", 1)
    log.addHandler(handler)
    return log


def handler_of(job, url=None, **more):
    return joblog.Handler(job, url=url or server.url, **more)


def lines_of(job, d=None):
    return [r for r in (d or server).records(job) if "state" not in r]


def states_of(job, d=None):
    return [r["state"].replace("TRAINING_JOB_", "") for r in (d or server).records(job) if "state" in r]


def spools(folder=None):
    return [p for p, _, files in os.walk(folder or state_dir) if "meta.json" in files]


def spooled(folder=None):
    return sum(os.path.getsize(os.path.join(p, f)) for p in spools(folder) for f in os.listdir(p) if f.endswith(".nd"))


def python(program, *argv, url=None, exe=sys.executable, wait=True, **env):
    """Run a program with the package on its path; CompletedProcess, or Popen with wait=False."""
    environ = {**os.environ, "PYTHONPATH": PACKAGE, "JOBLOG_URL": url or server.url, "PYTHONUNBUFFERED": "1", **env}
    argv = [exe, "-c", "import joblog, logging, os, sys, time\n" + program, *argv]
    if wait:
        return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)
    return subprocess.Popen(argv, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Fake:
    """A server that answers POST …/logs by answer(number, headers, lines) -> (status, headers, object); keeps what was sent."""

    def __init__(self, answer, context=None):
        requests = self.requests = []

        class Post(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                lines = body.decode().splitlines()
                requests.append((time.monotonic(), self.path, dict(self.headers), lines))
                status, headers, value = answer(len(requests), self.headers, lines)
                data = json.dumps(value).encode()
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Post)
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


def ok(headers, lines, durability="durable"):
    first = int(headers.get("X-Sequence") or 1)
    return 200, {}, {"first": first, "last": first + len(lines) - 1, "accepted": len(lines), "duplicates": 0, "durability": durability}


def test_a_record_becomes_a_line():
    """Message, time, level, rank, logger and extra fields of a record are those of its line; a traceback is held together."""
    handler = handler_of("basic", rank=3)
    log = logger_of(handler)
    before = time.time()
    log.info("hello %s", "you", extra={"loss": 2.5, "nan": float("nan"), "who": object, "deep": {"a": [1]}})
    for level in (5, 10, 20, 30, 40, 50, 45):
        log.log(level, "level %d", level)
    try:
        raise KeyError("x\ny")
    except KeyError:
        log.exception("failed")
    log.warning("two\nlines\n")
    log.warning("stack", stack_info=True)
    log.info("\ud800 lone, \x00 nul, 日本 🚀")
    log.info("%d", "no number")  # a broken call is counted and stops nothing
    assert handler.drain(10), handler.stats
    got = lines_of("basic")
    assert got[0]["msg"] == "hello you" and got[0]["rank"] == 3 and got[0]["level"] == "info" and got[0]["replica"], got[0]
    fields = got[0]["fields"]
    assert (fields["logger"], fields["loss"], fields["nan"], fields["deep"]) == ("t", 2.5, "NaN", {"a": [1]}) and "object" in fields["who"], fields
    assert abs(joblog.Record.read(got[0]).time.timestamp() - before) < 5
    assert [r["level"] for r in got[1:8]] == ["trace", "debug", "info", "warn", "error", "fatal", "error"], got[1:8]
    block = got[8:]
    size = next(i for i, r in enumerate(block) if r["msg"] == "two")
    assert block[0]["msg"] == "failed" and block[1]["msg"].startswith("Traceback") and block[size - 1]["msg"].startswith("KeyError"), block
    assert [r["fields"].get("block") for r in block[:size]] == [None, *range(2, size + 1)] and {r["level"] for r in block[:size]} == {"error"}
    assert [(r["msg"], r["fields"].get("block")) for r in block[size:size + 2]] == [("two", None), ("lines", 2)]
    assert block[size + 2]["msg"] == "stack" and "Stack (most recent call last)" in block[size + 3]["msg"], block[size + 2:]
    assert block[-1]["msg"] == "\ufffd lone, \x00 nul, 日本 🚀", block[-1]
    assert handler.stats.errors == 1 and "TypeError" in handler.stats.last_error, handler.stats
    handler.setFormatter(logging.Formatter("%(levelname)s:%(message)s"))
    log.info("formatted")
    handler.close()
    assert lines_of("basic")[-1]["msg"] == "INFO:formatted" and handler.stats.state == "done" and not spools()
    assert server.job("basic")["producers"][0]["id"] == "rank-3.py" and server.job("basic")["producers"][0]["fin"] == len(got) + 1


def test_what_is_too_big_is_kept_or_said():
    """A long line is marked parts, fields that are too big are noted, and a line that the server refuses stops nothing."""
    handler = handler_of("big")
    log = logger_of(handler)
    long = "é" * 300000
    log.info(long)
    log.info("fields", extra={"x": "y" * 100000})
    deep = value = {}
    for _ in range(60):
        value["a"] = value = {}
    log.info("deep", extra={"deep": deep})
    circle = {}
    circle["c"] = circle
    log.info("circle", extra={"c": circle})
    log.info("after")
    assert handler.drain(10), handler.stats
    got = lines_of("big")
    parts = [r for r in got if "part" in r.get("fields", {})]
    assert "".join(r["msg"] for r in parts) == long and [r["fields"]["part"]["n"] for r in parts] == list(range(1, len(parts) + 1))
    rest = [r for r in got if r not in parts]
    assert [r["msg"] for r in rest if "joblog:" not in r["msg"]] == ["fields", "circle", "after"] and "not_kept" in rest[0]["fields"], rest
    assert "refused here" in rest[1]["msg"] and handler.stats.refused == 1, (rest, handler.stats)
    handler.close()


def test_a_server_killed_again_and_again():
    """Over kill -9 of joblogd in mid-stream, again and again, every line is stored once and in its order."""
    with Joblogd() as d:
        program = ("log = logging.getLogger(); log.setLevel(1); h = joblog.Handler('killed', flush_timeout=40); log.addHandler(h)\n"
                   "for i in range(30000):\n    log.info('%d', i)\n    time.sleep(0.0002)\n"
                   "print(h.drain(40), h.stats.retries > 0, flush=True)")
        p = python(program, url=d.url, wait=False)
        for n in range(4):
            wait_for(lambda: d.get("/v1/jobs/killed").status == 200 and d.job("killed")["lines"] > 500 + 3000 * n or p.poll() is not None, 30, "lines")
            d.kill(signal.SIGKILL)
            held = spooled()
            wait_for(lambda: spooled() > held + 20000 or p.poll() is not None, 20, "lines in the spool")
            d.start()
        out, err = p.communicate(timeout=60)
        assert out.split() == ["True", "True"] and p.returncode == 0, (out, err)
        got = [int(r["msg"]) for r in lines_of("killed", d)]
        assert got == list(range(30000)), [(i, g) for i, g in enumerate(got) if i != g][:5]
        assert d.job("killed")["producers"][0]["fin"] == 30000 and not spools()


def test_fork_and_multiprocessing():
    """A forked child, children of multiprocessing by fork and by spawn, and their parent are producers of their own; no line is lost or
    doubled, and no child repeats what its parent had queued."""
    folder = tempfile.mkdtemp(prefix="jl-mp-")
    path = os.path.join(folder, "forks.py")
    with open(path, "w") as f:
        f.write("""import joblog, logging, multiprocessing, os, sys
log = logging.getLogger("forks")
log.setLevel(1)

def work(name):
    if not log.handlers:
        log.addHandler(joblog.Handler("forks", rank=0))
    for i in range(50):
        log.info("%s %d", name, i)

if __name__ == "__main__":
    log.addHandler(joblog.Handler("forks", rank=0))
    log.info("parent 0")
    assert log.handlers[0].drain(30)  # the parent is rank-0.py, however slow it is
    for i in range(1, 100):
        log.info("parent %d", i)
    pid = os.fork()
    if pid == 0:
        work("fork")
        sys.exit(0)
    children = [multiprocessing.get_context(kind).Process(target=work, args=(kind,)) for kind in ("fork", "spawn")]
    children[0]._args = ("mpfork",)
    for child in children:
        child.start()
    for i in range(100, 200):
        log.info("parent %d", i)
    for child in children:
        child.join()
    os.waitpid(pid, 0)
""")
    p = subprocess.run([sys.executable, path], env={**os.environ, "PYTHONPATH": PACKAGE, "JOBLOG_URL": server.url}, capture_output=True,
                       text=True, timeout=60)
    assert p.returncode == 0 and not p.stderr, p
    got = [r["msg"].split() for r in lines_of("forks")]
    for name, count in (("parent", 200), ("fork", 50), ("mpfork", 50), ("spawn", 50)):
        assert [int(n) for who, n in got if who == name] == list(range(count)), (name, [g for g in got if g[0] == name][:60])
    producers = server.job("forks")["producers"]
    assert len(producers) == 4 and all(x["fin"] == x["last"] for x in producers), producers
    assert "rank-0.py" in [x["id"] for x in producers] and not spools()
    shutil.rmtree(folder)


def test_the_end_of_the_interpreter():
    """Lines logged just before the end of main, sys.exit, an uncaught exception and in atexit handlers arrive; then the producer is done."""
    program = ("import atexit\nlog = logging.getLogger(); log.setLevel(1); log.addHandler(joblog.Handler(sys.argv[1]))\n"
               "atexit.register(lambda: log.info('atexit'))\n[log.info('%d', i) for i in range(1000)]\n")
    for job, end, code in (("end-main", "", 0), ("end-exit", "sys.exit(3)", 3), ("end-raise", "raise SystemError('x')", 1)):
        began = time.monotonic()
        p = python(program + end, job)
        assert p.returncode == code and "joblog:" not in p.stderr and time.monotonic() - began < 8 * PATIENCE, p
        assert [r["msg"] for r in lines_of(job)] == [str(i) for i in range(1000)] + ["atexit"], lines_of(job)[-3:]
        assert [x["fin"] for x in server.job(job)["producers"]] == [1001], server.job(job)["producers"]


def test_a_crash_loses_only_what_was_not_in_the_spool():
    """os._exit and kill -9 lose at most the last moments: what is in the spool is sent by the next handler of the job, or by resume."""
    with Joblogd() as d:
        port = d.port
        d.kill()
        program = ("log = logging.getLogger(); log.setLevel(1); log.addHandler(joblog.Handler(sys.argv[1], rank=1))\n"
                   "for i in range(500):\n    log.info('old %d', i)\n"
                   "time.sleep(0.5)\nlog.info('last words')\n")
        assert python(program + "os._exit(9)", "crash-a", url=d.url).returncode == 9
        assert python(program + "os.kill(os.getpid(), 9)", "crash-b", url=d.url).returncode == -9
        assert len(spools()) == 2, spools()
        d.port = port
        d.start()
        p = python("h = joblog.Handler('crash-a', rank=1); log = logging.getLogger(); log.setLevel(1); log.addHandler(h); log.info('new')", url=d.url)
        assert p.returncode == 0, p
        assert [r["msg"] for r in lines_of("crash-a", d)][:501] == [f"old {i}" for i in range(500)] + ["new"], lines_of("crash-a", d)[-3:]
        p = subprocess.run([sys.executable, "-m", "joblog", "resume"], env={**os.environ, "PYTHONPATH": PACKAGE}, capture_output=True, text=True,
                           timeout=30)
        assert p.returncode == 0 and "500 lines sent" in p.stderr, p
        assert [r["msg"] for r in lines_of("crash-b", d)] == [f"old {i}" for i in range(500)], lines_of("crash-b", d)[-3:]
        assert not spools()


def test_the_spool_of_a_living_process_is_left_alone():
    """resume passes by the spool of a process that still lives."""
    with Joblogd() as d:
        d.kill()
        p = python("h = joblog.Handler('alive', flush_timeout=0.1); log = logging.getLogger(); log.setLevel(1); log.addHandler(h)\n"
                   "log.info('x')\nwhile h.stats.waiting < 1: time.sleep(0.01)\nprint('ready', flush=True); sys.stdin.readline()", url=d.url, wait=False)
        assert p.stdout.readline() == "ready\n"
        assert joblog.resume() == 0 and len(spools()) == 1
        p.communicate("\n", timeout=20)
        shutil.rmtree(os.path.join(state_dir, "joblog-python"))


def test_a_full_spool_drops_the_oldest_and_says_so():
    """While the server is away the newest lines are kept; one line says how many older ones are gone; the numbers add up."""
    with Joblogd() as d:
        port = d.port
        handler = handler_of("full", d.url, spool_bytes=3 << 20)
        log = logger_of(handler)
        log.info("%06d first %s", 0, "x" * 1000)
        assert handler.drain(10)
        d.kill()
        for i in range(1, 12000):
            log.info("%06d line %s", i, "x" * 1000)
            if i % 1000 == 0:
                wait_for(lambda: handler.stats.queued == 0, 10, "the writer")
        stats = handler.stats
        assert stats.dropped > 5000 and stats.waiting_bytes <= 3 << 20, stats
        d.port = port
        d.start()
        assert handler.drain(30), handler.stats
        got = lines_of("full", d)
        gaps = [r for r in got if "gap" in r.get("fields", {})]
        kept = [int(r["msg"].split()[0]) for r in got if r not in gaps]
        counted = sum(int(re.search(r"(\d+) lines were dropped", r["msg"]).group(1)) for r in gaps)
        assert kept == sorted(set(kept)) and kept[0] == 0 and kept[-1] == 11999, kept[:3]
        assert gaps and len(kept) + counted == 12000 and counted == handler.stats.dropped, (len(kept), counted, handler.stats)
        assert gaps[0]["fields"]["gap"]["to"] - gaps[0]["fields"]["gap"]["from"] + 1 == int(re.search(r"(\d+) lines", gaps[0]["msg"]).group(1))
        handler.close()


def test_a_full_queue_never_blocks():
    """When lines come faster than they can be written the oldest give way, counted, and no call waits."""
    handler = handler_of("queue", queue_records=100)
    log = logger_of(handler)
    longest = 0.0
    for i in range(5000):
        began = time.monotonic()
        log.info("%d", i)
        longest = max(longest, time.monotonic() - began)
    assert handler.drain(10) and longest < 1.0, (longest, handler.stats)
    got = lines_of("queue")
    counted = sum(int(re.search(r"(\d+) lines were dropped", r["msg"]).group(1)) for r in got if "gap" in r.get("fields", {}))
    kept = [int(r["msg"]) for r in got if "gap" not in r.get("fields", {})]
    assert counted == handler.stats.dropped > 0 and len(kept) + counted == 5000 and kept == sorted(set(kept)) and kept[-1] == 4999
    handler.close()


def test_no_disk_no_spool():
    """Where the spool cannot be made, or the disk is full, lines wait in memory, and nothing is lost while the process lives."""
    blocked = tempfile.mkdtemp(prefix="jl-ro-")
    with open(os.path.join(blocked, "file"), "w") as f:
        f.write("x")
    with Joblogd() as d:
        port = d.port
        d.kill()
        for folder in ("", os.path.join(blocked, "file", "sub"), "/dev/full"):
            handler = handler_of(f"nodisk{len(folder)}", d.url, spool_dir=folder)
            log = logger_of(handler)
            for i in range(2000):
                log.info("%d", i)
            d.port = port
            d.start()
            assert handler.drain(20), handler.stats
            assert [int(r["msg"]) for r in lines_of(handler.job, d)] == list(range(2000))
            handler.close()
            d.kill()
    shutil.rmtree(blocked)


def test_a_disk_that_fills_up_and_is_freed():
    """When the disk fills in mid-stream lines go on through memory; when it is freed they go to disk again; each is stored once."""
    from joblog import _spool
    real, broken = os.write, threading.Event()

    def write(fd, data):
        if broken.is_set() and threading.current_thread().name == "joblog-writer":
            raise OSError(28, "No space left on device")
        return real(fd, data)

    handler = handler_of("enospc")
    log = logger_of(handler)
    _spool.os.write, n = write, 0
    try:
        for phase in (False, True, False, True, False):
            broken.set() if phase else broken.clear()
            for _ in range(300):
                log.info("%d", n)
                n += 1
            wait_for(lambda: handler.stats.queued == 0, 10, "the writer")
        assert handler.drain(10), handler.stats
        log.info("%d", n)
        assert handler.drain(10) and handler._shipper._spool._segments[-1].on_disk, "the disk is used again"
    finally:
        _spool.os.write = real
    assert [int(r["msg"]) for r in lines_of("enospc")] == list(range(n + 1)) and handler._shipper._spool.disk_errors
    handler.close()


def test_spool_against_a_plain_list():
    """Under random appends, reads, rewinds, releases, a limit and crashes: a number once given out is the same line for ever, order stays,
    and every line is given out or counted as dropped."""
    from joblog import _spool
    segment, seed = _spool.SEGMENT_BYTES, random.randrange(1 << 30)
    _spool.SEGMENT_BYTES = 400
    try:
        for round_ in range(30):
            rng = random.Random(seed + round_)
            folder = tempfile.mkdtemp(prefix="jl-spool-")
            path = os.path.join(folder, "j", "p.1")
            spool = _spool.Spool.create(path, {"job": "j"}, rng.choice([1500, 1 << 20]))
            n, given, seen, at, limit = 0, {}, [], 1, spool.bytes_max
            for _ in range(400):
                what = rng.random()
                if what < 0.5:
                    lines = [b"%d %s\n" % (n + i, b"x" * rng.randrange(120)) for i in range(rng.randrange(1, 8))]
                    n += len(lines)
                    spool.append(lines)
                elif what < 0.75:
                    batch = spool.read(at, rng.randrange(1, 20), rng.randrange(1, 2000))
                    for seq, line in zip(range(batch.first, batch.last + 1), batch.lines) if batch else ():
                        assert given.setdefault(seq, line) == line, (seed, round_, seq, given[seq], line)
                        at = seq + 1
                elif what < 0.9:
                    spool.release(rng.randrange(spool.first - 1, at))
                elif what < 0.95:
                    at = rng.randrange(spool.first, at + 1)
                else:
                    dropped, n = spool.dropped - spool._skipped, n - spool._skipped
                    spool.leave()
                    first = spool.first
                    spool = _spool.Spool.adopt(path, limit)
                    assert spool is not None and spool._first <= first, (seed, round_)
                    spool.dropped = dropped
                    spool.release(first - 1)
                    break
            while True:
                batch = spool.read(at, 1000, 1 << 20)
                if batch is None:
                    break
                for seq, line in zip(range(batch.first, batch.last + 1), batch.lines):
                    assert given.setdefault(seq, line) == line, (seed, round_, seq)
                at = batch.last + 1
            lost = 0
            for seq in sorted(given):
                gap = json.loads(given[seq])["fields"]["gap"] if given[seq].startswith(b"{") else None
                lost += gap["to"] - gap["from"] + 1 if gap else 0
                seen += [] if gap else [int(given[seq].split()[0])]
            assert sorted(given) == list(range(1, len(given) + 1)) and seen == sorted(set(seen)), (seed, round_)
            assert len(seen) + lost + spool._skipped == n and spool.dropped == lost + spool._skipped, (seed, round_, len(seen), lost, spool.dropped, n)
            spool.remove()
            assert not os.path.exists(path)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        _spool.SEGMENT_BYTES = segment


def test_429_and_503_are_waited_for():
    """429 and 503 with Retry-After: the same lines come again, not before the time, and nothing is lost or doubled."""
    held = []

    def answer(n, headers, lines):
        if n in (1, 2):
            return (429 if n == 1 else 503), {"Retry-After": "1"}, {"code": "busy", "message": "later"}
        if lines and int(headers["X-Sequence"]) == len(held) + 1:
            held.extend(lines)
        return ok(headers, lines)

    with Fake(answer) as fake:
        handler = handler_of("busy", fake.url)
        logger_of(handler).info("x")
        assert handler.drain(15), handler.stats
        times = [t for t, *_ in fake.requests]
        assert times[1] - times[0] >= 1.0 and times[2] - times[1] >= 1.0 and times[2] - times[0] < 6, times
        assert len({tuple(lines) for *_, lines in fake.requests[:3]}) == 1 and len(held) == 1 and handler.stats.retries == 2
        handler.close()


def test_gap_takes_it_back():
    """When the server has lost lines it held (409 gap) they are sent again under their numbers; those it had called durable, which are gone
    here too, are told, and the rest comes in a new epoch."""
    held, lose = [], {3: 1}

    def answer(n, headers, lines):
        if not lines:
            return ok(headers, lines)
        epoch, first = int(headers["X-Epoch"]), int(headers["X-Sequence"])
        here = [x for x in held if x[0] == epoch]
        if n in lose:
            del held[lose[n]:]
            here = [x for x in held if x[0] == epoch]
        if first > len(here) + 1:
            return 409, {}, {"code": "gap", "message": "", "expected": len(here) + 1}
        held.extend((epoch, line) for line in lines[len(here) - first + 1:])
        return ok(headers, lines, "accepted")

    with Fake(answer) as fake:
        handler = handler_of("gap", fake.url)
        log = logger_of(handler)
        for i in range(5):
            log.info("%d", i)
            wait_for(lambda: handler.stats.sent >= i + 1, 10, "sent")
        assert [json.loads(x)["msg"] for _, x in held] == list("01234") and handler.stats.rewinds == 1, (held, handler.stats)
        assert handler.drain(10)
        lose[len(fake.requests) + 1] = 2
        log.info("5")
        assert handler.drain(15), handler.stats
        assert [json.loads(x)["msg"] for e, x in held][:2] == ["0", "1"] and json.loads(held[-1][1])["msg"] == "5" and len({e for e, _ in held}) == 2, held
        handler.close()


def test_fenced_and_sealed():
    """A newer run of the producer takes over, a closed log takes nothing: both are told once and counted, nothing is raised."""
    old = handler_of("fence", producer="p")
    log = logger_of(old)
    log.info("old")
    assert old.drain(10)
    new = handler_of("fence", producer="p")
    logger_of(new).info("new")
    assert new.drain(10)
    log.info("too late")
    wait_for(lambda: old.stats.state == "fenced", 10, "fenced")
    log.info("later still")
    wait_for(lambda: old.stats.refused == 2, 10, "it is counted")
    assert not old.drain(0.1), old.stats
    old.close()
    new.close()
    assert [r["msg"] for r in lines_of("fence")] == ["old", "new"]
    server.event("fence", "COMPLETED")
    wait_for(lambda: server.job("fence")["sealed"], 10, "sealed")
    late = handler_of("fence", producer="q")
    logger_of(late).info("x")
    wait_for(lambda: late.stats.state == "sealed", 10, "sealed")
    late.close()
    assert not spools()


def test_no_token_no_server():
    """401 is said once, lines wait; an unreachable server delays the end by flush_timeout at most, and the spool is kept and named."""
    with Fake(lambda n, headers, lines: (401, {}, {"code": "unauthorized", "message": "no token"})) as fake:
        p = python("log = logging.getLogger(); log.setLevel(1); log.addHandler(joblog.Handler('tok', flush_timeout=1))\nlog.info('x')", url=fake.url)
        assert p.returncode == 0 and p.stderr.count("refuses") == 1 and "resume" in p.stderr, p
    began = time.monotonic()
    p = python("log = logging.getLogger(); log.setLevel(1); log.addHandler(joblog.Handler('gone', flush_timeout=1))\nlog.info('x')",
               url=f"http://127.0.0.1:{free_port()}")
    assert p.returncode == 0 and time.monotonic() - began < 6 * PATIENCE and "1 lines of gone could not be delivered" in p.stderr, p
    assert joblog.resume(url=server.url) == 2 and [r["msg"] for r in lines_of("gone")] == ["x"] and not spools()


def test_run():
    """joblog.run: COMPLETED, FAILED with traceback and exit code for an exception, SystemExit, SIGTERM and Ctrl-C; the program's own end stays."""
    head = "logging.basicConfig(level=20)\n"
    with_run = "with joblog.run(sys.argv[1], labels={'team': 'x'}, name='n') as run:\n    logging.info('in it')\n    "
    for job, body, code, state, exit_code, message in (
            ("run-ok", "pass", 0, "COMPLETED", 0, None), ("run-raise", "1/0", 1, "FAILED", 1, "ZeroDivisionError: division by zero"),
            ("run-exit", "sys.exit(7)", 7, "FAILED", 7, "exited with code 7"), ("run-exit0", "sys.exit()", 0, "COMPLETED", 0, None),
            ("run-text", "sys.exit('why')", 1, "FAILED", 1, "why"), ("run-int", "raise KeyboardInterrupt", 130, "FAILED", 130, "killed by SIGINT"),
            ("run-term", "os.kill(os.getpid(), 15); time.sleep(20)", 143, "FAILED", 143, "killed by SIGTERM"),
            ("run-fail", "run.fail('bad loss', 4)", 0, "FAILED", 4, "bad loss")):
        p = python(head + with_run + body, job)
        assert p.returncode in (code, -2 if code == 130 else code), (job, p)
        j = server.job(job)
        assert (j["state"], j["complete"], j["labels"], j["name"]) == (f"TRAINING_JOB_{state}", True, {"team": "x"}, "n"), (job, j)
        assert j["exit_code"] == exit_code and j["error_message"] == message, (job, j)
        assert states_of(job) == ["CREATED", "RUNNING", state] and j["producers"][0]["exit_code"] == exit_code, (job, j["producers"])
        assert "in it" in [r["msg"] for r in lines_of(job)]
        assert ("ZeroDivisionError: division by zero" in [r["msg"] for r in lines_of(job)]) == (job == "run-raise")
    p = python("with joblog.run('run-capture', capture=True):\n    print('out'); print('er', end='', file=sys.stderr); print('no end', end='')")
    assert (p.stdout, p.stderr) == ("out\nno end", "er"), p
    assert sorted((r["msg"], r["stream"]) for r in lines_of("run-capture")) == [("er", "stderr"), ("no end", "stdout"), ("out", "stdout")]


def test_run_of_several_ranks():
    """With two ranks the job is COMPLETED by the last to finish, and FAILED by the first that fails."""
    program = "with joblog.run(sys.argv[1]):\n    logging.getLogger().warning('hi'); sys.stdin.readline()\n    sys.exit(int(sys.argv[2]))"
    for job, codes, state in (("ranks-ok", "00", "COMPLETED"), ("ranks-bad", "03", "FAILED")):
        ps = [python(program, job, codes[r], wait=False, RANK=str(r), WORLD_SIZE="2") for r in range(2)]
        wait_for(lambda: server.get(f"/v1/jobs/{job}").status == 200 and len(server.job(job).get("producers", [])) == 2, 15, "both ranks")
        assert server.job(job)["ranks"] == 2
        for n, p in enumerate(ps):
            p.communicate("\n", timeout=20)
            assert p.returncode == int(codes[n])
            if n == 0:
                assert server.job(job)["state"] == "TRAINING_JOB_RUNNING"
        j = server.job(job)
        assert j["state"] == f"TRAINING_JOB_{state}" and j["complete"] and j["exit_code"] == int(codes[1]), j
        assert {r["rank"] for r in lines_of(job)} == {0, 1}
    assert server.job("ranks-bad")["error_message"] == "rank 1: exited with code 3"


def test_an_end_that_could_not_be_told():
    """A run whose server is away at its end leaves lines, labels and verdict in the spool; resume delivers all three."""
    port = free_port()
    p = python("with joblog.run('untold', labels={'a': 'b'}, flush_timeout=0.5):\n    logging.getLogger().error('x'); sys.exit(5)",
               url=f"http://127.0.0.1:{port}")
    assert p.returncode == 5 and len(spools()) == 1, p
    assert joblog.resume(url=server.url) == 1 and not spools()
    j = server.job("untold")
    assert (j["state"], j["exit_code"], j["labels"], j["complete"]) == ("TRAINING_JOB_FAILED", 5, {"a": "b"}, True), j


def test_tail_over_restarts():
    """joblog.tail gives every record once and in order over kill -9 and restarts of the server, and ends with the verdict."""
    with Joblogd("--drain-time", "1s") as d:
        d.post_lines("tailed", [str(i) for i in range(100)])
        got, tail = [], joblog.tail("tailed", tail="all", url=d.url)

        def follow():
            for record in tail:
                got.append(record)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        n = 100
        for sig in (signal.SIGKILL, signal.SIGTERM):
            wait_for(lambda: len([r for r in got if r.state is None]) == n, 20, "lines")
            d.restart(sig)
            d.post_lines("tailed", [str(i) for i in range(n, n + 100)])
            n += 100
        wait_for(lambda: len([r for r in got if r.state is None]) == n, 20, "lines")
        d.event("tailed", "FAILED", exit_code=3)
        thread.join(20)
        assert not thread.is_alive() and [r.msg for r in got if r.state is None] == [str(i) for i in range(n)]
        assert [r.seq for r in got] == list(range(1, len(got) + 1)) and tail.reconnects >= 2 and not tail.gaps
        v = tail.verdict
        assert (v.state, v.exit_code, v.lines, v.last_seq, v.ok) == ("TRAINING_JOB_FAILED", 3, n, len(got), False), v
        again = joblog.tail("tailed", after=tail.cursor, url=d.url)
        assert list(again) == [] and again.verdict.state == "TRAINING_JOB_FAILED"
        resumed = joblog.tail("tailed", after=str(got[49].seq), url=d.url)
        assert [r.seq for r in resumed] == [r.seq for r in got[50:]]


def test_tail_tells_what_is_wrong():
    """No such job, bad filters, a broken connection without reconnect, deletion and an incomplete end are exceptions of their own."""
    server.post_lines("there", ["a"])
    for make, status in ((lambda: joblog.tail("nope", wait="100ms", url=server.url), 404), (lambda: joblog.tail("nope", re="(", url=server.url), 400),
                         (lambda: joblog.logs("nope", url=server.url), 404), (lambda: joblog.logs("there", level="loud", url=server.url), 400)):
        try:
            list(make())
            raise AssertionError("no error")
        except joblog.ServerError as e:
            assert e.status == status, e
    for call in (lambda: joblog.tail("bad/id"), lambda: joblog.Handler("bad id"), lambda: joblog.Handler("x", url="ftp://x"),
                 lambda: joblog.Handler("x", rank=70000)):
        try:
            call()
            raise AssertionError("no error")
        except ValueError:
            pass
    try:
        next(joblog.tail("x", url=f"http://127.0.0.1:{free_port()}", reconnect=False))
        raise AssertionError("no error")
    except joblog.Unreachable:
        pass
    with Joblogd("--drain-time", "1s") as d:
        head = {"X-Producer": "rank-9", "X-Epoch": "1", "X-Sequence": "1"}
        d.post_lines("inc", ["a"], headers=head)
        d.event("inc", "COMPLETED")
        t = joblog.tail("inc", tail="all", url=d.url, raise_incomplete=True)
        try:
            records = list(t)
            raise AssertionError(records)
        except joblog.Incomplete as e:
            assert e.missing == ["rank-9"] and t.verdict.complete is False
        d.post_lines("del", ["a"])
        t = joblog.tail("del", url=d.url)
        assert next(t).msg == "a"
        d.request("DELETE", "/v1/jobs/del")
        try:
            list(t)
            raise AssertionError("no error")
        except joblog.JobDeleted:
            pass


def test_logs():
    """joblog.logs reads what is stored with the server's filters; states are given when asked for."""
    server.post_lines("stored", [{"msg": f"m{i}", "rank": i % 3, "level": "error" if i % 10 == 0 else "info"} for i in range(1000)])
    assert [r.msg for r in joblog.logs("stored", url=server.url)] == [f"m{i}" for i in range(1000)]
    assert [r.msg for r in joblog.logs("stored", url=server.url, tail=3)] == ["m997", "m998", "m999"]
    assert {r.rank for r in joblog.logs("stored", url=server.url, rank="0,2")} == {0, 2}
    assert len(list(joblog.logs("stored", url=server.url, level="error"))) == 100
    assert [r.msg for r in joblog.logs("stored", url=server.url, re="^m99.$", order="desc", limit=2)] == ["m999", "m998"]
    assert [r.state for r in joblog.logs("stored", url=server.url, states=True) if r.state] == states_of("stored") or states_of("stored") == []


def test_detect_rank():
    """The rank is the launcher's, by the rules of joblog run, and nothing is guessed."""
    for environ, rank, ranks in (({}, None, None), ({"RANK": "3", "WORLD_SIZE": "8"}, 3, 8), ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}, 2, 4),
                                 ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, 1, 2), ({"PMI_RANK": "5", "PMI_SIZE": "6"}, 5, 6),
                                 ({"LOCAL_RANK": "1"}, 1, None), ({"RANK": "0", "SLURM_PROCID": "9"}, 0, None), ({"RANK": "", "PMI_RANK": "4"}, 4, None)):
        assert (joblog.detect_rank(environ), joblog.detect_ranks(environ)) == (rank, ranks), environ
    for bad in ("x", "-1", "65536", "1.0"):
        try:
            joblog.detect_rank({"RANK": bad})
            raise AssertionError(bad)
        except ValueError as e:
            assert "RANK" in str(e)
    assert joblog.detect_job({"TORCHELASTIC_RUN_ID": "none"}) is None and joblog.detect_job({"SLURM_JOB_ID": "7", "JOBLOG_JOB": "j"}) == "j"


def test_unix_socket_and_tls():
    """The server may listen on a unix socket or speak TLS; a certificate nobody signed is refused."""
    folder = tempfile.mkdtemp(prefix="jl-tls-")
    with Joblogd("--listen", f"unix:{folder}/s") as d:
        handler = joblog.Handler("unix", url=f"unix:{folder}/s")
        logger_of(handler).info("over unix")
        assert handler.drain(10), handler.stats
        handler.close()
        assert [r.msg for r in joblog.logs("unix", url=f"unix:{folder}/s")] == ["over unix"] and d.job("unix")["lines"] == 1
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/key", "-out", f"{folder}/cert", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert", f"{folder}/key")
    with Fake(lambda n, headers, lines: ok(headers, lines), context) as fake:
        handler = handler_of("tls", fake.url, cafile=f"{folder}/cert", token="secret")
        logger_of(handler).info("over tls")
        assert handler.drain(10), handler.stats
        assert fake.requests[0][2]["Authorization"] == "Bearer secret"
        handler.close()
        stranger = handler_of("tls2", fake.url, flush_timeout=0.2, spool_dir="")
        logger_of(stranger).info("x")
        wait_for(lambda: "certificate" in stranger.stats.last_error, 10, "the certificate is refused")
        assert not stranger.drain(0), stranger.stats
        stranger.close()
    shutil.rmtree(folder)


def test_what_a_call_costs():
    """A call of logging through the handler costs the caller microseconds: the figure is printed and bounded."""
    program = ("log = logging.getLogger('t'); log.setLevel(1); log.propagate = False\n"
               "def cost(handler, n=20000):\n"
               "    log.addHandler(handler)\n    began = time.thread_time()\n    for i in range(n): log.info('step %d loss %f', i, 2.5)\n"
               "    taken = time.thread_time() - began\n    log.removeHandler(handler)\n    return taken / n * 1e6\n"
               "none = cost(logging.NullHandler())\nh = joblog.Handler('cost')\nours = cost(h)\nbegan = time.monotonic()\nassert h.drain(30)\n"
               "file = cost(logging.FileHandler(os.devnull))\nprint(f'{none:.1f} {file:.1f} {ours:.1f}')")
    p = python(program)
    assert p.returncode == 0, p
    none, file, ours = map(float, p.stdout.split())
    print(f"emit: NullHandler {none} us, FileHandler {file} us, joblog.Handler {ours} us of the caller's CPU")
    assert ours - none < 60, p.stdout


def test_every_python():
    """The package works on each Python from 3.9 to 3.13 found here; at least one other than the tests' own is wanted, or this is skipped."""
    found = {}
    for exe in [*glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python3")), *glob.glob("/usr/bin/python3.[0-9]*"), *glob.glob("/usr/local/bin/python3.[0-9]*")]:
        if exe.endswith("config"):
            continue
        p = subprocess.run([exe, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, timeout=20)
        version = p.stdout.strip()
        if p.returncode == 0 and (3, 9) <= tuple(map(int, version.split("."))) <= (3, 13):
            found.setdefault(version, exe)
    if set(found) <= {"%d.%d" % sys.version_info[:2]}:
        raise unittest.SkipTest("no other Python from 3.9 to 3.13 is installed")
    program = ("with joblog.run(sys.argv[1], capture=True) as run:\n    logging.getLogger().warning('w')\n    print('p')\n"
               "    run.handler.drain(10)\n    assert [r.msg for r in joblog.logs(sys.argv[1])] == ['w', 'p']\n"
               "t = joblog.tail(sys.argv[1], tail='all')\nassert [r.msg for r in t if not r.state] == ['w', 'p'] and t.verdict.ok\nprint(run.stats)")
    for version, exe in sorted(found.items()):
        p = subprocess.run([exe, "-W", "error", "-c", "import joblog, logging, os, sys, time\n" + program, f"py-{version}"], capture_output=True,
                           text=True, timeout=60, env={**os.environ, "PYTHONPATH": PACKAGE, "JOBLOG_URL": server.url, "PYTHONDONTWRITEBYTECODE": "1"})
        assert p.returncode == 0 and not p.stderr, (version, p)
    print("ran on", *sorted(found))


def test_pip_install():
    """pip install ./clients/python works without network, and what is installed has its types."""
    folder = tempfile.mkdtemp(prefix="jl-pip-")
    try:
        source = os.path.join(folder, "python")
        shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
        p = subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--no-compile",
                            "--target", f"{folder}/site", source], capture_output=True, text=True, timeout=120)
        if "No module named pip" in p.stderr:
            raise unittest.SkipTest("python3-pip is not installed")
        assert p.returncode == 0, p
        p = subprocess.run(["/usr/bin/python3", "-c", "import joblog, os; d = os.path.dirname(joblog.__file__); print(joblog.__version__, "
                            "os.path.exists(d + '/py.typed'), '/site/' in d)"], cwd=folder, capture_output=True, text=True, timeout=20,
                           env={**os.environ, "PYTHONPATH": f"{folder}/site"})
        assert p.stdout.split() == ["0.1.0", "True", "True"], p
    finally:
        shutil.rmtree(folder)
