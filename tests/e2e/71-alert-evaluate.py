"""71-alert-evaluate -- rules over live jobs: what fires, once, whatever dies, seen in the feed of events."""
import concurrent.futures
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

from harness import JOBLOG, Joblogd, joblog, wait_for


def rule(d, **r):
    reply = d.post("/v1/rules", r)
    assert reply.status == 201, reply
    return reply.json()


def events(d, query="after=0", types="alert"):
    """All events of the feed so far."""
    r = d.get(f"/v1/events?{query}&wait=0s&limit=10000&type={types}", timeout=30)
    assert r.status == 200, r
    return [e for e in map(json.loads, r.text.splitlines()) if e["type"] in ("alert", "state", "end", "gap", "reset")]


def alerts(d, rule=None):
    return [e for e in events(d) if rule in (None, e["rule"])]


def wait_alerts(d, count, rule=None, deadline_s=10):
    return wait_for(lambda: (lambda a: a if len(a) >= count else None)(alerts(d, rule)), deadline_s, f"{count} alerts of {rule}")


def test_a_line_fires_with_its_evidence():
    """A line that matches is an event within a moment: captures, rank, the lines around it, words filled in, a link."""
    with Joblogd("--public-url", "https://log.example") as d:
        rule(d, id="oom", line={"pattern": r"out of memory.*GPU (?P<gpu>\d+)"}, severity="critical", labels={"team": "x"},
             annotations={"summary": "{{job}}/{{rank}} gpu {{captures.gpu}}: {{line}}", "where": "{{url}}"})
        d.post("/v1/jobs", {"id": "j", "labels": {"owner": "me"}})
        d.post_lines("j", [f"line {i}" for i in range(20)] + ["CUDA out of memory on GPU 3"] + [f"after {i}" for i in range(9)], "?rank=2")
        a = wait_alerts(d, 1)[0]
        assert a["status"] == "firing" and a["rule"] == "oom" and a["severity"] == "critical" and a["job"] == "j"
        assert a["rank"] == 2 and a["level"] == "error" and a["captures"] == {"gpu": "3"}
        assert a["labels"] == {"team": "x", "gpu": "3"} and a["job_labels"] == {"owner": "me"}
        assert a["line"] == "CUDA out of memory on GPU 3" and a["seq"] == 22
        assert [e["msg"] for e in a["evidence"]] == ([f"line {i}" for i in range(10, 20)] + [a["line"]] + [f"after {i}" for i in range(5)])
        assert a["annotations"] == {"summary": "j/2 gpu 3: CUDA out of memory on GPU 3", "where": "https://log.example/jobs/default/j#L22"}
        assert a["url"] == "https://log.example/jobs/default/j#L22" and a["id"].startswith("al_")


def test_states_and_ends_are_events():
    """Every state of a job, from its making on, is one event, and its seal is the last."""
    with Joblogd("--drain-time", "200ms") as d:
        d.post("/v1/jobs", {"id": "j"})
        d.event("j", "RUNNING")
        d.post_lines("j", ["x"])
        d.event("j", "FAILED", exit_code=3, message="boom")
        got = wait_for(lambda: (lambda e: e if e and e[-1]["type"] == "end" else None)(events(d, types="state,end")))
        assert [(e["type"], e["state"][13:], e.get("seq")) for e in got] == [
            ("state", "CREATED", 1), ("state", "RUNNING", 2), ("state", "FAILED", 4), ("end", "FAILED", 4)], got
        assert got[2]["exit_code"] == 3 and got[2]["message"] == "boom" and got[2]["from"] == "TRAINING_JOB_RUNNING"
        assert got[3]["complete"] and got[3]["lines"] == 1
        d.post_lines("k", ["made by its first line"])
        got = wait_for(lambda: (lambda e: e if len(e) > 4 else None)(events(d, types="state,end")))
        assert (got[4]["job"], got[4]["state"]) == ("k", "TRAINING_JOB_RUNNING")


def test_a_state_fires():
    """A rule on states fires once on entering, with what the change said."""
    with Joblogd() as d:
        rule(d, id="end", state={"in": ["FAILED", "STOPPED"]}, annotations={"s": "{{state}} {{exit_code}} {{message}}"})
        for job, state in (("a", "FAILED"), ("b", "COMPLETED"), ("c", "STOPPED")):
            d.post_lines(job, ["x"])
            d.event(job, state, exit_code=7, message="so")
            d.event(job, state)
        got = wait_alerts(d, 2)
        time.sleep(0.5)
        got = alerts(d)
        assert sorted((a["job"], a["state"][13:]) for a in got) == [("a", "FAILED"), ("c", "STOPPED")]
        assert got[0]["annotations"]["s"].endswith("7 so")


