#include "fs/features.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/str.h"
#include "base/sys.h"
#include "fs/mount.h"

typedef struct Answer {
        bool works;
        bool attached; /* EROFS: only while it is attached somewhere */
        const char *reason;
} Answer;

static Answer works(const char *reason)
{
        return (Answer){ .works = true, .reason = reason };
}

static Answer fails(const char *reason)
{
        return (Answer){ .reason = reason };
}

/* A new private tmpfs context asks for the same privilege as every mount and changes nothing. */
static Answer try_mount(void)
{
        _cleanup_close_ int fd = fsopen("tmpfs", FSOPEN_CLOEXEC);

        if (fd < 0)
                return errno == ENOSYS ? fails("this kernel has no fsopen(2) (Linux 5.2)")
                                       : fails("mounting needs CAP_SYS_ADMIN, which this process does not have");
        if (fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return fails("the kernel refuses mounts of this process");
        return works("this process may mount");
}

static Answer try_openat2(void)
{
        struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
        long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how));

        if (fd < 0)
                return fails("openat2(2) is missing (Linux 5.6) or filtered; paths in images are walked one component at a time");
        close((int)fd);
        return works("openat2(2) keeps paths inside of images");
}

static Answer try_overlay(void)
{
        _cleanup_close_ int fd = fsopen("overlay", FSOPEN_CLOEXEC);

        if (fd < 0)
                return errno == ENODEV ? fails("this kernel has no overlayfs (CONFIG_OVERLAY_FS)")
                                       : fails("mounting overlayfs needs CAP_SYS_ADMIN, which this process does not have");
        return works("overlayfs can be mounted");
}

static Answer try_overlay_lower_add(void)
{
        _cleanup_close_ int fd = fsopen("overlay", FSOPEN_CLOEXEC);

        if (fd < 0)
                return fails("overlayfs cannot be mounted here");
        if (!mount_context_checks(fd) || fsconfig(fd, FSCONFIG_SET_STRING, "lowerdir+", "/", 0) < 0)
                return fails("overlayfs does not know lowerdir+ (Linux 6.8): the number of layers in one mount is limited by one page of options");
        return works("overlayfs takes layers one by one");
}

/* Whether something goes that changes the process, or what it sees: a child tries it. */
static bool works_in_child(bool (*try)(int fd), int fd)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(try(fd) ? 0 : 1);
        return pid > 0 && child_wait(pid, &status, &ignored) == 0 && status == 0;
}

static bool enter_user_namespace(int fd)
{
        (void)fd;
        return unshare(CLONE_NEWUSER) == 0;
}

static Answer try_user_namespace(void)
{
        if (!works_in_child(enter_user_namespace, -1))
                return fails("user namespaces cannot be made here (see /proc/sys/user/max_user_namespaces)");
        return works("user namespaces can be made");
}

static void put_le(unsigned char *to, uint64_t value, size_t size)
{
        for (size_t i = 0; i < size; i++)
                to[i] = (unsigned char)(value >> (8 * i));
}

#define TINY_EROFS_SIZE 4096

/* The smallest EROFS that mounts: superblock at 1024, one empty directory at node 0 of block 3, padding (docs/formats/index.md). */
static void tiny_erofs(unsigned char image[TINY_EROFS_SIZE])
{
        unsigned char *sb = image + 1024, *root = image + 1536, *entries = root + 64;

        memset(image, 0, TINY_EROFS_SIZE);
        put_le(sb, 0xe0f5e1e2, 4);
        sb[12] = 9;            /* blocks of 512 bytes */
        put_le(sb + 16, 1, 8); /* one inode */
        put_le(sb + 36, 4, 4); /* blocks in all */
        put_le(sb + 40, 3, 4); /* first block of the inodes */
        put_le(root, 5, 2);    /* extended, flat inline */
        put_le(root + 4, S_IFDIR | 0755, 2);
        put_le(root + 8, 27, 8); /* size: two entries and their names */
        put_le(root + 44, 2, 4); /* links */
        entries[10] = entries[22] = 2;
        put_le(entries + 8, 24, 2);
        put_le(entries + 20, 25, 2);
        memcpy(entries + 24, "...", 3);
}

/* An overlay without an upper needs two layers. Asked for as mount_overlay() will ask. */
static bool overlay_takes(const char *erofs, const char *other)
{
        const char *const lower[] = { erofs, other };
        const OverlaySpec spec = { .lower = lower, .n_lower = ARRAY_LEN(lower) };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_close_ int fd = mount_overlay(&spec, &ignored);

        return fd >= 0;
}

/* The same with the mount attached, in a mount namespace that is gone with the child: nothing is seen elsewhere. */
static bool overlay_takes_attached(int mount_fd)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_close_ int top = -1;

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return false;
        top = mount_tmpfs(NULL, &ignored);
        if (top < 0 || sys_mkdirat(top, "layer", 0755) < 0 || sys_mkdirat(top, "other", 0755) < 0 || mount_attach(top, AT_FDCWD, "/tmp", &ignored) < 0 ||
            mount_attach(mount_fd, top, "layer", &ignored) < 0)
                return false;
        return overlay_takes("/tmp/layer", "/tmp/other");
}

