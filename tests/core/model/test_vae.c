/* The VAE around its numbers (which golden data compares): errors that name the tensor, memory that comes back, sizes. */
#include "network_rig.h"

#include <math.h>

#include "../../../core/model/vae.h"
#include "../../../core/model/vae_encoder.h"

static cpl_vae *vae;
static cpl_vae_encoder *encoder;

static int group_setup(void **state) {
    cpl_error error = {0};
    (void)state;
    open_stream();
    cpl_checkpoint *st = open_checkpoint();
    cpl_loader l = loader_of(st, &error);
    vae = cpl_vae_new(&l, &spec.vae);
    encoder = vae ? cpl_vae_encoder_new(&l, &spec.vae) : NULL;
    if (!encoder) fail_msg("%s", error.message);
    cpl_checkpoint_close(st);
    return 0;
}

static int group_teardown(void **state) {
    (void)state;
    assert_int_equal(pool_stats().used_blocks, 0);
    cpl_vae_free(vae, backend);
    cpl_vae_encoder_free(encoder, backend);
    close_stream();
    return 0;
}

static void a_missing_tensor_is_named(void **state) {
    static const char *const names[] = {
        "first_stage_model.post_quant_conv.bias",
        "first_stage_model.decoder.mid.attn_1.proj_out.weight",
        "first_stage_model.decoder.up.3.upsample.conv.bias",
        "first_stage_model.decoder.up.0.block.1.conv2.weight",
        "first_stage_model.encoder.conv_in.weight",
        "first_stage_model.encoder.down.1.downsample.conv.weight",
        "first_stage_model.encoder.mid.block_2.norm1.bias",
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[128], to[128];
        size_t size;
        bool of_encoder = strstr(names[i], "encoder") != NULL;
        cpl_error error = {0};
        snprintf(from, sizeof from, "\"%s\"", names[i]);
        snprintf(to, sizeof to, "\"%s\"", names[i]);
        to[1] = 'X';
        char *data = forged_checkpoint(from, to, &size);
        cpl_checkpoint *st = checkpoint_in_memory(data, size);
        cpl_loader back = loader_of(st, of_encoder ? NULL : &error), there = loader_of(st, of_encoder ? &error : NULL);
        cpl_vae *d = cpl_vae_new(&back, &spec.vae);
        cpl_vae_encoder *e = cpl_vae_encoder_new(&there, &spec.vae);
        assert_true((d == NULL) == !of_encoder);
        assert_true((e == NULL) == of_encoder);
        assert_non_null(strstr(error.message, names[i]));
        cpl_vae_free(d, backend);
        cpl_vae_encoder_free(e, backend);
        cpl_checkpoint_close(st);
        free(data);
    }
}

static void a_spec_that_lies_is_refused(void **state) {
    (void)state;
    cpl_checkpoint *st = open_checkpoint();
    for (int i = 0; i < 6; i++) {
        cpl_vae_spec lie = spec.vae;
        cpl_error error = {0};
        switch (i) {
        case 0:
            lie.levels = 0;
            break;
        case 1:
            lie.levels = CPL_MAX_LEVELS + 1;
            break;
        case 2:
            lie.norm_groups = 0;
            break;
        case 3:
            lie.norm_groups = 7;
            break;
        case 4:
            lie.num_res_blocks = -1;
            break;
        case 5:
            lie.ch_mult[0] = lie.ch_mult_decoder[0] = 0;
            break;
        }
        cpl_loader back = loader_of(st, &error), there = loader_of(st, &error);
        assert_null(cpl_vae_new(&back, &lie));
        assert_int_equal(error.code, CPL_E_UNSUPPORTED);
        assert_null(cpl_vae_encoder_new(&there, &lie));
    }
    cpl_checkpoint_close(st);
}

static void sizes_are_the_latents_times_the_factor(void **state) {
    (void)state;
    int factor = cpl_vae_factor(vae);
    assert_int_equal(factor, 1 << (spec.vae.levels - 1));
    cpl_tensor z = noise(2, 3, 5, spec.vae.z_channels, 1), image = cpl_vae_decode(vae, stream, &z, NULL, NULL);
    assert_stream_ok();
    assert_int_equal(image.n, 2);
    assert_int_equal(image.h, 3 * factor);
    assert_int_equal(image.w, 5 * factor);
    assert_int_equal(image.c, 3);
    cpl_tensor back = cpl_vae_encode(encoder, stream, &image, NULL, NULL);
    assert_stream_ok();
    assert_int_equal(back.h, 3);
    assert_int_equal(back.w, 5);
    assert_int_equal(back.c, 2 * spec.vae.z_channels);
    cpl_tensor_free(&z);
    cpl_tensor_free(&image);
    cpl_tensor_free(&back);
}

