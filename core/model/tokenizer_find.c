/* tokenizer_find.c: looks for the tokenizer of a checkpoint, which single-file checkpoints do not bring. It reads the
 * environment when a model is opened and never writes. */
#include "tokenizer_find.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../memory/alloc.h"

static bool has_vocabulary(const char *folder) {
    char *path = cpl_format(NULL, "%s/vocab.json", folder);
    bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

/* The XDG rules: a relative path there does not count. NULL where there is no home either. */
static char *data_folder(void) {
    const char *base = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (base && *base == '/') return cpl_format(NULL, "%s/couplet/clip", base);
    return home && *home == '/' ? cpl_format(NULL, "%s/.local/share/couplet/clip", home) : NULL;
}

/* True: the folder was found, and *tokenizer is NULL only if it cannot be read. */
static bool try_folder(const char *folder, cpl_tokenizer **tokenizer, cpl_error *error) {
    if (!folder || !has_vocabulary(folder)) return false;
    *tokenizer = cpl_tokenizer_open(folder, error);
    return true;
}

bool cpl_tokenizer_find(const char *model_path, int entries, cpl_tokenizer **tokenizer, cpl_error *error) {
    static const char *const places[] = {"", "/tokenizer"};
    const char *slash = strrchr(model_path, '/');
    *tokenizer = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *folder =
            cpl_format(NULL, "%.*s%s", slash ? (int)(slash - model_path) : 1, slash ? model_path : ".", places[i]);
        bool found = try_folder(folder, tokenizer, error);
        free(folder);
        if (found) return *tokenizer != NULL;
    }
    char *folder = data_folder();
    bool found = try_folder(folder, tokenizer, error);
    free(folder);
    if (*tokenizer && cpl_tokenizer_size(*tokenizer) != entries) {
        cpl_tokenizer_free(*tokenizer);
        *tokenizer = NULL;
        return true;
    }
    return !found || *tokenizer != NULL;
}
