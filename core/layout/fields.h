/* fields.h: the layout file's keys as data. The reader, the writer and the range checks all walk these tables, so that a
 * new key is one new line. */
#ifndef CPL_LAYOUT_FIELDS_H
#define CPL_LAYOUT_FIELDS_H

#include <cjson/cJSON.h>

#include "reason.h"

typedef enum cpl_field_kind {
    CPL_FIELD_INT,    /* int; `fallback` means unset */
    CPL_FIELD_SEED,   /* int64_t */
    CPL_FIELD_NUMBER, /* double; a NaN fallback means unset */
    CPL_FIELD_BOOL,   /* bool */
    CPL_FIELD_NAME,   /* an enum stored as its index in `names` */
    CPL_FIELD_CHOICE, /* char *, one of `names` */
    CPL_FIELD_TEXT,   /* char * */
    CPL_FIELD_RECT,   /* four doubles x1 x2 y1 y2 */
    CPL_FIELD_OBJECT  /* more keys of the same struct */
} cpl_field_kind;

struct cpl_object;

typedef struct cpl_field {
    const char *key;
    cpl_field_kind kind;
    size_t offset;            /* in the struct that the object describes */
    unsigned bit;             /* of `present`, 0 where the value itself tells */
    double low, high;         /* allowed range of numbers */
    double fallback;          /* the value of an absent key */
    const char *const *names; /* NULL-terminated */
    const struct cpl_object *object;
} cpl_field;

typedef struct cpl_object {
    const cpl_field *fields; /* ended by a NULL key */
    size_t extra;            /* offset of the struct cJSON * with unknown keys */
    size_t present;          /* offset of the bits, SIZE_MAX: none */
    const char *const *kept; /* keys that are kept without being understood, and without a warning; may be NULL */
} cpl_object;

/* Fields of kind OBJECT point into the same struct; `sampling`, `regions` and `loras` are structs of their own. */
extern const cpl_object cpl_layout_object, cpl_sampling_object, cpl_region_object, cpl_lora_object;

#define CPL_FORMAT_VERSION 1
#define CPL_PRESENT_REGIONS 1024u /* bits of cpl_layout.present beside those of the tables */
#define CPL_PRESENT_LORAS 2048u
#define CPL_SIDE_STEP 8 /* canvas sides are multiples of it */
#define CPL_MAX_LORA_WEIGHT 1000.0
#define CPL_MAX_SEED 9007199254740991.0

extern const char *const cpl_mode_names[],
    *const cpl_direction_names[], *const cpl_background_names[], *const cpl_uncovered_names[],
                                                                     *const cpl_bracket_names[],
                                                                         *const cpl_layout_samplers[],
                                                                             *const cpl_layout_schedules[],
                                                                                 *const cpl_layout_rngs[],
                                                                                     *const cpl_layout_predictions[],
                                                                                         *const cpl_layout_upscalers[];

bool cpl_name_find(const char *const *names, const char *name, int *index);
#define CPL_NAMES_SIZE 320 /* holds the longest list of names here */
/* "a, b or c" */
void cpl_names_list(const char *const *names, char *text, size_t size);

/* Absent values in place of every field. */
void cpl_fields_reset(const cpl_object *object, void *base);
/* The ranges of all numbers of an object; `path` is its own JSON path ("" for the layout). Calls `report` for each fault
 * until it returns false. */
typedef bool cpl_fault_report(void *user, cpl_fault *fault);
bool cpl_fields_check(const cpl_object *object, const void *base, int row, const char *path, cpl_fault_report *report,
                      void *user);

#endif
