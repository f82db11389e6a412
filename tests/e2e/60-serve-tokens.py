"""tests/e2e/60-serve-tokens.py -- tokens, tickets and projects: who comes in, and who is sent away."""
import asyncio
import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import websockets

from harness import JOBLOG, JOBLOGD, Joblogd, free_port, joblog, wait_for, ws_headers, ws_token

AWAY_S = 10  # a revoked token is out in so many seconds (60 are promised)
server = None


def setup():
    global server
    server = Joblogd("--log-level", "debug", "--drain-time", "1s")
    server.close_doors()


def teardown():
    if server:
        server.close()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def made(scopes, project=None, **more):
    return server.make_token(scopes, project, **more)["token"]


def cli(*argv, token=None, d=None, **kw):
    return joblog(*argv, url=(d or server).url, env={"JOBLOG_TOKEN": token or ""}, **kw)


def test_the_first_token_closes_an_open_server():
    """Without tokens everybody on the machine is let in; the first token is an admin's, and from it on all need one."""
    with Joblogd() as d:
        assert d.get("/v1/whoami").json() == {"auth": "none", "token": None, "id": None, "project": None,
                                              "scopes": ["read", "ingest", "admin"], "expires_at": None, "quotas": {}}
        assert d.post_lines("j", ["a"]).status == 200
        for body in ({"scopes": "read,ingest"}, {"scopes": "admin", "project": "p"}):
            r = d.post("/v1/tokens", body)
            assert (r.status, r.json()["code"]) == (409, "first_token"), r
        assert d.get("/v1/jobs").status == 200
        root = d.make_token("admin", name="root")
        assert re.fullmatch(r"jlt_[0-9A-Za-z]{49}", root["token"]), root
        for path in ("/v1/jobs", "/v1/jobs/j", "/v1/jobs/j/logs", "/v1/jobs/j/tail", "/v1/whoami", "/metrics", "/v1/tokens"):
            r = d.get(path)
            assert r.status == 401 and r.headers["www-authenticate"] == 'Bearer realm="joblog"', (path, r)
            assert d.request("HEAD", path, headers=bearer(root["token"])).status == 200, path
        for path in ("/healthz", "/readyz", "/", "/openapi.json"):
            assert d.get(path).status == 200, path
        assert d.post_lines("j", ["b"]).status == 401
        d.token = root["token"]
        assert [r["msg"] for r in d.records("j") if "msg" in r and "state" not in r] == ["a"]
        assert d.get("/v1/whoami").json()["token"] == "root"


def test_how_a_token_may_be_written():
    """Bearer and Api-Key in any case are taken; everything else is 401 with a reason, and never names the secret."""
    token = made("read")
    for value in (f"Bearer {token}", f"bearer {token}", f"BEARER   {token}", f"Api-Key {token}", f"aPI-kEY {token}"):
        assert server.get("/v1/whoami", {"Authorization": value}).status == 200, value
    typo = token[:20] + ("a" if token[20] != "a" else "b") + token[21:]
    for value, word in ((f"Bearer {typo}", "checksum"), (f"Bearer {token[:-1]}", "not known"), (token, "Authorization must be"),
                        (f"Bearer{token}", "must be"), (f"Basic {token}", "must be"), ("Bearer", "must be"), ("Bearer ", "must be"),
                        (f"Bearer {token} x", "must be"), (f"Bearer {token}, Bearer {token}", "must be"),
                        ("Bearer " + "x" * 5000, "must be"), (f"Bearer {token.swapcase()}", "not known")):
        r = server.get("/v1/whoami", {"Authorization": value})
        assert r.status == 401 and word in r.json()["message"], (value[:80], r)
        assert r.headers["www-authenticate"] == 'Bearer realm="joblog", error="invalid_token"', r.headers
        assert token[4:30] not in r.text, r


