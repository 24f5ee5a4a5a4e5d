/* help.c: --help, of the program and of each command, printed from the tables in options.c. Holds no text of its own about
 * any single option. */
#include <string.h>

#include "options.h"

enum { LEFT_COLUMN = 28 };

static void entry(FILE *out, const char *left, const char *right) {
    fprintf(out, "  %-*s%s%s\n", LEFT_COLUMN, left, strlen(left) < LEFT_COLUMN ? "" : "  ", right);
}

static void print_option(FILE *out, const option_entry *o) {
    char left[64];
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    entry(out, left, o->help);
    if (o->kind != OPTION_NAME || !o->choices) return;
    /* Names that a help line already lists (precision) are not repeated. */
    const char *const *names = o->choices();
    if (strstr(o->help, names[0])) return;
    int column = 0;
    for (; *names; names++) {
        int width = (int)strlen(*names) + 2;
        if (column == 0 || column + width > 76) {
            if (column) fputc('\n', out);
            column = fprintf(out, "  %*s", LEFT_COLUMN, "");
        }
        column += fprintf(out, "%s%s", *names, names[1] ? ", " : "\n");
    }
}

static void options_of(FILE *out, command_id command) {
    fputs("\nOptions:\n", out);
    for (int i = 0; i < option_count; i++)
        if (option_table[i].commands & (1u << command)) print_option(out, &option_table[i]);
}

static void whole_program(FILE *out) {
    fputs("usage: couplet [OPTION...] [LAYOUT]\n"
          "       couplet COMMAND [OPTION...] ...\n\n"
          "Regional prompting in a terminal: say which words rule which part of a picture.\n\n"
          "Commands:\n",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char left[64];
        const command_entry *c = &command_table[i];
        snprintf(left, sizeof left, "%s%s%s", c->name ? c->name : "", c->name ? " " : "", c->operands);
        entry(out, left, c->summary);
    }
    options_of(out, COMMAND_EDIT);
    fputs("\n\"couplet COMMAND --help\" lists the options of a command. A file that is called like a\n"
          "command is written ./NAME. The manual is couplet(1), the file format couplet-layout(5).\n",
          out);
}

void options_help(FILE *out, command_id command) {
    const command_entry *c = &command_table[command];
    if (!c->name) {
        whole_program(out);
        return;
    }
    fprintf(out, "usage: couplet %s [OPTION...]%s%s\n\n%s.\n", c->name, *c->operands ? " " : "", c->operands,
            c->summary);
    options_of(out, command);
}
