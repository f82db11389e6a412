"""74-tail-many -- the lines of many jobs at once: new ones included, read on from a cursor, over every door."""
import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time
import urllib.parse

from harness import JOBLOG, Joblogd, joblog, wait_for


class Follower:
    """GET /v1/tail in a thread: messages as they come, by SSE unless accept or query say otherwise."""

    def __init__(self, d, query="", accept="text/event-stream", headers=None):
        self.messages, self.raw, self.cursor, self.status, self.error, self.over = [], b"", None, None, None, False
        self.conn = http.client.HTTPConnection("127.0.0.1", d.port, timeout=60)
        head = {"Accept": accept, **(headers or {})}
        if d.token:
            head.setdefault("Authorization", f"Bearer {d.token}")
        self.conn.request("GET", "/v1/tail" + query, headers=head)
        self.response = self.conn.getresponse()
        self.status = self.response.status
        self.sock = self.conn.sock
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        event = {}
        try:
            for line in self.response:
                self.raw += line
                text = line.decode().rstrip("\n")
                if text.startswith("id: "):
                    event["id"] = text[4:]
                elif text.startswith("data: "):
                    event["data"] = json.loads(text[6:])
                elif not text and "data" in event:
                    self.cursor = event.get("id", self.cursor)
                    self.messages.append(event["data"])
                    event = {}
        except (OSError, ValueError, http.client.HTTPException) as e:
            self.error = e
        self.over = True

    def of(self, *types):
        return [m for m in list(self.messages) if m["type"] in types]

    def lines(self, job=None):
        return [r for m in self.of("lines") if job in (None, m["job"]) for r in m["lines"]]

    def texts(self, job=None):
        return [r["msg"] for r in self.lines(job)]

    def close(self):
        try:
            self.response.fp.raw._sock.shutdown(2)
        except (OSError, AttributeError):
            pass
        self.thread.join(10)
        self.conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def test_new_jobs_come_whole():
    """Jobs that are there come from now on, jobs that begin later from their first line; each ends for itself."""
    with Joblogd("--drain-time", "200ms") as d:
        d.post_lines("old", ["before"], "?project=p")
        d.post_lines("foreign", ["x"], "?project=q")
        with Follower(d, "?project=p") as f:
            wait_for(lambda: f.of("job"), 30)
            assert f.messages[0]["type"] == "hello" and f.of("job")[0]["job"] == "old"
            d.post_lines("old", ["after 1"], "?project=p&rank=2")
            d.post_lines("new", [f"line {i}" for i in range(100)], "?project=p")
            d.post_lines("foreign", ["y"], "?project=q")
            wait_for(lambda: len(f.texts("new")) == 100 and f.texts("old"), 30)
            assert f.texts("old") == ["after 1"] and f.texts("new") == [f"line {i}" for i in range(100)]
            assert f.lines("old")[0]["rank"] == 2 and f.lines("old")[0]["seq"] == 2
            assert {m["project"] for m in f.of("lines", "state", "job")} == {"p"} and not f.texts("foreign")
            d.post("/v1/jobs/new/events?project=p", {"state": "FAILED", "exit_code": 3})
            end = wait_for(lambda: f.of("end"), 30)[0]
            assert end["job"] == "new" and end["exit_code"] == 3 and end["complete"] in (True, False)
            d.post_lines("old", ["after 2"], "?project=p")
            wait_for(lambda: f.texts("old") == ["after 1", "after 2"], 30)


def test_filters_and_labels():
    """Lines are filtered as in one job's tail, jobs by their labels; a misspelt argument is refused."""
    with Joblogd() as d:
        for job, team in (("a", "x"), ("b", "y")):
            d.post("/v1/jobs", {"id": job, "labels": {"team": team}})
        with Follower(d, "?label.team=x&level=error&states=0") as f:
            wait_for(lambda: f.of("job"), 30)
            d.post("/v1/jobs", {"id": "c", "labels": {"team": "x"}})
            for job in ("a", "b", "c"):
                d.post_lines(job, [{"msg": "fine", "level": "info"}, {"msg": "bad " + job, "level": "error"}])
            wait_for(lambda: len(f.lines()) == 2, 30)
            time.sleep(0.3)
            assert sorted(f.texts()) == ["bad a", "bad c"] and not f.of("state")
        with Follower(d, "?tail=1&label.team=y") as f:
            wait_for(lambda: f.texts("b") == ["bad b"], 30)
        for query in ("?levle=error", "?after=x", "?wait=x", "?after=1:2;nope", "?project=%20", "?re=(", "?after=1:2;q/j=1:1&project=p"):
            assert d.get("/v1/tail" + query).status == 400, query


