/*
 * Reading the inputs of a build: Dockerfile, ignore file, contexts, platforms, variables.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/context.h"
#include "build/engine.h"
#include "build/hosts.h"
#include "build/intake.h"
#include "build/named.h"
#include "dockerfile/limits.h"
#include "http/client.h"
#include "oci/reference.h"

int build_check(Build *build, Error *err)
{
        if (build->options->cancel && *build->options->cancel)
                atomic_store(&build->stop, 1);
        return atomic_load(&build->stop) ? error_set(err, ERROR_CANCELLED, "the build was cancelled") : 0;
}

/* --- the Dockerfile --- */

static int read_dockerfile(Build *build, const char *path, Error *err)
{
        int r = file_read(AT_FDCWD, path, &build->dockerfile_text);

        if (r == -EFBIG)
                return error_set(err, ERROR_LIMIT, "the Dockerfile '%s' is larger than %zu MiB", path, LIMIT_DOCKERFILE_SIZE >> 20);
        return r < 0 ? error_errno(err, r, "cannot read the Dockerfile '%s'", path) : 0;
}

/* Without -f: "Dockerfile" of the context, or "dockerfile". */
static int find_dockerfile(Build *build, char **ret, Error *err)
{
        const char *context = build->options->context;
        _cleanup_free_ char *first = xasprintf("%s/Dockerfile", context ? context : ".");
        _cleanup_free_ char *second = xasprintf("%s/dockerfile", context ? context : ".");

        if (access(first, F_OK) < 0 && errno == ENOENT && access(second, F_OK) == 0) {
                *ret = TAKE_PTR(second);
                return 0;
        }
        if (access(first, F_OK) < 0 && errno == ENOENT)
                return error_set(err, ERROR_NOT_FOUND, "there is no Dockerfile in '%s': name one with -f", context ? context : ".");
        *ret = TAKE_PTR(first);
        return 0;
}

/* The part of a path behind the context directory, for messages; else the path. */
static const char *shown_name(const Build *build, const char *path)
{
        const char *rest = build->options->context ? str_after(path, build->options->context) : NULL;

        while (rest && *rest == '/')
                rest++;
        return str_empty(rest) ? path : rest;
}

/* Of a context that is no directory here: by a path inside of it. */
static int read_remote_dockerfile(Build *build, Error *err)
{
        const char *given = build->options->dockerfile;
        int r = context_read_file(build, given ? given : "Dockerfile", &build->dockerfile_text, err);

        build->dockerfile_name = xstrdup(given ? given : "Dockerfile");
        if (r < 0 && !given && err->code == ERROR_NOT_FOUND) {
                error_done(err);
                r = context_read_file(build, "dockerfile", &build->dockerfile_text, err);
        }
        if (r < 0 && err->code == ERROR_NOT_FOUND)
                return error_set(err, ERROR_NOT_FOUND, "there is no '%s' in the build context: name the Dockerfile with -f", build->dockerfile_name);
        return r < 0 ? error_wrap(err, "cannot read the Dockerfile of the build context") : 0;
}

static int load_dockerfile(Build *build, char **ret_path, Error *err)
{
        const BuildOptions *options = build->options;
        _cleanup_free_ char *path = NULL;
        int remote;

        build->dockerfile_text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
        remote = context_open_remote(build, err);
        if (remote < 0)
                return -1;
        if (build->dockerfile_text.size) { /* the context is a Dockerfile */
                build->dockerfile_name = xstrdup("Dockerfile");
                return 0;
        }
        if (options->dockerfile_text) {
                build->dockerfile_name = xstrdup(options->dockerfile ? options->dockerfile : "Dockerfile");
                if (buf_add(&build->dockerfile_text, options->dockerfile_text, options->dockerfile_size) < 0)
                        return error_set(err, ERROR_LIMIT, "the Dockerfile is larger than %zu MiB", LIMIT_DOCKERFILE_SIZE >> 20);
                return 0;
        }
        if (options->dockerfile && http_is_url(options->dockerfile)) {
                build->dockerfile_name = xstrdup("Dockerfile");
                return context_fetch_dockerfile(build, options->dockerfile, &build->dockerfile_text, err);
        }
        /* With a URL an absolute path is a file of this machine, as with buildx. */
        if (remote && digest_is_set(&build->context_layer) && (streq(options->context, "-") || !options->dockerfile || *options->dockerfile != '/'))
                return read_remote_dockerfile(build, err);
        if (remote && !digest_is_set(&build->context_layer)) {
                build->dockerfile_name = xstrdup("Dockerfile"); /* an empty one, which the parser refuses */
                return 0;
        }
        if (intake_other(build, "local://dockerfile", err) < 0)
                return -1;
        if (options->dockerfile)
                path = xstrdup(options->dockerfile);
        else if (find_dockerfile(build, &path, err) < 0)
                return -1;
        if (read_dockerfile(build, path, err) < 0)
                return -1;
        build->dockerfile_name = xstrdup(shown_name(build, path));
        *ret_path = TAKE_PTR(path);
        return 0;
}

