/* infotext_read.c: the text below a picture of the WebUI family as a layout: the prompt, the negative prompt, and a last line of
 * "Key: value" pairs, Forge Couple's among them. What the pairs leave out has the WebUI's defaults there, not those of a model
 * here. A pair that no layout can say is not lost in silence. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/number.h"
#include "../memory/unicode.h"
#include "builder.h"
#include "compose.h"
#include "fields.h"
#include "infotext.h"
#include "json.h"
#include "lines.h"
#include "resolve.h"
#include "spellings.h"
#include "words.h"

enum {
    LEAST_PAIRS = 3,
    MOST_VALUE = 60
}; /* a line of fewer is prompt, as in the WebUI; bytes of a value in a message */

typedef struct info_pair {
    char *key, *value; /* owned */
    bool taken;
} info_pair;

typedef struct reader {
    info_pair *list;
    int count, room;
    cpl_layout *layout;
    cpl_error *error;
} reader;

/* ---- The line of pairs ---- */

static bool is_key_letter(char c, bool first) {
    bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                (unsigned char)c >= 0x80;
    return word || (!first && (c == ' ' || c == '-' || c == '/'));
}

/* Where a quoted value ends, behind its quote, or NULL: it is none. */
static const char *quoted_end(const char *at) {
    if (*at != '"') return NULL;
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && at[1]) at++;
    return *at && (!at[1] || at[1] == ',') ? at + 1 : NULL;
}

static char *unquote(char *quoted, cpl_error *error) {
    cJSON *json = quoted ? cpl_json_parse(quoted, strlen(quoted), NULL) : NULL;
    const char *inside = cJSON_GetStringValue(json);
    if (!inside) return cJSON_Delete(json), quoted;
    char *text = cpl_strdup(inside, error);
    cJSON_Delete(json);
    free(quoted);
    return text;
}

static bool add_pair(reader *r, const char *key, size_t key_length, const char *value, const char *end, bool quoted) {
    if (!cpl_grow((void **)&r->list, &r->room, r->count + 1, sizeof *r->list, r->error)) return false;
    info_pair *made = &r->list[r->count++];
    size_t length = (size_t)(end - value);
    *made = (info_pair){.key = cpl_strndup(key, key_length, r->error)};
    made->value = cpl_strndup(value, length, r->error);
    if (quoted) made->value = unquote(made->value, r->error);
    return made->key && made->value;
}

static bool read_pairs(reader *r, const char *line) {
    for (const char *at = line; *at; at += *at == ',') {
        at += strspn(at, " \t");
        const char *key = at;
        while (is_key_letter(*at, at == key)) at++;
        size_t length = (size_t)(at - key);
        if (*at == ':' && length > 1) {
            const char *value = at + 1 + strspn(at + 1, " \t"), *end = quoted_end(value);
            at = end ? end : value + strcspn(value, ",");
            if (!add_pair(r, key, length, value, at, end != NULL)) return false;
        } else {
            at += strcspn(at, ",");
        }
    }
    return true;
}

static void clear_pairs(reader *r) {
    for (int i = 0; i < r->count; i++) {
        free(r->list[i].key);
        free(r->list[i].value);
    }
    free(r->list);
}

static info_pair *find(reader *r, const char *key) {
    for (int i = r->count - 1; i >= 0; i--) /* the last one counts */
        if (strcmp(r->list[i].key, key) == 0) return &r->list[i];
    return NULL;
}

static const char *value_of(reader *r, const char *key) {
    const info_pair *p = find(r, key);
    return p ? p->value : "";
}

static void take(reader *r, const char *key) {
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->list[i].key, key) == 0) r->list[i].taken = true;
}

/* False, and not taken: absent, no number, or beyond what a layout may have. */
static bool take_number(reader *r, const char *key, double low, double high, bool whole, double *number) {
    char text[64];
    double value;
    snprintf(text, sizeof text, "%s", value_of(r, key));
    if (!cpl_number_parse(cpl_strip(text), &value) || value < low || value > high || (whole && value != floor(value)))
        return false;
    take(r, key);
    *number = value;
    return true;
}

