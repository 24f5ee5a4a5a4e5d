/* convert.h: files of other forms to layouts and back, for `couplet convert` and the editor's `:convert`: layouts, the layouts
 * inside pictures, and Forge Couple's presets.json. Knows no screen. */
#ifndef TUI_CONVERT_H
#define TUI_CONVERT_H

#include "../core/couplet.h"

/* What `in` holds, as a layout; what couldn't be taken over is told as by cpl_layout_load. preset: which mapping of a file of presets, NULL for the only one; the error of a missing
 * name tells which there are, in one line. *from_presets: whether it is such a file. NULL on failure; the caller frees. */
cpl_layout *convert_read(const char *in, const char *preset, bool *from_presets, cpl_error *error);
/* Whether it is a picture, or the WebUI's text about one: it can be opened for the layout inside, but is not the file to save
 * to. */
bool convert_is_foreign(const char *path);
bool convert_is_picture(const char *path);
/* A copy that lies in that folder (NULL: the working folder). Where it is another one than the layout's, what the layout names
 * is settled (cpl_layout_settle_files), so that it is found from there. The caller frees. */
cpl_layout *convert_move(const cpl_layout *layout, const char *folder, cpl_error *error);
/* A settled layout, such as a picture holds, calls the files that are `home`'s as home does: it is to lie there. */
bool convert_name_as(cpl_layout *layout, const cpl_layout *home, cpl_error *error);
/* Writes a layout file, which works where it lies, or with `preset` the regions as a mapping of that name into a file of
 * presets, beside the others. */
bool convert_write(const cpl_layout *layout, const char *out, const char *preset, cpl_error *error);

#endif
