/* pipeline.h: from conditionings and plans to a picture: noise, schedule, sampler with CFG, decode. It knows no layout
 * and no thread; the session feeds it, golden tests feed it recorded noise. */
#ifndef CPL_SAMPLE_PIPELINE_H
#define CPL_SAMPLE_PIPELINE_H

#include "../model/adapter.h"
#include "../model/model.h"
#include "schedule.h"

/* One batch element of a composition. */
typedef struct cpl_run_part {
    cpl_unet_text text;
    const cpl_tensor *pooled; /* for models with a vector beside the context; NULL: zeros */
    double weight;            /* in the guidance: uncond + sum of cfg * weight * (cond - uncond) */
} cpl_run_part;

typedef struct cpl_run {
    const cpl_model *model;
    cpl_stream *stream;
    int width, height, steps;             /* pixels */
    double cfg;                           /* at 1 the negative half is not evaluated (times the weights of all parts) */
    const char *sampler, *schedule, *rng; /* rng NULL: "cpu" */
    const char *prediction;               /* instead of the model's; NULL or "": that */
    uint64_t seed;
    const float *noise;  /* [4, h, w] start noise instead of the seed's, or NULL */
    const float *origin; /* [4, h, w] latent of a picture to begin with (img2img.h), sampler scale; NULL: only noise */
    double denoise;      /* 0..1, with an origin */
    bool fix_steps;      /* with an origin: all steps are made, of a longer schedule */
    const float *sigmas; /* [steps + 1] instead of the schedule's, or NULL */
    const cpl_adapters *adapters; /* what is added to the model's layers; NULL: nothing */
    cpl_unet_text positive, negative;
    const cpl_tensor *positive_pooled, *negative_pooled; /* for models with a vector beside the context; NULL: zeros */
    const cpl_run_part *parts; /* [part_count] in place of `positive`; NULL: that one, weight 1 */
    int part_count;
    /* Asked before every call of the model (from 0): may exchange what the texts' arrays point to, and the pooled vectors in the
     * run and its parts, where true says that it did. Allocates nothing. NULL: they stay. */
    bool (*turn)(void *user, int call);
    /* Asked before every step: may hand over newer plans and texts (splice), of as many parts and lines as there were; negative:
     * NULL where that half is not evaluated. NULL: they stay. */
    void (*replan)(void *user, int step, cpl_unet_text *positive /* [parts] */, cpl_unet_text *negative);
    /* After each step (from 1), `ms` after the run's start; x and denoised are NCHW [4, h, w] on the host, where they are wanted,
     * else NULL. A device that works beside the host may be at the next step by then. */
    void (*stepped)(void *user, int step, double ms, const float *x, const float *denoised);
    bool want_state;   /* both of each step: the device waits for the host */
    int want_denoised; /* denoised of each so many-th step, for which nothing waits; 0: of none */
    void (*decoded)(void *user, double fraction); /* while the picture is decoded; may be NULL */
    size_t vae_pixels;                            /* as cpl_decode_latent takes them */
    void *user;
} cpl_run;

typedef struct cpl_run_result {
    float *latent;             /* [4, h, w], sampler scale; owned */
    float *image01;            /* [3, H, W] clamped to 0..1; owned; NULL if `decode` was false */
    uint64_t step_allocations; /* pool misses in the steps after the first */
    double first_step_ms, step_ms, sampling_ms, decode_ms; /* step_ms: median of the steps after the first */
} cpl_run_result;
/* False with CPL_E_CANCELLED when the stream was cancelled, and with CPL_E_UNSUPPORTED where the latent or what is decoded of
 * it is no finite numbers; nothing of `result` is to be freed then. The start noise and the noise of ancestral steps come from
 * one generator, in this order. */
bool cpl_run_sample(const cpl_run *run, bool decode, cpl_run_result *result, cpl_error *error);
void cpl_run_result_clear(cpl_run_result *result);
/* 8-bit by truncation of 255 * v, as the WebUI does; values lie in 0..1. */
cpl_image *cpl_image_from_planes(const float *planes01 /* [3, H, W] */, int width, int height, cpl_error *error);

#endif
