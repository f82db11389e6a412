"""joblog/_run.py -- a block of a program as a job: RUNNING at its start, the verdict at its end."""
from __future__ import annotations

import io
import logging
import signal
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any, Mapping, Optional, TextIO

from . import _place
from ._handler import Handler
from ._ship import Ending, Item, Shipper

PARTIAL_CHARS_MAX = 1 << 16  # a line that does not end is sent in pieces
MESSAGE_CHARS_MAX = 2000


class _Tee(io.TextIOBase):
    """A stream that passes everything through and sends each whole line."""

    def __init__(self, under: TextIO, name: str, shipper: Shipper) -> None:
        self._under, self._name, self._shipper = under, name, shipper
        self._partial = ""
        self._own = threading.Lock()

    def write(self, text: str) -> int:
        count = self._under.write(text)
        try:
            with self._own:
                whole, newline, rest = (self._partial + text).rpartition("\n")
                if len(rest) > PARTIAL_CHARS_MAX:
                    whole, newline, rest = whole + newline + rest, "\n", ""
                self._partial = rest
            if newline:
                now = time.time()
                for line in whole.split("\n"):
                    self._shipper.put(Item(now, None, line, None, self._name))
        except Exception as e:  # never into the program
            self._shipper.counts.errors += 1
            self._shipper.counts.last_error = f"{type(e).__name__}: {e}"
        return count

    def finish(self) -> None:
        """A last line without its end."""
        with self._own:
            rest, self._partial = self._partial, ""
        if rest:
            self._shipper.put(Item(time.time(), None, rest, None, self._name))

    def flush(self) -> None:
        self._under.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._under.isatty()

    def fileno(self) -> int:
        return self._under.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._under.encoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)


class Run:
    """A running job; made by joblog.run()."""

    def __init__(self, handler: Handler, logger: logging.Logger, ranks: Optional[int], opening: Mapping[str, Any], capture: bool,
                 handle_sigterm: bool) -> None:
        self.handler = handler
        self.job = handler.job
        self.rank = handler._shipper.who.rank
        self.ranks = ranks or 1
        self.delivered: Optional[bool] = None  #: after the block: the server holds everything
        self._logger, self._opening, self._capture, self._handle_sigterm = logger, dict(opening), capture, handle_sigterm
        self._tees: list[tuple[str, _Tee]] = []
        self._failed: Optional[tuple[str, int]] = None
        self._old_sigterm: Any = None

    @property
    def stats(self) -> Any:
        """Of the handler."""
        return self.handler.stats

    def fail(self, message: str, exit_code: int = 1) -> None:
        """The job is FAILED when the block ends, whether it raises or not."""
        self._failed = (message, exit_code)

    def __enter__(self) -> "Run":
        self.handler._shipper.open(self._opening)
        self._logger.addHandler(self.handler)
        if self._capture:
            for name in ("stdout", "stderr"):
                tee = _Tee(getattr(sys, name), name, self.handler._shipper)
                setattr(sys, name, tee)
                self._tees.append((name, tee))
        if self._handle_sigterm and threading.current_thread() is threading.main_thread() and \
                signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._old_sigterm = signal.signal(signal.SIGTERM, _on_sigterm)
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]) -> None:
        if self._old_sigterm is not None:
            signal.signal(signal.SIGTERM, self._old_sigterm)
        for name, tee in self._tees:
            if getattr(sys, name) is tee:
                setattr(sys, name, tee._under)
            tee.finish()
        self._logger.removeHandler(self.handler)
        try:
            ending = self._ending(kind, error, where)
            self.delivered = self.handler._end(ending)
        except Exception as e:  # the block's own error is the one to see
            self.handler._shipper.counts.last_error = f"{type(e).__name__}: {e}"
            self.delivered = False

    def _ending(self, kind: Optional[type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]) -> Ending:
        who = "" if self.rank is None else f"rank {self.rank}: "
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            if self._failed is None:
                return Ending("COMPLETED", 0, "", self.ranks)
            return Ending("FAILED", self._failed[1], who + self._failed[0], self.ranks)
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else 1
            text = f"exited with code {code}" if isinstance(error.code, int) else str(error.code)
            if code == 128 + signal.SIGTERM:
                text = "killed by SIGTERM"
            return Ending("FAILED", code, who + text, self.ranks)
        if isinstance(error, KeyboardInterrupt):
            return Ending("FAILED", 128 + signal.SIGINT, who + "killed by SIGINT", self.ranks)
        text = "".join(traceback.format_exception(kind, error, where)).rstrip("\n")
        self.handler._shipper.put(Item(time.time(), "error", text, {"logger": "joblog.run"}, None))
        return Ending("FAILED", 1, (who + "".join(traceback.format_exception_only(kind, error)).strip())[:MESSAGE_CHARS_MAX], self.ranks)


def _on_sigterm(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def run(job: Optional[str] = None, *, ranks: Optional[int] = None, name: Optional[str] = None, labels: Optional[Mapping[str, str]] = None,
        logger: Optional[logging.Logger] = None, capture: bool = False, handle_sigterm: bool = True, **handler: Any) -> Run:
    """A context: what is logged in it is the log of a job that runs as long as it.

        with joblog.run("demo", labels={"team": "vision"}) as run:
            train()

    The job is made (idempotent) and RUNNING at the start; at the end it is COMPLETED, or FAILED with the traceback in its log
    when the block raises, or exits with another code than 0. With several ranks it is FAILED by the first that fails, and
    COMPLETED by the last one to finish. The exception goes on: nothing is swallowed. Nothing here waits for the server but the
    end of the block, `flush_timeout` seconds at most.

    job       as of Handler
    ranks     how many ranks there are; None: as the launcher says (WORLD_SIZE, …)
    name, labels   of the job
    logger    whose records are sent; None: the root's. Its level is not changed.
    capture   what is written to sys.stdout and sys.stderr is sent, too, line by line. Only what Python writes: for the output
              of libraries in C and of children use the command `joblog run`.
    handle_sigterm   SIGTERM ends the block (SystemExit 143), so that it can be told; only where SIGTERM has no handler yet
    handler   further arguments of Handler: url, token, rank, spool_dir, …

    Raises ValueError as Handler does.
    """
    made = Handler(job, **handler)
    if ranks is None:
        ranks = _place.quiet(_place.detect_ranks)
    opening: dict[str, Any] = {"id": made.job}
    if made._shipper.server.project:
        opening["project"] = made._shipper.server.project
    if name:
        opening["name"] = name
    if labels:
        opening["labels"] = {str(k): str(v) for k, v in labels.items()}
    if ranks and ranks > 1:
        opening["ranks"] = ranks
    return Run(made, logger or logging.getLogger(), ranks, opening, capture, handle_sigterm)


def resume(spool_dir: Optional[str] = None, *, url: Optional[str] = None, token: Optional[str] = None, timeout: float = 60.0) -> int:
    """Sends what dead processes left in their spools; returns the number of lines.

    spool_dir  where to look; None: $XDG_STATE_HOME/joblog-python
    url        another server than the one each spool was meant for
    timeout    seconds for each spool
    Raises Unreachable when the server does not take them now.
    """
    from ._http import Server
    from ._ship import default_spool_dir, deliver, leftovers

    count = 0
    for path in leftovers(spool_dir or default_spool_dir()):
        server = Server.find(url, token) if url or token else None
        count += max(deliver(path, server, timeout=timeout), 0)
    return count



