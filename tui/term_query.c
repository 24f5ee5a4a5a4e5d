/* term_query.c: what this terminal can do, asked of the environment, terminfo, the kernel and the terminal itself. One
 * batch of queries is ended by DA1, which every terminal answers: when that reply is here, all others are. */
#include "term_private.h"
#include "term_tmux.h"

#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Cell size, text area, sixel registers, largest sixel, synchronised output. Some terminals print the 'p' of the last
 * one: what stands right of the cursor is wiped. */
const char TERM_QUERIES[] = "\0337\033[16t\033[14t\033[?1;1;0S\033[?2;4;0S\033[?2026$p\0338\033[K\033[c";
const char TERM_QUERY_CELL[] = "\033[16t\033[14t";
const char TERM_FENCE[] = "\033[c";

/* What a terminal makes of it that does not know such strings is wiped. The Linux console's kernel takes some for orders to
 * change its palette. */
const char *term_query_background(const char *name) {
    return name && !strncmp(name, "linux", 5) ? "" : "\0337\033]11;?\033\\\0338\033[K";
}

static bool set(const char *variable) {
    const char *value = getenv(variable);
    return value && value[0];
}

static int text_colors(color_choice color, int terminfo_colors) {
    if (color == COLOR_NEVER || (color == COLOR_AUTO && set("NO_COLOR"))) return 0;
    const char *direct = getenv("COLORTERM");
    if (direct && (!strcmp(direct, "truecolor") || !strcmp(direct, "24bit"))) return 1 << 24;
    if (terminfo_colors >= 1 << 24) return 1 << 24;
    if (terminfo_colors >= 256) return 256;
    if (terminfo_colors >= 16) return 16;
    if (terminfo_colors >= 8) return 8;
    return color == COLOR_ALWAYS ? 16 : 0;
}

/* rxvt, konsole and others tell "FOREGROUND;BACKGROUND" or "FOREGROUND;default;BACKGROUND" as numbers of the palette: 7 and what
 * is above 8 are light. */
static bool light_by_environment(void) {
    const char *value = getenv("COLORFGBG"), *last = value ? strrchr(value, ';') : NULL;
    if (!last || !last[1] || strspn(last + 1, "0123456789") < strlen(last + 1)) return false;
    int background = atoi(last + 1);
    return background == 7 || (background > 8 && background < 16);
}

void term_caps_start(term_caps *caps, color_choice color, const char *name, const term_info *info) {
    *caps = (term_caps){
        .cell_width = 10, .cell_height = 20, .sixel_registers = 256, .sixel_max_width = 1000, .sixel_max_height = 1000};
    caps->colors = text_colors(color, info->colors);
    caps->light = light_by_environment();
    caps->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    snprintf(caps->name, sizeof caps->name, "%s", name ? name : "");
}

static bool plausible(int width, int height) {
    return width >= 3 && width <= 128 && height >= 5 && height <= 256 && height >= width * 4 / 5 && height <= width * 4;
}

static bool set_cell(term_caps *caps, int width, int height) {
    if (!plausible(width, height)) return false;
    caps->cell_width = width;
    caps->cell_height = height;
    return caps->cell_known = true;
}

