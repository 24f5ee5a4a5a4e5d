/* session.h: what the files of this room share: one session, and who may touch which part of it.
 *
 * The calling thread hands snapshots over and asks for runs; the worker thread alone touches engine, caches and stream.
 * Between them stand one mutex (`lock`, never held during work), the event queue and an atomic flag that everything on
 * the stream asks. */
#ifndef CPL_SESSION_SESSION_H
#define CPL_SESSION_SESSION_H

#include <pthread.h>

#include "context.h"
#include "events.h"
#include "prepare.h"
#include "snapshot.h"

struct cpl_session {
    /* Fixed once the worker runs. */
    const cpl_backend_ops *ops;
    cpl_backend_config config;
    cpl_surroundings around;
    char *tokenizer, *dump, *lora_dir, *embedding_dir; /* owned, may be NULL */
    int debounce_ms, preview_every;                    /* preview_every 0: none */
    int trim_after_ms;
    size_t vae_pixels; /* as cpl_decode_latent takes them */
    uint64_t cache_bytes;
    char passed_over[200]; /* why the device is not the one that would have been taken first; "": it is */
    cpl_log_fn *log;
    void *log_user;
    cpl_events *events; /* owned; has a lock of its own */
    pthread_t thread;

    /* The calling thread's. */
    cpl_lookup lookup;
    cpl_layout *handed; /* owned: what was handed over last */

    /* Under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    cpl_snapshot *pending;   /* owned: newer than what the worker holds, or NULL */
    double settle_ms;        /* when `pending` counts as settled */
    uint64_t revision, hash; /* of the newest snapshot that was handed over; revision 0: none */
    bool asked;              /* a run was asked for that has not begun */
    bool live, live_due;     /* live_due: a picture is owed: it was switched on, or the last one took edits up */
    int64_t live_seed;       /* of that picture, where the layout has its seed drawn; CPL_SEED_RANDOM: drawn */
    uint64_t splicing;       /* frame of the run whose next step may take a newer snapshot up; 0: none may */
    bool running;            /* the worker is at a run: cancelling means something */
    bool loading;            /* the worker is at loading a model, of `loading_identity` */
    bool stopped;            /* somebody cancelled while it was */
    bool awaited;            /* a run was asked for that waits for this model */
    bool quit;
    uint64_t loading_identity;

    atomic_bool cancelled;      /* written under `lock`, read by everything that runs on the stream */
    atomic_bool load_cancelled; /* the same for the loading of a model: a run that lost its purpose may still need it */

    pthread_mutex_t stats_lock;
    cpl_stats stats; /* under stats_lock: as last published */

    /* The worker's. */
    cpl_context context;
    cpl_snapshot *current; /* owned: the newest one that was picked up */
    cpl_prepared prepared; /* of `prepared_revision`, the last good one */
    uint64_t prepared_revision, finished_revision;
    uint64_t start_seen;     /* stamp of the last picture to begin with that could be read */
    uint64_t memory_retries; /* jobs that were tried a second time */
    cpl_stats working;       /* what will be published next */
};

void *cpl_worker_main(void *session);
/* Says something through the caller's log. */
void cpl_session_say(const cpl_session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Worker: tells that the core holds the current snapshot. */
void cpl_session_post_synced(cpl_session *session);
/* Worker: reads the counters of stream and caches and shows them to callers. */
void cpl_session_publish_stats(cpl_session *session);

#endif
