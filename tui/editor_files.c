/* editor_files.c: what the editor reads and writes: layouts, pictures, the autosave when a signal ends it, statistics. */
#include "editor_ui.h"

#include "convert.h"
#include "folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *a, const char *b, const char *c) {
    char *text = NULL;
    return asprintf(&text, "%s%s%s", a, b, c) < 0 ? NULL : text;
}

static bool is_there(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A file that is there is only replaced when its name is given twice, the layout's own one too: what is written may be a
 * picture. Saving is what may write over that. */
bool editor_may_replace(editor *e, const char *path) {
    if (!is_there(path)) return true;
    if (e->overwrite && !strcmp(e->overwrite, path)) return true;
    free(e->overwrite);
    e->overwrite = strdup(path);
    editor_say(e, TONE_ERROR, "%s is there already: the same again replaces it", path);
    return false;
}

static bool is_ours(const editor *e, const char *path) { return e->path && same_file(path, e->path); }

static file_mark mark_of(const char *path) {
    struct stat info;
    if (!path || stat(path, &info) != 0) return (file_mark){0};
    return (file_mark){(uint64_t)info.st_dev, (uint64_t)info.st_ino, (int64_t)info.st_size,
                       (int64_t)info.st_mtim.tv_sec, (int64_t)info.st_mtim.tv_nsec};
}

void editor_mark_file(editor *e) { e->on_disk = mark_of(e->path); }

/* What somebody else wrote into the layout's file meanwhile would be lost without a word. A file that is gone is written
 * anew. */
static bool may_save(editor *e, const char *path) {
    const file_mark now = mark_of(e->path), *then = &e->on_disk;
    bool same = now.device == then->device && now.inode == then->inode && now.bytes == then->bytes &&
                now.changed_s == then->changed_s && now.changed_ns == then->changed_ns;
    if (same || !now.inode || (e->overwrite && !strcmp(e->overwrite, path))) return true;
    free(e->overwrite);
    e->overwrite = strdup(path);
    editor_say(e, TONE_ERROR, "%s was changed by another program: saving again replaces it, \":e! %s\" reads it", path,
               path);
    return false;
}

/* Takes the layout over as it was written. */
static void adopt(editor *e, cpl_layout *written, const char *path) {
    char *copy = strdup(path);
    if (copy) {
        free(e->path);
        e->path = copy;
        state_commit(&e->state, written, false, NULL);
    } else {
        cpl_layout_free(written);
    }
}

static bool write_layout(editor *e, const char *path) {
    cpl_error error = {0};
    char *folder = folders_of(path);
    cpl_layout *moved = convert_move(e->state.layout, folder, &error);
    free(folder);
    /* Killed behind the save, an older journal would be offered: so it is as new as the file, and then gone. */
    if (e->state.dirty) editor_journal_flush(e);
    if (!moved || !cpl_layout_save(moved, path, &error)) {
        cpl_layout_free(moved);
        editor_say_error(e, &error);
        return false;
    }
    bool settled = !cpl_layout_equal(moved, e->state.layout);
    adopt(e, moved, path);
    state_saved(&e->state);
    editor_mark_file(e);
    if (e->overwrite && !strcmp(e->overwrite, path)) free(e->overwrite), e->overwrite = NULL; /* it was for once */
    editor_journal_flush(e);
    editor_sync(e, CPL_SYNC_NOW);
    editor_say(e, TONE_INFO, settled ? "saved %s: what it names is found from there too" : "saved %s", path);
    return true;
}

bool editor_save(editor *e, const char *wanted) {
    char *path = folders_expand(wanted ? wanted : e->path ? e->path : "");
    bool done = false;
    if (!path || !*path)
        editor_say(e, TONE_ERROR, "a file needs a name: type one, or Esc");
    else if (!wanted || is_ours(e, path) ? may_save(e, path) : editor_may_replace(e, path))
        done = write_layout(e, path);
    free(path);
    return done;
}

bool editor_open(editor *e, const char *wanted) {
    cpl_error error = {0};
    char *path = folders_expand(wanted);
    cpl_layout *layout = path ? cpl_layout_load(path, &error) : NULL;
    editor_state fresh;
    if (!layout || !state_start(&fresh, layout, &error)) {
        editor_say_error(e, &error);
        free(path);
        return false;
    }
    editor_place_keep(e);
    fresh.step = e->state.step;
    fresh.latent = e->state.latent;
    e->zoom = (zoom){0};
    e->brush.down = e->brush.anchored = e->brush.drawing = false;
    e->drag = (drag_status){0};
    state_clear(&e->state);
    e->state = fresh;
    e->table_top = 0;
    bool foreign = convert_is_foreign(path);
    free(e->path);
    e->path = foreign ? NULL : path;
    editor_mark_file(e);
    editor_edited(e);
    editor_place_restore(e);
    if (*error.message)
        editor_say(e, TONE_WARNING, "%s", error.message);
    else
        editor_say(e, TONE_INFO, foreign ? "opened the layout in %s, which has no file of its own yet" : "opened %s",
                   path);
    editor_recover_ask(e);
    if (foreign) free(path);
    return true;
}

/* A file named from the working directory, as the layout finds it: by the rest of its path below the layout's folder, else by
 * the whole. What is not there is left as it was typed: it may be meant from the layout's folder. */
char *editor_as_layout_finds(const editor *e, const char *typed) {
    char *expanded = folders_expand(typed), *whole = NULL, *home = NULL, *named = NULL;
    const char *directory = e->state.layout->directory;
    if (expanded && access(expanded, F_OK) == 0) whole = folders_whole(expanded);
    if (whole) home = realpath(directory ? directory : ".", NULL);
    size_t length = home ? strlen(home) : 0;
    if (length > 1 && !strncmp(whole, home, length) && whole[length] == '/')
        named = strdup(whole + length + 1);
    else
        named = strdup(whole ? whole : expanded ? expanded : typed);
    free(home);
    free(whole);
    free(expanded);
    return named;
}

char *editor_picture_path(const editor *e) {
    if (!e->path) return strdup("couplet.png");
    size_t length = strlen(e->path);
    if (length > 5 && !strcmp(e->path + length - 5, ".json")) length -= 5;
    char *path = NULL;
    return asprintf(&path, "%.*s.png", (int)length, e->path) < 0 ? NULL : path;
}

bool editor_write_picture(editor *e, const char *wanted) {
    const cpl_event *made = editor_result(e);
    if (!made) {
        editor_say(e, TONE_ERROR, "there is no picture to write yet: g makes one");
        return false;
    }
    cpl_error error = {0};
    char *path = folders_expand(wanted);
    bool done = path && *path && editor_may_replace(e, path);
    if (done) {
        done = cpl_image_write_png(made->image, path, made->texts, made->text_count, &error);
        if (done)
            editor_say(e, TONE_INFO, "wrote %s, %dx%d pixels", path, made->image->width, made->image->height);
        else
            editor_say_error(e, &error);
    } else if (!path || !*path) {
        editor_say(e, TONE_ERROR, "a file needs a name: type one, or Esc");
    }
    free(path);
    return done;
}

/* ---- State folder ---- */

static bool autosave_to(editor *e, const cpl_layout *now, char *path, cpl_error *error) {
    bool done = path && convert_write(now, path, NULL, error);
    if (done)
        snprintf(e->farewell + strlen(e->farewell), sizeof e->farewell - strlen(e->farewell),
                 "couplet: unsaved changes are kept in %.400s\n", path);
    free(path);
    return done;
}

/* Without a journal: beside the file, else in the state folder. */
static bool autosave(editor *e, const cpl_layout *now, cpl_error *error) {
    if (e->path && autosave_to(e, now, join(e->path, ".autosave", ""), error)) return true;
    char name[64];
    snprintf(name, sizeof name, "couplet-%ld.autosave.json", (long)getpid());
    return autosave_to(e, now, folders_state(name), error);
}

void editor_autosave(editor *e) {
    cpl_error error = {0};
    bool unsaved;
    /* What is being typed and painted counts too. */
    cpl_layout *now = editor_unsaved(e, &unsaved, &error);
    if (now && !unsaved) {
        cpl_layout_free(now);
        return;
    }
    if (editor_journal_flush(e)) {
        e->keep_journal = true;
        if (e->path)
            snprintf(e->farewell, sizeof e->farewell,
                     "couplet: unsaved changes are kept: \"couplet %.400s\" offers them\n", e->path);
        else
            snprintf(e->farewell, sizeof e->farewell, "couplet: unsaved changes are kept: \"couplet\" offers them\n");
    } else if (!now || !autosave(e, now, &error)) {
        snprintf(e->farewell, sizeof e->farewell, "couplet: unsaved changes could not be kept: %.500s\n",
                 error.message[0] ? error.message : "there is no folder for them");
    }
    cpl_layout_free(now);
}

void editor_write_stats(editor *e) {
    e->stats_ms = editor_clock_ms();
    cpl_stats stats = {0};
    cpl_session_stats(e->session, &stats);
    char *text = cpl_stats_print(&stats, NULL), *path = text ? folders_state("stats.json") : NULL;
    if (path) folders_write(path, text);
    free(path);
    free(text);
}
