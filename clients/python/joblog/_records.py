"""joblog/_records.py -- what a reader gets: records and the verdict."""
from __future__ import annotations

import datetime
from typing import Any, NamedTuple, Optional


class Record(NamedTuple):
    """A line of a job's log, or a change of its state (`state` is not None)."""

    seq: int  #: its place in the log: from 1, without holes
    ts: str  #: RFC 3339, UTC, microseconds: when the producer says it was written
    msg: str  #: as the job wrote it: colours and other control sequences included
    rank: Optional[int]
    replica: Optional[str]
    stream: Optional[str]  #: stdout, stderr or None
    level: Optional[str]  #: trace, debug, info, warn, error, fatal or None
    fields: dict[str, Any]
    state: Optional[str]  #: TRAINING_JOB_RUNNING and so on
    exit_code: Optional[int]
    job: Optional[str] = None

    @property
    def time(self) -> datetime.datetime:
        """ts with its time zone."""
        return datetime.datetime.strptime(self.ts, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)

    @classmethod
    def read(cls, v: dict[str, Any]) -> "Record":
        """From the canonical object."""
        return cls(v.get("seq", 0), v["ts"], v["msg"], v.get("rank"), v.get("replica"), v.get("stream"), v.get("level"),
                   v.get("fields") or {}, v.get("state"), v.get("exit_code"), v.get("job"))


class Verdict(NamedTuple):
    """How a job ended."""

    state: str  #: TRAINING_JOB_COMPLETED, TRAINING_JOB_FAILED, TRAINING_JOB_STOPPED or TRAINING_JOB_DEPLOY_FAILED
    exit_code: Optional[int]
    last_seq: int
    lines: int
    bytes: int
    complete: bool  #: every producer said that it was done, and nothing is missing
    missing: list[str]  #: who did not

    @classmethod
    def read(cls, v: dict[str, Any]) -> "Verdict":
        """From an `end` message or a job's page."""
        return cls(v["state"], v.get("exit_code"), v.get("last_seq", v.get("seq", 0)), v.get("lines", 0), v.get("bytes", 0),
                   bool(v.get("complete")), list(v.get("missing") or []))

    @property
    def ok(self) -> bool:
        """COMPLETED, and complete."""
        return self.state == "TRAINING_JOB_COMPLETED" and self.complete
