/* The terminal as it is asked, listened to, painted on and given back, against a pseudo terminal that answers. */
#include "fake_terminal.h"

#include <ncurses.h>
#include <sys/stat.h>

#include "../../tui/term_private.h"

static void child_reports_capabilities(void) {
    setlocale(LC_CTYPE, "C.UTF-8");
    term *t = open_terminal();
    const term_caps *c = term_capabilities(t);
    NEED(c->sixel && c->sync_updates && c->cell_known && c->utf8);
    NEED(c->cell_width == 9 && c->cell_height == 18);
    NEED(c->sixel_registers == 256 && c->sixel_max_width == 2000 && c->sixel_max_height == 1500);
    NEED(c->colors == 256 && !strcmp(c->name, "xterm-256color"));
    NEED(LINES == 24 && COLS == 80);
    mvaddstr(3, 4, "hello");
    refresh();
    NEED(next_event(t).key == 'q'); /* until the modes have been looked at */
    term_close(t);
}

static void asks_and_restores(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_reports_capabilities);
    size_t asked = fake_expect(&f, 0, "\033[c");
    size_t on = fake_expect(&f, asked, "\033[?1002h\033[?1006h\033[?2004h\033[?1004h");
    fake_expect(&f, fake_expect(&f, asked, "\033[?1049h"), "hello");
    assert_false(fake_modes_are(&f, &f.before));
    fake_send(&f, "q");
    fake_expect_exit(&f);
    fake_expect_restored(&f, on);
    /* Nothing that the terminal said is left for the shell to read. */
    int waiting = -1;
    assert_int_equal(ioctl(f.slave, FIONREAD, &waiting), 0);
    assert_int_equal(waiting, 0);
    fake_end(&f);
}

static void child_opens_silent(void) {
    long start = now_ms();
    term *t = open_terminal();
    long took = now_ms() - start;
    NEED(took >= 400 && took < 5000);
    const term_caps *c = term_capabilities(t);
    NEED(!c->sixel && !c->sync_updates);
    NEED(c->cell_width == 9 && c->cell_height == 18 && c->cell_known); /* the kernel knows the pixels */
    NEED(c->sixel_max_width == 1000);
    NEED(term_drained(t));
    dprintf(2, "ready");
    input_event event = next_event(t);
    NEED(event.type == INPUT_KEY && event.key == 'x');
    NEED(c->sixel && c->light); /* the late replies were understood, and were no keys */
    NEED(term_resized(t) && !term_resized(t));
    term_close(t);
}

static void silent_terminal_gets_safe_values(void **state) {
    (void)state;
    fake f;
    fake_start(&f, SILENT, child_opens_silent);
    fake_expect(&f, 0, "ready");
    fake_send(&f, "\033[?62;4;22c\033]11;rgb:ff/ff/ee\033\\x");
    fake_expect_exit(&f);
    fake_expect_restored(&f, 0);
    fake_end(&f);
}

static void child_is_light(void) {
    setenv("COLORFGBG", "15;0", 1); /* what the terminal says itself counts more */
    term *t = open_terminal();
    NEED(term_capabilities(t)->light);
    term_close(t);
}

static void child_is_dark(void) {
    setenv("COLORFGBG", "0;default;15", 1);
    term *t = open_terminal();
    NEED(!term_capabilities(t)->light);
    term_close(t);
}

/* No answer, as of the Linux console, which is not even asked. */
static void child_goes_by_the_environment(void) {
    static const struct {
        const char *value;
        bool light;
    } cases[] = {{"0;15", true}, {"0;default;7", true}, {"15;0", false}, {"15;8", false},
                 {"7", false},   {"0;default", false},  {"", false}};
    setenv("TERM", "linux", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setenv("COLORFGBG", cases[i].value, 1);
        term *t = open_terminal();
        NEED(term_capabilities(t)->light == cases[i].light);
        term_close(t);
    }
}

static const answer BLACK[] = {
    {"\033]11;?\033\\", "\033]11;rgb:1414/1616/1a1a\033\\"}, {"\033[c", "\033[?62;22c"}, {NULL, NULL}};
static const answer CONSOLE[] = {{"\033[c", "\033[?6c"}, {NULL, NULL}};

