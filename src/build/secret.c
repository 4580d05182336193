#include "build/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

static int too_large(const char *id, Error *err)
{
        return error_set(err, ERROR_LIMIT, "the secret '%s' is larger than %zu KiB", id, SECRET_SIZE_MAX >> 10);
}

static int read_secret(const BuildSecret *secret, Buf *value, Error *err)
{
        const char *env = secret->env ? getenv(secret->env) : !secret->file ? getenv(secret->id) : NULL;
        const char *file = secret->file ? secret->file : secret->id;
        int r;

        if (env)
                return buf_add(value, env, strlen(env)) < 0 ? too_large(secret->id, err) : 1;
        if (secret->env && !secret->file)
                return error_set(err, ERROR_NOT_FOUND, "the secret '%s' is to come from the variable '%s', which is not set", secret->id, secret->env);
        r = file_read(AT_FDCWD, file, value);
        if (r == -EFBIG)
                return too_large(secret->id, err);
        return r < 0 ? error_errno(err, r, "cannot read the secret '%s' from '%s'", secret->id, file) : 1;
}

int secret_find(const Build *build, const char *id, Buf *value, Error *err)
{
        for (size_t i = 0; i < build->options->n_secrets; i++)
                if (streq(build->options->secrets[i].id, id))
                        return read_secret(&build->options->secrets[i], value, err);
        return 0;
}

int secret_find_line(const Build *build, const char *id, char **ret, Error *err)
{
        _cleanup_secret_ Buf value = BUF_INIT(SECRET_SIZE_MAX);
        int found = secret_find(build, id, &value, err);

        *ret = found > 0 ? str_trim(buf_str(&value)) : NULL;
        if (!*ret || !strpbrk(*ret, "\r\n"))
                return found;
        secret_wipe_string(ret);
        return error_set(err, ERROR_INVALID, "the secret '%s' is more than one line", id);
}

void secret_wipe(Buf *value)
{
        if (value->data)
                explicit_bzero(value->data, value->size);
        buf_done(value);
}

void secret_wipe_string(char **text)
{
        if (*text)
                explicit_bzero(*text, strlen(*text));
        free(TAKE_PTR(*text));
}
