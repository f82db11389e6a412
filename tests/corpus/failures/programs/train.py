#!/usr/bin/python3
"""train.py -- one rank of a small training run that ends as it is told to.

usage: train.py [--steps N] [--pace S] [--alone] [--fail HOW@RANK[:STEP]]… [--warn-at STEP]

Every rank prints steps and takes part in a collective (ring.py) at each; --alone: none. HOW is a
function fail_* below; it happens on RANK (a number or "all") at STEP (default 12). The errors are the
interpreter's, libc's and the kernel's own, but for those of GPUs, which are printed in the words of
their libraries with values of this program (fail_cuda_*, fail_xid, fail_nccl_*).
"""
import argparse
import faulthandler
import json
import logging
import math
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

from ring import Ring

rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
log = logging.getLogger("train")


class Batch(dict):
    """A batch of examples; shape is what the model wants to know."""

    @property
    def shape(self):
        return (self["rows"], self["columns"])


def forward(batch):
    if batch.shape[1] != 512:
        raise ValueError(f"expected input of shape (8, 512), got {batch.shape}")


def fail_value_error():
    forward(Batch(rows=8, columns=513))


def fail_chained():
    try:
        Batch(rows=8)["labels"]
    except KeyError as e:
        raise RuntimeError("could not collate batch 1187 of shard 12") from e


def fail_during_handling():
    try:
        open(f"/nonexistent/shard-{rank:05d}.bin", "rb")
    except OSError:
        {}["retry_policy"]


def fail_import_error():
    import flash_attention_hopper  # noqa: F401


def fail_file_not_found():
    open("/data/tokens/train-00017.bin", "rb")


def fail_permission():
    os.setuid(65534)
    open("/root/.cache/token", "r")


def fail_disk_full():
    with open(os.path.join(os.environ["CKPT_DIR"], "step-12.pt"), "wb") as f:
        for _ in range(64):
            f.write(os.urandom(65536))


def fail_nan_loss():
    loss = float("inf") - float("inf")
    log.warning("loss is %s at step 12, grad norm inf", loss)
    if math.isnan(loss):
        raise FloatingPointError("loss is nan at step 12: stopping before the weights are spoilt")


def fail_assertion():
    batch = Batch(rows=8, columns=512)
    assert batch["rows"] == 16, f"batch of {batch['rows']} rows where 16 are wanted"


class OutOfMemoryError(RuntimeError):
    pass


OutOfMemoryError.__module__ = "torch"


def fail_cuda_oom():
    raise OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 3 has a total capacity of 79.15 GiB of which 1.02 GiB "
        "is free. Including non-PyTorch memory, this process has 78.12 GiB memory in use. Of the allocated memory "
        "74.31 GiB is allocated by PyTorch, and 2.20 GiB is reserved by PyTorch but unallocated.")


def fail_cuda_ecc():
    raise RuntimeError(
        "CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might be asynchronously reported at some "
        "other API call, so the stacktrace below might be incorrect.\nFor debugging consider passing "
        "CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n")


