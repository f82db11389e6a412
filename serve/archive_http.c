/*
 * serve/archive_http.c -- list and download of a job's segments.
 *
 * A download is one virtual file: the segments joined in order. A worker step fills the chunk at an
 * offset of it, the loop hands it to the socket and asks for the next while there is room.
 */
#include "serve/archive_http.h"

#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "serve/job_json.h"
#include "storage/archive.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct download {
    uv_work_t req;
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the exchange is over */
    struct job_key key;
    int busy; /* a worker step is under way */
    int is_list;
    int err; /* of the step */
    struct archive_file *files;
    uint32_t count;
    uint64_t total;       /* bytes of all files */
    uint64_t offset, end; /* of the virtual file: next byte, one past the last wanted */
    char etag[24];
    int fd; /* of files[open], -1: none */
    int hold; /* < 0: none. The files listed stay until the download is over */
    uint32_t open;
    char *chunk;
    size_t chunk_len;
};

static void free_download(struct download *d)
{
    if (d->fd >= 0)
        close(d->fd);
    archive_unhold(&d->hold);
    free(d->files);
    free(d->chunk);
    free(d);
}

static void on_close(struct http *x, int clean)
{
    struct download *d = http_user(x);

    d->x = NULL;
    if (!d->busy)
        free_download(d);
}

/* ---- worker ---- */

/* FNV-1a over names, sizes and times: a settled segment may have the name of the one it replaced. */
static void make_etag(struct download *d)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (uint32_t i = 0; i < d->count; i++) {
        char text[SEGMENT_NAME_BYTES + 64];
        int n = snprintf(text, sizeof text, "%s/%" PRIu64 "/%" PRId64 ";", d->files[i].name,
                         d->files[i].file_bytes, d->files[i].modified_us);

        for (int k = 0; k < n && k < (int)sizeof text; k++)
            h = (h ^ (unsigned char)text[k]) * UINT64_C(1099511628211);
    }
    snprintf(d->etag, sizeof d->etag, "\"%016" PRIx64 "\"", h);
}

static void work_list(uv_work_t *req)
{
    struct download *d = req->data;

    if (!d->is_list)
        d->hold = archive_hold(d->ctx->archive, &d->key);
    d->err = archive_list(d->ctx->archive, &d->key, &d->files, &d->count);
    if (d->err == ERR_NOT_FOUND)
        d->err = 0;
    for (uint32_t i = 0; d->err >= 0 && i < d->count; i++)
        d->total += d->files[i].file_bytes;
    if (d->err >= 0)
        make_etag(d);
}

static int open_file(struct download *d, uint32_t i)
{
    char path[PATH_MAX];
    int err;

    if (d->fd >= 0 && d->open == i)
        return 0;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
    err = archive_file_path(d->ctx->archive, &d->key, &d->files[i], path, sizeof path);
    if (err < 0)
        return err;
    d->fd = io_open(path, O_RDONLY, 0);
    d->open = i;
    return d->fd < 0 ? d->fd : 0;
}

static void work_read(uv_work_t *req)
{
    struct download *d = req->data;
    uint64_t start = 0;
    uint32_t i = 0;
    size_t want;
    ssize_t n;

    while (i < d->count && d->offset >= start + d->files[i].file_bytes)
        start += d->files[i++].file_bytes;
    CHECKF(i < d->count, "offset=%" PRIu64 " total=%" PRIu64, d->offset, d->total);
    d->err = open_file(d, i);
    if (d->err < 0)
        return;
    want = ARCHIVE_HTTP_CHUNK_BYTES;
    if (want > start + d->files[i].file_bytes - d->offset)
        want = (size_t)(start + d->files[i].file_bytes - d->offset);
    if (want > d->end - d->offset)
        want = (size_t)(d->end - d->offset);
    n = io_pread_all(d->fd, d->chunk, want, (off_t)(d->offset - start));
    if (n < 0 || (size_t)n < want)
        d->err = n < 0 ? (int)n : ERR_CORRUPT;
    d->chunk_len = d->err < 0 ? 0 : want;
}

/* ---- loop ---- */

static void on_read(uv_work_t *req, int status);

static void read_on(struct download *d)
{
    if (d->busy || !d->x)
        return;
    if (d->offset == d->end) {
        http_finish(d->x);
        return;
    }
    if (http_backlog(d->x) >= HTTP_BACKLOG_HIGH_BYTES)
        return; /* on_drain */
    d->busy = 1;
    CHECK(uv_queue_work(d->ctx->loop, &d->req, work_read, on_read) == 0);
}

static void on_read(uv_work_t *req, int status)
{
    struct download *d = req->data;

    d->busy = 0;
    if (!d->x) {
        free_download(d);
        return;
    }
    if (d->err < 0) {
        http_abort(d->x);
        return;
    }
    d->offset += d->chunk_len;
    http_write(d->x, d->chunk, d->chunk_len);
    read_on(d);
}

static void on_drain(struct http *x)
{
    struct download *d = http_user(x);

    if (d->chunk && d->offset < d->end)
        read_on(d);
}

static const struct http_handler handler = {.on_drain = on_drain, .on_close = on_close};

