/* test_canvas.c: regions to cells, labels, the mouse, and drags that can never make an impossible rectangle. */
#include "../../tui/canvas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COLUMNS = 32, ROWS = 16 };
static const unsigned char palette[16][3] = {{200, 0, 0}, {0, 200, 0}, {0, 0, 200}, {100, 100, 0}};

static cpl_layout *layout_of(int count, const canvas_rect *rects) {
    cpl_layout *layout = cpl_layout_new(NULL);
    assert_non_null(layout);
    layout->mode = CPL_MODE_ADVANCED;
    for (int i = 0; i < count; i++) {
        cpl_region *r = cpl_layout_insert(layout, i, NULL);
        assert_non_null(r);
        r->x1 = rects[i].x1;
        r->x2 = rects[i].x2;
        r->y1 = rects[i].y1;
        r->y2 = rects[i].y2;
    }
    return layout;
}

static canvas_view view_of(const cpl_layout *layout, int selected) {
    return (canvas_view){.layout = layout,
                         .count = layout->region_count,
                         .selected = selected,
                         .step = 16,
                         .columns = COLUMNS,
                         .rows = ROWS};
}

static canvas_cell cells[ROWS][COLUMNS];
static canvas_label labels[CPL_MAX_REGIONS];

static int raster(const canvas_view *view) { return canvas_raster(view, palette, &cells[0][0], labels); }

static void coverage_and_mix(void **state) {
    (void)state;
    const canvas_rect rects[] = {{0, 0.5, 0, 1}, {0.25, 0.75, 0, 1}};
    cpl_layout *layout = layout_of(2, rects);
    canvas_view view = view_of(layout, 0);
    raster(&view);
    assert_int_equal(cells[5][4].covers, 1);
    assert_int_equal(cells[5][12].covers, 2);
    assert_int_equal(cells[5][20].covers, 1);
    assert_int_equal(cells[5][28].covers, 0);
    assert_true(cells[5][4].selected && cells[5][12].selected && !cells[5][20].selected);
    assert_true(cells[5][12].rgb[0] == 100 && cells[5][12].rgb[1] == 100);
    /* Twice the weight, twice the part of the mixture; no weight, no cover. */
    layout->regions[0].weight = 3;
    raster(&view);
    assert_true(cells[5][12].rgb[0] == 150 && cells[5][12].rgb[1] == 50);
    layout->regions[0].weight = 0;
    raster(&view);
    assert_int_equal(cells[5][4].covers, 0);
    cpl_layout_free(layout);
}

static void borders_stand_inside_and_the_selected_one_on_top(void **state) {
    (void)state;
    const canvas_rect rects[] = {{0, 0.5, 0, 0.5}, {0, 1, 0, 1}};
    cpl_layout *layout = layout_of(2, rects);
    canvas_view view = view_of(layout, 0);
    raster(&view);
    assert_int_equal(cells[0][0].border, 0);
    assert_int_equal(cells[0][0].lines, CANVAS_DOWN | CANVAS_RIGHT);
    assert_int_equal(cells[7][15].border, 0);
    assert_int_equal(cells[7][15].lines, CANVAS_UP | CANVAS_LEFT);
    assert_int_equal(cells[8][16].border, -1);
    assert_int_equal(cells[15][31].border, 1);
    view.selected = 1;
    raster(&view);
    assert_int_equal(cells[0][0].border, 1);
    cpl_layout_free(layout);
}

static void thin_regions_stay_visible(void **state) {
    (void)state;
    const canvas_rect rects[] = {{0.999, 1, 0, 1}, {0, 1, 0.5, 0.501}};
    cpl_layout *layout = layout_of(2, rects);
    canvas_view view = view_of(layout, -1);
    raster(&view);
    assert_int_equal(cells[0][31].border, 0);
    assert_int_equal(cells[8][3].border, 1);
    canvas_hit hit = canvas_at(&view, 31, 0);
    assert_int_equal(hit.region, 0);
    assert_int_equal(hit.edges & (CANVAS_LEFT | CANVAS_RIGHT), 0); /* or it could only be stretched */
    cpl_layout_free(layout);
}

