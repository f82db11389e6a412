"""tests/fault/20-network.py -- the link of the campaign's bad network (wire.c) does what it is told."""
import contextlib
import socket
import subprocess
import sys
import time

from faults_net import HURTS, Link

ALONE = True
PACKETS = 40
ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7))
print("ready", flush=True)
while True:
    data, who = s.recvfrom(2000)
    s.sendto(data, who)
"""


@contextlib.contextmanager
def echo():
    link = Link()
    far = subprocess.Popen([*link.there(), sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    try:
        assert far.stdout.readline() == "ready\n"
        yield link
    finally:
        far.kill()
        far.wait()
        link.close()


def trips(link, how, count=PACKETS, patience_s=2.0):
    """[(number, milliseconds)] of packets there and back, as they came; the others did not."""
    got, sent = [], {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((f"{link.net}.2", 7))
        link.hurt(how)
        link.settled()
        for n in range(count):
            sent[n] = time.monotonic()
            s.send(b"%d" % n)
            time.sleep(0.001)
        until = time.monotonic() + patience_s
        while len(got) < count and time.monotonic() < until:
            s.settimeout(max(until - time.monotonic(), 0.001))
            with contextlib.suppress(socket.timeout):
                n = int(s.recv(100))
                got.append((n, (time.monotonic() - sent[n]) * 1000))
    return got


def test_the_link():
    """The link loses, delays and reorders what it is told to, and nothing else."""
    with echo() as link:
        whole = trips(link, "")
        assert [n for n, _ in whole] == list(range(PACKETS)), whole
        assert trips(link, HURTS["cut"], patience_s=0.3) == []
        late = trips(link, "delay 50")
        assert [n for n, _ in late] == list(range(PACKETS)) and min(ms for _, ms in late) >= 100, late
        mixed = trips(link, "delay 50 jitter 25")
        assert len(mixed) == PACKETS and min(ms for _, ms in mixed) >= 50 and [n for n, _ in mixed] != list(range(PACKETS)), mixed
        overtaking = trips(link, "delay 40 reorder 30")
        assert len(overtaking) == PACKETS and [n for n, _ in overtaking] != list(range(PACKETS)), overtaking
        lossy = trips(link, "loss 30", 200, 0.5)
        assert 40 <= len(lossy) <= 160, len(lossy)  # 98 of 200 come back, give or take seven
        slow = trips(link, "rate 80")               # 80 kbit/s: 10 bytes a millisecond, a packet of ours 3 ms each way
        assert max(ms for _, ms in slow) >= 50, slow
        assert len(trips(link, "")) == PACKETS
