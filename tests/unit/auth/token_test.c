/*
 * tests/unit/auth/token_test.c -- one token, as text and back.
 */
#include "auth/token.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>

#define HASH_TEXT "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct token *sample(void)
{
    struct token *t = token_new();
    strcpy(t->name, "büro \"ci\"");
    strcpy(t->project, "vision");
    assert_int_equal(hash_parse(HASH_TEXT, t->hash), 0);
    t->scopes = SCOPE_INGEST;
    t->created_us = INT64_C(1764000000123456);
    t->expires_us = INT64_C(1766000000000001);
    return t;
}

static int parse(const char *text, struct token **ret)
{
    return token_parse(text, strlen(text), ret);
}

static void test_back(void **state)
{
    /* What is written is read back the same: every member, to the microsecond. */
    struct token *t = sample(), *back = NULL;
    struct buf text = BUF_INIT, again = BUF_INIT;
    struct json j;
    for (int round = 0; round < 4; round++) {
        t->revoked_us = round & 1 ? INT64_C(1765000000000042) : 0;
        t->expires_us = round & 2 ? 0 : t->expires_us;
        t->project[0] = round & 2 ? '\0' : 'v';
        t->quotas.max[QUOTA_STORED] = round & 1 ? 1u << 30 : 0;
        buf_clear(&text);
        json_init(&j, &text);
        token_write(&j, t);
        assert_int_equal(parse(buf_cstr(&text), &back), 0);
        assert_string_equal(back->id, t->id);
        assert_string_equal(back->name, t->name);
        assert_string_equal(back->project, t->project);
        assert_memory_equal(back->hash, t->hash, HASH_BYTES);
        assert_int_equal(back->scopes, t->scopes);
        assert_int_equal(back->created_us, t->created_us);
        assert_int_equal(back->expires_us, t->expires_us);
        assert_int_equal(back->revoked_us, t->revoked_us);
        assert_memory_equal(&back->quotas, &t->quotas, sizeof t->quotas);
        token_unref(&back);
    }
    buf_clear(&again);
    json_init(&j, &again);
    json_obj(&j);
    token_write_members(&j, t);
    json_end(&j);
    assert_null(strstr(buf_cstr(&again), "ba7816")); /* what everybody may see has no hash */
    buf_release(&text);
    buf_release(&again);
    token_unref(&t);
}

static void test_bad(void **state)
{
    /* Text that is no token is refused, whatever is wrong with it; members not known are passed over. */
    static const char good[] = "{\"id\":\"0123456789ab\",\"name\":\"n\",\"project\":null,\"scopes\":[\"read\"],"
                               "\"created_at\":\"2026-01-01T00:00:00Z\",\"expires_at\":null,\"sha256\":\"" HASH_TEXT
                               "\",\"later\":{}}";
    static const char *const changes[][2] = {
        {"\"id\":\"0123456789ab\"", "\"id\":\"0123456789a\""},
        {"\"id\":\"0123456789ab\"", "\"id\":\"0123456789 b\""},
        {"\"id\":\"0123456789ab\"", "\"id\":7"},
        {"\"name\":\"n\"", "\"name\":\"\""},
        {"\"name\":\"n\"", "\"name\":\"a\\u001bb\""},
        {"\"name\":\"n\"", "\"name\":\"a\\u009bb\""},
        {"\"project\":null", "\"project\":\"../x\""},
        {"\"project\":null", "\"project\":[]"},
        {"[\"read\"]", "[]"},
        {"[\"read\"]", "[\"root\"]"},
        {"[\"read\"]", "[1]"},
        {"[\"read\"]", "null"},
        {"\"expires_at\":null", "\"expires_at\":\"soon\""},
        {"\"expires_at\":null", "\"expires_at\":17"},
        {"\"sha256\":\"ba", "\"sha256\":\"BA"},
        {"\"sha256\":\"ba", "\"sha256\":\"b"},
        {"\"later\":{}", "\"quotas\":[]"},
        {"\"later\":{}", "\"quotas\":{\"tailers\":0}"},
        {"{\"id\"", "[\"id\""},
    };
    struct token *t = NULL;
    char text[1024];
    assert_int_equal(parse(good, &t), 0);
    assert_int_equal(t->scopes, SCOPE_READ);
    token_unref(&t);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *at = strstr(good, changes[i][0]);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, changes[i][1], at + strlen(changes[i][0]));
        assert_true(parse(text, &t) < 0);
        assert_null(t);
    }
    assert_int_equal(parse("", &t), ERR_INVALID);
    assert_int_equal(token_parse(good, TOKEN_LINE_BYTES_MAX + 1, &t), ERR_TOO_BIG);
}

static void test_scopes(void **state)
{
    /* Scopes are words; admin includes the others; a word that is none refuses all. */
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"read", 1},    {"ingest", 2},     {"read,ingest", 3}, {"ingest read", 3}, {" read , ingest ", 3}, {"admin", 7},
        {"admin,read", 7}, {"", ERR_INVALID}, {",", ERR_INVALID}, {"Read", ERR_INVALID}, {"read,root", ERR_INVALID},
        {"reading", ERR_INVALID}, {"rea", ERR_INVALID},
    };
    char text[TOKEN_SCOPES_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned got = 0;
        int err = scopes_parse(rows[i].text, &got);
        assert_int_equal(err < 0 ? err : (int)got, rows[i].want);
    }
    assert_string_equal(scopes_text(SCOPE_ALL, text), "read,ingest,admin");
    assert_string_equal(scopes_text(0, text), "");
}

static void test_state(void **state)
{
    /* Revoked beats expired beats live; a token ends at its time, not after it. */
    struct token *t = sample();
    assert_int_equal(token_state(t, t->expires_us - 1), TOKEN_LIVE);
    assert_int_equal(token_state(t, t->expires_us), TOKEN_EXPIRED);
    t->revoked_us = 1;
    assert_int_equal(token_state(t, 2), TOKEN_REVOKED);
    t->revoked_us = t->expires_us = 0;
    assert_int_equal(token_state(t, INT64_MAX), TOKEN_LIVE);
    token_unref(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
