#include "fs/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "fs/owner.h"

/* Of a directory's names; 16 million of the longest. A directory beyond that is an attack on our memory. */
#define NAMES_MAX ((size_t)4 << 30)
#define GETDENTS_SIZE ((size_t)64 << 10)

typedef struct Frame {
        int fd;       /* -1: closed for the sake of the bound; opened again through ".." of its child */
        Buf arena;    /* the names, each with its NUL */
        char **names; /* sorted; into arena */
        size_t n_names;
        size_t at;
        size_t path_size; /* of Walker.path for this directory */
        struct stat st;
} Frame;

typedef struct Walker {
        const WalkOps *ops;
        void *user;
        Frame *frames;
        size_t n_frames, capacity;
        Buf path;
        dev_t device;
        char *dirents; /* GETDENTS_SIZE */
} Walker;

static const char *shown_path(const Walker *walker)
{
        return walker->path.size ? buf_str(&walker->path) : ".";
}

static int fail(const Walker *walker, const char *what, Error *err)
{
        return error_errno(err, errno, "cannot %s '%s' while walking a directory tree", what, shown_path(walker));
}

static void path_cut(Walker *walker, size_t size)
{
        walker->path.size = size;
        if (walker->path.data)
                walker->path.data[size] = '\0';
}

static void path_push(Walker *walker, const char *name)
{
        if (walker->path.size)
                buf_putc(&walker->path, '/');
        buf_puts(&walker->path, name);
}

