/*
 * Private to runtime/: which capabilities a container gets.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* One bit per capability number. */
typedef uint64_t CapSet;

/* "CAP_CHOWN"; NULL beyond what linux/capability.h of this release knows. Static. */
const char *capability_name(unsigned number);

/* What this process itself may hand on: its bounding set and what it holds. */
CapSet capabilities_of_process(void);

/* docker's default set. */
CapSet capabilities_default(void);

/*
 * The set of a container as docker's --cap-add, --cap-drop and --privileged make it, without what this process could not hand on. Names in any case, with or
 * without "CAP_"; "ALL". Errors: INVALID (unknown name).
 */
int capabilities_resolve(const StrList *add, const StrList *drop, bool privileged, CapSet own, CapSet *ret, Error *err);
