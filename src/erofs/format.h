/*
 * The part of EROFS's on-disk format that we use, as offsets: everything is little-endian. docs/formats/index.md has the tables with their meaning.
 *
 * Spec: Linux fs/erofs/erofs_fs.h.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#define EROFS_BLOCK_BITS 9
#define EROFS_BLOCK ((uint32_t)1 << EROFS_BLOCK_BITS)
#define EROFS_SLOT 32 /* bytes; inode number n is at meta + n * EROFS_SLOT */
#define EROFS_NAME_MAX 255

/* Superblock, at 1024. */
#define EROFS_SUPER 1024
#define EROFS_SUPER_SIZE 128
#define EROFS_MAGIC UINT32_C(0xe0f5e1e2)
enum {
        SB_MAGIC = 0,
        SB_CHECKSUM = 4,
        SB_COMPAT = 8,
        SB_BLOCK_BITS = 12,
        SB_ROOT_NID = 14,
        SB_INODES = 16,
        SB_BLOCKS = 36,
        SB_META_BLOCK = 40,
        SB_UUID = 48,
        SB_VOLUME = 64,
        SB_INCOMPAT = 80,
        SB_DEVICES = 86,
        SB_DEVICE_SLOT = 88,
};
#define EROFS_COMPAT 0x3   /* superblock checksum, mtime */
#define EROFS_INCOMPAT 0xc /* chunked files, device table */

/* In the volume name: what kind of index it is. */
#define VOLUME_LAYER "mica-layer"
#define VOLUME_LAYER_MUST_MERGE "mica-layer-m"
#define VOLUME_MERGED "mica-merged"

/* Device table, behind the superblock. */
#define EROFS_DEVICE_TABLE (EROFS_SUPER + EROFS_SUPER_SIZE)
#define EROFS_DEVICE_SIZE 128
#define EROFS_DEVICE_SLOT (EROFS_DEVICE_TABLE / EROFS_DEVICE_SIZE)
#define EROFS_DEVICES_MAX 65535
enum { DEVICE_BLOCKS = 64 };

/* Inode, extended form. */
#define EROFS_INODE_SIZE 64
enum {
        INODE_FORMAT = 0,
        INODE_XATTR_COUNT = 2,
        INODE_MODE = 4,
        INODE_SIZE = 8,
        INODE_UNION = 16, /* first block, device number or chunk format */
        INODE_INO = 20,   /* the kernel does not read it: ours, see INODE_INO_IMPLICIT */
        INODE_UID = 24,
        INODE_GID = 28,
        INODE_MTIME = 32,
        INODE_MTIME_NSEC = 40,
        INODE_NLINK = 44,
};
#define FORMAT_PLAIN 0x1  /* extended inode, data in whole blocks */
#define FORMAT_INLINE 0x5 /* extended inode, the tail of the data behind the inode */
#define FORMAT_CHUNK 0x9  /* extended inode, chunk indexes behind the inode */
#define INODE_INO_IMPLICIT 1

#define CHUNK_INDEXES 0x20
#define CHUNK_BITS_MAX 31
#define CHUNK_SIZE 8 /* of one index: advise 2, device 2, block 4 */

/* Attributes: a header of 12 bytes, then entries of 4 bytes and name and value, each padded to 4. */
#define XATTR_HEADER 12
#define XATTR_ENTRY 4

#define DIRENT_SIZE 12

static inline uint16_t get16(const uint8_t *p)
{
        return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get32(const uint8_t *p)
{
        uint32_t v;

        memcpy(&v, p, 4);
        return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap32(v);
}

static inline uint64_t get64(const uint8_t *p)
{
        return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline void put16(uint8_t *p, uint16_t v)
{
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)(v >> 8);
}

static inline void put32(uint8_t *p, uint32_t v)
{
        if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
                v = __builtin_bswap32(v);
        memcpy(p, &v, 4);
}

static inline void put64(uint8_t *p, uint64_t v)
{
        put32(p, (uint32_t)v);
        put32(p + 4, (uint32_t)(v >> 32));
}
