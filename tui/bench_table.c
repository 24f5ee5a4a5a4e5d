/* bench_table.c: one table a part of the benchmark. A column is a row of data: where its number comes from, and how it is
 * written. */
#include "bench_table.h"

#include <stdbool.h>
#include <string.h>

#include <cjson/cJSON.h>

enum { NAME_WIDTH = 9, CELL_WIDTH = 10 };

static double number(const cJSON *item, const char *key) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, key);
    return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

static const char *text(const cJSON *item, const char *key) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, key);
    return cJSON_IsString(value) ? value->valuestring : "";
}

typedef enum column_kind { WORD, WHOLE, MS, MEGABYTES, RATIO, PERCENT_LESS } column_kind;

/* RATIO is key / against; PERCENT_LESS how much less key is than against. */
typedef struct column {
    const char *title;
    column_kind kind;
    const char *key, *against;
} column;

static void print_cell(FILE *out, const column *c, const cJSON *item) {
    double value = c->kind == WORD ? 0 : number(item, c->key), base = c->against ? number(item, c->against) : 0;
    switch (c->kind) {
    case WORD:
        fprintf(out, " %-*s", NAME_WIDTH, text(item, c->key));
        break;
    case WHOLE:
        fprintf(out, "%*.0f", CELL_WIDTH, value);
        break;
    case MS:
        fprintf(out, "%*.*f", CELL_WIDTH, value < 10 ? 3 : value < 1000 ? 1 : 0, value);
        break;
    case MEGABYTES:
        fprintf(out, "%*.2f", CELL_WIDTH, value / 1e6);
        break;
    case RATIO:
        if (base > 0)
            fprintf(out, "%*.2f", CELL_WIDTH, value / base);
        else
            fprintf(out, "%*s", CELL_WIDTH, "-");
        break;
    case PERCENT_LESS:
        if (base > 0)
            fprintf(out, "%*.0f %%", CELL_WIDTH - 2, 100 * (1 - value / base));
        else
            fprintf(out, "%*s", CELL_WIDTH, "-");
        break;
    }
}

static void print_table(FILE *out, const cJSON *list, const char *title, const column *columns, size_t count) {
    if (!cJSON_GetArraySize(list)) return;
    fprintf(out, "\n%s\n", title);
    for (size_t i = 0; i < count; i++)
        fprintf(out, columns[i].kind == WORD ? " %-*s" : "%*s", columns[i].kind == WORD ? NAME_WIDTH : CELL_WIDTH,
                columns[i].title);
    fputc('\n', out);
    const cJSON *item;
    cJSON_ArrayForEach(item, list) {
        for (size_t i = 0; i < count; i++) print_cell(out, &columns[i], item);
        fputc('\n', out);
    }
}

static const cJSON *part(const cJSON *root, const char *key) { return cJSON_GetObjectItemCaseSensitive(root, key); }

#define TABLE(out, list, title, columns) print_table(out, list, title, columns, sizeof(columns) / sizeof *(columns))

static void print_machine(FILE *out, const cJSON *machine) {
    fprintf(out, "machine: %.0f cores, %s, copies %.1f GB/s\n", number(machine, "cores"), text(machine, "isa"),
            number(machine, "gbps"));
    fprintf(out, "ceiling, best of the shapes below: f32 %.0f GFLOP/s, bf16 %.0f GFLOP/s\n",
            number(machine, "gflops_f32"), number(machine, "gflops_bf16"));
    const cJSON *shape;
    cJSON_ArrayForEach(shape, part(machine, "shapes")) {
        fprintf(out, "  %-7s %-26s f32 %7.0f   bf16 %7.0f\n", text(shape, "op"), text(shape, "shape"),
                number(shape, "gflops_f32"), number(shape, "gflops_bf16"));
    }
}

