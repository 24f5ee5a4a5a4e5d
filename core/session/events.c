/* events.c: the event queue. It owns the order of events and the memory behind unread ones; what they mean is decided by
 * who posts them. */
#include "events.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../sample/clock.h"
#include "tokens.h"

typedef struct node {
    struct node *next;
    uint64_t order;
    bool answer;
    cpl_event event;
} node;

/* A place for one event; order 0: empty. */
typedef struct slot {
    uint64_t order;
    cpl_event event;
} slot;

struct cpl_events {
    pthread_mutex_t lock;
    int fd;
    uint64_t order; /* of the newest event, from 1 */
    node *first;
    slot progress, loading, preview, lost;
    unsigned lost_count;
    unsigned char *pixels; /* owned: of the preview */
    size_t room;
    int width, height;
};

cpl_events *cpl_events_new(cpl_error *error) {
    cpl_events *events = cpl_alloc(1, sizeof *events, error);
    if (!events) return NULL;
    events->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events->fd < 0) {
        cpl_fail(error, CPL_E_FILE, "no file descriptor for events: %s", strerror(errno));
        free(events);
        return NULL;
    }
    pthread_mutex_init(&events->lock, NULL);
    return events;
}

void cpl_events_free(cpl_events *events) {
    if (!events) return;
    while (events->first) {
        node *next = events->first->next;
        cpl_event_clear(&events->first->event);
        free(events->first);
        events->first = next;
    }
    close(events->fd);
    pthread_mutex_destroy(&events->lock);
    free(events->pixels);
    free(events);
}

int cpl_events_fd(const cpl_events *events) { return events->fd; }

static bool is_empty(const cpl_events *events) {
    return !events->first && !events->progress.order && !events->loading.order && !events->preview.order &&
           !events->lost.order;
}

/* The counter of the descriptor is 1 while events wait, so that it is readable just then. */
static void mark_readable(const cpl_events *events) {
    uint64_t one = 1;
    while (write(events->fd, &one, sizeof one) < 0 && errno == EINTR) {}
}

static void mark_empty(const cpl_events *events) {
    uint64_t count;
    while (read(events->fd, &count, sizeof count) < 0 && errno == EINTR) {}
}

static void remove_node(node **link) {
    node *gone = *link;
    *link = gone->next;
    cpl_event_clear(&gone->event);
    free(gone);
}

/* Only the newest state of the sync is news. */
static bool tells_sync_state(const cpl_event *event, bool answer) {
    return event->type == CPL_EVENT_SYNCED || (event->type == CPL_EVENT_INVALID && !answer);
}

static void drop_old_sync_state(cpl_events *events) {
    for (node **link = &events->first; *link;) {
        if (tells_sync_state(&(*link)->event, (*link)->answer))
            remove_node(link);
        else
            link = &(*link)->next;
    }
}

/* Something that a run told beside its progress: its pictures and ends. INVALID without a call is the sync's. */
static bool tells_result(const node *n) {
    cpl_event_type type = n->event.type;
    return n->answer || (type >= CPL_EVENT_FINISHED && type != CPL_EVENT_INVALID);
}

/* Takes back the start of the newest run, if nobody has seen it and nothing came of it. True if there was one. */
static bool drop_unseen_start(cpl_events *events) {
    node **link = &events->first, **found = NULL;
    for (; *link; link = &(*link)->next)
        if ((*link)->event.type == CPL_EVENT_STARTED)
            found = link;
        else if (tells_result(*link))
            found = NULL;
    if (!found) return false;
    uint64_t start = (*found)->order;
    remove_node(found);
    if (events->progress.order > start) events->progress.order = 0;
    if (events->preview.order > start) events->preview.order = 0;
    return true;
}

static void append(cpl_events *events, node *n) {
    node **link = &events->first;
    while (*link) link = &(*link)->next;
    *link = n;
}

static void note_lost(cpl_events *events, const cpl_event *event) {
    events->lost_count++;
    events->lost.order = ++events->order;
    events->lost.event = (cpl_event){.type = CPL_EVENT_FAILED, .revision = event->revision, .hash = event->hash};
    cpl_fail(&events->lost.event.error, CPL_E_MEMORY, "out of memory while an event was posted; its result is lost");
}

static bool has_slot(cpl_event_type type) { return type == CPL_EVENT_PROGRESS || type == CPL_EVENT_LOADING; }

/* Under the lock: puts the event where it belongs. */
static void place(cpl_events *events, const cpl_event *event, bool answer, node *n) {
    if (has_slot(event->type)) {
        *(event->type == CPL_EVENT_PROGRESS ? &events->progress : &events->loading) = (slot){++events->order, *event};
        return;
    }
    if (event->type == CPL_EVENT_CANCELLED && !answer && drop_unseen_start(events)) {
        free(n);
        return;
    }
    if (tells_sync_state(event, answer)) drop_old_sync_state(events);
    if (!n) {
        if (event->type >= CPL_EVENT_FINISHED) note_lost(events, event);
        return;
    }
    *n = (node){.order = ++events->order, .answer = answer, .event = *event};
    append(events, n);
}

