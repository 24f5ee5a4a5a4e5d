/* file.h: whole files in and out. */
#ifndef CPL_MEMORY_FILE_H
#define CPL_MEMORY_FILE_H

#include "error.h"

/* The whole file, followed by a zero byte that *size does not count; free with free(). More than `limit` bytes, or a
 * folder, is an error. `size` may be NULL. */
void *cpl_file_read(const char *path, size_t limit, size_t *size, cpl_error *error);

/* Replaces `path` whole or not at all: the bytes go to a temporary file in the same folder, are synced and renamed
 * over it. An existing file keeps its permissions, a symbolic link stays one; a device or pipe is written directly. */
bool cpl_file_replace(const char *path, const void *data, size_t size, cpl_error *error);

/* The folder part of `path`, "" where there is none; and whether `path` needs no folder before it. */
char *cpl_path_folder(const char *path, cpl_error *error);
char *cpl_path_join(const char *folder, const char *name, cpl_error *error); /* folder may be NULL or "" */

#endif
