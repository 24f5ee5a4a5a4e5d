/* fuzz_model.c: bytes as a checkpoint: its header, what it is, what it lacks, a few of its values. */
#include "../../core/model/model_file.h"
#include "fuzz.h"

/* Tensors are read whole, so only small ones. */
#define MOST_VALUES 4096

static void read_some(const cpl_checkpoint *c) {
    for (int i = 0; i < cpl_checkpoint_count(c) && i < 8; i++) {
        const cpl_ck_tensor *t = cpl_checkpoint_at(c, i);
        FUZZ_HOLDS(t->entry->count >= 0 && t->entry->rank >= 0 && t->entry->rank <= 8);
        if (t->entry->count > MOST_VALUES) continue;
        cpl_error error = {0};
        float *values = cpl_safetensors_f32(t->file, t->entry, &error);
        int64_t *whole = cpl_safetensors_i64(t->file, t->entry, &error);
        FUZZ_HOLDS(values); /* the header was believed, so the bytes are there */
        free(values);
        free(whole);
    }
}

static void describe(const cpl_checkpoint *c) {
    cpl_error error = {0};
    cpl_model_spec spec;
    cpl_load_survey survey;
    cpl_model_info info;
    bool read = cpl_model_spec_read(c, &spec, &error);
    bool whole = read && cpl_model_survey(c, &spec, &survey, &error);
    FUZZ_HOLDS(whole == !error.code);
    FUZZ_HOLDS(whole || (*error.message && !strchr(error.message, '\n')));
    if (!whole) return;
    cpl_model_describe(c, &spec, &survey, &info);
    FUZZ_HOLDS(info.parts >= 3 && info.parameters > 0 && info.packed_f32 >= info.packed_bf16);
}

FUZZ_TARGET(fuzz_model) {
    cpl_error error = {0};
    cpl_safetensors *st = cpl_safetensors_memory(data, size, "fuzz", &error);
    cpl_checkpoint *c = cpl_checkpoint_of(st, &error);
    FUZZ_HOLDS((c != NULL) == !error.code);
    if (c) {
        read_some(c);
        describe(c);
    }
    cpl_checkpoint_close(c);
    return 0;
}
