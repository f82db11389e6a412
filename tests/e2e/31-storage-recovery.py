"""tests/e2e/31-storage-recovery.py -- Redis went back, was emptied or is gone: jobs come back from the archive."""
import json
import os
import shutil
import signal
import threading
import time

from harness import Joblogd, tail_records, wait_for

FAST = ["--segment-age", "1s", "--drain-time", "500ms"]
NDJSON = {"Content-Type": "text/plain"}


def send(d, job, first, count, producer="w0", epoch=1):
    """Lines first..first+count-1 of a producer with sequence numbers."""
    body = "".join(f"{producer}:{i}\n" for i in range(first, first + count))
    return d.post(f"/v1/jobs/{job}/logs?rank=0", body, {**NDJSON, "X-Producer": producer, "X-Epoch": str(epoch),
                                                        "X-Sequence": str(first)})


def msgs(d, job):
    return [r["msg"] for r in d.records(job) if "state" not in r and "gap" not in r]


def archived(d, job, seq):
    wait_for(lambda: d.job(job)["archived_upto"] >= seq, 20, f"{job} archived up to {seq}")


def strip(job):
    """What of a job's JSON must survive: all but the epoch and what the moment decides."""
    kept = {k: v for k, v in job.items() if k not in ("epoch", "cursor", "duration_s", "held_from")}
    kept["history"] = [{k: v for k, v in h.items() if k != "duration_s"} for h in job["history"]]
    return kept


def redis_dir(d):
    return os.path.join(d.data, "redis", "appendonlydir")


def kill_both(d):
    """joblogd and its Redis, as a power cut would."""
    pid = d.redis_pid()
    d.kill(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 10, "redis is gone")


def test_redis_lost_entirely():
    """With Redis' data gone joblogd rebuilds jobs, states, counters, producers and archives; a cursor of the lost history
    answers reset; a live job goes on where the archive ends, nothing twice."""
    with Joblogd(*FAST) as d:
        d.post("/v1/jobs", {"id": "done", "name": "a name", "labels": {"team": "x"}, "ranks": 1, "instance_type": "8xH100"})
        assert send(d, "done", 1, 500).status == 200
        d.event("done", "RUNNING")
        d.post("/v1/jobs/done/logs", "", {"X-Producer": "w0", "X-Epoch": "1", "X-Producer-Fin": "500"})
        d.event("done", "FAILED", exit_code=3, message="it broke", rank=0)
        wait_for(lambda: d.job("done")["sealed"], 10, "sealed")
        archived(d, "done", d.job("done")["seq"])
        assert send(d, "live", 1, 300).status == 200
        archived(d, "live", 300)
        before = {j: d.job(j) for j in ("done", "live")}
        text = {j: d.get(f"/v1/jobs/{j}/logs?tail=all").body for j in before}
        kill_both(d)
        shutil.rmtree(os.path.join(d.data, "redis"))
        d.start()
        for j, was in before.items():
            assert strip(d.job(j)) == strip(was), (d.job(j), was)
            assert d.job(j)["epoch"] > was["epoch"]
            assert d.get(f"/v1/jobs/{j}/logs?tail=all").body == text[j]
            messages, _, _ = d.tail_ws(j, f"after={was['cursor']}", until=lambda m: m["type"] in ("reset", "end"))
            assert any(m["type"] == "reset" for m in messages), messages
        listed = [x["id"] for x in d.get("/v1/jobs").json()["jobs"]]
        assert sorted(listed) == ["done", "live"]
        assert [x["id"] for x in d.get("/v1/jobs?active=1").json()["jobs"]] == ["live"]
        assert [x["id"] for x in d.get("/v1/jobs?label.team=x&state=FAILED").json()["jobs"]] == ["done"]
        assert send(d, "done", 501, 1).status == 409
        r = send(d, "live", 291, 20).json()
        assert (r["accepted"], r["duplicates"], r["first"]) == (10, 10, 301), r
        assert msgs(d, "live") == [f"w0:{i}" for i in range(1, 311)]
        d.event("live", "COMPLETED")
        messages, code, _ = d.tail_ws("live", "tail=all")
        assert code == 1000 and messages[-1]["type"] == "end"
        assert [r["seq"] for r in tail_records(messages)] == list(range(1, 312))


