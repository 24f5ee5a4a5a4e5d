/* embedding.h: textual inversion: vectors that stand for a name in a text, in place of what the encoder's table has for its
 * words. Gal et al. 2022, arXiv:2208.01618; how names are found in texts is the WebUI's. */
#ifndef CPL_MODEL_EMBEDDING_H
#define CPL_MODEL_EMBEDDING_H

#include "spec.h"
#include "tokenizer.h"

/* A file that some text names. */
typedef struct cpl_embedding_want {
    char *name, *path; /* owned */
    char *spelling;    /* owned: of the name, see spelling.h */
    uint64_t identity; /* of the file: which it is, size, time, header */
    int row;           /* what names it, for messages: region row or -1, */
    char place[64];    /* and JSON path */
} cpl_embedding_want;
void cpl_embedding_wants_free(cpl_embedding_want *wants, int count);

/* Files read for one model. */
typedef struct cpl_embeddings cpl_embeddings;
/* values: the vectors are read; else only their number is, which is enough to count tokens. What is wrong with a file, or does not
 * fit the model, is an error with the row and path of what names it. tokenizer: NULL: nothing will be found in texts. */
cpl_embeddings *cpl_embeddings_new(const cpl_embedding_want *wants, int count, const cpl_tokenizer *tokenizer,
                                   const cpl_model_info *model, bool values, cpl_error *error);
void cpl_embeddings_free(cpl_embeddings *embeddings);
/* Whether it was made of these. NULL is made of none. */
bool cpl_embeddings_are(const cpl_embeddings *embeddings, const cpl_embedding_want *wants, int count);

/* The name that begins at ids[0], the longest of several: its length in ids, and its vectors as rows first to first + vectors - 1
 * of the table; 0: none. `embeddings` may be NULL, as below. */
int cpl_embeddings_at(const cpl_embeddings *embeddings, const int *ids, int count, int *first, int *vectors);
/* A table for a text encoder, [rows][width] in host memory, borrowed. NULL: there is none. */
const float *cpl_embeddings_table(const cpl_embeddings *embeddings, int encoder, int *rows);
/* A hash of the files that a prompt line names, for keys of what is made of it; 0: of none. */
bool cpl_embeddings_mark(const cpl_embeddings *embeddings, const char *text, uint64_t *mark, cpl_error *error);
/* Writes blanks over the names in `text`: they are no words. */
void cpl_embeddings_blank(const cpl_embeddings *embeddings, char *text);

/* Vector tokens are ids below zero: row 0 is -1, row 1 is -2. */
static inline int cpl_vector_id(int row) { return -1 - row; }

#endif
