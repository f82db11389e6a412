"""tests/fault/30-full.py -- full and broken things: refused early and in words, live tails go on, all is well again without a restart.

Small file systems are tmpfs mounts; where mounting is not permitted those tests are skipped.
"""
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from harness import Joblogd, tail_records, wait_for
from stand import DELAY, Shim, Stand

FAST = ["--segment-age", "1s", "--segment-bytes", "256KiB", "--hot-bytes", "64KiB", "--drain-time", "500ms"]
LINES = 500
PATIENCE_S = 60


def body(seed):
    rng = random.Random(seed)
    return "".join(f"{seed}:{i} {rng.getrandbits(700):x}\n" for i in range(LINES))


def post(d, job, n, timeout=30):
    """Batch n (from 0) of producer w; the reply."""
    return d.post(f"/v1/jobs/{job}/logs", body(n), {"Content-Type": "text/plain", "X-Producer": "w", "X-Epoch": "1",
                                                    "X-Sequence": str(1 + n * LINES)}, timeout=timeout)


def fill(d, job, most):
    """Batches until one is refused; (batches stored, the refusal)."""
    for n in range(most):
        r = post(d, job, n)
        if r.status != 200:
            return n, r
    raise AssertionError(f"{most} batches were taken")


def goes_on(d, job, n):
    """Batch n is taken, at last."""
    wait_for(lambda: post(d, job, n).status == 200, PATIENCE_S, "lines are taken again")
    wait_for(d.is_ready, PATIENCE_S, "ready again")


def whole(d, job, batches):
    """Every acknowledged line is there, once, in order."""
    want = [line for n in range(batches) for line in body(n).splitlines()]
    got = [r["msg"] for r in d.records(job) if "state" not in r]
    assert got == want, (len(got), len(want))


