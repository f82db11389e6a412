/*
 * tests/unit/storage/segment_grams_test.c -- the search grams: never a false no, seldom a false
 * yes.
 */
#include "tests/unit/storage/model.h"

#include "storage/segment_int.h"

#include <ctype.h>

static struct segment__group *decode(struct segment__index *ix, const struct buf *blobs,
                                     uint32_t group,
                                     uint32_t count)
{
    const unsigned char *p = (const unsigned char *)blobs->data;

    for (uint32_t i = 0; i < group; i++) p += ix->groups[i].bytes + SEGMENT_SKIP_HEADER_BYTES;
    assert_int_equal(segment__get32(p), SEGMENT_MAGIC_GRAMS);
    assert_int_equal(segment__grams_decode(&ix->groups[group], group * SEGMENT_GROUP_ENTRIES, count,
                                           p + SEGMENT_SKIP_HEADER_BYTES, ix->groups[group].bytes),
                                               0);
    return &ix->groups[group];
}

static void test_never_a_false_no(void **state)
{
    /* Any piece of any added text, in any case, is found in its frame, for every number of
     * frames. */
    struct model m;
    static const uint32_t counts[] = {1, 2, 8, 9, 16, 17, 33, 64, 65, 130};

    (void)state;
    model_init(&m, 21);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct segment__grams *g = segment__grams_new();
        struct segment__index ix = {0};
        struct buf blobs = BUF_INIT;
        char (*texts)[2048] = must_calloc(counts[c], 2048);

        for (uint32_t k = 0; k < counts[c]; k++) {
            segment__grams_add(g, texts[k], model_message(&m, texts[k], 2048));
            assert_int_equal(segment__grams_close_entry(g, &ix, &blobs), 0);
        }
        assert_int_equal(segment__grams_finish(g, &ix, &blobs), 0);
        assert_int_equal(ix.group_count, (counts[c] + 63) / 64);
        for (uint32_t k = 0; k < counts[c]; k++) {
            uint32_t group = k / 64, left = counts[c] - group * 64;
            struct segment__group *grp = ix.groups[group].rows ? &ix.groups[group]
                                                               : decode(&ix, &blobs, group,
                                                                        left < 64 ? left : 64);

            for (int round = 0; round < 20; round++) {
                size_t len = strlen(texts[k]), at = model_below(&m, len),
                    piece = 1 + model_below(&m, len - at);
                char q[2048];

                memcpy(q, texts[k] + at, piece);
                for (size_t i = 0; i < piece; i++)
                    if (model_below(&m, 2) && isascii(q[i])) q[i] = (char)toupper(q[i]);
                assert_true(segment__grams_mask(grp, q, piece) >> (k % 64) & 1);
            }
        }
        segment__grams_free(&g);
        segment__index_release(&ix);
        buf_release(&blobs);
        free(texts);
    }
    model_release(&m);
}

static void test_seldom_a_false_yes(void **state)
{
    /* A word no frame holds is ruled out in nearly all, though each holds 20,000 numbers. */
    struct segment__grams *g = segment__grams_new();
    struct segment__index ix = {0};
    struct buf blobs = BUF_INIT;
    struct segment__group *grp;
    struct model m;
    int yes = 0, asked = 0;

    (void)state;
    model_init(&m, 22);
    for (int k = 0; k < 64; k++) {
        for (int i = 0; i < 5000; i++) {
            char text[128];
            int len = snprintf(text, sizeof text,
                               "step %" PRIu64 " loss %" PRIu64 ".%04" PRIu64 " lr %" PRIu64 "e-5",
                               model_below(&m, 100000), model_below(&m, 10),
                                   model_below(&m, 10000), model_below(&m, 1000));

            segment__grams_add(g, text, (size_t)len);
        }
        assert_int_equal(segment__grams_close_entry(g, &ix, &blobs), 0);
    }
    grp = decode(&ix, &blobs, 0, 64);
    for (int i = 0; i < 1000; i++) {
        char word[8];

        for (int j = 0; j < 6; j++) word[j] = (char)('a' + model_below(&m, 26));
        yes += __builtin_popcountll(segment__grams_mask(grp, word, 6));
        asked += 64;
    }
    print_message("           %d of %d frames not ruled out, %zu bytes a frame\n", yes, asked,
                  blobs.len / 64);
    assert_true(yes * 100 < asked);
    assert_true(blobs.len / 64 < 2048);
    segment__grams_free(&g);
    segment__index_release(&ix);
    buf_release(&blobs);
    model_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_a_false_no),
        cmocka_unit_test(test_seldom_a_false_yes),
    };

    return cmocka_run_group_tests_name("storage/segment_grams", tests, NULL, NULL);
}
