/*
 * What a runtime said when it could not run a program, as an error in docker's words and with docker's exit code.
 *
 * Both runtimes write one line into their log and exit with 1 whatever it was, so the line is all that tells "no such program" from "out of memory". What no
 * row of the table knows is passed on as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "fs/path.h"
#include "runtime/private.h"

typedef enum Complaint {
        COMPLAINT_NOT_FOUND,     /* 127 */
        COMPLAINT_DENIED,        /* 126 */
        COMPLAINT_IS_DIRECTORY,  /* 126 */
        COMPLAINT_CWD_MISSING,   /* 126: of one more process; the directory of a container's first one is made */
        COMPLAINT_CWD_DENIED,    /* 126 */
        COMPLAINT_CWD_NO_DIR,    /* 126: likewise */
        COMPLAINT_CWD_IS_NO_DIR, /* the container cannot be made: 125 */
} Complaint;

/* The runtimes' words. What stands between `before` and `after` is the name; a row without `after` names nothing. More special rows come first. */
static const struct Words {
        const char *before, *after;
        Complaint complaint;
} words[] = {
        { "executable file `", "` not found", COMPLAINT_NOT_FOUND },          /* crun */
        { "exec: \"", "\": executable file not found", COMPLAINT_NOT_FOUND }, /* runc, and those below with exec: */
        { "exec: \"", "\": stat ", COMPLAINT_NOT_FOUND },
        { "exec: \"", "\": no such file or directory", COMPLAINT_NOT_FOUND },
        { "exec: \"", "\": is a directory", COMPLAINT_IS_DIRECTORY },
        { "exec: \"", "\": permission denied", COMPLAINT_DENIED },
        { "eaccess ", ": permission denied", COMPLAINT_DENIED },             /* runc: of a user that may not */
        { "open executable: ", NULL, COMPLAINT_DENIED },                     /* crun */
        { "the path `", "` is not a regular file", COMPLAINT_IS_DIRECTORY }, /* crun, newer */
        { "chdir `", "`: Not a directory", COMPLAINT_CWD_IS_NO_DIR },
        { "chdir `", "`: Permission denied", COMPLAINT_CWD_DENIED },
        { "chdir `", "`: No such file or directory", COMPLAINT_CWD_MISSING },
        { "mkdir ", ": not a directory", COMPLAINT_CWD_IS_NO_DIR },
        { "chdir to cwd (\"", "\") set in config.json failed: no such file", COMPLAINT_CWD_MISSING },
        { "chdir to cwd (\"", "\") set in config.json failed: not a directory", COMPLAINT_CWD_IS_NO_DIR },
        { "chdir to cwd (\"", "\")", COMPLAINT_CWD_DENIED },
};

/* The last line; of runc's text log what msg="…" holds, without its quoting. New string. */
static char *last_words(const char *text)
{
        _cleanup_free_ char *trimmed = str_trim(text), *line = NULL, *bare = NULL;
        const char *last = strrchr(trimmed, '\n'), *start, *end;

        line = str_printable(last ? last + 1 : trimmed, strlen(last ? last + 1 : trimmed));
        start = strstr(line, " msg=\"");
        end = strrchr(line, '"');
        if (!start || end < start + strlen(" msg=\""))
                return TAKE_PTR(line);
        start += strlen(" msg=\"");
        bare = xstrndup(start, (size_t)(end - start));
        return str_replace(bare, "\\\"", "\"");
}

static const char *cwd_of(const RunSpec *spec)
{
        return str_empty(spec->cwd) ? "/" : spec->cwd;
}