/* A step's cross-attentions: each grid counts as often as the network has layers there. */
static void print_sums(FILE *out, const cJSON *list) {
    const cJSON *first, *item;
    fprintf(out, "\nsummed over the layers of a step          ours/plain   attention alone   ours/original\n");
    cJSON_ArrayForEach(first, list) {
        double ours = 0, plain = 0, original = 0, ours_alone = 0, plain_alone = 0;
        bool begins = true, after = false;
        cJSON_ArrayForEach(item, list) {
            if (strcmp(text(item, "model"), text(first, "model")) != 0 ||
                strcmp(text(item, "precision"), text(first, "precision")) != 0 ||
                number(item, "regions") != number(first, "regions"))
                continue;
            if (!after && item != first) begins = false;
            after = true;
            double layers = number(item, "layers");
            ours += layers * number(item, "ours_ms");
            plain += layers * number(item, "plain_ms");
            original += layers * number(item, "original_ms");
            ours_alone += layers * number(item, "ours_attention_ms");
            plain_alone += layers * number(item, "plain_attention_ms");
        }
        if (!begins || plain <= 0 || original <= 0 || plain_alone <= 0) continue;
        fprintf(out, "  %-6s %-5s R = %-2.0f %8.1f ms of %8.1f ms %10.2f %17.2f %15.2f\n", text(first, "model"),
                text(first, "precision"), number(first, "regions"), ours, original, ours / plain,
                ours_alone / plain_alone, ours / original);
    }
}

/* Where the time of a run goes: its operations, all shapes together. */
static void print_ops(FILE *out, const cJSON *run) {
    const cJSON *ops = cJSON_GetObjectItemCaseSensitive(run, "ops"), *first, *item;
    cJSON_ArrayForEach(first, ops) {
        double calls = 0, ms = 0, bare = 0;
        bool begins = true, after = false;
        cJSON_ArrayForEach(item, ops) {
            if (strcmp(text(item, "op"), text(first, "op")) != 0) continue;
            if (!after && item != first) begins = false;
            after = true;
            calls += number(item, "calls");
            ms += number(item, "calls") * number(item, "ms");
            bare += number(item, "calls") * number(item, "bare_ms");
        }
        if (!begins) continue;
        if (first == ops->child)
            fprintf(out, "\n%s, %s: by operation    calls         ms    bare ms\n", text(run, "model"),
                    text(run, "precision"));
        fprintf(out, "  %-24s %8.0f %10.2f", text(first, "op"), calls, ms);
        if (bare > 0) fprintf(out, " %10.2f", bare);
        fputc('\n', out);
    }
}

static void print_all_ops(FILE *out, const cJSON *runs) {
    const cJSON *run;
    cJSON_ArrayForEach(run, runs) { print_ops(out, run); }
}

/* The original is a fair opponent if its products are as fast as products can be. */
static void print_original(FILE *out, const cJSON *steps) {
    const cJSON *step;
    cJSON_ArrayForEach(step, steps) {
        if (number(step, "products_of_ceiling") > 0)
            fprintf(out, "  %s, %s: the original's products at R = %.0f reach %.0f %% of the ceiling\n",
                    text(step, "model"), text(step, "precision"), number(step, "regions"),
                    100 * number(step, "products_of_ceiling"));
    }
}

static void print_sync(FILE *out, const cJSON *sync) {
    if (!sync) return;
    fprintf(out, "\nedit to synced: %.0f regions, %s, %.0f edits: median %.3f ms, 99th percentile %.3f ms\n",
            number(sync, "regions"), text(sync, "size"), number(sync, "edits"), number(sync, "p50_ms"),
            number(sync, "p99_ms"));
}

static void print_counters(FILE *out, const cJSON *caches, const cJSON *pool) {
    const cJSON *cache;
    if (!caches || !pool) return;
    fprintf(out, "\nlines encoded: %.0f at first, %.0f after one line changed, %.0f after rectangles moved\n",
            number(caches, "encoder_calls_first"), number(caches, "encoder_calls_changed_line"),
            number(caches, "encoder_calls_moved_rectangle"));
    cJSON_ArrayForEach(cache, caches) {
        if (!cJSON_IsObject(cache)) continue;
        fprintf(out, "  %-13s %7.0f hits %6.0f misses %5.0f evictions %9.2f MB\n", cache->string, number(cache, "hits"),
                number(cache, "misses"), number(cache, "evictions"), number(cache, "bytes") / 1e6);
    }
    fprintf(out, "  %-13s %7.0f reuses %4.0f allocations, %.0f in steps after the first, peak %.2f MB\n", "pool",
            number(pool, "reuses"), number(pool, "allocations"), number(pool, "step_allocations"),
            number(pool, "peak_bytes") / 1e6);
}

static void print_times(FILE *out, const cJSON *editor, const char *title, const char *what) {
    char middle[64], most[64];
    snprintf(middle, sizeof middle, "%s_p50_ms", what);
    snprintf(most, sizeof most, "%s_p99_ms", what);
    if (number(editor, most) <= 0) return;
    fprintf(out, "  %-44s %8.2f ms p50 %8.2f ms p99\n", title, number(editor, middle), number(editor, most));
}

