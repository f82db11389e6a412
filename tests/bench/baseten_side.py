#!/usr/bin/python3
"""tests/bench/baseten_side.py -- a polled tail beside ours: the same job, the same joblogd, followed in both ways.

    make bench-baseten                  or   tests/bench/baseten_side.py [--seconds 60] [--rate 1000] [--followers 10]

A job writes RATE lines/s in requests of 50 for SECONDS and completes. Each line carries the time it was sent. It is
followed, one way after another, each with a joblogd of its own, by one follower (latency, loss, end) and then by
FOLLOWERS (what a follower costs, the cost without any taken off):

    polled   the requests of Baseten's truss (tests/e2e/baseten_clients.py), a process each
    truss    the real one, where `make test-truss` has left it and port 8000 is free; three at most, for each takes
             a good part of a core for itself
    ours     joblog tail

Latency ends when this program has read the line from the follower's output. Prints a table; --json FILE appends it.
"""
import argparse
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", "e2e"), os.path.join(ROOT, "tests", "truss")]
from baseten_clients import Truss
from baseten_load import BATCH_LINES, steady
from harness import JOBLOG, Joblogd, wait_for
from real_truss import PORT, RealTruss

MARK = re.compile(r"n=(\d+) t=(\d+)")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
END_S = 180  # a follower that has not ended by then has hung


def follow_polled(port, job):
    """In a process of its own: truss' requests, a line printed as soon as it is known."""
    Truss(port).tail(job, on_line=lambda x: print(x[1], flush=True))


class Follower:
    def __init__(self, argv, env=None):
        self.proc = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                     errors="replace")
        self.seen, self.anything, self.ended_at, self.cpu_s = [], False, None, 0.0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for row in self.proc.stdout:
            self.anything = True
            m = MARK.search(row)
            if m:
                self.seen.append((int(m.group(1)), time.time() - int(m.group(2)) / 1e6))
        _, _, usage = os.wait4(self.proc.pid, 0)
        self.ended_at = time.time()
        self.cpu_s = usage.ru_utime + usage.ru_stime


class Way:
    def __init__(self, name, port, argv, env=None, most=1000):
        self.name, self.port, self.argv, self.env, self.most = name, port, argv, env, most


def ways(build):
    found = [Way("polled", 0, lambda d: [sys.executable, os.path.abspath(__file__), "--follow", str(d.port), "side"])]
    try:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", PORT))
        if os.path.exists(os.path.join(build, "truss", "venv")):
            cli = RealTruss(os.path.join(build, "truss"))
            found.append(Way(cli.version.replace(", version", ""), PORT, lambda d: cli.argv("logs", "--job-id", "side", "--tail"), cli.env, 3))
    except (OSError, unittest.SkipTest) as e:
        print(f"without the real truss: {e}", file=sys.stderr)
    found.append(Way("joblog tail", 0, lambda d: [JOBLOG, "tail", "side", "-n", "all", "--no-status", "--url", d.url]))
    return found


def redis_ticks(d):
    fields = open(f"/proc/{d.redis_pid()}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def run(way, followers, a):
    """One job: what its followers saw, and what they cost while it ran."""
    with Joblogd("--drain-time", "1s", port=way.port if way else 0) as d:
        d.post("/v1/jobs", {"id": "side"})
        d.event("side", "RUNNING")
        d.post_lines("side", ["it begins"])
        requests = d.metric("joblog_http_requests_total")
        every = [Follower(way.argv(d), way.env) for _ in range(followers)]
        for f in every:
            wait_for(lambda f=f: f.anything, 60, "a follower begins")
        count = a.seconds * a.rate
        ticks, redis = d.cpu_ticks(), redis_ticks(d)
        begin = time.time()
        steady(d, "side", count, a.rate, lambda i: f"n={i} t={int(time.time() * 1e6)} loss=2.3412 grad_norm=0.812 tokens/s=41233")
        ended_at = time.time()
        ran_s = ended_at - begin
        cpu_s, redis_s = (d.cpu_ticks() - ticks) * TICK_S, (redis_ticks(d) - redis) * TICK_S
        asked = d.metric("joblog_http_requests_total") - requests - count / BATCH_LINES - 2  # the event, and this one
        for f in every:
            f.thread.join(END_S)
            if f.ended_at is None:
                f.proc.kill()
                raise SystemExit(f"{way.name}: a follower did not end in {END_S} s")
    late = sorted(s for f in every for _, s in f.seen)
    return {"followers": followers, "seconds": ran_s, "lines": count, "joblogd_cpu": cpu_s / ran_s, "redis_cpu": redis_s / ran_s,
            "requests": asked / max(1, followers), "client_cpu": sum(f.cpu_s for f in every) / ran_s / max(1, followers),
            "lost": sum(count - len({n for n, _ in f.seen}) for f in every), "repeated": sum(len(f.seen) - len({n for n, _ in f.seen}) for f in every),
            "p50_s": late[len(late) // 2] if late else None, "p99_s": late[len(late) * 99 // 100] if late else None,
            "end_s": max((f.ended_at - ended_at for f in every), default=None)}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seconds", type=int, default=60)
    ap.add_argument("--rate", type=int, default=1000)
    ap.add_argument("--followers", type=int, default=10)
    ap.add_argument("--build", default=os.path.join(ROOT, "build"))
    ap.add_argument("--json", help="append the figures to this file")
    ap.add_argument("--follow", nargs=2, help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.follow:
        return follow_polled(int(a.follow[0]), a.follow[1])
    alone = run(None, 0, a)
    rows = []
    for way in ways(os.path.abspath(a.build)):
        one, many = run(way, 1, a), run(way, min(way.most, a.followers), a)
        rows.append((way.name, one, many))
        print(f"{way.name}: one {one}\n{way.name}: many {many}", file=sys.stderr)
    print(f"\n{a.rate} lines/s for {a.seconds} s; costs per follower: without the {100 * alone['joblogd_cpu']:.1f} % (and Redis "
          f"{100 * alone['redis_cpu']:.1f} %) of one core that writing takes\n")
    print("| | " + " | ".join(n for n, _, _ in rows) + " |\n|---|" + "---:|" * len(rows))

    def row(what, value):
        print(f"| {what} | " + " | ".join(value(one, many) for _, one, many in rows) + " |")

    row("line to screen, p50", lambda o, m: f"{1000 * o['p50_s']:,.1f} ms")
    row("line to screen, p99", lambda o, m: f"{1000 * o['p99_s']:,.1f} ms")
    row("the same with more followers", lambda o, m: f"{1000 * m['p99_s']:,.1f} ms ({m['followers']})")
    row("lines lost / repeated", lambda o, m: f"{o['lost'] + m['lost']} / {o['repeated'] + m['repeated']}")
    row("end after the job's", lambda o, m: f"{o['end_s']:.2f} s")
    row("CPU of joblogd per follower, of a core", lambda o, m: f"{100 * (m['joblogd_cpu'] - alone['joblogd_cpu']) / m['followers']:.2f} %")
    row("CPU of Redis per follower, of a core", lambda o, m: f"{100 * (m['redis_cpu'] - alone['redis_cpu']) / m['followers']:.2f} %")
    row("CPU of the client, of a core", lambda o, m: f"{100 * o['client_cpu']:.1f} %")
    row("requests per follower while it ran", lambda o, m: f"{o['requests']:.0f}")
    if a.json:
        with open(a.json, "a") as f:
            f.write(json.dumps({"alone": alone, "ways": {n: [o, m] for n, o, m in rows}, "seconds": a.seconds, "rate": a.rate}) + "\n")


if __name__ == "__main__":
    main()
