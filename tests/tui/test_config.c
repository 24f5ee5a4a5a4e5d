/* test_config.c: the user's defaults: what may stand in the file, what the command line makes of it, what is refused. */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../tui/options.h"

static char home[] = "/tmp/couplet-config-XXXXXX";
static char folder[64], path[80];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(home)) return -1;
    setenv("XDG_CONFIG_HOME", home, 1);
    snprintf(folder, sizeof folder, "%s/couplet", home);
    snprintf(path, sizeof path, "%s/config", folder);
    return mkdir(folder, 0700);
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    rmdir(folder);
    return rmdir(home);
}

static void put(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static bool parse(arguments *a, char *why, int count, const char *const *words) {
    return options_parse(count, (char *const *)words, a, why, 400);
}

static void test_defaults(void **state) {
    (void)state;
    arguments a;
    char why[400] = "";
    static const char *const words[] = {"couplet", "render", "a.json", "-o", "x.png"};
    static const char *const more[] = {"couplet", "render", "a.json", "-o", "x.png", "--threads", "7"};
    put("# of this machine\n\n  lora-dir   /data/my loras \nthreads = 3\nvram 8G\ncache-bytes=512M\r\ncolor never\n");
    assert_true(parse(&a, why, 5, words));
    assert_string_equal(a.lora_dir, "/data/my loras");
    assert_int_equal(a.threads, 3);
    assert_true(a.vram == (int64_t)8 << 30);
    assert_int_equal(a.cache_bytes, 512 << 20);
    assert_true(parse(&a, why, 7, more));
    assert_int_equal(a.threads, 7);
}

/* One file for all commands: `show` has no threads. */
static void test_other_commands(void **state) {
    (void)state;
    arguments a;
    char why[400] = "";
    static const char *const words[] = {"couplet", "show", "a.png"};
    put("threads 3\n");
    assert_true(parse(&a, why, 3, words));
    assert_int_equal(a.threads, 0);
}

static void test_refusals(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"threads 3\nlora-dri /x\n", "config:2: no option \"lora-dri\" can stand here; did you mean \"lora-dir\"?"},
        {"seed 5\n", "config:1: no option \"seed\" can stand here"},
        {"\nthreads many\n", "config:2: --threads: \"many\" is not a whole number"},
        {"lora-dir\n", "config:1: --lora-dir: the DIR is empty"},
    };
    static const char *const words[] = {"couplet", "render", "a.json", "-o", "x.png"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arguments a;
        char why[400] = "";
        put(cases[i][0]);
        assert_false(parse(&a, why, 5, words));
        if (!strstr(why, cases[i][1])) fail_msg("%s", why);
    }
}

/* Whoever is told that the file is wrong still gets help. */
static void test_help_with_a_wrong_file(void **state) {
    (void)state;
    static const char *const help[] = {"couplet", "render", "--help"}, *const version[] = {"couplet", "--version"};
    static const char *const mistyped[] = {"couplet", "--hlep"}, *const plain[] = {"couplet"};
    arguments a;
    char why[400] = "";
    put("threds 3\n");
    assert_true(parse(&a, why, 3, help) && a.help);
    assert_true(parse(&a, why, 2, version) && a.version);
    assert_false(parse(&a, why, 2, mistyped));
    assert_non_null(strstr(why, "--hlep"));
    assert_false(a.misconfigured);
    assert_false(parse(&a, why, 1, plain));
    assert_non_null(strstr(why, "config:1: no option \"threds\""));
    assert_true(a.misconfigured);
}

static void test_folders_at_home(void **state) {
    (void)state;
    static const char *const words[] = {"couplet", "render", "a.json", "-o", "x.png"};
    arguments a;
    char why[400] = "";
    setenv("HOME", "/home/someone", 1);
    put("lora-dir ~/loras\ntokenizer ~other/clip\n");
    assert_true(parse(&a, why, 5, words));
    assert_string_equal(a.lora_dir, "/home/someone/loras");
    assert_string_equal(a.tokenizer, "~other/clip");
}

static void test_none(void **state) {
    (void)state;
    arguments a;
    char why[400] = "";
    static const char *const words[] = {"couplet", "a.json"};
    unlink(path);
    assert_true(parse(&a, why, 2, words));
    assert_null(a.lora_dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_other_commands),
        cmocka_unit_test(test_refusals),        cmocka_unit_test(test_help_with_a_wrong_file),
        cmocka_unit_test(test_folders_at_home), cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