def test_what_may_be_asked_of_post_tokens():
    """A token with a mistake in its description is refused and says which; nothing is made."""
    before = len(server.get("/v1/tokens").json()["tokens"])
    for body in ({}, {"scopes": []}, {"scopes": "root"}, {"scopes": ["read", 1]}, {"scopes": "read", "name": ""},
                 {"scopes": "read", "name": "a\nb"}, {"scopes": "read", "name": "x" * 65}, {"scopes": "read", "project": "../x"},
                 {"scopes": "read", "expires_in": "soon"}, {"scopes": "read", "expires_in": 0}, {"scopes": "read", "expires_in": -5},
                 {"scopes": "read", "expires_in": 10 ** 12}, {"scopes": "read", "expires_at": "2020-01-01T00:00:00Z"},
                 {"scopes": "read", "expires_at": "2099-01-01T00:00:00Z", "expires_in": 5},
                 {"scopes": "read", "expires_in": "4000d"}, {"scopes": "read", "expiry": "5d"}):
        r = server.post("/v1/tokens", body)
        assert r.status == 400, (body, r)
    assert server.post("/v1/tokens", b"[1]").json()["code"] == "bad_json"
    assert server.post("/v1/tokens", b"x" * 20000).status == 413
    assert len(server.get("/v1/tokens").json()["tokens"]) == before
    r = server.post("/v1/tokens", {"scopes": ["ingest", "read"], "name": "büro", "expires_in": 3600})
    assert r.status == 201 and r.headers["cache-control"] == "no-store", r
    t = r.json()
    assert t["scopes"] == ["read", "ingest"] and t["project"] is None and t["name"] == "büro"
    listed = [x for x in server.get("/v1/tokens").json()["tokens"] if x["id"] == t["id"]]
    assert listed and listed[0]["state"] == "live" and "token" not in listed[0] and "sha256" not in listed[0]


def test_a_project_sees_itself_only():
    """A foreign job is answered byte for byte as a missing one, on every road; lists and new jobs stay inside."""
    a, b = made("admin", "pa"), made("admin", "pb")
    assert server.post_lines("only-b", ["secret"], headers=bearer(b)).status == 200
    for method, path, body in (("GET", "", None), ("GET", "/logs", None), ("GET", "/tail", None), ("GET", "/archive", None),
                               ("GET", "/archive.jsonl.zst", None), ("DELETE", "", None), ("POST", "/events", b'{"state":"FAILED"}')):
        answers = []
        for job, query in (("only-b", ""), ("none-b", ""), ("only-b", "&project=pb"), ("none-b", "&project=pb"), ("only-b", "&project=zz")):
            more = "?wait=0s" if path == "/tail" else "?"
            r = server.request(method, f"/v1/jobs/{job}{path}{more}{query}", body, bearer(a))
            head = {k: v for k, v in r.headers.items() if k != "date"}
            answers.append((r.status, head, r.body.replace(job.encode(), b"JOB")))
        assert answers[0] == answers[1] and answers[0][0] == 404, (path, answers)
        if path != "/tail":
            assert all(x == answers[0] for x in answers), (path, answers)
        assert all(x[0] == 404 for x in answers), (path, answers)
    assert [j["id"] for j in server.get("/v1/jobs", bearer(a)).json()["jobs"]] == []
    for path in ("/v1/jobs?project=pb", "/v1/jobs?project=zz"):
        r = server.get(path, bearer(a))
        assert (r.status, r.json()["code"]) == (404, "not_found"), r
    assert server.post("/v1/jobs", {"id": "x", "project": "pb"}, bearer(a)).status == 404
    assert server.post_lines("only-b", ["mine"], headers=bearer(a)).json()["first"] == 1  # another job of that name
    assert server.post_lines("only-b", ["no"], "?project=pb", headers=bearer(a)).status == 404
    assert server.post("/v1/jobs", {"id": "new"}, bearer(a)).json()["project"] == "pa"
    assert sorted(j["id"] for j in server.get("/v1/jobs", bearer(a)).json()["jobs"]) == ["new", "only-b"]
    text = server.get("/v1/jobs/only-b/logs", bearer(b)).text
    assert text == "secret\n", text
    r = server.get("/v1/jobs/only-b")
    assert (r.status, r.json()["code"]) == (409, "ambiguous"), r  # an admin of all sees both
    assert server.get("/v1/jobs/only-b?project=pb").status == 200