static bool take_name(reader *r, const char *key, const char *const *names, int *index) {
    if (!cpl_name_find(names, value_of(r, key), index)) return false;
    take(r, key);
    return true;
}

static bool take_truth(reader *r, const char *key) {
    const char *value = value_of(r, key);
    bool is_true = strcmp(value, "True") == 0;
    if (is_true || strcmp(value, "False") == 0) take(r, key);
    return is_true;
}

/* ---- Sampling ---- */

static bool ends_with(const char *text, const char *end, size_t *before) {
    size_t length = strlen(text), tail = strlen(end);
    if (length <= tail + 1 || text[length - tail - 1] != ' ' || strcmp(text + length - tail, end) != 0) return false;
    *before = length - tail - 1;
    return true;
}

/* Older versions name sampler and schedule in one: "DPM++ 2M Karras". */
static bool take_both(reader *r) {
    const char *value = value_of(r, "Sampler");
    size_t length;
    for (const cpl_spelling *s = cpl_webui_schedules; s->ours; s++) {
        char name[64];
        if (!ends_with(value, s->theirs, &length) || length >= sizeof name) continue;
        snprintf(name, sizeof name, "%.*s", (int)length, value);
        const char *ours = cpl_unspell(cpl_webui_samplers, name);
        if (!ours) continue;
        take(r, "Sampler");
        return cpl_text_set(&r->layout->sampling.sampler, ours, r->error) &&
               cpl_text_set(&r->layout->sampling.schedule, s->ours, r->error);
    }
    return true;
}

static bool read_sampler(reader *r) {
    cpl_sampling *to = &r->layout->sampling;
    const char *sampler = cpl_unspell(cpl_webui_samplers, value_of(r, "Sampler"));
    const char *schedule = cpl_unspell(cpl_webui_schedules, value_of(r, "Schedule type"));
    double eta = 0;
    if (sampler) take(r, "Sampler");
    if (schedule) take(r, "Schedule type");
    if (sampler && strcmp(sampler, "ddim") == 0 && take_number(r, "Eta DDIM", 0, 1, true, &eta) && eta == 1)
        sampler = "ddpm";
    if (!sampler && !take_both(r)) return false;
    if (sampler && !cpl_text_set(&to->sampler, sampler, r->error)) return false;
    return (to->schedule && !schedule) || cpl_text_set(&to->schedule, schedule ? schedule : "automatic", r->error);
}

/* The WebUI names no source of noise where it is its default, the GPU. */
static bool read_noise(reader *r) {
    cpl_sampling *to = &r->layout->sampling;
    const char *rng = cpl_unspell(cpl_webui_rngs, value_of(r, "RNG"));
    double number;
    if (rng) take(r, "RNG");
    if (take_number(r, "Seed", 0, CPL_MAX_SEED, true, &number)) to->seed = (int64_t)number;
    return cpl_text_set(&to->rng, rng ? rng : "nv", r->error);
}

/* There it is a file's name without its ending. */
static bool read_model(reader *r) {
    const char *name = value_of(r, "Model");
    if (!*name) return true;
    take(r, "Model");
    char *file = cpl_format(r->error, "%s%s", name, strcmp(name, "builtin") == 0 ? "" : ".safetensors");
    free(r->layout->sampling.model);
    r->layout->sampling.model = file;
    return file;
}

/* The WebUI rounds a side down to what a latent can have. */
static void read_size(reader *r) {
    int width, height, end = 0;
    const char *value = value_of(r, "Size");
    if (sscanf(value, "%5dx%5d%n", &width, &height, &end) != 2 || value[end]) return;
    int w = width - width % CPL_SIDE_STEP, h = height - height % CPL_SIDE_STEP;
    if (w < CPL_MIN_SIDE || h < CPL_MIN_SIDE || w > CPL_MAX_SIDE || h > CPL_MAX_SIDE) return;
    r->layout->width = w;
    r->layout->height = h;
    if (w == width && h == height) take(r, "Size");
}

