#!/usr/bin/python3
"""scripts/sample_job.py -- one rank of a small training run that fails, for the demo and for tests.

usage: sample_job.py [--steps N] [--fail-rank R] [--fail-step S] [--speed X] [--stall SECONDS]

Reads RANK and WORLD_SIZE as torchrun sets them. Prints what such jobs print: NCCL lines, steps with
losses, tqdm-like bars redrawn with a carriage return, warnings. At --fail-step the rank --fail-rank ends with a
CUDA out of memory traceback (exit 1); the others stall in their collective until NCCL's watchdog
gives up (exit 134 style: exit 1), --stall seconds after the failing rank has gone. --fail-rank -1: nothing fails.
--speed 0: no pauses.

As in a real job the ranks meet before the first step and stall for the one that is gone, not by their own clocks: with
JOBLOG_JOB set (joblog run sets it) the failing rank listens on a socket of that name, and the others hold a connection to it.
"""
import argparse
import os
import random
import socket
import sys
import threading
import time

MEET_S = 30  # for a rank that has not started
pause = threading.Event()
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=60)
parser.add_argument("--fail-rank", type=int, default=3)
parser.add_argument("--fail-step", type=int, default=42)
parser.add_argument("--speed", type=float, default=1.0, help="1: about ten seconds; 0: as fast as it goes")
parser.add_argument("--stall", type=float, help="seconds until the others give up; default 2 / SPEED, at least 1")
a = parser.parse_args()
rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
rng = random.Random(1000 + rank)
host = f"node-{rank // 4}"


def wait(seconds):
    if a.speed:
        pause.wait(seconds / a.speed)


def out(text):
    print(text, flush=True)


def err(text):
    print(text, file=sys.stderr, flush=True)


def bar(name, total):
    for i in range(0, total + 1, 4):
        done = i * 20 // total
        sys.stderr.write(f"\r{name}: {i * 100 // total:3d}%|{'#' * done}{' ' * (20 - done)}| {i}/{total}")
        sys.stderr.flush()
        wait(0.02)
    sys.stderr.write("\n")
    sys.stderr.flush()


def meet():
    """The failing rank's listener, or a connection to it; None where there is nobody to meet."""
    job = os.environ.get("JOBLOG_JOB")
    if not job or not 0 <= a.fail_rank < world or not hasattr(socket, "AF_UNIX") or sys.platform != "linux":
        return None
    name = f"\0joblog-sample/{os.environ.get('JOBLOG_URL', '')}/{job}"[:100]
    s = socket.socket(socket.AF_UNIX)
    end = time.monotonic() + MEET_S
    if rank == a.fail_rank:
        s.bind(name)
        s.listen(world)
        s.settimeout(MEET_S)
        try:
            return [s] + [s.accept()[0] for _ in range(world - 1)]
        except TimeoutError:
            return [s]
    while time.monotonic() < end:
        try:
            s.connect(name)
            return s
        except OSError:
            pause.wait(0.05)
    return None


class Model:
    def forward(self, step):
        if rank == a.fail_rank and step == a.fail_step:
            raise MemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 3 has a total capacity of 79.15 GiB "
                              "of which 1.02 GiB is free.")
        return 2.5 * (0.97 ** step) + rng.random() * 0.02


def train(model):
    for step in range(1, a.steps + 1):
        loss = model.forward(step)
        if a.fail_rank >= 0 and step == a.fail_step and rank != a.fail_rank:
            stall()
        wait(0.1 + rng.random() * 0.04)
        if rank == 0 or step % 5 == 0:
            out(f"step={step} loss={loss:.4f} lr={3e-4 * (1 - step / a.steps / 2):.2e} "
                f"tokens/s={41000 + rng.randrange(2000)} grad_norm={0.8 + rng.random() / 5:.3f}")
        if step % 17 == rank % 17:
            err(f"WARNING:root:dataloader worker {rank % 4} waited {rng.randrange(120, 480)} ms for the next batch")


def stall():
    """The collective never completes: the watchdog speaks up and ends the process."""
    if peer:
        peer.settimeout(MEET_S)
        try:
            peer.recv(1)  # nothing, when the failing rank has gone
        except OSError:
            pass
    if a.speed:
        pause.wait((a.stall or max(1.0, 2.0 / a.speed)) + rank * 0.05)
    err(f"[rank{rank}]:[E1123 20:54:01.{rank:03d} ProcessGroupNCCL.cpp:629] [Rank {rank}] Watchdog caught collective "
        f"operation timeout: WorkNCCL(SeqNum=1187, OpType=ALLREDUCE, NumelIn=26214400, Timeout(ms)=2000) "
        f"ran for 2004 milliseconds before timing out.")
    sys.exit(1)


out(f"{host}:{4000 + rank}:{4100 + rank} [{rank % 4}] NCCL INFO Bootstrap : Using eth0:10.0.0.{rank + 1}<0>")
out(f"{host}:{4000 + rank}:{4100 + rank} [{rank % 4}] NCCL INFO comm 0x55d0 rank {rank} nranks {world} - Init COMPLETE")
bar("Loading checkpoint shards", 40)
peer = meet()
try:
    train(Model())
except MemoryError as e:
    import traceback
    err("".join(traceback.format_exception(RuntimeError, RuntimeError(str(e)), e.__traceback__)).rstrip())
    sys.exit(1)
out(f"rank {rank} finished {a.steps} steps")
