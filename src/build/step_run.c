/*
 * RUN: the command in a container over the stage's layers with a fresh upper directory, whose difference is the layer.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "build/debug_shell.h"
#include "build/host_ca.h"
#include "build/hosts.h"
#include "build/run_root.h"
#include "build/secret.h"
#include "fs/path.h"

/* The last lines of a failed RUN that the error repeats. */
#define TAIL_LINES 10
#define TAIL_SIZE 8192

/* --- what is run --- */

int run_step_prepare(BuildStage *stage, Work *work, Error *err)
{
        if (run_script_make(&work->script, work->instruction, err) < 0)
                return -1;
        stem_run_args(&stage->stem, work->instruction, &work->script, &work->run_args);
        return 0;
}

static BuildNetwork network_of(const BuildStage *stage, const RunInstruction *run)
{
        if (!run->has_network || run->network == DF_NETWORK_DEFAULT)
                return stage->build->options->network;
        return run->network == DF_NETWORK_NONE ? BUILD_NETWORK_NONE : BUILD_NETWORK_HOST;
}

int run_check_allowed(const Build *build, const RunInstruction *run, Error *err)
{
        const StrList *allow = &build->options->allow;

        if (run->has_network && run->network == DF_NETWORK_HOST && !strlist_has(allow, "network.host"))
                return error_set(err, ERROR_DENIED, "RUN --network=host is not allowed: build with --allow network.host");
        if (run->has_security && run->security == RUN_SECURITY_INSECURE && !strlist_has(allow, "security.insecure"))
                return error_set(err, ERROR_DENIED, "RUN --security=insecure is not allowed: build with --allow security.insecure");
        return 0;
}

int run_step_sources(BuildStage *stage, Work *work, BuildStage **ret_blocker, Error *err)
{
        const RunInstruction *run = &work->instruction->run;

        for (size_t i = 0; i < run->n_mounts; i++) {
                BuildStage *source;
                SourceTree *tree;

                if (str_empty(run->mounts[i].from))
                        continue;
                if (build_source(stage, work->instruction, run->mounts[i].from, &source, &tree, err) < 0)
                        return -1;
                if (source && source->status != STAGE_DONE) {
                        *ret_blocker = source;
                        return 1;
                }
        }
        return 0;
}

static void hash_list(Hash *hash, const StrList *list)
{
        hash_field_u64(hash, list->n_items);
        for (size_t i = 0; i < list->n_items; i++)
                hash_field_str(hash, list->items[i]);
}

/* Not part of it: proxies, secrets, ids of caches, added hosts, the host's CA bundle. */
int run_step_key(BuildStage *stage, Work *work, bool probe, Error *err)
{
        const RunInstruction *run = &work->instruction->run;
        const BuildOptions *options = stage->build->options;
        _cleanup_(hash_freep) Hash *hash = NULL;
        _cleanup_free_ char *dir = stem_work_dir(&stage->stem);

        if (work->keyed)
                return 0;
        if (run_check_allowed(stage->build, run, err) < 0)
                return -1;
        hash = key_begin(stage, "RUN", false);
        hash_list(hash, &work->run_args);
        hash_field(hash, work->script.file_data, work->script.file_name ? work->script.file_size : 0);
        hash_list(hash, &stage->stem.scope.env);
        hash_field_str(hash, stage->stem.image.config.user);
        hash_field_str(hash, dir);
        hash_field_str(hash, strlist_env_get(&stage->build->options->build_args, "BUILDKIT_SANDBOX_HOSTNAME"));
        hash_field_u64(hash, network_of(stage, run));
        hash_field_u64(hash, run->has_security && run->security == RUN_SECURITY_INSECURE);
        hash_field_u64(hash, options->shm_size);
        hash_field_u64(hash, options->n_limits);
        for (size_t i = 0; i < options->n_limits; i++) {
                hash_field_str(hash, options->limits[i].name);
                hash_field_u64(hash, options->limits[i].soft);
                hash_field_u64(hash, options->limits[i].hard);
        }
        if (run_mounts_hash(stage, work, hash, err) < 0)
                return -1;
        work->key = hash_digest(hash);
        work->keyed = true;
        return 0;
}

/* --- the container --- */

typedef RunRoot Running;

