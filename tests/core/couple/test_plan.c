/* test_plan.c: a plan is a partition of the grid's tokens by cover, and gives the masks back exactly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../core/couple/plan.h"

/* Rebuilds the masks from the plan; every token must come once, groups must differ in their lines. */
static void check_plan(const cpl_plan *plan, const float *masks, int lines, int w, int h) {
    int tokens = w * h, seen = 0, largest = 0;
    float *back = calloc((size_t)lines, sizeof *back * (size_t)tokens);
    bool *met = calloc((size_t)tokens, sizeof *met), *touched = calloc((size_t)lines, sizeof *touched);
    assert_true(plan->w == w && plan->h == h && plan->lines == lines);
    for (int i = 0; i < plan->groups; i++) {
        const cpl_plan_group *g = &plan->group[i];
        assert_true(g->tokens > 0);
        assert_int_equal(g->first_token, seen);
        seen += g->tokens;
        if (g->tokens > largest) largest = g->tokens;
        for (int t = 0; t < g->tokens; t++) {
            int token = plan->token[g->first_token + t];
            assert_in_range(token, 0, tokens - 1);
            assert_false(met[token]);
            met[token] = true;
            if (t) assert_true(token > plan->token[g->first_token + t - 1]);
            for (int r = 0; r < g->lines; r++) {
                float weight = plan->weight[g->first_weight + (size_t)r * (size_t)g->tokens + (size_t)t];
                assert_true(weight > 0);
                back[plan->line[g->first_line + r] * tokens + token] = weight;
            }
        }
        for (int r = 0; r < g->lines; r++) {
            touched[plan->line[g->first_line + r]] = true;
            if (r) assert_true(plan->line[g->first_line + r] > plan->line[g->first_line + r - 1]);
        }
        for (int j = 0; j < i; j++)
            assert_false(plan->group[j].lines == g->lines &&
                         !memcmp(plan->line + plan->group[j].first_line, plan->line + g->first_line,
                                 sizeof(int) * (size_t)g->lines));
    }
    assert_int_equal(seen, tokens);
    assert_int_equal(plan->largest_group, largest);
    assert_memory_equal(back, masks, sizeof *back * (size_t)lines * (size_t)tokens);
    assert_memory_equal(touched, plan->touched, sizeof *touched * (size_t)lines);
    free(back), free(met), free(touched);
}

static void random_rectangles(float *masks, int lines, int w, int h) {
    memset(masks, 0, sizeof *masks * (size_t)lines * (size_t)w * (size_t)h);
    for (int r = 0; r < lines; r++) {
        int x1 = rand() % w, y1 = rand() % h, x2 = x1 + rand() % (w - x1 + 1), y2 = y1 + rand() % (h - y1 + 1);
        for (int y = y1; y < y2; y++)
            for (int x = x1; x < x2; x++) masks[(r * h + y) * w + x] = (float)(1 + rand() % 5) / 5;
    }
}

static void plans_partition_random_layouts(void **state) {
    (void)state;
    srand(7);
    for (int i = 0; i < 300; i++) {
        int lines = i % 10 ? 1 + rand() % 12 : 60 + rand() % 140, w = 1 + rand() % 20, h = 1 + rand() % 20;
        float *masks = malloc(sizeof *masks * (size_t)lines * (size_t)w * (size_t)h);
        random_rectangles(masks, lines, w, h);
        cpl_error error = {0};
        cpl_plan *plan = cpl_plan_new(masks, lines, w, h, &error);
        assert_non_null(plan);
        check_plan(plan, masks, lines, w, h);
        assert_true(cpl_plan_bytes(plan) >= sizeof *plan + sizeof(int) * (size_t)w * (size_t)h);
        cpl_plan_free(plan);
        free(masks);
    }
}

static void columns_make_one_group_each(void **state) {
    (void)state;
    enum { W = 12, H = 5, LINES = 3 };
    float masks[LINES * H * W] = {0};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) masks[(x / 4 * H + y) * W + x] = 1;
    cpl_plan *plan = cpl_plan_new(masks, LINES, W, H, NULL);
    assert_int_equal(plan->groups, LINES);
    assert_int_equal(plan->largest_group, 4 * H);
    for (int i = 0; i < LINES; i++) assert_int_equal(plan->group[i].lines, 1);
    check_plan(plan, masks, LINES, W, H);
    cpl_plan *twin = cpl_plan_new(masks, LINES, W, H, NULL);
    assert_int_not_equal(plan->id, twin->id);
    cpl_plan_free(twin);
    cpl_plan_free(plan);
}

static void untouched_lines_and_bare_tokens_are_known(void **state) {
    (void)state;
    const float masks[2 * 4] = {1, 0, 0.5f, 0, 0, 0, 0, 0}; /* line 1 is nowhere, tokens 1 and 3 have none */
    cpl_plan *plan = cpl_plan_new(masks, 2, 4, 1, NULL);
    check_plan(plan, masks, 2, 4, 1);
    assert_true(plan->touched[0] && !plan->touched[1]);
    assert_int_equal(plan->groups, 2);
    assert_int_equal(plan->group[1].lines, 0);
    cpl_plan_free(plan);
}

static void bad_masks_are_refused(void **state) {
    (void)state;
    static const float bad[] = {-0.5f, NAN, INFINITY};
    for (int i = 0; i < 3; i++) {
        float masks[2 * 6] = {1, 1, 1, 1, 1, 1};
        masks[6 + 4] = bad[i];
        cpl_error error = {0};
        assert_null(cpl_plan_new(masks, 2, 3, 2, &error));
        assert_int_equal(error.code, CPL_E_INPUT);
        assert_non_null(strstr(error.message, "line 2"));
        assert_non_null(strstr(error.message, "(1, 1)"));
    }
    float one = 1;
    assert_null(cpl_plan_new(&one, 0, 1, 1, NULL));
    assert_null(cpl_plan_new(&one, 1, 0, 1, NULL));
    assert_null(cpl_plan_new(&one, 1, 1 << 20, 1 << 20, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_partition_random_layouts),
        cmocka_unit_test(columns_make_one_group_each),
        cmocka_unit_test(untouched_lines_and_bare_tokens_are_known),
        cmocka_unit_test(bad_masks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
