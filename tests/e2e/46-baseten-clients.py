"""tests/e2e/46-baseten-clients.py -- what Baseten's clients do, request by request, against a busy service."""
import http.client
import itertools
import json
import os
import signal
import threading
import time

from baseten_clients import ACTIVE, Golang, Refused, Truss, check_job, check_project
from baseten_load import big_line, fill
from harness import PATIENCE, Joblogd, wait_for

d = None


def setup():
    global d
    d = Joblogd("--drain-time", "1s", "--durability", "accepted")


def teardown():
    d.close()


def refused(fn, *args, **kw):
    try:
        fn(*args, **kw)
    except Refused as e:
        return e
    raise AssertionError("was not refused")


# ---- lists and views ----------------------------------------------------------------------------

def test_projects_by_use_and_by_hand():
    """A project comes with its first job or by POST; clients resolve id before name; names are one project's."""
    assert d.post("/v1/projects", {"name": "Computer vision"}).json()["id"] == "Computer-vision"
    assert d.post("/v1/projects", {"name": "Computer vision"}).status == 200
    assert d.post("/v1/projects", {"id": "audio", "name": "Sound"}).status == 201
    r = d.post("/v1/projects", {"id": "speech", "name": "Sound"})
    assert r.status == 409 and r.json()["code"] == "exists", r
    d.post("/v1/jobs", {"id": "p1", "project": "nlp"})
    assert d.post("/v1/projects", {"id": "nlp", "name": "Language"}).status == 200  # named after its first use
    assert d.post("/v1/projects", {"id": "nlp", "name": "Other"}).status == 409
    for bad in ({}, {"id": "-x"}, {"name": "a\nb"}, {"name": "x" * 300}, {"id": 7}):
        assert d.post("/v1/projects", bad).status == 400, bad
    t = Truss(d.port)
    assert t.project("Language") == "nlp" and t.project("nlp") == "nlp" and t.project("Sound") == "audio"
    assert [j["id"] for j in t.view(project="Language")] == ["p1"]
    listed = {p["id"]: p for p in d.get("/v1/projects").json()["projects"]}
    assert listed["nlp"]["latest_job"]["id"] == "p1" and listed["audio"]["latest_job"] is None, listed
    projects, _ = t.view()
    assert [p["id"] for p in projects][0] == "nlp", "last touched first"
    d.restart()
    assert Truss(d.port).project("Sound") == "audio"


def test_views():
    """truss train view: projects and active jobs; a project's jobs oldest first; one job in detail."""
    d.post("/v1/jobs", {"id": "v1", "project": "views", "name": "first", "instance_type": "H100:8x80", "priority": 2,
                        "node_count": 4, "user": "ada@example.org", "availability": "spot"})
    d.post("/v1/jobs", {"id": "v2", "project": "views", "instance_type": {"id": "i-1", "name": "L4", "gpu_count": 1, "gpu_type": "L4",
                        "memory_limit_mib": 16384, "millicpu_limit": 4000, "gpu_memory_limit_mib": 24576}, "user": {"email": "b@c"}})
    d.post("/v1/jobs", {"id": "v3", "project": "views"})
    d.event("v1", "FAILED", message="no such file", exit_code=2)
    d.event("v2", "RUNNING")
    t = Truss(d.port)
    projects, active = t.view()
    assert "views" in [p["id"] for p in projects]
    assert {"v2", "v3"} <= {j["id"] for j in active} and "v1" not in {j["id"] for j in active}
    jobs = t.view(project="views")
    assert [j["id"] for j in jobs] == ["v1", "v2", "v3"]
    v1, v2, v3 = jobs
    assert (v1["name"], v1["priority"], v1["user"], v1["availability_model"]) == ("first", 2, {"email": "ada@example.org"}, "spot")
    assert v1["instance_type"]["name"] == "H100:8x80" and v1["error_message"] == "no such file"
    assert v1["current_status"] == "TRAINING_JOB_FAILED"
    assert v2["instance_type"] == {"id": "i-1", "name": "L4", "gpu_count": 1, "gpu_type": "L4", "memory_limit_mib": 16384,
                                   "millicpu_limit": 4000, "gpu_memory_limit_mib": 24576} and v2["user"] == {"email": "b@c"}
    assert v1["node_count"] == 4 and "node_count" not in v2 and "priority" not in v2
    assert v3["name"] is None and "user" not in v3 and v3["instance_type"]["name"] == "unspecified"
    assert [j["id"] for j in t.view(job="v2")] == ["v2"]
    assert d.job("v1")["extra"]["priority"] == 2
    r = d.get("/v1/training_projects/views/jobs").json()
    assert [j["id"] for j in r["training_jobs"]] == ["v3", "v2", "v1"] and r["training_project"]["id"] == "views"
    check_project(r["training_project"])
    r = d.get("/training/views/logs/v1")  # the link of truss' tables
    assert r.status == 302 and r.headers["location"] == "/jobs/views/v1", r
    assert d.get(r.headers["location"]).status == 200
    for path in ("/training/views/logs/-x", "/training/views/logs/a%0d%0aX:1", "/training//logs/v1", "/training/views/logs/" + "x" * 129):
        assert d.get(path).status in (400, 404), path


