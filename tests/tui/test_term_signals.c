/* Whatever ends, stops or frightens the program: the terminal is as it was, and who watches the program is told the
 * truth about how it ended. */
#include "fake_terminal.h"

#include <pthread.h>

static void child_waits_for_a_signal(void) {
    term *t = open_terminal();
    dprintf(2, "ready");
    while (!term_quit_signal(t)) term_poll(t, NULL, 0, -1);
    int number = term_quit_signal(t);
    term_close(t);
    _exit(number);
}

static void requests_to_quit_are_told(void **state) {
    (void)state;
    static const int SIGNALS[] = {SIGTERM, SIGHUP, SIGINT};
    for (size_t i = 0; i < sizeof SIGNALS / sizeof SIGNALS[0]; i++) {
        fake f;
        fake_start(&f, XTERM, child_waits_for_a_signal);
        size_t ready = fake_expect(&f, 0, "ready");
        kill(f.child, SIGNALS[i]);
        int status = fake_wait(&f);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SIGNALS[i]);
        fake_expect_restored(&f, ready);
        fake_end(&f);
    }
}

static void child_ignores_hang_up(void) {
    signal(SIGHUP, SIG_IGN);
    child_waits_for_a_signal();
}

static void vanished_terminal_is_a_hang_up(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_ignores_hang_up); /* as under nohup: only the end of the line tells */
    fake_expect(&f, 0, "ready");
    close(f.slave);
    close(f.master);
    int status = -1;
    long end = now_ms() + 10000;
    while (waitpid(f.child, &status, WNOHANG) == 0 && now_ms() < end) usleep(10000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SIGHUP);
    free(f.output);
}

static volatile int *volatile nowhere;

/* A real fault: the sanitizer must not see it coming and exit in its own way. */
__attribute__((no_sanitize("undefined"))) static void *fault(void *user) {
    *nowhere = 1;
    return user;
}

static void child_faults(void) {
    open_terminal();
    fault(NULL);
}

static void child_faults_in_a_thread(void) {
    open_terminal();
    pthread_t thread;
    pthread_create(&thread, NULL, fault, NULL);
    pthread_join(thread, NULL);
}

static void child_aborts(void) {
    open_terminal();
    abort();
}

static void child_is_sent_a_fault(void) {
    open_terminal();
    raise(SIGBUS);
}

static int overflow(int depth) {
    volatile char frame[4096];
    frame[0] = (char)depth;
    return depth > 1 << 28 ? 0 : overflow(depth + 1) + frame[0];
}

static void child_overflows_its_stack(void) {
    open_terminal();
    overflow(0);
}

static void crashes_restore_and_stay_crashes(void **state) {
    (void)state;
    static const struct {
        void (*child)(void);
        int number;
        const char *report;
    } CRASHES[] = {
        {child_faults, SIGSEGV, "crashed (SIGSEGV"},
        {child_faults_in_a_thread, SIGSEGV, "crashed (SIGSEGV"},
        {child_aborts, SIGABRT, "crashed (SIGABRT"},
        {child_is_sent_a_fault, SIGBUS, "crashed (SIGBUS"},
        {child_overflows_its_stack, SIGSEGV, "crashed (SIGSEGV"},
    };
    for (size_t i = 0; i < sizeof CRASHES / sizeof CRASHES[0]; i++) {
        fake f;
        fake_start(&f, XTERM, CRASHES[i].child);
        int status = fake_wait(&f);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), CRASHES[i].number);
        size_t on = fake_expect(&f, 0, "\033[?1002h");
        fake_expect_restored(&f, on);
        size_t back = fake_expect(&f, on, "\033[?1049l");
        fake_expect(&f, back, CRASHES[i].report); /* on the normal screen, where it can be read */
        fake_end(&f);
    }
}

static void child_paints_for_ever(void) {
    term *t = open_terminal();
    cpl_image *image = cpl_image_new(800, 600, NULL);
    picture_sixel sixel;
    for (size_t i = 0; i < 800 * 600 * 3; i++) image->rgb[i] = (unsigned char)((i * 2654435761u) >> 13);
    NEED(picture_encode(image, 800, 600, 256, true, &sixel, NULL));
    dprintf(2, "ready");
    for (;;) picture_paint(t, &sixel, 0, 0);
}

static void crash_inside_a_picture_ends_it_first(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_paints_for_ever);
    size_t ready = fake_expect(&f, 0, "ready"), string = fake_expect(&f, ready, "\033P");
    /* Nobody reads the rest, which is more than a line holds: the program is stuck within the string, whenever that is. */
    kill(f.child, SIGSEGV);
    int status = fake_wait(&f);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    size_t end = fake_expect(&f, string, "\033\\");
    assert_int_equal(fake_expect(&f, string, "\033[?2026l"), end + 2);
    fake_expect_restored(&f, end);
    fake_end(&f);
}

/* A terminal that is busy with a picture answers late; what it says then is not for the shell. */
static void crash_waits_for_a_late_reply(void **state) {
    (void)state;
    answer late[sizeof XTERM / sizeof XTERM[0]];
    int count = 0;
    for (const answer *a = XTERM; a->query; a++)
        if (strcmp(a->query, "\033[5n") != 0) late[count++] = *a;
    late[count] = (answer){NULL, NULL};
    fake f;
    fake_start(&f, late, child_waits_for_a_signal);
    size_t ready = fake_expect(&f, 0, "ready");
    kill(f.child, SIGSEGV);
    fake_expect(&f, ready, "\033[5n");
    usleep(900000);
    assert_int_equal(waitpid(f.child, &f.status, WNOHANG), 0);
    fake_send(&f, "\033[2;1R\033[0n");
    int status = fake_wait(&f);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    fake_expect_restored(&f, ready);
    fake_end(&f);
}

