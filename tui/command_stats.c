/* command_stats.c: `couplet stats`: a statistics file in readable form. Knows no key by name: whatever a run of this or a
 * newer program wrote is printed, one number a line. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "command.h"

enum { MOST_BYTES = 1 << 20, DEEPEST = 8, NAME_COLUMN = 20 };

/* What is printed with --json as it stands must be JSON to the letter, which the parser is not strict about. */
static bool is_clean(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 && !strchr("\t\n\r", text[i] ? text[i] : 1)) return false;
    return true;
}

static char *read_all(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(MOST_BYTES + 1) : NULL;
    size_t count = text ? fread(text, 1, MOST_BYTES, file) : 0;
    bool failed = !text || ferror(file);
    if (failed) say("cannot read %s: %s", path, strerror(errno));
    if (file) fclose(file);
    if (failed) {
        free(text);
        return NULL;
    }
    text[count] = '\0';
    if (is_clean(text, count)) return text;
    say("%s is not a statistics file: it holds control characters", path);
    free(text);
    return NULL;
}

static void print_number(double value) {
    if (value == floor(value) && fabs(value) < 1e15)
        printf("%.0f", value);
    else
        printf("%.3f", value);
}

/* What stands inside another value goes on one line: "hits 12, misses 3". */
static void print_value(const cJSON *item, int depth) {
    if (cJSON_IsNumber(item)) {
        print_number(item->valuedouble);
    } else if (cJSON_IsString(item)) {
        print_safe(item->valuestring);
    } else if (cJSON_IsBool(item)) {
        fputs(cJSON_IsTrue(item) ? "yes" : "no", stdout);
    } else if (depth < DEEPEST) {
        for (const cJSON *child = item->child; child; child = child->next) {
            if (child != item->child) fputs(", ", stdout);
            if (child->string) print_safe(child->string);
            if (child->string) putchar(' ');
            print_value(child, depth + 1);
        }
    }
}

static void print_row(const cJSON *item) {
    print_safe(item->string);
    printf("%*s", (int)strlen(item->string) < NAME_COLUMN ? NAME_COLUMN - (int)strlen(item->string) : 1, "");
    print_value(item, 0);
    putchar('\n');
}

int command_stats(const arguments *a) {
    const char *file = a->operand[0];
    char *text = read_all(file);
    if (!text) return 1;
    cJSON *root = cJSON_ParseWithOpts(text, NULL, true); /* nothing may follow */
    bool is_object = cJSON_IsObject(root);
    if (is_object && a->json) fputs(text, stdout);
    const cJSON *item = is_object && !a->json ? root->child : NULL;
    for (; item; item = item->next) print_row(item);
    cJSON_Delete(root);
    free(text);
    return is_object ? 0 : say("%s is not a statistics file: not a JSON object", file);
}
