/* Pool, tensors and the LRU cache: reuse, books that balance, budgets, failure. */
#include "../../test.h"

#include "../../../core/memory/cache.h"
#include "../../../core/memory/tensor.h"

#include <stdlib.h>
#include <string.h>

/* Memory that can run dry and counts what is out. */
typedef struct fake {
    int out, calls, allow;
} fake;
static void *fake_take(void *context, size_t bytes) {
    fake *f = context;
    if (f->calls >= f->allow) return NULL;
    f->calls++;
    f->out++;
    return cpl_host_memory.take(NULL, bytes);
}
static size_t exact_wanted;
static void *exact_take(void *context, size_t bytes) {
    assert_int_equal(bytes, exact_wanted);
    return fake_take(context, bytes);
}
static void fake_give(void *context, void *data) {
    ((fake *)context)->out--;
    cpl_host_memory.give(NULL, data);
}

static void blocks_are_reused(void **state) {
    (void)state;
    fake f = {.allow = 1000};
    cpl_memory memory = {.take = fake_take, .give = fake_give, .context = &f};
    cpl_pool *pool = cpl_pool_new(&memory, 0, NULL);
    for (int round = 0; round < 10; round++) {
        void *block[40];
        for (int i = 0; i < 40; i++) {
            block[i] = cpl_pool_take(pool, (size_t)(i + 1) * 1000, NULL);
            assert_non_null(block[i]);
            assert_int_equal((uintptr_t)block[i] % 64, 0);
            memset(block[i], i, (size_t)(i + 1) * 1000);
        }
        for (int i = 0; i < 40; i++) {
            for (int k = 0; k < (i + 1) * 1000; k += 999) assert_int_equal(((unsigned char *)block[i])[k], i);
            cpl_pool_give(pool, block[i]);
        }
    }
    cpl_pool_stats stats;
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.allocations, 40);
    assert_int_equal(stats.reuses, 360);
    assert_int_equal(stats.used_blocks, 0);
    assert_int_equal(stats.used_bytes, 0);
    assert_int_equal(f.out, 40);
    /* a class wastes at most a fifth beyond the smallest */
    assert_true(stats.held_bytes < 820 * 1000 * 13 / 10);
    cpl_pool_trim(pool, 0);
    assert_int_equal(f.out, 0);
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.held_bytes, 0);
    assert_non_null(cpl_pool_take(pool, 5, NULL));
    cpl_pool_free(pool);
    assert_int_equal(f.out, 0);
}

static void exact_blocks_are_as_asked_for_and_go_back(void **state) {
    (void)state;
    fake f = {.allow = 1000};
    cpl_memory memory = {.take = exact_take, .give = fake_give, .context = &f, .exact = true};
    cpl_pool *pool = cpl_pool_new(&memory, 0, NULL);
    cpl_pool_stats stats;
    for (int round = 0; round < 3; round++) {
        void *block[20];
        for (int i = 0; i < 20; i++) {
            exact_wanted = (size_t)i * 37 + 1;
            assert_non_null(block[i] = cpl_pool_take(pool, exact_wanted, NULL));
        }
        cpl_pool_stats_read(pool, &stats);
        assert_int_equal(stats.used_bytes, 37 * 190 + 20);
        assert_int_equal(stats.held_bytes, stats.used_bytes);
        for (int i = 0; i < 20; i++) {
            cpl_pool_give(pool, block[(i * 7 + round) % 20]);
            assert_int_equal(f.out, 19 - i);
        }
    }
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.held_bytes, 0);
    assert_int_equal(stats.used_blocks, 0);
    assert_int_equal(stats.reuses, 0);
    exact_wanted = 100;
    assert_non_null(cpl_pool_take(pool, exact_wanted, NULL));
    cpl_pool_free(pool);
    assert_int_equal(f.out, 0);
}

