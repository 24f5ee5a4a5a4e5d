/* couplet.h: the one public header of libcouplet, regional prompting without a screen.
 *
 * A whole program: load a layout, make its picture, write a PNG.
 *
 *     cpl_error error = {0};
 *     cpl_layout *layout = cpl_layout_load("harbour.json", &error);
 *     cpl_session *session = layout ? cpl_session_new(&(cpl_options){0}, &error) : NULL;
 *     if (session && cpl_session_sync(session, layout, CPL_SYNC_NOW, NULL, &error))
 *         cpl_session_generate(session);
 *     for (bool done = !session; !done;) {
 *         cpl_event event;
 *         cpl_session_wait(session, -1);
 *         while (cpl_session_next(session, &event)) {
 *             if (event.type == CPL_EVENT_FINISHED)
 *                 cpl_image_write_png(event.image, "out.png", event.texts, event.text_count, &error);
 *             if (event.type == CPL_EVENT_FAILED || event.type == CPL_EVENT_INVALID) error = event.error;
 *             done |= event.type > CPL_EVENT_FINISHED ||
 *                     (event.type == CPL_EVENT_FINISHED && event.picture == event.pictures);
 *             cpl_event_clear(&event);
 *         }
 *     }
 *     if (error.code) fprintf(stderr, "%s\n", error.message);
 *     cpl_session_free(session);
 *     cpl_layout_free(layout);
 *
 * Rules that hold for every function: a call that can fail returns false or NULL and fills `error` (which may be
 * NULL); the library never prints, exits or changes the locale; what `_new`, `_load` or `_open` returns is yours
 * until `_free` or `_close`, which accept NULL; `const` pointers are borrowed. Text is UTF-8. No hidden globals:
 * two sessions can live in one process. A layout belongs to one thread at a time; sessions may be called from any
 * one thread while their worker runs. */
#ifndef COUPLET_H
#define COUPLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CPL_VERSION "0.1.0"
#define CPL_MAX_REGIONS 256
#define CPL_MAX_LORAS 64
#define CPL_MAX_TILES 64 /* in a row or a column */
#define CPL_MIN_SIDE 24  /* canvas side in pixels; below it a latent side has no attention level */
#define CPL_MAX_SIDE 8192
#define CPL_MAX_CLIP_SKIP 12
#define CPL_TOLD_CHUNKS 16 /* of a text, whose tokens are told one by one */
#define CPL_MAX_BATCH 100
#define CPL_MAX_WEIGHT 1e6 /* of a region; sums stay far from the end of single precision */
#define CPL_MIN_DENOISE 0.01
#define CPL_MAX_HIRES 4.0
#define CPL_SEED_RANDOM (-1) /* draw a seed for each run; the picture records it */
#define CPL_SEED_UNSET INT64_MIN

/* ---- Errors ---------------------------------------------------------------------------------------------- */

typedef enum cpl_code {
    CPL_OK = 0,
    CPL_E_INPUT, /* a layout, prompt or option is wrong */
    CPL_E_FILE,  /* a file cannot be read, written or understood */
    CPL_E_MEMORY,
    CPL_E_UNSUPPORTED, /* understood, but this build or model cannot do it */
    CPL_E_DEVICE,      /* the backend failed */
    CPL_E_CANCELLED
} cpl_code;

typedef struct cpl_error {
    cpl_code code;
    int row;           /* region row from 0 with code CPL_E_INPUT, else -1 or 0 */
    char path[64];     /* JSON path of the fault in a layout, such as "regions[2].rect[1]", else "" */
    char message[512]; /* one sentence: file, place, what is wrong, remedy; no control characters */
} cpl_error;

/* ---- Images ---------------------------------------------------------------------------------------------- */

typedef struct cpl_image {
    int width, height;  /* pixels */
    unsigned char *rgb; /* owned: width * height * 3, row by row */
} cpl_image;

typedef struct cpl_text {
    const char *key, *value;
} cpl_text; /* a PNG text entry, both borrowed */

