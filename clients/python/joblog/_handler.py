"""joblog/_handler.py -- logging.Handler that sends records to a job's log."""
from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from typing import Any, Optional

from . import _place
from ._http import Server
from ._ship import Ending, Identity, Item, Options, Shipper, default_spool_dir

_PLAIN = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__)
_STANDARD = _PLAIN | {"message", "asctime", "taskName"}
_LEVELS = ((logging.CRITICAL, "fatal"), (logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"), (logging.DEBUG, "debug"))


@dataclass(frozen=True)
class Stats:
    """What became of the records of a Handler, at one moment. Lines are what the server counts: a traceback is several."""

    emitted: int  #: records given to the handler
    queued: int  #: records in memory, not written to the spool yet
    waiting: int  #: lines in the spool that the server does not hold durably yet
    waiting_bytes: int  #: their size
    sent: int  #: lines the server has answered for
    durable: int  #: lines the server holds durably
    dropped: int  #: records that gave way because queue or spool was full; a line in the log says so
    duplicates: int  #: lines sent again that were held already, and not stored twice
    retries: int  #: requests that had to be made again: no answer, 429, 5xx
    rewinds: int  #: times the server asked for lines again that it had lost
    refused: int  #: lines and requests the server said no to
    errors: int  #: records that could not be made into a line
    last_error: str  #: the last complaint, "" for none
    state: str  #: idle, running, done, fenced (another process took over) or sealed (the log is closed)


def level_name(number: int) -> str:
    """The server's word for a level of logging: trace below DEBUG, else the next one down."""
    for at, name in _LEVELS:
        if number >= at:
            return name
    return "trace"


class Handler(logging.Handler):
    """Sends what is logged to job `job`, exactly once, and never makes the caller wait.

        logging.getLogger().addHandler(joblog.Handler("demo"))

    job       id of the job; None: JOBLOG_JOB, SLURM_JOB_ID, TORCHELASTIC_RUN_ID, else a new one (see `handler.job`). A job that
              does not exist is made by its first line.
    url, token, project, cafile   None: JOBLOG_URL (http://127.0.0.1:8000), JOBLOG_TOKEN, JOBLOG_PROJECT, JOBLOG_CACERT
    rank      0 to 65535; None: as the launcher says (joblog.detect_rank), else lines have none
    producer  None: `rank-N.py`, or `HOST-PID.py` without a rank, with the process id behind it in children and where another
              process of this host has that name. Two living processes must not share one: the older is fenced off.
    level     as of logging.Handler
    queue_records, queue_bytes   in memory at most, until the writer thread has them on disk (every 0.1 s); when full the oldest
              records go and a line says how many
    spool_dir    where lines wait while the server is away; None: $XDG_STATE_HOME/joblog-python. "" : in memory only
    spool_bytes  at most so many bytes wait there; when full the oldest that were never sent go, and a line says how many
    flush_timeout  seconds close() (so also the end of the interpreter) waits for the server, at most

    A record is a line: message (or what a formatter makes of it), time, level, and in `fields` the logger's name and what was
    given as `extra`. A message of several lines, a traceback (`exc_info`) and a `stack_info` are as many lines, held together
    by `fields.block`.

    Raises ValueError for a job, rank or URL that cannot be; after that nothing: what goes wrong is counted in `stats` and said
    once on stderr. Lines survive a kill of the process once they are in the spool; the next Handler of that job on the host,
    or `python -m joblog resume`, sends them. A forked child is a producer of its own from its first record on.
    """

    def __init__(self, job: Optional[str] = None, *, url: Optional[str] = None, token: Optional[str] = None,
                 project: Optional[str] = None, cafile: Optional[str] = None, rank: Optional[int] = None,
                 producer: Optional[str] = None, level: int = logging.NOTSET, queue_records: int = 50_000,
                 queue_bytes: int = 32 << 20, spool_dir: Optional[str] = None, spool_bytes: int = 256 << 20,
                 flush_timeout: float = 10.0) -> None:
        super().__init__(level)
        if rank is None:
            rank = _place.quiet(_place.detect_rank)
        elif not 0 <= rank <= _place.RANK_MAX:
            raise ValueError(f"rank {rank} is not from 0 to {_place.RANK_MAX}")
        if producer is not None:
            _place.check_id("producer", producer)
        #: the id of the job
        self.job: str = _place.check_id("job", job or _place.detect_job() or _place.fresh_job())
        server = Server.find(url, token, project, cafile)
        if server.project is not None:
            _place.check_id("project", server.project)
        spool = default_spool_dir() if spool_dir is None else spool_dir or None
        self._shipper = Shipper(server, self.job, Identity(producer, rank, _place.host()),
                                Options(queue_records, queue_bytes, spool, spool_bytes, flush_timeout))

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record. Never blocks on disk or network, never raises."""
        try:
            if self.formatter is None:
                text = record.getMessage()
                if record.exc_info or record.exc_text or record.stack_info:
                    text += _details(record)
            else:
                text = self.format(record)
            fields: dict[str, Any] = {"logger": record.name}
            if len(record.__dict__) > len(_PLAIN):  # there may be some of the caller's
                for key, value in record.__dict__.items():
                    if key not in _STANDARD:
                        fields[key] = value
            self._shipper.put(Item(record.created, level_name(record.levelno), text, fields, None))
        except Exception as e:  # a broken argument, a __str__ that raises: the training goes on
            self._shipper.counts.errors += 1
            self._shipper.counts.last_error = f"{type(e).__name__}: {e}"

    def flush(self) -> None:
        """Does not wait (logging and others call it at will): lines go out by themselves within 0.1 s. See drain()."""

    def drain(self, timeout: float = 10.0) -> bool:
        """Waits at most `timeout` seconds until the server holds durably what was logged so far; True when it does."""
        try:
            return self._shipper.flush(timeout)
        except Exception as e:
            self._shipper.counts.last_error = f"{type(e).__name__}: {e}"
            return False

    def close(self) -> None:
        """Sends what is left and that this producer is done, waiting `flush_timeout` seconds at most. Never raises.

        Called by logging at the end of the interpreter. What could not be sent waits in the spool."""
        try:
            self._shipper.close(self._shipper.options.flush_timeout)
        except Exception as e:
            self._shipper.counts.last_error = f"{type(e).__name__}: {e}"
        super().close()

    @property
    def stats(self) -> Stats:
        """Counts of this moment."""
        s, c = self._shipper, self._shipper.counts
        waiting, size = s.spool_size()
        dropped = c.dropped_queue + (s._spool.dropped if s._spool is not None else 0)
        return Stats(c.emitted, len(s._queue), waiting, size, c.sent, c.durable, dropped, c.duplicates, c.retries, c.rewinds, c.refused,
                     c.errors, c.last_error, s.state)

    def _end(self, ending: Ending) -> bool:
        """close(), with how the process ended; for joblog.run."""
        done = self._shipper.close(self._shipper.options.flush_timeout, ending=ending)
        super().close()
        return done


def _details(record: logging.LogRecord) -> str:
    """Traceback and stack of a record, as logging.Formatter puts them."""
    out = ""
    if record.exc_text:
        out = "\n" + record.exc_text
    elif record.exc_info:
        out = "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    if record.stack_info:
        out += "\n" + record.stack_info
    return out
