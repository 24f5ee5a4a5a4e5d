/* command_stats.c: `couplet stats`: a statistics file in readable form. Knows no key by name: whatever a run of this or a
 * newer program wrote is printed, one number a line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "command.h"
#include "json_out.h"

enum { MOST_BYTES = 1 << 20, DEEPEST = 8 };

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
    return text;
}

static void print_item(const cJSON *item, int depth) {
    char indent[2 * DEEPEST + 1];
    snprintf(indent, sizeof indent, "%*s", 2 * depth, "");
    printf("%s", indent);
    if (item->string) {
        print_safe(item->string);
        int pad = 24 - 2 * depth - (int)strlen(item->string);
        printf(" %*s", pad > 0 ? pad : 0, "");
    }
    if (cJSON_IsNumber(item)) {
        json_double(stdout, item->valuedouble);
    } else if (cJSON_IsString(item)) {
        print_safe(item->valuestring);
    } else if (cJSON_IsBool(item)) {
        fputs(cJSON_IsTrue(item) ? "yes" : "no", stdout);
    }
    putchar('\n');
    const cJSON *child;
    if (depth < DEEPEST) cJSON_ArrayForEach(child, item) print_item(child, depth + 1);
}

int command_stats(const arguments *a) {
    const char *file = a->operand[0];
    char *text = read_all(file);
    if (!text) return 1;
    cJSON *root = cJSON_Parse(text);
    bool is_object = cJSON_IsObject(root);
    if (is_object && a->json) fputs(text, stdout);
    const cJSON *item;
    if (is_object && !a->json) cJSON_ArrayForEach(item, root) print_item(item, 0);
    cJSON_Delete(root);
    free(text);
    return is_object ? 0 : say("%s is not a statistics file: not a JSON object", file);
}
