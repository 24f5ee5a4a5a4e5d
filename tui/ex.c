/* ex.c: the table of commands and how a typed line is taken apart. */
#include "ex.h"

#include "options.h"

#include <string.h>

#define FILES "Commands: files"
#define SETTINGS_GROUP "Commands: settings"
#define EDITS "Commands: edits"
#define PICTURES "Commands: picture and core"
#define PROGRAM "Commands: program"

static const char *const on_off[] = {"on", "off", NULL};
static const char *const ways[] = {"horizontal", "vertical", NULL};
static const char *const edges[] = {"left", "right", "top", "bottom", "center", "middle", NULL};
static const char *const grids[] = {"8", "16", "32", "64", "latent", NULL};
static const char *const under[] = {"picture", "off", NULL};
static const char *const inits[] = {"picture", "last", "none", NULL};
static const char *const zooms[] = {"in", "out", "whole", NULL};
static const char *const verbs[] = {"save", "load", "delete", "rename", "import", "export", NULL};
static const char *const mask_verbs[] = {"import", "import-grey", "export", "save", "embed", "invert", "clear", NULL};
static const char *const themes[] = {"auto", "dark", "light", NULL};
static const char *const waits[] = {"synced", "done", NULL};

static const ex_command table[] = {
    {"write", "w", "[FILE]", "save the layout, under a new name if one is given; w! replaces a file that is there",
     FILES, EX_WRITE, EX_LAYOUT, 0, NULL, true},
    {"xit", "x", "[FILE]", "save and quit; also wq", FILES, EX_WRITE_QUIT, EX_LAYOUT, 0, NULL, true},
    {"wq", NULL, "[FILE]", "save and quit", FILES, EX_WRITE_QUIT, EX_LAYOUT, 0, NULL, true},
    {"quit", "q", "", "quit; q! throws unsaved changes away", FILES, EX_QUIT, EX_NOTHING, 0, NULL, true},
    {"edit", "e", "FILE", "open another layout, or a picture's; e! throws unsaved changes away", FILES, EX_EDIT,
     EX_LAYOUT, 0, NULL, true},
    {"recent", NULL, "", "the layouts edited last, to choose from", FILES, EX_RECENT, EX_NOTHING, 0, NULL, false},
    {"convert", NULL, "IN OUT [PRESET]",
     "convert layouts, pictures and Forge Couple's presets.json into each other, as couplet convert does; % is this "
     "layout; "
     "convert! replaces a file that is there",
     FILES, EX_CONVERT, EX_FILES, 0, NULL, true},
    {"export", "png", "[FILE]", "write the picture as a PNG, with its layout inside", FILES, EX_EXPORT, EX_PNG, 0, NULL,
     true},
    {"recover", NULL, "", "ask again about unsaved edits that an earlier session left", FILES, EX_RECOVER, EX_NOTHING,
     0, NULL, false},
    {"save-display", NULL, "FILE", "write the screen as text; save-display! tells its colours too", FILES,
     EX_SAVE_DISPLAY, EX_FILE, 0, NULL, true},

    {"set", NULL, "KEY [VALUE]", "set any key of the layout, or tell its value; \"\" is empty", SETTINGS_GROUP, EX_SET,
     EX_KEY, 0, NULL, false},
    {"model", NULL, "[NAME]", "the model: builtin, a name in the model folder, or a file", SETTINGS_GROUP, EX_USE_MODEL,
     EX_MODEL, SETTING_MODEL, NULL, false},
    {"size", NULL, "[WxH]", "the canvas in pixels", SETTINGS_GROUP, EX_SET_ONE, EX_SETTING, SETTING_SIZE, NULL, false},
    {"steps", NULL, "[N]", "sampling steps", SETTINGS_GROUP, EX_SET_ONE, EX_SETTING, SETTING_STEPS, NULL, false},
    {"cfg", NULL, "[X]", "guidance scale", SETTINGS_GROUP, EX_SET_ONE, EX_SETTING, SETTING_CFG, NULL, false},
    {"seed", NULL, "[N]", "seed of the noise, or random", SETTINGS_GROUP, EX_SET_ONE, EX_SETTING, SETTING_SEED, NULL,
     false},
    {"sampler", NULL, "[NAME]", "the sampler", SETTINGS_GROUP, EX_SET_ONE, EX_SETTING, SETTING_SAMPLER, NULL, false},
    {"schedule", NULL, "[NAME]", "the noise schedule", SETTINGS_GROUP, EX_SET_ONE, EX_SETTING, SETTING_SCHEDULE, NULL,
     false},
    {"hires", NULL, "[X]", "a second pass that makes the picture X times as large, 1: none; see :set hires-steps",
     SETTINGS_GROUP, EX_SET_ONE, EX_SETTING, SETTING_HIRES, NULL, false},
    {"mode", NULL, "[NAME]", "basic, advanced or mask", SETTINGS_GROUP, EX_SET_ONE, EX_SETTING, SETTING_MODE, NULL,
     false},
    {"init", NULL, "[FILE|picture|last|none]",
     "the picture that a run begins with: a PNG, the shown or the last picture, or none; :set denoise tells how much "
     "is made "
     "anew",
     SETTINGS_GROUP, EX_INIT, EX_IMAGE, 0, inits, false},

    {"split", NULL, "RATIOS [rows]", "split the selected region into columns, or rows: 1:2:1", EDITS, EX_SPLIT, EX_TEXT,
     0, NULL, false},
    {"mirror", NULL, "[horizontal|vertical]", "turn the marked regions, or all, over at the middle of the canvas",
     EDITS, EX_MIRROR, EX_WORDS, 0, ways, false},
    {"align", NULL, "left|right|top|bottom|center|middle",
     "put the marked regions to the selected one's edge; one alone to the canvas's", EDITS, EX_ALIGN, EX_WORDS, 0,
     edges, false},
    {"distribute", NULL, "[horizontal|vertical]", "make the gaps between the marked regions, or all, equal", EDITS,
     EX_DISTRIBUTE, EX_WORDS, 0, ways, false},
    {"duplicate", NULL, "", "insert a copy of the selected region", EDITS, EX_DUPLICATE, EX_NOTHING, 0, NULL, false},
    {"negative", NULL, "[TEXT]", "the selected region's own negative prompt; \"\" takes it away", EDITS, EX_NEGATIVE,
     EX_TEXT, 0, NULL, false},
    {"mask", NULL, "ACTION [FILE]",
     "the selected region's mask: import FILE (PNG, white is inside, as Forge Couple has it), import-grey FILE (greys "
     "are "
     "weights), export FILE; save [FILE] beside the layout, embed in it; invert, clear",
     EDITS, EX_MASK, EX_PRESET, 0, mask_verbs, false},
    {"preset", NULL, "[ACTION NAME]",
     "named sets of regions, alone a list of them: save, load, delete NAME; rename NAME NEW; import FILE, export FILE "
     "NAME: "
     "Forge Couple's presets.json",
     EDITS, EX_USE_PRESET, EX_PRESET, 0, verbs, true},
    {"fill", NULL, "", "fill what no region covers, or make it an error again", EDITS, EX_FILL, EX_NOTHING, 0, NULL,
     false},
    {"grid", NULL, "8|16|32|64|latent", "grid steps a side, or the model's latent grid of eight pixels", EDITS, EX_GRID,
     EX_WORDS, 0, grids, false},
    {"image", NULL, "[FILE|picture|off]", "lay a PNG, or the shown picture, dimmed under the regions", EDITS,
     EX_BACKDROP, EX_IMAGE, 0, under, false},
    {"zoom", NULL, "in|out|whole", "see less or more of the canvas", EDITS, EX_ZOOM, EX_WORDS, 0, zooms, false},
    {"undo", NULL, "", "take the last edit back", EDITS, EX_UNDO, EX_NOTHING, 0, NULL, false},
    {"redo", NULL, "", "do it again", EDITS, EX_REDO, EX_NOTHING, 0, NULL, false},

    {"generate", NULL, "", "make the picture of just this layout", PICTURES, EX_GENERATE, EX_NOTHING, 0, NULL, false},
    {"cancel", NULL, "", "stop the run, or the loading of a model", PICTURES, EX_CANCEL, EX_NOTHING, 0, NULL, false},
    {"live", NULL, "[on|off]", "live mode: a new picture after every edit", PICTURES, EX_LIVE, EX_WORDS, 0, on_off,
     false},
    {"map", NULL, "", "show the region map in the picture's place, or the picture again", PICTURES, EX_MAP, EX_NOTHING,
     0, NULL, false},
    {"stats", NULL, "", "show what the core has done: pool, caches, times", PICTURES, EX_STATS, EX_NOTHING, 0, NULL,
     false},
    {"words", NULL, "", "what the text encoder gets of each line, with the tokens of each chunk", PICTURES,
     EX_WORDS_LIST, EX_NOTHING, 0, NULL, false},

    {"messages", NULL, "", "show what was said so far", PROGRAM, EX_MESSAGES, EX_NOTHING, 0, NULL, false},
    {"theme", NULL, "auto|dark|light", "colours for a dark or a light terminal", PROGRAM, EX_THEME, EX_WORDS, 0, themes,
     false},
    {"help", "h", "", "show keys and commands", PROGRAM, EX_HELP, EX_NOTHING, 0, NULL, false},
    {"wait", NULL, "synced|done", "in a key script: go on when the core has the layout, or the run has ended", PROGRAM,
     EX_WAIT, EX_WORDS, 0, waits, false},
};
enum { COUNT = sizeof table / sizeof table[0] };

