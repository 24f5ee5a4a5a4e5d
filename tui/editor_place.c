/* editor_place.c: where the editor is in its layout is kept, and taken up again when the same file is opened: the selected
 * row and cell, the pane, the view, grid, zoom and brush. The mode is the layout's own. */
#include "editor_ui.h"

#include "folders.h"
#include "places.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WHOLE = 10000 };

static int part(double value) { return (int)lround(fmin(1, fmax(0, value)) * WHOLE); }

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

/* The file itself must be there: a layout that was never saved is nowhere to go back to. */
static bool place_now(const editor *e, place *p) {
    char *path = e->path && access(e->path, F_OK) == 0 ? folders_whole(e->path) : NULL;
    if (!path) return false;
    double x, y;
    editor_zoom_middle(e, &x, &y);
    double columns = e->zoom.columns > 0 ? e->zoom.columns : 1, rows = e->zoom.rows > 0 ? 2.0 * e->zoom.rows : 1;
    *p = (place){.path = path,
                 .row = e->state.selected,
                 .cell = (int)e->state.cell,
                 .setting = (int)e->state.setting,
                 .pane = (int)e->focus,
                 .view = (int)e->view,
                 .step = e->state.step,
                 .latent = e->state.latent,
                 .zoom = e->zoom.level,
                 .zoom_x = part(x),
                 .zoom_y = part(y),
                 .brush_x = part((e->brush.x + 0.5) / columns),
                 .brush_y = part((e->brush.y + 0.5) / rows),
                 .brush = e->brush.size,
                 .erase = e->brush.erase};
    return true;
}

void editor_place_keep(editor *e) {
    place now;
    if (!place_now(e, &now)) return;
    now.when = (int64_t)time(NULL);
    places_keep(&now);
    free(now.path);
}

static void take_up(editor *e, const place *p) {
    editor_state *s = &e->state;
    state_select(s, p->row);
    s->cell = (table_cell)clamp(p->cell, 0, CELLS - 1);
    s->setting = (setting)clamp(p->setting, 0, SETTINGS_SHOWN - 1);
    s->step = p->step & (p->step - 1) ? 16 : p->step; /* powers of two only */
    s->latent = p->latent;
    /* The zoom needs to know where the canvas stands, which only a view with it tells. */
    e->view = VIEW_BOTH;
    editor_arrange(e);
    editor_zoom_to(e, p->zoom, (double)p->zoom_x / WHOLE, (double)p->zoom_y / WHOLE);
    e->brush.x = p->brush_x * e->zoom.columns / WHOLE;
    e->brush.y = p->brush_y * 2 * e->zoom.rows / WHOLE;
    e->brush.size = p->brush;
    e->brush.erase = p->erase;
    e->view = (screen_view)clamp(p->view, VIEW_BOTH, VIEW_PICTURE);
    e->focus = (pane)clamp(p->pane, 0, PANES - 1);
    if (e->view == VIEW_PICTURE && e->focus == PANE_CANVAS) e->focus = PANE_TABLE;
}

void editor_place_restore(editor *e) {
    places all;
    places_found found = places_read(&all);
    char *path = e->path ? folders_whole(e->path) : NULL;
    const place *mine = places_find(&all, path);
    if (mine) take_up(e, mine);
    if (found == PLACES_BROKEN) editor_say(e, TONE_WARNING, "places.json in the state folder is broken: ignored");
    if (found == PLACES_NEWER)
        editor_say(e, TONE_WARNING, "places.json in the state folder is a newer couplet's: ignored");
    free(path);
    places_clear(&all);
}
