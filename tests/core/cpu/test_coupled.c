/* test_coupled.c: coupled attention over what its kernels tell apart: head sizes, numbers of lines, texts around the length
 * that is scored in one go, grids of odd sizes, tokens that nobody speaks to, lines of no weight. */
#include "attention_test.h"

#include <stdio.h>

enum { MOST_LINES = 16, MOST_ELEMENTS = 5 };

/* Line r covers a stripe; every third token of the last row is left to nobody, line `silent` has no weight anywhere. */
static float *stripes(cpu_test *t, int lines, int silent, int w, int h) {
    float *masks = calloc((size_t)lines * (size_t)w, sizeof *masks * (size_t)h);
    assert_non_null(masks);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            bool nobody = y == h - 1 && x % 3 == 2;
            for (int r = 0; r < lines; r++) {
                int from = r * w / lines, to = (r + 1) * w / lines + 2;
                bool covers = r == 0 ? x % 5 == 0 || lines == 1 : x >= from && x < to;
                masks[(r * h + y) * w + x] =
                    nobody || r == silent || !covers ? 0.0f : test_round((float)random_int(t, 1, 8) / 8.0f);
            }
        }
    return masks;
}

typedef struct grid {
    int n, h, w; /* batch elements, tokens */
} grid;

static void check_coupled(cpu_test *t, grid g, int lines, int heads, int depth) {
    static const int lengths[] = {77, 80, 1, 154, 81, 64, 65, 24, 77, 160, 13, 77, 33, 78, 231, 77};
    text line[MOST_LINES];
    const cpl_tensor *k[MOST_LINES], *v[MOST_LINES];
    int row = heads * depth, tokens = g.h * g.w, silent = lines > 3 ? lines / 2 : -1;
    for (int r = 0; r < lines; r++) {
        text_new(t, &line[r], lengths[(r + depth) % 16], row);
        k[r] = &line[r].tk, v[r] = &line[r].tv;
    }
    cpl_listen listen[MOST_ELEMENTS];
    cpl_plan *plan[MOST_ELEMENTS] = {0};
    float *masks[MOST_ELEMENTS] = {0};
    for (int i = 0; i < g.n; i++) {
        if (i != 1) masks[i] = stripes(t, lines, silent, g.w, g.h); /* element 1 is the uncond half: line 0 alone */
        if (masks[i]) plan[i] = cpl_plan_new(masks[i], lines, g.w, g.h, NULL);
        listen[i] = (cpl_listen){.lines = plan[i] ? lines : 1, .k = k, .v = v, .plan = plan[i]};
    }
    float *q = random_values(t, g.n * tokens * row, 2);
    cpl_tensor tq = tensor_of(t, q, g.n, g.h, g.w, row), ty = cpl_make_like(t->s, &tq);
    t->ops->cross_attention(t->s, &ty, &tq, listen, heads);
    char what[120];
    snprintf(what, sizeof what, "%d elements of %dx%d tokens, %d lines, %d heads of %d", g.n, g.h, g.w, lines, heads,
             depth);
    const float *borrowed[MOST_ELEMENTS];
    for (int i = 0; i < MOST_ELEMENTS; i++) borrowed[i] = masks[i];
    check_tensor(t, what, &ty, reference_cross(q, g.n, tokens, heads, depth, line, lines, borrowed), 5e-6);
    cpl_tensor_free(&tq);
    for (int i = 0; i < g.n; i++) cpl_plan_free(plan[i]), free(masks[i]);
    for (int r = 0; r < lines; r++) text_free(&line[r]);
    free(q);
}

static void heads_of_every_size(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    static const int depths[] = {1, 3, 8, 16, 24, 40, 64, 80, 100, 160, 512};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        check_coupled(&t, (grid){2, 5, 7}, 1, depths[i] > 64 ? 1 : 3, depths[i]);
        check_coupled(&t, (grid){1, 9, 11}, 4, depths[i] > 160 ? 1 : 2, depths[i]);
    }
    cpu_test_close(&t);
}

static void one_to_sixteen_lines(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    static const int depths[] = {40, 8, 64, 3};
    for (int lines = 1; lines <= MOST_LINES; lines++)
        check_coupled(&t, (grid){1 + lines % 2, 7, 13}, lines, 1 + lines % 2, depths[lines % 4]);
    cpu_test_close(&t);
}

/* One line over more tokens than a block takes, and over just as many and one more. */
static void tiles_at_their_borders(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    for (int tokens = 127; tokens <= 129; tokens++) check_coupled(&t, (grid){2, 1, tokens}, 1, 1, 40);
    for (int tokens = 15; tokens <= 17; tokens++) check_coupled(&t, (grid){2, 1, tokens}, 1, 2, 160);
    check_coupled(&t, (grid){1, 3, 87}, 2, 1, 24);
    cpu_test_close(&t);
}

/* A batch with more texts than a launch carries with it. */
static void many_texts_at_once(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    check_coupled(&t, (grid){MOST_ELEMENTS, 3, 19}, MOST_LINES, 1, 16);
    check_coupled(&t, (grid){MOST_ELEMENTS, 2, 9}, MOST_LINES, 1, 200);
    cpu_test_close(&t);
}

static void nobody_speaks(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    enum { H = 3, W = 5, ROW = 16 };
    float *masks = calloc(2 * H * W, sizeof *masks), *q = random_values(&t, H * W * ROW, 1);
    text line;
    text_new(&t, &line, 7, ROW);
    const cpl_tensor *k[2] = {&line.tk, &line.tk}, *v[2] = {&line.tv, &line.tv};
    cpl_plan *plan = cpl_plan_new(masks, 2, W, H, NULL);
    cpl_tensor tq = tensor_of(&t, q, 1, H, W, ROW), ty = cpl_make_like(t.s, &tq);
    t.ops->cross_attention(t.s, &ty, &tq, &(cpl_listen){2, k, v, plan}, 2);
    check_tensor(&t, "nobody speaks", &ty, reference_new(H * W * ROW), 0);
    cpl_tensor_free(&tq);
    text_free(&line);
    cpl_plan_free(plan);
    free(masks), free(q);
    cpu_test_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_of_every_size),    cmocka_unit_test(one_to_sixteen_lines),
        cmocka_unit_test(tiles_at_their_borders), cmocka_unit_test(many_texts_at_once),
        cmocka_unit_test(nobody_speaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
