/* command_show.c: `couplet show`: an image in this terminal, or in words where there is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "command.h"
#include "picture.h"

/* The infotext has lines; each is made safe by itself. */
static void print_lines(const char *text) {
    while (*text) {
        size_t length = strcspn(text, "\n");
        char *line = strndup(text, length);
        if (line) print_safe(line);
        free(line);
        putchar('\n');
        text += length + (text[length] == '\n');
    }
}

static void print_words(const char *path, const cpl_image *image) {
    char *layout = cpl_png_text(path, "couplet", NULL), *parameters = cpl_png_text(path, "parameters", NULL);
    print_safe(path);
    printf(": %dx%d pixels%s\n", image->width, image->height,
           layout ? ", made by couplet, with its layout inside" : "");
    if (parameters) print_lines(parameters);
    free(layout);
    free(parameters);
}

static int print_picture(const cpl_image *image, const term_caps *caps) {
    struct winsize window;
    cpl_error error = {0};
    char *bytes = NULL;
    size_t size = 0;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col && window.ws_row;
    int columns = known ? window.ws_col : 80, rows = known ? window.ws_row : 24;
    /* The prompt that follows must not push the top of the picture off the screen. */
    bool done = picture_print(image, caps, columns, rows > 4 ? rows - 2 : rows, &bytes, &size, &error);
    if (done) fwrite(bytes, 1, size, stdout);
    free(bytes);
    return done ? 0 : say("%s", error.message);
}

int command_show(const arguments *a) {
    cpl_error error = {0};
    term_caps caps;
    cpl_image *image = cpl_image_read_png(a->operand[0], &error);
    if (!image) return say("%s", error.message);
    bool terminal = output_capabilities(a, &caps);
    int status = 0;
    if (terminal || a->color == COLOR_ALWAYS)
        status = print_picture(image, &caps);
    else
        print_words(a->operand[0], image);
    cpl_image_free(image);
    return status;
}
