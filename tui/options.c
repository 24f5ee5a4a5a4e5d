/* options.c: the tables of commands and options, and what is read off them: the parser, --help, "did you mean".
 * getopt_long is not used: it prints by itself, permutes argv and knows nothing of which command accepts what. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../core/couplet.h"
#include "config.h"

#define ON(command) (1u << COMMAND_##command)
#define EVERYWHERE ((1u << COMMAND_COUNT) - 1)
#define RUNS (ON(EDIT) | ON(RENDER))
#define MEASURES (ON(RENDER) | ON(CHECK) | ON(MASKS) | ON(MAP))
#define AT(field) offsetof(arguments, field)

const command_entry command_table[COMMAND_COUNT] = {
    [COMMAND_EDIT] = {NULL, "[LAYOUT]", 0, 1, "Open the editor (on a new layout if there is none)"},
    [COMMAND_RENDER] = {"render", "LAYOUT -o OUT.png", 1, 1, "Generate a picture and write it as a PNG"},
    [COMMAND_CHECK] = {"check", "LAYOUT", 1, 1, "Say everything that is wrong with a layout"},
    [COMMAND_LINES] = {"lines", "LAYOUT", 1, 1, "Print the resolved prompt lines"},
    [COMMAND_MASKS] = {"masks", "LAYOUT --grid WxH", 1, 1, "Print the normalised mask of every line"},
    [COMMAND_MAP] = {"map", "LAYOUT", 1, 1, "Show which region rules which part of the canvas"},
    [COMMAND_SHOW] = {"show", "IMAGE.png", 1, 1, "Show an image in this terminal"},
    [COMMAND_CONVERT] = {"convert", "IN OUT", 2, 2, "Convert layouts and Forge Couple presets"},
    [COMMAND_INFO] = {"info", "", 0, 0, "Print version, devices, model, what this terminal can do"},
    [COMMAND_STATS] = {"stats", "FILE", 1, 1, "Print the statistics that a run wrote"},
    [COMMAND_BENCH] = {"bench", "", 0, 0, "Measure this machine and what couplet makes of it"},
};

static const char *const *color_names(void) {
    static const char *const names[] = {"auto", "always", "never", NULL};
    return names;
}

static const char *const *theme_names(void) {
    static const char *const names[] = {"auto", "dark", "light", NULL};
    return names;
}

static const char *const *precision_names(void) {
    static const char *const names[] = {"auto", "f32", "bf16", "f16", NULL};
    return names;
}

const option_entry option_table[] = {
    {"output", 'o', "FILE", OPTION_TEXT, AT(output), ON(RENDER), 0, 0, NULL, "the PNG to write (required)"},
    {"model", 0, "FILE", OPTION_TEXT, AT(model), ON(EDIT) | MEASURES | ON(LINES) | ON(INFO) | ON(BENCH), 0, 0, NULL,
     "a checkpoint or a folder of diffusers, or \"builtin\""},
    {"vae", 0, "FILE", OPTION_TEXT, AT(vae), ON(EDIT) | MEASURES | ON(INFO), 0, 0, NULL,
     "a VAE in place of the model's own"},
    {"prediction", 0, "NAME", OPTION_NAME, AT(prediction), RUNS, 0, 0, cpl_prediction_names,
     "what the model predicts: epsilon, v or v_zsnr"},
    {"device", 0, "NAME", OPTION_DEVICE, AT(device), RUNS, 0, 0, NULL, "auto, cpu, cuda or cuda:N"},
    {"precision", 0, "NAME", OPTION_NAME, AT(precision), RUNS | ON(BENCH), 0, 0, precision_names,
     "auto, f32, bf16 or f16"},
    {"tokenizer", 0, "DIR", OPTION_TEXT, AT(tokenizer), RUNS | ON(CHECK) | ON(LINES) | ON(INFO) | ON(BENCH), 0, 0, NULL,
     "folder with vocab.json and merges.txt"},
    {"lora", 0, "NAME[:WEIGHT]", OPTION_MANY, AT(lora), ON(RENDER) | ON(CHECK) | ON(INFO), 0, 0, NULL,
     "a LoRA beside the layout's; info prints what it is"},
    {"lora-dir", 0, "DIR", OPTION_TEXT, AT(lora_dir), RUNS | ON(CHECK) | ON(INFO), 0, 0, NULL,
     "folder with LoRA files"},
    {"embedding", 0, "NAME", OPTION_MANY, AT(embedding), ON(INFO), 0, 0, NULL,
     "prints what a textual inversion file is"},
    {"embeddings-dir", 0, "DIR", OPTION_TEXT, AT(embedding_dir), RUNS | ON(CHECK) | ON(LINES) | ON(INFO), 0, 0, NULL,
     "folder with textual inversion files (embeddings)"},
    {"threads", 0, "N", OPTION_WHOLE, AT(threads), RUNS | ON(BENCH), 1, 1024, NULL,
     "CPU threads (default: one per core)"},
    {"vae-tile", 0, "PIXELS", OPTION_TILE, AT(vae_tile), RUNS, 4096, 1e9, NULL,
     "VAE pixels at a time: auto, off or a number"},
    {"cache-bytes", 0, "SIZE", OPTION_BYTES, AT(cache_bytes), RUNS, 1 << 20, 1e13, NULL,
     "memory for encoded texts and plans, such as 512M"},
    {"vram", 0, "SIZE", OPTION_BYTES, AT(vram), RUNS, 1 << 20, 1e13, NULL,
     "most of a GPU's memory to take, such as 8G"},
    {"pool-bytes", 0, "SIZE", OPTION_BYTES, AT(pool_bytes), RUNS, 1 << 20, 1e13, NULL,
     "most memory for activations, such as 4G"},
    {"generate", 0, NULL, OPTION_SWITCH, AT(generate), ON(EDIT), 0, 0, NULL, "start with a first picture"},
    {"keys", 0, "FILE", OPTION_TEXT, AT(keys), ON(EDIT), 0, 0, NULL, "press the keys of a key script first"},
    {"preset", 0, "NAME", OPTION_TEXT, AT(preset), ON(CONVERT), 0, 0, NULL, "the preset to read, or to write"},
    {"size", 0, "WxH", OPTION_CANVAS, AT(size), MEASURES, 0, 0, NULL, "canvas in pixels, multiples of 8"},
    {"steps", 0, "N", OPTION_WHOLE, AT(steps), ON(RENDER), 1, 1000, NULL, "sampling steps"},
    {"seed", 0, "N", OPTION_SEED, AT(seed), ON(RENDER), -1, 9007199254740991.0, NULL,
     "seed of the noise; -1 draws one"},
    {"cfg", 0, "X", OPTION_REAL, AT(cfg), ON(RENDER), 0, 1000, NULL, "guidance scale"},
    {"sampler", 0, "NAME", OPTION_NAME, AT(sampler), ON(RENDER), 0, 0, cpl_sampler_names, "sampler"},
    {"schedule", 0, "NAME", OPTION_NAME, AT(schedule), ON(RENDER), 0, 0, cpl_schedule_names, "noise schedule"},
    {"rng", 0, "NAME", OPTION_NAME, AT(rng), ON(RENDER), 0, 0, cpl_rng_names, "where the noise comes from"},
    {"clip-skip", 0, "N", OPTION_WHOLE, AT(clip_skip), ON(RENDER), 1, CPL_MAX_CLIP_SKIP, NULL,
     "leave out the last N - 1 layers of the text encoder"},
    {"init", 0, "FILE", OPTION_TEXT, AT(init), ON(RENDER), 0, 0, NULL, "begin with this PNG instead of noise alone"},
    {"denoise", 0, "X", OPTION_REAL, AT(denoise), ON(RENDER), CPL_MIN_DENOISE, 1, NULL,
     "with --init: the share of the steps that is made"},
    {"hires", 0, "X", OPTION_REAL, AT(hires), ON(RENDER), 1, CPL_MAX_HIRES, NULL,
     "a second pass that makes it so much larger"},
    {"hires-steps", 0, "N", OPTION_WHOLE, AT(hires_steps), ON(RENDER), 1, 1000, NULL, "steps of the second pass"},
    {"hires-denoise", 0, "X", OPTION_REAL, AT(hires_denoise), ON(RENDER), CPL_MIN_DENOISE, 1, NULL,
     "how far back into noise it goes (0.7)"},
    {"hires-upscaler", 0, "NAME", OPTION_NAME, AT(hires_upscaler), ON(RENDER), 0, 0, cpl_upscaler_names,
     "what enlarges for the second pass"},
    {"batch", 0, "N", OPTION_WHOLE, AT(batch), ON(RENDER), 1, CPL_MAX_BATCH, NULL, "N pictures, of seeds that follow"},
    {"stats", 0, "FILE", OPTION_TEXT, AT(stats), ON(RENDER), 0, 0, NULL, "write statistics as JSON; - is stdout"},
    {"dump", 0, "DIR", OPTION_TEXT, AT(dump), ON(RENDER), 0, 0, NULL, "write each stage's tensors there"},
    {"grid", 0, "WxH", OPTION_GRID, AT(grid), ON(MASKS), 1, 1024, NULL, "token grid (required)"},
    {"png", 0, "FILE", OPTION_TEXT, AT(png), ON(MAP), 0, 0, NULL, "write the map as a PNG instead"},
    {"part", 0, "NAME", OPTION_NAME, AT(part), ON(BENCH), 0, 0, cpl_bench_parts,
     "measure only this beside the machine"},
    {"quick", 0, NULL, OPTION_SWITCH, AT(quick), ON(BENCH), 0, 0, NULL, "few rounds: within a minute"},
    {"tiles", 0, "CxR", OPTION_GRID, AT(tiles), ON(LINES), 1, CPL_MAX_TILES, NULL,
     "a prompt for each tile of C columns and R rows"},
    {"threshold", 0, "X", OPTION_REAL, AT(threshold), ON(LINES), 0, 1, NULL,
     "with --tiles: how much of a region is enough (0.75)"},
    {"replace", 0, "RULES", OPTION_TEXT, AT(replace), ON(LINES), 0, 0, NULL,
     "with --tiles: \"goal: tag, tag\", a rule a line"},
    {"tokens", 0, NULL, OPTION_SWITCH, AT(tokens), ON(LINES), 0, 0, NULL, "count the tokens of each line"},
    {"json", 0, NULL, OPTION_SWITCH, AT(json), ON(CHECK) | ON(LINES) | ON(MASKS) | ON(INFO) | ON(STATS) | ON(BENCH), 0,
     0, NULL, "print JSON"},
    {"color", 0, "WHEN", OPTION_INDEX, AT(color), EVERYWHERE, 0, 0, color_names, "auto, always or never"},
    {"theme", 0, "NAME", OPTION_INDEX, AT(theme), ON(EDIT), 0, 0, theme_names,
     "colours for a terminal that is auto, dark or light"},
    {"quiet", 'q', NULL, OPTION_SWITCH, AT(quiet), EVERYWHERE, 0, 0, NULL, "no progress, notes and warnings"},
    {"help", 'h', NULL, OPTION_SWITCH, AT(help), EVERYWHERE, 0, 0, NULL, "print help"},
    {"version", 'V', NULL, OPTION_SWITCH, AT(version), EVERYWHERE, 0, 0, NULL, "print the version"},
};
const int option_count = (int)(sizeof option_table / sizeof option_table[0]);

/* ---- "did you mean" --------------------------------------------------------------------------------------- */

