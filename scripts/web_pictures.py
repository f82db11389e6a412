#!/usr/bin/python3
"""scripts/web_pictures.py [OUT] -- the pictures of the page in docs/pictures, of a made-up but real run.

Starts joblogd, plays a 16-rank job that fails and one that goes on, and photographs them in Chromium. Needs what
`scripts/deps.sh test` installs, and pngquant to make the files small. About a minute.
"""
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from browser import Browser, settle  # noqa: E402
from harness import Joblogd  # noqa: E402

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docs", "pictures")
BYTES_MAX = 200_000
RUN_S = 35
RANKS = 16
TRACE = ["Traceback (most recent call last):", '  File "/app/train.py", line 412, in <module>', "    main()", '  File "/app/train.py", line 398, in main',
         "    loss = step(model, batch)", '  File "/app/trainer/loop.py", line 87, in step', "    out = model(batch.tokens, labels=batch.labels)",
         "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 3 has a total capacity of 79.15 GiB of which 1.02 GiB is free."]
rng = random.Random(3)
stop = threading.Event()


def others(d):
    for job, project, state, lines, ranks, labels in (
            ("resnet-sweep-17", "vision", "COMPLETED", 4000, 8, {"team": "cv", "gpu": "a100"}), ("rlhf-ablation", "nlp", "STOPPED", 1200, 4, {"team": "nlp"}),
            ("smoke-test", "default", "COMPLETED", 90, 1, {"team": "infra"}), ("vit-l-16-pretrain", "vision", "FAILED", 3000, 32, {"team": "cv", "gpu": "h100"}),
            ("nightly-eval", "default", "COMPLETED", 500, 1, {"team": "infra"})):
        d.post("/v1/jobs", {"id": job, "project": project, "ranks": ranks, "labels": labels})
        rows = "".join(json.dumps({"msg": f"step={k} loss={3 * 0.999 ** k:.4f}", "rank": k % ranks, "level": "info"}) + "\n" for k in range(lines))
        d.post(f"/v1/jobs/{job}/logs?project={project}", rows, {"Content-Type": "application/x-ndjson"})
        d.post(f"/v1/jobs/{job}/events?project={project}", {"state": "RUNNING"})
        d.post(f"/v1/jobs/{job}/events?project={project}", {"state": state, **({"message": "disk full: /scratch", "exit_code": 1} if state == "FAILED" else {})})


def begin(d, job):
    d.post("/v1/jobs", {"id": job, "ranks": RANKS, "labels": {"team": "foundation", "gpu": "h100x16"}})
    stop.wait(2)
    d.event(job, "DEPLOYING")
    stop.wait(3)
    d.event(job, "RUNNING")
    d.post_lines(job, [{"rank": r, "replica": f"node-{r // 8}", "level": "info", "stream": "stderr",
                        "msg": f"node-{r // 8}:{4000 + r}:{4100 + r} [{r % 8}] NCCL INFO Bootstrap : Using eth0:10.0.0.{r + 1}<0>"} for r in range(RANKS)])


def steps(d, job, seconds):
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end and not stop.is_set():
        rows = []
        for _ in range(3 + rng.randrange(4)):
            step += 1
            loss = 2.1 + 6 * 0.985 ** step
            rows.append({"rank": 0, "level": "info", "stream": "stdout", "replica": "node-0",
                         "msg": f"\x1b[32m[{step:6d}/100000]\x1b[0m step={step} \x1b[1mloss={loss + rng.random() * .05:.4f}\x1b[0m lr={3e-4 * min(1, step / 60):.2e} "
                                f"grad_norm={0.6 + rng.random() * .4:.3f} tokens/s={41200 + rng.randrange(3000)}"})
            for r in rng.sample([x for x in range(1, RANKS) if x != 5], 5):
                slow = rng.random() < .015
                rows.append({"rank": r, "replica": f"node-{r // 8}", "level": "warn" if slow else "debug" if rng.random() < .3 else "info", "stream": "stderr" if slow else "stdout",
                             "msg": f"WARNING:root:dataloader worker {rng.randrange(8)} waited {rng.randrange(120, 980)} ms for the next batch" if slow
                             else f"step={step} loss={loss + rng.random() * .2:.4f} all_reduce took {rng.random() * 9:.2f} ms"})
        if step % 40 < 5:
            rows.append({"rank": 5, "replica": "node-0", "level": "info", "msg": f"step={step} loss={loss:.4f} checkpoint shard written"})
        d.post_lines(job, rows)
        stop.wait(.2)


