/* Which mounts a container has: --volume, --mount, --tmpfs, --volumes-from and the image's VOLUMEs, in docker's order of precedence. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/private.h"
#include "crypto/random.h"
#include "fs/path.h"
#include "fs/walk.h"

static MountPoint *find_mount(ContainerData *data, const char *destination)
{
        for (size_t i = 0; i < data->mounts.n_items; i++)
                if (streq(data->mounts.items[i].destination, destination))
                        return &data->mounts.items[i];
        return NULL;
}

/* Absolute, without "//", "." and a slash at the end; ".." is refused. New string, or NULL. */
static char *clean_target(const char *path)
{
        _cleanup_strlist_ StrList parts = { 0 };
        char *clean = xstrdup("");

        strlist_split(&parts, path, '/');
        for (size_t i = 0; i < parts.n_items; i++) {
                char *longer;

                if (!*parts.items[i] || streq(parts.items[i], "."))
                        continue;
                if (streq(parts.items[i], "..")) {
                        free(clean);
                        return NULL;
                }
                longer = xasprintf("%s/%s", clean, parts.items[i]);
                free(clean);
                clean = longer;
        }
        return clean;
}

static MountPoint *add_mount(ContainerData *data, const char *type, const char *destination, Error *err)
{
        _cleanup_free_ char *clean = clean_target(destination);
        MountPoint *mount;

        if (!clean || !*clean) {
                error_set(err, ERROR_INVALID, "invalid mount target '%s': it must be an absolute path that is not '/'", destination);
                return NULL;
        }
        if (find_mount(data, clean)) {
                error_set(err, ERROR_INVALID, "Duplicate mount point: %s", clean);
                return NULL;
        }
        mount = json_items_add(&data->mounts, sizeof(MountPoint));
        *mount = (MountPoint){
                .type = xstrdup(type), .destination = TAKE_PTR(clean), .source = xstrdup(""), .mode = xstrdup(""), .propagation = xstrdup(""), .rw = true
        };
        return mount;
}

static int make_volume(Store *store, MountPoint *mount, const char *name, Error *err)
{
        VolumeRecord record = { .created = clock_now(), .labels = (char *)"{}" };
        char id[RANDOM_ID_SIZE];

        mount->anonymous = str_empty(name);
        if (mount->anonymous)
                name = random_id(id);
        else if (container_check_name(name, err) < 0)
                return error_set(err, ERROR_INVALID,
                                 "\"%s\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended "
                                 "to pass a host directory, use absolute path",
                                 name);
        record.name = (char *)name;
        record.anonymous = mount->anonymous;
        free(mount->source);
        mount->source = NULL;
        mount->name = xstrdup(name);
        return volume_make(store, &record, &mount->source, err) < 0 ? -1 : 0;
}

/* -v's third part. */
static int apply_options(MountPoint *mount, const char *options, Error *err)
{
        static const char *const propagations[] = { "private", "rprivate", "shared", "rshared", "slave", "rslave" };
        _cleanup_strlist_ StrList parts = { 0 };

        strlist_split(&parts, options, ',');
        if (strlist_has(&parts, "ro") && strlist_has(&parts, "rw"))
                return error_set(err, ERROR_INVALID, "invalid mode: %s", options);
        if (streq(mount->type, "bind") && strlist_has(&parts, "nocopy"))
                return error_set(err, ERROR_INVALID, "invalid mode: %s: nocopy is of volumes, and nothing is copied into '%s'", options, mount->destination);
        for (size_t i = 0; i < parts.n_items; i++) {
                const char *option = parts.items[i];
                bool known = streq(option, "rw") || streq(option, "z") || streq(option, "Z") || streq(option, "cached") || streq(option, "consistent") ||
                             streq(option, "delegated") || streq(option, "rbind");

                if (streq(option, "ro")) {
                        mount->rw = false;
                        known = true;
                } else if (streq(option, "nocopy")) {
                        mount->no_copy = known = true;
                } else if (streq(option, "bind")) {
                        mount->non_recursive = known = true;
                }
                for (size_t k = 0; k < ARRAY_LEN(propagations) && !known; k++) {
                        if (!streq(propagations[k], option))
                                continue;
                        free(mount->propagation);
                        mount->propagation = xstrdup(option);
                        known = true;
                }
                if (!known)
                        return error_set(err, ERROR_INVALID, "invalid mode: %s", options);
        }
        free(mount->mode);
        mount->mode = xstrdup(options);
        return 0;
}