static void knows_light_from_dark(void **state) {
    (void)state;
    static void (*const children[])(void) = {child_is_light, child_is_dark, child_goes_by_the_environment};
    static const answer *const answers[] = {WHITE, BLACK, CONSOLE};
    for (int i = 0; i < 3; i++) {
        fake f;
        fake_start(&f, answers[i], children[i]);
        fake_expect_exit(&f);
        assert_int_equal(fake_holds(&f, 0, "\033]11"), i < 2);
        fake_end(&f);
    }
}

static void child_listens(void) {
    term *t = open_terminal();
    dprintf(2, "ready");
    input_event e = next_event(t);
    NEED(e.type == INPUT_KEY && e.key == K_UP && e.modifiers == INPUT_CTRL);
    e = next_event(t);
    NEED(e.type == INPUT_MOUSE && e.action == MOUSE_PRESS && e.column == 9 && e.row == 4);
    e = next_event(t); /* a run of drags is one event, the last */
    NEED(e.type == INPUT_MOUSE && e.action == MOUSE_DRAG && e.column == 29);
    e = next_event(t);
    NEED(e.type == INPUT_PASTE && !strcmp(e.text, "a\nb"));
    input_event_clear(&e);
    dprintf(2, "escape");
    e = next_event(t);
    NEED(e.type == INPUT_KEY && e.key == 27 && !e.modifiers);
    NEED(!term_quit_signal(t));
    term_close(t);
}

static void hears_keys_mouse_and_paste(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_listens);
    fake_expect(&f, 0, "ready");
    fake_send(&f, "\033[1;5A\033[<0;10;5M\033[<32;20;5M\033[<32;30;5M\033[200~a\rb\033[201~");
    fake_expect(&f, 0, "escape");
    fake_send(&f, "\033");
    fake_expect_exit(&f);
    fake_end(&f);
}

static void child_waits_for_descriptor(void) {
    term *t = open_terminal();
    int ends[2];
    NEED(pipe(ends) == 0);
    term_wait others[] = {{.fd = ends[0]}};
    long start = now_ms();
    term_poll(t, others, 1, 50);
    NEED(!others[0].readable && now_ms() - start >= 45);
    NEED(write(ends[1], "x", 1) == 1);
    term_poll(t, others, 1, -1);
    NEED(others[0].readable);
    term_close(t);
}

static void waits_for_other_descriptors(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_waits_for_descriptor);
    fake_expect_exit(&f);
    fake_end(&f);
}

static void child_resizes(void) {
    term *t = open_terminal();
    NEED(!term_resized(t));
    dprintf(2, "ready");
    while (!term_resized(t)) term_poll(t, NULL, 0, 1000);
    NEED(LINES == 50 && COLS == 132);
    while (term_capabilities(t)->cell_height != 20) term_poll(t, NULL, 0, 1000);
    NEED(term_capabilities(t)->cell_width == 10);
    term_close(t);
}

static void learns_new_size_and_font(void **state) {
    (void)state;
    static const answer OTHER_FONT[] = {{"\033[16t", "\033[6;20;10t"}, {"\033[c", "\033[?63;4c"}, {NULL, NULL}};
    fake f;
    fake_start(&f, XTERM, child_resizes);
    fake_expect(&f, 0, "ready");
    f.answers = OTHER_FONT;
    assert_int_equal(ioctl(f.master, TIOCSWINSZ, &(struct winsize){.ws_row = 50, .ws_col = 132}), 0);
    fake_expect_exit(&f);
    fake_end(&f);
}

/* A sixel string, large enough that no buffer of a pseudo terminal holds it. */
static picture_sixel large_sixel(void) {
    picture_sixel sixel = {0};
    cpl_image *image = cpl_image_new(600, 600, NULL);
    NEED(image);
    for (size_t i = 0; i < 600 * 600 * 3; i++) image->rgb[i] = (unsigned char)((i * 2654435761u) >> 13);
    NEED(picture_encode(image, 600, 600, 256, true, &sixel, NULL));
    NEED(sixel.size > 300000);
    cpl_image_free(image);
    return sixel;
}