def test_scopes():
    """read reads, ingest writes, admin does both and deletes; what is missing is 403 and said."""
    tokens = {s: made(s, "ps") for s in ("read", "ingest", "admin")}
    assert server.post_lines("s", ["x"], headers=bearer(tokens["ingest"])).status == 200
    rows = [("GET", "/v1/jobs", None, "read"), ("GET", "/v1/jobs/s", None, "read"), ("GET", "/v1/jobs/s/logs", None, "read"),
            ("HEAD", "/v1/jobs/s/tail", None, "read"), ("GET", "/v1/jobs/s/archive", None, "read"),
            ("POST", "/v1/jobs", b'{"id":"s"}', "ingest"), ("POST", "/v1/jobs/s/logs", b"y\n", "ingest"),
            ("POST", "/v1/jobs/s/events", b'{"state":"COMPLETED"}', "ingest"), ("GET", "/v1/tokens", None, "admin"),
            ("DELETE", "/v1/jobs/s", None, "admin")]
    for method, path, body, need in rows:
        for have in ("read", "ingest", "admin"):
            r = server.request(method, path, body, bearer(tokens[have]))
            if have in (need, "admin"):
                assert r.status < 300, (method, path, have, r)
            else:
                assert r.status == 403 and method == "HEAD" or r.json() == {"code": "forbidden", "message": f"this needs a token with scope {need}"}, r
    assert server.get("/metrics", bearer(tokens["admin"])).status == 403  # it tells of all projects
    assert server.get("/metrics", bearer(made("read"))).status == 200


def test_an_admin_of_a_project_rules_there_only():
    """An admin of one project makes, sees and revokes its tokens; those of others are not there."""
    a, other = made("admin", "pq"), server.make_token("read", "other")
    r = server.post("/v1/tokens", {"scopes": "read", "name": "mine"}, bearer(a))
    assert r.status == 201 and r.json()["project"] == "pq", r
    assert server.post("/v1/tokens", {"scopes": "read", "project": "other"}, bearer(a)).status == 404
    seen = server.get("/v1/tokens", bearer(a)).json()["tokens"]
    assert {t["project"] for t in seen} == {"pq"} and len(seen) == 2, seen
    foreign, missing = (server.request("DELETE", f"/v1/tokens/{i}", headers=bearer(a)) for i in (other["id"], "0" * 12))
    assert foreign.status == missing.status == 404
    assert foreign.text.replace(other["id"], "ID") == missing.text.replace("0" * 12, "ID")
    assert server.request("DELETE", f"/v1/tokens/{r.json()['id']}", headers=bearer(a)).status == 204
    assert server.get("/v1/jobs", bearer(r.json()["token"])).json()["message"] == "this token was revoked"
    assert server.get("/v1/jobs", bearer(other["token"])).status == 200


def test_the_last_admin_stays():
    """The last admin of all projects cannot be revoked: nobody could come back in."""
    root = [t for t in server.get("/v1/tokens").json()["tokens"] if t["name"] == "root"][0]
    r = server.request("DELETE", f"/v1/tokens/{root['id']}")
    assert (r.status, r.json()["code"]) == (409, "last_admin"), r
    second = server.make_token("admin", name="second")
    assert server.request("DELETE", f"/v1/tokens/{second['id']}").status == 204
    assert server.request("DELETE", f"/v1/tokens/{second['id']}").status == 204  # again


async def follow(uri, headers, got):
    async with websockets.connect(uri, **headers) as ws:
        got.append("open")
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in ws:
                got.append(json.loads(text)["type"])
        return ws.close_code, ws.close_reason


class Follower(threading.Thread):
    """A WebSocket in a thread; code and reason when it is over."""

    def __init__(self, path, token=None, d=None, **headers):
        super().__init__(daemon=True)
        self.uri = f"ws://127.0.0.1:{(d or server).port}{path}"
        self.headers = ws_headers({**(bearer(token) if token else {}), **headers})
        self.got, self.end, self.error = [], None, None
        self.start()

    def run(self):
        try:
            self.end = asyncio.run(follow(self.uri, self.headers, self.got))
        except Exception as e:  # the test looks at it
            self.error = e

    def wait_open(self):
        wait_for(lambda: "hello" in self.got or self.error, 10, "open")
        assert not self.error, self.error
        return self


class Stream:
    """A raw streamed GET: what came, and when it was over."""

    def __init__(self, path, headers, d=None):
        self.sock = socket.create_connection(("127.0.0.1", (d or server).port))
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        self.data, self.over = b"", False

    def pump(self, seconds=0.02):
        while select.select([self.sock], [], [], seconds)[0]:
            try:
                got = self.sock.recv(65536)
            except ConnectionResetError:
                got = b""
            self.data += got
            if not got:
                self.over = True
                break
        return self

    def wait(self, condition, what, deadline_s=AWAY_S):
        wait_for(lambda: condition(self.pump()), deadline_s, what)


