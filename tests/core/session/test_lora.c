/* LoRAs in a running session: a tag changes the picture, taking it back gives the old bytes, nothing of the model is loaded
 * again, and no picture is ever made of a file or a weight that is not the layout's. */
#include "session_test.h"

#include <math.h>

#include "lora_files.h"

static char folder[] = "/tmp/couplet-loras-XXXXXX";
static cpl_session *session;

static int set_up(void **state) {
    (void)state;
    char inner[64];
    if (!mkdtemp(folder)) return -1;
    snprintf(inner, sizeof inner, "%s/sub", folder);
    mkdir(inner, 0777);
    write_lora(folder, "style.safetensors", 1, IN_BOTH);
    write_lora(folder, "words.safetensors", 2, IN_TEXT);
    write_lora(inner, "shapes.safetensors", 3, IN_UNET);
    session = open_session(&(cpl_options){.lora_dir = folder, .debounce_ms = 60000});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cpl_session_free(session);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* Two columns; `first` is put behind the words of the first. */
static cpl_layout *with(const char *first) {
    char prompt[128];
    cpl_layout *layout = two_columns(2);
    snprintf(prompt, sizeof prompt, "a cat, night sky%s", first);
    assert_true(cpl_text_set(&layout->regions[0].prompt, prompt, NULL));
    return layout;
}

static cpl_image *picture_with(const char *first) {
    cpl_layout *layout = with(first);
    cpl_image *image = picture_of(session, layout);
    cpl_layout_free(layout);
    return image;
}

static bool same_with(const cpl_image *image, const char *first) {
    cpl_image *other = picture_with(first);
    bool same = same_picture(image, other);
    cpl_image_free(other);
    return same;
}

static void switching(void **state) {
    (void)state;
    cpl_image *plain = picture_with("");
    cpl_stats before = stats_of(session);
    assert_int_equal(before.loras.entries, 0);
    static const char *const tags[] = {"<lora:style:1>",   "<lora:style:0.5>",    "<lora:style:-1>",
                                       "<lora:words>",     "<lora:shapes>",       "<lora:style:0:1>",
                                       "<lora:style:1:0>", "<lora:sub/shapes:2>", "<lora:style:1><lora:words:0.5>"};
    enum { TAGS = sizeof tags / sizeof *tags };
    cpl_image *made[TAGS];
    for (int i = 0; i < TAGS; i++) {
        made[i] = picture_with(tags[i]);
        if (same_picture(plain, made[i])) fail_msg("%s changed nothing", tags[i]);
        for (int k = 0; k < i; k++)
            if (same_picture(made[k], made[i])) fail_msg("%s is as %s", tags[i], tags[k]);
    }
    cpl_stats after = stats_of(session);
    assert_int_equal(after.loras.misses, TAGS);
    assert_true(after.load_ms == before.load_ms); /* of the model: it was loaded once */
    /* Back: the same bytes, without encoding a word or reading a file. */
    assert_true(same_with(plain, ""));
    for (int i = 0; i < TAGS; i++)
        if (!same_with(made[i], tags[i])) fail_msg("%s made another picture", tags[i]);
    cpl_stats again = stats_of(session);
    assert_int_equal(again.encoder_calls, after.encoder_calls);
    assert_int_equal(again.loras.misses, after.loras.misses);
    assert_int_equal(again.loras.hits, after.loras.hits + TAGS);
    assert_true(again.weight_bytes > before.weight_bytes);
    assert_int_equal(again.step_allocations, 0);
    cpl_event event;
    while (cpl_session_next(session, &event)) {
        assert_int_not_equal(event.type, CPL_EVENT_LOADING);
        cpl_event_clear(&event);
    }
    for (int i = 0; i < TAGS; i++) cpl_image_free(made[i]);
    cpl_image_free(plain);
}

/* Every state says it, so that none can be missed; the log has it once for a set. */
static void what_is_left_out_is_told(void **state) {
    (void)state;
    char path[300];
    bag b = {0};
    snprintf(path, sizeof path, "%s/partly.safetensors", folder);
    bag_add_pair(&b, "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k", 128, 96, 4, 0.5F);
    bag_add_pair(&b, "lora_unet_nowhere", 128, 96, 4, 0.5F);
    bag_write(&b, path);
    bag_clear(&b);
    static const char *const tags[] = {"<lora:partly>", "<lora:partly> red", "<lora:style>", ""};
    for (int i = 0; i < 4; i++) {
        cpl_event event;
        cpl_layout *layout = with(tags[i]);
        hand_over(session, layout, CPL_SYNC_NOW);
        await(session, CPL_EVENT_SYNCED, &event);
        assert_string_equal(event.note,
                            i < 2 ? "LoRA partly: 1 of its 2 modules are not in the model, such as unet_nowhere" : "");
        cpl_event_clear(&event);
        cpl_layout_free(layout);
    }
}

static uint64_t hash_with(const char *first) {
    cpl_layout *layout = with(first);
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    cpl_layout_free(layout);
    return ticket.hash;
}

/* However it is asked for: it acts on the whole picture. */
static void one_thing_in_many_places(void **state) {
    (void)state;
    cpl_image *image = picture_with("<lora:style:0.5>");
    uint64_t hash = hash_with("<lora:style:0.5>");
    assert_true(hash_with("<lora:style:0.50:0.5>") == hash);
    assert_true(hash_with("<lora:style:0.5><lora:style:0.5>") == hash); /* as in Forge: once */
    assert_true(hash_with("<lora:style:0.25>") != hash);
    assert_true(hash_with("") == hash_with("<lora:style:0>"));
    assert_true(same_with(image, "<lora:style:0.5>"));
    /* Alone, and beside a tag: a file is the same however its path is spelled. */
    static const char *const paths[] = {"style.safetensors", "./style.safetensors", "sub/../style.safetensors",
                                        "sub/link.safetensors"};
    char link[64];
    snprintf(link, sizeof link, "%s/sub/link.safetensors", folder);
    assert_int_equal(symlink("../style.safetensors", link), 0);
    for (int where = 0; where < 7; where++) {
        cpl_layout *layout = with(where > 3 ? "<lora:style:0.5>" : "");
        cpl_lora *entry = where >= 3 ? cpl_layout_add_lora(layout, NULL) : NULL;
        if (where == 0) assert_true(cpl_text_set(&layout->regions[1].prompt, "a dog, on grass<lora:style:0.5>", NULL));
        if (where == 1) assert_true(cpl_text_set(&layout->negative, "<lora:style:0.5>", NULL));
        if (where == 2) assert_true(cpl_text_set(&layout->background_prompt, "<lora:style:0.5>", NULL));
        if (entry) assert_true(cpl_text_set(&entry->path, paths[where - 3], NULL));
        if (entry) assert_true(cpl_text_set(&layout->directory, folder, NULL));
        if (entry) entry->weight = 0.5;
        cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
        cpl_image *other = picture_of(session, layout);
        if (!same_picture(image, other)) fail_msg("place %d: another picture", where);
        assert_true(ticket.hash == hash);
        cpl_image_free(other);
        cpl_layout_free(layout);
    }
    unlink(link);
    cpl_image_free(image);
}

/* What only the UNet hears of leaves the encoded lines as they are. */
static void what_the_text_encoder_does_not_see(void **state) {
    (void)state;
    static const char *const tags[] = {"<lora:shapes:1>", "<lora:shapes:-0.5>", "<lora:style:0:1>",
                                       "<lora:style:0:0.25>"};
    cpl_layout *layout = with("");
    assert_true(cpl_text_set(&layout->regions[1].prompt, "a dog and a boat", NULL));
    cpl_image_free(picture_of(session, layout));
    uint64_t calls = stats_of(session).encoder_calls, keys = stats_of(session).text_kv.misses;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        assert_true(cpl_text_set(&layout->negative, tags[i], NULL));
        cpl_image_free(picture_of(session, layout));
        assert_int_equal(stats_of(session).encoder_calls, calls);
        assert_true(stats_of(session).text_kv.misses > keys);
        keys = stats_of(session).text_kv.misses;
    }
    assert_true(cpl_text_set(&layout->negative, "<lora:style:0.25:1>", NULL));
    cpl_image_free(picture_of(session, layout));
    assert_true(stats_of(session).encoder_calls > calls);
    cpl_layout_free(layout);
}

