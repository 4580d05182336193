#include "build/named.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/context.h"
#include "build/intake.h"
#include "build/snapshot.h"
#include "dockerfile/limits.h"
#include "fs/path.h"
#include "oci/reference.h"
#include "remote/oci_layout.h"

#define IMAGE "docker-image://"
#define LAYOUT "oci-layout://"
#define TARGET "target:"

/* --- names --- */

/* "docker.io/library/alpine:latest" -> "alpine"; what is no reference stays, in lower case as names of stages are. New string. */
static char *normalize(const char *name)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        char *familiar;
        size_t size;

        if (reference_parse(name, &reference, &ignored) < 0)
                return str_lower(name);
        familiar = reference_familiar(&reference);
        size = strlen(familiar);
        if (str_ends(familiar, ":latest"))
                familiar[size - strlen(":latest")] = '\0';
        return familiar;
}

static bool is_for(const BuildNamedContext *named, const char *platform)
{
        _cleanup_platform_ Platform have = { 0 }, wanted = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;

        return platform_parse(named->platform, &have, &ignored) == 0 && platform_parse(platform, &wanted, &ignored) == 0 && platform_equal(&have, &wanted);
}

const BuildNamedContext *named_find(const Build *build, const char *name, const char *platform)
{
        _cleanup_free_ char *wanted = build->options->n_contexts ? normalize(name) : NULL;
        const BuildNamedContext *found = NULL;

        for (size_t i = build->options->n_contexts; i-- > 0;) { /* the last one counts */
                const BuildNamedContext *named = &build->options->contexts[i];
                _cleanup_free_ char *have = normalize(named->base);

                if (!streq(have, wanted))
                        continue;
                if (named->platform && is_for(named, platform))
                        return named;
                if (!named->platform && !found)
                        found = named;
        }
        return found;
}

const BuildNamedContext *named_elsewhere(const Build *build, const char *name)
{
        _cleanup_free_ char *wanted = build->options->n_contexts ? normalize(name) : NULL;

        for (size_t i = build->options->n_contexts; i-- > 0;) {
                _cleanup_free_ char *have = normalize(build->options->contexts[i].base);

                if (build->options->contexts[i].platform && streq(have, wanted))
                        return &build->options->contexts[i];
        }
        return NULL;
}

const char *named_value(const Build *build, const char *name, const char *platform, const char *prefix)
{
        const BuildNamedContext *named = named_find(build, name, platform);

        return named ? str_after(named->value, prefix) : NULL;
}

static bool is_directory(const BuildNamedContext *named)
{
        return !str_starts(named->value, IMAGE) && !str_starts(named->value, LAYOUT) && !str_starts(named->value, TARGET) && !context_is_remote(named->value);
}

int named_check(const Build *build, Error *err)
{
        for (size_t i = 0; i < build->options->n_contexts; i++) {
                const BuildNamedContext *named = &build->options->contexts[i];
                _cleanup_platform_ Platform platform = { 0 };
                struct stat st;

                if (named->platform && platform_parse(named->platform, &platform, err) < 0)
                        return error_wrap(err, "invalid context name %s", named->name);
                if (!is_directory(named))
                        continue;
                if (stat(named->value, &st) == 0 && S_ISDIR(st.st_mode))
                        continue;
                if (strstr(named->value, "://"))
                        return error_set(err, ERROR_INVALID,
                                         "unsupported context source '%s' for '%s': known are a directory, docker-image://, oci-layout://, target:, git and "
                                         "http(s) URLs",
                                         named->value, named->name);
                return error_set(err, ERROR_NOT_FOUND, "failed to get build context %s: '%s' is not a directory", named->name, named->value);
        }
        return 0;
}

/* --- directories --- */

/* A context of its own has an ignore file of its own. */
static int read_ignore(int fd, const char *name, IgnoreMatcher **ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(LIMIT_IGNORE_FILE_SIZE);
        _cleanup_strlist_ StrList patterns = { 0 };
        _cleanup_error_ Error local = ERROR_INIT;

        if (inroot_read(fd, ".dockerignore", &text, &local) < 0)
                return local.code == ERROR_NOT_FOUND ? 0 : error_move(err, &local);
        if (ignore_file_read(&patterns, text.data ? text.data : "", text.size, err) < 0 || (patterns.n_items && ignore_matcher_new(ret, &patterns, err) < 0))
                return error_wrap(err, "cannot use the .dockerignore of the %s", name);
        return 0;
}

