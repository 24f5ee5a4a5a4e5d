/* editor_text.c: cells and settings as text: how they are shown, and how what was typed becomes a value or a refusal in
 * words. Numbers have a point in every locale: the program never sets LC_NUMERIC. */
#include "editor_state.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Numbers ---- */

static bool plain_number(const char *text, size_t length, double *value) {
    char copy[64], *end;
    if (!length || length >= sizeof copy || strspn(text, "0123456789.eE+-") < length) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *value = strtod(copy, &end);
    return !*end && isfinite(*value);
}

bool state_number(const char *text, double *value) {
    text += strspn(text, " ");
    size_t length = strlen(text);
    while (length && text[length - 1] == ' ') length--;
    const char *slash = memchr(text, '/', length);
    if (!slash) return plain_number(text, length, value);
    double over, under;
    size_t before = (size_t)(slash - text);
    if (!plain_number(text, before, &over) || !plain_number(slash + 1, length - before - 1, &under) || under == 0)
        return false;
    *value = over / under;
    return isfinite(*value);
}

static bool whole_number(const char *text, int64_t *value) {
    char *end;
    text += strspn(text, " ");
    if (!*text || strspn(text, "0123456789-") < strcspn(text, " ")) return false;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    *value = number;
    return errno == 0 && !end[strspn(end, " ")];
}

/* ---- Cells ---- */

static const char *const cell_names[CELLS] = {"x1", "x2", "y1", "y2", "weight", "prompt", "negative"};

static const char *own_negative(const editor_state *s, int row) {
    if (row < 0 || row >= s->layout->region_count) return "";
    return s->layout->regions[row].negative ? s->layout->regions[row].negative : "";
}

char *state_cell_whole(const editor_state *s, int row, table_cell c) {
    char text[STATE_TEXT];
    if (c == CELL_PROMPT) return strdup(state_prompt(s, row));
    if (c == CELL_NEGATIVE) return strdup(own_negative(s, row));
    state_cell_text(s, row, c, text);
    return strdup(text);
}

void state_cell_text(const editor_state *s, int row, table_cell c, char text[STATE_TEXT]) {
    canvas_view view = state_view(s, 1, 1);
    canvas_rect rect = {0, 1, 0, 1};
    /* A painted mask has no corners. */
    bool shape = canvas_shape(&view, row, &rect) && s->layout->mode != CPL_MODE_MASK;
    const cpl_region *region = row < s->layout->region_count ? &s->layout->regions[row] : NULL;
    const double value[4] = {rect.x1, rect.x2, rect.y1, rect.y2};
    if (c == CELL_PROMPT)
        snprintf(text, STATE_TEXT, "%s", state_prompt(s, row));
    else if (c == CELL_NEGATIVE)
        snprintf(text, STATE_TEXT, "%s", own_negative(s, row));
    else if (c == CELL_WEIGHT)
        snprintf(text, STATE_TEXT, "%.2f",
                 row != cpl_layout_background_row(s->layout) ? region ? region->weight : 1
                                                             : fmax(s->layout->background_weight, 0.1));
    else if (!shape)
        snprintf(text, STATE_TEXT, "-");
    else
        snprintf(text, STATE_TEXT, "%.3f", value[c]);
}

bool state_cell_editable(const editor_state *s, int row, table_cell c, cpl_error *error) {
    if (row < 0 || row >= s->count) return state_refuse(error, "there is no region yet: n makes one");
    bool background = row == cpl_layout_background_row(s->layout);
    if (c == CELL_PROMPT) return true;
    if (c == CELL_NEGATIVE && (s->layout->prompt || row >= s->layout->region_count))
        return state_refuse(error,
                            "lines of one prompt text have no negative prompts of their own: edit a prompt first");
    if (c == CELL_NEGATIVE) return true;
    if (c == CELL_WEIGHT && background)
        return state_refuse(error, "the background line's weight is a setting: :set background-weight 0.5");
    if (c == CELL_WEIGHT && s->layout->mode == CPL_MODE_BASIC)
        return state_refuse(error, "tiles of basic mode all weigh the same: m changes to advanced mode");
    if (c == CELL_WEIGHT) return true;
    if (background) return state_refuse(error, "the background line covers the whole canvas");
    if (s->layout->mode == CPL_MODE_BASIC)
        return state_refuse(error, "basic mode makes equal tiles: m changes to advanced mode, where they can be set");
    if (s->layout->mode == CPL_MODE_MASK)
        return state_refuse(error, "mask mode takes its shapes from painted masks: m changes to advanced mode");
    return true;
}