def test_the_starter_set_fires():
    """Each rule of the starter set, once enabled, fires on what such a failure really prints (those of time are tested with others)."""
    said = {
        "cuda-oom": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.17 GiB. GPU 0 has a total capacity of 79.15 GiB",
        "nccl-timeout": "[rank3]:[E ProcessGroupNCCL.cpp:607] [Rank 3] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1702, "
                        "OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600029 milliseconds before timing out.",
        "gpu-xid": "[ 8413.102931] NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
        "nan-loss": "step 120 | loss: nan | lr 3.0e-04 | tokens/s 81231",
        "disk-full": "OSError: [Errno 28] No space left on device: '/ckpt/step_4000/model.pt'",
    }
    with Joblogd() as d:
        for name in (*said, "job-failed", "job-hung", "rank-silent"):
            r = d.request("PATCH", f"/v1/rules/{name}", body=json.dumps({"enabled": True}), headers={"Content-Type": "application/json"})
            assert r.status == 200, r
        d.post_lines("quiet", ["step 1 | loss: 2.31", "saved checkpoint to /ckpt/step_1", "epoch 0: 12%|#2 | 120/1000"])
        for name, line in said.items():
            d.post_lines(name, ["step 1 | loss: 2.31", line, "after"], "?rank=3&replica=node-1")
        d.event("cuda-oom", "FAILED", exit_code=1)
        got = wait_alerts(d, len(said) + 1, deadline_s=30)
        assert sorted((a["job"], a["rule"]) for a in got) == sorted([*((n, n) for n in said), ("cuda-oom", "job-failed")]), got
        by = {a["rule"]: a for a in got}
        assert by["gpu-xid"]["captures"] == {"xid": "79"} and by["nan-loss"]["value"] == "NaN" and by["cuda-oom"]["rank"] == 3
        assert by["job-failed"]["annotations"]["description"] == by["job-failed"]["postmortem"]["sentence"]
        assert all(a["annotations"]["summary"] for a in got)


def test_silence_stall_rate_metric():
    """What does not come fires in time, and is resolved when it comes; rates and metrics likewise."""
    with Joblogd() as d:
        rule(d, id="hung", silence={"quiet": "1500ms"})
        rule(d, id="peer", silence={"quiet": "1500ms", "of": "peers"})
        rule(d, id="rate", rate={"count": 3, "per": "1s", "contains": "retry"})
        rule(d, id="loss", metric={"name": "loss", "above": 10})
        rule(d, id="stuck", stall={"after": "1500ms"})
        d.post_lines("j", ["retry", "retry", "retry", "step 1 loss=11"], "?rank=0")
        d.post_lines("j", ["hello"], "?rank=1")

        def firing():
            return {a["rule"]: a for a in alerts(d) if a["status"] == "firing"}

        wait_for(lambda: set(firing()) >= {"rate", "loss", "hung", "stuck"}, 5)
        fired = firing()
        assert fired["loss"]["value"] == "11" and fired["rate"]["threshold"] == "3 in 1s" and "rank" not in fired["hung"]
        d.post_lines("j", ["step 2 loss=2"], "?rank=0")
        wait_for(lambda: {a["rule"] for a in alerts(d) if a["status"] == "resolved"} >= {"rate", "loss", "hung", "stuck"}, 5)
        end = time.monotonic() + 6
        while time.monotonic() < end and not alerts(d, "peer"):
            d.post_lines("j", ["step 3"], "?rank=0")
            threading.Event().wait(0.3)
        a = alerts(d, "peer")[0]
        assert a["rank"] == 1, a


def test_only_after_it_was_enabled():
    """A rule made in the middle of a job looks only at what comes after, wherever the job's lines lie."""
    with Joblogd() as d:
        d.post_lines("j", ["early match"] * 50)
        rule(d, id="r", line={"contains": "match"}, group_by=["job"], dedup=0)
        wait_for(lambda: d.get("/v1/rules/r").status == 200)
        d.post_lines("j", ["late match"])
        wait_alerts(d, 1)
        time.sleep(0.3)
        assert [a["line"] for a in alerts(d)] == ["late match"]


