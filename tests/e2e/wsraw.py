"""tests/e2e/wsraw.py -- a WebSocket client that can say anything: frames byte by byte, right or wrong.

    with Raw(port, "/v1/jobs/j/ingest", protocol="joblog.ingest.v1") as w:
        w.send(frame(TEXT, b"…"))
        w.read()                      # Frame(fin, rsv, op, payload), or None when the connection is over
"""
import collections
import re
import socket
import struct

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
Frame = collections.namedtuple("Frame", "fin rsv op payload")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def frame(op, payload=b"", fin=True, rsv=0, mask=b"\x37\xfa\x21\x3d", size=None, length=None):
    """One frame. mask None: not masked. size: 7, 16 or 64, the form of the length (least by default); length: said instead."""
    payload = payload.encode() if isinstance(payload, str) else payload
    n = len(payload) if length is None else length
    size = size or (7 if n < 126 else 16 if n < 65536 else 64)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | op])
    masked = 0x80 if mask is not None else 0
    head += bytes([masked | (n if size == 7 else 126 if size == 16 else 127)])
    head += b"" if size == 7 else struct.pack("!H" if size == 16 else "!Q", n)
    if mask is None:
        return head + payload
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[:len(payload)], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


def close_frame(code=None, reason=b"", **kw):
    return frame(CLOSE, (b"" if code is None else struct.pack("!H", code)) + reason, **kw)


class Raw:
    """A connection that was upgraded; status and head hold the answer (status 101: the rest is frames)."""

    def __init__(self, port, path, headers=None, protocol=None, timeout=30, extra=b""):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": KEY, **({"Sec-WebSocket-Protocol": protocol} if protocol else {}), **(headers or {})}
        text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        self.sock.sendall(text.encode() + extra)
        self.held = b""
        while b"\r\n\r\n" not in self.held:
            if not self._more():
                break
        self.head, _, self.held = self.held.partition(b"\r\n\r\n")
        m = re.match(rb"HTTP/1.1 (\d+)", self.head)
        self.status = int(m[1]) if m else None

    def _more(self):
        try:
            got = self.sock.recv(65536)
        except ConnectionError:
            got = b""
        self.held += got
        return bool(got)

    def send(self, data, chop=0):
        """chop: in pieces of so many bytes."""
        try:
            if not chop:
                self.sock.sendall(data)
            for at in range(0, len(data) if chop else 0, chop or 1):
                self.sock.sendall(data[at:at + chop])
        except ConnectionError:
            pass  # what it answered can still be read
        return self

    def _need(self, n):
        while len(self.held) < n:
            if not self._more():
                return False
        return True

    def read(self):
        """The next frame; None at the end of the connection."""
        if not self._need(2):
            return None
        a, b = self.held[0], self.held[1]
        assert not b & 0x80, "a server's frame is masked"
        n, at = b & 0x7f, 2
        if n >= 126:
            size = 2 if n == 126 else 8
            if not self._need(2 + size):
                return None
            n, at = int.from_bytes(self.held[2:2 + size], "big"), 2 + size
        if not self._need(at + n):
            return None
        payload, self.held = self.held[at:at + n], self.held[at + n:]
        return Frame(a >> 7, a >> 4 & 7, a & 15, payload)

    def until(self, op):
        """Frames up to and with the first of kind op (or the end): the last one read, or None."""
        while True:
            f = self.read()
            if f is None or f.op == op:
                return f

    def end(self, wait=True):
        """How it ends: the code of the close frame (None: a close frame without), or "dropped". The close is answered, and
        with wait the connection must be over then."""
        f = self.until(CLOSE)
        if f is None:
            return "dropped"
        self.send(close_frame(1000))
        assert not wait or self.read() is None, "something follows the close frame"
        return int.from_bytes(f.payload[:2], "big") if len(f.payload) >= 2 else None

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
