"""tests/e2e/33-serve-retention.py -- old jobs go, everywhere and whole; live and unverified ones never; deleted ones never come back."""
import os
import signal
import subprocess
import tempfile
import unittest

from harness import JOBLOGD, Joblogd, wait_for

FAST = ["--segment-age", "1s", "--drain-time", "200ms"]
PATIENCE_S = 40


def job(d, name, project, lines, end=True):
    d.post("/v1/jobs", {"id": name, "project": project})
    r = d.post_lines(name, [f"{name} {i} " + "x" * 60 for i in range(lines)], f"?project={project}")
    assert r.status == 200, r
    if end:
        assert d.event(f"{name}", "RUNNING").status == 200
        assert d.event(f"{name}", "COMPLETED").status == 200


def there(d):
    return {j["id"] for j in d.get("/v1/jobs?limit=1000").json()["jobs"]}


def archive_dir(d, project, name):
    return os.path.join(d.data, "archive", project, name)


def gone(d, project, name):
    """Of the job nothing is left: not listed, not in Redis, not in the archive."""
    assert d.get(f"/v1/jobs/{name}?project={project}").status == 404
    assert not os.path.exists(archive_dir(d, project, name))
    keys = d.redis_cli("KEYS", f"*{project}/{name}*").split()
    assert not [k for k in keys if not k.endswith(":alert") and ":mark:" not in k], keys  # which hold nothing of the log, and expire
    for index in ("jl:jobs", f"jl:project:{project}", "jl:active", "jl:hot"):
        assert f"{project}/{name}" not in d.redis_cli("ZRANGE", index, "0", "-1").split(), index


def test_by_age():
    """Ended jobs of a project go when they are older than its age; live ones, and projects without a rule, stay."""
    with Joblogd("--retention", "short=3s", *FAST) as d:
        job(d, "old", "short", 100)
        job(d, "live", "short", 100, end=False)
        job(d, "other", "kept", 100)
        wait_for(lambda: "old" not in there(d), PATIENCE_S, "the old job goes")
        gone(d, "short", "old")
        wait_for(lambda: d.metric("joblog_retention_rounds_total") >= d.metric("joblog_retention_jobs_total") + 3, PATIENCE_S, "rounds")
        assert there(d) == {"live", "other"}
        assert d.metric("joblog_retention_jobs_total") == 1
        assert len(d.logged("a job was removed after its time")) == 1
        d.restart(signal.SIGKILL)  # and they do not come back from anywhere
        assert there(d) == {"live", "other"}
        assert len(d.records("other")) >= 100


def test_by_bytes():
    """A project over its bytes loses its longest ended jobs, until it is not; the live one counts but is never removed."""
    with Joblogd("--retention", "*=1MiB/1h", "--retention", "big=1GiB", *FAST) as d:
        for n in range(6):
            job(d, f"j{n}", "small", 4000)  # about 280 KB each
            wait_for(lambda n=n: d.job(f"j{n}")["sealed"], PATIENCE_S, "sealed")
        job(d, "live", "small", 4000, end=False)
        job(d, "b0", "big", 4000)
        wait_for(lambda: len([x for x in there(d) if x.startswith("j")]) == 2, PATIENCE_S, "the oldest go")
        assert there(d) == {"j4", "j5", "live", "b0"}, there(d)
        for n in range(4):
            gone(d, "small", f"j{n}")


def test_unverified_jobs_stay():
    """A job that cannot be archived stays, however old it is; once it can be it is archived, then removed."""
    disk = tempfile.mkdtemp(prefix="jl-ret-")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True).returncode:
        raise unittest.SkipTest("mounting is not permitted here")
    try:
        with Joblogd("--archive", disk, "--retention", "default=1s", *FAST) as d:
            job(d, "j", "default", 100)
            wait_for(lambda: d.metric("joblog_archive_errors_total") >= 1, PATIENCE_S, "archiving fails")
            before = d.metric("joblog_retention_rounds_total")
            wait_for(lambda: d.metric("joblog_retention_rounds_total") > before + 4, PATIENCE_S, "rounds")
            assert len(d.records("j")) >= 100
            subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
            wait_for(lambda: there(d) == set(), PATIENCE_S, "archived, then removed")
    finally:
        subprocess.run(["umount", "-l", disk], check=False)
        os.rmdir(disk)


def test_deleted_while_it_is_archived():
    """DELETE of a job that is being written and archived leaves nothing, and nothing comes back after a kill and a restart."""
    with Joblogd("--segment-bytes", "64KiB", *FAST) as d:
        for n in range(5):
            job(d, f"j{n}", "default", 5000, end=n % 2 == 0)
            assert d.request("DELETE", f"/v1/jobs/j{n}").status == 204
        d.restart(signal.SIGKILL)
        wait_for(lambda: d.metric("joblog_archive_rebuild_rounds_total") >= 1, PATIENCE_S, "the archive was looked through")
        assert there(d) == set()
        for n in range(5):
            gone(d, "default", f"j{n}")
            assert d.request("DELETE", f"/v1/jobs/j{n}").status == 404


def test_rules_that_cannot_be_read_are_refused():
    """A rule that is no rule ends the start with exit code 2 and says what is wanted."""
    for rule in ("30d", "p=30", "p=30d/31d"):
        p = subprocess.run([JOBLOGD, "--retention", rule, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=30)
        assert p.returncode == 2 and rule in p.stderr and "default=30d/50GiB" in p.stderr, (rule, p)
