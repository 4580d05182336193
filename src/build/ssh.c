#include "build/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/mem.h"
#include "build/secret.h"

/* A key file is a few KiB. */
#define KEY_SIZE_MAX ((size_t)256 << 10)
#define AGENT_SOCKET "agent"
#define START_TRIES 500
static const struct timespec start_pause = { .tv_nsec = 10 * 1000 * 1000 };

/* An agent for the keys of one --ssh. */
struct SshAgent {
        SshAgent *next;
        char *id, *dir;
        char *socket; /* through /proc: the path of a store can be longer than that of a socket may be */
        int dir_fd;
        pid_t pid;
};

static void agent_free(SshAgent *agent)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        int status;

        if (agent->pid > 0) {
                kill(-agent->pid, SIGTERM); /* the agent; who guards it ends when it has seen that (base/child.h) */
                (void)child_wait(agent->pid, &status, &ignored);
        }
        if (agent->dir)
                (void)tree_remove(AT_FDCWD, agent->dir);
        if (agent->dir_fd >= 0)
                close(agent->dir_fd);
        free(agent->id);
        free(agent->dir);
        free(agent->socket);
        free(agent);
}
DEFINE_CLEANUP(SshAgent *, agent_free)

void ssh_agents_free(Build *build)
{
        while (build->agents) {
                SshAgent *agent = build->agents;

                build->agents = agent->next;
                agent_free(agent);
        }
}

/* Programs of openssh with the agent's directory as theirs, so that the socket's name is short. */
static int start(const SshAgent *agent, char *const *argv, int stdin_fd, pid_t *ret, Error *err)
{
        _cleanup_strlist_ StrList env = { 0 };
        ChildSpec spec = CHILD_SPEC_INIT;

        strlist_addf(&env, "PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
        strlist_add(&env, "SSH_AUTH_SOCK=" AGENT_SOCKET);
        strlist_add(&env, "SSH_ASKPASS_REQUIRE=never");
        spec.argv = argv;
        spec.env = strlist_argv(&env);
        spec.cwd = agent->dir;
        spec.stdin_fd = stdin_fd;
        spec.new_session = true;
        spec.die_with_parent = true;
        spec.umask = 077;
        if (child_start(&spec, ret, err) == 0)
                return 0;
        return err->code == ERROR_NOT_FOUND
                       ? error_set(err, ERROR_NOT_FOUND, "there is no '%s' program: install openssh-client to use --ssh with key files", argv[0])
                       : -1;
}

static int start_agent(SshAgent *agent, Error *err)
{
        char *const argv[] = { (char *)"ssh-agent", (char *)"-D", (char *)"-a", (char *)AGENT_SOCKET, NULL };

        if (start(agent, argv, -1, &agent->pid, err) < 0)
                return -1;
        for (unsigned i = 0; i < START_TRIES; i++) {
                if (faccessat(agent->dir_fd, AGENT_SOCKET, F_OK, 0) == 0)
                        return 0;
                nanosleep(&start_pause, NULL);
        }
        return error_set(err, ERROR_IO, "ssh-agent does not start");
}

static int add_key(const SshAgent *agent, const char *file, Error *err)
{
        char *const argv[] = { (char *)"ssh-add", (char *)"-q", (char *)"-", NULL };
        _cleanup_secret_ Buf key = BUF_INIT(KEY_SIZE_MAX);
        int r = file_read(AT_FDCWD, file, &key), pair[2], status, written;
        pid_t pid;

        if (r < 0)
                return error_errno(err, r, "cannot read the ssh key '%s'", file);
        if (pipe2(pair, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        r = start(agent, argv, pair[0], &pid, err);
        close(pair[0]);
        written = r < 0 ? 0 : fd_write_all(pair[1], key.data, key.size);
        close(pair[1]);
        if (r < 0 || child_wait(pid, &status, err) < 0)
                return -1;
        if (written == 0 && status == 0)
                return 0;
        return error_set(err, ERROR_INVALID, "'%s' is no ssh key that can be used here: if it has a passphrase, add it to an ssh-agent and give --ssh %s", file,
                         agent->id);
}

static int agent_new(Build *build, const BuildSsh *ssh, SshAgent **ret, Error *err)
{
        _cleanup_(agent_freep) SshAgent *agent = NEW(SshAgent);

        agent->id = xstrdup(ssh->id);
        agent->dir_fd = -1;
        agent->dir = build_make_dir(build, "ssh", err);
        if (!agent->dir)
                return -1;
        agent->dir_fd = open(agent->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (agent->dir_fd < 0)
                return error_errno(err, errno, "cannot open '%s'", agent->dir);
        agent->socket = xasprintf("/proc/%d/fd/%d/" AGENT_SOCKET, getpid(), agent->dir_fd);
        if (start_agent(agent, err) < 0)
                return -1;
        for (size_t i = 0; i < ssh->keys.n_items; i++)
                if (add_key(agent, ssh->keys.items[i], err) < 0)
                        return -1;
        *ret = TAKE_PTR(agent);
        return 0;
}

static int own_agent(Build *build, const BuildSsh *ssh, const char **ret, Error *err)
{
        static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
        SshAgent *agent;
        int result = 0;

        pthread_mutex_lock(&once);
        for (agent = build->agents; agent && !streq(agent->id, ssh->id); agent = agent->next)
                ;
        if (!agent) {
                result = agent_new(build, ssh, &agent, err);
                if (result == 0) {
                        agent->next = build->agents;
                        build->agents = agent;
                }
        }
        pthread_mutex_unlock(&once);
        if (result == 0)
                *ret = agent->socket;
        return result;
}

int ssh_agent_find(Build *build, const char *id, const char **ret_socket, Error *err)
{
        *ret_socket = NULL;
        for (size_t i = 0; i < build->options->n_ssh; i++) {
                const BuildSsh *ssh = &build->options->ssh[i];
                const char *socket = ssh->socket ? ssh->socket : getenv("SSH_AUTH_SOCK");
                struct stat st;

                if (!streq(ssh->id, id))
                        continue;
                if (ssh->keys.n_items)
                        return own_agent(build, ssh, ret_socket, err);
                if (str_empty(socket))
                        return error_set(err, ERROR_NOT_FOUND,
                                         "--ssh %s: no ssh-agent is running (SSH_AUTH_SOCK is not set): start one, or give --ssh %s=KEYFILE", id, id);
                if (stat(socket, &st) < 0 || !S_ISSOCK(st.st_mode))
                        return error_set(err, ERROR_NOT_FOUND, "--ssh %s: the agent's socket '%s' is not there: is ssh-agent running?", id, socket);
                *ret_socket = socket;
                return 0;
        }
        return 0;
}
