"""tests/e2e/13-http-websocket.py -- what a WebSocket client may say, and what becomes of one that says it wrong.

The groups follow those of the Autobahn test suite (1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8,
7 closing, 9 limits, 12 compression), on the agents' road, whose hello is answered by a welcome, and on a tail. After each
group the server is alive, quick, and no larger. One rule of RFC 6455 is not kept: frames without a mask are taken, which
libwebsockets does not tell; the mask protects caches between, not us.
"""
import json
import random
import time

import harness
from wsraw import BINARY, CLOSE, CONT, PING, PONG, TEXT, Raw, close_frame, frame

HELLO = b'{"type":"hello","producer":"p","epoch":1}'
MESSAGE_BYTES_MAX = 8 << 20  # of the agents' road
RSS_GROWTH_BYTES = 64 << 20
BAD_UTF8 = [b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80", b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff", b"\xed\xbf\xbf", b"\xe1\x80", b"\xf0\x90\x80", b"ok\xc3"]
server = None
serial = 0


def setup():
    global server
    server = harness.Joblogd("--connections", "2000")
    server.post_lines("t", ["one"])
    server.rss_start = server.rss_bytes()


def teardown():
    if server:
        server.close()


def agent(**kw):
    """A connection of a job of its own on the agents' road."""
    global serial
    serial += 1
    w = Raw(server.port, f"/v1/jobs/ws{serial}/ingest", protocol="joblog.ingest.v1", **kw)
    assert w.status == 101, w.head
    return w


def tail(**kw):
    w = Raw(server.port, "/v1/jobs/t/tail?tail=0", **kw)
    assert w.status == 101 and json.loads(w.read().payload)["type"] == "hello"
    return w


def welcome(w):
    f = w.read()
    assert f and f.op == TEXT and json.loads(f.payload)["type"] == "welcome", f


def fails(*frames, code=1002, chop=0):
    """The connection is failed: closed with the code, or (what cannot be answered) dropped."""
    for make in (agent, tail):
        with make() as w:
            for f in frames:
                w.send(f, chop)
            end = w.end(wait=False)  # libwebsockets gives up such a connection 5 s later
            assert end in (code, "dropped"), (frames[0][:40], end)


def assert_unharmed():
    took = min(timed_health() for _ in range(5))
    assert took < harness.PATIENCE, took
    assert harness.sanitized() or server.rss_bytes() - server.rss_start < RSS_GROWTH_BYTES, server.rss_bytes() - server.rss_start
    with agent() as w:
        welcome(w.send(frame(TEXT, HELLO)))


def timed_health():
    began = time.monotonic()
    assert server.get("/healthz").status == 200
    return time.monotonic() - began


def test_1_framing():
    """Messages of every size at the limits of the length forms, in pieces of any size, are one message each."""
    for n in (len(HELLO), 125, 126, 127, 128, 65535 - 200, 65500):
        for op in (TEXT, BINARY):
            with agent() as w:
                welcome(w.send(frame(op, HELLO + b" " * (n - len(HELLO)))))
    for chop in (1, 3, 7):
        with agent() as w:
            welcome(w.send(frame(TEXT, HELLO), chop))
            w.send(close_frame(1000), chop)
            assert w.end() == 1000
    with agent(extra=frame(TEXT, HELLO)) as w:  # in one segment with the handshake
        welcome(w)
    with agent() as w:  # an empty message is one, too, and here a bad one
        w.send(frame(TEXT, b""))
        assert w.end() == 4400
    fails(frame(TEXT, b"x", size=64, length=1 << 63), code=1009)
    with agent() as w:  # ignored once the connection is over
        w.send(close_frame(1000) + frame(TEXT, HELLO) * 50)
        assert w.end() == 1000
    assert_unharmed()


def test_2_pings():
    """A ping is answered by its own payload, in order, also between fragments; pongs that nobody asked for are ignored."""
    for make in (agent, tail):
        for payload in (b"", b"hello", bytes(range(125)), b"\x00\xff\xfe"):
            with make() as w:
                w.send(frame(PING, payload))
                assert w.until(PONG).payload == payload
        with make() as w:
            w.send(frame(PONG, b"unasked") + frame(PONG) + frame(PING, b"x"))
            assert w.until(PONG).payload == b"x"
        with make() as w:
            for i in range(10):
                w.send(frame(PING, f"{i}"))
                assert w.until(PONG).payload == f"{i}".encode()
    fails(frame(PING, b"x" * 126))
    fails(frame(PING, b"x" * 70000))
    assert_unharmed()


