/*
 * base/config_int.h -- what the files of the option table share.
 */
#ifndef BASE_CONFIG_INT_H
#define BASE_CONFIG_INT_H

#include "base/config.h"

#define CONFIG_NAME_BYTES_MAX 64 /* of an option's name; CHECKed: the table is ours */
#define CONFIG_VARIABLE_BYTES (sizeof "JOBLOG_" + CONFIG_NAME_BYTES_MAX)
#define CONFIG_LIST_MAX 64 /* values of one list */

/* "drain-time" -> "JOBLOG_DRAIN_TIME". Returns out. */
const char *config__variable(const char *name, char out[CONFIG_VARIABLE_BYTES]);
/* Read value into target; append adds to a list, else it is replaced. ERR_INVALID: target is as it
 * was and what is wanted is in want. */
int config__set(const struct config_option *o, void *target, const char *value, int append,
                char *want, size_t want_size);

#endif
