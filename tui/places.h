/* places.h: where one was in the layouts edited last, and with that, which these are: a small file in the state folder that
 * all editors share. It is a convenience: whatever is wrong with it loses a place, never work. Knows no screen. */
#ifndef TUI_PLACES_H
#define TUI_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#define PLACES_MOST 100 /* older ones are forgotten */

/* Whole numbers within fixed limits; what a window of another size cannot show is left to the editor. */
typedef struct place {
    char *path;   /* owned: whole, see folders_whole */
    int64_t when; /* seconds since 1970 */
    int row, cell, setting, pane, view;
    int step, latent;         /* the grid */
    int zoom, zoom_x, zoom_y; /* level; the middle of what is seen, in 1/10000 of the canvas */
    int brush_x, brush_y;     /* likewise */
    int brush, erase;         /* its size */
} place;

typedef struct places {
    place *list; /* owned: the newest first */
    int count;
} places;

typedef enum places_found {
    PLACES_NONE, /* no file, or no folder for one */
    PLACES_READ,
    PLACES_BROKEN, /* not ours, or damaged: the next place that is kept begins it anew */
    PLACES_NEWER   /* of a later version: it is left alone */
} places_found;

places_found places_read(places *p);
void places_clear(places *p);
const place *places_find(const places *p, const char *path); /* a whole path; NULL: not there. Borrowed */
/* Puts `mine` first, in place of what was kept for its path. Two editors that write in the same moment may lose one place,
 * never the file. False: it could not be written. */
bool places_keep(const place *mine);
bool places_forget(const char *path);

#endif
