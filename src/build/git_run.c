#include "build/git_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/mem.h"
#include "build/secret.h"
#include "build/ssh.h"
#include "crypto/encode.h"

/* How soon Ctrl-C is noticed. */
#define POLL_MS 100
/* What git said is kept for the error message. */
#define STDERR_KEPT ((size_t)8 << 10)

/* --- the environment --- */

/* Nothing of the user's or the machine's configuration decides what a checkout is; what the network needs is passed on. */
static const char *const passed[] = {
        "PATH",       "HOME",        "TMPDIR",   "HTTP_PROXY", "HTTPS_PROXY",   "NO_PROXY",     "ALL_PROXY",
        "http_proxy", "https_proxy", "no_proxy", "all_proxy",  "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
};

static const char *const fixed[] = {
        "LC_ALL=C",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        /* A submodule must not read this machine's files (file:) or run programs (ext:). */
        "GIT_ALLOW_PROTOCOL=git:http:https:ssh",
        "GIT_SSH_COMMAND=ssh -o BatchMode=yes",
        "GIT_LFS_SKIP_SMUDGE=1",
};

/* "name:password" with its escapes read. */
static char *decode_user(const char *user)
{
        char *out = xstrdup(user), *to = out;

        for (const char *at = user; *at; at++) {
                char pair[3] = { 0 };
                char *end;
                long value;

                if (*at == '%' && at[1] && at[2]) {
                        memcpy(pair, at + 1, 2);
                        value = strtol(pair, &end, 16);
                        if (!*end && value > 0) {
                                *to++ = (char)value;
                                at += 2;
                                continue;
                        }
                }
                *to++ = *at;
        }
        *to = '\0';
        return out;
}

static char *basic(const char *credentials)
{
        _cleanup_secret_string_ char *encoded = base64_encode(BASE64_STANDARD, credentials, strlen(credentials));

        return xasprintf("basic %s", encoded);
}

/* The value of the Authorization header: of the first secret that was given, else of the URL; NULL when there is none. */
static int find_credentials(Build *build, const GitUrl *url, char **ret, Error *err)
{
        _cleanup_free_ char *header = xasprintf("GIT_AUTH_HEADER.%s", url->host), *token = xasprintf("GIT_AUTH_TOKEN.%s", url->host);
        const struct {
                const char *name;
                bool is_token;
        } names[] = { { header, false }, { token, true }, { "GIT_AUTH_HEADER", false }, { "GIT_AUTH_TOKEN", true } };

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                _cleanup_secret_string_ char *text = NULL, *pair = NULL;
                int found = secret_find_line(build, names[i].name, &text, err);

                if (found < 0)
                        return -1;
                if (!found)
                        continue;
                pair = xasprintf("x-access-token:%s", text);
                *ret = names[i].is_token ? basic(pair) : xstrdup(text);
                return 0;
        }
        if (url->user && !url->ssh) {
                _cleanup_secret_string_ char *user = decode_user(url->user);
                _cleanup_secret_string_ char *pair = strchr(user, ':') ? xstrdup(user) : xasprintf("%s:", user);

                *ret = basic(pair);
        }
        return 0;
}

int git_run_init(GitRun *run, Build *build, BuildVertex *vertex, const GitUrl *url, Error *err)
{
        _cleanup_secret_string_ char *credentials = NULL, *line = NULL;
        const char *agent = NULL;

        *run = (GitRun){ .build = build, .vertex = vertex };
        for (size_t i = 0; i < ARRAY_LEN(passed); i++)
                if (getenv(passed[i]))
                        strlist_addf(&run->env, "%s=%s", passed[i], getenv(passed[i]));
        for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
                strlist_add(&run->env, fixed[i]);
        if (url->ssh) {
                if (ssh_agent_find(build, "default", &agent, err) < 0)
                        return -1;
                if (!agent)
                        agent = getenv("SSH_AUTH_SOCK");
                if (agent)
                        strlist_addf(&run->env, "SSH_AUTH_SOCK=%s", agent);
                return 0;
        }
        if (!str_starts(url->remote, "http"))
                return 0;
        if (find_credentials(build, url, &credentials, err) < 0)
                return -1;
        if (!credentials)
                return 0;
        /* For this server only: submodules elsewhere do not see it. */
        strlist_add(&run->env, "GIT_CONFIG_COUNT=1");
        strlist_addf(&run->env, "GIT_CONFIG_KEY_0=http.%.*s%s/.extraheader", (int)(strstr(url->remote, "://") + 3 - url->remote), url->remote, url->host);
        line = xasprintf("GIT_CONFIG_VALUE_0=Authorization: %s", credentials);
        strlist_add(&run->env, line);
        return 0;
}

void git_run_done(GitRun *run)
{
        for (size_t i = 0; i < run->env.n_items; i++)
                explicit_bzero(run->env.items[i], strlen(run->env.items[i]));
        strlist_done(&run->env);
}

char *git_remote(const GitUrl *url)
{
        if (url->ssh || !url->user)
                return xstrdup(url->remote);
        return xasprintf("%.*s%s%s", (int)(strstr(url->remote, "://") + 3 - url->remote), url->remote, url->host, url->path);
}

/* --- running --- */

typedef struct Running {
        const GitRun *run;
        pid_t pid;
        Buf *out;
        Buf said; /* the end of standard error */
        bool too_much;
} Running;

static void take_said(Running *r, const char *data, size_t size)
{
        if (r->run->vertex)
                progress_log(r->run->build->progress, r->run->vertex, 2, data, size);
        if (r->said.size + size > r->said.max)
                buf_consume(&r->said, MIN(r->said.size, r->said.size + size - r->said.max));
        buf_put(&r->said, data, MIN(size, r->said.max));
}