static void a_second_decode_takes_no_memory_and_gives_the_same_bytes(void **state) {
    (void)state;
    cpl_tensor z = noise(1, 4, 6, spec.vae.z_channels, 1);
    cpl_tensor first = cpl_vae_decode(vae, stream, &z, NULL, NULL);
    float *a = values_of(&first);
    cpl_tensor_free(&first);
    cpl_pool_stats before = pool_stats();
    cpl_tensor second = cpl_vae_decode(vae, stream, &z, NULL, NULL);
    float *b = values_of(&second);
    assert_int_equal(pool_stats().allocations, before.allocations);
    assert_memory_equal(a, b, cpl_tensor_bytes(&second));
    cpl_tensor_free(&second);
    cpl_tensor_free(&z);
    free(a);
    free(b);
}

static void run_decode(void *z) {
    cpl_tensor image = cpl_vae_decode(vae, stream, z, NULL, NULL);
    cpl_tensor_free(&image);
}

static void run_encode(void *image) {
    cpl_tensor moments = cpl_vae_encode(encoder, stream, image, NULL, NULL);
    cpl_tensor_free(&moments);
}

static void all_norms_have_the_same_epsilon(void **state) {
    (void)state;
    cpl_tensor z = noise(1, 2, 2, spec.vae.z_channels, 1), image = noise(1, 16, 16, 3, 1);
    hook_operations();
    run_decode(&z);
    run_encode(&image);
    unhook_operations();
    assert_stream_ok();
    /* Two a ResBlock; two ResBlocks and the attention in the middle; one at the end. Decoder levels have one more block. */
    int blocks = spec.vae.levels * spec.vae.num_res_blocks;
    assert_int_equal(norms_1e6, 2 * (2 * blocks + 5 + 1) + 2 * spec.vae.levels);
    assert_int_equal(norms_1e5 + norms_other, 0);
    cpl_tensor_free(&z);
    cpl_tensor_free(&image);
}

static void a_cancel_gives_all_memory_back(void **state) {
    (void)state;
    cpl_tensor z = noise(1, 2, 3, spec.vae.z_channels, 1), image = noise(1, 16, 24, 3, 1);
    assert_true(cancel_everywhere(run_decode, &z) > 20);
    assert_true(cancel_everywhere(run_encode, &image) > 20);
    cpl_tensor_free(&z);
    cpl_tensor_free(&image);
}

/* ---- Strips ---- */

typedef struct told {
    int count;
    double last;
} told;

static void note_progress(void *user, double fraction) {
    told *t = user;
    assert_true(fraction >= t->last && fraction <= 1);
    t->count++;
    t->last = fraction;
}

static double spread(const float *values, size_t count) {
    double sum = 0, square = 0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i], square += (double)values[i] * (double)values[i];
    return sqrt(square / (double)count - sum / (double)count * sum / (double)count);
}

/* Of every size of strip, down to the two rows that are the least: what is made is the picture of the whole. */
static void strips_make_the_same_picture(void **state) {
    (void)state;
    static const int sizes[][2] = {{9, 5}, {4, 12}, {1, 3}, {2, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cpl_tensor z = noise(1, sizes[i][0], sizes[i][1], spec.vae.z_channels, (uint32_t)i + 1);
        cpl_tensor whole = cpl_vae_decode(vae, stream, &z, NULL, NULL);
        float *a = values_of(&whole);
        size_t count = cpl_tensor_count(&whole);
        for (size_t pixels = 1; pixels < 2 * count; pixels = pixels * 3 + 50) {
            told t = {0};
            cpl_vae_way way = {pixels, note_progress, &t};
            cpl_tensor parts = cpl_vae_decode_by(vae, stream, &z, &way, NULL, NULL);
            float *b = values_of(&parts);
            double difference = largest_difference(a, b, count);
            if (!(difference < 2e-5 * spread(a, count)))
                fail_msg("%dx%d in strips of %zu pixels: %g of %g", sizes[i][1], sizes[i][0], pixels, difference,
                         spread(a, count));
            assert_true(t.count > 4 && t.last > 0.999999);
            cpl_tensor_free(&parts);
            free(b);
        }
        cpl_tensor_free(&whole);
        cpl_tensor_free(&z);
        free(a);
    }
}

static void strips_make_the_same_latent(void **state) {
    (void)state;
    int factor = cpl_vae_factor(vae);
    cpl_tensor image = noise(1, 7 * factor, 5 * factor, 3, 3);
    cpl_tensor whole = cpl_vae_encode(encoder, stream, &image, NULL, NULL);
    float *a = values_of(&whole);
    size_t count = cpl_tensor_count(&whole);
    for (size_t pixels = 1; pixels < 8000; pixels = pixels * 3 + 50) {
        told t = {0};
        cpl_vae_way way = {pixels, note_progress, &t};
        cpl_tensor parts = cpl_vae_encode_by(encoder, stream, &image, &way, NULL, NULL);
        float *b = values_of(&parts);
        double difference = largest_difference(a, b, count);
        if (!(difference < 2e-5 * spread(a, count)))
            fail_msg("in strips of %zu pixels: %g of %g", pixels, difference, spread(a, count));
        assert_true(t.last > 0.999999);
        cpl_tensor_free(&parts);
        free(b);
    }
    cpl_tensor_free(&whole);
    cpl_tensor_free(&image);
    free(a);
}

/* The mean step from one row of pixels to the next, each row with each, where strips of `height` meet and elsewhere. */
static void measure_steps(const float *image, int h, int w, int height, double *across, double *inside) {
    int borders = 0, others = 0;
    *across = *inside = 0;
    for (int y = 1; y < h; y++) {
        double sum = 0;
        for (int i = 0; i < 3 * w; i++) sum += fabs((double)image[y * 3 * w + i] - (double)image[(y - 1) * 3 * w + i]);
        if (y % height == 0)
            *across += sum, borders++;
        else
            *inside += sum, others++;
    }
    *across /= borders;
    *inside /= others;
}

/* A seam is a step between the strips that is not in the picture: here a smooth one, which would show it. */
static void there_is_no_seam(void **state) {
    (void)state;
    int h = 8, w = 8, factor = cpl_vae_factor(vae), c = spec.vae.z_channels;
    float latent[8 * 8 * 16];
    assert_true(c <= 16);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++)
                latent[(y * w + x) * c + k] = sinf(0.3f * (float)y + (float)k) + 0.2f * (float)x;
    cpl_tensor z = cpl_make(stream, 1, h, w, c);
    stream->ops->upload(stream, &z, latent);
    double across[2], inside[2];
    for (int i = 0; i < 2; i++) {
        /* Two rows a strip at the last level, the least there is. */
        cpl_vae_way way = {i ? 1 : 0, NULL, NULL};
        cpl_tensor image = cpl_vae_decode_by(vae, stream, &z, &way, NULL, NULL);
        float *values = values_of(&image);
        measure_steps(values, h * factor, w * factor, 2, &across[i], &inside[i]);
        cpl_tensor_free(&image);
        free(values);
    }
    assert_true(fabs(across[1] / inside[1] - across[0] / inside[0]) < 1e-4);
    cpl_tensor_free(&z);
}

