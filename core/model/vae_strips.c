/* vae_strips.c: which rows each pass over an image needs, and in which order they may be overwritten. What the blocks are is
 * decided by encoder and decoder. */
#include "vae_strips.h"

#include "vae_mid.h"

typedef struct span {
    int first, end; /* rows of the image */
} span;

static span widened(span rows, int by, int h) {
    return (span){rows.first > by ? rows.first - by : 0, rows.end + by < h ? rows.end + by : h};
}

/* The i-th strip; false after the last. All have the same height but for the last one. */
static bool find_strip(const cpl_strips *strips, int h, int w, int c, int i, span *rows) {
    size_t most = strips->values / ((size_t)w * (size_t)c);
    int height = most < 2 ? 2 : most < (size_t)h ? (int)most : h, count = (h + height - 1) / height;
    height = (h + count - 1) / count;
    *rows = (span){i * height, (i + 1) * height < h ? (i + 1) * height : h};
    return rows->first < h;
}

static void tell(const cpl_strips *strips, const cpl_stream *s, span rows, int h, double share) {
    if (strips->told && !s->failed) strips->told(strips->user, share * (rows.end - rows.first) / h);
}

/* x holds the rows of an image of height h that y's `rows` look at. Only the image's own edges are padded. */
static void convolve(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *conv, span rows, int h,
                     const cpl_tensor *add) {
    cpl_conv_shape shape = cpl_conv_3x3;
    shape.pad_top = rows.first == 0;
    shape.pad_bottom = rows.end == h;
    s->ops->conv2d(s, y, x, conv, shape, add);
}

/* To be freed, whether it is a view or was made. */
static cpl_tensor take_rows(cpl_stream *s, const cpl_rows *x, span rows) {
    if (x->kept) return cpl_tensor_rows(x->kept, rows.first, rows.end - rows.first);
    span needed = widened(rows, 1, x->h);
    cpl_tensor wide = {0}, input;
    if (x->doubled) {
        int first = needed.first / 2, count = (needed.end + 1) / 2 - first;
        cpl_tensor narrow = cpl_tensor_rows(x->from, first, count);
        wide = cpl_make(s, 1, 2 * count, x->w, x->from->c);
        s->ops->upsample(s, &wide, &narrow);
        input = cpl_tensor_rows(&wide, needed.first - 2 * first, needed.end - needed.first);
    } else {
        input = cpl_tensor_rows(x->from, needed.first, needed.end - needed.first);
    }
    cpl_tensor y = cpl_make(s, 1, rows.end - rows.first, x->w, x->c);
    convolve(s, &y, &input, x->conv, rows, x->h, NULL);
    cpl_tensor_free(&wide);
    return y;
}

/* Rows of the first convolution's output. x: the rows that these look at. */
static cpl_tensor first_half(cpl_stream *s, const cpl_resblock *block, const cpl_tensor *x, const cpl_tensor *sums,
                             span rows, int h) {
    cpl_tensor normed = cpl_make_like(s, x), y = {0};
    s->ops->group_norm_by(s, &normed, x, sums, (size_t)h * (size_t)x->w, block->norm1, block->groups, block->eps, true);
    y = cpl_make(s, 1, rows.end - rows.first, x->w, block->out_channels);
    convolve(s, &y, &normed, block->conv1, rows, h, NULL);
    cpl_tensor_free(&normed);
    return y;
}

/* y = conv2(SiLU(norm2(half))) + x, for x's rows or their projection. half is taken over. */
static void second_half(cpl_stream *s, const cpl_resblock *block, const cpl_tensor *y, const cpl_tensor *x,
                        cpl_tensor *half, const cpl_tensor *sums, span rows, int h) {
    s->ops->group_norm_by(s, half, half, sums, (size_t)h * (size_t)x->w, block->norm2, block->groups, block->eps, true);
    if (block->skip) s->ops->conv2d(s, y, x, block->skip, cpl_conv_1x1, NULL);
    convolve(s, y, half, block->conv2, rows, h, block->skip ? y : x);
    cpl_tensor_free(half);
}

static void sum_up(const cpl_strips *strips, cpl_stream *s, const cpl_rows *x, int widest, const cpl_tensor *sums,
                   double share) {
    span rows;
    for (int i = 0; find_strip(strips, x->h, x->w, widest, i, &rows) && cpl_stream_ok(s); i++) {
        cpl_tensor t = take_rows(s, x, rows);
        s->ops->group_sums(s, sums, &t, i == 0);
        cpl_tensor_free(&t);
        tell(strips, s, rows, x->h, share);
    }
}