#define NAME_ROOM 32

/* Edits (insert, delete, replace, swap neighbours) from `a` to `b`; texts too long for a name are far from all. */
static int edit_distance(const char *a, const char *b) {
    int before[NAME_ROOM + 1], last[NAME_ROOM + 1], now[NAME_ROOM + 1];
    int width = (int)strlen(b);
    if (strlen(a) > NAME_ROOM || width > NAME_ROOM) return NAME_ROOM;
    for (int j = 0; j <= width; j++) last[j] = j;
    memcpy(before, last, sizeof before);
    for (int i = 1; a[i - 1]; i++) {
        now[0] = i;
        for (int j = 1; j <= width; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            now[j] = best;
        }
        memcpy(before, last, sizeof before);
        memcpy(last, now, sizeof last);
    }
    return last[width];
}

const char *options_nearest(const char *typed, const char *const *names) {
    const char *nearest = NULL;
    int least = 1 + (int)strlen(typed) / 3;
    for (; *names; names++) {
        bool begins = strlen(typed) >= 2 && strncmp(*names, typed, strlen(typed)) == 0;
        int distance = begins ? 0 : edit_distance(typed, *names);
        if (distance > least || (nearest && distance == least)) continue;
        least = distance;
        nearest = *names;
    }
    return nearest;
}

