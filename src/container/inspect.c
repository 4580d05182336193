/* docker inspect's object of a container. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "container/private.h"
#include "fs/walk.h"
#include "store/store.h"

static JsonValue *table_value(const JsonField *table, const void *object)
{
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error ignored = ERROR_INIT;
        JsonValue *value = NULL;

        if (json_object_text(table, object, JSON_WRITE_NO_HTML, &text, &ignored) < 0 || json_value_parse(text.data, text.size, NULL, &value, &ignored) < 0)
                return json_value_new_object();
        return value;
}

static void set_time(JsonValue *object, const char *key, Timestamp t)
{
        char text[TIMESTAMP_TEXT_SIZE];

        json_value_set_string(object, key, t ? timestamp_format(t, text) : "0001-01-01T00:00:00Z");
}

static JsonValue *state_value(const ContainerState *state)
{
        JsonValue *value = json_value_new_object();

        json_value_set_string(value, "Status", state->status);
        json_value_set_bool(value, "Running", streq(state->status, "running") || streq(state->status, "paused") || streq(state->status, "restarting"));
        json_value_set_bool(value, "Paused", streq(state->status, "paused"));
        json_value_set_bool(value, "Restarting", streq(state->status, "restarting"));
        json_value_set_bool(value, "OOMKilled", state->oom_killed);
        json_value_set_bool(value, "Dead", streq(state->status, "dead"));
        json_value_set_int(value, "Pid", state->pid);
        json_value_set_int(value, "ExitCode", state->exit_code);
        json_value_set_string(value, "Error", state->error ? state->error : "");
        set_time(value, "StartedAt", state->started);
        set_time(value, "FinishedAt", state->finished);
        return value;
}

static JsonValue *mounts_value(const ContainerData *data)
{
        JsonValue *array = json_value_new_array();

        for (size_t i = 0; i < data->mounts.n_items; i++) {
                const MountPoint *mount = &data->mounts.items[i];
                JsonValue *value;

                value = json_value_new_object();
                json_value_set_string(value, "Type", mount->type);
                if (mount->name)
                        json_value_set_string(value, "Name", mount->name);
                json_value_set_string(value, "Source", mount->source);
                json_value_set_string(value, "Destination", mount->destination);
                if (mount->name)
                        json_value_set_string(value, "Driver", "local");
                json_value_set_string(value, "Mode", mount->mode);
                json_value_set_bool(value, "RW", mount->rw);
                json_value_set_string(value, "Propagation", mount->propagation);
                json_value_append(array, value);
        }
        return array;
}

/* Neither the host's network nor none has addresses of the container's own. */
static JsonValue *network_value(const Container *container)
{
        JsonValue *value = json_value_new_object(), *networks = json_value_new_object();

        json_value_set(networks, container->data.host.network_mode, inspect_shape(SHAPE_ENDPOINT, json_value_new_object()));
        json_value_set(value, "Networks", networks);
        return inspect_shape(SHAPE_NETWORKS, value);
}

/* As the container runs, with the limits that follow from others. */
static JsonValue *host_value(const HostConfig *host)
{
        JsonValue *value = inspect_shape(SHAPE_HOST, table_value(host_config_fields, host));

        if (host->memory > 0 && host->memory_swap == 0)
                json_value_set_int(value, "MemorySwap", host->memory * 2);
        return value;
}

static void set_path(JsonValue *object, const char *key, const Container *container, const char *name)
{
        _cleanup_free_ char *path = container_file(container, name);

        json_value_set_string(object, key, path);
}

static JsonValue *driver_value(Store *store, const Container *container)
{
        JsonValue *value = json_value_new_object(), *data = json_value_new_object();
        _cleanup_free_ char *root = container_root_path(store);

        json_value_set_string(data, "MergedDir", root);
        set_path(data, "UpperDir", container, "upper");
        set_path(data, "WorkDir", container, "work");
        json_value_set(value, "Data", data);
        json_value_set_string(value, "Name", store_driver(store));
        return value;
}

static int add_size(void *user, const WalkEntry *entry, Error *err)
{
        if (S_ISREG(entry->st.st_mode))
                *(uint64_t *)user += (uint64_t)entry->st.st_size;
        return 0;
}

int container_size(Store *store, const Container *container, uint64_t *ret_rw, uint64_t *ret_root, Error *err)
{
        static const WalkOps ops = { .entry = add_size, .one_file_system = true };
        _cleanup_free_ char *upper = container_file(container, "upper");
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;

        *ret_rw = 0;
        if (tree_walk(AT_FDCWD, upper, &ops, ret_rw, err) < 0)
                return -1;
        *ret_root = *ret_rw + (image_get(store, &container->image, &image, &ignored) == 0 ? image->size : 0);
        return 0;
}

int container_inspect(Store *store, const char *name, bool size, JsonValue **ret, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_free_ char *slash_name = NULL;
        char digest[DIGEST_TEXT_SIZE];
        JsonValue *args;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        value = json_value_new_object();
        slash_name = xasprintf("/%s", container->name);
        json_value_set_string(value, "Id", container->id);
        set_time(value, "Created", container->created);
        json_value_set_string(value, "Path", container->data.path);
        args = json_value_new_array();
        for (size_t i = 0; i < container->data.args.n_items; i++)
                json_value_append_string(args, container->data.args.items[i]);
        json_value_set(value, "Args", args);
        json_value_set(value, "State", state_value(&container->state));
        json_value_set_string(value, "Image", digest_format(&container->image, digest));
        set_path(value, "ResolvConfPath", container, "resolv.conf");
        set_path(value, "HostnamePath", container, "hostname");
        set_path(value, "HostsPath", container, "hosts");
        set_path(value, "LogPath", container, "logs/json.log");
        json_value_set_string(value, "Name", slash_name);
        json_value_set_int(value, "RestartCount", container->state.restart_count);
        json_value_set_string(value, "Driver", store_driver(store));
        json_value_set_string(value, "Platform", "linux");
        json_value_set_string(value, "MountLabel", "");
        json_value_set_string(value, "ProcessLabel", "");
        json_value_set_string(value, "AppArmorProfile", "");
        json_value_set(value, "ExecIDs", json_value_new_null());
        json_value_set(value, "HostConfig", host_value(&container->data.host));
        json_value_set(value, "GraphDriver", driver_value(store, container));
        if (size) {
                uint64_t rw, root;

                if (container_size(store, container, &rw, &root, err) < 0)
                        return -1;
                json_value_set_int(value, "SizeRw", (int64_t)rw);
                json_value_set_int(value, "SizeRootFs", (int64_t)root);
        }
        json_value_set(value, "Mounts", mounts_value(&container->data));
        json_value_set(value, "Config", inspect_shape(SHAPE_CONFIG, table_value(container_config_fields, &container->data.config)));
        json_value_set(value, "NetworkSettings", network_value(container));
        *ret = TAKE_PTR(value);
        return 0;
}
