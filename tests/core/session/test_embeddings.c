/* Textual inversion in a running session. What a file holds here are rows of the encoder's own table, so that its name must make
 * the very picture that those words make. */
#include "tiny_model.h"

#include <sys/stat.h>

#include "../../../core/memory/file.h"
#include "../../../core/model/tokenizer.h"
#include "../model/st_bag.h"

#define BUILTIN "core/model/builtin/builtin.safetensors"
#define TABLE "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
#define TABLE_L "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight"
#define TABLE_G "conditioner.embedders.1.model.token_embedding.weight"

static char folder[] = "/tmp/couplet-embeddings-XXXXXX";
static cpl_tokenizer *tokenizer;
static cpl_session *session;

static char *in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The table's rows for the words, as a tensor of the file. */
static void add_rows(bag *file, const bag *model, const char *table, const char *tensor_name, const char *words) {
    int *ids, count;
    const tensor *from = bag_find(model, table);
    int64_t width = from->shape[1];
    assert_true(cpl_tokenizer_encode(tokenizer, words, &ids, &count, NULL));
    tensor *to = bag_add(file, tensor_name, 2, (const int64_t[]){count, width});
    for (int i = 0; i < count; i++)
        memcpy(to->values + i * width, from->values + ids[i] * width, (size_t)width * sizeof *to->values);
    free(ids);
}

