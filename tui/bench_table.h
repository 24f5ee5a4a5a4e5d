/* bench_table.h: the benchmark's JSON as tables for people. */
#ifndef TUI_BENCH_TABLE_H
#define TUI_BENCH_TABLE_H

#include <stdio.h>

struct cJSON;

/* What is not in `root` is left out. Columns are aligned; ratios are told where something is held against something. */
void bench_table_print(FILE *out, const struct cJSON *root);

#endif