static void sum_up_first_half(const cpl_strips *strips, cpl_stream *s, const cpl_resblock *block, const cpl_rows *x,
                              int widest, const cpl_tensor *sums_x, const cpl_tensor *sums, double share) {
    span rows;
    for (int i = 0; find_strip(strips, x->h, x->w, widest, i, &rows) && cpl_stream_ok(s); i++) {
        cpl_tensor t = take_rows(s, x, widened(rows, 1, x->h));
        cpl_tensor half = first_half(s, block, &t, sums_x, rows, x->h);
        cpl_tensor_free(&t);
        s->ops->group_sums(s, sums, &half, i == 0);
        cpl_tensor_free(&half);
        tell(strips, s, rows, x->h, share);
    }
}

/* A finished strip that may stand in place of x only once the next one has read the rows it needs. */
typedef struct waiting {
    cpl_tensor strip;
    int first;
} waiting;

static void put_down(cpl_stream *s, const cpl_tensor *y, waiting *w) {
    if (!w->strip.data) return;
    cpl_tensor to = cpl_tensor_rows(y, w->first, w->strip.h);
    s->ops->scale_add(s, &to, 1, &w->strip, 0, NULL);
    cpl_tensor_free(&w->strip);
}

static void put_out(const cpl_strips *strips, cpl_stream *s, const cpl_resblock *block, const cpl_rows *x, int widest,
                    const cpl_tensor *y, const cpl_tensor *sums_x, const cpl_tensor *sums_half,
                    const cpl_tensor *sums_y, double share) {
    bool in_place = x->kept && x->kept->data == y->data;
    waiting last = {0};
    span rows;
    for (int i = 0; find_strip(strips, x->h, x->w, widest, i, &rows) && cpl_stream_ok(s); i++) {
        span around = widened(rows, 2, x->h);
        cpl_tensor t = take_rows(s, x, around);
        cpl_tensor half = first_half(s, block, &t, sums_x, widened(rows, 1, x->h), x->h);
        cpl_tensor own = cpl_tensor_rows(&t, rows.first - around.first, rows.end - rows.first);
        put_down(s, y, &last);
        cpl_tensor to = in_place ? cpl_make(s, 1, own.h, x->w, block->out_channels)
                                 : cpl_tensor_rows(y, rows.first, rows.end - rows.first);
        second_half(s, block, &to, &own, &half, sums_half, rows, x->h);
        cpl_tensor_free(&t);
        s->ops->group_sums(s, sums_y, &to, i == 0);
        if (in_place) last = (waiting){to, rows.first};
        tell(strips, s, rows, x->h, share);
    }
    put_down(s, y, &last);
    cpl_tensor_free(&last.strip);
}

void cpl_strips_resblock(const cpl_strips *strips, cpl_stream *s, const cpl_resblock *block, const cpl_rows *x,
                         const cpl_tensor *y, const cpl_tensor *sums, const cpl_tensor *sums_y, double share) {
    int widest = x->c > block->out_channels ? x->c : block->out_channels, passes = sums ? 2 : 3;
    cpl_tensor of_x = {0}, of_half = cpl_make_sums(s, block->out_channels);
    if (!sums) {
        of_x = cpl_make_sums(s, x->c);
        sum_up(strips, s, x, widest, &of_x, share / passes);
        sums = &of_x;
    }
    sum_up_first_half(strips, s, block, x, widest, sums, &of_half, share / passes);
    put_out(strips, s, block, x, widest, y, sums, &of_half, sums_y, share / passes);
    cpl_tensor_free(&of_half);
    cpl_tensor_free(&of_x);
}

void cpl_strips_end(const cpl_strips *strips, cpl_stream *s, const cpl_weight *norm, int groups, const cpl_weight *conv,
                    const cpl_tensor *x, const cpl_tensor *y, const cpl_tensor *sums, double share) {
    span rows;
    for (int i = 0; find_strip(strips, x->h, x->w, x->c, i, &rows) && cpl_stream_ok(s); i++) {
        span around = widened(rows, 1, x->h);
        cpl_tensor t = cpl_tensor_rows(x, around.first, around.end - around.first), normed = cpl_make_like(s, &t);
        cpl_tensor to = cpl_tensor_rows(y, rows.first, rows.end - rows.first);
        s->ops->group_norm_by(s, &normed, &t, sums, (size_t)x->h * (size_t)x->w, norm, groups, CPL_VAE_EPS, true);
        convolve(s, &to, &normed, conv, rows, x->h, NULL);
        cpl_tensor_free(&normed);
        tell(strips, s, rows, x->h, share);
    }
}
