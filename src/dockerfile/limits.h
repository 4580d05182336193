/*
 * Every limit on a Dockerfile and its companions, with the reason. All lead to ERROR_LIMIT.
 */
#pragma once

#include "base/macros.h"

/* BuildKit reads lines through a scanner with a 64 KiB token; a longer line is an error there, so no working Dockerfile has one. Without the newline. */
#define LIMIT_LINE_SIZE 65535

/* Hand-written files are kilobytes, generated ones a few MB; above this something else was passed as a Dockerfile (BuildKit's transport stops at 16 MB). */
#define LIMIT_DOCKERFILE_SIZE ((size_t)16 << 20)

/* A logical line is joined from continued lines; it ends as one exec argument, which the kernel limits to 128 KiB, or as a JSON array. */
#define LIMIT_LOGICAL_LINE_SIZE ((size_t)4 << 20)

/* An image config carries one history entry per instruction and registries refuse manifests beyond 4 MB. Far above what can be pushed. */
#define LIMIT_INSTRUCTIONS 100000

/* Each needs a body line of its own, so real files have a handful per instruction. */
#define LIMIT_HEREDOCS 1000

/* What variables may add to one word: the kernel takes no environment string or argument over 128 KiB. Stops `ENV a=$a$a` bombs. */
#define LIMIT_EXPANSION_SIZE ((size_t)256 << 10)

/* All variables of a stage together: execve() refuses more than a quarter of the stack limit, 6 MiB at the very most. */
#define LIMIT_ENVIRONMENT_SIZE ((size_t)16 << 20)

/* The same over all stages that a check walks, since each keeps its own copy for those that start from it. */
#define LIMIT_ALL_ENVIRONMENTS_SIZE ((size_t)64 << 20)

/* ${a:-${b:-…}}: nobody nests deeper than a few; the expansion is recursive. */
#define LIMIT_EXPANSION_DEPTH 100

/* Steps of one ${v/p/r} over a long value; a normal one takes thousands. */
#define LIMIT_PATTERN_STEPS ((size_t)64 << 20)

/* An ignore pattern cannot be much longer than a path (PATH_MAX is 4096), and matching costs pattern times path. */
#define LIMIT_IGNORE_PATTERN_SIZE 8192
#define LIMIT_IGNORE_PATTERNS 100000
#define LIMIT_IGNORE_FILE_SIZE ((size_t)16 << 20)

/* EXPOSE 0-65535 is the largest range there is; the sum over one instruction stays bounded too. */
#define LIMIT_EXPOSE_PORTS 200000
