"""joblog/_spool.py -- lines on their way to the server: numbered, on disk, bounded.

    DIR/meta.json       where they go and as whom; how the producer ended, once it has
    DIR/state.json      {"index": I, "seq": S}: file I begins with line number S; files before it are done with
    DIR/00000001.nd     lines as they are sent, at most SEGMENT_BYTES of them, appended in one write each
    DIR/lock            flocked while its process lives

A number is a place: that of a file's first line and the lines before it, so nothing is stored per line. What was sent once
keeps its number for ever. When the spool is full, the oldest files that were never sent go, and one line that says how many
stands in their place.

Promises   append() returns when the lines are in the kernel's hands: they survive a kill -9 of the process, not a power
           cut. What release() was not called for is still there for whoever opens DIR next.
Limits     bytes_max on disk; where the disk does not take it (full, read-only, no directory), MEMORY_BYTES_MAX in memory.
Threads    Any; one lock.
"""
from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from typing import Any, Callable, NamedTuple, Optional

SEGMENT_BYTES = 1 << 20
MEMORY_BYTES_MAX = 64 << 20
_SUFFIX = ".nd"


class Batch(NamedTuple):
    """Lines to send: the number of the first, and each with its newline."""

    first: int
    lines: list[bytes]

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


class _Segment:
    __slots__ = ("index", "count", "size", "lines", "fd", "on_disk", "attempted", "dropped")

    def __init__(self, index: int) -> None:
        self.index = index
        self.count = 0
        self.size = 0
        self.lines: Optional[list[bytes]] = []  # None: only on disk
        self.fd = -1
        self.on_disk = True
        self.attempted = False  # its numbers are fixed
        self.dropped = 0  # it is the line that stands for so many


def gap_line(first: int, count: int, reason: str) -> bytes:
    """The record that stands for `count` lines which would have been number `first` and on."""
    return (json.dumps({"level": "warn", "msg": f"joblog: {count} lines were dropped here: {reason}",
                        "fields": {"gap": {"from": first, "to": first + count - 1, "reason": reason}}}) + "\n").encode()


