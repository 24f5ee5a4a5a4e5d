/* command_render.c: `couplet render`: one run of the core without a screen, and its PNG. Signals are held back except
 * while it waits for the core, so that a file is written whole or not at all. */
#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "convert.h"
#include "folders.h"
#include "problems.h"
#include "progress.h"

typedef struct render {
    const arguments *arguments; /* borrowed */
    const char *file;           /* borrowed: the layout's name as typed */
    cpl_layout *layout;         /* owned */
    cpl_session *session;       /* owned */
    progress bar;
    bool finished;
    int written; /* pictures */
    int status;
} render;

/* ---- Signals ----------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void catch_signal(int number) { caught = number; }

/* Blocks what ends a run and installs the handler; one that the caller ignores (nohup) stays ignored. A second one during
 * the wait ends the program at once. `before` is the mask to wait with. */
static void hold_signals(sigset_t *before) {
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t held;
    sigemptyset(&held);
    caught = 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct sigaction now, mine = {.sa_handler = catch_signal, .sa_flags = (int)SA_RESETHAND};
        sigemptyset(&mine.sa_mask);
        if (sigaction(ends[i], NULL, &now) != 0 || now.sa_handler == SIG_IGN) continue;
        sigaction(ends[i], &mine, NULL);
        sigaddset(&held, ends[i]);
    }
    pthread_sigmask(SIG_BLOCK, &held, before);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) sigdelset(before, ends[i]);
}

/* Ends as the signal would have ended the program, so that a shell's loop stops too. */
static void end_by_signal(const sigset_t *before) {
    signal(caught, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, before, NULL);
    raise(caught);
}

/* ---- The run ----------------------------------------------------------------------------------------------- */

/* Minutes of work should not end in a folder that is not there. What is replaced by renaming needs its folder, whatever is
 * written in place only itself. */
static bool can_write(const char *path, bool renamed) {
    struct stat found;
    bool is_there = stat(path, &found) == 0;
    int number = errno;
    bool needs_folder = !is_there || (renamed && S_ISREG(found.st_mode));
    char *real = realpath(path, NULL), *copy = real ? real : strdup(path);
    const char *folder = copy ? dirname(copy) : ".";
    const char *why = NULL;
    if (is_there && S_ISDIR(found.st_mode))
        why = "it is a folder";
    else if (!is_there && number != ENOENT) /* such as a name that is too long */
        why = strerror(number);
    else if (!is_there && *path && path[strlen(path) - 1] == '/')
        why = "there is no such folder, and the name of the file is missing";
    if (!why && is_there && access(path, W_OK) != 0) why = strerror(errno);
    if (!why && needs_folder && access(folder, W_OK) != 0) why = strerror(errno);
    if (why) say("cannot write %s: %s", path, why);
    free(copy);
    return !why;
}

/* The name that was asked for, or of several pictures NAME-1.png and so on. Caller frees; NULL without memory. */
static char *picture_path(const char *output, int picture, int pictures) {
    const char *base = strrchr(output, '/'), *dot = strrchr(base ? base + 1 : output, '.');
    char *path = NULL;
    int stem = (int)(dot && dot > (base ? base + 1 : output) ? (size_t)(dot - output) : strlen(output));
    if (pictures <= 1) return strdup(output);
    return asprintf(&path, "%.*s-%d%s", stem, output, picture, output + stem) < 0 ? NULL : path;
}

static bool can_write_pictures(const char *output, int pictures) {
    bool can = true;
    for (int i = 1; can && i <= (pictures > 1 ? pictures : 1); i++) {
        char *path = picture_path(output, i, pictures);
        can = path ? can_write(path, true) : (say("out of memory"), false);
        free(path);
    }
    return can;
}

/* A slip of a name is not to cost the layout. A picture that is rendered again from the layout inside it holds that again. */
static bool can_write_all(const arguments *a, int pictures) {
    const char *layout = a->operand[0], *stats = a->stats && strcmp(a->stats, "-") != 0 ? a->stats : NULL;
    if (folders_same_file(a->output, layout) && !convert_is_picture(layout))
        return say("%s is the layout itself; name another file for the picture", a->output), false;
    if (stats && folders_same_file(stats, layout))
        return say("--stats: %s is the layout itself; name another file", stats), false;
    if (stats && (strcmp(stats, a->output) == 0 || folders_same_file(stats, a->output)))
        return say("--stats: %s is the picture; name another file", stats), false;
    return can_write_pictures(a->output, pictures) && (!stats || can_write(stats, false));
}

static void log_line(void *user, const char *message) {
    render *r = user;
    if (!r->arguments->quiet) progress_note(&r->bar, "couplet", message);
}

static bool write_stats(render *r) {
    const char *path = r->arguments->stats;
    cpl_error error = {0};
    cpl_stats stats;
    cpl_session_stats(r->session, &stats);
    char *json = cpl_stats_print(&stats, &error);
    if (!json) return say("%s", error.message), false;
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *file = to_stdout ? stdout : fopen(path, "w");
    bool done = file && fprintf(file, "%s\n", json) >= 0;
    if (file && !to_stdout) done = fclose(file) == 0 && done;
    free(json);
    if (!done) say("cannot write %s: %s", path, strerror(errno));
    return done;
}

