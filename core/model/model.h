/* model.h: a checkpoint made ready on a backend. Immutable after opening: several sessions may use one. */
#ifndef CPL_MODEL_MODEL_H
#define CPL_MODEL_MODEL_H

#include "named_layers.h"
#include "prompt.h"
#include "text_encoder.h"
#include "unet.h"
#include "vae.h"

typedef struct cpl_model {
    cpl_model_spec spec;
    cpl_model_info info;
    uint64_t identity;        /* hash of its files: which, sizes, times, headers; of the content for builtin */
    cpl_backend *backend;     /* borrowed */
    cpl_tokenizer *tokenizer; /* owned, as all below; NULL where none was found: only token ids can be run */
    cpl_text_encoder *text[CPL_MAX_TEXTS];
    cpl_unet *unet;
    cpl_named_layers layers; /* of the text encoders and the UNet */
    cpl_vae *vae;
} cpl_model;

/* watch: may be NULL. A cancelled loading fails with CPL_E_CANCELLED. */
cpl_model *cpl_model_open(const cpl_model_source *source, cpl_backend *backend, const cpl_load_watch *watch,
                          cpl_error *error);
/* From a checkpoint that is already open, which is only needed during the call; the tokenizer is taken over. */
cpl_model *cpl_model_from(const cpl_checkpoint *checkpoint, cpl_tokenizer *tokenizer, cpl_backend *backend,
                          const cpl_load_watch *watch, cpl_error *error);
void cpl_model_close(cpl_model *model);
/* cpl_model_peek, and the identity that the model will have, for hashes of layouts. */
bool cpl_model_look(const cpl_model_source *source, cpl_model_info *info, uint64_t *identity, cpl_error *error);
/* A number that changes when one of its files does, found out without opening them. 0: a file is not there. */
uint64_t cpl_model_stamp(const cpl_model_source *source);

/* One prompt line, encoded: emphasis, chunks, the finished context of all chunks [1, 1, chunks * length, width]. clip_skip: from
 * which layer, counted from the last, which is 1; SDXL takes at least the last but one. embeddings: made for this model, may be
 * NULL, here and below. */
bool cpl_model_encode(const cpl_model *model, cpl_stream *s, const cpl_embeddings *embeddings, const char *text,
                      int clip_skip, cpl_tensor *conditioning, cpl_error *error);
/* The same from recorded ids and multipliers. */
bool cpl_model_encode_chunks(const cpl_model *model, cpl_stream *s, const cpl_embeddings *embeddings,
                             const cpl_chunks *chunks, int clip_skip, cpl_tensor *conditioning, cpl_error *error);

/* SDXL's vector beside the context is `pooled` values, which sum up the whole prompt, then the embedded size. */
int cpl_model_pooled_width(const cpl_model_spec *spec); /* 0: the model takes no vector */
bool cpl_model_pool(const cpl_model *model, cpl_stream *s, const cpl_embeddings *embeddings, const char *text,
                    cpl_tensor *pooled, cpl_error *error);
bool cpl_model_pool_chunks(const cpl_model *model, cpl_stream *s, const cpl_embeddings *embeddings,
                           const cpl_chunks *chunks, cpl_tensor *pooled, cpl_error *error);
/* What an empty negative prompt is to such a model: a context of zeros (and no pooled values). */
bool cpl_model_encode_nothing(const cpl_model *model, cpl_stream *s, cpl_tensor *conditioning, cpl_error *error);
/* y: [1, 1, 1, adm_in_channels], may be a view; pooled: NULL is zeros; the picture's size in pixels. */
void cpl_model_vector(const cpl_model *model, cpl_stream *s, const cpl_tensor *y, const cpl_tensor *pooled, int width,
                      int height);
/* height, width, crop top and left, target height and width: [1, 1, 1, 1536]. */
cpl_tensor cpl_size_vector(cpl_stream *s, const float size[6]);

/* What lines of text are counted with. */
typedef struct cpl_token_counter {
    const cpl_tokenizer *tokenizer;
    const cpl_embeddings *embeddings; /* may be NULL */
    int context_length;
    bool closed_vocabulary;
} cpl_token_counter;
/* Tokens, room, unknown words of a line; needs no encoder. */
bool cpl_tokens_info(const cpl_token_counter *counter, const char *text, cpl_line_info *info, cpl_error *error);
/* Fails and says how one comes by a tokenizer. */
bool cpl_no_tokenizer(const char *model, cpl_error *error);
bool cpl_model_line_info(const cpl_model *model, const cpl_embeddings *embeddings, const char *text,
                         cpl_line_info *info, cpl_error *error);

#endif
