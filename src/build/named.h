/*
 * Named contexts (--build-context name=value): what a name in FROM, COPY --from and RUN --mount=from= means instead of a stage or an image.
 *
 *   name=directory                 its files, without what its .dockerignore hides
 *   name=docker-image://reference  an image of the store
 *   name=oci-layout://path[:tag][@digest]
 *   name=target:stage              a stage of the same Dockerfile
 *   name=https://….git, git@…      a repository (git.h)
 *   name=https://…                 an archive, or a file that is then named "context"
 *
 * `name::platform=…` ("alpine::linux/arm64") stands for the name where the stage is for that platform, and before the one without a platform.
 * Spec: BuildKit, frontend/dockerui NamedContext(). Differs: "name::arm64" and other ways to write a platform count too.
 *
 * Names compare as image references do ("alpine" is "docker.io/library/alpine:latest"), or as they are written when they are none. One that is the name of a
 * stage replaces the stage.
 */
#pragma once

#include "build/engine.h"

/* The context of that name for a platform ("linux/arm64"), or NULL. */
const BuildNamedContext *named_find(const Build *build, const char *name, const char *platform);

/* One of that name that is for other platforms only, or NULL: what to tell when the name leads to nothing. */
const BuildNamedContext *named_elsewhere(const Build *build, const char *name);

/* The rest of the value behind `prefix` ("target:"), or NULL when there is no such context or it is of another kind. */
const char *named_value(const Build *build, const char *name, const char *platform, const char *prefix);

/* What Build.named holds. */
typedef struct NamedTree {
        SourceTree *tree;
        IgnoreMatcher *ignore; /* of its .dockerignore, or NULL */
        FileDigests *digests;
} NamedTree;
void named_tree_free(void *tree); /* saves the digests */

/* A named context that is a directory: 1 and its tree; 0 when the name is none. */
int named_directory(Build *build, const char *name, const char *platform, SourceTree **ret, Error *err);

/* Any kind but target: as an image for a platform (NULL: any): what FROM and COPY --from start from. `vertex` shows the progress. *ret_id is
 * unset when it is no image of the store. */
int named_image(Build *build, BuildVertex *vertex, const BuildNamedContext *named, const char *platform, const Platform *target, ImageConfig *ret,
                Digest *ret_id, Error *err);

/* Checks names and values before anything is built. */
int named_check(const Build *build, Error *err);
