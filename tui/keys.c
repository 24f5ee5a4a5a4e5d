/* keys.c: the key table and how a key press is found in it. What a key does stands in editor_keys.c. */
#include "keys.h"

#include <string.h>

#define MOVING "Regions on the canvas"
#define MASKS "Painting in mask mode"
#define ROWS "Rows"
#define LAYOUT "Layout"
#define PICTURE "Picture"
#define TABLE "Table"
#define SETTINGS "Settings line"
#define FILES "Files and program"
#define TYPING "While typing"
#define QUESTION "Quit with unsaved work"
#define RECOVER "Unsaved edits of an earlier session"
#define HELP "Help and other lists"
#define CHOOSE "Recent layouts and presets"
#define CONFIRM "Deleting a preset"

static const key_binding table[] = {
    {"h Left", "move left", NULL, "move the region left by one grid step", MOVING, KEYS_CANVAS, ACTION_MOVE, -1, 0},
    {"j Down", "move down", NULL, "move the region down", MOVING, KEYS_CANVAS, ACTION_MOVE, 0, 1},
    {"k Up", "move up", NULL, "move the region up", MOVING, KEYS_CANVAS, ACTION_MOVE, 0, -1},
    {"l Right", "move right", "hjkl move", "move the region right; 5l moves five steps", MOVING, KEYS_CANVAS,
     ACTION_MOVE, 1, 0},
    {"H Shift-Left", "narrower", NULL, "pull the right edge in", MOVING, KEYS_CANVAS, ACTION_RESIZE, -1, 0},
    {"J Shift-Down", "taller", NULL, "push the lower edge down", MOVING, KEYS_CANVAS, ACTION_RESIZE, 0, 1},
    {"K Shift-Up", "flatter", NULL, "pull the lower edge up", MOVING, KEYS_CANVAS, ACTION_RESIZE, 0, -1},
    {"L Shift-Right", "wider", "HJKL resize", "push the right edge out", MOVING, KEYS_CANVAS, ACTION_RESIZE, 1, 0},
    {"Alt-h Alt-Left", "nudge left", NULL, "move left by 1/256, off the grid", MOVING, KEYS_CANVAS, ACTION_MOVE, -256,
     0},
    {"Alt-j Alt-Down", "nudge down", NULL, "move down by 1/256", MOVING, KEYS_CANVAS, ACTION_MOVE, 0, 256},
    {"Alt-k Alt-Up", "nudge up", NULL, "move up by 1/256", MOVING, KEYS_CANVAS, ACTION_MOVE, 0, -256},
    {"Alt-l Alt-Right", "nudge right", NULL, "move right by 1/256", MOVING, KEYS_CANVAS, ACTION_MOVE, 256, 0},
    {"Alt-H", "shave width", NULL, "right edge in by 1/256", MOVING, KEYS_CANVAS, ACTION_RESIZE, -256, 0},
    {"Alt-J", "add height", NULL, "lower edge down by 1/256", MOVING, KEYS_CANVAS, ACTION_RESIZE, 0, 256},
    {"Alt-K", "shave height", NULL, "lower edge up by 1/256", MOVING, KEYS_CANVAS, ACTION_RESIZE, 0, -256},
    {"Alt-L", "add width", NULL, "right edge out by 1/256", MOVING, KEYS_CANVAS, ACTION_RESIZE, 256, 0},
    {"|", "split in columns", NULL, "split the region into two columns, or as many as the count", MOVING, KEYS_CANVAS,
     ACTION_SPLIT, 1, 0},
    {"_", "split in rows", NULL, "split the region into two rows, or as many as the count", MOVING, KEYS_CANVAS,
     ACTION_SPLIT, 0, 1},
    {"y", "duplicate", NULL, "insert a copy of the selected region", MOVING, KEYS_CANVAS, ACTION_DUPLICATE, 0, 0},
    {"Enter e", "edit", "Enter edit", "type the region's prompt", MOVING, KEYS_CANVAS, ACTION_EDIT_PROMPT, 0, 0},

    {"h Left", "brush left", NULL, "move the brush left by half a cell's height; counts work", MASKS, KEYS_MASK,
     ACTION_BRUSH_MOVE, -1, 0},
    {"j Down", "brush down", NULL, "move the brush down", MASKS, KEYS_MASK, ACTION_BRUSH_MOVE, 0, 1},
    {"k Up", "brush up", NULL, "move the brush up", MASKS, KEYS_MASK, ACTION_BRUSH_MOVE, 0, -1},
    {"l Right", "brush right", "hjkl brush", "move the brush right", MASKS, KEYS_MASK, ACTION_BRUSH_MOVE, 1, 0},
    {"Space", "dab", "Space paint",
     "paint under the brush; with the mouse the left button paints, the right one erases", MASKS, KEYS_MASK,
     ACTION_BRUSH_DAB, 0, 0},
    {"d", "brush down", "d draw", "lower the brush, so that moving paints, or lift it", MASKS, KEYS_MASK,
     ACTION_BRUSH_DOWN, 0, 0},
    {"x", "eraser", "x eraser", "brush or eraser", MASKS, KEYS_MASK, ACTION_BRUSH_ERASE, 0, 0},
    {")", "larger brush", NULL, "a larger brush", MASKS, KEYS_MASK, ACTION_BRUSH_SIZE, 1, 0},
    {"(", "smaller brush", NULL, "a smaller brush", MASKS, KEYS_MASK, ACTION_BRUSH_SIZE, -1, 0},
    {"a", "rectangle", NULL, "begin a rectangle; the second press paints or erases it", MASKS, KEYS_MASK,
     ACTION_BRUSH_RECTANGLE, 0, 0},
    {"F", "flood fill", "F fill", "fill the area around the brush", MASKS, KEYS_MASK, ACTION_BRUSH_FILL, 0, 0},
    {"I", "invert", NULL, "invert the region's mask", MASKS, KEYS_MASK, ACTION_MASK_INVERT, 0, 0},
    {"X", "clear", NULL, "clear it", MASKS, KEYS_MASK, ACTION_MASK_CLEAR, 0, 0},
    {"y", "duplicate", NULL, "insert a copy of the selected region", MASKS, KEYS_MASK, ACTION_DUPLICATE, 0, 0},
    {"Enter e", "edit", "Enter edit", "type the region's prompt", MASKS, KEYS_MASK, ACTION_EDIT_PROMPT, 0, 0},

    {"h Left", "cell left", NULL, "go to the cell on the left", TABLE, KEYS_TABLE, ACTION_CELL, -1, 0},
    {"j Down", "row down", NULL, "go to the next row", TABLE, KEYS_TABLE, ACTION_SELECT, 1, 0},
    {"k Up", "row up", NULL, "go to the row above", TABLE, KEYS_TABLE, ACTION_SELECT, -1, 0},
    {"l Right", "cell right", "hjkl cell", "go to the cell on the right", TABLE, KEYS_TABLE, ACTION_CELL, 1, 0},
    {"Enter i", "edit cell", "Enter edit", "type a new value; fractions such as 1/3 are numbers too", TABLE, KEYS_TABLE,
     ACTION_EDIT, 0, 0},
    {"e", "edit prompt", NULL, "type the region's prompt", TABLE, KEYS_TABLE, ACTION_EDIT_PROMPT, 0, 0},
    {"+ =", "raise the cell", "+ - change", "raise the number: corners by a grid step, the weight by 0.05", TABLE,
     KEYS_TABLE, ACTION_STEP_CELL, 1, 0},
    {"-", "lower the cell", NULL, "lower the number", TABLE, KEYS_TABLE, ACTION_STEP_CELL, -1, 0},
    {"yy", "copy rows", NULL, "copy the row, 3yy three rows; the prompts go to the system's clipboard too (OSC 52)",
     TABLE, KEYS_TABLE, ACTION_YANK, 0, 0},
    {"p", "paste below", NULL, "insert what was copied or deleted below the row", TABLE, KEYS_TABLE, ACTION_PASTE, 1,
     0},
    {"P", "paste above", NULL, "insert it above the row", TABLE, KEYS_TABLE, ACTION_PASTE, 0, 0},
    {"Alt-Up", "row up the list", NULL, "move the row up", TABLE, KEYS_TABLE, ACTION_REORDER, -1, 0},
    {"Alt-Down", "row down the list", NULL, "move the row down", TABLE, KEYS_TABLE, ACTION_REORDER, 1, 0},

    {"h Left", "setting left", NULL, "go to the setting on the left", SETTINGS, KEYS_SETTINGS, ACTION_CELL, -1, 0},
    {"l Right", "setting right", "h l setting", "go to the setting on the right", SETTINGS, KEYS_SETTINGS, ACTION_CELL,
     1, 0},
    {"k Up", "raise", NULL, "raise the value, or take the next name", SETTINGS, KEYS_SETTINGS, ACTION_STEP_VALUE, 1, 0},
    {"j Down", "lower", "j k change", "lower the value, or take the name before", SETTINGS, KEYS_SETTINGS,
     ACTION_STEP_VALUE, -1, 0},
    {"Enter i e", "edit setting", "Enter edit", "type a new value; empty means the model's default", SETTINGS,
     KEYS_SETTINGS, ACTION_EDIT, 0, 0},

    {"]", "next region", NULL, "select the next region", ROWS, KEYS_ALL, ACTION_SELECT, 1, 0},
    {"[", "previous region", NULL, "select the region before", ROWS, KEYS_ALL, ACTION_SELECT, -1, 0},
    {"#", "region number", NULL, "select a region by number: 3#", ROWS, KEYS_ALL, ACTION_SELECT_NUMBER, 0, 0},
    {"Home", "first region", NULL, "select the first region", ROWS, KEYS_ALL, ACTION_SELECT_END, -1, 0},
    {"End", "last region", NULL, "select the last region", ROWS, KEYS_ALL, ACTION_SELECT_END, 1, 0},
    {"n", "new region", "n new", "add a region at the end: over the uncovered part, if there is one", ROWS, KEYS_ALL,
     ACTION_NEW, 0, 0},
    {"o", "insert below", NULL, "insert a region after the selected one", ROWS, KEYS_ALL, ACTION_INSERT, 1, 0},
    {"O", "insert above", NULL, "insert a region before the selected one", ROWS, KEYS_ALL, ACTION_INSERT, 0, 0},
    {"x dd Delete", "delete", NULL, "delete the selected region", ROWS, KEYS_ALL, ACTION_DELETE, 0, 0},
    {"Space", "mark", NULL, "mark the region: edits take all marked ones together; with the mouse the middle button",
     ROWS, KEYS_ALL, ACTION_MARK, 0, 0},
    {"*", "mark all", NULL, "mark all regions, or none", ROWS, KEYS_ALL, ACTION_MARK_ALL, 0, 0},
    {"E", "outside editor", NULL, "edit the prompt in $VISUAL or $EDITOR", ROWS, KEYS_ALL, ACTION_EDIT_OUTSIDE, 0, 0},
    {"<", "earlier", NULL, "move the selected row up the list", ROWS, KEYS_ALL, ACTION_REORDER, -1, 0},
    {">", "later", NULL, "move the selected row down the list", ROWS, KEYS_ALL, ACTION_REORDER, 1, 0},
    {"+ =", "more weight", NULL, "raise the weight by 0.05", ROWS, KEYS_ALL, ACTION_WEIGHT, 1, 0},
    {"-", "less weight", NULL, "lower the weight by 0.05", ROWS, KEYS_ALL, ACTION_WEIGHT, -1, 0},
    {"1-9", "count", NULL, "repeat the next key that often", ROWS, KEYS_ALL, ACTION_COUNT, 0, 0},

    {"g", "generate", "g generate", "make the picture of just this layout", PICTURE, KEYS_ALL, ACTION_GENERATE, 0, 0},
    {"G", "live", NULL,
     "live mode: a new picture after every edit; a run under way takes up places, weights and prompts at its next step",
     PICTURE, KEYS_ALL, ACTION_LIVE, 0, 0},
    {"c Ctrl-C", "cancel", NULL, "stop the run", PICTURE, KEYS_ALL, ACTION_CANCEL, 0, 0},
    {"r", "new seed", NULL, "draw a new seed and keep it in the layout", PICTURE, KEYS_ALL, ACTION_SEED, 0, 0},
    {"z p", "picture", "z picture", "show the picture large, or go back to the canvas", PICTURE, KEYS_ALL,
     ACTION_PICTURE, 0, 0},
    {"P", "write picture", NULL, "write the picture to a PNG file", PICTURE, KEYS_ALL, ACTION_WRITE_PICTURE, 0, 0},

    {"{", "older picture", NULL, "show the picture before, of the last sixteen", PICTURE, KEYS_ALL, ACTION_RESULT, -1,
     0},
    {"}", "newer picture", NULL, "show the picture after it", PICTURE, KEYS_ALL, ACTION_RESULT, 1, 0},
    {"R", "take its layout", NULL, "go back to the layout that made the shown picture", PICTURE, KEYS_ALL,
     ACTION_TAKE_RESULT, 0, 0},
    {"C", "compare", NULL, "keep the picture and show others beside it, or end that", PICTURE, KEYS_ALL, ACTION_COMPARE,
     0, 0},
    {"V", "regions over it", NULL, "draw the regions over the picture, or not", PICTURE, KEYS_ALL, ACTION_OVERLAY, 0,
     0},

    {"u", "undo", "u undo", "take the last edit back", LAYOUT, KEYS_ALL, ACTION_UNDO, 0, 0},
    {"Ctrl-R U", "redo", NULL, "do it again", LAYOUT, KEYS_ALL, ACTION_REDO, 0, 0},
    {".", "finer grid", NULL, "finer grid step: 1/8 to 1/64, then the model's latent grid", LAYOUT, KEYS_ALL,
     ACTION_GRID, 1, 0},
    {",", "coarser grid", NULL, "coarser grid step", LAYOUT, KEYS_ALL, ACTION_GRID, -1, 0},
    {"Z", "zoom in", NULL, "enlarge the canvas around the selected region; with the mouse Ctrl and the wheel", LAYOUT,
     KEYS_ALL, ACTION_ZOOM, 1, 0},
    {"W", "zoom out", NULL, "see more of it; 9W the whole", LAYOUT, KEYS_ALL, ACTION_ZOOM, -1, 0},
    {"Ctrl-Left", "see left", NULL, "see what lies left on the enlarged canvas", LAYOUT, KEYS_ALL, ACTION_PAN, -1, 0},
    {"Ctrl-Down", "see below", NULL, "see what lies below", LAYOUT, KEYS_ALL, ACTION_PAN, 0, 1},
    {"Ctrl-Up", "see above", NULL, "see what lies above", LAYOUT, KEYS_ALL, ACTION_PAN, 0, -1},
    {"Ctrl-Right", "see right", NULL, "see what lies right", LAYOUT, KEYS_ALL, ACTION_PAN, 1, 0},
    {"B", "picture below", NULL, "lay the shown picture dimmed under the regions, or take it away; :image takes a PNG",
     LAYOUT, KEYS_ALL, ACTION_BACKDROP, 0, 0},
    {"m", "mode", NULL, "next mode: basic, advanced, mask", LAYOUT, KEYS_ALL, ACTION_MODE, 0, 0},
    {"v", "direction", NULL, "basic mode: columns or rows", LAYOUT, KEYS_ALL, ACTION_DIRECTION, 0, 0},
    {"b", "background", NULL, "background line: none, first, last (basic and mask mode)", LAYOUT, KEYS_ALL,
     ACTION_BACKGROUND, 0, 0},
    {"f", "fill", NULL, "fill what no region covers, or make it an error again", LAYOUT, KEYS_ALL, ACTION_FILL, 0, 0},

    {"Tab", "next pane", "Tab pane", "go to the next pane: canvas, table, settings", FILES, KEYS_ALL, ACTION_PANE, 1,
     0},
    {"Shift-Tab", "previous pane", NULL, "go to the pane before", FILES, KEYS_ALL, ACTION_PANE, -1, 0},
    {"s Ctrl-S", "save", NULL, "save the layout", FILES, KEYS_ALL, ACTION_SAVE, 0, 0},
    {"S", "save as", NULL, "save the layout under another name", FILES, KEYS_ALL, ACTION_SAVE_AS, 0, 0},
    {":", "command", ": command", "type a command; Tab completes it", FILES, KEYS_ALL, ACTION_COMMAND, 0, 0},
    {"Ctrl-O", "recent", NULL, "the layouts edited last, to choose from", FILES, KEYS_ALL, ACTION_RECENT, 0, 0},
    {"T", "presets", NULL, "the presets, to choose from: sets of regions that \":preset save NAME\" keeps", FILES,
     KEYS_ALL, ACTION_PRESETS, 0, 0},
    {"? F1", "help", "? help", "this screen", FILES, KEYS_ALL, ACTION_HELP, 0, 0},
    {"w", "words", NULL,
     "what the text encoder gets of each line: common prompts expanded, with the tokens of each chunk", FILES, KEYS_ALL,
     ACTION_WORDS, 0, 0},
    {"Esc", "back", NULL, "back: drop a count or marks, stop a run, go to the canvas; never quits", FILES, KEYS_ALL,
     ACTION_BACK, 0, 0},
    {"Ctrl-L", "redraw", NULL, "draw the whole screen again", FILES, KEYS_ALL, ACTION_REDRAW, 0, 0},
    {"Ctrl-Z", "suspend", NULL, "stop the program; fg brings it back", FILES, KEYS_ALL, ACTION_SUSPEND, 0, 0},
    {"q", "quit", NULL, "quit; asks when there is unsaved work", FILES, KEYS_ALL, ACTION_QUIT, 0, 0},

    {"Enter", "accept", "Enter take it", "take the value", TYPING, KEYS_TYPING, ACTION_ACCEPT, 0, 0},
    {"Tab", "accept, next", "Tab next", "take it and go on to the next cell; completes a command", TYPING, KEYS_TYPING,
     ACTION_ACCEPT_NEXT, 1, 0},
    {"Shift-Tab", "accept, previous", NULL, "take it and go back one cell", TYPING, KEYS_TYPING, ACTION_ACCEPT_NEXT, -1,
     0},
    {"Down", "accept, below", NULL, "take it and edit the row below; newer command", TYPING, KEYS_TYPING,
     ACTION_ACCEPT_ROW, 1, 0},
    {"Up", "accept, above", NULL, "take it and edit the row above; older command", TYPING, KEYS_TYPING,
     ACTION_ACCEPT_ROW, -1, 0},
    {"Esc Ctrl-C", "abandon", "Esc leave as it was", "leave the value as it was", TYPING, KEYS_TYPING, ACTION_ABANDON,
     0, 0},
    {"Left Ctrl-B", "cursor left", NULL, "one character left", TYPING, KEYS_TYPING, ACTION_CURSOR, -1, 0},
    {"Right Ctrl-F", "cursor right", NULL, "one character right", TYPING, KEYS_TYPING, ACTION_CURSOR, 1, 0},
    {"Ctrl-Left Alt-b", "word left", NULL, "one word left", TYPING, KEYS_TYPING, ACTION_CURSOR_WORD, -1, 0},
    {"Ctrl-Right Alt-f", "word right", NULL, "one word right", TYPING, KEYS_TYPING, ACTION_CURSOR_WORD, 1, 0},
    {"Home Ctrl-A", "line start", NULL, "to the start", TYPING, KEYS_TYPING, ACTION_CURSOR_END, -1, 0},
    {"End Ctrl-E", "line end", NULL, "to the end", TYPING, KEYS_TYPING, ACTION_CURSOR_END, 1, 0},
    {"Backspace Ctrl-H", "erase before", NULL, "erase the character before", TYPING, KEYS_TYPING, ACTION_ERASE, -1, 0},
    {"Delete Ctrl-D", "erase under", NULL, "erase the character under the cursor", TYPING, KEYS_TYPING, ACTION_ERASE, 1,
     0},
    {"Ctrl-W Alt-Backspace", "erase word", NULL, "erase the word before", TYPING, KEYS_TYPING, ACTION_ERASE_WORD, -1,
     0},
    {"Ctrl-U", "erase to start", NULL, "erase all before the cursor", TYPING, KEYS_TYPING, ACTION_ERASE_LINE, -1, 0},
    {"Ctrl-K", "erase to end", NULL, "erase all from the cursor on", TYPING, KEYS_TYPING, ACTION_ERASE_LINE, 1, 0},

    {"s y", "save and quit", "s save", "save, then quit", QUESTION, KEYS_QUESTION, ACTION_ANSWER_SAVE, 0, 0},
    {"d", "discard", "d discard", "quit without saving", QUESTION, KEYS_QUESTION, ACTION_ANSWER_DISCARD, 0, 0},
    {"Esc n c Ctrl-C", "stay", "Esc stay", "stay in the editor", QUESTION, KEYS_QUESTION, ACTION_ANSWER_CANCEL, 0, 0},

    {"r y Enter", "restore", "r restore", "take the edits back into the layout", RECOVER, KEYS_RECOVER, ACTION_RECOVER,
     0, 0},
    {"d", "drop", "d drop", "throw them away", RECOVER, KEYS_RECOVER, ACTION_RECOVER_DROP, 0, 0},
    {"Esc n Ctrl-C", "later", "Esc later", "keep them for later", RECOVER, KEYS_RECOVER, ACTION_RECOVER_LATER, 0, 0},

    {"j Down Enter", "scroll down", "j k scroll", "one line down", HELP, KEYS_HELP, ACTION_SCROLL, 1, 0},
    {"k Up", "scroll up", NULL, "one line up", HELP, KEYS_HELP, ACTION_SCROLL, -1, 0},
    {"Space PageDown", "page down", NULL, "one page down", HELP, KEYS_HELP, ACTION_SCROLL_PAGE, 1, 0},
    {"b PageUp", "page up", NULL, "one page up", HELP, KEYS_HELP, ACTION_SCROLL_PAGE, -1, 0},
    {"g Home", "to the top", NULL, "to the top", HELP, KEYS_HELP, ACTION_SCROLL_END, -1, 0},
    {"G End", "to the end", NULL, "to the end", HELP, KEYS_HELP, ACTION_SCROLL_END, 1, 0},
    {"Esc q ? F1 Ctrl-C", "close", "Esc close", "back to the editor", HELP, KEYS_HELP, ACTION_CLOSE, 0, 0},

    {"Enter l Right", "take", "Enter take", "open the layout, or take the preset's regions", CHOOSE, KEYS_CHOOSE,
     ACTION_CHOOSE, 0, 0},
    {"j Down", "next", "j k choose", "the next one; counts work", CHOOSE, KEYS_CHOOSE, ACTION_CHOICE, 1, 0},
    {"k Up", "previous", NULL, "the one before", CHOOSE, KEYS_CHOOSE, ACTION_CHOICE, -1, 0},
    {"Space PageDown", "page down", NULL, "one page down", CHOOSE, KEYS_CHOOSE, ACTION_CHOICE_PAGE, 1, 0},
    {"b PageUp", "page up", NULL, "one page up", CHOOSE, KEYS_CHOOSE, ACTION_CHOICE_PAGE, -1, 0},
    {"g Home", "first", NULL, "the first one", CHOOSE, KEYS_CHOOSE, ACTION_CHOICE_END, -1, 0},
    {"G End", "last", NULL, "the last one", CHOOSE, KEYS_CHOOSE, ACTION_CHOICE_END, 1, 0},
    {"d x Delete", "delete", "d delete", "delete the preset, after a question; of the recent layouts only the mention",
     CHOOSE, KEYS_CHOOSE, ACTION_CHOICE_DELETE, 0, 0},
    {"r", "rename", "r rename", "give the preset another name", CHOOSE, KEYS_CHOOSE, ACTION_CHOICE_RENAME, 0, 0},
    {"Esc q h Left Ctrl-C", "close", "Esc close", "back to the editor", CHOOSE, KEYS_CHOOSE, ACTION_CLOSE, 0, 0},

    {"y d", "delete", "y delete", "delete it", CONFIRM, KEYS_CONFIRM, ACTION_CONFIRM, 1, 0},
    {"Esc n c Ctrl-C", "keep", "Esc keep", "keep it", CONFIRM, KEYS_CONFIRM, ACTION_CONFIRM, 0, 0},
};

