/* tests/unit/alert/receiver_test.c -- what is taken as a receiver, and that secrets stay in. */
#include "alert/receiver.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

/* Every mistake is refused with the path of its member. */
static void test_mistakes_have_a_place(void **state)
{
    static const struct {
        const char *text, *path;
    } cases[] = {
        {"{\"id\":\"a\",\"url\":\"http://h/\"}", "$.secrets"},
        {"{\"id\":\"a\",\"kind\":\"pigeon\",\"url\":\"http://h/\"}", "$.kind"},
        {"{\"id\":\"a\",\"kind\":\"alertmanager\"}", "$.url"},
        {"{\"id\":\"a\",\"kind\":\"alertmanager\",\"url\":\"file:///etc/passwd\"}", "$.url"},
        {"{\"id\":\"a\",\"kind\":\"alertmanager\",\"url\":\"http://u:p@h/\"}", "$.url"},
        {"{\"id\":\"a\",\"kind\":\"alertmanager\",\"url\":\"http:///x\"}", "$.url"},
        {"{\"id\":\"a\",\"kind\":\"alertmanager\",\"url\":\"http://h/a b\"}", "$.url"},
        {"{\"id\":\"a\",\"url\":\"http://h/\",\"secrets\":[\"hunter2\"]}", "$.secrets[0]"},
        {"{\"id\":\"a\",\"url\":\"http://h/\",\"secrets\":[\"" SECRET "\",\"whsec_c2hvcnQ=\"]}",
         "$.secrets[1]"},
        {"{\"id\":\"a\",\"url\":\"http://h/\",\"secrets\":[\"" SECRET
         "\"],\"headers\":{\"Host\":\"x\"}}",
         "$.headers.Host"},
        {"{\"id\":\"a\",\"url\":\"http://h/\",\"secrets\":[\"" SECRET
         "\"],\"headers\":{\"X-A\":\"b\\nc\"}}",
         "$.headers.X-A"},
        {"{\"id\":\"a\",\"url\":\"http://h/\",\"secrets\":[\"" SECRET "\"],\"body\":{}}", "$.body"},
        {"{\"id\":\"a\",\"kind\":\"json\",\"url\":\"http://h/\"}", "$.body"},
        {"{\"id\":\"a\",\"kind\":\"json\",\"url\":\"http://h/\",\"body\":{\"t\":\"{{nope}}\"}}",
         "$.body"},
        {"{\"id\":\"a\",\"kind\":\"json\",\"url\":\"http://h/\",\"body\":{\"t\":\"{{job\"}}",
         "$.body"},
        {"{\"id\":\"a\",\"kind\":\"json\",\"url\":\"http://h/"
         "\",\"body\":{\"t\":\"x\"},\"timeout\":\"1h\"}",
         "$.timeout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fields_why why = {"", ""};
        struct receiver *r = NULL;
        assert_int_equal(receiver_parse(cases[i].text, strlen(cases[i].text), &r, &why),
                         ERR_INVALID);
        if (strcmp(why.path, cases[i].path) != 0)
            fail_msg("%s: got %s: %s", cases[i].text, why.path, why.text);
    }
}

/* What the store keeps reads back the same; what an answer shows holds no secret, header value or path. */
static void test_secrets_stay_in(void **state)
{
    static const char text[] = "{\"id\":\"a\",\"url\":\"https://hooks.example/T123/"
                               "tell-nobody?k=v\",\"secrets\":[\"" SECRET "\"],"
                               "\"headers\":{\"Authorization\":\"Bearer tell-nobody\"}}";
    struct fields_why why;
    struct receiver *r = NULL, *again = NULL;
    struct buf x = BUF_INIT, y = BUF_INIT, shown = BUF_INIT;

    assert_int_equal(receiver_parse(text, strlen(text), &r, &why), 0);
    assert_int_equal(r->secrets[0].len, 24);
    assert_int_equal(receiver_write(&x, r, 1), 0);
    assert_non_null(strstr(buf_cstr(&x), SECRET));
    assert_int_equal(receiver_parse(buf_cstr(&x), x.len, &again, &why), 0);
    assert_int_equal(receiver_write(&y, again, 1), 0);
    assert_string_equal(buf_cstr(&x), buf_cstr(&y));
    assert_int_equal(receiver_write(&shown, r, 0), 0);
    assert_null(strstr(buf_cstr(&shown), "tell-nobody"));
    assert_null(strstr(buf_cstr(&shown), "whsec"));
    assert_non_null(strstr(buf_cstr(&shown), "\"https://hooks.example/…\""));
    assert_non_null(strstr(buf_cstr(&shown), "\"headers\":[\"Authorization\"]"));
    receiver_free(&r);
    receiver_free(&again);
    buf_release(&x);
    buf_release(&y);
    buf_release(&shown);
}

static const char *value(void *user, const char *name, size_t *ret_len)
{
    if (strcmp(name, "job") != 0)
        return NULL;
    *ret_len = strlen(user);
    return user;
}

/* A value can end no JSON string: whatever a job says, the body stays the template's own shape. */
static void test_body_is_filled_safely(void **state)
{
    static const char text[] = "{\"id\":\"a\",\"kind\":\"json\",\"url\":\"http://h/"
                               "\",\"body\":{\"a\":{\"text\":\"job {{job}}!{{rank}}\"}}}";
    struct fields_why why;
    struct receiver *r = NULL;
    struct buf out = BUF_INIT;

    assert_int_equal(receiver_parse(text, strlen(text), &r, &why), 0);
    assert_int_equal(template_render(r->body_template, &out, 1, value, "x\",\"admin\":\"y\n"), 0);
    assert_string_equal(buf_cstr(&out), "{\"a\":{\"text\":\"job x\\\",\\\"admin\\\":\\\"y\\n!\"}}");
    receiver_free(&r);
    buf_release(&out);
}

/* Base64 is taken as RFC 4648 writes it, and nothing else. */
static void test_base64(void **state)
{
    unsigned char out[8];

    assert_int_equal(receiver_base64("Zm9vYmFy", 8, out, 8), 6);
    assert_memory_equal(out, "foobar", 6);
    assert_int_equal(receiver_base64("Zm9vYg==", 8, out, 8), 4);
    assert_int_equal(receiver_base64("Zm9vYmE=", 8, out, 8), 5);
    assert_int_equal(receiver_base64("Zm9vYmFy", 8, out, 5), ERR_TOO_BIG);
    assert_int_equal(receiver_base64("Zm9vYg=", 7, out, 8), ERR_INVALID);
    assert_int_equal(receiver_base64("Zm9-YmFy", 8, out, 8), ERR_INVALID);
    assert_int_equal(receiver_base64("", 0, out, 8), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_have_a_place), cmocka_unit_test(test_secrets_stay_in),
        cmocka_unit_test(test_body_is_filled_safely), cmocka_unit_test(test_base64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
