"""tests/truss/10-truss.py -- the real truss CLI against joblogd on port 8000: what it prints, line by line.

Run by `make test-truss`; TRUSS names the package (default: the newest), TRUSS_LINES the length of the long download.
Skipped, with the reason, where the package index cannot be reached or port 8000 is taken.
"""
import collections
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from baseten_clients import plant
from baseten_load import Background, big_line, fill, steady
from harness import JOBLOG, ROOT, Joblogd, wait_for
from real_truss import PORT, RealTruss, check_for_people, rows, second
from terminal import Tmux

BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))
LINES = int(os.environ.get("TRUSS_LINES", "2000000"))
MEMORY_BYTES_MAX = 192 << 20  # joblogd's whole resident set, whatever is downloaded
CLIENT_S = 600
d = None
cli = None
work = None


def setup():
    global d, cli, work
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", PORT))
        except OSError as e:
            raise unittest.SkipTest(f"port {PORT}, the one local port truss knows, is taken: {e.strerror}") from None
    cli = RealTruss(os.path.join(BUILD, "truss"), os.environ.get("TRUSS") or "truss")
    note(cli.version)
    work = tempfile.mkdtemp(prefix="jl-truss-")
    d = Joblogd("--drain-time", "1s", "--durability", "accepted", port=PORT)


def teardown():
    if d:
        d.close()
        shutil.rmtree(work, ignore_errors=True)


def note(text):
    """A figure for the closing note; the runner keeps standard output to itself."""
    with open(os.path.join(BUILD, "truss", "figures.txt"), "a") as f:
        f.write(text + "\n")


