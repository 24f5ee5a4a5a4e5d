/* backend.c: what every backend shares: tensors of a stream, its sticky failure, and the table of backends. */
#include "backend.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

cpl_tensor cpl_make(cpl_stream *s, int n, int h, int w, int c) {
    cpl_tensor t = {0};
    cpl_error error = {0};
    if (!cpl_stream_ok(s)) return t;
    if (!cpl_tensor_new(&t, s->pool, s->backend->precision, n, h, w, c, &error))
        cpl_stream_fail(s, error.code, "%s", error.message);
    return t;
}

cpl_tensor cpl_make_like(cpl_stream *s, const cpl_tensor *x) { return cpl_make(s, x->n, x->h, x->w, x->c); }

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

/* One row a kind of device. A backend that lives in a module has no ops here: they come with the module. */
static const struct {
    const char *name, *description;
    const cpl_backend_ops *ops;
    const char *why_not;
} backends[] = {
    {"cpu", "processor (oneDNN)", &cpl_cpu_backend, ""},
    {"cuda", "NVIDIA GPU (CUDA)", NULL, "this build has no CUDA backend yet; use --device cpu"},
};
enum { BACKENDS = sizeof backends / sizeof backends[0] };

const cpl_backend_ops *cpl_backend_find(const char *device, cpl_error *error) {
    if (!device || strcmp(device, "auto") == 0) device = "cpu";
    const char *colon = strchr(device, ':');
    size_t length = colon ? (size_t)(colon - device) : strlen(device);
    for (int i = 0; i < BACKENDS; i++) {
        if (strlen(backends[i].name) != length || strncmp(backends[i].name, device, length) != 0) continue;
        if (colon && strcmp(backends[i].name, "cpu") == 0) break; /* there is no cpu:1 */
        if (!backends[i].ops) cpl_fail(error, CPL_E_UNSUPPORTED, "device %s: %s", device, backends[i].why_not);
        return backends[i].ops;
    }
    cpl_fail(error, CPL_E_INPUT, "device %s: unknown; the devices are auto, cpu and cuda[:N]", device);
    return NULL;
}

int cpl_devices(cpl_device_info *list, int room) {
    for (int i = 0; i < BACKENDS && i < room; i++) {
        list[i] = (cpl_device_info){.usable = backends[i].ops != NULL};
        snprintf(list[i].name, sizeof list[i].name, "%s", backends[i].name);
        snprintf(list[i].description, sizeof list[i].description, "%s", backends[i].description);
        snprintf(list[i].why_not, sizeof list[i].why_not, "%s", backends[i].why_not);
    }
    return BACKENDS;
}
