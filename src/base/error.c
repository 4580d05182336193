#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const char *const code_names[] = {
        [ERROR_NONE] = "none",       [ERROR_INTERNAL] = "internal", [ERROR_INVALID] = "invalid",     [ERROR_NOT_FOUND] = "not-found",
        [ERROR_EXISTS] = "exists",   [ERROR_CONFLICT] = "conflict", [ERROR_DENIED] = "denied",       [ERROR_UNSUPPORTED] = "unsupported",
        [ERROR_CORRUPT] = "corrupt", [ERROR_LIMIT] = "limit",       [ERROR_NO_SPACE] = "no-space",   [ERROR_IO] = "io",
        [ERROR_NETWORK] = "network", [ERROR_EXIT] = "exit",         [ERROR_CANCELLED] = "cancelled",
};

static ErrorCode code_from_errno(int errnum)
{
        switch (errnum) {
        case ENOENT:
                return ERROR_NOT_FOUND;
        case EEXIST:
                return ERROR_EXISTS;
        case EACCES:
        case EPERM:
        case EROFS:
                return ERROR_DENIED;
        case ENOSPC:
        case EDQUOT:
                return ERROR_NO_SPACE;
        case EBUSY:
        case ENOTEMPTY:
                return ERROR_CONFLICT;
        case EINVAL:
        case ENAMETOOLONG:
        case ELOOP:
        case ENOTDIR:
        case EISDIR:
                return ERROR_INVALID;
        case ENOSYS:
        case EOPNOTSUPP:
                return ERROR_UNSUPPORTED;
        case EBADMSG:
                return ERROR_CORRUPT;
        case EFBIG:
        case E2BIG:
        case EOVERFLOW:
                return ERROR_LIMIT;
        case ECANCELED:
                return ERROR_CANCELLED;
        default:
                return ERROR_IO;
        }
}

int error_setv(Error *err, ErrorCode code, const char *format, va_list args)
{
        /* Format first: an argument may be the old message. */
        char *message = xvasprintf(format, args);

        free(err->message);
        *err = (Error){ .code = code, .message = message };
        return -1;
}

int error_set(Error *err, ErrorCode code, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        error_setv(err, code, format, args);
        va_end(args);
        return -1;
}

int error_errno(Error *err, int errnum, const char *format, ...)
{
        _cleanup_free_ char *what = NULL;
        va_list args;
        char text[128];

        if (errnum < 0)
                errnum = -errnum;
        va_start(args, format);
        what = xvasprintf(format, args);
        va_end(args);
        error_set(err, code_from_errno(errnum), "%s: %s", what, strerror_r(errnum, text, sizeof(text)));
        err->errnum = errnum;
        return -1;
}

int error_wrap(Error *err, const char *format, ...)
{
        _cleanup_free_ char *outer = NULL;
        va_list args;
        char *message;

        va_start(args, format);
        outer = xvasprintf(format, args);
        va_end(args);
        message = xasprintf("%s: %s", outer, error_message(err));
        free(err->message);
        err->message = message;
        if (err->code == ERROR_NONE)
                err->code = ERROR_INTERNAL;
        return -1;
}

int error_move(Error *to, Error *from)
{
        free(to->message);
        *to = *from;
        *from = ERROR_INIT;
        return -1;
}

void error_done(Error *err)
{
        free(err->message);
        *err = ERROR_INIT;
}

const char *error_message(const Error *err)
{
        return err->message ? err->message : "no error is set";
}

const char *error_code_name(ErrorCode code)
{
        return (size_t)code < ARRAY_LEN(code_names) ? code_names[code] : "unknown";
}