def test_text_and_ndjson():
    """curl -N shows each line behind its job; NDJSON has records with project and job, cursors and ends."""
    with Joblogd("--drain-time", "100ms") as d:
        d.post_lines("a", ["x"])
        with Follower(d, "?project=default", accept="*/*") as text, Follower(d, "?format=ndjson", accept="*/*") as nd:
            wait_for(lambda: d.metric("joblog_tail_many_jobs") == 2, 30)
            d.post_lines("a", ["one", "two"])
            d.post_lines("b", ["three"])
            wait_for(lambda: text.raw.count(b"\n") == 3, 30)
            assert sorted(text.raw.decode().splitlines()) == ["a: one", "a: two", "b: three"]
            d.event("b", "COMPLETED")
            wait_for(lambda: b'"end"' in nd.raw and nd.raw.count(b"cursor") >= 2, 30)
            rows = [json.loads(x) for x in nd.raw.decode().splitlines()]
            assert [r["msg"] for r in rows if r.get("job") == "a" and "msg" in r] == ["one", "two"]
            assert all(list(r)[:2] == ["project", "job"] for r in rows if "seq" in r)
            assert [r["end"]["state"] for r in rows if "end" in r] == ["TRAINING_JOB_COMPLETED"]


def test_a_read_that_ends():
    """With wait= the answer ends after that time with a cursor, from which the next one goes on."""
    with Joblogd() as d:
        d.post_lines("a", ["one"])
        r = d.get("/v1/tail?tail=all&wait=0s&format=ndjson")
        rows = [json.loads(x) for x in r.text.splitlines()]
        assert [x["msg"] for x in rows if "seq" in x] == ["one"] and "cursor" in rows[-1], rows
        d.post_lines("a", ["two"])
        d.post_lines("b", ["three"])
        wait_for(lambda: int(d.redis_cli("GET", "jl:{alert}:seq") or 0) >= 2, 30)
        r = d.get("/v1/tail?format=ndjson&wait=500ms&after=" + urllib.parse.quote(rows[-1]["cursor"]))
        assert sorted(json.loads(x)["msg"] for x in r.text.splitlines() if '"seq"' in x) == ["three", "two"], r.text
        assert sorted(d.get("/v1/tail?wait=0s&tail=1").text.splitlines()) == ["default/a: two", "default/b: three"]


def test_websocket():
    """The same messages over WebSocket."""
    import asyncio

    import websockets

    with Joblogd() as d:
        d.post_lines("a", ["x"])

        async def follow():
            got = []
            async with websockets.connect(f"ws://127.0.0.1:{d.port}/v1/tail?tail=all", subprotocols=["joblog.tail.v1"]) as ws:
                assert ws.subprotocol == "joblog.tail.v1"
                while not any(m["type"] == "lines" and m["job"] == "b" for m in got):
                    m = json.loads(await asyncio.wait_for(ws.recv(), 30))
                    got.append(m)
                    if m["type"] == "hello":
                        await asyncio.get_running_loop().run_in_executor(None, d.post_lines, "b", ["y"])
            return got

        got = asyncio.run(follow())
        assert [r["msg"] for m in got if m["type"] == "lines" and m["job"] == "a" for r in m["lines"]] == ["x"]