def job_run(job, script, *options):
    """joblog run … -- sh -c script"""
    env = {k: v for k, v in os.environ.items() if not re.match(r"JOBLOG_|RANK$|WORLD_SIZE$|SLURM_|OMPI_|LOCAL_RANK$|TORCHELASTIC_", k)}
    env.update(JOBLOG_URL=d.url, XDG_STATE_HOME=work, PATH=f"{work}:{env['PATH']}")
    return subprocess.Popen([JOBLOG, "run", "--job", job, *options, "--", "sh", "-c", script], env=env,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def compare(what, shown, wrote):
    """Every line once and in order; says how many were shown, lost, repeated."""
    count, want = collections.Counter(shown), collections.Counter(wrote)
    lost = sum((want - count).values())
    repeated = sum((count - want).values())
    note(f"{what}: wrote {len(wrote)}, shown {len(shown)}, lost {lost}, repeated {repeated}")
    assert lost == 0 and repeated == 0, (what, len(wrote), len(shown), lost, repeated)
    assert shown == wrote, f"{what}: another order"


# ---- looking ------------------------------------------------------------------------------------

def test_view():
    """truss train view, --project, --job-id: what was given at creation, in tables fit for a person."""
    d.post("/v1/jobs", {"id": "v1", "project": "views", "name": "first", "instance_type": "H100:8x80", "priority": 2,
                        "user": "ada@example.org", "availability": "spot"})
    d.post("/v1/projects", {"id": "views", "name": "Language models"})
    d.post("/v1/jobs", {"id": "v2", "project": "views"})
    d.event("v2", "QUEUED")
    d.post("/v1/jobs", {"id": "v3", "project": "views"})
    d.event("v3", "FAILED", message="out of memory", exit_code=137)
    every = cli.run("view")
    assert every.code == 0 and "Training Projects" in every.out and "Active Training Jobs" in every.out, every
    check_for_people(every.out)
    assert re.search(r"views +│ Language models +│ 20\d\d-", every.out), every
    assert re.search(r"v1 +│ first +│ Language models +│ TRAINING_JOB_CREATED +│ H100:8x80 +│ Spot +│ ada@example.org", every.out), every
    assert not re.search(r"│ v3 +│ +│ Language", every.out), every
    for name in ("views", "Language models"):
        some = cli.run("view", "--project", name)
        assert some.code == 0 and re.search(r"v1 .*\n.*v2 .*\n.*v3 .*TRAINING_JOB_FAILED", some.out), some
        check_for_people(some.out)
    one = cli.run("view", "--job-id", "v1")
    assert one.code == 0 and all(re.search(rf"{k} +│ {v}", one.out) for k, v in (
        ("Job Name", "first"), ("Project Name", "Language models"), ("Priority", "2"), ("Availability Model", "spot"),
        ("Created By", "ada@example.org"), ("Created", r"20\d\d-"))), one
    check_for_people(one.out)
    failed = cli.run("view", "--job-id", "v3")
    assert failed.code == 0 and re.search(r"Error Message +│ out of memory", failed.out), failed
    check_for_people(failed.out)
    missing = cli.run("view", "--job-id", "nothing")
    assert missing.code == 2 and "No training jobs found" in missing.out, missing
    check_for_people(missing.out)


def test_what_is_not_ours():
    """What joblog does not do ends in a sentence, not in a trace of joblogd's making."""
    d.post("/v1/jobs", {"id": "n1", "project": "ours"})
    p = cli.run("update", "--job-id", "n1", "--priority", "5")
    assert p.code != 0 and "joblog keeps logs, states and metrics of training jobs" in p.out, p
    p = cli.run("recreate", "--job-id", "n1")
    assert p.code != 0 and "it does not run them" in p.out, p


# ---- logs ---------------------------------------------------------------------------------------

ODD = ["plain", "[red]no markup[/red] :smile: [link=x]y[/link]", "  indented and trailing  ", "grüße, 你好, 🚀", "tab\there",
       "\x1b[31mred\x1b[0m", "100%|██████████| 5/5", "a" * 300, "[2026-01-01 00:00:00]: (x) looks like a line", "None", "{}", "-"]


def test_logs_line_by_line():
    """truss train logs by job, project id and name, with and without --tail: each line as it was written, with its second."""
    sent = [{"msg": m, "replica": f"node-{i % 3}"} if i % 2 else {"msg": m} for i, m in enumerate(ODD)]
    d.post("/v1/jobs", {"id": "odd", "project": "lines"})
    d.post("/v1/projects", {"id": "lines", "name": "Line by line"})
    d.event("odd", "RUNNING")
    d.post_lines("odd", sent)
    d.event("odd", "COMPLETED")
    wait_for(lambda: d.job("odd")["sealed"], 30, "sealed")
    api = d.post("/v1/training_projects/lines/jobs/odd/logs", {"direction": "asc"}).json()["logs"]
    want = [(second(int(x["timestamp"])), x["replica"], x["message"].strip()) for x in api]
    assert len(want) == len(ODD) + 3
    for words in (["--job-id", "odd"], ["--project", "Line by line"], ["--project-id", "lines"], ["--project", "lines", "--job-id", "odd"],
                  ["--job-id", "odd", "--tail"]):
        p = cli.run("logs", *words)
        assert p.code == 0, p
        got = [(t, r, re.sub("^tab +here$", "tab\there", m)) for t, r, m in p.lines]  # its way with tabs is its own
        assert got == want, (words, [x for x in zip(got, want) if x[0] != x[1]][:3], len(got), len(want))
        assert p.rest == (["Training job completed successfully."] if "--tail" in words else []), p.rest
    missing = cli.run("logs", "--job-id", "nothing")
    assert missing.code == 2 and "No jobs found" in missing.out, missing
    nowhere = cli.run("logs", "--project", "nowhere")
    assert nowhere.code != 0 and "nowhere" in nowhere.out, nowhere


def test_identical_lines():
    """2,500 identical lines of one nanosecond are 2,500 lines, in a download and in a tail."""
    d.post("/v1/jobs", {"id": "same"})
    d.event("same", "RUNNING")
    d.post_lines("same", [{"msg": "same", "ts": "2026-01-01T00:00:00.000000001Z"}] * 2500)
    d.event("same", "COMPLETED")
    wait_for(lambda: d.job("same")["sealed"], 30, "sealed")
    for words in ([], ["--tail"]):
        p = cli.run("logs", "--job-id", "same", *words)
        compare(f"identical lines {' '.join(words)}".strip(), [m for m in p.messages() if m == "same"], ["same"] * 2500)


def test_a_three_hour_silence():
    """A silence of three hours, longer than truss' window of two, does not end its download."""
    us = int(time.time() - 36000) * 1_000_000
    records = plant(d, "silent", [(us, [("before", "info")]), (us + 3 * 3_600_000_000, [("after", "info")] * 3),
                                  (us + 7 * 3_600_000_000, [("much later", "info")])], state="COMPLETED")
    p = cli.run("logs", "--job-id", "silent")
    assert [(t, m) for t, _, m in p.lines] == [(second(ns), m) for ns, m, _ in records], p
    note(f"three-hour silence: wrote {len(records)}, shown {len(p.lines)}")


def test_over_already_and_without_lines():
    """A tail of a job that is over, and of one without a line, ends; so does a download of the latter."""
    d.post_lines("over", [f"over {i}" for i in range(3000)])
    d.event("over", "FAILED", message="bad luck", exit_code=9)
    wait_for(lambda: d.job("over")["sealed"], 30, "sealed")
    before = d.metric("joblog_http_requests_total")
    p = cli.run("logs", "--job-id", "over", "--tail")
    assert p.code == 0 and p.rest == ["Training job failed during execution."], p
    compare("already over, --tail", [m for m in p.messages() if m.startswith("over")], [f"over {i}" for i in range(3000)])
    assert p.messages()[-1] == "TRAINING_JOB_FAILED (exit code 9): bad luck", p.messages()[-1]
    requests = d.metric("joblog_http_requests_total") - before - 1  # this one
    assert requests == 4, requests  # search, sessions, status, and one for all lines
    d.post("/v1/jobs", {"id": "mute"})
    p = cli.run("logs", "--job-id", "mute")
    assert p.messages() == ["TRAINING_JOB_CREATED"], p
    t = cli.start("logs", "--job-id", "mute", "--tail")
    time.sleep(3)  # it waits for the job to begin, and prints nothing on a pipe
    d.event("mute", "RUNNING")
    wait_for(lambda: any("TRAINING_JOB_RUNNING" in r for _, r in t.arrived), 60, "the tail begins")
    d.event("mute", "STOPPED")
    p = t.wait(90)
    assert p.code == 0 and p.rest[-1:] == ["Training job stopped by user."], p
    assert p.messages() == ["TRAINING_JOB_CREATED", "TRAINING_JOB_RUNNING", "TRAINING_JOB_STOPPED"], p
    note(f"job without lines, --tail: ended, exit {p.code}, {p.messages()}")


def test_a_busy_tail():
    """12,000 lines at 1,000/s beside other writers: 12,000 shown, 0 lost, 0 repeated, and the end said."""
    d.post("/v1/jobs", {"id": "busy"})
    d.event("busy", "RUNNING")
    t = cli.start("logs", "--job-id", "busy", "--tail")
    wait_for(lambda: t.arrived, 60, "the tail begins")
    sent_at = {}

    def text(i):
        sent_at[i] = time.time()
        return f"busy {i}"

    with Background(d) as others:
        wrote = steady(d, "busy", 12000, 1000, text)
        ended = time.time()
        p = t.wait(120)
    assert p.code == 0 and others.failure is None, (p.code, others.failure)
    compare("12,000 lines at 1,000/s, --tail", [m for m in p.messages() if m.startswith("busy")], wrote)
    assert p.rest == ["Training job completed successfully."], p.rest
    assert "TRAINING_JOB_COMPLETED" in p.messages()[-1]
    late = sorted(at - sent_at[int(m.group(1))] for at, m in ((a, re.search(r"busy (\d+)$", r)) for a, r in t.arrived) if m)
    note(f"  line to screen: p50 {late[len(late) // 2]:.2f} s, p99 {late[len(late) * 99 // 100]:.2f} s; "
         f"ended {t.arrived[-1][0] - ended:.1f} s after the job; {others.lines} lines of other jobs meanwhile")


def test_a_long_download():
    """A download of millions of lines is complete, while others write, and joblogd's memory stays bounded."""
    fill(d, "big", LINES)
    out = os.path.join(work, "big.txt")
    begin = time.time()
    peak = 0
    with Background(d) as others, open(out, "w") as f:
        p = subprocess.Popen(cli.argv("logs", "--job-id", "big"), env=cli.env, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT)
        while p.poll() is None and time.time() - begin < 1500:
            peak = max(peak, d.rss_bytes())
            threading.Event().wait(0.2)
        p.kill()
    assert p.wait() == 0 and others.failure is None
    n = 0
    with open(out) as f:
        for row in f:
            for _, _, m in rows(row.rstrip("\n"))[0]:
                if n or m == big_line(0):
                    assert m == big_line(n), (n, m)
                    n += 1
    note(f"download: wrote {LINES}, shown {n}, in {time.time() - begin:.0f} s (most of it truss printing); joblogd at most "
         f"{peak / 1048576:.0f} MiB resident; {others.lines} lines of other jobs meanwhile")
    assert n == LINES and peak < MEMORY_BYTES_MAX, (n, peak)


# ---- stop, metrics ------------------------------------------------------------------------------

def test_stop():
    """truss train stop ends the command of an agent; stopping what has ended is refused with a sentence; --all asks."""
    p = job_run("halt", "trap 'echo saving; exit 5' TERM; echo ready; while :; do sleep 0.1; done")
    wait_for(lambda: d.get("/v1/jobs/halt").status == 200 and "ready" in [r["msg"] for r in d.records("halt")], 30, "ready")
    s = cli.run("stop", "--job-id", "halt")
    assert s.code == 0 and s.rest == ["Training job stopped successfully."], s
    assert p.wait(30) == 5
    wait_for(lambda: d.job("halt")["sealed"], 30, "sealed")
    assert d.job("halt")["state"] == "TRAINING_JOB_STOPPED" and "saving" in [r["msg"] for r in d.records("halt")]
    again = cli.run("stop", "--job-id", "halt")
    assert again.code == 2 and "No queued or running jobs found" in again.out, again
    d.post("/v1/jobs", {"id": "h1", "project": "halts"})
    d.post("/v1/jobs", {"id": "h2", "project": "halts"})
    with Tmux(120, 30) as screen:
        screen.run(cli.shell("stop", "--project", "halts", "--all"), url=d.url)
        screen.wait(lambda r: any("stop 2 active jobs" in x for x in r), 60)
        screen.keys("y")
        screen.wait(lambda r: any("stopped successfully" in x for x in r), 60)
        check_for_people("\n".join(screen.rows_seen()))
    assert {d.job(j)["state"] for j in ("h1", "h2")} == {"TRAINING_JOB_STOPPED"}


def test_metrics():
    """truss train metrics on a terminal: CPU, memory, disk, GPUs of a job that runs; a waiting one and an ended one too."""
    with open(os.path.join(work, "nvidia-smi"), "w") as f:
        f.write("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 93, 71234, 81559'\necho 'NVIDIA H100 80GB HBM3, 7, 10, 81559'\n")
    os.chmod(os.path.join(work, "nvidia-smi"), 0o755)
    p = job_run("measured", "echo go; while :; do sleep 0.1; done", "--sample-interval", "200ms")
    wait_for(lambda: d.get("/v1/jobs/measured/nodes").status == 200
             and [n for n in d.get("/v1/jobs/measured/nodes").json()["nodes"] if len(n["at"]) > 2], 30, "samples")
    with Tmux(110, 40) as screen:
        screen.run(cli.shell("metrics", "--job-id", "measured", columns=110), url=d.url)
        seen = "\n".join(screen.wait(lambda r: any("Eph. storage utilization" in x for x in r), 60))
        check_for_people(seen)
        for pattern in (r"Node: \S+", r"CPU usage +│ +\d+\.\d\d cores", r"CPU memory +│ +[\d.]+ [MG]B", r"GPU 0 utilization +│ 93\.0%",
                        r"GPU 0 memory +│ 74\.69 GB", r"GPU 1 utilization +│ 7\.0%", r"Eph. storage usage +│ [\d.]+ [MGT]B",
                        r"Eph. storage utilization +│ [\d.]+%"):
            assert re.search(pattern, seen), (pattern, seen)
        cli.run("stop", "--job-id", "measured")
        p.wait(40)
        screen.wait(lambda r: any("Training job stopped by user" in x for x in r), 90)
    ended = cli.run("metrics", "--job-id", "measured")
    assert ended.code == 0 and "CPU usage" in ended.out and "GPU 1 utilization" in ended.out, ended
    check_for_people(ended.out)
    d.post_lines("unmeasured", ["x"])
    d.event("unmeasured", "COMPLETED")
    empty = cli.run("metrics", "--job-id", "unmeasured")
    assert empty.code == 0 and "Waiting for metrics to become available" in empty.out, empty
    check_for_people(empty.out)


# ---- when something is away ---------------------------------------------------------------------

def test_redis_is_killed_under_a_tail():
    """Redis is killed and comes back: the tail goes on, every line once."""
    d.post("/v1/jobs", {"id": "crash"})
    d.event("crash", "RUNNING")
    t = cli.start("logs", "--job-id", "crash", "--tail")
    wait_for(lambda: t.arrived, 60, "the tail begins")
    sent, i, killed, end = [], 0, False, time.monotonic() + 12
    while time.monotonic() < end:
        try:
            if d.post_lines("crash", [f"c{i}"], headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(i + 1)}).status == 200:
                sent.append(f"c{i}")
                i += 1
        except OSError:
            pass
        if not killed and len(sent) > 50:
            killed = True
            os.kill(d.redis_pid(), signal.SIGKILL)
        threading.Event().wait(0.02)
    wait_for(d.is_ready, 30, "ready again")
    d.event("crash", "COMPLETED")
    p = t.wait(120)
    assert p.code == 0 and killed, p
    compare("Redis killed under a tail", [m for m in p.messages() if re.match(r"c\d", m)], sent)


