"""tests/e2e/61-serve-quotas.py -- quotas: one token fills and stalls nothing but itself, and nothing of it is lost."""
import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
import time

import websockets

from harness import JOBLOG, PATIENCE, Joblogd, joblog, wait_for, ws_token

server = None


def setup():
    global server
    server = Joblogd("--drain-time", "1s")
    server.close_doors()


def teardown():
    if server:
        server.close()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def made(project, scopes="read,ingest", **quotas):
    return server.make_token(scopes, project, quotas=quotas)["token"]


def refused(r, quota, limit):
    assert r.status == 429 and int(r.headers["retry-after"]) >= 1, r
    body = r.json()
    assert (body["code"], body["quota"], body["limit"]) == ("quota", quota, limit), body
    return int(r.headers["retry-after"])


def test_lines_and_bytes_per_second():
    """Over its rate a token is 429 with the seconds to wait, batches whole; after them it is served; others never notice."""
    slow, other = made("rate", lines_per_second=100), made("rate")
    r = server.post_lines("j", ["x"] * 500, headers=bearer(slow))
    assert r.json()["accepted"] == 500, r  # whole, on credit
    before = time.monotonic()
    wait = refused(server.post_lines("j", ["y"], headers=bearer(slow)), "lines_per_second", 100)
    assert 2 <= wait <= 4, wait
    assert server.post_lines("j", ["other"] * 500, headers=bearer(other)).status == 200
    for path in ("/v1/jobs", "/v1/jobs/j", "/v1/jobs/j/logs?tail=1"):
        assert server.get(path, bearer(slow)).status == 200, path  # reading is not charged
    wait_for(lambda: server.post_lines("j", ["y"], headers=bearer(slow)).status == 200, 8, "taken again")
    assert 2 <= time.monotonic() - before <= wait + 1.5 * PATIENCE
    thick = made("rate", bytes_per_second=1000)
    assert server.post_lines("b", ["z" * 9000], headers=bearer(thick)).status == 200
    assert 6 <= refused(server.post_lines("b", ["z"], headers=bearer(thick)), "bytes_per_second", 1000) <= 8
    assert server.metric('joblog_quota_refused_total{quota="bytes_per_second"}') >= 1


def test_a_refused_upload_is_refused_before_its_body():
    """A token in debt is answered before its body is sent."""
    t = made("early", lines_per_second=1)
    assert server.post_lines("j", ["x"] * 50, headers=bearer(t)).status == 200
    import socket
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(f"POST /v1/jobs/j/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {t}\r\nContent-Length: 50000000\r\n"
                  "Expect: 100-continue\r\n\r\n".encode())
        assert s.recv(64).startswith(b"HTTP/1.1 429 "), "no 100 Continue"


def test_an_agent_over_its_rate_loses_nothing():
    """joblog run faster than its token's rate is held back, not cut: every line arrives once, in order, at about that rate."""
    token = made("agent", lines_per_second=10000)
    # 20,000 lines at once; what is under way when they are used up goes on credit: 32 messages of 64 KiB, of lines over 100 bytes.
    count, credit = 60000, 32 * 65536 // 100
    with tempfile.TemporaryDirectory(prefix="jl-state-") as state:
        env = {**os.environ, "JOBLOG_URL": server.url, "JOBLOG_TOKEN": token, "XDG_STATE_HOME": state}
        began = time.monotonic()
        p = subprocess.run([JOBLOG, "run", "--job", "fast", "--", "seq", "-f", "%060g", "1", str(count)], env=env, capture_output=True, text=True, timeout=60)
        took = time.monotonic() - began
    assert p.returncode == 0 and p.stdout.count("\n") == count, p.stderr
    lines = server.get("/v1/jobs/fast/logs?project=agent&tail=all").text.split()
    assert lines == [f"{i:060}" for i in range(1, count + 1)], (len(lines), lines[:3], lines[-3:])
    assert took >= (count - 20000 - credit) / 10000, took
    assert server.metric('joblog_quota_refused_total{quota="lines_per_second"}') >= 1


def test_busy_names_the_quota():
    """An agent in debt is told busy with the seconds and which quota; then its lines are taken from where it was."""
    token = made("ws", lines_per_second=10)

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/v1/jobs/w/ingest", subprotocols=["joblog.ingest.v1"],
                                      **ws_token(token)) as w:
            await w.send('{"type":"hello","producer":"p","epoch":1}')
            assert json.loads(await w.recv())["type"] == "welcome"
            await w.send('{"type":"lines","first":1}\n' + '{"msg":"a"}\n' * 50)
            while json.loads(await w.recv()).get("accepted") != 50:
                pass
            await w.send('{"type":"lines","first":51}\n{"msg":"b"}\n')
            busy = json.loads(await w.recv())
            assert busy["type"] == "busy" and busy["quota"] == "lines_per_second" and 2 <= busy["retry_after"] <= 4, busy
            await asyncio.sleep(busy["retry_after"])
            await w.send('{"type":"lines","first":51}\n{"msg":"b"}\n')
            while json.loads(await w.recv()).get("accepted") != 51:
                pass

    asyncio.run(asyncio.wait_for(talk(), 20))
    assert server.job("w?project=ws")["lines"] == 51