def test_caps():
    """Over its limit a rule still makes events, marked, and no deliveries."""
    with Joblogd() as d:
        rule(d, id="r", line={"contains": "x"}, dedup=0, max_per_hour=5, group_by=["job"])
        d.post_lines("j", ["x"] * 12)
        got = wait_alerts(d, 12)
        assert sum("suppressed" in a for a in got) in (7, 2), got  # 2: the clock hour turned between


def test_no_rule_no_state():
    """Without an enabled rule for it a job is not evaluated and nothing is kept of it; deleting a job takes its state."""
    with Joblogd() as d:
        d.post_lines("j", ["x"])
        rule(d, id="r", line={"contains": "x"}, project="other")
        d.post_lines("j", ["x"])
        time.sleep(0.7)
        assert "jl:{default/j}:alert" not in d.redis_cli("KEYS", "*").split()
        rule(d, id="s", line={"contains": "y"})
        wait_for(lambda: "jl:{default/j}:alert" in d.redis_cli("KEYS", "*").split(), 8)
        d.request("DELETE", "/v1/jobs/j")
        wait_for(lambda: "jl:{default/j}:alert" not in d.redis_cli("KEYS", "*").split(), 8)
        assert d.redis_cli("ZCARD", "jl:{alert}:watched").strip() == "0"


def test_a_job_deleted_at_once_leaves_no_state():
    """A job deleted while somebody begins to evaluate it leaves nothing behind, at whatever step that is."""
    with Joblogd() as d:
        rule(d, id="s", line={"contains": "y"})
        for i in range(150):
            d.post_lines(f"j{i}", ["x"])
            if i % 3:  # others follow at once
                d.get(f"/v1/jobs/j{i}")
            assert d.request("DELETE", f"/v1/jobs/j{i}").status in (200, 202, 204)
        wait_for(lambda: not [k for k in d.redis_cli("KEYS", "jl:{default/*}:alert").split()], 20, "all states are gone")
        wait_for(lambda: d.redis_cli("ZCARD", "jl:{alert}:watched").strip() == "0", 10, "nothing is listed")


def matches(n, base=0):
    return [{"msg": f"match {base + i}", "rank": 0} if i % 3 == 0 else {"msg": f"noise {base + i}", "rank": 0} for i in range(n)]


def check_each_once(d, want):
    """Each matching line made exactly one alert, in the order of the log."""
    got = wait_for(lambda: (lambda a: a if len(a) >= len(want) else None)(alerts(d)), 40, f"{len(want)} alerts, {len(alerts(d))} there")
    assert [a["line"] for a in got] == want, (len(got), len(want), got[:3])
    assert len({a["id"] for a in got}) == len(got)


EACH = {"id": "each", "line": {"pattern": r"match (?P<n>\d+)"}, "dedup": 0, "group_by": ["job"], "max_per_hour": 0}


def test_each_match_once_over_kills():
    """joblogd killed again and again while lines come: each match fires once, in order, with one id."""
    with Joblogd() as d:
        rule(d, **EACH)
        want = []
        for round in range(6):
            for k in range(4):
                lines = matches(60, 1000 * round + 60 * k)
                r = d.post_lines("j", lines, headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(1 + 60 * (4 * round + k))})
                assert r.status == 200, r
                want += [x["msg"] for x in lines if x["msg"].startswith("match")]
            threading.Event().wait(0.004 * round)
            d.restart(signal.SIGKILL)
        check_each_once(d, want)


def test_each_match_once_over_nodes():
    """Lines of one job through several nodes, of which one dies: each match fires once."""
    with Joblogd() as a, Joblogd("--redis", "unix://" + a.redis_socket()) as b, Joblogd("--redis", "unix://" + a.redis_socket()) as c:
        rule(a, **EACH)
        wait_for(lambda: b.get("/v1/rules/each").status == 200 and c.get("/v1/rules/each").status == 200)
        want, k = [], 0

        def send(node, count):
            nonlocal k
            for _ in range(count):
                lines = matches(30, 30 * k)
                k += 1
                r = node.post_lines("j", lines, headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(1 + 30 * (k - 1))})
                assert r.status == 200, r
                want.extend(x["msg"] for x in lines if x["msg"].startswith("match"))

        for node in (b, c, a, c, b):
            send(node, 4)
        owner = b if b.metric("joblog_alert_jobs") else c if c.metric("joblog_alert_jobs") else a
        if owner is not a:  # a holds Redis
            owner.kill()
        for node in (a, c if owner is b else b, a):
            send(node, 4)
        check_each_once(a, want)


