"""joblog/_tail.py -- following a job's log, and reading what is stored of it.

    connect ──hello──► lines, state … ──end──► verdict          Server-Sent Events over http.client
       ▲                    │ broken, silent for 45 s, 5xx
       └──── backoff ───────┘   after=<the last cursor>: every record once, in order, or an explicit gap
"""
from __future__ import annotations

import http.client
import json
import random
import time
from typing import Any, Callable, Iterator, NamedTuple, Optional, Union

from . import _place
from ._http import BROKEN, Query, Server, one_call, retry_after
from ._records import Record, Verdict
from .errors import Incomplete, JobDeleted, ServerError, Unreachable

SILENCE_S = 45.0  # the server says something every 15 s
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 10.0
READ_BYTES = 1 << 16
ERROR_BODY_BYTES_MAX = 1 << 16


class Gap(NamedTuple):
    """Records `first` to `last` are lost for good."""

    first: int
    last: int
    reason: str


def _seconds(text: str) -> float:
    """"30s", "5m", "250ms", a bare number; 30 for what is none: only a deadline hangs on it."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number = text.rstrip("msdh")
    try:
        return float(number) * units.get(text[len(number):] or "s", 1.0)
    except ValueError:
        return 30.0


def filters(rank: Union[int, str, None], replica: Optional[str], stream: Optional[str], level: Optional[str], q: Optional[str],
            re: Optional[str], since: Optional[str], until: Optional[str], ignore_case: bool) -> dict[str, Union[str, int, None]]:
    """Arguments tail() and logs() share, as the server takes them."""
    return {"rank": rank, "replica": replica, "stream": stream, "level": level, "q": q, "re": re, "since": since, "until": until,
            "case": "insensitive" if ignore_case else None}


class Tail:
    """An iterator over a job's records, old and new, until the job's end. Made by joblog.tail()."""

    def __init__(self, server: Server, job: str, query: dict[str, Union[str, int, None]], after: Optional[str], reconnect: bool,
                 raise_incomplete: bool, wait: str) -> None:
        self.job = job
        self.cursor: Optional[str] = after  #: resumes after the last record given, here or elsewhere
        self.verdict: Optional[Verdict] = None  #: once the iteration is over
        self.gaps: list[Gap] = []  #: what was lost for good
        self.resets = 0  #: times stored history was lost or replaced, and given again from its start
        self.reconnects = 0
        self._server, self._query, self._reconnect = server, query, reconnect
        self._raise_incomplete = raise_incomplete
        self._wait = wait
        self._conn: Optional[http.client.HTTPConnection] = None
        self._events: Optional[Iterator[tuple[str, str, str]]] = None
        self._records: Iterator[Record] = iter(())
        self._backoff = 0.0
        self._connected = False

    def __iter__(self) -> "Tail":
        return self

    def __enter__(self) -> "Tail":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection; the iteration ends."""
        self._drop()
        self._records = iter(())
        self._wait = ""
        self._query = {}
        self._closed = True

    _closed = False

    def _drop(self) -> None:
        conn, self._conn, self._events = self._conn, None, None
        if conn is not None:
            conn.close()

    def __next__(self) -> Record:
        while True:
            for record in self._records:
                return record
            if self.verdict is not None or self._closed:
                raise StopIteration
            try:
                if self._events is None:
                    self._connect()
                if self._events is not None:
                    self._take(*next(self._events))
            except StopIteration:
                self._broken("the server closed the connection")
            except BROKEN as e:
                self._broken(str(e) or type(e).__name__)

    # -- the connection --------------------------------------------------------------------------
    def _connect(self) -> None:
        query: dict[str, Union[str, int, None]] = {**self._query, "wait": self._wait}
        if self.cursor:
            query.pop("tail", None)
            query["after"] = self.cursor
        conn = self._conn = self._server.connect(SILENCE_S)
        conn.timeout = SILENCE_S + _seconds(self._wait)
        conn.request("GET", self._server.path(self.job, "/tail", query), headers={**self._server.headers(), "Accept": "text/event-stream"})
        response = conn.getresponse()
        if response.status == 200:
            if conn.sock is not None:
                conn.sock.settimeout(SILENCE_S)
            self._events = _events(response)
            return
        if response.status == 204:  # it ended when the cursor's record was the last
            self._drop()
            self.verdict = self._ask_verdict()
            self._judge()
            return
        body = response.read(ERROR_BODY_BYTES_MAX)
        if response.status == 429 or response.status >= 500:
            self._broken(f"{response.status}", retry_after(response.headers))
            return
        self._drop()
        _raise(response.status, body)

    def _broken(self, why: str, least_s: float = 0.0) -> None:
        self._drop()
        if not self._reconnect or (not self._connected and not least_s and self._backoff > 1.0):
            raise Unreachable(f"{self._server.url}: {why}") from None
        self.reconnects += 1
        self._backoff = min(max(self._backoff * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S)
        time.sleep(max(least_s, self._backoff * random.uniform(0.5, 1.0)))

    def _ask_verdict(self) -> Verdict:
        return Verdict.read(one_call(self._server, "GET", self._server.path(self.job)).check())

    # -- messages --------------------------------------------------------------------------------
    def _take(self, kind: str, cursor: str, data: str) -> None:
        message = json.loads(data)
        if kind == "lines":
            self._records = iter([Record.read(v) for v in message["lines"]])
        elif kind == "state":
            self._records = iter((Record.read(message),))
        elif kind == "hello":
            self._connected, self._backoff = True, 0.0
        elif kind == "gap":
            self._gap(Gap(message["from"], message["to"], message["reason"]))
        elif kind == "reset":
            self._reset(bool(message.get("deleted")))
        elif kind == "end":
            self.verdict = Verdict.read(message)
            self._drop()
            self._judge()
        if cursor:
            self.cursor = cursor

    def _gap(self, gap: Gap) -> None:
        self.gaps.append(gap)
        if self._raise_incomplete:
            raise Incomplete(f"records {gap.first} to {gap.last} of {self.job} are lost: {gap.reason}")

    def _reset(self, deleted: bool) -> None:
        self.resets += 1
        if deleted:
            self._drop()
            self._closed = True
            raise JobDeleted(f"{self.job} was deleted")
        if self._raise_incomplete:
            raise Incomplete(f"stored history of {self.job} was lost or replaced")

    def _judge(self) -> None:
        v = self.verdict
        if v is not None and self._raise_incomplete and not v.complete:
            raise Incomplete(f"{self.job} is {v.state}, and its log is not complete", v.missing)


def _raise(status: int, body: bytes) -> None:
    try:
        value = json.loads(body)
    except ValueError:
        value = {}
    raise ServerError(status, str(value.get("code", "error")), str(value.get("message", "no reason given")))


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, str, str]]:
    """(event, id, data) of each Server-Sent Event of an answer (WHATWG HTML 9.2; the server ends lines with \\n)."""
    rest = b""
    kind, identity, data = "message", "", []
    while True:
        piece = response.read1(READ_BYTES)
        if not piece:
            return
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].decode("utf-8").strip())
            elif line.startswith(b"event:"):
                kind = line[6:].decode("utf-8").strip()
            elif line.startswith(b"id:"):
                identity = line[3:].decode("utf-8").strip()
            elif not line.rstrip(b"\r"):
                if data:
                    yield kind, identity, "\n".join(data)
                kind, data = "message", []