static bool set_corner(cpl_region *r, table_cell c, double value, cpl_error *error) {
    if (value < 0 || value > 1)
        return state_refuse(error, "%s must lie between 0 and 1, the edges of the canvas", cell_names[c]);
    if (c == CELL_X1 && value >= r->x2) return state_refuse(error, "x1 must be less than x2, which is %.3f", r->x2);
    if (c == CELL_X2 && value <= r->x1) return state_refuse(error, "x2 must be more than x1, which is %.3f", r->x1);
    if (c == CELL_Y1 && value >= r->y2) return state_refuse(error, "y1 must be less than y2, which is %.3f", r->y2);
    if (c == CELL_Y2 && value <= r->y1) return state_refuse(error, "y2 must be more than y1, which is %.3f", r->y1);
    *(c == CELL_X1 ? &r->x1 : c == CELL_X2 ? &r->x2 : c == CELL_Y1 ? &r->y1 : &r->y2) = value;
    return true;
}

static bool set_number(cpl_region *region, table_cell c, const char *text, cpl_error *error) {
    double value;
    if (!state_number(text, &value))
        return state_refuse(error, "%s must be a number such as 0.25 or 1/4%s", cell_names[c],
                            strchr(text, ',') ? ", with a point and not a comma" : "");
    if (c != CELL_WEIGHT) return set_corner(region, c, value, error);
    if (value < 0) return state_refuse(error, "a weight cannot be negative; 0 switches the region off");
    if (value > CPL_MAX_WEIGHT) return state_refuse(error, "a weight is at most %.0f", CPL_MAX_WEIGHT);
    region->weight = value;
    return true;
}

/* A row's line of one prompt text cannot be changed alone, so all rows get prompts of their own first. */
static bool set_prompt(cpl_layout *next, const cpl_lines *lines, int row, const char *text, cpl_error *error) {
    if (next->prompt) {
        if (!cpl_layout_keep_loras(next, error) || !cpl_text_set(&next->prompt, NULL, error)) return false;
        while (next->region_count < lines->count)
            if (!cpl_layout_insert(next, next->region_count, error)) return false;
        for (int i = 0; i < lines->count; i++)
            if (!cpl_text_set(&next->regions[i].prompt, lines->line[i], error)) return false;
    }
    return row < next->region_count ? cpl_text_set(&next->regions[row].prompt, text, error)
                                    : state_refuse(error, "row %d has no region of its own", row + 1);
}

/* A number that was only looked at keeps all its digits, of which the table shows three. */
static bool unchanged(const editor_state *s, int row, table_cell c, const char *text) {
    char shown[STATE_TEXT];
    state_cell_text(s, row, c, shown);
    return c < CELL_PROMPT && !strcmp(shown, text);
}

cpl_layout *state_with_cell(const editor_state *s, int row, table_cell c, const char *text, cpl_error *error) {
    cpl_layout *next = state_cell_editable(s, row, c, error) ? state_change(s, error) : NULL;
    if (!next) return NULL;
    bool good = c == CELL_PROMPT     ? set_prompt(next, &s->lines, row, text, error)
                : c == CELL_NEGATIVE ? cpl_text_set(&next->regions[row].negative, *text ? text : NULL, error)
                                     : set_number(&next->regions[row], c, text, error);
    if (good) return next;
    cpl_layout_free(next);
    return NULL;
}

bool state_set_cell(editor_state *s, int row, table_cell c, const char *text, cpl_error *error) {
    if (!state_cell_editable(s, row, c, error)) return false;
    if (unchanged(s, row, c, text)) return true;
    cpl_layout *next = state_with_cell(s, row, c, text, error);
    return next && state_commit(s, next, true, error);
}

bool state_cell_takes(const editor_state *s, int row, table_cell c, const char *text, cpl_error *error) {
    if (c >= CELL_PROMPT || row < 0 || row >= s->layout->region_count || unchanged(s, row, c, text)) return true;
    cpl_region trial = s->layout->regions[row]; /* its numbers only */
    return set_number(&trial, c, text, error);
}

