/* json.h: strict JSON text to cJSON trees. */
#ifndef CPL_LAYOUT_JSON_H
#define CPL_LAYOUT_JSON_H

#include <cjson/cJSON.h>

#include "../memory/error.h"

/* Refuses, with line and column: bad UTF-8, trailing text, \u0000 (C strings end there), duplicate keys, nesting deeper
 * than 100, numbers beyond double. Numbers are read with a point, whatever the user's locale. */
cJSON *cpl_json_parse(const char *text, size_t size, cpl_error *error);
/* What an item is, for messages: the text "abc", 1.5, null, a list, an object. */
void cpl_json_describe(const cJSON *item, char *text, size_t size);

#endif
