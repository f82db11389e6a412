"""72-alert-deliver -- alerts on their way to webhooks: signed, in order, at least once, for as long as it takes."""
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

from harness import Joblogd, joblog, wait_for
from hooks import SECRET, Hook

SECOND = "whsec_c2Vjb25kIHNlY3JldCBvZiB0aGlydHktdHdvIGJ5dGU="
FAST = ("--alert-allow", "127.0.0.0/8", "--alert-retry", "200ms", "--alert-retry-max", "500ms")
EACH = {"id": "each", "line": {"pattern": r"match (?P<n>\d+)"}, "dedup": 0, "group_by": ["job"], "max_per_hour": 0}


def make(d, what, **v):
    reply = d.post(f"/v1/{what}", v)
    assert reply.status == 201, reply
    return reply.json()


def webhook(d, hook, **v):
    return make(d, "receivers", **{"id": "hook", "url": hook.url, "secrets": hook.secrets, **v})


def lines_of(requests):
    return [r.json()["data"]["line"] for r in requests]


def queued(d):
    return sum(r["queued"] for r in d.get("/v1/deliveries").json()["receivers"])


def dead(d, query=""):
    return d.get("/v1/deliveries/dead" + query).json()["dead"]


def test_a_webhook_gets_the_evidence():
    """A receiver gets one signed message with the job, the rank, the line with ten before and five after, and where to look."""
    with Hook(secrets=[SECRET, SECOND]) as h, Joblogd("--public-url", "https://log.example", *FAST) as d:
        webhook(d, h, headers={"Authorization": "Bearer t"})
        make(d, "rules", id="oom", line={"pattern": r"out of memory.*GPU (?P<gpu>\d+)"}, severity="critical", annotations={"summary": "{{job}}: {{line}}"})
        d.post_lines("j", [f"line {i}" for i in range(20)] + ["CUDA out of memory on GPU 3"] + [f"after {i}" for i in range(9)], "?rank=2")
        r = wait_for(lambda: h.taken, 30)[0]
        body = r.json()
        assert r.headers["Authorization"] == "Bearer t" and len(r.headers["webhook-signature"].split()) == 2
        assert body["type"] == "alert.firing" and body["timestamp"].endswith("Z")
        a = body["data"]
        assert a["id"] == r.id and a["job"] == "j" and a["state"] == "TRAINING_JOB_RUNNING" and a["rank"] == 2 and a["captures"] == {"gpu": "3"}
        assert [e["msg"] for e in a["evidence"]] == [f"line {i}" for i in range(10, 20)] + [a["line"]] + [f"after {i}" for i in range(5)]
        assert a["url"] == "https://log.example/jobs/default/j#L21" and a["annotations"]["summary"] == "j: CUDA out of memory on GPU 3"
        wait_for(lambda: queued(d) == 0, 30)
        assert len(h.got) == 1 and not dead(d)


def test_a_nul_in_a_line_loses_no_alert():
    """A NUL in the line that matches, in what it captures, or in a line beside it, is U+FFFD in the alert, which comes."""
    with Hook() as h, Joblogd(*FAST) as d:
        webhook(d, h)
        make(d, "rules", id="oom", line={"pattern": r"out of memory(?P<where>.*)"}, annotations={"summary": "{{line}}|{{evidence}}"})
        d.post_lines("beside", ["torn \0 write", "CUDA out of memory"])
        d.post_lines("itself", ["CUDA out of memory \0 here"])
        for a in (r.json()["data"] for r in wait_for(lambda: len(h.taken) >= 2 and h.taken, 30)):
            said = json.dumps(a, ensure_ascii=False)
            assert ("torn \ufffd write" if a["job"] == "beside" else "memory \ufffd here") in said.replace("\\u0000", "\ufffd"), said
            assert "\ufffd" in a["annotations"]["summary"], a
        feed = map(json.loads, d.get("/v1/events?after=0&wait=0s&type=alert").text.splitlines())
        assert [e["job"] for e in feed if e["type"] == "alert"] in (["beside", "itself"], ["itself", "beside"])


