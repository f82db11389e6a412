"""tests/e2e/21-stream-tail.py -- following a job: WebSocket, SSE and text, to the end and across restarts."""
import http.client
import json
import random
import signal
import socket
import threading
import time

from harness import PATIENCE, Joblogd, sanitized, tail_records, wait_for

ALONE = True
d = None


def setup():
    global d
    d = Joblogd("--drain-time", "300ms")


def teardown():
    d.close()


def finished_job(job, count=20, rank=None):
    """A job of count numbered lines that is sealed."""
    q = f"?rank={rank}" if rank is not None else ""
    d.post_lines(job, [f"line {i}" for i in range(count)], q)
    d.event(job, "FAILED", exit_code=1, message="boom")
    wait_for(lambda: d.job(job)["sealed"], 10, "sealed")


def sse(job, query="tail=all", headers=None, until=None, server=None, timeout=20):
    """Follow by SSE: (status, [(event, id, data)]) to the end of the stream or until(event, data)."""
    conn = http.client.HTTPConnection("127.0.0.1", (server or d).port, timeout=timeout)
    conn.request("GET", f"/v1/jobs/{job}/tail?{query}", headers={"Accept": "text/event-stream", **(headers or {})})
    r = conn.getresponse()
    events, event, ident, data = [], "", None, []
    try:
        for raw in r:
            line = raw.decode().rstrip("\n")
            if not line:
                if data:
                    events.append((event, ident, json.loads("\n".join(data))))
                    if until and until(event, events[-1][2]):
                        break
                event, data = "", []
            elif line.startswith("event:"):
                event = line[6:].strip()
            elif line.startswith("id:"):
                ident = line[3:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].strip())
    except http.client.IncompleteRead:
        pass
    conn.close()
    return r.status, events


def test_hello_lines_state_end_close():
    """hello first, then every record in order, then end and Close 1000 with the state as reason."""
    finished_job("done")
    messages, code, reason = d.tail_ws("done")
    assert messages[0]["type"] == "hello" and messages[0]["job"]["id"] == "done", messages[0]
    got = tail_records(messages)
    assert [r["seq"] for r in got] == list(range(1, len(got) + 1))
    assert [r["msg"] for r in got if "state" not in r] == [f"line {i}" for i in range(20)]
    end = messages[-1]
    assert end["type"] == "end" and end["state"] == "TRAINING_JOB_FAILED" and end["exit_code"] == 1, end
    assert end["complete"] is True and end["missing"] == [] and end["last_seq"] == got[-1]["seq"] and end["lines"] == 20, end
    assert (code, reason) == (1000, "TRAINING_JOB_FAILED")


def test_tail_n_is_the_default_10():
    """Without arguments the last 10 lines come first; tail=3 gives 3; tail=all gives all."""
    finished_job("ten", 50)
    count = lambda q: sum("state" not in r for r in tail_records(d.tail_ws("ten", q)[0]))
    assert count("") in (9, 10), count("")  # records are counted, a state may be one of them
    assert count("tail=3") in (2, 3)
    assert count("tail=all") == 50


def test_before_during_after_give_the_same():
    """A tail opened before the job exists, during it and after it gives the same records."""
    results = {}

    def follow(name, query):
        results[name] = tail_records(d.tail_ws("same", query, 60)[0])

    before = threading.Thread(target=follow, args=("before", "tail=all&wait=30s"))
    before.start()
    wait_for(lambda: d.metric("joblog_tailers_waiting"), 10, "the tail waits")
    for i in range(30):
        d.post_lines("same", [f"{i}.{k}" for k in range(7)])
        if i == 15:
            during = threading.Thread(target=follow, args=("during", "tail=all"))
            during.start()
    d.event("same", "COMPLETED", exit_code=0)
    before.join(30)
    during.join(30)
    after = tail_records(d.tail_ws("same")[0])
    strip = lambda rs: [(r["seq"], r["msg"]) for r in rs]
    assert strip(results["before"]) == strip(results["during"]) == strip(after)
    assert len(after) == 212 or len(after) == 211, len(after)
    assert strip(d.records("same")) == strip(after)