const key_binding *keys_table(int *count) {
    *count = (int)(sizeof table / sizeof table[0]);
    return table;
}

const char *keys_context_name(key_context context) {
    static const char *const name[KEYS_CONTEXTS] = {"everywhere", "canvas",  "mask", "table",  "settings", "typing",
                                                    "question",   "recover", "help", "choose", "confirm"};
    return context < KEYS_CONTEXTS ? name[context] : "";
}

static const struct {
    const char *name;
    uint32_t key;
} names[] = {
    {"Up", K_UP},         {"Down", K_DOWN},     {"Left", K_LEFT},      {"Right", K_RIGHT},
    {"Home", K_HOME},     {"End", K_END},       {"PageUp", K_PAGE_UP}, {"PageDown", K_PAGE_DOWN},
    {"Insert", K_INSERT}, {"Delete", K_DELETE}, {"Enter", 13},         {"Tab", 9},
    {"Esc", 27},          {"Backspace", 127},   {"Space", ' '},        {"F1", K_F1},
};

static bool named(const char *text, size_t length, uint32_t *key) {
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i].name) == length && !memcmp(names[i].name, text, length)) return *key = names[i].key, true;
    return false;
}

static bool take_prefix(const char **text, size_t *length, const char *prefix) {
    size_t size = strlen(prefix);
    if (*length <= size || memcmp(*text, prefix, size) != 0) return false;
    *text += size;
    *length -= size;
    return true;
}

