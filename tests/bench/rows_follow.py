"""tests/bench/rows_follow.py -- rows of the bench: from a line to those who follow."""
import base64
import os
import selectors
import socket
import struct
import subprocess
import sys
import time

from measure import Figure, Joblogd, Meter, Nginx, cpu_s, status_kb, tool, wait_for

LATENCY_S = 8
CATCH_UP = 500  # followers that read a long job from its start


def follow(server, subscribers, lines_s, lines_a_request, seconds, name="live", writers=1):
    """tail_load on joblogd or nchan; writers: connections. Order, holes and repeats are checked by it for ours; nchan's are only counted."""
    ours = isinstance(server, Joblogd)
    if ours:
        server.post_lines(name, ["the job is there"])
    sub, pub = (f"/v1/jobs/{name}/tail?tail=0", f"/v1/jobs/{name}/logs") if ours else (f"/sub/{name}", f"/pub/{name}")
    return tool("tail_load", server.port, sub, pub, "text/plain", subscribers, lines_s, lines_a_request, seconds, writers, may_fail=not ours)


def row_line_to_tail(b):
    """1,000 lines/s, one a request, to so many followers; open loop, so waiting counts."""
    figures = []
    for subscribers, p99_ms in ((1, 1.5), (100, 5), (1000, 40)):
        with Joblogd() as d:
            got = follow(d, subscribers, 1000, 1, LATENCY_S)
        with Nginx() as n:
            nchan = follow(n, subscribers, 1000, 1, LATENCY_S)
        figures += [
            Figure(f"{subscribers:,} followers, p50", got["p50_us"] / 1e3, "ms", None, ("nchan", nchan["p50_us"] / 1e3)),
            Figure(f"{subscribers:,} followers, p99", got["p99_us"] / 1e3, "ms", ("<=", p99_ms), ("nchan", nchan["p99_us"] / 1e3)),
        ]
    return figures


def row_fan_out(b):
    """As fast as replies come: one line a request, and 64; all followers get all lines in order."""
    figures = []
    for subscribers in (1000, 5000, 10_000) if not b.quick else (1000,):
        with Joblogd("--durability", "accepted") as d, Nginx() as n:
            before_kb = status_kb(d.pid, "VmRSS")
            with Meter(d) as m:
                one = follow(d, subscribers, 0, 1, 4)
            many = follow(d, subscribers, 0, 64, 4, name="many")
            theirs = follow(n, subscribers, 0, 1, 4)
            theirs_many = follow(n, subscribers, 0, 64, 4, name="many")
        figures += [
            Figure(f"{subscribers:,} followers, 1 a request: deliveries/s", one["deliveries_s"], "", (">=", theirs["deliveries_s"]) if subscribers == 1000 else None,
                   ("nchan", theirs["deliveries_s"])),
            Figure(f"{subscribers:,} followers, 64 a request: deliveries/s", many["deliveries_s"], "", (">=", 5e6) if subscribers == 1000 else None,
                   ("nchan", theirs_many["deliveries_s"])),
            Figure(f"{subscribers:,} followers connect", one["connect_s"], "s", ("<=", 2) if subscribers == 10_000 else None, ("nchan", theirs["connect_s"])),
            Figure(f"{subscribers:,} followers, peak memory each", (m.peak_mb * 1024 - before_kb) / subscribers, "KB", ("<=", 8) if subscribers == 10_000 else None),
        ]
    return figures


def open_tail(port, path):
    """A socket that has asked for a WebSocket at path."""
    s = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
    return s


def row_idle(b):
    """10,000 quiet followers: what they cost while nothing happens."""
    count = 10_000 if not b.quick else 1000
    with Joblogd() as d:
        d.post_lines("quiet", ["a line"])
        before_kb = status_kb(d.pid, "VmRSS")
        socks = [open_tail(d.port, "/v1/jobs/quiet/tail") for _ in range(count)]
        wait_for(lambda: (d.metric('joblog_tailers{kind="websocket"}') or 0) >= count, 60, "followers")
        kb = (status_kb(d.pid, "VmRSS") - before_kb) / count
        start, redis = cpu_s(d.pid), cpu_s(d.redis_pid())
        time.sleep(10)
        used = cpu_s(d.pid) - start + cpu_s(d.redis_pid()) - redis
        for s in socks:
            s.close()
    return [Figure("CPU of one core", used / 10 * 100, "%", ("<=", 1)), Figure("memory each", kb, "KB", ("<=", 8))]


