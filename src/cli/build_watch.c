#include "cli/build_watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/map.h"
#include "base/mem.h"

#define EVENTS \
        (IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | \
         IN_DONT_FOLLOW | IN_EXCL_UNLINK)
/* An editor's save is a handful of events within milliseconds, a checkout of another branch a stream of them. */
#define QUIET_MS 100
#define QUIET_MAX_MS 3000
/* How often the flag of a signal is looked at that came between two calls. */
#define WAKE_MS 500
#define CHANGES_MAX 1000

typedef struct Watched {
        int wd;
        char *path;  /* absolute */
        bool wanted; /* by the present inputs */
        bool fresh;  /* not watched while the build ran */
} Watched;

struct BuildWatch {
        int fd;
        StrList own;
        BuildInputs inputs;
        Map *by_path, *by_wd; /* Watched; owned by by_path */
        Map *changes;         /* path -> static text */
        bool overflow;
};

static void free_watched(void *data)
{
        Watched *watched = data;

        free(watched->path);
        free(watched);
}

int build_watch_new(const StrList *own, BuildWatch **ret, Error *err)
{
        _cleanup_(build_watch_freep) BuildWatch *watch = NEW(BuildWatch);

        watch->by_path = map_new(free_watched);
        watch->by_wd = map_new(NULL);
        watch->changes = map_new(NULL);
        strlist_copy(&watch->own, own);
        watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (watch->fd < 0 && errno == EMFILE)
                return error_set(err, ERROR_LIMIT,
                                 "cannot watch files: this user has too many inotify instances; raise fs.inotify.max_user_instances with sysctl");
        if (watch->fd < 0)
                return error_errno(err, errno, "cannot watch files");
        *ret = TAKE_PTR(watch);
        return 0;
}

void build_watch_free(BuildWatch *watch)
{
        if (!watch)
                return;
        if (watch->fd >= 0)
                close(watch->fd);
        build_inputs_done(&watch->inputs);
        strlist_done(&watch->own);
        map_free(watch->by_wd);
        map_free(watch->by_path);
        map_free(watch->changes);
        free(watch);
}

const BuildInputs *build_watch_inputs(const BuildWatch *watch)
{
        return &watch->inputs;
}

size_t build_watch_size(const BuildWatch *watch)
{
        return map_size(watch->by_path);
}

/* --- changes --- */

static bool is_own(const BuildWatch *watch, const char *path)
{
        for (size_t i = 0; i < watch->own.n_items; i++) {
                const char *rest = str_after(path, watch->own.items[i]);

                /* Also the temporary names beside a file that is replaced. */
                if (rest && (*rest == '\0' || *rest == '/' || *rest == '.'))
                        return true;
        }
        return false;
}

/* The first word about a path stays, but for what came and went. */
static void add_change(BuildWatch *watch, const char *path, const char *what)
{
        const char *before = map_get(watch->changes, path);

        if (before && streq(before, "added") && streq(what, "removed")) {
                map_remove(watch->changes, path);
                return;
        }
        if (before && streq(before, "removed") && streq(what, "added"))
                what = "changed";
        else if (before)
                return;
        if (map_size(watch->changes) < CHANGES_MAX)
                map_set(watch->changes, path, (void *)what);
}