static int plan_bind(Store *store, ContainerData *data, const char *text, Error *err)
{
        _cleanup_strlist_ StrList parts = { 0 };
        MountPoint *mount;

        strlist_split(&parts, text, ':');
        if (parts.n_items < 2 || parts.n_items > 3 || str_empty(parts.items[0]))
                return error_set(err, ERROR_INVALID, "invalid volume specification: '%s'", text);
        mount = add_mount(data, *parts.items[0] == '/' ? "bind" : "volume", parts.items[1], err);
        if (!mount || (parts.n_items == 3 && apply_options(mount, parts.items[2], err) < 0))
                return -1;
        if (*parts.items[0] != '/')
                return make_volume(store, mount, parts.items[0], err);
        free(mount->source);
        mount->source = xstrdup(parts.items[0]);
        if (str_empty(mount->propagation)) {
                free(mount->propagation);
                mount->propagation = xstrdup("rprivate");
        }
        if (access(mount->source, F_OK) < 0 && errno == ENOENT) { /* docker makes a missing source of -v, not of --mount */
                int r = dir_make(AT_FDCWD, mount->source, 0755);

                if (r < 0)
                        return error_errno(err, r, "cannot make the source '%s' of a bind mount", mount->source);
        }
        return 0;
}

static int plan_mount(Store *store, ContainerData *data, const HostMount *wish, Error *err)
{
        MountPoint *mount = add_mount(data, wish->type, wish->target, err);

        if (!mount)
                return -1;
        mount->rw = !wish->read_only;
        mount->no_copy = wish->no_copy;
        mount->non_recursive = wish->non_recursive;
        if (streq(wish->type, "volume"))
                return make_volume(store, mount, wish->source, err);
        if (streq(wish->type, "tmpfs")) {
                mount->tmpfs_options = wish->tmpfs_size || wish->tmpfs_mode ? xasprintf("size=%jd,mode=%jo", (intmax_t)wish->tmpfs_size,
                                                                                        (uintmax_t)(wish->tmpfs_mode ? wish->tmpfs_mode : 01777))
                                                                            : NULL;
                return 0;
        }
        if (!streq(wish->type, "bind"))
                return error_set(err, ERROR_UNSUPPORTED, "mount type '%s' is not known", wish->type);
        free(mount->source);
        mount->source = xstrdup(wish->source);
        free(mount->propagation);
        mount->propagation = xstrdup(str_empty(wish->propagation) ? "rprivate" : wish->propagation);
        if (access(mount->source, F_OK) < 0) {
                int r = errno == ENOENT && wish->create_source ? dir_make(AT_FDCWD, mount->source, 0755) : -errno;

                if (r < 0)
                        return error_set(err, ERROR_INVALID, "invalid mount config for type \"bind\": bind source path does not exist: %s", mount->source);
        }
        return 0;
}

static int plan_from(Store *store, ContainerData *data, const char *text, Error *err)
{
        const char *colon = strchr(text, ':');
        _cleanup_free_ char *name = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);
        _cleanup_(container_freep) Container *other = NULL;

        if (container_load(store, name, &other, err) < 0)
                return -1;
        for (size_t i = 0; i < other->data.mounts.n_items; i++) {
                const MountPoint *from = &other->data.mounts.items[i];
                MountPoint *mount;

                if (streq(from->type, "tmpfs") || find_mount(data, from->destination))
                        continue;
                mount = add_mount(data, from->type, from->destination, err);
                if (!mount)
                        return -1;
                free(mount->source);
                free(mount->propagation);
                mount->source = xstrdup(from->source);
                mount->propagation = xstrdup(from->propagation);
                mount->name = xstrdup_or_null(from->name);
                mount->rw = from->rw && !(colon && streq(colon + 1, "ro"));
        }
        return 0;
}

int container_plan_mounts(Store *store, ContainerData *data, Error *err)
{
        for (size_t i = 0; i < data->host.binds.n_items; i++)
                if (plan_bind(store, data, data->host.binds.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < data->host.mounts.n_items; i++)
                if (plan_mount(store, data, &data->host.mounts.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < data->host.tmpfs.n_items; i++) {
                MountPoint *mount = add_mount(data, "tmpfs", data->host.tmpfs.items[i].key, err);

                if (!mount)
                        return -1;
                mount->tmpfs_options = xstrdup(data->host.tmpfs.items[i].value);
        }
        for (size_t i = 0; i < data->host.volumes_from.n_items; i++)
                if (plan_from(store, data, data->host.volumes_from.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < data->config.volumes.n_items; i++) {
                _cleanup_free_ char *clean = clean_target(data->config.volumes.items[i]);
                MountPoint *mount;

                if (clean && find_mount(data, clean))
                        continue;
                mount = add_mount(data, "volume", data->config.volumes.items[i], err);
                if (!mount || make_volume(store, mount, NULL, err) < 0)
                        return -1;
        }
        return 0;
}
