/* editor.h: the full-screen editor. */
#ifndef TUI_EDITOR_H
#define TUI_EDITOR_H

#include "../core/couplet.h"
#include "script.h"
#include "term.h"
#include "theme.h"

typedef struct editor_options {
    const char *path;    /* the layout's file, NULL: a new one without a name */
    cpl_layout *layout;  /* taken over */
    const char *notice;  /* told at the start; NULL or "": nothing */
    cpl_options session; /* device, threads, ... */
    color_choice color;
    theme_choice theme;
    bool generate;  /* press `g` once at the start (what `make run` does) */
    script *script; /* taken over: keys that are pressed first; NULL: none */
} editor_options;

/* Runs until the user quits. Returns the exit status; messages go to stderr after the terminal is given back. */
int editor_run(const editor_options *options);

#endif
