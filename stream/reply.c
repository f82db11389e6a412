/*
 * stream/reply.c -- reading reply trees, and what Redis' error words mean.
 */
#include "base/err.h"
#include "stream/conn_int.h"

#include <stdlib.h>
#include <string.h>

static const struct reply nil_reply = {.kind = REPLY_NIL, .str = ""};

int64_t reply_i64(const struct reply *r)
{
    if (r->kind == REPLY_INT)
        return r->num;
    return r->kind == REPLY_STR ? strtoll(r->str, NULL, 10) : 0;
}

uint64_t reply_u64(const struct reply *r)
{
    if (r->kind == REPLY_INT)
        return r->num < 0 ? 0 : (uint64_t)r->num;
    return r->kind == REPLY_STR ? strtoull(r->str, NULL, 10) : 0;
}

const struct reply *reply_at(const struct reply *r, uint32_t i)
{
    return r && r->kind == REPLY_ARRAY && i < r->count ? &r->items[i] : &nil_reply;
}

const struct reply *reply_field(const struct reply *r, const char *field)
{
    size_t len = strlen(field);

    for (uint32_t i = 0; r && r->kind == REPLY_ARRAY && i + 1 < r->count; i += 2)
        if (r->items[i].len == len && memcmp(r->items[i].str, field, len) == 0)
            return &r->items[i + 1];
    return &nil_reply;
}

const char *reply_info(const struct reply *r, const char *field, size_t *ret_len)
{
    const char *line = r->kind == REPLY_STR ? r->str : "";
    size_t len = strlen(field);

    for (; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, field, len) == 0 && line[len] == ':') {
            *ret_len = strcspn(line + len + 1, "\r\n");
            return line + len + 1;
        }
    *ret_len = 0;
    return "";
}

static const struct {
    const char *word;
    enum reply_fault fault;
    int err;
} words[] = {
    {"LOADING", FAULT_LOADING, ERR_UNAVAILABLE},   {"BUSY", FAULT_BUSY, ERR_UNAVAILABLE},
    {"MASTERDOWN", FAULT_BUSY, ERR_UNAVAILABLE},   {"TRYAGAIN", FAULT_BUSY, ERR_UNAVAILABLE},
    {"CLUSTERDOWN", FAULT_BUSY, ERR_UNAVAILABLE},  {"NOSCRIPT", FAULT_NOSCRIPT, ERR_UNAVAILABLE},
    {"OOM", FAULT_OOM, ERR_FULL},                  {"READONLY", FAULT_READONLY, ERR_READONLY},
    {"NOREPLICAS", FAULT_OTHER, ERR_UNAVAILABLE},  {"NOAUTH", FAULT_OTHER, ERR_UNAVAILABLE},
    {"WRONGPASS", FAULT_OTHER, ERR_UNAVAILABLE},   {"NOPERM", FAULT_OTHER, ERR_UNAVAILABLE},
    {"MOVED", FAULT_OTHER, ERR_UNSUPPORTED},       {"ASK", FAULT_OTHER, ERR_UNSUPPORTED},
};

int reply_fault(const char *text, size_t len, enum reply_fault *ret_fault)
{
    const char *space = memchr(text, ' ', len);
    size_t word_len = space ? (size_t)(space - text) : len;

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) == word_len && memcmp(words[i].word, text, word_len) == 0) {
            *ret_fault = words[i].fault;
            return words[i].err;
        }
    }
    if (word_len == 7 && memcmp(text, "MISCONF", 7) == 0) {
        *ret_fault = FAULT_MISCONF;
        return memmem(text, len, "No space left", 13) || memmem(text, len, "quota", 5) ? ERR_FULL : ERR_IO;
    }
    *ret_fault = FAULT_OTHER;
    return ERR_IO;
}