bool state_step_cell(editor_state *s, table_cell c, int direction, int count, cpl_error *error) {
    if (c >= CELL_WEIGHT) return state_weight(s, direction, count, error);
    if (!state_cell_editable(s, s->selected, c, error)) return false;
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    static const unsigned edges[] = {CANVAS_LEFT, CANVAS_RIGHT, CANVAS_UP, CANVAS_DOWN};
    int across, down;
    state_steps(s, &across, &down);
    double by = (double)direction * count;
    for (int i = 0; i < next->region_count; i++)
        if (state_chosen(s, i))
            state_set_rect(&next->regions[i], canvas_drag_on(state_rect(&next->regions[i]), edges[c], by / across,
                                                             by / down, across, down));
    return state_commit(s, next, true, error);
}

/* ---- Settings: how each is written, from text, in a layout ---- */

static bool write_size(cpl_layout *l, const char *text, cpl_error *error) {
    int width, height, used = 0;
    if (!*text) return l->width = l->height = 0, true;
    if (sscanf(text, "%5d%*[xX]%5d%n", &width, &height, &used) != 2 || text[used]) {
        if (sscanf(text, "%5d%n", &width, &used) != 1 || text[used])
            return state_refuse(error, "size must be WIDTHxHEIGHT in pixels, such as 512x768");
        height = width;
    }
    if (width < CPL_MIN_SIDE || height < CPL_MIN_SIDE || width > CPL_MAX_SIDE || height > CPL_MAX_SIDE || width % 8 ||
        height % 8)
        return state_refuse(error, "both sides must be multiples of 8 between %d and %d", CPL_MIN_SIDE, CPL_MAX_SIDE);
    l->width = width;
    l->height = height;
    return true;
}

static bool write_steps(cpl_layout *l, const char *text, cpl_error *error) {
    int64_t value;
    if (!*text) return l->sampling.steps = 0, true;
    if (!whole_number(text, &value) || value < 1 || value > 1000)
        return state_refuse(error, "steps must be a whole number from 1 to 1000");
    l->sampling.steps = (int)value;
    return true;
}

static bool write_cfg(cpl_layout *l, const char *text, cpl_error *error) {
    double value;
    if (!*text) return l->sampling.cfg = NAN, true;
    if (!state_number(text, &value) || value < 0 || value > 1000)
        return state_refuse(error, "cfg must be a number from 0 to 1000, such as 7.5");
    l->sampling.cfg = value;
    return true;
}

static bool write_seed(cpl_layout *l, const char *text, cpl_error *error) {
    int64_t value;
    if (!*text) return l->sampling.seed = CPL_SEED_UNSET, true;
    if (!strcasecmp(text, "random")) return l->sampling.seed = CPL_SEED_RANDOM, true;
    if (!whole_number(text, &value) || value < CPL_SEED_RANDOM || value > (INT64_C(1) << 53) - 1)
        return state_refuse(error, "the seed must be a whole number from 0 to 9007199254740991, or \"random\"");
    l->sampling.seed = value;
    return true;
}

static bool write_name(char **to, const char *text, const char *what, const char *const *names, cpl_error *error) {
    if (!*text) return cpl_text_set(to, NULL, error);
    char list[256] = "";
    for (int i = 0; names[i]; i++) {
        if (!strcmp(names[i], text)) return cpl_text_set(to, text, error);
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    }
    return state_refuse(error, "there is no %s of that name; there are %s", what, list);
}

static bool write_sampler(cpl_layout *l, const char *text, cpl_error *error) {
    return write_name(&l->sampling.sampler, text, "sampler", cpl_sampler_names(), error);
}

static bool write_schedule(cpl_layout *l, const char *text, cpl_error *error) {
    return write_name(&l->sampling.schedule, text, "schedule", cpl_schedule_names(), error);
}

static bool write_rng(cpl_layout *l, const char *text, cpl_error *error) {
    return write_name(&l->sampling.rng, text, "rng", cpl_rng_names(), error);
}

static bool write_negative(cpl_layout *l, const char *text, cpl_error *error) {
    return cpl_text_set(&l->negative, *text ? text : NULL, error);
}

static bool write_model(cpl_layout *l, const char *text, cpl_error *error) {
    cpl_model_info info;
    cpl_model_source source = cpl_layout_source(l);
    source.model = text;
    if (*text && !cpl_model_peek(&source, &info, error)) return false;
    return cpl_text_set(&l->sampling.model, *text ? text : NULL, error);
}

