/* test_options.c: the command line: what is accepted, what is refused and in which words, and the help made from the tables. */
#include "../../tui/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/couplet.h"
#include "../test.h"

#define MOST 16

static char why[400];

/* Splits at blanks; "" stands for an empty word. */
static bool parse(const char *line, arguments *a) {
    static char words[512];
    char *argv[MOST] = {(char *)"couplet"};
    int argc = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word && argc < MOST; word = strtok(NULL, " "))
        argv[argc++] = strcmp(word, "\"\"") == 0 ? (char *)"" : word;
    why[0] = '\0';
    return options_parse(argc, argv, a, why, sizeof why);
}

static void reads_commands(void **state) {
    (void)state;
    arguments a;
    assert_true(parse("", &a));
    assert_int_equal(a.command, COMMAND_EDIT);
    assert_int_equal(a.operands, 0);
    assert_true(parse("harbour.json", &a));
    assert_int_equal(a.command, COMMAND_EDIT);
    assert_string_equal(a.operand[0], "harbour.json");
    assert_true(parse("./render", &a));
    assert_int_equal(a.command, COMMAND_EDIT);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char line[64];
        if (!command_table[i].name) continue;
        snprintf(line, sizeof line, "%s --help", command_table[i].name);
        assert_true(parse(line, &a));
        assert_int_equal(a.command, i);
        assert_true(a.help);
    }
}

static void reads_every_kind_of_value(void **state) {
    (void)state;
    arguments a;
    assert_true(
        parse("render a.json -o b.png --steps=7 --seed -1 --cfg 4.5 --size 640x512 --device cuda:1 --quiet", &a));
    assert_string_equal(a.output, "b.png");
    assert_int_equal(a.steps, 7);
    assert_int_equal(a.seed, -1);
    assert_true(a.cfg == 4.5);
    assert_int_equal(a.size[0], 640);
    assert_int_equal(a.size[1], 512);
    assert_string_equal(a.device, "cuda:1");
    assert_true(a.quiet);
    assert_true(parse("render --output=b.png --seed=9007199254740991 --precision f32 a.json", &a));
    assert_true(a.seed == 9007199254740991);
    assert_string_equal(a.precision, "f32");
    assert_true(parse("render a.json -ob.png --cfg=0 --color never", &a));
    assert_string_equal(a.output, "b.png");
    assert_true(a.cfg == 0);
    assert_int_equal(a.color, 2);
    assert_true(parse("render a.json -o b.png --vae-tile 262144 --cache-bytes 512M --pool-bytes=3G", &a));
    assert_true(a.vae_tile == 262144 && a.cache_bytes == 512LL << 20 && a.pool_bytes == 3LL << 30);
    assert_true(parse("render a.json -o b.png --vae-tile off --cache-bytes 2000000", &a));
    assert_true(a.vae_tile == -1 && a.cache_bytes == 2000000);
    assert_true(parse("a.json --vae-tile auto --pool-bytes 2048K", &a));
    assert_true(a.vae_tile == 0 && a.pool_bytes == 2 << 20);
    assert_true(parse("render a.json -o b.png --vram 6G", &a));
    assert_true(a.vram == 6LL << 30);
    assert_false(parse("render a.json -o b.png --vram 100", &a));
    assert_true(parse("masks a.json --grid 16x9 --json", &a));
    assert_int_equal(a.grid[0], 16);
    assert_int_equal(a.grid[1], 9);
    assert_true(a.json);
}

static void leaves_unset_what_was_not_given(void **state) {
    (void)state;
    arguments a;
    assert_true(parse("render a.json -o b.png", &a));
    assert_true(isnan(a.cfg));
    assert_true(a.seed == CPL_SEED_UNSET);
    assert_int_equal(a.steps + a.threads + a.size[0] + a.size[1] + a.color, 0);
    assert_null(a.model);
    assert_null(a.device);
}

static void ends_options(void **state) {
    (void)state;
    arguments a;
    assert_true(parse("check -- --json", &a));
    assert_string_equal(a.operand[0], "--json");
    assert_false(a.json);
    assert_true(parse("-- -x", &a));
    assert_string_equal(a.operand[0], "-x");
}

static void refuses(const char *line, const char *words) {
    arguments a;
    if (parse(line, &a)) fail_msg("accepted: couplet %s", line);
    if (!strstr(why, words)) fail_msg("couplet %s: \"%s\" lacks \"%s\"", line, why, words);
}

