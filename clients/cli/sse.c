/*
 * clients/cli/sse.c -- the event-stream parser.
 */
#include "clients/cli/sse.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

#define LINES_MARK "\"lines\":["
#define SEQ_MARK ",\"seq\":"

void sse_init(struct sse *s)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->line, SSE_EVENT_BYTES_MAX);
    buf_init(&s->data, SSE_EVENT_BYTES_MAX);
}

void sse_release(struct sse *s)
{
    buf_release(&s->line);
    buf_release(&s->data);
}

static int dispatch(struct sse *s, int (*on_event)(void *, const struct sse_event *), void *user)
{
    struct sse_event e = {s->type[0] ? s->type : "message", s->id, NULL, 0};
    int err = 0;

    if (s->has_data) {
        e.data = buf_cstr(&s->data);
        e.len = s->data.len;
        err = on_event(user, &e);
    }
    s->type[0] = '\0';
    s->has_data = 0;
    buf_clear(&s->data);
    return err;
}

static int take_field(struct sse *s, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len), *value = colon ? colon + 1 : line + len;
    size_t name_len = colon ? (size_t)(colon - line) : len, value_len;
    int err = 0;

    if (colon && value < line + len && *value == ' ')
        value++;
    value_len = len - (size_t)(value - line);
    if (name_len == 4 && !memcmp(line, "data", 4)) {
        if (s->has_data)
            err = buf_addc(&s->data, '\n');
        if (err >= 0)
            err = buf_add(&s->data, value, value_len);
        s->has_data = 1;
    } else if (name_len == 5 && !memcmp(line, "event", 5)) {
        snprintf(s->type, sizeof s->type, "%.*s", (int)value_len, value);
    } else if (name_len == 2 && !memcmp(line, "id", 2) && value_len < sizeof s->id) {
        memcpy(s->id, value, value_len);
        s->id[value_len] = '\0';
    }
    return err;
}

static int take_line(struct sse *s, int (*on_event)(void *, const struct sse_event *), void *user)
{
    int err;

    if (!s->line.len)
        return dispatch(s, on_event, user);
    err = s->line.data[0] == ':' ? 0 : take_field(s, s->line.data, s->line.len);
    buf_clear(&s->line);
    return err;
}

int sse_feed(struct sse *s, const char *bytes, size_t len,
             int (*on_event)(void *user, const struct sse_event *e), void *user)
{
    int err = 0;

    for (size_t i = 0; i < len && err >= 0;) {
        size_t start = i;

        if (s->after_cr) {
            s->after_cr = 0;
            if (bytes[i] == '\n') {
                i++;
                continue;
            }
        }
        while (i < len && bytes[i] != '\n' && bytes[i] != '\r')
            i++;
        err = buf_add(&s->line, bytes + start, i - start);
        if (err < 0 || i == len)
            break;
        s->after_cr = bytes[i++] == '\r';
        err = take_line(s, on_event, user);
    }
    return err < 0 ? err : 0;
}

/* The end of the JSON object at text (len > 0, text[0] == '{'); 0 when it has none. */
static size_t object_bytes(const char *text, size_t len)
{
    int depth = 0, in_string = 0;

    for (size_t i = 0; i < len; i++) {
        if (in_string) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                in_string = 0;
        } else if (text[i] == '"') {
            in_string = 1;
        } else if (text[i] == '{') {
            depth++;
        } else if (text[i] == '}' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

int lines_next(const char *message, size_t len, size_t *pos, const char **ret_line, size_t *ret_len)
{
    if (!*pos) {
        const char *mark = memmem(message, len, LINES_MARK, strlen(LINES_MARK));

        if (!mark)
            return ERR_PROTOCOL;
        *pos = (size_t)(mark - message) + strlen(LINES_MARK);
    } else if (*pos < len && message[*pos] == ',') {
        ++*pos;
    }
    if (*pos >= len)
        return ERR_PROTOCOL;
    if (message[*pos] == ']')
        return 0;
    if (message[*pos] != '{')
        return ERR_PROTOCOL;
    *ret_line = message + *pos;
    *ret_len = object_bytes(*ret_line, len - *pos);
    *pos += *ret_len;
    return *ret_len ? 1 : ERR_PROTOCOL;
}

int lines_state(const char *message, size_t len, struct buf *out)
{
    const char *mark = memmem(message, len, SEQ_MARK, strlen(SEQ_MARK));
    int err;

    if (!mark)
        return ERR_PROTOCOL;
    err = buf_addc(out, '{');
    return err < 0 ? err : buf_add(out, mark + 1, len - (size_t)(mark + 1 - message));
}
