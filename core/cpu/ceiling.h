/* ceiling.h: how fast this machine can be: oneDNN's own products over given shapes, and copies. For benchmarks only; no
 * network runs any of this. */
#ifndef CPL_CPU_CEILING_H
#define CPL_CPU_CEILING_H

#include "../backend.h"

typedef enum cpl_bare_kind { CPL_BARE_CONV, CPL_BARE_MATMUL, CPL_BARE_ATTENTION } cpl_bare_kind;

/* One product by its shape; only ints, so that equal shapes are equal bytes.
 *   CONV       x [n, h, w, in], kernel * kernel weights, y [n, out_h, out_w, out]
 *   MATMUL     x [n, h, w, in] taken as rows, weights [in, out]
 *   ATTENTION  n heads in all, h queries, w keys, in channels of a head: two batched products with a softmax between */
typedef struct cpl_bare {
    cpl_bare_kind kind;
    int n, h, w, in, out, out_h, out_w;
    int kernel, stride, pad_top, pad_left, pad_bottom, pad_right; /* CONV */
} cpl_bare;

/* Two for each multiply-add of the products. */
double cpl_bare_flops(const cpl_bare *bare);

typedef struct cpl_ceiling cpl_ceiling;
cpl_ceiling *cpl_ceiling_open(int threads, cpl_error *error); /* 0: as many as the backend takes */
void cpl_ceiling_close(cpl_ceiling *ceiling);
int cpl_ceiling_threads(const cpl_ceiling *ceiling);
const char *cpl_ceiling_kernels(void); /* the vector set that our own loops run in */
const char *cpl_ceiling_isa(void);     /* the instructions that oneDNN found */

/* Milliseconds of one run, best of `rounds`, each on memory that was just written and with weights in the layout that the
 * library likes best; 0: the library has no such product in this type. */
double cpl_ceiling_product(cpl_ceiling *ceiling, const cpl_bare *bare, cpl_dtype type, int rounds);
/* Bytes read and written per second / 1e9 while all threads copy `bytes` to another place, best of `rounds`; 0: no memory. */
double cpl_ceiling_copy(cpl_ceiling *ceiling, size_t bytes, int rounds);

/* y = sum over the lines r of mask[r][token] * copies[r], plus add: what follows attention over repeated copies. copies
 * [lines, h, w, c], y and add [1, h, w, c], all of one type; masks [lines][h * w]. Nothing is checked. */
void cpl_masked_sum(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *copies, const float *masks,
                    const cpl_tensor *add);

#endif