/* One level of a real picture alone is larger than this; here the whole is small, but the proportions are the same. */
static void strips_take_less_memory(void **state) {
    (void)state;
    uint64_t peak[2];
    for (int i = 0; i < 2; i++) {
        cpl_error error = {0};
        cpl_stream *fresh = backend->ops->stream_open(backend, &error), *shared = stream;
        stream = fresh;
        cpl_tensor z = noise(1, 16, 16, spec.vae.z_channels, 1);
        cpl_vae_way way = {i ? 16 * 16 * 8 * 4 : 0, NULL, NULL};
        cpl_tensor image = cpl_vae_decode_by(vae, stream, &z, &way, NULL, NULL);
        peak[i] = pool_stats().peak_bytes;
        cpl_tensor_free(&image);
        cpl_tensor_free(&z);
        assert_stream_ok();
        stream = shared;
        backend->ops->stream_close(fresh);
    }
    print_message("peak of activations %.2f MB as a whole, %.2f MB in strips\n", (double)peak[0] / 1e6,
                  (double)peak[1] / 1e6);
    assert_true(peak[1] < peak[0] * 2 / 3);
}

static const cpl_vae_way in_strips = {40, NULL, NULL};

static void run_decode_in_strips(void *z) {
    cpl_tensor image = cpl_vae_decode_by(vae, stream, z, &in_strips, NULL, NULL);
    cpl_tensor_free(&image);
}

static void run_encode_in_strips(void *image) {
    cpl_tensor moments = cpl_vae_encode_by(encoder, stream, image, &in_strips, NULL, NULL);
    cpl_tensor_free(&moments);
}

static void a_cancel_between_strips_gives_all_memory_back(void **state) {
    (void)state;
    cpl_tensor z = noise(1, 2, 2, spec.vae.z_channels, 1), image = noise(1, 16, 16, 3, 1);
    assert_true(cancel_everywhere(run_decode_in_strips, &z) > 100);
    assert_true(cancel_everywhere(run_encode_in_strips, &image) > 60);
    cpl_tensor_free(&z);
    cpl_tensor_free(&image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(a_spec_that_lies_is_refused),
        cmocka_unit_test(sizes_are_the_latents_times_the_factor),
        cmocka_unit_test(a_second_decode_takes_no_memory_and_gives_the_same_bytes),
        cmocka_unit_test(all_norms_have_the_same_epsilon),
        cmocka_unit_test(a_cancel_gives_all_memory_back),
        cmocka_unit_test(strips_make_the_same_picture),
        cmocka_unit_test(strips_make_the_same_latent),
        cmocka_unit_test(there_is_no_seam),
        cmocka_unit_test(strips_take_less_memory),
        cmocka_unit_test(a_cancel_between_strips_gives_all_memory_back),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