int keys_parse(const char *text, size_t length, key_press press[2]) {
    unsigned modifiers = 0;
    bool control = take_prefix(&text, &length, "Ctrl-");
    if (!control && take_prefix(&text, &length, "Alt-")) modifiers |= INPUT_ALT;
    if (!control && take_prefix(&text, &length, "Shift-")) modifiers |= INPUT_SHIFT;
    uint32_t key;
    if (named(text, length, &key)) {
        /* Shift-Tab is a key of its own in every terminal's vocabulary. */
        if (key == 9 && modifiers == INPUT_SHIFT) key = K_BACKTAB, modifiers = 0;
        press[0] = (key_press){key, modifiers | (control ? INPUT_CTRL : 0)};
        return 1;
    }
    if (length == 1) {
        key = (unsigned char)text[0];
        /* Terminals send Ctrl with a letter as a control character, without a modifier. */
        press[0] = (key_press){control ? key & 0x1f : key, modifiers};
        return 1;
    }
    if (length == 2 && !control && !modifiers) {
        press[0] = (key_press){(unsigned char)text[0], 0};
        press[1] = (key_press){(unsigned char)text[1], 0};
        return 2;
    }
    return 0;
}

static bool same(key_press a, key_press b) {
    /* A printable character carries its own shift: some terminals report the modifier beside it, some do not. */
    unsigned ignored = a.key < KEY_BASE_ && a.key > ' ' && a.key != 127 ? INPUT_SHIFT : 0;
    return a.key == b.key && (a.modifiers & ~ignored) == (b.modifiers & ~ignored);
}

