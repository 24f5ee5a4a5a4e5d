/* layout.c: recorded masks, prompt lines and refusals (golden couple/FORMAT.md 1 and 2). A case is written as a layout
 * file and read by the layout reader, so that its refusals are compared too. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/layout/reason.h"
#include "../../core/layout/words.h"
#include "../../core/model/safetensors.h"
#include "golden.h"
#include "raster.h"

typedef struct mask_case {
    golden *g;
    const cJSON *json;
    const char *id;
    cpl_safetensors *tensors; /* borrowed */
    cpl_layout *layout;
    int lines, width, height;
    bool failed;
} mask_case;

static const char *text_of(const cJSON *json, const char *key) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
    return text ? text : "";
}

static double number_of(const cJSON *json, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static bool has_tag(const cJSON *json, const char *tag) {
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "tags")) if (strcmp(item->valuestring, tag) ==
                                                                                 0) return true;
    return false;
}

/* ---- From a case to a layout ---- */

static cJSON *region_of_row(const cJSON *row) {
    cJSON *region = cJSON_CreateObject(), *rect = cJSON_AddArrayToObject(region, "rect");
    int i = 0, weight_at = cJSON_GetArraySize(row) - 1;
    const cJSON *value;
    cJSON_ArrayForEach(value, row) {
        if (i++ < weight_at)
            cJSON_AddItemToArray(rect, cJSON_Duplicate(value, true));
        else
            cJSON_AddItemToObject(region, "weight", cJSON_Duplicate(value, true));
    }
    return region;
}

static cJSON *region_of_layer(const cJSON *layer) {
    cJSON *region = cJSON_CreateObject();
    cJSON_AddStringToObject(region, "mask", text_of(layer, "file"));
    cJSON_AddItemToObject(region, "weight", cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(layer, "weight"), true));
    return region;
}

static void add_regions(cJSON *layout, const cJSON *json, const char *background) {
    const cJSON *row, *rows = cJSON_GetObjectItemCaseSensitive(json, "mapping");
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(json, "mask_layers");
    if (!rows && !layers) return;
    cJSON *regions = cJSON_AddArrayToObject(layout, "regions");
    cJSON_ArrayForEach(row, rows) cJSON_AddItemToArray(regions, region_of_row(row));
    if (cJSON_GetArraySize(layers) == 0) return;
    cJSON_ArrayForEach(row, layers) cJSON_AddItemToArray(regions, region_of_layer(row));
    if (strcmp(background, "first") == 0) cJSON_InsertItemInArray(regions, 0, cJSON_CreateObject());
    if (strcmp(background, "last") == 0) cJSON_AddItemToArray(regions, cJSON_CreateObject());
}

/* The layout file of a case; caller frees. */
static char *layout_text(const cJSON *json) {
    cJSON *layout = cJSON_CreateObject(), *part;
    const char *mode = text_of(json, "mode"), *typed = text_of(json, "background");
    const char *background = *typed == 'F' ? "first" : *typed == 'L' ? "last" : "none";
    cJSON_AddNumberToObject(layout, "couplet", 1);
    if (cJSON_HasObjectItem(json, "width")) {
        part = cJSON_AddObjectToObject(layout, "canvas");
        cJSON_AddNumberToObject(part, "width", number_of(json, "width"));
        cJSON_AddNumberToObject(part, "height", number_of(json, "height"));
    }
    cJSON_AddStringToObject(layout, "mode", *mode == 'B' ? "basic" : *mode == 'A' ? "advanced" : "mask");
    if (*text_of(json, "direction"))
        cJSON_AddStringToObject(layout, "direction", *text_of(json, "direction") == 'H' ? "horizontal" : "vertical");
    part = cJSON_AddObjectToObject(layout, "background");
    cJSON_AddStringToObject(part, "line", background);
    if (cJSON_HasObjectItem(json, "background_weight"))
        cJSON_AddNumberToObject(part, "weight", number_of(json, "background_weight"));
    part = cJSON_AddObjectToObject(layout, "common");
    cJSON_AddStringToObject(part, "brackets", *text_of(json, "parser") ? text_of(json, "parser") : "off");
    if (cJSON_HasObjectItem(json, "def_in_prompt"))
        cJSON_AddBoolToObject(part, "definitions", cJSON_IsTrue(cJSON_GetObjectItem(json, "def_in_prompt")));
    cJSON_AddStringToObject(layout, "separator", text_of(json, "separator"));
    cJSON_AddStringToObject(layout, "prompt", text_of(json, "prompt"));
    add_regions(layout, json, background);
    char *text = cJSON_PrintUnformatted(layout);
    cJSON_Delete(layout);
    return text;
}

