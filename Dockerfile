# joblogd and joblog in one image: built on Debian 12, run as a user without rights.
#   docker build -t joblog . && docker run -p 127.0.0.1:8000:8000 -v joblog:/data joblog
FROM debian:12 AS build
WORKDIR /src
COPY scripts/deps.sh scripts/deps.sh
RUN scripts/deps.sh build
COPY . .
RUN make -j"$(nproc)" all && make install DESTDIR=/out PREFIX=/usr

FROM debian:12-slim
RUN apt-get -qq update \
 && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
      libwebsockets17 libwebsockets-evlib-uv libuv1 libhttp-parser2.9 libhiredis0.14 libcjson1 libzstd1 \
      libssl3 zlib1g libre2-9 libcurl4 ca-certificates redis-server \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 8000 --home-dir /data joblog \
 && install -d -o joblog -g joblog /data
COPY --from=build /out/usr /usr
USER joblog
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# No shell tricks: joblog asks the server it is to keep alive.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["joblog", "ping"]
# In a container every address is the container's own; publish the port on loopback, or make tokens first:
# docker exec NAME joblog token create --scope admin. From the first token on --open has no effect.
ENTRYPOINT ["joblogd", "--data", "/data", "--listen", "0.0.0.0:8000", "--open"]
