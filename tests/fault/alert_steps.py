"""alert_steps -- joblogd killed at every step between a match and the receiver's answer written back (make test-alert-steps)."""
import itertools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import unittest  # noqa: E402

import harness  # noqa: E402
from harness import Joblogd, wait_for  # noqa: E402
from hooks import Hook  # noqa: E402

BINARY = os.path.join(harness.ROOT, "build-faults", "joblogd")
STEPS = ["alert.commit.send", "alert.commit.reply", "alert.publish.send", "alert.publish.reply", "alert.deliver.claim", "alert.deliver.claimed",
         "alert.deliver.post", "alert.deliver.answer", "alert.deliver.finish", "alert.deliver.finished"]
FLAGS = ("--alert-allow", "127.0.0.0/8", "--alert-retry", "50ms", "--alert-retry-max", "200ms")


def run(step, count, failing):
    """Killed at the count-th pass of step; started again without the fault: every alert arrives in order, repeats keep their id."""
    with Hook() as h, Joblogd(*FLAGS, start=False) as d:
        h.answer = lambda n, r: 500 if failing and n % 3 == 1 else 200
        d.start()
        d.post("/v1/receivers", {"id": "hook", "url": h.url, "secrets": h.secrets, "timeout": "300ms"})
        d.post("/v1/rules", {"id": "each", "line": {"pattern": "match (?P<n>\\d+)"}, "dedup": 0, "group_by": ["job"], "max_per_hour": 0})
        d.kill()
        d.env["JOBLOG_FAULT"] = f"{step}:{count}"
        want = [f"match {i}" for i in range(6)]
        try:
            d.start()
        except AssertionError:
            assert d.proc.poll() is not None  # claims are asked for from the start
        for i, line in enumerate(want):
            try:
                d.post_lines("j", [line], headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(i + 1)})
            except OSError:
                break
        died = True
        try:
            d.proc.wait(3)
        except Exception:
            died = False
            d.kill()
        del d.env["JOBLOG_FAULT"]
        d.start()
        for i, line in enumerate(want):
            assert d.post_lines("j", [line], headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(i + 1)}).status == 200

        def arrived():
            seen = {}
            for r in h.taken:
                seen.setdefault(r.json()["data"]["id"], r.json()["data"]["line"])
            return list(seen.values())

        wait_for(lambda: len(arrived()) >= len(want), 60, f"{step}:{count}: {arrived()}")
        wait_for(lambda: d.get("/v1/deliveries").json()["receivers"][0]["queued"] == 0, 60, f"{step}:{count}: the queue is empty")
        assert arrived() == want and not d.get("/v1/deliveries/dead").json()["dead"], (step, count, arrived())
        return died


def test_killed_at_every_step():
    """Whichever step it dies at, the first, the second or the fourth time: nothing is lost, nothing out of order, one id for each alert."""
    if not os.path.exists(BINARY):
        raise unittest.SkipTest("wants make FAULTS=1 (make test-alert-steps)")
    old, harness.JOBLOGD = harness.JOBLOGD, BINARY
    try:
        died = {step: 0 for step in STEPS}
        for step, count in itertools.product(STEPS, (1, 2, 4, 7)):
            died[step] += run(step, count, failing=count % 2 == 1)
        assert all(died.values()), f"not every fault was reached: {died}"
    finally:
        harness.JOBLOGD = old
