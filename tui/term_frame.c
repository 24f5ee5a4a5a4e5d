/* term_frame.c: all that ncurses writes for one frame goes to the terminal in one piece. ncurses writes after each row or
 * motion of the cursor, and a frame of a hundred writes can be a hundred packets through ssh. So its descriptor is a file in
 * memory while it draws. */
#include <ncurses.h>

#include "term_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

void frame_open(frame *f, FILE *file) {
    *f = (frame){.screen = fileno(file)};
    f->memory = memfd_create("frame", MFD_CLOEXEC);
    f->tty = f->memory < 0 ? -1 : fcntl(f->screen, F_DUPFD_CLOEXEC, 0);
}

void frame_close(frame *f) {
    if (f->memory >= 0) close(f->memory);
    if (f->tty >= 0) close(f->tty);
    *f = (frame){.memory = -1, .tty = -1};
}

static bool redirect(int from, int to) {
    int done;
    while ((done = dup3(from, to, O_CLOEXEC)) < 0 && (errno == EINTR || errno == EBUSY)) {}
    return done >= 0;
}

/* Without memory for it a frame goes out as ncurses writes it. After endwin() ncurses sets modes of its descriptor first. */
void term_frame_begin(term *t) {
    frame *f = &t->frame;
    f->begun = f->tty >= 0 && !isendwin() && redirect(f->memory, f->screen);
}

void term_frame_end(term *t) {
    frame *f = &t->frame;
    char bytes[16384];
    if (!f->begun) return;
    f->begun = false;
    redirect(f->tty, f->screen);
    off_t size = lseek(f->memory, 0, SEEK_CUR);
    for (off_t at = 0; at < size;) {
        size_t piece = size - at < (off_t)sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        ssize_t count = pread(f->memory, bytes, piece, at);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0 || !term_write(t, bytes, (size_t)count)) break;
        at += count;
    }
    lseek(f->memory, 0, SEEK_SET);
}
