#!/usr/bin/python3
"""tests/bench/alert_bench.py -- what alert rules cost, and how soon an alert is told (make bench-alert).

    alert_bench.py ingest [--rounds N] [--lines N]     lines a second taken in with no rule, and with 100 line rules, in turns
    alert_bench.py delay [--seconds N] [--rate N]      from sending a line to its signed webhook, at --rate lines/s, 100 rules

One JSON object a row, the last one with medians. The receiver is a process of its own; both read CLOCK_MONOTONIC.
"""
import argparse
import http.client
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import ROOT, Joblogd, wait_for  # noqa: E402

BENCH = os.path.join(ROOT, os.environ.get("B", "build"), "bench")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WORDS = ("CUDA", "NCCL", "ECC", "Xid", "watchdog", "timeout", "OOM", "segfault", "checkpoint", "corrupt", "NaN", "divergence", "shard", "tokenizer",
         "allreduce", "broadcast", "socket", "refused", "unreachable", "quota", "preempted", "throttle", "thermal", "fabric", "infiniband")


def add_rules(d, count):
    """Line rules as people write them: half of them patterns, half of them words; all have a literal, few lines have one."""
    for i in range(count):
        word = WORDS[i % len(WORDS)]
        line = [{"contains": f"{word} failure {i}"}, {"pattern": rf"(?i){word}.*error code (?P<code>\d+) in stage {i}\b"},
                {"pattern": rf"rank (?P<peer>\d+) .*{word} lost after {i}\d ms"}, {"contains": f"{word.lower()}-{i}", "level": "error"}][i % 4]
        r = d.post("/v1/rules", {"id": f"r{i}", "line": line, "group_by": ["job"]})
        assert r.status == 201, r


def precede(pid):
    """On a shared machine, as root: the session of pid goes before those of others, as if they were not there."""
    try:
        with open(f"/proc/{pid}/autogroup", "w") as f:
            f.write("-19")
    except OSError:
        os.setpriority(os.PRIO_PROCESS, pid, -19)


def corpus(lines):
    path = os.path.join(tempfile.gettempdir(), f"joblog-bench-{lines}.ndjson")
    if not os.path.exists(path):
        with open(path + ".new", "wb") as f:
            subprocess.run([os.path.join(BENCH, "corpus"), str(lines), "ndjson"], stdout=f, check=True)
        os.rename(path + ".new", path)
    return path


# ---- what it costs ----

def ingest_once(a, path, rules):
    with Joblogd("--redis-memory", "0") as d:
        if a.alone:
            for pid in ("self", d.redis_pid()):
                precede(pid)
        add_rules(d, rules)
        d.post_lines("bench", ["warm"])
        cpu = d.cpu_ticks()
        out = subprocess.run([os.path.join(BENCH, "ingest_load"), str(d.port), "bench", path, "application/x-ndjson", str(a.connections), str(a.batch)],
                             capture_output=True, text=True, check=True).stdout
        got = json.loads(out)
        ticks = d.cpu_ticks() - cpu
        records = 0
        if rules:
            records = wait_for(lambda: (lambda v: v if v and v >= got["lines"] * 0.999 else None)(d.metric("joblog_alert_records_total")), 300, "all were evaluated")
        return {"rules": rules, "lines_per_s": round(got["lines"] / got["seconds"]), "cpu_s_per_million": round(ticks / 100 / got["lines"] * 1e6, 3),
                "evaluated": records}


def ingest(a):
    path, rows = corpus(a.lines), {0: [], a.rules: []}
    for i in range(a.rounds):
        for rules in ((0, a.rules) if i % 2 == 0 else (a.rules, 0)):
            row = ingest_once(a, path, rules)
            rows[rules].append(row)
            print(json.dumps(row), flush=True)
    plain, ruled = (statistics.median(r["lines_per_s"] for r in rows[k]) for k in (0, a.rules))
    print(json.dumps({"median_lines_per_s": {"0": plain, str(a.rules): ruled}, "slower_by_percent": round(100 * (1 - ruled / plain), 1), "rounds": a.rounds}))


# ---- how soon it is told ----

def receive(port_out, got_out):
    """A strict receiver in a process of its own: when each `mark N` came."""
    sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
    from hooks import Hook

    with Hook(secrets=[SECRET]) as h:
        def answer(n, r):
            mark = re.search(rb'"line":"mark (\d+)', r.body)
            if mark:
                got_out.put((int(mark[1]), time.monotonic()))
            return 204

        h.answer = answer
        port_out.put(h.port)
        threading.Event().wait()