def test_views_of_the_go_client():
    """baseten train job list, describe, checkpoints and session; project list: by id before name, by status, in order."""
    d.post("/v1/projects", {"id": "gopher", "name": "Go views"})
    for i, state in enumerate(["RUNNING", "COMPLETED", "QUEUED"]):
        d.post("/v1/jobs", {"id": f"g{i}", "project": "gopher"})
        d.event(f"g{i}", state)
    g = Golang(d.port)
    assert [j["id"] for j in g.list("Go views")] == ["g2", "g1", "g0"] == [j["id"] for j in g.list("gopher", order="asc")][::-1]
    assert [j["id"] for j in g.list("gopher", ["running", "queued"])] == ["g2", "g0"]
    assert g.describe("g1")["current_status"] == "TRAINING_JOB_COMPLETED"
    assert g.checkpoints("g1") == [] == g.sessions("g1")
    assert {"id": "gopher", "name": "Go views"} in [{k: p[k] for k in ("id", "name")} for p in g.projects()]
    assert refused(g.describe, "nope").message == "no training job found"
    d.post_lines("g0", [{"msg": f"m{i}", "level": "error" if i % 3 == 0 else "info"} for i in range(30)], query="?project=gopher")
    states = ["TRAINING_JOB_RUNNING", "TRAINING_JOB_CREATED"]  # of any level
    assert [m for _, m in g.logs("g0", min_level="error", page=4)] == [f"m{i}" for i in range(27, -1, -3)] + states
    assert [m for _, m in g.logs("g0", page=1000, most=5)] == ["m29", "m28", "m27", "m26", "m25"]
    assert len(g.logs("g0", page=7)) == 32  # created and running, too: they are of the last 30 minutes


def test_search():
    """Any of statuses, project and job; null is absent; what cannot be is nothing, not an error."""
    t = Truss(d.port)
    for i, state in enumerate(["RUNNING", "COMPLETED", "RUNNING", "FAILED"]):
        d.post("/v1/jobs", {"id": f"s{i}", "project": "find"})
        d.event(f"s{i}", state)
    assert [j["id"] for j in t.search(None, "find")] == ["s3", "s2", "s1", "s0"]
    assert [j["id"] for j in t.search(None, "find", order="asc")] == ["s0", "s1", "s2", "s3"]
    assert [j["id"] for j in t.search(ACTIVE, "find")] == ["s2", "s0"]
    assert [j["id"] for j in t.search(["TRAINING_JOB_FAILED", "TRAINING_JOB_COMPLETED"], "find")] == ["s3", "s1"]
    assert [j["id"] for j in t.search(None, "find", "s1")] == ["s1"]
    assert t.search(ACTIVE, "find", "s1") == [] and t.search(None, "nowhere", "s1") == []
    assert t.search(["TRAINING_JOB_HIBERNATING"], "find") == [] and t.search(None, "no/id") == []
    d.post("/v1/jobs", {"id": "s0", "project": "find2"})
    assert sorted(j["training_project_id"] for j in t.search(None, None, "s0")) == ["find", "find2"]
    assert d.post("/v1/training_jobs/search", b"").json()["training_jobs"]
    for bad in ({"statuses": "RUNNING"}, {"statuses": [1]}, {"job_id": 5}, {"order_by": [{"field": "name"}]}, {"order_by": "x"}):
        assert d.post("/v1/training_jobs/search", bad).status == 400, bad


