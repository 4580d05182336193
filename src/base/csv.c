#include "base/csv.h"

#include "base/buf.h"

int csv_split(const char *value, StrList *fields, Error *err)
{
        const char *p = value;
        Buf field = BUF_INIT(SIZE_MAX / 2);
        int r = 0;

        for (;;) {
                buf_reset(&field);
                if (*p == '"') {
                        for (p++; *p && !(p[0] == '"' && p[1] != '"'); p++) {
                                p += *p == '"';
                                buf_putc(&field, *p);
                        }
                        if (*p != '"' || (p[1] && p[1] != ',')) {
                                r = error_set(err, ERROR_INVALID, "parse error on line 1, column %zu: extraneous or missing \" in quoted-field",
                                              (size_t)(p - value) + 1);
                                break;
                        }
                        p++;
                } else {
                        for (; *p && *p != ',' && *p != '"'; p++)
                                buf_putc(&field, *p);
                        if (*p == '"') {
                                r = error_set(err, ERROR_INVALID, "parse error on line 1, column %zu: bare \" in non-quoted-field", (size_t)(p - value) + 1);
                                break;
                        }
                }
                strlist_addn(fields, buf_str(&field), field.size);
                if (*p != ',')
                        break;
                p++;
        }
        buf_done(&field);
        return r;
}