def test_revocation_ends_what_is_open():
    """A revoked token's tails (WebSocket, SSE, text) and agents end by themselves; those of others go on."""
    t, other = server.make_token("read,ingest", "live"), made("read", "live")
    assert server.post_lines("run", ["one"], headers=bearer(t["token"])).status == 200
    ws = Follower("/v1/jobs/run/tail", t["token"]).wait_open()
    stays = Follower("/v1/jobs/run/tail", other).wait_open()
    sse = Stream("/v1/jobs/run/tail", {"Accept": "text/event-stream", **bearer(t["token"])})
    text = Stream("/v1/jobs/run/tail", bearer(t["token"]))
    for s in (sse, text):
        s.wait(lambda x: b"one" in x.data, "the first line")

    async def agent():
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/v1/jobs/run/ingest", subprotocols=["joblog.ingest.v1"],
                                      **ws_token(t["token"])) as w:
            await w.send('{"type":"hello","producer":"p","epoch":1}')
            json.loads(await w.recv())
            r = await asyncio.to_thread(server.request, "DELETE", f"/v1/tokens/{t['id']}")
            assert r.status == 204, r
            began = time.monotonic()
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(w.recv(), AWAY_S)
            return w.close_code, w.close_reason, time.monotonic() - began

    code, reason, took = asyncio.run(agent())
    assert (code, reason) == (4401, "token revoked") and took < AWAY_S, (code, reason, took)
    wait_for(lambda: ws.end, AWAY_S, "the WebSocket ends")
    assert ws.end == (4401, "token revoked"), ws.end
    for s in (sse, text):
        s.wait(lambda x: x.over, "the stream ends")
        assert not s.data.endswith(b"0\r\n\r\n"), "a cut stream must not look whole"
    r = server.get("/v1/jobs/run/tail", bearer(t["token"]))
    assert r.status == 401 and r.json()["message"] == "this token was revoked", r
    server.post_lines("run", ["two"], "?project=live")
    wait_for(lambda: stays.got.count("lines") >= 2, 10, "the other one goes on")
    assert stays.end is None
    server.post("/v1/jobs/run/events?project=live", {"state": "COMPLETED"})
    wait_for(lambda: stays.end, 20, "the end")
    assert stays.end[0] == 1000, stays.end


def test_expiry_ends_what_is_open():
    """A tail whose token expires while it runs is closed 4401, and the token is refused as expired."""
    t = server.make_token("read,ingest", "soon", expires_in="2s")["token"]
    server.post_lines("e", ["x"], headers=bearer(t))
    ws = Follower("/v1/jobs/e/tail", t).wait_open()
    wait_for(lambda: ws.end, AWAY_S, "closed")
    assert ws.end == (4401, "token expired"), ws.end
    assert server.get("/v1/jobs", bearer(t)).json()["message"] == "this token has expired"
    assert server.metric('joblog_auth_refused_total{reason="expired"}') >= 1


def test_the_first_token_sends_strangers_away():
    """A tail that was opened while no token was needed ends when one is."""
    with Joblogd() as d:
        d.post_lines("j", ["x"])
        ws = Follower("/v1/jobs/j/tail", d=d).wait_open()
        d.close_doors()
        wait_for(lambda: ws.end, AWAY_S, "closed")
        assert ws.end == (4401, "a token is needed now"), ws.end


def test_tickets():
    """A ticket is good once, for a GET, as its token is: WebSocket, SSE, download; unknown arguments stay unknown."""
    t = server.make_token("read,ingest", "tick")
    server.post_lines("t", ["line"], headers=bearer(t["token"]))

    def ticket():
        r = server.post("/v1/tickets", headers=bearer(t["token"]))
        assert r.status == 200 and r.headers["cache-control"] == "no-store", r
        assert re.fullmatch(r"jlk_[0-9A-Za-z]{49}", r.json()["ticket"])
        return r.json()["ticket"]

    def get(path, **headers):
        with contextlib.suppress(urllib.error.HTTPError):
            with urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers), timeout=10) as r:
                return r.status, r.read()
        return 401, b""

    one = ticket()
    assert get(f"/v1/jobs/t/logs?ticket={one}") == (200, b"line\n")
    assert get(f"/v1/jobs/t/logs?ticket={one}")[0] == 401
    assert get(f"/v1/jobs?limit=1&ticket={ticket()}")[0] == 200
    ws = Follower(f"/v1/jobs/t/tail?tail=all&ticket={ticket()}").wait_open()
    sse = Stream(f"/v1/jobs/t/tail?ticket={ticket()}", {"Accept": "text/event-stream"})
    sse.wait(lambda s: b"line" in s.data, "SSE by ticket")
    for bad in ("", "x", one[:-1], one[:-1] + ("0" if one[-1] != "0" else "1"), t["token"]):
        assert get(f"/v1/jobs/t/logs?ticket={bad}")[0] == 401, bad
    two = ticket()
    r = server.request("POST", f"/v1/jobs/t/logs?ticket={two}", b"x\n", {"Authorization": "none"})
    assert r.status == 401
    conn = urllib.request.Request(f"{server.url}/v1/jobs/t/logs?ticket={two}", data=b"x\n", method="POST")
    try:
        urllib.request.urlopen(conn, timeout=10)
        raise AssertionError("a ticket wrote")
    except urllib.error.HTTPError as e:
        assert e.code == 401 and b"tickets are for GET" in e.read()
    assert get(f"/v1/jobs/t/logs?ticket={two}")[0] == 200  # it was not spent by that
    spare = ticket()
    server.request("DELETE", f"/v1/tokens/{t['id']}")
    assert get(f"/v1/jobs/t/logs?ticket={spare}")[0] == 401  # revoked with its token
    wait_for(lambda: ws.end and sse.pump().over, AWAY_S, "both end")
    assert ws.end == (4401, "token revoked")