/* Forge always names the second pass' guidance and modules, most often those of the first. */
static void take_repeated(reader *r) {
    static const char guidance[] = "Hires CFG Scale", modules[] = "Hires Module 1";
    double number;
    if (strcmp(value_of(r, modules), "Use same choices") == 0) take(r, modules);
    if (cpl_number_parse(value_of(r, guidance), &number) && number == r->layout->sampling.cfg) take(r, guidance);
}

/* 0: the side that follows from the other one. */
static bool makes_size(const cpl_layout *layout, double scale, int width, int height) {
    return (!width || cpl_side_enlarged(layout->width, scale) == width - width % CPL_SIDE_STEP) &&
           (!height || cpl_side_enlarged(layout->height, scale) == height - height % CPL_SIDE_STEP);
}

/* The factor may be given as the size that it makes. One that cuts something off, or is not told of what, makes none. */
static bool take_resize(reader *r, double *scale) {
    static const char key[] = "Hires resize";
    const cpl_layout *of = r->layout;
    int width, height, end = 0;
    const char *value = value_of(r, key);
    if (!of->width || sscanf(value, "%5dx%5d%n", &width, &height, &end) != 2 || value[end]) return false;
    double factor = width ? (double)width / of->width : (double)height / of->height;
    if (!(factor > 1) || factor > CPL_MAX_HIRES) return false;
    /* a product that is rounded to just below a whole number of pixels would lose one */
    if (!makes_size(of, factor, width, height)) factor = nextafter(factor, CPL_MAX_HIRES);
    if (!makes_size(of, factor, width, height)) return false;
    take(r, key);
    *scale = factor;
    return true;
}

/* To a layout a factor of 1 is no second pass, which the WebUI makes all the same. */
static bool take_scale(reader *r, double *scale) {
    return take_number(r, "Hires upscale", nextafter(1, 2), CPL_MAX_HIRES, false, scale) || take_resize(r, scale);
}

/* The second pass of the WebUI's hires fix. An upscaler that is a network of its own is told of, and a plain one takes its
 * place. */
static bool read_hires(reader *r) {
    cpl_layout *to = r->layout;
    const char *upscaler = cpl_unspell(cpl_webui_upscalers, value_of(r, "Hires upscaler"));
    double number;
    if (!take_scale(r, &to->hires_scale)) return true;
    if (take_number(r, "Hires steps", 0, 1000, true, &number)) to->hires_steps = (int)number;
    take_number(r, "Denoising strength", CPL_MIN_DENOISE, 1, false, &to->hires_denoise);
    if (upscaler) take(r, "Hires upscaler");
    take_repeated(r);
    return cpl_text_set(&to->hires_upscaler, upscaler ? upscaler : "lanczos", r->error);
}

static bool read_sampling(reader *r) {
    cpl_sampling *to = &r->layout->sampling;
    double number;
    if (take_number(r, "Steps", 1, 1000, true, &number)) to->steps = (int)number;
    if (take_number(r, "CFG scale", 0, 1000, false, &number)) to->cfg = number;
    if (take_number(r, "Clip skip", 1, CPL_MAX_CLIP_SKIP, true, &number)) to->clip_skip = (int)number;
    read_size(r);
    return read_sampler(r) && read_noise(r) && read_model(r) && read_hires(r);
}

/* ---- Regions ---- */

static bool read_row(const cJSON *row, cpl_region *to) {
    double value[5];
    if (!cJSON_IsArray(row) || cJSON_GetArraySize(row) != 5) return false;
    const cJSON *item = row->child;
    for (int i = 0; i < 5; i++, item = item->next) {
        if (!cJSON_IsNumber(item)) return false;
        value[i] = item->valuedouble;
    }
    *to = (cpl_region){.x1 = value[0], .x2 = value[1], .y1 = value[2], .y2 = value[3], .weight = value[4]};
    return to->x1 >= 0 && to->x1 <= to->x2 && to->x2 <= 1 && to->y1 >= 0 && to->y1 <= to->y2 && to->y2 <= 1 &&
           to->weight >= 0 && to->weight <= CPL_MAX_WEIGHT;
}

