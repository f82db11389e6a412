"""tests/fault/10-campaign.py -- the short form of the campaign of faults (`make torture` is the long one).

Every fault a few times under load; the floor is low here: a busy machine must not fail the test, but a run without load would
prove nothing.
"""


from campaign import Campaign
from every_fault import FAULTS
from faults_sentinel import Sentinel
from harness import PATIENCE
from stand import Stand

ALONE = True
FLOOR = 1500
LINES_S = 12000
Stand.drain_s = 8 * min(2, PATIENCE)
Sentinel.by_hand = 1


def run(name, n):
    row = Campaign(FAULTS[name](), n, FLOOR, LINES_S, jobs=2, ranks=4).run()
    assert row.anomalies.total() == 0, (row.text(), dict(row.anomalies.examples))
    assert getattr(row, "alive", True), f"the fault was not seen: {row.text()}"
    assert row.lines > 0 and row.injected + row.below_floor > 0, row.text()
    return row


def test_kill_joblogd():
    """kill -9 of joblogd under load: nothing acknowledged is lost, repeated or out of order, and every reader ends well."""
    run("kill-joblogd", 5)


def test_kill_redis():
    """kill -9 of Redis, alone and together with joblogd, class durable: the same."""
    run("kill-redis", 3)
    run("kill-both", 2)


def test_slow_fsync():
    """Class accepted with a slow disk: Redis loses acknowledged lines, alone and with joblogd, producers rewind, and in the end none is
    missing or there twice."""
    for name in ("slow-fsync", "kill-both-slow"):
        row = run(name, 2)
        assert row.classes == {"accepted"}, row.classes


def test_power_fails():
    """Both killed, and the disk without what was not synced, files and names: nothing acknowledged is lost."""
    run("power", 3)


def test_stopped_parts():
    """SIGSTOP of joblogd, Redis, readers or writers: no record twice, no owner twice."""
    run("stop", 2)


def test_redis_refuses():
    """Redis at its memory limit: refused with "later", nothing lost."""
    run("redis-oom", 2)


def test_disks_fail():
    """The disk of Redis' file and of the archive full: nothing acknowledged is lost, nothing trimmed unverified."""
    run("aof-enospc", 1)
    run("archive-enospc", 2)


def test_clocks_jump():
    """Wall clocks that jump by a year both ways, while all goes on or over a kill: order, cursors and ends are as ever."""
    run("clock-kill", 4)


def test_bad_network():
    """Cut, slow, lossy, late, out of order between clients, joblogd and Redis: nothing acknowledged is lost, nothing comes twice."""
    run("network", 2)


def test_sentinels():
    """The master under sentinels is lost or replaced while its replica lags, joblogd goes on: nothing acknowledged is lost, nothing comes twice."""
    row = run("sentinel", 2)
    assert row.classes == {"replicated"}, row.classes