/* ---- Values ------------------------------------------------------------------------------------------------ */

static bool usage(char *why, size_t why_size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool usage(char *why, size_t why_size, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(why, why_size, format, list);
    va_end(list);
    return false;
}

/* Decimal digits only: strtol alone would take blanks, signs and hexadecimal. */
static bool read_whole(const char *text, double least, double most, int64_t *value) {
    const char *digits = text + (*text == '-');
    if (!*digits || strlen(digits) > 17 || strspn(digits, "0123456789") != strlen(digits)) return false;
    *value = strtoll(text, NULL, 10);
    return (double)*value >= least && (double)*value <= most;
}

static bool read_real(const char *text, double least, double most, double *value) {
    if (!*text || strspn(text, "0123456789.eE+-") != strlen(text)) return false;
    char *end;
    *value = strtod(text, &end); /* reads a point: the program leaves LC_NUMERIC alone */
    return !*end && isfinite(*value) && *value >= least && *value <= most;
}

static bool read_size(const char *text, int least, int most, int multiple, int size[2]) {
    char width[8];
    const char *x = strchr(text, 'x');
    if (!x || (size_t)(x - text) >= sizeof width) return false;
    memcpy(width, text, (size_t)(x - text));
    width[x - text] = '\0';
    int64_t w, h;
    if (!read_whole(width, least, most, &w) || !read_whole(x + 1, least, most, &h)) return false;
    size[0] = (int)w;
    size[1] = (int)h;
    return w % multiple == 0 && h % multiple == 0;
}

static bool device_is_named(const char *text) {
    int64_t number;
    if (strcmp(text, "auto") == 0 || strcmp(text, "cpu") == 0 || strcmp(text, "cuda") == 0) return true;
    return strncmp(text, "cuda:", 5) == 0 && read_whole(text + 5, 0, 255, &number);
}

/* 512, 512K, 512M, 512G: of 1024 each. */
static bool read_bytes(const char *text, double least, double most, int64_t *bytes) {
    static const char units[] = "KMG";
    char digits[16];
    size_t length = strlen(text);
    const char *unit = length ? strchr(units, text[length - 1]) : NULL;
    int shift = unit && *unit ? 10 * (int)(unit - units + 1) : 0;
    if (shift) length--;
    if (!length || length >= sizeof digits || text[0] == '-') return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!read_whole(digits, 0, most / (double)((int64_t)1 << shift), bytes)) return false;
    *bytes <<= shift;
    return (double)*bytes >= least;
}

