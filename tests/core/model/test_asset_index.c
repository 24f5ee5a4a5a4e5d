/* Which file a LoRA's name means: the order of the folders, folders inside, names from metadata, what is said of a name that is
 * not there, and that a look-up sees what was put into a folder a moment ago. */
#include "st_bag.h"

#include <sys/stat.h>
#include <unistd.h>

#include "../../../core/memory/unicode.h"
#include "../../../core/model/asset_index.h"
#include "../../../core/model/lora_names.h"

static char root[] = "/tmp/couplet-find-XXXXXX";

static const char *under(const char *name) {
    static char path[4][320];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

static void put_lora(const char *name, const char *title) {
    bag b = {0};
    char metadata[200];
    bag_add_pair(&b, "lora_unet_mid_block_attentions_0_proj_in", 4, 4, 1, 1);
    snprintf(metadata, sizeof metadata, "{\"ss_output_name\":\"%s\"}", title);
    if (title) b.metadata = strdup(metadata);
    bag_write(&b, under(name));
    bag_clear(&b);
}

static int set_up(void **state) {
    (void)state;
    static const char *const folders[] = {
        "option", "option/inner", "option/.hidden",         "data", "data/couplet", "data/couplet/loras",
        "forge",  "forge/Lora",   "forge/Stable-diffusion", "empty"};
    if (!mkdtemp(root)) return -1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) mkdir(under(folders[i]), 0777);
    setenv("XDG_DATA_HOME", under("data"), 1);
    unsetenv("COUPLET_LORA_DIR");
    put_lora("option/one.safetensors", NULL);
    put_lora("option/inner/two.safetensors", "The Second");
    put_lora("option/.hidden/secret.safetensors", NULL);
    put_lora("option/dotted.v1.safetensors", NULL);
    put_lora("data/couplet/loras/one.safetensors", NULL);
    put_lora("data/couplet/loras/three.safetensors", NULL);
    put_lora("forge/Lora/four.safetensors", NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static cpl_asset_index *open_index(const char *folder) {
    cpl_asset_index *index = cpl_asset_index_new(&cpl_lora_assets, folder ? under(folder) : NULL, NULL);
    assert_non_null(index);
    return index;
}

static void expect(cpl_asset_index *index, const char *name, const char *model, const char *file) {
    cpl_error error = {0};
    const char *path = cpl_asset_index_find(index, name, model, &error);
    if (!path)
        fail_msg("%s: %s", name, error.message);
    else if (strcmp(path, under(file)) != 0)
        fail_msg("%s is %s, not %s", name, path, file);
}

static void expect_unknown(cpl_asset_index *index, const char *name, const char *words) {
    cpl_error error = {0};
    assert_null(cpl_asset_index_find(index, name, "", &error));
    assert_int_equal(error.code, CPL_E_INPUT);
    if (!strstr(error.message, words)) fail_msg("\"%s\" is not in: %s", words, error.message);
}

static void names(void **state) {
    (void)state;
    cpl_asset_index *index = open_index("option");
    char model[300];
    snprintf(model, sizeof model, "%s", under("forge/Stable-diffusion/model.safetensors"));
    expect(index, "one", "", "option/one.safetensors"); /* before that of the data folder */
    expect(index, "one.safetensors", "", "option/one.safetensors");
    expect(index, "two", "", "option/inner/two.safetensors");
    expect(index, "inner/two", "", "option/inner/two.safetensors");
    expect(index, "The Second", "", "option/inner/two.safetensors");
    expect(index, "dotted.v1", "", "option/dotted.v1.safetensors");
    expect(index, "three", "", "data/couplet/loras/three.safetensors");
    expect_unknown(index, "secret", "there is no LoRA \"secret\"");
    expect_unknown(index, "four", "there is no LoRA \"four\"");
    expect(index, "four", model, "forge/Stable-diffusion/../Lora/four.safetensors");
    expect(index, "one", model, "option/one.safetensors");
    cpl_asset_index_free(index);
}

static void near_names(void **state) {
    (void)state;
    cpl_asset_index *index = open_index("option");
    expect_unknown(index, "On", "did you mean \"one\"");
    expect_unknown(index, "thre", "did you mean \"three\"?");
    expect_unknown(index, "dotted", "did you mean \"dotted.v1\"?");
    expect_unknown(index, "wholly-else", root);
    cpl_error error = {0};
    assert_null(cpl_asset_index_find(index, "wholly-else", "", &error));
    assert_null(strstr(error.message, "did you mean"));
    /* However long a name is typed, and whatever is in it. */
    char long_name[2000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    expect_unknown(index, long_name, "there is no LoRA \"xxx");
    expect_unknown(index, "a\x1b[2Jb", "a?[2Jb");
    expect_unknown(index, "../option/one", "there is no LoRA");
    cpl_asset_index_free(index);
}

static void expect_whole_characters(const char *text) {
    while (*text)
        if (cpl_utf8_next(&text) == 0xFFFD) fail_msg("cut inside of a character");
}

/* As long as a file system takes them; what is only the beginning of a name is none. */
static void long_names(void **state) {
    (void)state;
    char name[244] = "x", file[264];
    for (size_t i = 1; i + 2 < sizeof name; i += 2) memcpy(name + i, "\xc3\xbc", 3);
    snprintf(file, sizeof file, "option/%s.safetensors", name);
    put_lora(file, NULL);
    cpl_asset_index *index = open_index("option");
    expect(index, name, "", file);
    name[127] = '\0';
    cpl_error error = {0};
    assert_null(cpl_asset_index_find(index, name, "", &error));
    if (!strstr(error.message, "; did you mean \"x\xc3\xbc")) fail_msg("%s", error.message);
    expect_whole_characters(error.message);
    unlink(under(file));
    cpl_asset_index_free(index);
}

/* A file that comes or goes is seen at the next look, however soon. */
static void changes(void **state) {
    (void)state;
    cpl_asset_index *index = open_index("option");
    for (int i = 0; i < 20; i++) {
        expect_unknown(index, "late", "late");
        put_lora("option/inner/late.safetensors", NULL);
        expect(index, "late", "", "option/inner/late.safetensors");
        unlink(under("option/inner/late.safetensors"));
    }
    expect_unknown(index, "late", "late");
    mkdir(under("option/fresh"), 0777);
    put_lora("option/fresh/late.safetensors", "Late One");
    expect(index, "Late One", "", "option/fresh/late.safetensors");
    cpl_asset_index_free(index);
}

/* A link to a folder that it lies in is not followed: that would list every file many times. */
static void links_in_circles(void **state) {
    (void)state;
    mkdir(under("round"), 0777);
    mkdir(under("round/inner"), 0777);
    put_lora("round/inner/five.safetensors", NULL);
    assert_int_equal(symlink(".", under("round/itself")), 0);
    assert_int_equal(symlink("..", under("round/inner/above")), 0);
    assert_int_equal(symlink("inner", under("round/zz-other")), 0); /* no circle: names by this way are good */
    cpl_asset_index *index = open_index("round");
    expect(index, "five", "", "round/inner/five.safetensors");
    expect(index, "inner/five", "", "round/inner/five.safetensors");
    expect(index, "zz-other/five", "", "round/zz-other/five.safetensors");
    int count = 0;
    for (int i = 0; i < cpl_asset_index_count(index); i++)
        count += strstr(cpl_asset_index_path(index, i), "five") != NULL;
    assert_int_equal(count, 2);
    cpl_asset_index_free(index);
}

static void the_environment(void **state) {
    (void)state;
    setenv("COUPLET_LORA_DIR", under("option/inner"), 1);
    cpl_asset_index *index = open_index(NULL);
    expect(index, "two", "", "option/inner/two.safetensors");
    expect(index, "one", "", "data/couplet/loras/one.safetensors");
    cpl_asset_index_free(index);
    index = open_index("empty"); /* the option is in its place, not beside it */
    expect_unknown(index, "two", "empty");
    cpl_asset_index_free(index);
    unsetenv("COUPLET_LORA_DIR");
    setenv("XDG_DATA_HOME", under("nowhere"), 1);
    index = open_index(NULL);
    expect_unknown(index, "two", "nor a folder with any");
    cpl_asset_index_free(index);
    setenv("XDG_DATA_HOME", under("data"), 1);
}

static void identities(void **state) {
    (void)state;
    cpl_asset_index *index = open_index("option");
    uint64_t first, second, again;
    cpl_error error = {0};
    const char *path = under("option/one.safetensors");
    assert_true(cpl_asset_index_identity(index, path, &first, &error));
    assert_true(cpl_asset_index_identity(index, path, &again, &error));
    assert_true(first == again);
    put_lora("option/one.safetensors", "another header");
    assert_true(cpl_asset_index_identity(index, path, &second, &error));
    assert_true(first != second);
    assert_false(cpl_asset_index_identity(index, under("option/none.safetensors"), &first, &error));
    cpl_asset_index_free(index);
}

static void tensor_names(void **state) {
    (void)state;
    static const struct {
        const char *name, *key;
        cpl_lora_part part;
    } all[] = {
        {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "unet_down_blocks_0_attentions_0_proj_in",
         CPL_LORA_DOWN},
        {"lora_te_text_model_encoder_layers_0_mlp_fc1.alpha", "te1_encoder_layers_0_mlp_fc1", CPL_LORA_ALPHA},
        {"lora_te2_text_projection.lora_up.weight", "te2_text_projection", CPL_LORA_UP},
        {"base_model.model.down_blocks.0.attentions.0.proj_in.lora_A.default.weight",
         "unet_down_blocks_0_attentions_0_proj_in", CPL_LORA_DOWN},
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.up.weight",
         "unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0", CPL_LORA_UP},
        {"mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight",
         "unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q", CPL_LORA_DOWN},
        {"diffusion_model.input_blocks.1.1.proj_in.lora_B.weight", "unet_input_blocks_1_1_proj_in", CPL_LORA_UP},
        {"text_encoder_2.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.down.weight",
         "te2_encoder_layers_3_self_attn_q_proj", CPL_LORA_DOWN},
        {"text_encoders.clip_g.transformer.text_model.encoder.layers.1.mlp.fc2.lora_up.weight",
         "te2_encoder_layers_1_mlp_fc2", CPL_LORA_UP},
        {"base_model.model.text_model.encoder.layers.1.mlp.fc2.lora_A.weight", "te1_encoder_layers_1_mlp_fc2",
         CPL_LORA_DOWN},
        {"text_encoder.text_model.encoder.layers.11.self_attn.to_q_lora.up.weight",
         "te1_encoder_layers_11_self_attn_q_proj", CPL_LORA_UP},
        {"text_encoder_2.text_model.encoder.layers.3.self_attn.to_out_lora.down.weight",
         "te2_encoder_layers_3_self_attn_out_proj", CPL_LORA_DOWN},
        {"lycoris_down_blocks_1_attentions_0_proj_in.lokr_w1", "unet_down_blocks_1_attentions_0_proj_in", CPL_LOKR_W1},
        {"lora_unet_x.oft_R.weight", "unet_x", CPL_LORA_OFT},
        {"lora_unet_x.lokr_t2", "unet_x", CPL_LOKR_T2},
        {"lora_unet_x.dora_scale", "unet_x", CPL_LORA_DORA},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char key[CPL_LORA_KEY_SIZE];
        assert_int_equal(cpl_lora_name_split(all[i].name, key), all[i].part);
        assert_string_equal(key, all[i].key);
    }
    static const char *const strange[] = {"",
                                          ".alpha",
                                          "lora_unet_x",
                                          "model.diffusion_model.out.2.weight",
                                          "something_else.lora_up.weight",
                                          "lora_up.weight"};
    char key[CPL_LORA_KEY_SIZE], long_name[400];
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        assert_int_equal(cpl_lora_name_split(strange[i], key), CPL_LORA_STRANGE);
    /* Every length, so that no buffer is a byte too small. */
    for (int length = 150; length < 250; length++) {
        snprintf(long_name, sizeof long_name, "down_blocks_%0*d_to_out.lora_up.weight", length, 0);
        cpl_lora_name_split(long_name, key);
        assert_true(strlen(key) < sizeof key);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),        cmocka_unit_test(near_names),       cmocka_unit_test(long_names),
        cmocka_unit_test(changes),      cmocka_unit_test(the_environment),  cmocka_unit_test(identities),
        cmocka_unit_test(tensor_names), cmocka_unit_test(links_in_circles),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
