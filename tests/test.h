/* test.h: cmocka with its headers in the order it wants, and random numbers that are the same everywhere. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static inline uint32_t test_random(uint32_t *seed) { /* xorshift */
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    return *seed ^= *seed << 5;
}
static inline double test_uniform(uint32_t *seed) { return test_random(seed) / 4294967296.0; }

#endif