static void refuses_wrong_usage(void **state) {
    (void)state;
    refuses("render a.json", "-o OUT.png");
    refuses("render", "needs a file");
    refuses("masks a.json", "--grid 16x16");
    refuses("check a b", "no more files");
    refuses("--frobnicate", "unknown option --frobnicate");
    refuses("-x", "unknown option -x");
    refuses("render a.json -o b.png --vae-tile 12", "auto, off or a number of pixels");
    refuses("render a.json -o b.png --vae-tile of", "auto, off or a number of pixels");
    for (size_t i = 0; i < 8; i++) {
        static const char *const sizes[] = {"K", "1", "-4M", "4MM", "1.5G", "99999999G", "M4", "0x10M"};
        char line[80];
        snprintf(line, sizeof line, "render a.json -o b.png --pool-bytes %s", sizes[i]);
        refuses(line, "such as 512M or 2G");
    }
    refuses("render a.json -o b.png --stpes 3", "did you mean --steps?");
    refuses("render a.json -o b.png --samplr euler", "did you mean --sampler?");
    refuses("lines --grid 3x3 a.json", "lines does not take --grid (masks does)");
    refuses("render a.json -o", "needs a value: FILE");
    refuses("check --json=1 a", "takes no value");
    refuses("check -qh a", "write each option apart");
    refuses("rendr a.json", "no command \"rendr\"; did you mean \"render\"?");
    refuses("help", "it is \"couplet --help\"; a layout of that name is ./help");
    refuses("version", "it is \"couplet --version\"");
    refuses("--quiet check a.json", "the command comes first: couplet check");
    refuses("a.json check", "the editor opens one layout");
    refuses("check \"\"", "empty");
    refuses("render a.json -o \"\"", "empty");
    refuses("render a.json -o b.png --sampler eulre", "did you mean \"euler\"?");
    refuses("render a.json -o b.png --sampler zzz", "there are: euler");
    refuses("map a --color=sometimes", "there are: auto, always, never");
}

static void refuses_wrong_values(void **state) {
    (void)state;
    static const char *const lines[] = {"--steps 0",
                                        "--steps 1001",
                                        "--steps 2.5",
                                        "--steps 0x10",
                                        "--steps +3",
                                        "--seed -2",
                                        "--seed 1e3",
                                        "--cfg nan",
                                        "--cfg inf",
                                        "--cfg 1,5",
                                        "--cfg 0x1p3",
                                        "--cfg -1",
                                        "--size 512",
                                        "--size 512x",
                                        "--size x512",
                                        "--size 512x513",
                                        "--size 16x16",
                                        "--size 9000x512",
                                        "--size 512X512",
                                        "--device gpu",
                                        "--device cuda:",
                                        "--device cuda:x",
                                        "--threads 0",
                                        "--precision f64",
                                        "--steps=",
                                        "--seed=9007199254740992",
                                        "--seed 99999999999999999999",
                                        "--size -8x8",
                                        "--cfg 1e999"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[200], option[32];
        snprintf(line, sizeof line, "render a.json -o b.png %s", lines[i]);
        snprintf(option, sizeof option, "%.*s:", (int)strcspn(lines[i], " ="), lines[i]);
        refuses(line, option);
    }
    refuses("masks a --grid 0x4", "--grid:");
    refuses("masks a --grid 4x2000", "--grid:");
}

static void tables_agree_with_themselves(void **state) {
    (void)state;
    for (int i = 0; i < option_count; i++) {
        const option_entry *o = &option_table[i];
        assert_true(o->commands != 0);
        assert_true((o->kind == OPTION_SWITCH) == (o->argument == NULL));
        assert_true((o->kind == OPTION_NAME || o->kind == OPTION_INDEX) == (o->choices != NULL));
        assert_true(o->offset < sizeof(arguments));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(o->name, option_table[j].name);
            assert_true(!o->letter || o->letter != option_table[j].letter);
            assert_true(o->offset != option_table[j].offset);
        }
    }
}

static void help_names_everything(void **state) {
    (void)state;
    for (int c = 0; c < COMMAND_COUNT; c++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        options_help(out, (command_id)c);
        fclose(out);
        for (int i = 0; i < option_count; i++) {
            char name[40];
            snprintf(name, sizeof name, "--%s ", option_table[i].name);
            bool expected = option_table[i].commands & (1u << c);
            if ((strstr(strstr(text, "Options:"), name) != NULL) != expected)
                fail_msg("%s in help of command %d", name, c);
        }
        for (int i = 0; i < COMMAND_COUNT && c == COMMAND_EDIT; i++)
            if (command_table[i].name) assert_non_null(strstr(text, command_table[i].summary));
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            if (strlen(line) > 88) fail_msg("too wide: %s", line);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_commands),
        cmocka_unit_test(reads_every_kind_of_value),
        cmocka_unit_test(leaves_unset_what_was_not_given),
        cmocka_unit_test(ends_options),
        cmocka_unit_test(refuses_wrong_usage),
        cmocka_unit_test(refuses_wrong_values),
        cmocka_unit_test(tables_agree_with_themselves),
        cmocka_unit_test(help_names_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
