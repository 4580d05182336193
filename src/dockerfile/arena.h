/*
 * Many small pieces that die together: a tree and its strings. Private to this folder.
 */
#pragma once

#include <stddef.h>

#include "base/macros.h"
#include "dockerfile/ast.h"

Arena *arena_new(void);
void arena_free(Arena *arena); /* NULL is fine */
DEFINE_CLEANUP(Arena *, arena_free)

void *arena_alloc(Arena *arena, size_t size) __attribute__((returns_nonnull)); /* zeroed, aligned for any type */
char *arena_strndup(Arena *arena, const char *s, size_t n) __attribute__((returns_nonnull));
char *arena_strdup(Arena *arena, const char *s) __attribute__((returns_nonnull));

/* Appends to an array in the arena whose capacity doubles; the old array stays behind, so that n appends cost O(n) memory. */
void *arena_grow(Arena *arena, void *items, size_t n_items, size_t *capacity, size_t item_size) __attribute__((returns_nonnull));

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_alloc((arena), (n) * sizeof(type)))