cpl_image *cpl_image_new(int width, int height, cpl_error *error); /* black */
void cpl_image_free(cpl_image *image);
cpl_image *cpl_image_copy(const cpl_image *image, cpl_error *error);
/* Any PNG as RGB (alpha is dropped). Sides up to 16384. */
cpl_image *cpl_image_read_png(const char *path, cpl_error *error);
/* A copy of another size, by Lanczos' kernel of three lobes; where it shrinks, every pixel counts. */
cpl_image *cpl_image_resize(const cpl_image *image, int width, int height, cpl_error *error);
/* Written to a temporary file beside `path`, then renamed. No time stamp: same image and texts, same bytes. */
bool cpl_image_write_png(const cpl_image *image, const char *path, const cpl_text *texts, int count, cpl_error *error);
/* The value of a tEXt/iTXt entry of a PNG, to be freed by the caller; NULL with code CPL_OK where there is none. */
char *cpl_png_text(const char *path, const char *key, cpl_error *error);

/* ---- Layouts: what the user edits and saves (a plain value) ----------------------------------------------- */

typedef enum cpl_mode { CPL_MODE_BASIC, CPL_MODE_ADVANCED, CPL_MODE_MASK } cpl_mode;
typedef enum cpl_direction { CPL_HORIZONTAL, CPL_VERTICAL } cpl_direction;
typedef enum cpl_background { CPL_BACKGROUND_NONE, CPL_BACKGROUND_FIRST, CPL_BACKGROUND_LAST } cpl_background;
typedef enum cpl_uncovered { CPL_UNCOVERED_ERROR, CPL_UNCOVERED_FILL } cpl_uncovered;
typedef enum cpl_brackets { CPL_BRACKETS_CURLY, CPL_BRACKETS_ANGLE, CPL_BRACKETS_OFF } cpl_brackets;

/* A painted mask: immutable 8-bit grey pixels, reference-counted (any thread). */
typedef struct cpl_mask cpl_mask;
cpl_mask *cpl_mask_new(int width, int height, const unsigned char *grey, cpl_error *error); /* copies the pixels */
cpl_mask *cpl_mask_read_png(const char *path, cpl_error *error); /* grey by the rules of couplet-layout(5) */
/* As Forge Couple takes a picture of any size up for a canvas: brought to its size (halved while that is above 1024 * 1024
 * pixels), what is then fully white is inside (255), all else outside (0). One without any white is refused. */
cpl_mask *cpl_mask_import_png(const char *path, int width, int height, cpl_error *error);
char *cpl_mask_data(const cpl_mask *mask, cpl_error *error); /* as a data: text for `mask_source`; caller frees */
cpl_mask *cpl_mask_ref(cpl_mask *mask);
void cpl_mask_unref(cpl_mask *mask);
int cpl_mask_width(const cpl_mask *mask);
int cpl_mask_height(const cpl_mask *mask);
const unsigned char *cpl_mask_pixels(const cpl_mask *mask);

/* In all layout structs: `present` has one bit per key that the file had (they are written back even at their
 * default); `extra` holds unknown and reserved keys (cJSON object, owned, may be NULL). Strings are owned, NULL = absent. */
typedef struct cpl_region {
    double x1, x2, y1, y2; /* 0..1 of the canvas; default 0 1 0 1 */
    double weight;         /* 0..CPL_MAX_WEIGHT, default 1 */
    double feather;        /* 0..1 of the canvas, default 0 */
    char *prompt;
    char *negative;    /* NULL: the layout's */
    int color;         /* palette entry 0..15, or -1: by row */
    char *mask_source; /* as in the file: path relative to the layout, or a data: URI */
    cpl_mask *mask;    /* one reference */
    unsigned present;
    struct cJSON *extra;
} cpl_region;

/* An entry of "loras": an addition to the model for the whole picture. <lora:NAME:WEIGHT> in a text asks for one too. */
typedef struct cpl_lora {
    char *name;         /* looked for in the LoRA folders, */
    char *path;         /* or a file, relative to the layout */
    double weight;      /* default 1 */
    double text_weight; /* in the text encoders; NaN: as `weight` */
    unsigned present;
    struct cJSON *extra;
} cpl_lora;

