#!/bin/sh
# tests/docker/base_images.sh -- make the base images the Dockerfile and docker-compose.yml name, with
# debootstrap, where no registry can be reached: debian:12, debian:12-slim and redis:7 (Debian's own
# redis-server 7). Images that are there already are left alone. Needs root and a Docker engine.
set -eu
have() { docker image inspect "$1" >/dev/null 2>&1; }
have debian:12 && have debian:12-slim && have redis:7 && exit 0
command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -qq install -y debootstrap >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! have debian:12 || ! have debian:12-slim; then
  mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p; s/^URIs: *\([^ ]*\).*/\1/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" "${mirror:-}" >/dev/null
  # The same way to the packages as this machine has.
  cp -a /etc/apt/. "$work/root/etc/apt/"
  tar -C "$work/root" -c . | docker import --change 'CMD ["bash"]' - debian:12 >/dev/null
  docker tag debian:12 debian:12-slim
fi
if ! have redis:7; then
  printf 'FROM debian:12-slim\nRUN apt-get -qq update && apt-get -qq install -y --no-install-recommends redis-server && install -d -o redis -g redis /data\nUSER redis\nVOLUME /data\nCMD ["redis-server"]\n' >"$work/Dockerfile"
  docker build --network host -q -t redis:7 -f "$work/Dockerfile" "$work" >/dev/null
fi