def test_two_nodes_share_tokens_and_tickets():
    """On another node of the same Redis a token counts at once, a ticket too, and a revocation ends its tails there."""
    with tempfile.TemporaryDirectory(prefix="jl-redis-") as where:
        sock = os.path.join(where, "r.sock")
        redis = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", sock, "--dir", where, "--save", "",
                                  "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"],
                                 stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: os.path.exists(sock), 10, "redis")
            with Joblogd("--redis", f"unix://{sock}") as one, Joblogd("--redis", f"unix://{sock}") as two:
                one.close_doors()
                wait_for(lambda: two.get("/v1/jobs").status == 401, 5, "the other node is closed too")
                two.token = one.token
                t = one.make_token("read,ingest", "p")
                assert two.post_lines("j", ["x"], headers=bearer(t["token"])).status == 200
                ticket = one.post("/v1/tickets", headers=bearer(t["token"])).json()["ticket"]
                ws = Follower(f"/v1/jobs/j/tail?ticket={ticket}", d=two).wait_open()
                assert one.request("DELETE", f"/v1/tokens/{t['id']}").status == 204
                wait_for(lambda: ws.end, AWAY_S, "ends on the other node")
                assert ws.end == (4401, "token revoked")
                for d in (one, two):
                    assert open(os.path.join(d.data, "tokens.jsonl")).read().count("\n") == 2
                # a third node, beyond loopback: it waits for Redis to know that there are tokens
                with Joblogd("--redis", f"unix://{sock}", "--listen", "0.0.0.0:0", start=False) as three:
                    three.start()
                    assert three.logged("waiting for Redis to tell the tokens")
                    assert three.get("/v1/jobs").status == 401
                    assert three.get("/v1/jobs", bearer(one.token)).status == 200
        finally:
            redis.terminate()
            redis.wait(10)


def test_tokens_outlive_restarts_and_redis():
    """A restart keeps tokens and revocations; so does the loss of Redis with all its data; both know them at once."""
    with Joblogd() as d:
        d.close_doors()
        keep, gone = d.make_token("read"), d.make_token("read")
        assert d.request("DELETE", f"/v1/tokens/{gone['id']}").status == 204
        for lose in (False, True):
            d.kill(signal.SIGTERM)
            if lose:
                shutil.rmtree(os.path.join(d.data, "redis"))
            root, d.token = d.token, None
            d.start(ready=False)
            assert d.get("/v1/jobs").status == 401  # before Redis has answered
            d.token = root
            wait_for(d.is_ready, 20, "ready")
            assert d.get("/v1/whoami", bearer(keep["token"])).status == 200
            assert d.get("/v1/whoami", bearer(gone["token"])).json()["message"] == "this token was revoked"
            wait_for(lambda: d.redis_cli("hlen", "jl:tokens").strip() == "4", 10, "Redis has them (and a version)")


def test_revoking_while_redis_is_away():
    """With Redis away tokens are still checked, a revocation holds here at once and is handed on later."""
    with Joblogd() as d:
        d.close_doors()
        t = d.make_token("read")
        os.kill(d.redis_pid(), signal.SIGSTOP)
        try:
            assert d.get("/v1/whoami", bearer(t["token"])).status == 200
            r = d.request("DELETE", f"/v1/tokens/{t['id']}", timeout=30)
            assert r.status == 503 and "revoked on this node" in r.json()["message"], r
            assert d.get("/v1/whoami", bearer(t["token"])).status == 401
        finally:
            os.kill(d.redis_pid(), signal.SIGCONT)
        wait_for(lambda: '"revoked_at":"' in d.redis_cli("hget", "jl:tokens", t["id"]), 40, "Redis knows")


