/* command_info.c: `couplet info`: what this program, machine, model and terminal are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "json_out.h"
#include "term.h"

enum { MOST_DEVICES = 16 };

typedef struct facts {
    cpl_device_info device[MOST_DEVICES];
    int devices;
    cpl_model_info model;
    cpl_lora_info *lora; /* owned: what --lora named */
    int loras;
    cpl_embedding_info *embedding; /* owned: what --embedding named */
    int embeddings;
    bool terminal; /* stdout is one, and caps are its */
    term_caps caps;
} facts;

static void member(const char *name, const char *text, bool last) {
    printf("\"%s\": ", name);
    json_text(stdout, text);
    if (!last) printf(", ");
}

static void parts_json(const cpl_model_info *m) {
    printf("\"parts\": [");
    for (int i = 0; i < m->parts; i++) {
        const cpl_model_part *p = &m->part[i];
        printf("%s\n    {", i ? "," : "");
        member("name", p->name, false);
        printf("\"parameters\": %lld, ", (long long)p->parameters);
        member("weights", p->weights, false);
        member("file", p->file, false);
        printf("\"files\": %d}", p->files);
    }
    printf("],\n    ");
}

static void model_json(const cpl_model_info *m) {
    printf("  \"model\": {");
    member("name", m->name, false);
    member("family", m->family, false);
    member("path", m->path, false);
    member("weights", m->weights, false);
    member("prediction", m->prediction, false);
    printf("\"zero_terminal_snr\": %s, \"averaged\": %s,\n    ", json_bool(m->zero_terminal_snr),
           json_bool(m->averaged));
    parts_json(m);
    member("tokenizer", *m->tokenizer ? m->tokenizer : NULL, false);
    printf("\"parameters\": %lld, \"packed_bytes\": {\"f32\": %lld, \"bf16\": %lld},\n    ", (long long)m->parameters,
           (long long)m->packed_f32, (long long)m->packed_bf16);
    printf("\"context_length\": %d, \"closed_vocabulary\": %s,\n    \"defaults\": {", m->context_length,
           json_bool(m->closed_vocabulary));
    printf("\"width\": %d, \"height\": %d, \"steps\": %d, \"cfg\": ", m->defaults.width, m->defaults.height,
           m->defaults.steps);
    json_double(stdout, m->defaults.cfg);
    printf(", ");
    member("sampler", m->defaults.sampler, false);
    member("schedule", m->defaults.schedule, true);
    printf("}},\n");
}

static void loras_json(const facts *f) {
    printf("  \"loras\": [");
    for (int i = 0; i < f->loras; i++) {
        const cpl_lora_info *l = &f->lora[i];
        printf("%s\n    {", i ? "," : "");
        member("name", l->name, false);
        member("path", l->path, false);
        member("kind", l->kind, false);
        printf("\"usable\": %s, ", json_bool(l->usable));
        member("family", *l->family ? l->family : NULL, false);
        member("title", *l->title ? l->title : NULL, false);
        member("base", *l->base ? l->base : NULL, false);
        printf("\"rank\": [%d, %d], \"modules\": {\"unet\": %d, \"text\": %d}, \"strange_tensors\": %d, ",
               l->least_rank, l->most_rank, l->unet_modules, l->text_modules, l->strange_tensors);
        printf("\"parameters\": %lld, ", (long long)l->parameters);
        member("weights", l->weights, true);
        printf("}");
    }
    printf("%s],\n", f->loras ? "\n  " : "");
}

static void embeddings_json(const facts *f) {
    printf("  \"embeddings\": [");
    for (int i = 0; i < f->embeddings; i++) {
        const cpl_embedding_info *e = &f->embedding[i];
        printf("%s\n    {", i ? "," : "");
        member("name", e->name, false);
        member("path", e->path, false);
        member("family", *e->family ? e->family : NULL, false);
        printf("\"vectors\": %d, \"width\": [%d, %d]}", e->vectors, e->width[0], e->width[1]);
    }
    printf("%s],\n", f->embeddings ? "\n  " : "");
}