def test_many_jobs_in_one_list():
    """A list has no pages: 1,200 jobs come at once, in order, either way."""
    conn = http.client.HTTPConnection("127.0.0.1", d.port, timeout=20)
    for i in range(1200):
        conn.request("POST", "/v1/jobs", json.dumps({"id": f"m{i}", "project": "many"}), {"Content-Type": "application/json"})
        assert conn.getresponse().read()
    conn.close()
    t = Truss(d.port)
    assert [j["id"] for j in t.search(None, "many", order="asc")] == [f"m{i}" for i in range(1200)]
    assert len(t.search(ACTIVE, "many")) == 1200


def test_what_is_not_ours():
    """Checkpoints, sessions: empty. Artifacts, recreating, priorities, caches, pushing: 4xx with a sentence."""
    d.post("/v1/jobs", {"id": "n1", "project": "ours"})
    base = "/v1/training_projects/ours/jobs/n1"
    assert d.get(base + "/checkpoints").json()["checkpoints"] == []
    assert d.get(base + "/auth_codes").json() == {"auth_codes": []}
    for method, path in (("GET", base + "/download"), ("GET", base + "/checkpoint_files"), ("POST", base + "/recreate"),
                         ("PATCH", base), ("GET", "/v1/training_projects/ours/cache/summary"),
                         ("POST", "/v1/training_projects/ours/jobs"), ("POST", "/v1/training_projects")):
        r = d.request(method, path, b'{"priority":1}' if method != "GET" else None, {"Content-Type": "application/json"})
        assert r.status == 404 and r.json()["code"] == "not_ours" and "joblog" in r.json()["message"], (method, path, r)
    for path in ("/v1/training_projects/ours/jobs/none", "/v1/training_projects/none/jobs/n1", "/v1/training_projects/none/jobs",
                 "/v1/training_projects/-/jobs/n1", "/v1/training_projects/ours/jobs/none/checkpoints"):
        r = d.get(path)
        assert r.status == 404 and r.json()["code"] == "not_found" and r.json()["message"], (path, r)
    assert d.request("DELETE", base).status == 405


def test_both_schemes_and_any_local_name():
    """Api-Key and Bearer, api.localhost, localhost and addresses: all served on loopback."""
    for scheme in ("Api-Key", "Bearer"):
        for host in ("api.localhost", "localhost", "127.0.0.1"):
            Truss(d.port, scheme=scheme, host=host).view()


def test_walls_between_projects():
    """A token of one project sees that project only: foreign jobs are missing ones, in lists and by name; others get 401."""
    with Joblogd() as own:
        root = own.post("/v1/tokens", {"name": "root", "scopes": ["admin"]}).json()["token"]

        def token(project):
            r = own.post("/v1/tokens", {"name": project, "scopes": ["read", "ingest"], "project": project},
                         {"Authorization": f"Bearer {root}"})
            return r.json()["token"]

        a, b = token("pa"), token("pb")
        for key, job in ((a, "ja"), (b, "jb")):
            assert own.post_lines(job, [f"of {job}"], headers={"Authorization": f"Api-Key {key}"}).status == 200
        assert refused(Truss(own.port, key="wrong").view).status == 401
        ta = Truss(own.port, key=a)
        projects, active = ta.view()
        assert [p["id"] for p in projects] == ["pa"] and [j["id"] for j in active] == ["ja"]
        assert ta.search(None, None, "jb") == [] and ta.search(None, "pb") == []
        assert [m for _, m in Truss(own.port, key=b, scheme="Bearer").logs("jb")] == ["of jb"]
        assert [m for _, m in Golang(own.port, key=root, scheme="Bearer").logs("jb", 0)] == ["of jb"]
        head = {"Authorization": f"Bearer {a}", "Content-Type": "application/json"}
        for method, path in (("GET", ""), ("POST", "/logs"), ("GET", "/logs"), ("GET", "/auth_codes"), ("GET", "/checkpoints")):
            answers = {own.request(method, f"/v1/training_projects/{p}/jobs/{j}{path}", b"{}" if method == "POST" else None, head).body
                       for p, j in (("pb", "jb"), ("pb", "none"), ("pz", "jb"), ("pa", "jb"))}
            assert len(answers) == 1 and b"not_found" in answers.pop(), (method, path)
        answers = {own.get(f"/v1/training_projects/{p}/jobs", head).body for p in ("pb", "pz")}
        assert len(answers) == 1 and b"not_found" in answers.pop()
        assert [p["id"] for p in own.get("/v1/projects", head).json()["projects"]] == ["pa"]
        assert own.post("/v1/projects", {"name": "Alpha"}, head).json()["id"] == "pa"
        assert own.post("/v1/projects", {"id": "pb", "name": "Mine"}, head).status == 404