static bool write_picture(render *r, const cpl_event *event) {
    const arguments *a = r->arguments;
    cpl_error error = {0};
    char *path = picture_path(a->output, event->picture, event->pictures);
    if (!path) return say("out of memory"), false;
    bool done = cpl_image_write_png(event->image, path, event->texts, event->text_count, &error);
    bool stdout_is_taken = a->stats && strcmp(a->stats, "-") == 0;
    if (!done)
        say("%s", error.message);
    else if (!a->quiet && !stdout_is_taken)
        print_path(path);
    r->written += done;
    free(path);
    return done;
}

static void finish(render *r, const cpl_event *event) {
    const arguments *a = r->arguments;
    progress_clear(&r->bar);
    bool done = write_picture(r, event);
    r->finished = !done || event->picture == event->pictures;
    if (!done)
        r->status = 1;
    else if (r->finished && a->stats && !write_stats(r))
        r->status = 1;
}

static void fail(render *r, const cpl_event *event) {
    progress_stop(&r->bar);
    r->finished = true;
    if (event->type == CPL_EVENT_CANCELLED && r->written)
        r->status = say("cancelled, %d of %d pictures written", r->written, r->layout->sampling.batch);
    else if (event->type == CPL_EVENT_CANCELLED)
        r->status = say("cancelled, nothing written");
    else if (event->type == CPL_EVENT_INVALID || *event->error.path)
        r->status = say_problem(r->file, &event->error, false);
    else
        r->status = say("%s", event->error.message);
}

static void take_event(render *r, const cpl_event *event) {
    char note[64];
    switch (event->type) {
    case CPL_EVENT_SYNCED:
        if (!r->arguments->quiet) say_line_warnings(r->file, r->layout, event);
        break;
    case CPL_EVENT_STARTED:
        if (r->layout->sampling.seed == CPL_SEED_RANDOM && !r->arguments->quiet) {
            snprintf(note, sizeof note, "seed %lld", (long long)event->seed);
            progress_note(&r->bar, "couplet", note);
        }
        progress_step(&r->bar, 0, event->steps, 0);
        break;
    case CPL_EVENT_PROGRESS:
        if (event->fraction > 0)
            progress_decoding(&r->bar, event->fraction);
        else
            progress_step(&r->bar, event->step, event->steps, event->ms);
        break;
    case CPL_EVENT_FINISHED:
        finish(r, event);
        break;
    case CPL_EVENT_CANCELLED:
    case CPL_EVENT_INVALID:
    case CPL_EVENT_FAILED:
        fail(r, event);
        break;
    case CPL_EVENT_LOADING:
        progress_loading(&r->bar, event->fraction);
        break;
    case CPL_EVENT_READY:
    case CPL_EVENT_PREVIEW:
        break;
    }
}

static void follow(render *r, const sigset_t *waiting) {
    bool cancelled = false;
    while (!r->finished) {
        struct pollfd events = {.fd = cpl_session_fd(r->session), .events = POLLIN};
        if (ppoll(&events, 1, NULL, waiting) < 0 && errno != EINTR) {
            r->status = say("cannot wait for the core: %s", strerror(errno));
            return;
        }
        if (caught && !cancelled) cpl_session_cancel(r->session);
        cancelled |= caught != 0;
        cpl_event event;
        while (!r->finished && cpl_session_next(r->session, &event)) {
            take_event(r, &event);
            cpl_event_clear(&event);
        }
    }
}

static void run(render *r, const sigset_t *waiting) {
    const arguments *a = r->arguments;
    cpl_options options = {.device = a->device,
                           .precision = a->precision,
                           .tokenizer = a->tokenizer,
                           .lora_dir = a->lora_dir,
                           .embedding_dir = a->embedding_dir,
                           .dump = a->dump,
                           .threads = a->threads,
                           .vae_tile = a->vae_tile,
                           .cache_bytes = (uint64_t)a->cache_bytes,
                           .pool_bytes = (uint64_t)a->pool_bytes,
                           .vram_bytes = (uint64_t)a->vram,
                           .preview_every = -1,
                           .log = log_line,
                           .log_user = r};
    cpl_error error = {0};
    progress_start(&r->bar, a->quiet);
    r->session = cpl_session_new(&options, &error);
    if (!r->session || !cpl_session_sync(r->session, r->layout, CPL_SYNC_NOW, NULL, &error)) {
        r->status = *error.path ? say_problem(r->file, &error, false) : say("%s", error.message);
    } else {
        cpl_session_generate(r->session);
        follow(r, waiting);
    }
    cpl_session_free(r->session);
    progress_stop(&r->bar);
}

/* Told before a large model is loaded for nothing. */
static bool additions_fit(const render *r, const cpl_model_info *model) {
    cpl_error error = {0};
    return (cpl_layout_check_loras(r->layout, r->arguments->lora_dir, model, &error) &&
            cpl_layout_check_embeddings(r->layout, r->arguments->embedding_dir, model, &error)) ||
           (say_problem(r->file, &error, false), false);
}

int command_render(const arguments *a) {
    render r = {.arguments = a, .file = a->operand[0]};
    cpl_model_info info;
    sigset_t waiting;
    r.layout = open_layout(a);
    bool ready = r.layout && open_defaults(a, r.layout, &info) &&
                 say_layout_problems(r.file, r.layout, &info.defaults, a->quiet) && additions_fit(&r, &info) &&
                 can_write_all(a, r.layout->sampling.batch);
    if (!ready) {
        cpl_layout_free(r.layout);
        return 1;
    }
    hold_signals(&waiting);
    run(&r, &waiting);
    cpl_layout_free(r.layout);
    fflush(NULL);
    if (caught && r.status) end_by_signal(&waiting);
    return r.status;
}
