#include "build/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/context.h"
#include "build/lock.h"
#include "build/policy.h"
#include "http/client.h"
#include "oci/reference.h"

#define IMAGE "docker-image://"

struct Intake {
        Policy *policy; /* or NULL */
        Lock *lock;     /* --locked, or NULL */
        char *pin;      /* path that --pin writes, or NULL */
};

/* --- opening --- */

/* Beside the Dockerfile, when that is a file of this machine; else beside what it is used with. NULL when there is neither. New string. */
static char *default_lock(const BuildOptions *options)
{
        const char *file = options->dockerfile_text || (options->dockerfile && http_is_url(options->dockerfile)) ? NULL : options->dockerfile;
        const char *slash = file ? strrchr(file, '/') : NULL;

        if (!options->context || streq(options->context, "-") || context_is_remote(options->context))
                return NULL;
        if (file)
                return slash ? xasprintf("%.*s/" LOCK_NAME, (int)(slash - file), file) : xstrdup(LOCK_NAME);
        return xasprintf("%s/" LOCK_NAME, options->context);
}

/* `given` as it is, or the default when it is empty. New string. */
static int lock_path(const BuildOptions *options, const char *option, const char *given, char **ret, Error *err)
{
        *ret = *given ? xstrdup(given) : default_lock(options);
        return *ret ? 0 : error_set(err, ERROR_INVALID, "the build context is no directory of this machine: name the lock with --%s=FILE", option);
}

int intake_open(Build *build, Error *err)
{
        const BuildOptions *options = build->options;
        const char *policy = getenv("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY");
        _cleanup_free_ char *locked = NULL;

        build->intake = NEW(Intake);
        if (!str_empty(policy) && policy_load(policy, &build->intake->policy, err) < 0)
                return -1;
        if (options->pin && options->locked)
                return error_set(err, ERROR_INVALID, "--pin and --locked exclude each other: one writes the lock, the other obeys it");
        if (options->pin && lock_path(options, "pin", options->pin, &build->intake->pin, err) < 0)
                return -1;
        if (!options->locked)
                return 0;
        return lock_path(options, "locked", options->locked, &locked, err) < 0 ? -1 : lock_load(locked, &build->intake->lock, err);
}

void intake_close(Build *build)
{
        if (!build->intake)
                return;
        policy_free(build->intake->policy);
        lock_free(build->intake->lock);
        free(build->intake->pin);
        free(build->intake);
}

/* --- policies --- */

static int evaluate(const Build *build, PolicySource *source, Error *err)
{
        int r = policy_evaluate(build->intake->policy, source, err);

        return r < 0 ? error_wrap(err, "error evaluating the source policy") : r;
}

static bool has_policy(const Build *build)
{
        return build->intake && build->intake->policy;
}

static int wrong_kind(const char *from, const char *to, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "source policy: '%s' cannot become '%s': sources are converted within their kind only", from, to);
}

int intake_image(Build *build, const char *name, char **ret_name, Error *err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_policy_source_ PolicySource source = { 0 };
        _cleanup_error_ Error no_reference = ERROR_INIT;
        _cleanup_free_ char *full = NULL;
        const char *changed;

        if (!has_policy(build) || reference_parse_tagged(name, &reference, &no_reference) < 0) {
                *ret_name = xstrdup(name);
                return 0;
        }
        full = reference_text(&reference);
        source.identifier = xasprintf(IMAGE "%s", full);
        switch (evaluate(build, &source, err)) {
        case -1:
                return -1;
        case 0:
                *ret_name = xstrdup(name);
                return 0;
        }
        changed = str_after(source.identifier, IMAGE);
        if (!changed)
                return wrong_kind(full, source.identifier, err);
        *ret_name = xstrdup(changed);
        return 0;
}

