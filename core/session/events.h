/* events.h: the queue from the worker to whoever polls its file descriptor.
 *
 * A slow reader costs no memory that grows: progress, loading and previews have one place each, in which the newest stands; what
 * only tells the state of the sync is replaced by newer news of the kind; a live run whose start nobody saw takes its
 * start along when it is cancelled. Answers to calls, pictures and failures are never dropped. Any thread may post, one reads. */
#ifndef CPL_SESSION_EVENTS_H
#define CPL_SESSION_EVENTS_H

#include "../memory/error.h"

typedef struct cpl_events cpl_events;
cpl_events *cpl_events_new(cpl_error *error);
void cpl_events_free(cpl_events *events);
int cpl_events_fd(const cpl_events *events);

/* Takes over what the event owns and empties it. Never fails: without memory for it, an event that ends something is read
 * as FAILED with CPL_E_MEMORY, and news on the way are missed. `answer`: it ends a run that cpl_session_generate asked for. */
void cpl_events_post(cpl_events *events, cpl_event *event, bool answer);
/* Room for previews of this size, so that posting one allocates nothing. */
bool cpl_events_reserve_preview(cpl_events *events, int width, int height, cpl_error *error);
/* Copies the pixels; they become an image when the event is read. */
void cpl_events_post_preview(cpl_events *events, const cpl_event *event, const unsigned char *rgb, int width,
                             int height);

bool cpl_events_wait(const cpl_events *events, int timeout_ms);
bool cpl_events_next(cpl_events *events, cpl_event *event);

#endif