static void terminal_json(const facts *f) {
    const term_caps *c = &f->caps;
    if (!f->terminal) {
        printf("  \"terminal\": null\n");
        return;
    }
    printf("  \"terminal\": {");
    member("name", c->name, false);
    printf("\"utf8\": %s, \"colors\": %d, \"sixel\": %s, \"sixel_registers\": %d, \"sixel_max\": [%d, %d],\n"
           "    \"cell\": [%d, %d], \"cell_known\": %s, \"sync_updates\": %s}\n",
           json_bool(c->utf8), c->colors, json_bool(c->sixel), c->sixel_registers, c->sixel_max_width,
           c->sixel_max_height, c->cell_width, c->cell_height, json_bool(c->cell_known), json_bool(c->sync_updates));
}

static void print_json(const facts *f) {
    printf("{\n  ");
    member("version", CPL_VERSION, true);
    printf(",\n  \"devices\": [");
    for (int i = 0; i < f->devices; i++) {
        const cpl_device_info *d = &f->device[i];
        printf("%s\n    {", i ? "," : "");
        member("name", d->name, false);
        member("description", d->description, false);
        printf("\"usable\": %s, ", json_bool(d->usable));
        member("why_not", d->usable ? NULL : d->why_not, true);
        printf("}");
    }
    printf("\n  ],\n");
    model_json(&f->model);
    loras_json(f);
    embeddings_json(f);
    terminal_json(f);
    printf("}\n");
}

static void row(const char *label, const char *text) {
    printf("%-11s", label);
    print_safe(text);
    putchar('\n');
}

static void part_text(const cpl_model_info *m, const cpl_model_part *p) {
    char line[400], shards[32] = "";
    const char *file = p->file;
    size_t inside = strlen(m->path);
    /* Within a folder the rest of the path says enough; a single file has been named above. */
    if (*file && !strncmp(file, m->path, inside)) file += inside + (file[inside] == '/');
    if (p->files > 1) snprintf(shards, sizeof shards, " and %d more", p->files - 1);
    snprintf(line, sizeof line, "%-6s %9.2f million, %s%s%s%s", p->name, (double)p->parameters / 1e6, p->weights,
             *file ? ", " : "", file, shards);
    row("", line);
}

static void model_text(const cpl_model_info *m) {
    char line[600];
    snprintf(line, sizeof line, "%s (%s)%s%s", m->name, m->family, *m->path ? ", " : "", m->path);
    row("model", line);
    snprintf(line, sizeof line, "%.2f million parameters, %s; in memory about %.2f GB (f32) or %.2f GB (bf16)",
             (double)m->parameters / 1e6, m->weights, (double)m->packed_f32 / 1e9, (double)m->packed_bf16 / 1e9);
    row("", line);
    for (int i = 0; i < m->parts; i++) part_text(m, &m->part[i]);
    if (m->averaged) row("", "only averaged UNet weights (EMA) are in the file: those are used");
    snprintf(line, sizeof line, "predicts %s%s", m->prediction,
             m->zero_terminal_snr ? ", with noise levels that end without signal" : "");
    row("", line);
    snprintf(line, sizeof line, "tokenizer: %s",
             *m->tokenizer ? m->tokenizer
             : *m->path    ? "missing; `make clip-vocab` fetches CLIP's, or name one with --tokenizer"
                           : "its own");
    row("", line);
    snprintf(line, sizeof line, "prompts of %d tokens a chunk%s", m->context_length - 2,
             m->closed_vocabulary ? ", closed vocabulary" : "");
    row("", line);
    const cpl_defaults *d = &m->defaults;
    snprintf(line, sizeof line, "defaults: %dx%d, %d steps, cfg %g, %s %s", d->width, d->height, d->steps, d->cfg,
             d->sampler, d->schedule);
    row("", line);
}

static void lora_text(const cpl_lora_info *l) {
    char line[700], ranks[64] = "";
    snprintf(line, sizeof line, "%s, %s", l->name, l->path);
    row("lora", line);
    if (l->least_rank == l->most_rank && l->most_rank)
        snprintf(ranks, sizeof ranks, " of rank %d", l->most_rank);
    else if (l->most_rank)
        snprintf(ranks, sizeof ranks, " of ranks %d to %d", l->least_rank, l->most_rank);
    snprintf(line, sizeof line, "%s%s for %s%s", l->kind, ranks,
             *l->family ? l->family : "models of a family not known",
             l->usable ? "" : ", a kind that cannot be used here");
    row("", line);
    snprintf(line, sizeof line, "layers that it adds to: %d in the UNet, %d in the text encoders", l->unet_modules,
             l->text_modules);
    row("", line);
    snprintf(line, sizeof line, "%.2f million parameters, %s", (double)l->parameters / 1e6, l->weights);
    row("", line);
    if (*l->title || *l->base) {
        snprintf(line, sizeof line, "%s%s%s%s", *l->title ? "called " : "", l->title,
                 !*l->base   ? ""
                 : *l->title ? ", trained on "
                             : "trained on ",
                 l->base);
        row("", line);
    }
    if (l->strange_tensors) {
        snprintf(line, sizeof line, "%d of its tensors are none of a LoRA's", l->strange_tensors);
        row("", line);
    }
}

