/* picture_encoder.c: a thread that encodes pictures, so that a key never waits for one. It holds one picture to do and one
 * result; the newest wins in both places. It never touches the terminal. */
#include "picture_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct job {
    cpl_image *image;
    int width, height, colors;
    bool diffuse;
    uint64_t tag;
} job;

struct picture_encoder {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool end;
    job waiting;          /* image NULL: none */
    picture_sixel result; /* bytes NULL: none */
    uint64_t result_tag;
    int fd; /* readable while a result lies here */
};

static void publish(picture_encoder *e, picture_sixel sixel, uint64_t tag) {
    picture_sixel_clear(&e->result);
    e->result = sixel;
    e->result_tag = tag;
    uint64_t one = 1;
    while (write(e->fd, &one, sizeof one) < 0 && errno == EINTR) {}
}

static void *run(void *user) {
    picture_encoder *e = user;
    pthread_mutex_lock(&e->lock);
    while (!e->end) {
        if (!e->waiting.image) {
            pthread_cond_wait(&e->work, &e->lock);
            continue;
        }
        job now = e->waiting;
        e->waiting = (job){0};
        pthread_mutex_unlock(&e->lock);
        picture_sixel sixel;
        bool done = picture_encode(now.image, now.width, now.height, now.colors, now.diffuse, &sixel, NULL);
        cpl_image_free(now.image);
        pthread_mutex_lock(&e->lock);
        if (done) publish(e, sixel, now.tag);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* Signals belong to the UI thread. Not the faults: one that is blocked ends the process without its handler, and the
 * terminal would stay as it is. */
static int start_thread(picture_encoder *e) {
    static const int FAULTS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof FAULTS / sizeof FAULTS[0]; i++) sigdelset(&blocked, FAULTS[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failed = pthread_create(&e->thread, NULL, run, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

picture_encoder *picture_encoder_new(cpl_error *error) {
    picture_encoder *e = calloc(1, sizeof *e);
    if (!e) {
        picture_fail(error, "out of memory");
        return NULL;
    }
    e->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    if (e->fd >= 0 && start_thread(e) == 0) return e;
    picture_fail(error, "no thread or descriptor is left for showing pictures");
    if (e->fd >= 0) close(e->fd);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
    free(e);
    return NULL;
}

void picture_encoder_free(picture_encoder *e) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    e->end = true;
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
    cpl_image_free(e->waiting.image);
    picture_sixel_clear(&e->result);
    close(e->fd);
    free(e);
}

int picture_encoder_fd(const picture_encoder *e) { return e->fd; }

bool picture_encoder_put(picture_encoder *e, const cpl_image *image, int width_px, int height_px, int colors,
                         bool diffuse, uint64_t tag) {
    cpl_image *copy = cpl_image_copy(image, NULL);
    if (!copy) return false;
    pthread_mutex_lock(&e->lock);
    cpl_image *replaced = e->waiting.image;
    e->waiting = (job){copy, width_px, height_px, colors, diffuse, tag};
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
    cpl_image_free(replaced);
    return true;
}

bool picture_encoder_take(picture_encoder *e, picture_sixel *sixel, uint64_t *tag) {
    pthread_mutex_lock(&e->lock);
    bool there = e->result.bytes != NULL;
    if (there) {
        uint64_t count;
        while (read(e->fd, &count, sizeof count) < 0 && errno == EINTR) {}
        *sixel = e->result;
        *tag = e->result_tag;
        e->result = (picture_sixel){0};
    }
    pthread_mutex_unlock(&e->lock);
    return there;
}
