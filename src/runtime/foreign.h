/*
 * Whether programs of a platform run on this machine: natively, because the processor can (386 on amd64), or through an emulator that binfmt_misc knows.
 * It is tried: a program of a few instructions is run where a container would run it, with nothing around it.
 */
#pragma once

#include "base/error.h"
#include "oci/platform.h"

/*
 * 1 when they run, 0 when not, -1. `directory` is an existing directory on a file system that is not mounted noexec; a file is made in it and removed.
 * Threads: forks; call it before threads are started.
 */
int platform_runs(const Platform *platform, const char *directory, Error *err);

/* This machine's platform with the level of its processor as the variant ("linux/amd64/v3", "linux/arm64/v8"): the most that an image may ask for. */
void platform_host_best(Platform *ret);

/* Why they do not, and what can be done: "no emulator for arm64 is registered (…)". New string. */
char *platform_why_not(const Platform *platform);
