/*
 * tests/unit/serve/shape_test.c -- slices of frames: parts, bounds, states apart, damaged text.
 */
#include "serve/shape.h"

#include "tests/unit/serve/world.h"

static struct frame *frame_of(const char *text)
{
    struct frame *f = NULL;
    size_t len = strlen(text);
    char *copy = must_strdup(text);

    assert_int_equal(frame_from_text(1, 0, NULL, &copy, len, &f), 0);
    return f;
}

static void shape_all(const struct shape *s, const struct frame *f, uint64_t from, uint64_t to,
                      int backward, size_t slice, struct buf *out)
{
    struct shape_walk w;
    struct shape_slice got;
    int more = 1;

    shape_start(&w, f, from, to, backward);
    while (more > 0)
        more = shape_step(s, f, &w, 0, slice, out, &got);
    assert_int_equal(more, 0);
}

#define TS "\"ts\":\"2026-11-23T20:54:01.123456Z\""

/* The parts of a split line are one line of text again, even across slices; read backwards or
 * filtered they are not joined. */
static void joins_parts(void **state)
{
    struct frame *f = frame_of(
        "{\"seq\":1," TS
        ",\"stream\":\"a,b\",\"msg\":\"one\\n\",\"fields\":{\"part\":{\"n\":1,\"of\":2}}}\n"
        "{\"seq\":2," TS ",\"msg\":\"two\",\"fields\":{\"part\":{\"n\":2,\"of\":2}}}\n"
        "{\"seq\":3," TS ",\"state\":\"TRAINING_JOB_RUNNING\",\"msg\":\"x\"}\n"
        "{\"seq\":4," TS ",\"msg\":\"\",\"fields\":{\"a\":1}}\n"
        "{\"seq\":5," TS ",\"msg\":\"say \\\"msg\\\":\\\"no\\\"\"}\n");
    struct shape s = {.kind = SHAPE_TEXT, .skip_states = 1};

    for (size_t slice = 1; slice < 40; slice++) {
        struct buf out = BUF_INIT;

        shape_all(&s, f, 1, 5, 0, slice, &out);
        assert_string_equal(out.data, "one\ntwo\n\nsay \"msg\":\"no\"\n");
        buf_clear(&out);
        shape_all(&s, f, 1, 4, 1, slice, &out);
        assert_string_equal(out.data, "\ntwo\none\n\n");
        buf_release(&out);
    }
    frame_unref(&f);
}

/* A state change comes alone when asked so, and the records around it keep their order. */
static void sets_states_apart(void **state)
{
    struct frame *f =
        frame_of("{\"seq\":1," TS ",\"msg\":\"a\"}\n{\"seq\":2," TS
                 ",\"state\":\"TRAINING_JOB_RUNNING\",\"msg\":\"s\"}\n"
                 "{\"seq\":3," TS ",\"msg\":\"b\"}\n{\"seq\":4," TS ",\"msg\":\"c\"}\n");
    struct shape s = {.kind = SHAPE_ARRAY, .split_states = 1};
    static const uint64_t records[] = {1, 1, 2}, last[] = {1, 2, 4};
    static const int states[] = {0, 1, 0};
    struct shape_walk w;
    int more = 1, i = 0;

    shape_start(&w, f, 1, 4, 0);
    for (; more > 0; i++) {
        struct buf out = BUF_INIT;
        struct shape_slice got;

        more = shape_step(&s, f, &w, 0, 1000, &out, &got);
        assert_true(i < 3);
        assert_int_equal(got.records, records[i]);
        assert_int_equal(got.last_seq, last[i]);
        assert_int_equal(got.is_state, states[i]);
        assert_true(out.data[0] == '{' && out.data[out.len - 1] == '}');
        buf_release(&out);
    }
    assert_int_equal(i, 3);
    frame_unref(&f);
}

/* Every range of a frame, in every slice size, gives exactly its records. */
static void gives_exactly_the_range(void **state)
{
    struct frame *f = world_frame(1, 30);

    for (uint64_t from = 1; from <= 30; from++) {
        for (uint64_t to = from; to <= 32; to++) {
            struct shape s = {.kind = SHAPE_NDJSON};
            struct buf out = BUF_INIT, want = BUF_INIT;

            for (uint64_t q = from; q <= to && q <= 30; q++)
                world_record(q, &want);
            shape_all(&s, f, from, to, 0, 1 + rnd(2000), &out);
            assert_int_equal(out.len, want.len);
            assert_memory_equal(out.data, want.data, want.len);
            buf_release(&out);
            buf_release(&want);
        }
    }
    frame_unref(&f);
}

/* Text that is not canonical is ERR_CORRUPT, never read beyond. */
static void refuses_damage(void **state)
{
    struct frame *f = world_frame(1, 5);
    struct shape text = {.kind = SHAPE_TEXT, .skip_states = 1},
                 json = {.kind = SHAPE_ARRAY, .split_states = 1};

    for (size_t at = 0; at < f->text_bytes; at++) {
        char was = f->text[at];

        for (int k = 0; k < 2; k++) {
            struct buf out = BUF_INIT;
            struct shape_slice got;
            struct shape_walk w;
            int more = 1, steps = 0;

            f->text[at] = k ? '"' : '\\';
            shape_start(&w, f, 1, 5, 0);
            while (more > 0 && steps++ < 100)
                more = shape_step(k ? &text : &json, f, &w, 0, 50, &out, &got);
            assert_true(more <= 0);
            buf_release(&out);
        }
        f->text[at] = was;
    }
    frame_unref(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_parts),
        cmocka_unit_test(sets_states_apart),
        cmocka_unit_test(gives_exactly_the_range),
        cmocka_unit_test(refuses_damage),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