typedef struct cpl_sampling {               /* "unset" resolves to the model's defaults */
    char *model, *sampler, *schedule, *rng; /* NULL = unset */
    char *vae;                              /* NULL = the model's own */
    char *prediction;                       /* "epsilon", "v", "v_zsnr"; NULL = the model's */
    int steps;                              /* 1..1000, 0 = unset */
    double cfg;                             /* NaN = unset */
    int64_t seed;                           /* 0..2^53-1, CPL_SEED_RANDOM, CPL_SEED_UNSET (means 0) */
    int clip_skip;                          /* 1..CPL_MAX_CLIP_SKIP, 0 = unset (means 1: all layers) */
    int batch;                              /* 1..CPL_MAX_BATCH pictures of one run, 0 = unset (means 1) */
    struct cJSON *extra;
} cpl_sampling;

typedef struct cpl_layout {
    int width, height; /* canvas in pixels, multiples of 8, 0 = unset */
    cpl_mode mode;
    cpl_direction direction; /* basic: horizontal = columns from left to right */
    cpl_background background;
    double background_weight; /* default 0.5; below 0.1 it acts as 0.1 */
    char *background_prompt;  /* for CPL_UNCOVERED_FILL */
    cpl_uncovered uncovered;
    char *separator; /* as typed; NULL = "\n" */
    cpl_brackets brackets;
    bool definitions; /* a definition's value stays where it was defined; default true */
    char *prompt;     /* one text for all lines; then regions carry none */
    char *negative;
    char *init_image; /* img2img: a PNG that the run begins with, relative to the layout; NULL: noise alone */
    double denoise;   /* img2img: above 0, to 1: the share of the steps that is made; default 0.75 */
    bool fix_steps;   /* img2img: all steps are made, at the end of a schedule that is as much longer; default false */
    double hires_scale; /* hires: above 1, to CPL_MAX_HIRES: a second pass on the latent made so much larger; 1: none */
    int hires_steps;    /* hires: 1..1000 steps of it, 0 = as many as sampling.steps */
    double hires_denoise; /* hires: how far the second pass goes back into noise, as `denoise`; default 0.7 */
    char *hires_upscaler; /* hires: one of cpl_upscaler_names; NULL: the first */
    bool schedules;       /* [a:b:0.5], [a|b] and AND mean something in the regions' prompts too; default false */
    cpl_region *regions;  /* owned */
    int region_count;
    cpl_lora *loras; /* owned */
    int lora_count;
    cpl_sampling sampling;
    char *directory; /* where the file lies, for relative paths; NULL = working directory */
    unsigned present;
    struct cJSON *extra, *extra_canvas, *extra_background, *extra_common, *extra_img2img, *extra_hires;
} cpl_layout;

cpl_layout *cpl_layout_new(cpl_error *error); /* every key absent, no regions */
cpl_layout *cpl_layout_copy(const cpl_layout *layout, cpl_error *error);
void cpl_layout_free(cpl_layout *layout);
/* Reads a layout file, a PNG that couplet wrote, or a PNG of the A1111 WebUI and its kin or the text that stands below one
 * (what that says and a layout cannot is told in error->message, with code CPL_OK), and its masks. Syntax, types and ranges are checked here; what
 * only a whole layout shows (counts, coverage) is left to cpl_layout_check, so that an unfinished layout can be edited. */
cpl_layout *cpl_layout_load(const char *path, cpl_error *error);
bool cpl_infotext_is(const char *text); /* whether it ends as the WebUI's does: with a line of "Steps: 20, ..." */
/* From JSON, or from such a text. */
cpl_layout *cpl_layout_parse(const char *json, const char *directory, const char *name, cpl_error *error);
bool cpl_layout_save(const cpl_layout *layout, const char *path, cpl_error *error); /* atomic: whole or not at all */
char *cpl_layout_print(const cpl_layout *layout, cpl_error *error);                 /* JSON, caller frees */
bool cpl_layout_equal(const cpl_layout *a, const cpl_layout *b);                    /* same file contents */
/* The same layout for any folder: a mask from a relative path becomes the data of its pixels (unless it was not read), other
 * relative paths become whole ones from the layout's folder; a model or VAE that is not there keeps its name. `directory`
 * stays as it is. On failure, for want of memory or a mask that is none, some are done, and the layout means the same. */
bool cpl_layout_settle_files(cpl_layout *layout, cpl_error *error);

