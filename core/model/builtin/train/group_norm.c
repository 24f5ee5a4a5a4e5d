/* group_norm.c: group norm and SiLU as one operation, forwards and backwards, for training on a CPU: torch takes them one
 * after the other, and copies to f32 and back around them. fused.py compiles and calls it.
 *
 * x, y and their gradients: [n, groups, width, pixels] without gaps, all f32 or all bf16. Sums are f32 within a group on
 * the way there, within a channel on the way back. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* As fused.py's Norm has it. */
typedef struct norm {
    ptrdiff_t n, groups, width, pixels; /* width: channels of a group */
    const float *gain, *bias;           /* [groups * width] */
    float *mean, *scale;                /* [n, groups]; scale: one over the standard deviation */
    float eps;
    int silu, bf16;
} norm;

/* What fused.py calls. The way there fills the job's mean and scale, the way back reads them. dgain, dbias: [n, groups *
 * width], to be summed over n. */
void group_norm_forward(const norm *job, const void *x, void *y);
void group_norm_backward(const norm *job, const void *x, const void *dy, void *dx, float *dgain, float *dbias);

INLINE float get(const void *from, ptrdiff_t i, int bf16) {
    if (!bf16) return ((const float *)from)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To the nearest bf16, ties to even. */
INLINE void put(void *to, ptrdiff_t i, float value, int bf16) {
    if (!bf16) {
        ((float *)to)[i] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    ((uint16_t *)to)[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

INLINE float slope_of_silu(float x) {
    float gate = sigmoid(x);
    return gate * (1.0f + x * (1.0f - gate));
}

INLINE void forward_group(const norm *job, const void *x, void *y, ptrdiff_t group, int silu, int bf16) {
    ptrdiff_t count = job->width * job->pixels, first = group * count;
    float pivot = get(x, first, bf16), sum = 0,
          square = 0; /* of differences from one of the values, which keeps digits */
    for (ptrdiff_t i = 0; i < count; i++) {
        float v = get(x, first + i, bf16) - pivot;
        sum += v, square += v * v;
    }
    double apart = (double)sum / (double)count, spread = (double)square / (double)count - apart * apart;
    float mean = (float)(pivot + apart), scale = (float)(1 / sqrt((spread > 0 ? spread : 0) + job->eps));
    job->mean[group] = mean, job->scale[group] = scale;
    for (ptrdiff_t c = 0; c < job->width; c++) {
        ptrdiff_t channel = group % job->groups * job->width + c, row = first + c * job->pixels;
        float factor = scale * job->gain[channel], offset = job->bias[channel] - mean * factor;
        for (ptrdiff_t i = 0; i < job->pixels; i++) {
            float z = get(x, row + i, bf16) * factor + offset;
            put(y, row + i, silu ? z * sigmoid(z) : z, bf16);
        }
    }
}

/* With z the norm's result: dx = scale * (dz * gain - mean(dz * gain) - normal * mean(dz * gain * normal)). */
INLINE void backward_group(const norm *job, const void *x, const void *dy, void *dx, float *dgain, float *dbias,
                           ptrdiff_t group, int silu, int bf16) {
    ptrdiff_t count = job->width * job->pixels, first = group * count;
    float mean = job->mean[group], scale = job->scale[group];
    double level = 0, tilt = 0;
    for (ptrdiff_t c = 0; c < job->width; c++) {
        ptrdiff_t channel = group % job->groups * job->width + c, row = first + c * job->pixels;
        float gain = job->gain[channel], bias = job->bias[channel], slopes = 0, along = 0;
        for (ptrdiff_t i = 0; i < job->pixels; i++) {
            float normal = (get(x, row + i, bf16) - mean) * scale, dz = get(dy, row + i, bf16);
            if (silu) dz *= slope_of_silu(normal * gain + bias);
            slopes += dz, along += dz * normal;
        }
        dgain[group * job->width + c] = along, dbias[group * job->width + c] = slopes;
        level += (double)(slopes * gain) / (double)count, tilt += (double)(along * gain) / (double)count;
    }
    for (ptrdiff_t c = 0; c < job->width; c++) {
        ptrdiff_t channel = group % job->groups * job->width + c, row = first + c * job->pixels;
        float gain = job->gain[channel], bias = job->bias[channel];
        for (ptrdiff_t i = 0; i < job->pixels; i++) {
            float normal = (get(x, row + i, bf16) - mean) * scale, dz = get(dy, row + i, bf16);
            if (silu) dz *= slope_of_silu(normal * gain + bias);
            put(dx, row + i, scale * (dz * gain - (float)level - normal * (float)tilt), bf16);
        }
    }
}

void group_norm_forward(const norm *job, const void *x, void *y) {
#pragma omp parallel for schedule(static)
    for (ptrdiff_t group = 0; group < job->n * job->groups; group++) {
        if (job->silu && job->bf16)
            forward_group(job, x, y, group, 1, 1);
        else if (job->silu)
            forward_group(job, x, y, group, 1, 0);
        else if (job->bf16)
            forward_group(job, x, y, group, 0, 1);
        else
            forward_group(job, x, y, group, 0, 0);
    }
}

void group_norm_backward(const norm *job, const void *x, const void *dy, void *dx, float *dgain, float *dbias) {
#pragma omp parallel for schedule(static)
    for (ptrdiff_t group = 0; group < job->n * job->groups; group++) {
        if (job->silu && job->bf16)
            backward_group(job, x, dy, dx, dgain, dbias, group, 1, 1);
        else if (job->silu)
            backward_group(job, x, dy, dx, dgain, dbias, group, 1, 0);
        else if (job->bf16)
            backward_group(job, x, dy, dx, dgain, dbias, group, 0, 1);
        else
            backward_group(job, x, dy, dx, dgain, dbias, group, 0, 0);
    }
}
