"""tests/e2e/48-baseten-metrics.py -- nodes measured by joblog run, shown natively and to Baseten's clients."""
import glob
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
import zlib
from datetime import datetime, timezone

from baseten_clients import Golang, Truss, check_time
from harness import JOBLOG, PATIENCE, Joblogd, wait_for

d = None
work = None


def setup():
    global d, work
    work = tempfile.mkdtemp(prefix="jl-metrics-")
    d = Joblogd("--drain-time", "500ms", "--segment-age", "1s")


def teardown():
    d.close()
    shutil.rmtree(work, ignore_errors=True)


def start(job, script, *options, path=None, **env):
    clean = {k: v for k, v in os.environ.items() if not re.match(r"JOBLOG_|RANK$|WORLD_SIZE$|SLURM_|OMPI_|LOCAL_RANK$|TORCHELASTIC_", k)}
    clean.update({"JOBLOG_URL": d.url, "XDG_STATE_HOME": work, **env})
    if path:
        clean["PATH"] = f"{path}:{clean['PATH']}"
    return subprocess.Popen([JOBLOG, "run", "--job", job, "--sample-interval", "200ms", *options, "--", "sh", "-c", script], env=clean,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def nvidia(name, script):
    """A directory with a nvidia-smi of its own."""
    folder = os.path.join(work, name)
    os.makedirs(folder)
    path = os.path.join(folder, "nvidia-smi")
    open(path, "w").write(f"#!/bin/sh\n{script}\n")
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return folder


def nodes(job, project=None):
    r = d.get(f"/v1/jobs/{job}/nodes" + (f"?project={project}" if project else ""))
    assert r.status == 200, r
    found = r.json()["nodes"]
    for n in found:
        columns = [n[k] for k in ("at", "cpu", "memory_bytes", "disk_bytes", "gpu", "gpu_memory_bytes")]
        assert len({len(c) for c in columns}) == 1, n
        assert n["at"] == sorted(n["at"])
        for t in n["at"]:
            check_time(t)
    return found


def test_a_run_is_measured():
    """joblog run sends CPU, memory, disk and GPUs of its node; they are within what the node has."""
    smi = nvidia("two", "echo 'NVIDIA H100 80GB HBM3, 93, 71234, 81559'; echo 'NVIDIA H100 80GB HBM3, [N/A], 10, 81559'")
    p = start("measured", "while :; do :; done", path=smi)
    got = wait_for(lambda: (lambda n: n if n and len(n[0]["at"]) >= 4 else None)(d.get("/v1/jobs/measured/nodes").json()["nodes"]
                   if d.get("/v1/jobs/measured").status == 200 else []), 20, "four samples")
    p.terminate()
    p.communicate(timeout=20)
    n = nodes("measured")[0]
    assert n["replica"] == d.job("measured")["producers"][0]["id"].rsplit("-", 1)[0], n["replica"]
    assert got and n["gpu_names"] == ["NVIDIA H100 80GB HBM3"] * 2 and n["gpu_memory_total_bytes"] == [81559 << 20] * 2
    assert n["gpu"][-1] == [0.93, None] and n["gpu_memory_bytes"][-1] == [71234 << 20, 10 << 20]
    assert n["cpu_count"] > 0 and all(0 <= c <= 1.5 for c in n["cpu"] if c is not None) and max(n["cpu"][1:]) > 0.1, n["cpu"]
    assert all(0 < m <= n["memory_total_bytes"] for m in n["memory_bytes"])
    assert all(0 < m <= n["disk_total_bytes"] for m in n["disk_bytes"])
    age = datetime.now(timezone.utc) - datetime.fromisoformat(n["at"][-1].replace("Z", "+00:00"))
    assert age.total_seconds() < 15


def test_once_a_node():
    """Four ranks on one node are one node, measured by one of them; when that one ends another goes on."""
    go = os.path.join(work, "go")
    job = f"ranks-{os.getpid()}"  # the lock is of the machine: another run of this file must not hold it
    lock = f"/tmp/joblog-node-{os.getuid()}-{zlib.crc32(f'/{job}'.encode()):08x}-*.lock"
    ranks = [start(job, f"while [ ! -e {go}{n} ]; do sleep 0.05; done", RANK=str(n), WORLD_SIZE="4") for n in range(4)]
    first = wait_for(lambda: (lambda n: n if n and len(n[0]["at"]) >= 3 else None)(nodes(job) if d.get(f"/v1/jobs/{job}").status == 200 else []),
                     20, "samples")
    assert len(first) == 1 and glob.glob(lock)
    time.sleep(1)
    count = len(nodes(job)[0]["at"])
    assert count < len(first[0]["at"]) + 10, "one sample an interval, not four"
    for n in range(3):  # whoever it was, at most one is left
        open(f"{go}{n}", "w").close()
        ranks[n].communicate(timeout=20)
        before = len(nodes(job)[0]["at"])
        wait_for(lambda: len(nodes(job)[0]["at"]) > before + 1, 10, "another rank measures")
    open(f"{go}3", "w").close()
    ranks[3].communicate(timeout=20)
    assert not glob.glob(lock), "a lock was left"


def test_a_hanging_nvidia_smi_hurts_nobody():
    """A nvidia-smi that hangs costs no line and no time at the end; other measures come."""
    smi = nvidia("hang", "trap '' TERM; sleep 600")
    begin = time.monotonic()
    p = start("hang", "echo hello; sleep 1.5; echo bye", path=smi)
    p.communicate(timeout=20)
    assert p.returncode == 0 and time.monotonic() - begin < 8 * PATIENCE, time.monotonic() - begin
    assert [r["msg"] for r in d.records("hang") if "state" not in r] == ["hello", "bye"]
    assert not subprocess.run(["pgrep", "-f", smi], capture_output=True).stdout
    q = start("off", "sleep 0.6", "--sample-interval", "0")
    q.communicate(timeout=20)
    assert nodes("off") == []


def test_kept_through_restart_and_archive():
    """Samples survive a restart, and the job's archiving: they lie beside its segments, and Redis forgets them."""
    smi = nvidia("one", "echo 'L4, 50, 1024, 23034'")
    p = start("keep", "sleep 1.6", path=smi)
    wait_for(lambda: d.get("/v1/jobs/keep").status == 200 and nodes("keep"), 20, "a sample")
    d.restart()
    p.communicate(timeout=30)
    assert p.returncode == 0
    before = nodes("keep")
    sidecar = os.path.join(d.data, "archive", "default", "keep", "nodes.jsonl")
    wait_for(lambda: os.path.exists(sidecar) and d.redis_cli("EXISTS", "jl:{default/keep}:node").strip() == "0", 30, "archived")
    after = nodes("keep")
    assert after == before and [json.loads(x) for x in open(sidecar)] == after and after[0]["gpu_names"] == ["L4"]
    d.restart()
    assert nodes("keep") == after
    m = Truss(d.port).metrics("keep")
    assert len(m["per_node_metrics"][0]["metrics"]["cpu_memory_usage_bytes"]) == len(after[0]["at"])
    assert d.request("DELETE", "/v1/jobs/keep").status == 204
    assert not os.path.exists(sidecar)


def test_as_baseten_metrics():
    """truss and baseten get cores, bytes, parts of one and times, by node and window; nothing measured is empty lists."""
    smi = nvidia("two2", "echo 'A, 10, 1, 2'; echo 'B, 20, 1, 2'")
    p = start("btm", "sleep 3", path=smi)
    wait_for(lambda: d.get("/v1/jobs/btm").status == 200 and nodes("btm") and len(nodes("btm")[0]["at"]) > 3, 20, "samples")
    m = Truss(d.port).metrics("btm")
    assert m["cache"] is None and m["training_job"]["id"] == "btm"
    assert len(m["per_node_metrics"]) == 1
    node = m["per_node_metrics"][0]
    assert node["node_id"] == nodes("btm")[0]["replica"]
    metrics = node["metrics"]
    assert {k: m[k] for k in metrics} == metrics
    for series in (metrics["cpu_usage"], metrics["cpu_memory_usage_bytes"], metrics["gpu_utilization"]["1"],
                   metrics["gpu_memory_usage_bytes"]["0"], metrics["ephemeral_storage"]["usage_bytes"],
                   metrics["ephemeral_storage"]["utilization"]):
        assert len(series) >= 3, metrics
        for point in series:
            check_time(point["timestamp"])
            assert isinstance(point["value"], (int, float))
    assert metrics["gpu_utilization"]["1"][-1]["value"] == 0.2
    assert 0 < metrics["ephemeral_storage"]["utilization"][-1]["value"] <= 1
    assert 0 <= metrics["cpu_usage"][-1]["value"] <= nodes("btm")[0]["cpu_count"] * 1.5
    base = "/v1/training_projects/default/jobs/btm/metrics"
    now = int(time.time() * 1000)
    last = d.post(base, {"start_epoch_millis": now - 60_000, "end_epoch_millis": now}).json()
    assert last["per_node_metrics"][0]["metrics"]["cpu_memory_usage_bytes"]
    none = d.get(base + f"?start_epoch_millis={now - 7_200_000}&end_epoch_millis={now - 3_600_000}").json()
    assert none["per_node_metrics"][0]["metrics"]["cpu_memory_usage_bytes"] == []
    p.communicate(timeout=20)
    d.post_lines("bare", ["no agent"])
    for client in (Truss(d.port), Golang(d.port)):
        m = client.metrics("bare")
        assert m["per_node_metrics"] == [] and m["cpu_usage"] == [] and m["gpu_utilization"] == {}, m
        assert m["ephemeral_storage"] == {"usage_bytes": [], "utilization": []}
    assert nodes("bare") == [] and d.get("/v1/jobs/none/nodes").status == 404
    assert d.post("/v1/training_projects/default/jobs/none/metrics", {}).status == 404
