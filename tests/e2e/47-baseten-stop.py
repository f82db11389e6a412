"""tests/e2e/47-baseten-stop.py -- a stopped job ends its commands, wherever and whenever it is stopped."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from baseten_clients import Golang, Refused, Truss
from harness import JOBLOG, PATIENCE, Joblogd, free_port, joblog, wait_for

d = None
state_dir = None


def setup():
    global d, state_dir
    state_dir = tempfile.mkdtemp(prefix="jl-state-")
    d = Joblogd("--drain-time", "2s")


def teardown():
    d.close()
    shutil.rmtree(state_dir, ignore_errors=True)


def start(job, script, *options, url=None, **env):
    """joblog run … -- sh -c script, once its first line is there."""
    clean = {k: v for k, v in os.environ.items() if not re.match(r"JOBLOG_|RANK$|WORLD_SIZE$|SLURM_|OMPI_|LOCAL_RANK$|TORCHELASTIC_", k)}
    clean.update({"JOBLOG_URL": url or d.url, "XDG_STATE_HOME": state_dir, **env})
    return subprocess.Popen([JOBLOG, "run", "--job", job, *options, "--", "sh", "-c", script], env=clean, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(job, server=None):
    return [r["msg"] for r in (server or d).records(job) if "state" not in r]


def writes(job, text, server=None):
    wait_for(lambda: (server or d).get(f"/v1/jobs/{job}").status == 200 and text in lines(job, server), 20, f"{job} writes {text}")


LOOP = "while :; do sleep 0.1; done"


def test_an_idle_command_is_told_at_once():
    """POST …/stop of an idle job: STOPPED at once, SIGTERM within a second, its last lines kept, exit code 143."""
    p = start("idle", f"trap 'echo saving; exit 5' TERM; echo ready; {LOOP}")
    writes("idle", "ready")
    begin = time.monotonic()
    r = d.post("/v1/jobs/idle/stop", {"message": "wrong data"})
    assert r.status == 200 and r.json()["state"] == "TRAINING_JOB_STOPPED" and r.json()["moved"] is True, r
    assert d.job("idle")["state"] == "TRAINING_JOB_STOPPED"
    out, err = p.communicate(timeout=20)
    assert time.monotonic() - begin < 5 * PATIENCE and p.returncode == 5, (p.returncode, err)
    assert "saving" in out and "the job was stopped" in err and "30.0s" in err, (out, err)
    job = wait_for(lambda: (lambda j: j if j["sealed"] else None)(d.job("idle")), 10, "sealed")
    assert job["complete"] is True and job["state"] == "TRAINING_JOB_STOPPED" and job["producers"][0]["exit_code"] == 5, job
    assert [m for m in lines("idle") if m != "Terminated"] == ["ready", "saving"]
    state = [r for r in d.records("idle") if r.get("state") == "TRAINING_JOB_STOPPED"]
    assert [s["msg"] for s in state] == ["wrong data"], state
    again = d.post("/v1/jobs/idle/stop", b"")
    assert again.status == 200 and again.json()["moved"] is False, again
    q = start("plain", "sleep 60")
    wait_for(lambda: d.get("/v1/jobs/plain").status == 200 and d.job("plain").get("producers"), 20, "connected")
    assert d.post("/v1/jobs/plain/stop", b"").status == 200
    q.communicate(timeout=20)
    assert q.returncode == 143, q.returncode


def test_one_that_will_not_hear_is_killed():
    """A command that ignores SIGTERM, and a child of it that does, get SIGKILL after the grace; what they wrote till then is kept."""
    script = "trap '' TERM; echo deaf; (while :; do echo tick; sleep 0.2; done) & while :; do sleep 0.2; done"
    p = start("deaf", script, "--stop-grace", "1500ms")
    writes("deaf", "tick")
    d.post("/v1/jobs/deaf/stop", b"")
    at = len(lines("deaf"))
    begin = time.monotonic()
    p.communicate(timeout=20)
    took = time.monotonic() - begin
    assert p.returncode == 137 and 1.2 < took < 6 * PATIENCE, (p.returncode, took)
    assert len(lines("deaf")) >= at + 4, "the grace's lines"
    assert d.job("deaf")["sealed"] and d.job("deaf")["complete"]
    assert not group_alive(p.pid), "processes were left"
    # the command hears, a child of it does not: the group has the grace, too
    q = start("deaf2", "(trap '' TERM; echo child; while :; do sleep 0.1; done) & echo parent; wait", "--stop-grace", "1s")
    writes("deaf2", "child")
    d.post("/v1/jobs/deaf2/stop", b"")
    q.communicate(timeout=20)
    assert q.returncode == 143 and not group_alive(q.pid), q.returncode


def group_alive(run_pid):
    """Is anybody left whose process group was led by a child of joblog run?"""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if "echo deaf" in text or "echo child" in text:
            return True
    return False


def test_several_ranks_over_two_nodes():
    """Every rank's command is ended, on whatever node its agent is, by one stop on either."""
    with Joblogd("--redis", f"unix://{d.redis_socket()}") as other:
        ranks = [start("many", f"echo ready $RANK; {LOOP}", url=(d if n % 2 else other).url, RANK=str(n), WORLD_SIZE="4") for n in range(4)]
        for n in range(4):
            writes("many", f"ready {n}")
        assert joblog("stop", "many", "-m", "enough", url=d.url).returncode == 0
        for p in ranks:
            p.communicate(timeout=20)
            assert p.returncode == 143, p.returncode
    job = wait_for(lambda: (lambda j: j if j["sealed"] else None)(d.job("many")), 10, "sealed")
    assert job["state"] == "TRAINING_JOB_STOPPED" and job["complete"] is True, job


