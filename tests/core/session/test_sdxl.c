/* A model that takes a vector beside the context: what it is made of, what it costs and that no picture hides a change of it.
 * The tiny SDXL checkpoint gets tables for the built-in vocabulary, so that words can be typed. */
#include "session_test.h"

#include <cjson/cJSON.h>

#define TINY_XL "tests/golden/engine/sdxl_tiny.safetensors"
#define VOCABULARY "core/model/builtin"
#define WORDS 772 /* of that vocabulary */

static char folder[] = "/tmp/couplet-sdxl-XXXXXX";
static char model_path[64];
static cpl_session *session;

static char *read_whole(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail_msg("%s cannot be read", path);
    *size = (size_t)ftell(file);
    char *data = malloc(*size);
    rewind(file);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

/* Both tables in the spec become as long as the vocabulary. */
static void widen_spec(cJSON *metadata) {
    const char *text = cJSON_GetObjectItem(metadata, "couplet.spec")->valuestring;
    cJSON *spec = cJSON_Parse(text), *encoder;
    cJSON_ArrayForEach(encoder, cJSON_GetObjectItem(spec, "text")) {
        cJSON_SetNumberValue(cJSON_GetObjectItem(encoder, "vocab_size"), WORDS);
    }
    char *wide = cJSON_PrintUnformatted(spec);
    cJSON_ReplaceItemInObject(metadata, "couplet.spec", cJSON_CreateString(wide));
    free(wide);
    cJSON_Delete(spec);
}

/* Writes a tensor's bytes behind `at`, a table's again and again until it is long enough, and tells its new place. */
static size_t put_tensor(FILE *out, cJSON *item, const char *data, size_t at) {
    cJSON *offsets = cJSON_GetObjectItem(item, "data_offsets"), *shape = cJSON_GetObjectItem(item, "shape");
    size_t from = (size_t)cJSON_GetArrayItem(offsets, 0)->valuedouble;
    size_t had = (size_t)cJSON_GetArrayItem(offsets, 1)->valuedouble - from, wants = had;
    if (strstr(item->string, "token_embedding.weight")) {
        cJSON *rows = cJSON_GetArrayItem(shape, 0);
        wants = had / (size_t)rows->valueint * WORDS;
        cJSON_SetNumberValue(rows, WORDS);
    }
    for (size_t done = 0; done < wants; done += had)
        fwrite(data + from, 1, wants - done < had ? wants - done : had, out);
    cJSON_SetNumberValue(cJSON_GetArrayItem(offsets, 0), (double)at);
    cJSON_SetNumberValue(cJSON_GetArrayItem(offsets, 1), (double)(at + wants));
    return at + wants;
}

static void write_model(const char *path) {
    size_t size, at = 0;
    uint64_t length;
    char *file = read_whole(TINY_XL, &size);
    memcpy(&length, file, sizeof length);
    cJSON *header = cJSON_ParseWithLength(file + 8, length), *item;
    FILE *data = tmpfile(), *out = fopen(path, "wb");
    assert_true(header && data && out);
    cJSON_ArrayForEach(item, header) {
        if (strcmp(item->string, "__metadata__") == 0)
            widen_spec(item);
        else
            at = put_tensor(data, item, file + 8 + length, at);
    }
    char *text = cJSON_PrintUnformatted(header), block[4096];
    length = strlen(text);
    fwrite(&length, sizeof length, 1, out);
    fwrite(text, 1, length, out);
    rewind(data);
    for (size_t got; (got = fread(block, 1, sizeof block, data)) > 0;) fwrite(block, 1, got, out);
    fclose(data);
    assert_int_equal(fclose(out), 0);
    cJSON_Delete(header);
    free(text);
    free(file);
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(model_path, sizeof model_path, "%s/xl.safetensors", folder);
    write_model(model_path);
    session = open_session(&(cpl_options){.tokenizer = VOCABULARY});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cpl_session_free(session);
    unlink(model_path);
    return rmdir(folder);
}

/* Two columns whose lines are parts of one text. */
static cpl_layout *columns(const char *prompt, const char *separator, const char *negative) {
    char json[1024];
    snprintf(json, sizeof json,
             "{\"couplet\": 1, \"canvas\": {\"width\": 64, \"height\": 64}, \"prompt\": \"%s\", \"separator\": \"%s\","
             "\"negative\": \"%s\", \"regions\": [{\"rect\": [0, 0.5, 0, 1]}, {\"rect\": [0.5, 1, 0, 1]}],"
             "\"sampling\": {\"model\": \"%s\", \"sampler\": \"euler\", \"seed\": 3, \"steps\": 2, \"cfg\": 4}}",
             prompt, separator, negative, model_path);
    return layout_of(json);
}

static cpl_ticket ticket_of(const cpl_layout *layout) { return hand_over(session, layout, CPL_SYNC_NOW); }

/* Takes both over. */
static void expect_other_picture(cpl_layout *a, cpl_layout *b) {
    uint64_t first = ticket_of(a).hash, second = ticket_of(b).hash;
    assert_true(first != second);
    cpl_image *one = picture_of(session, a), *two = picture_of(session, b);
    assert_false(same_picture(one, two));
    cpl_image_free(one);
    cpl_image_free(two);
    cpl_layout_free(a);
    cpl_layout_free(b);
}

/* The lines are the same, the text as it was typed is not. */
static void the_whole_prompt_is_part_of_the_picture(void **state) {
    (void)state;
    expect_other_picture(columns("a cat|a dog", "|", ""), columns("a cat;;a dog", ";;", ""));
}

static void an_empty_negative_is_not_the_text_of_nothing(void **state) {
    (void)state;
    expect_other_picture(columns("a cat|a dog", "|", ""), columns("a cat|a dog", "|", " "));
}

static void the_negative_is_part_of_the_picture(void **state) {
    (void)state;
    expect_other_picture(columns("a cat|a dog", "|", "a fox"), columns("a cat|a dog", "|", "a boat"));
}

/* Encoder calls of handing a layout over once more; it is taken over. */
static uint64_t cost_of(cpl_layout *layout) {
    cpl_event event = {0};
    uint64_t before = stats_of(session).encoder_calls;
    ticket_of(layout);
    await(session, CPL_EVENT_SYNCED, &event);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    return stats_of(session).encoder_calls - before;
}

static void a_changed_line_encodes_itself_and_the_whole(void **state) {
    (void)state;
    assert_int_equal(cost_of(columns("a sun|a crown", "|", "")), 3); /* zeros are not encoded */
    assert_int_equal(cost_of(columns("a sun|a zebra", "|", "")), 2);
    assert_int_equal(cost_of(columns("a sun|a zebra", "|", "a penguin")), 2); /* its context and its summary */
    assert_int_equal(cost_of(columns("a sun|a crown", "|", "")), 0);
}

/* Rows of their own are summed up as if they were one text of lines. */
static void rows_are_one_text_of_lines(void **state) {
    (void)state;
    cpl_layout *text = columns("a cat\\na dog", "\\n", ""), *rows = columns("a cat\\na dog", "\\n", "");
    cpl_image *one = picture_of(session, text);
    assert_true(cpl_text_set(&rows->prompt, NULL, NULL));
    assert_true(cpl_text_set(&rows->regions[0].prompt, "a cat", NULL));
    assert_true(cpl_text_set(&rows->regions[1].prompt, "a dog", NULL));
    cpl_image *two = picture_of(session, rows);
    assert_true(same_picture(one, two));
    cpl_image_free(one);
    cpl_image_free(two);
    cpl_layout_free(text);
    cpl_layout_free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_prompt_is_part_of_the_picture),
        cmocka_unit_test(an_empty_negative_is_not_the_text_of_nothing),
        cmocka_unit_test(the_negative_is_part_of_the_picture),
        cmocka_unit_test(a_changed_line_encodes_itself_and_the_whole),
        cmocka_unit_test(rows_are_one_text_of_lines),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