def test_resumed_without_loss():
    """Broken off again and again, joblogd killed in between, jobs beginning and ending meanwhile: read on from the last cursor every line
    of every job comes, in order; what comes twice has the same number."""
    rng = random.Random(7)
    with Joblogd("--drain-time", "100ms") as d:
        written, seen, ended, cursor, number = {}, {}, set(), None, 0
        open_jobs = []

        def write():
            nonlocal number
            if len(open_jobs) < 3 or rng.random() < 0.3:
                open_jobs.append(f"job-{number}")
                number += 1
            job = rng.choice(open_jobs)
            have = written.setdefault(job, [])
            lines = [f"{job} {len(have) + i}" for i in range(rng.randint(1, 40))]
            r = d.post_lines(job, lines, "?project=p", headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(len(have) + 1)})
            assert r.status == 200, r
            have += lines
            if rng.random() < 0.15:
                open_jobs.remove(job)
                d.post(f"/v1/jobs/{job}/events?project=p", {"state": "COMPLETED"})

        def take(f):
            for m in f.of("lines"):
                for r in m["lines"]:
                    seen.setdefault(m["job"], {}).setdefault(r["seq"], []).append(r["msg"])
            for m in f.of("end"):
                ended.add(m["job"])
            assert not f.of("gap", "reset"), f.of("gap", "reset")

        with Follower(d, "?project=p") as f:
            wait_for(lambda: f.cursor, 30)
            cursor = f.cursor
        for round in range(10):
            with Follower(d, "?project=p", headers={"Last-Event-ID": cursor}) as f:
                assert f.status == 200, f.response.read()
                for _ in range(4):
                    write()
                if round % 3 == 2:
                    time.sleep(0.02 * rng.random())
                    d.restart(signal.SIGKILL)
                elif round % 3 == 1:
                    wait_for(lambda: f.of("cursor"), 30)
            take(f)
            cursor = f.cursor or cursor
            write()
        with Follower(d, "?project=p&after=" + urllib.parse.quote(cursor)) as f:
            def is_all():
                return all(len({**seen.get(j, {}), **{r["seq"]: 1 for r in f.lines(j)}}) >= len(lines) for j, lines in written.items())

            wait_for(is_all, 60, "all lines came")
        take(f)
        for job, lines in written.items():
            got = [msgs for _, msgs in sorted(seen[job].items())]
            assert all(len(set(m)) == 1 for m in got), job
            assert [m[0] for m in got] == lines, job


def test_a_feed_that_was_trimmed_is_told():
    """When it cannot be told any more which jobs began, that is said, and the jobs that are not over are followed from their first line."""
    with Joblogd() as d:
        d.post_lines("a", ["x"])
        with Follower(d) as f:
            wait_for(lambda: f.of("job") and f.cursor, 30)
            cursor = f.cursor
        for i in range(5):
            d.post_lines(f"b{i}", ["first"])
        wait_for(lambda: int(d.redis_cli("GET", "jl:{alert}:seq")) >= 6, 30)
        d.redis_cli("XTRIM", "jl:{alert}:events", "MAXLEN", "=", "1")
        with Follower(d, "?after=" + cursor) as f:
            wait_for(lambda: all(f.texts(f"b{i}") == ["first"] for i in range(5)), 30)
            assert [m["reason"] for m in f.of("gap")] == ["trimmed"]


def test_deleted_jobs_and_tokens():
    """A job deleted in between is told as a reset; a token of one project follows that project alone."""
    with Joblogd() as d:
        d.post_lines("a", ["x"], "?project=p")
        d.post_lines("c", ["x"], "?project=q")
        with Follower(d) as f:
            wait_for(lambda: f.cursor and len(f.of("job")) == 2, 30)
            cursor = f.cursor
        assert d.request("DELETE", "/v1/jobs/a?project=p").status == 204
        with Follower(d, "?after=" + cursor) as f:
            assert wait_for(lambda: f.of("reset"), 30)[0]["deleted"] is True
            d.post_lines("c", ["y"], "?project=q")
            wait_for(lambda: f.texts("c") == ["y"], 30)
        d.close_doors()
        reader = {"Authorization": "Bearer " + d.make_token("read", "p")["token"]}
        assert d.get("/v1/tail?after=" + cursor, headers=reader).status == 400
        with Follower(d, headers=reader) as f:
            wait_for(lambda: f.cursor, 30)
            d.post_lines("c", ["z"], "?project=q")
            d.post_lines("d", ["mine"], "?project=p")
            wait_for(lambda: f.texts("d") == ["mine"], 30)
            assert not f.texts("c")
        assert d.get("/v1/tail", headers={"Authorization": "Bearer no"}).status == 401


