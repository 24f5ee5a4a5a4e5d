/* The promise that a picture is always of the layout that was handed over. Hundreds of random edits run against runs,
 * cancels and live mode, with events read late, early or in the middle of a run. Every state that is handed over is kept, so
 * that whatever comes back can be held against it: hash, revision, and for a sample of the pictures a fresh render. */
#include "session_test.h"

#include <math.h>

enum { EDITS = 400, MAX_ROWS = 5, COMPARE_EVERY = 2 };

typedef struct handed {
    uint64_t hash;
    cpl_layout *layout;
    bool valid, mixed; /* mixed: handed over again with the same pixels, once right and once wrong */
} handed;

typedef struct play {
    cpl_session *session;
    cpl_layout *layout;
    uint32_t random;
    handed states[EDITS + 2]; /* by revision */
    uint64_t newest;
    uint64_t running; /* revision of the run that STARTED told, 0: none */
    int finished, compared, cancelled, invalid, synced;
} play;

static unsigned dice(play *p, unsigned sides) { return test_random(&p->random) % sides; }

/* ---- Edits ---- */

static const char *const prompts[] = {"a cat, night sky", "a dog, on grass", "a boat, sea",     "two red hearts",
                                      "a sun, sunset",    "a fox",           "a flying saucer", ""};

static void set_prompt(play *p, cpl_region *region) {
    assert_true(cpl_text_set(&region->prompt, prompts[dice(p, sizeof prompts / sizeof *prompts)], NULL));
}

static cpl_region *any_row(play *p) { return &p->layout->regions[dice(p, (unsigned)p->layout->region_count)]; }

/* Mostly sound rectangles, now and then one that is reversed or leaves a hole. */
static void edit_rect(play *p) {
    cpl_region *region = any_row(p);
    double a = dice(p, 9) / 8.0, b = dice(p, 9) / 8.0;
    bool across = dice(p, 2), reversed = dice(p, 12) == 0;
    double low = fmin(a, b), high = fmax(a, b) + (a == b ? 0.125 : 0);
    if (high > 1) low -= 0.125, high = 1;
    *(across ? &region->x1 : &region->y1) = reversed ? high : low;
    *(across ? &region->x2 : &region->y2) = reversed ? low : high;
}

static void edit_prompt(play *p) { set_prompt(p, any_row(p)); }

static void edit_weight(play *p) { any_row(p)->weight = dice(p, 5) / 2.0; }

static void edit_mode(play *p) { p->layout->mode = dice(p, 2) ? CPL_MODE_ADVANCED : CPL_MODE_BASIC; }

static void edit_background(play *p) {
    p->layout->background = (cpl_background)dice(p, 3);
    p->layout->background_weight = dice(p, 4) / 4.0;
}

static void edit_rows(play *p) {
    if (p->layout->region_count > 2 && dice(p, 2)) {
        cpl_layout_remove(p->layout, (int)dice(p, (unsigned)p->layout->region_count));
    } else if (p->layout->region_count < MAX_ROWS) {
        cpl_region *region = cpl_layout_insert(p->layout, (int)dice(p, (unsigned)p->layout->region_count + 1), NULL);
        assert_non_null(region);
        set_prompt(p, region);
    }
}

static void edit_order(play *p) {
    unsigned count = (unsigned)p->layout->region_count;
    cpl_layout_move(p->layout, (int)dice(p, count), (int)dice(p, count));
}

static void edit_settings(play *p) {
    p->layout->sampling.seed = dice(p, 4);
    p->layout->sampling.steps = 1 + (int)dice(p, 2);
    p->layout->sampling.cfg = dice(p, 3) ? 4 : 1;
    p->layout->width = dice(p, 3) ? 64 : 48;
    assert_true(cpl_text_set(&p->layout->sampling.sampler, cpl_sampler_names()[dice(p, 3)], NULL));
}

static void edit_negative(play *p) {
    bool own = dice(p, 2), none = dice(p, 2);
    char **place = own ? &any_row(p)->negative : &p->layout->negative;
    assert_true(cpl_text_set(place, none ? NULL : prompts[dice(p, 3)], NULL));
}

static void edit_uncovered(play *p) { p->layout->uncovered = dice(p, 4) ? CPL_UNCOVERED_FILL : CPL_UNCOVERED_ERROR; }

static void edit_what_shows_nowhere(play *p) { any_row(p)->color = (int)dice(p, 16); }

typedef void edit(play *p);
static edit *const edits[] = {
    edit_rect, edit_rect,  edit_rect,     edit_prompt,   edit_prompt,    edit_weight,     edit_mode,
    edit_rows, edit_order, edit_settings, edit_negative, edit_uncovered, edit_background, edit_what_shows_nowhere};

/* Two columns that overlap, so that weights mean something. */
static void start_anew(play *p) {
    cpl_layout_free(p->layout);
    p->layout = two_columns(1 + (int)dice(p, 2));
    p->layout->regions[0].x2 = 0.75;
}

/* ---- What comes back ---- */

/* By a session that knows nothing yet: its caches cannot be wrong in the same way. */
static void compare_with_reference(play *p, const cpl_event *event) {
    cpl_session *reference = open_session(&(cpl_options){.preview_every = -1});
    cpl_image *fresh = picture_of(reference, p->states[event->revision].layout);
    if (!same_picture(fresh, event->image))
        fail_msg("the picture of revision %d is another layout's", (int)event->revision);
    cpl_image_free(fresh);
    cpl_session_free(reference);
    p->compared++;
}