static void a_negative_of_tags_alone_is_empty(void **state) {
    (void)state;
    cpl_layout *layout = with(""), *tagged = with("");
    assert_true(cpl_text_set(&tagged->regions[0].negative, "a fox<lora:style:0.5>", NULL));
    assert_true(cpl_text_set(&layout->regions[0].negative, "a fox", NULL));
    assert_true(cpl_text_set(&layout->negative, "<lora:style:0.5>", NULL));
    cpl_image *a = picture_of(session, layout), *b = picture_of(session, tagged);
    assert_true(same_picture(a, b));
    cpl_image_free(a);
    cpl_image_free(b);
    cpl_layout_free(layout);
    cpl_layout_free(tagged);
}

/* The tags are no words: neither counted as tokens nor unknown to a closed vocabulary. */
static void tags_are_no_words(void **state) {
    (void)state;
    cpl_layout *layouts[2] = {with(""), with(" <lora:style:0.5>")};
    int tokens[2];
    for (int i = 0; i < 2; i++) {
        cpl_event event = {0};
        hand_over(session, layouts[i], CPL_SYNC_NOW);
        await(session, CPL_EVENT_SYNCED, &event);
        tokens[i] = event.lines[0].tokens;
        assert_string_equal(event.lines[0].unknown, "");
        cpl_event_clear(&event);
        cpl_layout_free(layouts[i]);
    }
    assert_int_equal(tokens[0], tokens[1]);
}

