/*
 * tests/unit/ingest/decode_test.c -- every stated outcome of docs/protocol.md, "What may be in a line".
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/ingest/decode_help.h"

#define S(text) (text), sizeof(text) - 1

static void ndjson(const char *in, size_t len, const char *want)
{
    struct decode_options o = help_options(DECODE_NDJSON);
    help_expect(&o, in, len, want);
}

static void text(const char *in, size_t len, const char *want)
{
    struct decode_options o = help_options(DECODE_TEXT);
    help_expect(&o, in, len, want);
}

static void bad(const char *in, size_t len)
{
    struct decode_options o = help_options(DECODE_NDJSON);
    help_refuse(&o, in, len, ERR_INVALID, 1);
}

#define T0 "{" HELP_TS

static void test_canonical(void **state)
{
    (void)state; /* A line that is canonical already comes out byte for byte. */
    const char *line =
        "{\"ts\":\"2026-11-23T20:54:01.123456Z\",\"rank\":3,\"replica\":\"node-1\",\"stream\":"
        "\"stderr\",\"level\":\"error\",\"msg\":\"a \\\"b\\\" \xc3\xa9\",\"fields\":{\"k\":1.50}}\n";
    ndjson(line, strlen(line), line);
}

static void test_aliases(void **state)
{
    (void)state; /* Every usual name is understood, the first in order wins, the others become fields. */
    const char *msgs[] = {"msg", "message", "log", "body", "text"},
               *times[] = {"ts", "timestamp", "time", "@timestamp"},
               *levels[] = {"level", "severity", "lvl", "levelname"};
    for (int i = 0; i < 20; i++) {
        char in[256];
        snprintf(in, sizeof in, "{\"%s\":\"hi\",\"%s\":\"2026-11-23T20:54:01Z\",\"%s\":\"WARNING\"}", msgs[i % 5],
                 times[i % 4], levels[i % 4]);
        ndjson(in, strlen(in), "{\"ts\":\"2026-11-23T20:54:01.000000Z\",\"level\":\"warn\",\"msg\":\"hi\"}\n");
    }
    ndjson(S("{\"text\":\"t\",\"message\":\"m\",\"msg\":\"x\"}"),
           T0 ",\"msg\":\"x\",\"fields\":{\"message\":\"m\",\"text\":\"t\"}}\n");
    ndjson(S("{\"severity\":\"loud\",\"level\":\"nope\",\"lvl\":\"err\"}"),
           T0 ",\"level\":\"error\",\"msg\":\"\",\"fields\":{\"level\":\"nope\",\"severity\":\"loud\"}}\n");
    ndjson(S("{\"ts\":\"soon\",\"time\":1764000000,\"msg\":\"x\"}"),
           "{\"ts\":\"2025-11-24T16:00:00.000000Z\",\"msg\":\"x\",\"fields\":{\"ts\":\"soon\"}}\n");
}

static void test_times(void **state)
{
    (void)state; /* RFC 3339 with any offset and epochs of every unit are times, as number or string. */
    static const char *const same[] = {"1764000000.5", "\"1764000000.5\"", "1764000000500", "\"1764000000500000\"",
                                       "1764000000500000000", "\"2025-11-24T16:00:00.5Z\"",
                                       "\"2025-11-24T17:00:00.500000+01:00\"", "\"2025-11-24 16:00:00.500000Z\"",
                                       "\"2025-11-24T16:00:00.500000Z\""};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char in[128];
        snprintf(in, sizeof in, "{\"ts\":%s,\"msg\":\"x\"}", same[i]);
        ndjson(in, strlen(in), "{\"ts\":\"2025-11-24T16:00:00.500000Z\",\"msg\":\"x\"}\n");
    }
    /* the remembered minute does not leak into the next line */
    ndjson(S("{\"ts\":\"2025-11-24T16:00:59.000001Z\"}\n{\"ts\":\"2025-11-24T16:01:00.000001Z\"}\n"
             "{\"ts\":\"2025-11-24T16:01:61.000001Z\"}\n{\"ts\":\"2025-13-24T16:01:01.000001Z\"}\n"),
           "{\"ts\":\"2025-11-24T16:00:59.000001Z\",\"msg\":\"\"}\n{\"ts\":\"2025-11-24T16:01:00.000001Z\","
           "\"msg\":\"\"}\n" T0 ",\"msg\":\"\",\"fields\":{\"ts\":\"2025-11-24T16:01:61.000001Z\"}}\n" T0
           ",\"msg\":\"\",\"fields\":{\"ts\":\"2025-13-24T16:01:01.000001Z\"}}\n");
    ndjson(S("{\"ts\":\"2016-12-31T23:59:60.000000Z\"}"),
           "{\"ts\":\"2016-12-31T23:59:59.999999Z\",\"msg\":\"\"}\n");
}