def test_redis_emptied_while_running():
    """FLUSHALL under joblogd: it is noticed without a restart, jobs come back, a follower is told reset and goes on."""
    with Joblogd(*FAST) as d:
        for n in range(6):
            assert send(d, f"job-{n}", 1, 50).status == 200
        for n in range(6):
            archived(d, f"job-{n}", 50)
        d.redis_cli("FLUSHALL")
        assert d.job("job-5")["lines"] == 50  # asked for: brought back at once
        wait_for(lambda: len(d.get("/v1/jobs?limit=100").json()["jobs"]) == 6, 20, "all jobs are listed again")
        assert send(d, "job-3", 51, 5).json()["first"] == 51
        assert msgs(d, "job-3") == [f"w0:{i}" for i in range(1, 56)]
        assert d.metric("joblog_jobs_restored_total") == 6
        wait_for(lambda: d.metric("joblog_archive_rebuild_running") == 0, 20, "the rebuild has ended")


def test_rollback_behind_the_archive():
    """Redis comes back with an older state than the archive has: numbers go on after the archive, what was archived stays,
    the producer is asked (gap) for what is lost, and every record is there once, in one order."""
    with Joblogd(*FAST, "--segment-bytes", "64KiB") as d:
        assert send(d, "j", 1, 100).status == 200
        old = os.path.join(d.data, "old-aof")
        shutil.copytree(redis_dir(d), old)
        assert send(d, "j", 101, 2000).status == 200
        d.event("j", "RUNNING")
        archived(d, "j", 2100)
        epoch = d.job("j")["epoch"]
        cursor = f"{epoch}:150"
        assert send(d, "j", 2101, 100).status == 200  # not archived when it is lost
        kill_both(d)
        shutil.rmtree(redis_dir(d))
        shutil.copytree(old, redis_dir(d))
        d.start()
        r = send(d, "j", 2201, 10)
        assert r.status == 409 and r.json()["code"] == "gap", r
        expected = r.json()["expected"]
        assert 2101 <= expected <= 2201, expected  # at the earliest after what the archive holds
        assert send(d, "j", expected, 2211 - expected).status == 200
        assert msgs(d, "j") == [f"w0:{i}" for i in range(1, 2211)]
        assert [r["seq"] for r in d.records("j")] == list(range(1, d.job("j")["seq"] + 1))
        assert d.job("j")["epoch"] > epoch
        assert d.job("j")["lines"] == 2210
        messages, _, _ = d.tail_ws("j", f"after={cursor}", until=lambda m: m["type"] == "lines")
        assert any(m["type"] == "reset" for m in messages), messages
        assert len(d.logged("a log was restored from the archive")) == 1
        d.event("j", "COMPLETED")
        d.post("/v1/jobs/j/logs", "", {"X-Producer": "w0", "X-Epoch": "1", "X-Producer-Fin": "2210"})
        wait_for(lambda: d.job("j")["sealed"], 10, "sealed")
        archived(d, "j", d.job("j")["seq"])
        assert msgs(d, "j") == [f"w0:{i}" for i in range(1, 2211)]


def test_killed_between_a_segment_and_its_job():
    """joblogd is killed when a segment has just got its name, and Redis comes back without those lines: who sent them is known, and
    the producer that sends them again gets `duplicates`. So after each run: the job is known as of the end of the archive."""
    with Joblogd(*FAST, "--segment-bytes", "64KiB") as d:
        job_json = os.path.join(d.data, "archive", "default", "j", "job.json")
        assert send(d, "j", 1, 100).status == 200
        archived(d, "j", 100)
        old, before = os.path.join(d.data, "old-aof"), open(job_json, "rb").read()
        shutil.copytree(redis_dir(d), old)
        assert send(d, "j", 101, 3000).status == 200  # more than a segment is asked to have
        archived(d, "j", 3100)
        assert json.load(open(job_json))["seq"] == 3100
        assert not os.path.exists(job_json + ".next")
        kill_both(d)
        os.rename(job_json, job_json + ".next")  # the moment before it takes the place of the other
        with open(job_json, "wb") as f:
            f.write(before)
        shutil.rmtree(redis_dir(d))
        shutil.copytree(old, redis_dir(d))
        d.start()
        r = send(d, "j", 101, 3100).json()
        assert (r["accepted"], r["duplicates"]) == (100, 3000), r
        assert msgs(d, "j") == [f"w0:{i}" for i in range(1, 3201)]
        archived(d, "j", 3200)
        assert json.load(open(job_json))["seq"] == 3200
        assert not os.path.exists(job_json + ".next")


