/*
 * Files from http and https as sources of a build: with credentials from secrets, progress, digests, and the memory of validators.
 *
 * Credentials: the secrets HTTP_AUTH_HEADER_<host> (the whole value of the Authorization header) and HTTP_AUTH_TOKEN_<host> (a bearer token), host without
 * port.
 */
#pragma once

#include "build/engine.h"
#include "http/client.h"

typedef struct HttpFile {
        Digest digest; /* SHA-256, or of the algorithm that was expected */
        int64_t mtime_ns;
        uint64_t size;
        bool unchanged; /* the server says that it is what `known` says: nothing was written */
} HttpFile;

/*
 * Fetches `url` into `to` and notes it as a source of the build. `expected` may be NULL or unset; CORRUPT when the content is another.
 * With `revalidate` the server is asked whether what is remembered is still right; then nothing may be written (ret->unchanged).
 */
int http_source_fetch(Build *build, BuildVertex *vertex, const char *url, const Digest *expected, bool revalidate, const Sink *to, HttpFile *ret, Error *err);

/* Notes a file that is known by its checksum alone. DENIED when policy or lock forbid it. */
int http_source_note(Build *build, const char *url, const Digest *digest, Error *err);