def test_3_reserved_bits():
    """A reserved bit in any frame fails the connection: no extension was agreed on."""
    for rsv in range(1, 8):
        for f in (frame(TEXT, HELLO, rsv=rsv), frame(BINARY, b"", rsv=rsv), frame(PING, b"x", rsv=rsv), close_frame(1000, rsv=rsv)):
            fails(f)
    fails(frame(TEXT, HELLO[:5], fin=False), frame(CONT, HELLO[5:], rsv=4))
    with agent() as w:
        w.send(frame(TEXT, HELLO, rsv=4))
        assert w.end() in (1002, "dropped")  # and it is over, in the end
    assert_unharmed()


def test_4_opcodes():
    """An opcode without a meaning fails the connection, with payload or without, after a good message, too."""
    for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        fails(frame(op))
        fails(frame(op, b"payload"))
    with agent() as w:
        welcome(w.send(frame(TEXT, HELLO)))
        w.send(frame(11, b"x"))
        assert w.end(wait=False) in (1002, "dropped")
    assert_unharmed()


def test_5_fragments():
    """Fragments make one message however they are cut and whatever control frames lie between; wrong orders fail."""
    rng = random.Random(5)
    for _ in range(20):
        cuts = sorted(rng.choices(range(len(HELLO) + 1), k=rng.randint(1, 12)))
        parts = [HELLO[a:b] for a, b in zip([0, *cuts], [*cuts, len(HELLO)])]
        data = b""
        for i, part in enumerate(parts):
            data += frame(CONT if i else TEXT, part, fin=i == len(parts) - 1)
            if rng.random() < 0.3 and i < len(parts) - 1:
                data += frame(PONG, b"between")
        with agent() as w:
            w.send(data, rng.choice((0, 1, 5)))
            welcome(w)
    with agent() as w:
        w.send(frame(TEXT, HELLO[:9], fin=False) + frame(PING, b"mid"))
        assert w.until(PONG).payload == b"mid"
        welcome(w.send(frame(CONT, HELLO[9:])))
    fails(frame(CONT, b"nothing to go on"))
    fails(frame(CONT, b"", fin=False))
    fails(frame(TEXT, b"a", fin=False), frame(TEXT, b"b"))
    fails(frame(TEXT, b"a", fin=False), frame(BINARY, b"b"))
    with agent() as w:  # the message is over
        welcome(w.send(frame(TEXT, HELLO[:5], fin=False) + frame(CONT, HELLO[5:])))
        w.send(frame(CONT, b"more"))
        assert w.end(wait=False) in (1002, "dropped")
    for op in (PING, PONG, CLOSE):
        fails(frame(op, b"\x03\xe8", fin=False))
    with agent() as w:  # left open: given up with the connection
        w.send(frame(TEXT, HELLO[:3], fin=False) + close_frame(1000))
        assert w.end() == 1000
    assert_unharmed()


def test_6_utf8():
    """Text that is no UTF-8 is refused with 1007, wherever it is cut; every code point there is passes."""
    for bad in BAD_UTF8:
        for cut in (None, *range(len(bad) + 1)):
            data = b'{"a":"' + bad
            fails(*([frame(TEXT, data)] if cut is None else [frame(TEXT, data[:6 + cut], fin=False), frame(CONT, data[6 + cut:])]), code=1007)
    good = "".join(chr(c) for c in (0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff, 0x1fffe))
    text = HELLO[:-1] + b',"x":"' + good.encode() + b'"}'
    for cut in range(len(HELLO), len(text), 3):
        with agent() as w:
            welcome(w.send(frame(TEXT, text[:cut], fin=False) + frame(CONT, text[cut:])))
    with agent() as w:  # binary is not looked at
        welcome(w.send(frame(BINARY, HELLO)))
    assert_unharmed()


def test_7_closing():
    """A close is answered once with its code; codes and reasons that may not be sent are not sent back."""
    for make in (agent, tail):
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
            with make() as w:
                w.send(close_frame(code, b"reason" if code % 2 else b""))
                assert w.end() == code, code
        with make() as w:
            w.send(close_frame())
            assert w.end() is None
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        fails(close_frame(code))
    fails(frame(CLOSE, b"\x03"))
    fails(close_frame(1000, b"x" * 124))
    for bad in BAD_UTF8:
        with agent() as w:
            w.send(close_frame(1000, bad))
            f = w.until(CLOSE)
            assert f.payload[:2] == b"\x03\xef" and f.payload[2:].decode() is not None, f
    with agent() as w:
        w.send(close_frame(1000) + close_frame(1001) + frame(PING))
        assert w.end() == 1000
    for _ in range(50):  # and those that just go
        agent().close()
    assert_unharmed()


