/* spec_reader.h: numbers and texts of a model's JSON documents, with errors that name the document and the key. Private to
 * the reading of specs. */
#ifndef CPL_MODEL_SPEC_READER_H
#define CPL_MODEL_SPEC_READER_H

#include <cjson/cJSON.h>

#include "../memory/error.h"

typedef struct spec_reader {
    const char *file, *document; /* "couplet.spec", "unet/config.json" */
    char place[16];              /* "unet.", "text[0]." ... before a key, in messages */
    cpl_error *error;
} spec_reader;

bool cpl_spec_wrong(const spec_reader *r, const char *key, const char *what); /* fails */
bool cpl_spec_whole(const spec_reader *r, const cJSON *item, const char *key, int least, int most, int *value);
/* An absent number or text leaves what it would be written to as it is, and so does a null. */
bool cpl_spec_real(const spec_reader *r, const cJSON *object, const char *key, double least, double most,
                   double *value);
bool cpl_spec_string(const spec_reader *r, const cJSON *object, const char *key, char *text, size_t size);

#endif