def test_beyond_loopback():
    """Other addresses are served with tokens or --open only; the file's token opens a first server, SIGHUP changes it."""
    def refused(*args):
        with tempfile.TemporaryDirectory(prefix="jl-") as data:
            p = subprocess.run([JOBLOGD, "--listen", "0.0.0.0:0", "--data", os.path.join(data, "d"), *args],
                               capture_output=True, text=True, timeout=30)
            assert p.returncode == 2 or "--admin" in str(args), p
            assert "no tokens are configured" in p.stderr or "--admin" in str(args), p
            return p, os.path.exists(os.path.join(data, "d"))

    assert refused()[1] is False  # and leaves nothing behind
    with tempfile.TemporaryDirectory(prefix="jl-") as where:
        path = os.path.join(where, "admin.token")
        for text, word in (("short\n", "32 to 256"), ("jlt_" + "0" * 49 + "\n", "checksum"), (None, "no such thing")):
            if text:
                open(path, "w").write(text)
            p, _ = refused("--admin-token-file", path if text else path + ".none")
            assert p.returncode == 1 and word in p.stderr, p
        first, second = (joblog("token", "generate").stdout.strip() for _ in range(2))
        open(path, "w").write(first + "\n")
        with Joblogd("--listen", "0.0.0.0:0", "--admin-token-file", path) as d:
            assert d.get("/v1/jobs").status == 401
            assert d.get("/v1/whoami", bearer(first)).json()["token"] == "admin-token-file"
            d.token = first
            d.post_lines("j", ["x"])
            made_one = d.make_token("admin", name="stored")
            ws = Follower("/v1/jobs/j/tail", first, d).wait_open()
            open(path, "w").write("bad\n")
            d.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: d.logged("the admin's token was not read again"), 5, "it says so")
            assert d.get("/v1/jobs").status == 200
            open(path, "w").write(second + "\n")
            d.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: d.get("/v1/jobs", bearer(second)).status == 200, 5, "the new one counts")
            assert d.get("/v1/jobs", bearer(first)).status == 401
            wait_for(lambda: ws.end, AWAY_S, "who came with the old one goes")
            # with the file there is a way back, so the last stored admin may go
            assert d.request("DELETE", f"/v1/tokens/{made_one['id']}", headers=bearer(second)).status == 204
            assert d.get("/v1/tokens", bearer(second)).json()["tokens"][0]["state"] == "revoked"


def test_a_node_of_an_empty_redis_does_not_listen():
    """Beyond loopback on a Redis without tokens: it says why and exits 2."""
    with tempfile.TemporaryDirectory(prefix="jl-redis-") as where:
        sock = os.path.join(where, "r.sock")
        redis = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", sock, "--dir", where, "--save", ""],
                                 stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: os.path.exists(sock), 10, "redis")
            p = subprocess.run([JOBLOGD, "--listen", "0.0.0.0:0", "--data", where, "--redis", f"unix://{sock}"],
                               capture_output=True, text=True, timeout=60)
            assert p.returncode == 2 and "no tokens are configured" in p.stderr, p
        finally:
            redis.terminate()
            redis.wait(10)


def request_with(d, method, path, body=None, **headers):
    """A request with exactly these headers, Host too."""
    with socket.create_connection(("127.0.0.1", d.port), timeout=10) as s:
        head = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        s.sendall(f"{method} {path} HTTP/1.1\r\n{head}Content-Length: {len(body or '')}\r\nConnection: close\r\n\r\n{body or ''}".encode())
        data = b""
        while True:
            got = s.recv(65536)
            if not got:
                break
            data += got
    return int(data.split()[1]), data.decode("latin-1")


WS = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}


