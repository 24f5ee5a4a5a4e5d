/* tool.c: what the check of a GPU asks of the program, on machines where the program itself cannot be built:
 *   tool devices                                           which there are; 1 and the reason if none can be used
 *   tool render LAYOUT PICTURE DEVICE PRECISION [STEPS [VRAM]]   a whole picture, as PPM; statistics on stdout. STEPS 0: the
 *                                                          layout's; VRAM: bytes of device memory that may be taken
 *   tool full DEVICE                                       fills the device's memory: an error, and then as if nothing was
 * Failures are one line on stderr, status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/backend.h"

static int fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    return 1;
}

static int list_devices(void) {
    cpl_device_info list[16];
    int count = cpl_devices(list, 16), usable = 0;
    for (int i = 0; i < count && i < 16; i++) {
        if (strcmp(list[i].name, "cpu") == 0) continue; /* there is none in this build */
        printf("%s: %s%s%s\n", list[i].name, list[i].description,
               list[i].usable ? "" : ": not usable: ", list[i].usable ? "" : list[i].why_not);
        usable += list[i].usable;
    }
    return usable == 0;
}

/* ---- A picture ---- */

static bool write_ppm(const cpl_image *image, const char *path) {
    FILE *file = fopen(path, "wb");
    if (!file) return false;
    fprintf(file, "P6\n%d %d\n255\n", image->width, image->height);
    size_t bytes = 3 * (size_t)image->width * (size_t)image->height;
    bool written = fwrite(image->rgb, 1, bytes, file) == bytes;
    return fclose(file) == 0 && written;
}

static int finish(cpl_session *session, const char *path, cpl_error *error) {
    cpl_event event;
    for (;;) {
        cpl_session_wait(session, -1);
        while (cpl_session_next(session, &event)) {
            cpl_event_type type = event.type;
            bool written = type == CPL_EVENT_FINISHED && write_ppm(event.image, path);
            if (type == CPL_EVENT_FAILED || type == CPL_EVENT_INVALID) *error = event.error;
            cpl_event_clear(&event);
            if (type == CPL_EVENT_FINISHED) return written ? 0 : fail("the picture cannot be written");
            if (type == CPL_EVENT_FAILED || type == CPL_EVENT_INVALID || type == CPL_EVENT_CANCELLED) return 1;
        }
    }
}

static int render(int count, char **arguments) {
    cpl_error error = {0};
    if (count < 4) return fail("render: LAYOUT PICTURE DEVICE PRECISION [STEPS [VRAM]]");
    cpl_layout *layout = cpl_layout_load(arguments[0], &error);
    if (layout && count > 4 && atoi(arguments[4]) > 0) layout->sampling.steps = atoi(arguments[4]);
    const cpl_options options = {.device = arguments[2],
                                 .precision = arguments[3],
                                 .vram_bytes = count > 5 ? strtoull(arguments[5], NULL, 10) : 0,
                                 .preview_every = -1};
    cpl_session *session = layout ? cpl_session_new(&options, &error) : NULL;
    int status = 1;
    if (session && cpl_session_sync(session, layout, CPL_SYNC_NOW, NULL, &error)) {
        cpl_session_generate(session);
        status = finish(session, arguments[1], &error);
        cpl_stats stats;
        cpl_session_stats(session, &stats);
        char *text = status == 0 ? cpl_stats_print(&stats, &error) : NULL;
        if (text) puts(text);
        free(text);
    }
    if (error.code) fail(error.message);
    cpl_session_free(session);
    cpl_layout_free(layout);
    return status;
}

/* ---- No memory left ---- */

enum {
    MOST_TENSORS = 4096,
    SIDE = 2048
}; /* of 16 MiB in f32, so that little is left between the last one and the end */

static bool adds_up(cpl_stream *s) {
    float host[64], back[64];
    for (int i = 0; i < 64; i++) host[i] = (float)i;
    cpl_tensor x = cpl_make(s, 1, 1, 1, 64), y = cpl_make(s, 1, 1, 1, 64);
    s->ops->upload(s, &x, host);
    s->ops->scale_add(s, &y, 2, &x, 1, &x);
    s->ops->download(s, back, &y);
    cpl_tensor_free(&x);
    cpl_tensor_free(&y);
    bool right = cpl_stream_ok(s);
    for (int i = 0; i < 64; i++) right = right && back[i] == 3 * host[i];
    return right;
}

/* Tensors until one is refused. Each is written, so that memory which is only promised is found out too. */
static int fill(cpl_stream *s, cpl_tensor *tensors) {
    int count = 0;
    while (count < MOST_TENSORS && cpl_stream_ok(s)) {
        cpl_tensor *t = &tensors[count++];
        *t = cpl_make(s, count == 1 ? 1 : 16, SIDE, SIDE, 1);
        if (t->data && count > 1) s->ops->scale_add(s, t, 0, t, 0, NULL);
    }
    return count;
}

static int fill_device(const char *device) {
    cpl_error error = {0};
    const cpl_backend_ops *ops = cpl_backend_find(device, &error);
    cpl_backend_config config = {.device = cpl_backend_number(device), .precision = CPL_F32};
    cpl_backend *b = ops ? ops->open(&config, &error) : NULL;
    cpl_stream *s = b ? ops->stream_open(b, &error) : NULL;
    cpl_tensor *tensors = calloc(MOST_TENSORS, sizeof *tensors);
    int status = 1;
    if (s && tensors) {
        int count = fill(s, tensors);
        bool refused = !cpl_stream_settle(s, &error) && error.code == CPL_E_MEMORY;
        for (int i = 0; i < count; i++) cpl_tensor_free(&tensors[i]);
        cpl_pool_trim(s->pool, 0);
        status = !refused || !adds_up(s);
        if (refused) printf("refused after %d tensors: %s\n", count - 1, error.message);
        if (status) fail(!refused ? "memory without end, or another error" : "nothing is right after the refusal");
    }
    if (status && error.code) fail(error.message);
    free(tensors);
    if (s) ops->stream_close(s);
    if (b) ops->close(b);
    return status;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "devices") == 0) return list_devices();
    if (strcmp(what, "render") == 0) return render(argc - 2, argv + 2);
    if (strcmp(what, "full") == 0 && argc > 2) return fill_device(argv[2]);
    return fail("tool: devices, render or full");
}