def test_many_jobs_and_a_slow_reader():
    """Over the limit of jobs that is said and later ones wait for a place; a reader that does not read holds up nobody."""
    with Joblogd("--drain-time", "100ms") as d:
        with Follower(d, "?project=p") as f:
            wait_for(lambda: f.cursor, 30)
            name = "j" * 100
            for i in range(130):
                d.post_lines(f"{name}-{i}", ["x"], "?project=p")
            full = wait_for(lambda: f.of("full"), 60)[0]
            assert 60 < full["jobs"] < 120 and len(f.cursor) < 14000, full
            wait_for(lambda: len(f.cursor) > 8200, 30)
            assert d.get("/v1/tail?project=p&after=" + f.cursor).status == 414
            r = d.get("/v1/tail?project=p&wait=0s&format=ndjson", headers={"Last-Event-ID": f.cursor}, timeout=60)
            assert r.status == 200 and '"reset"' not in r.text and r.text.count('"cursor"') >= 2, r
            for i in range(80):
                d.post(f"/v1/jobs/{name}-{i}/events?project=p", {"state": "COMPLETED"})
            wait_for(lambda: len({r for m in f.of("lines") for r in [m["job"]]}) == 130, 60, "all had their turn")
        slow = Follower.__new__(Follower)
        slow.conn = http.client.HTTPConnection("127.0.0.1", d.port, timeout=60)
        slow.conn.request("GET", "/v1/tail?project=q", headers={"Accept": "text/event-stream"})
        slow.response = slow.conn.getresponse()
        with Follower(d, "?project=q") as f:
            wait_for(lambda: f.cursor, 30)
            for i in range(40):
                d.post_lines(f"k{i % 4}", ["y" * 1000] * 300, "?project=q")
            wait_for(lambda: len(f.lines()) == 12000, 60)
        assert d.metric("joblog_http_backlog_bytes") < 4_000_000
        slow.conn.close()


class Command:
    """A `joblog tail …` under way: its lines as they come."""

    def __init__(self, d, *argv):
        self.out = []
        self.p = subprocess.Popen([JOBLOG, "tail", *argv], env={**os.environ, "JOBLOG_URL": d.url}, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=lambda: self.out.extend(iter(self.p.stdout.readline, "")), daemon=True)
        self.reader.start()

    def has(self, word):
        wait_for(lambda: any(word in x for x in list(self.out)), 30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.send_signal(signal.SIGINT)
        self.p.wait(30)
        self.reader.join(10)


def test_a_nul_is_no_end():
    """A line with a NUL comes to everybody who reads it: a tail of many jobs goes on behind it, and the post-mortem is drawn."""
    with Joblogd() as d:
        d.post_lines("a", ["torn \0 write", "behind"], "?project=p")
        with Command(d, "--project", "p", "-n", "all") as many, Command(d, "a", "--project", "p", "-n", "all") as one:
            many.has("behind")
            one.has("behind")
            d.post_lines("a", [" 10%|#\0  | 1/10\r 20%|##\0 | 2/10\r", "ValueError: bad \0 byte"], "?project=p&level=error")
            d.post_lines("a", ["later"], "?project=p")
            many.has("later")
            one.has("later")
            assert [x for x in many.out if "torn" in x] == ["a | torn \0 write\n"], many.out
        why = joblog("why", "a", "--project", "p", url=d.url)
        assert why.returncode == 0 and "ValueError: bad" in why.stdout, why


def test_command():
    """joblog tail --project P follows all of its jobs, each line behind its job, and reconnects."""
    with Joblogd() as d:
        d.post_lines("a", ["x"], "?project=p")
        p = subprocess.Popen([JOBLOG, "tail", "--project", "p", "-n", "1"], env={**os.environ, "JOBLOG_URL": d.url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out = []
        threading.Thread(target=lambda: out.extend(iter(p.stdout.readline, "")), daemon=True).start()
        try:
            wait_for(lambda: any("x" in x for x in out), 30)
            d.post_lines("b", ["hello \x1b[2J there"], "?project=p&rank=3")
            wait_for(lambda: any("hello" in x for x in out), 30)
            d.restart(signal.SIGKILL)
            d.post_lines("b", ["again"], "?project=p")
            wait_for(lambda: any("again" in x for x in out), 60)
            assert [x for x in out if "hello" in x] == ["b rank 3 | hello \x1b[2J there\n"] and "a | x\n" in out, out
        finally:
            p.send_signal(signal.SIGINT)
            assert p.wait(30) == 130
        assert joblog("tail", url=d.url).returncode == 2
