/* asset_index.c: the folders of small files that go with checkpoints: the one that an option or a variable names, the user's
 * data folder, and where the trees of Forge and ComfyUI keep them beside their checkpoints. A name is a file's without its
 * ending, or what its metadata calls it. What is in a file is not looked at here. */
#include "asset_index.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../memory/alloc.h"
#include "../memory/unicode.h"
#include "safetensors.h"

enum { MAX_DEPTH = 8, MAX_FILES = 50000, NAME_ROOM = 128, NEAR = 3 };

typedef struct asset_file {
    char *path;           /* owned */
    const char *relative; /* in path: behind the folder that was searched */
    char *title;          /* owned: what its metadata calls it, or NULL */
} asset_file;

typedef struct asset_folder {
    char *path;         /* owned */
    struct stat status; /* st_ino 0: it was not there */
    bool searched;      /* one of those that messages name, not a folder inside of one */
} asset_folder;

typedef struct asset_identity {
    char *path; /* owned */
    struct stat status;
    uint64_t identity;
} asset_identity;

struct cpl_asset_index {
    const cpl_asset_kind *kind;
    char *folder;      /* owned, NULL: none was named */
    char *model_path;  /* owned: of the last search, NULL: none was made */
    asset_file *files; /* owned, sorted by path within a folder */
    asset_folder *folders;
    asset_identity *identities;
    int count, room, folder_count, folder_room, identity_count, identity_room;
    bool titles; /* the metadata was read */
    time_t searched_at;
    unsigned searches;
};

/* models/Stable-diffusion/x.safetensors and models/Lora in Forge, models/checkpoints and models/loras in ComfyUI. */
const cpl_asset_kind cpl_lora_assets = {
    .noun = "LoRA",
    .option = "--lora-dir",
    .variable = "COUPLET_LORA_DIR",
    .data_folder = "loras",
    .title = "ss_output_name",
    .beside = (const char *const[]){"../Lora", "../loras", NULL},
    .endings = (const char *const[]){".safetensors", ".pt", ".ckpt", NULL},
};

/* models/Stable-diffusion/x.safetensors and embeddings beside models in Forge, models/checkpoints and models/embeddings in
 * ComfyUI. */
const cpl_asset_kind cpl_embedding_assets = {
    .noun = "embedding",
    .option = "--embeddings-dir",
    .variable = "COUPLET_EMBEDDINGS_DIR",
    .data_folder = "embeddings",
    .beside = (const char *const[]){"../../embeddings", "../embeddings", NULL},
    .endings = (const char *const[]){".safetensors", ".pt", ".bin", NULL},
};

cpl_asset_index *cpl_asset_index_new(const cpl_asset_kind *kind, const char *folder, cpl_error *error) {
    cpl_asset_index *index = cpl_alloc(1, sizeof *index, error);
    const char *from = folder ? folder : getenv(kind->variable);
    if (!index) return NULL;
    index->kind = kind;
    if (!from || !*from || cpl_text_set(&index->folder, from, error)) return index;
    free(index);
    return NULL;
}

static void forget(cpl_asset_index *index) {
    for (int i = 0; i < index->count; i++) {
        free(index->files[i].path);
        free(index->files[i].title);
    }
    for (int i = 0; i < index->folder_count; i++) free(index->folders[i].path);
    index->count = index->folder_count = 0;
    index->titles = false;
    free(index->model_path);
    index->model_path = NULL;
}

void cpl_asset_index_free(cpl_asset_index *index) {
    if (!index) return;
    forget(index);
    for (int i = 0; i < index->identity_count; i++) free(index->identities[i].path);
    free(index->identities);
    free(index->files);
    free(index->folders);
    free(index->folder);
    free(index);
}

/* ---- Searching ---- */

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool is_of_kind(const cpl_asset_kind *kind, const char *name) {
    size_t length = strlen(name);
    for (const char *const *ending = kind->endings; *ending; ending++) {
        size_t size = strlen(*ending);
        if (*name != '.' && length > size && strcmp(name + length - size, *ending) == 0) return true;
    }
    return false;
}

