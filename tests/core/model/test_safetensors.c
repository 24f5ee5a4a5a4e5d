/* test_safetensors.c: what is written reads back, every lie of a header is refused, and no damage of a file can do more
 * than produce an error. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../core/model/safetensors.h"

/* A file in memory from a header and some data bytes; exactly as long as it says, so that a read past it is seen. */
static unsigned char *pack(const char *header, size_t length, size_t data, size_t *size) {
    uint64_t claim = length;
    *size = 8 + length + data;
    unsigned char *file = malloc(*size);
    assert_non_null(file);
    memcpy(file, &claim, 8);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data; i++) file[8 + length + i] = (unsigned char)(i * 37 + 1);
    return file;
}

static cpl_safetensors *open_text(const char *header, size_t data, unsigned char **file, cpl_error *error) {
    size_t size;
    *file = pack(header, strlen(header), data, &size);
    return cpl_safetensors_memory(*file, size, "test.safetensors", error);
}

/* Lies, the bytes of data that follow, and a word that the message must have. */
static const struct {
    const char *header;
    size_t data;
    const char *says;
} lies[] = {
    {"", 0, "no object"},
    {"[]", 0, "no object"},
    {"nonsense", 0, "no object"},
    {"{", 0, "no string"},
    {"{}x", 0, "after the object"},
    {"{} {}", 0, "after the object"},
    {"{}", 4, "follow the last"},
    {"{\"a\"", 0, "colon"},
    {"{\"a\":1}", 0, "no object"},
    {"{\"a\":null}", 0, "no object"},
    {"{\"a\":[]}", 0, "no object"},
    {"{\"a\":{}}", 0, "no string"},
    {"{\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "without a name"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", 4, "without an end"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},}", 4, "no string"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "without dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "without dtype"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "without dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "two data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "too long"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "repeated key"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "F33"},
    {"{\"a\":{\"dtype\":\"A very long type that fits no buffer\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "tensor a"},
    {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no string"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, "no list"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "without an end"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}}", 4, "leading zeros"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "too long"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,4]}}", 4, "too large"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,4]}}", 4, "impossible shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967297],\"data_offsets\":[0,4]}}", 4, "impossible shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "ends before it begins"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,5]}}", 5, "need 4"},
    {"{\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,4]}}", 4, "need 6"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "ends before its tensor a"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9223372036854775800,9223372036854775804]}}", 4,
     "tensor a"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "hole"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "follow the last"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":[0,4]}}",
     4, "overlaps"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":[4,8]}}",
     8, "overlaps"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":[4,8]}}",
     8, "twice"},
    /* The same name, spelled with an escape. */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[1],"
     "\"data_offsets\":[4,8]}}",
     8, "twice"},
    {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "escape"},
    {"{\"a\\ud800\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "surrogate"},
    {"{\"a\\x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "escape"},
    {"{\"a\nb\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "control character"},
    {"{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "UTF-8"},
    {"{\"a\xc0\x80\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "UTF-8"},
    {"{\"__metadata__\":[]}", 0, "metadata"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "no string"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "second"},
};

static void test_lies_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        unsigned char *file;
        cpl_error error = {0};
        cpl_safetensors *st = open_text(lies[i].header, lies[i].data, &file, &error);
        if (st || error.code != CPL_E_FILE || !strstr(error.message, lies[i].says) ||
            !strstr(error.message, "test.safetensors"))
            fail_msg("%s: %s", lies[i].header, st ? "was accepted" : error.message);
        free(file);
    }
}

static void test_lengths_are_checked(void **state) {
    (void)state;
    static const uint64_t claims[] = {3, 100000001, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63};
    unsigned char file[10] = {0};
    for (size_t size = 0; size < 8; size++) {
        cpl_error error = {0};
        assert_null(cpl_safetensors_memory(file, size, "short", &error));
        assert_non_null(strstr(error.message, size ? "too short" : "empty"));
    }
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        cpl_error error = {0};
        memcpy(file, &claims[i], 8);
        assert_null(cpl_safetensors_memory(file, sizeof file, "long", &error));
        assert_non_null(strstr(error.message, "cut off"));
    }
    cpl_error error = {0};
    size_t size;
    unsigned char *nul = pack("{\"a\0\":{}}", 9, 0, &size);
    assert_null(cpl_safetensors_memory(nul, size, "nul", &error));
    assert_non_null(strstr(error.message, "NUL"));
    free(nul);
}

static void test_other_kinds_are_named(void **state) {
    (void)state;
    static const struct {
        const char *begin, *says;
    } kinds[] = {
        {"PK\3\4 a zip file, archive/data.pkl", ".ckpt"},
        {"PK\3\4 a zip file with something else", "(zip)"},
        {"\x80\2 a pickle, as they were before", ".ckpt"},
        {"\x80\5 a newer one of those pickles", ".ckpt"},
        {"  \n<HTML><head> and so on, and so on", "web page"},
        {"\xFF\xD8\xFF\xE0 a photograph of something", "JPEG"},
        {"GGUF and more of it, long enough", "GGUF"},
        {"version https://git-lfs.github.com/spec/v1", "git lfs pull"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        cpl_error error = {0};
        assert_null(cpl_safetensors_memory(kinds[i].begin, strlen(kinds[i].begin), "x", &error));
        if (!strstr(error.message, kinds[i].says)) fail_msg("%s", error.message);
    }
}

static void test_files_that_are_none(void **state) {
    (void)state;
    char path[] = "/tmp/couplet-test-XXXXXX", fifo[64];
    cpl_error error = {0};
    assert_non_null(mkdtemp(path));
    assert_null(cpl_safetensors_open(path, &error));
    assert_non_null(strstr(error.message, "folder"));
    snprintf(fifo, sizeof fifo, "%s/pipe", path);
    assert_null(cpl_safetensors_open(fifo, &error));
    assert_non_null(strstr(error.message, "No such file"));
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_null(cpl_safetensors_open(fifo, &error));
    assert_non_null(strstr(error.message, "not a file"));
    unlink(fifo);
    rmdir(path);
}

static void test_types_are_widened(void **state) {
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"who\":\"a \\\"test\\\" \\u00e9\\ud83d\\ude00\"},"
                                 "\"f64\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                                 "\"i64\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[8,24]},"
                                 "\"f16\":{\"dtype\":\"F16\",\"shape\":[2,4],\"data_offsets\":[24,40]},"
                                 "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[40,42]},"
                                 "\"i32\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[42,46]},"
                                 "\"u8\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[46,48]},"
                                 "\"e4m3\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[48,52]},"
                                 "\"e5m2\":{\"dtype\":\"F8_E5M2\",\"shape\":[2],\"data_offsets\":[52,54]},"
                                 "\"none\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[54,54]},"
                                 "\"u64\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[54,62]}}   ";
    static const float halves[8] = {1.5F, -2, 65504, 0x1p-24F, 0x1.ff8p-15F, 0, -0.0F, 0x1p-14F};
    static const uint16_t bits[8] = {0x3E00, 0xC000, 0x7BFF, 0x0001, 0x03FF, 0x0000, 0x8000, 0x0400};
    static const int64_t big[2] = {-3, INT64_C(0x7FFFFFFFFFFFFFFF)};
    static const double third = 1.0 / 3;
    static const uint64_t top = UINT64_MAX;
    size_t size;
    unsigned char *file = pack(header, sizeof header - 1, 62, &size), *data = file + 8 + sizeof header - 1;
    memcpy(data, &third, 8);
    memcpy(data + 8, big, 16);
    memcpy(data + 24, bits, 16);
    static const unsigned char small[14] = {0x80, 0xBF, 0xF9, 0xFF, 0xFF, 0xFF, 0x07,
                                            0xFF, 0x38, 0xFE, 0x01, 0x7F, 0x3C, 0xFC};
    memcpy(data + 40, small, sizeof small);
    memcpy(data + 54, &top, 8);
    cpl_error error = {0};
    cpl_safetensors *st = cpl_safetensors_memory(file, size, "types", &error);
    if (!st) fail_msg("%s", error.message);
    assert_int_equal(cpl_safetensors_count(st), 10);
    assert_string_equal(cpl_safetensors_at(st, 2)->name, "f16");
    assert_null(cpl_safetensors_at(st, 10));
    assert_null(cpl_safetensors_find(st, "f1"));
    assert_null(cpl_safetensors_find(st, "__metadata__"));
    assert_string_equal(cpl_safetensors_metadata(st, "who"), "a \"test\" \xc3\xa9\xf0\x9f\x98\x80");
    assert_null(cpl_safetensors_metadata(st, "what"));
    static const struct {
        const char *name;
        int count;
        float values[8];
    } expect[] = {
        {"f64", 1, {(float)(1.0 / 3)}}, {"bf16", 1, {-1}}, {"i32", 1, {-7}},          {"u8", 2, {7, 255}},
        {"e5m2", 2, {1, -INFINITY}},    {"none", 0, {0}},  {"i64", 2, {-3, 0x1p63F}}, {"u64", 1, {0x1p64F}},
    };
    for (size_t i = 0; i < sizeof expect / sizeof *expect; i++) {
        const cpl_st_entry *e = cpl_safetensors_find(st, expect[i].name);
        assert_non_null(e);
        assert_int_equal(e->count, expect[i].count);
        float *values = cpl_safetensors_f32(st, e, &error);
        assert_non_null(values);
        for (int k = 0; k < expect[i].count; k++)
            if (!(values[k] == expect[i].values[k])) fail_msg("%s[%d] = %g", e->name, k, (double)values[k]);
        free(values);
    }
    float *values = cpl_safetensors_f32(st, cpl_safetensors_find(st, "f16"), &error);
    assert_memory_equal(values, halves, sizeof halves);
    free(values);
    values = cpl_safetensors_f32(st, cpl_safetensors_find(st, "e4m3"), &error);
    assert_true(values[0] == 1 && values[1] == -448 && values[2] == 0x1p-9F && values[3] != values[3]);
    free(values);
    int64_t *whole = cpl_safetensors_i64(st, cpl_safetensors_find(st, "i64"), &error);
    assert_memory_equal(whole, big, sizeof big);
    free(whole);
    assert_null(cpl_safetensors_i64(st, cpl_safetensors_find(st, "u64"), &error));
    assert_null(cpl_safetensors_i64(st, cpl_safetensors_find(st, "f16"), &error));
    assert_non_null(strstr(error.message, "tensor f16"));
    cpl_safetensors_close(st);
    free(file);
}

/* Large enough to be read in several pieces. */
#define LARGE 50001

static void test_written_reads_back_and_shrinking_is_an_error(void **state) {
    (void)state;
    char path[] = "/tmp/couplet-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    float *large = malloc(LARGE * sizeof *large);
    for (int i = 0; i < LARGE; i++) large[i] = (float)i * 0.25F - 7;
    cpl_error error = {0};
    cpl_st_writer *w = cpl_st_writer_new(&error);
    assert_true(cpl_st_writer_add(w, "a \"name\"\\\n\xc3\xa9", large, 2, (int64_t[]){2, 3}, &error));
    assert_true(cpl_st_writer_add(w, "nothing", NULL, 1, (int64_t[]){0}, &error));
    assert_true(cpl_st_writer_add(w, "large", large, 1, (int64_t[]){LARGE}, &error));
    assert_true(cpl_st_writer_save(w, path, &error));
    cpl_st_writer_free(w);

    cpl_safetensors *st = cpl_safetensors_open(path, &error);
    if (!st) fail_msg("%s", error.message);
    assert_string_equal(cpl_safetensors_path(st), path);
    const cpl_st_entry *e = cpl_safetensors_find(st, "a \"name\"\\\n\xc3\xa9");
    assert_non_null(e);
    assert_int_equal(e->rank, 2);
    assert_int_equal(e->shape[1], 3);
    e = cpl_safetensors_find(st, "large");
    float *read = cpl_safetensors_f32(st, e, &error);
    assert_memory_equal(read, large, LARGE * sizeof *large);
    free(read);

    assert_int_equal(truncate(path, 4000), 0);
    assert_null(cpl_safetensors_f32(st, e, &error));
    assert_non_null(strstr(error.message, "tensor large"));
    uint64_t before = cpl_safetensors_identity(st);
    cpl_safetensors_close(st);
    assert_null(cpl_safetensors_open(path, &error));
    assert_non_null(strstr(error.message, "tensor large"));

    cpl_st_writer *other = cpl_st_writer_new(&error);
    assert_true(cpl_st_writer_add(other, "large", large, 1, (int64_t[]){7}, &error));
    assert_true(cpl_st_writer_save(other, path, &error));
    cpl_st_writer_free(other);
    st = cpl_safetensors_open(path, &error);
    assert_true(st && cpl_safetensors_identity(st) != before);
    cpl_safetensors_close(st);
    unlink(path);
    free(large);
    cpl_st_writer *lost = cpl_st_writer_new(&error);
    assert_false(cpl_st_writer_save(lost, "/nowhere/at/all", &error));
    assert_non_null(strstr(error.message, "/nowhere/at/all"));
    cpl_st_writer_free(lost);
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static unsigned char *read_whole(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is missing", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*size);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

/* Bytes of a real header are changed, swapped, cut and doubled; whatever opens must be readable within its bounds. */
static void test_damaged_headers_never_crash(void **state) {
    (void)state;
    size_t size;
    unsigned char *good = read_whole("tests/golden/engine/sd1_tiny_text_expected.safetensors", &size);
    uint64_t length, seed = 20240607;
    memcpy(&length, good, 8);
    int opened = 0;
    for (int round = 0; round < 4000; round++) {
        unsigned char *file = malloc(size);
        size_t now = size;
        memcpy(file, good, size);
        int changes = 1 + (int)(next_random(&seed) % 4);
        for (int i = 0; i < changes; i++) {
            size_t at = next_random(&seed) % (length + 8), to = 8 + next_random(&seed) % length;
            static const char likely[] = "0123456789{}[]\",:-\\ueF \n";
            switch (next_random(&seed) % 4) {
            case 0:
                file[at] = (unsigned char)next_random(&seed);
                break;
            case 1:
                file[to] = (unsigned char)likely[next_random(&seed) % (sizeof likely - 1)];
                break;
            case 2:
                memmove(file + to, file + 8, (8 + length - to) / 2);
                break;
            default:
                now = next_random(&seed) % size;
                break;
            }
            if (now < 8 + length) break;
        }
        unsigned char *exact = malloc(now + !now); /* so that a read past the end is seen */
        memcpy(exact, file, now);
        free(file);
        cpl_error error = {0};
        cpl_safetensors *st = cpl_safetensors_memory(exact, now, "damaged", &error);
        assert_true(st || (error.code == CPL_E_FILE && *error.message));
        opened += st != NULL;
        for (int i = 0; st && i < cpl_safetensors_count(st); i++)
            free(cpl_safetensors_f32(st, cpl_safetensors_at(st, i), &error));
        cpl_safetensors_close(st);
        free(exact);
    }
    assert_true(opened > 0 && opened < 4000);
    free(good);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies_are_refused),
        cmocka_unit_test(test_lengths_are_checked),
        cmocka_unit_test(test_other_kinds_are_named),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_types_are_widened),
        cmocka_unit_test(test_written_reads_back_and_shrinking_is_an_error),
        cmocka_unit_test(test_damaged_headers_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