/* The index of a name, -1 with a refusal that lists them. */
static int choose(const char *text, const char *const *names, const char *what, cpl_error *error) {
    char list[96] = "";
    for (int i = 0; names[i]; i++) {
        if (!strcmp(names[i], text)) return i;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    }
    state_refuse(error, "%s must be one of %s", what, list);
    return -1;
}

static const char *const mode_names[] = {"basic", "advanced", "mask", NULL};
static const char *const direction_names[] = {"horizontal", "vertical", NULL};
static const char *const background_names[] = {"none", "first", "last", NULL};
static const char *const uncovered_names[] = {"error", "fill", NULL};
static const char *const bracket_names[] = {"{ }", "< >", "off", NULL};
static const char *const switch_names[] = {"off", "on", NULL};

static bool write_direction(cpl_layout *l, const char *text, cpl_error *error) {
    int value = choose(text, direction_names, "direction", error);
    if (value >= 0) l->direction = (cpl_direction)value;
    return value >= 0;
}
static bool write_background(cpl_layout *l, const char *text, cpl_error *error) {
    int value = choose(text, background_names, "background", error);
    if (value >= 0) l->background = (cpl_background)value;
    return value >= 0;
}
static bool write_uncovered(cpl_layout *l, const char *text, cpl_error *error) {
    int value = choose(text, uncovered_names, "uncovered", error);
    if (value >= 0) l->uncovered = (cpl_uncovered)value;
    return value >= 0;
}
static bool write_brackets(cpl_layout *l, const char *text, cpl_error *error) {
    int value = choose(text, bracket_names, "brackets", error);
    if (value >= 0) l->brackets = (cpl_brackets)value;
    return value >= 0;
}
static bool write_definitions(cpl_layout *l, const char *text, cpl_error *error) {
    int value = choose(text, switch_names, "definitions", error);
    if (value >= 0) l->definitions = value == 1;
    return value >= 0;
}

static bool write_background_weight(cpl_layout *l, const char *text, cpl_error *error) {
    double value;
    if (!state_number(text, &value) || value < 0 || value > CPL_MAX_WEIGHT)
        return state_refuse(error, "the background's weight must be a number from 0 to %.0f", CPL_MAX_WEIGHT);
    l->background_weight = value;
    return true;
}

static bool write_background_prompt(cpl_layout *l, const char *text, cpl_error *error) {
    return cpl_text_set(&l->background_prompt, *text ? text : NULL, error);
}

static bool write_separator(cpl_layout *l, const char *text, cpl_error *error) {
    return cpl_text_set(&l->separator, *text ? text : NULL, error);
}

static bool write_whole(int *to, const char *text, int most, const char *what, cpl_error *error) {
    int64_t value;
    if (!*text) return *to = 0, true;
    if (!whole_number(text, &value) || value < 1 || value > most)
        return state_refuse(error, "%s must be a whole number from 1 to %d", what, most);
    *to = (int)value;
    return true;
}

static bool write_clip_skip(cpl_layout *l, const char *text, cpl_error *error) {
    return write_whole(&l->sampling.clip_skip, text, CPL_MAX_CLIP_SKIP, "clip-skip", error);
}

static bool write_batch(cpl_layout *l, const char *text, cpl_error *error) {
    return write_whole(&l->sampling.batch, text, CPL_MAX_BATCH, "batch", error);
}

static bool write_switch(bool *to, const char *text, const char *what, cpl_error *error) {
    int value = choose(text, switch_names, what, error);
    if (value >= 0) *to = value == 1;
    return value >= 0;
}

static bool write_schedules(cpl_layout *l, const char *text, cpl_error *error) {
    return write_switch(&l->schedules, text, "schedules", error);
}

static bool write_fix_steps(cpl_layout *l, const char *text, cpl_error *error) {
    return write_switch(&l->fix_steps, text, "fix-steps", error);
}

static bool write_vae(cpl_layout *l, const char *text, cpl_error *error) {
    return cpl_text_set(&l->sampling.vae, *text ? text : NULL, error);
}

static bool write_prediction(cpl_layout *l, const char *text, cpl_error *error) {
    return write_name(&l->sampling.prediction, text, "prediction", cpl_prediction_names(), error);
}

static bool write_init(cpl_layout *l, const char *text, cpl_error *error) {
    return cpl_text_set(&l->init_image, *text ? text : NULL, error);
}