static key_match match_one(const char *text, size_t length, const key_press *press, int count) {
    if (length == 3 && text[1] == '-')
        return count == 1 && !press->modifiers && press->key >= (unsigned char)text[0] &&
                       press->key <= (unsigned char)text[2]
                   ? KEY_MATCH
                   : KEY_NO_MATCH;
    key_press wanted[2];
    int need = keys_parse(text, length, wanted);
    if (need < count || !need) return KEY_NO_MATCH;
    for (int i = 0; i < count; i++)
        if (!same(wanted[i], press[i])) return KEY_NO_MATCH;
    return need == count ? KEY_MATCH : KEY_PREFIX;
}

static key_match match_all(const char *keys, const key_press *press, int count) {
    key_match best = KEY_NO_MATCH;
    while (*keys) {
        size_t length = strcspn(keys, " ");
        key_match found = match_one(keys, length, press, count);
        if (found > best) best = found;
        keys += length;
        keys += strspn(keys, " ");
    }
    return best;
}

key_match keys_find(key_context context, const key_press *press, int count, const key_binding **binding) {
    bool stands_alone = context >= KEYS_TYPING;
    key_match best = KEY_NO_MATCH;
    /* The pane's own keys first, then those that hold everywhere. */
    for (int pass = 0; pass < (stands_alone ? 1 : 2); pass++) {
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
            if (table[i].context != (pass ? KEYS_ALL : context)) continue;
            key_match found = match_all(table[i].keys, press, count);
            if (found == KEY_MATCH) return *binding = &table[i], KEY_MATCH;
            if (found > best) best = found;
        }
    }
    return best;
}
