/*
 * joblogd_settings.c -- the option table: flag, variable, file line, help and man page in one place.
 */
#include "joblogd_settings.h"

#define AT(member) offsetof(struct settings, member)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SEC INT64_C(1000000)

const struct config_option settings_table[] = {
    {"listen", CONFIG_LIST, AT(listen), "127.0.0.1:8000", 0, 0, NULL, "ADDRESS",
     "Where to serve: HOST:PORT, [V6]:PORT, :PORT for every address, or unix:/PATH. May be repeated. "
     "Port 0 picks a free one and logs it.",
     "Service"},
    {"open", CONFIG_BOOL, AT(open), "false", 0, 0, NULL, NULL,
     "Serve on addresses beyond loopback although no tokens are configured: everybody who can reach "
     "the port can read, write and delete. For closed networks and containers.",
     "Service"},
    {"data", CONFIG_STRING, AT(data), "joblog-data", 0, 0, NULL, "DIR",
     "Everything that is kept: the embedded Redis, the archive, the lock. Made when missing.", "Service"},
    {"drain-time", CONFIG_DURATION, AT(drain_us), "10s", 0, 3600 * SEC, NULL, "DURATION",
     "After a terminal state, how long to wait for the last lines of producers that have not said fin.",
     "Service"},
    {"shutdown-time", CONFIG_DURATION, AT(shutdown_us), "10s", 100000, 600 * SEC, NULL, "DURATION",
     "How long SIGTERM waits for requests in flight.", "Service"},
    {"log-level", CONFIG_STRING, AT(log_level), "info", 0, 0, "debug|info|warn|error", "LEVEL",
     "Least serious event of joblogd's own log (stderr).", "Service"},
    {"log-format", CONFIG_STRING, AT(log_format), "auto", 0, 0, "auto|text|json", "FORMAT",
     "text, json, or auto: text on a terminal, else json.", "Service"},

    {"redis", CONFIG_STRING, AT(redis), "", 0, 0, NULL, "URL",
     "Use this Redis instead of the embedded one: redis://[USER:PASSWORD@]HOST:PORT[/DB] or "
     "unix:///PATH. It must not evict (maxmemory-policy noeviction).",
     "Redis"},
    {"redis-server", CONFIG_STRING, AT(redis_server), "redis-server", 0, 0, NULL, "PROGRAM",
     "The redis-server to embed.", "Redis"},
    {"redis-memory", CONFIG_BYTES, AT(redis_memory_bytes), "1GiB", 0, 1024 * GIB, NULL, "BYTES",
     "Memory limit of the embedded Redis (0: none). Above it new lines are refused with 503, nothing "
     "is evicted.",
     "Redis"},
    {"durability", CONFIG_STRING, AT(durability), "durable", 0, 0, "accepted|durable|replicated", "CLASS",
     "What an acknowledgement means: accepted (in Redis), durable (fsynced by Redis), replicated "
     "(also held by a replica).",
     "Redis"},

    {"archive", CONFIG_STRING, AT(archive), "", 0, 0, NULL, "DIR",
     "Where settled segments are kept; DATA/archive when empty.", "Archive"},
    {"segment-bytes", CONFIG_BYTES, AT(segment_bytes), "8MiB", 64 * KIB, GIB, NULL, "BYTES",
     "Archive a running job's records once this many (uncompressed) are waiting.", "Archive"},
    {"segment-age", CONFIG_DURATION, AT(segment_age_us), "5m", SEC, 86400 * SEC, NULL, "DURATION",
     "… or once the oldest has waited this long.", "Archive"},
    {"hot-bytes", CONFIG_BYTES, AT(hot_bytes), "4MiB", 0, GIB, NULL, "BYTES",
     "How much of a running job (uncompressed) stays in Redis after it was archived.", "Archive"},
    {"archive-level", CONFIG_COUNT, AT(archive_level), "3", 1, 19, NULL, "N",
     "zstd level of archive segments.", "Archive"},

    {"line-bytes", CONFIG_BYTES, AT(line_bytes), "256KiB", 1 * KIB, 4 * MIB, NULL, "BYTES",
     "Longest line kept in one piece; longer ones are split into marked parts.", "Limits"},
    {"body-bytes", CONFIG_BYTES, AT(body_bytes), "64MiB", 64 * KIB, GIB, NULL, "BYTES",
     "Largest request body, after decompression.", "Limits"},
    {"ingest-memory", CONFIG_BYTES, AT(ingest_memory_bytes), "256MiB", MIB, 64 * GIB, NULL, "BYTES",
     "Memory for all request bodies being taken in; above it 429.", "Limits"},
    {"connections", CONFIG_COUNT, AT(connections), "20000", 16, 1000000, NULL, "N",
     "Open connections; above it new ones get 503.", "Limits"},
    {"connections-per-ip", CONFIG_COUNT, AT(connections_per_ip), "0", 0, 1000000, NULL, "N",
     "Open connections of one address (0: no limit).", "Limits"},
    {"header-time", CONFIG_DURATION, AT(header_us), "10s", 100000, 600 * SEC, NULL, "DURATION",
     "From the first byte of a request to the end of its header; then 408.", "Limits"},
    {"body-time", CONFIG_DURATION, AT(body_us), "60s", 100000, 3600 * SEC, NULL, "DURATION",
     "A request body may stall this long in all; slower than 1 KiB/s on average after that: 408.", "Limits"},
    {"keepalive-time", CONFIG_DURATION, AT(keepalive_us), "75s", 100000, 3600 * SEC, NULL, "DURATION",
     "How long an idle connection stays open.", "Limits"},
    {"write-time", CONFIG_DURATION, AT(write_us), "60s", SEC, 3600 * SEC, NULL, "DURATION",
     "A reader that takes no byte for this long is dropped.", "Limits"},
};
const size_t settings_count = sizeof settings_table / sizeof *settings_table;