static bool write_denoise(cpl_layout *l, const char *text, cpl_error *error) {
    double value;
    if (!state_number(*text ? text : "0.75", &value) || value < CPL_MIN_DENOISE || value > 1)
        return state_refuse(error, "denoise must be a number from %g to 1: the share of the steps", CPL_MIN_DENOISE);
    l->denoise = value;
    return true;
}

static bool write_hires(cpl_layout *l, const char *text, cpl_error *error) {
    double value;
    if (!state_number(*text ? text : "1", &value) || value < 1 || value > CPL_MAX_HIRES)
        return state_refuse(error, "hires must be a number from 1, no second pass, to %g: how much larger it is",
                            CPL_MAX_HIRES);
    l->hires_scale = value;
    return true;
}

static bool write_hires_steps(cpl_layout *l, const char *text, cpl_error *error) {
    return write_whole(&l->hires_steps, text, 1000, "hires-steps", error);
}

static bool write_hires_denoise(cpl_layout *l, const char *text, cpl_error *error) {
    double value;
    if (!state_number(*text ? text : "0.7", &value) || value < CPL_MIN_DENOISE || value > 1)
        return state_refuse(error, "hires-denoise must be a number from %g to 1: how far back into noise it goes",
                            CPL_MIN_DENOISE);
    l->hires_denoise = value;
    return true;
}

static bool write_hires_upscaler(cpl_layout *l, const char *text, cpl_error *error) {
    return write_name(&l->hires_upscaler, text, "hires-upscaler", cpl_upscaler_names(), error);
}

static bool write_prompt(cpl_layout *l, const char *text, cpl_error *error) {
    for (int i = 0; *text && i < l->region_count; i++)
        if (!cpl_text_set(&l->regions[i].prompt, NULL, error)) return false;
    return cpl_text_set(&l->prompt, *text ? text : NULL, error);
}

/* ---- Settings: how each is read ---- */

static void read_number(char *text, double value) { snprintf(text, STATE_TEXT, "%.10g", value); }
static void read_text(char *text, const char *value) { snprintf(text, STATE_TEXT, "%s", value ? value : ""); }

void state_setting_text(const editor_state *s, setting which, char text[STATE_TEXT]) {
    const cpl_layout *l = s->layout;
    const cpl_settings *v = &s->settings;
    switch (which) {
    case SETTING_SIZE:
        snprintf(text, STATE_TEXT, "%dx%d", v->width, v->height);
        break;
    case SETTING_STEPS:
        read_number(text, v->steps);
        break;
    case SETTING_CFG:
        read_number(text, v->cfg);
        if (!strpbrk(text, ".e")) strcat(text, ".0");
        break;
    case SETTING_SEED:
        if (v->seed == CPL_SEED_RANDOM)
            read_text(text, "random");
        else
            snprintf(text, STATE_TEXT, "%lld", (long long)(v->seed == CPL_SEED_UNSET ? 0 : v->seed));
        break;
    case SETTING_SAMPLER:
        read_text(text, v->sampler);
        break;
    case SETTING_SCHEDULE:
        read_text(text, v->schedule);
        break;
    case SETTING_NEGATIVE:
        read_text(text, l->negative);
        break;
    case SETTING_RNG:
        read_text(text, v->rng);
        break;
    case SETTING_MODEL:
        read_text(text, l->sampling.model ? l->sampling.model : "builtin");
        break;
    case SETTING_MODE:
        read_text(text, mode_names[l->mode]);
        break;
    case SETTING_DIRECTION:
        read_text(text, direction_names[l->direction]);
        break;
    case SETTING_BACKGROUND:
        read_text(text, background_names[l->background]);
        break;
    case SETTING_BACKGROUND_WEIGHT:
        read_number(text, l->background_weight);
        break;
    case SETTING_BACKGROUND_PROMPT:
        read_text(text, l->background_prompt);
        break;
    case SETTING_UNCOVERED:
        read_text(text, uncovered_names[l->uncovered]);
        break;
    case SETTING_SEPARATOR:
        read_text(text, l->separator);
        break;
    case SETTING_BRACKETS:
        read_text(text, bracket_names[l->brackets]);
        break;
    case SETTING_DEFINITIONS:
        read_text(text, switch_names[l->definitions]);
        break;
    case SETTING_PROMPT:
        read_text(text, l->prompt);
        break;
    case SETTING_CLIP_SKIP:
        read_number(text, v->clip_skip);
        break;
    case SETTING_BATCH:
        read_number(text, v->batch);
        break;
    case SETTING_SCHEDULES:
        read_text(text, switch_names[l->schedules]);
        break;
    case SETTING_VAE:
        read_text(text, l->sampling.vae);
        break;
    case SETTING_PREDICTION:
        read_text(text, v->prediction);
        break;
    case SETTING_INIT:
        read_text(text, l->init_image);
        break;
    case SETTING_DENOISE:
        read_number(text, l->denoise);
        break;
    case SETTING_FIX_STEPS:
        read_text(text, switch_names[l->fix_steps]);
        break;
    case SETTING_HIRES:
        read_number(text, l->hires_scale);
        break;
    case SETTING_HIRES_STEPS:
        read_number(text, l->hires_steps ? l->hires_steps : v->steps);
        break;
    case SETTING_HIRES_DENOISE:
        read_number(text, l->hires_denoise);
        break;
    case SETTING_HIRES_UPSCALER:
        read_text(text, l->hires_upscaler ? l->hires_upscaler : cpl_upscaler_names()[0]);
        break;
    case SETTINGS:
        text[0] = '\0';
        break;
    }
}