bool cpl_text_set(char **text, const char *value, cpl_error *error); /* replaces an owned string; value may be NULL */
cpl_region *cpl_layout_insert(cpl_layout *layout, int at, cpl_error *error); /* a default region at row `at` */
void cpl_layout_remove(cpl_layout *layout, int row);
void cpl_layout_move(cpl_layout *layout, int from, int to);
cpl_lora *cpl_layout_add_lora(cpl_layout *layout, cpl_error *error); /* a default entry at the end of `loras` */
/* Adds an entry to `loras` for each <lora:...> of the one prompt, for a caller that is about to split it into rows and to drop it:
 * the prompt stays as it is. On failure nothing was added. */
bool cpl_layout_keep_loras(cpl_layout *layout, cpl_error *error);
/* The row of the background line, or -1 (always -1 in advanced mode, which has none). */
int cpl_layout_background_row(const cpl_layout *layout);

/* What a model gives to the keys that a layout leaves out. */
typedef struct cpl_defaults {
    int width, height, steps;
    double cfg;
    char sampler[24], schedule[24];
} cpl_defaults;

typedef struct cpl_settings { /* every setting of a run, resolved */
    int width, height, steps;
    double cfg;
    int64_t seed; /* may be CPL_SEED_RANDOM; of the first picture, each later one has the next */
    int clip_skip, batch;
    char sampler[24], schedule[24], rng[8];
    char prediction[8]; /* "": what the model was made for */
    double denoise;     /* 0: there is no picture to begin with */
    bool fix_steps;
    int hires_width, hires_height; /* of the picture that a second pass makes; 0: there is none */
    int hires_steps;
    double hires_denoise;
    char hires_upscaler[24];
} cpl_settings;
/* Of the picture that a run ends with. */
void cpl_settings_final_size(const cpl_settings *settings, int *width, int *height);

bool cpl_layout_resolve(const cpl_layout *layout, const cpl_defaults *defaults, cpl_settings *settings,
                        cpl_error *error);

/* The resolved prompt lines: <lora:...> taken out, common prompts expanded, split, stripped, background in its place. With
 * CPL_UNCOVERED_FILL and a hole a last line for the hole is added by the engine, not here. */
typedef struct cpl_lines {
    char **line;
    int count;
} cpl_lines;
bool cpl_layout_lines(const cpl_layout *layout, cpl_lines *lines, cpl_error *error);
void cpl_lines_clear(cpl_lines *lines);

/* Forge Couple's prompts for upscalers that work tile by tile: the canvas in columns * rows (2 and more), row by row; each gets the
 * background line and the lines of all regions of which at least `threshold` (0..1) lies inside it, joined by newlines, with
 * their LoRA tags, and tags for the list.
 * replace: rules "goal: tag, tag" of one line each, by which tags become the goal in regions' lines; NULL: none. The
 * layout must be right but for its coverage. */
bool cpl_layout_tiles(const cpl_layout *layout, int columns, int rows, double threshold, const char *replace,
                      cpl_lines *tiles, cpl_error *error);
/* How many tiles of a size cover a picture where neighbours overlap by so many pixels, which is less than a tile's side. (Forge
 * Couple's calculator shows the two exchanged.) */
void cpl_tile_grid(int width, int height, int tile_width, int tile_height, int overlap, int *columns, int *rows);

/* The normalised masks of all lines at a token grid of w * h: out[line * w * h + y * w + x], each 0..1, summing to 1 at
 * each token. `out` has room for (lines + 1) * w * h; `*count` is lines, or lines + 1 where a hole was filled. */
bool cpl_layout_masks(const cpl_layout *layout, const cpl_defaults *defaults, int w, int h, float *out, int *count,
                      cpl_error *error);
/* Area of the canvas with a weight above zero, 0..1, from the pixels of the canvas. */
double cpl_layout_coverage(const cpl_layout *layout, const cpl_defaults *defaults);
/* A picture of the regions in `palette` (16 RGB triples), mixed where they overlap, a hatch where nothing covers. */
cpl_image *cpl_layout_map(const cpl_layout *layout, const cpl_defaults *defaults, int width, int height,
                          const unsigned char palette[16][3], cpl_error *error);