static char *folder_of(golden *g, const char *file) {
    const char *path = golden_file(g, file), *slash = path ? strrchr(path, '/') : NULL;
    return slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
}

/* ---- Refusals ---- */

static const char *reason_name(const cpl_fault *fault) {
    switch (fault->reason) {
    case CPL_REASON_TOO_FEW_LINES:
        return "not_enough_lines";
    case CPL_REASON_COUNT_MISMATCH:
        return "count_mismatch";
    case CPL_REASON_NOT_NUMERIC:
        return "mapping_not_numeric";
    case CPL_REASON_OUT_OF_RANGE:
        return "mapping_out_of_range";
    case CPL_REASON_REVERSED:
        return "mapping_reversed";
    case CPL_REASON_NOT_COVERED:
        return "mask_not_filled";
    case CPL_REASON_TILE_COUNT:
        return "invalid_tile_count";
    case CPL_REASON_MALFORMED:
    case CPL_REASON_NO_REGIONS:
        return "exception";
    default:
        return "another reason";
    }
}

/* True if the case ends here: it was refused, rightly or wrongly. */
static bool judge_refusal(golden *g, const cJSON *json, const cpl_fault *fault) {
    const char *id = text_of(json, "id"), *reason = text_of(json, "reason");
    bool rejected = strcmp(text_of(json, "expect"), "reject") == 0;
    bool counts = cJSON_HasObjectItem(json, "have");
    if (fault->reason == CPL_REASON_NONE) {
        if (rejected) golden_fail(g, id, "was accepted, but must be refused: %s", reason);
        return rejected;
    }
    if (!rejected && !has_tag(json, "odd"))
        golden_fail(g, id, "was refused: %s", fault->error.message);
    else if (rejected && !has_tag(json, "odd") && strcmp(reason, reason_name(fault)) != 0)
        golden_fail(g, id, "was refused for %s, not for %s: %s", reason_name(fault), reason, fault->error.message);
    else if (rejected && counts &&
             (fault->have != (int)number_of(json, "have") || fault->need != (int)number_of(json, "need")))
        golden_fail(g, id, "says %d lines of %d, not %g of %g", fault->have, fault->need, number_of(json, "have"),
                    number_of(json, "need"));
    else
        golden_pass(g, id);
    return true;
}

/* ---- Lines ---- */

/* NULL if they agree, else what differs, in words that stay valid until the next call. */
static const char *compare_lines(const cpl_layout *layout, const cJSON *expected) {
    static char words[200];
    cpl_lines lines;
    cpl_error error;
    if (!cpl_layout_lines(layout, &lines, &error)) {
        snprintf(words, sizeof words, "no lines: %.150s", error.message);
        return words;
    }
    words[0] = '\0';
    if (lines.count != cJSON_GetArraySize(expected))
        snprintf(words, sizeof words, "%d lines, expected %d", lines.count, cJSON_GetArraySize(expected));
    for (int i = 0; !words[0] && i < lines.count; i++)
        if (strcmp(lines.line[i], cJSON_GetArrayItem(expected, i)->valuestring) != 0)
            snprintf(words, sizeof words, "line %d is \"%.80s\"", i, lines.line[i]);
    cpl_lines_clear(&lines);
    return words[0] ? words : NULL;
}

/* ---- Masks ---- */

static void mismatch(mask_case *c, const char *what, int line, double is, double expected) {
    if (!c->failed) golden_fail(c->g, c->id, "%s of line %d is %.9g, expected %.9g", what, line, is, expected);
    c->failed = true;
}

