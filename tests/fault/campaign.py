"""tests/fault/campaign.py -- load, faults, judgement: one fault after another under writers and readers, in rounds.

    row = Campaign(fault, n=20, floor=20000).run()      # fault: of tests/fault/faults.py
    row.anomalies.total() == 0

A round is a stand of the fault's kind, a few jobs of several ranks each (half agents, half HTTP), and a reader of every sort on
each job. One job more has ranks that leave without fin and one that never comes: it ends in the middle of the round (with the
others where history may be lost), is sealed when the drain time is over, and must name them as missing, and nobody else. Before
each injection the load must stand at the floor (lines acknowledged per second), else the injection does not count; after it
lines must be acknowledged again within 30 s (`stuck`). Then the jobs end, racing their last lines, and everything is compared
(tests/fault/checker.py).
"""
import asyncio
import collections
import multiprocessing
import os
import random
import threading
import time

import checker
from tailers import Continuous, Old, Resumed, Slow
from view import Anomalies, View, moment
from writers import Agent, Plan, Poster

ROUND_FAULTS = 20
LOAD_WAIT_S = 60     # for the load to stand at the floor
LEFT_RANKS = 4       # of the job that some leave; one more is declared
LEFT_LINES_S = 500   # of each of its ranks
ALIVE_S = 30         # after a fault, for lines to be acknowledged again
FLOOR_WINDOW_S = 0.25
FORK = multiprocessing.get_context("fork")


class Row:
    """The outcome of a campaign: one row of docs/reliability.md."""

    def __init__(self, name):
        self.name, self.anomalies = name, Anomalies()
        self.injected = self.below_floor = self.lines = self.rolled_back = self.later = self.resets = self.rounds = 0
        self.seconds, self.back_ms, self.rates, self.notes, self.classes = 0.0, [], [], [], set()

    @property
    def bound(self):
        """Upper bound (95 %) of the share of faults with an anomaly, when there was none: 3/N."""
        return 3 / self.injected if self.injected else 1.0

    def text(self):
        back = sorted(self.back_ms) or [0]
        rates = sorted(self.rates) or [0]
        found = ", ".join(f"{k} {v}" for k, v in sorted(self.anomalies.counts.items())) or "none"
        return (f"{self.name}: N={self.injected} anomalies: {found}; 3/N={self.bound:.2%}; lines {self.lines:,}; "
                f"load {rates[len(rates) // 2]:,.0f}/s (floor missed {self.below_floor}x); rolled back {self.rolled_back:,}; "
                f"told later {self.later:,}; resets {self.resets}; back after {back[len(back) // 2]:.0f} ms "
                f"(worst {back[-1]:.0f}); {self.seconds:.0f} s" + "".join(f"; {n}" for n in self.notes))


def _in_process(work, *args):
    """Run work(*args) -> picklable in a process of its own; a function that waits for the answer."""
    here, there = FORK.Pipe(duplex=False)

    def body():
        here.close()
        there.send(work(*args))
        there.close()

    p = FORK.Process(target=body, daemon=True)
    p.start()
    there.close()

    def answer(timeout_s):
        if not here.poll(timeout_s):
            p.kill()
            return None
        try:
            value = here.recv()
        except EOFError:
            value = None
        p.join(10)
        return value

    answer.pid = p.pid
    return answer


# The producers of a job: ranks of them, of so many declared; those in leave go away without fin.
Crew = collections.namedtuple("Crew", "plan job ranks declared leave")


def _agents(crews):
    bad = Anomalies()
    agents = [Agent(c.plan, c.job, r, c.declared, bad, r in c.leave) for c in crews for r in range(0, c.ranks, 2)]

    async def all_of_them():
        await asyncio.gather(*(a.run() for a in agents))

    asyncio.run(all_of_them())
    return [a.result() for a in agents], bad


def _posters(crews):
    bad = Anomalies()
    posters = [Poster(c.plan, c.job, r, c.declared, bad, r in c.leave) for c in crews for r in range(1, c.ranks, 2)]
    threads = [threading.Thread(target=p.run) for p in posters]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return [p.result() for p in posters], bad