/* A directory that build_make_dir() has made. */
static void discard(Build *build, const char *path)
{
        if (path)
                lease_discard(build->lease, str_base_name(path));
}

void run_root_done(RunRoot *running)
{
        run_held_free(running->held);
        stubs_free(running->stubs);
        rootfs_free(running->rootfs);
        if (running->upper_fd >= 0)
                close(running->upper_fd);
        run_spec_done(&running->spec);
        discard(running->stage->build, running->upper);
        discard(running->stage->build, running->overlay_work);
        free(running->upper);
        free(running->overlay_work);
        free(running->root);
        buf_done(&running->tail);
}

/* The root of the overlay takes its mode from the upper directory; it must be what the image's is. */
static int copy_root_mode(Running *running, Error *err)
{
        int lower = rootfs_lower_fd(running->rootfs, err);
        struct stat st;

        if (lower < 0)
                return -1;
        if (running->stage->n_layers == 0) {
                st.st_mode = 0755;
                st.st_uid = st.st_gid = 0;
        } else if (fstat(lower, &st) < 0) {
                return error_errno(err, errno, "cannot read the root of the image");
        }
        if (sys_fchownat(AT_FDCWD, running->root, st.st_uid, st.st_gid, 0) < 0 || sys_fchmodat(AT_FDCWD, running->root, st.st_mode & 07777) < 0)
                return error_errno(err, errno, "cannot prepare the root of a RUN");
        return 0;
}

