"""75-alert-groups -- the feed handed out to teams of workers: each event to one, again when it is not acknowledged."""
import asyncio
import json
import signal
import time

import websockets

from harness import Joblogd, wait_for


def take(d, query, wait="0s"):
    r = d.get(f"/v1/events?group=team&type=state&wait={wait}&{query}", timeout=60)
    assert r.status == 200, r
    return [e for e in map(json.loads, r.text.splitlines()) if e["type"] == "state"]


def ack(d, events):
    r = d.post("/v1/events/ack?group=team", {"cursors": [e["cursor"] for e in events]})
    assert r.status == 200, r
    return r.json()["acked"]


def make_jobs(d, first, count):
    for i in range(first, first + count):
        d.post_lines(f"j{i}", ["x"])
    wait_for(lambda: int(d.redis_cli("GET", "jl:{alert}:seq") or 0) >= first + count, 30)


def test_each_event_to_one_of_them():
    """Two workers share the events; what is acknowledged comes to nobody again, what is not comes again, marked, over restarts."""
    with Joblogd() as d:
        assert take(d, "consumer=a&after=0") == []
        make_jobs(d, 0, 10)
        a = take(d, "consumer=a&limit=4", "10s")
        b = take(d, "consumer=b&limit=64", "10s")
        assert len(a) == 4 and len(b) == 6 and not {e["job"] for e in a} & {e["job"] for e in b}
        assert ack(d, b) == 6 and ack(d, b) == 0
        assert take(d, "consumer=b") == []
        d.restart(signal.SIGKILL)
        again = wait_for(lambda: take(d, "consumer=b&ack_time=1s"), 30)
        assert [e["job"] for e in again] == [e["job"] for e in a] and all(e["redelivered"] for e in again)
        assert ack(d, again) == 4
        time.sleep(1.2)
        assert take(d, "consumer=a&ack_time=1s") == []


def test_readers_without_a_name_leave_nothing_behind():
    """However often a group is read without a consumer's name, Redis keeps one; the events are still handed out once."""
    with Joblogd() as d:
        assert take(d, "after=0") == []
        make_jobs(d, 0, 6)
        got = [e for _ in range(6) for e in take(d, "limit=1", "5s")]
        assert len({e["job"] for e in got}) == 6
        assert d.redis_cli("XINFO", "GROUPS", "jl:{alert}:events").split()[3] == "1"
        again = {}

        def more():
            again.update({e["cursor"]: e for e in take(d, "ack_time=1s")})
            return len(again) >= 6

        wait_for(more, 30, "all are handed out again")  # each when its own second is over
        assert len(again) == 6 and all(e["redelivered"] for e in again.values())


def test_a_worker_that_dies():
    """Over WebSocket: what a worker took and did not acknowledge before it was gone, another one gets."""
    with Joblogd() as d:
        async def work(name, count, does_ack):
            got = []
            async with websockets.connect(f"ws://127.0.0.1:{d.port}/v1/events?group=team&consumer={name}&type=state&after=0&ack_time=1s") as ws:
                while len(got) < count:
                    m = json.loads(await asyncio.wait_for(ws.recv(), 30))
                    if m["type"] != "state":
                        continue
                    got.append(m)
                    if does_ack:
                        await ws.send(json.dumps({"type": "ack", "cursor": m["cursor"]}))
                await asyncio.sleep(0.3)
            return got

        assert take(d, "consumer=z&after=0") == []
        make_jobs(d, 0, 6)
        lost = asyncio.run(work("dies", 6, False))
        got = asyncio.run(work("lives", 6, True))
        assert sorted(e["job"] for e in got) == sorted(e["job"] for e in lost) and all(e["redelivered"] for e in got)
        time.sleep(1.2)
        assert take(d, "consumer=z&ack_time=1s") == []


def test_a_window_over_websocket():
    """Over WebSocket at most 64 are handed out and not acknowledged; the next come as they are."""
    with Joblogd() as d:
        assert take(d, "consumer=z&after=0") == []
        make_jobs(d, 0, 100)

        async def work():
            got = []
            async with websockets.connect(f"ws://127.0.0.1:{d.port}/v1/events?group=team&consumer=w&type=state&after=0") as ws:
                while len(got) < 64:
                    m = json.loads(await asyncio.wait_for(ws.recv(), 30))
                    got += [m] if m["type"] == "state" else []
                try:
                    more = await asyncio.wait_for(ws.recv(), 1.5)
                    raise AssertionError(f"over the window: {more}")
                except asyncio.TimeoutError:
                    pass
                await ws.send(json.dumps({"type": "ack", "cursors": [m["cursor"] for m in got]}))
                while len(got) < 100:
                    m = json.loads(await asyncio.wait_for(ws.recv(), 30))
                    got += [m] if m["type"] == "state" else []
            return got

        got = asyncio.run(work())
        assert len({m["job"] for m in got}) == 100
