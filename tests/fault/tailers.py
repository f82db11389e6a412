"""tests/fault/tailers.py -- readers of jobs while faults happen, each with a view of its own.

    continuous  follows from the first record to `end`, comes back only when the connection breaks
    resumed     leaves at random places and comes back with its cursor, by WebSocket or SSE
    old         begins at a random cursor given out earlier, reads a while, begins again
    slow        takes a message, rests, takes the next, with a small receive buffer
"""
import asyncio
import collections
import json
import random
import socket
import time

from harness import ws_headers
from view import View, moment

# What remains of a tailer when it is done: goes to another process. views: of an old tail several, else one.
Seen = collections.namedtuple("Seen", "kind job views end connects resets")

CONNECT_S = 20
SILENT_S = 60   # nothing at all for this long after the writers have finished: stuck
RECORDS_OLD = 5000
REST_OLD_S = 0.5  # at most, between two readings: it would take the others' processor
STORY_MAX = 60  # messages that are told with an anomaly


class Continuous:
    """host, port and stop of the plan (tests/fault/writers.py). may_reset: history may be lost."""

    kind = "continuous"

    def __init__(self, plan, job, anomalies, may_reset=False):
        self.plan, self.job, self.anomalies, self.may_reset = plan, job, anomalies, may_reset
        self.rng = random.Random(f"{plan.seed}/{self.kind}/{job}")
        self.story = collections.deque(maxlen=STORY_MAX)
        self.view = View(job, self.kind, anomalies, story=self.story)
        self.cursor, self.end, self.connects, self.resets, self.cursors = None, None, 0, 0, []
        self.last_word = time.monotonic()

    def query(self):
        return f"after={self.cursor}" if self.cursor else "tail=all&wait=60s"

    async def run(self):
        import websockets
        while not self.end:
            if self.plan.stop.value and time.monotonic() > max(self.last_word, self.plan.stop.value) + SILENT_S:
                self.anomalies.add("stuck", f"{self.kind} of {self.job} at {self.cursor}, no end")
                return
            try:
                await self.session(self.rng.random())
            except (OSError, asyncio.TimeoutError, websockets.exceptions.WebSocketException, asyncio.IncompleteReadError,
                    EOFError):
                pass
            await asyncio.sleep(0.02 + 0.05 * self.rng.random())

    def result(self):
        views = getattr(self, "views", None) or [self.view]
        for v in views:
            v.anomalies, v.story = None, ()
        return Seen(self.kind, self.job, views, self.end, self.connects, self.resets)

    async def session(self, dice):
        await self.by_websocket()

    def leaves_at(self):
        """Records after which the reader goes away by itself; None: never."""
        return None

    async def rest(self):
        """Between two messages."""

    def connect(self):
        import websockets
        uri = f"ws://{self.plan.host}:{self.plan.port}/v1/jobs/{self.job}/tail?{self.query()}"
        return websockets.connect(uri, compression=None, open_timeout=CONNECT_S, close_timeout=0.2, ping_interval=None,
                                  max_size=None, max_queue=2, **ws_headers(self.plan.headers()), **self.socket())

    def socket(self):
        return {}

    async def by_websocket(self):
        async with self.connect() as ws:
            self.connects += 1
            until = self.leaves_at()
            while not self.end:
                text = await asyncio.wait_for(ws.recv(), SILENT_S)
                self.take(json.loads(text))
                await self.rest()
                if until is not None and self.taken >= until:
                    return

    taken, foreign = 0, False

    def tell(self, m):
        """Into the story: what came, asked for with which cursor."""
        lines = m.get("lines") if m["type"] == "lines" else None
        what = f"{lines[0]['seq']}..{lines[-1]['seq']}" if lines else {k: v for k, v in m.items() if k not in ("job", "lines")}
        self.story.append(f"{moment()} connection {self.connects}, at {self.cursor}: {m['type']} {what} {m.get('cursor')}")

    def bad(self, kind, detail):
        self.anomalies.add(kind, f"{self.kind} of {self.job}: {detail}", story=self.story)

    def take(self, m):
        self.last_word = time.monotonic()
        kind = m["type"]
        self.tell(m)
        if self.foreign and kind != "reset":
            self.bad("reset", f"{kind} at {m.get('cursor')} without a reset of {self.cursor}")
        self.foreign = False
        if kind == "hello":
            self.taken = 0
            if self.cursor and m["cursor"].split(":")[0] != self.cursor.split(":")[0]:
                self.foreign = True  # of another epoch than ours: the reset must come next
                return
        elif kind == "lines":
            for r in m["lines"]:
                self.view.add(r)
            self.taken += len(m["lines"])
        elif kind == "state":
            self.view.add(m)
        elif kind == "gap":
            self.view.gap(m["from"], m["to"])
            self.bad("gap", m)
        elif kind == "reset":
            self.on_reset(m)
        elif kind == "end":
            self.view.ended, self.end = True, m
        if "cursor" in m:
            self.on_cursor(m["cursor"])

    def on_reset(self, m):
        self.resets += 1
        if not self.may_reset:
            self.bad("reset", m)
        self.view.restart()

    def on_cursor(self, cursor):
        self.cursor = cursor
        if int(cursor.split(":")[1]) != self.view.last and self.view.last >= self.view.first:
            self.bad("disorder", f"cursor {cursor} after record {self.view.last}")
        if len(self.cursors) < 100000:
            self.cursors.append(cursor)


