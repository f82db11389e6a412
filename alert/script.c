/*
 * alert/script.c -- script.lua as it stands, taken in by the assembler (make runs in the root).
 */
#include "alert/script.h"

__asm__(".pushsection .rodata\n"
        ".global alert__script\n"
        ".type alert__script, @object\n"
        "alert__script:\n"
        ".incbin \"alert/script.lua\"\n"
        ".byte 0\n"
        ".size alert__script, . - alert__script\n"
        ".popsection\n");
