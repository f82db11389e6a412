/*
 * tests/unit/serve/web_test.c -- the page's files through a played front hall, of a table of our own.
 */
#include "serve/web.h"

#include "serve/service.h"
#include "serve/web_int.h"
#include "tests/unit/serve/world.h"

const struct web_asset web_assets[] = {
    {"index.html", "text/html; charset=utf-8", "0123456789abcdef", "<p>", 3, NULL, 0},
    {"main.js", "text/javascript; charset=utf-8", "fedcba9876543210", "long text", 9, "gz", 2},
};
const unsigned web_asset_count = 2;

static const char *path;
const char *http_path(const struct http *x)
{
    return path;
}
void service_root(struct serve_ctx *ctx, struct http *x)
{
    http_reply(x, 200, "text/plain", "word", 4);
}

static void get(struct http *x, const char *name, const char *header, const char *value)
{
    door_init(x, "GET");
    if (header)
        door_header(x, header, value);
    path = name;
    if (!strcmp(name, "/"))
        web_root(&W.ctx, x);
    else if (!strncmp(name, "/jobs", 5))
        web_page(&W.ctx, x);
    else
        web_file(&W.ctx, x);
}

/* Who accepts HTML gets the page at /, others the word; /jobs is the page for all. */
static void page_or_word(void **state)
{
    struct http x;

    get(&x, "/", "Accept", "text/html,*/*;q=0.8");
    assert_string_equal(buf_cstr(&x.body), "<p>");
    door_close(&x);
    get(&x, "/", "Accept", "*/*");
    assert_string_equal(buf_cstr(&x.body), "word");
    assert_string_equal(door_sent(&x, "Vary"), "Accept");
    door_close(&x);
    get(&x, "/jobs/p/j", NULL, NULL);
    assert_string_equal(buf_cstr(&x.body), "<p>");
    assert_string_equal(door_sent(&x, "Content-Security-Policy"), WEB_CSP);
    door_close(&x);
}

/* Packed for who takes gzip, under an ETag of its own; plain when there is no packed form. */
static void codings(void **state)
{
    struct http x;

    get(&x, "/web/main.js", "Accept-Encoding", "br, gzip");
    assert_string_equal(buf_cstr(&x.body), "gz");
    assert_string_equal(door_sent(&x, "ETag"), "\"fedcba9876543210-gz\"");
    assert_string_equal(door_sent(&x, "Content-Encoding"), "gzip");
    door_close(&x);
    get(&x, "/web/main.js", "Accept-Encoding", "gzip;q=0");
    assert_string_equal(buf_cstr(&x.body), "long text");
    assert_string_equal(door_sent(&x, "ETag"), "\"fedcba9876543210\"");
    assert_null(door_sent(&x, "Content-Encoding"));
    door_close(&x);
    get(&x, "/web/index.html", "Accept-Encoding", "gzip");
    assert_string_equal(buf_cstr(&x.body), "<p>");
    door_close(&x);
    get(&x, "/web/other.js", NULL, NULL);
    assert_int_equal(x.status, 404);
    door_close(&x);
}

/* If-None-Match is a list, weak or strong, or a star; a tag that only begins alike is another. */
static void etags(void **state)
{
    struct http x;

    assert_true(web_etag_matches("\"a\"", "\"a\""));
    assert_true(web_etag_matches("\"b\" , W/\"a\"", "\"a\""));
    assert_true(web_etag_matches(" *", "\"a\""));
    assert_false(web_etag_matches("\"b\", \"ab\"", "\"a\""));
    assert_false(web_etag_matches("\"a\"b", "\"a\""));
    assert_false(web_etag_matches("", "\"a\""));
    assert_false(web_etag_matches(NULL, "\"a\""));
    get(&x, "/web/main.js", "If-None-Match", "\"fedcba9876543210\"");
    assert_int_equal(x.status, 304);
    assert_int_equal(x.body.len, 0);
    door_close(&x);
    get(&x, "/web/main.js", "If-None-Match", "\"fedcba9876543210-gz\"");
    assert_int_equal(x.status, 200);
    door_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(page_or_word, world_open, world_close),
        cmocka_unit_test_setup_teardown(codings, world_open, world_close),
        cmocka_unit_test_setup_teardown(etags, world_open, world_close),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
