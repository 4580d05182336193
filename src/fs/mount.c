#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

/* One message of a file system context's log (fsopen(2)); the kernel cuts longer ones itself. */
#define LOG_LINE_MAX 1024
/* Below the 256 bytes, NUL counted, that fsconfig(2) takes. */
#define CONFIG_STRING_MAX 255
/* Option string of mount(2): one page. */
#define OPTIONS_MAX 4095

static int mount_fault(void)
{
        return sys_fault(SYS_CALL_mount);
}

int mount_namespace_enter(Error *err)
{
        static __thread bool entered;

        if (entered)
                return 0;
        if (mount_fault() < 0 || unshare(CLONE_NEWNS) < 0)
                return errno == EPERM
                               ? error_set(err, ERROR_DENIED,
                                           "cannot make a mount namespace: containers and builds need root (CAP_SYS_ADMIN), which this process does not have; "
                                           "images can be loaded, saved, listed and tagged without")
                               : error_errno(err, errno, "cannot make a mount namespace");
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return error_errno(err, errno, "cannot make the mounts of a new namespace private");
        entered = true;
        return 0;
}

/* --- file system contexts --- */

/* Appends what the kernel said, "; " between the messages, the "e "/"w " marks taken off. */
static void context_read_log(int context, Buf *to)
{
        char line[LOG_LINE_MAX];
        ssize_t n;

        while ((n = read(context, line, sizeof(line))) > 0) {
                const char *text = line;

                while (n > 0 && line[n - 1] == '\n')
                        n--;
                if (n > 2 && line[1] == ' ')
                        text += 2, n -= 2;
                if (to->size)
                        buf_puts(to, "; ");
                buf_put(to, text, (size_t)n);
        }
}

/* Turns errno of a call on the context into an error. */
static int context_fail(int context, const char *what, Error *err)
{
        Buf log = BUF_INIT(64 << 10);
        int errnum = errno;

        context_read_log(context, &log);
        if (log.size)
                error_errno(err, errnum, "cannot %s: the kernel says '%s'", what, buf_str(&log));
        else
                error_errno(err, errnum, "cannot %s", what);
        if (errnum == EPERM)
                err->code = ERROR_DENIED;
        else if (errnum == ENODEV || errnum == ENOTBLK || errnum == EOPNOTSUPP)
                err->code = ERROR_UNSUPPORTED;
        buf_done(&log);
        return -1;
}

static int context_open(const char *type, Error *err)
{
        int fd = mount_fault() < 0 ? -1 : fsopen(type, FSOPEN_CLOEXEC);

        if (fd >= 0)
                return fd;
        if (errno == ENODEV)
                return error_set(err, ERROR_UNSUPPORTED, "cannot mount %s: this kernel does not know that file system", type);
        return error_errno(err, errno, "cannot mount %s", type);
}

static int context_set(int context, const char *key, const char *value, const char *what, Error *err)
{
        if (fsconfig(context, FSCONFIG_SET_STRING, key, value, 0) < 0)
                return context_fail(context, what, err);
        return 0;
}

/* Makes the file system and its detached mount. */
static int context_mount(int context, unsigned attributes, const char *what, Error *err)
{
        int fd;

        if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return context_fail(context, what, err);
        fd = fsmount(context, FSMOUNT_CLOEXEC, attributes);
        return fd < 0 ? context_fail(context, what, err) : fd;
}

/* fsconfig(2) takes strings of less than 256 bytes; a longer path is named by a descriptor. */
typedef struct ShortPath {
        const char *path;
        int fd; /* -1, or to be closed */
        char buffer[FD_PROC_PATH_SIZE];
} ShortPath;

static int short_path(ShortPath *to, const char *path, Error *err)
{
        to->fd = -1;
        to->path = path;
        if (strlen(path) < CONFIG_STRING_MAX)
                return 0;
        to->fd = open(path, O_PATH | O_CLOEXEC);
        if (to->fd < 0)
                return error_errno(err, errno, "cannot open '%s'", path);
        to->path = fd_proc_path(to->fd, to->buffer);
        return 0;
}

int mount_erofs(const char *index, const char *const *devices, size_t n_devices, Error *err)
{
        _cleanup_free_ char *what = xasprintf("mount the image index '%s'", index);
        _cleanup_free_ ShortPath *names = NEW_ARRAY(ShortPath, n_devices + 1);
        _cleanup_close_ int context = context_open("erofs", err);
        int r = context < 0 ? -1 : 0;
        size_t n = 0;

        /* EROFS opens the files when it is created, not when it hears of them: the descriptors behind long paths live as long. */
        for (; r == 0 && n <= n_devices; n++) {
                r = short_path(&names[n], n == 0 ? index : devices[n - 1], err);
                if (r == 0)
                        r = context_set(context, n == 0 ? "source" : "device", names[n].path, what, err);
        }
        if (r == 0)
                r = sys_fault(SYS_CALL_erofs) < 0 ? context_fail(context, what, err) : context_mount(context, MOUNT_ATTR_RDONLY, what, err);
        while (n-- > 0)
                closep(&names[n].fd);
        return r;
}

