/* loras.c: LoRA tags: found, read, taken out. The syntax is the WebUI's (its pattern is <\w+:[^>]+>), kept to the words
 * that mean a LoRA; anything else between < and > is prompt text. */
#include "loras.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/number.h"
#include "fields.h"
#include "words.h"

/* Where a text stands, for messages. */
typedef struct place {
    int row;
    const char *path;
} place;

/* The next tag from `from` on; *inner and *length: what stands behind "<lora:". NULL: none. *end is behind the tag. */
static const char *find_tag(const char *from, const char **inner, size_t *length, const char **end) {
    static const char *const words[] = {"<lora:", "<lyco:"};
    for (const char *at = from; (at = strchr(at, '<')); at++) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            size_t word = strlen(words[i]);
            if (strncmp(at, words[i], word) != 0) continue;
            *inner = at + word;
            *length = strcspn(*inner, ">");
            if (!*length || !(*inner)[*length]) continue;
            *end = *inner + *length + 1;
            return at;
        }
    }
    return NULL;
}

char *cpl_strip_loras(char *text) {
    const char *from = text, *inner, *end;
    char *to = text;
    size_t length;
    for (const char *at; (at = find_tag(from, &inner, &length, &end)); from = end) {
        memmove(to, from, (size_t)(at - from));
        to += at - from;
    }
    memmove(to, from, strlen(from) + 1);
    return text;
}

enum { HIDDEN_OPEN = 1, HIDDEN_CLOSE = 2 }; /* control characters, which layouts are refused for */

void cpl_hide_loras(char *text) {
    const char *inner, *end;
    size_t length;
    for (const char *at; (at = find_tag(text, &inner, &length, &end)); text += end - text) {
        text[at - text] = HIDDEN_OPEN;
        text[end - 1 - text] = HIDDEN_CLOSE;
    }
}

void cpl_show_loras(char *text) {
    for (; *text; text++)
        if (*text == HIDDEN_OPEN || *text == HIDDEN_CLOSE) *text = *text == HIDDEN_OPEN ? '<' : '>';
}

char *cpl_without_loras(const char *text, cpl_error *error) {
    char *copy = cpl_strdup(text, error);
    return copy ? cpl_strip_loras(copy) : NULL;
}

/* ---- Reading a tag ---- */

