/*
 * Git repositories as sources: finding the commit that is meant, and the files of a commit as a layer. The git program does the work; this file decides what
 * it may do: no prompts, no configuration of the user or the machine, no protocols but those that were asked for, no hooks, no LFS.
 *
 *   git_resolve()   asks the server once for each repository and ref of a build (never for a full commit), checks --checksum
 *   git_snapshot()  the files of the commit as a layer: from the cache, or fetched shallowly and checked out. Owners are 0:0, modes 0644 or 0755, times those
 *                   of the commit (BuildKit: of the checkout), so the same commit is the same layer everywhere
 *
 * Tokens come from the secrets GIT_AUTH_HEADER[.host] and GIT_AUTH_TOKEN[.host], or from the URL. They reach git in its environment only: they are in no
 * argument list, no file and no record.
 */
#pragma once

#include "build/engine.h"
#include "build/sources.h"
#include "dockerfile/git_url.h"

typedef struct GitSource {
        GitUrl url;
        bool keep_git_dir;
        char object[SOURCE_COMMIT_SIZE]; /* what the ref names: a commit or an annotated tag */
        char commit[SOURCE_COMMIT_SIZE]; /* the commit */
        char *used_ref;                  /* "refs/heads/main"; NULL for a bare commit */
} GitSource;

void git_source_done(GitSource *source);
#define _cleanup_git_source_ _cleanup_(git_source_done)

/*
 * Reads `text` (git_url_parse) and finds its commit. `keep_git_dir` and `checksum` are those of the instruction; the URL's must agree with them.
 * Returns 1, or 0 when the text names no repository. Errors: INVALID, NOT_FOUND (no such ref), NETWORK (what git said), DENIED (policy, lock), CORRUPT
 * (checksum), CANCELLED, NOT_FOUND (no git program).
 */
int git_resolve(Build *build, const char *text, Tristate keep_git_dir, const char *checksum, GitSource *ret, Error *err);

/* What was asked for, without passwords: "https://…/x.git#ref:directory", as the list of sources has it. New string. */
char *git_source_asked(const GitSource *source);

/* Frees what Build.git_refs remembers. */
void git_answer_free(void *answer);

/* What identifies the files: commit, directory, options. */
Digest git_source_key(const GitSource *source);

/* The files as a layer. Progress goes to `vertex`. */
int git_snapshot(Build *build, BuildVertex *vertex, const GitSource *source, Digest *ret_diff_id, Error *err);
