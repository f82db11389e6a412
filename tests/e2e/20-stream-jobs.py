"""tests/e2e/20-stream-jobs.py -- jobs, their states, and what survives restarts."""
import os
import signal
import subprocess
import threading

from harness import JOBLOGD, Joblogd, wait_for

d = None


def setup():
    global d
    d = Joblogd("--drain-time", "300ms")


def teardown():
    d.close()


def test_create_is_idempotent():
    """Creating by the same id answers 201 then 200 with the same job; a body without id makes one."""
    body = {"id": "j1", "project": "p", "name": "first", "labels": {"team": "a"}, "ranks": 2, "instance_type": "8xH100"}
    assert d.post("/v1/jobs", body).status == 201
    again = d.post("/v1/jobs", body)
    assert again.status == 200
    job = d.job("j1")
    assert job["state"] == "TRAINING_JOB_CREATED" and job["labels"] == {"team": "a"} and job["ranks"] == 2, job
    assert job["extra"]["instance_type"] == "8xH100", job
    made = d.post("/v1/jobs", {}).json()
    assert made["id"].startswith("job-") and made["project"] == "default", made


def test_bad_creations_are_refused():
    """Bad ids, labels and ranks are 400 and say what."""
    for body in ({"id": "../x"}, {"id": "a" * 129}, {"id": "ok", "labels": {"k": 1}}, {"id": "ok", "ranks": -1}):
        r = d.post("/v1/jobs", body)
        assert r.status == 400 and r.json()["message"], (body, r)
    assert d.post("/v1/jobs", "{not json", {"Content-Type": "application/json"}).status == 400


def test_the_way_of_a_job():
    """CREATED to COMPLETED is recorded with times and durations; repeats add nothing; terminal is final."""
    d.post("/v1/jobs", {"id": "way"})
    for state in ("DEPLOYING", "TRAINING_JOB_RUNNING", "running"):
        assert d.event("way", state).status == 200
    assert d.event("way", "COMPLETED", exit_code=0, message="done").status == 200
    bad = d.event("way", "RUNNING")
    assert bad.status == 409 and bad.json()["code"] == "bad_transition", bad
    assert bad.json()["state"] == "TRAINING_JOB_COMPLETED", bad
    job = d.job("way")
    assert [h["state"].removeprefix("TRAINING_JOB_") for h in job["history"]] == ["CREATED", "DEPLOYING", "RUNNING", "COMPLETED"]
    assert all(h["at"] for h in job["history"]) and job["exit_code"] == 0
    states = [r["state"] for r in d.records("way") if "state" in r]
    assert len(states) == 4, states


def test_events_of_unknown_jobs_and_states():
    """An unknown job is 404, an unknown state 400."""
    assert d.event("nobody", "RUNNING").status == 404
    d.post("/v1/jobs", {"id": "odd"})
    assert d.event("odd", "SLEEPING").status == 400


def test_lists_filters_and_pages():
    """Newest first, by project, state, label and activity, in pages without repeat or hole."""
    for i in range(25):
        d.post("/v1/jobs", {"id": f"list-{i:02d}", "project": "lp", "labels": {"odd": str(i % 2)}})
    for i in range(5):
        d.event(f"list-{i:02d}", "FAILED", exit_code=1)
    seen, cursor = [], ""
    while True:
        page = d.get(f"/v1/jobs?project=lp&limit=7{'&cursor=' + cursor if cursor else ''}").json()
        seen += [j["id"] for j in page["jobs"]]
        if not page["next"]:
            break
        cursor = page["next"]
    assert seen == [f"list-{i:02d}" for i in reversed(range(25))], seen
    failed = d.get("/v1/jobs?project=lp&state=FAILED").json()["jobs"]
    assert sorted(j["id"] for j in failed) == [f"list-{i:02d}" for i in range(5)]
    odd = d.get("/v1/jobs?project=lp&label.odd=1&limit=100").json()["jobs"]
    assert len(odd) == 12
    assert d.get("/v1/jobs?limit=0").status == 400 and d.get("/v1/jobs?colour=red").status == 400


def test_same_id_in_two_projects_is_ambiguous():
    """An id of two projects needs ?project=."""
    for p in ("pa", "pb"):
        d.post("/v1/jobs", {"id": "twin", "project": p})
    r = d.get("/v1/jobs/twin")
    assert r.status == 409 and r.json()["code"] == "ambiguous", r
    assert d.get("/v1/jobs/twin?project=pb").json()["project"] == "pb"