static bool refuse(const place *p, cpl_error *error, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool refuse(const place *p, cpl_error *error, const char *format, ...) {
    char words[256];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return cpl_fail_at(error, p->row, p->path, "%s%s%s", p->path, *p->path ? ": " : "", words);
}

static cpl_lora_use *add(cpl_lora_uses *uses, const place *p, cpl_error *error) {
    if (!cpl_grow((void **)&uses->list, &uses->room, uses->count + 1, sizeof *uses->list, error)) return NULL;
    cpl_lora_use *use = &uses->list[uses->count++];
    *use = (cpl_lora_use){.unet = 1, .text = 1, .row = p->row};
    snprintf(use->place, sizeof use->place, "%s", p->path);
    return use;
}

/* One part between colons, blanks around it cut off, as the WebUI's float() does. `part` is changed. */
static bool read_weight(const place *p, const char *tag, char *part, double *weight, cpl_error *error) {
    char *text = cpl_strip(part);
    if (cpl_number_parse(text, weight) && fabs(*weight) <= CPL_MAX_LORA_WEIGHT) return true;
    return refuse(p, error, "<lora:%.80s>: the weight \"%.40s\" is no number from -%g to %g", tag, text,
                  CPL_MAX_LORA_WEIGHT, CPL_MAX_LORA_WEIGHT);
}

static bool read_part(const place *p, const char *tag, char *part, int *position, cpl_lora_use *use, bool *own_unet,
                      cpl_error *error) {
    if (strncmp(part, "te=", 3) == 0) return read_weight(p, tag, part + 3, &use->text, error);
    if (strncmp(part, "unet=", 5) == 0) {
        *own_unet = true;
        return read_weight(p, tag, part + 5, &use->unet, error);
    }
    if (strchr(part, '=') || *position == 2)
        return refuse(p, error, "<lora:%.80s>: \"%.40s\" is not understood; write <lora:NAME:WEIGHT>", tag, part);
    if ((*position)++ == 0) return read_weight(p, tag, part, &use->text, error);
    *own_unet = true;
    return read_weight(p, tag, part, &use->unet, error);
}

/* tag: what stands between "<lora:" and ">", its own copy. */
static bool read_tag(cpl_lora_uses *uses, const place *p, const char *tag, char *parts, cpl_error *error) {
    cpl_lora_use *use = add(uses, p, error);
    char *part = use ? strsep(&parts, ":") : NULL;
    bool own_unet = false;
    int position = 0;
    if (!use) return false;
    use->name = cpl_strdup(cpl_strip(part), error);
    if (!use->name) return false;
    if (!*use->name) return refuse(p, error, "<lora:%.80s>: the name is empty", tag);
    while ((part = strsep(&parts, ":")))
        if (!read_part(p, tag, part, &position, use, &own_unet, error)) return false;
    if (!own_unet) use->unet = use->text;
    return true;
}

static bool read_text(cpl_lora_uses *uses, const char *text, int row, const char *path, cpl_error *error) {
    const place p = {row, path};
    const char *from = text, *inner, *end;
    size_t length;
    bool done = true;
    while (done && from && find_tag(from, &inner, &length, &end)) {
        char *tag = cpl_strndup(inner, length, error), *parts = tag ? cpl_strdup(tag, error) : NULL;
        done = parts && read_tag(uses, &p, tag, parts, error);
        free(parts);
        free(tag);
        from = end;
    }
    return done;
}

/* ---- The whole layout ---- */

static bool read_entry(cpl_lora_uses *uses, const cpl_lora *lora, const place *p, cpl_error *error) {
    if (!lora->name == !lora->path || (lora->name && !*lora->name) || (lora->path && !*lora->path))
        return refuse(p, error, "must have a \"name\" or a \"path\"%s",
                      lora->name && lora->path ? ", not both; remove one" : "");
    cpl_lora_use *use = add(uses, p, error);
    if (!use) return false;
    use->name = lora->name ? cpl_strdup(lora->name, error) : NULL;
    use->path = lora->path ? cpl_strdup(lora->path, error) : NULL;
    use->unet = lora->weight;
    use->text = isnan(lora->text_weight) ? lora->weight : lora->text_weight;
    return use->name || use->path;
}

static bool read_rows(cpl_lora_uses *uses, const cpl_layout *layout, bool negative, cpl_error *error) {
    bool done = true;
    for (int i = 0; done && i < layout->region_count; i++) {
        char path[64];
        snprintf(path, sizeof path, "regions[%d].%s", i, negative ? "negative" : "prompt");
        done = read_text(uses, negative ? layout->regions[i].negative : layout->regions[i].prompt, i, path, error);
    }
    return done;
}

static bool read_all(cpl_lora_uses *uses, const cpl_layout *layout, cpl_error *error) {
    bool done = read_text(uses, layout->prompt, -1, "prompt", error) && read_rows(uses, layout, false, error) &&
                read_text(uses, layout->background_prompt, -1, "background.prompt", error) &&
                read_text(uses, layout->negative, -1, "negative", error) && read_rows(uses, layout, true, error);
    for (int i = 0; done && i < layout->lora_count; i++) {
        char path[64];
        snprintf(path, sizeof path, "loras[%d]", i);
        done = read_entry(uses, &layout->loras[i], &(place){-1, path}, error);
    }
    if (done && uses->count > CPL_MAX_LORAS)
        return cpl_fail_at(error, -1, "loras", "loras: %d LoRAs are asked for; at most %d are possible", uses->count,
                           CPL_MAX_LORAS);
    return done;
}

bool cpl_layout_loras(const cpl_layout *layout, cpl_lora_uses *uses, cpl_error *error) {
    *uses = (cpl_lora_uses){0};
    if (read_all(uses, layout, error)) return true;
    cpl_lora_uses_clear(uses);
    return false;
}

void cpl_lora_uses_clear(cpl_lora_uses *uses) {
    for (int i = 0; i < uses->count; i++) {
        free(uses->list[i].name);
        free(uses->list[i].path);
    }
    free(uses->list);
    *uses = (cpl_lora_uses){0};
}

bool cpl_layout_keep_loras(cpl_layout *layout, cpl_error *error) {
    cpl_lora_uses uses = {0};
    int before = layout->lora_count;
    bool done = read_text(&uses, layout->prompt, -1, "prompt", error);
    for (int i = 0; done && i < uses.count; i++) {
        cpl_lora *lora = cpl_layout_add_lora(layout, error);
        done = lora && cpl_text_set(&lora->name, uses.list[i].name, error);
        if (!done) break;
        lora->weight = uses.list[i].unet;
        if (uses.list[i].text != uses.list[i].unet) lora->text_weight = uses.list[i].text;
    }
    while (!done && layout->lora_count > before) free(layout->loras[--layout->lora_count].name);
    cpl_lora_uses_clear(&uses);
    return done;
}

static char *tag_of(const cpl_lora *lora, cpl_error *error) {
    char unet[CPL_NUMBER_SIZE], text[CPL_NUMBER_SIZE];
    const char *name = lora->name ? lora->name : lora->path ? lora->path : "", *slash = strrchr(name, '/');
    if (!lora->name && slash) name = slash + 1;
    const char *dot = lora->name ? NULL : strrchr(name, '.');
    int length = (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name));
    cpl_number_print(lora->weight, unet);
    if (isnan(lora->text_weight)) return cpl_format(error, "<lora:%.*s:%s>", length, name, unet);
    cpl_number_print(lora->text_weight, text);
    return cpl_format(error, "<lora:%.*s:%s:%s>", length, name, text, unet);
}

void cpl_loras_put(cpl_builder *out, const cpl_layout *layout) {
    for (int i = 0; i < layout->lora_count; i++) {
        char *tag = tag_of(&layout->loras[i], out->error);
        out->failed |= !tag;
        if (tag) cpl_builder_text(out, out->length > 0 ? " " : "");
        if (tag) cpl_builder_text(out, tag);
        free(tag);
    }
}
