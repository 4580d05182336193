/*
 * Unpredictable bytes, from the kernel.
 */
#pragma once

#include <stddef.h>

/* Fills `data`. Never fails: a kernel without randomness is one that nothing should run on. */
void random_bytes(void *data, size_t size);

/*
 * A new id as docker gives containers, volumes and networks: 64 hexadecimal digits and a NUL. Returns `buffer`.
 * Never one whose first 12 digits are all decimal: the short form is a container's host name, and some programs take a numeric name for an address.
 */
#define RANDOM_ID_SIZE 65
char *random_id(char *buffer);

/* `n_digits` hexadecimal digits and a NUL, for temporary names. Returns `buffer`. */
char *random_hex(char *buffer, size_t n_digits);
