/* spellings.h: what the WebUI and Forge Couple call the values of a layout's keys. */
#ifndef CPL_LAYOUT_SPELLINGS_H
#define CPL_LAYOUT_SPELLINGS_H

/* Of several of theirs the first is written, all are read. */
typedef struct cpl_spelling {
    const char *ours, *theirs;
} cpl_spelling;

extern const cpl_spelling cpl_webui_samplers[], cpl_webui_schedules[], cpl_webui_rngs[],
    cpl_webui_upscalers[]; /* the last: NULL */
/* In the order of the enumerations. Those of common prompts are a layout's own, cpl_bracket_names. */
extern const char *const cpl_webui_modes[], *const cpl_webui_directions[], *const cpl_webui_backgrounds[];

/* Their name for ours; ours where they have none. */
const char *cpl_spell(const cpl_spelling *list, const char *ours);
/* Our name for theirs, or NULL. */
const char *cpl_unspell(const cpl_spelling *list, const char *theirs);

#endif
