/* record.c: the texts of a picture's file. Writing the file is the caller's. */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "../layout/infotext.h"
#include "../memory/alloc.h"

/* A plain name may mean as much to whoever gets the picture, and where the user's models lie is nobody's business. */
static bool keep_plain(char **name, const char *typed, cpl_error *error) {
    return !typed || strchr(typed, '/') || cpl_text_set(name, typed, error);
}

/* A picture goes into other folders than its layout's. */
static bool settle_files(cpl_layout *layout, const cpl_layout *typed, cpl_error *error) {
    bool done = cpl_layout_settle_files(layout, error) &&
                keep_plain(&layout->sampling.model, typed->sampling.model, error) &&
                keep_plain(&layout->sampling.vae, typed->sampling.vae, error);
    for (int i = 0; done && i < layout->lora_count; i++)
        done = keep_plain(&layout->loras[i].path, typed->loras[i].path, error);
    return done;
}

/* The layout with nothing left to a model's defaults, to chance, or to the folder that it lies in. */
static cpl_layout *resolved_layout(const cpl_snapshot *snapshot, int64_t seed, cpl_error *error) {
    const cpl_settings *settings = &snapshot->settings;
    cpl_layout *layout = cpl_layout_copy(snapshot->layout, error);
    if (!layout) return NULL;
    cpl_sampling *sampling = &layout->sampling;
    layout->width = settings->width;
    layout->height = settings->height;
    sampling->steps = settings->steps;
    sampling->cfg = settings->cfg;
    sampling->seed = seed;
    sampling->batch = 0; /* the file tells of this picture alone */
    if (settle_files(layout, snapshot->layout, error) &&
        (sampling->model || cpl_text_set(&sampling->model, "builtin", error)) &&
        cpl_text_set(&sampling->sampler, settings->sampler, error) &&
        cpl_text_set(&sampling->schedule, settings->schedule, error) &&
        cpl_text_set(&sampling->rng, settings->rng, error) &&
        (!settings->hires_width || cpl_text_set(&layout->hires_upscaler, settings->hires_upscaler, error)))
        return layout;
    cpl_layout_free(layout);
    return NULL;
}

/* Takes `value` over; its place in the list counts as soon as the key is there, so that clearing the event frees both. */
static bool add_text(cpl_event *event, const char *key, char *value, cpl_error *error) {
    char *copy = value ? cpl_strdup(key, error) : NULL;
    if (!copy) {
        free(value);
        return false;
    }
    event->texts[event->text_count++] = (cpl_text){copy, value};
    return true;
}

bool cpl_record_texts(cpl_event *event, const cpl_snapshot *snapshot, int64_t seed, const char *splices,
                      cpl_error *error) {
    cpl_settings settings = snapshot->settings;
    settings.seed = seed;
    event->texts = cpl_alloc(3, sizeof *event->texts, error);
    cpl_layout *layout = event->texts ? resolved_layout(snapshot, seed, error) : NULL;
    bool done =
        layout && add_text(event, "couplet", cpl_layout_print(layout, error), error) &&
        add_text(event, "parameters", cpl_infotext(snapshot->layout, &settings, snapshot->model.name, error), error) &&
        (!splices || add_text(event, "couplet-splices", cpl_strdup(splices, error), error));
    cpl_layout_free(layout);
    return done;
}
