/* Pictures of another size: numbers of a peer, and what must hold of any resizing. */
#include "../../test.h"

#include <stdlib.h>
#include <string.h>

#include "../../../core/couplet.h"

static cpl_image *pattern(int width, int height) {
    cpl_image *image = cpl_image_new(width, height, NULL);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                image->rgb[(y * width + x) * 3 + c] = (unsigned char)(x * 37 + y * 91 + c * 53 + x * y * 7);
    return image;
}

/* Pillow 9.4.0, Image.resize((w, h), Image.LANCZOS) of the pattern. It computes in whole numbers: one step of difference. */
static void test_peer(void **state) {
    (void)state;
    static const unsigned char smaller[] = {39,  103, 154, 127, 161, 178, 156, 136, 115, 171, 164, 129,
                                            111, 100, 115, 110, 128, 140, 96,  107, 127, 144, 163, 154,
                                            159, 128, 127, 135, 154, 128, 147, 128, 125, 158, 138, 116};
    static const unsigned char higher[] = {
        0,   47,  92,  30,  75,  128, 59,  112, 199, 95,  182, 235, 166, 219, 255, 23,  76,  157, 62,  143,
        196, 130, 183, 115, 169, 101, 149, 87,  136, 189, 102, 155, 193, 146, 185, 237, 176, 229, 25,  221,
        16,  73,  8,   65,  118, 187, 240, 77,  236, 73,  118, 69,  114, 76,  110, 72,  162, 68,  158, 211,
        137, 190, 27,  190, 27,  102, 26,  102, 192, 102, 192, 154, 192, 153, 206, 21,  74,  112, 78,  117,
        182, 121, 187, 243, 191, 248, 43,  252, 48,  101, 57,  110, 191, 120, 201, 95,  210, 105, 153, 115,
        163, 95,  173, 105, 158, 122, 175, 220, 188, 233, 4,   245, 16,  69,  29,  82,  169, 94,  181, 234};
    static const struct {
        int from[2], to[2];
        const unsigned char *wanted;
    } cases[] = {{{7, 5}, {3, 4}, smaller}, {{5, 5}, {5, 8}, higher}};
    for (size_t i = 0; i < 2; i++) {
        cpl_image *image = pattern(cases[i].from[0], cases[i].from[1]);
        cpl_image *got = cpl_image_resize(image, cases[i].to[0], cases[i].to[1], NULL);
        for (int k = 0; k < got->width * got->height * 3; k++)
            if (abs(got->rgb[k] - cases[i].wanted[k]) > 1)
                fail_msg("case %d, value %d: %d, not %d", (int)i, k, got->rgb[k], cases[i].wanted[k]);
        cpl_image_free(got);
        cpl_image_free(image);
    }
}

static void test_same_size_is_a_copy(void **state) {
    (void)state;
    cpl_image *image = pattern(23, 17), *same = cpl_image_resize(image, 23, 17, NULL);
    assert_memory_equal(same->rgb, image->rgb, 23 * 17 * 3);
    cpl_image_free(same);
    cpl_image_free(image);
}

static void test_flat_stays_flat(void **state) {
    (void)state;
    cpl_image *image = cpl_image_new(31, 9, NULL);
    memset(image->rgb, 201, 31 * 9 * 3);
    static const int sizes[][2] = {{1, 1}, {8, 100}, {100, 2}, {310, 90}};
    for (size_t i = 0; i < 4; i++) {
        cpl_image *got = cpl_image_resize(image, sizes[i][0], sizes[i][1], NULL);
        for (int k = 0; k < sizes[i][0] * sizes[i][1] * 3; k++) assert_int_equal(got->rgb[k], 201);
        cpl_image_free(got);
    }
    cpl_image_free(image);
}

static void test_bad_sizes(void **state) {
    (void)state;
    cpl_image *image = pattern(4, 4);
    cpl_error error = {0};
    assert_null(cpl_image_resize(image, 0, 4, &error));
    assert_int_equal(error.code, CPL_E_INPUT);
    cpl_image_free(image);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peer), cmocka_unit_test(test_same_size_is_a_copy),
                                       cmocka_unit_test(test_flat_stays_flat), cmocka_unit_test(test_bad_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
