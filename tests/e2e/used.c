/* used.c: linked into the program in front of the key and the command table (ld --wrap), it notes what of them a key script
 * uses: a line each in $COUPLET_USED, such as "canvas h", ":split" or ":mirror vertical". With COUPLET_USED=list in the
 * environment it prints all that there is to use, and nothing else happens. */
#include "../../tui/editor_ui.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

key_match __real_keys_find(key_context context, const key_press *press, int count, const key_binding **binding);
key_match __wrap_keys_find(key_context context, const key_press *press, int count, const key_binding **binding);
void __real_editor_command(editor *e, const char *line);
void __wrap_editor_command(editor *e, const char *line);

static void note(const char *what) {
    const char *path = getenv("COUPLET_USED");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    dprintf(file, "%s\n", what);
    close(file);
}

static bool is_press(const char *name, size_t length, const key_press *press, int count) {
    key_press wanted[2];
    if (keys_parse(name, length, wanted) != count) return false;
    for (int i = 0; i < count; i++)
        if (wanted[i].key != press[i].key ||
            (wanted[i].modifiers & ~(unsigned)INPUT_SHIFT) != (press[i].modifiers & ~(unsigned)INPUT_SHIFT))
            return false;
    return true;
}

key_match __wrap_keys_find(key_context context, const key_press *press, int count, const key_binding **binding) {
    key_match found = __real_keys_find(context, press, count, binding);
    if (found != KEY_MATCH) return found;
    const char *name = (*binding)->keys;
    for (size_t length; (length = strcspn(name, " ")); name += length + strspn(name + length, " ")) {
        char line[64];
        snprintf(line, sizeof line, "%s %.*s", keys_context_name((*binding)->context), (int)length, name);
        if (is_press(name, length, press, count)) note(line);
    }
    return found;
}

static bool takes_words(const ex_command *c) { return (c->takes == EX_WORDS || c->takes == EX_PRESET) && c->words; }

void __wrap_editor_command(editor *e, const char *text) {
    ex_line parsed = ex_parse(text);
    const ex_command *c = parsed.command;
    char line[200];
    snprintf(line, sizeof line, ":%.*s", (int)parsed.name_length, parsed.name);
    if (c) note(line);
    for (int i = 0; c && takes_words(c) && c->words[i]; i++) {
        size_t length = strlen(c->words[i]);
        snprintf(line, sizeof line, ":%s %s", c->name, c->words[i]);
        if (strcspn(parsed.argument, " ") == length && !strncmp(parsed.argument, c->words[i], length)) note(line);
    }
    __real_editor_command(e, text);
}

__attribute__((constructor)) static void list_all(void) {
    const char *wanted = getenv("COUPLET_USED");
    if (!wanted || strcmp(wanted, "list") != 0) return;
    int count;
    const key_binding *key = keys_table(&count);
    for (; count; count--, key++) {
        const char *name = key->keys;
        for (size_t length; (length = strcspn(name, " ")); name += length + strspn(name + length, " "))
            printf("%s %.*s\n", keys_context_name(key->context), (int)length, name);
    }
    const ex_command *c = ex_table(&count);
    for (; count; count--, c++) {
        printf(":%s\n", c->name);
        if (c->alias) printf(":%s\n", c->alias);
        for (int i = 0; takes_words(c) && c->words[i]; i++) printf(":%s %s\n", c->name, c->words[i]);
    }
    fflush(stdout);
    _exit(0);
}
