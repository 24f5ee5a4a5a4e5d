/* command_lines.c: `couplet lines` and `couplet masks`: what the core makes of a layout's words and rectangles. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "json_out.h"

static void print_json(const cpl_lines *lines, const cpl_line_info *infos) {
    printf("{\"lines\": [");
    for (int i = 0; i < lines->count; i++) {
        printf("%s\n  ", i ? "," : "");
        json_text(stdout, lines->line[i]);
    }
    printf("%s]", lines->count ? "\n" : "");
    if (infos) printf(", \"tokens\": [");
    for (int i = 0; infos && i < lines->count; i++)
        printf("%s{\"tokens\": %d, \"room\": %d}", i ? ", " : "", infos[i].tokens, infos[i].room);
    printf("%s}\n", infos ? "]" : "");
}

static void print_lines(const cpl_lines *lines, const cpl_line_info *infos) {
    for (int i = 0; i < lines->count; i++) {
        char tokens[32];
        snprintf(tokens, sizeof tokens, "%d/%d", infos ? infos[i].tokens : 0, infos ? infos[i].room : 0);
        printf("%3d  ", i + 1);
        if (infos) printf("%7s  ", tokens);
        print_safe(lines->line[i]);
        putchar('\n');
    }
}

/* A prompt may have several lines: the tile stands above them. */
static void print_tiles(const cpl_lines *tiles, int columns) {
    for (int i = 0; i < tiles->count; i++) {
        printf("%scolumn %d, row %d\n", i ? "\n" : "", i % columns + 1, i / columns + 1);
        for (const char *from = tiles->line[i]; *from;) {
            size_t length = strcspn(from, "\n");
            char *line = strndup(from, length);
            printf("  ");
            if (line) print_safe(line);
            putchar('\n');
            free(line);
            from += length + (from[length] == '\n');
        }
    }
}

static void tiles_json(const cpl_lines *tiles, const int size[2]) {
    printf("{\"columns\": %d, \"rows\": %d, \"tiles\": [", size[0], size[1]);
    for (int i = 0; i < tiles->count; i++) {
        printf("%s\n  ", i ? "," : "");
        json_text(stdout, tiles->line[i]);
    }
    printf("\n]}\n");
}

/* Coverage does not matter for tiles: what else is wrong with the layout does. */
static int list_tiles(const arguments *a, const cpl_layout *layout) {
    cpl_error error = {0};
    cpl_lines tiles;
    double threshold = isnan(a->threshold) ? 0.75 : a->threshold;
    if (!cpl_layout_tiles(layout, a->tiles[0], a->tiles[1], threshold, a->replace, &tiles, &error)) {
        say_problem(a->operand[0], &error, false);
        return 1;
    }
    if (a->json)
        tiles_json(&tiles, a->tiles);
    else
        print_tiles(&tiles, a->tiles[0]);
    cpl_lines_clear(&tiles);
    return 0;
}

int command_lines(const arguments *a) {
    cpl_error error = {0};
    cpl_lines lines = {0};
    cpl_line_info *infos = NULL;
    int count = 0;
    cpl_layout *layout = open_layout(a);
    if (!layout) return 1;
    if (a->tiles[0]) {
        int status = list_tiles(a, layout);
        cpl_layout_free(layout);
        return status;
    }
    bool done = cpl_layout_lines(layout, &lines, &error);
    if (done && a->tokens) done = cpl_layout_tokens(layout, a->tokenizer, a->embedding_dir, &infos, &count, &error);
    if (!done)
        say_problem(a->operand[0], &error, false);
    else if (a->json)
        print_json(&lines, infos);
    else
        print_lines(&lines, infos);
    free(infos);
    cpl_lines_clear(&lines);
    cpl_layout_free(layout);
    return done ? 0 : 1;
}

static void masks_json(const float *mask, int count, int w, int h) {
    printf("{\"grid\": [%d, %d], \"masks\": [", w, h);
    for (int i = 0; i < count; i++) {
        printf("%s\n  [", i ? "," : "");
        for (int t = 0; t < w * h; t++) {
            if (t) fputs(", ", stdout);
            json_float(stdout, mask[(size_t)i * (size_t)(w * h) + (size_t)t]);
        }
        printf("]");
    }
    printf("\n]}\n");
}

static void masks_text(const float *mask, int count, int w, int h, const cpl_lines *lines) {
    for (int i = 0; i < count; i++) {
        printf("%s%d  ", i ? "\n" : "", i + 1);
        print_safe(i < lines->count ? lines->line[i] : "(fills the hole)");
        putchar('\n');
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) printf("%.2f%c", (double)*mask++, x == w - 1 ? '\n' : ' ');
    }
}

int command_masks(const arguments *a) {
    cpl_error error = {0};
    cpl_model_info info;
    cpl_lines lines = {0};
    float *masks = NULL;
    int w = a->grid[0], h = a->grid[1], count = 0, status = 1;
    cpl_layout *layout = open_layout(a);
    if (!layout || !open_defaults(a, layout, &info)) goto out;
    bool done = cpl_layout_lines(layout, &lines, &error);
    if (done) masks = calloc(((size_t)lines.count + 1) * (size_t)w * (size_t)h, sizeof *masks);
    if (done && !masks) {
        say("out of memory for %d masks of %dx%d", lines.count, w, h);
        goto out;
    }
    if (!done || !cpl_layout_masks(layout, &info.defaults, w, h, masks, &count, &error)) {
        say_problem(a->operand[0], &error, false);
        goto out;
    }
    if (a->json)
        masks_json(masks, count, w, h);
    else
        masks_text(masks, count, w, h, &lines);
    status = 0;
out:
    free(masks);
    cpl_lines_clear(&lines);
    cpl_layout_free(layout);
    return status;
}