static void take_event(BuildWatch *watch, const struct inotify_event *event)
{
        Watched *watched = map_getn(watch->by_wd, &event->wd, sizeof(event->wd));
        _cleanup_free_ char *path = NULL;
        bool is_dir = event->mask & IN_ISDIR, attributes = (event->mask & (IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) == IN_ATTRIB;
        const char *what = "changed";

        if (event->mask & IN_Q_OVERFLOW) {
                watch->overflow = true;
                return;
        }
        if (!watched)
                return;
        if (event->mask & IN_IGNORED) {
                int wd = event->wd;
                _cleanup_free_ char *gone = xstrdup(watched->path);

                map_setn(watch->by_wd, &wd, sizeof(wd), NULL);
                map_remove(watch->by_path, gone);
                return;
        }
        if (event->len) {
                path = xasprintf("%s/%s", streq(watched->path, "/") ? "" : watched->path, event->name);
        } else {
                path = xstrdup(watched->path);
                is_dir = true;
        }
        if (is_own(watch, path) || !build_inputs_concern(&watch->inputs, path, is_dir, attributes))
                return;
        if (event->mask & (IN_CREATE | IN_MOVED_TO))
                what = "added";
        else if (event->mask & (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF))
                what = "removed";
        else if (attributes)
                what = "other attributes";
        add_change(watch, path, what);
}

/* Takes everything that is there. True when something counts. */
static bool drain(BuildWatch *watch)
{
        char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
        ssize_t n;

        while ((n = read(watch->fd, buffer, sizeof(buffer))) > 0)
                for (char *at = buffer; at < buffer + n;) {
                        const struct inotify_event *event = (const struct inotify_event *)at;

                        take_event(watch, event);
                        at += sizeof(*event) + event->len;
                }
        return map_size(watch->changes) > 0 || watch->overflow;
}

/* --- what is watched --- */

static int add_directory(BuildWatch *watch, const char *path, Error *err)
{
        Watched *watched = map_get(watch->by_path, path);
        int wd;

        if (watched) {
                watched->wanted = true;
                return 0;
        }
        wd = inotify_add_watch(watch->fd, path, EVENTS);
        if (wd < 0 && errno == ENOSPC)
                return error_set(err, ERROR_LIMIT,
                                 "cannot watch '%s' and %zu more directories: raise fs.inotify.max_user_watches with sysctl, or name what need not be watched "
                                 "in .dockerignore",
                                 path, build_watch_size(watch));
        if (wd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) /* has gone; what holds it says when it comes back */
                return 0;
        if (wd < 0)
                return error_errno(err, errno, "cannot watch the directory '%s'", path);
        watched = map_getn(watch->by_wd, &wd, sizeof(wd));
        if (watched) { /* the same directory by another name */
                watched->wanted = true;
                return 0;
        }
        watched = NEW(Watched);
        *watched = (Watched){ .wd = wd, .path = xstrdup(path), .wanted = true, .fresh = true };
        map_set(watch->by_path, path, watched);
        map_setn(watch->by_wd, &wd, sizeof(wd), watched);
        return 0;
}

static int add_parent(BuildWatch *watch, const char *path, Error *err)
{
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *dir = xstrndup(path, MAX((size_t)(slash - path), (size_t)1));

        return add_directory(watch, dir, err);
}

static char *join(const char *root, const char *path)
{
        return *path ? xasprintf("%s/%s", streq(root, "/") ? "" : root, path) : xstrdup(root);
}

static int add_all(BuildWatch *watch, Error *err)
{
        const BuildInputs *inputs = &watch->inputs;

        for (size_t i = 0; i < inputs->files.n_items; i++)
                if (add_parent(watch, inputs->files.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < inputs->n_trees; i++)
                for (size_t k = 0; k < inputs->trees[i].directories.n_items; k++) {
                        _cleanup_free_ char *path = join(inputs->trees[i].root, inputs->trees[i].directories.items[k]);

                        if (add_directory(watch, path, err) < 0)
                                return -1;
                }
        return 0;
}

static void drop_unwanted(BuildWatch *watch)
{
        const char *path;
        void *value;

        for (size_t at = 0; map_next(watch->by_path, &at, &path, &value);) {
                Watched *watched = value;
                int wd = watched->wd;

                if (watched->wanted)
                        continue;
                (void)inotify_rm_watch(watch->fd, wd);
                map_setn(watch->by_wd, &wd, sizeof(wd), NULL);
                map_remove(watch->by_path, path);
        }
}

/* Whether the directory that holds the path was watched before the build: then its events have told. */
static bool was_watched(const BuildWatch *watch, const char *path)
{
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *dir = xstrndup(path, MAX((size_t)(slash - path), (size_t)1));
        const Watched *watched = map_get(watch->by_path, dir);

        return watched && !watched->fresh;
}

/* What may have changed between being read by the build and being watched. `gone`: that it is missing counts. */
static void check(BuildWatch *watch, const char *path, bool gone)
{
        struct stat st;

        if (is_own(watch, path) || was_watched(watch, path))
                return;
        if (lstat(path, &st) < 0) {
                if (gone)
                        add_change(watch, path, "removed");
                return;
        }
        if (st.st_ctim.tv_sec * NSEC_PER_SEC + st.st_ctim.tv_nsec > watch->inputs.started)
                add_change(watch, path, "changed");
}

static void check_all(BuildWatch *watch)
{
        const BuildInputs *inputs = &watch->inputs;

        for (size_t i = 0; i < inputs->files.n_items; i++) {
                struct stat st;

                if (lstat(inputs->files.items[i], &st) == 0 && !S_ISDIR(st.st_mode))
                        check(watch, inputs->files.items[i], false);
        }
        for (size_t i = 0; i < inputs->n_trees; i++)
                for (size_t k = 0; k < inputs->trees[i].files.n_items; k++) {
                        _cleanup_free_ char *path = join(inputs->trees[i].root, inputs->trees[i].files.items[k]);

                        check(watch, path, true);
                }
}

int build_watch_set(BuildWatch *watch, BuildInputs *inputs, Error *err)
{
        const char *path;
        void *value;

        /* What came while the build ran is judged by what it says now is used. */
        build_inputs_done(&watch->inputs);
        watch->inputs = *inputs;
        *inputs = (BuildInputs){ 0 };
        (void)drain(watch);
        for (size_t at = 0; map_next(watch->by_path, &at, &path, &value);)
                ((Watched *)value)->wanted = ((Watched *)value)->fresh = false;
        if (add_all(watch, err) < 0)
                return -1;
        drop_unwanted(watch);
        check_all(watch);
        return 0;
}

/* --- waiting --- */

static int wait_for_events(BuildWatch *watch, int timeout_ms)
{
        struct pollfd fd = { .fd = watch->fd, .events = POLLIN };

        return poll(&fd, 1, timeout_ms);
}

static void tell_changes(BuildWatch *watch, StrList *changes)
{
        const char *path;
        void *what;

        for (size_t at = 0; map_next(watch->changes, &at, &path, &what);) {
                const char *shown = path;

                for (size_t i = 0; i < watch->inputs.n_trees; i++) {
                        const char *below = str_after(path, watch->inputs.trees[i].root);

                        if (below && *below == '/')
                                shown = below + 1;
                }
                strlist_addf(changes, "%s: %s", shown, (const char *)what);
        }
        if (watch->overflow)
                strlist_add(changes, "more at once than the kernel could tell");
        map_free(watch->changes);
        watch->changes = map_new(NULL);
        watch->overflow = false;
}

/* 1 when something counts and then nothing happened for a moment; 0 when cancelled. */
static int wait_until_quiet(BuildWatch *watch, const volatile sig_atomic_t *cancel, Error *err)
{
        int64_t first = 0;

        for (;;) {
                bool any = drain(watch);
                int r;

                if (*cancel)
                        return 0;
                if (any && !first)
                        first = clock_monotonic_ns();
                r = wait_for_events(watch, any ? QUIET_MS : WAKE_MS);
                if (r < 0 && errno != EINTR)
                        return error_errno(err, errno, "cannot wait for changes");
                if (*cancel)
                        return 0;
                if (any && (r == 0 || clock_monotonic_ns() - first > QUIET_MAX_MS * NSEC_PER_MSEC))
                        break;
        }
        (void)drain(watch);
        return 1;
}

int build_watch_wait(BuildWatch *watch, const volatile sig_atomic_t *cancel, StrList *changes, Error *err)
{
        /* What came and went again leaves nothing to tell. */
        while (changes->n_items == 0) {
                int r = wait_until_quiet(watch, cancel, err);

                if (r <= 0)
                        return r;
                tell_changes(watch, changes);
        }
        return 1;
}