/* CSI 16 t is exact. The kernel's pixels count the window's border too; dividing as integers takes that off. */
void term_caps_cell(term_caps *caps, const tty *y, const term_answers *answers) {
    struct winsize size;
    if (answers->pixels_by_16t || ioctl(y->fd, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row) return;
    if (set_cell(caps, size.ws_xpixel / size.ws_col, size.ws_ypixel / size.ws_row)) return;
    set_cell(caps, answers->text_width / size.ws_col, answers->text_height / size.ws_row);
}

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

static void graphics_reply(term_caps *caps, const input_event *event) {
    const int *value = event->value; /* item, status (0: well), values */
    if (event->values < 3 || value[1] != 0) return;
    if (value[0] == 1 && value[2] > 1) caps->sixel_registers = clamp(value[2], 2, 256);
    if (value[0] == 2 && event->values >= 4 && value[2] > 0 && value[3] > 0) {
        caps->sixel_max_width = clamp(value[2], 16, 4096);
        caps->sixel_max_height = clamp(value[3], 16, 4096);
    }
}

/* tmux since 3.4 claims sixel in the way of a VT100, which had none, and cannot know who will look on: a client without it
 * gets plus signs all over the screen instead. A terminal that was only started from within tmux is of a higher class. */
static bool is_tmux(const term_caps *caps, int class) {
    return class == 1 && (set("TMUX") || !strncmp(caps->name, "tmux", 4) || !strncmp(caps->name, "screen", 6));
}

/* The first number is the terminal's class. Of tmux on another machine nothing can be learned. */
static void take_attributes(term_caps *caps, const input_event *event) {
    bool sixel = false;
    for (int i = 1; i < event->values; i++) sixel |= event->value[i] == 4;
    caps->by_tmux = sixel && is_tmux(caps, event->value[0]) && set("TMUX");
    if (caps->by_tmux)
        sixel = term_tmux_shows_sixel();
    else if (is_tmux(caps, event->value[0]))
        sixel = false;
    caps->sixel = sixel;
}

bool term_caps_reply(term_caps *caps, term_answers *answers, const input_event *event) {
    const int *value = event->value;
    switch (event->reply_kind) {
    case 'c':
        answers->fence = true;
        take_attributes(caps, event);
        return true;
    case 't':
        if (value[0] == 6 && event->values >= 3) answers->pixels_by_16t |= set_cell(caps, value[2], value[1]);
        if (value[0] == 4 && event->values >= 3) {
            answers->text_height = clamp(value[1], 0, 1 << 16);
            answers->text_width = clamp(value[2], 0, 1 << 16);
        }
        return value[0] == 6 || value[0] == 4;
    case ']':
        caps->light = value[1] * 30 + value[2] * 59 + value[3] * 11 > 50 * 255;
        return true;
    case 'S':
        graphics_reply(caps, event);
        return true;
    case 'y':
        if (event->reply_prefix == '?' && value[0] == 2026) caps->sync_updates = value[1] == 1 || value[1] == 2;
        return true;
    default:
        return false;
    }
}

/* Only for commands that print and end: what is typed meanwhile is lost, which takes a few milliseconds. */
static bool ask(tty *y, term_caps *caps) {
    term_answers answers = {0};
    bool interrupted = false;
    int64_t end = term_clock_ms() + TERM_QUERY_MS;
    const char *background = term_query_background(caps->name);
    tty_write(y, background, strlen(background), NULL, NULL);
    tty_write(y, TERM_QUERIES, strlen(TERM_QUERIES), NULL, NULL);
    while (!answers.fence && !y->gone) {
        struct pollfd ready = {.fd = y->fd, .events = POLLIN};
        int left = (int)(end - term_clock_ms());
        if (left <= 0) break;
        if (poll(&ready, 1, left) > 0) tty_read(y);
        input_event event;
        while (input_next(y->parser, false, &event)) {
            if (event.type == INPUT_REPLY) term_caps_reply(caps, &answers, &event);
            interrupted |= event.type == INPUT_KEY && event.key == 3;
            input_event_clear(&event);
        }
    }
    term_caps_cell(caps, y, &answers);
    return !interrupted;
}

bool term_query(color_choice color, term_caps *caps) {
    const char *name = getenv("TERM");
    term_info info;
    tty y;
    char why[160];
    term_info_read(name, &info);
    term_caps_start(caps, color, name, &info);
    if (!info.known || !tty_open(&y, why, sizeof why)) return false;
    int wake_fd;
    /* A background job that touches the terminal would be stopped for it. */
    bool front = tcgetpgrp(y.fd) == getpgrp() && term_signals_take(&wake_fd);
    if (front) {
        term_crash_arm(y.fd, &y.saved, "");
        bool interrupted = tty_raw(&y) && !ask(&y, caps);
        tty_restore(&y);
        term_crash_disarm();
        int signal = term_signals_flag(FLAG_QUIT, true);
        term_signals_give_back();
        if (signal || interrupted) raise(signal ? signal : SIGINT);
    }
    tty_close(&y);
    return front;
}
