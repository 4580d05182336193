/*
 * Private to runtime/: seccomp profiles in docker's and containers-common's JSON form (rules with `includes` and `excludes`), resolved for one container to the
 * rules of OCI runtime-spec config-linux.md "Seccomp", and compiled to the filter program that crun can take ready made.
 *
 * Compiling the default profile takes libseccomp some 8 ms, as long as everything else that crun does; so programs are kept in a cache directory under a key of
 * all that they depend on: the profile file's identity, the capabilities, the machine and the kernel. The directory is on a tmpfs, so a new libseccomp is seen
 * at the next boot.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "runtime/caps.h"
#include "json/writer.h"

#define SECCOMP_DEFAULT_PROFILE "/usr/share/containers/seccomp.json"

typedef struct SeccompArg {
        uint64_t index, value, value_two;
        char *op; /* "SCMP_CMP_EQ" */
} SeccompArg;

typedef struct SeccompRule {
        StrList names;
        char *action;      /* "SCMP_ACT_ALLOW" */
        int64_t errno_ret; /* -1: not said */
        SeccompArg *args;
        size_t n_args;
} SeccompRule;

typedef struct SeccompProfile {
        char *default_action;
        int64_t default_errno_ret; /* -1: not said */
        StrList architectures;     /* "SCMP_ARCH_X86_64" */
        StrList flags;
        SeccompRule *rules;
        size_t n_rules;
} SeccompProfile;

void seccomp_profile_done(SeccompProfile *seccomp);
#define _cleanup_seccomp_profile_ _cleanup_(seccomp_profile_done)

/*
 * Reads a profile and keeps the rules that hold for a container with these capabilities on this machine. `path` NULL: the default profile, which is
 * SECCOMP_DEFAULT_PROFILE with what docker's denies beyond it. Errors: NOT_FOUND, INVALID.
 */
int seccomp_profile_load(const char *path, CapSet bounding, SeccompProfile *ret, Error *err);

/* The member "seccomp" of OCI's "linux" object, as one value. */
void seccomp_profile_write(const SeccompProfile *seccomp, JsonWriter *writer);

/*
 * The filter program of a profile in base64 (new string), from `cache_dir` (absolute path, made when missing) or compiled. Errors: as seccomp_profile_load();
 * UNSUPPORTED when libseccomp is not there or cannot compile the profile (the caller then gives the runtime the rules).
 */
int seccomp_profile_program(const char *path, CapSet bounding, const char *cache_dir, char **ret, Error *err);

/* Private to the room: takes away what docker's default profile does not allow. */
void seccomp_profile_tighten(SeccompProfile *seccomp, CapSet bounding);

/* Private to the room: the program from the rules. Appends the bytes. UNSUPPORTED as above. */
int seccomp_profile_compile(const SeccompProfile *seccomp, Buf *out, Error *err);
