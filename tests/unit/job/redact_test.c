/*
 * tests/unit/job/redact_test.c -- what is taken out of lines, and what is left alone.
 */
#include "job/redact.h"

#include "base/err.h"
#include "base/json_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Made up, of the right form: nothing here opens anything. */
#define AWS_ID "AKIA" "IOSFODNN7EXAMPLE"
#define AWS_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" "EXAMPLEKEY"
#define HF "hf_" "AbCdEfGhIjKlMnOpQrStUvWxYz01234567"
#define WANDB "0123456789abcdef0123" "456789abcdef01234567"
#define OPENAI "sk-proj-" "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"
#define GITHUB "ghp_" "0123456789abcdefghijABCDEFGHIJ012345"
#define GITHUB_PAT "github_pat_" "11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0123"
#define JOBLOG "jlt_" "0123456789012345678901234567890123456789012345678"
#define JWT "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"

static struct redact *rules(const char *patterns)
{
    struct redact *r = NULL;
    char why[200] = "";
    int err = redact_new(patterns, &r, why, sizeof why);

    if (err < 0)
        fail_msg("%s", why);
    return r;
}

static char *apply(const struct redact *r, struct redact_flow *f, const char *text, struct redact_counts *c)
{
    struct buf out = BUF_INIT;
    char *result;
    int got = redact_text(r, f, text, strlen(text), &out, c);

    assert_true(got == 0 || got == 1);
    if (got)
        assert_true(redact_wants(r, f, text, strlen(text)) || f);
    result = strdup(got ? buf_cstr(&out) : text);
    buf_release(&out);
    return result;
}

static void check(const struct redact *r, struct redact_flow *f, const char *text, const char *want)
{
    struct redact_counts c = {{0}};
    char *got = apply(r, f, text, &c);

    assert_string_equal(got, want);
    free(got);
}

static void test_known_forms(void **state)
{
    /* Each known form is replaced by its kind, wherever it stands in the line, and the rest stays. */
    static const char *const rows[][2] = {
        {"id " AWS_ID " ok", "id [redacted:aws] ok"},
        {"AWS_SECRET_ACCESS_KEY=" AWS_SECRET, "AWS_SECRET_ACCESS_KEY=[redacted:aws]"},
        {"aws_secret_access_key = " AWS_SECRET "\r", "aws_secret_access_key = [redacted:aws]\r"},
        {"{\"SecretAccessKey\": \"" AWS_SECRET "\"}", "{\"SecretAccessKey\": \"[redacted:aws]\"}"},
        {"login with " HF, "login with [redacted:huggingface]"},
        {"HF_TOKEN=" HF ",x", "HF_TOKEN=[redacted:huggingface],x"},
        {"line\\n" HF, "line\\n[redacted:huggingface]"},
        {"WANDB_API_KEY=" WANDB, "WANDB_API_KEY=[redacted:wandb]"},
        {"wandb.login(key='" WANDB "')", "wandb.login(key='[redacted:wandb]')"},
        {"$ wandb login " WANDB, "$ wandb login [redacted:wandb]"},
        {"OPENAI_API_KEY=" OPENAI, "OPENAI_API_KEY=[redacted:openai]"},
        {GITHUB, "[redacted:github]"},
        {"git clone https://x:" GITHUB_PAT "@github.com/a/b", "git clone https://x:[redacted:github]@github.com/a/b"},
        {"JOBLOG_TOKEN=" JOBLOG " and " JOBLOG, "JOBLOG_TOKEN=[redacted:joblog] and [redacted:joblog]"},
        {"Authorization: Bearer " JWT, "Authorization: Bearer [redacted:bearer]"},
        {"> authorization: token 0123456789", "> authorization: token [redacted:bearer]"},
        {"{'Authorization': 'Basic dXNlcjpwYXNzd29yZA=='}", "{'Authorization': 'Basic [redacted:bearer]'}"},
        {"(b'authorization', b'Bearer " JWT "')", "(b'authorization', b'Bearer [redacted:bearer]')"},
        {"Authorization: Api-Key AbC.dEf123", "Authorization: Api-Key [redacted:bearer]"},
        {"X-Api-Key: 0123456789abcdef", "X-Api-Key: [redacted:bearer]"},
        {"got bearer " JWT, "got bearer [redacted:bearer]"},
    };
    struct redact *r = rules(NULL);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(r, NULL, rows[i][0], rows[i][1]);
    redact_free(&r);
}

static void test_what_is_no_secret(void **state)
{
    /* Commits, paths, words and prose that only look a little like it stay. */
    static const char *const rows[] = {
        "", "a", "--", "-----", "commit " WANDB, "wandb: run at https://wandb.ai/team/run/abc123",
        "risk-" "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF", "task-0123456789012345678901234567890123456789",
        "sk-learn and scikit", "hf_hub_download(repo_id)", "AKIA is four letters", "XAKIAIOSFODNN7EXAMPLE",
        AWS_ID "X", "authorization is needed", "Authorization: required", "the bearer of bad news", "Bearer token missing",
        "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "secret_access_key is not set; see the page on credentials",
        "step 100 loss 2.31 lr 1e-4 tokens/s 123456.7", "ghp_short", "jlt_short", "aut", "aws", "authorization", "authorization:",
        "authorization: bearer", "bearer", "bearer ", "x-api-key", "secret_access_key", "api.wandb.ai",
    };
    struct redact *r = rules(NULL);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(r, NULL, rows[i], rows[i]);
    redact_free(&r);
}

