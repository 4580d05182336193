/*
 * The devices of a container, and which of them its cgroup lets it open: linux.devices and linux.resources.devices of config.json.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/mem.h"
#include "runtime/private.h"

static void write_device(JsonWriter *writer, const char *path, const struct stat *st)
{
        json_writer_begin_object(writer);
        json_writer_member_string(writer, "path", path);
        json_writer_member_string(writer, "type", S_ISBLK(st->st_mode) ? "b" : "c");
        json_writer_member_uint(writer, "major", major(st->st_rdev));
        json_writer_member_uint(writer, "minor", minor(st->st_rdev));
        json_writer_member_uint(writer, "fileMode", st->st_mode & 07777);
        json_writer_member_uint(writer, "uid", st->st_uid);
        json_writer_member_uint(writer, "gid", st->st_gid);
        json_writer_end_object(writer);
}

/* Directories of /dev that are mounts of the container's own, and what the runtime makes itself. */
static bool is_private_device(const char *name)
{
        static const char *const names[] = { "console", "fd", "full", "lxc", "mqueue", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero" };

        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (streq(names[i], name))
                        return true;
        return false;
}

static void write_host_devices(JsonWriter *writer, const char *directory, unsigned depth)
{
        struct dirent *entry;
        DIR *dir = opendir(directory);

        while (dir && (entry = readdir(dir))) {
                _cleanup_free_ char *path = NULL;
                struct stat st;

                if (entry->d_name[0] == '.' || (depth == 0 && is_private_device(entry->d_name)))
                        continue;
                path = xasprintf("%s/%s", directory, entry->d_name);
                if (lstat(path, &st) < 0)
                        continue;
                if (S_ISDIR(st.st_mode) && depth < 4)
                        write_host_devices(writer, path, depth + 1);
                else if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
                        write_device(writer, path, &st);
        }
        if (dir)
                closedir(dir);
}

static int stat_device(const RunDevice *device, struct stat *st, Error *err)
{
        if (stat(device->host_path, st) < 0)
                return error_errno(err, errno, "cannot find the device '%s'", device->host_path);
        if (!S_ISBLK(st->st_mode) && !S_ISCHR(st->st_mode))
                return error_set(err, ERROR_INVALID, "'%s' is not a device", device->host_path);
        return 0;
}

int runtime_write_devices(JsonWriter *writer, const RunSpec *spec, Error *err)
{
        json_writer_key(writer, "devices");
        json_writer_begin_array(writer);
        if (spec->privileged)
                write_host_devices(writer, "/dev", 0);
        for (size_t i = 0; i < spec->n_devices && !spec->privileged; i++) {
                struct stat st;

                if (stat_device(&spec->devices[i], &st, err) < 0)
                        return -1;
                write_device(writer, spec->devices[i].path, &st);
        }
        json_writer_end_array(writer);
        return 0;
}

static void write_device_rule(JsonWriter *writer, bool allow, char type, int64_t major_number, int64_t minor_number, const char *access)
{
        json_writer_begin_object(writer);
        json_writer_member_bool(writer, "allow", allow);
        json_writer_member_string(writer, "type", (char[]){ type, '\0' });
        if (major_number >= 0)
                json_writer_member_int(writer, "major", major_number);
        if (minor_number >= 0)
                json_writer_member_int(writer, "minor", minor_number);
        json_writer_member_string(writer, "access", access);
        json_writer_end_object(writer);
}

/* Both runtimes add docker's rules for mknod, /dev/null and its like by themselves. */
int runtime_write_device_rules(JsonWriter *writer, const RunSpec *spec, Error *err)
{
        json_writer_key(writer, "devices");
        json_writer_begin_array(writer);
        write_device_rule(writer, spec->privileged, 'a', -1, -1, "rwm");
        for (size_t i = 0; i < spec->n_devices && !spec->privileged; i++) {
                struct stat st;

                if (stat_device(&spec->devices[i], &st, err) < 0)
                        return -1;
                write_device_rule(writer, true, S_ISBLK(st.st_mode) ? 'b' : 'c', major(st.st_rdev), minor(st.st_rdev),
                                  str_empty(spec->devices[i].permissions) ? "rwm" : spec->devices[i].permissions);
        }
        json_writer_end_array(writer);
        return 0;
}