static bool add_file(cpl_asset_index *index, char *path, size_t base, cpl_error *error) {
    if (index->count < MAX_FILES &&
        cpl_grow((void **)&index->files, &index->room, index->count + 1, sizeof *index->files, error)) {
        index->files[index->count++] = (asset_file){.path = path, .relative = path + base};
        return true;
    }
    free(path);
    return index->count >= MAX_FILES; /* what is beyond is not found, which is told as such */
}

/* Whether a link leads back to a folder that it lies in, and on and on. */
static bool leads_back(const cpl_asset_index *index, const char *path, const struct stat *status) {
    for (int i = 0; i < index->folder_count; i++) {
        const asset_folder *f = &index->folders[i];
        size_t length = strlen(f->path);
        if (f->status.st_dev == status->st_dev && f->status.st_ino == status->st_ino &&
            strncmp(path, f->path, length) == 0 && path[length] == '/')
            return true;
    }
    return false;
}

/* `base`: length of the searched folder's path with its slash. A folder that cannot be read is as good as none. */
static bool search_folder(cpl_asset_index *index, const char *path, size_t base, int depth, cpl_error *error) {
    struct dirent **list = NULL;
    struct stat status = {0};
    bool there = stat(path, &status) == 0 && S_ISDIR(status.st_mode), done = true;
    if (!there) status = (struct stat){0};
    if (!cpl_grow((void **)&index->folders, &index->folder_room, index->folder_count + 1, sizeof *index->folders,
                  error))
        return false;
    char *copy = cpl_strdup(path, error);
    if (!copy) return false;
    index->folders[index->folder_count++] = (asset_folder){copy, status, depth == 0};
    int count = there ? scandir(path, &list, NULL, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        char *inner = done ? cpl_format(error, "%s/%s", path, list[i]->d_name) : NULL;
        struct stat found;
        bool hidden = list[i]->d_name[0] == '.';
        done = done && inner;
        if (done && !hidden && is_of_kind(index->kind, list[i]->d_name)) {
            done = add_file(index, inner, base, error);
            inner = NULL;
        } else if (done && !hidden && depth < MAX_DEPTH && stat(inner, &found) == 0 && S_ISDIR(found.st_mode) &&
                   !leads_back(index, inner, &found)) {
            done = search_folder(index, inner, base, depth + 1, error);
        }
        free(inner);
        free(list[i]);
    }
    free(list);
    return done;
}

static bool search(cpl_asset_index *index, char *folder, cpl_error *error) {
    bool done = folder && search_folder(index, folder, strlen(folder) + 1, 0, error);
    free(folder);
    return done;
}

/* By the XDG rules a relative path there does not count. */
static bool search_data_folder(cpl_asset_index *index, cpl_error *error) {
    const char *base = getenv("XDG_DATA_HOME"), *home = getenv("HOME"), *name = index->kind->data_folder;
    if (base && *base == '/') return search(index, cpl_format(error, "%s/couplet/%s", base, name), error);
    return !home || *home != '/' || search(index, cpl_format(error, "%s/.local/share/couplet/%s", home, name), error);
}

static bool search_beside(cpl_asset_index *index, const char *model_path, cpl_error *error) {
    const char *slash = strrchr(model_path, '/');
    bool done = true;
    for (const char *const *name = index->kind->beside; done && *model_path && *name; name++) {
        struct stat found;
        char *folder =
            cpl_format(error, "%.*s/%s", slash ? (int)(slash - model_path) : 1, slash ? model_path : ".", *name);
        if (folder && stat(folder, &found) != 0)
            free(folder);
        else
            done = search(index, folder, error);
    }
    return done;
}

