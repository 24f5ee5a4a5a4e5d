/* Pictures for terminals: sizes, scaling, sixel strings (decoded again), cells, and the encoder thread. */
#include "../../tui/picture.h"

#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <sixel.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char SHEET[] = "core/model/builtin/sheet.png";

static cpl_image *gradient(int width, int height) {
    cpl_image *image = cpl_image_new(width, height, NULL);
    assert_non_null(image);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            unsigned char *p = image->rgb + (y * width + x) * 3;
            p[0] = (unsigned char)(width > 1 ? 255 * x / (width - 1) : 0);
            p[1] = (unsigned char)(height > 1 ? 255 * y / (height - 1) : 0);
            p[2] = 128;
        }
    }
    return image;
}

static term_caps sixel_caps(void) {
    return (term_caps){.sixel = true,
                       .cell_width = 9,
                       .cell_height = 18,
                       .sixel_registers = 256,
                       .sixel_max_width = 1000,
                       .sixel_max_height = 1000,
                       .colors = 256,
                       .utf8 = true};
}

static void fit_is(int w, int h, int columns, int rows, int want_w, int want_h) {
    term_caps caps = sixel_caps();
    cpl_image image = {.width = w, .height = h};
    int width, height;
    picture_fit(&image, &caps, columns, rows, &width, &height);
    if (width != want_w || height != want_h)
        fail_msg("%dx%d in %dx%d cells gives %dx%d, not %dx%d", w, h, columns, rows, width, height, want_w, want_h);
}

static void sizes(void **state) {
    (void)state;
    fit_is(128, 128, 56, 20, 256, 258); /* twice, and two rows more */
    fit_is(128, 128, 14, 8, 126, 126);  /* 126 x 144 px */
    fit_is(512, 512, 56, 20, 360, 360);
    fit_is(96, 96, 56, 20, 288, 288);
    fit_is(1024, 512, 40, 40, 360, 180);
    fit_is(6, 6, 200, 200, 996, 996); /* the terminal's limit */
    fit_is(4000, 3, 40, 40, 360, 6);
    fit_is(128, 128, 0, 20, 0, 0);
    fit_is(128, 128, 20, 0, 0, 0);
    uint32_t seed = 7;
    for (int i = 0; i < 5000; i++) {
        int value[4];
        for (int k = 0; k < 4; k++)
            value[k] = 1 + (int)((seed = seed * 1664525u + 1013904223u) >> 16) % (k < 2 ? 2000 : 150);
        term_caps caps = sixel_caps();
        cpl_image image = {.width = value[0], .height = value[1]};
        int w, h;
        picture_fit(&image, &caps, value[2], value[3], &w, &h);
        assert_true(w >= 1 && h >= 6 && h % 6 == 0);
        assert_true(w <= value[2] * 9 && w <= 1000 && h <= value[3] * 18 && h <= 1000);
    }
}

/* tmux takes whole cells: no picture ends inside of one. */
static void sizes_in_tmux(void **state) {
    (void)state;
    uint32_t seed = 11;
    for (int i = 0; i < 2000; i++) {
        int value[4];
        for (int k = 0; k < 4; k++)
            value[k] = 1 + (int)((seed = seed * 1664525u + 1013904223u) >> 16) % (k < 2 ? 2000 : 100);
        term_caps caps = sixel_caps();
        cpl_image image = {.width = value[0], .height = value[1]};
        int w, h;
        caps.by_tmux = true;
        caps.cell_height = 13 + i % 8;
        picture_fit(&image, &caps, value[2], value[3], &w, &h);
        assert_true(h % 6 == 0 && w <= value[2] * 9 && w <= 1000 && h <= value[3] * caps.cell_height && h <= 1000);
        /* what is too long, or has no room, may find no rows that are whole cells and whole sixels */
        if (value[2] < 40 || value[3] < 40 || value[0] > 2 * value[1] || value[1] > 2 * value[0]) continue;
        assert_true(w && w % 9 == 0 && h % caps.cell_height == 0);
        assert_true(fabs((double)h * value[0] / value[1] - w) <= 4.5 + 1e-6);
    }
}