static void test_time_of_summaries(void **state)
{
    (void)state; /* A time copied as text is the same as a number, also when its minute was seen before. */
    struct decode_options o = help_options(DECODE_NDJSON);
    struct decoded r = help_decode(&o, S("{\"ts\":\"2025-11-24T16:00:30.000007Z\"}\n"
                                         "{\"ts\":\"2025-11-24T16:00:31.000008Z\"}\n"));
    assert_int_equal(r.batch->frames[0].sum.ts_min_us, INT64_C(1764000030000007));
    assert_int_equal(r.batch->frames[0].sum.ts_max_us, INT64_C(1764000031000008));
    help_release(&r);
}

static void test_fields(void **state)
{
    (void)state; /* Unknown members, seq and state among them, are kept; an incoming fields object comes first. */
    ndjson(S("{\"seq\":7,\"msg\":\"x\",\"state\":\"DONE\",\"fields\":{ \"a\" : [1, {\"b\":null}] },\"z\":true}"),
           T0 ",\"msg\":\"x\",\"fields\":{\"a\":[1,{\"b\":null}],\"seq\":7,\"state\":\"DONE\",\"z\":true}}\n");
    ndjson(S("{\"fields\":\"x\",\"msg\":\"y\"}"), T0 ",\"msg\":\"y\",\"fields\":{\"fields\":\"x\"}}\n");
    ndjson(S("{\"fields\":{},\"msg\":\"y\"}"), T0 ",\"msg\":\"y\"}\n");
    ndjson(S("{\"a\":12345678901234567890123456789,\"b\":-1.0e+999,\"c\":0.10}"),
           T0 ",\"msg\":\"\",\"fields\":{\"a\":12345678901234567890123456789,\"b\":-1.0e+999,\"c\":0.10}}\n");
    ndjson(S("{\"loss\":NaN,\"a\":[Infinity,-Infinity]}"),
           T0 ",\"msg\":\"\",\"fields\":{\"loss\":\"NaN\",\"a\":[\"Infinity\",\"-Infinity\"]}}\n");
}

static void test_ranks(void **state)
{
    (void)state; /* A rank is 0 to 65535, as number or digits; anything else is a field. */
    ndjson(S("{\"rank\":0}\n{\"rank\":\"65535\"}\n{\"rank\":65536}\n{\"rank\":-1}\n{\"rank\":\"x\"}\n{"
             "\"rank\":1.0}"),
           T0 ",\"rank\":0,\"msg\":\"\"}\n" T0 ",\"rank\":65535,\"msg\":\"\"}\n" T0
              ",\"msg\":\"\",\"fields\":{\"rank\":65536}}\n" T0 ",\"msg\":\"\",\"fields\":{\"rank\":-1}}\n" T0
              ",\"msg\":\"\",\"fields\":{\"rank\":\"x\"}}\n" T0 ",\"msg\":\"\",\"fields\":{\"rank\":1.0}}\n");
    ndjson(S("{\"replica\":\"a/b\",\"stream\":\"st err\"}"),
           T0 ",\"msg\":\"\",\"fields\":{\"replica\":\"a/b\",\"stream\":\"st err\"}}\n");
}

static void test_defaults(void **state)
{
    (void)state; /* What a line does not say comes from the request. */
    struct decode_options o = help_options(DECODE_NDJSON);
    o.rank = 4;
    strcpy(o.replica, "n1");
    strcpy(o.stream, "stdout");
    o.level = LEVEL_INFO;
    help_expect(
        &o,
        S("{\"msg\":\"ERROR: "
          "x\"}\n{\"rank\":1,\"replica\":\"n2\",\"stream\":\"stderr\",\"level\":\"debug\"}"),
        T0
        ",\"rank\":4,\"replica\":\"n1\",\"stream\":\"stdout\",\"level\":\"info\",\"msg\":\"ERROR: x\"}\n" T0
        ",\"rank\":1,\"replica\":\"n2\",\"stream\":\"stderr\",\"level\":\"debug\",\"msg\":\"\"}\n");
}

