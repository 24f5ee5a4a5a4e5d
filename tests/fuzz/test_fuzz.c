/* test_fuzz.c: the fuzz targets without a fuzzer: every seed, and mutations of it that are the same every time. What `make
 * fuzz` found is kept among the seeds, so that it stays found. */
#include <dirent.h>

#include "../test.h"
#include "fuzz.h"

int fuzz_model(const uint8_t *data, size_t size);
int fuzz_config(const uint8_t *data, size_t size);
int fuzz_layout(const uint8_t *data, size_t size);
int fuzz_png(const uint8_t *data, size_t size);

typedef int target(const uint8_t *data, size_t size);

enum { LONGEST = 1 << 16, MUTATIONS = 400 };

static size_t read_seed(const char *folder, const char *name, uint8_t *data) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(data, 1, LONGEST, file);
    fclose(file);
    return size;
}

static size_t cut(uint8_t *data, size_t size, uint32_t *seed) {
    (void)data;
    return size ? test_random(seed) % size : 0;
}
static size_t flip(uint8_t *data, size_t size, uint32_t *seed) {
    if (size) data[test_random(seed) % size] ^= (uint8_t)(1u << test_random(seed) % 8);
    return size;
}
static size_t set(uint8_t *data, size_t size, uint32_t *seed) {
    static const uint8_t values[] = {0, 1, 127, 128, 255, '"', '{', '}', '[', ']', ',', ':', '\\', '0', '9', '-'};
    if (size) data[test_random(seed) % size] = values[test_random(seed) % sizeof values];
    return size;
}
/* A piece again, behind itself. */
static size_t repeat(uint8_t *data, size_t size, uint32_t *seed) {
    if (size < 2) return size;
    size_t at = test_random(seed) % size, length = 1 + test_random(seed) % 64;
    if (at + length > size) length = size - at;
    if (size + length > LONGEST) return size;
    memmove(data + at + length, data + at, size - at);
    return size + length;
}
static size_t take_out(uint8_t *data, size_t size, uint32_t *seed) {
    if (size < 2) return size;
    size_t at = test_random(seed) % size, length = 1 + test_random(seed) % 64;
    if (at + length > size) length = size - at;
    memmove(data + at, data + at + length, size - at - length);
    return size - length;
}
/* A number in the text becomes one at the edge of what fits. */
static size_t renumber(uint8_t *data, size_t size, uint32_t *seed) {
    static const char *const numbers[] = {
        "9223372036854775807", "18446744073709551616", "4294967296", "-1", "1e999", "0"};
    size_t at = size ? test_random(seed) % size : 0;
    while (at < size && (data[at] < '0' || data[at] > '9')) at++;
    const char *number = numbers[test_random(seed) % (sizeof numbers / sizeof *numbers)];
    size_t length = strlen(number), end = at;
    while (end < size && data[end] >= '0' && data[end] <= '9') end++;
    if (at == size || size - (end - at) + length > LONGEST) return size;
    memmove(data + at + length, data + end, size - end);
    memcpy(data + at, number, length); /* NOLINT(bugprone-not-null-terminated-result): no string */
    return size - (end - at) + length;
}

static void run_seed(target *eat, const uint8_t *seed_data, size_t size, uint32_t seed) {
    typedef size_t mutation(uint8_t * data, size_t size, uint32_t * seed);
    static mutation *const mutations[] = {cut, flip, set, repeat, take_out, renumber};
    static uint8_t work[LONGEST];
    eat(seed_data, size);
    for (int i = 0; i < MUTATIONS; i++) {
        size_t now = size;
        memcpy(work, seed_data, size);
        for (unsigned k = 1 + test_random(&seed) % 4; k; k--)
            now = mutations[test_random(&seed) % (sizeof mutations / sizeof *mutations)](work, now, &seed);
        /* A block of just this size, so that a sanitizer sees a read past its end. */
        uint8_t *exact = malloc(now ? now : 1);
        assert_non_null(exact);
        memcpy(exact, work, now);
        eat(exact, now);
        free(exact);
    }
}

static void run_target(target *eat, const char *folder) {
    static uint8_t data[LONGEST];
    struct dirent **names;
    int count = scandir(folder, &names, NULL, alphasort), seeds = 0;
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            size_t size = read_seed(folder, names[i]->d_name, data);
            run_seed(eat, data, size, 0x9E3779B9u + (uint32_t)i);
            seeds++;
        }
        free(names[i]);
    }
    free(names);
    assert_true(seeds > 0);
}

static void models(void **state) {
    (void)state;
    run_target(fuzz_model, "tests/fuzz/seeds/model");
}
static void configs(void **state) {
    (void)state;
    run_target(fuzz_config, "tests/fuzz/seeds/config");
}
static void layouts(void **state) {
    (void)state;
    run_target(fuzz_layout, "tests/fuzz/seeds/layout");
}
static void pngs(void **state) {
    (void)state;
    run_target(fuzz_png, "tests/fuzz/seeds/png");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models),
        cmocka_unit_test(configs),
        cmocka_unit_test(layouts),
        cmocka_unit_test(pngs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
