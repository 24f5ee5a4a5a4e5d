/* arena.c: best fit among the holes that freed blocks leave, merged with their neighbours; else the segment grows at its
 * end. What lies behind the end was never touched and costs nothing, as the system gives memory page by page.
 *
 * A hole at the end is no hole: the end moves down. So a step that asks for the same sizes in the same order as the one
 * before finds the same places, whether the memory behind the end was used before or not. */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

enum { ALIGNMENT = 64 };

typedef struct segment {
    char *data; /* owned */
    size_t bytes;
    size_t end;     /* of the last block in use */
    size_t touched; /* the largest end since the rest was given back */
    int blocks;     /* in use */
} segment;

typedef struct hole {
    int segment;
    size_t first, bytes;
} hole;

struct cpl_arena {
    cpl_memory memory;
    segment *segments; /* owned */
    hole *holes;       /* owned: by segment and place; none touches another or the end */
    int segment_count, segment_room, hole_count, hole_room, blocks;
};

cpl_arena *cpl_arena_new(const cpl_memory *memory, cpl_error *error) {
    cpl_arena *arena = cpl_alloc(1, sizeof *arena, error);
    if (arena) arena->memory = *memory;
    return arena;
}

void cpl_arena_free(cpl_arena *arena) {
    if (!arena) return;
    for (int i = 0; i < arena->segment_count; i++) arena->memory.give(arena->memory.context, arena->segments[i].data);
    free(arena->segments);
    free(arena->holes);
    free(arena);
}

static size_t rounded(size_t bytes) { return ((bytes ? bytes : 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

size_t cpl_arena_held(const cpl_arena *arena) {
    size_t sum = 0;
    for (int i = 0; i < arena->segment_count; i++) sum += arena->segments[i].touched;
    return sum;
}

static void remove_hole(cpl_arena *arena, int at) {
    arena->hole_count--;
    memmove(arena->holes + at, arena->holes + at + 1, (size_t)(arena->hole_count - at) * sizeof *arena->holes);
}

static void *take_from_hole(cpl_arena *arena, size_t bytes) {
    int best = -1;
    for (int i = 0; i < arena->hole_count; i++)
        if (arena->holes[i].bytes >= bytes && (best < 0 || arena->holes[i].bytes < arena->holes[best].bytes)) best = i;
    if (best < 0) return NULL;
    hole *h = &arena->holes[best];
    segment *s = &arena->segments[h->segment];
    void *data = s->data + h->first;
    s->blocks++;
    h->first += bytes;
    h->bytes -= bytes;
    if (h->bytes == 0) remove_hole(arena, best);
    return data;
}

static void *take_at_end(cpl_arena *arena, int at, size_t bytes, size_t limit, bool *grew) {
    segment *s = &arena->segments[at];
    size_t end = s->end + bytes, growth = end > s->touched ? end - s->touched : 0;
    if (end > s->bytes || (limit && growth && cpl_arena_held(arena) + growth > limit)) return NULL;
    void *data = s->data + s->end;
    s->end = end;
    s->touched += growth;
    s->blocks++;
    *grew = growth > 0;
    return data;
}

/* Less than a whole segment where the system refuses that, but never less than the block. */
static bool add_segment(cpl_arena *arena, size_t bytes) {
    size_t wanted = arena->memory.segment_bytes > bytes ? arena->memory.segment_bytes : bytes;
    if (!cpl_grow((void **)&arena->segments, &arena->segment_room, arena->segment_count + 1, sizeof *arena->segments,
                  NULL))
        return false;
    for (;;) {
        char *data = arena->memory.take(arena->memory.context, wanted);
        if (data) {
            arena->segments[arena->segment_count++] = (segment){.data = data, .bytes = wanted};
            return true;
        }
        if (wanted == bytes) return false;
        wanted = wanted / 2 > bytes ? wanted / 2 / ALIGNMENT * ALIGNMENT : bytes;
    }
}

void *cpl_arena_take(cpl_arena *arena, size_t bytes, size_t limit_bytes, bool *grew) {
    bytes = rounded(bytes);
    *grew = false;
    /* Room for the hole that each block may leave: giving one back must not fail. */
    if (!cpl_grow((void **)&arena->holes, &arena->hole_room, arena->blocks + 2, sizeof *arena->holes, NULL))
        return NULL;
    void *data = take_from_hole(arena, bytes);
    for (int i = 0; !data && i < arena->segment_count; i++) data = take_at_end(arena, i, bytes, limit_bytes, grew);
    bool may_grow = !limit_bytes || cpl_arena_held(arena) + bytes <= limit_bytes;
    if (!data && may_grow && add_segment(arena, bytes))
        data = take_at_end(arena, arena->segment_count - 1, bytes, limit_bytes, grew);
    if (data) arena->blocks++;
    return data;
}

static int segment_of(const cpl_arena *arena, const char *data) {
    int i = 0;
    while (data < arena->segments[i].data || data >= arena->segments[i].data + arena->segments[i].bytes) i++;
    return i;
}

/* The first hole behind a place. */
static int hole_behind(const cpl_arena *arena, int at, size_t first) {
    int low = 0, high = arena->hole_count;
    while (low < high) {
        int middle = (low + high) / 2;
        const hole *h = &arena->holes[middle];
        if (h->segment < at || (h->segment == at && h->first < first))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void cpl_arena_give(cpl_arena *arena, void *data, size_t bytes) {
    int at = segment_of(arena, data);
    segment *s = &arena->segments[at];
    hole given = {at, (size_t)((char *)data - s->data), rounded(bytes)};
    int behind = hole_behind(arena, at, given.first);
    arena->blocks--;
    s->blocks--;
    if (behind < arena->hole_count && arena->holes[behind].segment == at &&
        given.first + given.bytes == arena->holes[behind].first) {
        given.bytes += arena->holes[behind].bytes;
        remove_hole(arena, behind);
    }
    hole *before = behind > 0 ? &arena->holes[behind - 1] : NULL;
    if (before && before->segment == at && before->first + before->bytes == given.first) {
        given.first = before->first;
        given.bytes += before->bytes;
        remove_hole(arena, --behind);
    }
    if (given.first + given.bytes == s->end) {
        s->end = given.first;
        return;
    }
    memmove(arena->holes + behind + 1, arena->holes + behind,
            (size_t)(arena->hole_count - behind) * sizeof *arena->holes);
    arena->holes[behind] = given;
    arena->hole_count++;
}

static void remove_segment(cpl_arena *arena, int at) {
    arena->memory.give(arena->memory.context, arena->segments[at].data);
    arena->segment_count--;
    memmove(arena->segments + at, arena->segments + at + 1,
            (size_t)(arena->segment_count - at) * sizeof *arena->segments);
    for (int i = 0; i < arena->hole_count; i++)
        if (arena->holes[i].segment > at) arena->holes[i].segment--;
}

void cpl_arena_trim(cpl_arena *arena) {
    for (int i = arena->segment_count - 1; i >= 0; i--) {
        segment *s = &arena->segments[i];
        if (s->blocks == 0) {
            remove_segment(arena, i);
        } else if (s->touched > s->end) {
            arena->memory.forget(arena->memory.context, s->data + s->end, s->touched - s->end);
            s->touched = s->end;
        }
    }
}