/* To the nearest bf16, ties to even, which the table's rows are where the model is run in that. */
static float halved(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

static void write_rows(const char *name, const char *words, bool half) {
    bag file = {0}, model = bag_read(BUILTIN);
    add_rows(&file, &model, TABLE, "emb_params", words);
    for (int64_t i = 0; half && i < file.list->count; i++) file.list->values[i] = halved(file.list->values[i]);
    bag_write(&file, in_folder(name));
    bag_clear(&file);
    bag_clear(&model);
}

static void write_words(const char *name, const char *words) { write_rows(name, words, false); }

static void write_zeros(const char *name, int vectors, int width) {
    bag file = {0};
    bag_add(&file, "emb_params", 2, (const int64_t[]){vectors, width});
    bag_write(&file, in_folder(name));
    bag_clear(&file);
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    mkdir(in_folder("sub"), 0777);
    tokenizer = cpl_tokenizer_open(VOCABULARY, NULL);
    write_words("zz-feline.safetensors", "cat");
    write_words("sub/NightScene-2.safetensors", "night sky");
    write_words("sub/zz-deep.safetensors", "cat");
    write_words("zz-feline-5.safetensors", "dog");
    session = open_session(&(cpl_options){.embedding_dir = folder, .debounce_ms = 60000});
    return tokenizer ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    cpl_session_free(session);
    cpl_tokenizer_free(tokenizer);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static cpl_layout *with(const char *first, const char *negative) {
    cpl_layout *layout = two_columns(2);
    assert_true(cpl_text_set(&layout->regions[0].prompt, first, NULL));
    assert_true(cpl_text_set(&layout->negative, negative, NULL));
    return layout;
}

static cpl_image *picture_with(const char *first, const char *negative) {
    cpl_layout *layout = with(first, negative);
    cpl_image *image = picture_of(session, layout);
    cpl_layout_free(layout);
    return image;
}

static void expect(bool same, const char *a, const char *b) {
    cpl_image *one = picture_with(a, "text"), *two = picture_with(b, "text");
    if (same_picture(one, two) != same) fail_msg("\"%s\" and \"%s\" are %s", a, b, same ? "not the same" : "the same");
    cpl_image_free(one);
    cpl_image_free(two);
}

static void a_name_is_what_its_vectors_are(void **state) {
    (void)state;
    expect(true, "a zz-feline, night sky", "a cat, night sky");
    expect(true, "a cat, NightScene-2", "a cat, night sky");
    expect(true, "a ZZ-Feline, nightscene - 2", "a cat, night sky");
    expect(true, "a (zz-feline:1.3), [nightscene-2]", "a (cat:1.3), [night sky]");
    expect(true, "a zz-feline BREAK nightscene-2", "a cat BREAK night sky");
    expect(true, "a embedding:zz-feline, (embedding:NightScene-2:0.8)", "a cat, (night sky:0.8)");
    expect(true, "a embedding:zz-feline.pt, (embedding:nightscene-2.safetensors:0.8)", "a cat, (night sky:0.8)");
    expect(false, "a zz-feline, night sky", "a dog, night sky");
}

static void the_longest_name_wins(void **state) {
    (void)state;
    expect(true, "a zz-feline-5, night sky", "a dog, night sky");
    expect(true, "a zz-feline 5, night sky", "a cat 5, night sky");
}

static void a_part_of_a_word_is_no_name(void **state) {
    (void)state;
    cpl_layout *layout = with("a zz-felines, zz-feline-7, azz-feline", NULL);
    cpl_line_info *infos;
    int count;
    cpl_error error = {0};
    if (!cpl_layout_tokens(layout, NULL, folder, &infos, &count, &error)) fail_msg("%s", error.message);
    assert_non_null(strstr(infos[0].unknown, "felines"));
    free(infos);
    cpl_layout_free(layout);
    expect(false, "a zz-felines, night sky", "a cats, night sky");
}

/* "azz" ends in the very tokens of "zz", which is no reason to find a name there when another text has it. */
static void the_end_of_a_word_begins_no_name(void **state) {
    (void)state;
    cpl_layout *layout = with("an azz-feline, night sky", "zz-feline");
    cpl_line_info *infos, *alone;
    int count;
    assert_true(cpl_layout_tokens(layout, NULL, folder, &infos, &count, NULL));
    assert_true(cpl_layout_tokens(layout, NULL, "/nowhere", &alone, &count, NULL));
    assert_int_equal(infos[0].tokens, alone[0].tokens);
    free(infos);
    free(alone);
    cpl_layout_free(layout);
}

static void negatives_and_backgrounds_have_names(void **state) {
    (void)state;
    cpl_image *plain = picture_with("a sun", "text"), *words = picture_with("a sun", "cat");
    cpl_image *name = picture_with("a sun", "zz-feline");
    assert_true(same_picture(words, name));
    assert_false(same_picture(words, plain));
    cpl_image *const all[] = {plain, words, name};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cpl_image_free(all[i]);
}

static void schedules_name_them_too(void **state) {
    (void)state;
    cpl_image *image[2];
    for (int i = 0; i < 2; i++) {
        cpl_layout *layout = with(i ? "a [zz-feline:zz-feline-5:0.5]" : "a [cat:dog:0.5]", NULL);
        layout->schedules = true;
        image[i] = picture_of(session, layout);
        cpl_layout_free(layout);
    }
    assert_true(same_picture(image[0], image[1]));
    cpl_image_free(image[0]);
    cpl_image_free(image[1]);
}

/* Every vector is a token, and a name is no unknown word. */
static void vectors_are_counted(void **state) {
    (void)state;
    cpl_layout *layout = with("a zz-feline, nightscene-2", NULL);
    cpl_line_info *infos;
    int count;
    assert_true(cpl_layout_tokens(layout, NULL, folder, &infos, &count, NULL));
    assert_int_equal(infos[0].tokens, 5); /* a, cat, the comma, night, sky */
    assert_string_equal(infos[0].unknown, "");
    free(infos);
    assert_true(cpl_layout_tokens(layout, NULL, "/nowhere", &infos, &count, NULL));
    assert_string_not_equal(infos[0].unknown, "");
    free(infos);
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_SYNCED, &event);
    assert_int_equal(event.lines[0].tokens, 5);
    assert_string_equal(event.lines[0].unknown, "");
    cpl_event_clear(&event);
    cpl_layout_free(layout);
}

static void an_ending_belongs_to_the_name(void **state) {
    (void)state;
    cpl_layout *layout = with("a embedding:zz-feline.safetensors, embedding:NightScene-2.pt sky", NULL);
    cpl_line_info *infos;
    int count;
    assert_true(cpl_layout_tokens(layout, NULL, folder, &infos, &count, NULL));
    assert_int_equal(infos[0].tokens, 6);
    assert_string_equal(infos[0].unknown, "");
    free(infos);
    cpl_layout_free(layout);
}

/* A name's vectors stand in one chunk, and what does not fit any more goes to the next as a whole. */
static void a_name_is_not_cut(void **state) {
    (void)state;
    char text[256] = "";
    for (int i = 0; i < 21; i++) strcat(text, "cat ");
    strcat(text, "nightscene-2 dog");
    cpl_layout *layout = with(text, NULL);
    cpl_line_info *infos;
    int count;
    assert_true(cpl_layout_tokens(layout, NULL, folder, &infos, &count, NULL));
    assert_true(infos[0].chunks == 2 && infos[0].chunk_tokens[0] == 21 && infos[0].chunk_tokens[1] == 3);
    assert_int_equal(infos[0].tokens, 25); /* a chunk that was closed counts as full */
    free(infos);
    cpl_layout_free(layout);
}

/* Words beside a vector are rounded as they are alone. */
static void in_half_precision_too(void **state) {
    (void)state;
    cpl_session *f32 = session, *bf16;
    bf16 = cpl_session_new(&(cpl_options){.embedding_dir = folder, .precision = "bf16"}, NULL);
    if (!bf16) skip();
    write_rows("halved.safetensors", "cat", true);
    session = bf16;
    cpl_image *name = picture_with("a halved, night sky", NULL), *word = picture_with("a cat, night sky", NULL);
    session = f32;
    assert_true(same_picture(name, word));
    cpl_image_free(name);
    cpl_image_free(word);
    cpl_session_free(bf16);
}

/* A file that changes, goes or comes changes the hash, and the picture is never of the other one. */
static void a_file_is_part_of_the_picture(void **state) {
    (void)state;
    cpl_layout *layout = with("a changing, night sky", NULL);
    uint64_t words = hand_over(session, layout, CPL_SYNC_NOW).hash;
    write_words("changing.safetensors", "cat");
    uint64_t first = hand_over(session, layout, CPL_SYNC_NOW).hash;
    cpl_image *cat = picture_of(session, layout);
    write_words("changing.safetensors", "dog");
    uint64_t second = hand_over(session, layout, CPL_SYNC_NOW).hash;
    cpl_image *dog = picture_of(session, layout), *wanted = picture_with("a dog, night sky", NULL);
    assert_true(words != first && first != second && words != second);
    assert_false(same_picture(cat, dog));
    assert_true(same_picture(dog, wanted));
    unlink(in_folder("changing.safetensors"));
    assert_true(hand_over(session, layout, CPL_SYNC_NOW).hash == words);
    cpl_image *const all[] = {cat, dog, wanted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cpl_image_free(all[i]);
    cpl_layout_free(layout);
}

/* A text that names none is not encoded again when another comes to name one. */
static void other_lines_stay_encoded(void **state) {
    (void)state;
    cpl_image_free(picture_with("a sun, night sky", "text"));
    uint64_t before = stats_of(session).encoder_calls;
    cpl_image_free(picture_with("a sun, zz-feline-5", "text"));
    assert_int_equal(stats_of(session).encoder_calls, before + 1);
    cpl_image_free(picture_with("a sun, night sky", "text"));
    assert_int_equal(stats_of(session).encoder_calls, before + 1);
}

/* ---- What cannot be ---- */

static void refused(const char *text, const char *first_words, const char *more_words) {
    cpl_layout *layout = with(text, NULL);
    cpl_event event = {0};
    cpl_error error = {0};
    cpl_model_info model;
    cpl_model_source source = cpl_layout_source(layout);
    assert_true(cpl_model_peek(&source, &model, NULL));
    assert_false(cpl_layout_check_embeddings(layout, folder, &model, &error));
    hand_over(session, layout, CPL_SYNC_NOW);
    await_end(session, &event);
    assert_int_equal(event.type, CPL_EVENT_INVALID);
    for (int i = 0; i < 2; i++) {
        const cpl_error *e = i ? &event.error : &error;
        assert_int_equal(e->row, 0);
        assert_string_equal(e->path, "regions[0].prompt");
        if (!strstr(e->message, first_words) || !strstr(e->message, more_words)) fail_msg("%s", e->message);
    }
    cpl_event_clear(&event);
    cpl_layout_free(layout);
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    static const unsigned char pickle[] = {'P', 'K', 3, 4, 0, 0, 'a', '/', 'd', 'a', 't', 'a', '.', 'p', 'k', 'l'};
    write_zeros("foreign.safetensors", 1, 768);
    write_zeros("endless.safetensors", 23, 96);
    assert_true(cpl_file_replace(in_folder("oldstyle.pt"), pickle, sizeof pickle, NULL));
    refused("a foreign", "foreign.safetensors has vectors of 768 values", "has 96");
    refused("a endless", "endless.safetensors has 23 vectors", "room for 22");
    refused("a oldstyle", "oldstyle.pt", "convert it to .safetensors");
    refused("a embedding:sub/zz-deep", "the embedding \"sub/zz-deep\" is named", "without its folder");
    refused("a embedding:zz-felin", "there is no embedding \"zz-felin\"", "did you mean \"zz-feline");
    bag file = {0};
    bag_add(&file, "one", 2, (const int64_t[]){1, 96});
    bag_add(&file, "two", 2, (const int64_t[]){1, 96});
    bag_write(&file, in_folder("several.safetensors"));
    bag_clear(&file);
    refused("several", "several.safetensors is no textual inversion", "clip_l");
}

/* Files that no text names are nobody's fault. */
static void a_file_that_is_not_named_does_not_matter(void **state) {
    (void)state;
    write_zeros("foreign.safetensors", 1, 768);
    expect(true, "a zz-feline, night sky", "a cat, night sky");
}

static void the_header_says_what_it_is(void **state) {
    (void)state;
    cpl_embedding_info info;
    cpl_error error = {0};
    write_zeros("sd2.safetensors", 3, 1024);
    assert_true(cpl_embedding_peek("sd2", folder, &info, &error));
    assert_string_equal(info.name, "sd2");
    assert_string_equal(info.family, "sd2");
    assert_true(info.vectors == 3 && info.width[0] == 1024 && info.width[1] == 0);
    assert_false(cpl_embedding_peek("sd3", folder, &info, &error));
    assert_non_null(strstr(error.message, "sd2"));
    assert_false(cpl_embedding_peek(BUILTIN, folder, &info, &error));
    assert_non_null(strstr(error.message, "no textual inversion"));
}

/* Both encoders and the summary of the whole prompt read the vectors. */
static void two_encoders_take_a_pair(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s", in_folder("xl.safetensors"));
    write_model(TINY_XL, path, 7);
    bag file = {0}, model = bag_read(path);
    add_rows(&file, &model, TABLE_L, "clip_l", "red cat");
    add_rows(&file, &model, TABLE_G, "clip_g", "red cat");
    bag_write(&file, in_folder("twofold.safetensors"));
    bag_clear(&file);
    bag_clear(&model);
    cpl_session *own = open_session(&(cpl_options){.embedding_dir = folder, .tokenizer = VOCABULARY});
    cpl_image *image[3];
    static const char *const words[] = {"a red cat, night sky", "a twofold, night sky", "a dog, night sky"};
    for (int i = 0; i < 3; i++) {
        cpl_layout *layout = with(words[i], i ? "twofold" : "red cat");
        assert_true(cpl_text_set(&layout->prompt, NULL, NULL) && cpl_text_set(&layout->sampling.model, path, NULL));
        image[i] = picture_of(own, layout);
        cpl_layout_free(layout);
    }
    /* The whole prompt sums up the lines, so that it was read with the vectors too. */
    assert_true(same_picture(image[0], image[1]));
    assert_false(same_picture(image[0], image[2]));
    for (int i = 0; i < 3; i++) cpl_image_free(image[i]);
    cpl_session_free(own);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_what_its_vectors_are),
        cmocka_unit_test(the_longest_name_wins),
        cmocka_unit_test(a_part_of_a_word_is_no_name),
        cmocka_unit_test(the_end_of_a_word_begins_no_name),
        cmocka_unit_test(negatives_and_backgrounds_have_names),
        cmocka_unit_test(schedules_name_them_too),
        cmocka_unit_test(vectors_are_counted),
        cmocka_unit_test(an_ending_belongs_to_the_name),
        cmocka_unit_test(a_name_is_not_cut),
        cmocka_unit_test(in_half_precision_too),
        cmocka_unit_test(a_file_is_part_of_the_picture),
        cmocka_unit_test(other_lines_stay_encoded),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_file_that_is_not_named_does_not_matter),
        cmocka_unit_test(the_header_says_what_it_is),
        cmocka_unit_test(two_encoders_take_a_pair),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