typedef struct cpl_problem {
    bool warning;
    cpl_error error;
} cpl_problem;
typedef struct cpl_problems {
    cpl_problem *list;
    int count;
} cpl_problems;
/* Everything that is wrong with a layout, errors first. True if there is no error (warnings may remain). */
bool cpl_layout_check(const cpl_layout *layout, const cpl_defaults *defaults, cpl_problems *problems);
void cpl_problems_clear(cpl_problems *problems);

/* Undo: a stack of layouts. `push` records the state *after* an edit. */
typedef struct cpl_history cpl_history;
cpl_history *cpl_history_new(const cpl_layout *first, cpl_error *error);
void cpl_history_free(cpl_history *history);
bool cpl_history_push(cpl_history *history, const cpl_layout *layout, cpl_error *error); /* unchanged: no new step */
const cpl_layout *cpl_history_undo(cpl_history *history); /* the state to show (borrowed), NULL at the end */
const cpl_layout *cpl_history_redo(cpl_history *history);

/* ---- Models ---------------------------------------------------------------------------------------------- */

/* What makes a model, as a user names it; all may be NULL. */
typedef struct cpl_model_source {
    const char *model;     /* NULL, "" or "builtin"; a .safetensors file; a folder as diffusers keeps models */
    const char *directory; /* where relative names are looked for first */
    const char *vae;       /* a file or folder whose VAE takes the place of the model's own; NULL or "": none */
    const char *tokenizer; /* a folder; NULL or "": beside the model, or CLIP's own in the user's data folder */
} cpl_model_source;

typedef struct cpl_model_part {
    char name[8]; /* "text", "text 2", "unet", "vae" */
    int64_t parameters;
    char weights[16]; /* types in the file, the most used first: "F16", "F16 F32" */
    int files;        /* shards that it lies in */
    char file[256];   /* the first of them; "builtin" inside the program */
} cpl_model_part;

#define CPL_MODEL_PARTS 4

typedef struct cpl_model_info {
    char name[64], family[16];
    char path[512]; /* file or folder, "" for builtin */
    int64_t parameters;
    char weights[16]; /* type in the file, such as "F16" */
    cpl_model_part part[CPL_MODEL_PARTS];
    int parts;
    int64_t packed_f32, packed_bf16; /* bytes that its weights take in memory, about */
    bool averaged;                   /* the file has only the averaged weights (EMA), and those are run */
    bool zero_terminal_snr;          /* its noise levels end without any signal */
    int context_length;              /* tokens of one text chunk, the two markers included */
    int text_width[2];               /* of its text encoders; the second is 0 where it has one */
    bool closed_vocabulary;          /* words outside of it mean nothing to the model */
    char prediction[8];              /* what the UNet gives: "epsilon" or "v" */
    char tokenizer[256];             /* folder where its tokenizer was found, "" for none and for builtin */
    cpl_defaults defaults;
} cpl_model_info;
/* What a layout names; borrowed from it. */
cpl_model_source cpl_layout_source(const cpl_layout *layout);
/* Reads headers only. True: all weights that the model needs are there; the tokenizer may be missing. */
bool cpl_model_peek(const cpl_model_source *source, cpl_model_info *info, cpl_error *error);

typedef struct cpl_lora_info {
    char name[64]; /* as a prompt calls it: the file's name without its ending */
    char path[512];
    char kind[24];   /* "LoRA" (LoCon too), "LoHa", "LoKr", or what cannot be used: "DoRA", ... */
    bool usable;     /* of a kind that can be applied */
    char family[16]; /* of the models that it was made for: "sd1", "sdxl", "flux", ...; "" not known */
    char title[64],
        base[64]; /* from its metadata: a name that it is also found by, and what it was trained on; or "" */
    int least_rank, most_rank; /* 0: none of its modules has one */
    int unet_modules, text_modules;
    int strange_tensors; /* that are none of a LoRA's */
    int64_t parameters;
    char weights[16]; /* type in the file, such as "F16" */
} cpl_lora_info;
/* Reads the header of the LoRA that `lora` names: a file, or a name in the folders (see cpl_options.lora_dir). */
bool cpl_lora_peek(const char *lora, const char *lora_dir, cpl_lora_info *info, cpl_error *error);

