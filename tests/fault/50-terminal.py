"""tests/fault/50-terminal.py -- a terminal event that races the last lines of 64 ranks: no line after `end`, none missing.

In each class of CLASSES. RACES=1000, in each, is the long form (`make torture-terminal`).
"""
import asyncio
import json
import os
import random
import threading

from harness import Joblogd, tail_records, wait_for

RACES = int(os.environ.get("RACES", "12"))
CLASSES = os.environ.get("CLASSES", "durable,accepted").split(",")
RANKS = 64
LINES = 20
AT_ONCE = 4


async def race(d, job, rng):
    """One job: 64 agents send their last lines while the state goes terminal; a follower listens. Judges it."""
    import websockets

    base = f"ws://127.0.0.1:{d.port}/v1/jobs/{job}"
    begun = asyncio.Event()

    async def agent(rank):
        async with websockets.connect(f"{base}/ingest", subprotocols=["joblog.ingest.v1"], compression=None, open_timeout=60,
                                      ping_interval=None) as ws:
            await ws.send(json.dumps({"type": "hello", "producer": f"r{rank}", "epoch": 1, "rank": rank, "ranks": RANKS}))
            await ws.recv()
            ready.append(rank)
            await begun.wait()
            await asyncio.sleep(rng.uniform(0, 0.05))
            half = LINES // 2
            for first, last in ((1, half), (half + 1, LINES)):
                text = "".join(f'{{"msg":"{rank}:{n}"}}\n' for n in range(first, last + 1))
                await ws.send(b'{"type":"lines","first":%d}\n' % first + text.encode())
                await asyncio.sleep(rng.uniform(0, 0.03))
            await ws.send(json.dumps({"type": "fin", "last": LINES}))
            while json.loads(await asyncio.wait_for(ws.recv(), 60))["type"] != "fin_ack":
                pass

    async def follower():
        messages = []
        async with websockets.connect(f"{base}/tail?tail=all&wait=60s", max_size=None, open_timeout=60, ping_interval=None) as ws:
            try:
                async for text in ws:
                    messages.append(json.loads(text))
            except websockets.ConnectionClosed:
                pass
            return messages, ws.close_code

    ready = []
    tail = asyncio.create_task(follower())
    agents = [asyncio.create_task(agent(r)) for r in range(RANKS)]
    while len(ready) < RANKS:
        await asyncio.sleep(0.01)
        for a in agents:
            if a.done():
                a.result()
    begun.set()
    await asyncio.sleep(rng.uniform(0, 0.06))
    answer = await asyncio.get_running_loop().run_in_executor(None, lambda: d.event(job, "FAILED", exit_code=1))
    assert answer.status == 200, answer
    await asyncio.gather(*agents)
    messages, code = await asyncio.wait_for(tail, 60)
    judge(messages, code)


def judge(messages, code):
    end = messages[-1]
    records = tail_records(messages)
    assert code == 1000 and end["type"] == "end", (code, end)
    assert [m["type"] for m in messages].count("end") == 1
    assert end["complete"] is True and end["missing"] == [], end
    assert [r["seq"] for r in records] == list(range(1, end["last_seq"] + 1))
    by_rank = {}
    for r in records:
        if "state" not in r:
            by_rank.setdefault(r["rank"], []).append(r["msg"])
    assert by_rank == {k: [f"{k}:{n}" for n in range(1, LINES + 1)] for k in range(RANKS)}
    assert end["lines"] == RANKS * LINES, end


def races(durability):
    rng = random.Random(int(os.environ.get("SEED", "5")))
    with Joblogd("--drain-time", "60s", "--durability", durability) as d:

        async def all_races():
            for first in range(0, RACES, AT_ONCE):
                await asyncio.gather(*(race(d, f"race-{n}", rng) for n in range(first, min(first + AT_ONCE, RACES))))

        asyncio.run(all_races())
        wait_for(lambda: d.get("/v1/jobs?active=1").json()["jobs"] == [], 60, "all are sealed")


def test_a_terminal_event_races_the_last_lines():
    """64 ranks send their last lines while the job fails: `end` is last, complete, and every line is before it, in every class."""
    for durability in CLASSES:
        races(durability)


def test_late_lines_are_refused_and_counted():
    """A producer that never says fin is named in `missing` after the drain time, and what it sends then is 409 and counted."""
    with Joblogd("--drain-time", "300ms") as d:
        def post(n, rank):
            return d.post_lines("late", [f"{rank}:{n}"], f"?rank={rank}", {"X-Producer": f"r{rank}", "X-Epoch": "1", "X-Sequence": str(n)})

        assert post(1, 0).status == 200 and post(1, 1).status == 200
        d.post("/v1/jobs/late/logs", "", {"X-Producer": "r0", "X-Epoch": "1", "X-Producer-Fin": "1"})
        told = []
        t = threading.Thread(target=lambda: told.extend(d.tail_ws("late", "tail=all")[0]))
        t.start()
        d.event("late", "STOPPED")
        assert post(2, 1).status == 200  # in the drain time
        t.join(60)
        end = told[-1]
        assert (end["type"], end["complete"], end["missing"]) == ("end", False, ["r1"]), end
        r = post(3, 1)
        assert r.status == 409 and r.json()["code"] == "sealed", r
        assert d.metric('joblog_refused_total{reason="sealed"}') == 1
        assert [x["msg"] for x in d.records("late") if "state" not in x] == ["0:1", "1:1", "1:2"]