static void labels_do_not_cover_each_other(void **state) {
    (void)state;
    canvas_rect rects[6];
    for (int i = 0; i < 6; i++) rects[i] = (canvas_rect){0, 1, 0, 1};
    cpl_layout *layout = layout_of(6, rects);
    canvas_view view = view_of(layout, 3);
    int count = raster(&view);
    assert_true(count >= 2);
    assert_int_equal(labels[0].region, 3); /* the selected one has the first choice */
    for (int i = 0; i < count; i++) {
        assert_true(labels[i].row >= 0 && labels[i].row + labels[i].rows <= ROWS);
        assert_true(labels[i].column >= 0 && labels[i].column + labels[i].columns <= COLUMNS);
        for (int j = 0; j < i; j++)
            assert_true(labels[i].row >= labels[j].row + labels[j].rows ||
                        labels[j].row >= labels[i].row + labels[i].rows ||
                        labels[i].column >= labels[j].column + labels[j].columns ||
                        labels[j].column >= labels[i].column + labels[i].columns);
    }
    cpl_layout_free(layout);
}

static void narrow_labels_get_rows_for_their_words(void **state) {
    (void)state;
    const canvas_rect rects[2] = {{0, 0.25, 0, 1}, {0.25, 1, 0, 1}};
    cpl_layout *layout = layout_of(2, rects);
    canvas_view view = view_of(layout, 0);
    for (int i = 0; i < 2; i++)
        cpl_text_set(&layout->regions[i].prompt, "a prompt with many words, night sky, sea", NULL);
    assert_int_equal(raster(&view), 2);
    assert_true(labels[0].columns < labels[1].columns);
    assert_true(labels[0].rows > labels[1].rows && labels[0].rows < ROWS - 1);
    /* not for words that need them not */
    cpl_text_set(&layout->regions[0].prompt, "sea", NULL);
    raster(&view);
    assert_int_equal(labels[0].rows, labels[1].rows);
    cpl_layout_free(layout);
}

static void tiles_of_basic_mode(void **state) {
    (void)state;
    const canvas_rect rects[] = {{0, 1, 0, 1}, {0, 1, 0, 1}, {0, 1, 0, 1}};
    cpl_layout *layout = layout_of(3, rects);
    canvas_view view = view_of(layout, 0);
    canvas_rect rect;
    layout->mode = CPL_MODE_BASIC;
    assert_true(canvas_shape(&view, 1, &rect));
    assert_true(fabs(rect.x1 - 1 / 3.0) < 1e-12 && fabs(rect.x2 - 2 / 3.0) < 1e-12 && rect.y1 == 0 && rect.y2 == 1);
    layout->direction = CPL_VERTICAL;
    layout->background = CPL_BACKGROUND_FIRST;
    assert_false(canvas_shape(&view, 0, &rect));
    assert_true(canvas_shape(&view, 1, &rect));
    assert_true(rect.y1 == 0 && rect.y2 == 0.5 && rect.x2 == 1);
    layout->background = CPL_BACKGROUND_LAST;
    assert_false(canvas_shape(&view, 2, &rect));
    assert_true(canvas_shape(&view, 0, &rect) && rect.y1 == 0 && rect.y2 == 0.5);
    raster(&view);
    assert_true(cells[3][3].background && cells[3][3].covers == 1);
    cpl_layout_free(layout);
}

static void painted_masks(void **state) {
    (void)state;
    unsigned char grey[4] = {255, 0, 0, 0}; /* the upper left quarter */
    const canvas_rect rects[] = {{0, 1, 0, 1}};
    cpl_layout *layout = layout_of(1, rects);
    canvas_view view = view_of(layout, 0);
    layout->mode = CPL_MODE_MASK;
    raster(&view);
    assert_int_equal(cells[2][2].covers, 0); /* no mask yet: nothing, and no crash */
    assert_int_equal(canvas_at(&view, 2, 2).region, -1);
    layout->regions[0].mask = cpl_mask_new(2, 2, grey, NULL);
    raster(&view);
    assert_int_equal(cells[2][2].covers, 1);
    assert_int_equal(cells[12][2].covers, 0);
    assert_int_equal(cells[2][20].covers, 0);
    assert_int_equal(canvas_at(&view, 2, 2).region, 0);
    assert_int_equal(canvas_at(&view, 20, 2).region, -1);
    cpl_layout_free(layout);
}