int run_root_mount(RunRoot *running, Error *err)
{
        Build *build = running->stage->build;

        running->upper = build_make_dir(build, "upper", err);
        running->overlay_work = running->upper ? build_make_dir(build, "work", err) : NULL;
        running->root = running->overlay_work ? build_make_dir(build, "root", err) : NULL;
        if (!running->root || stage_mount(running->stage, running->upper, running->overlay_work, running->root, &running->rootfs, err) < 0)
                return -1;
        running->upper_fd = open(running->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (running->upper_fd < 0)
                return error_errno(err, errno, "cannot open '%s'", running->upper);
        running->stubs = stubs_new(rootfs_fd(running->rootfs), running->upper_fd);
        return copy_root_mode(running, err);
}

/* --build-arg HTTP_PROXY=… reaches RUN without ARG, in both cases of the name. */
static void add_proxies(const Build *build, StrList *env)
{
        const StrList *args = &build->options->build_args;

        for (size_t i = 0; i < args->n_items; i++) {
                const char *equals = strchr(args->items[i], '=');
                _cleanup_free_ char *name = equals ? xstrndup(args->items[i], (size_t)(equals - args->items[i])) : NULL;
                _cleanup_free_ char *upper = name ? str_upper(name) : NULL, *lower = name ? str_lower(name) : NULL;

                if (!name || !scope_is_proxy_arg(name))
                        continue;
                if (!strlist_env_get(env, upper))
                        strlist_env_set(env, upper, equals + 1);
                if (!strlist_env_get(env, lower))
                        strlist_env_set(env, lower, equals + 1);
        }
}

static int set_user(Running *running, Error *err)
{
        const char *user = running->stage->stem.image.config.user;
        _cleanup_ids_ Ids ids = { 0 };
        RunSpec *spec = &running->spec;

        if (root_ids(rootfs_fd(running->rootfs), str_empty(user) ? "0" : user, &ids, err) < 0)
                return error_wrap(err, "USER %s", user);
        spec->uid = ids.uid;
        spec->gid = ids.gid;
        spec->groups = TAKE_PTR(ids.groups);
        spec->n_groups = ids.n_groups;
        if (!strlist_env_get(&spec->env, "HOME"))
                strlist_env_set(&spec->env, "HOME", ids.home ? ids.home : ids.uid == 0 ? "/root" : "/");
        return 0;
}

/* A working directory that the image lacks is made; unlike mount points it stays. */
static int set_cwd(Running *running, Error *err)
{
        static const MakeDirsOptions options = { .mode = 0755, .uid = 0, .gid = 0 };
        int fd;

        running->spec.cwd = stem_work_dir(&running->stage->stem);
        fd = inroot_make_dirs(rootfs_fd(running->rootfs), running->spec.cwd, &options, err);
        if (fd < 0)
                return error_wrap(err, "cannot enter the working directory '%s'", running->spec.cwd);
        close(fd);
        return 0;
}

static int add_file(Running *running, const char *kind, const void *data, size_t size, uint32_t mode, const char *target, bool stub, Error *err)
{
        _cleanup_free_ char *path = build_secret_file(running->stage->build, kind, data, size, mode, 0, 0, err);

        if (!path || (stub && stubs_add(running->stubs, target, false, err) < 0))
                return -1;
        run_spec_add_bind(&running->spec, path, target, true);
        return 0;
}

static const char *host_name(const Build *build)
{
        const char *given = strlist_env_get(&build->options->build_args, "BUILDKIT_SANDBOX_HOSTNAME");

        return str_empty(given) ? "buildkitsandbox" : given;
}

static int add_hosts(Running *running, Error *err)
{
        const Build *build = running->stage->build;
        _cleanup_buf_ Buf hosts = BUF_INIT(BUF_MAX_DEFAULT);

        if (hosts_write(host_name(build), &build->options->add_hosts, &hosts, err) < 0)
                return -1;
        return add_file(running, "hosts", hosts.data, hosts.size, 0644, "/etc/hosts", true, err);
}

static int add_resolv_conf(Running *running, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(MIB);
        int r = file_read(AT_FDCWD, "/etc/resolv.conf", &text);

        if (r < 0 && r != -ENOENT)
                return error_errno(err, r, "cannot read '/etc/resolv.conf'");
        return add_file(running, "resolv", text.data ? text.data : "", text.size, 0644, "/etc/resolv.conf", true, err);
}

/* Mount points of every container, which an image from scratch lacks. */
static int add_stubs(Running *running, Error *err)
{
        static const char *const dirs[] = { "/proc", "/dev", "/sys" };

        for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
                if (stubs_add(running->stubs, dirs[i], true, err) < 0)
                        return -1;
        return 0;
}

static void set_limits(Running *running)
{
        const BuildOptions *options = running->stage->build->options;

        running->spec.shm_size = options->shm_size;
        running->spec.cgroup_parent = xstrdup_or_null(options->cgroup_parent);
        for (size_t i = 0; i < options->n_limits; i++)
                run_spec_add_limit(&running->spec, options->limits[i].name, options->limits[i].soft, options->limits[i].hard);
}

int run_root_spec(RunRoot *running, Error *err)
{
        BuildStage *stage = running->stage;
        Work *work = running->work;
        const RunInstruction *command = work && work->instruction->kind == INSTRUCTION_RUN ? &work->instruction->run : &(const RunInstruction){ 0 };
        RunSpec *spec = &running->spec;

        spec->root = running->root;
        if (work)
                strlist_copy(&spec->args, &work->run_args);
        strlist_copy(&spec->env, &stage->stem.scope.env);
        spec->hostname = xstrdup(host_name(stage->build));
        spec->umask = 022;
        spec->network = network_of(stage, command) == BUILD_NETWORK_NONE ? RUN_NETWORK_NONE : RUN_NETWORK_HOST;
        spec->privileged = command->has_security && command->security == RUN_SECURITY_INSECURE;
        set_limits(running);
        add_proxies(stage->build, &spec->env);
        if (set_user(running, err) < 0 || set_cwd(running, err) < 0 || add_stubs(running, err) < 0 || add_hosts(running, err) < 0 ||
            add_resolv_conf(running, err) < 0)
                return -1;
        if (work && work->script.file_name) {
                _cleanup_free_ char *target = xasprintf(RUN_PIPES_DIR "/%s", work->script.file_name);

                if (add_file(running, "script", work->script.file_data, work->script.file_size, 0755, target, false, err) < 0)
                        return -1;
        }
        if (command->n_mounts && run_mounts_prepare(stage, work, running->throwaway, spec, running->stubs, &running->held, err) < 0)
                return -1;
        return stage->build->options->host_ca ? host_ca_prepare(stage->build, spec, running->stubs, err) : 0;
}

/* --- output --- */

static int take_output(void *user, const void *data, size_t size, Error *err)
{
        Running *running = user;

        progress_log(running->stage->build->progress, running->work->vertex, 1, data, size);
        if (size >= TAIL_SIZE) {
                buf_reset(&running->tail);
                buf_put(&running->tail, (const char *)data + size - TAIL_SIZE, TAIL_SIZE);
                return 0;
        }
        if (running->tail.size + size > 2 * TAIL_SIZE)
                buf_consume(&running->tail, running->tail.size - TAIL_SIZE);
        buf_put(&running->tail, data, size);
        return 0;
}

/* The last lines of the output, as text for an error. */
static void add_tail(const Running *running, Buf *out)
{
        const char *data = buf_str(&running->tail), *at = data + running->tail.size;
        unsigned n_lines = 0;
        _cleanup_free_ char *shown = NULL;

        while (at > data && (at[-1] == '\n' || at[-1] == '\r'))
                at--;
        for (const char *end = at; at > data; at--)
                if (at[-1] == '\n' && at != end && ++n_lines == TAIL_LINES)
                        break;
        if (!*at)
                return;
        buf_putf(out, "\n------\n > %s:\n", running->work->title);
        while (*at) {
                size_t size = strcspn(at, "\n");
                size_t shown_size = size && at[size - 1] == '\r' ? size - 1 : size;

                free(shown);
                shown = str_printable(at, shown_size);
                buf_putf(out, "%s\n", shown);
                at += size + (at[size] == '\n');
        }
        buf_puts(out, "------");
}

static int fail(const Running *running, int status, bool oom, const char *why, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_free_ char *command = strlist_join(&running->work->run_args, " ");

        buf_putf(&text, "process \"%s\" did not complete successfully: exit code: %d", command, status);
        if (oom)
                buf_puts(&text, " (the kernel killed it for lack of memory)");
        if (why)
                buf_putf(&text, ": %s", why);
        add_tail(running, &text);
        error_set(err, ERROR_EXIT, "%s", buf_str(&text));
        err->status = status;
        return -1;
}

int run_root_runtime(Build *build, Error *err)
{
        int result = 0;

        pthread_mutex_lock(&build->lock);
        if (!build->runtime)
                result = runtime_open(NULL, &build->runtime, err);
        pthread_mutex_unlock(&build->lock);
        return result;
}

static int run(Running *running, Error *err)
{
        Build *build = running->stage->build;
        Sink output = { .write = take_output, .user = running };
        RunIo io = RUN_IO_INIT;
        RunResult result = { 0 };

        running->tail = BUF_INIT(4 * TAIL_SIZE);
        io.output = &output;
        io.cancel_fd = build->stop_fd;
        if (run_root_runtime(build, err) < 0)
                return -1;
        if (run_once(build->runtime, &running->spec, &io, &result, err) < 0) {
                _cleanup_error_ Error why = ERROR_INIT;

                if (err->code != ERROR_EXIT)
                        return -1;
                error_move(&why, err);
                return fail(running, why.status, false, error_message(&why), err);
        }
        if (build_check(build, err) < 0)
                return -1;
        return result.status ? fail(running, result.status, result.oom_killed, NULL, err) : 0;
}

/* --- the layer --- */

static int write_layer(Running *running, Digest *ret_diff_id, Error *err)
{
        Build *build = running->stage->build;
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        DiffOptions options = { .epoch = build->epoch };
        LayerInfo info;
        int lower = rootfs_lower_fd(running->rootfs, err);

        if (lower < 0 || stubs_clean(running->stubs, err) < 0)
                return -1;
        if (layer_writer_open(build->lease, &writer, err) < 0)
                return -1;
        if (rootfs_diff_write(running->upper_fd, lower, &options, writer, err) < 0 || layer_writer_commit(writer, NULL, &info, err) < 0)
                return -1;
        *ret_diff_id = info.diff_id;
        return 0;
}

int run_step_run(BuildStage *stage, Work *work, Digest *ret_diff_id, Error *err)
{
        _cleanup_(run_root_done) RunRoot running = { .stage = stage, .work = work, .upper_fd = -1 };

        if (run_root_mount(&running, err) < 0 || run_root_spec(&running, err) < 0)
                return -1;
        if (run(&running, err) < 0) {
                debug_shell_after(&running, err);
                return -1;
        }
        run_held_free(TAKE_PTR(running.held));
        return write_layer(&running, ret_diff_id, err);
}
