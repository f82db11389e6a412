"""tests/fault/70-churn.py -- jobs made, followed, evaluated and deleted at random, all at once: what is left at the end is nothing."""
import http.client
import os
import random
import socket
import threading
import time

from harness import PATIENCE, Joblogd, wait_for

CHURN_S = 12
JOBS = 12
SEED = int(os.environ.get("JOBLOG_SEED", "20261126"))


def write(d, rng, until):
    while time.monotonic() < until:
        job, what = f"c{rng.randrange(JOBS)}", rng.random()
        try:
            if what < .5:
                d.post_lines(job, ["x y z"] * rng.randrange(1, 50), f"?rank={rng.randrange(3)}")
            elif what < .6:
                d.event(job, rng.choice(["RUNNING", "COMPLETED", "FAILED"]))
            elif what < .75:
                d.request("DELETE", f"/v1/jobs/{job}")
            else:
                d.get(f"/v1/jobs/{job}/logs?tail=10")
        except http.client.IncompleteRead:
            pass  # it was deleted while it was read


def follow(d, rng, until, opened):
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", d.port), 10 * PATIENCE) as s:
            s.sendall(f"GET /v1/jobs/c{rng.randrange(JOBS)}/tail?format=ndjson&tail={rng.choice(['all', '0', '5'])}&wait=1s HTTP/1.1\r\n"
                      "Host: x\r\nConnection: close\r\n\r\n".encode())
            opened.append(1)
            s.settimeout(rng.choice([0.05, 0.3, 3]))
            try:
                while s.recv(65536):
                    pass
            except TimeoutError:
                pass  # a reader that has seen enough


def left(d):
    """Keys of the jobs but what expires by itself: marks of the feed, and of evaluations that were ended before the job was deleted."""
    keys = [k for k in d.redis_cli("KEYS", "jl:*").split() if "/c" in k and ":mark:" not in k]
    return [k for k in keys if not (k.endswith(":alert") and d.redis_cli("HGET", k, "done").strip() == "1")]


def test_nothing_is_left():
    """After the last job is deleted: no key, no folder, no evaluation, no tail; and joblogd ends at once."""
    with Joblogd("--drain-time", "200ms", "--segment-age", "1s") as d:
        assert d.post("/v1/rules", {"id": "y", "line": {"contains": "y"}}).status == 201
        assert d.post("/v1/rules", {"id": "quiet", "silence": {"quiet": "1s"}}).status == 201
        until, opened = time.monotonic() + CHURN_S, []
        threads = [threading.Thread(target=write, args=(d, random.Random(SEED + k), until)) for k in range(4)]
        threads += [threading.Thread(target=follow, args=(d, random.Random(SEED + 100 + k), until, opened)) for k in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60 * PATIENCE)
            assert not t.is_alive(), "a request or a tail does not end"
        for k in range(JOBS):
            d.request("DELETE", f"/v1/jobs/c{k}")
        wait_for(lambda: not left(d), 30, f"keys: {left(d)[:5]} (JOBLOG_SEED={SEED})")
        wait_for(lambda: not d.redis_cli("ZRANGE", "jl:{alert}:watched", "0", "-1").split(), 10, "nobody evaluates")
        wait_for(lambda: d.metric("joblog_alert_jobs") == 0 and d.metric('joblog_tailers{kind="text"}') == 0, 10, "no evaluation, no tail")
        for index in ("jl:active", "jl:hot", "jl:jobs", "jl:draining"):
            assert not d.redis_cli("ZRANGE", index, "0", "-1").split(), index
        folder = os.path.join(d.data, "archive", "default")
        wait_for(lambda: not os.path.exists(folder) or not os.listdir(folder), 10, "no folder")
        assert len(opened) > 20
        begun = time.monotonic()
        assert d.kill(15) == 0 and time.monotonic() - begun < 10 * PATIENCE
