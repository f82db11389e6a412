"""tests/fault/40-clock.py -- a wall clock that jumps while a job waits for its last lines."""
import json
import signal
import time

from harness import wait_for
from hooks import Hook
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


def test_a_clock_that_is_set_back_holds_no_page():
    """A delivery that failed while the clock was four minutes ahead is tried again soon after it is set right, not four minutes later."""
    with Hook() as hook, Stand("--alert-allow", "127.0.0.0/8", "--alert-retry", "1s", "--alert-retry-max", "2s", shims=True) as stand:
        hook.answer = lambda got, request: 503
        stand.disk.set(CLOCK, 240 * 1000000)
        assert stand.post("/v1/receivers", {"id": "pager", "url": hook.url, "secrets": hook.secrets}).status == 201
        assert stand.post("/v1/rules", {"id": "bad", "line": {"contains": "line"}}).status == 201
        assert say(stand, 1) == 200
        wait_for(lambda: hook.got, 20, "the first attempt")
        stand.disk.set(CLOCK, 0)
        hook.answer = None
        wait_for(lambda: hook.taken, 30, "the page is delivered")


def test_leases_of_a_clock_that_was_set_back_end():
    """What a node that is gone holds for another hour, because its clock was an hour ahead, others take: the archive, the rules."""
    with Stand() as stand:
        assert say(stand, 1) == 200
        hour = int((time.time() + 3600) * 1000000)
        stand.redis("HSET", "jl:{default/j}:meta", "lease", "7", "lease_until_us", str(hour), "lease_node", "another")
        stand.redis("HSET", "jl:{default/j}:alert", "created", stand.redis("HGET", "jl:{default/j}:meta", "created_us").strip(),
                    "token", "7", "until", str(hour), "node", "another")
        assert stand.post("/v1/rules", {"id": "bad", "line": {"contains": "line"}}).status == 201
        assert say(stand, 2) == 200 and stand.event("j", "COMPLETED").status == 200
        wait_for(lambda: stand.job("j").get("archived_upto") == stand.job("j")["seq"], 60, "all is archived")
        wait_for(lambda: '"firing"' in stand.get("/v1/events?after=0&wait=0s&type=alert", timeout=30).text, 30, "the rule fires")


def test_a_jump_ahead_removes_no_job():
    """When the clock jumps ahead by a year, no job is old for that; after a new start it is, for then it may be so."""
    with Stand("--retention", "*=1h", shims=True) as stand:
        assert say(stand, 1) == 200 and stand.event("j", "COMPLETED").status == 200
        wait_for(lambda: stand.job("j").get("archived_upto") == stand.job("j")["seq"] and stand.job("j")["sealed"], 60, "archived")
        stand.disk.set(CLOCK, 365 * 86400 * 1000000)
        wait_for(lambda: stand.logged("nothing is removed by its age"), 20, "the jump is noticed")
        rounds = stand.metric("joblog_retention_rounds_total")
        wait_for(lambda: stand.metric("joblog_retention_rounds_total") >= rounds + 2, 60, "rounds after it")
        assert stand.job("j")["sealed"]
        stand.kill(signal.SIGTERM)
        stand.start()
        wait_for(lambda: stand.get("/v1/jobs/j").status in (404, 410), 60, "removed after a new start")