const ex_command *ex_table(int *count) {
    *count = COUNT;
    return table;
}

static bool equal(const char *name, const char *text, size_t length) {
    return name && strlen(name) == length && !memcmp(name, text, length);
}

const ex_command *ex_find(const char *name, size_t length) {
    for (int i = 0; i < COUNT; i++)
        if (equal(table[i].name, name, length) || equal(table[i].alias, name, length)) return &table[i];
    return NULL;
}

ex_line ex_parse(const char *line) {
    ex_line parsed = {.name = line + strspn(line, " :")};
    parsed.name_length = strspn(parsed.name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
    const char *rest = parsed.name + parsed.name_length;
    parsed.bang = *rest == '!';
    rest += parsed.bang;
    parsed.argument = rest + strspn(rest, " ");
    parsed.argument_length = strlen(parsed.argument);
    while (parsed.argument_length && parsed.argument[parsed.argument_length - 1] == ' ') parsed.argument_length--;
    if (!*rest || *rest == ' ') parsed.command = ex_find(parsed.name, parsed.name_length);
    return parsed;
}

const char *ex_nearest(const char *name, size_t length) {
    const char *names[COUNT + 1];
    char typed[32];
    if (length >= sizeof typed) return NULL;
    memcpy(typed, name, length);
    typed[length] = '\0';
    for (int i = 0; i < COUNT; i++) names[i] = table[i].name;
    names[COUNT] = NULL;
    return options_nearest(typed, names);
}