static bool read_mapping(reader *r) {
    const char *value = value_of(r, "forge_couple_mapping");
    cJSON *rows = cpl_json_parse(value, strlen(value), NULL);
    bool fine = cJSON_IsArray(rows) && cJSON_GetArraySize(rows) <= CPL_MAX_REGIONS, done = true;
    cpl_region read;
    for (const cJSON *row = fine ? rows->child : NULL; fine && row; row = row->next) fine = read_row(row, &read);
    if (fine) take(r, "forge_couple_mapping");
    for (const cJSON *row = fine ? rows->child : NULL; done && row; row = row->next) {
        cpl_region *made = cpl_layout_insert(r->layout, r->layout->region_count, r->error);
        done = made && read_row(row, &read);
        if (!done) break;
        made->x1 = read.x1, made->x2 = read.x2, made->y1 = read.y1, made->y2 = read.y2;
        made->weight = read.weight;
    }
    cJSON_Delete(rows);
    return done;
}

/* The masks themselves are nowhere in the text; a row is waiting for each. */
static bool add_rows(reader *r, int count) {
    for (int i = 0; i < count && i < CPL_MAX_REGIONS; i++)
        if (!cpl_layout_insert(r->layout, i, r->error)) return false;
    return true;
}

static bool read_separator(reader *r) {
    const info_pair *p = find(r, "forge_couple_separator");
    if (!p) return true;
    take(r, "forge_couple_separator");
    return strcmp(p->value, "\\n") == 0 || cpl_text_set(&r->layout->separator, p->value, r->error);
}

static bool read_couple(reader *r) {
    cpl_layout *to = r->layout;
    int index;
    double number;
    if (!read_separator(r)) return false;
    if (take_name(r, "forge_couple_mode", cpl_webui_modes, &index)) to->mode = (cpl_mode)index;
    if (take_name(r, "forge_couple_direction", cpl_webui_directions, &index)) to->direction = (cpl_direction)index;
    if (take_name(r, "forge_couple_background", cpl_webui_backgrounds, &index)) to->background = (cpl_background)index;
    if (take_number(r, "forge_couple_background_weight", -CPL_MAX_WEIGHT, CPL_MAX_WEIGHT, false, &number))
        to->background_weight = number;
    if (take_name(r, "forge_couple_common_parser", cpl_bracket_names, &index)) to->brackets = (cpl_brackets)index;
    if (find(r, "forge_couple_def_in_prompt")) to->definitions = take_truth(r, "forge_couple_def_in_prompt");
    if (to->mode == CPL_MODE_ADVANCED) return read_mapping(r);
    return to->mode == CPL_MODE_BASIC || add_rows(r, cpl_layout_line_count(to));
}

static void newlines_to_blanks(char *text) {
    for (; *text; text++)
        if (*text == '\n') *text = ' ';
}

/* Without Forge Couple one line, which may change during a run, over the whole canvas. */
static bool read_alone(reader *r, char **prompt) {
    cpl_region *region = cpl_layout_insert(r->layout, 0, r->error);
    if (!region) return false;
    newlines_to_blanks(region->prompt = *prompt);
    *prompt = NULL;
    r->layout->schedules = strchr(region->prompt, '[') || cpl_parts_any(region->prompt);
    if (strchr(region->prompt, '{')) r->layout->brackets = CPL_BRACKETS_OFF;
    return true;
}

/* ---- What is lost ---- */

/* Pairs that no pixel depends on, or that say what holds here too. */
static bool is_idle(const info_pair *p) {
    static const char *const keys[] = {"Version",
                                       "Model hash",
                                       "VAE hash",
                                       "Lora hashes",
                                       "TI hashes",
                                       "Batch size",
                                       "Batch pos",
                                       "User",
                                       "Discard penultimate sigma",
                                       "Pad conds",
                                       "forge_couple_compatibility",
                                       NULL};
    int index;
    return cpl_name_find(keys, p->key, &index) ||
           (strcmp(p->key, "Emphasis") == 0 && strcmp(p->value, "Original") == 0);
}

