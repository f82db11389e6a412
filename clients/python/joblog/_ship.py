"""joblog/_ship.py -- lines from the program's threads to the server, exactly once, without ever making the program wait.

    put() ──► queue ──► writer thread ──► Spool ──► sender thread ──► POST …/logs   X-Producer X-Epoch X-Sequence
              bounded,                    on disk,                    again and again, until the server
              the oldest go               bounded                     holds it durably

Answers    200: held; freed when `durable` (in class `accepted` 3 s later) · 409 gap: back to what is expected · 409 fenced, sealed: over ·
           400 with a line: that line is replaced by a note · 413: smaller pieces · 429, 503, no answer: later
Forks      A forked child begins as a producer of its own with empty hands; what the parent has queued is the parent's.
Threads    Two, daemons, started with the first line. put() holds a lock for a few appends only.
"""
from __future__ import annotations

import collections
import fcntl
import json
import os
import random
import sys
import threading
import time
import weakref
from typing import Any, NamedTuple, Optional

from . import _place
from ._http import Connection, Reply, Server
from ._spool import Batch, Spool
from .errors import Unreachable

BATCH_RECORDS = 5000
BATCH_BYTES = 1 << 20
LINE_BYTES_MAX = 256 << 10  # a longer message becomes marked parts
FIELDS_BYTES_MAX = 60 << 10  # the server takes 64 KiB
GATHER_S = 0.1  # lines are gathered for so long before they are written and sent
ACCEPTED_S = 3.0  # what is `accepted` counts as durable after this
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 10.0
REFUSED_S = 30.0  # between tries when the server says no (token, project)
CALL_S = 30.0
HELLO_AGAIN_S = 1.0
REFUSED = ".refused"
GONE = ("fenced", "sealed")  # states in which nothing more is taken


class Item(NamedTuple):
    """A message of the program: seconds since 1970, level or None, text (lines are held together), fields, stream."""

    time: float
    level: Optional[str]
    text: str
    fields: Optional[dict[str, Any]]
    stream: Optional[str]


class Ending(NamedTuple):
    """How the producer's process ended. With several ranks the last one to finish says COMPLETED."""

    state: str
    exit_code: int
    message: str
    ranks: int


class _Later(Exception):
    """Try again, not before so many seconds have passed."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_as_text)


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception as e:  # a __str__ of the program's
        return f"<{type(value).__name__}: {type(e).__name__}>"


def _encode(record: dict[str, Any]) -> bytes:
    try:
        return (_dumps(record) + "\n").encode()
    except UnicodeEncodeError:  # lone surrogates: as escapes
        return (json.dumps(record, separators=(",", ":"), default=_as_text) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as e:  # keys that are no strings, circles
        return _encode({**{k: v for k, v in record.items() if k != "fields"}, "fields": {"not_kept": _as_text(e)}})


def _fields_of(item: Item) -> Optional[dict[str, Any]]:
    """The item's, or a note when they are too big."""
    if not item.fields:
        return None
    size = len(_encode({"fields": item.fields}))
    return item.fields if size <= FIELDS_BYTES_MAX else {"not_kept": f"fields of {size} bytes"}


def _parts(text: str) -> list[str]:
    """Pieces of at most LINE_BYTES_MAX bytes, cut between characters."""
    if len(text) * 4 <= LINE_BYTES_MAX or len(text.encode("utf-8", "replace")) <= LINE_BYTES_MAX:
        return [text]
    step = LINE_BYTES_MAX // 4
    return [text[i:i + step] for i in range(0, len(text), step)]


