/* What must hold for every model, tested on models with fresh random weights: no expected picture is known, but how pictures of
 * different layouts have to agree. */
#include "tiny_model.h"

#include <stdio.h>

static char folder[] = "/tmp/couplet-meta-XXXXXX";
static char model_path[64];
static cpl_session *session;

static int set_up(void **state) {
    (void)state;
    session = NULL;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return rmdir(folder);
}

/* A session on a model with weights of its own; each one gets another name, so that no cache can know it. */
static void open_model(const char *source, uint64_t random) {
    snprintf(model_path, sizeof model_path, "%s/%llu.safetensors", folder, (unsigned long long)random);
    write_model(source, model_path, random);
    session = open_session(&(cpl_options){.tokenizer = VOCABULARY});
}

static void close_model(void) {
    cpl_session_free(session);
    unlink(model_path);
}

static cpl_image *picture(const char *regions, int seed) {
    char json[1024];
    snprintf(
        json, sizeof json,
        "{\"couplet\": 1, \"canvas\": {\"width\": 64, \"height\": 48}, \"regions\": [%s], \"negative\": \"a tree\","
        "\"sampling\": {\"model\": \"%s\", \"sampler\": \"euler\", \"seed\": %d, \"steps\": 3, \"cfg\": 4}}",
        regions, model_path, seed);
    cpl_layout *layout = layout_of(json);
    cpl_image *image = picture_of(session, layout);
    cpl_layout_free(layout);
    return image;
}

static int difference(const cpl_image *a, const cpl_image *b) {
    int most = 0;
    for (int i = 0; i < a->width * a->height * 3; i++) {
        int one = abs(a->rgb[i] - b->rgb[i]);
        if (one > most) most = one;
    }
    return most;
}

/* Sums in another order round differently: one of 255. */
static void expect_same(const char *a, const char *b) {
    cpl_image *first = picture(a, 5), *second = picture(b, 5);
    int most = difference(first, second);
    if (most > 1) fail_msg("pictures of\n%s\nand\n%s\ndiffer by %d", a, b, most);
    cpl_image_free(first);
    cpl_image_free(second);
}

static void expect_other(const char *a, int seed_a, const char *b, int seed_b) {
    cpl_image *first = picture(a, seed_a), *second = picture(b, seed_b);
    if (difference(first, second) <= 1) fail_msg("pictures of\n%s\nand\n%s\nare the same", a, b);
    cpl_image_free(first);
    cpl_image_free(second);
}

#define CAT "\"prompt\": \"a cat, night sky\""
#define SUN "\"prompt\": \"a sun, sunset\""
#define LEFT "\"rect\": [0, 0.5, 0, 1]"
#define RIGHT "\"rect\": [0.5, 1, 0, 1]"
#define UPPER "\"rect\": [0, 1, 0, 0.375]"
#define LOWER "\"rect\": [0, 1, 0.375, 1]"

static void same_layout_same_bytes(void) {
    const char *regions = "{" LEFT "," CAT "}, {" RIGHT "," SUN "}";
    cpl_image *first = picture(regions, 5), *other = picture(regions, 6), *again = picture(regions, 5);
    assert_true(same_picture(first, again));
    assert_true(difference(first, other) > 1);
    cpl_image_free(first);
    cpl_image_free(other);
    cpl_image_free(again);
}

/* Every way to say that one prompt rules everything. */
static void an_sd_model_keeps_the_rules(void **state) {
    (void)state;
    for (uint64_t random = 101; random <= 103; random++) {
        open_model(TINY_SD, random);
        expect_same("{" CAT "}", "{" CAT "}, {" SUN ", \"weight\": 0}");
        expect_same("{" CAT "}", "{" LEFT "," CAT "}, {" RIGHT "," CAT "}");
        expect_same("{" CAT "}", "{" UPPER "," CAT "}, {" CAT ", \"weight\": 0.3}, {" LEFT "," CAT "}");
        expect_same("{" LEFT "," CAT "}, {" RIGHT "," SUN "}", "{" RIGHT "," SUN "}, {" LEFT "," CAT "}");
        expect_same("{" CAT ", \"weight\": 0.25}, {" UPPER "," SUN "}",
                    "{" UPPER "," SUN "}, {" CAT ", \"weight\": 0.25}");
        expect_same("{" CAT ", \"weight\": 0.25}, {" UPPER "," SUN "}",
                    "{" CAT ", \"weight\": 1}, {" UPPER "," SUN ", \"weight\": 4}");
        expect_other("{" CAT "}", 5, "{" SUN "}", 5);
        expect_other("{" LEFT "," CAT "}, {" RIGHT "," SUN "}", 5, "{" LEFT "," SUN "}, {" RIGHT "," CAT "}", 5);
        same_layout_same_bytes();
        close_model();
    }
}

/* The summary of an SDXL prompt is of all lines in their order: only layouts with the same lines can be compared. */
static void an_sdxl_model_keeps_the_rules(void **state) {
    (void)state;
    for (uint64_t random = 201; random <= 202; random++) {
        open_model(TINY_XL, random);
        expect_same("{" LEFT "," CAT "}, {" RIGHT "," CAT "}", "{" UPPER "," CAT "}, {" LOWER "," CAT "}");
        expect_same("{" LEFT "," CAT "}, {" RIGHT "," CAT "}", "{" CAT "}, {" LEFT "," CAT ", \"weight\": 0.7}");
        expect_other("{" LEFT "," CAT "}, {" RIGHT "," SUN "}", 5, "{" RIGHT "," CAT "}, {" LEFT "," SUN "}", 5);
        same_layout_same_bytes();
        close_model();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_sd_model_keeps_the_rules),
        cmocka_unit_test(an_sdxl_model_keeps_the_rules),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
