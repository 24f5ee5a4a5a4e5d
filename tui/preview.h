/* preview.h: the picture on the screen: which image is shown, its sixel (encoded off the UI thread), where it was painted
 * last, and when to paint it again. Also the fallback in half blocks or shades, drawn by ncurses. */
#ifndef TUI_PREVIEW_H
#define TUI_PREVIEW_H

#include "picture.h"
#include "theme.h"
#include "windows.h"

typedef struct preview {
    picture_encoder *encoder; /* owned; NULL: the terminal has no sixel */
    cpl_image *image;         /* owned: what is shown now, NULL: nothing yet */
    bool rough;               /* it is a preview of a run under way */
    uint64_t wanted;          /* tag of the newest request to the encoder */
    int width_px, height_px;  /* of that request */
    picture_sixel sixel;      /* owned: ready to paint, if `ready` */
    bool ready, rough_sixel;
    bool drawing;        /* few colours: not diffused */
    bool trial;          /* the wanted one is sent whatever the line was like */
    bool stale;          /* what is on the screen is not `sixel`, or has holes */
    bool hidden;         /* the help screen stands over it */
    window area;         /* the pane's inside now; no rows: hidden */
    window painted;      /* cells that hold an image now; no rows: none */
    int level;           /* how much previews were made smaller for a slow link: 0..3; 4: none are sent */
    int left_out;        /* since none are sent: now and then one is, as the line may be better */
    picture_cell *cells; /* owned: the fallback, computed for cells_area */
    int cells_columns, cells_rows, used_columns, used_rows;
} preview;

bool preview_start(preview *p, const term_caps *caps, cpl_error *error);
void preview_clear(preview *p);
void preview_adapt(preview *p, const term_caps *caps); /* whether the terminal has sixel may have changed */
/* Takes the image over. A rough one is left out (and freed) where the terminal has not kept up. width, height: of the
 * picture that it is a preview of. */
void preview_show(preview *p, term *t, cpl_image *image, bool rough, int width, int height);
/* A drawing of few colours instead of a photograph: encoded as it is, which is quick and small. */
void preview_show_drawing(preview *p, term *t, cpl_image *image);
/* The pixels that a drawing of these proportions fills, so that it need not be scaled; false: there is no place for sixels
 * now. */
bool preview_drawing_size(const preview *p, const term_caps *caps, int width, int height, int *width_px,
                          int *height_px);
void preview_none(preview *p); /* nothing is shown any more */
/* Tells where the picture belongs; a change of size or of the terminal's cells asks for a new encoding: true. */
bool preview_place(preview *p, const term_caps *caps, window area);
void preview_hide(preview *p, bool hidden); /* something else stands in its place */
void preview_lost(preview *p);              /* the screen was cleared: nothing is painted any more */
/* Before ncurses' refresh: removes what stands where no picture belongs now. */
void preview_erase(preview *p, term *t);
/* After it: paints when it is time. `rest_ms`: since the last key. */
void preview_paint(preview *p, term *t, int64_t rest_ms);
int preview_timeout(const preview *p, const term *t,
                    int64_t rest_ms);            /* ms until there is something to paint; -1: nothing */
void preview_collect(preview *p, const term *t); /* the encoder's descriptor is readable */
int preview_level(const preview *p);             /* how often previews are halved for a slow line; 4: none are sent */
void preview_draw(preview *p, const theme *t, const term_caps *caps); /* the fallback, by ncurses */

#endif
