"""tests/fault/25-power.py -- the power cut takes what was not synced, and only that; the checker sees a disk that lies."""
import os
import random
import subprocess
import sys
import tempfile

from campaign import Campaign
from power import FAULTS_POWER, Disk
from stand import Stand

ALONE = True
Stand.drain_s = 3  # lines are lost: nobody says fin

PROGRAM = """
import os

def put(name, data, sync):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, data)
    if sync:
        os.fdatasync(fd)
    os.close(fd)

def sync(name):
    fd = os.open(name, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

os.mkdir("kept")
os.mkdir("doomed")
put("kept/whole", b"0123456789", True)
put("kept/torn", b"01234", True)
put("kept/torn", b"56789", False)
put("kept/never", b"01234", False)
put("kept/to", b"old", True)
put("kept/stays", b"here", True)
sync("kept")
sync(".")                                 # up to here the names are on disk
put("kept/from", b"new", True)
os.rename("kept/from", "kept/to")
os.unlink("kept/stays")
os.mkdir("late")
put("late/file", b"x", True)
sync("late")
open("kept/stream", "w").close()
os.rmdir("doomed")
"""


def outage(seed, program=PROGRAM, lies=False):
    """What is there after a power cut: {path: contents, None for a folder}."""
    with tempfile.TemporaryDirectory() as tools, tempfile.TemporaryDirectory() as root:
        disk = Disk(os.path.realpath(root), os.path.join(tools, "journal"))
        disk.fresh()
        subprocess.run([sys.executable, "-S", "-c", program], cwd=root, env={**os.environ, **disk.env(lies)}, check=True)
        disk.cut(random.Random(seed))
        there = {}
        for folder, folders, names in os.walk(root):
            for name in folders:
                there[os.path.relpath(os.path.join(folder, name), root)] = None
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    there[os.path.relpath(os.path.join(folder, name), root)] = f.read()
        return there


def test_names_and_bytes():
    """Synced bytes and names are there in every outage; the others are gone in some and there in some, in the order they came."""
    seen = [outage(seed) for seed in range(40)]
    for there in seen:
        assert there["kept"] is None and there["kept/whole"] == b"0123456789", there
        assert b"0123456789".startswith(there["kept/torn"]) and len(there["kept/torn"]) >= 5, there
        assert b"01234".startswith(there["kept/never"]), there
        assert there["kept/to"] in (b"old", b"new"), there
        assert ("late" in there) == ("late/file" in there), there
        if "kept/stays" not in there:  # the last changes of a folder go first
            assert there["kept/to"] == b"new" and "kept/from" not in there, there
        if "doomed" not in there:
            assert "late" in there, there
    for few, many in [(lambda t: len(t["kept/torn"]) == 5, lambda t: len(t["kept/torn"]) > 5),
                      (lambda t: not t["kept/never"], lambda t: t["kept/never"]),
                      (lambda t: t["kept/to"] == b"old", lambda t: t["kept/to"] == b"new"),
                      (lambda t: "kept/stays" in t, lambda t: "kept/stays" not in t),
                      (lambda t: "doomed" in t, lambda t: "doomed" not in t),
                      (lambda t: "late" not in t, lambda t: "late" in t),
                      (lambda t: "kept/stream" not in t, lambda t: "kept/stream" in t)]:
        assert any(map(few, seen)) and any(map(many, seen)), seen
    assert any("kept/from" in t for t in seen), "the rename alone is never taken"


def test_disk_that_lies():
    """On a disk that syncs nothing names go that were synced, and the campaign counts what joblogd had called durable."""
    assert any("kept" not in outage(seed, lies=True) for seed in range(8))
    row = Campaign(FAULTS_POWER["power-lies"](), 2, 1500, 12000, jobs=1).run()
    assert row.anomalies.counts.get("lost", 0) > 0, row.text()
