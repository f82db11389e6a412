"""joblog/_place.py -- which job, rank and producer this process is, from the launcher's environment.

The rules are those of `joblog run` (clients/cli/plan.c):

    job    JOBLOG_JOB, SLURM_JOB_ID, TORCHELASTIC_RUN_ID (but not torchrun's "none")
    rank   RANK, SLURM_PROCID, OMPI_COMM_WORLD_RANK, PMI_RANK, LOCAL_RANK: the first that is set
    ranks  WORLD_SIZE, SLURM_NTASKS, OMPI_COMM_WORLD_SIZE, PMI_SIZE
"""
from __future__ import annotations

import os
import re
import socket
import time
from typing import Callable, Mapping, Optional

RANK_NAMES = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK")
RANKS_NAMES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
JOB_NAMES = ("JOBLOG_JOB", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID")
RANK_MAX = 65535
RANKS_MAX = 65536
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def _number(names: tuple[str, ...], maximum: int, environ: Mapping[str, str]) -> Optional[int]:
    for name in names:
        text = environ.get(name)
        if not text:
            continue
        if not re.fullmatch(r"\d{1,6}", text) or int(text) > maximum:
            raise ValueError(f"{name}={text[:60]} is no number from 0 to {maximum}")
        return int(text)
    return None


def detect_rank(environ: Mapping[str, str] = os.environ) -> Optional[int]:
    """This process's rank, 0 to 65535, as its launcher says; None when none does.

    The first of RANK, SLURM_PROCID, OMPI_COMM_WORLD_RANK, PMI_RANK and LOCAL_RANK that is set and not empty.
    Raises ValueError when that one is no such number.
    """
    return _number(RANK_NAMES, RANK_MAX, environ)


def detect_ranks(environ: Mapping[str, str] = os.environ) -> Optional[int]:
    """How many ranks the launcher started; None when it does not say. Raises ValueError as detect_rank does."""
    return _number(RANKS_NAMES, RANKS_MAX, environ)


def detect_job(environ: Mapping[str, str] = os.environ) -> Optional[str]:
    """The id of the job this process belongs to; None when nothing says."""
    for name in JOB_NAMES:
        text = environ.get(name)
        if text and not (name == "TORCHELASTIC_RUN_ID" and text == "none"):
            return text
    return None


def quiet(detect: Callable[[Mapping[str, str]], Optional[int]], environ: Mapping[str, str] = os.environ) -> Optional[int]:
    """detect(environ), None when the launcher wrote nonsense: a log must not stop a training."""
    try:
        return detect(environ)
    except ValueError:
        return None


def check_id(what: str, text: str) -> str:
    """text, or ValueError when the server would not take it for an id."""
    if not isinstance(text, str) or not _ID.match(text):
        raise ValueError(f"{text!r} is no {what} id: letters, digits, '.', '_', '-', at most 128")
    return text


def as_id(text: str) -> str:
    """text with what an id may not hold turned into '-'."""
    out = re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip("._-")[:128]
    return out or "x"


def host() -> str:
    """This host's name as an id: the replica of its lines."""
    return as_id(socket.gethostname())


def fresh_job() -> str:
    """An id for a job that nobody named."""
    return f"py-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(4).hex()}"


def make_epoch(environ: Mapping[str, str] = os.environ) -> int:
    """Grows with each run of a producer: milliseconds since 1970, times 256, and torchrun's restart count."""
    restarts = quiet(lambda e: _number(("TORCHELASTIC_RESTART_COUNT",), 999999, e), environ) or 0
    return (time.time_ns() // 1000000) << 8 | min(restarts, 255)