def test_silence_survives_a_restart():
    """A job that fell silent before a restart is reported after it, once."""
    with Joblogd() as d:
        rule(d, id="hung", silence={"quiet": "4s"})
        d.post_lines("j", ["x"])
        wait_for(lambda: d.redis_cli("HGET", "jl:{default/j}:alert", "state").strip(), what="the state is written")
        d.restart(signal.SIGKILL)
        got = wait_alerts(d, 1, "hung", 20)
        time.sleep(0.5)
        assert len(alerts(d)) == 1 and got[0]["status"] == "firing"
        d.restart(signal.SIGTERM)

        def is_resolved():
            d.post_lines("j", ["y"])
            return [a["status"] for a in alerts(d)] == ["firing", "resolved"]

        wait_for(is_resolved, 20)


def test_feed_resumes():
    """The feed is read on from any cursor; what was trimmed is told as a gap; a foreign cursor is a reset."""
    with Joblogd() as d:
        for i in range(30):
            d.post_lines(f"j{i}", ["x"])
        all_ = wait_for(lambda: (lambda e: e if len(e) == 30 else None)(events(d, types="state")))
        assert len({e["cursor"] for e in all_}) == 30
        assert events(d, f"after={all_[11]['cursor']}", "state") == all_[12:]
        epoch = all_[0]["cursor"].split(":")[0]
        d.redis_cli("XTRIM", "jl:{alert}:events", "MINID", "=", "11-0")
        got = events(d, f"after={epoch}:3", "state")
        assert got[0]["type"] == "gap" and (got[0]["from"], got[0]["to"]) == (4, 10) and got[1:] == all_[10:], got[:2]
        assert events(d, "after=77:3", "state")[0]["type"] == "reset"
        assert events(d, f"after={epoch}:9999", "state")[0]["type"] == "reset"
        assert [e["job"] for e in events(d, "tail=2", "state")] == [all_[28]["job"], all_[29]["job"]]


def test_feed_over_sse():
    """The feed as Server-Sent Events: ids are cursors, Last-Event-ID goes on behind one."""
    import http.client

    with Joblogd() as d:
        for i in range(5):
            d.post_lines(f"j{i}", ["x"])
        all_ = wait_for(lambda: (lambda e: e if len(e) == 5 else None)(events(d, types="state")), 30)

        def read(headers, count):
            conn, ids, jobs = http.client.HTTPConnection("127.0.0.1", d.port, timeout=30), [], []
            conn.request("GET", "/v1/events?after=0&type=state", headers={"Accept": "text/event-stream", **headers})
            r = conn.getresponse()
            assert r.getheader("Content-Type") == "text/event-stream"
            while len(jobs) < count:
                line = r.readline().decode()
                if line.startswith("id: "):
                    last = line[4:].strip()
                elif line.startswith("data: ") and json.loads(line[6:])["type"] == "state":
                    ids.append(last)
                    jobs.append(json.loads(line[6:])["job"])
            conn.close()
            return ids, jobs

        ids, jobs = read({}, 5)
        assert ids == [e["cursor"] for e in all_] and jobs == [e["job"] for e in all_]
        assert read({"Last-Event-ID": ids[2]}, 2)[1] == jobs[3:]


