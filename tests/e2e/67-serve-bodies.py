"""tests/e2e/67-serve-bodies.py -- hostile bodies for every route that takes JSON: what is wrong is told, and nothing breaks.

A body that is right for each route is bent at every member: other types, numbers without end, texts of 64 KiB, control characters,
depth; and cut, doubled and followed by more. The routes come from the OpenAPI document: one without a body here fails the test.
"""
import copy
import itertools
import json

from harness import Joblogd

d = None

WINDOW = {"start_epoch_millis": 1, "end_epoch_millis": 9000, "limit": 10, "direction": "asc", "min_level": "INFO"}
LINES = {"contains": "oom", "level": "error", "ignore_case": True, "rank": "0,3-5", "stream": "stderr"}
RULE = {"project": "default", "title": "t", "enabled": True, "jobs": "j*", "job_labels": {"team": "a"}, "group_by": ["job"], "dedup": "10m",
        "keep_firing_for": "1m", "max_per_hour": 3, "severity": "error", "labels": {"a": "b"}, "annotations": {"a": "b"},
        "receivers": ["pager"], "muted_until": "2026-11-26T08:00:00Z"}
KINDS = {"state": {"in": ["FAILED"]}, "line": LINES, "silence": {"quiet": "10m", "of": "rank"}, "absence": {**LINES, "within": "10m"},
         "rate": {**LINES, "count": 5, "per": "1m"}, "stall": {"after": "10m"}, "metric": {"name": "loss", "above": 3.5}}
RULES = [{"id": f"r-{kind}", **RULE, kind: what} for kind, what in KINDS.items()]
RECEIVER = {"id": "pager", "project": "default", "kind": "json", "url": "http://127.0.0.1:9/", "enabled": True, "default": False,
            "send_resolved": True, "timeout": "5s", "retry_for": "1h", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            "headers": {"X-A": "b"}, "body": {"text": "{{title}}"}}
# Route of the OpenAPI document: (path with its names filled in, bodies that are right).
BODIES = {
    "POST /v1/jobs": ("/v1/jobs", [{"id": "made", "project": "default", "name": "n", "labels": {"a": "b"}, "ranks": 2}]),
    "POST /v1/jobs/{job}/events": ("/v1/jobs/j/events", [{"state": "RUNNING", "ts": "2026-11-26T08:00:00Z", "message": "m",
                                                           "exit_code": 0, "rank": 0}]),
    "POST /v1/jobs/{job}/stop": ("/v1/jobs/j/stop", [{"message": "enough"}]),
    "POST /v1/tokens": ("/v1/tokens", [{"name": "n", "project": "default", "scopes": ["read"], "expires_in": "30d",
                                        "quotas": {"lines_per_second": 10}},
                                       {"scopes": "read,ingest", "expires_at": "2027-01-01T00:00:00Z"}]),
    "POST /v1/projects": ("/v1/projects", [{"id": "pp", "name": "n"}]),
    "POST /v1/rules": ("/v1/rules", RULES),
    "PUT /v1/rules/{rule}": ("/v1/rules/r-line", RULES[1:2]),
    "PATCH /v1/rules/{rule}": ("/v1/rules/r-line", [{"enabled": False, "title": "u", "line": LINES}]),
    "POST /v1/rules/test": ("/v1/rules/test?job=j", RULES),
    "POST /v1/receivers": ("/v1/receivers", [RECEIVER]),
    "PUT /v1/receivers/{receiver}": ("/v1/receivers/pager", [RECEIVER]),
    "PATCH /v1/receivers/{receiver}": ("/v1/receivers/pager", [{"enabled": False, "url": "http://127.0.0.1:9/"}]),
    "POST /v1/deliveries/replay": ("/v1/deliveries/replay", [{"all": True}, {"receiver": "pager"}]),
    "POST /v1/deliveries/drop": ("/v1/deliveries/drop", [{"all": True}, {"receiver": "pager"}]),
    "POST /v1/events/ack": ("/v1/events/ack?group=g", [{"cursors": []}]),
    "POST /v1/training_jobs/search": ("/v1/training_jobs/search", [{"statuses": ["TRAINING_JOB_RUNNING"], "project_id": "default"}]),
    "POST /v1/training_projects/{project}/jobs/{job}/logs": ("/v1/training_projects/default/jobs/j/logs", [WINDOW]),
    "POST /v1/training_projects/{project}/jobs/{job}/metrics": ("/v1/training_projects/default/jobs/j/metrics", [WINDOW]),
}
# Texts that may be numbers too, as the OpenAPI document says of each: seconds, or a time.
NUMBERS_TOO = {"quiet", "within", "per", "after", "dedup", "keep_firing_for", "timeout", "retry_for", "expires_in", "ts"}


