"""tests/e2e/14-http-floods.py -- too much of it: connections, bombs, slow clients, expressions made to hang.

Each is bounded: the server answers others meanwhile, keeps its memory, and is as before afterwards. 12,000 connections against
a limit of 10,000 where the process may have so many descriptors (make test-connections), else the same in small.
"""
import contextlib
import gzip
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import PATIENCE, Joblogd, sanitized, wait_for
from wsraw import BINARY, CLOSE, TEXT, Raw, frame

HELLO = b'{"type":"hello","producer":"p","epoch":1}'


def health(d, deadline_s=10):
    """Seconds of a GET /healthz."""
    began = time.monotonic()
    assert d.get("/healthz", timeout=deadline_s).status == 200
    return time.monotonic() - began


def test_more_connections_than_may_be():
    """Above --connections a client gets 503 and is closed; those there are go on; when they go others come in."""
    want, limit = (12000, 10000) if os.environ.get("JOBLOG_TEST_CONNECTIONS") else (600, 500)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < want + 200:
        raise unittest.SkipTest(f"{hard} descriptors are not enough for {want} connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, want + 1000), hard))
    with Joblogd("--connections", str(limit), "--keepalive-time", "600s", "--header-time", "600s") as d, contextlib.ExitStack() as stack:
        d.post_lines("j", ["x"])
        socks, refused = [], 0
        for i in range(want):
            s = stack.enter_context(socket.create_connection(("127.0.0.1", d.port), timeout=60))
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer:
                with contextlib.suppress(ConnectionError):
                    got = s.recv(4096)
                if not got:
                    break
                answer += got
            if b" 200 " in answer[:20]:
                socks.append(s)
            else:
                assert b" 503 " in answer[:20] and b"Retry-After" in answer, answer
                refused += 1
                s.close()
        assert len(socks) == limit and refused == want - limit, (len(socks), refused)
        for s in socks[::97]:  # they are still served
            s.sendall(b"GET /v1/jobs/j/logs HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                answer += s.recv(4096)
            assert b"x\n" in answer
        for s in socks:
            s.close()
        wait_for(lambda: refused_or_status(d) == 200, 30, "others come in")
        assert d.metric("joblog_http_overload_total") >= refused
        wait_for(lambda: d.metric("joblog_http_connections") <= 2, 30, "all are gone")


def refused_or_status(d):
    try:
        return d.get("/healthz").status
    except OSError:
        return 0


def test_bombs():
    """Bodies and messages that unpack to far more than may be are refused before they are unpacked, and cost little memory."""
    with Joblogd("--body-bytes", "8MiB") as d:
        health(d)
        rss = d.rss_bytes()
        zeros = gzip.compress(b"\n" * (256 << 20), 9)
        twice = gzip.compress(gzip.compress(b"x" * (64 << 20), 9), 9)
        zstd = subprocess.run(["zstd", "-q", "-19"], input=b"\n" * (256 << 20), stdout=subprocess.PIPE, check=True).stdout
        for coding, data in (("gzip", zeros), ("gzip", twice), ("zstd", zstd), ("gzip", zeros[:200] * 50), ("zstd", zstd * 40)):
            r = d.post("/v1/jobs/bomb/logs", data, {"Content-Encoding": coding, "Content-Type": "text/plain"}, timeout=60)
            assert r.status in (400, 413) or coding == "gzip" and data is twice and r.status == 200, (coding, len(data), r)
        for _ in range(8):  # all at once
            threading.Thread(target=lambda: d.post("/v1/jobs/bomb/logs", zeros, {"Content-Encoding": "gzip"}, timeout=60), daemon=True).start()
        with Raw(d.port, "/v1/jobs/ws/ingest", protocol="joblog.ingest.v1") as w:
            w.send(frame(TEXT, HELLO))
            assert b"welcome" in w.read().payload
            w.send(frame(BINARY, zstd))
            f = w.until(CLOSE)
            assert f is None or f.payload[:2] == b"\x11\x30", f
        assert health(d) < 10
        assert sanitized() or d.rss_bytes() - rss < (200 << 20), d.rss_bytes() - rss


def test_expressions_made_to_hang():
    """Expressions that hang a backtracking engine, and ones that are too big, are answered at once, everywhere they are taken."""
    with Joblogd() as d:
        d.post_lines("j", ["a" * 20000 + "!", "x" * 1000])
        for re_ in ("(a+)+$", "(a|aa)+$", "(.*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a?){40}a{40}", "(((((a*)*)*)*)*)*!z"):
            for path in ("logs?tail=all&re=", "tail?wait=0s&tail=all&re=", "search?re=", "logs?q="):
                began = time.monotonic()
                with contextlib.suppress(TimeoutError, socket.timeout):  # a tail goes on
                    r = d.get(f"/v1/jobs/j/{path}{quoted(re_)}", timeout=20 if "tail?" not in path else 1)
                    assert r.status in (200, 400), (path, re_, r)
                assert time.monotonic() - began < 20 * PATIENCE
            r = d.post("/v1/rules", {"id": f"r{len(re_)}-{abs(hash(re_)) % 10 ** 6}", "line": {"pattern": re_}})
            assert r.status in (201, 400), r
        for big in ("(x{1000}){1000}", "((x{100}){100}){100}", "(" * 900 + "x" + ")" * 900, "x" * 5000, "[" * 500, "\\", "(?P<n", "(?i" * 100):
            for path in ("logs?re=", "search?re="):
                r = d.get(f"/v1/jobs/j/{path}{quoted(big)}")
                assert r.status in (200, 400, 414, 431), (path, big[:30], r)
            r = d.post("/v1/rules", {"id": "big", "line": {"pattern": big}})
            assert r.status == 400 or len(big) == 1801, (big[:30], r)
        d.post_lines("j", ["a" * 20000 + "!"])
        assert health(d) < 5


def quoted(s):
    import urllib.parse

    return urllib.parse.quote(s, safe="")


def test_slowhttptest():
    """The four modes of slowhttptest: slow headers, slow bodies, range attack, slow reading; others are served all the time."""
    tool = shutil.which("slowhttptest")
    if not tool:
        raise unittest.SkipTest("slowhttptest is not installed")
    with Joblogd("--header-time", "2s", "--body-time", "2s", "--write-time", "2s", "--keepalive-time", "2s") as d:
        d.post_lines("j", ["y" * 1000] * 2000)
        url = f"{d.url}/v1/jobs/j/logs?tail=all"
        modes = {"slow header": ["-H", "-i", "1", "-x", "24", "-u", url], "slow body": ["-B", "-i", "1", "-s", "8192", "-x", "10", "-u", url],
                 "range": ["-R", "-a", "1", "-b", "1000", "-t", "HEAD", "-u", f"{d.url}/v1/jobs/j/archive.jsonl.zst"],
                 "slow read": ["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "16", "-k", "2", "-u", url]}
        running = {m: subprocess.Popen([tool, "-c", "150", "-r", "150", "-l", "6", "-p", "3", *a], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, env={**os.environ, "TERM": "dumb"}) for m, a in modes.items()}
        worst, looked = 0.0, 0
        try:
            while any(p.poll() is None for p in running.values()) and looked < 400:
                worst, looked = max(worst, health(d)), looked + 1
                threading.Event().wait(0.1)
        finally:
            for p in running.values():
                if p.poll() is None:
                    p.send_signal(signal.SIGTERM)
                p.communicate(timeout=30)
        assert looked > 5 / PATIENCE and worst < 5 * PATIENCE, (looked, worst)
        wait_for(lambda: d.metric("joblog_http_connections") <= 2, 60, "every slow client is gone")
        assert d.metric("joblog_http_timeouts_total") > 50, d.metric("joblog_http_timeouts_total")


def test_thousands_of_ids_and_arguments():
    """Odd ids, paths that climb, encodings of them, arguments without end: 400 or 404, and no file is read or made."""
    with Joblogd() as d:
        before = sorted(os.listdir(d.data)), sorted(os.listdir(os.path.dirname(d.data)))[:0]
        climbing = ["..", ".", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "....//", "..;", "a%00b", "a%2fb", "%c0%ae%c0%ae", "a\\b", "~root",
                    "con", "-rf", "$(id)", "`id`", "a;b", "a|b", "'", "\"", "<script>", "%0d%0aX-Evil: 1", "a%0ab", "\u00e4", "%ff", "a" * 129, "%", "%zz", "{job}", "*"]
        for raw in climbing:
            path = "".join(c if c.isascii() and c not in ' "<>\\^`{|}' else quoted(c) for c in raw)
            for method, where in (("GET", f"/v1/jobs/{path}"), ("GET", f"/v1/jobs/{path}/logs"), ("POST", f"/v1/jobs/{path}/logs"),
                                  ("DELETE", f"/v1/jobs/{path}"), ("GET", f"/v1/jobs/{path}/archive.jsonl.zst"), ("GET", f"/web/{path}"),
                                  ("GET", f"/v1/rules/{path}"), ("GET", f"/v1/jobs?project={path}"), ("POST", f"/v1/jobs/j/logs?project={path}"),
                                  ("GET", f"/v1/training_projects/{path}/jobs/{path}")):
                r = d.request(method, where, b"x\n" if method == "POST" else None)
                ok = raw in ("con", "{job}") or where.endswith("/logs") and raw in (".", "..") or r.status in (400, 404, 405)
                assert ok or r.status == 414, (method, where, r)
                assert b"root:" not in r.body and "x-evil" not in r.headers, (method, where, r)
            for field in ("id", "project"):
                r = d.post("/v1/jobs", {"id": "ok", field: raw})
                assert r.status in ((200, 201) if raw == "con" else (400,)), (field, raw, r)
            r = d.post_lines("hdr", ["x"], headers={"X-Producer": raw.encode("ascii", "replace").decode(), "X-Epoch": "1", "X-Sequence": "1"})
            assert r.status in (200, 400), (raw, r)
        assert sorted(os.listdir(d.data)) == before[0]
        assert all(x["id"] in ("ok", "con", "hdr", "j") or x["id"].startswith("con") for x in d.get("/v1/jobs").json()["jobs"]), d.get("/v1/jobs").json()
        assert json.loads(d.get("/healthz").body)["status"] == "ok"
