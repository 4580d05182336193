/*
 * The error object: what went wrong, in one sentence, with a code to branch on.
 *
 * Rules:
 *  1. Above base/, a function that can fail returns int: -1 with *err filled, >= 0 with *err untouched.
 *  2. `Error *err` is the last parameter and never NULL.
 *  3. error_set(), error_errno() and error_wrap() all return -1, so a failure is one line: `return error_set(err, …);`
 *  4. Libraries never print and never exit. The border (CLI main, API handler) reports once.
 *
 * Messages are lower case, put the thing in single quotes, and say what was tried and what the user can do.
 */
#pragma once

#include <stdarg.h>

#include "base/macros.h"

/* What a caller can branch on. The CLI maps codes to exit codes, the API maps them to HTTP status codes. */
typedef enum ErrorCode {
        ERROR_NONE = 0,
        ERROR_INTERNAL,    /* a bug, or a state that should not be possible */
        ERROR_INVALID,     /* bad input: a malformed name, Dockerfile, manifest, option value */
        ERROR_NOT_FOUND,   /* the thing named does not exist */
        ERROR_EXISTS,      /* the name is taken */
        ERROR_CONFLICT,    /* in use, or in the wrong state for this */
        ERROR_DENIED,      /* the kernel, a policy or a server says no */
        ERROR_UNSUPPORTED, /* this kernel, host or build cannot do it */
        ERROR_CORRUPT,     /* stored or received data does not match its digest or its format */
        ERROR_LIMIT,       /* a limit on size, depth or count was reached */
        ERROR_NO_SPACE,    /* disk or quota full */
        ERROR_IO,          /* any other failing system call */
        ERROR_NETWORK,     /* name resolution, connection, TLS, HTTP */
        ERROR_EXIT,        /* a program we ran ended with a non-zero status, which is in `status` */
        ERROR_CANCELLED,   /* the user or the caller stopped it */
} ErrorCode;

typedef struct Error {
        ErrorCode code;
        int errnum;    /* errno behind it, or 0 */
        int status;    /* ERROR_EXIT: exit status 0..255 (128+n for signal n). HTTP errors: the status code. Else 0 */
        char *message; /* owned; NULL when no error is set */
} Error;

#define ERROR_INIT ((Error){ 0 })
#define _cleanup_error_ _cleanup_(error_done)

/* Sets an error. An error already held is replaced. Returns -1. */
int error_set(Error *err, ErrorCode code, const char *format, ...) _printf_(3, 4);
int error_setv(Error *err, ErrorCode code, const char *format, va_list args) _printf_(3, 0);

/*
 * Sets an error from an errno value (positive or negative): the text is "<format>: <strerror>" and the code follows from the number
 * (ENOENT -> NOT_FOUND, EACCES/EPERM -> DENIED, ENOSPC/EDQUOT -> NO_SPACE, ...). Returns -1.
 */
int error_errno(Error *err, int errnum, const char *format, ...) _printf_(3, 4);

/* Puts "<format>: " before the message of an error that is set; code and numbers stay. Returns -1. */
int error_wrap(Error *err, const char *format, ...) _printf_(2, 3);

/* Moves an error from `from` (which becomes empty) to `to`. Returns -1. */
int error_move(Error *to, Error *from);

/* Frees the message and empties the object for another use. */
void error_done(Error *err);

static inline int error_is_set(const Error *err)
{
        return err->code != ERROR_NONE;
}

/* The message, or a fixed text when none is set. Never NULL; belongs to the error. */
const char *error_message(const Error *err);

/* "invalid", "not-found", ... for logs and JSON. Static. */
const char *error_code_name(ErrorCode code);