def test_pages_of_other_sites_stay_out():
    """An open server refuses foreign names and foreign origins; --origin lets one page in, to the letter, and CORS says so."""
    with Joblogd("--origin", "https://logs.example.com", "--origin", "http://a.b:81") as d:
        d.post_lines("j", ["x"])
        for host in ("evil.example", f"evil.example:{d.port}"):  # DNS rebinding
            for method, path, body in (("GET", "/v1/jobs", None), ("POST", "/v1/jobs/j/logs", "x\n"), ("POST", "/v1/tokens", "{}")):
                status, text = request_with(d, method, path, body, Host=host)
                assert status == 403 and "bad_host" in text, (method, path, text)
        for host in ("localhost", f"127.0.0.1:{d.port}", "[::1]"):
            assert request_with(d, "GET", "/v1/jobs", Host=host)[0] == 200
        evil = {"Host": "localhost", "Origin": "https://evil.example"}
        assert request_with(d, "POST", "/v1/tokens", '{"scopes":"admin"}', **evil)[0] == 403  # nobody locks us out
        assert request_with(d, "DELETE", "/v1/jobs/j", **evil)[0] == 403
        assert request_with(d, "GET", "/v1/jobs/j/tail", **evil, **WS)[0] == 403
        status, text = request_with(d, "GET", "/v1/jobs", **evil)
        assert status == 200 and "access-control" not in text.lower(), text  # its browser keeps it from the page
        status, text = request_with(d, "OPTIONS", "/v1/jobs", **evil)
        assert "access-control" not in text.lower(), text
        good = {"Host": "localhost", "Origin": "https://logs.example.com"}
        status, text = request_with(d, "OPTIONS", "/v1/jobs/j/logs", **good, Access_Control_Request_Method="POST")
        assert status == 204 and "Access-Control-Allow-Origin: https://logs.example.com\r\n" in text, text
        assert "Authorization" in text and "POST" in text
        d.close_doors()
        for status, text in (request_with(d, "GET", "/v1/jobs", **good), request_with(d, "GET", "/nothing", **good),
                             request_with(d, "GET", "/v1/jobs", **good, Authorization=f"Bearer {d.token}")):
            assert "Access-Control-Allow-Origin: https://logs.example.com\r\n" in text, text
        assert request_with(d, "GET", "/v1/jobs", Host="evil.example", Authorization=f"Bearer {d.token}")[0] == 200  # a token is enough
        token = {"Authorization": f"Bearer {d.token}"}
        assert request_with(d, "GET", "/v1/jobs/j/tail", **evil, **WS, **token)[0] == 403
        ws = Follower("/v1/jobs/j/tail", d.token, d, Origin="https://logs.example.com").wait_open()
        assert ws.error is None
    for bad in ("*", "https://logs.example.com/", "logs.example.com"):
        p = subprocess.run([JOBLOGD, "--origin", bad, "--data", "/nonexistent/x"], capture_output=True, text=True, timeout=20)
        assert p.returncode == 2 and bad in p.stderr, p


def test_the_command_makes_lists_and_revokes():
    """joblog token create prints the token alone on stdout; list and revoke work by id; mistakes are said."""
    root = server.token
    p = cli("token", "create", "--name", "by hand", "--project", "pc", "--scope", "ingest", "--expires", "30d", token=root)
    assert p.returncode == 0 and re.fullmatch(r"jlt_\w{49}\n", p.stdout), p
    token = p.stdout.strip()
    ident = re.match(r"joblog: token (\w{12}) \(by hand\): ingest on project pc, expires 20", p.stderr)
    assert ident, p.stderr
    who = server.get("/v1/whoami", bearer(token)).json()
    assert (who["project"], who["scopes"], who["id"]) == ("pc", ["ingest"], ident[1])
    p = cli("token", "create", "--scope", "read", "-o", "json", token=root)
    assert json.loads(p.stdout)["scopes"] == ["read"]
    p = cli("token", "list", token=root)
    assert re.search(rf"^{ident[1]}  by hand +pc +ingest +live +20\d\d-", p.stdout, re.M), p.stdout
    assert ident[1] in cli("token", "list", "-o", "name", token=root).stdout.split()
    assert any(t["id"] == ident[1] for t in json.loads(cli("token", "list", "-o", "json", token=root).stdout)["tokens"])
    p = cli("token", "revoke", ident[1], token=root)
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "")
    p = cli("jobs", token=token)
    assert p.returncode == 5 and "this token was revoked" in p.stderr, p
    p = cli("token", "revoke", "0" * 12, token=root)
    assert p.returncode == 1 and "there is no token" in p.stderr, p
    for argv in (("token",), ("token", "revoke"), ("token", "list", "x"), ("token", "make"), ("token", "create", "--scope", "root"),
                 ("token", "create", "--expires", "never")):
        assert cli(*argv, token=root).returncode == 2, argv
    p = cli("jobs", token=root[:-1] + ("0" if root[-1] != "0" else "1"))
    assert p.returncode == 2 and "mistyped" in p.stderr and root[4:20] not in p.stderr, p
    p = cli("jobs")
    assert p.returncode == 5 and "wants a token" in p.stderr, p
    assert cli("ping").returncode == 0


