"""tests/fault/writers.py -- producers of numbered lines: agents over WebSocket, and plain HTTP with sequence numbers.

Both hold what is not durable yet and send again from wherever the server says (`welcome`, `gap`, `expected`). They count what
a server may never do: ask for lines that it had called durable (`lost`), refuse with anything but "later" (`refused`),
acknowledge what was not sent (`phantom`). Lines it had called accepted only and asks for again are `rollback`s: no anomaly in
class accepted, and lost in the others.
"""
import asyncio
import http.client
import json
import random
import socket
import time

from harness import ws_headers
from lines import batch_json, batch_text

BATCH = 250
WINDOW = 24          # messages in flight of an agent (the server allows 32)
ANSWER_S = 20        # no answer for this long: the connection is given up
DRAIN_SLACK_S = 2    # between joblogd's reckoning of the drain time and ours
PATIENCE_S = 60      # for the last acknowledgement, once told to finish


class Plan:
    """Where to, how fast, until when. stop and acked are shared memory (multiprocessing Value)."""

    def __init__(self, host, port, lines_s, stop, acked, epochs=False, seed=1, token=None, drain_s=60):
        self.host, self.port, self.lines_s, self.stop, self.acked, self.drain_s = host, port, lines_s, stop, acked, drain_s
        self.epochs, self.seed, self.token = epochs, seed, token

    def headers(self):
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class Producer:
    """One rank of one job: what was sent, accepted, durable, by epoch. leaves: it goes away without fin once all was accepted."""

    def __init__(self, plan, job, rank, ranks, anomalies, leaves=False):
        self.plan, self.job, self.rank, self.ranks, self.anomalies = plan, job, rank, ranks, anomalies
        self.leaves, self.gone, self.said_fin, self.in_time, self.joined = leaves, False, False, False, False
        self.epoch, self.history = 1, []  # history: [(epoch, sent, durable)] of earlier epochs
        self.sent = self.accepted = self.durable = self.most = 0
        self.rolled_back = self.later = self.connects = 0
        self.rng = random.Random(f"{plan.seed}/{job}/{rank}")
        self.due = time.monotonic()
        self.finished = False
        self.classes = set()

    def name(self):
        return f"rank-{self.rank}"

    def new_epoch(self):
        """The process was started again: it numbers from 1, in the next epoch."""
        self.history.append((self.epoch, self.most, self.durable))
        self.epoch += 1
        self.sent = self.accepted = self.durable = self.most = 0

    def note_ack(self, accepted, durable):
        if accepted > self.most:
            self.anomalies.add("phantom", f"{self.job}/{self.rank}: {accepted} acknowledged, {self.most} sent")
        if accepted > self.accepted:
            with self.plan.acked.get_lock():
                self.plan.acked.value += accepted - self.accepted
            self.accepted = accepted
            self.sent = max(self.sent, accepted)  # what was sent before a rewind has arrived after all
        self.durable = max(self.durable, durable)

    def back_to(self, held):
        """The server holds lines up to held: go on after it."""
        if held < self.durable:
            self.anomalies.add("lost", f"{self.job}/{self.rank}/{self.epoch}: durable up to {self.durable}, held {held}",
                               self.durable - held)
            self.durable = held
        if held < self.accepted:
            self.rolled_back += self.accepted - held
        if held > self.most:
            self.anomalies.add("phantom", f"{self.job}/{self.rank}: {held} held, {self.most} sent")
        self.accepted = self.sent = held

    def pause(self):
        """Seconds until the next batch is due (open loop, at most a second behind)."""
        now = time.monotonic()
        if self.due < now - 1:
            self.due = now - 1
        wait = self.due - now
        self.due += BATCH / self.plan.lines_s
        return wait

    def finish(self):
        """fin was answered; in_time: surely before the job was sealed without it."""
        self.finished, self.in_time = True, time.monotonic() < self.plan.stop.value + self.plan.drain_s

    def is_late(self, code):
        """The job was sealed without it, as it may be once the drain time is over: no more is to be done."""
        stopped = self.plan.stop.value
        if code == "sealed" and stopped and time.monotonic() > stopped + self.plan.drain_s - DRAIN_SLACK_S:
            self.gone = True
        return self.gone

    def result(self):
        return {"job": self.job, "rank": self.rank, "name": self.name(), "said_fin": self.said_fin, "in_time": self.in_time,
                "joined": self.joined, "finished": self.finished, "rolled_back": self.rolled_back, "later": self.later,
                "accepted": self.accepted, "connects": self.connects, "classes": sorted(self.classes),
                "epochs": self.history + [(self.epoch, self.most, self.durable)]}


