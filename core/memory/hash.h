/* hash.h: 64-bit hashes for cache keys and layout identity. Not cryptographic: a cache verifies the full key. */
#ifndef CPL_MEMORY_HASH_H
#define CPL_MEMORY_HASH_H

#include <stddef.h>
#include <stdint.h>

#define CPL_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t cpl_hash_bytes(uint64_t hash, const void *data, size_t size);
uint64_t cpl_hash_text(uint64_t hash, const char *text); /* NULL and "" differ; the end is hashed too */
uint64_t cpl_hash_u64(uint64_t hash, uint64_t value);
uint64_t cpl_hash_double(uint64_t hash, double value); /* 0 and -0 are equal */

#endif
