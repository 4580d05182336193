#include "runtime/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fs/userns.h"
#include "runtime/private.h"
#include "runtime/state_dir.h"

static const RuntimeDriver drivers[] = {
        /* the preferred one first */
        { .name = "crun", .needs_unified_hidden = true, .takes_program = true, .takes_mount = true, .without_cgroups = "--cgroup-manager=disabled" },
        { .name = "runc" },
};

const RuntimeDriver *runtime_driver_at(size_t i)
{
        return i < ARRAY_LEN(drivers) ? &drivers[i] : NULL;
}

/* Looks `name` up in PATH. New string, or NULL. */
static char *find_program(const char *name)
{
        const char *path = getenv("PATH");

        if (strchr(name, '/'))
                return access(name, X_OK) == 0 ? xstrdup(name) : NULL;
        for (const char *p = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"; *p;) {
                size_t n = strcspn(p, ":");
                char *candidate = xasprintf("%.*s/%s", (int)n, p, name);

                if (*candidate == '/' && access(candidate, X_OK) == 0)
                        return candidate;
                free(candidate);
                p += n + (p[n] == ':');
        }
        return NULL;
}

static const RuntimeDriver *find_driver(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
                if (streq(drivers[i].name, str_base_name(name)))
                        return &drivers[i];
        return NULL;
}

static int choose_driver(Runtime *runtime, const char *name, Error *err)
{
        if (str_empty(name))
                name = getenv("MICA_RUNTIME");
        if (!str_empty(name)) {
                runtime->driver = find_driver(name);
                if (!runtime->driver)
                        return error_set(err, ERROR_INVALID, "unknown runtime '%s': mica knows crun and runc", name);
                runtime->program = find_program(name);
                return runtime->program ? 0 : error_set(err, ERROR_NOT_FOUND, "cannot find the runtime '%s': is it installed?", name);
        }
        for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
                runtime->driver = &drivers[i];
                runtime->program = find_program(drivers[i].name);
                if (runtime->program)
                        return 0;
        }
        return error_set(err, ERROR_NOT_FOUND, "no container runtime is installed: install the package crun (or runc)");
}

int runtime_open(const RuntimeOptions *options, Runtime **ret, Error *err)
{
        _cleanup_(runtime_closep) Runtime *runtime = NEW(Runtime);

        if (choose_driver(runtime, options ? options->name : NULL, err) < 0)
                return -1;
        if (state_dir_make(options ? options->state_dir : NULL, &runtime->state_dir, err) < 0)
                return -1;
        runtime->run_dir = xasprintf("%s/%s", runtime->state_dir, runtime->driver->name);
        cgroup_detect(&runtime->cgroups);
        runtime->user_namespace = userns_inside();
        runtime->capabilities = capabilities_of_process();
        *ret = TAKE_PTR(runtime);
        return 0;
}

void runtime_close(Runtime *runtime)
{
        if (!runtime)
                return;
        while (runtime->n_holds > 0)
                runtime_let_go(runtime, runtime->holds[0].id);
        free(runtime->holds);
        free(runtime->program);
        free(runtime->state_dir);
        free(runtime->run_dir);
        free(runtime);
}

bool runtime_limits_hold(const Runtime *runtime)
{
        return runtime->cgroups.mode != CGROUP_NONE;
}

const char *runtime_name(const Runtime *runtime)
{
        return runtime->driver->name;
}

/* --- init --- */

char *runtime_find_init(void)
{
        static const char *const beside[] = { "mica-init", "../libexec/mica/mica-init", "../runtime/mica-init" }; /* installed, installed, build tree */
        static const char *const others[] = { "/usr/libexec/podman/catatonit", "/usr/bin/catatonit", "/usr/bin/tini-static", "/usr/bin/docker-init" };
        const char *asked = getenv("MICA_INIT");
        char self[4096], *slash;
        ssize_t n;

        if (!str_empty(asked))
                return xstrdup(asked);
        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n > 0) {
                self[n] = '\0';
                slash = strrchr(self, '/');
                for (size_t i = 0; slash && i < ARRAY_LEN(beside); i++) {
                        char *path = xasprintf("%.*s/%s", (int)(slash - self), self, beside[i]);

                        if (access(path, X_OK) == 0)
                                return path;
                        free(path);
                }
        }
        for (size_t i = 0; i < ARRAY_LEN(others); i++)
                if (access(others[i], X_OK) == 0)
                        return xstrdup(others[i]);
        return NULL;
}