def test_stopped_while_the_agent_was_away():
    """An agent that is not connected learns at its next welcome; its spooled lines still enter."""
    server = Joblogd("--drain-time", "3s", port=free_port())
    try:
        p = start("away", f"echo ready; {LOOP}", "--stop-grace", "20s", url=server.url)
        writes("away", "ready", server)
        with Joblogd("--redis", f"unix://{server.redis_socket()}") as other:  # a node that stays
            os.kill(server.pid, signal.SIGSTOP)
            assert other.post("/v1/jobs/away/stop", b"").status == 200
            os.kill(server.pid, signal.SIGCONT)
            p.communicate(timeout=30)
            assert p.returncode == 143
        q = start("away2", f"echo ready; trap 'echo bye; exit 0' TERM; {LOOP}", url=server.url)
        writes("away2", "ready", server)
        server.kill()
        # the embedded Redis lives on: another node takes the stop
        with Joblogd("--redis", f"unix://{server.redis_socket()}") as other:
            assert other.post("/v1/jobs/away2/stop", b"").status == 200
        server.start()
        q.communicate(timeout=40)
        assert q.returncode == 0
        assert [m for m in lines("away2", server) if m != "Terminated"] == ["ready", "bye"]
        assert server.job("away2")["state"] == "TRAINING_JOB_STOPPED"
    finally:
        server.close()


def test_a_stop_is_heard_after_redis_was_away():
    """News of a stop that was published while this node had no connection to Redis are fetched when it has one."""
    p = start("deafnode", f"echo ready; {LOOP}")
    writes("deafnode", "ready")
    with Joblogd("--redis", f"unix://{d.redis_socket()}") as other:
        # cut this node's channel connection, and stop the job before it is back
        clients = d.redis_cli("CLIENT", "LIST", "TYPE", "pubsub").splitlines()
        os.kill(d.pid, signal.SIGSTOP)
        for c in clients:
            ident = re.search(r"\bid=(\d+)", c)
            if ident:
                d.redis_cli("CLIENT", "KILL", "ID", ident.group(1))
        assert other.post("/v1/jobs/deafnode/stop", b"").status == 200
        os.kill(d.pid, signal.SIGCONT)
    p.communicate(timeout=20)
    assert p.returncode == 143


def test_the_clients_and_the_command():
    """truss and baseten stop what is active; a job that has ended is refused with a sentence; scopes are asked for."""
    p = start("tstop", f"echo ready; {LOOP}")
    writes("tstop", "ready")
    assert Truss(d.port).stop("tstop")["current_status"] == "TRAINING_JOB_STOPPED"
    p.communicate(timeout=20)
    try:
        Truss(d.port).stop("tstop")
        raise AssertionError("it is not active any more")
    except Refused as e:
        assert "No queued or running" in e.message
    d.post("/v1/jobs", {"id": "gstop", "project": "halt"})
    assert Golang(d.port, scheme="Bearer").stop("gstop")["current_status"] == "TRAINING_JOB_STOPPED"
    d.post_lines("ended", ["x"])
    d.event("ended", "COMPLETED")
    for path in ("/v1/jobs/ended/stop", "/v1/training_projects/default/jobs/ended/stop"):
        r = d.post(path, {})
        assert r.status == 409 and r.json()["code"] == "bad_transition" and "COMPLETED" in r.json()["message"], r
    assert d.post("/v1/jobs/none/stop", {}).status == 404
    assert d.post("/v1/training_projects/default/jobs/none/stop", {}).status == 404
    assert d.post("/v1/jobs/gstop/stop", {"message": 5}).status == 400
    out = joblog("stop", "ended", url=d.url)
    assert out.returncode == 1 and "ended already" in out.stderr, out
    out = joblog("stop", "none", url=d.url)
    assert out.returncode == joblog("state", "none", "FAILED", url=d.url).returncode != 0 and "none" in out.stderr, out
    assert joblog("stop", url=d.url).returncode == 2
    assert joblog("run", "--stop-grace", "2h", "--", "true", url=d.url).returncode == 2


def test_who_may_stop():
    """A job's own token, which may only write, stops nothing; a person's may; the record says who."""
    with Joblogd() as own:
        root = own.post("/v1/tokens", {"name": "root", "scopes": ["admin"]}).json()["token"]
        made = {}
        for scopes in (["ingest"], ["read"], ["read", "ingest"]):
            made["+".join(scopes)] = own.post("/v1/tokens", {"name": "ada", "scopes": scopes, "project": "p"},
                                              {"Authorization": f"Bearer {root}"}).json()["token"]
        own.post("/v1/jobs", {"id": "j", "project": "p"}, {"Authorization": f"Bearer {root}"})
        own.post("/v1/jobs", {"id": "k", "project": "q"}, {"Authorization": f"Bearer {root}"})
        for scopes, status in (("ingest", 403), ("read", 403), ("read+ingest", 200)):
            for path in ("/v1/jobs/j/stop", "/v1/training_projects/p/jobs/j/stop"):
                assert own.post(path, {}, {"Authorization": f"Api-Key {made[scopes]}"}).status == status, (scopes, path)
        answers = {own.post(f"/v1/training_projects/{p}/jobs/{j}/stop", {}, {"Authorization": f"Bearer {made['read+ingest']}"}).body
                   for p, j in (("q", "k"), ("q", "none"), ("p", "k"))}
        assert len(answers) == 1 and b"not_found" in answers.pop()
        head = {"Authorization": f"Bearer {root}"}
        assert own.get("/v1/jobs/k", head).json()["state"] == "TRAINING_JOB_CREATED"
        assert "stopped by token ada" in own.get("/v1/jobs/j/logs?states=1", head).text
