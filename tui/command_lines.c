/* command_lines.c: `couplet lines` and `couplet masks`: what the core makes of a layout's words and rectangles. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "json_out.h"

int command_lines(const arguments *a) {
    cpl_error error = {0};
    cpl_lines lines = {0};
    cpl_layout *layout = open_layout(a);
    if (!layout) return 1;
    bool done = cpl_layout_lines(layout, &lines, &error);
    cpl_layout_free(layout);
    if (!done) return say_problem(a->operand[0], &error, false);
    if (a->json) printf("{\"lines\": [");
    for (int i = 0; i < lines.count; i++) {
        if (a->json) {
            printf("%s\n  ", i ? "," : "");
            json_text(stdout, lines.line[i]);
        } else {
            printf("%3d  ", i + 1);
            print_safe(lines.line[i]);
            putchar('\n');
        }
    }
    if (a->json) printf("%s]}\n", lines.count ? "\n" : "");
    cpl_lines_clear(&lines);
    return 0;
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
