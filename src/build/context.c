#include "build/context.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/archive_in.h"
#include "build/git.h"
#include "build/http_source.h"
#include "build/snapshot.h"
#include "dockerfile/limits.h"
#include "fs/path.h"

/* A check of the Dockerfile alone has no lease yet, and perhaps no store. */
static int need_lease(Build *build, Error *err)
{
        if (build->lease)
                return 0;
        if (!build->store)
                return error_set(err, ERROR_UNSUPPORTED, "a build context or Dockerfile that is not on this machine needs a store, and there is none yet");
        return lease_new(build->store, "build", &build->lease, err);
}

bool context_is_remote(const char *text)
{
        _cleanup_git_url_ GitUrl url = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        struct stat st;

        /* A directory of that name comes first, as with buildx. */
        if (stat(text, &st) == 0 && S_ISDIR(st.st_mode))
                return false;
        return http_is_url(text) || git_url_parse(text, &url, &ignored) != 0;
}

/* --- http --- */

/* What was fetched before is a layer under the digest and the date of the file. */
static Digest file_key(const HttpFile *file)
{
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);

        hash_field_str(hash, "mica context file 2");
        hash_field_digest(hash, &file->digest);
        hash_field_u64(hash, (uint64_t)file->mtime_ns);
        return hash_digest(hash);
}

static int fetch_archive(Build *build, BuildVertex *vertex, const char *url, bool revalidate, ArchiveIn *in, HttpFile *file, Error *err)
{
        Sink sink = archive_in_sink(in);

        return http_source_fetch(build, vertex, url, NULL, revalidate, &sink, file, err);
}

/* *ret_text (may be NULL) takes what is no archive: 1 then, and *ret_layer is set in either case. */
static int http_layer(Build *build, BuildVertex *vertex, const char *url, Digest *ret_layer, Buf *ret_text, Error *err)
{
        _cleanup_(archive_in_freep) ArchiveIn *in = archive_in_new(build, LIMIT_DOCKERFILE_SIZE);
        _cleanup_free_ char *shown = http_url_shown(url);
        HttpFile file;
        Digest key;
        int r = fetch_archive(build, vertex, url, ret_text == NULL, in, &file, err);

        if (r < 0)
                return -1;
        key = file_key(&file);
        if (file.unchanged) {
                r = snapshot_find(build, &key, ret_layer, err);
                if (r)
                        return r < 0 ? -1 : 0;
                if (fetch_archive(build, vertex, url, false, in, &file, err) < 0)
                        return -1;
                key = file_key(&file);
        }
        r = archive_in_finish(in, ret_layer, err);
        if (r < 0)
                return error_wrap(err, "cannot use '%s' as a build context", shown);
        if (r > 0)
                return snapshot_put(build, &key, ret_layer, shown, "source.http", err);
        /* A file that is no archive, as BuildKit names it. */
        if (snapshot_make_file(build, "context", archive_in_text(in), file.mtime_ns / NSEC_PER_SEC, &key, shown, ret_layer, err) < 0)
                return -1;
        if (!ret_text)
                return 0;
        buf_put(ret_text, archive_in_text(in)->data, archive_in_text(in)->size);
        return 1;
}

int context_fetch_dockerfile(Build *build, const char *url, Buf *text, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(url), *title = xasprintf("[internal] load build definition from %s", shown);
        BuildVertex *vertex = progress_vertex(build->progress, &(VertexInfo){ .name = title });
        _cleanup_(archive_in_freep) ArchiveIn *in = archive_in_new(build, LIMIT_DOCKERFILE_SIZE);
        HttpFile file;
        Digest layer;
        int r;

        if (need_lease(build, err) < 0)
                return -1;
        progress_start(build->progress, vertex);
        r = fetch_archive(build, vertex, url, false, in, &file, err);
        if (r == 0)
                r = archive_in_finish(in, &layer, err);
        if (r > 0)
                r = error_set(err, ERROR_INVALID, "'%s' is an archive, not a Dockerfile", shown);
        if (r < 0) {
                progress_fail(build->progress, vertex, error_message(err));
                return -1;
        }
        progress_done(build->progress, vertex);
        buf_put(text, archive_in_text(in)->data, archive_in_text(in)->size);
        return 0;
}

/* --- git --- */

/* 1, or 0 when it is no repository. */
static int git_layer(Build *build, BuildVertex *vertex, const char *value, Tristate keep, Digest *ret, char **ret_asked, Error *err)
{
        _cleanup_git_source_ GitSource source = { 0 };
        int r = git_resolve(build, value, keep, NULL, &source, err);

        if (r <= 0)
                return r;
        if (ret_asked)
                *ret_asked = git_source_asked(&source);
        return git_snapshot(build, vertex, &source, ret, err) < 0 ? -1 : 1;
}

int context_layer(Build *build, BuildVertex *vertex, const char *value, Digest *ret_diff_id, Error *err)
{
        int r = git_layer(build, vertex, value, TRISTATE_UNSET, ret_diff_id, NULL, err);

        return r ? (r < 0 ? -1 : 0) : http_layer(build, vertex, value, ret_diff_id, NULL, err);
}

/* --- standard input --- */

