/* token_text.h: a prompt's text made ready for byte pairs: cleaned and split. Private to the tokenizer. */
#ifndef CPL_MODEL_TOKEN_TEXT_H
#define CPL_MODEL_TOKEN_TEXT_H

#include "../memory/error.h"

typedef struct token_text {
    uint32_t *code; /* owned: code points */
    size_t count;
} token_text;

typedef struct token_piece {
    const uint32_t *code; /* borrowed from the text */
    size_t count;
} token_piece;

#define CPL_START_MARKER "<|startoftext|>"
#define CPL_END_MARKER "<|endoftext|>"

bool cpl_token_text(token_text *text, const char *utf8, cpl_error *error); /* to be freed by free(text->code) */
/* The next piece of CLIP's split pattern behind *at, which moves; false at the end. */
bool cpl_token_piece(const token_text *text, size_t *at, token_piece *piece);
bool cpl_token_piece_is(const token_piece *piece, const char *ascii);

#endif
