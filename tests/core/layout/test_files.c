/* The files that a layout names: once settled, they are found from any folder. */
#include "../session/interpose.h"

#include "../../test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../core/couplet.h"

static char root[] = "/tmp/couplet-files-XXXXXX";

static const char *in_root(const char *name) {
    static char path[4][128];
    static int turn;
    char *to = path[turn++ % 4];
    snprintf(to, sizeof path[0], "%s/%s", root, name);
    return to;
}

static void touch(const char *path) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

/* Folders "home" and "other"; in home a mask whose right half is black, and empty files. The working folder is the root. */
static int make_files(void **state) {
    (void)state;
    if (!mkdtemp(root) || chdir(root) != 0 || mkdir("home", 0700) != 0 || mkdir("other", 0700) != 0) return 1;
    cpl_image *image = cpl_image_new(4, 2, NULL);
    for (int i = 0; image && i < 8; i++)
        if (i % 4 < 2) memset(image->rgb + 3 * (size_t)i, 255, 3);
    bool done = image && cpl_image_write_png(image, "home/mm.png", NULL, 0, NULL);
    cpl_image_free(image);
    touch("home/beside.safetensors");
    touch("working.safetensors");
    return !done;
}

static int remove_files(void **state) {
    (void)state;
    static const char *const files[] = {"home/mm.png", "home/beside.safetensors", "working.safetensors",
                                        "home/one.json", "other/one.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(files[i]);
    return rmdir("home") != 0 || rmdir("other") != 0 || chdir("/") != 0 || rmdir(root) != 0;
}

static cpl_layout *parse(const char *json, const char *directory) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(json, directory, NULL, &error);
    if (!layout) fail_msg("%s: %s", json, error.message);
    return layout;
}

static void test_masks_become_data(void **state) {
    (void)state;
    cpl_error error = {0};
    cpl_layout *layout = parse("{\"mode\": \"mask\", \"regions\": [{\"mask\": \"mm.png\"}]}", "home");
    assert_true(cpl_layout_settle_files(layout, &error));
    assert_memory_equal(layout->regions[0].mask_source, "data:image/png;base64,", 22);
    assert_string_equal(layout->directory, "home");
    assert_true(cpl_layout_save(layout, "other/one.json", &error));
    cpl_layout *moved = cpl_layout_load("other/one.json", &error);
    const cpl_mask *mask = moved ? moved->regions[0].mask : NULL;
    if (!mask) fail_msg("%s", error.message);
    assert_true(cpl_layout_equal(layout, moved));
    const unsigned char *grey = mask ? cpl_mask_pixels(mask) : NULL; /* fail_msg does not come back */
    assert_true(grey && grey[1] == 255 && grey[2] == 0);
    cpl_layout_free(moved);
    cpl_layout_free(layout);
}

static void test_paths_become_whole(void **state) {
    (void)state;
    cpl_layout *layout =
        parse("{\"img2img\": {\"image\": \"start.png\"}, \"loras\": [{\"path\": \"sub/l.safetensors\"}, "
              "{\"name\": \"ink\"}], \"sampling\": {\"model\": \"beside.safetensors\", \"vae\": "
              "\"working.safetensors\"}, \"regions\": [{\"mask\": \"missing.png\"}]}",
              "home");
    assert_true(cpl_layout_settle_files(layout, NULL));
    assert_string_equal(layout->init_image, in_root("home/start.png"));
    assert_string_equal(layout->loras[0].path, in_root("home/sub/l.safetensors"));
    assert_string_equal(layout->loras[1].name, "ink");
    assert_null(layout->loras[1].path);
    assert_string_equal(layout->sampling.model, in_root("home/beside.safetensors"));
    assert_string_equal(layout->sampling.vae, in_root("working.safetensors"));
    assert_string_equal(layout->regions[0].mask_source, in_root("home/missing.png"));
    cpl_layout_free(layout);
}

/* Without a folder of its own a layout lies in the working folder. */
static void test_no_folder(void **state) {
    (void)state;
    cpl_layout *layout = parse("{\"img2img\": {\"image\": \"../start.png\"}, \"regions\": []}", NULL);
    assert_true(cpl_layout_settle_files(layout, NULL));
    assert_string_equal(layout->init_image, in_root("../start.png"));
    cpl_layout_free(layout);
}

static void test_what_stays(void **state) {
    (void)state;
    static const char *const json =
        "{\"img2img\": {\"image\": \"/abs/start.png\"}, \"loras\": [{\"path\": \"/abs/l.safetensors\"}], "
        "\"sampling\": {\"model\": \"builtin\", \"vae\": \"nowhere.safetensors\"}, \"regions\": [{\"mask\": "
        "\"/abs/m.png\"}, "
        "{\"mask\": \"data:image/png;base64,AAAA\"}, {}]}";
    static const char *const folders[] = {"home", NULL, "gone"};
    for (int i = 0; i < 3; i++) {
        cpl_layout *layout = parse(json, folders[i]), *before = cpl_layout_copy(layout, NULL);
        touch("home/builtin");
        assert_true(cpl_layout_settle_files(layout, NULL));
        assert_true(cpl_layout_equal(layout, before));
        unlink("home/builtin");
        cpl_layout_free(before);
        cpl_layout_free(layout);
    }
    /* a folder that is gone is named by nobody any more */
    cpl_layout *layout = parse("{\"img2img\": {\"image\": \"start.png\"}, \"regions\": []}", "gone");
    assert_true(cpl_layout_settle_files(layout, NULL));
    assert_string_equal(layout->init_image, "start.png");
    cpl_layout_free(layout);
}

/* Whichever call fails: it is told, and what was settled until then means what it meant. */
static void test_out_of_memory(void **state) {
    (void)state;
    cpl_layout *layout =
        parse("{\"mode\": \"mask\", \"img2img\": {\"image\": \"start.png\"}, \"sampling\": {\"model\": "
              "\"beside.safetensors\"}, \"loras\": [{\"path\": \"l.safetensors\"}], \"regions\": "
              "[{\"mask\": \"mm.png\"}]}",
              "home");
    bool done = !WATCHED;
    for (int call = 1; !done; call++) {
        cpl_layout *trial = cpl_layout_copy(layout, NULL);
        cpl_error error = {0};
        assert_non_null(trial);
        assert_true(call < 50);
        atomic_store(&heap_fail_at, call);
        done = cpl_layout_settle_files(trial, &error);
        atomic_store(&heap_fail_at, 0);
        assert_int_equal(error.code, done ? CPL_OK : CPL_E_MEMORY);
        const char *image = trial->init_image;
        assert_true(!strcmp(image, "start.png") || !strcmp(image, in_root("home/start.png")));
        assert_true(!strcmp(trial->regions[0].mask_source, "mm.png") ||
                    !strncmp(trial->regions[0].mask_source, "data:", 5));
        cpl_layout_free(trial);
    }
    cpl_layout_free(layout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks_become_data), cmocka_unit_test(test_paths_become_whole),
        cmocka_unit_test(test_no_folder),         cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
