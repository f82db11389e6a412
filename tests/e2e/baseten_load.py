"""tests/e2e/baseten_load.py -- writers beside Baseten's clients: a job at a steady rate, a job of millions of lines.

    steady(d, "busy", 12000, 1000)            12,000 lines of 8 ranks at 1,000/s, then COMPLETED; returns the messages
    fill(d, "big", 2_000_000)                 as fast as it is acknowledged, in requests of 500 lines
    with Background(d) as others: …           two more jobs written to all the while; others.lines says how much
"""
import http.client
import json
import threading
import time

from harness import Joblogd

BATCH_LINES = 50
FILL_LINES = 500


def connect(d: Joblogd):
    return http.client.HTTPConnection("127.0.0.1", d.port, timeout=60)


def send(conn, job, rows, first, fin=None, kind="application/x-ndjson"):
    """rows: the body's lines (str); first: the producer's number of the first of them; fin: its last number."""
    head = {"Content-Type": kind, "X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(first)}
    if fin is not None:
        head["X-Producer-Fin"] = str(fin)
    conn.request("POST", f"/v1/jobs/{job}/logs", "\n".join(rows) + "\n", head)
    r = conn.getresponse()
    body = r.read()
    assert r.status == 200, (r.status, body)


def steady(d, job, count, lines_per_s, text=lambda i: f"busy {i}", state="COMPLETED"):
    """count lines at that rate, 50 a request, ranks and replicas in turn; the job ends with them. Returns their texts."""
    conn, begin, texts = connect(d), time.monotonic(), []
    pause = threading.Event()
    for i in range(0, count, BATCH_LINES):
        pause.wait(max(0, begin + i / lines_per_s - time.monotonic()))
        batch = [text(k) for k in range(i, min(i + BATCH_LINES, count))]
        texts += batch
        rows = [json.dumps({"msg": m, "rank": k % 8, "replica": f"node-{k % 2}"}) for k, m in enumerate(batch, i)]
        send(conn, job, rows, i + 1, count if i + len(batch) == count else None)
    conn.request("POST", f"/v1/jobs/{job}/events", json.dumps({"state": state}), {"Content-Type": "application/json"})
    assert conn.getresponse().read()
    conn.close()
    return texts


def big_line(i):
    return f"step {i} of a long run, loss={1 / (1 + i % 997):.4f} rank={i % 8}"


def fill(d, job, count):
    """count lines big_line(0 …), as fast as they are acknowledged, without an end of the job."""
    conn = connect(d)
    for i in range(0, count, FILL_LINES):
        send(conn, job, [big_line(k) for k in range(i, min(i + FILL_LINES, count))], i + 1, kind="text/plain")
    conn.close()


class Background:
    """Two writers of other jobs, 2,000 lines/s each, while the block runs; lines: what was acknowledged."""

    def __init__(self, d, writers=2, lines_per_s=2000):
        self.d, self.lines, self.failure = d, 0, None
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(f"other{n}", lines_per_s)) for n in range(writers)]

    def _write(self, job, lines_per_s):
        conn, i = connect(self.d), 0
        try:
            while not self.stop.wait(BATCH_LINES / lines_per_s):
                send(conn, job, [f"{job} {i + k}" for k in range(BATCH_LINES)], i + 1, kind="text/plain")
                i += BATCH_LINES
                self.lines += BATCH_LINES
        except (OSError, AssertionError, http.client.HTTPException) as e:
            self.failure = e
        conn.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()
