/* steps.c: whole passes of the UNet over a negative and a positive picture, as a denoise step makes them, and the decoder, of
 * networks in the sizes of SD 1.5 and SDXL with random weights (random_load.c). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/bench/inputs.h"
#include "../../core/memory/alloc.h"
#include "../../core/model/unet.h"
#include "../../core/model/vae.h"
#include "bench.h"

enum { MOST_REGIONS = 8, KEYS = 77, STEPS_OF_A_PICTURE = 20 };

typedef struct network {
    const char *model;
    int latent;
    cpl_unet_spec unet;
    cpl_vae_spec vae;
} network;

#define VAE_OF_STABLE_DIFFUSION                                                                                        \
    .vae = {.ch = 128,                                                                                                 \
            .levels = 4,                                                                                               \
            .ch_mult = {1, 2, 4, 4},                                                                                   \
            .ch_mult_decoder = {1, 2, 4, 4},                                                                           \
            .num_res_blocks = 2,                                                                                       \
            .z_channels = 4,                                                                                           \
            .norm_groups = 32,                                                                                         \
            .scaling_factor = 0.18215f}

static const network sizes[] = {
    {"sd15", 64,
     .unet = {.in_channels = 4,
              .model_channels = 320,
              .levels = 4,
              .num_res_blocks = 2,
              .channel_mult = {1, 2, 4, 4},
              .transformer_depth = {1, 1, 1, 0},
              .transformer_depth_middle = 1,
              .num_heads = 8,
              .context_dim = 768,
              .norm_groups = 32},
     VAE_OF_STABLE_DIFFUSION},
    {"sdxl", 128,
     .unet = {.in_channels = 4,
              .model_channels = 320,
              .levels = 3,
              .num_res_blocks = 2,
              .channel_mult = {1, 2, 4},
              .transformer_depth = {0, 2, 10},
              .transformer_depth_middle = 10,
              .num_heads = -1,
              .num_head_channels = 64,
              .context_dim = 2048,
              .adm_in_channels = 2816,
              .norm_groups = 32,
              .linear_in_transformer = true},
     VAE_OF_STABLE_DIFFUSION},
};
static const network quick_size = {"tiny", 4,
                                   .unet = {.in_channels = 4,
                                            .model_channels = 32,
                                            .levels = 1,
                                            .num_res_blocks = 1,
                                            .channel_mult = {1},
                                            .transformer_depth = {1},
                                            .transformer_depth_middle = 1,
                                            .num_heads = 2,
                                            .context_dim = 32,
                                            .norm_groups = 32},
                                   .vae = {.ch = 32,
                                           .levels = 1,
                                           .ch_mult = {1},
                                           .ch_mult_decoder = {1},
                                           .num_res_blocks = 1,
                                           .z_channels = 4,
                                           .norm_groups = 32,
                                           .scaling_factor = 1}};

typedef struct rig {
    gpu_bench *b;
    const network *size;
    cpl_unet *unet;
    cpl_vae *vae;
    cpl_tensor x, eps, vector, z;
    cpl_text_kv kv[1 + MOST_REGIONS];
    const cpl_text_kv *listed[1 + MOST_REGIONS];
    cpl_plan *plan[CPL_MAX_LEVELS];
    int regions;
} rig;

static bool make_plans(rig *r) {
    for (int level = 0; level < cpl_unet_levels(r->unet); level++) {
        int w, h;
        if (!cpl_unet_couples(r->unet, level)) continue;
        cpl_unet_grid(r->size->latent, r->size->latent, level, &w, &h);
        float *masks = cpl_bench_tiles(MOST_REGIONS, w, h, &r->b->error);
        r->plan[level] = masks ? cpl_plan_new(masks, MOST_REGIONS, w, h, &r->b->error) : NULL;
        free(masks);
        if (!r->plan[level]) return false;
    }
    return true;
}

static bool make_texts(rig *r) {
    for (int i = 0; i <= MOST_REGIONS; i++) {
        cpl_tensor context = gpu_bench_tensor(r->b, 1, 1, KEYS, r->size->unet.context_dim, (unsigned)i + 20);
        bool done = cpl_unet_text_kv(r->unet, r->b->s, &context, &r->kv[i], &r->b->error);
        cpl_tensor_free(&context);
        if (!done) return false;
        r->listed[i] = &r->kv[i];
    }
    return true;
}

static bool open_rig(rig *r, gpu_bench *b, const network *size) {
    *r = (rig){.b = b, .size = size};
    cpl_loader loader = {.backend = b->backend, .error = &b->error};
    r->unet = cpl_unet_new(&loader, &size->unet);
    r->vae = r->unet ? cpl_vae_new(&loader, &size->vae) : NULL;
    if (!r->vae) return false;
    r->x = gpu_bench_tensor(b, 2, size->latent, size->latent, size->unet.in_channels, 1);
    r->z = gpu_bench_tensor(b, 1, size->latent, size->latent, size->vae.z_channels, 2);
    r->eps = cpl_make_like(b->s, &r->x);
    if (size->unet.adm_in_channels) r->vector = gpu_bench_tensor(b, 2, 1, 1, size->unet.adm_in_channels, 3);
    return cpl_stream_settle(b->s, &b->error) && make_texts(r) && make_plans(r);
}

static void close_rig(rig *r) {
    for (int i = 0; i <= MOST_REGIONS; i++) cpl_text_kv_free(&r->kv[i]);
    for (int i = 0; i < CPL_MAX_LEVELS; i++) cpl_plan_free(r->plan[i]);
    cpl_tensor *const tensors[] = {&r->x, &r->eps, &r->vector, &r->z};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) cpl_tensor_free(tensors[i]);
    if (r->vae) cpl_vae_free(r->vae, r->b->backend);
    if (r->unet) cpl_unet_free(r->unet, r->b->backend);
}

static void step(void *context, int call) {
    rig *r = context;
    const float t[2] = {500, 500};
    const cpl_unet_text texts[2] = {
        {.lines = 1, .kv = r->listed},
        {.lines = r->regions, .kv = r->listed + 1, .plans = r->regions > 1 ? (const cpl_plan *const *)r->plan : NULL},
    };
    (void)call;
    cpl_unet_run(r->unet, r->b->s, &r->eps, &r->x, t, r->vector.data ? &r->vector : NULL, texts, NULL, NULL);
}

static void decode(void *context, int call) {
    rig *r = context;
    (void)call;
    cpl_tensor picture = cpl_vae_decode(r->vae, r->b->s, &r->z, NULL, NULL);
    cpl_tensor_free(&picture);
}

/* Time on values that are no numbers would not be time on a network's. */
static bool is_finite(rig *r) {
    size_t count = cpl_tensor_count(&r->eps);
    float *values = count ? cpl_alloc(count, sizeof *values, &r->b->error) : NULL;
    if (!values) return false;
    r->b->s->ops->download(r->b->s, values, &r->eps);
    bool finite = cpl_stream_ok(r->b->s);
    for (size_t i = 0; i < count; i++) finite = finite && isfinite(values[i]);
    free(values);
    return finite;
}

