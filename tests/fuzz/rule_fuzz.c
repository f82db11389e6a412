/*
 * tests/fuzz/rule_fuzz.c -- any bytes as an alert rule, as a receiver, as a template.
 *
 * A rule that is taken is written and read back as the same text; a template is rendered within its limit.
 * Covers  alert/rule.c alert/rule_read.c alert/rule_condition.c alert/fields.c alert/template.c
 */
#include "alert/rule.h"
#include "alert/template.h"
#include "base/check.h"
#include "base/json_tree.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_rule(const char *text, size_t len)
{
    struct rule *r = NULL, *back = NULL;
    struct buf one = BUF_INIT, two = BUF_INIT;
    struct json_tree *labels = NULL;
    struct job_key key;
    struct fields_why why;
    char name[RULE_KEY_BYTES];

    memset(&why, 0, sizeof why);
    if (rule_parse(text, len, &r, &why) < 0) {
        CHECK(why.text[0] && strlen(why.text) < sizeof why.text && strlen(why.path) < sizeof why.path);
        return;
    }
    CHECK(rule_write(&one, r) >= 0);
    CHECKF(rule_parse(one.data, one.len, &back, &why) >= 0, "%s: %s: %s", why.path, why.text, buf_cstr(&one));
    CHECK(rule_write(&two, back) >= 0);
    CHECK(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
    CHECK(rule_condition_hash(r) == rule_condition_hash(back));
    CHECK(job_key_make(&key, "default", 7, "vision-12", 9) == 0);
    CHECK(json_tree_parse("{\"team\":\"x\"}", 12, &labels, NULL) >= 0);
    CHECK(rule_covers(r, &key, labels) == rule_covers(back, &key, labels));
    CHECK(rule_is_lasting(r) == rule_is_lasting(back));
    CHECK(rule_is_muted(r, 1764000000000000) == rule_is_muted(back, 1764000000000000));
    CHECK(rule_key("", "a", name)[0] == '*' && rule_kind_name(r->kind) && severity_name(r->severity) && source_name(r->source));
    json_tree_free(&labels);
    rule_free(&r);
    rule_free(&back);
    buf_release(&one);
    buf_release(&two);
}

static int known(const void *user, const char *x)
{
    return x[0] == 'k';
}

static const char *value(void *user, const char *name, size_t *ret_len)
{
    static const char text[] = "a \"quoted\"\nvalue \xc3\xa9";

    if (strlen(name) % 3 == 0)
        return NULL;
    *ret_len = sizeof text - 1;
    return text;
}

static void as_template(const char *bytes, size_t len)
{
    const struct template_names names = {known, known, known, NULL};
    struct template *t = NULL;
    struct buf out = BUF_INIT;
    char why[200] = "", *text = malloc(len + 1);

    CHECK(text);
    memcpy(text, bytes, len);
    text[len] = '\0';
    if (template_new(text, &names, &t, why, sizeof why) < 0) {
        CHECK(why[0]);
    } else {
        CHECK(template_render(t, &out, 0, value, NULL) >= 0 && out.len <= TEMPLATE_OUT_BYTES_MAX);
        buf_clear(&out);
        CHECK(template_render(t, &out, 1, value, NULL) >= 0);
    }
    template_free(&t);
    buf_release(&out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_rule((const char *)data, size);
    as_template((const char *)data, size);
    return 0;
}
