/* loras.h: which LoRAs a layout asks for: <lora:NAME:WEIGHT> in its texts, and its list "loras". Which file a name means
 * is not known here. */
#ifndef CPL_LAYOUT_LORAS_H
#define CPL_LAYOUT_LORAS_H

#include "builder.h"

typedef struct cpl_lora_use {
    char *name, *path; /* owned; one of the two */
    double unet, text; /* weights in the UNet and in the text encoders */
    int row;           /* of the region whose text asks for it, or -1 */
    char place[64];    /* JSON path of what asks for it */
} cpl_lora_use;

typedef struct cpl_lora_uses {
    cpl_lora_use *list; /* owned: in the order of the prompts, then the negatives, then the list */
    int count, room;
} cpl_lora_uses;

/* A tag is <lora:NAME>, <lora:NAME:WEIGHT> or <lora:NAME:TEXT:UNET>, the weights also as te=X and unet=X, as the WebUI reads
 * them; "lyco" is another word for "lora". A tag that cannot be read is an error with row and path, as is a list entry. */
bool cpl_layout_loras(const cpl_layout *layout, cpl_lora_uses *uses, cpl_error *error);
void cpl_lora_uses_clear(cpl_lora_uses *uses);

/* Takes every tag out of the text, in place, and nothing else: the blanks around it stay. Returns text. */
char *cpl_strip_loras(char *text);
/* Tags look like nothing that common prompts know while they are hidden; no prompt has the characters that stand for their
 * brackets. Both in place. */
void cpl_hide_loras(char *text);
void cpl_show_loras(char *text);
/* Takes tags out of a copy, which the caller frees. */
char *cpl_without_loras(const char *text, cpl_error *error);
/* The list's entries as tags at the end of a prompt that leaves couplet: they have no other place there, and a tag acts
 * wherever it stands. */
void cpl_loras_put(cpl_builder *out, const cpl_layout *layout);

#endif