def test_rollback_that_nobody_here_has_seen():
    """Class accepted: joblogd and Redis are killed, Redis comes back with less than readers had seen and nothing was archived: their
    cursors answer reset, though the new joblogd knows of no loss. After a kill of joblogd alone, and after a clean stop, they go on."""
    with Joblogd("--durability", "accepted") as d:
        assert send(d, "j", 1, 100).status == 200
        cursor = d.job("j")["cursor"]
        for sig in (signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
            d.restart(sig)
            assert d.job("j")["cursor"] == cursor, sig
        d.kill(signal.SIGTERM)  # Redis ends too: its file is whole
        old = os.path.join(d.data, "old-aof")
        shutil.copytree(redis_dir(d), old)
        d.start()
        assert send(d, "j", 101, 100).status == 200
        seen = d.job("j")["cursor"]
        kill_both(d)
        shutil.rmtree(redis_dir(d))
        shutil.copytree(old, redis_dir(d))
        d.start()
        told = []  # by many at once: whoever comes while the loss is being found out waits for the new epoch
        tails = [threading.Thread(target=lambda: told.append(
            d.tail_ws("j", f"after={seen}", until=lambda m: m["type"] in ("reset", "lines"))[0])) for _ in range(24)]
        for t in tails:
            t.start()
        for t in tails:
            t.join(30)
        assert len(told) == len(tails)
        for messages in told:
            assert [m["type"] for m in messages] == ["hello", "reset"], messages
            assert messages[0]["cursor"].split(":")[0] == str(messages[1]["epoch"]) != seen.split(":")[0], messages
        assert d.job("j")["epoch"] > int(seen.split(":")[0])
        assert d.get(f"/v1/jobs/j/logs?after={seen}").status == 409
        assert send(d, "j", 201, 10).json()["expected"] == 101
        assert send(d, "j", 101, 110).status == 200
        assert msgs(d, "j") == [f"w0:{i}" for i in range(1, 211)]


def test_a_killed_node_archives_again_at_once():
    """joblogd is killed while it holds the archive lease of a job: started again it takes its own lease back and goes on, it
    does not wait out the 30 s."""
    with Joblogd(*FAST) as d:
        assert send(d, "j", 1, 100).status == 200
        archived(d, "j", 100)
        assert send(d, "j", 101, 100).status == 200
        assert d.redis_cli("HGET", "jl:{default/j}:meta", "lease_node").strip() == open(d.data + "/node-id").read()
        d.redis_cli("HSET", "jl:{default/j}:meta", "lease_until_us", str(int((time.time() + 30) * 1e6)))
        d.restart(signal.SIGKILL)
        archived(d, "j", 200)


def test_many_archived_jobs_start_fast():
    """With 1,000 archived jobs and an empty Redis joblogd is ready at once and brings them back meanwhile; one that is asked
    for before its turn is there."""
    with Joblogd(*FAST) as d:
        assert send(d, "seed", 1, 10).status == 200
        d.event("seed", "COMPLETED")
        wait_for(lambda: d.job("seed")["sealed"], 10, "sealed")
        archived(d, "seed", 11)
        seed = os.path.join(d.data, "archive/default/seed")
        info = json.load(open(seed + "/job.json"))
        segment = [n for n in os.listdir(seed) if n.endswith(".zst")][0]
        for n in range(1000):
            path = os.path.join(d.data, f"archive/p{n % 3}/job-{n:05}")
            os.makedirs(path)
            os.link(os.path.join(seed, segment), os.path.join(path, segment))
            with open(path + "/job.json", "w") as f:
                json.dump({**info, "id": f"job-{n:05}", "project": f"p{n % 3}"}, f)
        kill_both(d)
        shutil.rmtree(os.path.join(d.data, "redis"))
        began = time.monotonic()
        d.start()
        ready_s = time.monotonic() - began
        assert d.job("job-00999")["lines"] == 10
        assert d.get("/v1/jobs/nowhere").status == 404
        wait_for(lambda: d.metric("joblog_archive_rebuild_rounds_total") >= 1, 60, "the rebuild has ended")
        whole_s = time.monotonic() - began
        print(f"1,001 jobs: ready after {ready_s:.2f} s, all there after {whole_s:.2f} s")
        count, cursor = 0, ""
        while cursor is not None:
            page = d.get(f"/v1/jobs?limit=1000{cursor}").json()
            count += len(page["jobs"])
            cursor = f"&cursor={page['next']}" if page["next"] else None
        assert count == 1001, count
        assert ready_s < 5, ready_s
        assert d.metric("joblog_archive_hot_jobs") == 0
