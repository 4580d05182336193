#include "runtime/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "fs/userns.h"

/* What `su` leaves in the environment may be another user's. */
static bool is_own_directory(const char *path)
{
        struct stat st;

        return path && *path == '/' && stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && access(path, W_OK) == 0;
}

static char *choose(void)
{
        const char *runtime_dir = getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *usual = xasprintf("/run/user/%u", user_id());

        if (user_id() == 0 && access("/run", W_OK) == 0)
                return xstrdup("/run/mica");
        if (is_own_directory(runtime_dir))
                return xasprintf("%s/mica", runtime_dir);
        if (is_own_directory(usual))
                return xasprintf("%s/mica", usual);
        return xasprintf("/tmp/mica-%u", user_id());
}

int state_dir_make(const char *wanted, char **ret, Error *err)
{
        _cleanup_free_ char *path = wanted ? xstrdup(wanted) : choose();
        struct stat st;
        int r = dir_make(AT_FDCWD, path, 0700);

        if (r < 0)
                return error_errno(err, r, "cannot make '%s'", path);
        if (lstat(path, &st) < 0)
                return error_errno(err, errno, "cannot look at '%s'", path);
        if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
                return error_set(err, ERROR_DENIED, "'%s' must be a directory that only this user may write", path);
        *ret = TAKE_PTR(path);
        return 0;
}