class Resumed(Continuous):
    kind = "resumed"

    def leaves_at(self):
        return int(10 ** self.rng.uniform(0, 4.3))

    async def session(self, dice):
        await (self.by_sse() if dice < 0.4 else self.by_websocket())

    async def by_sse(self):
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(self.plan.host, self.plan.port, limit=16 << 20), CONNECT_S)
        try:
            resume = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor else ""
            more = "".join(f"{k}: {v}\r\n" for k, v in self.plan.headers().items())
            writer.write(f"GET /v1/jobs/{self.job}/tail?tail=all&wait=60s HTTP/1.1\r\nHost: x\r\n{resume}{more}"
                         f"Accept: text/event-stream\r\n\r\n".encode())
            status = await asyncio.wait_for(reader.readline(), CONNECT_S)
            if b" 200 " not in status:
                return
            self.connects += 1
            self.taken, until, pending = 0, self.leaves_at(), b""
            while not self.end and self.taken < until:
                line = await asyncio.wait_for(reader.readline(), SILENT_S)
                if not line:
                    return
                if line.startswith(b"data:"):
                    pending = line[5:].strip()
                elif line in (b"\n", b"\r\n") and pending:
                    self.take(json.loads(pending))
                    pending = b""
        finally:
            writer.close()


class Old(Continuous):
    """Begins at a cursor that another (the continuous tail of the job) was given."""

    kind = "old"

    def __init__(self, plan, job, anomalies, source, may_reset=False):
        super().__init__(plan, job, anomalies, may_reset)
        self.source, self.views = source, []

    async def session(self, dice):
        if not self.source.cursors:
            await asyncio.sleep(0.1)
            return
        if self.source.end:
            self.end = self.source.end  # all that is to be read was read by others; this one stops
            return
        self.cursor = self.rng.choice(self.source.cursors)
        epoch, seq = self.cursor.split(":")
        if self.may_reset and not self.source.cursor.startswith(epoch + ":"):
            self.source.cursors = [c for c in self.source.cursors[-50000:] if c.split(":")[0] == self.source.cursor.split(":")[0]]
            return
        self.view = View(self.job, self.kind, self.anomalies, after=int(seq), story=self.story)
        self.view.epoch = epoch
        self.views = self.views[-20:] + [self.view]
        await self.by_websocket()
        await asyncio.sleep(self.rng.uniform(0, REST_OLD_S))

    def on_reset(self, m):
        super().on_reset(m)
        self.view.epoch = str(m["epoch"])
        self.views = [self.view]

    def result(self):
        """Views of an epoch that is over are not judged: what they saw was taken back, and their cursors answer reset."""
        if self.may_reset and self.source.cursor:
            now = self.source.cursor.split(":")[0]
            self.views = [v for v in self.views if v.epoch == now] or [View(self.job, self.kind, self.anomalies)]
        return super().result()

    def leaves_at(self):
        return self.rng.randrange(1, RECORDS_OLD)

    def on_cursor(self, cursor):
        self.cursor = cursor


class Slow(Continuous):
    kind = "slow"

    def socket(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        s.connect((self.plan.host, self.plan.port))
        s.setblocking(False)
        return {"sock": s}

    async def rest(self):
        if not self.plan.stop.value:
            await asyncio.sleep(self.rng.uniform(0, 0.15))
