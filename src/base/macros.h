/*
 * Small language helpers: automatic cleanup, ownership hand-over, array length.
 *
 * Not here: anything with a definition in a .c file.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Runs `fn(&variable)` when the variable leaves its scope. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _warn_unused_ __attribute__((warn_unused_result))
#define _noreturn_ __attribute__((noreturn))
#define _fallthrough_ __attribute__((fallthrough))

static inline void freep(void *p)
{
        free(*(void **)p);
}

static inline void closep(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

/* Hands ownership over: yields the pointer and leaves NULL behind, so that the cleanup of the variable does nothing. */
#define TAKE_PTR(ptr) \
        ({ \
                typeof(ptr) *pptr_ = &(ptr); \
                typeof(ptr) value_ = *pptr_; \
                *pptr_ = NULL; \
                value_; \
        })

/* The same for a file descriptor: leaves -1 behind. */
#define TAKE_FD(fd) \
        ({ \
                int *pfd_ = &(fd); \
                int value_ = *pfd_; \
                *pfd_ = -1; \
                value_; \
        })

/* Defines `fnp(T **p)`, the form that _cleanup_() wants, from `fn(T *p)`. */
#define DEFINE_CLEANUP(type, fn) \
        static inline void fn##p(type *p) \
        { \
                if (*p) \
                        fn(*p); \
        }

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* Each argument is evaluated once; nested uses do not shadow each other. */
#define MIN(a, b) MIN_(__COUNTER__, a, b)
#define MIN_(n, a, b) MIN__(n, a, b)
#define MIN__(n, a, b) \
        ({ \
                typeof(a) a_##n = (a); \
                typeof(b) b_##n = (b); \
                a_##n < b_##n ? a_##n : b_##n; \
        })
#define MAX(a, b) MAX_(__COUNTER__, a, b)
#define MAX_(n, a, b) MAX__(n, a, b)
#define MAX__(n, a, b) \
        ({ \
                typeof(a) a_##n = (a); \
                typeof(b) b_##n = (b); \
                a_##n > b_##n ? a_##n : b_##n; \
        })
#define unlikely(x) __builtin_expect(!!(x), 0)
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