/* Whether each LoRA that the layout asks for is there and, by its header, made for such a model; the error names row and path
 * of the first that is not. What only the model's layers tell is left to a run. */
bool cpl_layout_check_loras(const cpl_layout *layout, const char *lora_dir, const cpl_model_info *model,
                            cpl_error *error);
/* Whether the picture that a run begins with can be read as a whole, which takes as long as that; true where there is none. */
bool cpl_layout_check_start(const cpl_layout *layout, cpl_error *error);

/* A textual inversion file: vectors that stand for its name in texts. */
typedef struct cpl_embedding_info {
    char name[64]; /* the file's name without its ending */
    char path[512];
    char family[16]; /* of the models that its widths fit: "sd1", "sd2", "sdxl"; "" another */
    int vectors;     /* tokens that the name takes in a text */
    int width[2];    /* values of a vector for each text encoder; the second is 0 for models with one */
} cpl_embedding_info;
/* Reads the header of the embedding that `embedding` names: a file, or a name in the folders (see cpl_options.embedding_dir). */
bool cpl_embedding_peek(const char *embedding, const char *embedding_dir, cpl_embedding_info *info, cpl_error *error);
/* Whether each embedding that the layout's texts name can be read and has the widths of such a model; the error names row and
 * path of the first that has not. */
bool cpl_layout_check_embeddings(const cpl_layout *layout, const char *embedding_dir, const cpl_model_info *model,
                                 cpl_error *error);

typedef struct cpl_line_info {
    int tokens, room; /* text tokens used, and how many fit its chunks; of a text that changes, the longest */
    char unknown[64]; /* first words outside a closed vocabulary, "" if none */
    bool vanishes;    /* no token at all on some attention grid: too thin */
    int chunks;       /* of the same text, */
    short chunk_tokens[CPL_TOLD_CHUNKS]; /* and the tokens that stand in the first of them */
} cpl_line_info;
/* A text as the encoder gets it: a line's own, or one of those that it changes through during a run, or is composed of. */
typedef struct cpl_line_text {
    int line;        /* of cpl_layout_lines */
    int first, last; /* calls of the model that it is for, from 1 */
    double weight;   /* in the guidance; 1 unless AND composes pictures */
    char *text;      /* owned: emphasis and BREAK as typed */
    cpl_line_info info;
} cpl_line_text;
/* Counts the tokens of a layout's lines as its model will, with nothing loaded but a vocabulary; `vanishes` is left false.
 * tokenizer, embedding_dir: as in cpl_options. infos: [*count], one for each line, freed by the caller. */
bool cpl_layout_tokens(const cpl_layout *layout, const char *tokenizer, const char *embedding_dir,
                       cpl_line_info **infos, int *count, cpl_error *error);

/* The names that layouts and options accept, NULL-terminated. */
const char *const *cpl_sampler_names(void);
const char *const *cpl_schedule_names(void);
const char *const *cpl_rng_names(void);
const char *const *cpl_prediction_names(void);
const char *const *cpl_upscaler_names(void);

/* ---- Sessions -------------------------------------------------------------------------------------------- */

typedef void cpl_log_fn(void *user, const char *message);

typedef struct cpl_options {   /* all zero: the defaults */
    const char *device;        /* "auto", "cpu", "cuda[:N]"; NULL = auto */
    const char *precision;     /* "auto", "f32", "bf16", "f16"; NULL = auto */
    const char *tokenizer;     /* folder with vocab.json and merges.txt; NULL: beside the model */
    const char *lora_dir;      /* folder with LoRA files; NULL: $COUPLET_LORA_DIR. See couplet(1) for the others */
    const char *embedding_dir; /* folder with embeddings; NULL: $COUPLET_EMBEDDINGS_DIR */
    const char *dump;          /* folder to write each stage's tensors to; NULL: none */
    int threads;               /* 0: one per core that this process may use */
    int64_t vae_tile;          /* most pixels of the VAE's last level at a time; 0: as memory asks for; negative: all */
    uint64_t cache_bytes;      /* budget of conditionings, keys and values, and plans together; 0: 1 GiB */
    uint64_t
        vram_bytes; /* budget of a GPU's memory; 0: all there is. Parts of the model that are not at work give way */
    uint64_t pool_bytes; /* budget of all activations and of what is cached of them; 0: none */
    int trim_after_ms;   /* memory that lies idle goes back to the system after so long without work; 0: 10000 */
    int debounce_ms;     /* 0: 100 */
    int preview_every;   /* a preview each n steps; 0: 1, negative: none */
    cpl_log_fn *log;     /* called from the worker; NULL: silent */
    void *log_user;
} cpl_options;

