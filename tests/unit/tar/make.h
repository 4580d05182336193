/* Helpers of the tar tests: archives made block by block, so that they can be wrong on purpose, and a reader that writes down what it sees. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tar/tar.h"

/* A header with a right checksum; the caller may change `block` and sum it again. */
void make_header(char block[512], const char *name, char type, uint64_t size);
void make_sum(char block[512]);
void put_block(Buf *out, const char block[512]);

/* A member with content, padded. */
void put_member(Buf *out, const char *name, char type, const void *data, size_t size);
void put_link(Buf *out, const char *name, char type, const char *target);

/* A pax header ('x' or 'g') with the one record key=value of `size` bytes of value. */
void put_pax(Buf *out, char type, const char *key, const void *value, size_t size);
void put_end(Buf *out);

/*
 * Reads all of it in pieces of `step` bytes (0: at once) and returns one line per member: "<type> <mode> <uid>:<gid> <size> <mtime> 'path' ...", content
 * as [bytes]. NULL with *err on failure.
 */
char *read_all(const Buf *in, size_t step, Error *err);
