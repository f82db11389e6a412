/*
 * stream/conn_redis.c -- the only door to hiredis: its reader turns bytes into replies.
 *
 * hiredis' connection objects are not used: 0.14 copies the rest of the output buffer at each partial write,
 * ignores poll errors in its libuv adapter, has no timeouts, and asserts on a resubscribe that
 * crosses the last unsubscribe. Its reader has none of that. Replies nested deeper than 7 are refused.
 */
#include "stream/conn_int.h"

#include "base/check.h"
#include "base/err.h"

#include <hiredis/hiredis.h>

struct reply_reader {
    redisReader *native;
};

struct reply_reader *reply_reader_new(void)
{
    struct reply_reader *rd = must_calloc(1, sizeof *rd);

    rd->native = redisReaderCreate();
    CHECK(must_have(rd->native ? 0 : ERR_NOMEM) == 0);
    return rd;
}

void reply_reader_free(struct reply_reader **rd)
{
    if (!*rd)
        return;
    redisReaderFree((*rd)->native);
    free(*rd);
    *rd = NULL;
}

int reply_reader_feed(struct reply_reader *rd, const void *data, size_t len)
{
    return redisReaderFeed(rd->native, data, len) == REDIS_OK ? 0 : ERR_NOMEM;
}

static size_t count_nodes(const redisReply *n)
{
    size_t count = 0;

    if (n->type != REDIS_REPLY_ARRAY)
        return 0;
    for (size_t i = 0; i < n->elements; i++)
        count += 1 + count_nodes(n->element[i]);
    return count;
}

static void translate(const redisReply *n, struct reply *out, struct reply **next)
{
    struct reply *items;
    enum reply_fault fault;

    out->str = "";
    switch (n->type) {
    case REDIS_REPLY_INTEGER:
        out->kind = REPLY_INT;
        out->num = n->integer;
        break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        out->kind = REPLY_STR;
        out->str = n->str;
        out->len = (size_t)n->len;
        break;
    case REDIS_REPLY_ERROR:
        out->kind = REPLY_ERROR;
        out->str = n->str;
        out->len = (size_t)n->len;
        out->err = reply_fault(out->str, out->len, &fault);
        break;
    case REDIS_REPLY_ARRAY:
        out->kind = REPLY_ARRAY;
        out->count = (uint32_t)n->elements;
        items = *next;
        *next += n->elements;
        out->items = items;
        for (size_t i = 0; i < n->elements; i++)
            translate(n->element[i], &items[i], next);
        break;
    default:
        out->kind = REPLY_NIL;
    }
}

int reply_reader_next(struct reply_reader *rd, struct reply_tree **ret_tree)
{
    struct reply_tree *tree;
    struct reply *next;
    void *native = NULL;

    if (redisReaderGetReply(rd->native, &native) != REDIS_OK)
        return ERR_PROTOCOL;
    if (!native)
        return 0;
    tree = must_calloc(1, sizeof *tree);
    tree->native = native;
    tree->nodes = must_calloc(count_nodes(native) + 1, sizeof *tree->nodes);
    next = tree->nodes;
    translate(native, &tree->root, &next);
    *ret_tree = tree;
    return 1;
}

void reply_tree_free(struct reply_tree **tree)
{
    if (!*tree)
        return;
    freeReplyObject((*tree)->native);
    free((*tree)->nodes);
    free(*tree);
    *tree = NULL;
}
