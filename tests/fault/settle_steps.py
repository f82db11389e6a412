"""settle_steps -- joblogd killed, or its disk failing, at every step of settling a job (make test-settle-steps)."""
import importlib.util
import os
import sys
import unittest

E2E = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e")
sys.path.insert(0, E2E)
import harness  # noqa: E402
from harness import Joblogd, wait_for  # noqa: E402

spec = importlib.util.spec_from_file_location("settle", os.path.join(E2E, "32-storage-settle.py"))
settle = importlib.util.module_from_spec(spec)
spec.loader.exec_module(settle)

BINARY = os.path.join(harness.ROOT, "build-faults", "joblogd")
KILLS = ["settle.after_write:1", "settle.after_rename:1", "settle.between_unlinks:1", "settle.between_unlinks:2", "settle.after_unlink:1"]
ERRORS = ["segment.add:1:err", "segment.finish:1:err", "segment.fsync:1:err", "settle.fsync_dir:1:err"]


def run(fault, is_kill):
    """The log reads the same right after the fault, and at last the job is settled all the same."""
    with Joblogd(*settle.SMALL, "--settle-level", "0") as d:
        settle.fill(d, "a", 2500)
        before = settle.reads(d, "a")
        d.kill()
        d.env["JOBLOG_FAULT"] = fault
        d.args = [*settle.SMALL, "--settle-level", "9"]
        d.start()
        if is_kill:
            assert d.proc.wait(60) == -9, fault
        else:
            wait_for(lambda: d.metric("joblog_settle_errors_total") == 1, 60, f"{fault} was met")
            assert settle.reads(d, "a") == before and not settle.temps(d, "a"), fault
            d.kill()
        del d.env["JOBLOG_FAULT"]
        d.start()
        assert settle.reads(d, "a") == before, fault
        wait_for(lambda: len(settle.segments(d, "a")) == 1, 60, f"{fault}: settled")
        assert settle.reads(d, "a") == before, fault


def test_every_step():
    """Whichever step it dies or fails at: no record is lost, changed or told twice."""
    if not os.path.exists(BINARY):
        raise unittest.SkipTest("wants make FAULTS=1 (make test-settle-steps)")
    old, harness.JOBLOGD = harness.JOBLOGD, BINARY
    try:
        for fault in KILLS:
            run(fault, True)
        for fault in ERRORS:
            run(fault, False)
    finally:
        harness.JOBLOGD = old
