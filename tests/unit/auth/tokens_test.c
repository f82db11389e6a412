/*
 * tests/unit/auth/tokens_test.c -- all tokens of a node: found, merged in any order, forgotten.
 */
#include "auth/secret.h"
#include "auth/tokens.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>

#define DAY INT64_C(86400000000)
#define NOW (INT64_C(20000) * DAY)

static struct token *make(const char *secret, unsigned scopes, const char *project, int64_t expires_us)
{
    struct token *t = token_new();
    hash_sha256(secret, strlen(secret), t->hash);
    strcpy(t->name, "t");
    strcpy(t->project, project);
    t->scopes = scopes;
    t->created_us = NOW - DAY;
    t->expires_us = expires_us;
    return t;
}

static struct token *find(const struct tokens *t, const char *secret)
{
    return tokens_find(t, secret, strlen(secret));
}

static void test_find(void **state)
{
    /* A token is found by exactly its secret, and by its id. */
    struct tokens *t = tokens_new();
    struct token *a = make("alpha", SCOPE_READ, "", 0);
    assert_false(tokens_exist(t));
    assert_null(find(t, "alpha"));
    assert_int_equal(tokens_merge(t, a), TOKENS_TAKEN);
    assert_true(tokens_exist(t));
    assert_non_null(find(t, "alpha"));
    assert_ptr_not_equal(find(t, "alpha"), a); /* a copy */
    assert_ptr_equal(find(t, "alpha"), tokens_by_id(t, a->id));
    assert_null(find(t, "alphA"));
    assert_null(find(t, "alph"));
    assert_null(find(t, ""));
    token_unref(&a);
    tokens_free(&t);
    tokens_free(&t);
}

static void test_revoked_wins(void **state)
{
    /* Copies merged in any order and any number end the same: revoked if one of them was. */
    unit_seed();
    for (int round = 0; round < 200; round++) {
        struct tokens *nodes[3] = {tokens_new(), tokens_new(), tokens_new()};
        struct token *all[8];
        int revoked[8];
        for (int i = 0; i < 8; i++) {
            char secret[16];
            snprintf(secret, sizeof secret, "s%d", i);
            all[i] = make(secret, SCOPE_READ, "", 0);
            revoked[i] = (int)unit_below(2);
            tokens_merge(nodes[unit_below(3)], all[i]);
            if (revoked[i]) { /* somewhere, later */
                struct tokens *n = nodes[unit_below(3)];
                tokens_merge(n, all[i]);
                assert_int_equal(tokens_revoke(n, all[i]->id, NOW), 0);
            }
        }
        for (int i = 0; i < 60; i++) { /* gossip, then a full round */
            size_t a = i < 50 ? unit_below(3) : (size_t)(i % 3), b = i < 50 ? unit_below(3) : (a + 1) % 3;
            struct tokens *from = nodes[a], *to = nodes[b];
            struct token *token;
            for (size_t pos = 0; from != to && (token = tokens_next(from, &pos));)
                if (tokens_merge(to, token) == TOKENS_OLDER)
                    assert_true(tokens_by_id(to, token->id)->revoked_us && !token->revoked_us);
        }
        for (int n = 0; n < 3; n++)
            for (int i = 0; i < 8; i++)
                assert_int_equal(!!tokens_by_id(nodes[n], all[i]->id)->revoked_us, revoked[i]);
        for (int i = 0; i < 8; i++)
            token_unref(&all[i]);
        for (int n = 0; n < 3; n++)
            tokens_free(&nodes[n]);
    }
}

static void test_merge_refuses(void **state)
{
    /* No copy changes what a token may; another token of the same id or hash is refused. */
    struct tokens *t = tokens_new();
    struct token *a = make("alpha", SCOPE_READ, "p", 0), *b = make("beta", SCOPE_READ, "p", 0);
    struct token *c = make("alpha", SCOPE_ALL, "", 0);
    tokens_merge(t, a);
    assert_int_equal(tokens_merge(t, a), TOKENS_SAME);
    a->scopes = SCOPE_ALL;
    a->project[0] = '\0';
    a->expires_us = NOW;
    assert_int_equal(tokens_merge(t, a), TOKENS_SAME);
    assert_int_equal(find(t, "alpha")->scopes, SCOPE_READ);
    assert_string_equal(find(t, "alpha")->project, "p");
    strcpy(b->id, a->id);
    assert_int_equal(tokens_merge(t, b), ERR_EXISTS);
    assert_int_equal(tokens_merge(t, c), ERR_EXISTS);
    assert_int_equal(tokens_count(t), 1);
    assert_int_equal(tokens_revoke(t, "000000000000", NOW), ERR_NOT_FOUND);
    token_unref(&a);
    token_unref(&b);
    token_unref(&c);
    tokens_free(&t);
}

static void forget_told(void *user, const char *id)
{
    ++*(int *)user;
}

