/*
 * Private to tar/: the header block and its fields.
 *
 *   OFFSET SIZE  MEANING
 *        0  100  name
 *      100    8  mode         octal text, or base-256 when the top bit of the first byte is set (GNU)
 *      108    8  uid
 *      116    8  gid
 *      124   12  size
 *      136   12  mtime
 *      148    8  checksum     sum of all bytes, this field taken as spaces
 *      156    1  type
 *      157  100  link name
 *      257    6  magic        "ustar\0" (POSIX), "ustar " (GNU), else V7: nothing after this is valid
 *      263    2  version      "00" (POSIX), " \0" (GNU)
 *      265   32  user name
 *      297   32  group name
 *      329    8  device major
 *      337    8  device minor
 *      345  155  prefix       (POSIX) goes before the name with a "/"; star: 131 bytes, then atime and ctime; GNU: atime, ctime, sparse map
 *      500   12  padding      star: "tar\0" at 508
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TarHeader {
        char name[100];
        char mode[8];
        char uid[8];
        char gid[8];
        char size[12];
        char mtime[12];
        char checksum[8];
        char type;
        char link[100];
        char magic[6];
        char version[2];
        char user_name[32];
        char group_name[32];
        char dev_major[8];
        char dev_minor[8];
        char prefix[155];
        char padding[12];
} TarHeader;
_Static_assert(sizeof(TarHeader) == 512, "a tar header is one block");

/* How the fields behind the link name are laid out. */
typedef enum TarFormat { TAR_FORMAT_V7, TAR_FORMAT_USTAR, TAR_FORMAT_STAR, TAR_FORMAT_GNU } TarFormat;

TarFormat header_format(const TarHeader *header);

/* Both sums in use: bytes as unsigned (POSIX) and as signed (old Sun tar). */
bool header_checksum_ok(const TarHeader *header);

bool header_is_zero(const TarHeader *header);

/*
 * A number: octal with any spaces and NULs around it (empty is 0), or base-256. False when it is neither or does not fit.
 */
bool field_number(const char *field, size_t size, int64_t *ret);

/* Octal with leading zeros and a NUL, as Go writes it. False when it does not fit; the field is then zero. */
bool field_set_octal(char *field, size_t size, int64_t value);
bool field_fits_octal(size_t size, int64_t value);
