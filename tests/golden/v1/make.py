#!/usr/bin/python3
"""tests/golden/v1/make.py -- write the golden segments of format 1, whole and injured.

A second implementation of docs/format-archive.md: it shares no code with storage/ and packs with the
zstd tool. The files are in the repository and must be read for ever; run this only to add a fixture
(a newer zstd may pack to other bytes, which is no reason to replace old files).

    tests/golden/v1/<injury>/<first>-<last>.jsonl.zst      tests/golden/v1/whole.ndjson: the records
"""
import json
import os
import struct
import subprocess
import tempfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
FIRST, COUNT, FRAME = 101, 90, 30
LEVELS = ["", "trace", "debug", "info", "warn", "error", "fatal"]
EMPTY_XXH64_LOW = 0x51D8E999
STATE, GAP, RANKS = 1, 2, 4


def records():
    for i in range(COUNT):
        seq = FIRST + i
        r = {"seq": seq, "ts": f"2026-11-23T20:54:{i % 60:02d}.{i * 7919 % 1000000:06d}Z"}
        if i == 75:
            r.update(rank=0, state="TRAINING_JOB_FAILED", msg="exit 1", exit_code=1)
        else:
            if i % 5:
                r["rank"] = i % 4
            r["stream"] = "stderr" if i % 3 else "stdout"
            r["level"] = "error" if i == 17 else "info"
            r["msg"] = "quasar: ECC \"uncorrectable\" \x1b[31m日本" if i == 17 else f"step {i} loss 0.{i * i % 997:03d}"
        yield r


def us(ts):
    import datetime
    at = datetime.datetime.strptime(ts, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return (at - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


def pack(data, level=3):
    """One zstd frame with content size and checksum."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        return subprocess.run(["zstd", f"-{level}", "-q", "--check", "--no-progress", "-c", f.name],
                              check=True, capture_output=True).stdout


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def zigzag(v):
    return varint(v << 1 if v >= 0 else (-v << 1) - 1)


def skippable(magic, payload):
    return struct.pack("<II", magic, len(payload)) + payload


def slots_of(msg):
    data = bytes(c + 32 if 65 <= c <= 90 else c for c in msg.encode())
    for i in range(len(data) - 2):
        gram = data[i] << 16 | data[i + 1] << 8 | data[i + 2]
        yield (gram * 0x9E3779B1 & 0xFFFFFFFF) >> 16


def gram_payload(frames):
    sets = [{s for r in f for s in slots_of(r["msg"])} for f in frames]
    bits = 10
    while bits < 16 and 1 << bits < 8 * max(map(len, sets)):
        bits += 1
    rows = bytearray(1 << bits)  # up to 8 frames: one byte a row
    for k, slots in enumerate(sets):
        for s in slots:
            rows[s >> (16 - bits)] |= 1 << k
    return b"JLGRAMS1" + struct.pack("<IIBBH", 0, len(frames), bits, 1, 0) + pack(bytes(rows), 9)


def index_payload(frames, packed, raw, grams):
    body, recv_before, ts_before = b"", 0, 0
    for f, p, t in zip(frames, packed, raw):
        ranks = sorted({r.get("rank", -1) for r in f})
        times = [us(r["ts"]) for r in f]
        mask = 0
        for r in f:
            mask |= 1 << LEVELS.index(r.get("level", ""))
        flags = RANKS | (STATE if any("state" in r for r in f) else 0)
        body += varint(len(p)) + varint(len(t)) + varint(len(f)) + varint(mask) + varint(flags)
        body += zigzag(ranks[0]) + varint(ranks[-1] - ranks[0]) + varint(len(ranks))
        for before, rank in zip([ranks[0]] + ranks, ranks):
            body += varint(rank - before)
        body += zigzag(min(times) - ts_before) + varint(max(times) - min(times))
        ts_before = min(times)
        runs = [(i, recv_of(f[i]["seq"])) for i in range(len(f)) if i == 0 or recv_of(f[i]["seq"]) != recv_of(f[i - 1]["seq"])]
        body += varint(len(runs))
        at = 0
        for i, recv in runs:
            body += varint(i - at) + zigzag(recv - recv_before)
            at, recv_before = i, recv
    body += varint(len(grams)) + struct.pack("<I", zlib.crc32(grams))
    size = 48 + len(body) + 4
    # The last 0: never settled, written once (a settled segment has its zstd level there).
    head = b"JLINDEX1" + struct.pack("<IIQQQII", size, len(frames), FIRST, FIRST + COUNT - 1, sum(map(len, packed)), 1, 0)
    return head + body + struct.pack("<I", zlib.crc32(head + body))


def recv_of(seq):
    """Records came in tens, a second apart."""
    return 1795467300000000 + (seq - FIRST) // 10 * 1000000


def build():
    rs = list(records())
    frames = [rs[i:i + FRAME] for i in range(0, COUNT, FRAME)]
    raw = ["".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for r in f).encode() for f in frames]
    packed = [pack(t) for t in raw]
    grams = gram_payload(frames)
    gram_frame = skippable(0x184D2A51, grams)
    index_frame = skippable(0x184D2A50, index_payload(frames, packed, raw, grams))
    table = b"".join(struct.pack("<II", len(p), len(t)) + p[-4:] for p, t in zip(packed, raw))
    for extra in (gram_frame, index_frame):
        table += struct.pack("<III", len(extra), 0, EMPTY_XXH64_LOW)
    table += struct.pack("<IBI", len(packed) + 2, 0x80, 0x8F92EAB1)
    return raw, packed, gram_frame, index_frame, skippable(0x184D2A5E, table)


def put(injury, data):
    os.makedirs(os.path.join(HERE, injury), exist_ok=True)
    with open(os.path.join(HERE, injury, f"{FIRST:020d}-{FIRST + COUNT - 1:020d}.jsonl.zst"), "wb") as f:
        f.write(data)


def main():
    raw, packed, grams, index, table = build()
    data = b"".join(packed)
    whole = data + grams + index + table
    flip = bytearray(whole)
    flip[len(packed[0]) + len(packed[1]) // 2] ^= 0x08
    bad_index = bytearray(whole)
    bad_index[len(data) + len(grams) + 60] ^= 0x01
    bad_grams = bytearray(whole)
    bad_grams[len(data) + 40] ^= 0x01
    both = bytearray(flip)
    both[len(data) + len(grams) + 60] ^= 0x01
    with open(os.path.join(HERE, "whole.ndjson"), "wb") as f:
        f.write(b"".join(raw))
    put("whole", whole)
    put("truncated-in-frame", whole[:len(packed[0]) + len(packed[1]) - 20])
    put("bit-flip-frame-2", bytes(flip))
    put("bit-flip-frame-2-and-index", bytes(both))
    put("bit-flip-index", bytes(bad_index))
    put("bit-flip-grams", bytes(bad_grams))
    put("no-index", data + skippable(0x184D2A5E, b"".join(
        struct.pack("<II", len(p), len(t)) + p[-4:] for p, t in zip(packed, raw)) + struct.pack("<IBI", 3, 0x80, 0x8F92EAB1)))
    put("no-seek-table", data + grams + index)
    put("torn-tail", whole[:-11])
    put("torn-head", whole[57:])
    put("empty", b"")


if __name__ == "__main__":
    main()