static void scaling(void **state) {
    (void)state;
    cpl_image *four = cpl_image_new(4, 2, NULL);
    static const unsigned char GREY[8] = {0, 100, 200, 40, 50, 150, 0, 80};
    for (int i = 0; i < 24; i++) four->rgb[i] = GREY[i / 3];
    cpl_image *half = picture_scale(four, 2, 1);
    assert_int_equal(half->rgb[0], 75); /* (0 + 100 + 50 + 150) / 4 */
    assert_int_equal(half->rgb[3], 80);
    cpl_image *third = picture_scale(four, 3, 2); /* pixels are shared: (3 * 0 + 1 * 100) / 4 */
    assert_int_equal(third->rgb[0], 25);
    assert_int_equal(third->rgb[3], 150);
    cpl_image *twice = picture_scale(four, 8, 4);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 8; x++) assert_int_equal(twice->rgb[(y * 8 + x) * 3 + 1], GREY[y / 2 * 4 + x / 2]);
    cpl_image *same = picture_scale(four, 4, 2);
    assert_memory_equal(same->rgb, four->rgb, 24);
    assert_null(picture_scale(four, 0, 5));
    cpl_image *list[] = {four, half, third, twice, same};
    for (int i = 0; i < 5; i++) cpl_image_free(list[i]);
}

/* libsixel's own decoder; the pixels of row-major RGB are the caller's. */
static unsigned char *decoded(const picture_sixel *sixel, int *width, int *height) {
    unsigned char *pixels = NULL, *palette = NULL;
    int colors = 0;
    assert_false(SIXEL_FAILED(sixel_decode_raw((unsigned char *)sixel->bytes, (int)sixel->size, &pixels, width, height,
                                               &palette, &colors, NULL)));
    unsigned char *rgb = malloc((size_t)*width * (size_t)*height * 3);
    assert_non_null(rgb);
    for (int i = 0; i < *width * *height; i++) memcpy(rgb + i * 3, palette + pixels[i] * 3, 3);
    free(pixels);
    free(palette);
    return rgb;
}

static double mean_difference(const unsigned char *a, const unsigned char *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += abs(a[i] - b[i]);
    return sum / (double)count;
}

static void sixel_shows_the_picture(void **state) {
    (void)state;
    static const struct {
        int colors;
        bool diffuse;
        double worst;
    } WAYS[] = {{256, true, 8}, {256, false, 8}, {64, false, 12}, {16, false, 24}};
    cpl_error error = {0};
    cpl_image *sheet = cpl_image_read_png(SHEET, &error);
    if (!sheet) fail_msg("%s", error.message);
    cpl_image *same = cpl_image_copy(sheet, NULL), *wanted = picture_scale(sheet, 350, 132);
    for (size_t i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++) {
        picture_sixel sixel, again;
        assert_true(picture_encode(sheet, 350, 132, WAYS[i].colors, WAYS[i].diffuse, &sixel, &error));
        assert_true(picture_encode(sheet, 350, 132, WAYS[i].colors, WAYS[i].diffuse, &again, &error));
        assert_int_equal(sixel.size, again.size);
        assert_memory_equal(sixel.bytes, again.bytes, sixel.size);
        assert_memory_equal(sixel.bytes, "\033P", 2);
        assert_memory_equal(sixel.bytes + sixel.size - 2, "\033\\", 2);
        int width, height;
        unsigned char *rgb = decoded(&sixel, &width, &height);
        assert_int_equal(width, 350);
        assert_int_equal(height, 132);
        double difference = mean_difference(rgb, wanted->rgb, 350 * 132 * 3);
        if (difference > WAYS[i].worst) fail_msg("%d colours: off by %.1f", WAYS[i].colors, difference);
        free(rgb);
        picture_sixel_clear(&sixel);
        picture_sixel_clear(&again);
    }
    assert_memory_equal(sheet->rgb, same->rgb, (size_t)sheet->width * (size_t)sheet->height * 3); /* untouched */
    cpl_image_free(sheet);
    cpl_image_free(same);
    cpl_image_free(wanted);
}