def test_a_failed_job_brings_its_post_mortem():
    """The alert on a failed job says in a sentence which rank failed first, with what."""
    with Hook() as h, Joblogd(*FAST) as d:
        webhook(d, h)
        make(d, "rules", id="failed", state={"in": ["FAILED"]}, annotations={"why": "{{postmortem}}"})
        d.post_lines("j", ["step 1", "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"], "?rank=1")
        d.post_lines("j", ["step 1"], "?rank=0")
        d.event("j", "FAILED", exit_code=1, rank=1)
        a = wait_for(lambda: h.taken, 30)[0].json()["data"]
        why = d.get("/v1/jobs/j/postmortem").json()["verdict"]
        assert a["state"] == "TRAINING_JOB_FAILED" and a["exit_code"] == 1
        assert a["postmortem"]["sentence"] == a["annotations"]["why"] and a["postmortem"]["rank"] == 1, a["postmortem"]
        assert a["postmortem"]["cause"] == why["cause"], (a["postmortem"], why)


def test_what_lasts_is_resolved():
    """The end of a lasting alert is a message of its own, with an id of its own; send_resolved: false leaves it out."""
    with Hook() as h, Hook() as quiet, Joblogd(*FAST) as d:
        webhook(d, h)
        webhook(d, quiet, id="quiet", send_resolved=False)
        make(d, "rules", id="hung", silence={"quiet": "1s"})
        d.post_lines("j", ["x"])
        wait_for(lambda: h.taken, 30)
        d.post_lines("j", ["y"])
        wait_for(lambda: len(h.taken) >= 2, 30)
        a, b = (r.json() for r in h.taken[:2])
        assert (a["type"], b["type"]) == ("alert.firing", "alert.resolved") and a["data"]["id"] != b["data"]["id"]
        assert a["data"]["fingerprint"] == b["data"]["fingerprint"] and b["data"]["reason"]
        wait_for(lambda: queued(d) == 0, 30)
        assert "alert.resolved" not in [r.json()["type"] for r in quiet.taken]


def test_failures_are_tried_again_with_one_id():
    """500, no answer, a redirect, Retry-After, then 200: one alert, each time under the same id, the redirect not followed."""
    with Hook() as h, Hook(secrets=[]) as elsewhere, Joblogd(*FAST) as d:
        answers = [500, None, (302, {"Location": elsewhere.url}), (503, {"Retry-After": "2"}), 200]
        h.answer = lambda n, r: answers[min(n, 4)]
        webhook(d, h)
        make(d, "rules", **EACH)
        d.post_lines("j", ["match 1"])
        wait_for(lambda: h.taken, 40)
        assert len({r.id for r in h.got}) == 1 and len(h.got) == 5 and not elsewhere.got
        assert h.got[4].at - h.got[3].at >= 1.9, "Retry-After was heeded"
        stamps = [int(r.headers["webhook-timestamp"]) for r in h.got]
        assert stamps == sorted(stamps) and stamps[4] > stamps[0], "each attempt is signed anew"
        # libcurl itself sends once more when a kept connection breaks before the first byte of the answer
        assert d.metric('joblog_alert_attempts_failed_total{receiver="*/hook"}') in (3, 4)
        wait_for(lambda: queued(d) == 0, 30)


def test_order_per_job():
    """Each job's alerts arrive in the order of its log, whatever fails in between; another job does not wait for them."""
    with Hook() as h, Joblogd(*FAST) as d:
        tries = {}

        def answer(n, r):
            a = r.json()["data"]
            tries[r.id] = tries.get(r.id, 0) + 1
            return 503 if a["job"] == "bad" and tries[r.id] < 3 else 200

        h.answer = answer
        webhook(d, h)
        make(d, "rules", **EACH)
        for i in range(8):
            d.post_lines("bad", [f"match {i}"])
            d.post_lines("good", [f"match {i}"])
        wait_for(lambda: len(h.taken) >= 16, 60, f"16 alerts, {len(h.taken)} there")
        for job in ("bad", "good"):
            assert lines_of(r for r in h.taken if r.json()["data"]["job"] == job) == [f"match {i}" for i in range(8)], job
        last_good = max(r.at for r in h.taken if r.json()["data"]["job"] == "good")
        assert last_good < max(r.at for r in h.taken if r.json()["data"]["job"] == "bad")


