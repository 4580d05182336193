/*
 * What a tar from outside may ask of us. Each number bounds memory or time that the sender does not pay for.
 */
#pragma once

#include <stdint.h>

/* One pax header. Go's reader, and so docker and containerd, stop at the same size: a layer beyond it runs nowhere else. */
#define TAR_PAX_SIZE_MAX ((uint64_t)1 << 20)

/* Records in one pax header. Twenty are usual; sorting and merging them must stay cheap beside reading them. */
#define TAR_PAX_RECORDS_MAX 1024

/* Global pax headers in one archive. They add up (TAR_PAX_SIZE_MAX in all) and are read again at each, so that their number is bounded too. */
#define TAR_GLOBAL_HEADERS_MAX 64

/* Headers that only prepare a member ('x', 'g', 'L', 'K') before the member must come. Four is the most that any tool writes. */
#define TAR_HEADER_CHAIN_MAX 16

/* Names and targets: the kernel's PATH_MAX without its NUL. What is longer cannot be opened. */
#define TAR_PATH_MAX 4095

/* One component: NAME_MAX of every Linux file system, and of EROFS. */
#define TAR_NAME_MAX 255

/* Attribute names and values: XATTR_NAME_MAX and XATTR_SIZE_MAX of the kernel. */
#define TAR_XATTR_NAME_MAX 255
#define TAR_XATTR_VALUE_MAX 65536

/* All attributes of a member, names and values. EROFS counts them in units of 4 bytes in 16 bits. */
#define TAR_XATTR_TOTAL_MAX (256 * 1024 - 64)

/* Members. The biggest images known have fewer than two million; an index of this many still fits the memory of a small machine. */
#define TAR_ENTRIES_MAX ((uint64_t)8 << 20)

/* Content of one member, and the archive: what off_t can say with room for padding. */
#define TAR_SIZE_MAX ((uint64_t)INT64_MAX - 4096)
