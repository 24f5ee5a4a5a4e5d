/* tokenizer.h: CLIP's byte-level BPE, from vocab.json and merges.txt. */
#ifndef CPL_MODEL_TOKENIZER_H
#define CPL_MODEL_TOKENIZER_H

#include "../memory/error.h"

typedef struct cpl_tokenizer cpl_tokenizer;

cpl_tokenizer *cpl_tokenizer_open(const char *directory, cpl_error *error); /* vocab.json and merges.txt inside */
cpl_tokenizer *cpl_tokenizer_parse(const char *vocab_json, const char *merges, const char *name, cpl_error *error);
void cpl_tokenizer_free(cpl_tokenizer *tokenizer);
int cpl_tokenizer_start(const cpl_tokenizer *tokenizer); /* id of the start marker */
int cpl_tokenizer_end(const cpl_tokenizer *tokenizer);
int cpl_tokenizer_size(const cpl_tokenizer *tokenizer);
int cpl_tokenizer_comma(const cpl_tokenizer *tokenizer); /* id of "," as a word of its own, or -1 */
/* Whether a word ends with the token; of a word's tokens the last one does. */
bool cpl_tokenizer_ends_word(const cpl_tokenizer *tokenizer, int id);
/* Ids of `text` without markers and without cutting. */
bool cpl_tokenizer_encode(const cpl_tokenizer *tokenizer, const char *text, int **ids, int *count, cpl_error *error);
/* The words of `text` that are not a single token, joined by ", " and cut to `size`; false if there is none. What "unknown"
 * means for a closed vocabulary, where every known word is one token. */
bool cpl_tokenizer_unknown(const cpl_tokenizer *tokenizer, const char *text, char *words, size_t size);

#endif
