/* st_kind.h: what a file is that was offered as a safetensors file and is none. Private to safetensors.c. */
#ifndef CPL_MODEL_ST_KIND_H
#define CPL_MODEL_ST_KIND_H

#include <stddef.h>

#define ST_KIND_BYTES 512 /* of a file's beginning that are looked at */

/* "a GGUF file, ...", what it is with the remedy, or NULL: nothing that is known here. Nothing of it is executed or unpacked. */
const char *cpl_st_kind(const unsigned char *first, size_t length);

#endif
