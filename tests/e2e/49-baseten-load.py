"""tests/e2e/49-baseten-load.py -- Baseten's clients at their own pace against a busy service: a tail, a long download.

Real timings: polls of two seconds, windows of a minute, ten seconds of grace. The clients are those of
baseten_clients.py; tests/truss does the same with the real truss.
"""
import threading

from baseten_clients import MS, Golang, Truss
from baseten_load import Background, big_line, fill, steady
from harness import PATIENCE, Joblogd, sanitized

ALONE = True
BIG_LINES = 500_000 if sanitized() else 2_000_000
MEMORY_BYTES_MAX = 192 << 20  # joblogd's whole resident set; 35 MB is usual
d = None


def setup():
    global d
    d = Joblogd("--drain-time", "1s", "--durability", "accepted")


def teardown():
    d.close()


class Memory:
    """The highest resident set of joblogd while the block runs."""

    def __enter__(self):
        self.peak_bytes, self.stop = 0, threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def _look(self):
        while not self.stop.wait(0.05):
            self.peak_bytes = max(self.peak_bytes, d.rss_bytes())

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def test_a_tail_of_12000_lines_at_1000_a_second():
    """12,000 lines at 1,000/s beside other writers, both clients polling, with clocks right and wrong: 12,000 shown, 0 lost, 0 repeated, each."""
    d.post("/v1/jobs", {"id": "busy"})
    d.event("busy", "RUNNING")
    shown, wrote, clients = {}, [], {"truss": Truss(d.port), "baseten": Golang(d.port, scheme="Bearer"),
                                "truss ahead": Truss(d.port, skew_s=240), "baseten behind": Golang(d.port, skew_s=-240)}
    threads = [threading.Thread(target=lambda k=k, c=c: shown.update({k: c.tail("busy")})) for k, c in clients.items()]
    with Background(d) as others:
        for t in threads:
            t.start()
        wrote = steady(d, "busy", 12000, 1000)
        for t in threads:
            t.join(120 * PATIENCE)
    assert others.failure is None and others.lines > 12000, (others.failure, others.lines)
    for who, client in clients.items():
        got = [m for _, m in shown[who] if m.startswith("busy")]
        assert len(got) == len(set(got)) == 12000, (who, len(got), len(set(got)))
        assert client.last_state == "TRAINING_JOB_COMPLETED"
    for who in ("truss", "truss ahead"):
        assert [m for _, m in shown[who] if m.startswith("busy")] == wrote, (who, "order")
    assert sorted(shown["baseten"])[-1][1] == shown["truss"][-1][1] == "TRAINING_JOB_COMPLETED"


def test_a_download_of_two_million_lines():
    """2,000,000 lines, by both clients at once while others write: all of them, in order, in bounded memory of joblogd."""
    fill(d, "big", BIG_LINES)
    bad, count = {}, {}

    def check(who, logs, first, step):
        n = first
        try:
            lines = logs()
        except Exception as e:
            bad[who] = repr(e)
            return
        for _, m in lines:
            if m.startswith("step"):
                if m != big_line(n):
                    bad[who] = (n, m)
                    return
                n += step
        count[who] = abs(n - first)

    def up():
        check("truss", lambda: Truss(d.port).logs("big"), 0, 1)

    def down():
        check("baseten", lambda: Golang(d.port).logs("big", 0), BIG_LINES - 1, -1)

    with Background(d) as others, Memory() as memory:
        threads = [threading.Thread(target=f) for f in (up, down)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(240 * PATIENCE)
    assert not bad and count == {"truss": BIG_LINES, "baseten": BIG_LINES}, (bad, count)
    assert others.failure is None and 0 < memory.peak_bytes and (sanitized() or memory.peak_bytes < MEMORY_BYTES_MAX), (others.failure, memory.peak_bytes)


def test_one_reply_of_the_whole_budget():
    """A window without a limit on millions of lines: about 16 MB, the newest, in bounded memory; many at once too."""
    sizes, base = [], "/v1/training_projects/default/jobs/big/logs"

    def ask(direction):
        r = d.post(base, {"direction": direction}, timeout=120)
        assert r.status == 200
        logs = r.json()["logs"]
        logs = logs if direction == "desc" else logs[::-1]
        assert logs[0]["message"] == big_line(BIG_LINES - 1) and int(logs[0]["timestamp"]) > int(logs[-1]["timestamp"])
        assert len({int(x["timestamp"]) // MS for x in logs}) > 1
        sizes.append(len(r.body))

    with Memory() as memory:
        threads = [threading.Thread(target=ask, args=(("asc", "desc")[k % 2],)) for k in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120 * PATIENCE)
    assert len(sizes) == 6 and all(15 << 20 < n < 20 << 20 for n in sizes), sizes
    assert sanitized() or memory.peak_bytes < MEMORY_BYTES_MAX, memory.peak_bytes