static bool read_tile(const char *text, double least, double most, int64_t *pixels) {
    bool is_word = strcmp(text, "auto") == 0 || strcmp(text, "off") == 0;
    if (is_word) *pixels = text[0] == 'o' ? -1 : 0;
    return is_word || read_whole(text, least, most, pixels);
}

static int place_of(const char *text, const char *const *names) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0) return i;
    return -1;
}

static bool bad_choice(const option_entry *o, const char *value, char *why, size_t size) {
    const char *const *names = o->choices();
    const char *nearest = options_nearest(value, names);
    if (nearest) return usage(why, size, "--%s: no \"%s\"; did you mean \"%s\"?", o->name, value, nearest);
    char list[200] = "";
    for (; *names; names++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "", *names);
    return usage(why, size, "--%s: no \"%s\"; there are: %s", o->name, value, list);
}

bool options_set(arguments *a, const option_entry *o, const char *value, char *why, size_t size) {
    void *field = (char *)a + o->offset;
    int64_t whole = 0;
    double real;
    switch (o->kind) {
    case OPTION_SWITCH:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        *(const char **)field = value;
        return *value || usage(why, size, "--%s: the %s is empty", o->name, o->argument);
    case OPTION_MANY: {
        const char **list = field;
        int count = 0;
        while (list[count]) count++;
        if (count == OPTION_MOST) return usage(why, size, "--%s: more than %d", o->name, OPTION_MOST);
        list[count] = value;
        return *value || usage(why, size, "--%s: the %s is empty", o->name, o->argument);
    }
    case OPTION_WHOLE:
        if (!read_whole(value, o->least, o->most, &whole))
            return usage(why, size, "--%s: \"%s\" is not a whole number from %.0f to %.0f", o->name, value, o->least,
                         o->most);
        *(int *)field = (int)whole;
        return true;
    case OPTION_SEED:
        if (!read_whole(value, o->least, o->most, (int64_t *)field))
            return usage(why, size, "--%s: \"%s\" is not a whole number from 0 to %.0f, or -1", o->name, value,
                         o->most);
        return true;
    case OPTION_REAL:
        if (!read_real(value, o->least, o->most, &real))
            return usage(why, size, "--%s: \"%s\" is not a number from %g to %g", o->name, value, o->least, o->most);
        *(double *)field = real;
        return true;
    case OPTION_CANVAS:
        return read_size(value, CPL_MIN_SIDE, CPL_MAX_SIDE, 8, field) ||
               usage(why, size, "--%s: \"%s\" is not WxH in pixels, such as 512x512 (multiples of 8, %d to %d)",
                     o->name, value, CPL_MIN_SIDE, CPL_MAX_SIDE);
    case OPTION_GRID:
        return read_size(value, (int)o->least, (int)o->most, 1, field) ||
               usage(why, size, "--%s: \"%s\" is not %s, such as %s (1 to %.0f)", o->name, value, o->argument,
                     field == a->grid ? "16x16 tokens" : "3x2 tiles", o->most);
    case OPTION_NAME:
        *(const char **)field = value;
        return place_of(value, o->choices()) >= 0 || bad_choice(o, value, why, size);
    case OPTION_INDEX:
        *(int *)field = place_of(value, o->choices());
        return *(int *)field >= 0 || bad_choice(o, value, why, size);
    case OPTION_DEVICE:
        *(const char **)field = value;
        return device_is_named(value) ||
               usage(why, size, "--%s: \"%s\" is not auto, cpu, cuda or cuda:N", o->name, value);
    case OPTION_BYTES:
        return read_bytes(value, o->least, o->most, field) ||
               usage(why, size, "--%s: \"%s\" is not a size from 1M to %.0fG, such as 512M or 2G", o->name, value,
                     floor(o->most / (1 << 30)));
    case OPTION_TILE:
        return read_tile(value, o->least, o->most, field) ||
               usage(why, size, "--%s: \"%s\" is not auto, off or a number of pixels from %.0f to %.0f", o->name, value,
                     o->least, o->most);
    }
    return false;
}