static void test_forget(void **state)
{
    /* What expired a week ago is forgotten, revoked or not; never the last token of all, and the same on every node. */
    for (int turn = 0; turn < 2; turn++) {
        struct tokens *t = tokens_new();
        struct token *all[4];
        int told = 0;
        for (int i = 0; i < 4; i++) {
            char secret[16];
            snprintf(secret, sizeof secret, "s%d", i);
            all[i] = make(secret, SCOPE_READ, "", NOW + (i < 2 ? 1 : i) * DAY);
        }
        for (int i = 0; i < 4; i++)
            tokens_merge(t, all[turn ? 3 - i : i]);
        tokens_revoke(t, all[2]->id, NOW);
        assert_int_equal(tokens_forget(t, NOW + 7 * DAY, NULL, NULL), 0);
        assert_int_equal(tokens_forget(t, NOW + 8 * DAY, forget_told, &told), 2);
        assert_int_equal(told, 2);
        assert_int_equal(tokens_forget(t, NOW + 100 * DAY, NULL, NULL), 1);
        assert_true(tokens_exist(t));
        assert_non_null(find(t, "s3"));
        for (int i = 0; i < 4; i++)
            token_unref(&all[i]);
        tokens_free(&t);
    }
    struct tokens *t = tokens_new();
    struct token *forever = make("f", SCOPE_READ, "", 0);
    tokens_merge(t, forever);
    tokens_revoke(t, forever->id, NOW);
    assert_int_equal(tokens_forget(t, NOW + 36500 * DAY, NULL, NULL), 0); /* an old copy would bring it back to life */
    token_unref(&forever);
    tokens_free(&t);
}

static void test_counts(void **state)
{
    /* Admins of all projects, live ones only; the next expiry is that of a live token. */
    struct tokens *t = tokens_new();
    struct token *rows[] = {make("a", SCOPE_ALL, "", 0), make("b", SCOPE_ALL, "p", 0), make("c", SCOPE_READ, "", NOW + 5),
                            make("d", SCOPE_ALL, "", NOW + 9), make("e", SCOPE_ALL, "", NOW - 1)};
    for (size_t i = 0; i < 5; i++)
        tokens_merge(t, rows[i]);
    assert_int_equal(tokens_admins(t, NOW), 2);
    assert_int_equal(tokens_next_expiry(t, NOW), NOW + 5);
    assert_int_equal(tokens_next_expiry(t, NOW + 5), NOW + 9);
    tokens_revoke(t, rows[3]->id, NOW);
    assert_int_equal(tokens_next_expiry(t, NOW + 5), 0);
    assert_int_equal(tokens_admins(t, NOW), 1);
    for (size_t i = 0; i < 5; i++)
        token_unref(&rows[i]);
    tokens_free(&t);
}

static void test_limit(void **state)
{
    /* TOKENS_MAX is the most; revocations still get through. */
    struct tokens *t = tokens_new();
    struct token *token = make("x", SCOPE_READ, "", 0);
    for (int i = 0; i < TOKENS_MAX; i++) {
        snprintf(token->id, sizeof token->id, "t%011d", i);
        memcpy(token->hash, &i, sizeof i);
        assert_int_equal(tokens_merge(t, token), TOKENS_TAKEN);
    }
    token->revoked_us = NOW;
    assert_int_equal(tokens_merge(t, token), TOKENS_TAKEN);
    strcpy(token->id, "tzzzzzzzzzzz");
    token->hash[31] ^= 1;
    assert_int_equal(tokens_merge(t, token), ERR_LIMIT);
    token_unref(&token);
    tokens_free(&t);
}

static void test_master(void **state)
{
    /* The secret of a file is an admin of all projects, until another one or none takes its place. */
    struct tokens *t = tokens_new();
    char good[SECRET_BYTES + 1], plain[] = "0123456789abcdef0123456789abcdef";
    struct token *held;
    size_t pos = 0;
    secret_make(SECRET_TOKEN, good);
    assert_int_equal(tokens_set_master(t, plain, 31, NOW), ERR_INVALID);
    assert_int_equal(tokens_set_master(t, "0123456789abcdef 123456789abcdef", 32, NOW), ERR_INVALID);
    assert_false(tokens_exist(t));
    assert_int_equal(tokens_set_master(t, plain, 32, NOW), 0);
    assert_true(tokens_exist(t) && tokens_has_master(t));
    assert_int_equal(find(t, plain)->scopes, SCOPE_ALL);
    assert_null(tokens_next(t, &pos));
    assert_int_equal(tokens_admins(t, NOW), 0);
    held = token_ref(find(t, plain));
    assert_int_equal(tokens_set_master(t, plain, 32, NOW), 0); /* the same again changes nothing */
    assert_int_equal(token_state(held, NOW), TOKEN_LIVE);
    assert_int_equal(tokens_set_master(t, good, SECRET_BYTES, NOW), 0);
    assert_int_equal(token_state(held, NOW), TOKEN_REVOKED);
    assert_null(find(t, plain));
    assert_non_null(find(t, good));
    good[20] = good[20] == 'a' ? 'b' : 'a';
    assert_int_equal(tokens_set_master(t, good, SECRET_BYTES, NOW), ERR_CORRUPT);
    assert_true(tokens_has_master(t));
    assert_int_equal(tokens_set_master(t, NULL, 0, NOW), 0);
    assert_false(tokens_exist(t));
    token_unref(&held);
    tokens_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),    cmocka_unit_test(test_revoked_wins), cmocka_unit_test(test_merge_refuses),
        cmocka_unit_test(test_forget),  cmocka_unit_test(test_counts),       cmocka_unit_test(test_limit),
        cmocka_unit_test(test_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