static void child_paints(void) {
    term *t = open_terminal();
    picture_sixel sixel = large_sixel();
    uint64_t before = term_bytes_written(t);
    NEED(term_link_bytes(t, 30) == SIZE_MAX);
    NEED(picture_paint(t, &sixel, 2, 10));
    NEED(term_bytes_written(t) >= before + sixel.size);
    term_mark(t);
    NEED(!term_drained(t));
    long end = now_ms() + 1900; /* before it would be given up */
    while (!term_drained(t) && now_ms() < end) term_poll(t, NULL, 0, 20);
    NEED(now_ms() < end);
    NEED(term_link_bytes(t, 30) < SIZE_MAX && term_link_bytes(t, 30) > 0);
    picture_sixel_clear(&sixel);
    term_close(t);
}

static void paints_in_place(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_paints);
    fake_expect_exit(&f);
    size_t at = fake_expect(&f, 0, "\0337\033[2;1H\033[6n\0338\033[?2026h\0337\033[3;11H\033P");
    size_t end = fake_expect(&f, at + 34, "\033\\");
    assert_true(end > at + 300000);
    assert_memory_equal(f.output + end, "\033\\\0338\033[?2026l", 12);
    fake_end(&f);
}

/* At most 4096 bytes every 40 ms; a busy machine makes it fewer. */
#define LINE_BYTES_PER_S 102400

static void child_measures_the_line(void) {
    term *t = open_terminal();
    picture_sixel sixel = large_sixel();
    const size_t part = 40000;
    sixel.bytes[part - 2] = '\033';
    sixel.bytes[part - 1] = '\\';
    const picture_sixel shown = {.bytes = sixel.bytes, .size = part};
    NEED(picture_paint(t, &shown, 2, 10));
    term_mark(t);
    while (term_link_bytes(t, 1000) == SIZE_MAX) term_poll(t, NULL, 0, 20);
    /* What the buffers of the line took at once came for nothing. */
    NEED(term_link_bytes(t, 1000) < LINE_BYTES_PER_S * 2);
    NEED(term_link_bytes(t, 1000) > 100);
    picture_sixel_clear(&sixel);
    term_close(t);
}

static void measures_a_slow_line(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_measures_the_line);
    for (long end = now_ms() + 20000; !f.ended && now_ms() < end;) {
        fake_read(&f, 20);
        /* The answers to the first questions come at once: only the picture is slow. */
        if (f.size > 400) usleep(40000);
        f.ended = waitpid(f.child, &f.status, WNOHANG) == f.child;
    }
    fake_expect_exit(&f);
    fake_end(&f);
}

static void child_is_interrupted(void) {
    term *t = open_terminal();
    picture_sixel sixel = large_sixel();
    dprintf(2, "ready");
    NEED(!picture_paint(t, &sixel, 2, 10));
    uint64_t written = term_bytes_written(t);
    NEED(!picture_paint(t, &sixel, 2, 10)); /* a key waits: nothing is written */
    NEED(term_bytes_written(t) == written);
    input_event e = next_event(t);
    NEED(e.type == INPUT_KEY && e.key == 'k');
    picture_sixel_clear(&sixel);
    term_close(t);
}

static void key_ends_a_picture(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_is_interrupted);
    size_t ready = fake_expect(&f, 0, "ready"), start = fake_expect(&f, ready, "\033P");
    fake_send(&f, "k");
    usleep(100000); /* nobody reads: the terminal is slow */
    fake_expect_exit(&f);
    size_t end = fake_expect(&f, start, "\033\\");
    assert_true(end - start < 150000);
    assert_memory_equal(f.output + end, "\033\\\0338", 4);
    fake_end(&f);
}

static void child_is_refused(void) {
    char why[200];
    term_caps caps;
    setenv("TERM", "dumb", 1);
    NEED(!term_open(COLOR_AUTO, why, sizeof why) && strstr(why, "TERM=dumb"));
    NEED(!term_query(COLOR_AUTO, &caps) && !caps.sixel && caps.colors == 0 && caps.cell_width == 10);
    setenv("TERM", "no-such\033terminal", 1);
    NEED(!term_open(COLOR_AUTO, why, sizeof why) && strstr(why, "no-such?terminal"));
    unsetenv("TERM");
    NEED(!term_open(COLOR_AUTO, why, sizeof why) && strstr(why, "TERM is not set"));
    setenv("TERM", "xterm", 1);
    if (fork() == 0) {
        setsid(); /* no terminal at all */
        NEED(!term_open(COLOR_AUTO, why, sizeof why) && strstr(why, "/dev/tty"));
        NEED(!term_query(COLOR_AUTO, &caps) && !caps.sixel);
        _exit(0);
    }
    int status = -1;
    wait(&status);
    NEED(status == 0);
}