int build_parse_text(Build *build, Error *err)
{
        const char *name = build->dockerfile_name;
        const Buf *text = &build->dockerfile_text;

        if (!text->size)
                return error_set(err, ERROR_INVALID, "the Dockerfile '%s' cannot be empty", name);
        if (dockerfile_check_syntax(name, text->data, text->size, &build->diagnosis, err) < 0)
                return -1;
        if (dockerfile_parse(&build->dockerfile, name, text->data, text->size, &build->diagnosis, err) < 0)
                return -1;
        return stages_parse(&build->parsed, build->dockerfile, &build->diagnosis, err);
}

/* --- ignore files --- */

/* 1 when it is there. */
static int read_ignore_file(Build *build, const char *path, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(LIMIT_IGNORE_FILE_SIZE);
        int r = file_read(AT_FDCWD, path, &text);

        if (r == -ENOENT || r == -ENOTDIR)
                return 0;
        if (r < 0)
                return error_errno(err, r, "cannot read '%s'", path);
        if (ignore_file_read(&build->ignore_patterns, text.data ? text.data : "", text.size, err) < 0)
                return error_wrap(err, "cannot use '%s'", path);
        return 1;
}

/* <Dockerfile>.dockerignore replaces .dockerignore. */
static int load_ignore(Build *build, const char *dockerfile_path, Error *err)
{
        const char *context = build->options->context;
        _cleanup_free_ char *beside = dockerfile_path ? xasprintf("%s.dockerignore", dockerfile_path) : NULL;
        bool is_directory = context && !streq(context, "-") && !context_is_remote(context);
        _cleanup_free_ char *inside = is_directory ? xasprintf("%s/.dockerignore", context) : NULL;
        int found = beside ? read_ignore_file(build, beside, err) : 0;

        if (found == 0 && inside)
                found = read_ignore_file(build, inside, err);
        if (found < 0)
                return -1;
        if (!build->ignore_patterns.n_items)
                return 0;
        return ignore_matcher_new(&build->ignore, &build->ignore_patterns, err) < 0 ? error_wrap(err, "cannot use .dockerignore") : 0;
}

/* --- contexts --- */

static int open_directory_tree(Build *build, const char *path, const char *name, bool with_ignore, FileDigests *digests, SourceTree **ret, Error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        TreeOptions options = {
                .name = name,
                .root_fd = fd,
                .ignore = with_ignore ? build->ignore : NULL,
                .anonymous = true,
                .live = true,
                .digests = digests,
        };

        if (fd < 0)
                return error_errno(err, errno, "cannot open the directory '%s' (%s)", path, name);
        return source_tree_open(&options, ret, err);
}

int build_context(Build *build, SourceTree **ret, Error *err)
{
        int result = 0;

        if (!build->options->context || streq(build->options->context, "-"))
                return error_set(err, ERROR_INVALID, "this build has no context directory to read files from");
        pthread_mutex_lock(&build->lock);
        if (!build->context) {
                result = intake_other(build, "local://context", err);
                if (result == 0 && !build->digests)
                        result = file_digests_open(build->store, build->options->context, &build->digests, err);
                if (result == 0)
                        result = open_directory_tree(build, build->options->context, "build context", true, build->digests, &build->context, err);
        }
        *ret = build->context;
        pthread_mutex_unlock(&build->lock);
        return result < 0 ? -1 : 0;
}

/* --- variables, platforms, names --- */

static DfPlatform df_platform(const Platform *platform)
{
        return (DfPlatform){ .os = platform->os, .arch = platform->architecture, .variant = platform->variant, .os_version = platform->os_version };
}

