/* test_man.c: couplet(1) against the program's tables: every command, option and key stands in the page, and the page
 * names no other. `test_man --keys` and `test_man --commands` print the page's parts about the editor's keys and commands as
 * they should be; `make man-tables` pastes them between the marks. */
#include "../../tui/ex.h"
#include "../../tui/keys.h"
#include "../../tui/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"

#define PAGE "man/couplet.1"
#define KEYS_BEGIN ".\\\" keys: begin (test_man --keys)\n"
#define KEYS_END ".\\\" keys: end\n"
#define COMMANDS_BEGIN ".\\\" commands: begin (test_man --commands)\n"
#define COMMANDS_END ".\\\" commands: end\n"
enum { LINE_WIDTH = 78 };

static char *page;

static char *read_page(void) {
    FILE *file = fopen(PAGE, "rb");
    char *text = calloc(1, 1 << 20);
    if (file && text && fread(text, 1, (1 << 20) - 1, file) == 0) text[0] = '\0';
    if (file) fclose(file);
    return text;
}

/* The text from a heading to the next of its kind; caller frees. */
static char *section(const char *heading) {
    char begin[64];
    snprintf(begin, sizeof begin, "\n.Sh %s\n", heading);
    const char *from = strstr(page, begin);
    if (!from) {
        fail_msg(PAGE " has no section %s", heading);
        return NULL;
    }
    from += strlen(begin) - 1;
    const char *to = strstr(from, "\n.Sh ");
    return strndup(from, to ? (size_t)(to - from) + 1 : strlen(from));
}

static int count_of(const char *text, const char *what) {
    int count = 0;
    for (; (text = strstr(text, what)); text += strlen(what)) count++;
    return count;
}

/* ---- Commands and options ----------------------------------------------------------------------------------- */

static const char *word_of(int command) { return command_table[command].name ? command_table[command].name : "editor"; }

static void names_every_command(void **state) {
    (void)state;
    char *commands = section("COMMANDS"), *synopsis = section("SYNOPSIS");
    int named = 0;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char item[64], call[64];
        if (!command_table[i].name) continue;
        snprintf(item, sizeof item, "\n.It Ic %s", command_table[i].name);
        snprintf(call, sizeof call, "\n.Ic %s", command_table[i].name);
        if (!strstr(commands, item)) fail_msg("COMMANDS lacks %s", command_table[i].name);
        if (!strstr(synopsis, call)) fail_msg("SYNOPSIS lacks %s", command_table[i].name);
        named++;
    }
    assert_int_equal(count_of(commands, "\n.It Ic "), named);
    assert_int_equal(count_of(synopsis, "\n.Ic "), named);
    free(commands);
    free(synopsis);
}

/* The item's line, and for options that not all commands accept a line with those that do. */
static void option_item(const option_entry *o, char *item, size_t size) {
    unsigned all = (1u << COMMAND_COUNT) - 1;
    int used = snprintf(item, size, "\n.It ");
    if (o->letter) used += snprintf(item + used, size - (size_t)used, "Fl %c , ", o->letter);
    used += snprintf(item + used, size - (size_t)used, "Fl -%s%s%s\n", o->name, o->argument ? " Ar " : "",
                     o->argument ? o->argument : "");
    if (o->commands == all) return;
    used += snprintf(item + used, size - (size_t)used, ".Pq Ic");
    for (int i = 0, first = 1; i < COMMAND_COUNT; i++) {
        if (!(o->commands & (1u << i))) continue;
        used += snprintf(item + used, size - (size_t)used, "%s %s", first ? "" : " ,", word_of(i));
        first = 0;
    }
    snprintf(item + used, size - (size_t)used, "\n");
}

static void names_every_option(void **state) {
    (void)state;
    char *options = section("OPTIONS");
    for (int i = 0; i < option_count; i++) {
        char item[256];
        option_item(&option_table[i], item, sizeof item);
        if (!strstr(options, item)) fail_msg("OPTIONS lacks this item: %s", item);
    }
    assert_int_equal(count_of(options, "\n.It Fl "), option_count);
    free(options);
}