def _tailers(plan, jobs, left, may_reset):
    """left: the crew of the job that some leave, or None."""
    bad, tailers = Anomalies(), []
    if left:
        tailers.append(Continuous(left.plan, left.job, bad, may_reset))
    for job in jobs:
        source = Continuous(plan, job, bad, may_reset)
        tailers += [source, Resumed(plan, job, bad, may_reset), Old(plan, job, bad, source, may_reset)]
    tailers.append(Slow(plan, jobs[0], bad, may_reset))

    async def all_of_them():
        await asyncio.gather(*(t.run() for t in tailers))

    asyncio.run(all_of_them())
    return [t.result() for t in tailers], bad


def _ranger(stand, plan, jobs):
    """Random range reads while faults happen: what comes is whole, in order, without holes."""
    bad, rng, reads = Anomalies(), random.Random(f"{plan.seed}/ranger"), 0
    while not plan.stop.value:
        time.sleep(rng.uniform(0.05, 0.3))
        job = rng.choice(jobs)
        try:
            last = stand.get(f"/v1/jobs/{job}").json()
            if not last.get("seq"):
                continue
            after = rng.randrange(last["seq"])
            r = stand.get(f"/v1/jobs/{job}/logs?format=ndjson&after={last['epoch']}:{after}&limit=3000")
        except (OSError, ValueError, KeyError, checker.http_error):
            continue
        if r.status != 200:
            continue
        view = View(job, "range while running", bad, after)
        for record in checker.records(r.body):
            if "gap" in record or "reset" in record:
                bad.add("gap", f"range of {job} after {after}: {record}")
                break
            view.add(record)
        reads += 1
    return reads, bad