static void test_null_and_duplicates(void **state)
{
    (void)state; /* null is absent; of a known name given twice the last wins; unknown ones are both kept. */
    ndjson(S("{\"msg\":null,\"message\":\"m\",\"rank\":null,\"ts\":null,\"level\":null,\"fields\":null}"),
           T0 ",\"msg\":\"m\"}\n");
    ndjson(S("{\"msg\":\"a\",\"msg\":\"b\",\"rank\":1,\"rank\":2,\"k\":1,\"k\":2}"),
           T0 ",\"rank\":2,\"msg\":\"b\",\"fields\":{\"k\":1,\"k\":2}}\n");
    ndjson(S("{\"msg\":\"a\",\"msg\":null}"), T0 ",\"msg\":\"\"}\n");
}

static void test_msg_kinds(void **state)
{
    (void)state; /* A message that is no string is its JSON text; no message at all is an empty one. */
    ndjson(S("{\"msg\":{\"a\": \"q\\\"\"}}\n{\"msg\":1.50}\n{\"msg\":[ ]}\n{\"msg\":false}\n{\"k\":1}"),
           T0 ",\"msg\":\"{\\\"a\\\":\\\"q\\\\\\\"\\\"}\"}\n" T0 ",\"msg\":\"1.50\"}\n" T0 ",\"msg\":\"[]\"}\n"
           T0 ",\"msg\":\"false\"}\n" T0 ",\"msg\":\"\",\"fields\":{\"k\":1}}\n");
    ndjson(S("{\"log\":\"docker\\n\",\"stream\":\"stdout\"}\n{\"log\":\"a\\\\n\"}\n{\"msg\":\"b\\n\"}"),
           T0 ",\"stream\":\"stdout\",\"msg\":\"docker\"}\n" T0 ",\"msg\":\"a\\\\n\"}\n" T0
              ",\"msg\":\"b\\n\"}\n");
}

static void test_bad_lines(void **state)
{
    (void)state; /* What is no JSON object is refused with its line's number. */
    static const char *const lines[] = {"{}",
                                        "{ }",
                                        "[]",
                                        "\"x\"",
                                        "x",
                                        "{\"a\":1",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":01}",
                                        "{\"a\":+1}",
                                        "{\"a\":1.}",
                                        "{\"a\":.5}",
                                        "{\"a\":1e}",
                                        "{\"a\":tru}",
                                        "{\"a\":1,}",
                                        "{,\"a\":1}",
                                        "{a:1}",
                                        "{\"a\":1} x",
                                        "{\"a\":1}{}",
                                        "{\"a\":\"x}",
                                        "{\"a\":\"\\x\"}",
                                        "{\"a\":\"\\u12g4\"}",
                                        "{\"a\":\"\\u12\"}",
                                        "{\"a\":[1,]}",
                                        "{\"a\":[1}",
                                        "{\"a\":--1}",
                                        "{\"a\":1 2}",
                                        "{\"a\":\"\\",
                                        "{\"a\" 1}",
                                        "{\"msg\":\"a\" \"b\"}",
                                        "{\"fields\":{\"a\"}}",
                                        "{\"a\":1.2.3}"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) bad(lines[i], strlen(lines[i]));
    struct decode_options o = help_options(DECODE_NDJSON);
    help_refuse(&o, S("{\"msg\":\"1\"}\n\n{\"msg\":\"3\"}\nnope\n{\"msg\":\"5\"}\n"), ERR_INVALID, 4);
}

static void test_skip_bad(void **state)
{
    (void)state; /* With on_error=skip a bad line is kept as text, as it was, and counted. */
    struct decode_options o = help_options(DECODE_NDJSON);
    o.skip_bad = 1;
    struct decoded r = help_decode(&o, S("{\"msg\":\"1\"}\n  File \"x\"\r\n{\"bad\":\n{\"msg\":\"\xff\",}\n"));
    assert_int_equal(r.err, 0);
    assert_int_equal(r.batch->skipped_bad_count, 3);
    assert_int_equal(r.batch->replaced_utf8_count, 1);
    assert_string_equal(buf_cstr(&r.text), T0 ",\"msg\":\"1\"}\n" T0 ",\"msg\":\"  File \\\"x\\\"\"}\n" T0
                                              ",\"msg\":\"{\\\"bad\\\":\"}\n" T0
                                              ",\"msg\":\"{\\\"msg\\\":\\\"\xef\xbf\xbd\\\",}\"}\n");
    help_release(&r);
}

