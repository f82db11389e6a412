"""ddp.py -- one rank of a small PyTorch run (CPU, gloo) under the real torchrun that ends as it is told to.

usage: torchrun … ddp.py [--steps N] [--record] [--fail HOW@RANK[:STEP]] [--fail-again HOW@RANK[:STEP]]

--fail-again is what happens after a restart. --record: main is decorated as PyTorch's documentation asks, so
that torchrun's closing report has the traceback.
"""
import argparse
import ctypes
import datetime
import os
import signal
import tempfile

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.utils.data import DataLoader, Dataset

rank = int(os.environ["RANK"])


class Tokens(Dataset):
    def __init__(self, fault):
        self.fault = fault

    def __len__(self):
        return 64

    def __getitem__(self, i):
        if self.fault == "kill" and i == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "raise" and i == 20:
            raise KeyError("labels")
        return torch.zeros(8)


def fail_value_error():
    raise ValueError("expected 512 tokens per row, got 513")


def fail_file_not_found():
    open("/data/tokens/train-00017.bin", "rb")


def fail_sigkill():
    os.kill(os.getpid(), signal.SIGKILL)


def fail_segfault():
    ctypes.string_at(0)


def fail_stuck():
    while True:
        signal.pause()


def fail_worker_killed():
    for _ in DataLoader(Tokens("kill"), batch_size=4, num_workers=2):
        pass


def fail_worker_error():
    for _ in DataLoader(Tokens("raise"), batch_size=4, num_workers=2):
        pass


def fail_checkpoint():
    with tempfile.NamedTemporaryFile(suffix=".pt") as f:
        torch.save({"weights": torch.zeros(100000)}, f.name)
        os.truncate(f.name, 70000)
        torch.load(f.name)


def fail_shape():
    nn.Linear(512, 8)(torch.zeros(4, 513))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--record", action="store_true")
    p.add_argument("--fail", default="")
    p.add_argument("--fail-again", default="")
    a = p.parse_args()
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    how, _, where = (a.fail_again if again else a.fail).partition("@")
    where, _, at = where.partition(":")
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=int(os.environ.get("GLOO_TIMEOUT", "30"))))
    model = nn.Linear(8, 8)
    for step in range(1, a.steps + 1):
        if how and int(where) == rank and step == int(at or 6):
            globals()["fail_" + how]()
        loss = model(torch.ones(2, 8)).pow(2).mean().detach()
        dist.all_reduce(loss)
        if rank == 0 or step % 5 == 0:
            print(f"step={step} loss={loss.item():.4f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    import sys
    (record(main) if "--record" in sys.argv else main)()