@contextlib.contextmanager
def tmpfs(size, where=None):
    """A small file system; skips where that is not permitted."""
    path = where or tempfile.mkdtemp(prefix="jl-full-")
    os.makedirs(path, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], capture_output=True).returncode:
        raise unittest.SkipTest("mounting is not permitted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=False)
        if not where:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def follower(d, job):
    """A live tail; yields a function: its records so far."""
    seen, stop = [], threading.Event()

    def follow():
        d.tail_ws(job, "tail=all&wait=30s", 200, lambda m: seen.append(m) or stop.is_set())

    t = threading.Thread(target=follow, daemon=True)
    t.start()
    yield lambda: tail_records(seen)
    stop.set()


def test_redis_memory_full_while_the_archive_is_full():
    """Redis' memory fills because the archive's disk is full: lines are refused early (503, Retry-After), /readyz says why, tails
    and reads go on; with room in the archive all drains by itself and nothing acknowledged is lost."""
    with tmpfs("1m") as disk, Joblogd("--archive", disk, "--redis-memory", "20MiB", *FAST) as d, follower(d, "j") as seen:
        stored, refused = fill(d, "j", 2000)
        assert refused.status == 503 and refused.json()["code"] == "full" and int(refused.headers["retry-after"]) >= 1, refused
        ready = d.get("/readyz")
        assert ready.status == 503 and "memory" in ready.json()["message"] and "retry-after" in ready.headers, ready
        wait_for(lambda: len(seen()) >= stored * LINES, PATIENCE_S, "the follower has all that was taken")
        assert len(d.records("j", "tail=5")) == 5
        assert d.event("j", "RUNNING").status == 200
        for _ in range(20):
            post(d, "j", stored)
        assert len(d.logged("memory is nearly full")) == 1, d.log[-5:]
        subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
        goes_on(d, "j", stored)
        assert len(d.logged("lines are taken again")) == 1
        whole(d, "j", stored + 1)
        wait_for(lambda: len(seen()) == (stored + 1) * LINES, PATIENCE_S, "the follower has the rest")


def test_data_disk_full():
    """The disk of Redis' file is nearly full: refused before it is quite full; room makes it well."""
    with tmpfs("72m") as disk, tmpfs("1g") as archive:
        with Joblogd("--archive", archive, "--segment-age", "1h", "--drain-time", "500ms", data=disk) as d:
            assert post(d, "j", 0).status == 200
            filler = os.path.join(disk, "filler")
            with open(filler, "wb") as f:
                f.write(bytes(44 << 20))
            wait_for(lambda: d.get("/readyz").status == 503, PATIENCE_S, "not ready")
            assert "disk" in d.get("/readyz").json()["message"]
            r = post(d, "j", 1)
            assert r.status == 503 and "retry-after" in r.headers, r
            assert len(d.logged("the disk of the data directory")) == 1
            os.unlink(filler)
            goes_on(d, "j", 1)
            whole(d, "j", 2)


def archive_fails(d, job, hurt, heal):
    """Archiving does not work after hurt(); lines and tails go on; after heal() it catches up."""
    assert post(d, job, 0).status == 200
    wait_for(lambda: d.job(job)["archived_upto"] == LINES, PATIENCE_S, "archived")
    with follower(d, job) as seen:
        hurt()
        assert post(d, job, 1).status == 200
        wait_for(lambda: d.get("/readyz").status == 503, PATIENCE_S, "not ready")
        assert "archive" in d.get("/readyz").text, d.get("/readyz")
        assert post(d, job, 2).status == 200
        wait_for(lambda: len(seen()) >= 2 * LINES, PATIENCE_S, "the follower goes on")
        wait_for(lambda: d.metric("joblog_archive_errors_total") >= 3, PATIENCE_S, "it is tried again")
        assert len(d.logged("archiving failed")) == 1, d.logged("archiving failed")
        assert d.job(job)["archived_upto"] == LINES
        heal()
        wait_for(lambda: d.job(job)["archived_upto"] == 3 * LINES, PATIENCE_S, "archived again")
        wait_for(d.is_ready, PATIENCE_S, "ready again")
    whole(d, job, 3)


def test_archive_read_only():
    """The archive's file system turns read-only: not ready, nothing trimmed, tails go on; writable again it catches up."""
    with tmpfs("1g") as disk, Joblogd("--archive", disk, *FAST) as d:
        archive_fails(d, "j", lambda: subprocess.run(["mount", "-o", "remount,ro", disk], check=True),
                      lambda: subprocess.run(["mount", "-o", "remount,rw", disk], check=True))


def test_archive_gone():
    """The archive's directory is moved away: said, not taken for empty; back at its place it is used again."""
    top = tempfile.mkdtemp(prefix="jl-gone-")
    archive, away = os.path.join(top, "archive"), os.path.join(top, "away")
    try:
        with Joblogd("--archive", archive, *FAST) as d:
            archive_fails(d, "j", lambda: os.rename(archive, away), lambda: os.rename(away, archive))
    finally:
        shutil.rmtree(top, ignore_errors=True)


def asked(s, path):
    """GET path over the open socket s, kept; (status line, body)."""
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = b""
    while b"}" not in answer:
        more = s.recv(65536)
        assert more, answer
        answer += more
    head, _, text = answer.decode().partition("\r\n\r\n")
    return head.split("\r\n")[0], text


def refused(d):
    """A new connection is answered 503 with its reason."""
    try:
        with socket.create_connection(("127.0.0.1", d.port), 5) as s:
            status, text = asked(s, "/readyz")
            return " 503 " in status and "file descriptors" in text
    except (OSError, AssertionError):
        return False


def test_descriptors_run_out():
    """More connections than descriptors: /readyz says so and the log once; the ones that are there go on, lines are archived, and
    when some leave new ones come in."""
    with Joblogd(*FAST, wrapper=["prlimit", "--nofile=256:256"]) as d, follower(d, "j") as seen:
        assert post(d, "j", 0).status == 200
        wait_for(lambda: len(seen()) >= LINES, PATIENCE_S, "the follower is there before descriptors run out")
        idle = []
        for _ in range(300):
            s = socket.socket()
            s.settimeout(5)
            s.connect(("127.0.0.1", d.port))
            idle.append(s)
        agent = idle.pop(0)
        try:
            _, text = wait_for(lambda: (lambda a: a if " 503 " in a[0] else None)(asked(agent, "/readyz")), PATIENCE_S, "/readyz says no")
            assert "no file descriptors are left" in text, text
            wait_for(lambda: refused(d), PATIENCE_S, "a new connection is told")
            for n in range(1, 4):
                text = body(n).encode()
                agent.sendall(f"POST /v1/jobs/j/logs HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nX-Producer: w\r\n"
                              f"X-Epoch: 1\r\nX-Sequence: {1 + n * LINES}\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
                answer = b""
                while b"}" not in answer:
                    answer += agent.recv(65536)
                assert b" 200 " in answer.split(b"\r\n")[0], answer
            wait_for(lambda: len(seen()) >= 4 * LINES, PATIENCE_S, "the follower goes on")
        finally:
            for s in idle:
                s.close()
            agent.close()
        wait_for(d.is_ready, PATIENCE_S, "new connections come in")
        wait_for(lambda: d.logged("file descriptors are free again"), PATIENCE_S, "the log says so")
        assert len(d.logged("no file descriptors are left")) == 1, d.logged("descriptors")
        assert len(d.logged("file descriptors are free again")) == 1, d.logged("descriptors")
        wait_for(lambda: d.job("j")["archived_upto"] == 4 * LINES, PATIENCE_S, "archived")
        whole(d, "j", 4)


def test_a_slow_disk_loses_no_first_token():
    """The tokens' file takes longer than the sweep of those without a token: who makes the first one has it all the same."""
    with tempfile.TemporaryDirectory(prefix="jl-slow-") as where:
        slow = Shim(os.path.join(where, "shim"), "/tokens")
        with Joblogd(env=slow.env()) as d:
            slow.set(DELAY, 2500000)
            root = d.close_doors()
            r = d.post("/v1/tokens", {"name": "second", "scopes": ["admin"]})
            assert r.status == 201, r
            slow.set(DELAY, 0)
            d.token = r.json()["token"]
            assert d.get("/v1/whoami").status == 200
            d.token = root
            assert d.get("/v1/whoami").status == 200


def test_redis_file_is_damaged():
    """A tail of Redis' file that is no command, as after an outage on a disk that mixes up what it has not written: joblogd does not
    cut it by itself. It says so once, with what to do; done, every acknowledged line is there."""
    with Stand() as d:
        for n in range(4):
            assert post(d, "demo", n).status == 200
        pid = d.redis_alive()
        d.kill()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not d.redis_alive(), 20, "redis is gone")
        folder = os.path.join(d.data, "redis", "appendonlydir")
        with open(os.path.join(folder, max(f for f in os.listdir(folder) if f.endswith(".incr.aof"))), "ab") as f:
            f.write(random.Random(1).randbytes(5000))
        d.start(ready=False)
        told = lambda: [x for x in d.log if x["msg"].startswith("redis-server does not start")]  # noqa: E731
        wait_for(told, PATIENCE_S, "the operator is told")
        assert "append only file" in told()[0]["says"], told()
        r = d.get("/readyz")
        assert r.status == 503 and "redis-server does not start: " in r.json()["message"], r.body
        tried = set()
        wait_for(lambda: tried.add(d.redis_pid()) or len(tried) > 2, PATIENCE_S, "it is tried again and again")
        assert len(told()) == 1, told()
        assert d.kill(signal.SIGTERM) == 0
        done = subprocess.run(told()[0]["do"].split("then: ")[1].split(), input="y\n", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
        d.start()
        whole(d, "demo", 4)
        goes_on(d, "demo", 4)
