/* resolve.c: what a layout leaves out, taken from the model's defaults. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fields.h"
#include "resolve.h"

/* Without any model: those of SD 1.x. */
static const cpl_defaults plain = {
    .width = 512, .height = 512, .steps = 20, .cfg = 7, .sampler = "euler", .schedule = "normal"};

void cpl_layout_size(const cpl_layout *layout, const cpl_defaults *defaults, int *width, int *height) {
    if (!defaults) defaults = &plain;
    *width = layout->width ? layout->width : defaults->width;
    *height = layout->height ? layout->height : defaults->height;
}

static bool first_fault(void *user, cpl_fault *fault) {
    *(cpl_fault *)user = *fault;
    return false;
}

static void put_name(char *to, size_t size, const char *own, const char *fallback) {
    snprintf(to, size, "%s", own ? own : fallback);
}

/* Sides as the canvas has them: whole steps, the rest cut off as the WebUI does. */
int cpl_side_enlarged(int side, double scale) { return (int)(side * scale) / CPL_SIDE_STEP * CPL_SIDE_STEP; }

static void resolve_hires(const cpl_layout *layout, cpl_settings *settings) {
    if (!(layout->hires_scale > 1)) return;
    settings->hires_width = cpl_side_enlarged(settings->width, layout->hires_scale);
    settings->hires_height = cpl_side_enlarged(settings->height, layout->hires_scale);
    settings->hires_steps = layout->hires_steps ? layout->hires_steps : settings->steps;
    settings->hires_denoise = layout->hires_denoise;
    put_name(settings->hires_upscaler, sizeof settings->hires_upscaler, layout->hires_upscaler,
             cpl_layout_upscalers[0]);
}

void cpl_settings_final_size(const cpl_settings *settings, int *width, int *height) {
    *width = settings->hires_width ? settings->hires_width : settings->width;
    *height = settings->hires_height ? settings->hires_height : settings->height;
}

bool cpl_layout_resolve(const cpl_layout *layout, const cpl_defaults *defaults, cpl_settings *settings,
                        cpl_error *error) {
    const cpl_sampling *own = &layout->sampling;
    cpl_fault fault;
    if (!defaults) defaults = &plain;
    if (!cpl_fields_check(&cpl_layout_object, layout, -1, "", first_fault, &fault) ||
        !cpl_fields_check(&cpl_sampling_object, own, -1, "sampling", first_fault, &fault)) {
        if (error) *error = fault.error;
        return false;
    }
    *settings = (cpl_settings){0};
    cpl_layout_size(layout, defaults, &settings->width, &settings->height);
    settings->steps = own->steps ? own->steps : defaults->steps;
    settings->cfg = isnan(own->cfg) ? defaults->cfg : own->cfg;
    settings->seed = own->seed == CPL_SEED_UNSET ? 0 : own->seed;
    settings->clip_skip = own->clip_skip ? own->clip_skip : 1;
    settings->batch = own->batch ? own->batch : 1;
    put_name(settings->sampler, sizeof settings->sampler, own->sampler, defaults->sampler);
    put_name(settings->schedule, sizeof settings->schedule, own->schedule, defaults->schedule);
    put_name(settings->rng, sizeof settings->rng, own->rng, "cpu");
    put_name(settings->prediction, sizeof settings->prediction, own->prediction, "");
    if (layout->init_image && *layout->init_image) {
        settings->denoise = layout->denoise;
        settings->fix_steps = layout->fix_steps;
    }
    resolve_hires(layout, settings);
    return true;
}
