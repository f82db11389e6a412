"""tests/e2e/50-whole-job.py -- the whole way: eight ranks run, one fails, everybody learns of it."""
import os
import subprocess
import sys
import threading
import unittest

from harness import JOBLOG, PATIENCE, ROOT, Joblogd, joblog, wait_for

d = None
SAMPLE = os.path.join(ROOT, "scripts", "sample_job.py")


def setup():
    global d
    d = Joblogd("--drain-time", f"{5 * PATIENCE:g}s")


def teardown():
    d.close()


def run_ranks(job, ranks, *sample_args):
    """joblog run on every rank; their exit codes."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("JOBLOG_")}
    procs = []
    for rank in range(ranks):
        e = {**env, "JOBLOG_URL": d.url, "RANK": str(rank), "WORLD_SIZE": str(ranks),
             "XDG_STATE_HOME": os.path.join(d.data, "state")}
        procs.append(subprocess.Popen([JOBLOG, "run", "--job", job, "--", sys.executable, SAMPLE, "--speed", "20", *sample_args],
                                      env=e, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL))
    return [p.wait(60) for p in procs]


def test_a_failing_job_of_eight_ranks():
    """A tail opened before the job sees every rank's lines in order, the traceback, and the verdict FAILED with exit code 1."""
    d.post("/v1/jobs", {"id": "demo", "ranks": 8})
    result = {}
    t = threading.Thread(target=lambda: result.update(p=joblog("tail", "demo", "-n", "all", url=d.url)))
    t.start()
    codes = run_ranks("demo", 8, "--stall", str(PATIENCE))  # an agent of a slow build reads its rank's last lines late
    t.join(60)
    assert codes == [1] * 8, codes
    tail = result["p"]
    assert tail.returncode == 1, tail
    assert "Traceback (most recent call last):" in tail.stdout and "CUDA out of memory" in tail.stdout
    assert "FAILED" in tail.stderr, tail.stderr
    job = d.job("demo")
    assert job["state"] == "TRAINING_JOB_FAILED" and job["sealed"] and job["complete"] and job["missing"] == [], job
    assert sorted(r["rank"] for r in job["by_rank"]) == list(range(8))
    # by the agents' clocks, which are one here: lines of different agents may arrive in another order
    first_error = min((r for r in d.records("demo", "level=error") if r.get("level") == "error"), key=lambda r: r["ts"])
    assert first_error["rank"] == 3, first_error
    verdict = d.get("/v1/jobs/demo/postmortem?format=json").json()["verdict"]
    assert (verdict["rank"], verdict["cause"]) == (3, "cuda_oom"), verdict
    steps = [r["msg"].split()[0] for r in d.records("demo", "rank=0") if r["msg"].startswith("step=")]
    assert steps == [f"step={i}" for i in range(1, len(steps) + 1)] and len(steps) == 41
    bars = [r for r in d.records("demo", "q=Loading%20checkpoint") if "state" not in r]
    assert len(bars) == 8 and all("100%" in r["msg"] and r["fields"]["redraws"] > 0 for r in bars), bars[:1]


def test_a_good_job_completes_when_all_ranks_exit_0():
    """With several ranks the job is COMPLETED when all exit 0, and tail exits 0."""
    assert run_ranks("good", 4, "--fail-rank", "-1", "--steps", "20") == [0] * 4
    tail = joblog("tail", "good", "-n", "5", url=d.url)
    assert tail.returncode == 0 and "COMPLETED" in tail.stderr, tail
    job = d.job("good")
    assert job["state"] == "TRAINING_JOB_COMPLETED" and job["complete"], job


def test_show_and_logs_tell_the_same():
    """joblog show and logs agree with the API."""
    shown = joblog("show", "demo", url=d.url)
    assert shown.returncode == 0 and "FAILED" in shown.stdout, shown
    text = joblog("logs", "demo", url=d.url).stdout
    assert text.count("\n") == d.job("demo")["lines"], (text.count("\n"), d.job("demo")["lines"])


def test_make_install_puts_everything_in_place():
    """make install with DESTDIR and PREFIX lays down programs, man pages, unit and completion; uninstall removes them."""
    dest = os.path.join(d.data, "dest")
    build = os.environ.get("BUILD", os.path.join(ROOT, "build"))
    if os.path.basename(build) != "build":
        raise unittest.SkipTest("only the ordinary build is installed")
    args = ["make", "-s", "-C", ROOT, f"B={build}", f"DESTDIR={dest}", "PREFIX=/usr"]
    subprocess.run([*args, "install", "DEV=1"], check=True, capture_output=True, timeout=250)
    for path in ("bin/joblogd", "bin/joblog", "share/man/man1/joblog.1", "share/man/man8/joblogd.8",
                 "lib/systemd/system/joblogd.service", "share/bash-completion/completions/joblog"):
        assert os.path.getsize(os.path.join(dest, "usr", path)) > 100, path
    unit = open(os.path.join(dest, "usr/lib/systemd/system/joblogd.service")).read()
    assert "@PREFIX@" not in unit and "/usr/bin/joblogd" in unit
    subprocess.run([*args, "uninstall"], check=True, capture_output=True, timeout=60)
    left = [f for _, _, files in os.walk(dest) for f in files]
    assert not left, left


def test_restart_in_the_middle_of_a_run():
    """joblogd restarted while ranks write: every line once, in each rank's order."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("JOBLOG_")}
    env.update(JOBLOG_URL=d.url, XDG_STATE_HOME=os.path.join(d.data, "state"))
    script = "import time\nfor i in range(4000):\n    print('n', i, flush=True)\n    time.sleep(0.0005)\n"
    procs = [subprocess.Popen([JOBLOG, "run", "--job", "mid", "--ranks", "2", "--rank", str(r), "--", sys.executable, "-c", script],
                              env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for r in range(2)]
    wait_for(lambda: (d.metric("joblog_lines_total") or 0) > 500, 20, "lines flow")
    d.restart()
    wait_for(lambda: (d.metric("joblog_lines_total") or 0) > 500, 20, "lines flow again")
    d.restart(9)
    assert [p.wait(60) for p in procs] == [0, 0]
    for r in range(2):
        msgs = [x["msg"] for x in d.records("mid", f"rank={r}") if "state" not in x]
        assert msgs == [f"n {i}" for i in range(4000)], (r, len(msgs))
