/*
 * Which further ids a user may use: the lines "<name or number>:<first id>:<count>" of /etc/subuid and /etc/subgid (subuid(5)). Pure function on bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* More than anybody has; the kernel takes 340 lines of a map, and newuidmap(1) takes three arguments for each. */
#define SUBID_RANGES_MAX 32

typedef struct SubidRange {
        uint32_t first, count;
} SubidRange;

/*
 * The ranges of the user with this number and name (NULL: none is known), in the order of the file. Returns how many there are; lines that cannot be read,
 * that have no ids, and those beyond SUBID_RANGES_MAX are passed over, as newuidmap(1) does with the first two.
 */
size_t subid_parse(const char *text, uint32_t uid, const char *name, SubidRange ret[SUBID_RANGES_MAX]);
