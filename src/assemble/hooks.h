/*
 * The scripts of hooks/, embedded in the executable by tools/embed. Each runs as `sh SCRIPT ROOT` from mmdebstrap.
 */
#pragma once

extern const char hook_merged_usr[];
extern const char hook_slim[];
extern const char hook_distroless_setup[];
extern const char hook_distroless_finish[];
extern const char hook_busybox[];
