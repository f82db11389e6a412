"""tests/e2e/11-ingest-marks.py -- what is read of lines on their way in: ranks, blocks, bars."""
import os
import subprocess
import sys
import tempfile

from harness import JOBLOG, ROOT, Joblogd, wait_for

d = None
CORPUS = os.path.join(ROOT, "tests", "unit", "digest", "corpus")


def setup():
    global d
    d = Joblogd("--drain-time", "200ms")


def teardown():
    d.close()


def lines(job, query="tail=all"):
    return [r for r in d.records(job, query) if "state" not in r]


def test_a_traceback_in_pieces():
    """However a log is cut into requests, a filter for errors shows the whole traceback, its lines numbered."""
    text = open(os.path.join(CORPUS, "chained-313.log")).read()
    for cut in (1, 3, 20):
        job, rows = f"cut-{cut}", text.splitlines(keepends=True)
        for at in range(0, len(rows), cut):
            assert d.post(f"/v1/jobs/{job}/logs", "".join(rows[at:at + cut]), {"Content-Type": "text/plain"}).status == 200
        got = lines(job)
        assert "".join(r["msg"] + "\n" for r in got) == text
        block = [r for r in got if r.get("level") == "error"]
        assert len(block) == len(got) - 1 == 27, (cut, len(block))
        assert [r.get("fields", {}).get("block") for r in block] == [None] + list(range(2, 28))
        assert lines(job, "level=error&tail=all") == block


def test_ranks_of_launchers():
    """Lines of mpirun's ranks get their ranks, the traceback of rank 1 is whole between the lines of the others."""
    text = open(os.path.join(CORPUS, "mpi.log")).read()
    assert d.post("/v1/jobs/mpi/logs", text, {"Content-Type": "text/plain"}).status == 200
    got = lines("mpi", "rank=1&tail=all")
    assert len(got) == 9 and all(r["msg"].startswith("[1,1]<std") for r in got)
    assert [r["msg"] for r in lines("mpi", "level=error&tail=all")] == [r["msg"] for r in got[3:]]
    assert {r["rank"] for r in d.get("/v1/jobs/mpi/stats").json()["ranks"]} == {None, 0, 1, 2}
    # nobody is guessed: local ranks and prose
    assert d.post_lines("local", ["[default3]:loss 2.3", "waiting for rank 3"]).status == 200
    assert [(r.get("rank"), r.get("fields")) for r in lines("local")] == [(None, {"local_rank": 3}), (None, None)]


def test_the_agents_road():
    """A program under `joblog run` that dies by an exception: all of it is one block of level error."""
    program = "import time\nprint('step 1', flush=True)\ntime.sleep(0.3)\ndef f():\n    raise ValueError('bad shape')\nf()\n"
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("JOBLOG_")}, "JOBLOG_URL": d.url}
    done = subprocess.run([JOBLOG, "run", "--job", "agent", "--quiet", "--", sys.executable, "-c", program], env=env,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    wait_for(lambda: d.job("agent")["sealed"], 20, "sealed")
    errors = lines("agent", "level=error&tail=all")
    assert [r["msg"] for r in errors] == done.stderr.splitlines(), (errors, done.stderr)
    assert errors[-1]["fields"] == {"block": len(errors)} and errors[-1]["msg"] == "ValueError: bad shape"


def test_one_agent_that_carries_many_ranks():
    """srun joblog run -- torchrun: the node's number is no rank of its lines; their own prefixes are, and a local rank is where the job has one node."""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "torchrun")
        with open(program, "w") as f:
            f.write("#!/bin/sh\nprintf '%s\\n' starting '[default2]:[rank10]: loss 2.5' '[default3]:loss 2.3' '[rank11]: ValueError: bad'\nexit $1\n")
        os.chmod(program, 0o755)
        wrapper = os.path.join(folder, "train.sh")
        with open(wrapper, "w") as f:
            f.write(f"#!/bin/sh\nexec {program} $1\n")
        os.chmod(wrapper, 0o755)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("JOBLOG_", "SLURM_", "RANK", "PET_"))}
        env.update(JOBLOG_URL=d.url, XDG_STATE_HOME=folder)
        two = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_NUM_NODES": "2"}
        one = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
        # by its name the launcher is known from its first line; below a script from the first rank that no node has
        for job, argv, more, want, producer in (
                ("two", [program, "0"], two, [None, 10, None, 11], "node-1"), ("one", [program, "0"], one, [None, 10, 3, 11], "node-0"),
                ("script", [wrapper, "0"], two, [1, 10, None, 11], "rank-1"), ("bare", [program, "0"], {}, [None, 10, 3, 11], None)):
            done = subprocess.run([JOBLOG, "run", "--job", job, "--quiet", "--", *argv], env={**env, **more}, capture_output=True, timeout=60)
            assert done.returncode == 0, done
            got = lines(job)
            assert [r.get("rank") for r in got] == want, (job, got)
            assert got[2]["fields"]["local_rank"] == 3, got
            assert producer in (None, d.job(job)["producers"][0]["id"]), d.job(job)["producers"]
        # all nodes of a job that say they are done make it COMPLETED
        done = subprocess.run([JOBLOG, "run", "--job", "two", "--quiet", "--", program, "0"], env={**env, **two, "SLURM_PROCID": "0"},
                              capture_output=True, timeout=60)
        assert done.returncode == 0 and d.job("two")["state"] == "TRAINING_JOB_COMPLETED", d.job("two")["state"]
        # local ranks alone are nobody's in the post-mortem of several nodes
        subprocess.run([JOBLOG, "run", "--job", "blame", "--quiet", "--", program, "1"], env={**env, **two}, capture_output=True, timeout=60)
        verdict = d.get("/v1/jobs/blame/postmortem?format=json").json()["verdict"]
        assert verdict["rank"] in (None, 11) and verdict["rank"] != 1, verdict


def test_bars():
    """A redrawn bar is stored with how far it came."""
    body = "".join(f"\r {i:3d}%|{'#' * (i // 10):10s}| {i}/100 [00:{i // 2:02d}<00:{50 - i // 2:02d},  2.00it/s]" for i in range(0, 101, 5))
    assert d.post("/v1/jobs/bars/logs", body + "\n", {"Content-Type": "text/plain"}).status == 200
    (bar,) = lines("bars")
    assert bar["fields"]["progress"] == {"percent": 100, "done": 100, "total": 100, "rate": 2, "unit": "it", "eta_s": 0}
    assert bar["fields"]["redraws"] == 20