static void mouse_finds_the_inner_region_and_the_selected_edge(void **state) {
    (void)state;
    const canvas_rect rects[] = {{0, 1, 0, 1}, {0.25, 0.75, 0.25, 0.75}};
    cpl_layout *layout = layout_of(2, rects);
    canvas_view view = view_of(layout, -1);
    assert_int_equal(canvas_at(&view, 16, 8).region, 1);
    assert_int_equal(canvas_at(&view, 16, 8).edges, 0);
    assert_int_equal(canvas_at(&view, 2, 2).region, 0);
    assert_int_equal(canvas_at(&view, 8, 4).edges, CANVAS_LEFT | CANVAS_UP);
    assert_int_equal(canvas_at(&view, 23, 11).edges, CANVAS_RIGHT | CANVAS_DOWN);
    assert_int_equal(canvas_at(&view, 0, 0).edges, CANVAS_LEFT | CANVAS_UP);
    layout->regions[0].x1 = 0.25; /* now both have an edge at column 8 */
    view.selected = 0;
    assert_int_equal(canvas_at(&view, 8, 8).region, 0);
    view.selected = 1;
    assert_int_equal(canvas_at(&view, 8, 8).region, 1);
    cpl_layout_free(layout);
}

static bool possible(canvas_rect r) {
    return r.x1 >= 0 && r.x1 < r.x2 && r.x2 <= 1 && r.y1 >= 0 && r.y1 < r.y2 && r.y2 <= 1;
}

static void drags_stay_possible(void **state) {
    (void)state;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        canvas_rect r = {rand() % 1000 / 2000.0, 0, rand() % 1000 / 2000.0, 0};
        r.x2 = r.x1 + (1 + rand() % 1000) / 2001.0;
        r.y2 = r.y1 + (1 + rand() % 1000) / 2001.0;
        int step = 8 << rand() % 4;
        unsigned edges = (unsigned)rand() & 15;
        if ((edges & 3) == 3 || (edges & 12) == 12) edges = 0;
        double dx = (rand() % 4001 - 2000) / 1000.0, dy = (rand() % 4001 - 2000) / 1000.0;
        canvas_rect to = canvas_drag(r, edges, dx, dy, step);
        if (!possible(to)) fail_msg("edges %u, %g %g: %g %g %g %g", edges, dx, dy, to.x1, to.x2, to.y1, to.y2);
        if (!edges) {
            assert_true(fabs((to.x2 - to.x1) - (r.x2 - r.x1)) < 1e-9);
            assert_true(fabs((to.y2 - to.y1) - (r.y2 - r.y1)) < 1e-9);
        }
        if (!(edges & CANVAS_LEFT) && edges) assert_true(to.x1 == r.x1);
        if (!(edges & CANVAS_DOWN) && edges) assert_true(to.y2 == r.y2);
    }
}

static void drags_snap_without_dust(void **state) {
    (void)state;
    canvas_rect third = {0, 1 / 3.0, 0, 0.1};
    canvas_rect to = canvas_drag(third, 0, 1 / 16.0, 0.3, 16);
    assert_true(to.x1 == 0.0625);
    to = canvas_drag((canvas_rect){0.1, 0.3, 0, 1}, 0, 0.4, 0, 10);
    assert_true(to.x1 == 0.5 && to.x2 == 0.7); /* not 0.7000000000000001 */
    to = canvas_drag(third, 0, 5, 0, 16);
    assert_true(to.x2 == 1 && fabs(to.x1 - 2 / 3.0) < 1e-15);
    const canvas_rect wall = {0.333, 1, 0, 1};
    to = canvas_drag(wall, 0, 1 / 16.0, 0, 16);
    assert_true(to.x1 == wall.x1 && to.x2 == wall.x2); /* it stands at the edge already */
    to = canvas_drag((canvas_rect){0.25, 0.5, 0, 1}, CANVAS_RIGHT, 1 / 16.0, 0, 16);
    assert_true(to.x1 == 0.25 && to.x2 == 0.5625);
}

static void holes(void **state) {
    (void)state;
    const canvas_rect rects[] = {{0, 0.5, 0, 1}, {0.5, 1, 0, 0.75}};
    cpl_layout *layout = layout_of(2, rects);
    canvas_view view = view_of(layout, 0);
    canvas_rect hole;
    assert_true(canvas_hole(&view, &hole));
    assert_true(hole.x1 == 0.5 && hole.x2 == 1 && hole.y1 == 0.75 && hole.y2 == 1);
    layout->regions[1].y2 = 1;
    assert_false(canvas_hole(&view, &hole));
    cpl_layout_free(layout);
}