static int by_bytes(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Reads and sorts the names of the directory. */
static int frame_fill(Walker *walker, Frame *frame, Error *err)
{
        size_t n_names = 0, at = 0;
        bool sorted = true;

        frame->arena = BUF_INIT(NAMES_MAX);
        for (;;) {
                long n = syscall(SYS_getdents64, frame->fd, walker->dirents, GETDENTS_SIZE);

                if (n < 0 && errno == ENOENT)
                        break; /* removed under us */
                if (n < 0)
                        return fail(walker, "read the directory", err);
                if (n == 0)
                        break;
                for (long offset = 0; offset < n;) {
                        const struct dirent64 *entry = (const void *)(walker->dirents + offset);

                        offset += entry->d_reclen;
                        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
                                continue;
                        if (buf_add(&frame->arena, entry->d_name, strlen(entry->d_name) + 1) < 0)
                                return error_set(err, ERROR_LIMIT, "cannot read the directory '%s': too many names", shown_path(walker));
                        n_names++;
                }
        }
        frame->names = NEW_ARRAY(char *, n_names + 1);
        frame->n_names = n_names;
        for (size_t i = 0; i < n_names; i++) {
                frame->names[i] = frame->arena.data + at;
                at += strlen(frame->names[i]) + 1;
                sorted = sorted && (i == 0 || strcmp(frame->names[i - 1], frame->names[i]) < 0);
        }
        if (!sorted)
                qsort(frame->names, n_names, sizeof(*frame->names), by_bytes);
        return 0;
}

static void frame_done(Frame *frame)
{
        closep(&frame->fd);
        buf_done(&frame->arena);
        free(frame->names);
}

/* Takes the descriptor. */
static int walker_push(Walker *walker, int fd, const struct stat *st, Error *err)
{
        Frame *frame;

        GROW(walker->frames, walker->capacity, walker->n_frames + 1);
        if (walker->n_frames >= WALK_MAX_FDS / 2) {
                Frame *far = &walker->frames[walker->n_frames - WALK_MAX_FDS / 2];

                closep(&far->fd);
                far->fd = -1;
        }
        frame = &walker->frames[walker->n_frames++];
        *frame = (Frame){ .fd = fd, .path_size = walker->path.size, .st = *st };
        return frame_fill(walker, frame, err);
}

/* Opens the parent of the topmost directory again when it was closed. */
static int walker_reopen_parent(Walker *walker, Error *err)
{
        const Frame *top = &walker->frames[walker->n_frames - 1];
        Frame *parent = &walker->frames[walker->n_frames - 2];
        struct stat st;

        if (parent->fd >= 0)
                return 0;
        parent->fd = openat(top->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent->fd < 0 || fstat(parent->fd, &st) < 0)
                return fail(walker, "go back up from", err);
        if (st.st_dev != parent->st.st_dev || st.st_ino != parent->st.st_ino)
                return error_set(err, ERROR_CONFLICT, "cannot walk a directory tree: '%s' was moved meanwhile", shown_path(walker));
        return 0;
}

static WalkEntry walker_entry(const Walker *walker, int dir_fd, const char *name, size_t depth, const struct stat *st)
{
        return (WalkEntry){ .dir_fd = dir_fd, .name = name, .path = buf_str(&walker->path), .path_size = walker->path.size, .depth = depth, .st = *st };
}

/* The topmost directory is finished. */
static int walker_pop(Walker *walker, Error *err)
{
        Frame *top = &walker->frames[walker->n_frames - 1], *parent = walker->n_frames > 1 ? top - 1 : NULL;
        int r = 0;

        path_cut(walker, top->path_size);
        if (parent && walker_reopen_parent(walker, err) < 0)
                return -1;
        if (walker->ops->leave) {
                WalkEntry entry = parent ? walker_entry(walker, parent->fd, parent->names[parent->at - 1], walker->n_frames - 1, &top->st)
                                         : walker_entry(walker, top->fd, ".", 0, &top->st);

                r = walker->ops->leave(walker->user, &entry, err);
        }
        frame_done(top);
        walker->n_frames--;
        return r < 0 ? -1 : 0;
}

/* The next name of the topmost directory. */
static int walker_step(Walker *walker, Error *err)
{
        Frame *top = &walker->frames[walker->n_frames - 1];
        const char *name = top->names[top->at++];
        struct stat st;
        WalkEntry entry;
        int fd, r;

        path_cut(walker, top->path_size);
        path_push(walker, name);
        if (fstatat(top->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : fail(walker, "stat", err);
        owner_read(top->fd, name, &st);
        entry = walker_entry(walker, top->fd, name, walker->n_frames, &st);
        r = walker->ops->entry(walker->user, &entry, err);
        if (r != 0 || !S_ISDIR(st.st_mode))
                return r < 0 ? -1 : 0;
        if (walker->ops->one_file_system && st.st_dev != walker->device)
                return 0;
        fd = openat(top->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : fail(walker, "open the directory", err);
        return walker_push(walker, fd, &st, err);
}

static int walker_run(Walker *walker, int dir_fd, const char *path, Error *err)
{
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        WalkEntry entry;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, errno, "cannot open the directory '%s' to walk it", path);
        owner_read(fd, "", &st);
        walker->device = st.st_dev;
        entry = walker_entry(walker, fd, ".", 0, &st);
        r = walker->ops->entry(walker->user, &entry, err);
        if (r != 0)
                return r < 0 ? -1 : 0;
        if (walker_push(walker, TAKE_FD(fd), &st, err) < 0)
                return -1;
        while (walker->n_frames) {
                const Frame *top = &walker->frames[walker->n_frames - 1];

                if ((top->at < top->n_names ? walker_step(walker, err) : walker_pop(walker, err)) < 0)
                        return -1;
        }
        return 0;
}

int tree_walk(int dir_fd, const char *path, const WalkOps *ops, void *user, Error *err)
{
        Walker walker = { .ops = ops, .user = user, .path = BUF_INIT(BUF_MAX_DEFAULT), .dirents = xmalloc(GETDENTS_SIZE) };
        int r = walker_run(&walker, dir_fd, path, err);

        while (walker.n_frames)
                frame_done(&walker.frames[--walker.n_frames]);
        free(walker.frames);
        free(walker.dirents);
        buf_done(&walker.path);
        return r;
}