def test_a_cursor_ahead_of_the_log():
    """A cursor that nobody can have given out is told reset and read from the begin, never moved back in silence; a plain number is a
    place in the log: from its end on."""
    d.post_lines("ahead", ["a", "b"])
    epoch, seq = (int(x) for x in d.job("ahead")["cursor"].split(":"))
    messages, _, _ = d.tail_ws("ahead", f"after={epoch}:{seq + 7}", until=lambda m: m["type"] == "lines")
    assert [m["type"] for m in messages] == ["hello", "reset", "lines"], messages
    assert [r["seq"] for r in messages[-1]["lines"]] == list(range(1, seq + 1))
    told = []
    t = threading.Thread(target=lambda: told.extend(d.tail_ws("ahead", f"after={seq + 7}", until=lambda m: m["type"] == "lines")[0]))
    t.start()
    wait_for(lambda: d.metric('joblog_tailers{kind="websocket"}') == 1, what="it follows")
    d.post_lines("ahead", ["c"])
    t.join(20)
    assert told[0]["cursor"] == f"{epoch}:{seq}" and [r["msg"] for r in told[-1]["lines"]] == ["c"], told


def test_a_job_that_never_comes_is_404():
    """wait= is a deadline: then 404."""
    assert d.get("/v1/jobs/never/tail?wait=200ms").status == 404


def test_sse_resumes_and_ends_with_204():
    """SSE carries cursors as ids, Last-Event-ID resumes exactly, and after the end a reconnect gets 204."""
    finished_job("sse", 500)
    status, events = sse("sse")
    assert status == 200 and events[0][0] == "hello" and events[-1][0] == "end", events[-1]
    lines = [(e, i, m) for e, i, m in events if e == "lines"]
    cut = lines[0]
    _, rest = sse("sse", headers={"Last-Event-ID": cut[1]})
    first = next(m["lines"][0]["seq"] for e, i, m in rest if e == "lines") if len(lines) > 1 else None
    if first:
        assert first == cut[2]["lines"][-1]["seq"] + 1
    assert sse("sse", headers={"Last-Event-ID": events[-1][1]})[0] == 204


def test_text_is_tail_f():
    """Without Upgrade or event-stream the tail is plain text that ends with the job."""
    finished_job("text", 5)
    r = d.get("/v1/jobs/text/tail?tail=all")
    assert r.status == 200 and r.headers["content-type"].startswith("text/plain"), r
    assert [x for x in r.text.splitlines() if x.startswith("line")] == [f"line {i}" for i in range(5)]
    rows = d.get("/v1/jobs/text/tail?tail=all&format=ndjson").text.splitlines()
    assert json.loads(rows[0])["seq"] == 1


def test_live_latency_is_milliseconds():
    """A line is with the follower within 50 ms of its acknowledgement (median of 50)."""
    d.post("/v1/jobs", {"id": "fast"})
    arrived, ready = {}, threading.Event()

    def note(m):
        if m["type"] == "hello":
            ready.set()
        now = time.monotonic()
        for r in m.get("lines", []):
            arrived[r["msg"]] = now
        return len(arrived) == 50

    t = threading.Thread(target=lambda: d.tail_ws("fast", "tail=0", 30, note))
    t.start()
    assert ready.wait(10)
    sent = {}
    for i in range(50):
        sent[str(i)] = time.monotonic()
        d.post_lines("fast", [str(i)])
    t.join(20)
    delays = sorted(arrived[k] - sent[k] for k in sent)
    assert delays[25] < 0.05, delays


def test_filters():
    """rank, level, q and re choose lines; state changes always pass."""
    d.post_lines("filt", [{"msg": f"m{i} {'needle' if i == 7 else ''}", "rank": i % 4, "level": "error" if i % 5 == 0 else "info"}
                          for i in range(40)])
    d.event("filt", "COMPLETED")
    wait_for(lambda: d.job("filt")["sealed"], 10, "sealed")
    pick = lambda q: [r for r in tail_records(d.tail_ws("filt", "tail=all&" + q)[0]) if "state" not in r]
    assert len(pick("rank=0,2-3")) == 30
    assert len(pick("level=error")) == 8
    assert [r["msg"] for r in pick("q=needle")] == ["m7 needle"]
    assert len(pick("re=%5Em1%5Cd")) == 10
    assert any("state" in r for r in tail_records(d.tail_ws("filt", "tail=all&q=nothing")[0]))
    assert d.get("/v1/jobs/filt/tail?re=(").status == 400


