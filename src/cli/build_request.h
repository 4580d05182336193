/*
 * The options of `mica build` and what they become: BuildFlags (as typed, filled by the option table) and BuildRequest (what build_run() takes).
 *
 * To add an option: a field in BuildFlags, a row in build_options (sorted by name), and a few lines in build_request_make() or, when it has a syntax of its
 * own, in a file of its own that build_request_make() calls.
 */
#pragma once

#include "base/buf.h"
#include "build/build.h"
#include "cli/option.h"

typedef struct BuildFlags {
        StrList add_hosts, allow, annotations, attests, build_args, cache_from, cache_to, contexts;
        const char *call, *cgroup_parent;
        bool check;
        const char *debug_shell, *explain, *file, *format, *graph;
        bool force_rm, host_ca;
        const char *iidfile;
        int64_t jobs;
        StrList labels;
        bool load;
        const char *locked;
        const char *metadata_file, *network;
        bool no_cache;
        StrList no_cache_filter, outputs, platforms;
        const char *pin, *progress;
        bool push, quiet, rm;
        const char *provenance, *sbom;
        StrList secrets;
        int64_t shm_size;
        bool squash;
        StrList ssh, tags;
        const char *target, *timings;
        StrList ulimits;
        bool watch;
} BuildFlags;

extern const Option build_options[];

/* What the options become; owns the arrays that BuildOptions points to. */
typedef struct BuildRequest {
        BuildOptions options;
        BuildCacheTo *cache_to;
        BuildCacheFrom *cache_from;
        BuildSecret *secrets;
        BuildSsh *ssh;
        BuildNamedContext *contexts;
        RunLimit *limits;
        BuildOutput *outputs;
        Buf dockerfile; /* from standard input */
} BuildRequest;

/*
 * Turns what was typed into a request. `path` is the argument: a directory, or "-". Reads standard input when the Dockerfile comes from there.
 * Errors: INVALID and UNSUPPORTED that name the option. The request points into `flags`; build_request_done() in either case.
 */
int build_request_make(const BuildFlags *flags, const char *path, BuildRequest *request, Error *err);
void build_request_done(BuildRequest *request);
