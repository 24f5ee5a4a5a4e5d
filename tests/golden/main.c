/* main.c: the golden runner. Owns the search for files, the counting and the report; knows no data: what a case is and how
 * it is compared stands in the groups. */
#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "../../core/backend.h"
#include "../../core/model/safetensors.h"
#include "golden.h"

static const golden_group *const arrays[] = {golden_layout_groups,
                                             golden_couple_groups,
                                             golden_prompt_groups,
                                             golden_network_groups,
                                             golden_sample_groups,
                                             golden_builtin_groups,
                                             NULL};

/* The data of all rooms may lie in one folder, or as in this repository in one folder for each. */
static const char *const folders[] = {"", "/couple", "/engine", "/builtin"};

typedef struct counts {
    int passed, failed, skipped;
    int without_data; /* of the skipped ones */
} counts;

struct golden {
    const char *directory, *group;
    counts count; /* of the running group */
};

/* What --device, --precision and --slack say. */
static struct {
    const char *device;
    cpl_dtype precision;
    double slack;
} around = {"cpu", CPL_F32, 1};

cpl_backend *golden_backend(cpl_error *error) {
    const cpl_backend_ops *ops = cpl_backend_find(around.device, error);
    cpl_backend_config config = {.precision = around.precision, .device = cpl_backend_number(around.device)};
    return ops ? ops->open(&config, error) : NULL;
}

double golden_tolerance(double of_data) { return of_data * around.slack; }

/* golden_difference has no golden to write to; the report of a group wants the largest. */
static double largest_difference = -1;

const char *golden_file(golden *g, const char *name) {
    static char path[4096];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        int length = snprintf(path, sizeof path, "%s%s/%s", g->directory, folders[i], name);
        if (length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0) return path;
    }
    return NULL;
}

void golden_pass(golden *g, const char *case_id) {
    (void)case_id;
    g->count.passed++;
}

void golden_fail(golden *g, const char *case_id, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("  failed  %s  %s: ", g->group, case_id);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    g->count.failed++;
}

void golden_skip(golden *g, const char *case_id, const char *why) {
    printf("  skipped  %s  %s: %s\n", g->group, case_id, why);
    g->count.skipped++;
    g->count.without_data++;
}

double golden_difference(const float *a, const float *b, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        /* Written so that a NaN, which compares false with everything, ends the search. */
        if (!(difference <= most)) most = isnan(difference) ? INFINITY : difference;
    }
    if (most > largest_difference) largest_difference = most;
    return most;
}

static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    char *text = NULL;
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size >= 0 && fseek(file, 0, SEEK_SET) == 0 && (text = malloc((size_t)size + 1))) {
        size_t got = fread(text, 1, (size_t)size, file);
        text[got] = '\0';
    }
    fclose(file);
    return text;
}

cJSON *golden_json(golden *g, const char *name) {
    const char *path = golden_file(g, name);
    char *text = path ? read_text(path) : NULL;
    cJSON *json = text ? cJSON_Parse(text) : NULL;
    if (!json) golden_fail(g, name, !path ? "no such file" : !text ? "cannot be read" : "is not JSON");
    free(text);
    return json;
}

cpl_safetensors *golden_tensors(golden *g, const char *name) {
    const char *path = golden_file(g, name);
    cpl_error error = {0};
    cpl_safetensors *st = path ? cpl_safetensors_open(path, &error) : NULL;
    if (!st) golden_fail(g, name, "%s", path ? error.message : "no such file");
    return st;
}

/* A group is named "file/section". */
static bool group_file_is_there(golden *g, const golden_group *group) {
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(group->name, "/"), group->name);
    return golden_file(g, name) != NULL;
}

static void print_group(const char *word, const golden_group *group, counts count, const char *note) {
    printf("%-4s  %-52s  %d passed, %d failed, %d skipped%s%s%s\n", word, group->name, count.passed, count.failed,
           count.skipped, *note ? "  (" : "", note, *note ? ")" : "");
    fflush(stdout);
}

/* False: the file of the group is not there. */
static bool run_group(golden *g, const golden_group *group, counts *total) {
    char note[320] = "";
    g->count = (counts){0};
    g->group = group->name;
    if (!group_file_is_there(g, group)) {
        print_group("skip", group, g->count, "no such file");
        return false;
    }
    if (group->cannot_yet) {
        g->count.skipped = 1;
        snprintf(note, sizeof note, "cannot yet: %s", group->cannot_yet);
    } else {
        largest_difference = -1;
        group->run(g);
        if (largest_difference >= 0) snprintf(note, sizeof note, "largest difference %.3g", largest_difference);
        if (g->count.passed + g->count.failed + g->count.skipped == 0) {
            g->count.failed = 1;
            snprintf(note, sizeof note, "the file is there, but not a single case was found in it");
        }
    }
    print_group(g->count.failed ? "FAIL" : g->count.passed ? "ok" : "skip", group, g->count, note);
    total->passed += g->count.passed;
    total->failed += g->count.failed;
    total->skipped += g->count.skipped;
    total->without_data += g->count.without_data;
    return true;
}

static int usage(const char *program) {
    fprintf(stderr,
            "usage: %s [--group SUBSTRING] [--whole] [--device NAME] [--precision f32|bf16|f16] [--slack FACTOR] DIR\n",
            program);
    return 2;
}

static bool read_precision(const char *name) {
    static const char *const names[] = {[CPL_F32] = "f32", [CPL_BF16] = "bf16", [CPL_F16] = "f16"};
    for (int i = CPL_F32; i <= CPL_F16; i++) {
        around.precision = (cpl_dtype)i;
        if (strcmp(names[i], name) == 0) return true;
    }
    return false;
}

int main(int argc, char **argv) {
    const char *directory = NULL, *wanted = "";
    bool whole = false; /* no data may be missing: a case that is skipped for want of it fails */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--group") == 0 && i + 1 < argc)
            wanted = argv[++i];
        else if (strcmp(argv[i], "--whole") == 0)
            whole = true;
        else if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            around.device = argv[++i];
        else if (strcmp(argv[i], "--precision") == 0 && i + 1 < argc && read_precision(argv[i + 1]))
            i++;
        else if (strcmp(argv[i], "--slack") == 0 && i + 1 < argc)
            around.slack = strtod(argv[++i], NULL);
        else if (*argv[i] == '-' || directory)
            return usage(argv[0]);
        else
            directory = argv[i];
    }
    if (!directory) return usage(argv[0]);
    DIR *opened = opendir(directory);
    if (!opened) {
        fprintf(stderr, "%s: no such directory\n", directory);
        return 1;
    }
    closedir(opened);

    golden g = {.directory = directory};
    counts total = {0};
    int groups = 0, missing = 0;
    for (const golden_group *const *array = arrays; *array; array++)
        for (const golden_group *group = *array; group->name; group++)
            if (strstr(group->name, wanted)) {
                bool there = run_group(&g, group, &total);
                groups += there;
                missing += !there;
            }
    if (groups == 0) fprintf(stderr, "%s: no golden data%s%s\n", directory, *wanted ? " for " : "", wanted);
    printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped);
    if (whole && total.without_data + missing > 0)
        fprintf(stderr, "the data of %d cases and %d groups is missing\n", total.without_data, missing);
    return total.failed > 0 || groups == 0 || (whole && total.without_data + missing > 0) ||
           total.passed + total.skipped == 0;
}