static int read_stdin(Build *build, BuildVertex *vertex, ArchiveIn *in, Error *err)
{
        _cleanup_free_ char *buffer = xmalloc(256 * KIB);
        uint64_t done = 0, told = 0;

        for (;;) {
                ssize_t n = fd_read_full(build->options->context_fd, buffer, 256 * KIB);

                if (build_check(build, err) < 0)
                        return -1;
                if (n < 0)
                        return error_errno(err, (int)n, "cannot read the build context from standard input");
                if (n == 0)
                        break;
                if (archive_in_write(in, buffer, (size_t)n, err) < 0)
                        return -1;
                done += (uint64_t)n;
                if (done - told >= 16 * MIB) {
                        told = done;
                        progress_status(build->progress, vertex, "reading standard input", done, 0, false);
                }
        }
        progress_status(build->progress, vertex, "reading standard input", done, done, true);
        return 0;
}

static int open_stdin(Build *build, BuildVertex *vertex, Error *err)
{
        _cleanup_(archive_in_freep) ArchiveIn *in = archive_in_new(build, LIMIT_DOCKERFILE_SIZE);
        int r = read_stdin(build, vertex, in, err);

        if (r == 0)
                r = archive_in_finish(in, &build->context_layer, err);
        if (r < 0)
                return error_wrap(err, "cannot use standard input as a build context");
        if (r == 0) {
                if (build->options->dockerfile || build->options->dockerfile_text)
                        return error_set(err, ERROR_INVALID, "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles");
                buf_put(&build->dockerfile_text, archive_in_text(in)->data, archive_in_text(in)->size);
        }
        return 0;
}

/* --- the main context --- */

static bool truth(const char *text)
{
        return text && (streq(text, "1") || strcasecmp(text, "t") == 0 || strcasecmp(text, "true") == 0);
}

/* --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1 keeps .git of a context. */
static Tristate keep_git_dir(const Build *build)
{
        return truth(strlist_env_get(&build->options->build_args, "BUILDKIT_CONTEXT_KEEP_GIT_DIR")) ? TRISTATE_TRUE : TRISTATE_UNSET;
}

static int open_url(Build *build, BuildVertex *vertex, const char *url, Error *err)
{
        _cleanup_git_url_ GitUrl parsed = { 0 };
        int is_git = git_url_parse(url, &parsed, err), r;
        Tristate keep = parsed.keep_git_dir ? TRISTATE_UNSET : keep_git_dir(build);

        if (is_git < 0)
                return -1;
        if (is_git)
                return git_layer(build, vertex, url, keep, &build->context_layer, &build->context_asked, err) < 0 ? -1 : 0;
        build->context_asked = http_url_shown(url);
        r = http_layer(build, vertex, url, &build->context_layer, &build->dockerfile_text, err);
        if (r > 0 && (build->options->dockerfile || build->options->dockerfile_text))
                return error_set(err, ERROR_INVALID, "ambiguous Dockerfile source: both the build context and the flag correspond to Dockerfiles");
        return r < 0 ? -1 : 0;
}

/* A URL that is none of ours would only be called a missing directory. */
static int check_directory(const char *context, Error *err)
{
        if (!strstr(context, "://") || access(context, F_OK) == 0)
                return 0;
        return error_set(err, ERROR_INVALID,
                         "cannot use '%s' as a build context: known are a directory, '-' (standard input), http:// and https:// (a tar, a Dockerfile, or a "
                         "repository when it ends in .git), git://, ssh:// and user@host:path",
                         context);
}

int context_open_remote(Build *build, Error *err)
{
        const char *context = build->options->context;
        _cleanup_free_ char *title = NULL, *shown = NULL;
        bool from_stdin = context && streq(context, "-");
        BuildVertex *vertex;
        int r;

        if (!context)
                return 0;
        if (!from_stdin && !context_is_remote(context))
                return check_directory(context, err);
        if (from_stdin) {
                title = xstrdup("[internal] load remote build context");
        } else {
                _cleanup_git_url_ GitUrl url = { 0 };
                int is_git = git_url_parse(context, &url, err);

                if (is_git < 0)
                        return error_wrap(err, "cannot use the build context");
                shown = is_git ? git_url_shown(&url) : http_url_shown(context);
                title = is_git ? xasprintf("[internal] load git source %s%s%s", shown, url.ref ? "#" : "", url.ref ? url.ref : "")
                               : xasprintf("[internal] load remote build context %s", shown);
        }
        if (need_lease(build, err) < 0)
                return -1;
        vertex = progress_vertex(build->progress, &(VertexInfo){ .name = title });
        progress_start(build->progress, vertex);
        r = from_stdin ? open_stdin(build, vertex, err) : open_url(build, vertex, context, err);
        if (r < 0) {
                progress_fail(build->progress, vertex, error_message(err));
                return -1;
        }
        progress_done(build->progress, vertex);
        return 1;
}

void context_make_stage(Build *build)
{
        BuildStage *stage;

        if (!digest_is_set(&build->context_layer))
                return;
        stage = stage_new(&build->targets[0]);
        stage->base_name = xstrdup("build context"); /* no name that FROM or --from can have */
        stage->needed = true;
        snapshot_image(&build->targets[0].platform, &build->context_layer, &stage->image);
        build->context_stage = stage;
}

int context_read_file(Build *build, const char *path, Buf *text, Error *err)
{
        if (!digest_is_set(&build->context_layer))
                return error_set(err, ERROR_NOT_FOUND, "there is no build context");
        if (!build->context_root) {
                RootfsOptions options = { 0 };

                if (rootfs_mount(build->lease, &build->context_layer, 1, &options, &build->context_root, err) < 0)
                        return -1;
        }
        return inroot_read(rootfs_fd(build->context_root), path, text, err);
}
