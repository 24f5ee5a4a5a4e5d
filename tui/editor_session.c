/* editor_session.c: the editor's side of the core: hands the layout over after every edit, and turns the core's events
 * into what the screen shows. */
#include "editor_ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void editor_sync(editor *e, cpl_sync when) {
    cpl_ticket ticket = {0};
    cpl_error error = {0};
    if (!cpl_session_sync(e->session, e->state.layout, when, &ticket, &error)) {
        e->core.invalid = true;
        editor_say_error(e, &error);
        return;
    }
    if (ticket.revision != e->core.revision) e->core.invalid = false;
    e->core.revision = ticket.revision;
    e->core.hash = ticket.hash;
}

void editor_edited(editor *e) {
    editor_sync(e, CPL_SYNC_SETTLE);
    if (e->map) editor_show_map(e, true);
    editor_journal_touch(e);
    e->changed = true;
}

void editor_generate(editor *e) {
    /* The run takes just what is on screen, however short ago it was edited. */
    editor_sync(e, CPL_SYNC_NOW);
    e->core.requested = true;
    e->core.done = e->core.cancelled = e->core.failed = false;
    cpl_session_generate(e->session);
}

void editor_cancel(editor *e) {
    if (!e->core.running && !e->core.requested && !e->core.loading[0]) {
        editor_say(e, TONE_INFO, "nothing is running");
        return;
    }
    cpl_session_cancel(e->session);
}

void editor_set_live(editor *e, bool on) {
    e->live = on;
    cpl_session_live(e->session, on);
    if (on) editor_sync(e, CPL_SYNC_NOW);
}

bool editor_picture_current(const editor *e) { return e->results.count && editor_result(e)->hash == e->core.hash; }

static void read_backend(editor *e) {
    cpl_stats stats = {0};
    cpl_session_stats(e->session, &stats);
    snprintf(e->core.backend, sizeof e->core.backend, "%s %s", stats.backend, stats.precision);
    if (!stats.backend[0]) e->core.backend[0] = '\0';
}

#define MAP_SIDE 512

/* As it will be seen. Made of text cells its size does not matter, and without a canvas the map says why there is none. */
static void map_size(const editor *e, int *width, int *height) {
    const cpl_settings *canvas = &e->state.settings;
    if (preview_drawing_size(&e->preview, e->caps, canvas->width, canvas->height, width, height)) return;
    int most = canvas->width > canvas->height ? canvas->width : canvas->height;
    *width = most ? canvas->width * MAP_SIDE / most : 1;
    *height = most ? canvas->height * MAP_SIDE / most : 1;
    if (*width < 1) *width = 1;
    if (*height < 1) *height = 1;
}

void editor_show_map(editor *e, bool on) {
    cpl_error error = {0};
    e->map = false;
    if (!on) {
        editor_show_result(e);
        return;
    }
    int width, height;
    map_size(e, &width, &height);
    cpl_image *map = cpl_layout_map(e->state.layout, &e->state.defaults, width, height, theme_palette, &error);
    if (!map) {
        editor_say_error(e, &error);
        return;
    }
    preview_show_drawing(&e->preview, e->term, map);
    e->map = true;
}

/* ---- Events ---- */

static void on_loading(editor *e, cpl_event *event) {
    snprintf(e->core.loading, sizeof e->core.loading, "%s", event->model.name[0] ? event->model.name : "the model");
    e->core.fraction = event->fraction;
}

static void on_ready(editor *e, cpl_event *event) {
    snprintf(e->core.model, sizeof e->core.model, "%s", event->model.name);
    e->core.loading[0] = '\0';
    cpl_text_set(&e->core.ready, e->state.layout->sampling.model, NULL);
    e->core.was_ready = true;
    read_backend(e);
}

void editor_forget_lines(editor *e) {
    core_status *core = &e->core;
    for (int i = 0; core->line_prompts && i < core->line_count; i++) free(core->line_prompts[i]);
    free(core->line_prompts);
    free(core->lines);
    for (int i = 0; i < core->line_text_count; i++) free(core->line_texts[i].text);
    free(core->line_texts);
    core->line_texts = NULL;
    core->line_text_count = 0;
    core->line_prompts = NULL;
    core->lines = NULL;
    core->line_count = 0;
}

/* With the prompts that they are about: beside any other they would be wrong. */
static void take_lines(editor *e, cpl_event *event) {
    core_status *core = &e->core;
    editor_forget_lines(e);
    core->line_prompts = calloc((size_t)event->line_count + 1, sizeof *core->line_prompts);
    if (!core->line_prompts) return;
    core->lines = event->lines;
    core->line_count = event->line_count;
    for (int i = 0; i < core->line_count; i++) core->line_prompts[i] = strdup(state_prompt(&e->state, i));
    event->lines = NULL;
    event->line_count = 0;
    core->line_texts = event->line_texts;
    core->line_text_count = event->line_text_count;
    event->line_texts = NULL;
    event->line_text_count = 0;
}

static bool tells_of(const core_status *core, int line, const char *prompt) {
    return line < core->line_count && core->line_prompts[line] && !strcmp(core->line_prompts[line], prompt);
}

/* While the layout has a hole the core says nothing new of it, but what was said of the same words still holds, also for
 * copies and for rows that have moved. */
const cpl_line_info *editor_line_info(const editor *e, int row) {
    const char *prompt = state_prompt(&e->state, row);
    if (tells_of(&e->core, row, prompt)) return &e->core.lines[row];
    for (int i = 0; i < e->core.line_count; i++)
        if (tells_of(&e->core, i, prompt)) return &e->core.lines[i];
    return NULL;
}

