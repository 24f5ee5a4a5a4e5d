/* primitive.h: convolutions that are ready to run, kept per shape. The one door to oneDNN. */
#ifndef CPL_CPU_PRIMITIVE_H
#define CPL_CPU_PRIMITIVE_H

#include "cpu.h"

/* All that a primitive depends on; only ints, so that equal shapes are equal bytes. */
typedef struct cpu_conv_key {
    int n, h, w, in;
    int out_h, out_w, out;
    int kh, kw, stride;
    int pad_top, pad_left, pad_bottom, pad_right;
    int activation, add, bias; /* add: y holds what is added */
    int type, y_type;          /* cpl_dtype: of x and the weights, and of y; an f32 product has an f32 y */
    int threads;               /* filled in by cpu_conv_run: a primitive is cut for the threads it is made with */
} cpu_conv_key;

/* y = act(conv(x) + bias) (+ y). Shapes have been checked; x is only read. */
void cpu_conv_run(cpl_stream *s, cpu_conv_key *key, const cpl_weight *w, void *x, void *y);

bool cpu_engine_open(cpu_backend *b, cpl_error *error);
void cpu_engine_close(cpu_backend *b);
bool cpu_queue_open(cpu_stream *s, cpl_error *error);
void cpu_queue_close(cpu_stream *s);

/* Gives a convolution's weight its first form: values [out][in][kh][kw] of its type, taken with cpu_weight_take, now its
 * own. */
bool cpu_pack_plain(cpu_backend *b, cpl_weight *w, void *values, size_t bytes, cpl_error *error);
void cpu_unpack(cpu_backend *b, cpl_weight *w);

#endif