def test_9_limits():
    """A message over the limit is refused with 1009 before it has come, whole or in fragments; one at the limit is read."""
    with agent() as w:
        w.send(frame(BINARY, HELLO))
        welcome(w)
        body = b'{"type":"lines","first":1}\n' + b'{"msg":"x"}\n' * 1000
        w.send(frame(BINARY, body))
        assert json.loads(w.read().payload)["accepted"] == 1000
    for length in (MESSAGE_BYTES_MAX + 1, 1 << 31, 1 << 40, (1 << 63) - 1):
        with agent() as w:
            w.send(frame(BINARY, b"xxxx", size=64, length=length))
            assert w.end(wait=False) in (1009, "dropped"), length
    with agent() as w:
        piece = b"x" * 1000000
        w.send(frame(BINARY, piece, fin=False))
        for _ in range(9):
            w.send(frame(CONT, piece, fin=False))
        assert w.end(wait=False) in (1009, "dropped")
    with tail() as w:  # a follower has nothing to say
        w.send(frame(TEXT, b"x" * 70000))
        assert w.end(wait=False) in (1009, "dropped")
    assert_unharmed()


def test_9_floods():
    """Empty fragments, one-byte fragments, pings without end, messages nobody asked for: bounded, and others are served."""
    with agent() as w:
        w.send(frame(TEXT, b"", fin=False))
        for _ in range(40):
            w.send(frame(CONT, b"", fin=False) * 5000)
        w.send(frame(CONT, HELLO))
        welcome(w)
    with agent() as w:
        w.send(frame(TEXT, HELLO[:1], fin=False) + b"".join(frame(CONT, HELLO[i:i + 1], fin=False) for i in range(1, len(HELLO))))
        w.send(b"".join(frame(CONT, b" ", fin=False) for _ in range(60000)) + frame(CONT, b" "))
        welcome(w)
    ws = [tail() for _ in range(4)]
    for w in ws:  # a pong is due for each, and nobody reads
        w.sock.settimeout(2)
        try:
            for _ in range(60):
                w.sock.sendall(frame(PING, b"x" * 125) * 1000)
        except OSError:
            pass
    assert timed_health() < 5
    for w in ws:
        w.close()
    with tail() as w:
        w.send(frame(TEXT, b"what?") * 2000 + close_frame(1000))
        assert w.end() == 1000
    assert_unharmed()


def test_12_no_compression():
    """permessage-deflate may be offered and is not taken; a compressed frame then fails. Other extensions likewise."""
    for offer in ("permessage-deflate", "permessage-deflate; client_max_window_bits=15", "x-webkit-deflate-frame", "a, b; c=\"d\"", "x" * 4000):
        with agent(headers={"Sec-WebSocket-Extensions": offer}) as w:
            assert b"extensions" not in w.head.lower(), w.head
            welcome(w.send(frame(TEXT, HELLO)))
            w.send(frame(TEXT, b"\xaaV*\xa9,HU\xb2R\xcaH\xcd\xc9\xc9W\xaa\x05\x00", rsv=4))
            assert w.end(wait=False) in (1002, "dropped")
    assert_unharmed()


def test_an_autobahn_client():
    """A client built on python3-autobahn says hello, sends lines, pings, and closes; and follows the job to its end."""
    import unittest
    try:
        from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
    except ImportError:
        raise unittest.SkipTest("python3-autobahn is not installed")
    import asyncio

    got = []

    class Agent(WebSocketClientProtocol):
        def onOpen(self):
            self.sendPing(b"are you there")
            self.sendMessage(HELLO, fragmentSize=7)

        def onPong(self, payload):
            got.append(("pong", payload))

        def onMessage(self, payload, isBinary):
            m = json.loads(payload)
            got.append((m["type"], m))
            if m["type"] == "welcome":
                self.sendMessage(b'{"type":"lines","first":1}\n{"msg":"a"}\n{"msg":"b"}\n', isBinary=True)
            if m["type"] == "ack" and m["accepted"] == 2:
                self.sendClose(1000, "done")

        def onClose(self, wasClean, code, reason):
            got.append(("close", wasClean, code))
            self.factory.over.set_result(None)

    async def go():
        loop = asyncio.get_running_loop()
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{server.port}/v1/jobs/autobahn/ingest", protocols=["joblog.ingest.v1"], loop=loop)
        factory.protocol, factory.over = Agent, loop.create_future()
        await loop.create_connection(factory, "127.0.0.1", server.port)
        await asyncio.wait_for(factory.over, 30)

    asyncio.run(go())
    assert ("pong", b"are you there") in got and got[-1] == ("close", True, 1000), got
    assert server.get("/v1/jobs/autobahn/logs").text == "a\nb\n"
