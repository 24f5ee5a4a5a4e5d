/* command.c: from argv to the command, and what the commands share: opening a layout with the options put over it, and
 * messages on stderr. */
#include "command.h"

#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "term.h"

static int (*const run_command[COMMAND_COUNT])(const arguments *) = {
    [COMMAND_EDIT] = command_edit,   [COMMAND_RENDER] = command_render,   [COMMAND_CHECK] = command_check,
    [COMMAND_LINES] = command_lines, [COMMAND_MASKS] = command_masks,     [COMMAND_MAP] = command_map,
    [COMMAND_SHOW] = command_show,   [COMMAND_CONVERT] = command_convert, [COMMAND_INFO] = command_info,
    [COMMAND_STATS] = command_stats, [COMMAND_BENCH] = command_bench,
};

int say(const char *format, ...) {
    char *text = NULL, *safe = NULL;
    va_list list;
    va_start(list, format);
    if (vasprintf(&text, format, list) >= 0) safe = term_safe(text);
    va_end(list);
    fprintf(stderr, "couplet: %s\n", safe ? safe : "out of memory");
    free(safe);
    free(text);
    return 1;
}

/* Core has put a '?' for every control character of a name. */
static bool stands_for(char shown, char byte) {
    bool control = (unsigned char)byte < 0x20 || (unsigned char)byte >= 0x7f;
    return shown == byte || (shown == '?' && control);
}

static const char *skip(const char *text, const char *prefix) {
    size_t length = 0;
    while (prefix[length] && stands_for(text[length], prefix[length])) length++;
    return length && !prefix[length] && strncmp(text + length, ": ", 2) == 0 ? text + length + 2 : text;
}

const char *bare_message(const char *file, const cpl_error *error) {
    return skip(skip(error->message, file), error->path);
}

int say_problem(const char *file, const cpl_error *error, bool warning) {
    char text[sizeof error->message + sizeof error->path + 32];
    snprintf(text, sizeof text, "%s%s%s%s", error->path, *error->path ? ": " : "", warning ? "warning: " : "",
             bare_message(file, error));
    char *safe_file = term_safe(file), *safe_text = term_safe(text);
    fprintf(stderr, "%s: %s\n", safe_file ? safe_file : "", safe_text ? safe_text : "out of memory");
    free(safe_file);
    free(safe_text);
    return 1;
}

bool print_safe(const char *text) {
    char *safe = term_safe(text);
    if (safe) fputs(safe, stdout);
    free(safe);
    return safe != NULL;
}

void print_path(const char *path) {
    if (isatty(STDOUT_FILENO))
        print_safe(path);
    else
        fputs(path, stdout);
    putchar('\n');
    fflush(stdout);
}

bool output_capabilities(const arguments *a, term_caps *caps) {
    if (isatty(STDOUT_FILENO) && term_query((color_choice)a->color, caps)) return true;
    *caps = (term_caps){.cell_width = 10, .cell_height = 20, .sixel_registers = 256};
    caps->colors = a->color == COLOR_ALWAYS ? 256 : 0;
    caps->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    return false;
}

/* On the command line a model is a file seen from here, in a layout one seen from the layout's folder. */
static bool override_file(char **text, const char *file, cpl_error *error) {
    char *whole = strcmp(file, "builtin") == 0 ? NULL : realpath(file, NULL);
    bool done = cpl_text_set(text, whole ? whole : file, error);
    free(whole);
    return done;
}

/* NAME or NAME:WEIGHT; what ends as a file's name does is one, seen from here. */
static bool add_lora(cpl_layout *layout, const char *typed, cpl_error *error) {
    static const char ending[] = ".safetensors";
    const char *colon = strrchr(typed, ':');
    char *stop = NULL;
    double weight = colon && colon[1] ? strtod(colon + 1, &stop) : 1;
    bool weighed = stop && !*stop;
    char *name = strndup(typed, weighed ? (size_t)(colon - typed) : strlen(typed));
    size_t length = name ? strlen(name) : 0;
    bool is_file = length >= sizeof ending && strcmp(name + length - (sizeof ending - 1), ending) == 0;
    char *whole = is_file ? realpath(name, NULL) : NULL;
    cpl_lora *lora = name ? cpl_layout_add_lora(layout, error) : NULL;
    bool done = lora && cpl_text_set(is_file ? &lora->path : &lora->name, whole ? whole : name, error);
    if (done && weighed) lora->weight = weight;
    free(whole);
    free(name);
    return done;
}

/* An option that would do nothing. */
static bool useless(cpl_error *error, const char *option, const char *why) {
    *error = (cpl_error){.code = CPL_E_INPUT, .row = -1};
    snprintf(error->message, sizeof error->message, "--%s: %s", option, why);
    return false;
}