def tail(job: str, *, tail: Union[int, str, None] = None, after: Optional[str] = None, url: Optional[str] = None,
         token: Optional[str] = None, project: Optional[str] = None, cafile: Optional[str] = None, rank: Union[int, str, None] = None,
         replica: Optional[str] = None, stream: Optional[str] = None, level: Optional[str] = None, q: Optional[str] = None,
         re: Optional[str] = None, since: Optional[str] = None, ignore_case: bool = False, states: bool = True, wait: str = "30s",
         reconnect: bool = True, raise_incomplete: bool = False) -> Tail:
    """Follow a job: its records from `tail` before the end on, and each new one as it comes, until the job ends.

        for record in joblog.tail("demo"):
            print(record.rank, record.msg)

    tail       begin so many records before the end, or "all"; None: 10
    after      begin after this cursor (`Tail.cursor` of an earlier one): nothing is given twice, nothing is left out
    rank, replica, stream, level, q, re, since, ignore_case   the server's filters: rank "0,3-5", level a minimum, q a text,
               re an RE2 pattern, since RFC 3339 or "10m"
    states     changes of state are given, too
    wait       for a job that is not there yet: "30s", "5m"
    reconnect  False: Unreachable when the connection breaks. A server that was never reached is given up after some seconds.
    raise_incomplete   raise Incomplete when records are lost, or at the end when a producer never said that it was done

    After the last record `verdict` tells how the job ended. `gaps` tells of records that are lost.
    Raises ValueError, ServerError (no such job, bad filter, no token), Unreachable, JobDeleted, Incomplete.
    """
    query = filters(rank, replica, stream, level, q, re, since, None, ignore_case)
    query["tail"] = tail
    query["states"] = None if states else 0
    return Tail(Server.find(url, token, project, cafile), _place.check_id("job", job), query, after, reconnect, raise_incomplete, wait)