def encode(item: Item) -> list[bytes]:
    """The records of an item, each with its newline: one a line of its text, a long line in parts."""
    head: dict[str, Any] = {"ts": round(item.time, 6)}
    if item.stream:
        head["stream"] = item.stream
    if item.level:
        head["level"] = item.level
    out = []
    fields = _fields_of(item)
    lines = item.text.split("\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        pieces = _parts(line)
        for n, piece in enumerate(pieces, 1):
            record = {**head, "msg": piece}
            more: dict[str, Any] = {}
            if len(pieces) > 1:
                more["part"] = {"n": n, "of": len(pieces)}
            if number > 1:
                more["block"] = number
            if number == 1 and n == 1 and fields:
                more.update(fields)
            if more:
                record["fields"] = more
            out.append(_encode(record))
    return out


class Options(NamedTuple):
    """Of a Shipper; sizes in bytes, times in seconds."""

    queue_records: int
    queue_bytes: int
    spool_dir: Optional[str]
    spool_bytes: int
    flush_timeout: float


class Identity(NamedTuple):
    """Who sends; producer None: found by the rules of Shipper._name."""

    producer: Optional[str]
    rank: Optional[int]
    replica: str


class Counts:
    """What became of everything put. Written by one thread each."""

    def __init__(self) -> None:
        self.emitted = self.dropped_queue = self.sent = self.durable = self.duplicates = 0
        self.retries = self.rewinds = self.refused = self.errors = 0
        self.last_error = ""


def default_spool_dir() -> str:
    """$XDG_STATE_HOME/joblog-python, else ~/.local/state/joblog-python."""
    root = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(root, "joblog-python")


_alive: "weakref.WeakSet[Shipper]" = weakref.WeakSet()


class Shipper:
    """One producer of one job."""

    def __init__(self, server: Server, job: str, who: Identity, options: Options) -> None:
        self.server, self.job, self.who, self.options = server, job, who, options
        self._is_leftover = False
        self.opening: Optional[dict[str, Any]] = None  # POST /v1/jobs with it, then RUNNING
        self._begin()
        _alive.add(self)

    def _begin(self) -> None:
        """Everything as it is before the first line."""
        self.pid = os.getpid()
        self.counts = Counts()
        self.state = "idle"  # running, done, fenced, sealed
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # the spool is being written, or given up; taken before _lock
        self._queue: "collections.deque[Item]" = collections.deque()
        self._queue_bytes = 0
        self._queue_dropped = 0
        self._wake_writer = threading.Event()
        self._hurry = threading.Event()  # do not gather
        self._wake_sender = threading.Condition()
        self._poked = False
        self._put = 0  # items put; with _lock
        self._taken = 0  # of them those that are in the spool, or dropped
        self._spool: Optional[Spool] = None
        self._name_held: Optional[tuple[int, str]] = None
        self._threads: list[threading.Thread] = []
        self._connection: Optional[Connection] = None
        self._next = 1
        self._accepted: "collections.deque[tuple[float, int]]" = collections.deque()
        self._written = threading.Event()  # after close(): the queue is empty for good
        self.batch_records = BATCH_RECORDS
        self._closing = False
        self._fin = False
        self._ending: Optional[Ending] = None
        self._over = threading.Event()
        self._told: set[str] = set()

    # -- the program's side ----------------------------------------------------------------------
    def put(self, item: Item) -> None:
        """Takes an item. When the queue is full the oldest one goes, and is counted."""
        if self._over.is_set() and self.state == "done":
            self._begin_again()
        with self._lock:
            if self.state in GONE:
                self.counts.refused += 1
                return
            self._queue.append(item)
            self._queue_bytes += len(item.text)
            self._put += 1
            self.counts.emitted += 1
            while len(self._queue) > self.options.queue_records or (self._queue_bytes > self.options.queue_bytes and len(self._queue) > 1):
                self._queue_bytes -= len(self._queue.popleft().text)
                self._queue_dropped += 1
                self.counts.dropped_queue += 1
            is_first = not self._wake_writer.is_set()
        if is_first:
            if not self._threads:
                self._start()
            self._wake_writer.set()

    def _begin_again(self) -> None:
        """A line after close(): logging.config closes handlers that go on. The same producer in a new epoch."""
        counts = self.counts
        self._begin()
        self.counts = counts

    def open(self, opening: dict[str, Any]) -> None:
        """Make the job (idempotent) and say RUNNING before the first line."""
        self.opening = opening
        self._start()

    def flush(self, timeout: float) -> bool:
        """Waits, at most `timeout` seconds, until the server holds durably what was put before. False: it does not (yet)."""
        if self.state in GONE or os.getpid() != self.pid:
            return False
        deadline = time.monotonic() + timeout
        with self._lock:
            wanted = self._put
        self._hurry.set()
        self._wake_writer.set()
        try:
            while True:
                with self._lock:
                    taken = self._taken
                spool = self._spool
                if self.state in GONE:
                    return False
                if taken >= wanted and (spool is None or spool.first > spool.last):
                    return True
                if self._over.is_set() or time.monotonic() >= deadline or not self._threads:
                    return False
                self._poke()
                time.sleep(0.01)
        finally:
            self._hurry.clear()

    def close(self, timeout: float, fin: bool = True, ending: Optional[Ending] = None) -> bool:
        """Sends what is left and how it ended, in at most `timeout` seconds. False: it waits in the spool for the next process."""
        if os.getpid() != self.pid or (self.state in ("idle", "done") and ending is None):
            return True
        deadline = time.monotonic() + timeout
        self._fin, self._ending = fin, ending
        if ending is not None:
            self._open_spool()  # so that it is said later when it cannot be said now
        self._note_end()
        self._closing = True
        self._hurry.set()
        self._start()
        self._wake_writer.set()
        self._poke()
        if self._threads:
            self._over.wait(max(deadline - time.monotonic(), 0.0))
        else:  # no thread can be started any more: the interpreter is on its way out
            self._write_once()
            self._written.set()
            self._send_all(deadline)
        if not self._over.is_set() and self._spool is not None:
            self._note_end()
            self._say("unsent", f"{max(self._spool.last - self._spool.first + 1, 0)} lines of {self.job} could not be delivered"
                      + (f"; they wait in {self._spool.path} (python -m joblog resume)" if self._spool.path else " and are lost"))
        return self._over.is_set() and self.state == "done"

    def _note_end(self) -> None:
        """How it ended goes to disk."""
        if self._spool is None:
            return
        self._spool.meta.update(fin=self._fin, ending=self._ending)
        try:
            self._spool.write_meta()
        except OSError:
            self._spool.disk_errors += 1

    def spool_size(self) -> tuple[int, int]:
        """Lines and bytes on their way."""
        spool = self._spool
        return (max(spool.last - spool.first + 1, 0), spool.size) if spool else (0, 0)

    def _say(self, kind: str, text: str) -> None:
        """A word on stderr, once of each kind: never through logging, which may end here."""
        self.counts.last_error = text
        if kind in self._told:
            return
        self._told.add(kind)
        try:
            sys.stderr.write(f"joblog: {text}\n")
        except (OSError, ValueError, AttributeError):
            pass

    # -- threads ---------------------------------------------------------------------------------
    def _start(self) -> None:
        with self._lock:
            if self._threads or self._over.is_set():
                return
            if self.state == "idle":
                self.state = "running"
                _at_exit_of_child(self)
            threads = [threading.Thread(target=self._guard, args=(run,), name=f"joblog-{name}", daemon=True)
                       for name, run in (("writer", self._write_all), ("sender", self._send_for_ever))]
            try:
                for thread in threads:
                    thread.start()
                self._threads = threads
            except RuntimeError:
                self._threads = []  # no threads any more: close() does it

    def _guard(self, run: Any) -> None:
        try:
            run()
        except Exception as e:  # our own bug must not take the log away silently
            self.counts.errors += 1
            self._say("bug", f"the {threading.current_thread().name} thread ended: {type(e).__name__}: {e}")

    def _poke(self) -> None:
        with self._wake_sender:
            self._poked = True
            self._wake_sender.notify_all()

    def _sleep(self, seconds: float) -> None:
        """Until somebody pokes, or for so long."""
        with self._wake_sender:
            if not self._poked:
                self._wake_sender.wait(seconds)
            self._poked = False

    # -- the writer ------------------------------------------------------------------------------
    def _write_all(self) -> None:
        while not self._over.is_set():
            self._wake_writer.wait()
            if not self._hurry.is_set():
                self._hurry.wait(GATHER_S)
            self._wake_writer.clear()
            self._write_once()
            if self._closing and not self._queue:
                self._written.set()
            self._poke()
            if self._written.is_set():
                return

    def _write_once(self) -> None:
        """What is queued goes into the spool."""
        with self._writing:
            if self.state not in GONE:
                self._write_queue()

    def _write_queue(self) -> None:
        with self._lock:
            items, self._queue = self._queue, collections.deque()
            dropped, self._queue_dropped = self._queue_dropped, 0
            self._queue_bytes = 0
        spool = self._open_spool()
        if dropped:
            spool.skipped(dropped, "queue full")
        chunk: list[bytes] = []
        for item in items:
            chunk.extend(encode(item))
            if len(chunk) >= BATCH_RECORDS:
                spool.append(chunk)
                chunk = []
                self._poke()
        if chunk:
            spool.append(chunk)
        if spool.disk_errors:
            self._say("disk", f"the spool {spool.path or self._spool_root()} takes nothing: lines wait in memory")
        with self._lock:
            self._taken += len(items) + dropped

    # -- the spool -------------------------------------------------------------------------------
    def _spool_root(self) -> str:
        return os.path.join(self.options.spool_dir or "", self.server.project or "default", self.job)

    def _open_spool(self) -> Spool:
        if self._spool is None:
            producer = self._name()
            epoch = _place.make_epoch()
            path = os.path.join(self._spool_root(), f"{producer}.{epoch}") if self.options.spool_dir else None
            meta = {"url": self.server.url, "project": self.server.project, "job": self.job, "producer": producer, "epoch": epoch,
                    "rank": self.who.rank, "replica": self.who.replica, "opening": self.opening, "ending": None, "fin": False}
            self._spool = Spool.create(path, meta, self.options.spool_bytes)
        return self._spool

    def _name(self) -> str:
        """A producer that no living process of this host is: `rank-3.py`, with the process id behind it when that is taken.

        Two processes that were one producer would fence each other out. A rank that is started again is the same producer."""
        if self.who.producer:
            return self.who.producer
        base = f"rank-{self.who.rank}.py" if self.who.rank is not None else f"{_place.host()[:100]}-{os.getpid()}.py"
        for name in (base, f"{base}.{os.getpid()}", f"{base}.{os.getpid()}-{os.urandom(3).hex()}"):
            if _is_child and name == base:
                continue
            if self._hold_name(name):
                return name
        return f"{base}.{os.getpid()}-{os.urandom(4).hex()}"

    def _hold_name(self, name: str) -> bool:
        """Lock the name on this host. Where there is no directory for that, only names with a process id are free."""
        if not self.options.spool_dir:
            return str(os.getpid()) in name
        path = os.path.join(self._spool_root(), f".{name}.name")
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            while True:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.stat(path).st_ino == os.fstat(fd).st_ino:
                        self._name_held = (fd, path)
                        return True
                except FileNotFoundError:
                    pass  # its holder has just let go of it
                except OSError:
                    os.close(fd)
                    return False
                os.close(fd)
        except OSError:
            return str(os.getpid()) in name

    def _let_go_of_name(self, unlink: bool) -> None:
        held, self._name_held = self._name_held, None
        if held is None:
            return
        if unlink:
            for remove, path in ((os.unlink, held[1]), (os.rmdir, os.path.dirname(held[1])), (os.rmdir, os.path.dirname(os.path.dirname(held[1])))):
                try:
                    remove(path)
                except OSError:
                    break
        os.close(held[0])

    # -- the sender ------------------------------------------------------------------------------
    def _send_for_ever(self) -> None:
        self._send_all(None)

    def _send_all(self, deadline: Optional[float]) -> None:
        """Until all is sent and said after close(), or the deadline."""
        backoff = 0.0
        ready = False
        while self.state == "running" and (deadline is None or time.monotonic() < deadline):
            try:
                if not ready:
                    self._prepare()
                    ready = True
                pause = self._step()
                backoff = 0.0
                if pause > 0:
                    self._sleep(pause)
            except (Unreachable, _Later) as e:
                if isinstance(e, Unreachable):
                    self._say("away", f"{e}; lines wait in the spool")
                self.counts.retries += 1
                backoff = min(max(backoff * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S)
                least = e.seconds if isinstance(e, _Later) else 0.0
                self._wait_for_server(max(least, backoff * random.uniform(0.5, 1.0)), deadline)
        if self._connection is not None:
            self._connection.close()
        if self.state != "running":
            self._let_go_of_name(unlink=True)
            self._over.set()

    def _wait_for_server(self, seconds: float, deadline: Optional[float]) -> None:
        """A pause that new lines do not shorten, but close() does: then the server is tried once a second."""
        end = time.monotonic() + seconds
        was_closing = self._closing
        while time.monotonic() < end and (deadline is None or time.monotonic() < deadline):
            self._sleep(min(end - time.monotonic(), 0.25))
            if self._closing:
                if not was_closing:
                    return
                end = min(end, time.monotonic() + HELLO_AGAIN_S)
                was_closing = True

    def _call(self, method: str, path: str, body: Optional[bytes] = None, headers: Optional[dict[str, str]] = None) -> Reply:
        if self._connection is None:
            self._connection = Connection(self.server)
        return self._connection.call(method, path, body, headers, CALL_S)

    def _answer(self, reply: Reply) -> dict[str, Any]:
        """The object of an answer that is one. Raises _Later for those that mean "not now"."""
        value = reply.json()
        if reply.status == 429 or reply.status >= 500:
            raise _Later(reply.retry_after_s)
        if reply.status in (401, 403) or (reply.status == 409 and value.get("code") == "ambiguous"):
            self._say("refused", f"{self.server.url} refuses the lines of {self.job}: {reply.status} {value.get('message', '')}")
            self.counts.refused += 1
            raise _Later(REFUSED_S)
        return value

    def _prepare(self) -> None:
        """What comes before the first line: the job, and what dead processes of it left behind."""
        if self.opening is not None:
            reply = self._call("POST", self.server.path(None), json.dumps(self.opening).encode(), {"Content-Type": "application/json"})
            answer = self._answer(reply)
            if reply.status not in (200, 201):
                self._say("create", f"the job {self.job} could not be made: {reply.status} {answer.get('message', '')}")
            self._answer(self._event({"state": "RUNNING"}))
            self.opening = None
        if self.options.spool_dir:
            for path in leftovers(self._spool_root()):
                deliver(path, self.server, self)

    def _event(self, event: dict[str, Any]) -> Reply:
        return self._call("POST", self.server.path(self.job, "/events"), json.dumps(event).encode(), {"Content-Type": "application/json"})

    def _step(self) -> float:
        """One request at most. Returns the seconds until there is something to do, unless somebody pokes; 0: at once."""
        spool = self._spool
        self._free_accepted()
        if spool is not None:
            batch = spool.read(self._next, self.batch_records, BATCH_BYTES)
            if batch is not None and batch.lines:
                self._send(spool, batch)
                return 0.0
            if spool.first <= spool.last:  # accepted, not durable yet
                return max(self._accepted[0][0] - time.monotonic(), 0.01) if self._accepted else 0.05
        if self._written.is_set():
            self._finish()
            return 0.0
        return 3600.0

    def _send(self, spool: Spool, batch: Batch) -> None:
        reply = self._call("POST", self._logs_path(spool), b"".join(batch.lines), {
            "Content-Type": "application/x-ndjson", "X-Producer": spool.meta["producer"], "X-Epoch": str(spool.meta["epoch"]),
            "X-Sequence": str(batch.first)})
        answer = self._answer(reply)
        if reply.status == 200:
            self._held(spool, batch, answer)
        else:
            self._refused(spool, batch, reply.status, answer)

    def _logs_path(self, spool: Spool) -> str:
        return self.server.path(spool.meta["job"], "/logs", {"rank": spool.meta["rank"], "replica": spool.meta["replica"]})

    def _held(self, spool: Spool, batch: Batch, answer: dict[str, Any]) -> None:
        self._next = batch.last + 1
        self.batch_records = min(self.batch_records * 2, BATCH_RECORDS)
        self.counts.sent += len(batch.lines)
        self.counts.duplicates += int(answer.get("duplicates", 0))
        self._told.discard("away")
        if answer.get("durability") == "accepted":
            self._accepted.append((time.monotonic() + ACCEPTED_S, batch.last))
        else:
            self._accepted.clear()
            self._release(spool, batch.last)

    def _release(self, spool: Spool, seq: int) -> None:
        before = spool.first
        spool.release(seq)
        self.counts.durable += max(spool.first - before, 0)

    def _free_accepted(self) -> None:
        while self._accepted and self._accepted[0][0] <= time.monotonic():
            _, seq = self._accepted.popleft()
            if self._spool is not None:
                self._release(self._spool, seq)

    def _refused(self, spool: Spool, batch: Batch, status: int, answer: dict[str, Any]) -> None:
        code = answer.get("code")
        if status == 409 and code == "gap":
            self._rewind(spool, batch, int(answer.get("expected", 0)))
            return
        if status == 409 and code in ("fenced", "sealed"):
            self._stop(spool, str(code), batch.first)
            return
        self.counts.refused += 1
        line = answer.get("line")
        if status == 400 and isinstance(line, int) and 0 < line <= len(batch.lines):
            at = line - 1
        elif len(batch.lines) > 1:
            self.batch_records = max(len(batch.lines) // 2, 1)  # too much at once, or one of them: find it
            return
        else:
            at = 0
        why = f"{status} {answer.get('message', '')}"[:300]
        self._say("line", f"the server does not take a line of {self.job}: {why}")
        if status in (404, 405):
            raise _Later(REFUSED_S)  # not a line's fault
        note = _encode({"level": "warn", "msg": f"joblog: a line was refused here: {why}"})
        spool.replace(batch.first + at, lambda old: note)

    def _stop(self, spool: Spool, state: str, first: int) -> None:
        """Nothing more of this producer will be taken: its lines from `first` on, what is queued, and what the program logs from now on."""
        with self._writing, self._lock:
            lines = spool.last - first + 1
            self.state = state
            self.counts.refused += lines + len(self._queue)
            self._taken += len(self._queue)
            self._queue.clear()
            self._queue_bytes = 0
            if not self._is_leftover:
                spool.remove()
        self._say(state, f"{self.job}: " + ("another process has taken over this producer" if state == "fenced"
                                            else "the job's log is closed") + "; further lines are not kept")

    def _rewind(self, spool: Spool, batch: Batch, expected: int) -> None:
        """The server holds less than it said: back to there; or, when that is gone here, a new count in a new epoch."""
        self.counts.rewinds += 1
        self._accepted.clear()
        if expected >= batch.first:
            raise _Later(1.0)  # that is no gap
        if expected >= spool.first:
            self._next = expected
            return
        self._say("lost", f"{self.job}: the server has lost lines {expected} to {spool.first - 1} that it called durable")
        spool.meta["epoch"] = max(_place.make_epoch(), int(spool.meta["epoch"]) + 1)
        spool.renumber()
        self._next = 1

    # -- the end ---------------------------------------------------------------------------------
    def _finish(self) -> None:
        """Everything is durable: say so, say how it ended, and forget the spool."""
        spool = self._spool
        if spool is not None and self._fin and spool.last > 0:
            self._say_fin(spool)
        if self._ending is not None and self.state == "running":
            self._say_ending(self._ending)
        if spool is not None:
            spool.remove()
        if self.state == "running":
            self.state = "done"

    def _say_fin(self, spool: Spool) -> None:
        headers = {"X-Producer": str(spool.meta["producer"]), "X-Epoch": str(spool.meta["epoch"]), "X-Producer-Fin": str(spool.last)}
        if self._ending is not None:
            headers["X-Producer-Exit"] = str(self._ending.exit_code)
        answer = self._answer(self._call("POST", self._logs_path(spool), b"", headers))
        if answer.get("code") == "fenced":
            self.state = "fenced"

    def _say_ending(self, ending: Ending) -> None:
        if ending.state == "COMPLETED" and ending.ranks > 1 and not self._all_finished(ending.ranks):
            return
        event: dict[str, Any] = {"state": ending.state, "exit_code": ending.exit_code}
        if ending.message:
            event["message"] = ending.message[:4000]
        if self.who.rank is not None and ending.state != "COMPLETED":
            event["rank"] = self.who.rank
        reply = self._event(event)
        answer = self._answer(reply)
        if reply.status >= 400 and answer.get("code") != "bad_transition":
            self._say("state", f"{self.job} is not {ending.state}: {answer.get('message', reply.status)}")

    def _all_finished(self, ranks: int) -> bool:
        answer = self._answer(self._call("GET", self.server.path(self.job)))
        producers = answer.get("producers") or []
        return len(producers) >= ranks and all(p.get("fin") is not None for p in producers)

    # -- forks -----------------------------------------------------------------------------------
    def after_fork(self) -> None:
        """In the child: the parent's threads, queue, connection and spool are not ours."""
        spool, connection = self._spool, self._connection
        self._let_go_of_name(unlink=False)
        self.opening = None
        self._begin()
        if spool is not None:
            spool.leave()
        if connection is not None:
            connection.close()
        if self.who.producer:
            self.who = self.who._replace(producer=f"{self.who.producer[:110]}.{os.getpid()}")


_is_child = False


def _after_fork() -> None:
    global _is_child
    _is_child = True
    for shipper in list(_alive):
        shipper.after_fork()


def _at_exit_of_child(shipper: Shipper) -> None:
    """multiprocessing's children leave without atexit, which is what closes handlers elsewhere (logging.shutdown)."""
    util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, _close_one, args=(weakref.ref(shipper),), exitpriority=10)


def _close_one(reference: "weakref.ref[Shipper]") -> None:
    shipper = reference()
    if shipper is not None:
        shipper.close(shipper.options.flush_timeout)


os.register_at_fork(after_in_child=_after_fork)


# -- what dead processes left behind -------------------------------------------------------------
def leftovers(root: str) -> list[str]:
    """Spools under root, the oldest epochs of each producer first; some may belong to living processes."""
    found = [folder for folder, _, files in os.walk(root) if "meta.json" in files and not folder.endswith(REFUSED)]
    return sorted(found, key=lambda p: (p.rsplit(".", 1)[0], p.rsplit(".", 1)[-1].zfill(20)))


def deliver(path: str, server: Optional[Server], owner: Optional[Shipper] = None, timeout: float = 60.0) -> int:
    """Sends the spool of a dead process, with its end if it had one.

    Returns the number of lines; -1: it is not to be had (its process lives, or it is no spool). What the server will not
    have (fenced, sealed) stays in a directory *.refused. server None: the one it was meant for. Raises Unreachable."""
    spool = Spool.adopt(path)
    if spool is None:
        return -1
    meta = spool.meta
    if server is None:
        server = Server.find(meta.get("url"), project=meta.get("project"))
    shipper = Shipper(server, meta["job"], Identity(meta["producer"], meta.get("rank"), meta.get("replica") or _place.host()),
                      Options(1, 1, None, 1 << 62, timeout))
    _alive.discard(shipper)
    shipper._is_leftover = True
    shipper._spool, shipper._next, shipper.state = spool, spool.first, "running"
    if owner is not None:
        shipper.counts, shipper._told = owner.counts, owner._told
    count = max(spool.last - spool.first + 1, 0)
    ending = meta.get("ending")
    shipper.opening = meta.get("opening")
    shipper._written.set()
    shipper._closing, shipper._fin = True, bool(meta.get("fin"))
    shipper._ending = Ending(*ending) if ending else None
    shipper._send_all(time.monotonic() + timeout)
    if shipper.state == "done":
        return count
    spool.leave()
    if shipper.state == "running":
        raise Unreachable(f"{server.url} did not take what waits in {path}")
    os.rename(path, path + REFUSED)
    return 0
