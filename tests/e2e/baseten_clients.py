"""tests/e2e/baseten_clients.py -- the sequences of Baseten's two clients, request by request, in our own words.

    Truss(port)    the Python `truss` CLI: a TCP connection per request, no retry, one 5xx is the end
    Golang(port)   the Go `baseten` CLI: GET, newest first, pages by milliseconds

What they print is returned as a list of (timestamp ns, message). scale > 1 makes their pauses and clock
margins shorter by that much, so that a test of minutes takes seconds; the order of requests stays. skew_s: how
far their clock is ahead.
plant() writes a job into Redis by hand, with receive times of one's choosing (docs/format-redis.md).
"""
import gzip
import hashlib
import http.client
import json
import socket
import threading
import time
import zlib
from datetime import datetime

ACTIVE = ["TRAINING_JOB_PENDING", "TRAINING_JOB_RUNNING", "TRAINING_JOB_CREATED", "TRAINING_JOB_DEPLOYING"]
WAITING = ["TRAINING_JOB_PENDING", "TRAINING_JOB_CREATED", "TRAINING_JOB_QUEUED"]
LOGGING = ["TRAINING_JOB_DEPLOYING", "TRAINING_JOB_RUNNING"]
MS = 1_000_000  # ns


class Refused(Exception):
    """The client stops here: status and the message it prints."""

    def __init__(self, status, body):
        self.status = status
        try:
            self.message = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError):
            self.message = None
        super().__init__(f"{status} {body[:200]!r}")