# ---- the agents' road ----------------------------------------------------------------------------

class Agent(Producer):
    """One producer over WebSocket `joblog.ingest.v1`."""

    async def run(self):
        import websockets
        while not self.finished and not self.gone:
            if self.plan.stop.value and time.monotonic() > self.plan.stop.value + PATIENCE_S:
                self.anomalies.add("stuck", f"agent {self.job}/{self.rank}: accepted {self.accepted} of {self.sent}")
                return
            try:
                uri = f"ws://{self.plan.host}:{self.plan.port}/v1/jobs/{self.job}/ingest"
                async with websockets.connect(uri, subprotocols=["joblog.ingest.v1"], compression=None, open_timeout=ANSWER_S,
                                              close_timeout=0.2, ping_interval=None, max_size=None,
                                              **ws_headers(self.plan.headers())) as ws:
                    self.connects += 1
                    await self.talk(ws)
            except (OSError, asyncio.TimeoutError, websockets.exceptions.WebSocketException, EOFError):
                await asyncio.sleep(0.02 + 0.05 * self.rng.random())

    async def talk(self, ws):
        if self.plan.epochs and self.connects > 1 and self.rng.random() < 0.05 and not self.plan.stop.value:
            self.new_epoch()
        await ws.send(json.dumps({"type": "hello", "producer": self.name(), "epoch": self.epoch, "rank": self.rank,
                                  "ranks": self.ranks}))
        welcome = json.loads(await asyncio.wait_for(ws.recv(), ANSWER_S))
        if welcome["type"] == "busy":
            self.later += 1
            await asyncio.sleep(min(welcome["retry_after"], 1))
            return
        if welcome["type"] == "error" and self.is_late(welcome.get("code")):
            return
        if welcome["type"] != "welcome":
            self.anomalies.add("refused", f"{self.job}/{self.rank}: {welcome}")
            return
        self.joined = True
        self.classes.add(welcome["durability"])
        self.back_to(welcome["last"])
        self.fin_sent, self.hold_until = False, 0.0
        reader = asyncio.create_task(self.listen(ws))
        try:
            await self.send_all(ws, reader)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def send_all(self, ws, reader):
        while not reader.done():
            stopping = bool(self.plan.stop.value)
            if time.monotonic() < self.hold_until or self.sent - self.accepted >= WINDOW * BATCH:
                await asyncio.sleep(0.005)
                continue
            if stopping:
                if self.sent < self.most:  # rolled back: the rest is sent again
                    await self.send_lines(ws, min(BATCH, self.most - self.sent))
                elif self.leaves:
                    if self.accepted >= self.most:
                        self.gone = True
                        return
                    await asyncio.sleep(0.01)
                elif not self.fin_sent:
                    self.fin_sent = self.said_fin = True
                    await ws.send(json.dumps({"type": "fin", "last": self.sent}))
                else:
                    await asyncio.sleep(0.01)
                continue
            wait = self.pause()
            if wait > 0:
                await asyncio.sleep(wait)
            if time.monotonic() >= self.hold_until and not reader.done():
                await self.send_lines(ws, BATCH)
        await reader

    async def send_lines(self, ws, count):
        first = self.sent + 1
        body = b'{"type":"lines","first":%d}\n' % first + batch_json(self.job, self.rank, self.epoch, first, count)
        self.sent += count
        self.most = max(self.most, self.sent)
        await ws.send(body)

    async def listen(self, ws):
        while True:
            m = json.loads(await asyncio.wait_for(ws.recv(), PATIENCE_S))
            kind = m["type"]
            if kind == "ack":
                self.note_ack(m["accepted"], m["durable"])
            elif kind == "gap":
                self.back_to(m["expected"] - 1)
                self.fin_sent = False
            elif kind == "busy":
                self.later += 1
                self.hold_until = time.monotonic() + min(m["retry_after"], 1)
                self.sent = self.accepted
                self.fin_sent = False
            elif kind == "fin_ack":
                self.finish()
                self.note_ack(m["last"], m["last"])
                return
            elif kind == "error" and self.is_late(m.get("code")):
                return
            elif kind == "error":
                self.anomalies.add("refused", f"{self.job}/{self.rank}: {m}")
                await asyncio.sleep(1)
                return


