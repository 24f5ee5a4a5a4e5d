/* number.c: decimal numbers that do not follow the user's locale. printf and strtod do (LC_NUMERIC), so the decimal
 * sign that they use is looked up and exchanged; nothing here changes a locale. */
#include "number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *decimal_sign(void) {
    const char *sign = localeconv()->decimal_point;
    return sign && *sign ? sign : ".";
}

void cpl_number_print(double value, char text[CPL_NUMBER_SIZE]) {
    if (!isfinite(value)) {
        strcpy(text, "null");
        return;
    }
    const char *sign = decimal_sign();
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, CPL_NUMBER_SIZE, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    char *at = strstr(text, sign);
    if (!at || strcmp(sign, ".") == 0) return;
    *at = '.';
    memmove(at + 1, at + strlen(sign), strlen(at + strlen(sign)) + 1);
}

/* [+-] digits [. digits] [e [+-] digits], at least one digit before or after the point */
static bool is_decimal(const char *p) {
    if (*p == '+' || *p == '-') p++;
    int digits = 0;
    for (; *p >= '0' && *p <= '9'; p++) digits++;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++) digits++;
    if (!digits) return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-') p++;
        if (*p < '0' || *p > '9') return false;
        while (*p >= '0' && *p <= '9') p++;
    }
    return *p == '\0';
}

bool cpl_number_parse(const char *text, double *value) {
    char buffer[512];
    const char *sign = decimal_sign();
    const char *point = strchr(text, '.');
    if (!is_decimal(text) || strlen(text) + strlen(sign) >= sizeof buffer) return false;
    strcpy(buffer, text);
    if (point) strcpy(stpcpy(buffer + (point - text), sign), point + 1);
    double parsed = strtod(buffer, NULL);
    if (!isfinite(parsed)) return false;
    *value = parsed;
    return true;
}