def test_a_training_job_needs_scope_ingest_only():
    """joblog run, ship and state work with a token that may write and nothing else."""
    token, read = made("ingest", "train"), made("read", "train")
    with tempfile.TemporaryDirectory(prefix="jl-state-") as state:
        env = {"JOBLOG_TOKEN": token, "XDG_STATE_HOME": state}
        p = joblog("run", "--job", "t1", "--", "sh", "-c", "echo one; echo two", url=server.url, env=env)
        assert (p.returncode, p.stdout, p.stderr) == (0, "one\ntwo\n", ""), p
        p = joblog("ship", "t2", url=server.url, env=env, input="shipped\n")
        assert p.returncode == 0, p
        assert joblog("state", "t2", "COMPLETED", url=server.url, env=env).returncode == 0
        assert joblog("logs", "t1", url=server.url, env=env).returncode == 5
        p = joblog("tail", "t1", "--tail", "all", url=server.url, env={"JOBLOG_TOKEN": read})
        assert (p.returncode, p.stdout) == (0, "one\ntwo\n"), p
        assert joblog("logs", "t2", url=server.url, env={"JOBLOG_TOKEN": read}).stdout == "shipped\n"


def test_a_run_survives_its_token():
    """A token revoked in mid-run does not hurt the command: it goes on, its lines are kept, and it is said."""
    t = server.make_token("ingest", "cut")
    with tempfile.TemporaryDirectory(prefix="jl-state-") as state:
        env = {**os.environ, "JOBLOG_URL": server.url, "JOBLOG_TOKEN": t["token"], "XDG_STATE_HOME": state}
        p = subprocess.Popen([JOBLOG, "run", "--job", "c", "--", "sh", "-c", "echo first; read x; echo last"], env=env, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for(lambda: server.get("/v1/jobs/c/logs?project=cut").text == "first\n", 10, "the first line")
        server.request("DELETE", f"/v1/tokens/{t['id']}")
        wait_for(lambda: server.metric("joblog_agents_open") == 0, AWAY_S, "the agent is sent away")
        out, err = p.communicate("go\n", timeout=60)
        assert p.returncode == 0 and out == "first\nlast\n", (p.returncode, out, err)
        assert "token" in err and t["token"][4:20] not in err, err
        assert any("meta.json" in f for _, _, f in os.walk(state)), "the spool is kept"


def test_no_secret_is_written_anywhere():
    """No token or ticket that was ever given or tried is in the log, the metrics, the answers or any file of the data."""
    tokens = [made("read,ingest", "hy") for _ in range(3)] + [server.token]
    tickets = [server.post("/v1/tickets", headers=bearer(tokens[0])).json()["ticket"] for _ in range(3)]
    server.get(f"/v1/jobs?ticket={tickets[0]}", {"Authorization": ""})
    wrong = tokens[0][:30] + "Z" * 23
    seen = []
    for path in ("/v1/jobs", "/nothing", f"/v1/jobs/{tokens[1]}", f"/v1/jobs/j/logs?q={tokens[1]}"):
        for auth in (f"Bearer {wrong}", f"Bearer {tokens[1]}", f"Basic {tokens[2]}"):
            if tokens[1] not in path:
                seen.append(server.get(path, {"Authorization": auth}).text)
            else:
                server.get(path, {"Authorization": auth})  # an id that was asked for is answered
    conn = socket.create_connection(("127.0.0.1", server.port))
    conn.sendall(f"GET /v1/jobs?ticket={tickets[1]} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tokens[2]}\r\nBad Header\r\n\r\n".encode())
    seen.append(conn.recv(65536).decode())
    conn.close()
    seen += [server.get("/metrics").text, server.get("/v1/tokens").text, json.dumps(server.log)]
    assert any("unknown token" in str(e) for e in server.log), "the log is at debug"
    for base, _, files in os.walk(server.data):
        for name in files:
            with contextlib.suppress(OSError):
                seen.append(open(os.path.join(base, name), "rb").read().decode("latin-1"))
    for secret in [t[4:] for t in tokens + tickets] + [wrong[4:]]:
        for text in seen:
            assert secret not in text and secret[:24] not in text, text[max(0, text.find(secret[:24]) - 200):][:500]
