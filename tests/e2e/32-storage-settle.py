"""tests/e2e/32-storage-settle.py -- segments of a job that is over are written anew: same log, fewer and smaller files."""
import glob
import os
import random
import signal
import socket
import subprocess

from harness import Joblogd, wait_for

SMALL = ("--drain-time", "200ms", "--segment-bytes", "64KiB", "--hot-bytes", "16KiB", "--segment-age", "1s")
READS = ("format=ndjson&tail=all", "format=text&tail=all", "tail=17&format=ndjson", "q=n777%20&format=ndjson&tail=all",
         "re=n4%5Cd%5Cd%20&format=ndjson&tail=all", "level=error&rank=3&format=ndjson&tail=all", "order=desc&limit=40&format=ndjson")


def job_dir(d, job):
    return os.path.join(d.data, "archive", "default", job)


def segments(d, job):
    return sorted(glob.glob(os.path.join(job_dir(d, job), "*.jsonl.zst")))


def temps(d, job):
    return glob.glob(os.path.join(job_dir(d, job), ".tmp-*"))


def fill(d, job, count, width=40, noise=0):
    """A job of count lines that is over and archived whole, a segment for each thousand."""
    rng = random.Random(job)
    for start in range(0, count, 500):
        assert d.post_lines(job, [{"msg": f"n{i} step {i // 8} loss {i * 7919 % 9973} {'x' * (i % width)}{rng.randbytes(noise).hex()}",
                                   "rank": i % 8, "level": "error" if i % 400 == 3 else "info"}
                                  for i in range(start, min(start + 500, count))]).status == 200
        if (start + 500) % 1000 == 0 and start + 500 < count:  # what has gathered becomes one segment
            wait_for(lambda: d.job(job)["archived_upto"] >= start + 500, 60, f"{job} archived up to {start + 500}")
    d.event(job, "COMPLETED")
    wait_for(lambda: (lambda j: j["sealed"] and j["archived_upto"] == j["seq"])(d.job(job)), 60, f"{job} archived whole")


def reads(d, job):
    return [d.get(f"/v1/jobs/{job}/logs?{query}").body for query in READS]


def settled(d, jobs):
    """All of the jobs that had several segments have one."""
    return all(len(segments(d, job)) == 1 and not temps(d, job) for job in jobs)


def with_level(d, level):
    d.args = [*SMALL, "--settle-level", str(level)]
    d.restart()


def test_the_log_stays_the_same():
    """What lay there unsettled is found at the start; every read gives the same bytes before and after, any zstd tool
    opens the new file, and the next start leaves it as it is."""
    with Joblogd(*SMALL, "--settle-level", "0") as d:
        fill(d, "a", 6000)
        assert len(segments(d, "a")) > 4
        before, size = reads(d, "a"), sum(os.path.getsize(p) for p in segments(d, "a"))
        with_level(d, 16)
        wait_for(lambda: settled(d, ["a"]), 60, "settled")
        assert reads(d, "a") == before
        wait_for(lambda: d.metric("joblog_settle_jobs_total") == 1, 30, "counted")
        path, = segments(d, "a")
        assert d.metric("joblog_settle_after_bytes_total") == os.path.getsize(path)
        assert d.metric("joblog_settle_before_bytes_total") == size > os.path.getsize(path)
        subprocess.run(["zstd", "-q", "-t", path], check=True)
        assert subprocess.run(["zstd", "-q", "-dc", path], check=True, capture_output=True).stdout == before[0]
        was = os.stat(path)
        fill(d, "b", 600)
        wait_for(lambda: d.logged("a job was settled") and d.metric("joblog_settle_jobs_total") == 2, 60, "b settled")
        with_level(d, 12)
        fill(d, "c", 600)
        wait_for(lambda: d.metric("joblog_settle_jobs_total") == 1, 60, "c settled, after a look at a and b")
        assert (os.stat(path).st_ino, os.stat(path).st_mtime_ns) == (was.st_ino, was.st_mtime_ns)
        assert reads(d, "a") == before


def test_a_download_under_way_is_whole():
    """A client that reads the stored segments slowly gets those it began with, however long the settler waits."""
    with Joblogd(*SMALL, "--settle-level", "0") as d:
        fill(d, "big", 9000, noise=1100)
        want = b"".join(open(p, "rb").read() for p in segments(d, "big"))
        assert len(want) > 8 << 20  # more than sockets and the server's backlog hold
        with_level(d, 1)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        s.settimeout(60)
        s.connect(("127.0.0.1", d.port))
        s.sendall(b"GET /v1/jobs/big/archive.jsonl.zst HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = s.recv(100)
        wait_for(lambda: d.metric("joblog_settle_active") == 1 and temps(d, "big"), 60, "being settled")
        try:  # what must not happen while the download is under way gets time to happen
            wait_for(lambda: settled(d, ["big"]), 3, "settled under the reader")
        except AssertionError:
            pass
        held = segments(d, "big")
        while piece := s.recv(1 << 16):
            got += piece
        s.close()
        assert len(held) > 1
        head, body = got.split(b"\r\n\r\n", 1)
        assert b" 200 " in head and body == want, (len(body), len(want))
        wait_for(lambda: settled(d, ["big"]), 60, "settled when it was done")


def test_deleting_wins():
    """A job that is deleted while it is settled is gone, and stays gone."""
    with Joblogd(*SMALL, "--settle-level", "0") as d:
        fill(d, "gone", 5000, noise=200)
        with_level(d, 19)
        wait_for(lambda: temps(d, "gone"), 60, "being settled")
        r = d.request("DELETE", "/v1/jobs/gone")
        assert r.status == 204, r
        wait_for(lambda: d.metric("joblog_settle_active") == 0, 60, "given up")
        assert not os.path.exists(job_dir(d, "gone"))
        assert d.get("/v1/jobs/gone").status == 404 and not d.logged("could not be settled")


def test_two_nodes_on_one_archive():
    """Two nodes settle one archive: every job ends up as one segment, none is lost, neither reports an error."""
    with Joblogd(*SMALL, "--settle-level", "0") as d:
        jobs = [f"j{i}" for i in range(6)]
        for job in jobs:
            fill(d, job, 1500)
        before = {job: reads(d, job) for job in jobs}
        with_level(d, 12)
        with Joblogd(*SMALL, "--settle-level", "9", "--redis", f"unix://{d.redis_socket()}", "--archive",
                     os.path.join(d.data, "archive")) as other:
            wait_for(lambda: settled(d, jobs), 90, "all settled")
            for node in (d, other):
                assert {job: reads(node, job) for job in jobs} == before
                assert node.metric("joblog_settle_errors_total") == 0


def test_killed_at_any_time():
    """kill -9 at random moments of settling loses nothing: after every start the log is the same, and at last it is settled."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    with Joblogd(*SMALL, "--settle-level", "0") as d:
        jobs = [f"k{i}" for i in range(5)]
        for job in jobs:
            fill(d, job, 1200, noise=60)
        before = {job: reads(d, job) for job in jobs}
        with_level(d, 19)
        for _ in range(4):
            wait_for(lambda: d.metric("joblog_settle_active") == 1 or all(len(segments(d, job)) == 1 for job in jobs), 60,
                     "settling")
            end = rng.random() * 0.3
            try:
                wait_for(lambda: False, end, "a random moment")
            except AssertionError:
                pass
            d.restart(signal.SIGKILL)
            assert {job: reads(d, job) for job in jobs} == before
        wait_for(lambda: all(len(segments(d, job)) == 1 for job in jobs), 90, "all settled")
        assert {job: reads(d, job) for job in jobs} == before