# ---- plain HTTP ----------------------------------------------------------------------------------

class Poster(Producer):
    """One producer over POST with X-Producer, X-Epoch, X-Sequence: one request in flight. Runs in a thread."""

    conn = None

    def run(self):
        while not self.gone:
            if self.plan.stop.value:
                if self.sent >= self.most:
                    break
                if time.monotonic() > self.plan.stop.value + PATIENCE_S:
                    return self.anomalies.add("stuck", f"poster {self.job}/{self.rank}: {self.accepted} of {self.most}")
            wait = self.pause()
            if wait > 0:
                time.sleep(wait)
            self.post(min(BATCH, self.most - self.sent) if self.plan.stop.value else BATCH)
        while not self.finished and not self.gone and not self.leaves:
            if time.monotonic() > self.plan.stop.value + PATIENCE_S:
                return self.anomalies.add("stuck", f"poster {self.job}/{self.rank}: no answer to fin {self.most}")
            self.fin()
        return None

    def ask(self, body, headers):
        """(status, answer) or (0, None) when there was none."""
        try:
            if not self.conn:
                self.conn = http.client.HTTPConnection(self.plan.host, self.plan.port, timeout=ANSWER_S)
                self.connects += 1
            self.conn.request("POST", f"/v1/jobs/{self.job}/logs?rank={self.rank}", body=body,
                              headers={"Content-Type": "text/plain", "X-Producer": self.name(),
                                       "X-Epoch": str(self.epoch), **self.plan.headers(), **headers})
            r = self.conn.getresponse()
            return r.status, json.loads(r.read() or b"null"), r.headers
        except (OSError, http.client.HTTPException, ValueError, socket.timeout):
            if self.conn:
                self.conn.close()
            self.conn = None
            time.sleep(0.02 + 0.05 * self.rng.random())
            return 0, None, {}

    def judge(self, status, answer, headers):
        """True when it was taken."""
        if status == 200:
            self.joined = True
            return True
        if status == 409 and answer.get("code") == "gap":
            self.back_to(answer["expected"] - 1)
        elif status in (429, 503):
            self.later += 1
            if "Retry-After" not in headers:
                self.anomalies.add("refused", f"{status} without Retry-After: {answer}")
            time.sleep(0.2)
        elif status == 409 and self.is_late(answer.get("code")):
            pass
        elif status:
            self.anomalies.add("refused", f"{self.job}/{self.rank}: {status} {answer}")
            time.sleep(0.5)
        return False

    def post(self, count):
        if count <= 0:
            return
        first = self.sent + 1
        body = batch_text(self.job, self.rank, self.epoch, first, count)
        self.most = max(self.most, first + count - 1)
        status, answer, headers = self.ask(body, {"X-Sequence": str(first)})
        if not self.judge(status, answer, headers):
            return
        if answer["accepted"] + answer["duplicates"] != count:
            self.anomalies.add("refused", f"{self.job}/{self.rank}: {count} sent, answer {answer}")
        self.classes.add(answer["durability"])
        self.sent = first + count - 1
        self.note_ack(self.sent, self.sent if answer["durability"] != "accepted" else 0)

    def fin(self):
        self.said_fin = True
        status, answer, headers = self.ask(b"", {"X-Producer-Fin": str(self.most)})
        if self.judge(status, answer, headers):
            self.finish()
        elif self.sent < self.most:
            self.post(min(BATCH, self.most - self.sent))