def fail_cuda_assert():
    for thread in range(3):
        print(f"../aten/src/ATen/native/cuda/Loss.cu:250: nll_loss_forward_reduce_cuda_kernel_2d: block: [0,0,0], "
              f"thread: [{thread},0,0] Assertion `t >= 0 && t < n_classes` failed.", file=sys.stderr, flush=True)
    raise RuntimeError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA` to enable "
                       "device-side assertions.\n")


def fail_xid():
    print("[1187.120934] NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, name=python3, GPU has fallen off the bus.",
          file=sys.stderr, flush=True)
    time.sleep(0.3)
    raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported at "
                       "some other API call, so the stacktrace below might be incorrect.\n")


def fail_nccl_system():
    raise RuntimeError(
        "NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1691, unhandled system error (run with "
        "NCCL_DEBUG=INFO for details), NCCL version 2.27.3\nncclSystemError: System call (e.g. socket, malloc) or "
        "external library call failed or device error. \nLast error:\nnet/ib: got completion from peer with status=12 "
        "opcode=32630 len=0 vendor err 129 (Send) localGid fe80::1")


def watchdog(seq=1187):
    """What PyTorch's watchdog says when a collective does not end: the text of its sources, this program's values."""
    stamp = time.strftime("%m%d %H:%M:%S") + ".%09d" % (time.time_ns() % 10**9)
    for text in (
            f"[rank{rank}]:[E{stamp} ProcessGroupNCCL.cpp:629] [Rank {rank}] Watchdog caught collective operation "
            f"timeout: WorkNCCL(SeqNum={seq}, OpType=ALLREDUCE, NumelIn=26214400, NumelOut=26214400, "
            f"Timeout(ms)=2000) ran for 2004 milliseconds before timing out.",
            f"[rank{rank}]:[E{stamp} ProcessGroupNCCL.cpp:2168] [PG ID 0 PG GUID 0(default_pg) Rank {rank}]  failure "
            f"detected by watchdog at work sequence id: {seq} PG status: last enqueued work: {seq}, last completed "
            f"work: {seq - 1}",
            f"[rank{rank}]:[E{stamp} ProcessGroupNCCL.cpp:681] [Rank {rank}] Some NCCL operations have failed or timed "
            f"out. Due to the asynchronous nature of CUDA kernels, subsequent GPU operations might run on "
            f"corrupted/incomplete data.",
            f"[rank{rank}]:[E{stamp} ProcessGroupNCCL.cpp:695] [Rank {rank}] To avoid data inconsistency, we are taking "
            f"the entire process down."):
        print(text, file=sys.stderr, flush=True)
    sys.stderr.write(
        f"terminate called after throwing an instance of 'c10::DistBackendError'\n"
        f"  what():  [PG ID 0 PG GUID 0(default_pg) Rank {rank}] Process group watchdog thread terminated with "
        f"exception: [Rank {rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum={seq}, "
        f"OpType=ALLREDUCE, NumelIn=26214400, NumelOut=26214400, Timeout(ms)=2000) ran for 2004 milliseconds before "
        f"timing out.\n")
    sys.stderr.flush()
    os.abort()


def fail_nccl_timeout():
    time.sleep(2.0 + 0.05 * rank)
    watchdog()


def fail_stuck():
    """Says nothing more, and does not end."""
    while True:
        signal.pause()


def fail_host_oom():
    resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
    shards = []
    while True:
        shards.append(bytearray(64 << 20))


def fail_eat():
    """The kernel ends this: the memory cgroup (CGROUP) has no more to give."""
    with open(os.path.join(os.environ["CGROUP"], "cgroup.procs"), "w") as f:
        f.write(str(os.getpid()))
    shards = []
    while True:
        shards.append(os.urandom(4 << 20))


def fail_sigkill():
    os.kill(os.getpid(), signal.SIGKILL)


def fail_segfault():
    faulthandler.enable()
    faulthandler._sigsegv()


def fail_crash(*argv):
    """A program of another language does the step, and its end is this rank's: CRASH names it."""
    code = subprocess.run("exec " + os.environ["CRASH"], shell=True).returncode
    if code >= 0:
        sys.exit(code)
    os.kill(os.getpid(), -code)


def fail_exit_code():
    sys.exit(3)


def fail_port_in_use():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    t = socket.socket()
    t.bind(("127.0.0.1", s.getsockname()[1]))


def fail_refused():
    socket.create_connection(("127.0.0.1", 1), timeout=5)


def fail_json():
    json.loads('{"vocab": 50257,')


def fail_thread():
    """An exception in a thread ends nothing: the rank waits for ever for what the thread would have brought."""
    threading.Thread(target=fail_value_error, name="prefetch").start()
    fail_stuck()


def fail_interrupt():
    signal.raise_signal(signal.SIGINT)


def fail_subprocess():
    subprocess.run(["/bin/sh", "-c", "echo 'gzip: shard-00003.gz: unexpected end of file' >&2; exit 1"], check=True)


def fail_peer():
    """A peer that is told by a person or a scheduler to go."""
    os.kill(os.getpid(), signal.SIGTERM)


def happens(spec, step):
    how, _, where = spec.partition("@")
    where, _, at = where.partition(":")
    return how if (where == "all" or int(where) == rank) and int(at or 12) == step else None


def handled(step):
    """Frightening, and harmless: it is caught, told with its traceback, and training goes on."""
    try:
        forward(Batch(rows=8, columns=0))
    except ValueError:
        log.exception("step %d: bad batch skipped, going on with the next", step)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--steps", type=int, default=40)
    p.add_argument("--pace", type=float, default=0.03)
    p.add_argument("--alone", action="store_true")
    p.add_argument("--fail", action="append", default=[])
    p.add_argument("--handled", default="")
    a = p.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    rng = random.Random(1000 + rank)
    for spec in a.fail:
        how = happens(spec, 0)
        if how:
            globals()["fail_" + how]()
    log.info("rank %d of %d, pid %d", rank, world, os.getpid())
    ring = None if a.alone else Ring(rank, world)
    for step in range(1, a.steps + 1):
        time.sleep(a.pace)
        if a.handled and happens("handled@" + a.handled, step):
            handled(step)
        for spec in a.fail:
            how = happens(spec, step)
            if how:
                globals()["fail_" + how]()
        loss = 2.5 * 0.97 ** step + rng.random() * 0.02
        total = ring.all_reduce(loss) if ring else loss * world
        if rank == 0 or step % 4 == 0:
            print(f"step={step} loss={total / world:.4f} lr={3e-4 * (1 - step / a.steps / 2):.2e} "
                  f"tokens/s={41000 + rng.randrange(2000)}", flush=True)
    print(f"rank {rank} finished {a.steps} steps", flush=True)


if __name__ == "__main__":
    main()