/* Sums are recorded with four decimals. */
static bool near(double a, double b, double relative) { return fabs(a - b) <= 5.1e-5 + relative * fabs(b); }

/* Compares with a recorded tensor, if the file has it. */
static void compare_tensor(mask_case *c, const char *name, const float *values, size_t count, double tolerance) {
    char full[128];
    if (strchr(name, '/'))
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "%s/%s", c->id, name);
    const cpl_st_entry *entry = cpl_safetensors_find(c->tensors, full);
    float *expected = entry && (size_t)entry->count == count ? cpl_safetensors_f32(c->tensors, entry, NULL) : NULL;
    double difference = expected ? golden_difference(values, expected, count) : INFINITY;
    free(expected);
    if (c->failed || difference <= tolerance) return;
    golden_fail(c->g, c->id, "tensor %s differs by %g", full, difference);
    c->failed = true;
}

static void compare_box(mask_case *c, const raster *r, int line, const cJSON *expected) {
    int box[4] = {r->width, r->height, 0, 0};
    const float *raw = r->raw + (size_t)line * (size_t)r->width * (size_t)r->height;
    for (int y = 0; y < r->height; y++)
        for (int x = 0; x < r->width; x++) {
            if (raw[(size_t)y * (size_t)r->width + (size_t)x] == 0) continue;
            box[0] = x < box[0] ? x : box[0];
            box[1] = y < box[1] ? y : box[1];
            box[2] = x + 1 > box[2] ? x + 1 : box[2];
            box[3] = y + 1 > box[3] ? y + 1 : box[3];
        }
    if (cJSON_IsNull(expected)) {
        if (box[2] > 0) mismatch(c, "the width", line, box[2], 0);
        return;
    }
    for (int k = 0; k < 4; k++)
        if (box[k] != cJSON_GetArrayItem(expected, k)->valueint)
            mismatch(c, "the box", line, box[k], cJSON_GetArrayItem(expected, k)->valueint);
}

static double item_number(const cJSON *json, const char *key, int index) {
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, key), index);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static void compare_raster(mask_case *c, const raster *r) {
    size_t pixels = (size_t)r->width * (size_t)r->height;
    for (int i = 0; i < r->lines; i++) {
        double largest = -INFINITY, sum = 0, norm_sum = 0;
        for (size_t p = 0; p < pixels; p++) {
            largest = fmax(largest, r->raw[(size_t)i * pixels + p]);
            sum += r->raw[(size_t)i * pixels + p];
            norm_sum += r->norm[(size_t)i * pixels + p];
        }
        double expected[] = {item_number(c->json, "raw_max", i), item_number(c->json, "raw_sum", i),
                             item_number(c->json, "norm_sum", i)};
        if (!(fabs(largest - expected[0]) <= 1e-6 * fmax(1, expected[0])))
            mismatch(c, "raw_max", i, largest, expected[0]);
        if (!near(sum, expected[1], 1e-5)) mismatch(c, "raw_sum", i, sum, expected[1]);
        if (!near(norm_sum, expected[2], 1e-5)) mismatch(c, "norm_sum", i, norm_sum, expected[2]);
        compare_box(c, r, i, cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(c->json, "raw_box"), i));
    }
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(c->json, "full"))) return;
    compare_tensor(c, "raw", r->raw, pixels * (size_t)r->lines, 1e-6);
    compare_tensor(c, "norm", r->norm, pixels * (size_t)r->lines, 1e-6);
}