def setup():
    global d
    d = Joblogd("--drain-time", "1s", "--alert-allow", "127.0.0.0/8")
    d.close_doors()
    d.post_lines("j", ["one", "two"])


def teardown():
    if d:
        d.close()


def ask(method, path, body):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return d.request(method, path, body, {"Content-Type": "application/json"})


def places(body, path=()):
    """Paths of all members and elements."""
    for key, value in body.items() if isinstance(body, dict) else enumerate(body):
        yield path + (key,)
        if isinstance(value, (dict, list)):
            yield from places(value, path + (key,))


def at(body, path):
    for key in path:
        body = body[key]
    return body


def bent(body, path, value):
    out = copy.deepcopy(body)
    at(out, path[:-1])[path[-1]] = value
    return out


def deep(n):
    return b"[" * n + b"]" * n


def check(r, what):
    """Taken, or told what is wrong: a 4xx with a sentence."""
    assert 200 <= r.status < 500, (what, r)
    if r.status >= 400:
        e = r.json()
        assert e["error"] if isinstance(e.get("error"), str) else e.get("message") or e["error"], (what, r)
    return r.status


def test_every_route_has_a_body_here():
    """Each route whose request body is JSON in the OpenAPI document is bent below, and what is right for it is taken."""
    paths = d.get("/openapi.json").json()["paths"]
    routes = {f"{m.upper()} {path}" for path, ops in paths.items() for m, op in ops.items()
              if isinstance(op, dict) and list(op.get("requestBody", {}).get("content", {})) == ["application/json"]}
    assert routes == set(BODIES), routes ^ set(BODIES)
    for route, (path, bodies) in BODIES.items():
        for body in bodies:
            r = ask(route.split()[0], path, body)
            assert 200 <= r.status < 300, (route, body, r)


def test_wrong_types_are_refused():
    """A member of another type than the documented one is refused with its name, never taken for something else."""
    taken, count = [], 0
    for route, (path, bodies) in BODIES.items():
        for body in bodies:
            for place in places(body):
                if "body" in place:  # a template: JSON of any kind in an object or array
                    continue
                right, name = at(body, place), str(place[-1])
                for wrong in ("x\x00y", 7, True, [[1]], {"q": {}}):
                    if isinstance(wrong, type(right)) and not isinstance(right, bool) or type(wrong) is type(right):
                        continue
                    if name in NUMBERS_TOO and type(wrong) is int or type(right) is float and type(wrong) is int:
                        continue
                    r = ask(route.split()[0], path, bent(body, place, wrong))
                    count += 1
                    if check(r, (route, place, wrong)) < 400:
                        taken.append((route, ".".join(map(str, place)), wrong))
    assert not taken, (len(taken), count, taken)
    assert count > 300, count


def test_hostile_values():
    """Values without measure, of the right type or of none: an answer each, and the next request is served."""
    hostile = ["", "x" * 65536, "\x00", "\x1b[31m\u202e\u2028", "\ud800", "../../etc/passwd", -1, 0, 2 ** 63, -2 ** 63 - 1, 1e308, 1e-320,
               None, [], {}, ["x"] * 3000, {str(i): i for i in range(3000)}]
    for route, (path, bodies) in BODIES.items():
        for body in bodies:
            for place, value in itertools.product(places(body), hostile):
                check(ask(route.split()[0], path, bent(body, place, value)), (route, place, str(value)[:40]))
    assert d.get("/readyz").status == 200


def test_broken_bodies():
    """Bodies that are no JSON object: cut anywhere, with something after, nested without end, not UTF-8, huge; told as what they are."""
    for route, (path, bodies) in BODIES.items():
        method, whole = route.split()[0], json.dumps(bodies[0]).encode()
        cuts = [whole[:n] for n in range(1, len(whole), max(1, len(whole) // 12))]
        for bad in [*cuts, whole + b"}", whole + whole, deep(40), deep(20000), b'{"a":' * 2000, b"\xff\xfe", b'{"id":"\xc3\x28"}', b"nul",
                    b"{\"id\":\"a\\u0000b\"}", b"0", b'"x"', b"[]", b"{\"a\":1e99999}", b"{\"a\":NaN}"]:
            r = ask(method, path, bad)
            status = check(r, (route, bad[:60]))
            if bad in cuts:
                assert status == 400, (route, bad, r)
        big = ask(method, path, b'{"x":"' + b"y" * (9 << 20) + b'"}')
        assert big.status == 413, (route, big)
    assert d.get("/readyz").status == 200