def test_a_slow_receiver_slows_nobody_else():
    """While one receiver takes its time, another one hears at once; the slow one's answer after the timeout counts as none."""
    with Hook() as slow, Hook() as quick, Joblogd(*FAST) as d:
        slow.answer = lambda n, r: (time.sleep(3 if n < 8 else 0), 200)[1]
        webhook(d, slow, id="slow", timeout="1s")
        webhook(d, quick, id="quick")
        make(d, "rules", **EACH)
        for i in range(30):
            d.post_lines(f"j{i}", ["match 1"])
        wait_for(lambda: len(quick.taken) >= 30, 30)
        wait_for(lambda: len({r.json()["data"]["job"] for r in slow.taken}) == 30 and queued(d) == 0, 60)
        assert len({r.id for r in slow.got}) == 30


def test_down_for_long():
    """A receiver that is away: joblogd is restarted meanwhile, later alerts wait behind, and all come in order once it is back."""
    with Joblogd(*FAST) as d:
        with Hook() as h:
            port = h.port
        make(d, "receivers", id="hook", url=f"http://127.0.0.1:{port}/hook", secrets=[SECRET])
        make(d, "rules", **EACH)
        want = [f"match {i}" for i in range(12)]
        for i in range(6):
            d.post_lines("j", [want[i]])
        wait_for(lambda: (d.metric('joblog_alert_attempts_failed_total{receiver="*/hook"}') or 0) >= 3, 30)
        d.restart(signal.SIGKILL)
        for i in range(6, 12):
            d.post_lines("j", [want[i]])
        wait_for(lambda: queued(d) == 12, 60)
        with Hook(port=port) as h:
            wait_for(lambda: len(h.taken) >= 12, 60)
            assert lines_of(h.taken) == want and len({r.id for r in h.taken}) == 12
            wait_for(lambda: queued(d) == 0, 30)


def test_a_clean_stop_gives_back():
    """SIGTERM while a receiver keeps a delivery waiting: joblogd ends without it, and the next start goes on with it at once."""
    with Hook() as h, Joblogd(*FAST) as d:
        stuck = threading.Event()
        h.answer = lambda n, r: (stuck.wait(60), 200)[1] if n == 0 else 200
        webhook(d, h, timeout="60s")
        make(d, "rules", **EACH)
        d.post_lines("j", ["match 1"])
        wait_for(lambda: h.got, 30)
        assert d.kill(signal.SIGTERM, 30) == 0 and not d.logged("some requests did not end in time")
        d.start()
        wait_for(lambda: len(h.got) == 2 and queued(d) == 0, 30)
        assert h.got[0].id == h.got[1].id
        stuck.set()


def test_redis_killed_while_alerts_wait():
    """Redis killed while deliveries wait: nothing is lost, they come once the receiver is back."""
    with Joblogd(*FAST) as d:
        with Hook() as h:
            port = h.port
        make(d, "receivers", id="hook", url=f"http://127.0.0.1:{port}/hook", secrets=[SECRET])
        make(d, "rules", **EACH)
        want = [f"match {i}" for i in range(6)]
        d.post_lines("j", want[:3])
        wait_for(lambda: queued(d) == 3, 30)
        os.kill(d.redis_pid(), signal.SIGKILL)
        wait_for(lambda: d.is_ready(), 60, "joblogd has started another Redis")
        assert d.post_lines("j", want[3:]).status == 200
        wait_for(lambda: queued(d) == 6, 60)
        with Hook(port=port) as h:
            wait_for(lambda: len(h.taken) >= 6, 60)
            assert lines_of(h.taken) == want