# ---- tails --------------------------------------------------------------------------------------

def test_tail_of_a_job_without_lines_and_of_one_that_is_over():
    """A job without a line does not hold its tail for ever; one that is over is shown by exactly one request for lines."""
    d.post("/v1/jobs", {"id": "mute"})
    d.event("mute", "RUNNING")
    timer = threading.Timer(1.0, lambda: d.event("mute", "STOPPED"))
    timer.start()
    client = Truss(d.port, scale=4)
    printed = client.tail("mute")
    assert [m for _, m in printed] == ["TRAINING_JOB_CREATED", "TRAINING_JOB_RUNNING", "TRAINING_JOB_STOPPED"], printed
    d.post_lines("over", ["one", "two"])
    d.event("over", "COMPLETED")
    wait_for(lambda: d.job("over")["sealed"], 10, "sealed")
    client = Truss(d.port, scale=4)
    printed = client.tail("over")
    assert [m for _, m in printed] == ["one", "two", "TRAINING_JOB_COMPLETED"], printed
    assert client.requests == 4  # search, sessions, status, and the one


def test_a_tail_begins_while_the_job_waits():
    """Through CREATED, QUEUED and DEPLOYING to the end: nothing of it is missed."""
    d.post("/v1/jobs", {"id": "early"})
    steps = ["QUEUED", "DEPLOYING", "RUNNING"]

    def live():
        for s in steps:
            time.sleep(0.3)
            d.event("early", s)
        d.post_lines("early", ["work"])
        d.event("early", "FAILED", message="bad luck", exit_code=9)

    t = threading.Thread(target=live)
    t.start()
    printed = Truss(d.port, scale=8).tail("early")
    t.join()
    want = ["TRAINING_JOB_CREATED", "TRAINING_JOB_QUEUED", "TRAINING_JOB_DEPLOYING", "TRAINING_JOB_RUNNING", "work",
            "TRAINING_JOB_FAILED (exit code 9): bad luck"]
    assert [m for _, m in printed] == want, printed


def test_the_last_lines_come_before_the_status():
    """A poller is told the end only when he can have had the last line: also the Go client, which asks once no more."""
    for job in ("last1", "last2"):
        d.post("/v1/jobs", {"id": job, "ranks": 2})
        d.event(job, "RUNNING")
    out = {}
    threads = [threading.Thread(target=lambda: out.update(go=Golang(d.port).tail("last1"))),
               threading.Thread(target=lambda: out.update(truss=Truss(d.port, scale=4).tail("last2")))]
    for t in threads:
        t.start()
    time.sleep(0.7)
    for job in ("last1", "last2"):
        head = {"X-Producer": "r0", "X-Epoch": "1", "X-Sequence": "1", "X-Producer-Fin": "1"}
        assert d.post_lines(job, ["rank 0"], headers=head).status == 200
        d.event(job, "FAILED", rank=0, exit_code=1)
    time.sleep(0.5)  # other ranks are still writing
    for job in ("last1", "last2"):
        head = {"X-Producer": "r1", "X-Epoch": "1", "X-Sequence": "1", "X-Producer-Fin": "2"}
        assert d.post_lines(job, ["rank 1", "rank 1 traceback"], headers=head).status == 200
        assert d.job(job)["sealed"]
    for t in threads:
        t.join()
    for who in ("go", "truss"):
        shown = [m for _, m in out[who]]
        assert {"rank 0", "rank 1", "rank 1 traceback"} <= set(shown), (who, shown)
        assert len(shown) == len(set(shown)), shown
    # who does not poll is told at once
    d.post_lines("last3", ["x"])
    d.event("last3", "COMPLETED")
    assert Truss(d.port).search(None, None, "last3")[0]["current_status"] == "TRAINING_JOB_COMPLETED"
    assert d.get("/v1/training_projects/default/jobs/last3").json()["training_job"]["current_status"] == "TRAINING_JOB_COMPLETED"


def test_clients_without_a_job():
    """No such job: an empty search, and the client stops by itself."""
    assert refused(Truss(d.port).logs, "nope").message == "No jobs found."
    assert refused(Truss(d.port).view, None, "no-project").status == 404


# ---- when Redis is away -------------------------------------------------------------------------