static void random_traffic_balances(void **state) {
    (void)state;
    fake f = {.allow = 1 << 30};
    cpl_memory memory = {.take = fake_take, .give = fake_give, .context = &f};
    cpl_pool *pool = cpl_pool_new(&memory, 0, NULL);
    enum { SLOTS = 200 };
    unsigned char *block[SLOTS] = {0};
    size_t size[SLOTS] = {0};
    uint32_t seed = 7;
    for (int round = 0; round < 20000; round++) {
        int i = (int)(test_random(&seed) % SLOTS);
        if (block[i]) {
            assert_int_equal(block[i][0], i);
            assert_int_equal(block[i][size[i] - 1], i);
            cpl_pool_give(pool, block[i]);
            block[i] = NULL;
        } else {
            size[i] = test_random(&seed) % 100000 + 1;
            block[i] = cpl_pool_take(pool, size[i], NULL);
            block[i][0] = block[i][size[i] - 1] = (unsigned char)i;
        }
        if (round % 1000 == 0) cpl_pool_trim(pool, 1000000);
    }
    for (int i = 0; i < SLOTS; i++) cpl_pool_give(pool, block[i]);
    cpl_pool_stats stats;
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.used_blocks, 0);
    assert_int_equal(stats.used_bytes, 0);
    cpl_pool_free(pool);
    assert_int_equal(f.out, 0);
}

static void running_dry_is_an_error(void **state) {
    (void)state;
    fake f = {.allow = 2};
    cpl_memory memory = {.take = fake_take, .give = fake_give, .context = &f};
    cpl_pool *pool = cpl_pool_new(&memory, 0, NULL);
    cpl_error error = {0};
    void *first = cpl_pool_take(pool, 4096, &error), *second = cpl_pool_take(pool, 9000, &error);
    assert_non_null(first);
    assert_non_null(second);
    assert_null(cpl_pool_take(pool, 20000, &error));
    assert_int_equal(error.code, CPL_E_MEMORY);
    cpl_pool_give(pool, first);
    assert_ptr_equal(cpl_pool_take(pool, 4000, &error), first);
    cpl_pool_free(pool);
}

static void budget_is_kept_by_dropping_idle_blocks(void **state) {
    (void)state;
    cpl_pool *pool = cpl_pool_new(&cpl_host_memory, 100000, NULL);
    void *a = cpl_pool_take(pool, 60000, NULL);
    assert_null(cpl_pool_take(pool, 60000, NULL));
    cpl_pool_give(pool, a);
    void *b = cpl_pool_take(pool, 90000, NULL); /* a's block goes */
    assert_non_null(b);
    cpl_pool_stats stats;
    cpl_pool_stats_read(pool, &stats);
    assert_true(stats.held_bytes <= 100000);
    cpl_pool_free(pool);
}

/* ---- Memory that costs nothing until it is touched ---- */

static size_t forgotten;
static void fake_forget(void *context, void *data, size_t bytes) {
    (void)context;
    memset(data, 0xEE, bytes); /* whoever still reads there is found out */
    forgotten += bytes;
}

static cpl_memory segments_of(fake *f, size_t bytes) {
    return (cpl_memory){
        .take = fake_take, .give = fake_give, .context = f, .segment_bytes = bytes, .forget = fake_forget};
}

static void blocks_of_all_sizes_share_a_segment(void **state) {
    (void)state;
    fake f = {.allow = 1};
    cpl_memory memory = segments_of(&f, 1 << 20);
    cpl_pool *pool = cpl_pool_new(&memory, 0, NULL);
    cpl_pool_stats stats;
    void *a = cpl_pool_take(pool, 100000, NULL), *b = cpl_pool_take(pool, 100000, NULL);
    void *c = cpl_pool_take(pool, 100000, NULL);
    cpl_pool_give(pool, a);
    cpl_pool_give(pool, b); /* two neighbours are one hole */
    assert_ptr_equal(cpl_pool_take(pool, 150000, NULL), a);
    void *rest = cpl_pool_take(pool, 40000, NULL); /* what is left of it */
    assert_true((char *)rest > (char *)a && (char *)rest < (char *)c);
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.allocations, 3);
    assert_int_equal(stats.reuses, 2);
    assert_true(stats.held_bytes < 301000);
    assert_int_equal(stats.live_peak_bytes, 300000);
    cpl_pool_give(pool, c);
    forgotten = 0;
    cpl_pool_trim(pool, 0);
    assert_true(forgotten > 99000);
    cpl_pool_give(pool, a);
    cpl_pool_give(pool, rest);
    cpl_pool_trim(pool, 0);
    assert_int_equal(f.out, 0);
    cpl_pool_free(pool);
}