static void child_exits(void) {
    static term *volatile left_open; /* reachable, for a leak checker */
    left_open = open_terminal();
    exit(left_open == NULL);
}

static void child_is_killed_softly(void) {
    open_terminal();
    raise(SIGUSR1);
}

static void other_ends_restore_too(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_exits);
    fake_expect_exit(&f);
    fake_expect_restored(&f, 0);
    fake_end(&f);
    fake_start(&f, XTERM, child_is_killed_softly);
    int status = fake_wait(&f);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    fake_expect_restored(&f, 0);
    assert_false(fake_holds(&f, 0, "crashed"));
    fake_end(&f);
}

/* A terminal that takes no byte any more: the third request is obeyed without it. */
static void child_hangs(void) {
    open_terminal();
    dprintf(2, "ready");
    for (;;) pause();
}

static void hung_program_can_be_ended(void **state) {
    (void)state;
    fake f;
    fake_start(&f, XTERM, child_hangs);
    size_t ready = fake_expect(&f, 0, "ready");
    for (int i = 0; i < 3; i++) {
        kill(f.child, SIGTERM);
        usleep(100000);
    }
    int status = fake_wait(&f);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    fake_expect_restored(&f, ready);
    fake_end(&f);
}

/* A job of a small shell: its own process group in the foreground, stopped and continued. */
static struct termios shell_modes;
static const char *job_runs; /* a program; NULL: it stops by itself */
static void child_is_a_shell(void) {
    tcgetattr(0, &shell_modes);
    signal(SIGTTOU, SIG_IGN);
    pid_t job = fork();
    if (job == 0) {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        term *t = open_terminal();
        dprintf(2, "ready");
        input_event e = next_event(t);
        char why[200] = "";
        if (e.key == 26) term_suspend(t);
        if (job_runs) NEED(term_run(t, job_runs, "", why, sizeof why));
        while (!term_resized(t)) term_poll(t, NULL, 0, 100);
        dprintf(2, "back");
        e = next_event(t);
        NEED(e.key == 'q');
        term_close(t);
        _exit(0);
    }
    for (int stops = 0;; stops++) {
        int status;
        struct termios is;
        NEED(waitpid(job, &status, WUNTRACED) == job);
        if (!WIFSTOPPED(status)) {
            NEED(stops == 1 && status == 0);
            return;
        }
        tcsetpgrp(0, getpgrp());
        NEED(tcgetattr(0, &is) == 0 && is.c_lflag == shell_modes.c_lflag && is.c_iflag == shell_modes.c_iflag);
        dprintf(2, "stopped");
        usleep(50000);
        tcsetpgrp(0, job);
        kill(-job, SIGCONT);
    }
}

static void suspend_gives_the_terminal_back(void **state) {
    (void)state;
    for (int by_signal = 0; by_signal < 2; by_signal++) {
        fake f;
        fake_start(&f, XTERM, child_is_a_shell);
        size_t ready = fake_expect(&f, 0, "ready");
        if (by_signal) {
            pid_t job = tcgetpgrp(f.master);
            assert_true(job > 0);
            kill(job, SIGTSTP);
            fake_expect(&f, ready, "stopped");
            fake_send(&f, "x"); /* next_event waits for a key */
        } else {
            fake_send(&f, "\x1a");
        }
        size_t stopped = fake_expect(&f, ready, "stopped");
        fake_expect(&f, ready, "\033[?1002l");
        assert_true(fake_expect(&f, ready, "\033[?1049l") < stopped);
        size_t back = fake_expect(&f, stopped, "back");
        assert_true(fake_expect(&f, stopped, "\033[?1049h") < back);
        assert_true(fake_expect(&f, stopped, "\033[?1002h") < back);
        assert_false(fake_modes_are(&f, &f.before));
        fake_send(&f, "q");
        fake_expect_exit(&f);
        fake_expect_restored(&f, back);
        fake_end(&f);
    }
}

/* As after system(3): the shell gets the terminal, whether all of the job is stopped or the program alone, and once. */
static void a_program_that_stops_takes_us_with_it(void **state) {
    (void)state;
    static const char *const programs[] = {"kill -TSTP 0; echo goes on; true", "kill -STOP $$; echo goes on; true"};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        fake f;
        job_runs = programs[i];
        fake_start(&f, XTERM, child_is_a_shell);
        size_t ready = fake_expect(&f, 0, "ready");
        fake_send(&f, "x");
        size_t stopped = fake_expect(&f, ready, "stopped");
        size_t goes_on = fake_expect(&f, stopped, "goes on");
        size_t back = fake_expect(&f, goes_on, "back");
        assert_true(fake_expect(&f, goes_on, "\033[?1002h") < back);
        fake_send(&f, "q");
        fake_expect_exit(&f);
        fake_expect_restored(&f, back);
        fake_end(&f);
    }
    job_runs = NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_to_quit_are_told),
        cmocka_unit_test(vanished_terminal_is_a_hang_up),
        cmocka_unit_test(crashes_restore_and_stay_crashes),
        cmocka_unit_test(crash_inside_a_picture_ends_it_first),
        cmocka_unit_test(crash_waits_for_a_late_reply),
        cmocka_unit_test(other_ends_restore_too),
        cmocka_unit_test(hung_program_can_be_ended),
        cmocka_unit_test(suspend_gives_the_terminal_back),
        cmocka_unit_test(a_program_that_stops_takes_us_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
