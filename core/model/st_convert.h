/* st_convert.h: values of a safetensors file as numbers of C. Private to safetensors.c. */
#ifndef CPL_MODEL_ST_CONVERT_H
#define CPL_MODEL_ST_CONVERT_H

#include <stddef.h>
#include <stdint.h>

typedef void st_convert(void *out, const void *in, size_t count);
st_convert *cpl_st_to_f32(const char *dtype); /* NULL: no such conversion */
st_convert *cpl_st_to_i64(const char *dtype); /* whole-number types only; U64 wraps, which the caller must check */

#endif