/* A folder's time is told in steps of the kernel's clock: one that changed just before the search may change again unseen. */
static bool is_fresh(const cpl_asset_index *index, const char *model_path) {
    struct stat now;
    if (!index->model_path || strcmp(index->model_path, model_path) != 0) return false;
    for (int i = 0; i < index->folder_count; i++) {
        const asset_folder *f = &index->folders[i];
        bool there = stat(f->path, &now) == 0 && S_ISDIR(now.st_mode);
        if (there != (f->status.st_ino != 0)) return false;
        if (there && (!same_file(&now, &f->status) || now.st_mtim.tv_sec + 1 >= index->searched_at)) return false;
    }
    return true;
}

bool cpl_asset_index_refresh(cpl_asset_index *index, const char *model_path, cpl_error *error) {
    if (is_fresh(index, model_path)) return true;
    forget(index);
    index->searched_at = time(NULL);
    index->searches++;
    bool done = (!index->folder || search(index, cpl_strdup(index->folder, error), error)) &&
                search_data_folder(index, error) && search_beside(index, model_path, error) &&
                cpl_text_set(&index->model_path, model_path, error);
    if (!done) forget(index);
    return done;
}

/* ---- Names ---- */

/* Bytes of a file's name without its ending. */
static size_t stem_length(const char *relative) {
    const char *dot = strrchr(relative, '.');
    return dot ? (size_t)(dot - relative) : strlen(relative);
}

static bool stem_is(const char *relative, const char *name) {
    size_t length = stem_length(relative);
    return strlen(name) == length && memcmp(relative, name, length) == 0;
}

/* A copy for suggestions, which may end early: it is never what a name is looked up by. */
static void stem_of(const char *relative, char stem[NAME_ROOM]) {
    size_t length = stem_length(relative);
    snprintf(stem, NAME_ROOM, "%.*s", (int)cpl_utf8_fit(relative, length < NAME_ROOM ? length : NAME_ROOM - 1),
             relative);
}

static const char *base_name(const char *relative) {
    const char *slash = strrchr(relative, '/');
    return slash ? slash + 1 : relative;
}

/* Metadata is read once for all files, and only when no file has the name. */
static bool read_titles(cpl_asset_index *index, cpl_error *error) {
    for (int i = 0; index->kind->title && !index->titles && i < index->count; i++) {
        cpl_safetensors *st = cpl_safetensors_open(index->files[i].path, NULL);
        const char *title = st ? cpl_safetensors_metadata(st, index->kind->title) : NULL;
        bool kept = !title || cpl_text_set(&index->files[i].title, title, error);
        cpl_safetensors_close(st);
        if (!kept) return false;
    }
    index->titles = true;
    return true;
}

static const char *find_file(const cpl_asset_index *index, const char *name) {
    for (int i = 0; i < index->count; i++) {
        const char *relative = index->files[i].relative, *base = base_name(relative);
        if (strcmp(relative, name) == 0 || strcmp(base, name) == 0 || stem_is(base, name) || stem_is(relative, name))
            return index->files[i].path;
    }
    for (int i = 0; i < index->count; i++)
        if (index->files[i].title && strcmp(index->files[i].title, name) == 0) return index->files[i].path;
    return NULL;
}

