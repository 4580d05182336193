/*
 * URLs of git repositories as build contexts and ADD take them: which texts name a repository, and what the part behind it asks for.
 *
 *   http(s)://host/path.git | git://host/path | ssh://[user@]host[:port]/path | user@host:path | github.com/path     (the last for contexts only)
 *   then  #ref[:directory]   and/or   ?ref=&tag=&branch=&subdir=&checksum=&commit=&keep-git-dir[=]&submodules[=]&mtime=&fetch-by-commit[=]
 *
 * An http URL is a repository only when its path ends in ".git". Text in, fields out; no I/O.
 * Spec: BuildKit's dfgitutil. Differs: refs, hosts and users that could be read as an option by git or ssh (a leading '-'), and refs with characters that no
 * ref can have, are refused here instead of later.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "dockerfile/instruction.h"

typedef struct GitUrl {
        char *remote;   /* what git is given: scheme in lower case, without query and fragment; "https://" in front of github.com/… */
        char *host;     /* "github.com", "127.0.0.1:8080" */
        char *path;     /* on the host: "/moby/buildkit.git" */
        char *user;     /* "git", "name:password" as written, or NULL */
        char *ref;      /* "v1.0", "refs/tags/v1.0", a commit; NULL: the default branch */
        char *sub_dir;  /* relative and clean, or NULL */
        char *checksum; /* leading digits of a commit, or NULL */
        Tristate keep_git_dir, submodules;
        bool fetch_by_commit;
        bool mtime_checkout; /* mtime=checkout was asked for */
        bool implicit;       /* github.com/…, which could be a directory as well */
        bool ssh;            /* needs ssh */
} GitUrl;

void git_url_done(GitUrl *url);
#define _cleanup_git_url_ _cleanup_(git_url_done)

/* Returns 1 when the text names a repository, 0 when it does not, -1 when it does in a way that cannot be (INVALID). */
int git_url_parse(const char *text, GitUrl *ret, Error *err);

/* 40 or 64 hexadecimal digits. */
bool git_is_commit(const char *text);

/* The repository without user name and password; for messages, records and provenance. New string. */
char *git_url_shown(const GitUrl *url);

/* BuildKit's name of the source: "git://github.com/moby/buildkit.git#ref:directory". New string. */
char *git_url_identifier(const GitUrl *url);