int mount_tmpfs(const char *options, Error *err)
{
        _cleanup_free_ char *copy = xstrdup(options ? options : "");
        _cleanup_close_ int context = context_open("tmpfs", err);
        char *save = NULL;

        if (context < 0 || context_set(context, "source", "tmpfs", "mount a tmpfs", err) < 0)
                return -1;
        for (char *key = strtok_r(copy, ",", &save); key; key = strtok_r(NULL, ",", &save)) {
                char *value = strchr(key, '=');

                if (value)
                        *value++ = '\0';
                if (fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) < 0)
                        return context_fail(context, "mount a tmpfs", err);
        }
        return context_mount(context, 0, "mount a tmpfs", err);
}

/* --- overlay --- */

static const char overlay_what[] = "mount an overlay";

/* With userxattr the first two are off of themselves, and the kernel does not let them be named. */
static const struct {
        const char *key, *value;
        bool with_userxattr;
} overlay_fixed[] = {
        { "metacopy", "off", false },
        { "redirect_dir", "off", false },
        { "index", "off", true },
        { "xino", "off", true },
};

static int overlay_set_path(int context, const char *key, const char *path, Error *err)
{
        ShortPath name;
        int r = short_path(&name, path, err);

        if (r == 0)
                r = context_set(context, key, name.path, overlay_what, err);
        closep(&name.fd);
        return r;
}

bool mount_context_checks(int context)
{
        Buf log = BUF_INIT(64 << 10);
        bool checks = fsconfig(context, FSCONFIG_SET_FLAG, "mica", NULL, 0) < 0;

        context_read_log(context, &log); /* what it said to that is nobody's error */
        buf_done(&log);
        return checks;
}

/* 1: this kernel does not know lowerdir+. */
static int overlay_set_lower(int context, const OverlaySpec *spec, Error *err)
{
        if (!mount_context_checks(context))
                return 1;
        for (size_t i = 0; i < spec->n_lower; i++) {
                if (overlay_set_path(context, "lowerdir+", spec->lower[i], err) == 0)
                        continue;
                if (i == 0 && strstr(error_message(err), "Unknown parameter")) {
                        error_done(err);
                        return 1;
                }
                return -1;
        }
        return 0;
}