class Client:
    def __init__(self, port, scheme="Api-Key", key="secret", host="api.localhost", scale=1.0, skew_s=0):
        self.port, self.scheme, self.key, self.host, self.scale, self.skew_s = port, scheme, key, host, scale, skew_s
        self.requests = 0
        self.pause = threading.Event()  # set it to interrupt a tail

    def call(self, method, path, body=None):
        self.requests += 1
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Host": f"{self.host}:{self.port}", "Accept-Encoding": "gzip, deflate", "Accept": "*/*",
                   "Authorization": f"{self.scheme} {self.key}", "Connection": "keep-alive"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            conn.request(method, path, body=data, headers=headers)
            r = conn.getresponse()
            raw = r.read()
        finally:
            conn.close()
        coding = r.getheader("Content-Encoding")
        if coding == "gzip":
            raw = gzip.decompress(raw)
        elif coding == "deflate":
            raw = zlib.decompress(raw)
        if not 200 <= r.status < 300:
            raise Refused(r.status, raw)
        return json.loads(raw)

    def now_ms(self):
        return int((time.time() + self.skew_s) * 1000)

    def sleep(self, seconds):
        self.pause.wait(seconds / self.scale)

    def project(self, name_or_id):
        """An id wins over a name."""
        projects = self.call("GET", "/v1/training_projects")["training_projects"]
        for key in ("id", "name"):
            for p in projects:
                if p[key] == name_or_id:
                    return p["id"]
        raise Refused(404, b'{"message":"no such project"}')

    def search(self, statuses=None, project=None, job=None, order="desc"):
        jobs = self.call("POST", "/v1/training_jobs/search",
                         {"statuses": statuses, "project_id": project, "job_id": job,
                          "order_by": [{"field": "created_at", "order": order}]})["training_jobs"]
        times = [j["created_at"] for j in jobs]
        assert times == sorted(times, reverse=order == "desc"), times
        for j in jobs:
            check_job(j)
        return jobs

    @staticmethod
    def base(job):
        return f"/v1/training_projects/{job['training_project']['id']}/jobs/{job['id']}"

    def show(self, job):
        return self.call("GET", self.base(job))["training_job"]


class Truss(Client):
    """The Python CLI."""

    def find(self, job=None, project=None):
        """The newest job that fits, and its interactive sessions, which there are none of."""
        project = self.project(project) if project else None
        jobs = self.search(None, project, job)
        if not jobs:
            raise Refused(404, b'{"message":"No jobs found."}')
        newest = sorted(jobs, key=lambda j: j["created_at"], reverse=True)[0]
        assert self.call("GET", self.base(newest) + "/auth_codes").get("auth_codes", []) == []
        return newest

    def view(self, job=None, project=None):
        if not job and not project:
            projects = self.call("GET", "/v1/training_projects")["training_projects"]
            for p in projects:
                check_project(p)
            return projects, self.search(ACTIVE)
        jobs = self.search(None, self.project(project) if project else None, job, "asc")
        if len(jobs) == 1:
            assert self.call("GET", self.base(jobs[0]) + "/checkpoints")["checkpoints"] == []
        return jobs

    def logs(self, job=None, project=None, limit=1000):
        """Everything, oldest first: pages of limit lines, windows of two hours, until one is empty."""
        found = self.find(job, project)
        base = self.base(found)
        created = self.show(found)["created_at"]
        start = int(datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp() * 1000)
        printed, self.pages = [], 0
        while True:
            page = self.call("POST", base + "/logs", {"start_epoch_millis": start, "end_epoch_millis": start + 7_200_000,
                                                      "limit": limit, "direction": "asc"})["logs"]
            self.pages += 1
            if not page:
                return printed
            printed += [line(x) for x in page]
            start = int(page[-1]["timestamp"]) // MS + 1

    def tail(self, job=None, project=None, on_line=None):
        """Polls of two seconds with a minute of overlap; a hash of each line; ten seconds of grace."""
        found = self.find(job, project)
        base = self.base(found)
        printed, seen, last_ms = [], set(), None
        overlap = int(60_000 / self.scale)

        def status():
            return self.show(found)["current_status"]

        def poll():
            nonlocal last_ms
            now = self.now_ms()
            body = {"end_epoch_millis": now + overlap}
            if last_ms is not None:
                body["start_epoch_millis"] = last_ms - overlap
            for x in reversed(self.call("POST", base + "/logs", body)["logs"]):
                h = hashlib.sha256(f"{x['timestamp']}-{x['message']}-{x['replica']}".encode()).digest()
                if h not in seen:
                    seen.add(h)
                    printed.append(line(x))
                    if on_line:
                        on_line(printed[-1])
            last_ms = now

        state = status()
        while state in WAITING:
            self.sleep(2)
            state = status()
        while not seen:
            poll()
            if not seen:
                self.sleep(2)
        grace_until = None
        while state in LOGGING or (grace_until is not None and time.monotonic() <= grace_until):
            poll()
            self.sleep(2)
            state = status()
            if state not in LOGGING and grace_until is None:
                grace_until = time.monotonic() + 10 / self.scale
        self.last_state = state
        return printed

    def stop(self, job):
        jobs = self.search(ACTIVE, None, job)
        if not jobs:
            raise Refused(404, b'{"message":"No queued or running jobs found."}')
        return self.call("POST", self.base(jobs[0]) + "/stop", {})["training_job"]

    def metrics(self, job):
        found = self.search(None, None, job)[0]
        return self.call("POST", self.base(found) + "/metrics", {})


class Golang(Client):
    """The Go CLI."""

    def find(self, job):
        jobs = self.call("POST", "/v1/training_jobs/search", {"job_id": job})["training_jobs"]
        if not jobs:
            raise Refused(404, b'{"message":"no training job found"}')
        return jobs[0]

    def list(self, project=None, statuses=None, order="desc"):
        """job list: a project by its id, else by its name; statuses are spelled without TRAINING_JOB_."""
        body = {"order_by": [{"field": "created_at", "order": order}]}
        if project:
            body["project_id"] = self.project(project)
        if statuses:
            body["statuses"] = ["TRAINING_JOB_" + s.upper().replace("-", "_") for s in statuses]
        jobs = self.call("POST", "/v1/training_jobs/search", body)["training_jobs"]
        for j in jobs:
            check_job(j)
        return jobs

    def projects(self):
        projects = self.call("GET", "/v1/training_projects")["training_projects"]
        for p in projects:
            check_project(p)
        return sorted(projects, key=lambda p: p["created_at"], reverse=True)

    def describe(self, job):
        got = self.call("GET", self.base(self.find(job)))
        check_job(got["training_job"])
        check_project(got["training_project"])
        return got["training_job"]

    def sessions(self, job):
        return self.call("GET", self.base(self.find(job)) + "/auth_codes")["auth_codes"]

    def checkpoints(self, job):
        got = self.call("GET", self.base(self.find(job)) + "/checkpoints")
        check_job(got["training_job"])
        return got["checkpoints"]

    def logs(self, job, since_ms=None, page=1000, end_ms=None, min_level=None, most=0):
        """Newest first: pages back from now, the edge's millisecond asked for again; a short page is the last.
        Without since_ms the last 30 minutes; most: lines at most, 0 for all."""
        found = self.find(job)
        printed, edge, edge_ms = [], set(), None
        end = end_ms or self.now_ms()
        since_ms = end - 1_800_000 if since_ms is None else since_ms
        while True:
            path = f"{self.base(found)}/logs?start_epoch_millis={since_ms}&end_epoch_millis={end}&limit={page}&direction=desc"
            if min_level:
                path += f"&min_level={min_level.upper()}"
            logs = self.call("GET", path)["logs"]
            if not logs:
                return printed
            oldest, fresh, new_edge = int(logs[-1]["timestamp"]) // MS, 0, set()
            for x in logs:
                key, ms = (x["timestamp"], x["message"], x["replica"]), int(x["timestamp"]) // MS
                if ms == edge_ms and key in edge:
                    continue
                if ms == oldest:
                    new_edge.add(key)
                printed.append(line(x))
                fresh += 1
                if len(printed) == most:
                    return printed
            if len(logs) < page:
                return printed
            assert fresh, f"a full page with nothing new: {len(logs)} lines at {oldest}"
            if oldest <= since_ms:
                return printed
            edge, edge_ms, end = new_edge, oldest, oldest

    def tail(self, job):
        """Poll, then status, which ends it at once; within a poll newest first."""
        found = self.find(job)
        printed, seen, last_ms = [], set(), None
        margin = int(60_000 / self.scale)
        while True:
            now = self.now_ms()
            path = f"{self.base(found)}/logs?end_epoch_millis={now + margin}&direction=desc"
            if last_ms:
                path += f"&start_epoch_millis={last_ms - margin}"
            for x in self.call("GET", path)["logs"]:
                key = (x["timestamp"], x["message"], x["replica"])
                if key not in seen:
                    seen.add(key)
                    printed.append(line(x))
            last_ms = now
            if seen:
                state = self.show(found)["current_status"]
                if state not in WAITING + LOGGING:
                    self.last_state = state
                    return printed
            self.sleep(2)

    def stop(self, job):
        return self.call("POST", self.base(self.find(job)) + "/stop", {})["training_job"]

    def metrics(self, job):
        return self.call("GET", self.base(self.find(job)) + "/metrics")


def line(x):
    assert isinstance(x["timestamp"], str) and x["timestamp"].isdigit() and isinstance(x["message"], str), x
    assert "replica" in x and (x["replica"] is None or isinstance(x["replica"], str)), x
    return int(x["timestamp"]), x["message"]


def check_time(s):
    assert len(s) == 27 and s.endswith("Z"), s
    datetime.fromisoformat(s.replace("Z", "+00:00"))


def check_job(j):
    """What the clients read of a job is there, and of the type they read."""
    for key in ("id", "current_status", "training_project_id"):
        assert isinstance(j[key], str), (key, j)
    assert j["name"] is None or isinstance(j["name"], str)
    check_time(j["created_at"])
    check_time(j["updated_at"])
    t = j["instance_type"]
    assert isinstance(t["id"], str) and isinstance(t["name"], str), t
    for key in ("memory_limit_mib", "millicpu_limit", "gpu_count"):
        assert isinstance(t[key], int), t
    assert "gpu_type" in t and "gpu_memory_limit_mib" in t, t
    assert isinstance(j["training_project"]["id"], str) and isinstance(j["training_project"]["name"], str)
    assert isinstance(j.get("user", {}), dict), j
    assert isinstance(j.get("priority", 0), int) and isinstance(j.get("node_count", 0), int), j


def check_project(p):
    assert isinstance(p["id"], str) and isinstance(p["name"], str)
    check_time(p["created_at"])
    check_time(p["updated_at"])
    if p["latest_job"] is not None:
        check_job(p["latest_job"])


# ---- a job written by hand ----------------------------------------------------------------------

class Redis:
    """Just enough RESP over the embedded server's socket."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(20)
        self.s.connect(path)
        self.f = self.s.makefile("rb")

    def call(self, *words):
        return self.many([words])[0]

    def many(self, commands):
        out = bytearray()
        for words in commands:
            out += b"*%d\r\n" % len(words)
            for w in words:
                w = w if isinstance(w, bytes) else str(w).encode()
                out += b"$%d\r\n%s\r\n" % (len(w), w)
        sender = threading.Thread(target=self.s.sendall, args=(out,))
        sender.start()
        answers = [self.read() for _ in commands]
        sender.join()
        for a in answers:
            if isinstance(a, Exception):
                raise a
        return answers

    def read(self):
        head = self.f.readline()
        kind, rest = head[:1], head[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"-":
            return RuntimeError(rest.decode())
        if kind == b"$":
            n = int(rest)
            return None if n < 0 else self.f.read(n + 2)[:-2]
        return [self.read() for _ in range(int(rest))]

    def close(self):
        self.f.close()
        self.s.close()


def rfc3339(us):
    return datetime.utcfromtimestamp(us // 1_000_000).strftime("%Y-%m-%dT%H:%M:%S.") + f"{us % 1_000_000:06d}Z"


LEVELS = ["none", "trace", "debug", "info", "warn", "error", "fatal"]


def plant(d, job, frames, state="RUNNING", project="default"):
    """A job whose frames are [(receive time in us, [(message, level), …]), …], the first one its creation.
    Returns its records as (receive time in ns, message, level)."""
    created = frames[0][0]
    tag, member = f"{project}/{job}", f"{project}/{job}"
    seq, records, commands = 0, [], []
    for recv, lines in frames:
        levels = {LEVELS.index(l) for _, l in lines}
        body = "".join('{"ts":"%s"%s,"msg":%s}\n' % (rfc3339(recv), "" if l == "none" else f',"level":"{l}"', json.dumps(m))
                       for m, l in lines).encode()
        seq += len(lines)
        head = f"1 {len(lines)} {recv} {sum(1 << l for l in levels)} -1 -1 {recv} {recv} 0 {len(body)} 0"
        commands.append(("XADD", f"jl:{{{tag}}}:log", f"{seq}-0", "h", head, "d", body))
        records += [(recv * 1000 + i, m, l) for i, (m, l) in enumerate(lines)]
    last = frames[-1][0] + (len(frames[-1][1]) + 999) // 1000
    meta = {"epoch": created, "seq": seq, "state": state, "created_us": created, "updated_us": last, "recv_next_us": last,
            "hist": 1, "h1": f"{state} {created} 0 - -1 ", "lines": seq, "bytes": seq * 40, "started_us": created,
            "anon": seq}
    if state in ("COMPLETED", "FAILED", "STOPPED"):
        meta.update({"ended_us": last, "hist": 2, "h1": f"RUNNING {created} 0 - -1 ", "h2": f"{state} {last} {seq} - -1 ",
                     "sealed": 1, "sealed_seq": seq, "sealed_us": last, "complete": 1, "missing": "[]"})
    commands.append(("HSET", f"jl:{{{tag}}}:meta", *[x for kv in meta.items() for x in kv]))
    for index in ("jl:jobs", f"jl:project:{project}", "jl:active", "jl:hot"):
        commands.append(("ZADD", index, created, member))
    commands += [("SADD", f"jl:ids:{job}", project), ("SADD", "jl:projects", project),
                 ("HSETNX", "jl:project_meta", project, f"{created} ")]
    r = Redis(d.redis_socket())
    for i in range(0, len(commands), 500):
        r.many(commands[i:i + 500])
    r.close()
    return records
