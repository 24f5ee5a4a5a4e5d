/* st_kind.c: tells files by their first bytes, never by their names: a download may be called anything. */
#include "st_kind.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define PICKLE "a PyTorch checkpoint (.ckpt, .pt), which can run code when it is loaded; convert it to .safetensors"

static const struct {
    const char *magic;
    size_t length;
    const char *is;
} known[] = {
    {"GGUF", 4, "a GGUF file, which cannot be read here; get the model as .safetensors"},
    {"version https://git-lfs", 23, "only the Git LFS pointer of a model; fetch the file itself with 'git lfs pull'"},
    {"\x89PNG", 4, "a PNG picture and no model"},
    {"\xFF\xD8\xFF", 3, "a JPEG picture and no model"},
    {"\x89HDF", 4, "an HDF5 file, which cannot be read here; get the model as .safetensors"},
    {"\x1F\x8B", 2, "a packed archive (gzip); unpack it first"},
    {"7z\xBC\xAF", 4, "a packed archive (7z); unpack it first"},
    {"Rar!", 4, "a packed archive (rar); unpack it first"},
};

/* PyTorch's files are zip archives with a pickle inside, or, before 1.6, pickles of protocol 2 to 5. */
static const char *pickle(const unsigned char *first, size_t length) {
    if (length >= 2 && first[0] == 0x80 && first[1] >= 2 && first[1] <= 5) return PICKLE;
    if (length < 4 || memcmp(first, "PK\3\4", 4) != 0) return NULL;
    bool torch = memmem(first, length, "data.pkl", 8) || memmem(first, length, "data/", 5) ||
                 memmem(first, length, "version", 7);
    return torch ? PICKLE : "a packed archive (zip); unpack it first";
}

/* What a server sent in place of the file. */
static const char *answer(const unsigned char *first, size_t length) {
    static const char *const pages[] = {"<!doctype", "<html", "<head", "<?xml"};
    size_t at = 0;
    while (at < length && (first[at] == ' ' || (first[at] >= '\t' && first[at] <= '\r'))) at++;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        size_t size = strlen(pages[i]);
        if (length - at >= size && !strncasecmp((const char *)first + at, pages[i], size))
            return "a web page and no model; the download needs a login or another address";
    }
    if (at < length && (first[at] == '{' || first[at] == '['))
        return "a JSON text and no model; if it was downloaded, read in it what the server says";
    return NULL;
}

const char *cpl_st_kind(const unsigned char *first, size_t length) {
    if (length == 0) return "an empty file; get it again";
    const char *is = pickle(first, length);
    for (size_t i = 0; !is && i < sizeof known / sizeof *known; i++)
        if (length >= known[i].length && !memcmp(first, known[i].magic, known[i].length)) is = known[i].is;
    return is ? is : answer(first, length);
}
