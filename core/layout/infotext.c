/* infotext.c: writes infotext. Keys and spellings are those of the WebUI and of Forge Couple, so that both read it back;
 * what they have no key for (feather, fill, row negatives) stands only in the layout beside it. */
#include "infotext.h"

#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "fields.h"
#include "lines.h"
#include "loras.h"
#include "spellings.h"
#include "words.h"

/* Values that would end the pair early are quoted as JSON. */
static void pair(cpl_builder *out, const char *key, const char *value) {
    if (out->length > 0 && out->text[out->length - 1] != '\n') cpl_builder_text(out, ", ");
    cpl_builder_text(out, key);
    cpl_builder_text(out, ": ");
    if (strpbrk(value, ",\n:"))
        cpl_builder_quoted(out, value);
    else
        cpl_builder_text(out, value);
}

static void number_pair(cpl_builder *out, const char *key, double value) {
    cpl_builder text = {.error = out->error};
    cpl_builder_number(&text, value);
    char *taken = cpl_builder_take(&text);
    out->failed |= !taken;
    if (taken) pair(out, key, taken);
    free(taken);
}

/* One line over the whole canvas whose text may change during a run, or compose several: to Forge Couple both are plain words,
 * and the WebUI alone makes the same picture. */
static bool is_plain(const cpl_layout *layout) {
    const cpl_region *r = layout->regions;
    return layout->schedules && layout->mode == CPL_MODE_ADVANCED && layout->region_count == 1 && r->x1 == 0 &&
           r->x2 == 1 && r->y1 == 0 && r->y2 == 1 && r->feather == 0 && cpl_layout_line_count(layout) == 1;
}

/* As it is encoded: without Forge Couple nothing replaces common prompts. */
static void put_line(cpl_builder *out, const cpl_layout *layout) {
    cpl_lines lines;
    out->failed |= !cpl_layout_tagged_lines(layout, &lines, out->error);
    if (lines.count) cpl_builder_text(out, lines.line[0]);
    cpl_lines_clear(&lines);
}

/* Rows are lines there: a newline inside of one would make two. */
static void put_rows(cpl_builder *out, const cpl_layout *layout) {
    for (int i = 0; i < layout->region_count; i++) {
        const char *text = layout->regions[i].prompt ? layout->regions[i].prompt : "";
        if (i) cpl_builder_text(out, "\n");
        for (; *text; text++) cpl_builder_bytes(out, *text == '\n' || *text == '\r' ? " " : text, 1);
    }
}

static void put_prompt(cpl_builder *out, const cpl_layout *layout) {
    if (is_plain(layout))
        put_line(out, layout);
    else if (layout->prompt)
        cpl_builder_text(out, layout->prompt);
    else
        put_rows(out, layout);
    cpl_loras_put(out, layout);
    cpl_builder_text(out, "\n");
}

/* As the WebUI writes it: newlines as backslash-n. Rows are separated by newlines whatever the layout says. */
static bool put_separator(cpl_builder *out, const cpl_layout *layout) {
    char *text = layout->prompt ? cpl_layout_separator(layout, out->error) : NULL;
    if (layout->prompt && (!text || !cpl_replace_all(&text, "\n", "\\n", out->error))) {
        free(text);
        return false;
    }
    pair(out, "forge_couple_separator", text ? text : "\\n");
    free(text);
    return true;
}

static void put_mapping(cpl_builder *out, const cpl_layout *layout) {
    cpl_builder list = {.error = out->error};
    for (int i = 0; i < layout->region_count; i++) {
        const cpl_region *r = &layout->regions[i];
        const double row[] = {r->x1, r->x2, r->y1, r->y2, r->weight};
        for (int k = 0; k < 5; k++) {
            cpl_builder_text(&list, k ? ", " : i ? ", [" : "[[");
            cpl_builder_number(&list, row[k]);
        }
        cpl_builder_text(&list, "]");
    }
    cpl_builder_text(&list, "]");
    char *text = cpl_builder_take(&list);
    out->failed |= !text;
    if (text) pair(out, "forge_couple_mapping", text);
    free(text);
}

static void put_couple(cpl_builder *out, const cpl_layout *layout) {
    pair(out, "forge_couple", "True");
    pair(out, "forge_couple_compatibility", "False");
    pair(out, "forge_couple_mode", cpl_webui_modes[layout->mode]);
    out->failed |= !put_separator(out, layout);
    if (layout->mode == CPL_MODE_BASIC) pair(out, "forge_couple_direction", cpl_webui_directions[layout->direction]);
    if (layout->mode == CPL_MODE_ADVANCED) {
        put_mapping(out, layout);
    } else {
        pair(out, "forge_couple_background", cpl_webui_backgrounds[layout->background]);
        number_pair(out, "forge_couple_background_weight", layout->background_weight);
    }
    pair(out, "forge_couple_common_parser", cpl_bracket_names[layout->brackets]);
    pair(out, "forge_couple_def_in_prompt", layout->definitions ? "True" : "False");
}

static void put_hires(cpl_builder *out, const cpl_layout *layout, const cpl_settings *settings) {
    number_pair(out, "Denoising strength", settings->hires_denoise);
    number_pair(out, "Hires upscale", layout->hires_scale);
    number_pair(out, "Hires steps", settings->hires_steps);
    pair(out, "Hires upscaler", cpl_spell(cpl_webui_upscalers, settings->hires_upscaler));
}

char *cpl_infotext(const cpl_layout *layout, const cpl_settings *settings, const char *model_name, cpl_error *error) {
    cpl_builder out = {.error = error};
    put_prompt(&out, layout);
    if (layout->negative && *layout->negative) {
        cpl_builder_text(&out, "Negative prompt: ");
        cpl_builder_text(&out, layout->negative);
        cpl_builder_text(&out, "\n");
    }
    number_pair(&out, "Steps", settings->steps);
    pair(&out, "Sampler", cpl_spell(cpl_webui_samplers, settings->sampler));
    pair(&out, "Schedule type", cpl_spell(cpl_webui_schedules, settings->schedule));
    number_pair(&out, "CFG scale", settings->cfg);
    number_pair(&out, "Seed", (double)settings->seed);
    cpl_builder_format(&out, ", Size: %dx%d", settings->width, settings->height);
    if (model_name) pair(&out, "Model", model_name);
    if (settings->denoise > 0) number_pair(&out, "Denoising strength", settings->denoise);
    if (settings->hires_width) put_hires(&out, layout, settings);
    if (settings->clip_skip > 1) number_pair(&out, "Clip skip", settings->clip_skip);
    if (strcmp(settings->sampler, "ddpm") == 0) pair(&out, "Eta DDIM", "1.0");
    pair(&out, "RNG", cpl_spell(cpl_webui_rngs, settings->rng));
    if (!is_plain(layout)) put_couple(&out, layout);
    pair(&out, "Version", "couplet " CPL_VERSION);
    return cpl_builder_take(&out);
}