static int overlay_set_rest(int context, const OverlaySpec *spec, Error *err)
{
        for (size_t i = 0; i < ARRAY_LEN(overlay_fixed); i++)
                if ((overlay_fixed[i].with_userxattr || !spec->userxattr) &&
                    context_set(context, overlay_fixed[i].key, overlay_fixed[i].value, overlay_what, err) < 0)
                        return -1;
        if (spec->upper && (overlay_set_path(context, "upperdir", spec->upper, err) < 0 || overlay_set_path(context, "workdir", spec->work, err) < 0))
                return -1;
        if (spec->is_volatile && fsconfig(context, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
                return context_fail(context, overlay_what, err);
        if (spec->userxattr && fsconfig(context, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
                return context_fail(context, overlay_what, err);
        return 0;
}

/* A path as it must look inside an option string: a backslash before what means something there. */
static void overlay_put_path(Buf *to, const char *path)
{
        for (; *path; path++) {
                if (strchr(":,\\", *path))
                        buf_putc(to, '\\');
                buf_putc(to, *path);
        }
}

/* The option string; with `fds` every lower directory is opened and named by its descriptor, which is short whatever its path. */
static int overlay_options(const OverlaySpec *spec, int *fds, Buf *to, Error *err)
{
        buf_puts(to, "lowerdir=");
        for (size_t i = 0; i < spec->n_lower; i++) {
                if (i)
                        buf_putc(to, ':');
                if (!fds) {
                        overlay_put_path(to, spec->lower[i]);
                        continue;
                }
                fds[i] = open(spec->lower[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (fds[i] < 0)
                        return error_errno(err, errno, "cannot open the layer directory '%s'", spec->lower[i]);
                buf_putf(to, "/proc/self/fd/%d", fds[i]);
        }
        if (spec->upper) {
                buf_puts(to, ",upperdir=");
                overlay_put_path(to, spec->upper);
                buf_puts(to, ",workdir=");
                overlay_put_path(to, spec->work);
        }
        for (size_t i = 0; i < ARRAY_LEN(overlay_fixed); i++)
                if (overlay_fixed[i].with_userxattr || !spec->userxattr)
                        buf_putf(to, ",%s=%s", overlay_fixed[i].key, overlay_fixed[i].value);
        buf_puts(to, spec->is_volatile ? ",volatile" : "");
        buf_puts(to, spec->userxattr ? ",userxattr" : "");
        return 0;
}

/* mount(2) needs a place: one of our own for a moment, from which the mount is taken off again. */
static int overlay_mount_string(const OverlaySpec *spec, const char *options, Error *err)
{
        char place[] = "/tmp/mica-overlay-XXXXXX";
        int fd = -1;

        if (!mkdtemp(place))
                return error_errno(err, errno, "cannot make a temporary mount point '%s'", place);
        if (mount_fault() < 0 || mount("overlay", place, "overlay", spec->upper ? 0 : MS_RDONLY, options) < 0) {
                error_errno(err, errno, "cannot mount an overlay of %zu layers", spec->n_lower);
        } else {
                fd = open_tree(AT_FDCWD, place, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
                if (fd < 0)
                        error_errno(err, errno, "cannot detach an overlay");
                umount2(place, MNT_DETACH);
        }
        rmdir(place);
        return fd;
}

int mount_overlay_classic(const OverlaySpec *spec, Error *err)
{
        _cleanup_free_ int *fds = NEW_ARRAY(int, spec->n_lower);
        Buf options = BUF_INIT(1 << 20);
        int r;

        for (size_t i = 0; i < spec->n_lower; i++)
                fds[i] = -1;
        r = overlay_options(spec, NULL, &options, err);
        if (r == 0 && options.size > OPTIONS_MAX) {
                buf_reset(&options);
                r = overlay_options(spec, fds, &options, err);
        }
        if (r == 0 && options.size > OPTIONS_MAX)
                r = error_set(err, ERROR_LIMIT, "cannot mount an overlay of %zu layers: this kernel takes only one page of options (Linux 6.8 takes more)",
                              spec->n_lower);
        if (r == 0)
                r = overlay_mount_string(spec, buf_str(&options), err);
        for (size_t i = 0; i < spec->n_lower; i++)
                closep(&fds[i]);
        buf_done(&options);
        return r;
}

int mount_overlay(const OverlaySpec *spec, Error *err)
{
        _cleanup_close_ int context = context_open("overlay", err);
        int r;

        if (context < 0 || context_set(context, "source", "overlay", overlay_what, err) < 0)
                return -1;
        r = overlay_set_lower(context, spec, err);
        if (r > 0)
                return mount_overlay_classic(spec, err);
        if (r < 0 || overlay_set_rest(context, spec, err) < 0)
                return -1;
        if (sys_fault(SYS_CALL_overlay) < 0)
                return context_fail(context, overlay_what, err);
        return context_mount(context, spec->upper ? 0 : MOUNT_ATTR_RDONLY, overlay_what, err);
}

/* --- mounts that exist --- */

static const char *shown(const char *path)
{
        return *path ? path : "(descriptor)";
}

int mount_clone(int dir_fd, const char *path, bool recursive, Error *err)
{
        unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH) | (recursive ? AT_RECURSIVE : 0);
        int fd = mount_fault() < 0 ? -1 : open_tree(dir_fd, path, flags);

        return fd < 0 ? error_errno(err, errno, "cannot bind '%s'", shown(path)) : fd;
}

int mount_set(int dir_fd, const char *path, unsigned attributes, bool recursive, Error *err)
{
        static const uint64_t flags[] = { MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC };
        struct mount_attr attr = { .propagation = attributes & MOUNT_PRIVATE ? MS_PRIVATE : attributes & MOUNT_SLAVE ? MS_SLAVE : 0 };
        unsigned how = (*path ? 0 : AT_EMPTY_PATH) | (recursive ? AT_RECURSIVE : 0);

        for (size_t i = 0; i < ARRAY_LEN(flags); i++)
                if (attributes & (1U << i))
                        attr.attr_set |= flags[i];
        if (mount_fault() < 0 || mount_setattr(dir_fd, path, how, &attr, sizeof(attr)) < 0)
                return error_errno(err, errno, "cannot change the mount at '%s'", shown(path));
        return 0;
}

int mount_attach(int mount_fd, int dir_fd, const char *path, Error *err)
{
        unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH);

        if (mount_fault() < 0 || move_mount(mount_fd, "", dir_fd, path, flags) < 0)
                return error_errno(err, errno, "cannot mount on '%s'", shown(path));
        return 0;
}

int mount_bind(const char *source, const char *target, bool recursive, unsigned attributes, Error *err)
{
        _cleanup_close_ int fd = mount_clone(AT_FDCWD, source, recursive, err);

        if (fd < 0 || (attributes && mount_set(fd, "", attributes, recursive, err) < 0))
                return -1;
        return mount_attach(fd, AT_FDCWD, target, err);
}

int mount_detach(const char *path, Error *err)
{
        if (mount_fault() < 0 || umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
                return errno == EINVAL || errno == ENOENT ? 0 : error_errno(err, errno, "cannot unmount '%s'", path);
        return 0;
}
