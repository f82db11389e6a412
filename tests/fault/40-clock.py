"""tests/fault/40-clock.py -- a wall clock that jumps while a job waits for its last lines."""
import json
import signal
import time

from harness import wait_for
from stand import CLOCK, Stand

ALONE = True
DRAIN_S = 4
PRODUCER = {"X-Producer": "p", "X-Epoch": "1"}


def say(stand, n):
    return stand.post("/v1/jobs/j/logs?rank=0", f"line {n}\n", {"Content-Type": "text/plain", "X-Sequence": str(n), **PRODUCER}).status


def test_a_jump_ahead_ends_no_job_early():
    """When the clock jumps ahead an hour after the terminal state, the producers still have the drain time; then the job is sealed."""
    Stand.drain_s = DRAIN_S
    with Stand(shims=True) as stand:
        assert say(stand, 1) == 200 and stand.event("j", "COMPLETED").status == 200
        stand.disk.set(CLOCK, 3600 * 1000000)
        jumped = time.monotonic()
        wait_for(lambda: stand.logged("the clock jumped ahead"), 10, "the jump is noticed")
        assert say(stand, 2) == 200, "sealed at once"
        wait_for(lambda: stand.job("j")["sealed"], 30, "sealed")
        assert time.monotonic() - jumped >= DRAIN_S - 1
        job = stand.job("j")
        assert job["missing"] == ["p"] and job["complete"] is False and say(stand, 3) == 409, job


def test_a_clock_that_is_set_back_stops_no_rule():
    """A job whose lines came while the clock was an hour ahead falls silent; joblogd starts again with the right time: it is reported."""
    with Stand(shims=True) as stand:
        stand.disk.set(CLOCK, 3600 * 1000000)
        assert stand.post("/v1/rules", {"id": "hung", "silence": {"quiet": "4s"}}).status == 201
        assert say(stand, 1) == 200
        wait_for(lambda: stand.redis("HGET", "jl:{default/j}:alert", "state").strip(), 10, "the state of the rules is written")
        stand.kill(signal.SIGKILL)
        stand.disk.set(CLOCK, 0)
        stand.start()

        def told():
            r = stand.get("/v1/events?after=0&wait=0s&type=alert", timeout=30)
            return [e["status"] for e in map(json.loads, r.text.splitlines()) if e["type"] == "alert"]

        wait_for(lambda: told() == ["firing"], 30, "the silence is reported")
