/* infotext.h: a run's settings as the text that image tools of the WebUI family read ("parameters"). */
#ifndef CPL_LAYOUT_INFOTEXT_H
#define CPL_LAYOUT_INFOTEXT_H

#include "../memory/error.h"

/* Prompt lines, "Negative prompt: ...", then one line of "Key: value" pairs, Forge Couple's own among them. settings->seed
 * is the seed that was drawn. Caller frees. */
char *cpl_infotext(const cpl_layout *layout, const cpl_settings *settings, const char *model_name, cpl_error *error);

/* A text that cpl_infotext_is as a layout in `directory`, also one of the WebUI without Forge Couple. What it says and a layout cannot is told in
 * error->message, with code CPL_OK. */
cpl_layout *cpl_infotext_read(const char *text, const char *directory, const char *name, cpl_error *error);

#endif
