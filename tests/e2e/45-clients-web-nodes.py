"""tests/e2e/45-clients-web-nodes.py -- what joblog run measures of its node, in the page: against the real endpoint."""
import os
import re
import shutil
import subprocess
import tempfile

from browser import Browser, need
from harness import JOBLOG, Joblogd, wait_for

d = b = work = None


def setup():
    global d, b, work
    need()
    work = tempfile.mkdtemp(prefix="jl-nodes-")
    d = Joblogd("--drain-time", "500ms")
    b = Browser()


def teardown():
    if b:
        b.close()
    if d:
        d.close()
    if work:
        shutil.rmtree(work, ignore_errors=True)


def test_a_node_with_two_gpus():
    """The metrics of a job show its node with its GPUs by name, in use and in curves, while it runs and after its end; nothing goes wrong in the console."""
    smi = os.path.join(work, "nvidia-smi")
    with open(smi, "w") as f:
        f.write("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 93, 71234, 81559'; echo 'NVIDIA H100 80GB HBM3, 40, 10, 81559'\n")
    os.chmod(smi, 0o755)
    go = os.path.join(work, "go")
    env = {k: v for k, v in os.environ.items() if not re.match(r"JOBLOG_|RANK$|WORLD_SIZE$|SLURM_|LOCAL_RANK$", k)}
    env.update(JOBLOG_URL=d.url, XDG_STATE_HOME=work, PATH=f"{work}:{env['PATH']}")
    p = subprocess.Popen([JOBLOG, "run", "--quiet", "--job", "gpus", "--sample-interval", "200ms", "--", "sh", "-c",
                          f"echo step=1 loss=2.5; while [ ! -e {go} ]; do sleep 0.1; done"], env=env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: d.get("/v1/jobs/gpus/nodes").status == 200 and len(d.get("/v1/jobs/gpus/nodes").json()["nodes"][:1]) == 1
                 and len(d.get("/v1/jobs/gpus/nodes").json()["nodes"][0]["at"]) > 3, 60, "samples of the node")
        b.open(d.url + "/jobs/default/gpus?tab=metrics")
        look()
    finally:
        open(go, "w").close()
        p.wait(60)
    wait_for(lambda: d.job("gpus")["sealed"], 60, "sealed")
    b.open(d.url + "/jobs/default/gpus?tab=metrics")
    look()
    assert b.problems() == [], b.problems()


def look():
    node = d.get("/v1/jobs/gpus/nodes").json()["nodes"][0]
    b.wait("[...document.querySelectorAll('.chart')].some(c => c.getAttribute('aria-label').startsWith('GPU in use'))", deadline_s=60)
    charts = b.js("[...document.querySelectorAll('.chart')].map(c => c.getAttribute('aria-label').split(':')[0]).join()").split(",")
    assert {"GPU in use", "GPU memory", "CPU", "Memory", "Disk"} <= set(charts), charts
    cells = b.js("[...document.querySelectorAll('table.table th[scope=row]')].map(th => [...th.parentElement.children].map(c => c.textContent))")
    row = next(c for c in cells if c[0] == node["replica"])
    assert row[1].count("H100") == 2 and row[5] == "93 % · 40 %", row
    assert re.fullmatch(r"\d+ %", row[2]) and " of " in row[3] and " of " in row[4], row