#define B64 "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"

static void test_private_keys_over_lines(void **state)
{
    /* A key goes from BEGIN to END, with what stands in front of its lines left; other lines between them stay. */
    static const char *const rows[][2] = {
        {"before", "before"},
        {"I0 -----BEGIN RSA PRIVATE KEY-----", "I0 [redacted:private-key]"},
        {"I0 " B64, "I0 [redacted:private-key]"},
        {"step 1 of another thread", "step 1 of another thread"},
        {"I0 " B64, "I0 [redacted:private-key]"},
        {"I0 Ab12==", "I0 [redacted:private-key]"},
        {"I0 -----END RSA PRIVATE KEY----- and " HF, "I0 [redacted:private-key] and [redacted:huggingface]"},
        {B64, B64},
        {"-----BEGIN OPENSSH PRIVATE KEY-----", "[redacted:private-key]"},
        {"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW", "[redacted:private-key]"},
        {"Ab", "[redacted:private-key]"},
        {"-----END OPENSSH PRIVATE KEY-----", "[redacted:private-key]"},
        {"after", "after"},
        {"-----BEGIN PGP PRIVATE KEY BLOCK-----", "[redacted:private-key]"},
        {"Version: GnuPG v2", "[redacted:private-key]"},
        {"", ""},
        {B64, "[redacted:private-key]"},
        {"-----END PGP PRIVATE KEY BLOCK-----", "[redacted:private-key]"},
        {"x", "x"},
    };
    struct redact *r = rules(NULL);
    struct redact_flow f = {0};
    struct redact_counts c = {{0}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *got = apply(r, &f, rows[i][0], &c);
        assert_string_equal(got, rows[i][1]);
        free(got);
    }
    assert_int_equal(c.of[REDACT_PRIVATE_KEY], 3);
    assert_int_equal(redact_total(&c), 4);
    assert_int_equal(f.open, 0);
    redact_free(&r);
}

static void test_private_keys_in_one_line(void **state)
{
    /* A key within one line or record is taken whole, with its newlines written out or not; so is one cut in two. */
    struct redact *r = rules(NULL);
    struct redact_flow f = {0};

    check(r, &f, "k=\"-----BEGIN PRIVATE KEY-----\\n" B64 "\\nAb==\\n-----END PRIVATE KEY-----\\n\" x",
          "k=\"[redacted:private-key]\\n\" x");
    check(r, &f, "-----BEGIN PRIVATE KEY-----\n" B64 "\n" B64 "\n-----END PRIVATE KEY-----\nnext",
          "[redacted:private-key]\nnext");
    assert_int_equal(f.open, 0);
    check(r, &f, "text -----BEGIN PRIVATE KEY-----\\n" B64 "\\nMII", "text [redacted:private-key]");
    check(r, &f, "EabC\\n" B64 "\\n-----END PRIVATE KEY-----\\n tail", "[redacted:private-key]\\n tail");
    check(r, &f, B64, B64);
    check(r, &f, "-----BEGIN PRIVATE KEY-----\n" B64, "[redacted:private-key]");
    check(r, &f, B64 "\n" B64 "\nAb==\n-----END PRIVATE KEY-----\nlast",
          "[redacted:private-key]\n[redacted:private-key]\n[redacted:private-key]\n[redacted:private-key]\nlast");
    redact_free(&r);
}

static void test_a_key_without_end(void **state)
{
    /* A key whose END never comes is followed for a while only; what comes again from its middle is known. */
    struct redact *r = rules(NULL);
    struct redact_flow f = {0}, fresh = {0};

    check(r, &f, "-----BEGIN PRIVATE KEY-----", "[redacted:private-key]");
    for (int i = 0; i <= REDACT_MISSES_MAX; i++)
        check(r, &f, "a line of the log", "a line of the log");
    check(r, &f, B64, B64);
    check(r, &f, "-----BEGIN PRIVATE KEY-----", "[redacted:private-key]");
    for (int i = 0; i < REDACT_KEY_LINES_MAX; i++)
        check(r, &f, B64, "[redacted:private-key]");
    check(r, &f, B64, B64);
    redact_flow_reopen(&f); /* a batch that was refused comes again */
    check(r, &f, B64, "[redacted:private-key]");
    check(r, &f, "-----END PRIVATE KEY-----", "[redacted:private-key]");
    redact_flow_reopen(&fresh);
    check(r, &fresh, B64, B64);
    redact_free(&r);
}