static void reply_list(struct download *d)
{
    struct buf body;
    struct json j;

    buf_init(&body, 0);
    json_init(&j, &body);
    json_obj(&j);
    json_key(&j, "segments");
    json_arr(&j);
    for (uint32_t i = 0; i < d->count; i++) {
        const struct archive_file *f = &d->files[i];

        json_obj(&j);
        json_ku64(&j, "first", f->first_seq);
        json_ku64(&j, "last", f->last_seq);
        json_ku64(&j, "bytes", f->file_bytes);
        json_kstr(&j, "name", f->name);
        job_json_time(&j, "modified_at", f->modified_us);
        json_end(&j);
    }
    json_end(&j);
    json_ku64(&j, "bytes", d->total);
    json_key(&j, "first");
    d->count ? json_u64(&j, d->files[0].first_seq) : json_null(&j);
    json_key(&j, "last");
    d->count ? json_u64(&j, d->files[d->count - 1].last_seq) : json_null(&j);
    json_end(&j);
    http_reply(d->x, 200, "application/json", body.data, body.len);
    buf_release(&body);
}

static int parse_position(const char **s, uint64_t *ret)
{
    uint64_t v = 0;
    const char *start = *s;

    for (; **s >= '0' && **s <= '9'; ++*s) {
        if (v > (UINT64_MAX - 9) / 10)
            return ERR_INVALID;
        v = v * 10 + (uint64_t)(**s - '0');
    }
    *ret = v;
    return *s > start;
}

int archive_http_range(const char *text, uint64_t total, uint64_t *ret_from, uint64_t *ret_to)
{
    uint64_t from, to;
    int has_from, has_to;

    if (!text || strncmp(text, "bytes=", 6) != 0)
        return 0;
    text += 6;
    has_from = parse_position(&text, &from);
    if (has_from < 0 || *text != '-')
        return 0;
    text++;
    has_to = parse_position(&text, &to);
    if (has_to < 0 || *text || (!has_from && !has_to))
        return 0;
    if (!has_from) { /* the last `to` bytes */
        if (!to || !total)
            return ERR_INVALID;
        *ret_from = to < total ? total - to : 0;
        *ret_to = total - 1;
        return 1;
    }
    if (has_to && to < from)
        return 0;
    if (from >= total)
        return ERR_INVALID;
    *ret_from = from;
    *ret_to = has_to && to < total ? to : total - 1;
    return 1;
}

static int etag_listed(const char *header, const char *etag)
{
    return header && (!strcmp(header, "*") || strstr(header, etag));
}

static void start_download(struct download *d)
{
    struct http *x = d->x;
    const char *if_range = http_header(x, "If-Range");
    uint64_t from = 0, to = d->total - 1;
    char text[96];
    int partial = 0;

    http_set_header(x, "ETag", d->etag);
    http_set_header(x, "Accept-Ranges", "bytes");
    if (etag_listed(http_header(x, "If-None-Match"), d->etag)) {
        http_reply(x, 304, NULL, NULL, 0);
        return;
    }
    if (!if_range || !strcmp(if_range, d->etag))
        partial = archive_http_range(http_header(x, "Range"), d->total, &from, &to);
    if (partial < 0) {
        snprintf(text, sizeof text, "bytes */%" PRIu64, d->total);
        http_set_header(x, "Content-Range", text);
        http_reply_error(x, 416, "range_not_satisfiable", "the file has %" PRIu64 " bytes",
                         d->total);
        return;
    }
    if (partial) {
        snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from, to, d->total);
        http_set_header(x, "Content-Range", text);
    }
    d->offset = from;
    d->end = to + 1;
    {
        char name[ID_BYTES_MAX + 64];

        snprintf(name, sizeof name, "attachment; filename=\"%s.jsonl.zst\"", d->key.job);
        http_set_header(x, "Content-Disposition", name);
    }
    http_start(x, partial ? 206 : 200, "application/zstd", (int64_t)(d->end - d->offset));
    if (!strcmp(http_method(x), "HEAD")) {
        http_finish(x);
        return;
    }
    d->chunk = must_malloc(ARCHIVE_HTTP_CHUNK_BYTES);
    read_on(d);
}

static void on_listed(uv_work_t *req, int status)
{
    struct download *d = req->data;

    d->busy = 0;
    if (!d->x)
        free_download(d);
    else if (d->err < 0)
        http_reply_error(d->x, 500, err_code(d->err), "%s", err_text(d->err));
    else if (d->is_list)
        reply_list(d);
    else if (!d->total)
        http_reply_error(d->x, 404, err_code(ERR_NOT_FOUND), "nothing of this job is archived yet");
    else
        start_download(d);
}

static void begin(struct serve_ctx *ctx, struct http *x, const struct job_key *key, int is_list)
{
    struct download *d = must_calloc(1, sizeof *d);

    d->req.data = d;
    d->ctx = ctx;
    d->x = x;
    d->key = *key;
    d->is_list = is_list;
    d->fd = d->hold = -1;
    http_handle(x, &handler, d);
    d->busy = 1;
    CHECK(uv_queue_work(ctx->loop, &d->req, work_list, on_listed) == 0);
}

void archive_list_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    begin(ctx, x, key, 1);
}

void archive_download_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    begin(ctx, x, key, 0);
}
