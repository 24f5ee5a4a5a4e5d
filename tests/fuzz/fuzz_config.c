/* fuzz_config.c: bytes as the JSON texts that come with a model: the first byte says which one. */
#include "../../core/model/spec_rules.h"
#include "fuzz.h"

static const char *const documents[] = {"unet/config.json", "vae/config.json", "text_encoder/config.json",
                                        "text_encoder_2/config.json", "scheduler/scheduler_config.json"};
enum { DOCUMENTS = sizeof documents / sizeof *documents };

static void as_config(const char *document, const char *text) {
    cpl_error error = {0};
    cpl_model_spec spec;
    cpl_checkpoint *c = cpl_checkpoint_new("fuzz", &error);
    FUZZ_HOLDS(c && cpl_checkpoint_keep(c, document, text, &error));
    cpl_spec_defaults("sdxl", &spec);
    spec.texts = 2;
    spec.unet.levels = 3;
    spec.unet.model_channels = 320;
    for (int i = 0; i < 3; i++) spec.unet.channel_mult[i] = 1 << i;
    if (cpl_spec_configure(c, &spec, &error)) {
        FUZZ_HOLDS(spec.unet.num_heads > 0 || spec.unet.num_head_channels != 0);
        FUZZ_HOLDS(spec.train_timesteps >= 2 && spec.beta_start <= spec.beta_end && spec.text[1].heads >= 0);
    } else {
        FUZZ_HOLDS(error.code && strstr(error.message, "fuzz"));
    }
    cpl_checkpoint_close(c);
}

static void as_spec(const char *text) {
    cpl_error error = {0};
    cpl_model_spec spec;
    if (!cpl_spec_parse(text, "fuzz", &spec, &error)) {
        FUZZ_HOLDS(error.code && strstr(error.message, "fuzz"));
        return;
    }
    FUZZ_HOLDS(spec.texts == 1 || spec.texts == 2);
    cpl_spec_check(&spec, "fuzz", &error);
}

FUZZ_TARGET(fuzz_config) {
    if (size == 0) return 0;
    char *text = malloc(size);
    FUZZ_HOLDS(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    unsigned which = data[0] % (DOCUMENTS + 1);
    if (which < DOCUMENTS)
        as_config(documents[which], text);
    else
        as_spec(text);
    free(text);
    return 0;
}