static void odd_pictures_are_encoded(void **state) {
    (void)state;
    static const int SIZES[][4] = {
        {1, 1, 1, 6}, {1, 300, 6, 300}, {300, 1, 300, 6}, {64, 64, 128, 132}, {2, 2, 999, 996}};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        cpl_image *image = gradient(SIZES[i][0], SIZES[i][1]);
        picture_sixel sixel;
        cpl_error error = {0};
        assert_true(picture_encode(image, SIZES[i][2], SIZES[i][3], 256, true, &sixel, &error));
        int width, height;
        unsigned char *rgb = decoded(&sixel, &width, &height);
        assert_int_equal(width, SIZES[i][2]);
        assert_int_equal(height, SIZES[i][3]);
        free(rgb);
        picture_sixel_clear(&sixel);
        assert_false(picture_encode(image, 0, 6, 256, true, &sixel, &error));
        assert_true(error.message[0]);
        cpl_image_free(image);
    }
}

/* 128 rows twice are 256, and 258 is asked for: no row may be stretched, the last one is repeated. */
static void whole_factors_stay_exact(void **state) {
    (void)state;
    cpl_image *image = cpl_image_new(128, 128, NULL);
    for (int i = 0; i < 128 * 128; i++) memset(image->rgb + i * 3, (i / 128 + i % 128) % 2 ? 255 : 0, 3);
    picture_sixel sixel;
    assert_true(picture_encode(image, 256, 258, 16, false, &sixel, NULL));
    int width, height;
    unsigned char *rgb = decoded(&sixel, &width, &height);
    for (int y = 0; y < 258; y++)
        for (int x = 0; x < 256; x++)
            assert_int_equal(rgb[(y * 256 + x) * 3], ((y < 256 ? y / 2 : 127) + x / 2) % 2 ? 255 : 0);
    free(rgb);
    picture_sixel_clear(&sixel);
    cpl_image_free(image);
}

static void nearest_colors(void **state) {
    (void)state;
    static const struct {
        unsigned char rgb[3];
        int c256, c16, c8;
    } CASES[] = {
        {{0, 0, 0}, 16, 0, 0},  {{255, 255, 255}, 231, 15, 7}, {{255, 0, 0}, 196, 9, 1},     {{95, 135, 175}, 67, 8, 6},
        {{8, 8, 8}, 232, 0, 0}, {{238, 238, 238}, 255, 7, 7},  {{118, 118, 118}, 243, 8, 6}, {{0, 205, 0}, 40, 2, 2},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_int_equal(picture_xterm256(CASES[i].rgb), CASES[i].c256);
        assert_int_equal(picture_ansi(CASES[i].rgb, 16), CASES[i].c16);
        if (i != 3 && i != 6) assert_int_equal(picture_ansi(CASES[i].rgb, 8), CASES[i].c8);
    }
}

static void cells(void **state) {
    (void)state;
    picture_cell grid[60 * 30];
    int columns, rows;
    term_caps caps = sixel_caps();
    cpl_image *image = gradient(128, 128);
    assert_true(picture_cells(image, &caps, 60, 20, grid, &columns, &rows));
    assert_int_equal(rows, 20);
    assert_int_equal(columns, 40); /* cells are twice as high as wide */
    assert_true(grid[0].top[1] < grid[0].bottom[1]);
    assert_true(grid[39].top[0] > 240 && grid[0].top[0] < 15);
    assert_true(grid[19 * 60].bottom[1] > 240); /* rows lie `columns` of the caller apart */
    caps.utf8 = false;
    assert_true(picture_cells(image, &caps, 20, 20, grid, &columns, &rows));
    assert_int_equal(columns, 20);
    assert_int_equal(rows, 10);
    assert_memory_equal(grid[45].top, grid[45].bottom, 3);
    caps.colors = 8;
    caps.utf8 = true;
    assert_true(picture_cells(image, &caps, 20, 10, grid, &columns, &rows));
    for (int i = 0; i < 200; i++) /* only colours that there are */
        for (int c = 0; c < 3; c++) assert_true(strchr("\xcd\xee\xe5", grid[i].top[c]) || grid[i].top[c] == 0);
    assert_true(picture_cells(image, &caps, 0, 10, grid, &columns, &rows) && columns == 0);
    cpl_image_free(image);

    cpl_image *white = cpl_image_new(10, 10, NULL), *black = cpl_image_new(10, 10, NULL);
    memset(white->rgb, 255, 300);
    assert_true(picture_cells(white, &caps, 4, 4, grid, &columns, &rows) && grid[0].shade == '@');
    assert_true(picture_cells(black, &caps, 4, 4, grid, &columns, &rows) && grid[0].shade == ' ');
    cpl_image_free(white);
    cpl_image_free(black);
}

