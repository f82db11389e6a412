"""tests/e2e/12-http-probes.py -- what a hostile or odd HTTP client can do to the one port: nothing.

Each probe is bytes on a socket and the answers they must get. After each of them another connection's
GET /healthz is answered in 50 ms, the process is idle again, its memory has not grown beyond a bound,
and the log holds exactly what was accepted.

Against another server: PROBE_ADDR=HOST:PORT (and PROBE_PID for CPU and memory, PROBE_HEADER_S and
PROBE_BODY_S for its deadlines). `build/unit/http/server_test --serve 127.0.0.1:0` is one.
"""
import contextlib
import json
import os
import random
import select
import socket
import struct
import time
import unittest

import harness
from harness import PATIENCE, sanitized, wait_for

HEADER_S, BODY_S = 1.0, 2.0     # deadlines the server is started with
ALONE = True
BODY_BYTES = 1 << 20            # its --body-bytes
HEALTH_S = 0.05
RSS_GROWTH_BYTES = 48 << 20     # over the whole file, sanitizers aside
IDLE_TICKS, IDLE_WINDOW_S = 5, 0.5
WS_KEY = "dGhlIHNhbXBsZSBub25jZQ=="

server = None
serial = 0


class Remote:
    """A server that somebody else started."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.host, self.port = host, int(port)
        self.pid = int(os.environ.get("PROBE_PID", "0"))
        self.header_s = float(os.environ.get("PROBE_HEADER_S", "10"))
        self.body_s = float(os.environ.get("PROBE_BODY_S", "60"))
        self.body_bytes = int(os.environ.get("PROBE_BODY_BYTES", str(64 << 20)))

    def close(self):
        pass


def start_joblogd():
    """joblogd with short deadlines; without --body-time where it has none yet."""
    base = ["--header-time", f"{int(HEADER_S * 1000)}ms", "--body-bytes", "1MiB"]
    with contextlib.suppress(AssertionError):
        d = harness.Joblogd(*base, "--body-time", f"{int(BODY_S)}s")
        d.body_s = BODY_S
        return d
    d = harness.Joblogd(*base)
    d.body_s = 60.0
    return d


def setup():
    global server
    if os.environ.get("PROBE_ADDR"):
        server = Remote(os.environ["PROBE_ADDR"])
    else:
        if not os.access(harness.JOBLOGD, os.X_OK):
            raise unittest.SkipTest("there is no joblogd")
        server = start_joblogd()
        server.host, server.header_s, server.body_bytes = "127.0.0.1", HEADER_S, BODY_BYTES
    health()  # warm
    server.rss_start = rss_bytes()


def teardown():
    server.close()


# ---- a client that sends what it is told ----

class Wire:
    def __init__(self, timeout=10):
        self.sock = socket.create_connection((server.host, server.port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""

    def send(self, data):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def more(self):
        try:
            got = self.sock.recv(65536)
        except ConnectionResetError:
            got = b""
        self.held += got
        return bool(got)

    def until(self, mark):
        while mark not in self.held:
            if not self.more():
                return None
        head, self.held = self.held.split(mark, 1)
        return head

    def exactly(self, n):
        while len(self.held) < n:
            if not self.more():
                raise AssertionError(f"closed after {len(self.held)} of {n} bytes")
        data, self.held = self.held[:n], self.held[n:]
        return data

    def answer(self, head_only=False):
        """(status, headers, body), or None when the server closed without one."""
        head = self.until(b"\r\n\r\n")
        if head is None:
            return None
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {k.lower(): v.strip() for k, v in (x.split(":", 1) for x in lines[1:])}
        body = b""
        if head_only or status in (100, 101, 204, 304):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while True:
                size = int(self.until(b"\r\n"), 16)
                body += self.exactly(size + 2)[:-2]
                if size == 0:
                    break
        else:
            body = self.exactly(int(headers.get("content-length", "0")))
        return status, headers, body

    def statuses(self, n):
        return [(self.answer() or (0,))[0] for _ in range(n)]

    def at_end(self):
        """True when the server has closed and nothing is left unread."""
        while not self.held and self.more():
            pass
        return not self.held

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def new_job():
    global serial
    serial += 1
    return f"probe-{os.getpid()}-{serial}"


def post(job, body, head="", length=None):
    """The bytes of a POST of lines."""
    n = len(body) if length is None else length
    size = f"Content-Length: {n}\r\n" if n != "" else ""
    return f"POST /v1/jobs/{job}/logs HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n{size}{head}\r\n{body}"


def get(path="/healthz", head=""):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n"


def stored(job):
    with Wire(30) as w:
        w.send(get(f"/v1/jobs/{job}/logs?format=ndjson&tail=all", "Connection: close\r\n"))
        status, _, body = w.answer()
    if status == 404:
        return []
    assert status == 200, (status, body)
    return [r["msg"] for r in map(json.loads, body.decode().splitlines()) if "state" not in r]


# ---- the server's pulse ----

def health():
    """Seconds until another connection's GET /healthz is answered."""
    start = time.monotonic()
    with Wire() as w:
        w.send(get())
        assert w.answer()[0] == 200
    return time.monotonic() - start


