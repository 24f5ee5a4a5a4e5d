/* PNG files: pixels and texts survive, same input gives same bytes, grey follows the rules for masks, bad files are
 * refused with one clear line. */
#include "../../test.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../core/memory/file.h"

static char folder[] = "/tmp/couplet-png-XXXXXX";

static char *in_folder(const char *name) {
    static char path[4][96];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, 96, "%s/%s", folder, name);
    return p;
}

static cpl_image *noise(int width, int height, uint32_t seed) {
    cpl_image *image = cpl_image_new(width, height, NULL);
    for (int i = 0; i < width * height * 3; i++) image->rgb[i] = (unsigned char)test_random(&seed);
    return image;
}

static void test_round_trip(void **state) {
    (void)state;
    const cpl_text texts[] = {{"couplet", "{\"a\": \"\xc3\xa9\"}"},
                              {"parameters", "a cat\nSteps: 20"},
                              {"latin", "Gr\xc3\xbc\xc3\x9f"
                                        "e"},
                              {"wide", "\xe7\x8c\xab \xf0\x9f\x90\xb1"},
                              {"empty", ""}};
    char *a = in_folder("a.png"), *b = in_folder("b.png");
    for (int n = 1; n < 40; n += 7) {
        cpl_image *image = noise(n, 41 - n, 9);
        cpl_error error = {0};
        assert_true(cpl_image_write_png(image, a, texts, 5, &error));
        assert_true(cpl_image_write_png(image, b, texts, 5, &error));
        cpl_image *back = cpl_image_read_png(a, &error);
        assert_non_null(back);
        assert_true(back->width == n && back->height == 41 - n);
        assert_memory_equal(back->rgb, image->rgb, (size_t)n * (size_t)(41 - n) * 3);
        size_t size_a, size_b;
        void *bytes_a = cpl_file_read(a, 1 << 20, &size_a, NULL), *bytes_b = cpl_file_read(b, 1 << 20, &size_b, NULL);
        assert_int_equal(size_a, size_b);
        assert_memory_equal(bytes_a, bytes_b, size_a);
        assert_null(memmem(bytes_a, size_a, "tIME", 4));
        for (int i = 0; i < 5; i++) {
            char *text = cpl_png_text(a, texts[i].key, &error);
            assert_string_equal(text, texts[i].value);
            free(text);
        }
        assert_non_null(memmem(bytes_a, size_a, "iTXtcouplet", 11));
        assert_non_null(memmem(bytes_a, size_a, "tEXtparameters", 14));
        assert_non_null(memmem(bytes_a, size_a, "tEXtlatin", 9));
        assert_non_null(memmem(bytes_a, size_a, "iTXtwide", 8));
        error.code = CPL_E_FILE;
        assert_null(cpl_png_text(a, "other", &error));
        assert_int_equal(error.code, CPL_OK);
        free(bytes_a);
        free(bytes_b);
        cpl_image_free(image);
        cpl_image_free(back);
    }
}

typedef struct sample {
    int color, depth, rows;
    const unsigned char *data; /* one row of two pixels */
    unsigned char grey[2], rgb[6];
} sample;

/* Channel `i` of the first pixel; a depth below 8 has one channel. */
static png_uint_16 first_value(const unsigned char *row, int i, int depth) {
    if (depth == 16) return (png_uint_16)(row[2 * i] << 8 | row[2 * i + 1]);
    return depth == 8 ? row[i] : (png_uint_16)(row[0] >> (8 - depth));
}

/* The first pixel is not seen, and of a palette half of the second, without an alpha channel. */
static void set_transparency(png_structp png, png_infop info, int color, int depth, const unsigned char *row) {
    const unsigned char alphas[] = {0, 128};
    png_color_16 first = {0};
    if (color == PNG_COLOR_TYPE_GRAY) first.gray = first_value(row, 0, depth);
    if (color == PNG_COLOR_TYPE_RGB) {
        first.red = first_value(row, 0, depth);
        first.green = first_value(row, 1, depth);
        first.blue = first_value(row, 2, depth);
    }
    png_set_tRNS(png, info, alphas, color == PNG_COLOR_TYPE_PALETTE ? 2 : 1, &first);
}

