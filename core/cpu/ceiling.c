/* ceiling.c: bare primitives of oneDNN, made, run and thrown away: what a network could reach if nothing stood between its
 * products. Knows nothing of weights, pools or streams. */
#include "ceiling.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "cpu.h"
#include "onednn.h"

/* Scores of attention are computed for as many heads at once as fit into this. */
#define MOST_SCORE_BYTES ((size_t)96 << 20)

struct cpl_ceiling {
    int threads;
    dnnl_engine_t engine;
    dnnl_stream_t queue;
};

cpl_ceiling *cpl_ceiling_open(int threads, cpl_error *error) {
    cpl_ceiling *c = cpl_alloc(1, sizeof *c, error);
    if (!c) return NULL;
    c->threads = threads ? threads : cpu_usable_threads();
    if (dnnl_engine_create(&c->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&c->queue, c->engine, dnnl_stream_default_flags) == dnnl_success)
        return c;
    cpl_fail(error, CPL_E_DEVICE, "oneDNN cannot start on this processor.");
    cpl_ceiling_close(c);
    return NULL;
}

void cpl_ceiling_close(cpl_ceiling *c) {
    if (!c) return;
    if (c->queue) dnnl_stream_destroy(c->queue);
    if (c->engine) dnnl_engine_destroy(c->engine);
    free(c);
}

int cpl_ceiling_threads(const cpl_ceiling *c) { return c->threads; }

const char *cpl_ceiling_kernels(void) { return cpu_kernels_pick()->name; }

const char *cpl_ceiling_isa(void) {
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {{dnnl_cpu_isa_avx512_core_amx, "avx512 amx"},
                 {dnnl_cpu_isa_avx512_core_bf16, "avx512 bf16"},
                 {dnnl_cpu_isa_avx512_core_vnni, "avx512 vnni"},
                 {dnnl_cpu_isa_avx512_core, "avx512"},
                 {dnnl_cpu_isa_avx2_vnni, "avx2 vnni"},
                 {dnnl_cpu_isa_avx2, "avx2"},
                 {dnnl_cpu_isa_avx, "avx"},
                 {dnnl_cpu_isa_sse41, "sse4.1"}};
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (isa == names[i].isa) return names[i].name;
    return "other";
}

double cpl_bare_flops(const cpl_bare *b) {
    double places = (double)b->n * b->h * b->w, outputs = (double)b->n * b->out_h * b->out_w;
    switch (b->kind) {
    case CPL_BARE_CONV:
        return 2 * outputs * b->out * b->in * b->kernel * b->kernel;
    case CPL_BARE_MATMUL:
        return 2 * places * b->in * b->out;
    case CPL_BARE_ATTENTION:
        return 4 * places * b->in;
    }
    return 0;
}

/* ---- One primitive with memory of its own ---- */

enum { MOST_ARGS = 4 };

typedef struct job {
    dnnl_primitive_t run;
    dnnl_primitive_desc_t description;
    dnnl_memory_t memory[MOST_ARGS];
    void *data[MOST_ARGS]; /* owned */
    dnnl_exec_arg_t args[MOST_ARGS];
    int count;
} job;

static void job_close(job *j) {
    for (int i = 0; i < j->count; i++) {
        if (j->memory[i]) dnnl_memory_destroy(j->memory[i]);
        cpl_host_memory.give(cpl_host_memory.context, j->data[i]);
    }
    if (j->run) dnnl_primitive_destroy(j->run);
    if (j->description) dnnl_primitive_desc_destroy(j->description);
    *j = (job){0};
}

/* About 0.01 in either type: products of zeros, or of denormal numbers, would take another time. */
static void fill(void *data, size_t bytes) {
    static const uint32_t two = 0x3c243c24;
    uint32_t *at = data;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < bytes / sizeof two; i++) at[i] = two;
}

static dnnl_status_t add_memory(cpl_ceiling *c, job *j, dnnl_query_t query, int index, int arg) {
    onednn_md md = dnnl_primitive_desc_query_md(j->description, query, index);
    size_t bytes = md ? dnnl_memory_desc_get_size(md) : 0;
    if (!bytes) return dnnl_success;
    void *data = cpl_host_memory.take(cpl_host_memory.context, bytes);
    if (!data) return dnnl_out_of_memory;
    fill(data, bytes);
    j->data[j->count] = data;
    dnnl_status_t status = dnnl_memory_create(&j->memory[j->count], md, c->engine, data);
    j->args[j->count] = (dnnl_exec_arg_t){arg, j->memory[j->count]};
    j->count++;
    return status;
}

/* Takes the description over. Weights are filled first: they are the coldest when the run begins. */
static bool job_open(cpl_ceiling *c, job *j, dnnl_primitive_desc_t description, bool weights) {
    *j = (job){.description = description};
    dnnl_status_t status = dnnl_primitive_create(&j->run, description);
    if (!status && weights) status = add_memory(c, j, dnnl_query_weights_md, 0, DNNL_ARG_WEIGHTS);
    if (!status) status = add_memory(c, j, dnnl_query_scratchpad_md, 0, DNNL_ARG_SCRATCHPAD);
    if (!status) status = add_memory(c, j, dnnl_query_dst_md, 0, DNNL_ARG_DST);
    if (!status) status = add_memory(c, j, dnnl_query_src_md, 0, DNNL_ARG_SRC);
    if (status) job_close(j);
    return !status;
}