typedef bool write_fn(cpl_layout *layout, const char *text, cpl_error *error);
static const struct {
    const char *name;
    write_fn *write;
} table[SETTINGS] = {
    [SETTING_SIZE] = {"size", write_size},
    [SETTING_STEPS] = {"steps", write_steps},
    [SETTING_CFG] = {"cfg", write_cfg},
    [SETTING_SEED] = {"seed", write_seed},
    [SETTING_SAMPLER] = {"sampler", write_sampler},
    [SETTING_SCHEDULE] = {"schedule", write_schedule},
    [SETTING_NEGATIVE] = {"negative", write_negative},
    [SETTING_RNG] = {"rng", write_rng},
    [SETTING_MODEL] = {"model", write_model},
    [SETTING_MODE] = {"mode", NULL}, /* state_set_mode */
    [SETTING_DIRECTION] = {"direction", write_direction},
    [SETTING_BACKGROUND] = {"background", write_background},
    [SETTING_BACKGROUND_WEIGHT] = {"background-weight", write_background_weight},
    [SETTING_BACKGROUND_PROMPT] = {"background-prompt", write_background_prompt},
    [SETTING_UNCOVERED] = {"uncovered", write_uncovered},
    [SETTING_SEPARATOR] = {"separator", write_separator},
    [SETTING_BRACKETS] = {"brackets", write_brackets},
    [SETTING_DEFINITIONS] = {"definitions", write_definitions},
    [SETTING_PROMPT] = {"prompt", write_prompt},
    [SETTING_CLIP_SKIP] = {"clip-skip", write_clip_skip},
    [SETTING_BATCH] = {"batch", write_batch},
    [SETTING_SCHEDULES] = {"schedules", write_schedules},
    [SETTING_VAE] = {"vae", write_vae},
    [SETTING_PREDICTION] = {"prediction", write_prediction},
    [SETTING_INIT] = {"init", write_init},
    [SETTING_DENOISE] = {"denoise", write_denoise},
    [SETTING_FIX_STEPS] = {"fix-steps", write_fix_steps},
    [SETTING_HIRES] = {"hires", write_hires},
    [SETTING_HIRES_STEPS] = {"hires-steps", write_hires_steps},
    [SETTING_HIRES_DENOISE] = {"hires-denoise", write_hires_denoise},
    [SETTING_HIRES_UPSCALER] = {"hires-upscaler", write_hires_upscaler},
};

const char *state_setting_name(setting which) { return which < SETTINGS ? table[which].name : ""; }

const char *const *state_setting_choices(setting which) {
    switch (which) {
    case SETTING_SAMPLER:
        return cpl_sampler_names();
    case SETTING_SCHEDULE:
        return cpl_schedule_names();
    case SETTING_RNG:
        return cpl_rng_names();
    case SETTING_MODE:
        return mode_names;
    case SETTING_DIRECTION:
        return direction_names;
    case SETTING_BACKGROUND:
        return background_names;
    case SETTING_UNCOVERED:
        return uncovered_names;
    case SETTING_BRACKETS:
        return bracket_names;
    case SETTING_DEFINITIONS:
    case SETTING_SCHEDULES:
    case SETTING_FIX_STEPS:
        return switch_names;
    case SETTING_PREDICTION:
        return cpl_prediction_names();
    case SETTING_HIRES_UPSCALER:
        return cpl_upscaler_names();
    default:
        return NULL;
    }
}