def test_progress_reaches_followers_and_is_not_stored():
    """A redraw sent by an agent comes as `progress`, escapes and all, with what the bar says, and leaves no record."""
    import asyncio
    import websockets

    async def both():
        uri = f"ws://127.0.0.1:{d.port}/v1/jobs/bar"
        async with websockets.connect(uri + "/ingest", subprotocols=["joblog.ingest.v1"]) as agent:
            await agent.send(json.dumps({"type": "hello", "producer": "p", "epoch": 1, "rank": 2}))
            welcome = json.loads(await agent.recv())
            assert welcome["type"] == "welcome" and welcome["last"] == 0, welcome
            async with websockets.connect(uri + "/tail?tail=all") as tail:
                assert json.loads(await tail.recv())["type"] == "hello"
                for _ in range(40):
                    await agent.send(json.dumps({"type": "progress", "rank": 2, "msg": " 40%|##  | 4/10 [00:02<00:03,  2.00it/s]\x1b[2K"}))
                    try:
                        m = json.loads(await asyncio.wait_for(tail.recv(), 0.5))
                    except asyncio.TimeoutError:
                        continue
                    if m["type"] == "progress":
                        await agent.send(json.dumps({"type": "lines", "first": 1}) + '\n{"msg":"after it"}\n')
                        while (after := json.loads(await tail.recv()))["type"] in ("progress", "state"):
                            pass
                        return m, after
        return None, None

    m, after = asyncio.run(asyncio.wait_for(both(), 30))
    assert m and m["rank"] == 2 and m["msg"].startswith(" 40%|##"), m
    assert (m["percent"], m["done"], m["total"], m["rate"], m["unit"], m["eta_s"]) == (40, 4, 10, 2, "it", 3), m
    assert [line["msg"] for line in after["lines"]] == ["after it"], after
    assert [r["msg"] for r in d.records("bar") if "state" not in r] == ["after it"]


def test_resumed_at_random_across_kill_and_restart():
    """A reader that drops at random places and resumes by cursor sees each record once, in order, while joblogd is killed and restarted."""
    rng = random.Random(7)
    with Joblogd("--drain-time", "300ms") as mine:
        stop = threading.Event()
        total = [0]

        def write():
            n = 1
            while n <= 6000:
                try:
                    r = mine.post_lines("r", [f"n{i}" for i in range(n, n + 20)],
                                        headers={"X-Producer": "w", "X-Epoch": "1", "X-Sequence": str(n)})
                except OSError:
                    continue
                if r.status == 200:
                    n += 20
                elif r.status == 409:
                    n = r.json()["expected"]
            total[0] = n - 1
            stop.set()

        t = threading.Thread(target=write)
        t.start()
        seen, cursor, kills = [], None, 0
        deadline = time.monotonic() + 60 * PATIENCE
        while time.monotonic() < deadline:
            if kills < 3 and len(seen) > 1000 * (kills + 1):
                mine.restart(signal.SIGKILL)
                kills += 1
            limit = rng.randrange(1, 30)
            count = [0]

            def enough(m):
                count[0] += 1
                return count[0] > limit or (stop.is_set() and m["type"] == "lines" and m["lines"][-1]["msg"] == f"n{total[0]}")

            try:
                messages, _, _ = mine.tail_ws("r", f"after={cursor}" if cursor else "tail=all&wait=10s", 30, enough)
            except Exception:
                continue
            for m in messages:
                assert m["type"] not in ("gap", "reset"), m
                if m["type"] in ("lines", "state"):
                    rows = m.get("lines", [m])
                    seen += [(r["seq"], r["msg"]) for r in rows if "state" not in r]
                if "cursor" in m:
                    cursor = m["cursor"]
            if stop.is_set() and seen and seen[-1][1] == f"n{total[0]}":
                break
        t.join(30)
        assert kills == 3
        assert [m for _, m in seen] == [f"n{i}" for i in range(1, total[0] + 1)], (len(seen), total)
        assert [s for s, _ in seen] == sorted({s for s, _ in seen})


