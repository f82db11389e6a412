"""tests/fault/60-crowd.py -- crowds: readers that never read, and everybody coming back at once.

CROWD=1 is the long form: 500 stuck readers, 5,000 tailers (`make torture-crowd`).
"""
import os
import selectors
import socket
import threading
import time

from harness import PATIENCE, Joblogd, sanitized, wait_for

LONG = os.environ.get("CROWD") == "1"
STUCK = 500 if LONG else 100
TAILERS = 5000 if LONG else 500
LINES = 20000
SECONDS = 180 * PATIENCE


def connect(d, job, query, receive_bytes=0):
    s = socket.socket()
    if receive_bytes:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    s.settimeout(SECONDS)
    s.connect(("127.0.0.1", d.port))
    s.sendall(f"GET /v1/jobs/{job}/tail?format=ndjson&{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return s


def fill(d, job, lines):
    for first in range(0, lines, 1000):
        assert d.post_lines(job, [f"{first + i} " + "x" * 80 for i in range(1000)], timeout=60).status == 200


def test_stuck_readers():
    """Readers that never read cost bounded memory each, and a live reader has every line at once all the same."""
    with Joblogd() as d:
        fill(d, "j", 1000)
        before = d.rss_bytes()
        stuck = [connect(d, "j", "tail=all", 4096) for _ in range(STUCK)]
        got, done = [0], threading.Event()

        def live():
            def until(m):
                got[0] += len(m.get("lines", []))
                return got[0] >= LINES + 1000

            d.tail_ws("j", "tail=all", SECONDS, until)
            done.set()

        threading.Thread(target=live, daemon=True).start()
        fill(d, "j", LINES)
        wait_for(done.is_set, SECONDS, "the live reader has all")
        grown = d.rss_bytes() - before
        assert sanitized() or grown < 64 * 2 ** 20 + STUCK * 256 * 1024, grown
        for s in stuck:
            s.close()
        d.event("j", "COMPLETED")


def test_everybody_comes_back_at_once():
    """joblogd is killed under its tailers; all come back at once with their cursors, and each has every line up to the end once."""
    with Joblogd("--drain-time", "1s", "--connections", "20000", port=0) as d:
        d.post("/v1/jobs", {"id": "j", "ranks": 1})
        fill(d, "j", 1000)
        epoch = d.job("j")["epoch"]
        d.restart(9)
        sel, state = selectors.DefaultSelector(), {}
        begun = time.monotonic()
        for n in range(TAILERS):
            after = n % 1000
            s = connect(d, "j", f"after={epoch}:{after}")
            s.setblocking(False)
            state[s] = [after, b"", False]
            sel.register(s, selectors.EVENT_READ)
        fill(d, "j", 1000)
        d.post("/v1/jobs/j/logs", "", {"X-Producer": "p", "X-Epoch": "1", "X-Producer-Fin": "0"})
        d.event("j", "COMPLETED")
        last = wait_for(lambda: d.job("j")["sealed"] and d.job("j")["seq"], 60, "sealed")
        left = TAILERS
        while left and time.monotonic() < begun + SECONDS:
            for key, _ in sel.select(1):
                one = state[key.fileobj]
                try:
                    got = key.fileobj.recv(1 << 18)
                except BlockingIOError:
                    continue
                *whole, one[1] = (one[1] + got).split(b"\n")
                for line in whole:
                    if line.startswith(b'{"seq":'):
                        seq = int(line[7:line.index(b",")])
                        assert seq == one[0] + 1, (seq, one[0])
                        one[0] = seq
                    elif line.startswith(b'{"end"'):
                        one[2] = True
                if not got or one[2]:
                    assert one[2] and one[0] == last, (one[0], last, one[2])
                    sel.unregister(key.fileobj)
                    key.fileobj.close()
                    left -= 1
        assert left == 0, f"{left} of {TAILERS} are not through"
        print(f"{TAILERS} tailers through in {time.monotonic() - begun:.1f} s")
