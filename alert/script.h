/*
 * alert/script.h -- the text of script.lua, compiled in.
 */
#ifndef ALERT_SCRIPT_H
#define ALERT_SCRIPT_H

extern const char alert__script[]; /* NUL-terminated */

#endif