int intake_http(Build *build, const char *url, char **ret_url, Digest *checksum, Error *err)
{
        _cleanup_policy_source_ PolicySource source = { 0 };
        char text[DIGEST_TEXT_SIZE];
        const char *wanted;
        Digest demanded;

        *ret_url = xstrdup(url);
        if (!has_policy(build))
                return 0;
        source.identifier = xstrdup(url);
        if (digest_is_set(checksum))
                strlist_env_set(&source.attrs, "http.checksum", digest_format(checksum, text));
        if (evaluate(build, &source, err) < 0)
                return -1;
        if (!http_is_url(source.identifier))
                return wrong_kind(url, source.identifier, err);
        free(*ret_url);
        *ret_url = xstrdup(source.identifier);
        wanted = strlist_env_get(&source.attrs, "http.checksum");
        if (!wanted)
                return 0;
        if (digest_parse(wanted, &demanded, err) < 0)
                return error_wrap(err, "source policy: http.checksum");
        *checksum = demanded;
        return 0;
}

int intake_git(Build *build, GitUrl *url, bool *keep_git_dir, Error *err)
{
        _cleanup_policy_source_ PolicySource source = { 0 };
        _cleanup_git_url_ GitUrl asked = { 0 }, remote = { 0 };
        _cleanup_free_ char *shown = NULL;
        const char *attr;

        if (!has_policy(build))
                return 0;
        shown = git_url_shown(url);
        source.identifier = git_url_identifier(url);
        strlist_env_set(&source.attrs, "git.fullurl", shown);
        if (*keep_git_dir)
                strlist_env_set(&source.attrs, "git.keepgitdir", "true");
        if (url->checksum)
                strlist_env_set(&source.attrs, "git.checksum", url->checksum);
        switch (evaluate(build, &source, err)) {
        case -1:
                return -1;
        case 0:
                return 0;
        }
        /* The identifier says ref and directory, git.fullurl where the repository is. */
        if (!str_starts(source.identifier, "git://") || git_url_parse(source.identifier, &asked, err) <= 0)
                return error_is_set(err) ? error_wrap(err, "source policy: '%s'", source.identifier) : wrong_kind(shown, source.identifier, err);
        attr = strlist_env_get(&source.attrs, "git.fullurl");
        if (git_url_parse(attr, &remote, err) <= 0)
                return error_is_set(err) ? error_wrap(err, "source policy: git.fullurl") : wrong_kind(shown, attr, err);
        if (!streq(attr, shown)) {
                char *ref = TAKE_PTR(remote.ref), *sub_dir = TAKE_PTR(remote.sub_dir);

                free(ref);
                free(sub_dir);
                remote.submodules = url->submodules;
                remote.mtime_checkout = url->mtime_checkout;
                remote.checksum = xstrdup_or_null(url->checksum);
                git_url_done(url);
                *url = remote;
                remote = (GitUrl){ 0 };
        }
        free(url->ref);
        free(url->sub_dir);
        url->ref = TAKE_PTR(asked.ref);
        url->sub_dir = TAKE_PTR(asked.sub_dir);
        attr = strlist_env_get(&source.attrs, "git.checksum");
        if (attr) {
                free(url->checksum);
                url->checksum = str_lower(attr);
        }
        attr = strlist_env_get(&source.attrs, "git.keepgitdir");
        *keep_git_dir = attr && streq(attr, "true");
        return 0;
}

int intake_other(Build *build, const char *identifier, Error *err)
{
        _cleanup_policy_source_ PolicySource source = { 0 };

        if (!has_policy(build))
                return 0;
        source.identifier = xstrdup(identifier);
        switch (evaluate(build, &source, err)) {
        case -1:
                return -1;
        case 0:
                return 0;
        }
        return wrong_kind(identifier, source.identifier, err);
}

/* --- the lock --- */

int intake_take(Build *build, const SourceRecord *record, Error *err)
{
        if (build->intake && build->intake->lock && lock_check(build->intake->lock, record, err) < 0)
                return -1;
        sources_add(build->sources, record);
        return 0;
}

int intake_pin(Build *build, Error *err)
{
        return build->intake && build->intake->pin ? lock_write(build->intake->pin, build->sources, err) : 0;
}