def test_rules_test():
    """A rule tested on a job says what it would have fired, and when, from the log wherever it lies: live as archived."""
    with Joblogd("--drain-time", "100ms") as d:
        lines = [{"ts": f"2026-03-01T00:{i // 60:02d}:{i % 60:02d}Z", "msg": "Xid: 79" if i in (30, 31, 95) else f"step {i} loss={2 if i < 100 else 'nan'}",
                  "rank": i % 2} for i in range(120)]
        lines += [{"ts": "2026-03-01T00:20:00Z", "msg": "back again", "rank": 0}]
        d.post_lines("j", lines)

        def ask(**r):
            reply = d.post("/v1/rules/test?job=j", {"id": "t", **r})
            assert reply.status == 200, reply
            out = [json.loads(x) for x in reply.text.splitlines()]
            assert out[-1]["type"] == "done" and out[-1]["records"] >= 121, out[-1]
            return [(a["at"][11:19], a["status"], a.get("rank"), a.get("seq")) for a in out[:-1]]

        def check():
            assert ask(line={"contains": "Xid"}, group_by=["job"], dedup="1m") == [("00:00:30", "firing", 0, 31), ("00:01:35", "firing", 0, 96)]
            assert ask(silence={"quiet": "5m"}) == [("00:06:59", "firing", None, 120), ("00:20:00", "resolved", None, 121)]
            assert ask(metric={"name": "loss", "is": "nan"})[0][:2] == ("00:01:40", "firing")
            assert ask(silence={"quiet": "10s", "of": "rank"})[0][0] == "00:02:08"

        check()
        d.event("j", "COMPLETED", ts="2026-03-01T00:21:00Z")
        wait_for(lambda: d.get("/v1/jobs/j/archive").json()["last"] == 122, 20, "it is archived")
        check()
        r = d.post("/v1/rules/test?job=nope", {"id": "t", "line": {"contains": "x"}})
        assert r.status == 404
        r = d.post("/v1/rules/test?job=j", {"id": "t", "line": {"pattern": "("}})
        assert r.status == 400 and r.json()["path"] == "$.line.pattern"
        out = joblog("rules", "test", "gpu-xid", "j", url=d.url)
        assert out.returncode == 0 and "121" not in out.stdout and "would have fired" in out.stderr, out
        rule(d, id="mine", line={"contains": "Xid"}, group_by=["job"], annotations={"summary": "sum"})
        out = joblog("rules", "test", "mine", "j", url=d.url)
        assert out.returncode == 0 and out.stdout.count("FIRING") == 1 and "default/j rank 0: Xid: 79" in out.stdout, out


def test_events_command():
    """joblog events shows alerts and states as rows or as they are, from where it is told to begin."""
    with Joblogd("--drain-time", "100ms") as d:
        rule(d, id="r", line={"contains": "boom"}, severity="critical", annotations={"summary": "{{job}} went {{line}}"})
        d.post("/v1/jobs", {"id": "j", "labels": {"team": "x"}})
        d.post_lines("j", ["boom \x1b[2J"], "?rank=3")
        d.event("j", "FAILED", exit_code=2, message="so")
        wait_for(lambda: len(events(d, types="alert,end")) == 2)
        out = joblog("events", "-n", "all", "--no-follow", url=d.url)
        assert out.returncode == 0, out
        assert [x.split()[2] for x in out.stdout.splitlines()].count("FIRING") == 1
        row = [x for x in out.stdout.splitlines() if "FIRING" in x][0]
        assert "critical" in row and "default/j rank 3: j went boom \\x1b[2J" in row, row
        assert "FAILED    default/j (exit code 2): so" in out.stdout and "END       default/j is FAILED" in out.stdout
        out = joblog("events", "-n", "1", "--no-follow", "-o", "ndjson", "--type", "end", "-l", "team=x", url=d.url)
        assert json.loads(out.stdout)["type"] == "end"
        assert joblog("events", "-n", "all", "--no-follow", "-l", "team=y", url=d.url).stdout == ""
        assert joblog("events", "--type", "nonsense", "--no-follow", url=d.url).returncode == 2


def test_events_command_over_a_restart():
    """joblog events goes on after joblogd was killed: each state once, in order, and Ctrl-C is exit code 130."""
    with Joblogd() as d, tempfile.NamedTemporaryFile() as out:
        def run(job):
            d.post("/v1/jobs", {"id": job})
            assert d.event(job, "RUNNING").status == 200
            wait_for(lambda: (job, "RUNNING") in seen(), 20, f"the start of {job}")

        def seen():
            with open(out.name) as rows:
                return [(e["job"], e["state"].replace("TRAINING_JOB_", "")) for e in map(json.loads, rows)]

        p = subprocess.Popen([JOBLOG, "events", "-n", "all", "-o", "ndjson", "--type", "state"], env={**os.environ, "JOBLOG_URL": d.url}, stdout=out,
                             stderr=subprocess.PIPE, text=True)
        try:
            for job in ("a", "b", "c"):
                run(job)
                d.kill()
                d.start()
            p.send_signal(signal.SIGINT)
            _, err = p.communicate(timeout=20)
        finally:
            p.kill()
        assert p.returncode == 130 and not err, (p.returncode, err)
        assert [job for job, state in seen() if state == "RUNNING"] == ["a", "b", "c"] and len(seen()) == len(set(seen())), seen()