def test_gone_disables():
    """410 switches the receiver off and says so; what waits is kept as dead letters and comes again when it is wanted again."""
    with Hook() as h, Joblogd(*FAST) as d:
        h.answer = lambda n, r: 410 if n < 1 else 200
        webhook(d, h)
        make(d, "rules", **EACH)
        d.post_lines("j", ["match 1"])
        gone = wait_for(lambda: (lambda r: None if r["enabled"] else r)(d.get("/v1/receivers/hook").json()), 30)
        assert "410" in gone["disabled_reason"]
        wait_for(lambda: len(dead(d)) == 1, 30)
        letter = dead(d)[0]
        assert letter["receiver"] == "hook" and letter["job"] == "j" and "410" in letter["why"] and letter["alert"] == h.got[0].id, letter
        d.post_lines("j", ["match 2"])
        wait_for(lambda: d.get("/v1/events?after=0&wait=0s&type=alert").text.count('"match 2"') >= 1, 30)
        assert queued(d) == 0 and len(h.got) == 1, "an alert for a disabled receiver is only an event"
        r = d.request("PATCH", "/v1/receivers/hook", body=json.dumps({"enabled": True}), headers={"Content-Type": "application/json"})
        assert r.json()["enabled"] and "disabled_reason" not in r.json()
        assert d.post("/v1/deliveries/replay", {"ids": [letter["id"]]}).json() == {"replayed": 1}
        wait_for(lambda: h.taken, 30)
        assert h.taken[0].id == letter["alert"] and lines_of(h.taken) == ["match 1"] and not dead(d)


def test_dead_letters():
    """What a receiver never takes is given up after its time and kept; the command shows, sends again and drops it."""
    with Hook() as h, Joblogd(*FAST) as d:
        h.answer = lambda n, r: 500
        webhook(d, h, retry_for="1s")
        make(d, "receivers", id="picky", kind="json", url=h.url + "2", body={"text": "{{line}}"}, secrets=[SECRET])
        make(d, "rules", **EACH, receivers=["hook"])
        d.post_lines("j", ["match 1", "match 2", "match 3"])
        wait_for(lambda: len(dead(d)) == 3, 60)
        assert all("answered 500" in x["why"] and x["attempts"] >= 1 for x in dead(d)), dead(d)
        assert [x["seq"] for x in dead(d)] == [1, 2, 3] and len(dead(d, "?limit=2")) == 2
        assert len(dead(d, f"?after={dead(d)[0]['id']}")) == 2 and len(dead(d, "?receiver=picky")) == 0
        out = joblog("receivers", "dead", url=d.url)
        assert out.returncode == 0 and out.stdout.count("answered 500") == 3 and "default/j" in out.stdout, out
        h.answer = None
        first, second = dead(d)[0]["id"], dead(d)[1]["id"]
        assert joblog("receivers", "drop", second, url=d.url).returncode == 0
        assert joblog("receivers", "replay", first, url=d.url).returncode == 0
        wait_for(lambda: lines_of(h.taken) == ["match 1"], 30)
        out = joblog("receivers", "replay", "--all", url=d.url)
        assert out.returncode == 0 and "1 " in out.stderr, out
        wait_for(lambda: lines_of(h.taken) == ["match 1", "match 3"] and not dead(d), 30)
        assert joblog("receivers", "replay", "1-1", url=d.url).returncode == 1
        r = d.post("/v1/deliveries/replay", {"ids": ["x"]})
        assert r.status == 400, r


def test_a_body_that_is_refused_is_not_pushed_for_days():
    """400 for one message: after a few attempts it is given up, and the next one of the job is not held up longer."""
    with Hook() as h, Joblogd(*FAST) as d:
        h.answer = lambda n, r: 400 if r.json()["data"]["line"] == "match 1" else 200
        webhook(d, h)
        make(d, "rules", **EACH)
        d.post_lines("j", ["match 1", "match 2"])
        wait_for(lambda: lines_of(h.taken) == ["match 2"], 60)
        assert [(x["why"], x["attempts"]) for x in dead(d)] == [("answered 400", 5)]


def test_json_template():
    """Kind json sends a body of its own: for Slack, PagerDuty and others, escaped; firing alerts only unless told otherwise."""
    with Hook(secrets=[]) as h, Joblogd(*FAST) as d:
        make(d, "receivers", id="slack", kind="json", url=h.url, headers={"X-Key": "k"},
             body={"text": "{{severity}} {{job}}: {{line}}", "blocks": [{"n": 1, "t": "{{evidence}}"}], "dedup_key": "{{id}}"})
        make(d, "rules", **EACH, severity="error")
        d.post_lines("j", ["before", 'match 1 "quoted" \\ \u00e9'])
        body = wait_for(lambda: h.taken, 30)[0].json()
        assert body["text"] == 'error j: match 1 "quoted" \\ \u00e9' and body["blocks"] == [{"n": 1, "t": 'before\nmatch 1 "quoted" \\ \u00e9'}]
        assert body["dedup_key"] == h.taken[0].id and h.taken[0].headers["X-Key"] == "k" and "webhook-signature" not in h.taken[0].headers


