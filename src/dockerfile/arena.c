#include "dockerfile/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_SIZE ((size_t)16 << 10)
#define FIRST_SIZE ((size_t)1 << 10) /* many arenas hold one small instruction */
#define ALIGNMENT 16

typedef struct Block {
        struct Block *next;
        size_t size, used;
        _Alignas(ALIGNMENT) char data[];
} Block;

struct Arena {
        Block *blocks; /* the first one is filled next */
};

Arena *arena_new(void)
{
        return NEW(Arena);
}

void arena_free(Arena *arena)
{
        if (!arena)
                return;
        for (Block *block = arena->blocks, *next; block; block = next) {
                next = block->next;
                free(block);
        }
        free(arena);
}

static Block *block_new(size_t size)
{
        Block *block = xcalloc(1, sizeof(Block) + size);

        block->size = size;
        return block;
}

void *arena_alloc(Arena *arena, size_t size)
{
        Block *first = arena->blocks;
        void *p;

        size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
        if (size > BLOCK_SIZE / 4) {
                /* Big pieces get their own block behind the first one, so that the rest of that is not lost. */
                Block *own = block_new(size);

                own->used = size;
                if (first) {
                        own->next = first->next;
                        first->next = own;
                } else {
                        arena->blocks = own;
                }
                return own->data;
        }
        if (!first || first->size - first->used < size) {
                Block *block = block_new(first || size > FIRST_SIZE ? BLOCK_SIZE : FIRST_SIZE);

                block->next = first;
                arena->blocks = first = block;
        }
        p = first->data + first->used;
        first->used += size;
        return p;
}

char *arena_strndup(Arena *arena, const char *s, size_t n)
{
        char *copy = arena_alloc(arena, n + 1);

        memcpy(copy, s, n);
        return copy;
}

char *arena_strdup(Arena *arena, const char *s)
{
        return arena_strndup(arena, s, strlen(s));
}

void *arena_grow(Arena *arena, void *items, size_t n_items, size_t *capacity, size_t item_size)
{
        void *bigger;

        if (n_items < *capacity)
                return items;
        *capacity = MAX((size_t)4, *capacity * 2);
        bigger = arena_alloc(arena, *capacity * item_size);
        if (n_items)
                memcpy(bigger, items, n_items * item_size);
        return bigger;
}
