/*
 * stream/nodes.c -- samples into the hash of a job, and out of it.
 *
 * Fields (docs/format-redis.md): "n <replica>" what the node is, "s <replica>" stride and count, "b <replica> <k>"
 * blocks of samples, "p <replica>" those pending.
 */
#include "stream/nodes.h"

#include "base/check.h"
#include "base/err.h"
#include "base/map.h"
#include "stream/stream_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__asm__(".pushsection .rodata\n"
        ".type stream__nodes_script, @object\n"
        "stream__nodes_script:\n"
        ".incbin \"stream/nodes.lua\"\n"
        ".byte 0\n"
        ".size stream__nodes_script, . - stream__nodes_script\n"
        ".popsection\n");
extern const char stream__nodes_script[];

/* ---- what a node is, as text: "cpu_milli memory disk" and a line a GPU: "memory name" ---- */

static int write_about(struct buf *out, const struct node_about *n)
{
    int err = buf_addf(out, "%" PRId64 " %" PRId64 " %" PRId64, n->cpu_milli, n->memory_bytes, n->disk_bytes);

    for (uint32_t i = 0; i < n->gpu_count && err == 0; i++)
        err = buf_addf(out, "\n%" PRId64 " %s", n->gpus[i].memory_bytes, n->gpus[i].name);
    return err;
}

static int read_about(struct node_about *n, const char *text)
{
    const char *line = text;
    int used = 0;

    if (sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 "%n", &n->cpu_milli, &n->memory_bytes, &n->disk_bytes, &used) != 3)
        return ERR_CORRUPT;
    while ((line = strchr(line, '\n')) && n->gpu_count < NODE_GPUS_MAX) {
        char *space;
        size_t len;

        n->gpus[n->gpu_count].memory_bytes = strtoll(++line, &space, 10);
        if (*space != ' ')
            return ERR_CORRUPT;
        len = strcspn(++space, "\n");
        if (len > NODE_GPU_NAME_BYTES_MAX)
            len = NODE_GPU_NAME_BYTES_MAX;
        memcpy(n->gpus[n->gpu_count++].name, space, len);
    }
    return 0;
}

/* ---- in ---- */

static const char *node_key(char out[STREAM_KEY_BYTES], const struct job_key *key)
{
    return stream__key(out, key, "node");
}

void stream_node_sample(struct stream *st, const struct job_key *key, const struct node_about *about,
                        const struct node_sample *sample)
{
    struct conn_request *r;
    struct buf text = BUF_INIT, what = BUF_INIT;
    char name[STREAM_KEY_BYTES];
    struct conn_stats s;

    conn_stats(st->cmd, &s);
    if (!s.open || s.inflight_bytes > STREAM_INFLIGHT_BYTES_MAX / 2 || node_sample_write(&text, sample) < 0 ||
        write_about(&what, about) < 0)
        goto out; /* lines first; the next sample comes soon */
    r = conn_request_new(4096);
    conn_request_begin(r, 3 + 2 + 6);
    conn_request_str(r, "EVAL");
    conn_request_str(r, stream__nodes_script);
    conn_request_str(r, "2");
    conn_request_str(r, stream__key(name, key, "meta"));
    conn_request_str(r, node_key(name, key));
    conn_request_str(r, about->replica);
    conn_request_arg(r, what.data, what.len);
    conn_request_arg(r, text.data, text.len);
    conn_request_u64(r, NODES_MAX);
    conn_request_u64(r, NODES_SAMPLES_MAX);
    conn_request_u64(r, NODES_JOB_SAMPLES_MAX);
    conn_send(st->cmd, &r, 0, 0, NULL, NULL);
out:
    buf_release(&text);
    buf_release(&what);
}

void stream_nodes_drop(struct stream *st, const struct job_key *key)
{
    char name[STREAM_KEY_BYTES];

    conn_words(st->cmd, CONN_IDEMPOTENT, NULL, NULL, "DEL", node_key(name, key), NULL);
}

/* ---- out ---- */

struct nodes_call {
    struct stream *st;
    stream_nodes_fn *done;
    void *user;
};

struct series {
    struct node_sample *samples;
    size_t count, cap;
};

static void add_sample(struct series *s, const char *text, size_t len)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->samples = must_realloc(s->samples, s->cap * sizeof *s->samples);
    }
    if (node_sample_read(&s->samples[s->count], text, len) == 0)
        s->count++; /* one that cannot be read is left out */
}

static void add_block(struct series *s, const struct reply *block)
{
    for (const char *p = block->str, *end = p + block->len, *nl; p < end; p = nl + 1) {
        nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl)
            nl = end;
        add_sample(s, p, (size_t)(nl - p));
    }
}

/* NULL: there is no such field. */
static const struct reply *field_of(const struct map *fields, char kind, const char *replica, int64_t k)
{
    char name[ID_BYTES_MAX + 32];
    int len = k < 0 ? snprintf(name, sizeof name, "%c %s", kind, replica)
                    : snprintf(name, sizeof name, "%c %s %" PRId64, kind, replica, k);

    return map_get(fields, name, (size_t)len);
}

static int write_node(struct buf *out, const struct map *fields, const char *replica, struct series *s)
{
    struct node_about about = {0};
    const struct reply *what = field_of(fields, 'n', replica, -1), *pending = field_of(fields, 'p', replica, -1);

    snprintf(about.replica, sizeof about.replica, "%s", replica);
    if (!what || read_about(&about, what->str) < 0)
        return 0;
    s->count = 0;
    for (int64_t k = 0; k < NODES_SAMPLES_MAX; k++) {
        const struct reply *block = field_of(fields, 'b', replica, k);

        if (!block)
            break;
        add_block(s, block);
    }
    if (pending && strchr(pending->str, ' ')) {
        const char *text = strchr(pending->str, ' ') + 1; /* after how many it stands for */

        add_sample(s, text, strlen(text));
    }
    return node_write(out, &about, s->samples, s->count);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void on_nodes(void *user, int err, const struct reply *reply)
{
    struct nodes_call *c = user;
    struct series s = {0};
    struct buf out = BUF_INIT;
    struct map *fields = map_new();
    const char **names = NULL;
    size_t count = 0;

    if (err >= 0) {
        names = must_calloc(reply->count / 2 + 1, sizeof *names);
        for (uint32_t i = 0; i + 1 < reply->count; i += 2) {
            const struct reply *name = &reply->items[i];

            map_put(fields, name->str, name->len, (void *)(uintptr_t)&reply->items[i + 1]);
            if (name->len > 2 && !strncmp(name->str, "n ", 2) && id_valid(name->str + 2, name->len - 2))
                names[count++] = name->str + 2;
        }
        if (count)
            qsort(names, count, sizeof *names, by_name);
        for (size_t i = 0; i < count && err >= 0; i++)
            err = write_node(&out, fields, names[i], &s);
    }
    c->done(c->user, err < 0 ? err : 0, err < 0 ? "" : buf_cstr(&out), err < 0 ? 0 : out.len);
    stream__call_end(c->st);
    map_free(&fields);
    buf_release(&out);
    free(s.samples);
    free(names);
    free(c);
}

void stream_nodes_get(struct stream *st, const struct job_key *key, stream_nodes_fn *done, void *user)
{
    struct nodes_call *c = must_malloc(sizeof *c);
    char name[STREAM_KEY_BYTES];

    *c = (struct nodes_call){st, done, user};
    stream__call_begin(st);
    conn_words(st->cmd, CONN_IDEMPOTENT, on_nodes, c, "HGETALL", node_key(name, key), NULL);
}