/* What the engine uses, against the record and against the rasteriser at every token. */
static void compare_level(mask_case *c, const raster *r, const cJSON *level) {
    int w = (int)number_of(level, "w"), h = (int)number_of(level, "h"), count = 0;
    size_t tokens = (size_t)w * (size_t)h;
    cpl_error error = {0};
    if (cJSON_HasObjectItem(level, "original_error")) return;
    float *masks = calloc((size_t)(c->lines + 1) * tokens, sizeof *masks);
    if (!masks || !cpl_layout_masks(c->layout, NULL, w, h, masks, &count, &error) || count != c->lines) {
        if (!c->failed) golden_fail(c->g, c->id, "%d masks at %dx%d: %s", count, w, h, error.message);
        c->failed = true;
        free(masks);
        return;
    }
    for (int i = 0; i < c->lines; i++) {
        double sum = 0;
        for (size_t t = 0; t < tokens; t++) sum += masks[(size_t)i * tokens + t];
        if (!near(sum, item_number(level, "sum", i), 1e-5))
            mismatch(c, "level sum", i, sum, item_number(level, "sum", i));
        for (int t = 0; t < w * h; t++) {
            float plain = raster_token(r, i, t % w, t / w, w, h), closed = masks[(size_t)i * tokens + (size_t)t];
            if (plain != closed) mismatch(c, "a token", i, closed, plain);
        }
    }
    if (*text_of(level, "tensor")) compare_tensor(c, text_of(level, "tensor"), masks, tokens * (size_t)c->lines, 1e-6);
    free(masks);
}

static void run_mask_case(mask_case *c, const char *folder) {
    cpl_fault fault = {0};
    char *text = layout_text(c->json);
    c->layout = cpl_layout_parse_fault(text, strlen(text), folder, NULL, &fault);
    free(text);
    if (c->layout) cpl_layout_verify(c->layout, NULL, true, &fault);
    if (judge_refusal(c->g, c->json, &fault) || !c->layout) return;
    const char *wrong = compare_lines(c->layout, cJSON_GetObjectItemCaseSensitive(c->json, "lines"));
    if (wrong) {
        golden_fail(c->g, c->id, "%s", wrong);
        return;
    }
    c->lines = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(c->json, "lines"));
    raster r = raster_make(c->layout, c->layout->width, c->layout->height, c->lines, false);
    compare_raster(c, &r);
    const cJSON *level;
    cJSON_ArrayForEach(level, cJSON_GetObjectItemCaseSensitive(c->json, "levels")) compare_level(c, &r, level);
    raster_free(&r);
    if (!c->failed) golden_pass(c->g, c->id);
}

static void run_masks(golden *g) {
    cJSON *json = golden_json(g, "masks.json");
    cpl_safetensors *tensors = golden_tensors(g, "masks.safetensors");
    char *folder = folder_of(g, "masks.json");
    const cJSON *item;
    if (json && tensors) cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "cases")) {
            mask_case c = {.g = g, .json = item, .id = text_of(item, "id"), .tensors = tensors};
            run_mask_case(&c, folder);
            cpl_layout_free(c.layout);
        }
    free(folder);
    cpl_safetensors_close(tensors);
    cJSON_Delete(json);
}

/* ---- Prompts ---- */

static void run_common_case(golden *g, const cJSON *item) {
    char *text = strdup(text_of(item, "prompt"));
    cpl_error error = {0};
    cpl_brackets brackets = *text_of(item, "parser") == '<' ? CPL_BRACKETS_ANGLE : CPL_BRACKETS_CURLY;
    bool definitions = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "def_in_prompt"));
    if (!cpl_common_expand(&text, 1, brackets, definitions, &error))
        golden_fail(g, text_of(item, "id"), "%s", error.message);
    else if (strcmp(text, text_of(item, "expected")) != 0)
        golden_fail(g, text_of(item, "id"), "became \"%s\"", text);
    else
        golden_pass(g, text_of(item, "id"));
    free(text);
}

static void run_split_case(golden *g, const cJSON *item) {
    cpl_fault fault = {0};
    char *text = layout_text(item);
    cpl_layout *layout = cpl_layout_parse_fault(text, strlen(text), NULL, NULL, &fault);
    if (layout) cpl_layout_verify(layout, NULL, false, &fault);
    if (!judge_refusal(g, item, &fault)) {
        const char *wrong = compare_lines(layout, cJSON_GetObjectItemCaseSensitive(item, "lines"));
        if (wrong)
            golden_fail(g, text_of(item, "id"), "%s", wrong);
        else
            golden_pass(g, text_of(item, "id"));
    }
    cpl_layout_free(layout);
    free(text);
}