def logs(job: str, *, tail: Union[int, str, None] = None, after: Optional[str] = None, before: Optional[str] = None,
         limit: Optional[int] = None, order: Optional[str] = None, url: Optional[str] = None, token: Optional[str] = None,
         project: Optional[str] = None, cafile: Optional[str] = None, rank: Union[int, str, None] = None, replica: Optional[str] = None,
         stream: Optional[str] = None, level: Optional[str] = None, q: Optional[str] = None, re: Optional[str] = None,
         since: Optional[str] = None, until: Optional[str] = None, ignore_case: bool = False, states: bool = False,
         timeout: float = 120.0) -> Iterator[Record]:
    """What is stored of a job, read while it comes: records that pass the filters (see tail()), oldest first.

    tail, limit   the last / at most so many; after, before: cursors, both exclusive; order "desc": newest first
    timeout       seconds the server may be silent
    Raises ValueError, ServerError, Unreachable (also when the answer breaks off), Incomplete when records are lost.
    """
    query = filters(rank, replica, stream, level, q, re, since, until, ignore_case)
    query.update({"tail": tail, "after": after, "before": before, "limit": limit, "order": order, "format": "ndjson",
                  "states": int(states)})
    return _read(Server.find(url, token, project, cafile), _place.check_id("job", job), query, timeout)


def _read(server: Server, job: str, query: Query, timeout: float) -> Iterator[Record]:
    conn = server.connect(timeout)
    try:
        conn.request("GET", server.path(job, "/logs", query), headers={**server.headers(), "Accept": "application/x-ndjson"})
        response = conn.getresponse()
        if response.status != 200:
            _raise(response.status, response.read(ERROR_BODY_BYTES_MAX))
        rest = b""
        while True:
            piece = response.read1(READ_BYTES)
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            for line in lines:
                yield _record(job, json.loads(line))
            if not piece:
                break
        if rest:
            raise Unreachable(f"{server.url}: the answer broke off")
    except BROKEN as e:
        raise Unreachable(f"{server.url}: {e or type(e).__name__}") from None
    finally:
        conn.close()


def _record(job: str, value: dict[str, Any]) -> Record:
    gap = value.get("gap")
    if gap is not None:
        raise Incomplete(f"records {gap['from']} to {gap['to']} of {job} are lost: {gap['reason']}")
    return Record.read(value)
