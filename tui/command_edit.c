/* command_edit.c: `couplet [LAYOUT]`: what must be true before the editor starts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "convert.h"
#include "editor.h"

/* A layout that is not there yet: one region over the whole canvas, in the folder that the name points to. */
static cpl_layout *new_layout(const char *path, cpl_error *error) {
    cpl_layout *layout = cpl_layout_new(error);
    if (!layout || !cpl_layout_insert(layout, 0, error)) goto out;
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!slash) return layout;
    char *folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    struct stat found;
    bool there = folder && stat(folder, &found) == 0 && S_ISDIR(found.st_mode);
    if (!there) {
        *error = (cpl_error){.code = CPL_E_FILE, .row = -1};
        snprintf(error->message, sizeof error->message, "there is no folder to save it in");
    }
    bool done = there && cpl_text_set(&layout->directory, folder, error);
    free(folder);
    if (done) return layout;
out:
    cpl_layout_free(layout);
    return NULL;
}

static bool terminal_is_there(void) {
    const char *type = getenv("TERM");
    const char *instead = "\"couplet render LAYOUT -o OUT.png\" makes a picture without one";
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return say("the editor needs a terminal on standard input and output; %s", instead), false;
    if (!type || !*type || strcmp(type, "dumb") == 0)
        return say("the editor cannot draw on a terminal of type \"%s\" (TERM); %s", type ? type : "", instead), false;
    return true;
}

int command_edit(const arguments *a) {
    const char *path = a->operand[0];
    cpl_error error = {0};
    struct stat found;
    bool there = path && !(stat(path, &found) != 0 && errno == ENOENT);
    cpl_layout *layout = there ? cpl_layout_load(path, &error) : new_layout(path, &error);
    cpl_error notice = {0};
    if (layout) { /* which may not have been taken over whole */
        notice = error;
        error = (cpl_error){0};
    }
    if (!layout || !override_layout(layout, a, &error)) {
        cpl_layout_free(layout);
        return path ? say_problem(path, &error, false) : say("%s", error.message);
    }
    if (!terminal_is_there()) {
        cpl_layout_free(layout);
        return 1;
    }
    script *keys = a->keys ? script_open(a->keys, &error) : NULL;
    if (a->keys && !keys) {
        cpl_layout_free(layout);
        return say("%s", error.message);
    }
    editor_options options = {
        .path = there && convert_is_foreign(path) ? NULL : path,
        .layout = layout,
        .notice = notice.message,
        .session = {.device = a->device,
                    .precision = a->precision,
                    .tokenizer = a->tokenizer,
                    .lora_dir = a->lora_dir,
                    .embedding_dir = a->embedding_dir,
                    .threads = a->threads,
                    .vae_tile = a->vae_tile,
                    .cache_bytes = (uint64_t)a->cache_bytes,
                    .pool_bytes = (uint64_t)a->pool_bytes,
                    .vram_bytes = (uint64_t)a->vram},
        .color = (color_choice)a->color,
        .theme = (theme_choice)a->theme,
        .generate = a->generate,
        .script = keys,
    };
    return editor_run(&options);
}