def test_a_short_outage_is_held_not_answered():
    """While Redis is away every route of the view waits, and answers right when it is back: no 5xx."""
    d.post("/v1/jobs", {"id": "away", "project": "out"})
    d.post("/v1/jobs", {"id": "halted", "project": "out"})
    d.post_lines("away", [f"line {i}" for i in range(2000)], query="?project=out")
    base = "/v1/training_projects/out/jobs/away"
    asks = [("GET", "/v1/training_projects", None), ("POST", "/v1/training_jobs/search", {"project_id": "out"}),
            ("GET", base, None), ("POST", base + "/logs", {}), ("GET", base + "/logs?limit=10&direction=asc", None),
            ("GET", base + "/logs?limit=10&min_level=INFO", None), ("GET", base + "/auth_codes", None),
            ("GET", base + "/checkpoints", None), ("GET", "/v1/training_projects/out/jobs", None), ("GET", "/v1/projects", None),
            ("POST", base + "/metrics", {}), ("GET", base + "/metrics", None), ("GET", "/v1/jobs/away/nodes?project=out", None),
            ("POST", "/v1/training_projects/out/jobs/halted/stop", {}), ("POST", "/v1/projects", {"id": "outage"})]
    good = {p: d.request(m, p, json.dumps(b) if b is not None else None, {"Content-Type": "application/json"}).status for m, p, b in asks}
    assert set(good.values()) <= {200, 201}, good
    pid = d.redis_pid()
    os.kill(pid, signal.SIGSTOP)
    answers = []

    def ask(method, path, body):
        begin = time.monotonic()
        r = d.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"}, timeout=60)
        answers.append((path, r.status, time.monotonic() - begin, len(r.body)))

    threads = [threading.Thread(target=ask, args=a) for a in asks]
    for t in threads:
        t.start()
    time.sleep(7)  # longer than joblogd's own patience with a silent connection
    assert not answers, answers
    os.kill(pid, signal.SIGCONT)
    for t in threads:
        t.join(45)
    assert len(answers) == len(asks) and all(s in (200, 201) for _, s, _, _ in answers), answers
    assert all(6 < took < 40 for _, _, took, _ in answers), answers


def test_a_tail_lives_through_a_restart_of_redis():
    """Redis is killed under a tail: the tail goes on, with every line once."""
    d.post("/v1/jobs", {"id": "crash"})
    d.event("crash", "RUNNING")
    stop = threading.Event()
    sent = []

    def write():
        i = 0
        while not stop.wait(0.02):
            try:
                if d.post_lines("crash", [f"c{i}"], headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(i + 1)}).status == 200:
                    sent.append(f"c{i}")
                    i += 1
            except OSError:
                pass

    def end():
        stop.wait(1)
        os.kill(d.redis_pid(), signal.SIGKILL)
        wait_for(d.is_ready, 20, "ready again")
        stop.wait(1)
        stop.set()
        writer.join()
        d.event("crash", "COMPLETED")

    writer = threading.Thread(target=write)
    writer.start()
    ender = threading.Thread(target=end)
    ender.start()
    printed = Truss(d.port, scale=4).tail("crash")
    ender.join()
    shown = [m for _, m in printed if m.startswith("c")]
    assert shown == sent and len(sent) > 20 / PATIENCE, (len(shown), len(sent))


def test_a_reply_that_has_begun_is_finished():
    """Redis is killed, or hangs, in the middle of a reply of 16 MB: the rest of it comes when Redis is back, whole."""
    with Joblogd("--durability", "accepted", "--hot-bytes", "256MiB") as own:
        fill(own, "half", 250_000)
        assert own.job("half")["held_from"] == 1, "all of it is in Redis"
        for direction, sig in itertools.product(("desc", "asc"), (signal.SIGKILL, signal.SIGSTOP)):
            conn = http.client.HTTPConnection("127.0.0.1", own.port, timeout=60)
            conn.request("POST", "/v1/training_projects/default/jobs/half/logs", json.dumps({"direction": direction}),
                         {"Content-Type": "application/json"})
            r = conn.getresponse()
            body = r.read(200_000)
            pid = own.redis_pid()
            os.kill(pid, sig)
            timer = threading.Timer(3, os.kill, (pid, signal.SIGCONT))
            if sig == signal.SIGSTOP:
                timer.start()
            body += r.read()
            conn.close()
            got = [x["message"] for x in json.loads(body)["logs"]]
            got = got if direction == "asc" else got[::-1]
            assert 100_000 < len(got) < 250_000 and got == [big_line(i) for i in range(250_000 - len(got), 250_000)], (direction, sig, len(got))
            if sig == signal.SIGSTOP:
                timer.join()
            wait_for(own.is_ready, 30, "ready again")
