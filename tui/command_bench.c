/* command_bench.c: `couplet bench`: what core measures, with what the editor and sixel pictures take put beside it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "bench_editor.h"
#include "bench_table.h"
#include "command.h"
#include "json_out.h"
#include "picture.h"

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* ---- Sixel ---- */

/* A picture with soft slopes and grain, which is what a photograph is to the encoder. */
static cpl_image *make_picture(int side, cpl_error *error) {
    cpl_image *image = cpl_image_new(side, side, error);
    unsigned state = 1;
    for (int y = 0; image && y < side; y++)
        for (int x = 0; x < side; x++) {
            unsigned char *rgb = image->rgb + ((size_t)y * (size_t)side + (size_t)x) * 3;
            for (int c = 0; c < 3; c++) {
                double slope = 0.5 + 0.4 * sin(6.0 * (x + c * 40) / side) * cos(5.0 * (y - c * 25) / side);
                state = state * 1664525u + 1013904223u;
                rgb[c] = (unsigned char)(255 * slope - 8 + (state >> 28));
            }
        }
    return image;
}

/* In the order of a preview, a middle one and the final picture. */
static const struct {
    int side, colors;
    bool diffuse;
} sixels[] = {{256, 16, false}, {256, 64, false}, {512, 256, true}};

static bool print_sixels(FILE *out, int rounds, cpl_error *error) {
    fputs("  \"sixel\": [", out);
    for (size_t i = 0; i < sizeof sixels / sizeof *sixels; i++) {
        int side = sixels[i].side;
        cpl_image *image = make_picture(side, error);
        double best = 0;
        size_t bytes = 0;
        bool done = image != NULL;
        for (int round = 0; done && round < rounds; round++) {
            picture_sixel sixel;
            double start = now_ms();
            done = picture_encode(image, side, side - side % 6, sixels[i].colors, sixels[i].diffuse, &sixel, error);
            double ms = now_ms() - start;
            if (!round || ms < best) best = ms;
            if (done) bytes = sixel.size;
            if (done) picture_sixel_clear(&sixel);
        }
        cpl_image_free(image);
        if (!done) return false;
        fprintf(out, "%s\n    {\"size\": \"%dx%d\", \"colors\": %d, \"diffused\": %d, \"ms\": ", i ? "," : "", side,
                side - side % 6, sixels[i].colors, sixels[i].diffuse);
        json_double(out, round(best * 1e4) / 1e4);
        fprintf(out, ", \"bytes\": %zu}", bytes);
    }
    fputs("],\n", out);
    return true;
}

/* ---- The command ---- */

static void note(void *user, const char *message) {
    (void)user;
    say("%s", message);
}

/* The members that core wrote, behind ours. NULL: failed, and it was said why. */
static char *measure(const arguments *a) {
    cpl_error error = {0};
    cpl_bench_options options = {.model = a->model,
                                 .tokenizer = a->tokenizer,
                                 .part = a->part,
                                 .precision = a->precision,
                                 .threads = a->threads,
                                 .quick = a->quick,
                                 .log = a->quiet ? NULL : note};
    char *core = cpl_bench(&options, &error), *text = NULL;
    size_t size;
    FILE *out = core ? open_memstream(&text, &size) : NULL;
    bool done = out != NULL;
    if (done) {
        fputs("{\n", out);
        if (!a->part || strcmp(a->part, "editor") == 0) done = bench_editor(out, &options, &error);
        if (done && (!a->part || strcmp(a->part, "sixel") == 0)) done = print_sixels(out, a->quick ? 3 : 10, &error);
        fputs(core + 2, out); /* after its "{\n" */
    }
    if (out && fclose(out) != 0) done = false;
    free(core);
    if (done) return text;
    say("%s", error.code ? error.message : "out of memory");
    free(text);
    return NULL;
}

int command_bench(const arguments *a) {
    char *text = measure(a);
    if (!text) return 1;
    cJSON *root = a->json ? NULL : cJSON_Parse(text);
    if (a->json)
        fputs(text, stdout);
    else if (root)
        bench_table_print(stdout, root);
    bool done = a->json || root;
    cJSON_Delete(root);
    free(text);
    return done ? 0 : say("out of memory");
}