static void test_depth(void **state)
{
    (void)state; /* Values may nest DECODE_DEPTH_MAX deep; one more is a bad line. */
    for (int depth = DECODE_DEPTH_MAX; depth <= 100000;
         depth = depth == DECODE_DEPTH_MAX ? depth + 1 : depth * 300) {
        struct buf b = BUF_INIT;
        struct decode_options o = help_options(DECODE_NDJSON);
        buf_adds(&b, "{\"a\":");
        for (int i = 0; i < depth; i++) buf_addc(&b, i % 2 ? '[' : '[');
        for (int i = 0; i < depth; i++) buf_addc(&b, ']');
        buf_addc(&b, '}');
        struct decoded r = help_decode_chunks(&o, b.data, b.len, b.len);
        assert_int_equal(r.err, depth == DECODE_DEPTH_MAX ? 0 : ERR_INVALID);
        help_release(&r);
        buf_release(&b);
    }
}

static void test_bytes(void **state)
{
    (void)
        state; /* Bad UTF-8 becomes U+FFFD, NUL stays escaped, both counted; controls are escaped; surrogates replaced. */
    struct decode_options o = help_options(DECODE_NDJSON);
    struct decoded r =
        help_decode(&o, S("{\"msg\":\"a\xff\x62\xe2\x82\x63\xc0\x80\"}\n{\"msg\":\"n\0\\u0000\"}\n"
                          "{\"msg\":\"\x01\t\x1b[0m\x7f\"}\n{\"msg\":\"\\ud800x\\udc00\\ud83d\\ude00\"}\n"
                          "{\"\xff\":\"\xed\xa0\x80\"}"));
    assert_int_equal(r.err, 0);
    assert_string_equal(
        buf_cstr(&r.text),
        T0 ",\"msg\":\"a\xef\xbf\xbd"
           "b\xef\xbf\xbd"
           "c\xef\xbf\xbd\xef\xbf\xbd\"}\n" T0 ",\"msg\":\"n\\u0000\\u0000\"}\n" T0
           ",\"msg\":\"\\u0001\\t\\u001b[0m\x7f\"}\n" T0 ",\"msg\":\"\\ufffdx\\ufffd\\ud83d\\ude00\"}\n" T0
           ",\"msg\":\"\",\"fields\":{\"\xef\xbf\xbd\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}}\n");
    assert_int_equal(r.batch->replaced_utf8_count, 4 + 2 + 4);
    assert_int_equal(r.batch->nul_count, 2);
    help_release(&r);
}

static void test_text(void **state)
{
    (void)state; /* Text: a line is a message, blank ones too; CRLF and a missing last newline are fine. */
    text(S("a\r\n\n\"q\"\\\n{\"x\":1}\n last"),
         T0 ",\"msg\":\"a\"}\n" T0 ",\"msg\":\"\"}\n" T0 ",\"msg\":\"\\\"q\\\"\\\\\"}\n" T0
            ",\"msg\":\"{\\\"x\\\":1}\"}\n" T0 ",\"msg\":\" last\"}\n");
    text(S("\n"), T0 ",\"msg\":\"\"}\n");
    text(S(""), "");
    text(S("\xef\xbb\xbf"
           "bom\n\xef\xbb\xbf"
           "kept"),
         T0 ",\"msg\":\"bom\"}\n" T0 ",\"msg\":\"\xef\xbb\xbf"
            "kept\"}\n");
    text(S("\xef\xbb"), T0 ",\"msg\":\"\xef\xbf\xbd\"}\n");
    struct decode_options o = help_options(DECODE_TEXT);
    struct decoded r = help_decode(&o, S("a\0b\xff\xf0\x9f\x98\x80\n"));
    assert_string_equal(buf_cstr(&r.text), T0 ",\"msg\":\"a\\u0000b\xef\xbf\xbd\xf0\x9f\x98\x80\"}\n");
    assert_int_equal(r.batch->nul_count, 1);
    assert_int_equal(r.batch->replaced_utf8_count, 1);
    assert_int_equal(r.batch->msg_bytes, 8);
    help_release(&r);
}

