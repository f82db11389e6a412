/*
 * tests/fuzz/cursor_fuzz.c -- any bytes as a cursor.
 *
 * What is taken is written and read back the same; what is refused changes nothing.
 * Covers  job/cursor.c
 */
#include "base/check.h"
#include "job/cursor.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = {1, 2}, back = {3, 4};
    char text[CURSOR_TEXT_BYTES];
    if (cursor_parse((const char *)data, size, &c) < 0) {
        CHECK(c.epoch == 1 && c.seq == 2);
        return 0;
    }
    cursor_format(&c, text);
    CHECK(cursor_parse(text, strlen(text), &back) >= 0);
    CHECK(back.epoch == c.epoch && back.seq == c.seq);
    return 0;
}