static void expect_invalid(cpl_layout *layout, int row, const char *path, const char *words) {
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_SETTLE); /* in one job with the run: one event tells */
    cpl_session_generate(session);
    await_end(session, &event);
    if (event.type != CPL_EVENT_INVALID) fail_msg("event %d instead of INVALID", event.type);
    if (!strstr(event.error.message, words)) fail_msg("\"%s\" is not in: %s", words, event.error.message);
    assert_int_equal(event.error.row, row);
    assert_string_equal(event.error.path, path);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
}

static void what_cannot_be_found(void **state) {
    (void)state;
    expect_invalid(with("<lora:stile:1>"), 0, "regions[0].prompt", "did you mean \"style\"?");
    expect_invalid(with("<lora:STYLE:1>"), 0, "regions[0].prompt", "did you mean \"style\"?");
    expect_invalid(with("<lora:shape:1>"), 0, "regions[0].prompt", "did you mean \"shapes\"?");
    expect_invalid(with("<lora:zzz:1>"), 0, "regions[0].prompt", folder);
    expect_invalid(with("<lora:zzz:0>"), 0, "regions[0].prompt", "there is no LoRA \"zzz\"");
    cpl_layout *layout = with("");
    cpl_lora *entry = cpl_layout_add_lora(layout, NULL);
    assert_true(cpl_text_set(&entry->path, "/nowhere/x.safetensors", NULL));
    expect_invalid(layout, -1, "loras[0]", "/nowhere/x.safetensors");
    layout = with("");
    assert_true(cpl_text_set(&layout->regions[1].negative, "<lora:zzz:1>", NULL));
    expect_invalid(layout, 1, "regions[1].negative", "zzz");
    expect_invalid(with("<lora:style:x>"), 0, "regions[0].prompt", "the weight \"x\"");
    cpl_image_free(picture_with("<lora:style:1>")); /* and on it goes */
}

