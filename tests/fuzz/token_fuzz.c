/*
 * tests/fuzz/token_fuzz.c -- any bytes as a stored token, as a secret, as a list of scopes.
 *
 * A token that is taken is written and read back the same.
 * Covers  auth/token.c auth/secret.c
 */
#include "auth/secret.h"
#include "auth/token.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One that was made is good, and with any one byte of data in place of its own it is not. */
static void check_secret(const char *data, size_t size)
{
    char text[SECRET_BYTES + 1];

    secret_check(SECRET_TOKEN, data, size);
    if (!size)
        return;
    secret_make(SECRET_TICKET, text);
    CHECK(strlen(text) == SECRET_BYTES && secret_check(SECRET_TICKET, text, SECRET_BYTES) == 0);
    if (text[size % SECRET_BYTES] != data[0]) {
        text[size % SECRET_BYTES] = data[0];
        CHECK(secret_check(SECRET_TICKET, text, SECRET_BYTES) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token *t = NULL, *back = NULL;
    struct buf text = BUF_INIT;
    struct json j;
    unsigned scopes, again;
    char list[TOKEN_SCOPES_BYTES];
    char *words = malloc(size + 1);
    CHECK(words);
    memcpy(words, data, size);
    words[size] = '\0';
    check_secret((const char *)data, size);
    token_name_valid(words);
    if (scopes_parse(words, &scopes) == 0)
        CHECK(scopes && !(scopes & ~(unsigned)SCOPE_ALL) &&
              scopes_parse(scopes_text(scopes, list), &again) == 0 && again == scopes);
    free(words);
    if (token_parse((const char *)data, size, &t) < 0)
        return 0;
    json_init(&j, &text);
    token_write(&j, t);
    CHECK(json_err(&j) == 0 && token_parse(text.data, text.len, &back) == 0);
    CHECK(strcmp(t->id, back->id) == 0 && strcmp(t->name, back->name) == 0 && strcmp(t->project, back->project) == 0);
    CHECK(hash_equal(t->hash, back->hash) && t->scopes == back->scopes && t->created_us == back->created_us);
    CHECK(t->expires_us == back->expires_us && t->revoked_us == back->revoked_us);
    token_unref(&t);
    token_unref(&back);
    buf_release(&text);
    return 0;
}
