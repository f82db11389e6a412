#!/usr/bin/python3
"""tests/fault/soak.py -- hours of ordinary load: does memory stay, do descriptors come back (`make soak`).

usage: soak.py SECONDS [LINES_S [JOBS [TAILERS [JOB_S]]]]         at least 60 s

50,000 lines/s over 50 jobs at a time and 500 tailers, ten a job; a job lives a minute (JOB_S), is ended, archived, and removed by
retention ten times that later. A leak a job is seen sooner with a short JOB_S. Every 10 s resident memory and descriptors of
joblogd and Redis are read, and what joblogd has allocated and what malloc keeps of what it freed. After a warm-up of a third of the
time the slope of memory is a straight line's through the rest (least squares through the means of 5 minutes, or of a twelfth
of a shorter run); it is told with its standard error. Exit code 1: more than 1 MiB an hour by more than twice the error,
descriptors that grow, or tailers of which less than nine in ten were following all the time (at the median).
"""
import http.client
import os
import selectors
import socket
import sys
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e")]

from harness import Joblogd, wait_for  # noqa: E402
from lines import TEXT                 # noqa: E402

BATCH = 500
SAMPLE_S = 10
WRITERS = 4


class Tails(threading.Thread):
    """Raw sockets that follow jobs as NDJSON and throw away what comes; closed ones are opened again on a newer job."""

    def __init__(self, d, count, jobs):
        super().__init__(daemon=True)
        self.d, self.count, self.jobs, self.stop, self.bytes, self.opened = d, count, jobs, False, 0, 0
        self.sel = selectors.DefaultSelector()

    def open(self, n):
        s = socket.create_connection(("127.0.0.1", self.d.port), 20)
        job = self.jobs[n % len(self.jobs)]
        s.sendall(f"GET /v1/jobs/{job}/tail?format=ndjson&tail=0&wait=60s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        s.setblocking(False)
        self.sel.register(s, selectors.EVENT_READ, n)
        self.opened += 1

    def run(self):
        for n in range(self.count):
            self.open(n)
        while not self.stop:
            for key, _ in self.sel.select(0.2):
                try:
                    got = key.fileobj.recv(1 << 18)
                except BlockingIOError:
                    continue
                except OSError:
                    got = b""
                self.bytes += len(got)
                if not got:
                    self.sel.unregister(key.fileobj)
                    key.fileobj.close()
                    self.open(key.data)
        for key in list(self.sel.get_map().values()):
            key.fileobj.close()


class Writer(threading.Thread):
    """Its share of the jobs, open loop."""

    def __init__(self, d, jobs, which, lines_s):
        super().__init__(daemon=True)
        self.d, self.jobs, self.which, self.lines_s, self.stop, self.lines, self.refused = d, jobs, which, lines_s, False, 0, 0

    def run(self):
        bodies = ["".join(f"{n} {TEXT[(n + k) % len(TEXT)]}\n" for n in range(BATCH)).encode() for k in range(16)]
        conn, due, turn = None, time.monotonic(), 0
        while not self.stop:
            due += BATCH / self.lines_s
            time.sleep(max(0, due - time.monotonic()))
            due = max(due, time.monotonic() - 1)
            job = self.jobs[self.which[turn % len(self.which)]]
            turn += 1
            try:
                conn = conn or http.client.HTTPConnection("127.0.0.1", self.d.port, timeout=30)
                conn.request("POST", f"/v1/jobs/{job}/logs?rank={turn % 8}", bodies[turn % 16], {"Content-Type": "text/plain"})
                r = conn.getresponse()
                r.read()
            except OSError:
                conn = None
                continue
            if r.status == 200:
                self.lines += BATCH
            else:
                self.refused += 1


def resident(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def means(samples, seconds):
    """Of (seconds, MiB, ...) samples: the mean time and memory of every span of so many seconds."""
    spans = {}
    for sample in samples:
        spans.setdefault(int(sample[0] // seconds), []).append(sample)
    return [(sum(s[0] for s in span) / len(span), sum(s[1] for s in span) / len(span)) for span in spans.values()]


def slope(points):
    """Of a straight line through (seconds, MiB), three or more: MiB an hour, and its standard error."""
    n = len(points)
    mx, my = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    below = sum((p[0] - mx) ** 2 for p in points)
    rise = sum((p[0] - mx) * (p[1] - my) for p in points) / below
    rest = sum((p[1] - my - rise * (p[0] - mx)) ** 2 for p in points)
    return 3600 * rise, 3600 * (rest / (n - 2) / below) ** 0.5


def main():
    seconds, lines_s, jobs_count, tailers, job_s = [float(x) for x in sys.argv[1:]] + [600, 50000, 50, 500, 60][len(sys.argv) - 1:]
    jobs_count, tailers = int(jobs_count), int(tailers)
    if seconds < 60:
        sys.exit("soak.py: at least 60 s: there is no line through two samples")
    with Joblogd("--retention", f"*={10 * job_s:.0f}s", "--drain-time", "2s", "--segment-age", "20s", "--segment-bytes", "1MiB") as d:
        jobs, idle = [f"s0-{k}" for k in range(jobs_count)], len(os.listdir(f"/proc/{d.pid}/fd"))
        writers = [Writer(d, jobs, list(range(w, jobs_count, WRITERS)), lines_s / WRITERS) for w in range(WRITERS)]
        tails = Tails(d, tailers, jobs)
        for t in [*writers, tails]:
            t.start()
        begun, samples, generation, next_job = time.monotonic(), [], 1, 0
        while (now := time.monotonic() - begun) < seconds:
            time.sleep(min(SAMPLE_S, job_s / jobs_count))
            while next_job < jobs_count * (time.monotonic() - begun) / job_s - 1:  # one after the other is replaced
                k = next_job % jobs_count
                was, jobs[k] = jobs[k], f"s{generation + next_job // jobs_count}-{k}"
                d.event(was, "COMPLETED")
                next_job += 1
            if not samples or now - samples[-1][0] >= SAMPLE_S:
                samples.append((now, resident(d.pid), len(os.listdir(f"/proc/{d.pid}/fd")), resident(d.redis_pid()),
                                sum(w.lines for w in writers), d.metric('joblog_tailers{kind="text"}'),
                                d.metric("joblog_heap_used_bytes") / 2**20, d.metric("joblog_heap_free_bytes") / 2**20))
                print("%6.0f s  joblogd %7.1f MiB %4d fds  redis %7.1f MiB  lines %d, %d following  heap %.1f used %.1f free" %
                      samples[-1], flush=True)
        for t in [*writers, tails]:
            t.stop = True
        for t in [*writers, tails]:
            t.join(30)
        lines = sum(w.lines for w in writers)
        steady = [s for s in samples if s[0] >= seconds / 3]
        mib_hour, error = slope(means(steady, min(300, seconds / 12)))
        fds, following = [s[2] for s in steady], sorted(s[5] for s in steady)[len(steady) // 2]
        wait_for(lambda: len(os.listdir(f"/proc/{d.pid}/fd")) < idle + tailers / 2, 60, "descriptors come back")
        print(f"lines {lines:,} ({lines / seconds:,.0f}/s), refused batches {sum(w.refused for w in writers)}, tails opened "
              f"{tails.opened:,}, following {following:.0f}, delivered {tails.bytes >> 20:,} MiB, jobs ended {next_job:,}, removed "
              f"{d.metric('joblog_retention_jobs_total'):.0f}; joblogd {steady[0][1]:.1f} -> {steady[-1][1]:.1f} MiB "
              f"(allocated {steady[0][6]:.1f} -> {steady[-1][6]:.1f}), slope "
              f"{mib_hour:+.2f} +- {error:.2f} MiB/h; fds {min(fds)}..{max(fds)}, {len(os.listdir(f'/proc/{d.pid}/fd'))} after")
        return 1 if following < 0.9 * tailers or mib_hour - 2 * error > 1 or fds[-1] > fds[0] + 50 else 0


if __name__ == "__main__":
    sys.exit(main())