/* An enlarged drawing shows just the cells that the whole one has there. */
static void a_part_shows_what_the_whole_has_there(void **state) {
    (void)state;
    enum { WHOLE_COLUMNS = 64, WHOLE_ROWS = 32, LEFT = 20, TOP = 9 };
    const canvas_rect rects[] = {{0, 0.5, 0, 0.6}, {0.3, 1, 0.2, 1}, {0.5, 0.51, 0, 1}};
    static canvas_cell all[WHOLE_ROWS][WHOLE_COLUMNS];
    cpl_layout *layout = layout_of(3, rects);
    canvas_view whole = view_of(layout, 1), part = whole;
    whole.columns = WHOLE_COLUMNS;
    whole.rows = WHOLE_ROWS;
    canvas_raster(&whole, palette, &all[0][0], labels);
    part.whole_columns = WHOLE_COLUMNS;
    part.whole_rows = WHOLE_ROWS;
    part.left = LEFT;
    part.top = TOP;
    int count = raster(&part);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++) {
            const canvas_cell *a = &cells[r][c], *b = &all[r + TOP][c + LEFT];
            assert_true(a->covers == b->covers && a->lines == b->lines && a->border == b->border && a->grid == b->grid);
            canvas_hit near = canvas_at(&part, c, r), far = canvas_at(&whole, c + LEFT, r + TOP);
            assert_true(near.region == far.region && near.edges == far.edges);
        }
    /* Labels stand in what is seen. */
    for (int i = 0; i < count; i++)
        assert_true(labels[i].column >= 0 && labels[i].column + labels[i].columns <= COLUMNS && labels[i].row >= 0 &&
                    labels[i].row + labels[i].rows <= ROWS && labels[i].columns > 0);
    assert_true(count >= 2);
    cpl_layout_free(layout);
}

static void a_grid_may_have_other_steps_down(void **state) {
    (void)state;
    canvas_rect to = canvas_drag_on((canvas_rect){0, 0.5, 0, 0.5}, CANVAS_RIGHT | CANVAS_DOWN, 0.01, 0.01, 96, 64);
    assert_true(fabs(to.x2 - 49 / 96.0) < 1e-12 && fabs(to.y2 - 33 / 64.0) < 1e-12);
    /* One step of each is the least that is left. */
    to = canvas_drag_on(to, CANVAS_RIGHT | CANVAS_DOWN, -1, -1, 96, 64);
    assert_true(fabs(to.x2 - 1 / 96.0) < 1e-12 && fabs(to.y2 - 1 / 64.0) < 1e-12);
}

static void proportions(void **state) {
    (void)state;
    int columns, rows;
    canvas_fit(512, 512, 10, 20, 58, 27, &columns, &rows);
    assert_true(columns == 54 && rows == 27);
    canvas_fit(1024, 256, 10, 20, 58, 27, &columns, &rows);
    assert_true(columns == 58 && rows == 7);
    for (int w = 24; w <= 8192; w *= 2)
        for (int h = 24; h <= 8192; h *= 2) {
            canvas_fit(w, h, 9, 18, 38, 6, &columns, &rows);
            assert_true(columns >= 1 && columns <= 38 && rows >= 1 && rows <= 6);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coverage_and_mix),
        cmocka_unit_test(borders_stand_inside_and_the_selected_one_on_top),
        cmocka_unit_test(thin_regions_stay_visible),
        cmocka_unit_test(labels_do_not_cover_each_other),
        cmocka_unit_test(narrow_labels_get_rows_for_their_words),
        cmocka_unit_test(tiles_of_basic_mode),
        cmocka_unit_test(painted_masks),
        cmocka_unit_test(mouse_finds_the_inner_region_and_the_selected_edge),
        cmocka_unit_test(drags_stay_possible),
        cmocka_unit_test(drags_snap_without_dust),
        cmocka_unit_test(holes),
        cmocka_unit_test(a_part_shows_what_the_whole_has_there),
        cmocka_unit_test(a_grid_may_have_other_steps_down),
        cmocka_unit_test(proportions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