class Spool:
    """path None: lines wait in memory only."""

    def __init__(self, path: Optional[str], meta: dict[str, Any], bytes_max: int) -> None:
        self.path = path
        self.meta = meta
        self.bytes_max = bytes_max
        self.dropped = 0
        self.disk_errors = 0
        self._lock = threading.Lock()
        self._segments: list[_Segment] = []
        self._first = 1  # number of the first line of the first segment
        self._released = 0
        self._index = 0
        self._lock_fd = -1
        self._skipped = 0  # lines that could not be taken since the last one that was

    # -- opening ---------------------------------------------------------------------------------
    @classmethod
    def create(cls, path: Optional[str], meta: dict[str, Any], bytes_max: int) -> "Spool":
        """A new one. Where path cannot be made it waits in memory; `disk_errors` is then 1."""
        spool = cls(path, meta, bytes_max)
        if path is not None:
            try:
                os.makedirs(path, mode=0o700, exist_ok=True)
                spool._take_lock()
                spool.write_meta()
            except OSError:
                spool.disk_errors += 1
                spool.path = None
        return spool

    @classmethod
    def adopt(cls, path: str, bytes_max: int = 1 << 62) -> Optional["Spool"]:
        """What a dead process left in path; None when it is alive, or path is no spool."""
        try:
            spool = cls(path, {}, bytes_max)
            spool._take_lock()
        except OSError:
            return None
        try:
            with open(os.path.join(path, "meta.json"), encoding="utf-8") as f:
                spool.meta = json.load(f)
            spool._read_segments()
        except (OSError, ValueError, KeyError, TypeError):
            spool._drop_lock()
            return None
        return spool

    def _take_lock(self) -> None:
        assert self.path is not None
        self._lock_fd = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._drop_lock()
            raise

    def _drop_lock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _read_segments(self) -> None:
        assert self.path is not None
        first_index = 0
        try:
            with open(os.path.join(self.path, "state.json"), encoding="utf-8") as f:
                state = json.load(f)
            first_index, self._first = int(state["index"]), int(state["seq"])
        except FileNotFoundError:
            pass
        names = sorted(n for n in os.listdir(self.path) if n.endswith(_SUFFIX) and n[:-len(_SUFFIX)].isdigit())
        for name in names:
            index = int(name[:-len(_SUFFIX)])
            self._index = max(self._index, index)
            if index < first_index:
                os.unlink(os.path.join(self.path, name))
                continue
            segment = _Segment(index)
            lines = self._load(index)
            segment.count, segment.size, segment.lines = len(lines), sum(map(len, lines)), None
            segment.attempted = True
            self._segments.append(segment)
        self._released = self._first - 1

    def write_meta(self) -> None:
        """Puts self.meta on disk, whole or not at all."""
        if self.path is not None:
            self._write_json("meta.json", self.meta)

    def _write_json(self, name: str, value: Any) -> None:
        assert self.path is not None
        final = os.path.join(self.path, name)
        with open(final + ".tmp", "w", encoding="utf-8") as f:
            json.dump(value, f)
        os.replace(final + ".tmp", final)

    # -- numbers ---------------------------------------------------------------------------------
    @property
    def first(self) -> int:
        """The first line that is still needed."""
        return self._released + 1

    @property
    def last(self) -> int:
        """The last line taken; first - 1 when there is none."""
        with self._lock:
            return self._last()

    def _last(self) -> int:
        return self._first + sum(s.count for s in self._segments) - 1

    @property
    def size(self) -> int:
        """Bytes of the lines that are still needed."""
        with self._lock:
            if not self._segments or self._released >= self._last():
                return 0
            head = self._segments[0]
            done = self._released - self._first + 1
            return sum(s.size for s in self._segments) - sum(map(len, head.lines[:done] if head.lines else ()))

    # -- writing ---------------------------------------------------------------------------------
    def append(self, lines: list[bytes]) -> None:
        """Takes lines, each with its newline. Never raises: what cannot be held is counted and leaves its mark."""
        with self._lock:
            at = 0
            while at < len(lines):
                room, end = SEGMENT_BYTES, at
                while end < len(lines) and (end == at or room >= len(lines[end])):
                    room -= len(lines[end])
                    end += 1
                self._append(lines[at:end])
                at = end

    def skipped(self, count: int, reason: str) -> None:
        """`count` lines were lost before they came here."""
        with self._lock:
            self._append_gap(count, reason)

    def _append_gap(self, count: int, reason: str) -> None:
        """A line for `count` lines, in a segment of its own: what it stands for is counted if it must go, too."""
        line = gap_line(self._last() + 1, count, reason)
        if not self._make_room(len(line)):
            self._skipped += count
            return
        segment = self._rotate()
        self._write(segment, [line])
        segment.lines, segment.count, segment.size, segment.dropped = [line], 1, len(line), count

    def _append(self, lines: list[bytes]) -> None:
        size = sum(map(len, lines))
        if not self._make_room(size):
            self._skipped += len(lines)  # all that is here was sent once and must stay
            self.dropped += len(lines)
            return
        self._leave_memory()
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            self._append_gap(skipped, "spool full")
        segment = self._segments[-1] if self._segments else None
        if segment is None or segment.size + size > SEGMENT_BYTES or segment.lines is None or segment.dropped:
            segment = self._rotate()
        self._write(segment, lines)
        assert segment.lines is not None
        segment.lines.extend(lines)
        segment.count += len(lines)
        segment.size += size

    def _leave_memory(self) -> None:
        """When all that had to wait in memory is safe, the disk is tried again."""
        if self.path is None or not self._segments or self._segments[-1].on_disk or self._released < self._last():
            return
        try:
            self._write_json("state.json", {"index": self._index + 1, "seq": self._released + 1})
        except OSError:
            return
        for segment in self._segments:
            self._unlink(segment)
        self._segments.clear()
        self._first = self._released + 1

    def _rotate(self) -> _Segment:
        if self._segments:
            self._close_segment(self._segments[-1])
        self._index += 1
        segment = _Segment(self._index)
        self._forget_released()
        # numbers on disk hold as far as they go without a hole: after lines in memory come lines in memory
        segment.on_disk = self.path is not None and all(s.on_disk for s in self._segments)
        self._segments.append(segment)
        return segment

    def _close_segment(self, segment: _Segment) -> None:
        if segment.fd >= 0:
            os.close(segment.fd)
            segment.fd = -1
        if segment.on_disk and not segment.attempted:
            segment.lines = None  # read again when its turn comes

    def _name(self, index: int) -> str:
        assert self.path is not None
        return os.path.join(self.path, f"{index:08d}{_SUFFIX}")

    def _write(self, segment: _Segment, lines: list[bytes]) -> None:
        """To disk, or this segment stays in memory."""
        if not segment.on_disk:
            return
        data = b"".join(lines)
        written = 0
        try:
            if segment.fd < 0:
                segment.fd = os.open(self._name(segment.index), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            while written < len(data):
                written += os.write(segment.fd, data[written:])
        except OSError:
            self.disk_errors += 1
            segment.on_disk = False
            try:
                if segment.fd >= 0 and written:
                    os.ftruncate(segment.fd, segment.size)  # no half a line for whoever comes next
            except OSError:
                pass

    # -- room ------------------------------------------------------------------------------------
    def _make_room(self, size: int) -> bool:
        while self._is_over(size):
            victim = next((i for i, s in enumerate(self._segments[:-1]) if not s.attempted and not s.dropped), None)
            if victim is None:
                return False
            self._drop(victim)
        return True

    def _is_over(self, size: int) -> bool:
        memory = sum(s.size for s in self._segments if not s.on_disk)
        on_disk = sum(s.size for s in self._segments if s.on_disk)
        next_on_disk = self.path is not None and (not self._segments or self._segments[-1].on_disk)
        return on_disk + size > self.bytes_max if next_on_disk else memory + size > min(MEMORY_BYTES_MAX, self.bytes_max)

    def _drop(self, victim: int) -> None:
        """Segment `victim` becomes one line; two such neighbours become one."""
        segment = self._segments[victim]
        before = self._segments[victim - 1] if victim else None
        gone = None
        count = segment.count
        self.dropped += count
        at = self._first + sum(s.count for s in self._segments[:victim])
        if before is not None and before.dropped and not before.attempted:
            count += before.dropped
            at -= before.count
            del self._segments[victim]
            segment, gone = before, segment
        line = gap_line(at, count, "spool full")
        segment.count, segment.size, segment.lines, segment.dropped = 1, len(line), [line], count
        if self.path is not None and segment.on_disk:
            try:
                name = self._name(segment.index)
                with open(name + ".tmp", "wb") as f:
                    f.write(line)
                os.replace(name + ".tmp", name)
            except OSError:
                self.disk_errors += 1
        if gone is not None:
            self._unlink(gone)

    def _unlink(self, segment: _Segment) -> None:
        if segment.fd >= 0:
            os.close(segment.fd)
            segment.fd = -1
        if self.path is not None:
            try:
                os.unlink(self._name(segment.index))
            except OSError:
                pass

    # -- reading ---------------------------------------------------------------------------------
    def read(self, seq: int, records_max: int, bytes_max: int) -> Optional[Batch]:
        """Lines from number seq on, at least one; None when there are none yet. They count as sent from now on."""
        with self._lock:
            at = self._first
            for segment in self._segments:
                if seq < at + segment.count:
                    segment.attempted = True
                    if segment.lines is None:
                        segment.lines = self._load(segment.index)
                    lines: list[bytes] = []
                    size = 0
                    for line in segment.lines[max(seq - at, 0):]:
                        if lines and (len(lines) >= records_max or size + len(line) > bytes_max):
                            break
                        lines.append(line)
                        size += len(line)
                    return Batch(max(seq, at), lines)
                at += segment.count
        return None

    def _load(self, index: int) -> list[bytes]:
        """A file's lines; one that was cut short by a crash was never sent, and is none."""
        with open(self._name(index), "rb") as f:
            lines = f.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            with open(self._name(index), "rb+") as f:
                f.truncate(sum(map(len, lines[:-1])))
            lines.pop()
        return lines

    def replace(self, seq: int, change: Callable[[bytes], bytes]) -> None:
        """Puts another line in the place of number seq: one the server will not take."""
        with self._lock:
            at = self._first
            for segment in self._segments:
                if seq < at + segment.count:
                    if segment.lines is None:
                        segment.lines = self._load(segment.index)
                    old = segment.lines[seq - at]
                    segment.lines[seq - at] = change(old)
                    segment.size += len(segment.lines[seq - at]) - len(old)
                    if segment.on_disk and self.path is not None:
                        self._rewrite(segment)
                    return
                at += segment.count

    def _rewrite(self, segment: _Segment) -> None:
        assert segment.lines is not None
        name = self._name(segment.index)
        try:
            with open(name + ".tmp", "wb") as f:
                f.writelines(segment.lines)
            os.replace(name + ".tmp", name)
            if segment.fd >= 0:
                os.close(segment.fd)
                segment.fd = -1
        except OSError:
            self.disk_errors += 1

    # -- done with -------------------------------------------------------------------------------
    def release(self, seq: int) -> None:
        """Lines up to number seq are safe where they went."""
        with self._lock:
            self._released = max(self._released, min(seq, self._last()))
            self._forget_released()

    def _forget_released(self) -> None:
        done = []
        while len(self._segments) > 1 and self._first + self._segments[0].count - 1 <= self._released:
            segment = self._segments.pop(0)
            self._first += segment.count
            done.append(segment)
        if not done or self.path is None:
            return
        try:
            self._write_json("state.json", {"index": self._segments[0].index, "seq": self._first})
        except OSError:
            self.disk_errors += 1
            return  # what is left behind is sent again by whoever comes next, and not stored twice
        for segment in done:
            self._unlink(segment)

    def renumber(self) -> None:
        """Numbers begin anew with the first line that is held: the meta tells a new epoch."""
        with self._lock:
            self._first = 1
            self._released = 0
            if self.path is None:
                return
            try:
                self.write_meta()
                if self._segments:
                    self._write_json("state.json", {"index": self._segments[0].index, "seq": 1})
            except OSError:
                self.disk_errors += 1

    def remove(self) -> None:
        """Nothing of it is needed any more."""
        with self._lock:
            for segment in self._segments:
                if segment.fd >= 0:
                    os.close(segment.fd)
                    segment.fd = -1
            self._segments.clear()
            if self.path is not None:
                shutil.rmtree(self.path, ignore_errors=True)
                for parent in (os.path.dirname(self.path), os.path.dirname(os.path.dirname(self.path))):
                    try:
                        os.rmdir(parent)
                    except OSError:
                        break
            self._drop_lock()

    def leave(self) -> None:
        """Closes files; what is there stays for whoever opens it next. In a forked child this is all one may do."""
        for segment in self._segments:
            if segment.fd >= 0:
                os.close(segment.fd)
                segment.fd = -1
        self._drop_lock()