static int open_directory(Build *build, const BuildNamedContext *named, NamedTree *ret, Error *err)
{
        _cleanup_free_ char *shown = xasprintf("build context '%s'", named->name);
        _cleanup_close_ int fd = open(named->value, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        TreeOptions options = { .name = shown, .root_fd = fd, .anonymous = true, .live = true };
        SourceRecord record = { .kind = SOURCE_LOCAL, .uri = named->name, .asked = named->value };

        _cleanup_free_ char *identifier = xasprintf("local://%s", named->name);

        if (intake_other(build, identifier, err) < 0)
                return -1;
        if (fd < 0)
                return error_errno(err, errno, "cannot open the directory '%s' (%s)", named->value, shown);
        if (read_ignore(fd, shown, &ret->ignore, err) < 0 || file_digests_open(build->store, named->value, &ret->digests, err) < 0)
                return -1;
        options.ignore = ret->ignore;
        options.digests = ret->digests;
        if (source_tree_open(&options, &ret->tree, err) < 0)
                return -1;
        return intake_take(build, &record, err);
}

void named_tree_free(void *tree)
{
        NamedTree *named = tree;
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (!named)
                return;
        source_tree_free(named->tree);
        ignore_matcher_free(named->ignore);
        if (named->digests)
                (void)file_digests_save(named->digests, &ignored);
        file_digests_free(named->digests);
        free(named);
}

/* The tree of a context that is a directory. */
static int directory_tree(Build *build, const BuildNamedContext *named, SourceTree **ret, Error *err)
{
        NamedTree *tree;
        int result = 0;

        pthread_mutex_lock(&build->lock);
        tree = map_get(build->named, named->name);
        if (!tree) {
                tree = NEW(NamedTree);
                result = open_directory(build, named, tree, err);
                if (result == 0)
                        map_set(build->named, named->name, tree);
                else
                        named_tree_free(tree);
        }
        pthread_mutex_unlock(&build->lock);
        if (result < 0)
                return -1;
        *ret = tree->tree;
        return 0;
}

int named_directory(Build *build, const char *name, const char *platform, SourceTree **ret, Error *err)
{
        const BuildNamedContext *named = named_find(build, name, platform);

        *ret = NULL;
        if (!named || !is_directory(named))
                return 0;
        return directory_tree(build, named, ret, err) < 0 ? -1 : 1;
}

/* A directory as a base: a layer of what is in it, remembered by content. */
static int directory_layer(Build *build, const BuildNamedContext *named, Digest *ret, Error *err)
{
        _cleanup_free_ char *description = xasprintf("[context %s] %s", named->name, named->value);
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);
        CopyPlan plan = { .destination = xstrdup("/"), .epoch = build->epoch };
        SnapshotSpec spec = { .epoch = build->epoch, .description = description, .kind = "source.local" };
        Digest key;
        int r;

        hash_field_str(hash, "mica directory as a base");
        r = directory_tree(build, named, &spec.tree, err) < 0 ? -1 : copy_plan_add_source(&plan, spec.tree, "/", false, false, err);
        if (r == 0)
                r = copy_plan_hash(&plan, hash, NULL, NULL, err);
        copy_plan_done(&plan);
        if (r < 0)
                return -1;
        key = hash_digest(hash);
        r = snapshot_find(build, &key, ret, err);
        if (r)
                return r < 0 ? -1 : 0;
        return snapshot_make(build, &spec, &key, ret, err);
}

/* --- OCI layouts --- */

/* "path[:tag][@digest]" */
static int split_layout(const char *value, char **ret_path, char **ret_tag, Digest *ret_digest, Error *err)
{
        const char *at = strrchr(value, '@');
        char *path = at ? xstrndup(value, (size_t)(at - value)) : xstrdup(value), *colon;

        *ret_digest = (Digest){ 0 };
        *ret_path = path;
        colon = strrchr(path, ':');
        if (colon && !strchr(colon, '/')) {
                *ret_tag = xstrdup(colon + 1);
                *colon = '\0';
        }
        return at && digest_parse(at + 1, ret_digest, err) < 0 ? error_wrap(err, "oci-layout://%s", value) : 0;
}

/* BuildKit names what came from a layout after the context, as a full reference. New string. */
static char *layout_identifier(const char *pinned)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *full = reference_parse(pinned, &reference, &ignored) == 0 ? reference_text(&reference) : xstrdup(pinned);

        return xasprintf(LAYOUT "%s", full);
}

static int layout_image(Build *build, const BuildNamedContext *named, const char *platform, ImageConfig *ret, Error *err)
{
        _cleanup_free_ char *path = NULL, *tag = NULL, *pinned = NULL, *uri = NULL, *shown = NULL, *identifier = NULL;
        _cleanup_platform_ Platform wanted = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        char text[DIGEST_TEXT_SIZE];
        SourceRecord record = { .kind = SOURCE_OCI_LAYOUT, .asked = named->value };
        Digest digest;

        if (split_layout(str_after(named->value, LAYOUT), &path, &tag, &digest, err) < 0 || (platform && platform_parse(platform, &wanted, err) < 0))
                return -1;
        if (oci_layout_take(build->lease, path, tag, &digest, platform ? &wanted : NULL, ret, &record.digest, err) < 0)
                return -1;
        pinned = xasprintf("%s@%s", named->base, digest_format(&record.digest, text));
        if (source_image_uri("oci", pinned, &ret->platform, &uri, &ignored) < 0)
                uri = xstrdup(pinned);
        record.uri = uri;
        record.platform = shown = platform_format(&ret->platform, false);
        identifier = layout_identifier(pinned);
        return intake_other(build, identifier, err) < 0 ? -1 : intake_take(build, &record, err);
}

/* --- all kinds --- */

int named_image(Build *build, BuildVertex *vertex, const BuildNamedContext *named, const char *platform, const Platform *target, ImageConfig *ret,
                Digest *ret_id, Error *err)
{
        const char *image = str_after(named->value, IMAGE);
        _cleanup_free_ char *from = NULL;
        Digest layer;

        *ret_id = (Digest){ 0 };
        if (image && streq(image, "scratch")) {
                image_config_init(ret, target);
                return 0;
        }
        if (image)
                return base_resolve(build, image, platform, ret, ret_id, err);
        if (str_starts(named->value, LAYOUT))
                return layout_image(build, named, platform, ret, err);
        if (str_starts(named->value, TARGET))
                return error_set(err, ERROR_NOT_FOUND, "the build context '%s' is to be the stage '%s', which does not come before where it is used",
                                 named->name, named->value + strlen(TARGET));
        if (is_directory(named) ? directory_layer(build, named, &layer, err) < 0 : context_layer(build, vertex, named->value, &layer, err) < 0)
                return -1;
        snapshot_image(target, &layer, ret);
        /* Every layer has its entry, also one that is where a stage begins. */
        from = xasprintf("FROM %s", named->base);
        image_config_add_history(ret, NULL, from, "named context", false);
        return 0;
}