static void run_kind(golden *g, const char *file, const char *kind, void (*run)(golden *, const cJSON *)) {
    cJSON *json = golden_json(g, file);
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "cases")) {
        if (strcmp(text_of(item, "kind"), kind) == 0) run(g, item);
    }
    cJSON_Delete(json);
}

static void run_common(golden *g) { run_kind(g, "prompts.json", "common", run_common_case); }
static void run_split(golden *g) { run_kind(g, "prompts.json", "split", run_split_case); }

/* ---- Tiles ---- */

static void compare_tiles(golden *g, const cJSON *item, const cpl_lines *tiles) {
    const cJSON *expected = cJSON_GetObjectItemCaseSensitive(item, "tiles");
    const char *id = text_of(item, "id");
    if (tiles->count != cJSON_GetArraySize(expected)) {
        golden_fail(g, id, "%d tiles, expected %d", tiles->count, cJSON_GetArraySize(expected));
        return;
    }
    for (int i = 0; i < tiles->count; i++)
        if (strcmp(tiles->line[i], cJSON_GetArrayItem(expected, i)->valuestring) != 0) {
            golden_fail(g, id, "tile %d is \"%.80s\"", i, tiles->line[i]);
            return;
        }
    golden_pass(g, id);
}

static void run_tiles_case(golden *g, const cJSON *item, const char *folder) {
    cpl_fault fault = {0};
    cpl_lines tiles = {0};
    char *text = layout_text(item);
    cpl_layout *layout = cpl_layout_parse_fault(text, strlen(text), folder, NULL, &fault);
    if (layout && cpl_layout_verify(layout, NULL, false, &fault) &&
        !cpl_layout_tiles(layout, (int)number_of(item, "columns"), (int)number_of(item, "rows"),
                          number_of(item, "threshold"), text_of(item, "replace"), &tiles, &fault.error))
        fault.reason = CPL_REASON_TILE_COUNT;
    if (!judge_refusal(g, item, &fault)) compare_tiles(g, item, &tiles);
    cpl_lines_clear(&tiles);
    cpl_layout_free(layout);
    free(text);
}

static void run_tiles(golden *g) {
    cJSON *json = golden_json(g, "tiles.json");
    char *folder = folder_of(g, "tiles.json");
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "cases")) {
        if (strcmp(text_of(item, "kind"), "tiles") == 0) run_tiles_case(g, item, folder);
    }
    free(folder);
    cJSON_Delete(json);
}

/* The original shows columns and rows exchanged, and reads the picture's size from a text: without one it shows -1. */
static void run_grid_case(golden *g, const cJSON *item) {
    double scale = number_of(item, "scale");
    int width = (int)(number_of(item, "image_width") * scale), height = (int)(number_of(item, "image_height") * scale);
    int columns = -1, rows = -1, shown_width = (int)number_of(item, "final_width");
    if (shown_width >= 0)
        cpl_tile_grid(width, height, (int)number_of(item, "tile_width"), (int)number_of(item, "tile_height"),
                      (int)number_of(item, "overlap"), &columns, &rows);
    if ((shown_width < 0 || (width == shown_width && height == (int)number_of(item, "final_height"))) &&
        columns == (int)number_of(item, "shown_as_row_count") && rows == (int)number_of(item, "shown_as_column_count"))
        golden_pass(g, text_of(item, "id"));
    else
        golden_fail(g, text_of(item, "id"), "%d columns, %d rows of %dx%d", columns, rows, width, height);
}

static void run_grid(golden *g) { run_kind(g, "tiles.json", "grid", run_grid_case); }

const golden_group golden_layout_groups[] = {
    {"masks.json/cases", run_masks, NULL},   {"prompts.json/common", run_common, NULL},
    {"prompts.json/split", run_split, NULL}, {"tiles.json/tiles", run_tiles, NULL},
    {"tiles.json/grid", run_grid, NULL},     {NULL, NULL, NULL}};
