/* Uploaded masks as Forge Couple takes them: only white counts, after the picture was brought to the canvas and laid over
 * black. The expected masks were made by the original's own functions (7.0.7: _on_up_mask, then _write_mask) with Pillow. */
#include "../../test.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../core/couplet.h"

static char path[] = "/tmp/couplet-mask-XXXXXX";

static int set_up(void **state) {
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int tear_down(void **state) {
    (void)state;
    return unlink(path);
}

static void write_rgba(int width, int height, const unsigned char *rgba) {
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)width,
                     .height = (png_uint_32)height,
                     .format = PNG_FORMAT_RGBA};
    assert_true(png_image_write_to_file(&png, path, 0, rgba, 0, NULL));
}

/* Blocks of white, of what is white as grey only, of white that is not wholly there, and of colours. */
static void pixel(int x, int y, unsigned char rgba[4]) {
    static const unsigned char white[] = {255, 255, 255, 255}, nearly[] = {254, 255, 251, 255},
                               glass[] = {255, 255, 255, 254};
    int kind = (x / 3 * 7 + y / 3 * 13) % 5;
    const unsigned char colour[] = {(unsigned char)(x * 11), (unsigned char)(y * 17), 90, 255};
    memcpy(rgba, kind < 2 ? white : kind == 2 ? nearly : kind == 3 ? glass : colour, 4);
}

static void as_the_original_takes_them(void **state) {
    (void)state;
    static const struct {
        int width, height, canvas_width, canvas_height, mask_width, mask_height, white;
        uint64_t hash; /* FNV-1a of the mask's bytes */
    } cases[] = {
        {20, 14, 20, 14, 20, 14, 114, 0x9ff39af5d1a7dd05ull},
        {20, 14, 32, 24, 32, 24, 334, 0x42d531f07ccc09d7ull},
        {60, 40, 24, 24, 24, 24, 175, 0x1340031181b49852ull},
        {33, 50, 64, 33, 64, 33, 826, 0xfc4cfaf56c23b9c3ull},
        {30, 30, 1536, 1024, 768, 512, 165533, 0xbd5a0471c427dd44ull}, /* more than a million pixels: halved */
        {30, 30, 16, 64, 16, 64, 422, 0x8ec79aecab62a295ull},
        {128, 96, 48, 200, 48, 200, 3002, 0xcc9a59bb8078ee01ull},
        {7, 5, 40, 40, 40, 40, 835, 0x67299f47c71d4bd2ull},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int width = cases[i].width, height = cases[i].height;
        unsigned char *rgba = malloc((size_t)width * (size_t)height * 4);
        assert_non_null(rgba);
        for (int p = 0; p < width * height; p++) pixel(p % width, p / width, rgba + (size_t)p * 4);
        write_rgba(width, height, rgba);
        free(rgba);
        cpl_error error = {0};
        cpl_mask *mask = cpl_mask_import_png(path, cases[i].canvas_width, cases[i].canvas_height, &error);
        assert_non_null(mask);
        assert_int_equal(cpl_mask_width(mask), cases[i].mask_width);
        assert_int_equal(cpl_mask_height(mask), cases[i].mask_height);
        uint64_t hash = 14695981039346656037ull;
        int white = 0;
        for (int p = 0; p < cases[i].mask_width * cases[i].mask_height; p++) {
            white += cpl_mask_pixels(mask)[p] == 255;
            hash = (hash ^ cpl_mask_pixels(mask)[p]) * 1099511628211ull;
        }
        if (white != cases[i].white || hash != cases[i].hash)
            fail_msg("case %zu: %d white pixels of %d, hash %llx", i, white, cases[i].white, (unsigned long long)hash);
        cpl_mask_unref(mask);
    }
}

/* The rule in one line of pixels: 255 as grey and wholly there, nothing less. */
static void only_white_is_inside(void **state) {
    (void)state;
    static const unsigned char rgba[] = {255, 255, 255, 255, 254, 255, 255, 255, 255, 254, 255,
                                         255, 254, 254, 254, 255, 255, 255, 255, 254, 255, 255,
                                         255, 0,   0,   0,   0,   255, 128, 128, 128, 255};
    static const unsigned char expected[] = {255, 255, 0, 0, 0, 0, 0, 0}; /* (254, 255, 255) is grey 255 */
    write_rgba(8, 1, rgba);
    cpl_error error = {0};
    cpl_mask *mask = cpl_mask_import_png(path, 8, 1, &error);
    assert_non_null(mask);
    assert_memory_equal(cpl_mask_pixels(mask), expected, 8);
    cpl_mask_unref(mask);
}

static void grey_palette_and_sixteen_bits(void **state) {
    (void)state;
    static const unsigned char grey[] = {255, 254, 0, 255}, expected[] = {255, 0, 0, 255};
    png_image png = {.version = PNG_IMAGE_VERSION, .width = 2, .height = 2, .format = PNG_FORMAT_GRAY};
    assert_true(png_image_write_to_file(&png, path, 0, grey, 0, NULL));
    cpl_mask *mask = cpl_mask_import_png(path, 2, 2, NULL);
    assert_non_null(mask);
    assert_memory_equal(cpl_mask_pixels(mask), expected, 4);
    cpl_mask_unref(mask);
    static const unsigned char map[] = {0, 0, 0, 255, 255, 255}, index[] = {1, 0, 0, 1};
    png = (png_image){.version = PNG_IMAGE_VERSION,
                      .width = 2,
                      .height = 2,
                      .colormap_entries = 2,
                      .format = PNG_FORMAT_RGB_COLORMAP};
    assert_true(png_image_write_to_file(&png, path, 0, index, 0, map));
    mask = cpl_mask_import_png(path, 2, 2, NULL);
    assert_non_null(mask);
    assert_memory_equal(cpl_mask_pixels(mask), expected, 4);
    cpl_mask_unref(mask);
}

static void what_has_no_white_is_refused(void **state) {
    (void)state;
    static const unsigned char grey[] = {254, 254, 254, 255};
    write_rgba(1, 1, grey);
    cpl_error error = {0};
    assert_null(cpl_mask_import_png(path, 16, 16, &error));
    assert_int_equal(error.code, CPL_E_INPUT);
    assert_non_null(strstr(error.message, "has no white pixel"));
    assert_non_null(strstr(error.message, path));
    assert_null(cpl_mask_import_png("/nowhere.png", 16, 16, &error));
    assert_null(cpl_mask_import_png(path, 0, 16, &error));
    assert_int_equal(truncate(path, 40), 0);
    assert_null(cpl_mask_import_png(path, 16, 16, &error));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_original_takes_them),
        cmocka_unit_test(only_white_is_inside),
        cmocka_unit_test(grey_palette_and_sixteen_bits),
        cmocka_unit_test(what_has_no_white_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
