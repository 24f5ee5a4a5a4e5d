/* network.c: texts and pictures of whole models: what encoding costs cold and from the caches, and the decoder. The denoise
 * step is step.c's. */
#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sample/clock.h"
#include "../session/texts.h"
#include "layers.h"

enum { LARGE_PARAMETERS = 100000000 };

static bool run_model(cpl_bench_run *run, const char *name, const char *what, bool (*part)(cpl_bench_model *)) {
    cpl_dtype type;
    const char *precision;
    bool done = true;
    for (int number = 0; done && cpl_bench_type(run, number, &type, &precision); number++) {
        cpl_backend_config config = {.threads = run->options->threads, .precision = type};
        cpl_backend *probe = cpl_bench_backend(run, type, NULL);
        if (!probe) continue; /* not in this type */
        probe->ops->close(probe);
        cpl_bench_say(run, "%s, %s, %s", what, name ? name : "builtin", precision);
        cpl_bench_model model = {.run = run, .type = type, .precision = precision};
        const cpl_model_source source = {.model = name, .tokenizer = run->options->tokenizer};
        model.engine = cpl_engine_open(&cpl_cpu_backend, &config, &source, NULL, run->error);
        if (!model.engine) return false;
        model.model = model.engine->model;
        model.large = model.model->info.parameters > LARGE_PARAMETERS;
        done = part(&model);
        cpl_engine_unref(model.engine);
    }
    return done;
}

bool cpl_bench_each_model(cpl_bench_run *run, const char *what, bool (*part)(cpl_bench_model *)) {
    const char *name = run->options->model;
    bool other = name && strcmp(name, "builtin") != 0;
    return run_model(run, NULL, what, part) && (!other || run_model(run, name, what, part));
}

/* ---- Text ---- */

enum { LINES = 8 };

static void write_lines(char text[LINES][48], int round) {
    static const char *const words[LINES] = {"cat", "sun", "boat", "moon", "house", "tree", "sea", "cloud"};
    for (int i = 0; i < LINES; i++) {
        snprintf(text[i], sizeof text[i], "a %s, %s, round %d", words[i], words[(i + round) % LINES], round);
    }
}

static bool open_lines(cpl_listener *listener, cpl_texts *texts, char text[LINES][48], cpl_error *error) {
    cpl_turns turns[LINES] = {{0}};
    bool done = true;
    for (int i = 0; done && i < LINES; i++) done = cpl_turns_keep(text[i], 1, &turns[i], error);
    done = done && cpl_listener_open(listener, texts, turns, LINES, 1, error);
    for (int i = 0; i < LINES; i++) cpl_turns_clear(&turns[i]);
    return done;
}

static bool time_texts(cpl_bench_model *m, cpl_stream *s, double *cold_ms, double *cached_ms) {
    cpl_texts texts;
    char text[LINES][48];
    int rounds = m->large ? cpl_bench_rounds(m->run, 4, 2) : cpl_bench_rounds(m->run, 20, 3);
    if (!cpl_texts_open(&texts, m->model, s, (uint64_t)1 << 30, m->run->error)) return false;
    bool done = true;
    for (int round = 0; done && round < rounds; round++) { /* the first packs weights and makes primitives */
        double times[2] = {0};
        write_lines(text, round);
        for (int i = 0; done && i < 2; i++) {
            cpl_listener listener;
            double start = cpl_now_ms();
            done = open_lines(&listener, &texts, text, m->run->error);
            times[i] = cpl_now_ms() - start;
            if (done) cpl_listener_close(&listener, &texts);
        }
        if (round == 1 || times[0] < *cold_ms) *cold_ms = times[0];
        if (round == 1 || times[1] < *cached_ms) *cached_ms = times[1];
    }
    cpl_texts_close(&texts);
    return done;
}

