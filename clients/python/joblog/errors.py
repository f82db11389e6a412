"""joblog/errors.py -- what can go wrong for one who reads; writers never raise."""
from __future__ import annotations

from typing import Optional


class JoblogError(Exception):
    """Of every error of this package the base class."""


class ServerError(JoblogError):
    """The server refused: `status` is the HTTP status, `code` its word for it ("not_found", "bad_request", …)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code


class Unreachable(JoblogError):
    """The server could not be reached, or the connection broke and `reconnect` is off."""


class JobDeleted(JoblogError):
    """The job was deleted while it was followed."""


class Incomplete(JoblogError):
    """Records are missing: they are lost, or a producer never said that it was done (`missing` names them)."""

    def __init__(self, message: str, missing: Optional[list[str]] = None) -> None:
        super().__init__(message)
        self.missing = list(missing or [])
