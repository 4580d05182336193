/*
 * Just enough of image references and platforms to judge a FROM (the full ones are oci/'s, a room beside this one). Private to this folder.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* Errors: INVALID "invalid reference format…". Spec: distribution/reference ParseNormalizedNamed. */
int image_name_check(const char *name, Error *err);

typedef struct PlatformName {
        char os[64], arch[64], variant[64];
} PlatformName;

/* "linux/amd64", "arm64", "windows(10.0)/amd64", with the usual other spellings made equal. Errors: INVALID. Spec: containerd/platforms Parse. */
int platform_name_parse(const char *text, PlatformName *ret, Error *err);