def test_only_where_it_may():
    """An address that is not public and not allowed is never connected to, whatever name leads there; proxies of the environment do
    not help; an endless answer is not read to its end."""
    with Hook() as h, Hook(secrets=[]) as proxy:
        env = {"http_proxy": f"http://127.0.0.1:{proxy.port}", "HTTP_PROXY": f"http://127.0.0.1:{proxy.port}", "ALL_PROXY": f"http://127.0.0.1:{proxy.port}"}
        with Joblogd("--alert-retry", "100ms", "--alert-retry-max", "300ms", "--alert-allow", "127.0.0.2", env=env) as d:
            for i, host in enumerate(("127.0.0.1", "localhost", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433")):
                make(d, "receivers", id=f"h{i}", url=f"http://{host}:{h.port}/hook", secrets=[SECRET], retry_for="1s")
            make(d, "rules", **EACH)
            d.post_lines("j", ["match 1"])
            wait_for(lambda: len(dead(d)) == 7, 60)
            assert all("--alert-allow" in x["why"] for x in dead(d)), dead(d)
            assert not h.got and not proxy.got
        with Joblogd(*FAST, env=env) as d:
            h.answer = lambda n, r: (200, {"body": b"x" * 3_000_000})
            webhook(d, h)
            make(d, "rules", **EACH)
            d.post_lines("j", ["match 1"])
            wait_for(lambda: h.got and queued(d) == 0, 30)
            assert len(h.got) == 1 and not proxy.got and not dead(d)


SLOW_NAMES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strcmp(node, "slow.example") == 0) {
        sleep(6);
        return EAI_AGAIN;
    }
    return real(node, service, hints, ret);
}
"""


def test_a_name_that_takes_long_to_look_up():
    """While the name of one receiver is looked up in vain, joblogd answers everybody else, and other receivers hear at once."""
    with tempfile.TemporaryDirectory() as tmp, Hook() as h:
        with open(os.path.join(tmp, "slow.c"), "w") as f:
            f.write(SLOW_NAMES)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", f"{tmp}/slow.so", f"{tmp}/slow.c", "-ldl"], check=True)
        with Joblogd(*FAST, env={"LD_PRELOAD": f"{tmp}/slow.so"}) as d:
            make(d, "receivers", id="slow", url="http://slow.example/", secrets=[SECRET], timeout="300ms", retry_for="2s")
            webhook(d, h)
            make(d, "rules", **EACH)
            longest, began = 0.0, time.monotonic()
            d.post_lines("j", ["match 1"])
            while time.monotonic() - began < 60:
                at = time.monotonic()
                gone = dead(d)
                longest = max(longest, time.monotonic() - at)
                if gone:
                    break
            assert longest < 4, f"nobody was answered for {longest:.1f} s"
            assert gone[0]["receiver"] == "slow" and gone[0]["attempts"] >= 2 and "timed out" in gone[0]["why"], gone
            assert lines_of(h.taken) == ["match 1"]


def test_tls_is_checked():
    """Over https the receiver's certificate must be good for its name and of a known authority."""
    with tempfile.TemporaryDirectory() as tmp:
        cert, key = os.path.join(tmp, "c.pem"), os.path.join(tmp, "k.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=hook",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        with Hook(tls=(cert, key)) as h:
            with Joblogd(*FAST) as d:
                webhook(d, h, retry_for="500ms")
                make(d, "rules", **EACH)
                d.post_lines("j", ["match 1"])
                wait_for(lambda: dead(d), 60)
                assert not h.got and "certificate" in dead(d)[0]["why"].lower(), dead(d)
            with Joblogd(*FAST, "--alert-ca-file", cert) as d:
                webhook(d, h)
                make(d, "receivers", id="name", url=h.url.replace("127.0.0.1", "localhost"), secrets=[SECRET], retry_for="500ms")
                make(d, "rules", **EACH)
                d.post_lines("j", ["match 1"])
                wait_for(lambda: h.taken and dead(d), 60)
                assert len(h.got) == 1 and dead(d)[0]["receiver"] == "name"


def test_killed_again_and_again():
    """joblogd killed at any moment while alerts are sent, to a receiver that fails now and then: every one arrives, in order, repeats
    under the same id."""
    with Hook() as h, Joblogd("--alert-allow", "127.0.0.0/8", "--alert-retry", "20ms", "--alert-retry-max", "100ms") as d:
        h.answer = lambda n, r: 500 if n % 7 == 3 else 200
        webhook(d, h, timeout="500ms")
        make(d, "rules", **EACH)
        want = {f"j{k}": [] for k in range(3)}
        for round in range(6):
            for job in want:
                lines = [f"match {round * 10 + i}" for i in range(5)]
                r = d.post_lines(job, lines, headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(1 + 5 * round)})
                assert r.status == 200, r
                want[job] += lines
            threading.Event().wait(0.02 * round + 0.01)
            d.restart(signal.SIGKILL)

        def first_of(job):
            seen = {}
            for r in h.taken:
                a = r.json()["data"]
                if a["job"] == job:
                    seen.setdefault(a["id"], a["line"])
            return list(seen.values())

        wait_for(lambda: all(len(first_of(job)) >= len(want[job]) for job in want), 90, "all have arrived")
        wait_for(lambda: queued(d) == 0, 60)
        for job in want:
            assert first_of(job) == want[job], job
        assert not dead(d)


