/*
 * What git says about a context that is a directory of this machine, for the provenance and, when asked for, as labels: buildx's BUILDX_GIT_INFO,
 * BUILDX_GIT_CHECK_DIRTY and BUILDX_GIT_LABELS. The git program is run only when somebody will read the answer.
 */
#include "cli/build_vcs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/child.h"
#include "base/mem.h"

#define OUTPUT_MAX ((size_t)64 << 10)

typedef struct Vcs {
        const char *dir; /* the context */
        char *root;      /* of the work tree */
        char *revision, *source;
} Vcs;

static void vcs_done(Vcs *vcs)
{
        free(vcs->root);
        free(vcs->revision);
        free(vcs->source);
}

/* One line of git's output; NULL when it has none to say. A repository's configuration may name programs: none is run. */
static char *ask(const Vcs *vcs, const char *a, const char *b, const char *c, const char *d, Error *err)
{
        _cleanup_buf_ Buf out = BUF_INIT(OUTPUT_MAX);
        const char *argv[] = { "git", "--no-optional-locks", "-C", vcs->dir, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", a, b, c, d, NULL };

        if (child_run((char *const *)argv, &out, err) < 0)
                return NULL;
        return out.size && out.data[0] != '\n' ? xstrndup(out.data, strcspn(out.data, "\n")) : NULL;
}

static char *ask_quietly(const Vcs *vcs, const char *a, const char *b, const char *c, const char *d)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        return ask(vcs, a, b, c, d, &ignored);
}

/* Of the branch's own remote, else "origin", else "upstream". */
static char *remote_url(const Vcs *vcs)
{
        _cleanup_free_ char *branch = ask_quietly(vcs, "symbolic-ref", "-q", "HEAD", NULL);
        _cleanup_free_ char *tracked = branch ? ask_quietly(vcs, "for-each-ref", "--format=%(upstream:remotename)", branch, NULL) : NULL;
        const char *const names[] = { tracked, "origin", "upstream" };
        char *url = NULL;

        for (size_t i = 0; i < ARRAY_LEN(names) && !url; i++)
                if (!str_empty(names[i]))
                        url = ask_quietly(vcs, "remote", "get-url", names[i], NULL);
        return url;
}

/* Without who is to log in. */
static void strip_user(char *url)
{
        char *host = strstr(url, "://"), *at;
        size_t authority;

        if (!host)
                return;
        host += 3;
        authority = strcspn(host, "/?#");
        at = memrchr(host, '@', authority);
        if (at)
                memmove(host, at + 1, strlen(at + 1) + 1);
}

static bool env_bool(const char *name, bool otherwise)
{
        const char *value = getenv(name);
        bool yes;

        return !str_empty(value) && str_to_bool(value, &yes) == 0 ? yes : otherwise;
}

static int look(Vcs *vcs, Error *err)
{
        _cleanup_free_ char *dirty = NULL;

        vcs->root = ask(vcs, "rev-parse", "--show-toplevel", NULL, NULL, err);
        if (!vcs->root)
                return -1;
        vcs->revision = ask_quietly(vcs, "rev-parse", "--verify", "-q", "HEAD");
        if (vcs->revision && env_bool("BUILDX_GIT_CHECK_DIRTY", false)) {
                dirty = ask_quietly(vcs, "status", "--porcelain", "--ignored=no", NULL);
                if (dirty) {
                        char *with = xasprintf("%s-dirty", vcs->revision);

                        free(vcs->revision);
                        vcs->revision = with;
                }
        }
        vcs->source = remote_url(vcs);
        if (vcs->source)
                strip_user(vcs->source);
        return 0;
}

/* The path below the work tree; NULL when it is elsewhere. New string. */
static char *below(const Vcs *vcs, const char *path)
{
        char full[PATH_MAX];
        size_t n = strlen(vcs->root);

        if (!realpath(path, full) || !str_starts(full, vcs->root) || (full[n] && full[n] != '/' && n > 1))
                return NULL;
        return xstrdup(full[n] ? full + n + (full[n] == '/') : ".");
}

/* A dead .git, or one that git refuses because it is somebody else's: said, because provenance without it is not what was asked for. */
static int cannot_look(Cli *cli, const char *dir, Error *err)
{
        _cleanup_free_ char *path = xasprintf("%s/.git", dir);
        struct stat st;

        if (lstat(path, &st) == 0)
                cli_note(cli, "WARNING: current commit information was not captured by the build: %s", error_message(err));
        error_done(err);
        return 0;
}

static void add_local_dir(const Vcs *vcs, const char *name, const char *path, StringMap *to)
{
        _cleanup_free_ char *relative = below(vcs, path);

        if (relative)
                string_map_set(to, name, relative);
}

static void add_label(BuildOptions *options, const char *key, const char *value)
{
        if (!value)
                return;
        /* What the user says counts more: later ones win. */
        strlist_insert(&options->labels, 0, "");
        free(options->labels.items[0]);
        options->labels.items[0] = xasprintf("%s=%s", key, value);
}

int build_take_vcs(Cli *cli, const char *dir, const char *dockerfile, BuildOptions *options, Error *err)
{
        const char *asked = getenv("BUILDX_GIT_LABELS");
        bool labels = env_bool("BUILDX_GIT_LABELS", asked && streq(asked, "full"));
        bool info = (options->provenance.enabled || options->metadata_provenance) && env_bool("BUILDX_GIT_INFO", true);
        _cleanup_(vcs_done) Vcs vcs = { .dir = dir };
        _cleanup_free_ char *file = NULL, *file_dir = NULL, *entry = NULL;
        struct stat st;

        if ((!labels && !info) || stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
                return 0;
        if (look(&vcs, err) < 0)
                return cannot_look(cli, dir, err);
        file = !dockerfile ? xasprintf("%s/Dockerfile", dir) : xstrdup(dockerfile);
        file_dir = strrchr(file, '/') ? xstrndup(file, MAX((size_t)(strrchr(file, '/') - file), (size_t)1)) : xstrdup(".");
        if (info) {
                if (vcs.revision)
                        string_map_set(&options->vcs, "revision", vcs.revision);
                if (vcs.source)
                        string_map_set(&options->vcs, "source", vcs.source);
                add_local_dir(&vcs, "localdir:context", dir, &options->vcs);
                add_local_dir(&vcs, "localdir:dockerfile", file_dir, &options->vcs);
        }
        if (labels) {
                entry = below(&vcs, file);
                add_label(options, "org.opencontainers.image.revision", vcs.revision);
                add_label(options, "org.opencontainers.image.source", vcs.source);
                add_label(options, "com.docker.image.source.entrypoint", entry);
        }
        return 0;
}