static void test_level_from_text(void **state)
{
    (void)state; /* Without a level the text tells it, through escapes too. */
    text(S("Traceback (most recent call last):"),
         T0 ",\"level\":\"error\",\"msg\":\"Traceback (most recent call last):\"}\n");
    ndjson(S("{\"msg\":\"[ERROR] \\u0041\"}"), T0 ",\"level\":\"error\",\"msg\":\"[ERROR] \\u0041\"}\n");
    ndjson(S("{\"msg\":\"[ERROR] a\"}"), T0 ",\"level\":\"error\",\"msg\":\"[ERROR] a\"}\n");
}

static void test_redraws(void **state)
{
    (void)state; /* Of a redrawn line the final text is the message; count and a thinned history are fields. */
    text(S(" 1%\r 50%\r100%\r\n"),
         T0 ",\"msg\":\"100%\",\"fields\":{\"redraws\":2,\"history\":[\" 1%\",\" 50%\"]}}\n");
    text(S("\r\r 5%\r   \r\x1b[2K\r\n"), T0 ",\"msg\":\" 5%\"}\n");
    text(S("\r\r\n"), T0 ",\"msg\":\"\"}\n");
    text(S("x\r\r\n"), T0 ",\"msg\":\"x\"}\n");
    ndjson(S("{\"msg\":\"1\\r2\\u000d3\",\"k\":1}"),
           T0 ",\"msg\":\"3\",\"fields\":{\"k\":1,\"redraws\":2,\"history\":[\"1\",\"2\"]}}\n");
    ndjson(S("{\"msg\":\"a\\r\\nb\\\\r\"}"), T0 ",\"msg\":\"a\\r\\nb\\\\r\"}\n");
    ndjson(S("{\"msg\":\"a\r\\u0000\"}"),
           T0 ",\"msg\":\"\\u0000\",\"fields\":{\"redraws\":1,\"history\":[\"a\"]}}\n");
}

static void test_redraw_history_is_thinned(void **state)
{
    (void)state; /* At most 8 earlier segments, evenly spread, each cut to 512 bytes between characters. */
    struct buf b = BUF_INIT;
    for (int i = 0; i < 100; i++) buf_addf(&b, "%d\r", i);
    buf_adds(&b, "end");
    text(b.data, b.len,
         T0 ",\"msg\":\"end\",\"fields\":{\"redraws\":100,\"history\":[\"0\",\"12\",\"25\",\"37\",\"50\","
            "\"62\",\"75\",\"87\"]}}\n");
    buf_clear(&b);
    for (int i = 0; i < 511; i++) buf_addc(&b, 'x');
    buf_adds(&b, "\xc3\xa9\rend");
    struct decode_options o = help_options(DECODE_TEXT);
    struct decoded r = help_decode(&o, b.data, b.len);
    assert_non_null(strstr(buf_cstr(&r.text), "xxx\"]}}"));
    assert_int_equal(r.batch->replaced_utf8_count, 0);
    help_release(&r);
    buf_release(&b);
}

static void test_split(void **state)
{
    (void)
        state; /* A message over the limit becomes marked parts that join to what was sent; none is cut in a character. */
    for (int json = 0; json < 2; json++) {
        struct decode_options o = help_options(json ? DECODE_NDJSON : DECODE_TEXT);
        struct buf b = BUF_INIT, joined = BUF_INIT;
        size_t total = 0;
        o.line_bytes_max = 1000;
        if (json) buf_adds(&b, "{\"k\":1,\"msg\":\"");
        for (int i = 0; i < 1200; i++, total += 3) buf_adds(&b, "\xe2\x82\xac");
        buf_adds(&b, json ? "\"}" : "");
        struct decoded r = help_decode(&o, b.data, b.len);
        assert_int_equal(r.err, 0);
        assert_int_equal(r.batch->line_count, 4);
        assert_int_equal(r.batch->split_count, 1);
        assert_int_equal(r.batch->replaced_utf8_count, 0);
        assert_int_equal(r.batch->msg_bytes, total);
        size_t at = 0;
        for (int n = 1; n <= 4; n++) {
            struct record_view v;
            char want[80];
            const char *nl = strchr(r.text.data + at, '\n');
            assert_int_equal(record_parse(r.text.data + at, (size_t)(nl - r.text.data) - at, &v), 0);
            snprintf(want, sizeof want, "{%s\"part\":{\"n\":%d,\"of\":4}}", json && n == 1 ? "\"k\":1," : "", n);
            assert_int_equal(v.fields_json_len, strlen(want));
            assert_memory_equal(v.fields_json, want, strlen(want));
            assert_int_equal(record_msg(&v, &joined), 0);
            at = (size_t)(nl - r.text.data) + 1;
        }
        assert_int_equal(joined.len, total);
        assert_memory_equal(joined.data, strstr(b.data, "\xe2"), total);
        help_release(&r);
        buf_release(&b);
        buf_release(&joined);
    }
}

