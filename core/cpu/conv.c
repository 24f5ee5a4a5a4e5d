/* conv.c: linear layers and 2-d convolutions: checks shapes, puts `add` where the product will add to it, and leaves
 * the arithmetic to primitive.c. */
#include "primitive.h"

/* y = x, of whatever types; no more memory is moved than must be. */
static void copy(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    if (y->data != x->data) cpu_scale_add(s, y, 1.0f, x, 0.0f, NULL);
}

/* Where an operand has another type than the product: x is rounded to it beforehand, and y from it afterwards (the library
 * multiplies f32 to f32 only). That costs a pass over memory, so large layers are not built like this. */
static void run(cpl_stream *s, cpu_conv_key *key, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w,
                const cpl_tensor *add) {
    cpl_tensor x_as = *x, y_as = *y;
    bool turn_x = x->dtype != w->type, turn_y = w->type == CPL_F32 && y->dtype != CPL_F32;
    if (turn_x) x_as = cpl_make_as(s, w->type, x->n, x->h, x->w, x->c);
    if (turn_y) y_as = cpl_make_as(s, CPL_F32, y->n, y->h, y->w, y->c);
    if (turn_x) copy(s, &x_as, x);
    if (add) copy(s, &y_as, add);
    key->type = (int)w->type;
    key->y_type = (int)y_as.dtype;
    key->add = add != NULL;
    key->bias = w->beta != NULL;
    if (!s->failed) cpu_conv_run(s, key, w, x_as.data, y_as.data);
    if (turn_y) copy(s, y, &y_as);
    if (turn_x) cpl_tensor_free(&x_as);
    if (turn_y) cpl_tensor_free(&y_as);
}

/* Sums go into y: add is put there first unless it is y. */
static bool operands_fit(cpl_stream *s, const char *operation, const cpl_tensor *y, const cpl_tensor *x,
                         const cpl_tensor *add) {
    if (y->data == x->data) {
        cpl_stream_fail(s, CPL_E_DEVICE, "%s: y may not be x", operation);
        return false;
    }
    return !add || cpu_like(s, operation, "add", add, y);
}

void cpu_linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                const cpl_tensor *add) {
    if (!cpu_enter(s) || !cpu_weighs(s, "linear", w, CPU_CONV) || !cpu_usable(s, "linear", "y", y) ||
        !cpu_usable(s, "linear", "x", x))
        return;
    if (w->kh != 1 || w->kw != 1 || x->c != w->in || y->c != w->out || cpu_rows(x) != cpu_rows(y) ||
        cpu_rows(x) > INT32_MAX) {
        cpl_stream_fail(s, CPL_E_DEVICE, "linear: %zu rows of %d to %zu rows of %d with a weight of %d to %d",
                        cpu_rows(x), x->c, cpu_rows(y), y->c, w->in, w->out);
        return;
    }
    if (!operands_fit(s, "linear", y, x, add)) return;
    int rows = (int)cpu_rows(x);
    cpu_conv_key key = {.n = 1,
                        .h = rows,
                        .w = 1,
                        .in = w->in,
                        .out_h = rows,
                        .out_w = 1,
                        .out = w->out,
                        .kh = 1,
                        .kw = 1,
                        .stride = 1,
                        .activation = (int)act};
    run(s, &key, y, x, w, add);
}

static int out_side(int side, int low, int high, int kernel, int stride) {
    int64_t room = (int64_t)side + low + high - kernel;
    return room < 0 ? 0 : (int)(room / stride + 1);
}

void cpu_conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                const cpl_tensor *add) {
    if (!cpu_enter(s) || !cpu_weighs(s, "conv2d", w, CPU_CONV) || !cpu_usable(s, "conv2d", "y", y)) return;
    if (shape.stride < 1 || shape.pad_top < 0 || shape.pad_left < 0 || shape.pad_bottom < 0 || shape.pad_right < 0) {
        cpl_stream_fail(s, CPL_E_DEVICE, "conv2d: stride %d or a pad is out of range", shape.stride);
        return;
    }
    if (!cpu_shaped(s, "conv2d", "x", x, y->n, x->h, x->w, w->in)) return;
    int out_h = out_side(x->h, shape.pad_top, shape.pad_bottom, w->kh, shape.stride);
    int out_w = out_side(x->w, shape.pad_left, shape.pad_right, w->kw, shape.stride);
    if (!cpu_shaped(s, "conv2d", "y", y, x->n, out_h, out_w, w->out) || !operands_fit(s, "conv2d", y, x, add)) return;
    cpu_conv_key key = {.n = x->n,
                        .h = x->h,
                        .w = x->w,
                        .in = w->in,
                        .out_h = out_h,
                        .out_w = out_w,
                        .out = w->out,
                        .kh = w->kh,
                        .kw = w->kw,
                        .stride = shape.stride,
                        .pad_top = shape.pad_top,
                        .pad_left = shape.pad_left,
                        .pad_bottom = shape.pad_bottom,
                        .pad_right = shape.pad_right};
    run(s, &key, y, x, w, add);
}
