/*
 * The library's own system calls through the fault seam of base/sys.h. Only in builds with -Dfault=true.
 *
 * Most calls can be replaced in the library's table. fsync cannot: there the sync method of the open files is replaced.
 */
#include "base/sys.h"
#include "db/db_internal.h"

#ifdef MICA_FAULT

static int (*real_open)(const char *path, int flags, int mode);
static ssize_t (*real_write)(int fd, const void *data, size_t size);
static ssize_t (*real_pwrite)(int fd, const void *data, size_t size, off_t offset);
static int (*real_ftruncate)(int fd, off_t size);
static int (*real_unlink)(const char *path);
static int (*real_sync)(sqlite3_file *file, int flags);

static int fault_open(const char *path, int flags, int mode)
{
        return flags & O_CREAT && sys_fault(SYS_CALL_open) < 0 ? -1 : real_open(path, flags, mode);
}

static ssize_t fault_write(int fd, const void *data, size_t size)
{
        return sys_fault(SYS_CALL_write) < 0 ? -1 : real_write(fd, data, size);
}

static ssize_t fault_pwrite(int fd, const void *data, size_t size, off_t offset)
{
        return sys_fault(SYS_CALL_write) < 0 ? -1 : real_pwrite(fd, data, size, offset);
}

static int fault_ftruncate(int fd, off_t size)
{
        return sys_fault(SYS_CALL_truncate) < 0 ? -1 : real_ftruncate(fd, size);
}

static int fault_unlink(const char *path)
{
        return sys_fault(SYS_CALL_unlink) < 0 ? -1 : real_unlink(path);
}

static int fault_sync(sqlite3_file *file, int flags)
{
        return sys_fault(SYS_CALL_fsync) < 0 ? SQLITE_IOERR_FSYNC : real_sync(file, flags);
}

static void replace(sqlite3_vfs *vfs, const char *name, void *real, sqlite3_syscall_ptr call)
{
        sqlite3_syscall_ptr old = vfs->xGetSystemCall(vfs, name);

        if (!old)
                return;
        *(sqlite3_syscall_ptr *)real = old;
        vfs->xSetSystemCall(vfs, name, call);
}

void db_fault_init(void)
{
        sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

        replace(vfs, "open", &real_open, (sqlite3_syscall_ptr)fault_open);
        replace(vfs, "write", &real_write, (sqlite3_syscall_ptr)fault_write);
        replace(vfs, "pwrite", &real_pwrite, (sqlite3_syscall_ptr)fault_pwrite);
        replace(vfs, "pwrite64", &real_pwrite, (sqlite3_syscall_ptr)fault_pwrite);
        replace(vfs, "ftruncate", &real_ftruncate, (sqlite3_syscall_ptr)fault_ftruncate);
        replace(vfs, "unlink", &real_unlink, (sqlite3_syscall_ptr)fault_unlink);
}

/* The database and its WAL have different methods (only the first is locked), so each has a copy of its own. */
static void attach(sqlite3_file *file, sqlite3_io_methods *copy)
{
        if (!file || !file->pMethods || file->pMethods->xSync == fault_sync)
                return;
        *copy = *file->pMethods;
        real_sync = copy->xSync;
        copy->xSync = fault_sync;
        file->pMethods = copy;
}

void db_fault_attach(sqlite3 *handle)
{
        static sqlite3_io_methods main_methods, wal_methods;
        sqlite3_file *file = NULL;

        if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK)
                attach(file, &main_methods);
        file = NULL;
        if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) == SQLITE_OK)
                attach(file, &wal_methods);
}

#else

void db_fault_init(void)
{
}

void db_fault_attach(sqlite3 *handle)
{
}

#endif
