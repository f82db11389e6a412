"""tests/fault/lines.py -- the numbered, checksummed line, made and read again.

    job|rank|epoch|n|payload|crc32 of all before the last bar, 8 hex digits

A line is a function of (job, rank, epoch, n): nobody has to remember what was sent, and one that was changed, cut or made
up does not check. Payloads hold what logs hold: ANSI colours, tabs, quotes, backslashes, bars, UTF-8 of every length.
"""
import json
import random
import zlib

PAYLOADS = 251  # prime: neighbours of one producer and of two differ
_PIECES = ["loss=2.3412 lr=2.98e-04", "\x1b[31mred\x1b[0m", "tab\there", 'a "quoted" word', "back\\slash \\n", "p|i|p|e",
           "größe", "日本語", "🚀", "{\"json\": [1, 2]}", "  two  spaces ", "grad_norm=0.812 tokens/s=41233", "</script>",
           "\u2028", "%s %n %d", "x" * 40]


def _payload(rng):
    return " ".join(rng.choice(_PIECES) for _ in range(rng.randrange(1, 7))).strip() + "."


_rng = random.Random(20)
TEXT = [_payload(_rng) for _ in range(PAYLOADS)]
BYTES = [b"|" + t.encode() + b"|" for t in TEXT]
AS_JSON = [b"|" + json.dumps(t, ensure_ascii=False).encode()[1:-1] + b"|" for t in TEXT]


def batch_text(job, rank, epoch, first, count):
    """Lines first..first+count-1 as a text body."""
    out, crc32, head = [], zlib.crc32, f"{job}|{rank}|{epoch}|".encode()
    start = crc32(head)
    for n in range(first, first + count):
        digits = b"%d" % n
        payload = BYTES[(n * 31 + rank * 7 + epoch) % PAYLOADS]
        out.append(b"%b%b%b%08x\n" % (head, digits, payload, crc32(payload, crc32(digits, start))))
    return b"".join(out)


def batch_json(job, rank, epoch, first, count):
    """The same lines as NDJSON records."""
    out, crc32, head = [], zlib.crc32, f"{job}|{rank}|{epoch}|".encode()
    start = crc32(head)
    for n in range(first, first + count):
        digits = b"%d" % n
        at = (n * 31 + rank * 7 + epoch) % PAYLOADS
        out.append(b'{"msg":"%b%b%b%08x"}\n' % (head, digits, AS_JSON[at], crc32(BYTES[at], crc32(digits, start))))
    return b"".join(out)


KEY_STATE = 1 << 63  # the key of a record that is no line of ours: a state change


def key_of(rank, epoch, n):
    """(rank, epoch, n) in 63 bits: 12, 11 and 40."""
    return rank << 51 | epoch << 40 | n


def key_parts(key):
    return key >> 51 & 0xFFF, key >> 40 & 0x7FF, key & (1 << 40) - 1


def read_line(job, msg):
    """The key of a line, or None when it is not one that was sent to this job."""
    raw = msg.encode("utf-8", "surrogatepass")
    if len(raw) < 10 or zlib.crc32(raw[:-8]) != _hex(raw[-8:]):
        return None
    parts = msg.split("|", 4)
    if len(parts) != 5 or parts[0] != job:
        return None
    try:
        rank, epoch, n = int(parts[1]), int(parts[2]), int(parts[3])
    except ValueError:
        return None
    return key_of(rank, epoch, n)


def _hex(digits):
    try:
        return int(digits, 16)
    except ValueError:
        return -1
