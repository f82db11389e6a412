/*
 * stream/script.c -- script.lua as it stands, taken in by the assembler (make runs in the root).
 */
#include "stream/script.h"

__asm__(".pushsection .rodata\n"
        ".global stream__script\n"
        ".type stream__script, @object\n"
        "stream__script:\n"
        ".incbin \"stream/script.lua\"\n"
        ".byte 0\n"
        ".size stream__script, . - stream__script\n"
        ".popsection\n");
