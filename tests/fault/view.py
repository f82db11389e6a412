"""tests/fault/view.py -- what one reader has seen of a job, judged while it comes, and the list of anomalies.

A view is a run of records without holes: seq first, first + 1, …, each with its key (tests/fault/lines.py). Anything else
that a reader is given is an anomaly, counted by kind:

    torn       a message that was never sent: wrong checksum, another job's, changed
    repeated   a record a second time                 skipped    a jump forward that no gap had announced
    disorder   lines of one producer out of order     hole       lines of one producer missing in between
    past_end   anything after `end`                   gap        an explicit gap (only where nothing could be lost)
    reset      a reset where no history was lost
and of the checker (tests/fault/checker.py): lost, disagree, end_wrong, no_end, archive, false_gap, stuck, refused, crash.
"""
import array
import collections
import json
import os
import time

from lines import KEY_STATE, key_parts, read_line

EXAMPLES_MAX = 5
JOURNAL_MAX = 500  # of one kind, by one process


def moment():
    """Now, as joblogd's log writes it, for people who compare the two."""
    now = time.time()
    return time.strftime("%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"


class Anomalies:
    """Counts by kind, with the first few examples of each.

    journal: path of a file that gets every anomaly whole, at once, with what went before it (a JSON line each, from every
    process of the campaign); made with the first one."""

    journal = None

    def __init__(self):
        self.counts, self.examples = collections.Counter(), collections.defaultdict(list)
        self.written = collections.Counter()

    def add(self, kind, detail, count=1, story=()):
        """story: what the finder was given before, newest last."""
        self.counts[kind] += count
        if len(self.examples[kind]) < EXAMPLES_MAX:
            self.examples[kind].append(str(detail)[:400])
        self.written[kind] += 1
        if self.written[kind] <= JOURNAL_MAX:
            self.write(kind=kind, detail=str(detail), story=list(story))

    @classmethod
    def write(cls, **fields):
        if cls.journal:
            line = json.dumps({"at": moment(), "pid": os.getpid(), **fields}, default=str) + "\n"
            fd = os.open(cls.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(fd, line.encode())  # one write: lines of several processes do not mix
            finally:
                os.close(fd)

    def merge(self, other):
        self.counts.update(other.counts)
        for kind, details in other.examples.items():
            self.examples[kind] = (self.examples[kind] + details)[:EXAMPLES_MAX]

    def total(self):
        return sum(self.counts.values())


class View:
    """Records of job as reader (a name) sees them. after: the seq before the first. story: what the reader was given of late."""

    def __init__(self, job, reader, anomalies, after=0, story=()):
        self.job, self.reader, self.anomalies, self.story = job, reader, anomalies, story
        self.restart(after)

    def restart(self, after=0):
        """From here anew: a reset was told."""
        self.first, self.keys = after + 1, array.array("Q")
        self.producers, self.lines, self.ended, self.gaps = {}, 0, False, []
        self.whole = after == 0  # from the first record on: every producer's first line is number 1

    @property
    def last(self):
        return self.first + len(self.keys) - 1

    def add(self, record):
        """One record as parsed JSON (of a lines message, of NDJSON, or a state message)."""
        seq = record["seq"]
        if self.ended:
            self._bad("past_end", f"seq {seq}")
        if seq <= self.last:
            return self._bad("repeated", f"seq {seq} after {self.last}")
        if seq > self.last + 1:
            self._bad("skipped", f"seq {seq} after {self.last}")
            self._pass(seq - 1)
        if "state" in record:
            self.keys.append(KEY_STATE | seq)
            return None
        key = read_line(self.job, record["msg"])
        if key is None:
            self._bad("torn", f"seq {seq}: {record['msg']!r}")
            self.keys.append(KEY_STATE)
            return None
        self.keys.append(key)
        self.lines += 1
        rank, epoch, n = key_parts(key)
        if record.get("rank", rank) != rank:
            self._bad("torn", f"seq {seq}: rank {record.get('rank')} of line {record['msg']!r}")
        # A view that begins in the middle cannot know where a producer's first line of it belongs.
        at = self.producers.get(rank)
        if at is None:
            expected = 1 if self.whole else n
        else:
            expected = at[1] + 1 if epoch == at[0] else 1
            if epoch < at[0]:
                return self._bad("disorder", f"seq {seq}: rank {rank} epoch {epoch} after {at[0]}")
        if n < expected:
            return self._bad("disorder", f"seq {seq}: rank {rank} line {n}, expected {expected}")
        if n > expected:
            self._bad("hole", f"seq {seq}: rank {rank} line {n}, expected {expected}")
        self.producers[rank] = (epoch, n)
        return None

    def gap(self, first, last):
        """An explicit gap: its records are passed over, and judged at the end."""
        self.gaps.append((first, last))
        self._pass(last)

    def _pass(self, upto):
        if upto > self.last:
            self.keys.extend([0] * (upto - self.last))
        self.producers.clear()
        self.whole = False

    def _bad(self, kind, detail):
        self.anomalies.add(kind, f"{self.reader} of {self.job}: {detail}", story=self.story)


def compare(view, truth, anomalies):
    """Every record of view is in truth (keys of seq 1, 2, …) under the same number. Gaps that hide what is there count."""
    begin = view.first - 1
    mine, theirs = view.keys, truth[begin:begin + len(view.keys)]
    if len(mine) > len(theirs):
        anomalies.add("disagree", f"{view.reader} of {view.job} saw up to {view.last}, the log ends at {len(truth)}")
        mine = mine[:len(theirs)]
    if mine == theirs:
        return
    for i, (a, b) in enumerate(zip(mine, theirs)):
        if a != b and a != 0:
            anomalies.add("disagree", f"{view.reader} of {view.job}: seq {begin + i + 1} was {key_parts(a)}, is {key_parts(b)}")
        elif a == 0 and b != 0:
            anomalies.add("false_gap", f"{view.reader} of {view.job}: seq {begin + i + 1} was passed over and is there")
