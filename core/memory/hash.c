/* hash.c: FNV-1a over 64 bits, finished with a multiply-shift so that short keys spread over all bits. */
#include "hash.h"

#include <string.h>

static const uint64_t prime = UINT64_C(0x100000001b3);

uint64_t cpl_hash_bytes(uint64_t hash, const void *data, size_t size) {
    const unsigned char *p = data;
    /* eight bytes a round: cache keys and mask pixels are long */
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
    }
    for (; size; p++, size--) hash = (hash ^ *p) * prime;
    return hash ^ hash >> 32;
}

uint64_t cpl_hash_u64(uint64_t hash, uint64_t value) { return cpl_hash_bytes(hash, &value, sizeof value); }

uint64_t cpl_hash_text(uint64_t hash, const char *text) {
    if (!text) return cpl_hash_u64(hash, UINT64_MAX);
    size_t length = strlen(text);
    return cpl_hash_bytes(cpl_hash_u64(hash, length), text, length);
}

uint64_t cpl_hash_double(uint64_t hash, double value) {
    value += 0.0; /* -0 + 0 is 0 */
    return cpl_hash_bytes(hash, &value, sizeof value);
}
