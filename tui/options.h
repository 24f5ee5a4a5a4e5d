/* options.h: the command line as data. One table of commands and one of options; the parser, --help, the error messages
 * and the test of couplet(1) all read these two. Knows nothing of what a command does. */
#ifndef TUI_OPTIONS_H
#define TUI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum command_id {
    COMMAND_EDIT, /* no name of its own: what `couplet [LAYOUT]` does */
    COMMAND_RENDER,
    COMMAND_CHECK,
    COMMAND_LINES,
    COMMAND_MASKS,
    COMMAND_MAP,
    COMMAND_SHOW,
    COMMAND_CONVERT,
    COMMAND_INFO,
    COMMAND_STATS,
    COMMAND_BENCH,
    COMMAND_COUNT
} command_id;

typedef struct command_entry {
    const char *name;     /* NULL for the editor */
    const char *operands; /* as help shows them: "LAYOUT" */
    int least, most;      /* how many operands it takes */
    const char *summary;
} command_entry;

typedef enum option_kind {
    OPTION_SWITCH, /* bool */
    OPTION_TEXT,   /* const char *, not empty */
    OPTION_WHOLE,  /* int in least..most */
    OPTION_REAL,   /* double in least..most */
    OPTION_SEED,   /* int64_t, 0..2^53-1 or -1 */
    OPTION_CANVAS, /* int[2]: WxH in pixels, multiples of 8 */
    OPTION_GRID,   /* int[2]: WxH in tokens, or CxR in tiles */
    OPTION_NAME,   /* const char *, one of `choices` */
    OPTION_INDEX,  /* int, the place in `choices` */
    OPTION_DEVICE, /* const char *: auto, cpu, cuda, cuda:N */
    OPTION_MANY,   /* const char *[OPTION_MOST + 1], ended by NULL: may be given again and again */
    OPTION_BYTES,  /* int64_t: a number of bytes, with K, M or G after it */
    OPTION_TILE    /* int64_t: pixels, 0 for auto, -1 for off */
} option_kind;

typedef struct option_entry {
    const char *name;     /* without the dashes */
    char letter;          /* 0: it has none */
    const char *argument; /* NULL for a switch */
    option_kind kind;
    size_t offset;     /* into `arguments` */
    unsigned commands; /* a bit, 1 << command_id, for each command that accepts it */
    double least, most;
    const char *const *(*choices)(void); /* NULL-terminated */
    const char *help;                    /* a line of --help; no full stop */
} option_entry;

enum { OPTION_MOST = 16 };

extern const command_entry command_table[COMMAND_COUNT];
extern const option_entry option_table[];
extern const int option_count;

/* What was asked for. Texts are borrowed from argv; numbers that were not given hold what "unset" is in a layout. */
typedef struct arguments {
    command_id command;
    const char *operand[2];
    int operands;
    bool help, version, quiet, json, generate, quick, tokens;
    bool misconfigured; /* it is the user's file that is wrong, not the command line */
    int color;          /* a color_choice */
    int theme;          /* a theme_choice */
    const char *model, *device, *precision, *tokenizer, *dump, *stats, *output, *png, *sampler, *schedule, *rng, *keys,
        *part, *vae, *prediction, *init, *replace;
    const char *preset, *lora_dir, *embedding_dir, *lora[OPTION_MOST + 1], *embedding[OPTION_MOST + 1];
    const char *hires_upscaler;
    int steps, threads, clip_skip, batch, hires_steps;
    int size[2], grid[2], tiles[2];
    double cfg, denoise, threshold, hires, hires_denoise; /* NAN: not given */
    int64_t seed, vae_tile, cache_bytes, pool_bytes, vram;
} arguments;

/* False: wrong usage, and `why` says in one line what is wrong; `arguments->command` is right as far as it was read. */
bool options_parse(int argc, char *const *argv, arguments *arguments, char *why, size_t why_size);
/* One option's value, as it would stand behind it. */
bool options_set(arguments *arguments, const option_entry *option, const char *value, char *why, size_t why_size);
void options_help(FILE *out, command_id command); /* of one command, or with COMMAND_EDIT of the whole program */
/* The entry of `names` (NULL-terminated) that `typed` is probably meant to be, or NULL. */
const char *options_nearest(const char *typed, const char *const *names);

#endif