static void test_patterns(void **state)
{
    /* The user's patterns take out their match, or its group `secret`, under their name. */
    struct redact *r = rules("# comments and blank lines\n\ndb=postgres://[^:]+:(?P<secret>[^@]+)@\r\n"
                             "PIN-[0-9]{2,4}\nempty=z*\n"), *none = NULL;
    struct redact_counts c = {{0}};
    struct buf many = BUF_INIT;
    char why[200], *got;

    got = apply(r, NULL, "postgres://u:pa:ss@h PIN-12 zz " HF, &c);
    assert_string_equal(got, "postgres://u:[redacted:db]@h [redacted:pattern] [redacted:empty] [redacted:huggingface]");
    free(got);
    assert_int_equal(c.of[REDACT_PATTERN], 3);
    assert_int_equal(c.of[REDACT_HUGGINGFACE], 1);
    check(r, NULL, "nothing", "nothing");
    redact_free(&r);
    assert_int_equal(redact_new("a=b\nx=(", &none, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "line 2: missing"));
    assert_int_equal(redact_new("x=", &none, why, sizeof why), ERR_INVALID);
    for (size_t i = 0; i <= REDACT_PATTERNS_MAX; i++)
        buf_adds(&many, "a=b\n");
    assert_int_equal(redact_new(buf_cstr(&many), &none, why, sizeof why), ERR_LIMIT);
    assert_int_equal(redact_new_file("/nonexistent", &none, why, sizeof why), ERR_NOT_FOUND);
    assert_null(none);
    buf_release(&many);
}

static void test_json(void **state)
{
    /* In JSON every string is looked at, with its name, as it is when unescaped; what comes out is JSON again. */
    static const char *const rows[][2] = {
        {"\"a\":\"" HF "\",\"b\":1", "\"a\":\"[redacted:huggingface]\",\"b\":1"},
        {"\"wandb_api_key\":\"" WANDB "\",\"commit\":\"" WANDB "\"",
         "\"wandb_api_key\":\"[redacted:wandb]\",\"commit\":\"" WANDB "\""},
        {"\"h\":{\"Authorization\":\"Bearer " JWT "\"},\"x\":[\"" GITHUB "\",\"y\"]",
         "\"h\":{\"Authorization\":\"Bearer [redacted:bearer]\"},\"x\":[\"[redacted:github]\",\"y\"]"},
        {"\"k\":\"-----BEGIN PRIVATE KEY-----\\n" B64 "\\n-----END PRIVATE KEY-----\\n\"", "\"k\":\"[redacted:private-key]\\n\""},
        {"\"" HF "\":1", "\"[redacted:huggingface]\":1"},
        {"\"t\":\"he will say \\\"abc\\\" \\u00e4\"", "\"t\":\"he will [redacted:quoted] \303\244\""},
        {"\"t\":\"a\\\\\",\"u\":\"" HF "\"", "\"t\":\"a\\\\\",\"u\":\"[redacted:huggingface]\""},
        {"\"plain\":\"text\",\"n\":12", NULL},
        {"\"cut", NULL},
        {"\"bad\\", NULL},
    };
    struct redact *r = rules("quoted=say \"[a-z]+\"");
    struct buf out = BUF_INIT;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct redact_counts c = {{0}};
        int got = redact_json(r, rows[i][0], strlen(rows[i][0]), &out, &c);

        assert_int_equal(got, rows[i][1] != NULL);
        if (rows[i][1])
            assert_string_equal(buf_cstr(&out), rows[i][1]);
    }
    buf_release(&out);
    redact_free(&r);
}

static void test_any_cut_and_any_place(void **state)
{
    /* Wherever a secret stands among other bytes, and whatever they are, it is found and nothing else changes. */
    static const char *const secrets[] = {AWS_ID, HF, OPENAI, GITHUB, JOBLOG};
    static const char fill[] = " \t:=\"'(,;/[{<>|\\\x01\x80\xff-----hf_sk-AKIA ";
    struct redact *r = rules(NULL);
    unsigned seed = 7;

    for (int round = 0; round < 20000; round++) {
        char text[400], want[400];
        const char *s = secrets[round % 5];
        size_t n = 0, before, after;

        seed = seed * 1103515245 + 12345;
        before = seed >> 16 & 31;
        for (size_t i = 0; i < before; i++)
            text[n++] = fill[(seed >> (i % 20)) % (sizeof fill - 1)];
        if (before && ((text[n - 1] | 32) >= 'a' && (text[n - 1] | 32) <= 'z'))
            text[n - 1] = ' ';
        if (n >= 1 && (text[n - 1] == '-' || text[n - 1] == '_')) /* would make it another word */
            text[n - 1] = ' ';
        memcpy(want, text, n);
        after = (size_t)sprintf(text + n, "%s .", s);
        text[n + after] = 0;
        sprintf(want + n, "[redacted:");
        struct redact_counts c = {{0}};
        char *got = apply(r, NULL, text, &c);
        assert_null(strstr(got, s));
        if (strncmp(got, want, n + 10) != 0)
            fail_msg("round %d: %s", round, got);
        free(got);
    }
    redact_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_forms),         cmocka_unit_test(test_what_is_no_secret),
        cmocka_unit_test(test_private_keys_over_lines), cmocka_unit_test(test_private_keys_in_one_line),
        cmocka_unit_test(test_a_key_without_end),   cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_json),                cmocka_unit_test(test_any_cut_and_any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