DRAIN = """
import selectors, socket, sys, time
sys.path.insert(0, sys.argv[1])
from rows_follow import open_tail
port, count, end = int(sys.argv[2]), int(sys.argv[3]), time.monotonic() + float(sys.argv[4])
sel, total, buf = selectors.DefaultSelector(), 0, bytearray(1 << 18)
for _ in range(count):
    s = open_tail(port, "/v1/jobs/big/tail?tail=all")
    s.setblocking(False)
    sel.register(s, selectors.EVENT_READ)
print("open", flush=True)
while time.monotonic() < end:
    for key, _ in sel.select(0.2):
        total += key.fileobj.recv_into(buf)
print(total, flush=True)
"""


def row_catching_up(b):
    """500 followers read a job of 2 M lines from its start while 100 others follow a live job at 1,000 lines/s of 16 connections."""
    with Joblogd() as d:
        tool("ingest_load", d.port, "big", b.corpus.ndjson, "application/x-ndjson", 8, 500)
        d.event("big", "COMPLETED")
        wait_for(lambda: d.job("big")["archived_upto"] >= b.corpus.lines, 180, "the long job is archived")
        alone = follow(d, 100, 1000, 1, LATENCY_S, name="alone", writers=16)
        p = subprocess.Popen([sys.executable, "-c", DRAIN, os.path.dirname(os.path.abspath(__file__)), str(d.port), str(CATCH_UP), str(LATENCY_S + 6)],
                             stdout=subprocess.PIPE, text=True)
        p.stdout.readline()
        with Meter(d) as m:
            beside = follow(d, 100, 1000, 1, LATENCY_S, name="beside", writers=16)
        drained = int(p.stdout.readline())
        p.wait(30)
    assert drained > 1e6, drained
    return [
        Figure("live p99 alone", alone["p99_us"] / 1e3, "ms"),
        Figure("live p99 beside them", beside["p99_us"] / 1e3, "ms", ("<=", 2 * alone["p99_us"] / 1e3)),
        Figure("read by those behind", drained / 1e6 / (LATENCY_S + 6), "MB/s"),
        Figure("peak memory", m.peak_mb, "MB", ("<=", 64 + 8 * (CATCH_UP + 100) / 1024)),
    ]


def row_terminal(b):
    """From the last fin of a job to the last of 1,000 followers closed."""
    count = 1000
    with Joblogd() as d:
        head = {"X-Producer": "p", "X-Epoch": "1", "X-Sequence": "1"}
        d.post_lines("end", ["a line"], headers=head)
        sel = selectors.DefaultSelector()
        for _ in range(count):
            s = open_tail(d.port, "/v1/jobs/end/tail")
            s.setblocking(False)
            sel.register(s, selectors.EVENT_READ)
        wait_for(lambda: (d.metric('joblog_tailers{kind="websocket"}') or 0) >= count, 60, "followers")
        d.event("end", "COMPLETED")
        start = time.monotonic()
        assert d.post("/v1/jobs/end/logs", b"", {"X-Producer": "p", "X-Epoch": "1", "X-Sequence": "2", "X-Producer-Fin": "1", "Content-Type": "text/plain"}).status == 200
        left, closing = count, {}
        while left and time.monotonic() < start + 60:
            for key, _ in sel.select(1):
                s = key.fileobj
                data = closing.get(s, b"") + s.recv(65536)
                closing[s] = data[-64:]
                if b"\x88" in data and struct.pack(">H", 1000) in data:
                    sel.unregister(s)
                    s.close()
                    left -= 1
        took = time.monotonic() - start
        assert left == 0, f"{left} followers were not closed"
    return [Figure("last fin to last close", took * 1e3, "ms", ("<=", 100))]
