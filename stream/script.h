/*
 * stream/script.h -- the text of script.lua, compiled in.
 */
#ifndef STREAM_SCRIPT_H
#define STREAM_SCRIPT_H

extern const char stream__script[]; /* NUL-terminated */

#endif
