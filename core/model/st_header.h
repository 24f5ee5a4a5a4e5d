/* st_header.h: the JSON header of a safetensors file, parsed and checked. Private to safetensors.c. */
#ifndef CPL_MODEL_ST_HEADER_H
#define CPL_MODEL_ST_HEADER_H

#include "safetensors.h"

typedef struct st_pair {
    const char *key, *value;
} st_pair;

typedef struct st_header {
    char *text; /* owned: the header's bytes; names and metadata point into it once it is parsed */
    size_t length;
    cpl_st_entry *entries; /* owned, in file order */
    int count, room;
    const cpl_st_entry **by_name; /* owned: sorted, for look-up */
    st_pair *metadata;            /* owned */
    int pairs, pairs_room;
} st_header;

/* `h->text` (with a byte of room behind `length`) is decoded in place. `data_bytes`: what follows the header in the
 * file; the tensors must fill it without overlap or hole. `file` is for messages. On failure `h` may be cleared only. */
bool cpl_st_header_parse(st_header *h, uint64_t data_bytes, const char *file, cpl_error *error);
void cpl_st_header_clear(st_header *h);
int cpl_st_dtype_bytes(const char *dtype); /* 0: unknown */

#endif