static void refuses_in_words(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_is_refused);
    fake_expect_exit(&f);
    assert_int_equal(f.size, 0); /* not a byte to a terminal that cannot be used */
    assert_true(fake_modes_are(&f, &f.before));
    fake_end(&f);
}

static void draw_rows(char letter) {
    for (int row = 0; row < LINES; row++) {
        for (int column = 0; column < COLS - 1; column++) mvaddch(row, column, (chtype)letter);
        refresh();
    }
}

/* 24 refreshes of a whole row each, which ncurses would write one by one, as "x, and 78 more". */
static void child_draws_a_frame(void) {
    term *t = open_terminal();
    refresh();
    for (const char *letter = "xyz"; *letter; letter++) {
        uint64_t before = term_bytes_written(t);
        term_frame_begin(t);
        draw_rows(*letter);
        NEED(term_bytes_written(t) == before);
        dprintf(2, "ready%c", *letter);
        NEED(next_event(t).key == 'g');
        term_frame_end(t);
        NEED(term_bytes_written(t) > before);
    }
    draw_rows('w'); /* outside of a frame as ever */
    NEED(next_event(t).key == 'q');
    term_close(t);
}

static void frame_is_sent_at_its_end(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_draws_a_frame);
    size_t at = 0;
    for (const char *letter = "xyz"; *letter; letter++) {
        char ready[8] = {'r', 'e', 'a', 'd', 'y', *letter, '\0'}, row[] = {*letter, '\033', '[', '7', '8', 'b', '\0'};
        size_t now = fake_expect(&f, at, ready);
        assert_false(fake_holds(&f, at, row));
        fake_send(&f, "g");
        at = fake_expect(&f, now, row);
    }
    fake_expect(&f, at, "w\033[78b");
    fake_send(&f, "q");
    fake_expect_exit(&f);
    fake_expect_restored(&f, 0);
    fake_end(&f);
}

static void child_queries(void) {
    term_caps caps;
    NEED(term_query(COLOR_AUTO, &caps) && caps.sixel && caps.cell_width == 9 && caps.colors == 256);
    setenv("NO_COLOR", "1", 1);
    NEED(term_query(COLOR_AUTO, &caps) && caps.colors == 0 && caps.sixel);
    NEED(term_query(COLOR_ALWAYS, &caps) && caps.colors == 256);
    unsetenv("NO_COLOR");
    setenv("COLORTERM", "truecolor", 1);
    NEED(term_query(COLOR_AUTO, &caps) && caps.colors == 1 << 24);
    NEED(term_query(COLOR_NEVER, &caps) && caps.colors == 0);
    unsetenv("COLORTERM");
    setenv("TERM", "linux", 1);
    NEED(term_query(COLOR_AUTO, &caps) && caps.colors == 8);
    setenv("TERM", "vt220", 1);
    NEED(term_query(COLOR_AUTO, &caps) && caps.colors == 0);
}

static void queries_without_a_screen(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_queries);
    fake_expect_exit(&f);
    assert_true(fake_modes_are(&f, &f.before));
    assert_false(fake_holds(&f, 0, "\033[?1049h"));
    fake_end(&f);
}

static const answer TMUX[] = {{"\033[c", "\033[?1;2;4c"}, {NULL, NULL}};

static char tools[] = "/tmp/couplet-tmux-XXXXXX";

/* A program tmux that prints this when it is asked who looks on. */
static void install_tmux(const char *script) {
    char path[64];
    snprintf(path, sizeof path, "%s/tmux", tools);
    FILE *file = fopen(path, "w");
    NEED(file && fprintf(file, "#!/bin/sh\n%s\n", script) > 0 && fclose(file) == 0 && chmod(path, 0755) == 0);
}