static void test_numbered_is_not_split(void **state)
{
    (void)state; /* A numbered line keeps its one number: it stays whole up to 4 MiB and is refused above. */
    struct decode_options o = help_options(DECODE_TEXT);
    o.line_bytes_max = 1000;
    o.numbered = 1;
    char *big = malloc(DECODE_JSON_LINE_BYTES_MAX + 100);
    memset(big, 'x', DECODE_JSON_LINE_BYTES_MAX + 100);
    struct decoded r = help_decode_chunks(&o, big, DECODE_JSON_LINE_BYTES_MAX, 65536);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.batch->line_count, 1);
    help_release(&r);
    r = help_decode_chunks(&o, big, DECODE_JSON_LINE_BYTES_MAX + 100, 65536);
    assert_int_equal(r.err, ERR_TOO_BIG);
    assert_int_equal(r.line, 1);
    help_release(&r);
    free(big);
}

static void test_limits(void **state)
{
    (void)state; /* Every limit is an error that names the line. */
    struct decode_options o = help_options(DECODE_NDJSON);
    char *big = malloc(5 << 20);
    memset(big, 'x', 5 << 20);
    memcpy(big, "{\"a\":1}\n{\"msg\":\"", 16);
    struct decoded r = help_decode_chunks(&o, big, 5 << 20, 65536);
    assert_int_equal(r.err, ERR_TOO_BIG);
    assert_int_equal(r.line, 2);
    help_release(&r);
    memcpy(big + 70000, "\"}\n", 3);
    memcpy(big + 8, "{\"key\":\"", 8);
    help_refuse(&o, big, 70003, ERR_TOO_BIG, 2);
    free(big);
    o.lines_max = 2;
    help_refuse(&o, S("{\"a\":1}\n{\"a\":1}\n{\"a\":1}\n"), ERR_LIMIT, 3);
    o.lines_max = 10;
    o.body_bytes_max = 10;
    struct decoder *d = NULL;
    assert_int_equal(decoder_new(&o, &d), 0);
    assert_int_equal(decoder_feed(d, "{\"a\":1}\n{\"a\":1}\n", 16), ERR_TOO_BIG);
    assert_int_equal(decoder_feed(d, "x", 1), ERR_TOO_BIG);
    decoder_free(&d);
    o.line_bytes_max = DECODE_LINE_BYTES_MAX + 1;
    assert_int_equal(decoder_new(&o, &d), ERR_INVALID);
}

static void test_array(void **state)
{
    (void)state; /* A JSON document: an array of objects and strings, one object over lines, or NDJSON. */
    struct decode_options o = help_options(DECODE_ARRAY);
    help_expect(&o, S(" [ {\"msg\":\"a]\\\"\"} ,\n\"s\\n\" , {\n\"msg\" : \"b\"\n} ] \n"),
                T0 ",\"msg\":\"a]\\\"\"}\n" T0 ",\"msg\":\"s\\n\"}\n" T0 ",\"msg\":\"b\"}\n");
    help_expect(&o, S("[]"), "");
    help_expect(&o, S("{\n  \"msg\": \"one\",\n \"k\": [1,\n2]}\n"),
                T0 ",\"msg\":\"one\",\"fields\":{\"k\":[1,2]}}\n");
    help_expect(&o, S("{\"msg\":\"a\"}\n{\"msg\":\"b\"}\n"), T0 ",\"msg\":\"a\"}\n" T0 ",\"msg\":\"b\"}\n");
    help_expect(&o, S("{\n\"msg\":\"a\"}{\"msg\":\"b\"}"), T0 ",\"msg\":\"a\"}\n" T0 ",\"msg\":\"b\"}\n");
    static const char *const broken[] = {"[", "[{\"a\":1}", "[{\"a\":1},]", "[,]", "[{\"a\":1} {\"a\":1}]",
                                         "[{\"a\":1}]x", "[1]", "[{\"a\":1},null]", "[{\"a\":1}}]", "[{\"a\":1"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct decoded r = help_decode(&o, broken[i], strlen(broken[i]));
        if (r.err != ERR_INVALID) fail_msg("%s gave %d", broken[i], r.err);
        help_release(&r);
    }
    o.skip_bad = 1;
    help_expect(&o, S("[1,{\"a\":1}, tru ]"),
                T0 ",\"msg\":\"1\"}\n" T0 ",\"msg\":\"\",\"fields\":{\"a\":1}}\n" T0 ",\"msg\":\"tru\"}\n");
}