def ticks():
    fields = open(f"/proc/{server.pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def rss_bytes():
    if not server.pid:
        return 0
    for line in open(f"/proc/{server.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def is_idle():
    before = ticks()
    select.select([], [], [], IDLE_WINDOW_S)
    return ticks() - before <= IDLE_TICKS


def assert_unharmed(job=None, lines=None):
    """Alive, quick, idle, no larger, and holding what was accepted."""
    best = min(health() for _ in range(5))  # the machine may be busy: the best of five is the server's
    assert best < HEALTH_S, f"/healthz took {best * 1000:.0f} ms"
    if server.pid:
        wait_for(is_idle, 10, "the process is idle again")
        grown = rss_bytes() - server.rss_start
        assert sanitized() or grown < RSS_GROWTH_BYTES, f"memory grew by {grown >> 20} MiB"
    if job is not None:
        assert stored(job) == lines, (stored(job), lines)


def refused(request, *statuses, job=None):
    """The request is answered with one of statuses as error JSON, the connection closed, nothing stored."""
    with Wire() as w:
        w.send(request)
        answer = w.answer()
        assert answer is not None, f"closed without an answer: {request[:80]!r}"
        assert answer[0] in statuses, f"{answer[0]} not in {statuses}: {request[:120]!r}"
        error = json.loads(answer[2])
        assert error["code"] and error["message"], error
        assert w.at_end(), f"not closed: {request[:80]!r} {w.held[:80]!r}"
    if job is not None:
        assert stored(job) == [], (job, stored(job))


# ---- the table ----

def test_pipelined_in_one_segment():
    """GET+POST, POST+POST and POST+POST+GET in one segment are served in order, each with its own body."""
    job = new_job()
    with Wire() as w:
        w.send(get() + post(job, "one\n"))
        assert w.statuses(2) == [200, 200]
        w.send(post(job, "two\n") + post(job, "three\n"))
        assert w.statuses(2) == [200, 200]
        w.send(post(job, "four\n") + post(job, "five\n") + get())
        assert w.statuses(3) == [200, 200, 200]
        w.send(get() * 40)
        assert w.statuses(40) == [200] * 40
    assert_unharmed(job, ["one", "two", "three", "four", "five"])


def test_stray_byte_after_a_body():
    """A byte behind a body is not part of it: the POST is stored once, and the connection ends by deadline."""
    job = new_job()
    with Wire(server.header_s + 10) as w:
        w.send(post(job, "hello\n") + "G")
        assert w.answer()[0] == 200
        answer = w.answer()
        assert answer is None or answer[0] == 408, answer
    with Wire() as w:
        w.send(post(job, "again\n") + "\r\n")
        assert w.answer()[0] == 200
        assert w.answer()[0] == 400
    assert_unharmed(job, ["hello", "again"])


def test_length_and_coding_together():
    """Content-Length with Transfer-Encoding is refused in either order, and nothing behind it is served."""
    job = new_job()
    smuggled = "0\r\n\r\n" + post(job, "smuggled\n")
    for head in ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"):
        refused(post(job, smuggled, head, length=""), 400, job=job)
    assert_unharmed(job, [])


def test_bad_lengths():
    """Two lengths, +3, 3abc, -1, 0x3, none, a list, a space before the colon, 2^64+3: refused."""
    job = new_job()
    for value in ("3\r\nContent-Length: 3", "3\r\nContent-Length: 5", "+3", "3abc", "-1", "0x3", "", "3, 3", "3 3",
                  str(2 ** 64 + 3), str(2 ** 63), "9" * 30):
        refused(post(job, "abc", f"Content-Length: {value}\r\n", length=""), 400, 413, job=job)
    refused(post(job, "abc", "Content-Length : 3\r\n", length=""), 400, job=job)
    refused(post(job, "abc", "Content-Length\t: 3\r\n", length=""), 400, job=job)
    assert_unharmed(job, [])


def test_chunked_is_decoded():
    """Chunks of any size are one body, trailers are dropped, and the next request is served."""
    job = new_job()
    text = "".join(f"line {i}\n" for i in range(2000))
    pieces, at, rand = "", 0, random.Random(7)
    while at < len(text):
        n = rand.choice((1, 2, 15, 16, 255, 1000))
        pieces += f"{len(text[at:at + n]):X}\r\n{text[at:at + n]}\r\n"
        at += n
    with Wire() as w:
        w.send(post(job, pieces + "0\r\nX-Trailer: dropped\r\nContent-Length: 3\r\n\r\n" + get(),
                    "Transfer-Encoding: chunked\r\n", length=""))
        assert w.statuses(2) == [200, 200]
        for byte in post(job, "4\r\nlast\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n", length=""):
            w.send(byte)
        assert w.answer()[0] == 200
    assert_unharmed(job, text.splitlines() + ["last"])


def test_bad_chunks():
    """A chunk that can be read in two ways is refused, and nothing of its body is stored."""
    job = new_job()
    for body in ("3\r\nabcXX0\r\n\r\n", "3;ext=1\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n",
                 "3\nabc\n0\n\n", "g\r\nabc\r\n0\r\n\r\n", "\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n",
                 "3\r\nabc\r0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "0\r\n folded\r\n\r\n", "-1\r\n\r\n",
                 "fffffffffffffffff\r\n", "ffffffffffffffff\r\n", "8000000000000000\r\n", "0" * 40 + "3\r\nabc\r\n0\r\n\r\n"):
        refused(post(job, body, "Transfer-Encoding: chunked\r\n", length=""), 400, 413, job=job)
    for coding in ("gzip, chunked", "xchunked", "chunked, chunked", "identity", "chunked\r\nTransfer-Encoding: chunked",
                   "gzip"):
        refused(post(job, "0\r\n\r\n", f"Transfer-Encoding: {coding}\r\n", length=""), 400, 501, job=job)
    refused(f"POST /v1/jobs/{job}/logs HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400, job=job)
    assert_unharmed(job, [])


def test_bad_heads():
    """No Host, two Hosts, bare LF, folding, control bytes, other versions: refused with their status."""
    for status, request in (
            (400, "GET / HTTP/1.1\r\n\r\n"), (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1\nHost: x\n\n"), (400, "GET / HTTP/1.1\r\nHost: x\n\r\n"), (400, "\r\n\r\n" + get()),
            (400, "GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n"), (400, "GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n"), (400, "GET / HTTP/1.1\r\nHost: x\r\nA: a\rb\r\n\r\n"),
            (400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"), (400, "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"), (400, "GET /\r\n\r\n"),
            (400, "GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n"), (400, "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
            (400, "GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n"), (400, "GET / ICE/1.0\r\nHost: x\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"), (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            (501, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), (400, "get / HTTP/1.1\r\nHost: x\r\n\r\n"),
            (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")):
        refused(request, status, 501 if status == 400 else status)
    assert_unharmed()


def test_many_arguments():
    """A hundred arguments in a URL are served."""
    with Wire() as w:
        w.send(get("/healthz?" + "&".join(f"k{i}=%20{i}" for i in range(100))))
        assert w.answer()[0] == 200
    assert_unharmed()


def test_oversized():
    """A large header is 431, a large URI 414, a large body 413 (declared or chunked), whatever its length says."""
    job = new_job()
    refused("GET / HTTP/1.1\r\nHost: x\r\nA: " + "a" * 100000 + "\r\n\r\n", 431)
    refused("GET / HTTP/1.1\r\nHost: x\r\n" + "".join(f"A{i}: b\r\n" for i in range(5000)) + "\r\n", 431)
    refused("GET /" + "a" * 100000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414)
    refused("GET /" + "a" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414)
    refused(post(job, "", length=server.body_bytes + 1), 413, job=job)
    if server.body_bytes <= 16 << 20:
        piece = f"{65536:x}\r\n{'x' * 65535}\n\r\n"
        refused(post(job, piece * (server.body_bytes // 65536 + 1) + "0\r\n\r\n", "Transfer-Encoding: chunked\r\n",
                     length=""), 413, job=job)
    assert_unharmed(job, [])


def test_expect_continue():
    """Expect: 100-continue is answered before the body is sent; another expectation is 417."""
    job = new_job()
    with Wire() as w:
        w.send(post(job, "", "Expect: 100-continue\r\n", length=6))
        assert w.answer()[0] == 100
        w.send("hello\n")
        assert w.answer()[0] == 200
        w.send(post(job, "at once\n", "Expect: 100-continue\r\n"))
        status = w.answer()[0]
        assert (w.answer()[0] if status == 100 else status) == 200
    refused(post(job, "x\n", "Expect: more\r\n"), 417)
    refused(post(job, "", "Expect: 100-continue\r\n", length=server.body_bytes + 1), 413)
    assert_unharmed(job, ["hello", "at once"])


def test_unknown_upgrades():
    """Upgrade to h2c, to TLS or to nonsense is ignored: the request is served as HTTP/1.1, and so is the next."""
    job = new_job()
    with Wire() as w:
        for token in ("h2c", "foo", "TLS/1.0", "websocket, h2c"):
            w.send(get("/healthz", f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {token}\r\nHTTP2-Settings: AAMAAABk\r\n"))
            assert w.answer()[0] == 200, token
        w.send(post(job, "body\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                   f"Sec-WebSocket-Key: {WS_KEY}\r\n"))
        assert w.answer()[0] == 200
        w.send(get("/healthz"))
        assert w.answer()[0] == 200
    assert_unharmed(job, ["body"])


def test_bad_websocket_handshakes():
    """Version 8 is 426 and a key of two bytes is 400."""
    head = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    refused(get("/v1/jobs/j/tail", head + f"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: {WS_KEY}\r\n"), 426)
    refused(get("/v1/jobs/j/tail", head + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAA=\r\n"), 400)
    assert_unharmed()


def dribble(w, data, interval_s, limit_s):
    """Send byte by byte until the server speaks or closes; seconds it took."""
    start = time.monotonic()
    for byte in data:
        w.send(bytes([byte]))
        if select.select([w.sock], [], [], interval_s)[0]:
            break
        assert time.monotonic() - start < limit_s * PATIENCE, "the deadline never came"
    return time.monotonic() - start


def test_slow_header():
    """A head that dribbles is ended by its absolute deadline with 408, a silent connection is closed."""
    limit = server.header_s
    if limit > 15:
        raise unittest.SkipTest(f"the deadline is {limit} s")
    silent = Wire(limit + 10)
    with Wire() as w:
        took = dribble(w, ("GET / HTTP/1.1\r\nHost: x\r\nA: " + "a" * 5000).encode(), limit / 20, limit + 5)
        assert limit * 0.9 <= took <= limit + 3 * PATIENCE, took
        assert w.answer()[0] == 408
    assert silent.at_end()
    silent.close()
    assert_unharmed()


def test_slow_body():
    """A body that dribbles is ended with 408, and nothing of it is stored."""
    limit = server.body_s
    if limit > 15:
        raise unittest.SkipTest(f"the deadline is {limit} s")
    job = new_job()
    with Wire() as w:
        w.send(post(job, "", length=100000))
        took = dribble(w, b"x" * 100000, limit / 20, limit + 5)
        assert limit * 0.9 <= took <= limit + 3 * PATIENCE, took
        assert w.answer()[0] == 408
    assert_unharmed(job, [])


def test_half_closed():
    """A client that closes its sending half after the request still gets the answer; in mid-body, none is stored."""
    job = new_job()
    with Wire() as w:
        w.send(post(job, "whole\n"))
        w.sock.shutdown(socket.SHUT_WR)
        assert w.answer()[0] == 200
    with Wire() as w:
        w.send(post(job, "part", length=1000))
        w.sock.shutdown(socket.SHUT_WR)
        assert w.at_end()
    assert_unharmed(job, ["whole"])


def test_resets():
    """Connections that are reset in the head, in mid-body, in mid-answer or in an upgrade leave nothing behind."""
    job = new_job()
    upgrade = get(f"/v1/jobs/{job}/tail", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                          f"Sec-WebSocket-Key: {WS_KEY}\r\n")
    for i in range(100):
        w = Wire()
        w.send(("GET / HT", post(job, "part", length=1000), post(job, "3\r\nab", "Transfer-Encoding: chunked\r\n", length=""),
                get() * 20, upgrade)[i % 5])
        w.reset()
    assert_unharmed(job, [])


def test_head_and_options():
    """HEAD has the head of GET and no body; OPTIONS is answered; both keep the connection."""
    with Wire() as w:
        w.send("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + get())
        status, headers, _ = w.answer(head_only=True)
        assert status == 200, status
        _, again, body = w.answer()
        assert headers.get("content-length") == again.get("content-length") == str(len(body))
        w.send("OPTIONS /v1/jobs/j/logs HTTP/1.1\r\nHost: x\r\n\r\n" + get())
        status = w.answer()[0]
        assert status in (200, 204, 404, 405), status
        assert w.answer()[0] == 200
    assert_unharmed()


def test_http_1_0():
    """HTTP/1.0 is closed after the answer unless it asked to be kept."""
    with Wire() as w:
        w.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert w.answer()[0] == 200
        w.send("GET /healthz HTTP/1.0\r\n\r\n")
        assert w.answer()[0] == 200
        assert w.at_end()
    assert_unharmed()


def test_keep_alive():
    """One connection carries 10,000 requests."""
    with Wire() as w:
        request = get().encode()
        for i in range(10000):
            w.send(request)
            assert w.answer()[0] == 200, i
    assert_unharmed()


def test_random_cuts():
    """A run of requests is answered the same however it is cut into segments."""
    job, rand = new_job(), random.Random(12)
    lines = [f"line {i}" for i in range(12)]
    text = "".join(post(job, x + "\n") if i % 2 else
                   post(job, f"{len(x) + 1:x}\r\n{x}\n\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n", length="")
                   for i, x in enumerate(lines)) + get()
    with Wire() as w:
        at = 0
        while at < len(text):
            n = rand.randrange(1, 60)
            w.send(text[at:at + n])
            at += n
        assert w.statuses(13) == [200] * 13
    assert_unharmed(job, lines)


def test_garbage():
    """Three hundred connections of mutated requests are answered or closed, and never harm."""
    job, rand = new_job(), random.Random(3)
    seeds = [post(job, "x\n"), get(), post(job, "1\r\nx\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n", length=""),
             get("/v1/jobs/j/tail", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                    f"Sec-WebSocket-Key: {WS_KEY}\r\n")]
    for _ in range(300):
        data = bytearray(rand.choice(seeds).encode() * rand.randrange(1, 3))
        for _ in range(rand.randrange(1, 8)):
            data[rand.randrange(len(data))] = rand.choice((rand.randrange(256), 10, 13, 32, 58, 0))
        w = Wire()
        w.send(bytes(data))
        if rand.random() < 0.5:
            select.select([w.sock], [], [], 0.02)
        w.close()
    assert_unharmed()
