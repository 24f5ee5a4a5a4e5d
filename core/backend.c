/* backend.c: what every backend shares: tensors of a stream, its sticky failure, and the table of backends. */
#include "module.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cpl_tensor cpl_make_as(cpl_stream *s, cpl_dtype dtype, int n, int h, int w, int c) {
    cpl_tensor t = {0};
    cpl_error error = {0};
    if (!cpl_stream_ok(s)) return t;
    if (!cpl_tensor_new(&t, s->pool, dtype, n, h, w, c, &error)) cpl_stream_fail(s, error.code, "%s", error.message);
    return t;
}

void cpl_begin_component(cpl_backend *b, cpl_component part) {
    if (b->ops->component_begin) b->ops->component_begin(b, part);
}

cpl_tensor cpl_make(cpl_stream *s, int n, int h, int w, int c) {
    return cpl_make_as(s, s->backend->precision, n, h, w, c);
}

cpl_tensor cpl_make_like(cpl_stream *s, const cpl_tensor *x) {
    return cpl_make_as(s, x->dtype, x->n, x->h, x->w, x->c);
}

cpl_tensor cpl_make_sums(cpl_stream *s, int c) {
    cpl_tensor t = {0};
    cpl_error error = {0};
    if (cpl_stream_ok(s) && !cpl_tensor_new(&t, s->pool, CPL_F32, 1, 1, 4, c, &error))
        cpl_stream_fail(s, error.code, "%s", error.message);
    return t;
}

void cpl_stream_fail(cpl_stream *s, cpl_code code, const char *format, ...) {
    if (s->failed) return;
    char message[sizeof s->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    s->failed = true;
    cpl_fail(&s->error, code, "%s", message);
}

bool cpl_stream_ok(cpl_stream *s) {
    if (s->failed) return false;
    if (s->cancelled && atomic_load_explicit(s->cancelled, memory_order_relaxed)) {
        cpl_stream_fail(s, CPL_E_CANCELLED, "cancelled");
        return false;
    }
    return true;
}

bool cpl_stream_settle(cpl_stream *s, cpl_error *error) {
    if (!s->failed) return true;
    if (error) *error = s->error;
    s->failed = false;
    s->error = (cpl_error){0};
    return false;
}

/* ---- Devices ---- */

enum { MOST_DEVICES = 16 };

static bool named(const char *device, const char *kind) {
    size_t length = strlen(kind);
    return strncmp(device, kind, length) == 0 && (device[length] == '\0' || device[length] == ':');
}

/* 0 where none can be used: what is told then is what that one lacks. */
static int first_usable(void) {
    cpl_device_info list[MOST_DEVICES] = {0};
    const cpl_module *module = cpl_module_load("cuda", NULL);
    int count = module ? module->devices(list, MOST_DEVICES) : 0;
    for (int i = 0; i < count && i < MOST_DEVICES; i++)
        if (list[i].usable) return i;
    return 0;
}

int cpl_backend_number(const char *device) {
    const char *colon = device ? strchr(device, ':') : NULL;
    if (colon) return (int)strtol(colon + 1, NULL, 10);
    return device && strcmp(device, "cpu") == 0 ? 0 : first_usable();
}

/* The module if its device of that number can be used. */
static const cpl_module *cuda(int number, cpl_error *error) {
    cpl_device_info list[MOST_DEVICES] = {0};
    const cpl_module *module = cpl_module_load("cuda", error);
    if (!module) return NULL;
    int count = module->devices(list, MOST_DEVICES);
    if (number >= 0 && number < count && number < MOST_DEVICES && list[number].usable) return module;
    if (!list[0].usable)
        cpl_fail(error, CPL_E_UNSUPPORTED, "%s", list[0].why_not);
    else if (number < 0 || number >= count || number >= MOST_DEVICES)
        cpl_fail(error, CPL_E_INPUT, "there is no such device; the last one is cuda:%d", count - 1);
    else
        cpl_fail(error, CPL_E_UNSUPPORTED, "%s", list[number].why_not);
    return NULL;
}

const cpl_backend_ops *cpl_backend_find(const char *device, cpl_error *error) {
    cpl_error why = {0};
    if (!device || strcmp(device, "auto") == 0) {
        const cpl_module *module = cuda(first_usable(), &why);
        return module ? module->ops : &cpl_cpu_backend;
    }
    if (strcmp(device, "cpu") == 0) return &cpl_cpu_backend;
    if (named(device, "cuda")) {
        const cpl_module *module = cuda(cpl_backend_number(device), &why);
        if (!module) cpl_fail(error, why.code, "device %s: %s; use --device cpu", device, why.message);
        return module ? module->ops : NULL;
    }
    cpl_fail(error, CPL_E_INPUT, "device %s: unknown; the devices are auto, cpu and cuda[:N]", device);
    return NULL;
}

bool cpl_backend_passed_over(const char *device, cpl_error *why) {
    *why = (cpl_error){0};
    return (!device || strcmp(device, "auto") == 0) && !cuda(first_usable(), why) && why->code != CPL_E_FILE;
}

int cpl_devices(cpl_device_info *list, int room) {
    cpl_error why = {0};
    const cpl_module *module = cpl_module_load("cuda", &why);
    if (room > 0) list[0] = (cpl_device_info){.name = "cpu", .description = "processor (oneDNN)", .usable = true};
    if (module) return 1 + module->devices(list + 1, room > 1 ? room - 1 : 0);
    if (room > 1) {
        list[1] = (cpl_device_info){.name = "cuda", .description = "NVIDIA GPU (CUDA)"};
        snprintf(list[1].why_not, sizeof list[1].why_not, "%.*s", (int)sizeof list[1].why_not - 1, why.message);
    }
    return 2;
}