void cpl_events_post(cpl_events *events, cpl_event *event, bool answer) {
    node *n = has_slot(event->type) ? NULL : cpl_alloc(1, sizeof *n, NULL);
    bool kept = n || has_slot(event->type);
    pthread_mutex_lock(&events->lock);
    bool was_empty = is_empty(events);
    place(events, event, answer, n);
    if (was_empty && !is_empty(events)) mark_readable(events);
    if (!was_empty && is_empty(events)) mark_empty(events);
    pthread_mutex_unlock(&events->lock);
    if (!kept) cpl_event_clear(event);
    *event = (cpl_event){0};
}

bool cpl_events_reserve_preview(cpl_events *events, int width, int height, cpl_error *error) {
    size_t need = (size_t)width * (size_t)height * 3;
    bool done = true;
    pthread_mutex_lock(&events->lock);
    if (need > events->room) {
        unsigned char *pixels = cpl_alloc(need, 1, error);
        done = pixels != NULL;
        if (done) {
            if (events->preview.order) memcpy(pixels, events->pixels, events->room);
            free(events->pixels);
            events->pixels = pixels;
            events->room = need;
        }
    }
    pthread_mutex_unlock(&events->lock);
    return done;
}

void cpl_events_post_preview(cpl_events *events, const cpl_event *event, const unsigned char *rgb, int width,
                             int height) {
    size_t bytes = (size_t)width * (size_t)height * 3;
    pthread_mutex_lock(&events->lock);
    if (bytes <= events->room) {
        bool was_empty = is_empty(events);
        memcpy(events->pixels, rgb, bytes);
        events->width = width;
        events->height = height;
        events->preview = (slot){++events->order, *event};
        if (was_empty) mark_readable(events);
    }
    pthread_mutex_unlock(&events->lock);
}

bool cpl_events_wait(const cpl_events *events, int timeout_ms) {
    struct pollfd poll_fd = {.fd = events->fd, .events = POLLIN};
    double end_ms = cpl_now_ms() + timeout_ms;
    for (;;) {
        int ready = poll(&poll_fd, 1, timeout_ms);
        if (ready >= 0) return ready > 0;
        if (errno != EINTR) return false;
        if (timeout_ms < 0) continue;
        double left_ms = end_ms - cpl_now_ms();
        timeout_ms = left_ms > 0 ? (int)left_ms + 1 : 0;
    }
}

static bool is_oldest(uint64_t order, const cpl_events *events) {
    const slot *slots[] = {&events->progress, &events->loading, &events->preview, &events->lost};
    if (!order) return false;
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        if (slots[i]->order && slots[i]->order < order) return false;
    return !events->first || events->first->order >= order;
}

/* False where there is no memory for the image: a preview may be missed. */
static bool take_preview(cpl_events *events, cpl_event *event) {
    *event = events->preview.event;
    events->preview.order = 0;
    event->image = cpl_image_new(events->width, events->height, NULL);
    if (!event->image) return false;
    memcpy(event->image->rgb, events->pixels, (size_t)events->width * (size_t)events->height * 3);
    return true;
}

static bool take_oldest(cpl_events *events, cpl_event *event) {
    slot *news[] = {&events->progress, &events->loading};
    for (int i = 0; i < 2; i++)
        if (is_oldest(news[i]->order, events)) {
            *event = news[i]->event;
            news[i]->order = 0;
            return true;
        }
    if (is_oldest(events->preview.order, events)) return take_preview(events, event);
    if (is_oldest(events->lost.order, events)) {
        *event = events->lost.event;
        if (--events->lost_count == 0) events->lost.order = 0;
        return true;
    }
    node *n = events->first;
    *event = n->event;
    events->first = n->next;
    free(n);
    return true;
}

bool cpl_events_next(cpl_events *events, cpl_event *event) {
    bool found = false;
    *event = (cpl_event){0};
    pthread_mutex_lock(&events->lock);
    if (!is_empty(events)) {
        while (!found && !is_empty(events)) found = take_oldest(events, event);
        if (is_empty(events)) mark_empty(events);
    }
    pthread_mutex_unlock(&events->lock);
    return found;
}

void cpl_event_clear(cpl_event *event) {
    cpl_image_free(event->image);
    free(event->lines);
    cpl_line_texts_free(event->line_texts, event->line_text_count);
    for (int i = 0; i < event->text_count; i++) {
        free((char *)event->texts[i].key);
        free((char *)event->texts[i].value);
    }
    free(event->texts);
    *event = (cpl_event){0};
}