static void tell_lost(const reader *r, const char *name) {
    cpl_builder text = {0};
    int count = 0;
    for (int i = 0; i < r->count; i++) {
        const info_pair *p = &r->list[i];
        if (p->taken || is_idle(p)) continue;
        cpl_builder_text(&text, count++ ? ", " : "");
        cpl_builder_text(&text, p->key);
        cpl_builder_text(&text, " ");
        cpl_builder_bytes(&text, p->value, cpl_utf8_fit(p->value, MOST_VALUE));
    }
    char *list = cpl_builder_take(&text);
    if (list && count) {
        cpl_fail(r->error, CPL_E_INPUT, "%s: taken from the WebUI's parameters, without what couplet cannot do: %s",
                 name, list);
        if (r->error) r->error->code = CPL_OK;
    }
    free(list);
}

/* ---- The whole text ---- */

static bool is_utf8(const char *text) {
    while (*text) {
        const char *at = text;
        if (cpl_utf8_next(&text) == 0xFFFD && strncmp(at, "\xEF\xBF\xBD", 3) != 0) return false;
    }
    return true;
}

/* Where its last line begins; white space at its end is cut off. */
static char *last_line(char *text) {
    char *end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1])) *--end = '\0';
    char *line = strrchr(text, '\n');
    return line ? line + 1 : text;
}

bool cpl_infotext_is(const char *text) {
    reader r = {0};
    char *copy = is_utf8(text) ? cpl_strdup(text, NULL) : NULL;
    bool is = copy && read_pairs(&r, last_line(copy)) && r.count >= LEAST_PAIRS && find(&r, "Steps");
    clear_pairs(&r);
    free(copy);
    return is;
}

static void add_line(cpl_builder *to, const char *line) {
    if (to->length) cpl_builder_text(to, "\n");
    cpl_builder_text(to, line);
}

/* The lines before the last one, which is cut up. */
static void read_prompts(char *text, cpl_builder *prompt, cpl_builder *negative) {
    static const char mark[] = "Negative prompt:";
    cpl_builder *to = prompt;
    for (char *line; (line = strsep(&text, "\n"));) {
        cpl_strip(line);
        if (strncmp(line, mark, sizeof mark - 1) == 0) {
            to = negative;
            line = cpl_strip(line + sizeof mark - 1);
        }
        add_line(to, line);
    }
    cpl_builder_text(prompt, "");
    cpl_builder_text(negative, "");
}

static bool read_text(reader *r, char *text) {
    char *last = last_line(text);
    cpl_builder prompt = {.error = r->error}, negative = {.error = r->error};
    bool done = read_pairs(r, last);
    char nothing[1] = "";
    if (last > text) last[-1] = '\0';
    read_prompts(last > text ? text : nothing, &prompt, &negative);
    char *positive = cpl_builder_take(&prompt), *other = cpl_builder_take(&negative);
    done = done && positive && other && read_sampling(r);
    if (done) newlines_to_blanks(other);
    if (done && *other) done = cpl_text_set(&r->layout->negative, other, r->error);
    if (done && take_truth(r, "forge_couple")) {
        r->layout->prompt = positive;
        positive = NULL;
        done = read_couple(r);
    } else if (done) {
        done = read_alone(r, &positive);
    }
    free(positive);
    free(other);
    return done;
}

cpl_layout *cpl_infotext_read(const char *text, const char *directory, const char *name, cpl_error *error) {
    reader r = {.layout = cpl_layout_new(error), .error = error};
    char *copy = r.layout ? cpl_strdup(text, error) : NULL;
    bool done = copy && read_text(&r, copy) && cpl_text_set(&r.layout->directory, directory, error);
    if (done)
        tell_lost(&r, name);
    else
        cpl_layout_free(r.layout);
    clear_pairs(&r);
    free(copy);
    return done ? r.layout : NULL;
}
