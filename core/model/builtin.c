/* builtin.c: the bytes that builtin/embed.S puts into the program, as a checkpoint and a tokenizer. */
#include "builtin.h"

#include <stdatomic.h>

#include "../memory/hash.h"

extern const unsigned char cpl_builtin_weights[], cpl_builtin_weights_end[];
extern const char cpl_builtin_vocab[], cpl_builtin_vocab_end[], cpl_builtin_merges[], cpl_builtin_merges_end[];

/* The symbols stand before and behind one block, which C does not know. */
static size_t span(const void *begin, const void *end) { return (size_t)((uintptr_t)end - (uintptr_t)begin); }

cpl_safetensors *cpl_builtin_open(cpl_error *error) {
    return cpl_safetensors_memory(cpl_builtin_weights, span(cpl_builtin_weights, cpl_builtin_weights_end),
                                  CPL_BUILTIN_NAME, error);
}

cpl_tokenizer *cpl_builtin_tokenizer(cpl_error *error) {
    return cpl_tokenizer_parse(cpl_builtin_vocab, cpl_builtin_merges, CPL_BUILTIN_NAME, error);
}

uint64_t cpl_builtin_identity(void) {
    /* A constant of the program, so it is worked out once: 12 MB are too much for every sync. */
    static _Atomic uint64_t known;
    uint64_t hash = atomic_load_explicit(&known, memory_order_relaxed);
    if (hash) return hash;
    hash = cpl_hash_bytes(CPL_HASH_START, cpl_builtin_weights, span(cpl_builtin_weights, cpl_builtin_weights_end));
    hash = cpl_hash_bytes(hash, cpl_builtin_vocab, span(cpl_builtin_vocab, cpl_builtin_vocab_end));
    hash = cpl_hash_bytes(hash, cpl_builtin_merges, span(cpl_builtin_merges, cpl_builtin_merges_end));
    atomic_store_explicit(&known, hash, memory_order_relaxed);
    return hash;
}