def fail(d, job):
    d.post_lines(job, [{"rank": 3, "replica": "node-0", "stream": "stderr", "level": "error", "msg": m, **({"fields": {"block": i + 1}} if i else {})} for i, m in enumerate(TRACE)])
    stop.wait(4)
    d.post_lines(job, [{"rank": r, "replica": f"node-{r // 8}", "stream": "stderr", "level": "error",
                        "msg": f"[rank{r}]:[E1126 00:04:01.{r:03d} ProcessGroupNCCL.cpp:629] [Rank {r}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1187, OpType=ALLREDUCE, "
                               "NumelIn=26214400, Timeout(ms)=600000) ran for 600004 milliseconds before timing out."} for r in range(RANKS) if r != 3])
    stop.wait(1)
    d.event(job, "FAILED", exit_code=1, rank=3, message="rank 3: CUDA out of memory")


async def evaluate(d, job):
    import websockets
    async with websockets.connect(f"ws://127.0.0.1:{d.port}/v1/jobs/{job}/ingest", subprotocols=["joblog.ingest.v1"]) as ws:
        await ws.send(json.dumps({"type": "hello", "producer": "eval", "epoch": 1, "rank": 5}))
        await ws.recv()
        k = 30
        while not stop.is_set():
            k = k % 100 + 1
            await ws.send(json.dumps({"type": "progress", "rank": 5, "msg": f"Evaluating: {k:3d}%|{'█' * (k // 5)}{' ' * (20 - k // 5)}| {k * 3}/300 [00:{k // 2:02d}<00:{50 - k // 2:02d}, 5.9it/s]"}))
            await asyncio.sleep(.5)


def live(d, job):
    begin(d, job)
    threading.Thread(target=lambda: asyncio.run(evaluate(d, job)), daemon=True).start()
    steps(d, job, 600)


def shot(b, d, name, path, theme, size=(1440, 900), act=None):
    b.size(*size, mobile=size[0] < 700)
    b.theme(theme)
    b.open("about:blank")
    b.open(d.url + path)
    b.wait("document.querySelectorAll('.row[data-seq], .jobs tbody tr, .verdict').length > 0")
    settle(2)
    if act:
        b.run(act)
        settle(1.5)
    file = os.path.join(OUT, name + ".png")
    b.picture(file)
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--quality", "60-95", "--speed", "1", "--output", file, file], check=True)
    print(f"{os.path.getsize(file):7d} {file}", "" if os.path.getsize(file) <= BYTES_MAX else "(too large: is pngquant there?)")


def main():
    os.makedirs(OUT, exist_ok=True)
    with Joblogd("--drain-time", "1s") as d, Browser() as b:
        others(d)
        job = "llama-70b-pretrain"
        begin(d, job)
        steps(d, job, RUN_S)
        fail(d, job)
        threading.Thread(target=live, args=(d, "llama-70b-resume"), daemon=True).start()
        stop.wait(20)
        shot(b, d, "web-log", f"/jobs/default/{job}", "dark")
        shot(b, d, "web-live", "/jobs/default/llama-70b-resume", "light")
        shot(b, d, "web-search", f"/jobs/default/{job}?q=dataloader%20worker", "dark")
        shot(b, d, "web-postmortem", f"/jobs/default/{job}?tab=postmortem", "light")
        shot(b, d, "web-metrics", f"/jobs/default/{job}?tab=metrics", "dark")
        shot(b, d, "web-jobs", "/", "light")
        shot(b, d, "web-phone", f"/jobs/default/{job}", "dark", (375, 812))
        shot(b, d, "web-phone-postmortem", f"/jobs/default/{job}?tab=postmortem", "light", (375, 812))
        stop.set()
        settle(1)


if __name__ == "__main__":
    main()