/* Edits from `a` to `b`, letters of either case alike. */
static int distance(const char *a, const char *b) {
    int row[NAME_ROOM + 1], width = (int)strlen(b);
    if (width >= NAME_ROOM || strlen(a) >= NAME_ROOM) return NAME_ROOM;
    for (int j = 0; j <= width; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= width; j++) {
            int best = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[width];
}

/* Names that contain each other are near, however long the rest is. */
static int how_far(const char *name, const char *stem) {
    int edits = distance(name, stem);
    if (strlen(name) >= 3 && (strcasestr(stem, name) || (strlen(stem) >= 3 && strcasestr(name, stem))))
        return edits < 1 ? edits : 1;
    return edits;
}

static void list_near(const cpl_asset_index *index, const char *name, char *text, size_t size) {
    int best[NEAR], at[NEAR], count = 0, limit = 1 + (int)strlen(name) / 3;
    for (int i = 0; i < index->count; i++) {
        char stem[NAME_ROOM];
        stem_of(base_name(index->files[i].relative), stem);
        int far = how_far(name, stem), k;
        if (far > limit || (count == NEAR && far >= best[NEAR - 1])) continue;
        if (count < NEAR) count++;
        for (k = count - 1; k > 0 && best[k - 1] > far; k--) best[k] = best[k - 1], at[k] = at[k - 1];
        best[k] = far;
        at[k] = i;
    }
    text[0] = '\0';
    for (int k = 0; k < count; k++) {
        char stem[NAME_ROOM];
        size_t used = strlen(text);
        stem_of(base_name(index->files[at[k]].relative), stem);
        snprintf(text + used, size - used, "%s\"%.*s\"",
                 !k               ? "; did you mean "
                 : k + 1 == count ? " or "
                                  : ", ",
                 (int)cpl_utf8_fit(stem, 60), stem);
    }
}

static bool unknown(const cpl_asset_index *index, const char *name, cpl_error *error) {
    char folders[260] = "", near[240];
    for (int i = 0; i < index->folder_count; i++) {
        size_t used = strlen(folders);
        if (index->folders[i].searched && index->folders[i].status.st_ino)
            snprintf(folders + used, sizeof folders - used, "%s%.120s", used ? ", " : "", index->folders[i].path);
    }
    list_near(index, name, near, sizeof near);
    int shown = (int)cpl_utf8_fit(name, 80);
    const cpl_asset_kind *kind = index->kind;
    if (!*folders)
        return cpl_fail(error, CPL_E_INPUT, "there is no %s \"%.*s\", nor a folder with any; name one by %s or %s",
                        kind->noun, shown, name, kind->option, kind->variable);
    return cpl_fail(error, CPL_E_INPUT, "there is no %s \"%.*s\" in %s%s%s", kind->noun, shown, name, folders, near,
                    *near ? "?" : "");
}

const char *cpl_asset_index_find(cpl_asset_index *index, const char *name, const char *model_path, cpl_error *error) {
    if (!cpl_asset_index_refresh(index, model_path, error)) return NULL;
    const char *path = find_file(index, name);
    if (!path && !index->titles) {
        if (!read_titles(index, error)) return NULL;
        path = find_file(index, name);
    }
    if (!path) unknown(index, name, error);
    return path;
}

/* ---- All files ---- */

unsigned cpl_asset_index_searches(const cpl_asset_index *index) { return index->searches; }
int cpl_asset_index_count(const cpl_asset_index *index) { return index->count; }
const char *cpl_asset_index_path(const cpl_asset_index *index, int file) { return index->files[file].path; }

char *cpl_asset_index_name(const cpl_asset_index *index, int file, cpl_error *error) {
    const char *base = base_name(index->files[file].relative);
    return cpl_strndup(base, stem_length(base), error);
}

/* ---- Identity ---- */

static asset_identity *remembered(cpl_asset_index *index, const char *path, cpl_error *error) {
    for (int i = 0; i < index->identity_count; i++)
        if (strcmp(index->identities[i].path, path) == 0) return &index->identities[i];
    if (!cpl_grow((void **)&index->identities, &index->identity_room, index->identity_count + 1,
                  sizeof *index->identities, error))
        return NULL;
    char *copy = cpl_strdup(path, error);
    if (!copy) return NULL;
    index->identities[index->identity_count] = (asset_identity){.path = copy};
    return &index->identities[index->identity_count++];
}

bool cpl_asset_index_identity(cpl_asset_index *index, const char *path, uint64_t *identity, cpl_error *error) {
    struct stat now;
    asset_identity *known = remembered(index, path, error);
    if (!known) return false;
    if (!known->status.st_ino || stat(path, &now) != 0 || !same_file(&now, &known->status)) {
        /* What is remembered must not be older than the file's time, so that is read first. */
        known->status = (struct stat){0};
        if (stat(path, &now) != 0) now = (struct stat){0};
        cpl_safetensors *st = cpl_safetensors_open(path, error);
        if (!st) return false;
        known->identity = cpl_safetensors_identity(st);
        known->status = now;
        cpl_safetensors_close(st);
    }
    *identity = known->identity;
    return true;
}
