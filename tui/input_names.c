/* input_names.c: names of keys for people. */
#include "input.h"

#include <stdio.h>

static const struct {
    uint32_t key;
    const char *name;
} NAMES[] = {
    {0, "Ctrl-Space"},
    {9, "Tab"},
    {13, "Enter"},
    {27, "Esc"},
    {' ', "Space"},
    {127, "Backspace"},
    {K_UP, "Up"},
    {K_DOWN, "Down"},
    {K_LEFT, "Left"},
    {K_RIGHT, "Right"},
    {K_HOME, "Home"},
    {K_END, "End"},
    {K_PAGE_UP, "PageUp"},
    {K_PAGE_DOWN, "PageDown"},
    {K_INSERT, "Insert"},
    {K_DELETE, "Delete"},
    {K_BACKTAB, "Shift-Tab"},
};

static int encode(uint32_t code, char out[5]) {
    int length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char LEAD[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = length - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(LEAD[length] | code);
    out[length] = 0;
    return length;
}

void input_key_name(uint32_t key, unsigned modifiers, char *name, size_t size) {
    char base[16] = "";
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (NAMES[i].key == key) snprintf(base, sizeof base, "%s", NAMES[i].name);
    if (!base[0]) {
        if (key < 32) {
            snprintf(base, sizeof base, "Ctrl-%c", (int)(key + 64));
        } else if (key >= K_F1 && key <= K_F12) {
            snprintf(base, sizeof base, "F%d", (int)(key - K_F1) + 1);
        } else if (key < KEY_BASE_) {
            encode(key, base);
        }
    }
    snprintf(name, size, "%s%s%s%s", modifiers & INPUT_CTRL ? "Ctrl-" : "", modifiers & INPUT_ALT ? "Alt-" : "",
             modifiers & INPUT_SHIFT ? "Shift-" : "", base);
}
