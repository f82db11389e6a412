#!/bin/sh
# scripts/deps.sh build|test|truss|bench … -- install with apt what is missing; silent and quick when nothing is.
# Names hold on Debian 12 and 13. Needs root (or sudo) only when something is missing.
set -eu
build="build-essential pkg-config libwebsockets-dev libwebsockets-evlib-uv libuv1-dev libhttp-parser-dev
  libhiredis-dev libcjson-dev libzstd-dev libssl-dev zlib1g-dev libre2-dev libcurl4-openssl-dev
  redis-server redis-tools python3 curl"
tests="libcmocka-dev python3-websockets zstd tmux less chromium chromium-driver python3-selenium
  python3-pip python3-setuptools python3-wheel openssl prometheus prometheus-alertmanager valgrind
  python3-autobahn slowhttptest iproute2"
truss="python3-venv libnss-wrapper"
bench="nginx-light libnginx-mod-nchan rsyslog"
want=""
for kind in "$@"; do
  case $kind in
    build) want="$want $build" ;;
    test) want="$want $tests" ;;
    truss) want="$want $truss" ;;
    bench) want="$want $bench" ;;
    *) echo "deps.sh: build, test, truss or bench is wanted, not $kind" >&2; exit 2 ;;
  esac
done
missing=""
for p in $want; do
  dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ]; then as=""; elif command -v sudo >/dev/null; then as="sudo"; else
  echo "joblog needs these packages; as root: apt-get install$missing" >&2; exit 1; fi
echo "installing:$missing" >&2
# A service manager must not start Debian's own redis-server: joblogd runs its own.
$as sh -c "apt-get -qq update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing" >&2