def pieces(path, batch):
    """The corpus in bodies of `batch` lines."""
    with open(path, "rb") as f:
        lines = f.readlines()
    return [b"".join(lines[i:i + batch]) for i in range(0, len(lines) - batch + 1, batch)]


def send(d, job, bodies, batch, rate, until, marks, sent, acked, total):
    """Paced: a body each batch/rate seconds; a marked line in one of them now and then."""
    conn, period, due, i = http.client.HTTPConnection("127.0.0.1", d.port), batch / rate, time.monotonic(), 0
    while due < until:
        pause = due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        due += period
        body = bodies[i % len(bodies)]
        i += 1
        mark = marks(due)
        if mark is not None:
            body += b'{"msg":"mark %d","rank":0}\n' % mark
            sent[mark] = time.monotonic()
        conn.request("POST", f"/v1/jobs/{job}/logs", body, {"Content-Type": "application/x-ndjson"})
        r = conn.getresponse()
        r.read()
        assert r.status == 200, r.status
        total[0] += batch
        if mark is not None:
            acked[mark] = time.monotonic()


def delay_once(a, path):
    ports, got = multiprocessing.Queue(), multiprocessing.Queue()
    receiver = multiprocessing.Process(target=receive, args=(ports, got), daemon=True)
    receiver.start()
    try:
        with Joblogd("--redis-memory", "0", "--alert-allow", "127.0.0.1") as d:
            if a.alone:
                for pid in ("self", d.redis_pid()):
                    precede(pid)
            d.post("/v1/receivers", {"id": "hook", "url": f"http://127.0.0.1:{ports.get()}/", "secrets": [SECRET]})
            add_rules(d, a.rules - 1)
            r = d.post("/v1/rules", {"id": "mark", "line": {"pattern": r"^mark (?P<n>\d+)$"}, "dedup": 0, "group_by": ["job"], "max_per_hour": 0})
            assert r.status == 201, r
            bodies, sent, acked, total, lock, state = pieces(path, a.batch), {}, {}, [0], threading.Lock(), {"next": time.monotonic() + 2, "n": 0}

            def marks(now):
                with lock:
                    if now < state["next"]:
                        return None
                    state["next"] = max(state["next"] + 1 / a.marks, now - 0.5)
                    state["n"] += 1
                    return state["n"]

            began = time.monotonic()
            threads = [threading.Thread(target=send, args=(d, f"bench-{k}", bodies, a.batch, a.rate / a.jobs, began + a.seconds, marks, sent, acked, total))
                       for k in range(a.jobs)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            took, seen, end = time.monotonic() - began, {}, time.monotonic() + 60
            while len(seen) < len(sent) and time.monotonic() < end:
                try:
                    n, at = got.get(timeout=1)
                    seen.setdefault(n, at)
                except Exception:
                    pass
            ms = sorted((seen[n] - sent[n]) * 1000 for n in sent if n in seen)
            acks = statistics.median((acked[n] - sent[n]) * 1000 for n in acked)
            at = lambda q: round(ms[min(len(ms) - 1, int(q * len(ms)))], 1)  # noqa: E731
            return {"rules": a.rules, "lines_per_s": round(total[0] / took), "alerts": len(sent), "told": len(seen), "ack_p50_ms": round(acks, 1), "p50_ms": at(0.5), "p90_ms": at(0.9),
                    "p99_ms": at(0.99), "max_ms": round(ms[-1], 1)}
    finally:
        receiver.kill()


def delay(a):
    path, rows = corpus(a.lines), []
    for _ in range(a.rounds):
        rows.append(delay_once(a, path))
        print(json.dumps(rows[-1]), flush=True)
    print(json.dumps({"median_of_rounds": {k: statistics.median(r[k] for r in rows) for k in ("lines_per_s", "p50_ms", "p90_ms", "p99_ms", "max_ms")}}))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("what", choices=["ingest", "delay"])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--rules", type=int, default=100)
    p.add_argument("--lines", type=int, default=1_000_000)
    p.add_argument("--connections", type=int, default=8)
    p.add_argument("--batch", type=int, default=500)
    p.add_argument("--jobs", type=int, default=4)
    p.add_argument("--rate", type=int, default=50_000)
    p.add_argument("--marks", type=float, default=20.0, help="alerts a second")
    p.add_argument("--seconds", type=float, default=20.0)
    p.add_argument("--alone", action="store_true", help="as root on a shared machine: go before the processes of others")
    a = p.parse_args()
    {"ingest": ingest, "delay": delay}[a.what](a)


if __name__ == "__main__":
    main()