/* crun says "permission denied" of a directory as well. */
static bool is_directory(const RunSpec *spec, const char *name)
{
        _cleanup_close_ int root = spec->root ? open(spec->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        _cleanup_error_ Error ignored = ERROR_INIT;
        struct stat st;

        return root >= 0 && *name == '/' && inroot_stat(root, name, true, &st, &ignored) == 0 && S_ISDIR(st.st_mode);
}

/* In the root, or where the process begins. New string. */
static char *place_of(const RunSpec *spec, const char *name)
{
        return *name == '/' ? xstrdup(name) : xasprintf("%s/%s", cwd_of(spec), name);
}

/* The kernel says of a script that it is not there when its interpreter is not: names that, or is "". New string. */
static char *missing_part(const RunSpec *spec, const char *name)
{
        _cleanup_close_ int root = spec->root && strchr(name, '/') ? open(spec->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        _cleanup_free_ char *path = place_of(spec, name), *missing = root >= 0 ? runtime_missing_interpreter(root, cwd_of(spec), path) : NULL;

        return missing ? xasprintf(" (its interpreter \"%s\" is missing)", missing) : xstrdup("");
}

static int complain(const RunSpec *spec, Complaint complaint, const char *name, Error *err)
{
        const char *program = *name ? name : spec->args.n_items > 0 ? spec->args.items[0] : "", *cwd = *name ? name : spec->cwd;
        _cleanup_free_ char *part = NULL;

        if (complaint == COMPLAINT_DENIED && is_directory(spec, program))
                complaint = COMPLAINT_IS_DIRECTORY;
        if (complaint == COMPLAINT_DENIED && !*program) /* crun opens the working directory then */
                complaint = COMPLAINT_NOT_FOUND;
        switch (complaint) {
        case COMPLAINT_NOT_FOUND:
                part = missing_part(spec, program);
                error_set(err, ERROR_EXIT, "exec: \"%s\": %s%s", program,
                          strchr(program, '/') ? "no such file or directory" : "executable file not found in $PATH", part);
                break;
        case COMPLAINT_DENIED:
                error_set(err, ERROR_EXIT, "exec: \"%s\": permission denied", program);
                break;
        case COMPLAINT_IS_DIRECTORY:
                error_set(err, ERROR_EXIT, "exec: \"%s\": is a directory", program);
                break;
        case COMPLAINT_CWD_MISSING:
                error_set(err, ERROR_EXIT, "cannot enter the working directory \"%s\": no such file or directory", cwd);
                break;
        case COMPLAINT_CWD_DENIED:
                error_set(err, ERROR_EXIT, "cannot enter the working directory \"%s\": permission denied", cwd);
                break;
        case COMPLAINT_CWD_NO_DIR:
                error_set(err, ERROR_EXIT, "cannot enter the working directory \"%s\": not a directory", cwd);
                break;
        case COMPLAINT_CWD_IS_NO_DIR:
                error_set(err, ERROR_INVALID, "cannot make the working directory \"%s\": it is not a directory", spec->cwd);
                break;
        }
        err->status = complaint == COMPLAINT_NOT_FOUND ? 127 : 126;
        return -1;
}

/* 1 it may be run, 0 it is not there; what else is wrong with it is set. -1. */
static int look_at(const RunSpec *spec, int root_fd, const char *name, Error *err)
{
        _cleanup_free_ char *path = place_of(spec, name), *missing = NULL;
        _cleanup_error_ Error failure = ERROR_INIT;
        struct stat st;

        if (inroot_stat(root_fd, path, true, &st, &failure) < 0)
                return failure.errnum != ENOENT && failure.errnum != ENOTDIR;
        if (S_ISDIR(st.st_mode))
                return complain(spec, COMPLAINT_IS_DIRECTORY, name, err);
        if (S_ISREG(st.st_mode) && (!(st.st_mode & 0111) || !runtime_may_execute(spec, root_fd, path)))
                return complain(spec, COMPLAINT_DENIED, name, err);
        missing = runtime_missing_interpreter(root_fd, cwd_of(spec), path);
        return missing ? complain(spec, COMPLAINT_NOT_FOUND, name, err) : 1;
}

/* A container's first process has its directory made; one more does not. */
static int look_at_cwd(const RunSpec *spec, int root_fd, Error *err)
{
        _cleanup_error_ Error failure = ERROR_INIT;
        struct stat st;

        if (inroot_stat(root_fd, cwd_of(spec), true, &st, &failure) < 0)
                return failure.errnum == ENOENT ? complain(spec, COMPLAINT_CWD_MISSING, cwd_of(spec), err) : 0;
        return S_ISDIR(st.st_mode) ? 0 : complain(spec, COMPLAINT_CWD_NO_DIR, cwd_of(spec), err);
}

int runtime_check_program(const RunSpec *spec, Error *err)
{
        _cleanup_close_ int root_fd = spec->root ? open(spec->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        const char *name = spec->args.n_items > 0 ? spec->args.items[0] : "", *search = strlist_env_get(&spec->env, "PATH");
        _cleanup_strlist_ StrList directories = { 0 };
        _cleanup_error_ Error denied = ERROR_INIT;
        int found = 0;

        if (root_fd >= 0 && look_at_cwd(spec, root_fd, err) < 0)
                return -1;
        if (root_fd < 0 || str_empty(name) || (!strchr(name, '/') && str_empty(search)))
                return 0;
        if (strchr(name, '/')) {
                found = look_at(spec, root_fd, name, err);
                return found == 0 ? complain(spec, COMPLAINT_NOT_FOUND, name, err) : MIN(found, 0);
        }
        strlist_split(&directories, search, ':');
        for (size_t i = 0; i < directories.n_items && !found; i++) {
                _cleanup_free_ char *path = xasprintf("%s/%s", directories.items[i], name);
                _cleanup_error_ Error unfit = ERROR_INIT;

                found = look_at(spec, root_fd, path, &unfit);
                if (found < 0 && unfit.status == 127) /* it is there, and what it needs is not */
                        return error_move(err, &unfit);
                if (found < 0 && !error_is_set(&denied))
                        error_move(&denied, &unfit);
                found = found > 0; /* as the runtimes, and as a shell: one that does not do is passed over */
        }
        if (!found && error_is_set(&denied))
                return error_move(err, &denied);
        return found ? 0 : complain(spec, COMPLAINT_NOT_FOUND, name, err);
}

int runtime_fail(const RuntimeDriver *driver, const char *text, const RunSpec *spec, Error *err)
{
        _cleanup_free_ char *line = last_words(text);

        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
                const char *start = strstr(line, words[i].before), *end;
                _cleanup_free_ char *name = NULL;

                if (!start)
                        continue;
                start += strlen(words[i].before);
                end = words[i].after ? strstr(start, words[i].after) : start;
                if (!end)
                        continue;
                name = xstrndup(start, (size_t)(end - start));
                return complain(spec, words[i].complaint, name, err);
        }
        return error_set(err, ERROR_IO, "%s: %s", driver->name, *line ? line : "it failed without saying why");
}

int runtime_fail_from_log(const RuntimeDriver *driver, const char *log_path, const RunSpec *spec, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(1 << 20);

        if (file_read(AT_FDCWD, log_path, &text) < 0)
                buf_reset(&text);
        return runtime_fail(driver, buf_str(&text), spec, err);
}