/* Said once, not with every edit. */
static void take_note(core_status *core, editor *e, const cpl_event *event) {
    if (!strcmp(core->note, event->note)) return;
    memcpy(core->note, event->note, sizeof core->note);
    if (*core->note) editor_say(e, TONE_WARNING, "%s", core->note);
}

static void on_synced(editor *e, cpl_event *event) {
    core_status *core = &e->core;
    core->loading[0] = '\0';
    core->synced = event->revision;
    if (event->revision == core->revision) core->invalid = false;
    if (event->revision == core->revision) take_lines(e, event);
    take_note(core, e, event);
    read_backend(e);
}

static void on_started(editor *e, cpl_event *event) {
    core_status *core = &e->core;
    core->running = true;
    e->map = false;
    core->requested = core->done = core->cancelled = core->failed = false;
    core->step = 0;
    e->steps.last_step = 0;
    core->run_revision = event->revision;
    core->spliced = false;
    core->steps = event->steps;
    core->started_ms = editor_clock_ms();
}

static void on_progress(editor *e, cpl_event *event) {
    /* A run that goes on with a newer layout. */
    if (event->revision > e->core.run_revision && e->core.run_revision) e->core.spliced = true;
    editor_time_step(e, event);
    e->core.step = event->step;
    if (event->steps) e->core.steps = event->steps;
}

static void on_preview(editor *e, cpl_event *event) {
    int width, height;
    if (!event->image) return;
    cpl_settings_final_size(&e->state.settings, &width, &height);
    preview_show(&e->preview, e->term, event->image, true, width, height);
    event->image = NULL;
}

static void on_finished(editor *e, cpl_event *event) {
    core_status *core = &e->core;
    core->running = event->picture < event->pictures;
    core->requested = false;
    core->done = !core->running;
    core->step = 0;
    core->ms = event->ms;
    if (!event->steps) event->steps = core->steps;
    editor_results_add(e, event);
    if (!e->caps->sixel && !e->theme.colors)
        editor_say(e, TONE_INFO, "this terminal shows no colours: P writes the picture to a PNG file");
}

/* While a region is on its way there is often a hole, which is no mistake yet: only a run that wants to begin is held up. */
static void say_invalid(editor *e, const cpl_error *error, bool wanted) {
    int open = 100 - (int)(100 * e->state.coverage);
    bool hole = open > 0 && e->state.layout->uncovered == CPL_UNCOVERED_ERROR && !strcmp(error->path, "regions");
    tone tone_of_it = wanted || !hole ? TONE_ERROR : TONE_WARNING;
    /* The hatching and the title tell of a hole too: it does not take the place of an answer to the last key. */
    if (tone_of_it == TONE_WARNING && (e->tone == TONE_INFO || e->tone == TONE_ERROR)) return;
    if (hole && !e->state.count)
        editor_say(e, tone_of_it, "there is no region yet: n makes one");
    else if (hole)
        editor_say(e, tone_of_it, "%d %% of the canvas has no region: widen one, or f fills it", open);
    else
        editor_say_error(e, error);
}

/* The next edit would load it again, which is not what was asked for: the model before takes its place. */
static void loading_cancelled(editor *e) {
    cpl_error error = {0};
    e->core.loading[0] = '\0';
    if (!e->core.was_ready) {
        editor_say(e, TONE_WARNING, "loading was cancelled: g or the next edit loads the model again");
        return;
    }
    const char *before = e->core.ready ? e->core.ready : "";
    if (!state_set_setting(&e->state, SETTING_MODEL, before, &error)) {
        editor_say_error(e, &error);
        return;
    }
    editor_edited(e);
    editor_say(e, TONE_INFO, "loading was cancelled: the model is %s again", *before ? before : "builtin");
}

static void on_ended(editor *e, cpl_event *event) {
    core_status *core = &e->core;
    bool was_run = core->running || core->requested;
    core->running = core->requested = false;
    if (event->type == CPL_EVENT_CANCELLED && core->loading[0]) {
        loading_cancelled(e);
    } else if (event->type == CPL_EVENT_CANCELLED) {
        core->cancelled = was_run;
    } else if (event->type == CPL_EVENT_INVALID) {
        core->invalid = event->revision >= core->revision;
        core->fault = event->error;
        core->fault_revision = event->revision;
        core->loading[0] = '\0';
        say_invalid(e, &event->error, was_run);
    } else {
        core->failed = true;
        core->loading[0] = '\0';
        editor_say_error(e, &event->error);
    }
    if (e->preview.rough) editor_show_result(e);
}

void editor_events(editor *e) {
    typedef void handler(editor *, cpl_event *);
    static handler *const handle[] = {
        [CPL_EVENT_LOADING] = on_loading,   [CPL_EVENT_READY] = on_ready,       [CPL_EVENT_SYNCED] = on_synced,
        [CPL_EVENT_STARTED] = on_started,   [CPL_EVENT_PROGRESS] = on_progress, [CPL_EVENT_PREVIEW] = on_preview,
        [CPL_EVENT_FINISHED] = on_finished, [CPL_EVENT_CANCELLED] = on_ended,   [CPL_EVENT_INVALID] = on_ended,
        [CPL_EVENT_FAILED] = on_ended,
    };
    cpl_event event = {0};
    while (cpl_session_next(e->session, &event)) {
        if ((size_t)event.type < sizeof handle / sizeof handle[0]) handle[event.type](e, &event);
        cpl_event_clear(&event);
        event = (cpl_event){0};
        e->changed = true;
    }
}