/* before: when the first of the steps began. */
static void report(rig *r, const gpu_timing *t, const gpu_timing *decoding, const cpl_stats *before) {
    gpu_bench *b = r->b;
    cpl_stats stats = {0};
    b->s->ops->stats(b->s, &stats);
    uint64_t library = stats.library_products - before->library_products;
    uint64_t own = stats.own_products - before->own_products;
    gpu_bench_row(b);
    gpu_bench_text(b, "model", r->size->model);
    gpu_bench_number(b, "pixels", r->size->latent * 8);
    gpu_bench_number(b, "regions", r->regions);
    gpu_bench_number(b, "finite", is_finite(r));
    gpu_bench_number(b, "step_ms", t->device_ms);
    gpu_bench_number(b, "wall_ms", t->wall_ms);
    gpu_bench_number(b, "gap_ms", t->wall_ms > t->device_ms ? t->wall_ms - t->device_ms : 0);
    gpu_bench_number(b, "host_ms", t->host_ms);
    gpu_bench_number(b, "decode_ms", decoding->device_ms);
    gpu_bench_number(b, "pictures_per_second", 1000 / (STEPS_OF_A_PICTURE * t->wall_ms + decoding->wall_ms));
    gpu_bench_number(b, "weights_mib", (double)stats.weight_bytes / (1 << 20));
    gpu_bench_number(b, "device_mib", (double)stats.device_bytes / (1 << 20));
    gpu_bench_number(b, "library_products", (double)library);
    gpu_bench_number(b, "own_products", (double)own);
    gpu_bench_text(b, "libraries", stats.libraries);
    printf("| %s, %d pixels | %d | %.3f | %.3f | %.3f | %.3f | %.3f | %.2f | %.0f | %.0f | %.1f |\n", r->size->model,
           r->size->latent * 8, r->regions, t->device_ms, t->wall_ms - t->device_ms, t->host_ms, t->wall_ms,
           decoding->device_ms, 1000 / (STEPS_OF_A_PICTURE * t->wall_ms + decoding->wall_ms),
           (double)stats.weight_bytes / (1 << 20), (double)stats.device_bytes / (1 << 20),
           library + own ? 100 * (double)library / (double)(library + own) : 0);
    fflush(stdout);
}

static bool measure(gpu_bench *b, const network *size) {
    static const int counts[] = {1, MOST_REGIONS};
    rig *r = cpl_alloc(1, sizeof *r, &b->error);
    gpu_timing decoding = {0}, t = {0};
    if (!r) return false;
    fprintf(stderr, "bench-gpu: %s, weights\n", size->model);
    bool done = open_rig(r, b, size) && gpu_bench_time(b, decode, r, 1, &decoding);
    for (int i = 0; i < 2 && done; i++) {
        fprintf(stderr, "bench-gpu: %s, steps, %d regions\n", size->model, counts[i]);
        cpl_stats before = {0};
        b->s->ops->stats(b->s, &before);
        r->regions = counts[i];
        done = gpu_bench_time(b, step, r, 1, &t);
        if (done) report(r, &t, &decoding, &before);
    }
    close_rig(r);
    free(r);
    return done;
}

bool gpu_bench_steps(gpu_bench *b) {
    bool done = true;
    gpu_bench_open(b, "steps");
    printf("\n| model | regions | step ms | gap ms | host ms | wall ms | decode ms | pictures/s of 20 steps | weights "
           "MiB | device MiB | by libraries %% |\n"
           "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    if (b->quick) done = measure(b, &quick_size);
    for (size_t i = 0; !b->quick && done && i < sizeof sizes / sizeof *sizes; i++) done = measure(b, &sizes[i]);
    gpu_bench_close(b);
    return done;
}
