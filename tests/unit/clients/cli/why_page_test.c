/* tests/unit/clients/cli/why_page_test.c -- clients/cli/why_page.c */
#include "clients/cli/why_page.h"

#include "base/err.h"
#include "clients/cli/term.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define EVIL "\\u001b]0;x\\u0007 \\u202e<b>"

static const char sample[] =
    "{\"job\":{\"id\":\"demo\",\"state\":\"TRAINING_JOB_FAILED\",\"ranks\":8,\"lines\":1234,"
    "\"duration_s\":62.5,\"sealed\":true,"
    "\"complete\":false},\"missing\":[\"rank "
    "5\"],\"verdict\":{\"kind\":\"failed\",\"sentence\":\"Rank 3 failed first, 2.0 s before any "
    "other (clock error 20 ms): CUDA out of memory. Ranks 0-2,4-7 failed in "
    "consequence.\",\"confidence\":\"certain\"},"
    "\"causes\":[{\"cause\":\"cuda_oom\",\"title\":\"CUDA out of "
    "memory\",\"role\":\"primary\",\"ranks\":\"3\",\"count\":1,"
    "\"first\":{\"seq\":812,\"at\":\"2026-11-23T20:54:01.123456Z\",\"rank\":3},\"line\":\"x\"}],"
    "\"timeline\":[{\"at\":\"2026-11-23T20:54:01.123456Z\",\"seq\":812,\"what\":\"error\",\"rank\":"
    "3,\"text\":\"boom " EVIL "\"}],"
    "\"ranks\":[{\"rank\":3,\"replica\":\"node-1\",\"status\":\"failed_first\",\"errors\":2,\"last_"
    "line\":\"  end " EVIL "\",\"age_at_end_s\":0.02,\"step\":42,\"step_lag\":1,\"skew_s\":0.001,"
                           "\"exit_code\":137,\"signal\":\"SIGKILL\"}],\"ranks_omitted\":7,"
    "\"groups\":[{\"role\":\"primary\",\"title\":\"OOM\",\"count\":1,\"rank_count\":1,\"ranks\":"
    "\"3\",\"text\":\"Traceback (most recent call "
    "last):\\n  File \\\"a.py\\\"\\nOOM: " EVIL
    "\",\"first\":{\"seq\":812,\"rank\":3}},{\"role\":\"cascade\",\"title\":\"NCCL\",\"count\":63,"
    "\"rank_count\":63,\"ranks\":\"0-2,4-63\",\"text\":\"x\",\"first\":{\"seq\":900,\"rank\":0}}],"
    "\"groups_omitted\":0,"
    "\"tails\":[{\"rank\":3,\"lines\":[{\"seq\":810,\"ts\":\"2026-11-23T20:54:01.0Z\",\"level\":"
    "null,\"msg\":\"step=42 before it\"},"
    "{\"seq\":813,\"ts\":\"2026-11-23T20:54:01.2Z\",\"level\":null,\"msg\":\"in it\"}]}],"
    "\"rate\":{\"from\":\"2026-11-23T20:53:00.000000Z\",\"bucket_s\":1,\"levels\":[],\"lines\":[[5,"
    "0,0,0,0,0,0],[0,0,0,0,0,0,0],"
    "[9,0,0,0,1,0,0],[1,0,0,0,0,2,0]]},\"hung\":null}";

static void draw(struct buf *out, int columns, int color, int all)
{
    struct why_page p = {.columns = columns, .color = color, .all = all};
    struct json_tree *root = NULL;

    assert_int_equal(json_tree_parse(sample, sizeof sample - 1, &root, NULL), 0);
    assert_int_equal(why_page_write(&p, root, out), 0);
    json_tree_free(&root);
    buf_cstr(out);
}

static void the_verdict_is_the_first_line(void **state)
{
    /* Into a pipe: the sentence whole in the first line, no escape, nothing cut. */
    struct buf out = BUF_INIT;

    draw(&out, 0, 0, 0);
    assert_memory_equal(out.data, "Rank 3 failed first, 2.0 s", 26);
    assert_non_null(strstr(
        out.data,
        "failed in consequence.\ndemo: FAILED after 1m 02s, 8 ranks, 1,234 lines, log incomplete"));
    assert_null(memchr(out.data, '\x1b', out.len));
    buf_release(&out);
}

static void sections_say_what_the_answer_holds(void **state)
{
    /* Missing producers, marks, causes, the error with what came before it, others by count, ranks, events. */
    struct buf out = BUF_INIT;

    draw(&out, 0, 0, 0);
    assert_non_null(strstr(out.data, "missing: rank 5\n"));
    assert_non_null(strstr(out.data, "lines over time\n  ▄ █▃\n    w!\n"));
    assert_non_null(strstr(
        out.data, "  primary  CUDA out of memory, rank 3, first at 20:54:01.123 (line 812)\n"));
    assert_non_null(
        strstr(out.data, "the error, rank 3, line 812\n  step=42 before it\n  Traceback (most"));
    assert_null(strstr(out.data, "in it"));
    assert_non_null(strstr(out.data, "×63, ranks 0-2,4-63: NCCL\n"));
    assert_non_null(strstr(out.data, "failed_first  SIGKILL    42 (-1)      2      20ms"));
    assert_non_null(strstr(out.data, "… and 7 more"));
    buf_release(&out);
}

static void rows_fit_the_width(void **state)
{
    /* At 80 and at 200 columns, and at fewer than can be, no row is wider than the terminal. */
    static const int widths[] = {40, 80, 200};

    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        struct buf out = BUF_INIT;
        draw(&out, widths[i], 0, 0);
        for (const char *s = out.data; *s;) {
            size_t n = strcspn(s, "\n");
            assert_true(term_width(s, n) <= widths[i]);
            s += n + 1;
        }
        buf_release(&out);
    }
}

static void hostile_text_is_shown_not_done(void **state)
{
    /* Control sequences and bidi marks of the job are made visible everywhere; with colour only ours are escapes. */
    struct buf out = BUF_INIT;

    draw(&out, 80, 1, 1);
    assert_non_null(strstr(out.data, "\\x1b]0;x\\x07"));
    assert_null(strstr(out.data, "\xe2\x80\xae"));
    for (const char *s = out.data; (s = strchr(s, '\x1b')); s++) {
        assert_int_equal(s[1], '[');
        assert_int_equal(s[2 + strspn(s + 2, "0123456789;")], 'm');
    }
    buf_release(&out);
}

static void what_is_none_is_refused(void **state)
{
    /* An answer without verdict is no post-mortem; empty lists and nulls are. */
    static const char bare[] = "{\"job\":{},\"verdict\":{\"sentence\":\"?\"},\"rate\":{\"lines\":[]"
                               "},\"ranks\":[],\"groups\":[]}";
    struct why_page p = {.columns = 80};
    struct json_tree *root = NULL;
    struct buf out = BUF_INIT;

    assert_int_equal(json_tree_parse("{\"job\":{}}", 10, &root, NULL), 0);
    assert_int_equal(why_page_write(&p, root, &out), ERR_INVALID);
    json_tree_free(&root);
    assert_int_equal(json_tree_parse(bare, sizeof bare - 1, &root, NULL), 0);
    assert_int_equal(why_page_write(&p, root, &out), 0);
    json_tree_free(&root);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verdict_is_the_first_line),
        cmocka_unit_test(sections_say_what_the_answer_holds),
        cmocka_unit_test(rows_fit_the_width),
        cmocka_unit_test(hostile_text_is_shown_not_done),
        cmocka_unit_test(what_is_none_is_refused),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