/* Reads both pipes until they close. -1 when the build stops: all that git started has been killed then, or will have been when it is reaped. */
static int drain(Running *r, int out_fd, int err_fd, Error *err)
{
        struct pollfd polls[2] = { { .fd = out_fd, .events = POLLIN }, { .fd = err_fd, .events = POLLIN } };
        char data[4096];

        while (polls[0].fd >= 0 || polls[1].fd >= 0) {
                int n_ready = poll(polls, 2, POLL_MS);

                if ((n_ready < 0 && errno != EINTR) || r->too_much || build_check(r->run->build, err) < 0) {
                        child_kill(r->pid);
                        if (error_is_set(err))
                                return -1;
                        return r->too_much ? error_set(err, ERROR_LIMIT, "git printed more than %zu bytes", r->out->max)
                                           : error_errno(err, errno, "cannot read the output of git");
                }
                for (int i = 0; n_ready > 0 && i < 2; i++) {
                        ssize_t n;

                        if (polls[i].fd < 0 || !polls[i].revents)
                                continue;
                        n = read(polls[i].fd, data, sizeof(data));
                        if (n <= 0)
                                polls[i].fd = -1;
                        else if (i == 1)
                                take_said(r, data, (size_t)n);
                        else if (r->out && buf_add(r->out, data, (size_t)n) < 0)
                                r->too_much = true;
                }
        }
        return 0;
}

/* What ssh says, and what to do about it. */
static const struct {
        const char *words, *advice;
} ssh_advice[] = {
        { "Host key verification failed", "the server's key has to be in known_hosts (ssh-keyscan shows it)" },
        { "Permission denied", "give a key that the server knows with --ssh default=KEY, or an agent that has one with --ssh default" },
};

/* The line above the one that begins at `line`; NULL for the first. */
static const char *line_above(const char *text, const char *line)
{
        const char *at = line - 1;

        if (line == text)
                return NULL;
        while (at > text && at[-1] != '\n')
                at--;
        return at;
}

/* "fatal: " and the like are git's way to begin a line; the last one says why, unless it only says that ssh has said it. */
static char *last_words(Running *r)
{
        _cleanup_free_ char *text = str_trim(r->said.data ? buf_str(&r->said) : ""), *shown = NULL;
        const char *line = strrchr(text, '\n'), *fatal = NULL, *above = NULL;

        for (const char *at = text; (at = strstr(at, "fatal: ")); at++)
                fatal = at;
        if (fatal && str_starts(fatal, "fatal: Could not read from remote repository"))
                above = line_above(text, fatal);
        line = above ? above : fatal ? fatal + strlen("fatal: ") : line ? line + 1 : text;
        shown = str_printable(line, strcspn(line, "\r\n"));
        for (size_t i = 0; i < ARRAY_LEN(ssh_advice); i++)
                if (strstr(shown, ssh_advice[i].words))
                        return xasprintf("%s (%s)", shown, ssh_advice[i].advice);
        return TAKE_PTR(shown);
}

static int run_argv(const GitRun *run, char *const *argv, Buf *out, Error *err)
{
        _cleanup_close_ int out_read = -1, err_read = -1;
        Running running = { .run = run, .out = out, .said = BUF_INIT(STDERR_KEPT) };
        ChildSpec spec = CHILD_SPEC_INIT;
        int status, r;

        spec.argv = argv;
        spec.env = strlist_argv(&run->env);
        spec.new_session = true; /* no terminal to ask on */
        spec.die_with_parent = true;
        spec.umask = 022;
        if (child_start_piped(&spec, &running.pid, &out_read, &err_read, err) < 0)
                return err->code == ERROR_NOT_FOUND ? error_set(err, ERROR_NOT_FOUND, "there is no git program: install git to build from repositories") : -1;
        r = drain(&running, out_read, err_read, err);
        if (r < 0) {
                _cleanup_error_ Error ignored = ERROR_INIT;

                (void)child_wait(running.pid, &status, &ignored);
        } else if (child_wait(running.pid, &status, err) < 0) {
                r = -1;
        } else if (status != 0) {
                _cleanup_free_ char *words = last_words(&running);

                r = error_set(err, ERROR_NETWORK, "git said: %s", *words ? words : "nothing");
        }
        buf_done(&running.said);
        return r;
}

int git_run(const GitRun *run, Buf *out, Error *err, ...)
{
        /* A server that sends nothing for a minute is gone. */
        static const char *const first[] = { "git",
                                             "-c",
                                             "http.lowSpeedLimit=1",
                                             "-c",
                                             "http.lowSpeedTime=60",
                                             "-c",
                                             "core.hooksPath=/dev/null",
                                             "-c",
                                             "advice.detachedHead=false",
                                             "-c",
                                             "init.defaultBranch=main",
                                             "-c",
                                             "core.fsmonitor=false",
                                             "-c",
                                             "gc.auto=0",
                                             "-c",
                                             "safe.directory=*" };
        _cleanup_strlist_ StrList argv = { 0 };
        const char *arg;
        va_list args;

        for (size_t i = 0; i < ARRAY_LEN(first); i++)
                strlist_add(&argv, first[i]);
        if (run->dir) {
                strlist_add(&argv, "-C");
                strlist_add(&argv, run->dir);
        }
        va_start(args, err);
        while ((arg = va_arg(args, const char *)))
                strlist_add(&argv, arg);
        va_end(args);
        return run_argv(run, strlist_argv(&argv), out, err);
}