static char *printed(const term_caps *caps) {
    cpl_image *image = gradient(16, 16);
    char *out = NULL;
    size_t size = 0;
    assert_true(picture_print(image, caps, 8, 4, &out, &size, NULL));
    assert_int_equal(strlen(out), size);
    assert_int_equal(out[size - 1], '\n');
    cpl_image_free(image);
    return out;
}

static void printing(void **state) {
    (void)state;
    term_caps caps = sixel_caps();
    char *out = printed(&caps);
    assert_memory_equal(out, "\033P", 2);
    free(out);
    caps.sixel = false;
    out = printed(&caps);
    assert_non_null(strstr(out, "\033[38;5;"));
    assert_non_null(strstr(out, "\xe2\x96\x80"));
    assert_non_null(strstr(out, "\033[0m\n"));
    free(out);
    caps.colors = 1 << 24;
    out = printed(&caps);
    assert_non_null(strstr(out, "\033[48;2;"));
    free(out);
    caps.colors = 16;
    out = printed(&caps);
    assert_null(strstr(out, ";5;"));
    free(out);
    caps.colors = 0;
    out = printed(&caps);
    assert_null(strchr(out, '\033'));
    assert_int_equal(strlen(out), 9 * 4);
    free(out);
}

static void encoder_gives_the_newest(void **state) {
    (void)state;
    picture_encoder *encoder = picture_encoder_new(NULL);
    assert_non_null(encoder);
    struct pollfd ready = {.fd = picture_encoder_fd(encoder), .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 0), 0);
    cpl_image *image = gradient(64, 64);
    picture_sixel sixel, alone;
    uint64_t tag = 0;
    assert_false(picture_encoder_take(encoder, &sixel, &tag));
    for (uint64_t i = 1; i <= 50; i++) assert_true(picture_encoder_put(encoder, image, 256, 258, 256, true, i));
    int taken = 0;
    while (tag != 50) {
        assert_int_equal(poll(&ready, 1, 20000), 1);
        uint64_t before = tag;
        assert_true(picture_encoder_take(encoder, &sixel, &tag));
        assert_true(tag > before);
        taken++;
        if (tag != 50) picture_sixel_clear(&sixel);
    }
    assert_true(taken < 50);
    assert_int_equal(poll(&ready, 1, 0), 0); /* nothing is left to be told */
    assert_true(picture_encode(image, 256, 258, 256, true, &alone, NULL));
    assert_int_equal(alone.size, sixel.size);
    assert_memory_equal(alone.bytes, sixel.bytes, sixel.size);
    picture_sixel_clear(&alone);
    picture_sixel_clear(&sixel);
    assert_true(picture_encoder_put(encoder, image, 256, 258, 256, true, 51));
    picture_encoder_free(encoder); /* with work under way */
    cpl_image_free(image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(sizes_in_tmux),
        cmocka_unit_test(scaling),
        cmocka_unit_test(sixel_shows_the_picture),
        cmocka_unit_test(odd_pictures_are_encoded),
        cmocka_unit_test(whole_factors_stay_exact),
        cmocka_unit_test(nearest_colors),
        cmocka_unit_test(cells),
        cmocka_unit_test(printing),
        cmocka_unit_test(encoder_gives_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