/* A container's root is an overlay over EROFS mounts. `dir_fd` is a directory that is surely there. */
static Answer try_overlay_on(int mount_fd, int dir_fd)
{
        char erofs_path[FD_PROC_PATH_SIZE], dir_path[FD_PROC_PATH_SIZE];
        Answer found;

        if (overlay_takes(fd_proc_path(mount_fd, erofs_path), fd_proc_path(dir_fd, dir_path)))
                return works("EROFS is mounted from files");
        if (!works_in_child(overlay_takes_attached, mount_fd))
                return fails("this kernel does not take EROFS mounts as layers of an overlay");
        found = works("EROFS is mounted from files, and is attached to be a layer of an overlay (before Linux 6.15)");
        found.attached = true;
        return found;
}

static Answer try_erofs(int dir_fd)
{
        char path[FD_PROC_PATH_SIZE], log[1024];
        unsigned char image[TINY_EROFS_SIZE];
        _cleanup_close_ int file = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), context = -1, mounted = -1;
        ssize_t n;
        int number;

        context = fsopen("erofs", FSOPEN_CLOEXEC);
        if (context < 0)
                return errno == ENODEV ? fails("this kernel has no EROFS (CONFIG_EROFS_FS)")
                                       : fails("mounting EROFS needs CAP_SYS_ADMIN in the initial user namespace");
        if (file < 0)
                return fails("no temporary file can be made on the file system of the store to try EROFS with");
        tiny_erofs(image);
        if (fd_write_all(file, image, sizeof(image)) < 0)
                return fails("no temporary file can be written on the file system of the store to try EROFS with");
        if (fsconfig(context, FSCONFIG_SET_STRING, "source", fd_proc_path(file, path), 0) == 0 && sys_fault(SYS_CALL_erofs) == 0 &&
            fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
                mounted = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
        if (mounted >= 0)
                return try_overlay_on(mounted, dir_fd);
        number = errno;
        if (number == EPERM || number == EACCES)
                return fails("mounting EROFS needs CAP_SYS_ADMIN in the initial user namespace");
        n = read(context, log, sizeof(log) - 1);
        log[n > 0 ? n : 0] = '\0';
        return fails(strstr(log, "lock device") || number == ENOTBLK
                             ? "this kernel mounts EROFS only from block devices (files need Linux 6.12 and CONFIG_EROFS_FS_BACKED_BY_FILE)"
                             : "this kernel cannot mount EROFS from files of that file system");
}

static Answer try_erofs_in_tmp(void)
{
        const char *dir = getenv("TMPDIR");
        _cleanup_close_ int fd = open(str_empty(dir) ? "/var/tmp" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? fails("no temporary directory") : try_erofs(fd);
}

static const struct {
        const char *name;
        Answer (*try)(void);
} features[_FEATURE_MAX] = {
        [FEATURE_MOUNT] = { "mount", try_mount },        [FEATURE_OPENAT2] = { "openat2", try_openat2 },
        [FEATURE_OVERLAY] = { "overlay", try_overlay },  [FEATURE_OVERLAY_LOWER_ADD] = { "overlay-lower-add", try_overlay_lower_add },
        [FEATURE_EROFS] = { "erofs", try_erofs_in_tmp }, [FEATURE_USER_NAMESPACE] = { "user-namespace", try_user_namespace },
};

/* --- answers that were found, under one lock: asking is rare --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Answer answers[_FEATURE_MAX];

static Answer answer(Feature feature)
{
        Answer found;

        pthread_mutex_lock(&lock);
        if (!answers[feature].reason)
                answers[feature] = features[feature].try();
        found = answers[feature];
        pthread_mutex_unlock(&lock);
        return found;
}

bool feature_works(Feature feature)
{
        return answer(feature).works;
}

const char *feature_reason(Feature feature)
{
        return answer(feature).reason;
}

const char *feature_name(Feature feature)
{
        return features[feature].name;
}

bool feature_erofs_in(int dir_fd, bool *ret_attached, const char **ret_reason)
{
        static struct {
                dev_t device;
                Answer answer;
        } known[4];
        static size_t n_known;
        Answer found = { 0 };
        struct stat st = { 0 };

        fstat(dir_fd, &st);
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < n_known; i++)
                if (known[i].device == st.st_dev)
                        found = known[i].answer;
        if (!found.reason) {
                found = try_erofs(dir_fd);
                if (n_known < ARRAY_LEN(known)) {
                        known[n_known].device = st.st_dev;
                        known[n_known++].answer = found;
                }
        }
        pthread_mutex_unlock(&lock);
        if (ret_attached)
                *ret_attached = found.attached;
        if (ret_reason)
                *ret_reason = found.reason;
        return found.works;
}