/* Written by libpng itself; with texts before or after the pixels. */
static void write_png(const char *path, int color, int depth, int width, int height, const unsigned char *row,
                      int compression, bool after, bool interlaced, bool transparent) {
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png), end = png_create_info_struct(png);
    png_color colors[] = {{10, 20, 30}, {200, 100, 50}};
    char key[] = "key", value[] = "packed, packed, packed, packed \xe9", lang[] = "";
    png_text text = {.compression = compression,
                     .key = key,
                     .text = value,
                     .text_length = strlen(value),
                     .lang = lang,
                     .lang_key = lang};
    if (compression >= PNG_ITXT_COMPRESSION_NONE) value[strlen(value) - 1] = '!';
    if (compression >= PNG_ITXT_COMPRESSION_NONE) text.itxt_length = strlen(value);
    png_init_io(png, file);
    png_set_IHDR(png, info, (unsigned)width, (unsigned)height, depth, color, interlaced, 0, 0);
    if (color == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, colors, 2);
    if (transparent) set_transparency(png, info, color, depth, row);
    png_set_text(png, after ? end : info, &text, 1);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int y = 0; y < height * passes; y++) png_write_row(png, row);
    png_write_end(png, after ? end : info);
    png_destroy_info_struct(png, &end);
    png_destroy_write_struct(&png, &info);
    fclose(file);
}

static const sample samples[] = {
    {PNG_COLOR_TYPE_GRAY, 1, 2, (const unsigned char *)"\x40", {0, 255}, {0, 0, 0, 255, 255, 255}},
    {PNG_COLOR_TYPE_GRAY, 2, 2, (const unsigned char *)"\x60", {85, 170}, {85, 85, 85, 170, 170, 170}},
    {PNG_COLOR_TYPE_GRAY, 8, 2, (const unsigned char *)"\x07\xf0", {7, 240}, {7, 7, 7, 240, 240, 240}},
    /* 16-bit grey is clipped in a mask, scaled in a picture */
    {PNG_COLOR_TYPE_GRAY, 16, 2, (const unsigned char *)"\x00\x30\x80\x80", {48, 255}, {0, 0, 0, 128, 128, 128}},
    {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2, (const unsigned char *)"\x50\x00\x60\xff", {80, 96}, {80, 80, 80, 96, 96, 96}},
    {PNG_COLOR_TYPE_GRAY_ALPHA,
     16,
     2,
     (const unsigned char *)"\x50\x50\x00\x00\x60\x60\xff\xff",
     {80, 96},
     {80, 80, 80, 96, 96, 96}},
    {PNG_COLOR_TYPE_RGB, 8, 2, (const unsigned char *)"\xff\x00\x00\x00\xff\x00", {76, 150}, {255, 0, 0, 0, 255, 0}},
    {PNG_COLOR_TYPE_RGB,
     16,
     2,
     (const unsigned char *)"\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
     {29, 255},
     {0, 0, 255, 255, 255, 255}},
    {PNG_COLOR_TYPE_RGB_ALPHA,
     8,
     2,
     (const unsigned char *)"\xff\x00\x00\x00\x00\xff\x00\x10",
     {76, 150},
     {255, 0, 0, 0, 255, 0}},
    {PNG_COLOR_TYPE_PALETTE, 1, 2, (const unsigned char *)"\x40", {18, 124}, {10, 20, 30, 200, 100, 50}},
};

static void test_kinds(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        for (int kind = 0; kind < 4; kind++) {
            const sample *s = &samples[i];
            bool interlaced = kind & 1, transparent = kind & 2 && !(s->color & PNG_COLOR_MASK_ALPHA);
            char *path = in_folder("kind.png");
            write_png(path, s->color, s->depth, 2, s->rows, s->data, PNG_TEXT_COMPRESSION_NONE, false, interlaced,
                      transparent);
            cpl_mask *mask = cpl_mask_read_png(path, NULL);
            cpl_image *image = cpl_image_read_png(path, NULL);
            assert_true(cpl_mask_width(mask) == 2 && cpl_mask_height(mask) == s->rows);
            for (int y = 0; y < s->rows; y++) {
                assert_memory_equal(cpl_mask_pixels(mask) + 2 * y, s->grey, 2);
                assert_memory_equal(image->rgb + 6 * y, s->rgb, 6);
            }
            cpl_mask_unref(mask);
            cpl_image_free(image);
        }
}

