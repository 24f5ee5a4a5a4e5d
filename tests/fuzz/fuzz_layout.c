/* fuzz_layout.c: bytes as a layout, or as the WebUI's text about a picture: parsed, checked, split into lines, printed and read back. */
#include "../../core/layout/infotext.h"
#include "fuzz.h"

static void reads_back(const cpl_layout *layout) {
    cpl_error error = {0};
    char *text = cpl_layout_print(layout, &error);
    cpl_layout *again = text ? cpl_layout_parse(text, NULL, "again", &error) : NULL;
    if (!again) fprintf(stderr, "%s\n%s\n", text ? text : "", error.message);
    FUZZ_HOLDS(again && cpl_layout_equal(layout, again));
    cpl_layout_free(again);
    free(text);
}

FUZZ_TARGET(fuzz_layout) {
    cpl_error error = {0};
    char *text = malloc(size + 1);
    FUZZ_HOLDS(text);
    memcpy(text, data, size);
    text[size] = 0;
    /* Masks would be looked for on the disk. */
    cpl_layout *layout = NULL;
    if (cpl_infotext_is(text))
        layout = cpl_infotext_read(text, "/nowhere", "fuzz", &error);
    else if (!strstr(text, "mask\""))
        layout = cpl_layout_parse(text, "/nowhere", "fuzz", &error);
    if (layout) {
        const cpl_defaults small = {
            .width = 64, .height = 64, .steps = 1, .cfg = 1, .sampler = "euler", .schedule = "normal"};
        cpl_problems problems = {0};
        cpl_lines lines;
        layout->width = layout->height = 0; /* a canvas of 8192 takes its time */
        cpl_layout_check(layout, &small, &problems);
        if (cpl_layout_lines(layout, &lines, &error)) cpl_lines_clear(&lines);
        cpl_problems_clear(&problems);
        reads_back(layout);
    }
    cpl_layout_free(layout);
    free(text);
    return 0;
}