static bool override_start(cpl_layout *layout, const arguments *a, cpl_error *error) {
    if (a->init && !override_file(&layout->init_image, a->init, error)) return false;
    if (isnan(a->denoise)) return true;
    layout->denoise = a->denoise;
    return (layout->init_image && *layout->init_image) ||
           useless(error, "denoise", "there is no picture to begin with; --init names one");
}

static bool override_hires(cpl_layout *layout, const arguments *a, cpl_error *error) {
    const char *about = a->hires_steps             ? "hires-steps"
                        : !isnan(a->hires_denoise) ? "hires-denoise"
                        : a->hires_upscaler        ? "hires-upscaler"
                                                   : NULL;
    if (!isnan(a->hires)) layout->hires_scale = a->hires;
    if (!isnan(a->hires_denoise)) layout->hires_denoise = a->hires_denoise;
    if (a->hires_steps) layout->hires_steps = a->hires_steps;
    if (a->hires_upscaler && !cpl_text_set(&layout->hires_upscaler, a->hires_upscaler, error)) return false;
    return !about || layout->hires_scale > 1 ||
           useless(error, about, "there is no second pass; --hires 2 asks for one");
}

bool override_layout(cpl_layout *layout, const arguments *a, cpl_error *error) {
    cpl_sampling *sampling = &layout->sampling;
    if (a->model && !override_file(&sampling->model, a->model, error)) return false;
    if (a->vae && !override_file(&sampling->vae, a->vae, error)) return false;
    if (a->prediction && !cpl_text_set(&sampling->prediction, a->prediction, error)) return false;
    if (a->sampler && !cpl_text_set(&layout->sampling.sampler, a->sampler, error)) return false;
    if (a->schedule && !cpl_text_set(&layout->sampling.schedule, a->schedule, error)) return false;
    for (int i = 0; a->lora[i]; i++)
        if (!add_lora(layout, a->lora[i], error)) return false;
    if (a->rng && !cpl_text_set(&layout->sampling.rng, a->rng, error)) return false;
    if (a->steps) layout->sampling.steps = a->steps;
    if (a->clip_skip) layout->sampling.clip_skip = a->clip_skip;
    if (a->batch) layout->sampling.batch = a->batch;
    if (!override_start(layout, a, error) || !override_hires(layout, a, error)) return false;
    if (!isnan(a->cfg)) layout->sampling.cfg = a->cfg;
    if (a->seed != CPL_SEED_UNSET) layout->sampling.seed = a->seed;
    if (a->size[0]) {
        layout->width = a->size[0];
        layout->height = a->size[1];
    }
    return true;
}

cpl_layout *open_layout(const arguments *a) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_load(a->operand[0], &error);
    if (layout && *error.message && !a->quiet) say_problem(a->operand[0], &error, true);
    if (layout && override_layout(layout, a, &error)) return layout;
    say_problem(a->operand[0], &error, false);
    cpl_layout_free(layout);
    return NULL;
}

bool open_defaults(const arguments *a, const cpl_layout *layout, cpl_model_info *info) {
    cpl_error error = {0};
    const cpl_model_source source = cpl_layout_source(layout);
    if (cpl_model_peek(&source, info, &error)) return true;
    bool of_vae = strcmp(error.path, "sampling.vae") == 0;
    if (of_vae ? a->vae : a->model) return say("--%s: %s", of_vae ? "vae" : "model", error.message), false;
    if (!*error.path) snprintf(error.path, sizeof error.path, "sampling.model");
    return say_problem(a->operand[0], &error, false), false;
}

/* A model that brings its own would never look. */
static bool folder_is_there(const char *option, const char *folder) {
    struct stat found;
    if (!folder || (stat(folder, &found) == 0 && S_ISDIR(found.st_mode))) return true;
    return say("--%s: there is no folder %s", option, folder), false;
}

int program_run(int argc, char **argv) {
    arguments asked;
    char why[400];
    if (!options_parse(argc, argv, &asked, why, sizeof why)) {
        const char *command = command_table[asked.command].name;
        say("%s", why);
        if (!asked.misconfigured)
            fprintf(stderr, "Try \"couplet%s%s --help\".\n", command ? " " : "", command ? command : "");
        return 2;
    }
    int status = 0;
    if (asked.help)
        options_help(stdout, asked.command);
    else if (asked.version)
        puts("couplet " CPL_VERSION);
    else if (!folder_is_there("tokenizer", asked.tokenizer) || !folder_is_there("lora-dir", asked.lora_dir) ||
             !folder_is_there("embeddings-dir", asked.embedding_dir))
        status = 1;
    else
        status = run_command[asked.command](&asked);
    /* A full disk shows when the last buffer is written, and a script must hear of it. */
    if (fflush(stdout) != 0 || ferror(stdout)) status = say("cannot write to standard output: %s", strerror(errno));
    return status;
}
