/*
 * joblogd_settings.h -- every option of joblogd, in one table (joblogd_settings.c).
 */
#ifndef JOBLOGD_SETTINGS_H
#define JOBLOGD_SETTINGS_H

#include "base/config.h"

struct settings {
    char **listen;
    char **tls_listen;
    const char *tls_cert;
    const char *tls_key;
    const char *tls_client_ca;
    char **origin;
    char **retention;
    const char *admin_token_file;
    const char *data;
    const char *redis;
    const char *redis_server;
    const char *archive;
    const char *rules;
    const char *public_url;
    char **alert_allow;
    const char *alert_ca_file;
    const char *durability;
    const char *log_level;
    const char *log_format;
    const char *web;
    int open;
    int64_t redis_memory_bytes;
    int64_t drain_us;
    int64_t alert_retry_us;
    int64_t alert_retry_max_us;
    int64_t shutdown_us;
    int redact;
    const char *redact_patterns;
    int core_dumps;
    int64_t line_bytes;
    int64_t body_bytes;
    int64_t ingest_memory_bytes;
    int64_t connections;
    int64_t connections_per_ip;
    int64_t header_us;
    int64_t body_us;
    int64_t keepalive_us;
    int64_t write_us;
    int64_t segment_bytes;
    int64_t segment_age_us;
    int64_t hot_bytes;
    int64_t archive_level;
    int64_t settle_level;
};

extern const struct config_option settings_table[];
extern const size_t settings_count;

#endif