typedef struct cpl_session cpl_session;

typedef enum cpl_event_type {
    CPL_EVENT_LOADING,  /* a model is being loaded: `model` names it, `fraction` of it is there; comes repeatedly */
    CPL_EVENT_READY,    /* it is: `model` */
    CPL_EVENT_SYNCED,   /* the core holds revision/hash: `lines`, `line_texts` */
    CPL_EVENT_STARTED,  /* a run began: `seed`, `steps` */
    CPL_EVENT_PROGRESS, /* `step` of `steps` done, `ms` since the start; after the last, `fraction` of the decoding */
    CPL_EVENT_PREVIEW,  /* `image` (latent size) at `step` */
    /* `image`, `seed`, `ms`, `texts`: what belongs into its PNG. One for each picture of a batch; the run ends with that whose
     * `picture` is `pictures`. */
    CPL_EVENT_FINISHED,
    CPL_EVENT_CANCELLED,
    CPL_EVENT_INVALID, /* the newest snapshot cannot be used: `error` with row and path; the last picture stands */
    CPL_EVENT_FAILED   /* the run or the model failed: `error` */
} cpl_event_type;

#define CPL_NOTE_SIZE 480

typedef struct cpl_event {
    cpl_event_type type;
    uint64_t revision, hash; /* of the snapshot it is about */
    int step, steps;         /* of this picture */
    int picture, pictures;   /* of a run: number, from 1, and how many */
    int splices; /* of FINISHED: edits that were taken up on the way. Such a picture is of no layout: its hash is 0 */
    double ms, fraction; /* fraction: 0..1 */
    int64_t seed;
    cpl_image *image;     /* owned by the event */
    cpl_line_info *lines; /* owned: line_count */
    int line_count;
    cpl_line_text *line_texts; /* owned with their texts: of SYNCED, in the order of the lines */
    int line_text_count;
    cpl_text *texts; /* owned with their strings */
    int text_count;
    char note[CPL_NOTE_SIZE]; /* of SYNCED: what of the LoRAs cannot be applied and is left out, or "" */
    cpl_model_info model;
    cpl_error error;
} cpl_event;

typedef enum cpl_sync { CPL_SYNC_SETTLE, CPL_SYNC_NOW } cpl_sync;
typedef struct cpl_ticket {
    uint64_t revision, hash;
} cpl_ticket;

/* Starts the worker. No model is loaded before the first sync names one. */
cpl_session *cpl_session_new(const cpl_options *options, cpl_error *error);
void cpl_session_free(cpl_session *session); /* cancels, joins the worker, frees its events */
/* Hands over the whole desired state; what did not change is not redone. The ticket tells its revision and the hash
 * that a picture of just this layout will carry. With CPL_SYNC_SETTLE the worker waits for the edits to rest. */
bool cpl_session_sync(cpl_session *session, const cpl_layout *layout, cpl_sync when, cpl_ticket *ticket,
                      cpl_error *error);
/* Runs the newest snapshot (a run under way is cancelled first). Ends with FINISHED (of its last picture), CANCELLED, INVALID or
 * FAILED. */
void cpl_session_generate(cpl_session *session);
/* In live mode each settled snapshot is generated by itself. A run under way takes up what differs in nothing but regions'
 * places, weights and texts before its next step, which SYNCED tells; its picture is followed by a clean one of the newest
 * snapshot, with the same seed, and a batch in which any picture took edits up by a whole clean batch. For other edits it
 * begins anew. */
void cpl_session_live(cpl_session *session, bool on);
/* Takes effect within one UNet block; a model that is being loaded is given up, which is told by CANCELLED, and loaded
 * again when it is next asked for. */