static void names_every_choice(void **state) {
    (void)state;
    char *options = section("OPTIONS");
    for (int i = 0; i < option_count; i++) {
        const char *const *names = option_table[i].choices ? option_table[i].choices() : NULL;
        char begin[64];
        snprintf(begin, sizeof begin, "Fl -%s", option_table[i].name);
        const char *item = strstr(options, begin);
        const char *end = item ? strstr(item, "\n.It ") : NULL;
        for (; names && *names; names++) {
            const char *at = item ? strstr(item, *names) : NULL;
            if (!at || (end && at > end)) fail_msg("--%s: the page does not name %s", option_table[i].name, *names);
        }
    }
    free(options);
}

/* ---- Keys --------------------------------------------------------------------------------------------------- */

/* A key's name as an argument of a macro: lone punctuation would be read as a delimiter, \ as an escape. */
static void print_key(FILE *out, const char *key, size_t length) {
    fputs(ispunct((unsigned char)key[0]) ? "\\&" : "", out);
    for (size_t i = 0; i < length; i++) {
        if (key[i] == '\\')
            fputs("\\e", out);
        else
            fputc(key[i], out);
    }
}

static void print_wrapped(FILE *out, const char *text) {
    size_t column = 0;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (column && column + 1 + length > LINE_WIDTH) {
            fputc('\n', out);
            column = 0;
        } else if (column) {
            fputc(' ', out);
            column++;
        }
        if (!column && (*text == '.' || *text == '\'')) fputs("\\&", out);
        fwrite(text, 1, length, out);
        column += length;
        text += length + (text[length] == ' ');
    }
    fputc('\n', out);
}

static void print_binding(FILE *out, const key_binding *binding) {
    fputs(".It Ic", out);
    for (const char *key = binding->keys; *key;) {
        size_t length = strcspn(key, " ");
        fputs(key == binding->keys ? " " : " , ", out);
        print_key(out, key, length);
        key += length + (key[length] == ' ');
    }
    fputc('\n', out);
    print_wrapped(out, binding->description);
}

static void print_keys(FILE *out) {
    int count;
    const key_binding *table = keys_table(&count);
    const char *group = NULL;
    fputs(KEYS_BEGIN, out);
    for (int i = 0; i < count; i++) {
        if (!group || strcmp(group, table[i].group) != 0) {
            if (group) fputs(".El\n", out);
            group = table[i].group;
            fprintf(out, ".Ss %s\n.Bl -tag -width \"Ctrl-Right, Alt-f\" -compact\n", group);
        }
        print_binding(out, &table[i]);
    }
    fputs(".El\n" KEYS_END, out);
}

static void compare(void (*print)(FILE *), const char *begin, const char *end, const char *what) {
    char *expected = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&expected, &size);
    print(out);
    fclose(out);
    const char *from = strstr(page, begin), *to = strstr(page, end);
    assert_non_null(from);
    assert_non_null(to);
    size_t length = (size_t)(to - from) + strlen(end);
    if (length != size || memcmp(from, expected, size) != 0)
        fail_msg("the %s in " PAGE " are not those of the program: make man-tables", what);
    free(expected);
}

static void names_every_key(void **state) {
    (void)state;
    compare(print_keys, KEYS_BEGIN, KEYS_END, "keys");
}

/* ---- The editor's commands ---------------------------------------------------------------------------------- */

static void print_commands(FILE *out) {
    int count;
    const ex_command *table = ex_table(&count);
    fputs(COMMANDS_BEGIN, out);
    for (int i = 0; i < count; i++) {
        const ex_command *c = &table[i];
        if (!i || strcmp(table[i - 1].group, c->group) != 0) {
            if (i) fputs(".El\n", out);
            fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", c->group);
        }
        fprintf(out, ".It Ic :%s", c->name);
        if (c->alias) fprintf(out, " , :%s", c->alias);
        if (*c->argument) fprintf(out, " Ar %s", c->argument);
        fputc('\n', out);
        print_wrapped(out, c->description);
    }
    fputs(".El\n" COMMANDS_END, out);
}

static void names_every_editor_command(void **state) {
    (void)state;
    compare(print_commands, COMMANDS_BEGIN, COMMANDS_END, "commands");
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--keys") == 0) {
        print_keys(stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--commands") == 0) {
        print_commands(stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_every_command),        cmocka_unit_test(names_every_option),
        cmocka_unit_test(names_every_choice),         cmocka_unit_test(names_every_key),
        cmocka_unit_test(names_every_editor_command),
    };
    page = read_page();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(page);
    return failed;
}