/* The same requests in the same order find the same places: the second round takes nothing, whatever the first was like. */
static void a_second_round_takes_nothing(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed < 40; seed++) {
        fake f = {.allow = 1000};
        cpl_memory memory = segments_of(&f, 3 << 20);
        cpl_pool *pool = cpl_pool_new(&memory, 0, NULL);
        void *stays = cpl_pool_take(pool, 5000 * seed, NULL);
        uint64_t allocations = 0;
        for (int round = 0; round < 3; round++) {
            uint32_t random = seed;
            void *block[16] = {0};
            for (int k = 0; k < 400; k++) {
                int i = (int)(test_random(&random) % 16);
                cpl_pool_give(pool, block[i]);
                block[i] = cpl_pool_take(pool, test_random(&random) % 500000 + 1, NULL);
                assert_non_null(block[i]);
            }
            for (int i = 0; i < 16; i++) cpl_pool_give(pool, block[i]);
            cpl_pool_stats stats;
            cpl_pool_stats_read(pool, &stats);
            if (round == 0) allocations = stats.allocations;
            assert_int_equal(stats.allocations, allocations);
        }
        cpl_pool_give(pool, stays);
        cpl_pool_free(pool);
        assert_int_equal(f.out, 0);
    }
}

static void segments_are_random_traffics_too(void **state) {
    (void)state;
    enum { SLOTS = 150 };
    fake f = {.allow = 1 << 30};
    cpl_memory memory = segments_of(&f, 1 << 20);
    cpl_pool *pool = cpl_pool_new(&memory, 0, NULL);
    unsigned char *block[SLOTS] = {0};
    size_t size[SLOTS] = {0};
    uint32_t seed = 11;
    for (int round = 0; round < 20000; round++) {
        int i = (int)(test_random(&seed) % SLOTS);
        if (block[i]) {
            for (size_t k = 0; k < size[i]; k += 97) assert_int_equal(block[i][k], i);
            assert_int_equal(block[i][size[i] - 1], i);
            cpl_pool_give(pool, block[i]);
            block[i] = NULL;
        } else {
            size[i] = test_random(&seed) % 100000 + 1;
            block[i] = cpl_pool_take(pool, size[i], NULL);
            assert_non_null(block[i]);
            assert_int_equal((uintptr_t)block[i] % 64, 0);
            memset(block[i], i, size[i]);
        }
        if (round % 500 == 0) cpl_pool_trim(pool, 0);
    }
    for (int i = 0; i < SLOTS; i++) cpl_pool_give(pool, block[i]);
    cpl_pool_stats stats;
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.used_blocks + stats.used_bytes, 0);
    cpl_pool_trim(pool, 0);
    assert_int_equal(f.out, 0);
    cpl_pool_free(pool);
}

/* A system that refuses a whole segment may still give what is needed. */
static void *modest_take(void *context, size_t bytes) { return bytes > 200000 ? NULL : fake_take(context, bytes); }

static void give_back_one(void *user) {
    void **of = user;
    cpl_pool_give(of[0], of[1]);
    of[1] = NULL;
}

static void scarce_memory_is_enough_for_what_is_needed(void **state) {
    (void)state;
    fake f = {.allow = 2};
    cpl_memory memory = segments_of(&f, 1 << 20);
    memory.take = modest_take;
    cpl_pool *pool = cpl_pool_new(&memory, 0, NULL);
    cpl_error error = {0};
    void *a = cpl_pool_take(pool, 180000, &error), *b = cpl_pool_take(pool, 180000, &error);
    assert_true(a && b);
    assert_null(cpl_pool_take(pool, 180000, &error));
    assert_int_equal(error.code, CPL_E_MEMORY);
    /* A cache gives way, and the request is served after all. */
    void *cached[2] = {pool, b};
    cpl_pool_keep(pool, b);
    cpl_pool_stats stats;
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.kept_blocks, 1);
    cpl_pool_relieve_by(pool, give_back_one, cached);
    assert_non_null(cpl_pool_take(pool, 150000, &error));
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.kept_blocks + stats.kept_bytes, 0);
    assert_int_equal(stats.rescues, 1);
    cpl_pool_give(pool, a);
    cpl_pool_free(pool);
    assert_int_equal(f.out, 0);
}