/* ---- The parser -------------------------------------------------------------------------------------------- */

static bool accepts(command_id command, const option_entry *o) { return o->commands & (1u << command); }

static const char *spoken(command_id command) {
    return command_table[command].name ? command_table[command].name : "the editor";
}

static command_id command_named(const char *word) {
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (command_table[i].name && strcmp(command_table[i].name, word) == 0) return (command_id)i;
    return COMMAND_EDIT;
}

static bool unknown_option(command_id command, const char *word, int length, char *why, size_t size) {
    const char *names[64];
    char typed[NAME_ROOM + 1];
    int count = 0;
    for (int i = 0; i < option_count && count < 63; i++)
        if (accepts(command, &option_table[i])) names[count++] = option_table[i].name;
    names[count] = NULL;
    snprintf(typed, sizeof typed, "%.*s", length - 2, word + 2);
    const char *nearest = options_nearest(typed, names);
    if (nearest) return usage(why, size, "unknown option %.*s; did you mean --%s?", length, word, nearest);
    return usage(why, size, "unknown option %.*s", length, word);
}

/* `word` is what was typed, `length` its part before a '='. */
static const option_entry *find_option(command_id command, const char *word, int length, char *why, size_t size) {
    const option_entry *found = NULL;
    for (int i = 0; i < option_count && !found; i++) {
        const option_entry *o = &option_table[i];
        bool by_letter = length == 2 && o->letter && word[1] == o->letter;
        bool by_name =
            length > 2 && (int)strlen(o->name) == length - 2 && strncmp(o->name, word + 2, (size_t)length - 2) == 0;
        if (by_letter || by_name) found = o;
    }
    if (found && accepts(command, found)) return found;
    if (found) {
        char takers[120] = "";
        for (int i = 0; i < COMMAND_COUNT; i++)
            if (accepts((command_id)i, found))
                snprintf(takers + strlen(takers), sizeof takers - strlen(takers), "%s%s", *takers ? ", " : "",
                         spoken((command_id)i));
        usage(why, size, "%s does not take --%s (%s %s)", spoken(command), found->name, takers,
              strchr(takers, ',') ? "do" : "does");
    } else if (length == 2) {
        usage(why, size, "unknown option %.2s", word);
    } else {
        unknown_option(command, word, length, why, size);
    }
    return NULL;
}

