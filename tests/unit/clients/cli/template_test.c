/* tests/unit/clients/cli/template_test.c -- clients/cli/template.c */
#include "clients/cli/template.h"

#include "base/err.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char line[] =
    "{\"seq\":7,\"ts\":\"2026-11-24T20:54:01.123456Z\",\"rank\":3,\"replica\":\"n1\",\"stream\":\"stderr\","
    "\"level\":\"error\",\"msg\":\"a\\tb\",\"fields\":{\"loss\":2.5,\"n\":3,\"who\":\"\xe6\x97\xa5\",\"a\":{\"b\":true},"
    "\"c.d\":\"dot\"}}\n";

static void check(const char *text, const char *want)
{
    struct template *t = NULL;
    struct record_view v;
    struct stamp stamp;
    struct buf out = BUF_INIT;
    char why[256] = "";

    if (template_new(text, &t, why, sizeof why) < 0)
        fail_msg("%s: %s", text, why);
    assert_int_equal(record_parse(line, strlen(line), &v), 0);
    stamp_init(&stamp, NULL);
    assert_int_equal(template_add(t, &out, &v, line, strlen(line), "demo", &stamp), 0);
    assert_string_equal(buf_cstr(&out), want);
    template_free(&t);
    buf_release(&out);
}

static void every_name_is_filled_in(void **state)
{
    /* Every name has its value, fields go by path, what is absent is empty, padding counts columns. */
    check("{{seq}} {{ts}} {{rank}} {{replica}} {{stream}} {{level}} {{msg}} {{job}}",
          "7 2026-11-24T20:54:01.123456Z 3 n1 stderr error a\tb demo\n");
    check("[{{rank:3}}] [{{level:-7}}] [{{ fields.who:-4 }}]", "[  3] [error  ] [\xe6\x97\xa5  ]\n");
    check("{{fields.loss}} {{fields.n}} {{fields.a.b}} {{fields.c.d}} [{{fields.none}}]",
          "2.5 3 true dot []\n");
    check("{{relative}} {{delta}}", "+00:00:00.000 +    0.000\n");
    check("\\t\\{{{rank}}\\n\\\\\\q", "\t{3\n\\\\q\n");
    check("", "\n");
}

static void the_whole_record_can_be_had(void **state)
{
    /* {{json}} is the canonical line, {{fields}} its object. */
    char want[512];

    check("{{json}}", line);
    snprintf(want, sizeof want, "%.*s\n", (int)(strlen(line) - 2 - (size_t)(strstr(line, "{\"loss") - line)),
             strstr(line, "{\"loss"));
    check("{{fields}}", want);
}

static void mistakes_are_named(void **state)
{
    /* Unknown names, bad padding, an open {{ and too many parts are refused with a sentence. */
    static const char *const bad[] = {"{{nope}}", "{{msg", "{{rank:x}}", "{{rank:}}", "{{rank:1001}}", "{{}}"};
    struct template *t = NULL;
    char many[TEMPLATE_PARTS_MAX * 8 + 16] = "", why[256];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        why[0] = '\0';
        if (template_new(bad[i], &t, why, sizeof why) != ERR_INVALID || !why[0] || t)
            fail_msg("%s", bad[i]);
    }
    for (int i = 0; i <= TEMPLATE_PARTS_MAX; i++)
        strcat(many, "{{seq}}");
    assert_int_equal(template_new(many, &t, why, sizeof why), ERR_INVALID);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_filled_in),
        cmocka_unit_test(the_whole_record_can_be_had),
        cmocka_unit_test(mistakes_are_named),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
