/* test_fuzz.c: random keys, commands, mouse events, pastes, replies, broken bytes and resizes for the editor. It must not
 * crash, and must still do what it is told at the end. The same seed sends the same bytes.
 * `test_fuzz SECONDS [SEED]` runs for long (make fuzz-editor); a failure names the seed of its round. */
#include "fake_terminal.h"
#include "work_folder.h"

#include "../../tui/editor.h"
#include "../../tui/ex.h"
#include "../../tui/keys.h"

#include <sys/stat.h>

#include "../test.h"

enum { EVENTS = 400, ROUNDS = 6 };

static const char WORK[] = "{\"couplet\":1,\"canvas\":{\"width\":64,\"height\":64},\"regions\":["
                           "{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"},{\"rect\":[0.5,1,0,1],\"prompt\":\"a sun\"}],"
                           "\"sampling\":{\"steps\":2,\"seed\":5}}";
static uint32_t seed = 1;

static uint32_t below(uint32_t count) { return test_random(&seed) % count; }

static int enter_folder(void **state) {
    if (!new_folder(state)) return -1;
    setenv("HOME", *state, 1);
    setenv("EDITOR", "true", 1);
    setenv("VISUAL", "true", 1);
    static const char *const variables[] = {"XDG_CONFIG_HOME", "XDG_DATA_HOME"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) setenv(variables[i], *state, 1);
    return 0;
}

static void run_editor(void) {
    cpl_error error = {0};
    setlocale(LC_CTYPE, "C.UTF-8");
    /* A stopped editor would only wait; commands that write must find nothing but this folder. */
    signal(SIGTSTP, SIG_IGN);
    cpl_layout *layout = cpl_layout_parse(WORK, NULL, "work", &error);
    NEED(layout);
    editor_options options = {.path = "work.json", .layout = layout, .session = {.threads = 1}};
    _exit(editor_run(&options));
}

/* ---- Events: each returns bytes to send, NULL for none ---- */

static const char *random_key(char *text) {
    static const struct {
        uint32_t key;
        const char *bytes;
    } special[] = {{K_UP, "\033[A"},      {K_DOWN, "\033[B"},    {K_LEFT, "\033[D"},     {K_RIGHT, "\033[C"},
                   {K_HOME, "\033[H"},    {K_END, "\033[F"},     {K_PAGE_UP, "\033[5~"}, {K_PAGE_DOWN, "\033[6~"},
                   {K_DELETE, "\033[3~"}, {K_BACKTAB, "\033[Z"}, {K_INSERT, "\033[2~"},  {K_F1, "\033OP"}};
    int count;
    const key_binding *table = keys_table(&count);
    const char *keys = table[below((uint32_t)count)].keys;
    key_press press[2];
    int presses = keys_parse(keys, strcspn(keys, " "), press);
    *text = '\0';
    for (int i = 0; i < presses; i++) {
        if (press[i].key == 0x1a || press[i].key == 'q') continue; /* suspend, quit: rarely enough below */
        const char *bytes = NULL;
        for (size_t k = 0; k < sizeof special / sizeof special[0]; k++)
            if (special[k].key == press[i].key) bytes = special[k].bytes;
        if (press[i].modifiers & INPUT_ALT) strcat(text, "\033");
        if (bytes)
            strcat(text, bytes);
        else if (press[i].key < 128)
            sprintf(text + strlen(text), "%c", (int)press[i].key);
    }
    return text;
}

static const char *random_text(char *text) {
    static const char *const words[] = {"a cat",
                                        "1/3",
                                        "0.25",
                                        "night sky, ",
                                        "\xf0\x9f\x90\xbb",
                                        "\xe6\x97\xa5\xe6\x9c\xac",
                                        "e\xcc\x81",
                                        "\xff\xfe",
                                        "(a:1.2)",
                                        "{x}",
                                        "9999999999999999999999",
                                        "-1",
                                        "\t",
                                        "\r",
                                        "\177\177\177",
                                        "\025",
                                        "\013"};
    *text = '\0';
    for (uint32_t i = 0, count = 1 + below(4); i < count; i++)
        strcat(text, words[below(sizeof words / sizeof words[0])]);
    return text;
}

static const char *random_command(char *text) {
    static const char *const arguments[] = {
        "",           "x.json",    "0",     "12",      "-3",       "on",        "1:2:1",
        "1:0:99999",  "work.json", "rows",  "left",    "save one", "load one",  "delete one",
        "horizontal", "512x512",   "24x24", "builtin", "steps 2",  "mode mask", "prompt a\xc3\xa4",
        "64x64"};
    int count;
    const ex_command *table = ex_table(&count);
    const ex_command *command = &table[below((uint32_t)count)];
    bool leaves = command->action == EX_QUIT || command->action == EX_WRITE_QUIT;
    snprintf(text, 200, "\033:%s%s %s%s", leaves && below(8) ? "set" : command->name, below(4) ? "" : "!",
             arguments[below(sizeof arguments / sizeof arguments[0])], below(8) ? "\r" : "\t\t");
    return text;
}

static const char *random_mouse(char *text) {
    static const int buttons[] = {0, 32, 32, 32, 64, 65, 1, 2, 35};
    snprintf(text, 200, "\033[<%d;%u;%u%c", buttons[below(9)], 1 + below(130), 1 + below(45), below(3) ? 'M' : 'm');
    return text;
}

static const char *random_reply(char *text) {
    static const char *const replies[] = {"\033[?63;1;2;4c",
                                          "\033[6;18;9t",
                                          "\033[6;0;0t",
                                          "\033[4;99999;1t",
                                          "\033[?1;0;256S",
                                          "\033[?2;0;9;9S",
                                          "\033[?2026;2$y",
                                          "\033[1;1R",
                                          "\033[I",
                                          "\033[O",
                                          "\033]11;rgb:0/0/0\033\\",
                                          "\033P1$r0m\033\\",
                                          "\033[200~",
                                          "\033[201~",
                                          "\033[",
                                          "\033O",
                                          "\033P",
                                          "\033]52;c;",
                                          "\033[<0;1",
                                          "\033[?9999999999999;1;1;1;1;1;1;1c"};
    strcpy(text, replies[below(sizeof replies / sizeof replies[0])]);
    return text;
}

static const char *random_paste(char *text) {
    char inside[400];
    snprintf(text, 900, "\033[200~%s\n%s", random_text(inside), below(2) ? "one\ntwo\nthree" : "");
    strcat(text, random_text(inside));
    strcat(text, "\033[201~");
    return text;
}

static void resize(fake *f) {
    static const unsigned short sizes[][2] = {{80, 24}, {120, 40}, {61, 16}, {60, 15},
                                              {1, 1},   {250, 80}, {76, 17}, {5, 60}};
    const unsigned short *to = sizes[below(8)];
    struct winsize size = {.ws_col = to[0],
                           .ws_row = to[1],
                           .ws_xpixel = (unsigned short)(to[0] * 9),
                           .ws_ypixel = (unsigned short)(to[1] * 18)};
    ioctl(f->master, TIOCSWINSZ, &size);
}

static void send_some(fake *f) {
    char text[2000];
    const char *bytes = NULL;
    switch (below(20)) {
    case 0:
        resize(f);
        return;
    case 1:
    case 2:
        bytes = random_reply(text);
        break;
    case 3:
    case 4:
    case 5:
        bytes = random_mouse(text);
        break;
    case 6:
    case 7:
        bytes = random_command(text);
        break;
    case 8:
        bytes = random_paste(text);
        break;
    case 9:
    case 10:
        bytes = random_text(text);
        break;
    default:
        bytes = random_key(text);
        break;
    }
    if (write(f->master, bytes, strlen(bytes)) < 0 && errno != EIO) fail_msg("cannot write to the editor");
}

/* ---- Rounds ---- */

static bool ended(fake *f) {
    if (!f->ended) f->ended = waitpid(f->child, &f->status, WNOHANG) == f->child;
    return f->ended;
}

/* Whatever is open or being typed: back to where a command can be given. */
static void leave(fake *f) {
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    ioctl(f->master, TIOCSWINSZ, &size);
    for (int tries = 0; tries < 100 && !ended(f); tries++) {
        static const char *const ways[] = {"\033[201~\033\\", "\033", "\033", "d", "\033", "\033", ":q!\r"};
        for (size_t i = 0; i < sizeof ways / sizeof ways[0] && !ended(f); i++) {
            if (write(f->master, ways[i], strlen(ways[i])) < 0 && errno != EIO) break;
            fake_read(f, 40);
        }
        while (fake_read(f, 20)) {}
    }
}

static void round_of_events(void) {
    uint32_t begin = seed;
    fake f;
    fake_start(&f, below(3) ? XTERM : SILENT, run_editor);
    for (int i = 0; i < EVENTS && !ended(&f); i++) {
        send_some(&f);
        while (fake_read(&f, below(8) ? 0 : 3)) {}
    }
    leave(&f);
    int status = fake_wait(&f);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("seed %u: the editor ended with %x; its last output: %s", begin, (unsigned)status,
                 f.output + (f.size > 3000 ? f.size - 3000 : 0));
    fake_end(&f);
}

static void nothing_that_arrives_ends_the_editor(void **state) {
    (void)state;
    for (int i = 0; i < ROUNDS; i++) round_of_events();
}

static void for_long(void **state) {
    (void)state;
    const char *seconds = getenv("FUZZ_SECONDS");
    long end = now_ms() + (seconds ? atol(seconds) : 1) * 1000, rounds = 0;
    for (; now_ms() < end; rounds++) round_of_events();
    printf("%ld rounds of %d events\n", rounds, EVENTS);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_that_arrives_ends_the_editor, enter_folder, leave_folder)};
    const struct CMUnitTest long_run[] = {cmocka_unit_test_setup_teardown(for_long, enter_folder, leave_folder)};
    if (argc < 2) return cmocka_run_group_tests(tests, NULL, NULL);
    setenv("FUZZ_SECONDS", argv[1], 1);
    seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : (uint32_t)time(NULL);
    if (!seed) seed = 1;
    printf("seed %u\n", seed);
    return cmocka_run_group_tests(long_run, NULL, NULL);
}