static void test_texts_of_others(void **state) {
    (void)state;
    static const int kinds[] = {PNG_TEXT_COMPRESSION_NONE, PNG_TEXT_COMPRESSION_zTXt, PNG_ITXT_COMPRESSION_NONE,
                                PNG_ITXT_COMPRESSION_zTXt};
    for (int i = 0; i < 4; i++)
        for (int after = 0; after < 2; after++) {
            char *path = in_folder("text.png");
            write_png(path, PNG_COLOR_TYPE_GRAY, 8, 2, 3, (const unsigned char *)"ab", kinds[i], after, after, false);
            char *text = cpl_png_text(path, "key", NULL);
            assert_string_equal(text,
                                i < 2 ? "packed, packed, packed, packed \xc3\xa9" : "packed, packed, packed, packed !");
            free(text);
        }
}

static void expect_bad(const void *bytes, size_t size, const char *words) {
    char *path = in_folder("bad.png");
    cpl_error error = {0};
    assert_true(cpl_file_replace(path, bytes, size, NULL));
    assert_null(cpl_image_read_png(path, &error));
    if (strncmp(error.message, path, strlen(path)) != 0 || !strstr(error.message, words))
        fail_msg("said: %s", error.message);
    assert_int_equal(error.code, CPL_E_FILE);
    assert_null(cpl_mask_read_png(path, &error));
    assert_null(cpl_png_text(path, "key", &error));
    assert_int_equal(error.code, CPL_E_FILE);
}

static void test_bad_files(void **state) {
    (void)state;
    cpl_image *image = noise(30, 20, 4);
    char *path = in_folder("good.png");
    assert_true(cpl_image_write_png(image, path, NULL, 0, NULL));
    size_t size;
    unsigned char *bytes = cpl_file_read(path, 1 << 20, &size, NULL);
    unsigned char *huge = cpl_file_read(path, 1 << 20, &size, NULL);
    for (size_t n = 0; n < size; n += n < 60 ? 1 : 97)
        expect_bad(bytes, n,
                   n < 8    ? "is not a PNG file; convert it"
                   : n < 26 ? "its header is incomplete"
                            : "damaged PNG file");
    expect_bad("GIF89a..........................", 32, "is not a PNG file");
    static const unsigned char sides[8] = {0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60};
    memcpy(huge + 16, sides, sizeof sides);
    expect_bad(huge, size, "is 60000x60000 pixels; sides from 1 to 16384 can be read");
    memcpy(huge + 16, bytes + 16, 8);
    huge[size / 2] ^= 0x55; /* inside of the pixels */
    expect_bad(huge, size, "damaged PNG file");
    free(huge);
    free(bytes);
    cpl_image_free(image);
}

static void test_refused_arguments(void **state) {
    (void)state;
    cpl_error error = {0};
    assert_null(cpl_image_new(0, 5, &error));
    assert_null(cpl_image_new(20000, 5, &error));
    assert_non_null(strstr(error.message, "20000x5"));
    assert_null(cpl_mask_new(-1, 5, NULL, &error));
    cpl_image *image = cpl_image_new(1, 1, NULL);
    const cpl_text text = {"", "x"};
    assert_false(cpl_image_write_png(image, in_folder("c.png"), &text, 1, &error));
    assert_non_null(strstr(error.message, "1 to 79 characters"));
    assert_false(cpl_image_write_png(image, in_folder("no/c.png"), NULL, 0, &error));
    assert_int_equal(access(in_folder("c.png"), F_OK), -1);
    cpl_image_free(image);
}

static void test_mask_references(void **state) {
    (void)state;
    unsigned char grey[6] = {1, 2, 3, 4, 5, 6};
    cpl_mask *mask = cpl_mask_new(3, 2, grey, NULL);
    assert_ptr_equal(cpl_mask_ref(mask), mask);
    cpl_mask_unref(mask);
    memset(grey, 0, sizeof grey);
    assert_int_equal(cpl_mask_pixels(mask)[5], 6);
    cpl_mask_unref(mask);
    cpl_mask_unref(NULL);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_texts_of_others),   cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_refused_arguments), cmocka_unit_test(test_mask_references),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