static void tensors_know_their_shape(void **state) {
    (void)state;
    cpl_pool *pool = cpl_pool_new(&cpl_host_memory, 0, NULL);
    cpl_error error = {0};
    cpl_tensor t;
    assert_true(cpl_tensor_new(&t, pool, CPL_F32, 3, 4, 5, 6, &error));
    assert_int_equal(cpl_tensor_bytes(&t), 3 * 4 * 5 * 6 * 4);
    cpl_tensor view = cpl_tensor_slice(&t, 1, 2);
    assert_ptr_equal(view.data, (float *)t.data + 4 * 5 * 6);
    assert_int_equal(view.n, 2);
    cpl_tensor_free(&view);
    assert_null(cpl_tensor_slice(&t, 2, 2).data);
    assert_non_null(t.data);
    cpl_tensor_free(&t);
    cpl_tensor_free(&t);
    assert_false(cpl_tensor_new(&t, pool, CPL_F32, 1, 0, 1, 1, &error));
    assert_false(cpl_tensor_new(&t, pool, CPL_F32, 1 << 30, 1 << 30, 1 << 30, 2, &error));
    cpl_pool_stats stats;
    cpl_pool_stats_read(pool, &stats);
    assert_int_equal(stats.used_blocks, 0);
    cpl_pool_free(pool);
}

static int dropped;
static void drop_count(void *context, void *value) {
    (void)context;
    dropped++;
    free(value);
}

static void cache_drops_the_least_recently_used(void **state) {
    (void)state;
    dropped = 0;
    cpl_cache *cache = cpl_cache_new(100, drop_count, NULL, NULL);
    char key[8];
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "k%d", i);
        void *value = malloc(1);
        assert_true(cpl_cache_insert(cache, key, strlen(key), value, 25, NULL));
        cpl_cache_release(cache, value);
    }
    void *k0 = cpl_cache_find(cache, "k0", 2); /* now k1 is the oldest; k0 is pinned */
    assert_non_null(k0);
    void *value = malloc(1);
    assert_true(cpl_cache_insert(cache, "k4", 2, value, 50, NULL));
    assert_int_equal(dropped, 2);
    assert_null(cpl_cache_find(cache, "k1", 2));
    assert_null(cpl_cache_find(cache, "k2", 2));
    void *k3 = cpl_cache_find(cache, "k3", 2);
    assert_non_null(k3);
    cpl_cache_trim(cache, 0); /* all that is left is pinned */
    cpl_cache_stats stats;
    cpl_cache_stats_read(cache, &stats);
    assert_int_equal(stats.entries, 3);
    assert_int_equal(stats.evictions, 2);
    assert_int_equal(stats.misses, 2);
    assert_int_equal(stats.hits, 2);
    cpl_cache_release(cache, k0);
    cpl_cache_release(cache, k3);
    cpl_cache_release(cache, value);
    cpl_cache_trim(cache, 0);
    cpl_cache_stats_read(cache, &stats);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes, 0);
    cpl_cache_free(cache);
    assert_int_equal(dropped, 5);
}

static void cache_refuses_a_key_twice_and_does_not_leak_it(void **state) {
    (void)state;
    dropped = 0;
    cpl_cache *cache = cpl_cache_new(0, drop_count, NULL, NULL);
    assert_true(cpl_cache_insert(cache, "a", 1, malloc(1), 1, NULL));
    cpl_error error = {0};
    assert_false(cpl_cache_insert(cache, "a", 1, malloc(1), 1, &error));
    assert_int_equal(dropped, 1);
    assert_true(cpl_cache_insert(cache, "a\0b", 3, malloc(1), 1, NULL)); /* keys are bytes, not text */
    cpl_cache_free(cache);
    assert_int_equal(dropped, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_reused),
        cmocka_unit_test(exact_blocks_are_as_asked_for_and_go_back),
        cmocka_unit_test(random_traffic_balances),
        cmocka_unit_test(running_dry_is_an_error),
        cmocka_unit_test(budget_is_kept_by_dropping_idle_blocks),
        cmocka_unit_test(blocks_of_all_sizes_share_a_segment),
        cmocka_unit_test(a_second_round_takes_nothing),
        cmocka_unit_test(segments_are_random_traffics_too),
        cmocka_unit_test(scarce_memory_is_enough_for_what_is_needed),
        cmocka_unit_test(tensors_know_their_shape),
        cmocka_unit_test(cache_drops_the_least_recently_used),
        cmocka_unit_test(cache_refuses_a_key_twice_and_does_not_leak_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
