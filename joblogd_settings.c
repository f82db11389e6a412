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
    {"tls-listen", CONFIG_LIST, AT(tls_listen), "", 0, 0, NULL, "ADDRESS",
     "Where to serve over TLS (1.2 or 1.3), beside --listen: HOST:PORT, [V6]:PORT or :PORT. Wants --tls-cert and "
     "--tls-key. May be repeated.",
     "Service"},
    {"tls-cert", CONFIG_STRING, AT(tls_cert), "", 0, 0, NULL, "FILE",
     "The certificate and those between it and the root, PEM. Read again on SIGHUP, with the key.", "Service"},
    {"tls-key", CONFIG_STRING, AT(tls_key), "", 0, 0, NULL, "FILE",
     "The certificate's key, PEM, without a passphrase.", "Service"},
    {"tls-client-ca", CONFIG_STRING, AT(tls_client_ca), "", 0, 0, NULL, "FILE",
     "Over TLS let in only clients with a certificate of one of these authorities, PEM. They need a token all the "
     "same.",
     "Service"},
    {"open", CONFIG_BOOL, AT(open), "false", 0, 0, NULL, NULL,
     "While there are no tokens: serve on addresses beyond loopback all the same. Everybody who can reach "
     "the port can read, write and delete. For closed networks. Without effect once there is a token.",
     "Service"},
    {"admin-token-file", CONFIG_STRING, AT(admin_token_file), "", 0, 0, NULL, "FILE",
     "An admin of all projects: the token is the content of FILE (32 to 256 visible ASCII characters, as "
     "`joblog token generate` prints them). It is not stored; read again on SIGHUP. For the first start beyond "
     "loopback, and to come back in.",
     "Service"},
    {"origin", CONFIG_LIST, AT(origin), "", 0, 0, NULL, "ORIGIN",
     "Pages of this origin (like https://logs.example.com, exactly) may use the service from a browser, beside "
     "those it serves itself. May be repeated.",
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
    {"web", CONFIG_STRING, AT(web), "", 0, 0, NULL, "DIR",
     "Read the page's files from here at every request (clients/web), for working on it; the built-in "
     "ones when empty.",
     "Service"},

    {"redis", CONFIG_STRING, AT(redis), "", 0, 0, NULL, "URL",
     "Use this Redis instead of the embedded one: redis://[USER:PASSWORD@]HOST:PORT[/DB], "
     "unix:///PATH, or the master NAME that sentinels know: "
     "redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]/NAME[/DB][?sentinel_password=…]. "
     "It must not evict (maxmemory-policy noeviction).",
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
    {"retention", CONFIG_LIST, AT(retention), "", 0, 0, NULL, "RULE",
     "How long ended jobs are kept, everywhere: PROJECT=AGE, PROJECT=BYTES or PROJECT=AGE/BYTES, like research=90d/500GiB; "
     "PROJECT * is every project without a rule of its own. May be repeated. Only jobs that are archived to their last "
     "record are removed; without a rule nothing is.",
     "Archive"},
    {"archive-level", CONFIG_COUNT, AT(archive_level), "1", 1, 19, NULL, "N",
     "zstd level of segments as they are first written.", "Archive"},
    {"settle-level", CONFIG_COUNT, AT(settle_level), "16", 0, 19, NULL, "N",
     "Once a job is over, its segments are written anew at this zstd level, few and large, on a thread that takes only "
     "idle CPU (0: never). 16 packs about 10 MB/s into a sixth less than level 1; 9 packs 90 MB/s into a tenth less.",
     "Archive"},

    {"rules", CONFIG_STRING, AT(rules), "", 0, 0, NULL, "FILE",
     "Alert rules and receivers, a JSON object {\"rules\":[…],\"receivers\":[…]}; read-only for the API, read again on SIGHUP. "
     "Give every node the same file.",
     "Alerts"},
    {"public-url", CONFIG_STRING, AT(public_url), "", 0, 0, NULL, "URL",
     "Where people reach the web page, like https://joblog.example.com: links in alerts begin with it. Without it there are "
     "none.",
     "Alerts"},
    {"alert-allow", CONFIG_LIST, AT(alert_allow), "", 0, 0, NULL, "NET",
     "Alerts may be sent to these addresses too (10.1.0.0/16, fd00::/8, 127.0.0.1): without it only to public ones, whatever a "
     "receiver's URL says. May be repeated.",
     "Alerts"},
    {"alert-ca-file", CONFIG_STRING, AT(alert_ca_file), "", 0, 0, NULL, "FILE",
     "Authorities that receivers' certificates are checked against, PEM; the system's when empty.", "Alerts"},
    {"alert-retry", CONFIG_DURATION, AT(alert_retry_us), "5s", 10000, 3600 * SEC, NULL, "DURATION",
     "The first pause after a delivery that failed; each later one is three times as long.", "Alerts"},
    {"alert-retry-max", CONFIG_DURATION, AT(alert_retry_max_us), "1h", 10000, 86400 * SEC, NULL, "DURATION",
     "The longest of these pauses.", "Alerts"},

    {"redact", CONFIG_BOOL, AT(redact), "false", 0, 0, NULL, NULL,
     "Take secrets out of lines, their fields and messages of state changes before they are kept: keys and tokens of AWS, "
     "Hugging Face, W&B, OpenAI, GitHub and joblog, private keys, bearer headers. Each leaves [redacted:KIND] and is counted. "
     "See docs/security.md.",
     "Secrets"},
    {"redact-patterns", CONFIG_STRING, AT(redact_patterns), "", 0, 0, NULL, "FILE",
     "Take out what the expressions in FILE match, too: a line NAME=RE each (RE2), of which the match goes, or its group "
     "(?P<secret>...), and [redacted:NAME] stays. Implies --redact.",
     "Secrets"},
    {"core-dumps", CONFIG_BOOL, AT(core_dumps), "false", 0, 0, NULL, NULL,
     "Leave a core file when joblogd crashes, and let debuggers of its own user in: both hold what passes through it.",
     "Secrets"},

    {"line-bytes", CONFIG_BYTES, AT(line_bytes), "256KiB", 1 * KIB, 2 * MIB, NULL, "BYTES",
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
