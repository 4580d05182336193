/*
 * Build contexts that are no directory of this machine: a tar or a Dockerfile on standard input, a git repository, a tar or a Dockerfile behind a URL.
 *
 * What such a context holds becomes a layer, as it comes: a tar is taken by the store's own importer (any compression, bombs and escapes refused) and never
 * unpacked, a repository is snapshotted (git.h). Steps then read it as they read another stage: by chain when nothing changed, else by content.
 *
 * As with BuildKit, .dockerignore does not apply to them, and files of a tar keep their owners.
 */
#pragma once

#include "build/engine.h"

/* Whether `text` names a context that is not a local directory: a URL or a repository. */
bool context_is_remote(const char *text);

/*
 * Opens the main context when it is one of these: fills Build.context_layer, or Build.dockerfile_text when it turned out to be a Dockerfile alone. Returns 1; 0
 * when the context is a directory (or there is none).
 */
int context_open_remote(Build *build, Error *err);

/* The stage that stands for it, once there is a plan. */
void context_make_stage(Build *build);

/* Reads a file of the remote context ("Dockerfile"), confined to it. NOT_FOUND. */
int context_read_file(Build *build, const char *path, Buf *text, Error *err);

/* A Dockerfile from http(s): `-f https://…`. */
int context_fetch_dockerfile(Build *build, const char *url, Buf *text, Error *err);

/*
 * What a value of --build-context that is remote holds, as a layer: git, http(s). An archive is what is in it, any other file is named "context".
 * `vertex` shows the progress.
 */
int context_layer(Build *build, BuildVertex *vertex, const char *value, Digest *ret_diff_id, Error *err);
