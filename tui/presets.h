/* presets.h: named sets of regions: couplet's own, a layout file each, and Forge Couple's presets.json, one object of
 * mappings ([x1, x2, y1, y2, weight] a row) by name. */
#ifndef TUI_PRESETS_H
#define TUI_PRESETS_H

#include "../core/couplet.h"

/* Where a preset of this name is kept: $XDG_CONFIG_HOME/couplet/presets/NAME.json. NULL: the name is none (no "/", no dot at
 * its beginning, at most 100 bytes) or there is no place. Caller frees. */
char *presets_path(const char *name, cpl_error *error);
char *presets_folder(void); /* caller frees */

/* A file of mappings, whatever made it. */
typedef struct presets {
    char **name;         /* owned */
    cpl_layout **layout; /* owned: regions in advanced mode without prompts; NULL: this mapping cannot be used */
    char **text;         /* owned: of one that cannot be used its JSON, else NULL */
    cpl_error *why;      /* owned: what is wrong with it */
    int count;
} presets;
/* False if there are mappings, but none that can be used. */
bool presets_read(const char *path, presets *p, cpl_error *error);
void presets_clear(presets *p);
/* True if the file is a JSON object that is no layout. */
bool presets_are_in(const char *path);
/* Writes the regions of `layout` as mapping `name` into a file, beside the mappings that are there, of use or not. Basic and
 * mask modes have no mapping: false. Atomic. */
bool presets_write(const char *path, const char *name, const cpl_layout *layout, cpl_error *error);

#endif
