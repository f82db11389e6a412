"""joblog/_http.py -- the server: its address, its token, and requests to it over http.client.

    Server.find(url)   http://HOST[:PORT][/PREFIX], https://…, unix:/path; else JOBLOG_URL, else the default
    Connection         one at a time, kept open between requests, opened anew when it broke while idle

Proxies of the environment are not used: the server is a neighbour.
"""
from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from typing import Any, Mapping, NamedTuple, Optional, Union
from urllib.parse import quote, urlencode, urlsplit

from .errors import ServerError, Unreachable

DEFAULT_URL = "http://127.0.0.1:8000"
CONNECT_S = 10.0
USER_AGENT = "joblog-python/0.1.0"
REPLY_BYTES_MAX = 64 << 20
Query = Mapping[str, Union[str, int, None]]


class Server(NamedTuple):
    """Where the server is and what is said to it. Nothing here holds a connection."""

    url: str
    scheme: str
    host: str
    port: int
    prefix: str
    token: Optional[str]
    project: Optional[str]
    cafile: Optional[str]

    @classmethod
    def find(cls, url: Optional[str] = None, token: Optional[str] = None, project: Optional[str] = None,
             cafile: Optional[str] = None) -> "Server":
        """From arguments, else JOBLOG_URL, JOBLOG_TOKEN, JOBLOG_PROJECT and JOBLOG_CACERT. ValueError: no such URL."""
        url = (url or os.environ.get("JOBLOG_URL") or DEFAULT_URL).rstrip("/")
        token = token or os.environ.get("JOBLOG_TOKEN") or None
        project = project or os.environ.get("JOBLOG_PROJECT") or None
        cafile = cafile or os.environ.get("JOBLOG_CACERT") or None
        if token and not token.isprintable():
            raise ValueError("the token holds characters that cannot stand in a header")
        if url.startswith("unix:/"):
            return cls(url, "unix", url[5:], 0, "", token, project, cafile)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"{url!r} is no URL like http://HOST:PORT, https://HOST or unix:/path")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(url, parts.scheme, parts.hostname, port, parts.path.rstrip("/"), token, project, cafile)

    def path(self, job: Optional[str], tail: str = "", query: Optional[Query] = None) -> str:
        """/v1/jobs[/JOB][tail]?query with the project; members that are None are left out."""
        args = {k: v for k, v in (query or {}).items() if v is not None}
        if self.project:
            args["project"] = self.project
        text = f"{self.prefix}/v1/jobs" + (f"/{quote(job, safe='')}" if job else "") + tail
        return text + ("?" + urlencode(args, quote_via=quote) if args else "")

    def headers(self) -> dict[str, str]:
        """Those of every request."""
        out = {"User-Agent": USER_AGENT, "Host": "localhost" if self.scheme == "unix" else self._authority()}
        if self.token:
            out["Authorization"] = f"Bearer {self.token}"
        return out

    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """A new connection; timeout in seconds for each wait on it."""
        if self.scheme == "unix":
            return _UnixConnection(self.host, timeout)
        if self.scheme == "https":
            context = ssl.create_default_context(cafile=self.cafile)
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Reply(NamedTuple):
    """An answer of any status."""

    status: int
    retry_after_s: float
    body: bytes

    def json(self) -> dict[str, Any]:
        """Its object; {} when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def check(self) -> dict[str, Any]:
        """The object of an answer that is a success; ServerError else."""
        value = self.json()
        if not 200 <= self.status < 300:
            raise ServerError(self.status, str(value.get("code", "error")), str(value.get("message", "no reason given")))
        return value


def retry_after(headers: Any) -> float:
    """Seconds of Retry-After, 0 without one, at most 60."""
    text = headers.get("Retry-After") or ""
    return min(float(text), 60.0) if text.isdigit() else 0.0


# What a broken connection may raise; ValueError: a header that cannot be sent.
BROKEN = (OSError, http.client.HTTPException)


class Connection:
    """Requests one after another. Not for two threads at once."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._conn: Optional[http.client.HTTPConnection] = None

    def call(self, method: str, path: str, body: Optional[bytes] = None, headers: Optional[Mapping[str, str]] = None,
             timeout: float = 30.0) -> Reply:
        """One request. Unreachable when no answer came; a request on a kept connection is tried once more on a new one, so only
        what may be repeated is sent here."""
        for attempt in (0, 1):
            fresh = self._conn is None
            try:
                if self._conn is None:
                    self._conn = self.server.connect(min(timeout, CONNECT_S))
                    self._conn.connect()
                if self._conn.sock is not None:
                    self._conn.sock.settimeout(timeout)
                self._conn.request(method, path, body=body, headers={**self.server.headers(), **(headers or {})})
                response = self._conn.getresponse()
                data = response.read(REPLY_BYTES_MAX)
                if response.will_close:
                    self.close()
                return Reply(response.status, retry_after(response.headers), data)
            except BROKEN as e:
                self.close()
                if fresh or attempt or isinstance(e, socket.timeout):
                    raise Unreachable(f"{self.server.url}: {e or type(e).__name__}") from None
        raise AssertionError("not reached")

    def close(self) -> None:
        """Closes the socket; the next call opens another."""
        conn, self._conn = self._conn, None
        if conn is not None:
            try:
                conn.close()
            except OSError:
                pass


def one_call(server: Server, method: str, path: str, body: Optional[bytes] = None, headers: Optional[Mapping[str, str]] = None,
             timeout: float = 30.0) -> Reply:
    """A request on a connection of its own."""
    connection = Connection(server)
    try:
        return connection.call(method, path, body, headers, timeout)
    finally:
        connection.close()
