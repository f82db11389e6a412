"""tests/fault/checker.py -- what the log is in the end, and whether everybody's story agrees with it.

truth(d, job) reads a job by every road that holds all of it (NDJSON over /logs, the archive's file by zstd) and gives the keys
of its records. judge() holds it against what producers were told and what readers have seen.
"""
import http.client
import json
import subprocess
import time

from lines import KEY_STATE, key_parts
from view import View, compare


http_error = http.client.HTTPException
ARCHIVED_S = 60


def records(body):
    return [json.loads(x) for x in body.split(b"\n") if x]


def wait_archived(d, job, anomalies):
    """A sealed job lies in the archive soon."""
    until = time.monotonic() + ARCHIVED_S
    while time.monotonic() < until:
        j = d.get(f"/v1/jobs/{job}").json()
        if j.get("sealed") and j.get("archived_upto") == j["seq"]:
            return
        time.sleep(0.05)
    anomalies.add("stuck", f"{job} is not archived after {ARCHIVED_S} s: {str(j)[:300]}")


def truth(d, job, anomalies, archive=True):
    """View of the whole job, 1..last, as /logs gives it; the archive must hold the very same bytes."""
    view = View(job, "range", anomalies)
    r = d.get(f"/v1/jobs/{job}/logs?format=ndjson&tail=all", timeout=120)
    if r.status != 200:
        anomalies.add("lost", f"{job}: the log cannot be read: {r}")
        return view
    for record in records(r.body):
        if "gap" in record:
            view.gap(record["gap"]["from"], record["gap"]["to"])
            anomalies.add("gap", f"range of {job}: {record}")
        elif "reset" not in record and "end" not in record:
            view.add(record)
    if archive:
        packed = d.get(f"/v1/jobs/{job}/archive.jsonl.zst", timeout=120)
        plain = subprocess.run(["zstd", "-dc"], input=packed.body, capture_output=True, timeout=120)
        if packed.status != 200 or plain.returncode:
            anomalies.add("archive", f"{job}: {packed.status} {plain.stderr[:200]!r}")
        elif plain.stdout != r.body and records(plain.stdout) != records(r.body):
            kept = View(job, "archive", anomalies)
            for record in records(plain.stdout):
                kept.add(record)
            anomalies.add("archive", f"{job}: archive 1..{kept.last} differs from log 1..{view.last}")
    return view


def judge_producers(view, producers, anomalies):
    """producers: results of Producer.result() of this job."""
    held = {}
    for key in view.keys:
        if key and not key & KEY_STATE:
            rank, epoch, n = key_parts(key)
            held[rank, epoch] = max(held.get((rank, epoch), 0), n)
    for p in producers:
        for epoch, sent, durable in p["epochs"]:
            last = held.pop((p["rank"], epoch), 0)
            if last < durable:
                anomalies.add("lost", f"{p['job']}/{p['rank']}/{epoch}: durable up to {durable}, in the log {last}", durable - last)
            if p["finished"] and epoch == p["epochs"][-1][0] and last < sent:
                anomalies.add("lost", f"{p['job']}/{p['rank']}/{epoch}: fin after {sent}, in the log {last}", sent - last)
            if last > sent:
                anomalies.add("torn", f"{p['job']}/{p['rank']}/{epoch}: sent up to {sent}, in the log {last}")
        if p["finished"] and p["epochs"][-1][1] != p["accepted"]:
            anomalies.add("lost", f"{p['job']}/{p['rank']}: fin after {p['epochs'][-1]}")
    if held:
        anomalies.add("torn", f"{view.job}: producers nobody sent as: {held}")


class Missing:
    """What `end`, GET /v1/jobs/J and its post-mortem must say of a job: who never said fin, and whether it is complete."""

    def __init__(self, crew, producers):
        """producers: results of Producer.result() of the job. Whoever said fin and was not answered may be among them or not; one
        the server never answered may be known to it by its rank alone."""
        never = {p["name"] for p in producers if not p["said_fin"]}
        self.must = never | {f"rank {r}" for r in range(crew.ranks, crew.declared)}
        self.may = self.must | {p["name"] for p in producers if not p["in_time"]}
        self.nameless = {f"rank {p['rank']}": p["name"] for p in producers if not p["joined"]}

    def agrees(self, complete, missing):
        said = {self.nameless.get(who, who) for who in missing}
        return self.must <= said <= self.may and len(said) == len(missing) and complete is (not missing)

    def __str__(self):
        return f"missing must be {sorted(self.must)}, may be {sorted(self.may)}"


def judge_end(end, reader, view, missing, anomalies):
    """end: the message; view: the truth; missing: a Missing."""
    if not end:
        return anomalies.add("no_end", f"{reader} of {view.job}")
    if (end["last_seq"], end["lines"]) != (view.last, view.lines):
        anomalies.add("end_wrong", f"{reader} of {view.job}: {end}, the log has {view.last} records, {view.lines} lines")
    if not missing.agrees(end["complete"], end["missing"]):
        anomalies.add("end_wrong", f"{reader} of {view.job}: {end}, {missing}")
    return None


def judge_job(d, job, missing, anomalies):
    """What is said of the job afterwards, once it lies in the archive."""
    for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/postmortem?format=json"):
        r = d.get(path, timeout=120)
        said = r.json() if r.status == 200 else {}
        said = {**said.get("job", {}), **said}  # the post-mortem holds the job
        if r.status != 200 or not missing.agrees(said.get("complete"), said.get("missing", [])):
            anomalies.add("end_wrong", f"GET {path}: {r.status} complete {said.get('complete')}, missing {said.get('missing')}; "
                                       f"{missing}")


def judge_readers(view, seen, missing, anomalies):
    """seen: results of tests/fault/tailers.py of this job."""
    for t in seen:
        for v in t.views:
            compare(v, view.keys, anomalies)
        if t.kind == "old":
            continue
        judge_end(t.end, t.kind, view, missing, anomalies)
        if t.end and t.views[-1].last != view.last:
            anomalies.add("end_wrong", f"{t.kind} of {view.job} ended after {t.views[-1].last} of {view.last}")