static void print_editor(FILE *out, const cJSON *editor) {
    if (!editor) return;
    fprintf(out, "\neditor at %s\n", text(editor, "size"));
    print_times(out, editor, "key to screen", "idle_key");
    print_times(out, editor, "... while a picture is made", "generating_key");
    print_times(out, editor, "... while the model is loaded", "loading_key");
    print_times(out, editor, "... the same over 1 Mbit/s", "slow_line_key");
    print_times(out, editor, "edit to region map on screen", "edit_to_map");
    fprintf(out, "  %.0f bytes an edit, %.0f a picture; %.1f %% of a core while idle\n",
            number(editor, "bytes_per_edit"), number(editor, "bytes_per_picture"), number(editor, "idle_cpu_percent"));
}

void bench_table_print(FILE *out, const cJSON *root) {
    static const column coupled[] = {
        {"model", WORD, "model", NULL},
        {"type", WORD, "precision", NULL},
        {"tokens", WHOLE, "tokens", NULL},
        {"head", WHOLE, "head_dim", NULL},
        {"regions", WHOLE, "regions", NULL},
        {"ours ms", MS, "ours_ms", NULL},
        {"orig. ms", MS, "original_ms", NULL},
        {"plain ms", MS, "plain_ms", NULL},
        {"floor ms", MS, "floor_ms", NULL},
        {"/plain", RATIO, "ours_ms", "plain_ms"},
        {"/original", RATIO, "ours_ms", "original_ms"},
        {"alone", RATIO, "ours_attention_ms", "plain_attention_ms"},
        {"ours MB", MEGABYTES, "ours_bytes", NULL},
        {"orig. MB", MEGABYTES, "original_bytes", NULL},
        {"less", PERCENT_LESS, "ours_bytes", "original_bytes"},
    };
    static const column step[] = {
        {"model", WORD, "model", NULL},     {"type", WORD, "precision", NULL},      {"size", WORD, "size", NULL},
        {"method", WORD, "method", NULL},   {"regions", WHOLE, "regions", NULL},    {"ms", MS, "ms", NULL},
        {"floor ms", MS, "floor_ms", NULL}, {"bare ms", MS, "bare_ms", NULL},       {"/floor", RATIO, "ms", "floor_ms"},
        {"/bare", RATIO, "ms", "bare_ms"},  {"allocs", WHOLE, "allocations", NULL},
    };
    static const column texts[] = {
        {"model", WORD, "model", NULL},       {"type", WORD, "precision", NULL},
        {"lines", WHOLE, "lines", NULL},      {"cold ms", MS, "cold_ms", NULL},
        {"cached ms", MS, "cached_ms", NULL}, {"cached/cold", RATIO, "cached_ms", "cold_ms"},
    };
    static const column vae[] = {
        {"model", WORD, "model", NULL},      {"type", WORD, "precision", NULL},
        {"size", WORD, "size", NULL},        {"ms", MS, "ms", NULL},
        {"floor ms", MS, "floor_ms", NULL},  {"bare ms", MS, "bare_ms", NULL},
        {"/floor", RATIO, "ms", "floor_ms"}, {"/bare", RATIO, "ms", "bare_ms"},
    };
    static const column sixel[] = {
        {"size", WORD, "size", NULL}, {"colours", WHOLE, "colors", NULL}, {"diffused", WHOLE, "diffused", NULL},
        {"ms", MS, "ms", NULL},       {"MB", MEGABYTES, "bytes", NULL},
    };
    if (part(root, "machine")) print_machine(out, part(root, "machine"));
    const cJSON *levels = part(root, "coupled_attention");
    TABLE(out, levels, "coupled cross-attention with to_q and to_out, a batch of two pictures", coupled);
    if (cJSON_GetArraySize(levels)) print_sums(out, levels);
    TABLE(out, part(root, "step"), "denoise step of a whole UNet, a batch of two pictures", step);
    print_original(out, part(root, "step"));
    print_all_ops(out, part(root, "step"));
    TABLE(out, part(root, "text"), "texts: conditionings, keys and values", texts);
    TABLE(out, part(root, "vae"), "decoder", vae);
    print_all_ops(out, part(root, "vae"));
    print_sync(out, part(root, "sync"));
    print_counters(out, part(root, "caches"), part(root, "pool"));
    TABLE(out, part(root, "sixel"), "sixel", sixel);
    print_editor(out, part(root, "editor"));
}