def test_sigterm_tells_followers_to_come_back():
    """SIGTERM closes WebSocket followers with 1012 and joblogd exits 0."""
    with Joblogd() as mine:
        mine.post_lines("t", ["a"])
        result = {}

        def follow():
            result["end"] = mine.tail_ws("t", "tail=all", 20)

        t = threading.Thread(target=follow)
        t.start()
        wait_for(lambda: mine.metric('joblog_tailers{kind="websocket"}'), 10, "follower")
        assert mine.kill(signal.SIGTERM) == 0
        t.join(10)
        assert result["end"][1] == 1012, result["end"]


def test_slow_readers_cost_bounded_memory():
    """50 followers that never read cost bounded memory and do not slow a live one."""
    d.post_lines("slow", ["x"])
    stuck = []
    for _ in range(50):
        s = socket.create_connection(("127.0.0.1", d.port))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"GET /v1/jobs/slow/tail?tail=all HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        stuck.append(s)
    wait_for(lambda: (d.metric('joblog_tailers{kind="websocket"}') or 0) >= 50, 10, "50 followers")
    base = d.rss_bytes()
    row = "y" * 1000
    count = [0]

    def note(m):
        count[0] += len(m.get("lines", []))
        return count[0] >= 20001

    live = threading.Thread(target=lambda: d.tail_ws("slow", "tail=all", 60, note))
    live.start()
    for _ in range(100):
        assert d.post_lines("slow", [row] * 200).status == 200
    live.join(60)
    assert count[0] >= 20001, count
    grown = d.rss_bytes() - base
    assert sanitized() or grown < 64 << 20, f"{grown >> 20} MiB for 50 stuck followers and 20 MB of lines"
    for s in stuck:
        s.close()
    wait_for(lambda: d.metric('joblog_tailers{kind="websocket"}') == 0, 20, "stuck followers are gone")


def test_delete_ends_tails_with_reset():
    """Deleting a followed job tells its followers `reset`."""
    d.post_lines("del", ["a"])
    got = {}

    def follow():
        got["messages"], _, _ = d.tail_ws("del", "tail=all", 20, lambda m: m["type"] == "reset")

    t = threading.Thread(target=follow)
    t.start()
    wait_for(lambda: d.metric('joblog_tailers{kind="websocket"}'), 10, "follower")
    assert d.request("DELETE", "/v1/jobs/del").status == 204
    t.join(15)
    assert any(m["type"] == "reset" for m in got["messages"]), got


def test_delete_while_tails_open():
    """A job deleted in the moment in which its tails begin: each is told reset, or 404; none waits on in silence."""
    for i in range(30):
        job, socks = f"gone{i}", []
        d.post_lines(job, ["a"])
        for _ in range(4):
            s = socket.create_connection(("127.0.0.1", d.port), 20 * PATIENCE)
            s.sendall(f"GET /v1/jobs/{job}/tail?format=ndjson&tail=all&wait=1s HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            socks.append(s)
        assert d.request("DELETE", f"/v1/jobs/{job}").status == 204
        for s in socks:
            got = b""
            while b'"reset"' not in got and b" 404 " not in got:
                piece = s.recv(65536)
                assert piece, got
                got += piece
            s.close()


def test_incomplete_jobs_say_who_is_missing():
    """A producer that never says fin is named in `missing` after the drain time."""
    d.post("/v1/jobs", {"id": "miss", "ranks": 2})
    head = {"X-Producer": "rank-0", "X-Epoch": "1", "X-Sequence": "1", "X-Producer-Fin": "1"}
    d.post_lines("miss", ["a"], "?rank=0", head)
    d.event("miss", "FAILED", rank=1)
    end = d.tail_ws("miss")[0][-1]
    assert end["type"] == "end" and end["complete"] is False and end["missing"] == ["rank 1"], end
