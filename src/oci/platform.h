/*
 * Platforms: "os[(version)]/arch[/variant]" in words, and as the object in descriptors and configs. Follows containerd/platforms.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "json/dispatch.h"

typedef struct Platform {
        char *architecture; /* GOARCH words: "amd64", "arm64" */
        char *os;           /* GOOS words: "linux" */
        char *os_version;   /* NULL when there is none */
        StrList os_features;
        char *variant; /* "v7", or NULL */
} Platform;

extern const JsonField platform_fields[];

void platform_done(Platform *platform);
#define _cleanup_platform_ _cleanup_(platform_done)
void platform_copy(Platform *to, const Platform *from); /* `to` is empty before */

/* The platform that mica runs on, normalised. The variant is set for 32-bit arm only. */
void platform_host(Platform *ret);

/*
 * Reads "linux/amd64", "linux/arm/v7", "arm64", "linux", "windows(10.0.17763)/amd64"; a missing half comes from the host. Names are normalised: aarch64 and
 * arm64/v8 -> arm64 (a variant that was given stays: "linux/arm64/v8" keeps v8), x86_64 -> amd64, armhf -> arm/v7, armel -> arm/v6, i386 -> 386.
 * Errors: INVALID.
 */
int platform_parse(const char *s, Platform *ret, Error *err);

/* Makes names canonical in place: what platform_equal() compares. arm64/v8 -> arm64, amd64/v1 -> amd64, arm -> arm/v7. */
void platform_normalize(Platform *platform);

/* "linux/arm64/v8", "unknown" without an OS; with_version adds "(10.0.17763)" behind the OS. New string. */
char *platform_format(const Platform *platform, bool with_version);

/* Equal after normalising: OS, architecture, variant (a version of Windows is not compared). */
bool platform_equal(const Platform *a, const Platform *b);

/*
 * How well an image for `have` runs on `want`: 0 is exact, larger is worse (arm/v6 on arm/v7, 386 on amd64, arm/v7 on arm64), -1 not at all.
 * Spec: containerd/platforms Only().
 */
int platform_rank(const Platform *want, const Platform *have);
