#include "base/map.h"

#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

typedef struct Entry {
        char *key; /* NUL behind key_size bytes; NULL when removed */
        size_t key_size;
        uint64_t hash;
        void *value;
} Entry;

struct Map {
        Entry *entries; /* in order of insertion, with holes */
        size_t n_entries;
        size_t capacity;
        size_t n_live;
        uint32_t *slots; /* entry index + 1; 0 is free. Removed entries stay until the next rehash */
        size_t n_slots;  /* a power of two */
        void (*free_value)(void *value);
};

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND(v) \
        do { \
                v[0] += v[1], v[1] = ROTL(v[1], 13), v[1] ^= v[0]; \
                v[0] = ROTL(v[0], 32); \
                v[2] += v[3], v[3] = ROTL(v[3], 16), v[3] ^= v[2]; \
                v[0] += v[3], v[3] = ROTL(v[3], 21), v[3] ^= v[0]; \
                v[2] += v[1], v[1] = ROTL(v[1], 17), v[1] ^= v[2]; \
                v[2] = ROTL(v[2], 32); \
        } while (0)

static const uint64_t *process_key(void)
{
        static uint64_t key[2];
        static int ready;

        if (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
                uint64_t fresh[2] = { UINT64_C(0x9e3779b97f4a7c15), (uintptr_t)&ready };

                if (getrandom(fresh, sizeof(fresh), GRND_NONBLOCK) < 0)
                        fresh[1] ^= (uint64_t)getpid() << 32; /* early boot: weaker, still per process */
                /* Two threads may race here once; both write before any map of theirs is filled, so take the first. */
                static int claimed;
                if (!__atomic_exchange_n(&claimed, 1, __ATOMIC_ACQ_REL)) {
                        key[0] = fresh[0];
                        key[1] = fresh[1];
                        __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
                } else {
                        while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
                                ;
                }
        }
        return key;
}

/* SipHash-1-3 (Aumasson and Bernstein). */
uint64_t map_hash(const void *data, size_t size)
{
        const uint64_t *key = process_key();
        uint64_t v[4] = { key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d), key[0] ^ UINT64_C(0x6c7967656e657261),
                          key[1] ^ UINT64_C(0x7465646279746573) };
        const unsigned char *p = data;
        uint64_t word, tail = (uint64_t)size << 56;

        for (size_t left = size; left >= 8; left -= 8, p += 8) {
                memcpy(&word, p, 8);
                v[3] ^= word;
                ROUND(v);
                v[0] ^= word;
        }
        for (size_t i = 0; i < (size & 7); i++)
                tail |= (uint64_t)p[i] << (8 * i);
        v[3] ^= tail;
        ROUND(v);
        v[0] ^= tail;
        v[2] ^= 0xff;
        ROUND(v);
        ROUND(v);
        ROUND(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

Map *map_new(void (*free_value)(void *value))
{
        Map *map = NEW(Map);

        map->free_value = free_value;
        return map;
}

void map_free(Map *map)
{
        if (!map)
                return;
        for (size_t i = 0; i < map->n_entries; i++) {
                if (!map->entries[i].key)
                        continue;
                free(map->entries[i].key);
                if (map->free_value)
                        map->free_value(map->entries[i].value);
        }
        free(map->entries);
        free(map->slots);
        free(map);
}

static Entry *find(const Map *map, const void *key, size_t key_size, uint64_t hash)
{
        if (map->n_slots == 0)
                return NULL;
        for (size_t at = hash & (map->n_slots - 1);; at = (at + 1) & (map->n_slots - 1)) {
                Entry *entry;

                if (map->slots[at] == 0)
                        return NULL;
                entry = &map->entries[map->slots[at] - 1];
                if (entry->key && entry->hash == hash && entry->key_size == key_size && memcmp(entry->key, key, key_size) == 0)
                        return entry;
        }
}

static void place(Map *map, uint32_t index)
{
        size_t at = map->entries[index].hash & (map->n_slots - 1);

        while (map->slots[at])
                at = (at + 1) & (map->n_slots - 1);
        map->slots[at] = index + 1;
}

/* Drops the holes and makes the table at least twice as large as the number of live entries. */
static void rehash(Map *map)
{
        size_t n = 0;

        for (size_t i = 0; i < map->n_entries; i++)
                if (map->entries[i].key)
                        map->entries[n++] = map->entries[i];
        map->n_entries = n;
        map->n_slots = 16;
        while (map->n_slots < (n + 1) * 4)
                map->n_slots *= 2;
        free(map->slots);
        map->slots = NEW_ARRAY(uint32_t, map->n_slots);
        for (size_t i = 0; i < n; i++)
                place(map, (uint32_t)i);
}

void map_setn(Map *map, const void *key, size_t key_size, void *value)
{
        uint64_t hash = map_hash(key, key_size);
        Entry *entry = find(map, key, key_size, hash);
        char *copy;

        if (entry) {
                if (map->free_value && entry->value != value)
                        map->free_value(entry->value);
                entry->value = value;
                return;
        }
        if ((map->n_entries + 1) * 2 > map->n_slots)
                rehash(map);
        GROW(map->entries, map->capacity, map->n_entries + 1);
        copy = xmalloc(key_size + 1);
        memcpy(copy, key, key_size);
        copy[key_size] = '\0';
        map->entries[map->n_entries] = (Entry){ .key = copy, .key_size = key_size, .hash = hash, .value = value };
        place(map, (uint32_t)map->n_entries++);
        map->n_live++;
}

void map_set(Map *map, const char *key, void *value)
{
        map_setn(map, key, strlen(key), value);
}

void *map_getn(const Map *map, const void *key, size_t key_size)
{
        Entry *entry = find(map, key, key_size, map_hash(key, key_size));

        return entry ? entry->value : NULL;
}

void *map_get(const Map *map, const char *key)
{
        return map_getn(map, key, strlen(key));
}

bool map_has(const Map *map, const char *key)
{
        return find(map, key, strlen(key), map_hash(key, strlen(key))) != NULL;
}

bool map_remove(Map *map, const char *key)
{
        Entry *entry = find(map, key, strlen(key), map_hash(key, strlen(key)));

        if (!entry)
                return false;
        free(entry->key);
        entry->key = NULL; /* the slot keeps pointing here, so that probing goes on past it */
        if (map->free_value)
                map->free_value(entry->value);
        map->n_live--;
        return true;
}

size_t map_size(const Map *map)
{
        return map->n_live;
}

bool map_next(const Map *map, size_t *at, const char **ret_key, void **ret_value)
{
        while (*at < map->n_entries) {
                Entry *entry = &map->entries[(*at)++];

                if (!entry->key)
                        continue;
                if (ret_key)
                        *ret_key = entry->key;
                if (ret_value)
                        *ret_value = entry->value;
                return true;
        }
        return false;
}