void cpl_session_cancel(cpl_session *session);
int cpl_session_fd(const cpl_session *session);                /* readable while events wait; only to be polled */
bool cpl_session_wait(cpl_session *session, int timeout_ms);   /* true: an event waits */
bool cpl_session_next(cpl_session *session, cpl_event *event); /* false: none */
void cpl_event_clear(cpl_event *event);

/* ---- Statistics ------------------------------------------------------------------------------------------ */

typedef struct cpl_cache_stats {
    uint64_t hits, misses, evictions, bytes, entries;
} cpl_cache_stats;
typedef struct cpl_stats {
    uint64_t pool_allocations, pool_reuses, pool_bytes, pool_peak_bytes; /* bytes held; peak in use */
    uint64_t pool_held_peak_bytes;         /* the most that was held: what activations took of the machine's memory */
    uint64_t live_peak_bytes;              /* the most that was needed at a time: the largest set of live tensors */
    uint64_t active_tensors, active_bytes; /* of a run under way; 0 between runs */
    uint64_t cached_tensors, cached_bytes; /* conditionings, keys and values: part of what the pool holds */
    uint64_t weight_bytes, device_bytes;
    uint64_t device_budget_bytes,
        device_peak_bytes; /* of a GPU's memory: what may be taken, the most that was; else 0 */
    /* Parts of the model in host memory for want of a GPU's: weights that are there now, how often parts went and came back. */
    uint64_t moved_out_bytes, moves_out, moves_in;
    uint64_t memory_rescues;   /* allocations that failed and were made after the caches gave way */
    uint64_t step_allocations; /* pool misses in steps after the first, of the last run */
    uint64_t encoder_calls;    /* prompt lines run through the text encoder */
    uint64_t splices;          /* edits that runs of live mode took up between two steps */
    cpl_cache_stats conditioning, pooled, text_kv, plans, loras, primitives;
    uint64_t runs, steps;
    /* Of the last run, text_ms: of the last preparation (texts and plans); step_ms: median; sampling_ms: all steps. */
    double load_ms, text_ms, first_step_ms, step_ms, sampling_ms, decode_ms, total_ms;
    double steps_per_second;
    double
        device_step_ms; /* the last step by a device's own clock; 0: it has none. What step_ms has beyond it are gaps */
    int threads;
    char backend[16], precision[8], model[64];
    /* What computes linear layers and convolutions on a GPU, "cuBLASLt 13.1.0, cuDNN 9.19.0" or "": own kernels; and how many
     * each of them has computed. */
    char libraries[64];
    uint64_t library_products, own_products;
} cpl_stats;
void cpl_session_stats(cpl_session *session, cpl_stats *stats);
char *cpl_stats_print(const cpl_stats *stats, cpl_error *error); /* JSON, caller frees */

/* ---- Devices --------------------------------------------------------------------------------------------- */

typedef struct cpl_device_info {
    char name[32], description[96];
    bool usable;
    char why_not[160];
} cpl_device_info;
int cpl_devices(cpl_device_info *list, int room); /* how many there are; the first `room` are filled in */

/* ---- Benchmarks ------------------------------------------------------------------------------------------ */

typedef struct cpl_bench_options { /* all zero: the whole, on all cores, of the built-in model */
    const char *model;             /* a checkpoint that is measured beside the built-in model, or NULL */
    const char *tokenizer;         /* as in cpl_options */
    const char *part;              /* one of cpl_bench_parts(), NULL: all */
    const char *precision;         /* "f32" or "bf16": only this; NULL or "auto": all that the processor has */
    int threads;                   /* 0: one per core that this process may use */
    bool quick;                    /* few rounds */
    cpl_log_fn *log;               /* told what is measured now; NULL: silent */
    void *log_user;
} cpl_bench_options;
/* The names of the parts, NULL-terminated. "machine" is always measured; "sixel" is the program's own, not core's. */
const char *const *cpl_bench_parts(void);
/* Measures this machine, and on it, side by side, coupled attention, whole steps, texts, the decoder and edits: JSON as
 * described in couplet(1), caller frees. Takes seconds to many minutes, in the calling thread; not to be cancelled. */
char *cpl_bench(const cpl_bench_options *options, cpl_error *error);

#ifdef __cplusplus
}
#endif
#endif
