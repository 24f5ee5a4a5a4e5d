/* tokenizer_find.c: looks for the tokenizer of a checkpoint, which single-file checkpoints do not bring. It reads the
 * environment when a model is opened and never writes. */
#include "tokenizer_find.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../memory/alloc.h"

#define CLIP_ENTRIES 49408

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

char *cpl_tokenizer_folder(const char *model_path, int entries) {
    static const char *const places[] = {"", "/tokenizer"};
    const char *slash = strrchr(model_path, '/');
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *folder =
            cpl_format(NULL, "%.*s%s", slash ? (int)(slash - model_path) : 1, slash ? model_path : ".", places[i]);
        if (folder && has_vocabulary(folder)) return folder;
        free(folder);
    }
    char *folder = entries == CLIP_ENTRIES ? data_folder() : NULL;
    if (folder && has_vocabulary(folder)) return folder;
    free(folder);
    return NULL;
}