def test_delete_purges():
    """A deleted job is 404 everywhere, and its id can be used again from record 1."""
    d.post_lines("gone", ["a", "b"])
    assert d.request("DELETE", "/v1/jobs/gone").status == 204
    assert d.get("/v1/jobs/gone").status == 404 and d.get("/v1/jobs/gone/logs").status == 404
    d.post_lines("gone", ["c"])
    assert [r["msg"] for r in d.records("gone") if "state" not in r] == ["c"]


def test_unknown_paths_and_methods():
    """404 for unknown paths, 405 with Allow for unknown methods, OPTIONS answered."""
    assert d.get("/v2").status == 404
    r = d.request("PUT", "/v1/jobs")
    assert r.status == 405 and "POST" in r.headers["allow"], r
    assert d.request("OPTIONS", "/v1/jobs").headers["allow"]


def test_service_endpoints():
    """healthz, readyz, metrics and openapi.json answer in their formats."""
    assert d.get("/healthz").json()["status"] == "ok"
    assert d.get("/readyz").status == 200
    assert "/v1/jobs/{job}/tail" in d.get("/openapi.json").json()["paths"]
    text = d.get("/metrics").text
    for name in ("joblog_lines_total", "joblog_redis_up 1", "joblog_ack_seconds_bucket", "joblog_archive_oldest_unarchived_seconds"):
        assert name in text, name


def test_jobs_survive_restarts():
    """After SIGTERM and after kill -9 jobs, states and lines are as they were acknowledged."""
    with Joblogd() as mine:
        mine.post("/v1/jobs", {"id": "s", "ranks": 1})
        mine.post_lines("s", ["one"])
        before = mine.records("s")
        assert mine.kill(signal.SIGTERM) == 0
        mine.start()
        assert mine.records("s") == before
        mine.post_lines("s", ["two"])
        mine.restart(signal.SIGKILL)
        assert [r["msg"] for r in mine.records("s") if "state" not in r] == ["one", "two"]


def test_second_instance_is_refused():
    """A second joblogd on the same data directory exits with the reason."""
    p = subprocess.run([JOBLOGD, "--listen", "127.0.0.1:0", "--data", d.data], capture_output=True, text=True, timeout=20)
    assert p.returncode == 1 and "another joblogd" in p.stderr, p


def test_bad_options_are_refused_with_the_reason():
    """Unknown options, bad values and open addresses exit 2 and name the option; file and variable too."""
    def run(*args, **env):
        return subprocess.run([JOBLOGD, *args], capture_output=True, text=True, timeout=20, env={**os.environ, **env})
    for args, word in ((["--colour", "red"], "--colour"), (["--drain-time", "soon"], "--drain-time"),
                       (["--listen", "0.0.0.0:0"], "--open"), (["--durability", "maybe"], "durable")):
        p = run(*args)
        assert p.returncode == 2 and word in p.stderr, p
    p = run(JOBLOG_SEGMENT_BYTES="7")
    assert p.returncode == 2 and "JOBLOG_SEGMENT_BYTES" in p.stderr, p
    path = os.path.join(d.data, "bad.conf")
    open(path, "w").write("# mine\ndrain-time = 5s\nnonsense = 1\n")
    p = run("--config", path)
    assert p.returncode == 2 and "bad.conf:3" in p.stderr, p
    assert run("--help").stdout.count("--") > 20 and run("--version").returncode == 0


def test_redis_killed_under_load():
    """redis-server killed while lines come: joblogd carries on by itself and nothing acked is lost or repeated."""
    with Joblogd() as mine:
        acked, stop, errors = [], threading.Event(), []

        def write():
            n = 1
            while not stop.is_set():
                head = {"X-Producer": "w", "X-Epoch": "1", "X-Sequence": str(n)}
                try:
                    r = mine.post_lines("load", [f"line {i}" for i in range(n, n + 50)], headers=head)
                except OSError as e:
                    errors.append(e)
                    continue
                if r.status == 200:
                    acked.append(n + 49)
                    n += 50
                elif r.status == 409 and r.json()["code"] == "gap":
                    n = r.json()["expected"]
                else:
                    assert r.status in (429, 503), r

        t = threading.Thread(target=write)
        t.start()
        try:
            for _ in range(3):
                start = len(acked)
                wait_for(lambda: len(acked) > start + 20, 30, "lines are acknowledged")
                os.kill(mine.redis_pid(), signal.SIGKILL)
            start = len(acked)
            wait_for(lambda: len(acked) > start + 20, 30, "lines are acknowledged again")
        finally:
            stop.set()
            t.join(30)
        msgs = [r["msg"] for r in mine.records("load") if "state" not in r]
        assert msgs == [f"line {i}" for i in range(1, len(msgs) + 1)], "order, repeats"
        assert len(msgs) >= max(acked), (len(msgs), max(acked))
        assert not errors, errors[:3]