static bool bench_texts(cpl_bench_model *m) {
    double cold_ms = 0, cached_ms = 0;
    if (!m->model->tokenizer) return true;
    cpl_stream *s = m->engine->backend->ops->stream_open(m->engine->backend, m->run->error);
    bool done = s && time_texts(m, s, &cold_ms, &cached_ms);
    if (s) s->ops->stream_close(s);
    if (!done) return false;
    cpl_bench_begin(m->run, NULL, '{');
    cpl_bench_text(m->run, "model", m->model->info.name);
    cpl_bench_text(m->run, "precision", m->precision);
    cpl_bench_whole(m->run, "lines", LINES);
    cpl_bench_number(m->run, "cold_ms", cold_ms);
    cpl_bench_number(m->run, "cached_ms", cached_ms);
    cpl_bench_end(m->run, '}');
    return true;
}

bool cpl_bench_texts(cpl_bench_run *run) {
    cpl_bench_begin(run, "text", '[');
    bool done = cpl_bench_each_model(run, "text encoding", bench_texts);
    cpl_bench_end(run, ']');
    return done;
}

/* ---- VAE ---- */

static bool decode(cpl_bench_model *m, cpl_stream *s, const cpl_tensor *z, double *ms) {
    double start = cpl_now_ms();
    cpl_tensor picture = cpl_vae_decode(m->model->vae, s, z, NULL, NULL);
    *ms = cpl_now_ms() - start;
    cpl_tensor_free(&picture);
    return cpl_stream_settle(s, m->run->error);
}

static bool time_vae(cpl_bench_model *m, cpl_stream *s, cpl_layer_list *layers, double *best_ms) {
    const cpl_defaults *d = &m->model->info.defaults;
    int factor = cpl_vae_factor(m->model->vae), rounds = m->large ? cpl_bench_rounds(m->run, 3, 1) : 5;
    const cpl_backend_ops *real = s->ops;
    double ms = 0;
    cpl_tensor z;
    if (!cpl_bench_tensor(s, &z, 1, d->height / factor, d->width / factor, m->model->spec.vae.z_channels, 1,
                          m->run->error))
        return false;
    s->ops = &layers->ops;
    bool done = decode(m, s, &z, &ms);
    cpl_layers_again(layers);
    done = done && decode(m, s, &z, &ms);
    s->ops = real;
    for (int round = 0; done && round < rounds; round++) {
        done = decode(m, s, &z, &ms) && cpl_layers_run_bare(layers, m->run, m->type);
        if (!round || ms < *best_ms) *best_ms = ms;
    }
    cpl_tensor_free(&z);
    return done;
}

static bool bench_vae(cpl_bench_model *m) {
    cpl_bench_run *run = m->run;
    cpl_layer_list layers;
    char size[32];
    double ms = 0;
    cpl_stream *s = m->engine->backend->ops->stream_open(m->engine->backend, run->error);
    if (!s) return false;
    cpl_layers_open(&layers, s->ops);
    bool done = time_vae(m, s, &layers, &ms);
    snprintf(size, sizeof size, "%dx%d", m->model->info.defaults.width, m->model->info.defaults.height);
    if (done) {
        cpl_bench_begin(run, NULL, '{');
        cpl_bench_text(run, "model", m->model->info.name);
        cpl_bench_text(run, "precision", m->precision);
        cpl_bench_text(run, "size", size);
        cpl_bench_number(run, "ms", ms);
        cpl_bench_number(run, "floor_ms", cpl_bench_floor(run, m->type, cpl_layers_flops(&layers)));
        cpl_bench_number(run, "bare_ms", cpl_layers_bare_ms(&layers));
        cpl_layers_report(&layers, run);
        cpl_bench_end(run, '}');
    }
    cpl_layers_close(&layers);
    s->ops->stream_close(s);
    return done;
}

bool cpl_bench_vae(cpl_bench_run *run) {
    cpl_bench_begin(run, "vae", '[');
    bool done = cpl_bench_each_model(run, "decoding", bench_vae);
    cpl_bench_end(run, ']');
    return done;
}
