/*
 * serve/baseten_line.c -- printing log lines of the Baseten view.
 *
 * Canonical messages are JSON-escaped already and are copied as they are.
 */
#include "serve/baseten_line.h"

/* The words of the API; it has no others. */
static const char *level_word(enum level l)
{
    switch (l) {
    case LEVEL_TRACE:
    case LEVEL_DEBUG:
        return "DEBUG";
    case LEVEL_INFO:
        return "INFO";
    case LEVEL_WARN:
        return "WARNING";
    case LEVEL_ERROR:
    case LEVEL_FATAL:
        return "ERROR";
    default:
        return NULL;
    }
}

static void add_message(struct buf *out, const struct record_view *v)
{
    if (v->is_state) {
        buf_adds(out, state_name(v->state));
        if (v->has_exit_code)
            buf_addf(out, " (exit code %lld)", (long long)v->exit_code);
        if (v->msg_json_len)
            buf_adds(out, ": ");
    }
    buf_add(out, v->msg_json, v->msg_json_len);
}

int baseten_line(struct buf *out, const struct frame *f, const struct record_view *v)
{
    int64_t ns = frame_recv_ns(f, v->seq);
    int err = buf_reserve(out, v->msg_json_len + v->replica_len + 256);

    if (err < 0)
        return err;
    if (!ns)
        ns = v->ts_us * 1000;
    buf_adds(out, "{\"timestamp\":\"");
    buf_addu64(out, ns > 0 ? (uint64_t)ns : 0);
    buf_adds(out, "\",\"message\":\"");
    add_message(out, v);
    if (v->replica_len) {
        buf_adds(out, "\",\"replica\":\"");
        buf_add(out, v->replica, v->replica_len);
        buf_addc(out, '"');
    } else {
        buf_adds(out, "\",\"replica\":null");
    }
    if (level_word(v->level)) {
        buf_adds(out, ",\"level\":\"");
        buf_adds(out, level_word(v->level));
        buf_addc(out, '"');
    }
    if (v->rank != RECORD_RANK_NONE) {
        buf_adds(out, ",\"rank\":");
        buf_addu64(out, (uint64_t)v->rank);
    }
    return buf_addc(out, '}');
}

int baseten_line_lost(struct buf *out, int64_t recv_ns, uint64_t from, uint64_t to, const char *reason)
{
    return buf_addf(out,
                    "{\"timestamp\":\"%lld\",\"message\":\"[joblog: records %llu-%llu are lost: "
                    "%s]\",\"replica\":null,\"level\":\"ERROR\"}",
                    (long long)recv_ns, (unsigned long long)from, (unsigned long long)to, reason);
}
