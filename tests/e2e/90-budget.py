"""Instructions per unit of the work that costs most, counted by callgrind: a regression fails without a clock."""
import json
import os
import platform
import re
import shutil
import subprocess
import unittest

from harness import sanitized

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(os.environ["BUILD"], "bench", "budget")
BUDGETS = json.load(open(os.path.join(ROOT, "tests", "bench", "budget.json")))
TOLERANCE = 1.10


def setup():
    if not shutil.which("valgrind"):
        raise unittest.SkipTest("valgrind is not installed")
    if sanitized():
        raise unittest.SkipTest("valgrind does not run a build with sanitizers")
    if platform.freedesktop_os_release().get("VERSION_ID") != BUDGETS["debian"]:
        raise unittest.SkipTest(f"the budgets are of Debian {BUDGETS['debian']}'s compiler and libraries")


def counted(kind, n):
    p = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", PROGRAM, kind, str(n)], capture_output=True,
                       text=True, timeout=120)
    assert p.returncode == 0, p.stderr
    return int(re.search(r"Collected : (\d+)", p.stderr).group(1))


def check(kind):
    b = BUDGETS[kind]
    low, high = b["rounds"]
    each = (counted(kind, high) - counted(kind, low)) / ((high - low) * b["units"])
    print(f"{kind}: {each:.0f} instructions {b['unit']}, budget {b['budget']}")
    assert each <= b["budget"] * TOLERANCE, f"{each:.0f} instructions {b['unit']}; the budget is {b['budget']} (tests/bench/budget.json)"


def test_ingest():
    """A line of NDJSON is decoded, framed and packed within its instructions."""
    check("ingest")


def test_hub():
    """A frame of 8 lines reaches one of 200 followers within its instructions."""
    check("hub")


def test_search():
    """A segment is searched for what is nowhere, somewhere, and a pattern, within the instructions for each of its lines."""
    check("search")