static void test_auto(void **state)
{
    (void)state; /* AUTO looks: '{' NDJSON, '[{' array, else text; a first '{' that is no object makes it text. */
    struct decode_options o = help_options(DECODE_AUTO);
    help_expect(&o, S("\n {\"msg\":\"a\"}\n\n{\"msg\":\"b\"}"), T0 ",\"msg\":\"a\"}\n" T0 ",\"msg\":\"b\"}\n");
    help_expect(&o, S("[{\"msg\":\"a\"}]"), T0 ",\"msg\":\"a\"}\n");
    help_expect(&o, S("[\"a\"]"), T0 ",\"msg\":\"a\"}\n");
    help_expect(&o, S("[INFO] a\n[b]"), T0 ",\"level\":\"info\",\"msg\":\"[INFO] a\"}\n" T0 ",\"msg\":\"[b]\"}\n");
    help_expect(&o, S("\n  x\n{\"msg\":\"a\"}"),
                T0 ",\"msg\":\"\"}\n" T0 ",\"msg\":\"  x\"}\n" T0 ",\"msg\":\"{\\\"msg\\\":\\\"a\\\"}\"}\n");
    help_expect(&o, S("\n {x}\n{\"msg\":\"a\"}"),
                T0 ",\"msg\":\"\"}\n" T0 ",\"msg\":\" {x}\"}\n" T0 ",\"msg\":\"{\\\"msg\\\":\\\"a\\\"}\"}\n");
    help_expect(&o, S("["), T0 ",\"msg\":\"[\"}\n");
    help_expect(&o, S("\xef\xbb\xbf{\"msg\":\"a\"}"), T0 ",\"msg\":\"a\"}\n");
    help_expect(&o, S(""), "");
    help_refuse(&o, S("{\"msg\":\"a\"}\ntext"), ERR_INVALID, 2);
}

static void test_counts(void **state)
{
    (void)state; /* The batch sums up levels, ranks, bytes and times of its lines. */
    struct decode_options o = help_options(DECODE_NDJSON);
    struct decoded r =
        help_decode(&o, S("{\"msg\":\"\\u00e9\\n\",\"rank\":2,\"level\":\"warn\",\"ts\":10}\n"
                          "{\"msg\":\"ab\",\"rank\":1,\"ts\":5}\n{\"msg\":\"c\",\"rank\":2,\"ts\":7}\n"));
    assert_int_equal(r.batch->line_count, 3);
    assert_int_equal(r.batch->msg_bytes, 3 + 2 + 1);
    assert_int_equal(r.batch->level_count[LEVEL_WARN], 1);
    assert_int_equal(r.batch->level_count[LEVEL_NONE], 2);
    assert_int_equal(r.batch->rank_count, 2);
    assert_int_equal(r.batch->recv_us, HELP_RECV_US);
    assert_int_equal(r.batch->frames[0].sum.rank_lo, 1);
    assert_int_equal(r.batch->frames[0].sum.rank_hi, 2);
    assert_int_equal(r.batch->frames[0].sum.ts_min_us, 5000000);
    assert_int_equal(r.batch->frames[0].sum.ts_max_us, 10000000);
    help_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),       cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_times), cmocka_unit_test(test_time_of_summaries),           cmocka_unit_test(test_fields),
        cmocka_unit_test(test_ranks),           cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_null_and_duplicates), cmocka_unit_test(test_msg_kinds),
        cmocka_unit_test(test_bad_lines),       cmocka_unit_test(test_skip_bad),
        cmocka_unit_test(test_depth),           cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_text),            cmocka_unit_test(test_level_from_text),
        cmocka_unit_test(test_redraws),         cmocka_unit_test(test_redraw_history_is_thinned),
        cmocka_unit_test(test_split),           cmocka_unit_test(test_numbered_is_not_split),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_array),
        cmocka_unit_test(test_auto),            cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