/* The seconds of one run; 0: it failed. */
static double job_time(cpl_ceiling *c, const job *j) {
    double start = omp_get_wtime();
    dnnl_status_t status = dnnl_primitive_execute(j->run, c->queue, j->count, j->args);
    if (!status) status = dnnl_stream_wait(c->queue);
    return status ? 0 : omp_get_wtime() - start;
}

/* ---- Descriptions ---- */

static dnnl_data_type_t type_of(cpl_dtype type) { return type == CPL_BF16 ? dnnl_bf16 : dnnl_f32; }

static dnnl_status_t user_scratchpad(dnnl_primitive_attr_t *attr) {
    dnnl_status_t status = dnnl_primitive_attr_create(attr);
    return status ? status : dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
}

static bool describe_conv(cpl_ceiling *c, const cpl_bare *b, cpl_dtype type, dnnl_primitive_desc_t *description) {
    dnnl_dims_t x = {b->n, b->in, b->h, b->w}, w = {b->out, b->in, b->kernel, b->kernel},
                y = {b->n, b->out, b->out_h, b->out_w};
    dnnl_memory_desc_t md[3];
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = user_scratchpad(&attr);
    if (!status) status = onednn_md_make(&md[0], 4, x, type_of(type), dnnl_nhwc);
    if (!status) status = onednn_md_make(&md[1], 4, w, type_of(type), dnnl_format_tag_any);
    if (!status) status = onednn_md_make(&md[2], 4, y, type_of(type), dnnl_nhwc);
    if (!status) {
        onednn_conv conv = {.x = &md[0],
                            .weights = &md[1],
                            .y = &md[2],
                            .stride = {b->stride, b->stride},
                            .pad_low = {b->pad_top, b->pad_left},
                            .pad_high = {b->pad_bottom, b->pad_right}};
        status = onednn_conv_make(description, c->engine, &conv, attr);
        for (int i = 0; i < 3; i++) onednn_md_free(&md[i]);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    return !status;
}

/* batch 0: two-dimensional, with weights in the library's favourite layout; else the right factor is transposed or not. */
static bool describe_matmul(cpl_ceiling *c, int batch, int rows, int inner, int columns, bool transposed,
                            cpl_dtype type, dnnl_primitive_desc_t *description) {
    int rank = batch ? 3 : 2;
    dnnl_dims_t x = {batch, rows, inner}, w = {batch, inner, columns}, y = {batch, rows, columns};
    const int64_t *from[3] = {x, w, y};
    dnnl_format_tag_t plain = batch ? dnnl_abc : dnnl_ab, right = !batch       ? dnnl_format_tag_any
                                                                  : transposed ? dnnl_acb
                                                                               : dnnl_abc;
    dnnl_memory_desc_t md[3];
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = user_scratchpad(&attr);
    for (int i = 0; i < 3 && !status; i++) {
        dnnl_dims_t dims = {0};
        memcpy(dims, from[i] + (batch ? 0 : 1), (size_t)rank * sizeof *dims);
        status = onednn_md_make(&md[i], rank, dims, type_of(type), i == 1 ? right : plain);
    }
    if (!status) {
        status = onednn_matmul_make(description, c->engine, &md[0], &md[1], &md[2], attr);
        for (int i = 0; i < 3; i++) onednn_md_free(&md[i]);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    return !status;
}

static bool describe_softmax(cpl_ceiling *c, int batch, int rows, int columns, cpl_dtype type,
                             dnnl_primitive_desc_t *description) {
    dnnl_dims_t dims = {batch, rows, columns};
    dnnl_memory_desc_t md;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = user_scratchpad(&attr);
    if (!status) status = onednn_md_make(&md, 3, dims, type_of(type), dnnl_abc);
    if (!status) {
        status = onednn_softmax_make(description, c->engine, &md, 2, attr);
        onednn_md_free(&md);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    return !status;
}

/* ---- Measuring ---- */

static double time_product(cpl_ceiling *c, const cpl_bare *b, cpl_dtype type) {
    dnnl_primitive_desc_t description = NULL;
    job j;
    bool made = b->kind == CPL_BARE_CONV
                    ? describe_conv(c, b, type, &description)
                    : describe_matmul(c, 0, b->n * b->h * b->w, b->in, b->out, false, type, &description);
    if (!made || !job_open(c, &j, description, true)) return 0;
    double seconds = job_time(c, &j);
    job_close(&j);
    return seconds;
}

/* Some heads at once, in proportion. The scores keep the type of the factors: that is what plain primitives do. */
static double time_attention(cpl_ceiling *c, const cpl_bare *b, cpl_dtype type) {
    size_t head = (size_t)b->h * (size_t)b->w * cpl_dtype_bytes(type);
    int batch = head * (size_t)b->n > MOST_SCORE_BYTES ? (int)(MOST_SCORE_BYTES / head) : b->n;
    double seconds = 0;
    if (batch < 1) batch = 1;
    for (int part = 0; part < 3; part++) {
        dnnl_primitive_desc_t description = NULL;
        job j;
        bool made = part == 0   ? describe_matmul(c, batch, b->h, b->in, b->w, true, type, &description)
                    : part == 1 ? describe_softmax(c, batch, b->h, b->w, type, &description)
                                : describe_matmul(c, batch, b->h, b->w, b->in, false, type, &description);
        if (!made || !job_open(c, &j, description, part != 1)) return 0;
        double once = job_time(c, &j);
        job_close(&j);
        if (once <= 0) return 0;
        seconds += once;
    }
    return seconds * b->n / batch;
}

double cpl_ceiling_product(cpl_ceiling *c, const cpl_bare *bare, cpl_dtype type, int rounds) {
    double best = 0;
    omp_set_num_threads(c->threads);
    for (int i = 0; i < rounds; i++) {
        double seconds = bare->kind == CPL_BARE_ATTENTION ? time_attention(c, bare, type) : time_product(c, bare, type);
        if (seconds <= 0) return 0;
        if (!i || seconds < best) best = seconds;
    }
    return best * 1e3;
}

double cpl_ceiling_copy(cpl_ceiling *c, size_t bytes, int rounds) {
    enum { PIECE = 1 << 20 };
    char *from = cpl_host_memory.take(cpl_host_memory.context, bytes),
         *to = cpl_host_memory.take(cpl_host_memory.context, bytes);
    double best = 0;
    omp_set_num_threads(c->threads);
    if (from && to) {
        fill(from, bytes);
        fill(to, bytes);
    }
    for (int i = 0; from && to && i < rounds; i++) {
        double start = omp_get_wtime();
#pragma omp parallel for schedule(static)
        for (size_t at = 0; at < bytes; at += PIECE)
            memcpy(to + at, from + at, bytes - at < PIECE ? bytes - at : PIECE);
        double seconds = omp_get_wtime() - start;
        if (!i || seconds < best) best = seconds;
    }
    cpl_host_memory.give(cpl_host_memory.context, to);
    cpl_host_memory.give(cpl_host_memory.context, from);
    return best > 0 ? 2e-9 * (double)bytes / best : 0;
}

/* ---- What repeated copies need ---- */

static float wide(uint16_t bits) {
    uint32_t whole = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &whole, sizeof value);
    return value;
}
static uint16_t narrow(float value) {
    uint32_t whole;
    memcpy(&whole, &value, sizeof whole);
    return (uint16_t)((whole + 0x7fff + (whole >> 16 & 1)) >> 16);
}

static void sum_token_f32(float *y, const float *copies, size_t stride, int lines, const float *masks, size_t tokens,
                          const float *add, size_t c) {
    for (size_t i = 0; i < c; i++) y[i] = add[i];
    for (int r = 0; r < lines; r++) {
        const float *from = copies + (size_t)r * stride, mask = masks[(size_t)r * tokens];
        for (size_t i = 0; i < c; i++) y[i] += mask * from[i];
    }
}

static void sum_token_bf16(uint16_t *y, const uint16_t *copies, size_t stride, int lines, const float *masks,
                           size_t tokens, const uint16_t *add, size_t c) {
    enum { RUN = 64 };
    for (size_t first = 0; first < c; first += RUN) {
        float sum[RUN];
        size_t count = c - first < RUN ? c - first : RUN;
        for (size_t i = 0; i < count; i++) sum[i] = wide(add[first + i]);
        for (int r = 0; r < lines; r++) {
            const uint16_t *from = copies + (size_t)r * stride + first;
            float mask = masks[(size_t)r * tokens];
            for (size_t i = 0; i < count; i++) sum[i] += mask * wide(from[i]);
        }
        for (size_t i = 0; i < count; i++) y[first + i] = narrow(sum[i]);
    }
}

void cpl_masked_sum(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *copies, const float *masks,
                    const cpl_tensor *add) {
    size_t tokens = (size_t)y->h * (size_t)y->w, c = (size_t)y->c, stride = tokens * c;
    omp_set_num_threads(cpu_of(s)->threads);
#pragma omp parallel for schedule(static)
    for (size_t t = 0; t < tokens; t++) {
        if (y->dtype == CPL_BF16)
            sum_token_bf16((uint16_t *)y->data + t * c, (const uint16_t *)copies->data + t * c, stride, copies->n,
                           masks + t, tokens, (const uint16_t *)add->data + t * c, c);
        else
            sum_token_f32((float *)y->data + t * c, (const float *)copies->data + t * c, stride, copies->n, masks + t,
                          tokens, (const float *)add->data + t * c, c);
    }
}