/* Keeps the platform that was put behind the last target, unless it is there already. */
static int add_target(Build *build)
{
        BuildTarget *target = &build->targets[build->n_targets];

        target->text = platform_format(&target->platform, false);
        for (size_t i = 0; i < build->n_targets; i++)
                if (streq(build->targets[i].text, target->text)) {
                        platform_done(&target->platform);
                        free(TAKE_PTR(target->text));
                        return 0;
                }
        target->build = build;
        build->n_targets++;
        return 0;
}

static int load_platforms(Build *build, Error *err)
{
        const StrList *wanted = &build->options->platforms;

        platform_host(&build->host);
        build->host_text = platform_format(&build->host, false);
        build->targets = NEW_ARRAY(BuildTarget, MAX(wanted->n_items, (size_t)1));
        if (!wanted->n_items) {
                platform_copy(&build->targets[0].platform, &build->host);
                return add_target(build);
        }
        for (size_t i = 0; i < wanted->n_items; i++)
                if (platform_parse(wanted->items[i], &build->targets[build->n_targets].platform, err) < 0 || add_target(build) < 0)
                        return -1;
        return 0;
}

ScopeOptions target_scope_options(const BuildTarget *target)
{
        const Build *build = target->build;

        return (ScopeOptions){
                .build_args = &build->options->build_args,
                .build = df_platform(&build->host),
                .target = df_platform(&target->platform),
                .target_stage = build->options->target,
        };
}

static int load_scope(Build *build, Error *err)
{
        const GlobalScope *global;
        const char *epoch;

        for (size_t i = 0; i < build->n_targets; i++) {
                ScopeOptions options = target_scope_options(&build->targets[i]);

                if (global_scope_new(&build->targets[i].global, build->parsed, &options, &build->diagnosis, err) < 0)
                        return -1;
        }
        global = build->targets[0].global;
        build->epoch = build->options->epoch;
        epoch = global_scope_build_arg(global, "SOURCE_DATE_EPOCH");
        if (!epoch)
                epoch = global_scope_get(global, "SOURCE_DATE_EPOCH");
        if (!str_empty(epoch) && (str_to_i64(epoch, &build->epoch) < 0 || build->epoch < 0))
                return error_set(err, ERROR_INVALID, "SOURCE_DATE_EPOCH '%s' is not a number of seconds since 1970", epoch);
        return 0;
}

static int load_names(Build *build, Error *err)
{
        for (size_t i = 0; i < build->options->tags.n_items; i++) {
                const char *tag = build->options->tags.items[i];
                _cleanup_reference_ Reference reference = { 0 };
                _cleanup_free_ char *text = NULL;

                if (reference_parse_target(tag, &reference, err) < 0)
                        return error_wrap(err, "invalid tag '%s'", tag);
                text = reference_text(&reference);
                if (!strlist_has(&build->names, text))
                        strlist_add(&build->names, text);
        }
        return 0;
}

int build_load_text(Build *build, Error *err)
{
        _cleanup_free_ char *path = NULL;

        if (load_names(build, err) < 0 || load_platforms(build, err) < 0 || load_dockerfile(build, &path, err) < 0)
                return -1;
        return load_ignore(build, path, err);
}

int build_load(Build *build, Error *err)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_free_ char *title = NULL;
        BuildVertex *vertex;

        if (intake_open(build, err) < 0 || named_check(build, err) < 0 || hosts_write(NULL, &build->options->add_hosts, NULL, err) < 0 ||
            load_names(build, err) < 0 || load_platforms(build, err) < 0)
                return -1;
        build->reads_files = true;
        if (load_dockerfile(build, &path, err) < 0)
                return -1;
        title = xasprintf("[internal] load build definition from %s", build->dockerfile_name);
        vertex = progress_vertex(build->progress, &(VertexInfo){ .name = title });
        progress_start(build->progress, vertex);
        if (build_parse_text(build, err) < 0) {
                progress_fail(build->progress, vertex, error_message(err));
                return -1;
        }
        progress_status(build->progress, vertex, "transferring dockerfile", build->dockerfile_text.size, build->dockerfile_text.size, true);
        progress_done(build->progress, vertex);

        vertex = progress_vertex(build->progress, &(VertexInfo){ .name = "[internal] load .dockerignore" });
        progress_start(build->progress, vertex);
        if (load_ignore(build, path, err) < 0) {
                progress_fail(build->progress, vertex, error_message(err));
                return -1;
        }
        progress_done(build->progress, vertex);
        return load_scope(build, err);
}
