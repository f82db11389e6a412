"""tests/docker/compose.py -- the image and docker-compose.yml, built and run for real (make test-docker)."""
import http.client
import json
import os
import shutil
import subprocess
import unittest

from harness import ROOT, wait_for

PROJECT = "joblogtest"
compose = ["docker-compose", "-p", PROJECT, "-f", os.path.join(ROOT, "docker-compose.yml")]


def run(*argv, **kw):
    p = subprocess.run(argv, capture_output=True, text=True, timeout=kw.pop("timeout", 280), cwd=ROOT, **kw)
    assert p.returncode == 0, (argv, p.stdout[-2000:], p.stderr[-3000:])
    return p.stdout


def call(method, path, body=None):
    c = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
    c.request(method, path, body=body)
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, data


def ready():
    try:
        return call("GET", "/readyz")[0] == 200
    except OSError:
        return False


def setup():
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        raise unittest.SkipTest("no Docker engine runs here")
    if not shutil.which("docker-compose"):
        raise unittest.SkipTest("docker-compose is not installed")
    run(os.path.join(ROOT, "tests/docker/base_images.sh"))
    run("docker", "build", "--network", "host", "-t", "joblog", ".")


def teardown():
    subprocess.run(compose + ["down", "-v", "-t", "20"], capture_output=True, cwd=ROOT)


def test_compose_up_gives_a_working_service():
    """docker-compose up serves on 127.0.0.1:8000, as a user without rights, and keeps jobs over down and up."""
    run(*compose, "up", "-d")
    wait_for(ready, 60, "readyz")
    assert run(*compose, "exec", "-T", "joblogd", "id", "-u").strip() == "8000"
    assert call("POST", "/v1/jobs/dock/logs", "hello\nworld\n")[0] == 200
    run(*compose, "down", "-t", "20")
    run(*compose, "up", "-d")
    wait_for(ready, 60, "readyz again")
    status, body = call("GET", "/v1/jobs/dock/logs?tail=all")
    assert (status, body) == (200, b"hello\nworld\n"), (status, body)


def test_the_container_becomes_healthy():
    """The image's health check passes."""
    ident = run(*compose, "ps", "-q", "joblogd").strip()

    def healthy():
        return json.loads(run("docker", "inspect", ident))[0]["State"].get("Health", {}).get("Status") == "healthy"

    wait_for(healthy, 60, "healthy")