/* Reads the option at argv[*at], and its value from the same or the next word. */
static bool read_option(arguments *a, int argc, char *const *argv, int *at, char *why, size_t size) {
    const char *word = argv[*at];
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    int length = !is_long ? 2 : equals ? (int)(equals - word) : (int)strlen(word);
    const option_entry *o = find_option(a->command, word, length, why, size);
    if (!o) return false;
    const char *value = equals ? equals + 1 : !is_long && word[2] ? word + 2 : NULL;
    if (o->kind == OPTION_SWITCH && value)
        return is_long ? usage(why, size, "--%s takes no value", o->name)
                       : usage(why, size, "-%c takes no value; write each option apart", o->letter);
    if (o->kind != OPTION_SWITCH && !value) {
        if (*at + 1 >= argc) return usage(why, size, "--%s needs a value: %s", o->name, o->argument);
        value = argv[++*at];
    }
    return options_set(a, o, value, why, size);
}

static bool count_operands(const arguments *a, char *why, size_t size) {
    const command_entry *c = &command_table[a->command];
    /* Other programs have these as commands; here they would be new layouts of that name. */
    const char *first = a->command == COMMAND_EDIT && a->operands ? a->operand[0] : "";
    if (!strcmp(first, "help") || !strcmp(first, "version"))
        return usage(why, size, "it is \"couplet --%s\"; a layout of that name is ./%s", first, first);
    if (a->operands < c->least)
        return usage(why, size, "%s needs a file: couplet %s %s", c->name, c->name, c->operands);
    if (a->command == COMMAND_RENDER && !a->output)
        return usage(why, size, "render needs the name of the PNG: couplet render %s -o OUT.png", a->operand[0]);
    const char *of_tiles = !isnan(a->threshold) ? "threshold" : a->replace ? "replace" : NULL;
    if (of_tiles && !a->tiles[0])
        return usage(why, size, "--%s is about tiles: couplet lines %s --tiles 2x2", of_tiles, a->operand[0]);
    if (a->tokens && a->tiles[0]) return usage(why, size, "--tokens counts those of the lines, not of --tiles");
    if (a->command == COMMAND_MASKS && !a->grid[0])
        return usage(why, size, "masks needs a token grid: couplet masks %s --grid 16x16", a->operand[0]);
    return true;
}

static bool too_many(const arguments *a, const char *word, char *why, size_t size) {
    const command_entry *c = &command_table[a->command];
    if (c->name) return usage(why, size, "%s takes no more files: \"%s\"", c->name, word);
    const char *names[COMMAND_COUNT];
    for (int i = 1; i < COMMAND_COUNT; i++) names[i - 1] = command_table[i].name;
    names[COMMAND_COUNT - 1] = NULL;
    const char *first = a->operand[0], *nearest = options_nearest(first, names);
    if (nearest && strcmp(nearest, first) == 0)
        return usage(why, size, "the command comes first: couplet %s ...", nearest);
    if (nearest) return usage(why, size, "no command \"%s\"; did you mean \"%s\"?", first, nearest);
    return usage(why, size, "the editor opens one layout; \"%s\" is one too many", word);
}

bool options_parse(int argc, char *const *argv, arguments *a, char *why, size_t why_size) {
    *a = (arguments){
        .cfg = NAN, .denoise = NAN, .threshold = NAN, .hires = NAN, .hires_denoise = NAN, .seed = CPL_SEED_UNSET};
    int at = 1;
    if (argc > 1) a->command = command_named(argv[1]);
    if (a->command != COMMAND_EDIT) at = 2;
    char of_config[400];
    bool options_end = false, misconfigured = !config_read(a, of_config, sizeof of_config);
    for (; at < argc; at++) {
        const char *word = argv[at];
        if (!options_end && strcmp(word, "--") == 0) {
            options_end = true;
        } else if (!options_end && word[0] == '-' && word[1]) {
            if (!read_option(a, argc, argv, &at, why, why_size)) return false;
        } else if (a->operands >= command_table[a->command].most) {
            return too_many(a, word, why, why_size);
        } else if (!*word) {
            return usage(why, why_size, "the name of the file is empty");
        } else {
            a->operand[a->operands++] = word;
        }
    }
    if (a->help || a->version) return true;
    if (!misconfigured) return count_operands(a, why, why_size);
    a->misconfigured = true;
    return usage(why, why_size, "%s", of_config);
}