static void sixel_is(bool wanted, const char *script) {
    term_caps caps;
    install_tmux(script);
    NEED(term_query(COLOR_AUTO, &caps) && caps.sixel == wanted && caps.by_tmux);
}

static void child_is_in_tmux(void) {
    term_caps caps;
    char path[256];
    unsetenv("TMUX");
    NEED(term_query(COLOR_AUTO, &caps) && caps.sixel && !caps.by_tmux); /* as far as is known */
    setenv("TMUX", "/tmp/tmux-0/default,1,0", 1);
    setenv("TMUX_PANE", "%7", 1);
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", tools);
    setenv("PATH", path, 1);
    sixel_is(true, "[ \"$*\" = 'list-clients -F #{client_termfeatures} -t %7' ] && echo 256,sixel,title");
    sixel_is(true, "echo sixel; echo 256,RGB,sixel");
    sixel_is(false, "echo 256,sixel,title; echo 256,title"); /* one who looks on has none */
    sixel_is(false, "echo 256,nosixel,sixels");
    sixel_is(false, "echo");
    sixel_is(false, "true");               /* nobody looks on */
    sixel_is(false, "echo sixel; exit 1"); /* an older one, that does not know what is asked */
    long start = now_ms();
    sixel_is(false, "exec sleep 20"); /* one that hangs */
    NEED(now_ms() - start < 10000);
    start = now_ms();
    sixel_is(false, "sleep 0.1; kill -WINCH $PPID; exec sleep 20"); /* and a signal that comes meanwhile */
    NEED(now_ms() - start < 10000);
    unsetenv("TMUX"); /* by way of ssh only the name is left */
    setenv("TERM", "screen", 1);
    NEED(term_query(COLOR_AUTO, &caps) && !caps.sixel);
}

static void child_paints_in_tmux(void) {
    char path[256];
    setenv("TMUX", "/tmp/tmux-0/default,1,0", 1);
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", tools);
    setenv("PATH", path, 1);
    install_tmux("echo sixel");
    term *t = open_terminal();
    NEED(term_capabilities(t)->sixel);
    NEED(term_paint(t, "\033Pq~\033\\", 6, 1, 1));
    install_tmux("echo sixel; echo 256");
    poll(NULL, 0, 1200); /* it is not asked for every picture */
    NEED(!term_paint(t, "\033Pq~\033\\", 6, 1, 1) && !term_capabilities(t)->sixel);
    NEED(term_resized(t)); /* so that all is drawn in another way */
    term_close(t);
}

static void child_was_started_from_tmux(void) {
    term_caps caps;
    setenv("TMUX", "/tmp/tmux-0/default,1,0", 1);
    NEED(term_query(COLOR_AUTO, &caps) && caps.sixel);
}

/* tmux since 3.4 says that it has sixel, whatever it is shown in; where that has none, it fills the screen with plus signs. */
static void tmux_is_asked_who_looks_on(void **state) {
    (void)state;
    fake f;
    char path[64];
    assert_non_null(mkdtemp(tools));
    fake_start(&f, TMUX, child_is_in_tmux);
    fake_expect_exit(&f);
    fake_end(&f);
    fake_start(&f, TMUX, child_paints_in_tmux);
    fake_expect_exit(&f);
    fake_end(&f);
    snprintf(path, sizeof path, "%s/tmux", tools);
    unlink(path);
    rmdir(tools);
    fake_start(&f, XTERM, child_was_started_from_tmux); /* a window of its own */
    fake_expect_exit(&f);
    fake_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_and_restores),          cmocka_unit_test(silent_terminal_gets_safe_values),
        cmocka_unit_test(hears_keys_mouse_and_paste), cmocka_unit_test(waits_for_other_descriptors),
        cmocka_unit_test(learns_new_size_and_font),   cmocka_unit_test(paints_in_place),
        cmocka_unit_test(measures_a_slow_line),       cmocka_unit_test(knows_light_from_dark),
        cmocka_unit_test(key_ends_a_picture),         cmocka_unit_test(refuses_in_words),
        cmocka_unit_test(queries_without_a_screen),   cmocka_unit_test(frame_is_sent_at_its_end),
        cmocka_unit_test(tmux_is_asked_who_looks_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