bool state_setting_find(const char *name, setting *which) {
    for (int i = 0; i < SETTINGS; i++)
        if (!strcmp(table[i].name, name)) return *which = (setting)i, true;
    return false;
}

char *state_setting_typed(const editor_state *s, setting which) {
    const cpl_layout *l = s->layout;
    const char *owned = which == SETTING_NEGATIVE            ? l->negative
                        : which == SETTING_PROMPT            ? l->prompt
                        : which == SETTING_BACKGROUND_PROMPT ? l->background_prompt
                        : which == SETTING_VAE               ? l->sampling.vae
                        : which == SETTING_INIT              ? l->init_image
                                                             : NULL;
    char text[STATE_TEXT];
    state_setting_text(s, which, text);
    return strdup(owned ? owned : text);
}

cpl_layout *state_with_setting(const editor_state *s, setting which, const char *text, cpl_error *error) {
    cpl_layout *next = state_change(s, error);
    cpl_settings settings;
    if (!next || (table[which].write(next, text, error) && cpl_layout_resolve(next, &s->defaults, &settings, error)))
        return next;
    cpl_layout_free(next);
    return NULL;
}

bool state_set_setting(editor_state *s, setting which, const char *text, cpl_error *error) {
    if (which == SETTING_MODE) {
        int mode = choose(text, mode_names, "mode", error);
        return mode >= 0 && state_set_mode(s, (cpl_mode)mode, error);
    }
    cpl_layout *next = state_with_setting(s, which, text, error);
    return next && state_commit(s, next, true, error);
}

bool state_setting_takes(const editor_state *s, setting which, const char *text, cpl_error *error) {
    cpl_layout *next =
        which == SETTING_MODEL ? NULL : state_change(s, NULL); /* a model is looked for when it is taken */
    bool takes = !next || table[which].write(next, text, error);
    cpl_layout_free(next);
    return takes;
}

/* ---- Raising and lowering ---- */

static const char *neighbour(const char *const *names, const char *now, int by) {
    int count = 0, at = 0;
    for (; names[count]; count++)
        if (!strcmp(names[count], now)) at = count;
    return count ? names[((at + by) % count + count) % count] : now;
}

bool state_step_setting(editor_state *s, setting which, int direction, int count, cpl_error *error) {
    char text[STATE_TEXT];
    int by = direction * count;
    const cpl_settings *v = &s->settings;
    int64_t seed = v->seed < 0 ? 0 : v->seed;
    switch (which) {
    case SETTING_SIZE:
        snprintf(text, sizeof text, "%dx%d", v->width + 8 * by, v->height + 8 * by);
        break;
    case SETTING_STEPS:
        snprintf(text, sizeof text, "%d", v->steps + by < 1 ? 1 : v->steps + by);
        break;
    case SETTING_CFG:
        snprintf(text, sizeof text, "%.10g", fmax(0, v->cfg + 0.5 * by));
        break;
    case SETTING_SEED:
        snprintf(text, sizeof text, "%lld", (long long)(seed + by < 0 ? 0 : seed + by));
        break;
    case SETTING_SAMPLER:
        snprintf(text, sizeof text, "%s", neighbour(cpl_sampler_names(), v->sampler, by));
        break;
    case SETTING_SCHEDULE:
        snprintf(text, sizeof text, "%s", neighbour(cpl_schedule_names(), v->schedule, by));
        break;
    default:
        return state_refuse(error, "%s has no next value: Enter types one", state_setting_name(which));
    }
    return state_set_setting(s, which, text, error);
}

/* Any seed will do; this one differs from press to press. The picture's own randomness is the engine's. */
bool state_new_seed(editor_state *s, cpl_error *error) {
    uint64_t x = (uint64_t)(s->settings.seed < 0 ? 0 : s->settings.seed) + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    char text[STATE_TEXT];
    snprintf(text, sizeof text, "%u", (unsigned)((x ^ x >> 31) & 0x7fffffff));
    return state_set_setting(s, SETTING_SEED, text, error);
}