static void what_does_not_fit(void **state) {
    (void)state;
    char path[300];
    bag b = {0};
    snprintf(path, sizeof path, "%s/big.safetensors", folder);
    bag_add_pair(&b, "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", 1280, 2048, 2, 1);
    bag_write(&b, path);
    bag_clear(&b);
    expect_invalid(with("<lora:big:1>"), 0, "regions[0].prompt", "was made for SDXL");
    bag_add_pair(&b, "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", 96, 72, 2, 1);
    bag_write(&b, path);
    bag_clear(&b);
    expect_invalid(with("<lora:big:1>"), 0, "regions[0].prompt", "does not fit this model");
    FILE *file = fopen(path, "wb");
    fputs("PK\3\4 archive/data.pkl", file);
    fclose(file);
    expect_invalid(with("<lora:big:1>"), 0, "regions[0].prompt", "can run code");
    unlink(path);
    expect_invalid(with("<lora:big:1>"), 0, "regions[0].prompt", "there is no LoRA \"big\"");
}

/* The run fails, with a word about what may be at fault, and nothing of it is left in the next one. */
static void one_that_makes_no_numbers(void **state) {
    (void)state;
    char path[300];
    bag b = {0};
    cpl_event event = {0};
    cpl_image *plain = picture_with("");
    snprintf(path, sizeof path, "%s/hot.safetensors", folder);
    bag_add_pair(&b, "lora_unet_up_blocks_1_attentions_1_transformer_blocks_0_ff_net_2", 64, 256, 2, 1e38F);
    bag_write(&b, path);
    cpl_layout *layout = with("<lora:hot:1>");
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await_end(session, &event);
    if (event.type != CPL_EVENT_FAILED ||
        !strstr(event.error.message, "(first seen after step 1 of 2); try smaller weights of its LoRAs or none"))
        fail_msg("event %d: %s", event.type, event.error.message);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    assert_true(same_with(plain, ""));
    /* A scale that is none is seen when the file is read. */
    bag_add(&b, "lora_unet_up_blocks_1_attentions_1_transformer_blocks_0_ff_net_2.alpha", 0, NULL)->values[0] = NAN;
    bag_write(&b, path);
    bag_clear(&b);
    expect_invalid(with("<lora:hot:1>"), 0, "regions[0].prompt", "ff_net_2.alpha is no finite number");
    unlink(path);
    cpl_image_free(plain);
}

/* Another file under the same name is another LoRA; the fresh session knows nothing of the old one. */
static void a_file_that_is_replaced(void **state) {
    (void)state;
    char path[300], old[300];
    snprintf(path, sizeof path, "%s/words.safetensors", folder);
    snprintf(old, sizeof old, "%s/words.old", folder);
    cpl_image *first = picture_with("<lora:words:1>");
    uint64_t hash = hash_with("<lora:words:1>");
    assert_int_equal(rename(path, old), 0);
    write_lora(folder, "words.safetensors", 9, IN_TEXT);
    assert_true(hash_with("<lora:words:1>") != hash);
    cpl_image *second = picture_with("<lora:words:1>");
    assert_false(same_picture(first, second));
    cpl_session *fresh = open_session(&(cpl_options){.lora_dir = folder});
    cpl_layout *layout = with("<lora:words:1>");
    cpl_image *third = picture_of(fresh, layout);
    assert_true(same_picture(second, third));
    assert_int_equal(rename(old, path), 0); /* with its old time: it is the old file */
    assert_true(hash_with("<lora:words:1>") == hash);
    assert_true(same_with(first, "<lora:words:1>"));
    cpl_layout_free(layout);
    cpl_session_free(fresh);
    cpl_image_free(first);
    cpl_image_free(second);
    cpl_image_free(third);
}