def test_live_jobs():
    """A token makes so many live jobs, on every road; those that are there are served, one that ends makes room."""
    t, read = made("jobs", live_jobs=2), made("jobs", "read")
    assert server.post("/v1/jobs", {"id": "a"}, bearer(t)).status == 201
    assert server.post_lines("b", ["x"], headers=bearer(t)).status == 200
    refused(server.post("/v1/jobs", {"id": "c"}, bearer(t)), "live_jobs", 2)
    refused(server.post("/v1/jobs", {}, bearer(t)), "live_jobs", 2)
    refused(server.post_lines("c", ["x"], headers=bearer(t)), "live_jobs", 2)

    async def agent():
        with contextlib.suppress(Exception):
            async with websockets.connect(f"ws://127.0.0.1:{server.port}/v1/jobs/c/ingest", subprotocols=["joblog.ingest.v1"],
                                          **ws_token(t)):
                return True
        return False

    assert asyncio.run(agent()) is False
    assert server.get("/v1/jobs/c", bearer(read)).status == 404  # nothing was made
    assert server.post("/v1/jobs", {"id": "a"}, bearer(t)).status == 200  # idempotent
    assert server.post_lines("b", ["y"], headers=bearer(t)).status == 200
    assert server.get("/v1/jobs/later/tail?wait=0s", bearer(t)).status == 404  # waiting for a job makes none
    assert server.post("/v1/jobs/b/events", {"state": "COMPLETED"}, bearer(t)).status == 200
    wait_for(lambda: server.post_lines("c", ["x"], headers=bearer(t)).status == 200, 15, "room")
    refused(server.post_lines("d", ["x"], headers=bearer(t)), "live_jobs", 2)


def test_tailers():
    """A token follows with so many tails at a time; one that goes makes room; another token is not concerned."""
    t, other = made("tails", tailers=2), made("tails")
    server.post_lines("j", ["x"], headers=bearer(t))

    async def follow():
        uri = f"ws://127.0.0.1:{server.port}/v1/jobs/j/tail"
        async with websockets.connect(uri, **ws_token(t)) as one:
            await one.recv()
            async with websockets.connect(uri, **ws_token(t)) as two:
                await two.recv()
                r = await asyncio.to_thread(server.get, "/v1/jobs/j/tail", bearer(t))
                refused(r, "tailers", 2)
                async with websockets.connect(uri, **ws_token(other)) as three:
                    await three.recv()
            for _ in range(100):
                r = await asyncio.to_thread(server.request, "HEAD", "/v1/jobs/j/tail", None, bearer(t))
                if r.status == 200:
                    return
                await asyncio.sleep(0.05)
            raise AssertionError("no room was made")

    asyncio.run(asyncio.wait_for(follow(), 20))


def test_stored_bytes():
    """What a project holds is looked up, and a token whose quota it fills may write no more; a deleted job makes room."""
    admin = made("store", "admin")
    assert server.post_lines("old", ["x" * 1000] * 100, headers=bearer(admin)).status == 200
    t = made("store", stored_bytes=100100)
    wait_for(lambda: server.post_lines("new", ["z" * 10], headers=bearer(t)).status == 429, 10, "full")
    refused(server.post_lines("new", ["z"], headers=bearer(t)), "stored_bytes", 100100)
    assert server.get("/v1/jobs/new/logs?tail=1", bearer(t)).status == 200
    assert server.post_lines("other", ["free"], headers=bearer(made("elsewhere", stored_bytes=1000))).status == 200
    assert server.request("DELETE", "/v1/jobs/old", headers=bearer(admin)).status == 204
    wait_for(lambda: server.post_lines("new", ["z"], headers=bearer(t)).status == 200, 15, "room again")


def test_quotas_are_shown_and_checked():
    """joblog token create --quota sets them, whoami and the list tell them; a mistake in one is refused and named."""
    p = joblog("token", "create", "--project", "show", "--quota", "lines_per_second=500", "--quota", "stored_bytes=10GiB",
               url=server.url, env={"JOBLOG_TOKEN": server.token})
    assert p.returncode == 0, p
    want = {"lines_per_second": 500, "stored_bytes": 10 << 30}
    assert server.get("/v1/whoami", bearer(p.stdout.strip())).json()["quotas"] == want
    assert [x for x in server.get("/v1/tokens").json()["tokens"] if x["project"] == "show"][0]["quotas"] == want
    assert server.get("/v1/whoami").json()["quotas"] == {}
    for argv, word in ((["lines=5"], "lines"), (["tailers=0"], "tailers"), (["tailers"], "NAME=NUMBER"), (["tailers=many"], "NAME=NUMBER")):
        p = joblog("token", "create", "--quota", *argv, url=server.url, env={"JOBLOG_TOKEN": server.token})
        assert p.returncode == 2 and word in p.stderr, p
    for bad in ([], {"lines_per_second": 0}, {"nonsense": 1}):
        assert server.post("/v1/tokens", {"scopes": "read", "quotas": bad}).status == 400, bad