def test_joblogd_is_restarted_under_a_tail():
    """truss never asks twice: a restart of joblogd ends its tail with exit 1; what it showed till then is right."""
    d.post("/v1/jobs", {"id": "again"})
    d.event("again", "RUNNING")
    t = cli.start("logs", "--job-id", "again", "--tail")
    wait_for(lambda: t.arrived, 60, "the tail begins")
    d.post_lines("again", [f"a{i}" for i in range(500)])
    wait_for(lambda: any(r.endswith(": a499") for _, r in t.arrived), 30, "shown")
    d.kill(signal.SIGTERM)
    time.sleep(2.5)  # longer than its pause
    d.start()
    p = t.wait(90)
    shown = [m for m in p.messages() if re.match(r"a\d", m)]
    assert p.code == 1 and shown == [f"a{i}" for i in range(500)], p
    note(f"joblogd restarted under a tail: exit {p.code}, last words: {[x for x in p.rest if 'refused' in x][-1:] or p.rest[-1:]}")
    d.post_lines("again", ["a500"])
    d.event("again", "COMPLETED")
    p = cli.run("logs", "--job-id", "again")
    assert [m for m in p.messages() if re.match(r"a\d", m)] == [f"a{i}" for i in range(501)], p


def test_keys():
    """A key joblogd does not know is refused with a sentence; one of a project shows that project."""
    d.post_lines("mine", ["of mine"], query="?project=pa")
    d.post_lines("theirs", ["of theirs"], query="?project=pb")
    root = d.close_doors()
    key = d.make_token("read,ingest", "pa")["token"]
    try:
        p = cli.run("view")
        assert p.code == 1 and re.search(r"Client error: \w+", p.out), p
        cli.set_key(key)
        p = cli.run("view")
        assert p.code == 0 and "mine" in p.out and "theirs" not in p.out and "pb" not in p.out, p
        check_for_people(p.out)
        assert "of mine" in cli.run("logs", "--job-id", "mine").messages()
        p = cli.run("logs", "--job-id", "theirs")
        assert p.code == 2 and "No jobs found" in p.out, p
        cli.set_key(root)
        assert "of theirs" in cli.run("logs", "--job-id", "theirs").messages()
    finally:
        cli.set_key("anything")