static void embedding_text(const cpl_embedding_info *e) {
    char line[700];
    snprintf(line, sizeof line, "%s, %s", e->name, e->path);
    row("embedding", line);
    snprintf(line, sizeof line, "%d token%s of %d%s for %s", e->vectors, e->vectors == 1 ? "" : "s", e->width[0],
             e->width[1] ? " and of the second encoder's" : "",
             *e->family ? e->family : "models of a family not known");
    row("", line);
}

static void terminal_text(const facts *f) {
    char line[200];
    const term_caps *c = &f->caps;
    if (!f->terminal) {
        row("terminal", "none: standard output is not a terminal");
        return;
    }
    snprintf(line, sizeof line, "%s, %s, %d colours, cells of %dx%d pixels%s", c->name, c->utf8 ? "UTF-8" : "no UTF-8",
             c->colors, c->cell_width, c->cell_height, c->cell_known ? "" : " (a guess)");
    row("terminal", line);
    if (c->sixel)
        snprintf(line, sizeof line, "sixel pictures of %d colours up to %dx%d", c->sixel_registers, c->sixel_max_width,
                 c->sixel_max_height);
    else
        snprintf(line, sizeof line, "no sixel (xterm has it with -ti vt340): pictures are drawn with characters");
    row("", line);
    if (c->sync_updates) row("", "synchronized updates");
}

static void print_text(const facts *f) {
    char line[300];
    row("couplet", CPL_VERSION);
    for (int i = 0; i < f->devices; i++) {
        const cpl_device_info *d = &f->device[i];
        if (d->usable)
            snprintf(line, sizeof line, "%s: %s", d->name, d->description);
        else
            snprintf(line, sizeof line, "%s: not usable: %s", d->name, d->why_not);
        row(i ? "" : "devices", line);
    }
    model_text(&f->model);
    for (int i = 0; i < f->loras; i++) lora_text(&f->lora[i]);
    for (int i = 0; i < f->embeddings; i++) embedding_text(&f->embedding[i]);
    terminal_text(f);
}

static bool find_loras(const arguments *a, facts *f) {
    cpl_error error = {0};
    int count = 0;
    while (a->lora[count]) count++;
    f->lora = calloc((size_t)count + 1, sizeof *f->lora);
    if (!f->lora) return say("out of memory"), false;
    for (; f->loras < count; f->loras++)
        if (!cpl_lora_peek(a->lora[f->loras], a->lora_dir, &f->lora[f->loras], &error))
            return say("%s", error.message), false;
    return true;
}

static bool find_embeddings(const arguments *a, facts *f) {
    cpl_error error = {0};
    int count = 0;
    while (a->embedding[count]) count++;
    f->embedding = calloc((size_t)count + 1, sizeof *f->embedding);
    if (!f->embedding) return say("out of memory"), false;
    for (; f->embeddings < count; f->embeddings++)
        if (!cpl_embedding_peek(a->embedding[f->embeddings], a->embedding_dir, &f->embedding[f->embeddings], &error))
            return say("%s", error.message), false;
    return true;
}

static bool find_model(const arguments *a, facts *f) {
    cpl_error error = {0};
    const cpl_model_source source = {.model = a->model, .vae = a->vae, .tokenizer = a->tokenizer};
    return cpl_model_peek(&source, &f->model, &error) || (say("%s", error.message), false);
}

int command_info(const arguments *a) {
    facts f = {0};
    bool found = find_loras(a, &f) && find_embeddings(a, &f) && find_model(a, &f);
    if (found) {
        f.devices = cpl_devices(f.device, MOST_DEVICES);
        if (f.devices > MOST_DEVICES) f.devices = MOST_DEVICES;
        f.terminal = output_capabilities(a, &f.caps);
        if (a->json)
            print_json(&f);
        else
            print_text(&f);
    }
    free(f.lora);
    free(f.embedding);
    return found ? 0 : 1;
}