def test_two_nodes_deliver_once_between_them():
    """With two nodes a delivery is made by one of them; when that one dies, the other goes on."""
    with Hook() as h, Joblogd(*FAST) as a, Joblogd("--redis", "unix://" + a.redis_socket(), *FAST) as b:
        webhook(a, h, timeout="500ms")
        make(a, "rules", **EACH)
        wait_for(lambda: b.get("/v1/rules/each").status == 200 and b.get("/v1/receivers/hook").status == 200, 30)
        for i in range(20):
            (a if i % 2 else b).post_lines(f"j{i % 4}", [f"match {i}"])
        wait_for(lambda: len(h.taken) >= 20 and queued(a) == 0, 60)
        assert len({r.id for r in h.taken}) == len(h.taken) == 20
        stuck = threading.Event()
        h.answer = lambda n, r: (stuck.wait(30), 200)[1]
        b.post_lines("k", ["match 99"])
        wait_for(lambda: len(h.got) == 21, 30)
        b.kill()
        h.answer = None
        wait_for(lambda: [r for r in h.taken if r.json()["data"]["line"] == "match 99"], 60)
        stuck.set()
        assert len({r.id for r in h.got}) == 21


def test_project_admins_see_their_own():
    """A token of one project sees and replays the dead letters of that project's receivers alone."""
    with Hook() as h, Joblogd(*FAST) as d:
        h.answer = lambda n, r: 500
        make(d, "rules", **EACH)
        for project in ("p", "q"):
            webhook(d, h, project=project, retry_for="1s", id=project)
            d.post_lines("j", ["match 1"], f"?project={project}")
        wait_for(lambda: len(dead(d)) == 2, 60)
        d.close_doors()
        admin = {"Authorization": "Bearer " + d.make_token("admin", "p")["token"]}
        mine = d.get("/v1/deliveries/dead", headers=admin).json()["dead"]
        assert [x["receiver"] for x in mine] == ["p"]
        assert [x["receiver"] for x in d.get("/v1/deliveries", headers=admin).json()["receivers"]] == ["p"]
        other = [x["id"] for x in dead(d) if x["receiver"] == "q"]
        assert d.post("/v1/deliveries/replay", {"ids": other}, headers=admin).json() == {"replayed": 0}
        reader = {"Authorization": "Bearer " + d.make_token("read", "p")["token"]}
        assert d.get("/v1/deliveries/dead", headers=reader).status == 403
