/*
 * job/node.c -- samples as text, nodes as JSON.
 */
#include "job/node.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"

static int add_number(struct buf *out, int64_t v)
{
    return v < 0 ? buf_addc(out, '-') : buf_addu64(out, (uint64_t)v);
}

int node_sample_write(struct buf *out, const struct node_sample *s)
{
    int err = add_number(out, s->at_us);
    const int64_t first[] = {s->cpu_milli, s->memory_bytes, s->disk_bytes};

    for (int i = 0; i < 3; i++) {
        err |= buf_addc(out, ' ');
        err |= add_number(out, first[i]);
    }
    for (uint32_t i = 0; i < s->gpu_count; i++) {
        err |= buf_addc(out, ' ');
        err |= add_number(out, s->gpus[i].permille);
        err |= buf_addc(out, ' ');
        err |= add_number(out, s->gpus[i].memory_bytes);
    }
    return err < 0 ? ERR_NOMEM : 0;
}

/* The next word as a number up to max: 1, 0 at the end, ERR_INVALID. */
static int next_number(const char **p, const char *end, int64_t max, int64_t *ret)
{
    int64_t v = 0;
    const char *start;

    if (*p < end && **p == ' ') (*p)++;
    if (*p == end) return 0;
    start = *p;
    if (**p == '-' && (*p + 1 == end || (*p)[1] == ' ')) {
        (*p)++;
        *ret = NODE_UNKNOWN;
        return 1;
    }
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        v = v * 10 + (**p - '0');
        if (v > max) return ERR_INVALID;
    }
    *ret = v;
    return *p > start && (*p == end || **p == ' ') ? 1 : ERR_INVALID;
}

int node_sample_read(struct node_sample *s, const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    int64_t v;
    int got;

    *s = (struct node_sample){0};
    if (next_number(&p, end, CLOCK_WALL_US_MAX, &s->at_us) != 1 || s->at_us < 0) return ERR_INVALID;
    if (next_number(&p, end, NODE_CPU_MILLI_MAX, &s->cpu_milli) != 1) return ERR_INVALID;
    if (next_number(&p, end, NODE_BYTES_MAX, &s->memory_bytes) != 1) return ERR_INVALID;
    if (next_number(&p, end, NODE_BYTES_MAX, &s->disk_bytes) != 1) return ERR_INVALID;
    while ((got = next_number(&p, end, 1000, &v)) == 1) {
        if (s->gpu_count == NODE_GPUS_MAX) return ERR_INVALID;
        s->gpus[s->gpu_count].permille = (int32_t)v;
        if (next_number(&p, end, NODE_BYTES_MAX, &s->gpus[s->gpu_count].memory_bytes) != 1) return ERR_INVALID;
        s->gpu_count++;
    }
    return got;
}

/* ---- JSON ---- */

static void add_whole(struct json *j, int64_t v)
{
    if (v < 0) json_null(j);
    else json_i64(j, v);
}

/* A part of one, or of total. */
static void add_part(struct json *j, int64_t v, int64_t total)
{
    if (v < 0 || total <= 0) json_null(j);
    else json_double(j, (double)(v * 10000 / total) / 10000.0);
}

static void add_about(struct json *j, const struct node_about *n)
{
    json_kstr(j, "replica", n->replica);
    json_key(j, "cpu_count");
    if (n->cpu_milli < 0) json_null(j);
    else json_double(j, (double)n->cpu_milli / 1000.0);
    json_key(j, "memory_total_bytes");
    add_whole(j, n->memory_bytes);
    json_key(j, "disk_total_bytes");
    add_whole(j, n->disk_bytes);
    json_key(j, "gpu_names");
    json_arr(j);
    for (uint32_t i = 0; i < n->gpu_count; i++) json_str(j, n->gpus[i].name);
    json_end(j);
    json_key(j, "gpu_memory_total_bytes");
    json_arr(j);
    for (uint32_t i = 0; i < n->gpu_count; i++) add_whole(j, n->gpus[i].memory_bytes);
    json_end(j);
}

enum series { SERIES_AT, SERIES_CPU, SERIES_MEMORY, SERIES_DISK, SERIES_GPU, SERIES_GPU_MEMORY };

static void add_gpus(struct json *j, const struct node_sample *s, int is_memory)
{
    json_arr(j);
    for (uint32_t i = 0; i < s->gpu_count; i++) {
        if (is_memory) add_whole(j, s->gpus[i].memory_bytes);
        else add_part(j, s->gpus[i].permille, 1000);
    }
    json_end(j);
}

static void add_point(struct json *j, const struct node_about *n, const struct node_sample *s, enum series series)
{
    char text[CLOCK_RFC3339_BYTES + 1];

    switch (series) {
    case SERIES_AT:
        json_strn(j, clock_rfc3339(s->at_us, text), CLOCK_RFC3339_BYTES);
        break;
    case SERIES_CPU:
        add_part(j, s->cpu_milli, n->cpu_milli);
        break;
    case SERIES_MEMORY:
        add_whole(j, s->memory_bytes);
        break;
    case SERIES_DISK:
        add_whole(j, s->disk_bytes);
        break;
    case SERIES_GPU:
    case SERIES_GPU_MEMORY:
        add_gpus(j, s, series == SERIES_GPU_MEMORY);
        break;
    }
}

int node_write(struct buf *out, const struct node_about *n, const struct node_sample *samples, size_t count)
{
    static const char *const names[] = {"at", "cpu", "memory_bytes", "disk_bytes", "gpu", "gpu_memory_bytes"};
    struct json j;

    json_init_may_fail(&j, out);
    json_obj(&j);
    add_about(&j, n);
    for (int k = SERIES_AT; k <= SERIES_GPU_MEMORY; k++) {
        json_key(&j, names[k]);
        json_arr(&j);
        for (size_t i = 0; i < count; i++) add_point(&j, n, &samples[i], (enum series)k);
        json_end(&j);
    }
    json_end(&j);
    if (json_err(&j)) return json_err(&j);
    return buf_addc(out, '\n');
}
