/* embed.c: numbers to vectors: table look-ups of token ids and the sinusoids of time steps. */
#include "cpu.h"

#include <math.h>

static const void *row_of(const cpl_weight *table, int row) {
    return (const char *)table->rows + (size_t)row * (size_t)table->in * cpl_dtype_bytes(table->type);
}

void cpu_embed(cpl_stream *s, const cpl_tensor *y, const cpl_weight *tokens, const int *ids,
               const cpl_weight *positions) {
    if (!cpu_enter(s) || !cpu_weighs(s, "embed", tokens, CPU_TABLE) ||
        (positions && !cpu_weighs(s, "embed", positions, CPU_TABLE)) || !cpu_usable(s, "embed", "y", y) ||
        !cpu_shaped(s, "embed", "y", y, y->n, 1, y->w, tokens->in))
        return;
    if (positions && (positions->in != tokens->in || positions->out < y->w)) {
        cpl_stream_fail(s, CPL_E_DEVICE, "embed: %d tokens of %d values with %d positions of %d", y->w, tokens->in,
                        positions->out, positions->in);
        return;
    }
    const cpu_kernels *kernels = cpu_of(s)->kernels;
    size_t c = (size_t)y->c;
    for (int i = 0; i < y->n * y->w; i++) {
        if (ids[i] < 0 || ids[i] >= tokens->out) {
            cpl_stream_fail(s, CPL_E_INPUT, "embed: token id %d is not in the table of %d", ids[i], tokens->out);
            return;
        }
        const void *token = row_of(tokens, ids[i]);
        void *to = cpu_at(y, (size_t)i * c);
        if (positions)
            kernels->scale_add(to, y->dtype, 1.0f, token, tokens->type, 1.0f, row_of(positions, i % y->w),
                               positions->type, c);
        else
            kernels->convert(to, y->dtype, token, tokens->type, 1.0f, c);
    }
}

/* In f32 throughout, as the networks were trained: at t near 1000 the rounding of a frequency shows in the fifth digit. */
void cpu_timestep_embedding(cpl_stream *s, const cpl_tensor *y, const float *t) {
    if (!cpu_enter(s) || !cpu_usable(s, "timestep_embedding", "y", y) ||
        !cpu_shaped(s, "timestep_embedding", "y", y, y->n, 1, 1, y->c))
        return;
    if (y->c % 2) {
        cpl_stream_fail(s, CPL_E_DEVICE, "timestep_embedding: %d channels are not pairs of cosine and sine", y->c);
        return;
    }
    int half = y->c / 2;
    float *waves = cpu_scratch(s, (size_t)y->c, sizeof *waves);
    for (int n = 0; waves && n < y->n; n++) {
        for (int i = 0; i < half; i++) {
            float angle = t[n] * expf(-9.210340371976184f * (float)i / (float)half); /* ln 10000 */
            waves[i] = cosf(angle);
            waves[half + i] = sinf(angle);
        }
        cpu_of(s)->kernels->convert(cpu_at(y, (size_t)n * (size_t)y->c), y->dtype, waves, CPL_F32, 1.0f, (size_t)y->c);
    }
    cpl_pool_give(s->pool, waves);
}