static void check_event(play *p, const cpl_event *event) {
    const handed *state = &p->states[event->revision];
    assert_true(event->revision >= 1 && event->revision <= p->newest);
    /* A run that took edits up on its way is of no layout, and says so. */
    bool of_run =
        event->type == CPL_EVENT_PROGRESS || event->type == CPL_EVENT_PREVIEW || event->type == CPL_EVENT_FINISHED;
    bool spliced = of_run && event->revision > p->running;
    assert_true(event->hash == (spliced ? 0 : state->hash));
    if (event->type == CPL_EVENT_FINISHED) assert_true((event->splices > 0) == spliced);
    switch (event->type) {
    case CPL_EVENT_STARTED:
        p->running = event->revision;
        break;
    case CPL_EVENT_SYNCED:
        p->synced++;
        assert_true(state->valid || state->mixed);
        assert_true(event->line_count >= 1 && event->line_count <= MAX_ROWS);
        break;
    case CPL_EVENT_PROGRESS:
    case CPL_EVENT_PREVIEW:
        assert_true(event->revision >= p->running);
        break;
    case CPL_EVENT_FINISHED:
        assert_true(event->revision >= p->running);
        assert_true(state->valid || state->mixed);
        assert_int_equal(event->image->height, 64);
        if (++p->finished % COMPARE_EVERY == 0 && !spliced) compare_with_reference(p, event);
        break;
    case CPL_EVENT_INVALID:
        p->invalid++;
        assert_true(!state->valid || state->mixed);
        break;
    case CPL_EVENT_CANCELLED:
        p->cancelled++;
        break;
    case CPL_EVENT_FAILED:
        fail_msg("revision %d failed: %s", (int)event->revision, event->error.message);
        break;
    default:
        break;
    }
}

static void read_events(play *p) {
    cpl_event event;
    while (cpl_session_next(p->session, &event)) {
        check_event(p, &event);
        cpl_event_clear(&event);
    }
}

/* ---- The play ---- */

static void hand_over_state(play *p, cpl_sync when) {
    cpl_ticket ticket = hand_over(p->session, p->layout, when);
    cpl_model_info info;
    cpl_problems problems = {0};
    assert_true(cpl_model_peek(&(cpl_model_source){0}, &info, NULL));
    bool valid = cpl_layout_check(p->layout, &info.defaults, &problems);
    cpl_problems_clear(&problems);
    assert_true(ticket.revision == p->newest || ticket.revision == p->newest + 1);
    if (ticket.revision == p->newest) {
        handed *state = &p->states[p->newest];
        assert_true(ticket.hash == state->hash);
        state->mixed = state->mixed || state->valid != valid;
        state->valid = valid;
        return;
    }
    p->newest = ticket.revision;
    p->states[p->newest] = (handed){ticket.hash, cpl_layout_copy(p->layout, NULL), valid, false};
}

/* Edit, hand over at once, generate at once: the run must be of just this state. */
static void generate_and_wait(play *p) {
    cpl_session_cancel(p->session);
    cpl_session_live(p->session, false);
    hand_over_state(p, dice(p, 2) ? CPL_SYNC_NOW : CPL_SYNC_SETTLE);
    cpl_session_generate(p->session);
    for (;;) {
        cpl_event event;
        next_event(p->session, &event);
        check_event(p, &event);
        bool of_newest = event.revision == p->newest;
        bool ended = of_newest && (event.type == CPL_EVENT_FINISHED || event.type == CPL_EVENT_INVALID);
        if (ended) assert_true((event.type == CPL_EVENT_FINISHED) == p->states[p->newest].valid);
        cpl_event_clear(&event);
        if (ended) return;
    }
}

static void act(play *p) {
    switch (dice(p, 8)) {
    case 0:
    case 1:
        generate_and_wait(p);
        break;
    case 2:
        cpl_session_generate(p->session);
        break;
    case 3:
        cpl_session_cancel(p->session);
        break;
    case 4:
        cpl_session_live(p->session, dice(p, 2));
        break;
    case 5:
        usleep(dice(p, 30000));
        break;
    default:
        break;
    }
    if (dice(p, 2)) read_events(p);
}

static void pictures_are_never_of_another_layout(void **state) {
    (void)state;
    play p = {.random = 20261123};
    p.session = open_session(&(cpl_options){.debounce_ms = 5});
    start_anew(&p);
    hand_over_state(&p, CPL_SYNC_NOW);
    for (int i = 0; i < EDITS; i++) {
        edits[dice(&p, sizeof edits / sizeof *edits)](&p);
        if (i % 25 == 24) { /* back to something sound, or holes would pile up */
            start_anew(&p);
        }
        hand_over_state(&p, dice(&p, 2) ? CPL_SYNC_NOW : CPL_SYNC_SETTLE);
        act(&p);
    }
    generate_and_wait(&p);
    read_events(&p);
    print_message("%d states, %d synced, %d invalid, %d cancelled, %d pictures, %d of them rendered again\n",
                  (int)p.newest, p.synced, p.invalid, p.cancelled, p.finished, p.compared);
    /* The play is worth something only if all of this happened. */
    assert_true(p.newest > EDITS / 2 && p.finished > 30 && p.compared >= 4 && p.cancelled > 5 && p.invalid > 5);
    for (uint64_t i = 1; i <= p.newest; i++) cpl_layout_free(p.states[i].layout);
    cpl_layout_free(p.layout);
    cpl_session_free(p.session);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pictures_are_never_of_another_layout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
