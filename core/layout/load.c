/* load.c: layouts from files (JSON, a PNG that carries one, or the WebUI's text about a picture) and the masks they name. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../image/mask.h"
#include "../memory/alloc.h"
#include "../memory/file.h"
#include "infotext.h"
#include "reason.h"

#define MAX_LAYOUT_BYTES ((size_t)64 << 20)

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Blanks and line ends between digits are skipped; padding may be left out. */
static unsigned char *decode_base64(const char *text, size_t *size, cpl_error *error) {
    size_t length = strlen(text), digits = 0, padding = 0, n = 0;
    unsigned char *out = cpl_alloc(length / 4 * 3 + 3, 1, error);
    unsigned bits = 0;
    for (; length && (text[length - 1] == '=' || isspace((unsigned char)text[length - 1])); length--)
        padding += text[length - 1] == '=';
    for (size_t i = 0; out && i < length; i++) {
        int digit = base64_digit(text[i]);
        if (isspace((unsigned char)text[i])) continue;
        if (digit < 0) {
            cpl_fail(error, CPL_E_INPUT, "is damaged: character %zu after \"base64,\" is no base64", i + 1);
            free(out);
            return NULL;
        }
        bits = bits << 6 | (unsigned)digit;
        if (++digits % 4) continue;
        for (int shift = 16; shift >= 0; shift -= 8) out[n++] = (unsigned char)(bits >> shift);
    }
    size_t rest = digits % 4;
    if (out && (rest == 1 || (padding && rest + padding != 4) || padding > 2)) {
        cpl_fail(error, CPL_E_INPUT, "is damaged: the base64 text is cut off");
        free(out);
        return NULL;
    }
    if (out && rest == 2) out[n++] = (unsigned char)(bits >> 4);
    if (out && rest == 3) {
        out[n++] = (unsigned char)(bits >> 10);
        out[n++] = (unsigned char)(bits >> 2);
    }
    *size = n;
    return out;
}

static cpl_mask *open_inline(const char *source, cpl_error *error) {
    static const char prefix[] = "data:image/png;base64,";
    size_t size = 0;
    if (strncmp(source, prefix, sizeof prefix - 1) != 0) {
        cpl_fail(error, CPL_E_INPUT, "only data: texts that begin with \"%s\" can be read", prefix);
        return NULL;
    }
    unsigned char *png = decode_base64(source + sizeof prefix - 1, &size, error);
    cpl_mask *mask = png ? cpl_mask_decode(png, size, "the picture in data:", error) : NULL;
    free(png);
    return mask;
}

static cpl_mask *open_mask(const char *source, const char *directory, cpl_error *error) {
    if (strncmp(source, "data:", 5) == 0) return open_inline(source, error);
    if (!*source) {
        cpl_fail(error, CPL_E_INPUT, "is empty; name a PNG file");
        return NULL;
    }
    char *path = cpl_path_join(directory, source, error);
    cpl_mask *mask = path ? cpl_mask_read_png(path, error) : NULL;
    free(path);
    return mask;
}

bool cpl_layout_open_masks(cpl_layout *layout, cpl_fault *fault) {
    int background = cpl_layout_background_row(layout);
    for (int i = 0; i < layout->region_count; i++) {
        cpl_region *region = &layout->regions[i];
        cpl_error error = {0};
        char path[64];
        if (!region->mask_source || region->mask) continue;
        region->mask = open_mask(region->mask_source, layout->directory, &error);
        if (region->mask || layout->mode != CPL_MODE_MASK || i == background) continue;
        snprintf(path, sizeof path, "regions[%d].mask", i);
        cpl_fault_set(fault, CPL_REASON_OTHER, i, path, "%s", error.message);
        if (error.code == CPL_E_MEMORY) fault->error.code = error.code;
        return false;
    }
    return true;
}

/* What a picture says of itself: couplet's JSON, else the text of the WebUI. */
static char *layout_in_png(const char *path, cpl_error *error) {
    char *text = cpl_png_text(path, "couplet", error);
    if (text || error->code) return text;
    text = cpl_png_text(path, "parameters", error);
    if (error->code || (text && cpl_infotext_is(text))) return text;
    free(text);
    cpl_fail(error, CPL_E_FILE, "%s: holds no layout; pictures written by couplet and by the WebUI do", path);
    return NULL;
}

static cpl_layout *read_layout(const char *text, size_t size, const char *folder, const char *path, cpl_error *error) {
    if (cpl_infotext_is(text)) return cpl_infotext_read(text, folder, path, error);
    cpl_fault fault;
    cpl_layout *layout = cpl_layout_parse_fault(text, size, folder, path, &fault);
    if (!layout) *error = fault.error;
    return layout;
}

static cpl_layout *load(const char *path, cpl_error *error) {
    static const char png_signature[] = "\x89PNG";
    size_t size = 0;
    char *text = cpl_file_read(path, MAX_LAYOUT_BYTES, &size, error);
    if (text && size >= 4 && memcmp(text, png_signature, 4) == 0) {
        free(text);
        text = layout_in_png(path, error);
        size = text ? strlen(text) : 0;
    }
    char *folder = text ? cpl_path_folder(path, error) : NULL;
    cpl_layout *layout = folder ? read_layout(text, size, *folder ? folder : NULL, path, error) : NULL;
    free(folder);
    free(text);
    return layout;
}

cpl_layout *cpl_layout_load(const char *path, cpl_error *error) {
    cpl_error local = {0};
    cpl_layout *layout = load(path, &local);
    if ((!layout || *local.message) && error) *error = local;
    return layout;
}
