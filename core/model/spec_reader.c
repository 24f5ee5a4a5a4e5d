/* spec_reader.c: one value of a JSON document at a time. */
#include "spec_reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool cpl_spec_wrong(const spec_reader *r, const char *key, const char *what) {
    return cpl_fail(r->error, CPL_E_FILE, "%s: %s: %s%s %s", r->file, r->document, r->place, key, what);
}

bool cpl_spec_whole(const spec_reader *r, const cJSON *item, const char *key, int least, int most, int *value) {
    double number = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    char what[64];
    snprintf(what, sizeof what, "is not a whole number of %d to %d", least, most);
    if (!(number >= least && number <= most) || number != floor(number)) return cpl_spec_wrong(r, key, what);
    *value = (int)number;
    return true;
}

bool cpl_spec_real(const spec_reader *r, const cJSON *object, const char *key, double least, double most,
                   double *value) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!item || cJSON_IsNull(item)) return true;
    double number = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!(number >= least && number <= most)) return cpl_spec_wrong(r, key, "is not a number, or outside of its range");
    *value = number;
    return true;
}

bool cpl_spec_string(const spec_reader *r, const cJSON *object, const char *key, char *text, size_t size) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!item || cJSON_IsNull(item)) return true;
    if (!cJSON_IsString(item) || strlen(item->valuestring) >= size)
        return cpl_spec_wrong(r, key, "is not a text, or too long");
    snprintf(text, size, "%s", item->valuestring);
    return true;
}
