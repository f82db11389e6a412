"""scripts/tidy.py -- the house rules that a program can check: arrows, doors, budgets, owned TODOs.

Exit 0 when all hold; else each breach on a line `file:line: what`.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARROWS = {  # who may include whom (itself always)
    "base": [], "job": ["base"], "auth": ["job", "base"], "digest": ["job", "base"], "http": ["base"],
    "stream": ["job", "base"], "storage": ["job", "base"],
    "alert": ["stream", "digest", "job", "base"], "ingest": ["http", "stream", "digest", "auth", "job", "base"],
    "serve": ["http", "stream", "storage", "alert", "ingest", "digest", "auth", "job", "base"],
    "clients": ["auth", "job", "base"],
}
DOORS = {  # foreign header -> where it may be opened
    r"libwebsockets\.h": r"^(http|clients/cli)/\w+_lws\.[ch]$", r"hiredis/": r"^stream/\w+_redis\.c$",
    r"zstd\.h|zstd_errors\.h": r"_zstd\.c$", r"cjson/cJSON\.h": r"_json\.c$", r"curl/": r"_curl\.c$", r"re2/": r"_re2\.cc$",
    r"openssl/": r"_ssl\.c$",
}
LINES_MAX = {".h": 160, ".c": 1000, ".cc": 1000}
COLUMNS_MAX = 130
TEST_LINES_MAX = 1500
breaches = []


def breach(path, line, what):
    breaches.append(f"{path}:{line}: {what}")


def check(path):
    room = path.split("/")[0]
    lines = open(os.path.join(ROOT, path), encoding="utf-8").read().split("\n")
    test = room == "tests"
    limit = TEST_LINES_MAX if test else LINES_MAX[os.path.splitext(path)[1]]
    if len(lines) > limit:
        breach(path, len(lines), f"{len(lines)} lines, the budget is {limit}: one noun per file")
    if not test and f"{path} -- " not in "\n".join(lines[:3]):
        breach(path, 1, f"the header comment `{path} -- noun phrase` is missing")
    for n, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            breach(path, n, f"{len(line)} columns, the budget is {COLUMNS_MAX}")
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b(?!.*#\d)", line):
            breach(path, n, "a TODO without an issue number")
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        target = m.group(2).split("/")[0]
        if room in ARROWS and m.group(1) == '"' and target in ARROWS and target != room and target not in ARROWS[room]:
            breach(path, n, f"{room} may not include {target}")
        for header, door in DOORS.items():
            if not test and re.match(header, m.group(2)) and not re.search(door, path):
                breach(path, n, f"{m.group(2)} is opened outside its door ({door})")


def main():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h", "*.cc"],
                         cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in out.split():
        if os.path.exists(os.path.join(ROOT, path)):
            check(path)
    print("\n".join(breaches) or "tidy")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