class Campaign:
    def __init__(self, fault, n, floor=20000, lines_s=0, jobs=3, ranks=4, seed=None, say=None):
        self.fault, self.n, self.floor, self.jobs, self.ranks = fault, n, floor, jobs, ranks
        self.lines_s = lines_s or floor * 1.35
        self.seed = seed if seed is not None else int.from_bytes(os.urandom(4), "little")
        self.rng = random.Random(self.seed)
        self.row, self.say = Row(fault.name), say or (lambda text: None)
        self.told = []  # when a fault was injected, in this round

    def run(self):
        begun = time.monotonic()
        while self.row.injected + self.row.below_floor < self.n:
            left = self.n - self.row.injected - self.row.below_floor
            self.one_round(min(left, self.fault.round_faults or ROUND_FAULTS))
            self.row.rounds += 1
            self.row.seconds = time.monotonic() - begun
            self.say(self.row.text())
            if self.row.anomalies.total() > 1000:
                break
        if self.row.anomalies.total():
            self.row.notes.append(f"seed {self.seed}")
        return self.row

    # -- a round --
    def keep(self, stand):
        """Of a round with an anomaly: joblogd's log and the times of the faults in the journal, and its data."""
        if Anomalies.journal:
            stand.own_data = False
            Anomalies.write(fault=self.fault.name, seed=self.seed, round=self.row.rounds, data=stand.data, injected=self.told,
                            log=stand.log[-2000:])
            self.say(f"an anomaly: details in {Anomalies.journal}, data in {stand.data}")

    def plan(self, stand, acked, lines_s):
        return Plan(stand.host, stand.port, lines_s, FORK.Value("d", 0.0), acked, self.fault.epochs, self.rng.random(),
                    drain_s=stand.drain_s)

    @staticmethod
    def end(stand, crew):
        """The job is over while its last lines are on the way."""
        if crew.plan.stop.value:
            return
        crew.plan.stop.value = time.monotonic()
        Campaign.tell_end(stand, crew)

    @staticmethod
    def tell_end(stand, crew):
        for _ in range(100):
            try:
                if stand.event(crew.job, "COMPLETED").status in (200, 201):
                    return
            except (OSError, checker.http_error):
                pass
            time.sleep(0.1)

    def one_round(self, count):
        stand, before, self.told, self.left = self.fault.stand(), self.row.anomalies.total(), [], None
        try:
            jobs = [f"r{self.row.rounds}-{k}" for k in range(self.jobs)]
            acked = FORK.Value("Q", 0)
            plan = self.plan(stand, acked, self.lines_s / (self.jobs * self.ranks))
            crews = [Crew(plan, job, self.ranks, self.ranks, ()) for job in jobs]
            if not self.fault.may_reset or not self.row.rounds:
                self.left = Crew(self.plan(stand, acked, LEFT_LINES_S), f"r{self.row.rounds}-left", LEFT_RANKS, LEFT_RANKS + 1,
                                 (2, 3))
                crews.append(self.left)
            parts = {"agents": _in_process(_agents, crews), "posters": _in_process(_posters, crews),
                     "tailers": _in_process(_tailers, plan, jobs, self.left, self.fault.may_reset),
                     "ranger": _in_process(_ranger, stand, plan, jobs)}
            stand.parts = {name: answer.pid for name, answer in parts.items()}
            self.inject_all(stand, acked, count)
            self.finish(stand, crews, parts)
            if self.row.anomalies.total() > before:
                self.keep(stand)
        finally:
            stand.close()

    def rate(self, acked):
        """Lines a second: the worse half of a window, so that a burst after a pause is no load."""
        halves = []
        for _ in range(2):
            was, at = acked.value, time.monotonic()
            time.sleep(FLOOR_WINDOW_S / 2)
            halves.append((acked.value - was) / (time.monotonic() - at))
        return min(halves)

    def inject_all(self, stand, acked, count):
        for n in range(count):
            self.fault.ready(stand)
            until, rate = time.monotonic() + LOAD_WAIT_S, 0
            while rate < self.floor and time.monotonic() < until:
                rate = self.rate(acked)
            self.row.rates.append(rate)
            if self.left and n == count // 2 and not self.fault.may_reset:
                self.end(stand, self.left)
            time.sleep(self.rng.uniform(0, 0.4))
            begun = time.monotonic()
            self.told.append(moment())
            if not self.fault.inject(stand, self.rng, self.row):
                continue
            if self.fault.lasts_s:  # it is over now: the way back is measured from here
                begun = time.monotonic()
            before = acked.value
            if rate < self.floor:
                self.row.below_floor += 1
            else:
                self.row.injected += 1
            while acked.value == before:
                if time.monotonic() - begun > ALIVE_S:
                    self.row.anomalies.add("stuck", f"no line was acknowledged {ALIVE_S} s after {self.fault.name}")
                    break
                time.sleep(0.005)
            self.row.back_ms.append((time.monotonic() - begun) * 1000)
            if not stand.is_alive():
                self.row.anomalies.add("crash", f"joblogd exited {stand.proc.returncode}: {stand.log[-3:]}")
                stand.start()
        self.row.lines += acked.value

    def finish(self, stand, crews, parts):
        """End the jobs while their last lines are on the way; then judge."""
        row = self.row
        self.fault.settle(stand)
        time.sleep(self.fault.calm_s)
        now = time.monotonic()
        for crew in crews:
            crew.plan.stop.value = crew.plan.stop.value or now
        for crew in crews:
            self.tell_end(stand, crew)
        got = {name: answer(180) for name, answer in parts.items()}
        for name, value in got.items():
            if value is None:
                row.anomalies.add("stuck", f"{name} came to no end")
            else:
                row.anomalies.merge(value[1])
        producers = (got["agents"] or [[]])[0] + (got["posters"] or [[]])[0]
        seen = (got["tailers"] or [[]])[0]
        for p in producers:
            row.rolled_back += p["rolled_back"]
            row.later += p["later"]
            row.classes.update(p["classes"])
        row.resets += sum(t.resets for t in seen)
        for crew in crews:
            mine = [p for p in producers if p["job"] == crew.job]
            missing = checker.Missing(crew, mine)
            checker.wait_archived(stand, crew.job, row.anomalies)
            view = checker.truth(stand, crew.job, row.anomalies)
            checker.judge_producers(view, mine, row.anomalies)
            checker.judge_readers(view, [t for t in seen if t.job == crew.job], missing, row.anomalies)
            checker.judge_job(stand, crew.job, missing, row.anomalies)
        self.fault.judge(stand, row)