/* Random states in a row, each against a session that has seen no other. */
static void never_stale(void **state) {
    (void)state;
    static const char *const names[] = {"style", "words", "shapes"};
    static const char *const prompts[] = {"a cat", "a dog", "a boat, sea"};
    uint32_t random = 5;
    for (int i = 0; i < 40; i++) {
        cpl_layout *layout = two_columns(1);
        char text[128];
        snprintf(text, sizeof text, "%s<lora:%s:%d>", prompts[test_random(&random) % 3],
                 names[test_random(&random) % 3], (int)(test_random(&random) % 3) - 1);
        assert_true(cpl_text_set(&layout->regions[test_random(&random) % 2].prompt, text, NULL));
        if (test_random(&random) % 2) assert_true(cpl_text_set(&layout->negative, "<lora:shapes:0.5>a fox", NULL));
        hand_over(session, layout, test_random(&random) % 2 ? CPL_SYNC_NOW : CPL_SYNC_SETTLE);
        if (i % 4 == 0) {
            cpl_session *fresh = open_session(&(cpl_options){.lora_dir = folder});
            cpl_image *here = picture_of(session, layout), *there = picture_of(fresh, layout);
            if (!same_picture(here, there)) fail_msg("state %d: not the picture of a fresh session", i);
            cpl_image_free(here);
            cpl_image_free(there);
            cpl_session_free(fresh);
        }
        cpl_layout_free(layout);
    }
}

/* What a picture's file says is enough to make it again. */
static void recorded(void **state) {
    (void)state;
    cpl_layout *layout = with(" <lora:style:0.5>");
    cpl_lora *entry = cpl_layout_add_lora(layout, NULL);
    assert_true(cpl_text_set(&entry->name, "shapes", NULL));
    entry->weight = 0.75;
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await(session, CPL_EVENT_FINISHED, &event);
    const char *json = NULL, *parameters = NULL;
    for (int i = 0; i < event.text_count; i++)
        *(strcmp(event.texts[i].key, "couplet") == 0 ? &json : &parameters) = event.texts[i].value;
    assert_true(parameters && strstr(parameters, "a cat, night sky <lora:style:0.5>"));
    assert_true(parameters && strstr(parameters, "<lora:shapes:0.75>"));
    cpl_layout *again = layout_of(json);
    cpl_image *image = picture_of(session, again);
    assert_true(same_picture(image, event.image));
    cpl_image_free(image);
    cpl_layout_free(again);
    cpl_layout_free(layout);
    cpl_event_clear(&event);
}

static double distance(const cpl_image *a, const cpl_image *b) {
    double sum = 0;
    for (int i = 0; i < a->width * a->height * 3; i++) sum += abs(a->rgb[i] - b->rgb[i]);
    return sum / (a->width * a->height * 3);
}

/* The precision changes far less than the LoRA does. */
static void in_bf16(void **state) {
    (void)state;
    cpl_session *narrow = cpl_session_new(&(cpl_options){.lora_dir = folder, .precision = "bf16"}, NULL);
    if (!narrow) skip();
    static const char *const tags[] = {" <lora:style:2>", " <lora:words:2>", " <lora:shapes:2>"};
    cpl_image *plain = picture_with("");
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        cpl_image *exact = picture_with(tags[i]);
        cpl_layout *layout = with(tags[i]);
        cpl_image *rounded = picture_of(narrow, layout);
        double of_lora = distance(plain, exact), of_precision = distance(exact, rounded);
        if (of_precision > of_lora / 2) fail_msg("%s: %g, and %g by bf16", tags[i], of_lora, of_precision);
        cpl_image_free(rounded);
        cpl_image_free(exact);
        cpl_layout_free(layout);
    }
    cpl_image_free(plain);
    cpl_session_free(narrow);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switching),
        cmocka_unit_test(what_is_left_out_is_told),
        cmocka_unit_test(one_thing_in_many_places),
        cmocka_unit_test(what_the_text_encoder_does_not_see),
        cmocka_unit_test(a_negative_of_tags_alone_is_empty),
        cmocka_unit_test(tags_are_no_words),
        cmocka_unit_test(what_cannot_be_found),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(one_that_makes_no_numbers),
        cmocka_unit_test(a_file_that_is_replaced),
        cmocka_unit_test(never_stale),
        cmocka_unit_test(recorded),
        cmocka_unit_test(in_bf16),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
