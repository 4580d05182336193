#include "build/run_mounts_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/mem.h"
#include "build/cache_import.h"
#include "build/secret.h"
#include "fs/mount.h"
#include "store/cache_mount.h"

void run_held_free(RunHeld *held)
{
        Error ignored = ERROR_INIT;

        if (!held)
                return;
        for (size_t i = 0; i < held->overlays.n_items; i++)
                (void)mount_detach(held->overlays.items[i], &ignored);
        error_done(&ignored);
        for (size_t i = 0; i < held->n_roots; i++)
                rootfs_free(held->roots[i]);
        for (size_t i = 0; i < held->n_fds; i++)
                close(held->fds[i]);
        for (size_t i = 0; i < held->n_forwards; i++)
                ssh_forward_free(held->forwards[i]);
        strlist_done(&held->overlays);
        free(held->forwards);
        free(held->roots);
        free(held->fds);
        free(held);
}

static void hold_fd(RunHeld *held, int fd)
{
        GROW(held->fds, held->fds_capacity, held->n_fds + 1);
        held->fds[held->n_fds++] = fd;
}

char *mount_target(const BuildStage *stage, const DfMount *mount)
{
        char *path = stem_path(&stage->stem, mount->target ? mount->target : "");
        size_t size = strlen(path);

        if (size > 1 && path[size - 1] == '/')
                path[size - 1] = '\0';
        return path;
}

/* What identifies a cache mount: its id, or its target; what it is filled with at first belongs to it. New string. */
static char *cache_id(const BuildStage *stage, const DfMount *mount)
{
        char *id = mount->id ? xstrdup(mount->id) : mount_target(stage, mount);

        if (!str_empty(mount->from) && !streq(mount->from, "scratch")) {
                _cleanup_free_ char *plain = id;

                id = xasprintf("%s\n%s\n%s", plain, mount->from, mount->source ? mount->source : "");
        }
        return id;
}

int run_mounts_hash(BuildStage *stage, Work *work, Hash *hash, Error *err)
{
        const RunInstruction *run = &work->instruction->run;

        hash_field_u64(hash, run->n_mounts);
        for (size_t i = 0; i < run->n_mounts; i++) {
                const DfMount *mount = &run->mounts[i];
                _cleanup_free_ char *target = mount_target(stage, mount);
                MountSource source;

                hash_field_u64(hash, mount->type);
                if (mount->type == MOUNT_SECRET || mount->type == MOUNT_SSH) {
                        hash_field_str(hash, mount->target ? target : NULL);
                        hash_field_str(hash, mount->env);
                        hash_field_str(hash, mount->id ? mount->id : mount->source);
                        /* One that must be there is not answered by a step that ran without it. */
                        hash_field_u64(hash, mount->required);
                        hash_field_u64(hash, mount->has_mode ? mount->mode : UINT64_MAX);
                        hash_field_u64(hash, mount->has_uid ? mount->uid : UINT64_MAX);
                        hash_field_u64(hash, mount->has_gid ? mount->gid : UINT64_MAX);
                        continue;
                }
                if (mount->type == MOUNT_CACHE)
                        strlist_take(&work->cache_ids, cache_id(stage, mount));
                hash_field_str(hash, target);
                hash_field_u64(hash, (uint64_t)mount->read_only);
                hash_field_u64(hash, mount->type == MOUNT_TMPFS ? mount->size : 0);
                if (mount->type == MOUNT_TMPFS)
                        continue;
                if (mount_source(stage, work, mount, &source, err) < 0)
                        return -1;
                if (source.stage) {
                        hash_field_str(hash, mount->source);
                        hash_field_digest(hash, &source.stage->chain);
                        work_add_parent(work, source.stage);
                } else if (source.tree) {
                        _cleanup_(copy_plan_done) CopyPlan plan = { 0 };
                        Digest key;

                        if (mount_snapshot_plan(stage, source.tree, mount, &plan, err) < 0 || mount_snapshot_key(stage, &plan, &key, err) < 0)
                                return -1;
                        hash_field_digest(hash, &key);
                        GROW(work->mount_plans, work->mount_plans_capacity, work->n_mount_plans + 1);
                        work->mount_plans[work->n_mount_plans++] = plan;
                        plan = (CopyPlan){ 0 };
                }
        }
        return 0;
}

/* --- cache --- */

static int seed_cache(Prepare *p, const DfMount *mount, const char *path, Error *err)
{
        _cleanup_free_ char *from = NULL, *content = NULL;
        MountSource source;

        if (str_empty(mount->from) || streq(mount->from, "scratch") || !dir_is_empty(AT_FDCWD, path))
                return 0;
        if (mount_source(p->stage, p->work, mount, &source, err) < 0)
                return -1;
        if (!source.stage)
                return 0;
        if (mount_stage_path(source.stage, mount, &from, err) < 0)
                return -1;
        content = xasprintf("%s/.", from);
        return child_run((char *[]){ (char *)"cp", (char *)"-a", (char *)"--", content, (char *)path, NULL }, NULL, err) < 0
                       ? error_wrap(err, "cannot fill the cache mount '%s'", mount->target)
                       : 0;
}

/* So that listings show it and say who used it. BuildKit's text. */
static int note_cache(Prepare *p, const DfMount *mount, const char *id, Error *err)
{
        _cleanup_free_ char *target = mount_target(p->stage, mount), *shown = str_printable(id, strlen(id));
        _cleanup_free_ char *text = xasprintf("cached mount %s from %s with id \"%s\"", target, p->work->instruction->original, shown);

        return cache_mount_note(p->stage->build->lease, id, text, err);
}

static const struct timespec retry_pause = { .tv_nsec = 20 * NSEC_PER_MSEC };

/*
 * Waits for the lock in small steps, so that a build that is stopped meanwhile ends. A private directory is not waited for: whoever finds it taken gets the
 * next one.
 */
static int open_cache(Prepare *p, const DfMount *mount, const char *id, char **ret_path, Error *err)
{
        bool is_private = mount->sharing == SHARING_PRIVATE;
        uint32_t mode = mount->has_mode ? mount->mode : 0755, uid = mount->has_uid ? mount->uid : 0, gid = mount->has_gid ? mount->gid : 0;

        for (unsigned n = 0;; n++) {
                _cleanup_free_ char *numbered = is_private ? cache_mount_private_id(id, n) : xstrdup(id);
                int fd;

                if ((is_private || n == 0) && cache_imports_fill_mount(p->stage->build, numbered, err) < 0)
                        return -1;
                fd = cache_mount_try_open(p->stage->build->store, numbered, is_private || mount->sharing == SHARING_LOCKED, mode, uid, gid, ret_path, err);

                if (fd >= 0 && note_cache(p, mount, numbered, err) < 0) {
                        close(fd);
                        return -1;
                }
                if (fd >= 0)
                        return fd;
                if (err->code != ERROR_CONFLICT)
                        return -1;
                error_done(err);
                if (build_check(p->stage->build, err) < 0)
                        return -1;
                if (!is_private)
                        nanosleep(&retry_pause, NULL);
        }
}

static int prepare_cache(Prepare *p, const DfMount *mount, Error *err)
{
        _cleanup_free_ char *target = mount_target(p->stage, mount), *path = NULL, *id = NULL;
        int fd;

        id = cache_id(p->stage, mount);
        fd = open_cache(p, mount, id, &path, err);
        if (fd < 0)
                return error_wrap(err, "cannot open the cache mount '%s'", mount->id ? mount->id : target);
        hold_fd(p->held, fd);
        if (seed_cache(p, mount, path, err) < 0 || stubs_add(p->stubs, target, true, err) < 0)
                return -1;
        if (p->throwaway && !mount->read_only && mount_make_writable(p->stage->build, p->held, &path, err) < 0)
                return -1;
        run_spec_add_bind(p->spec, path, target, mount->read_only);
        return 0;
}

/* --- tmpfs --- */

static int prepare_tmpfs(Prepare *p, const DfMount *mount, Error *err)
{
        _cleanup_free_ char *target = mount_target(p->stage, mount);
        RunMount *added;

        if (stubs_add(p->stubs, target, true, err) < 0)
                return -1;
        added = run_spec_add_mount(p->spec, "tmpfs", "tmpfs", target);
        strlist_add(&added->options, "nosuid");
        if (mount->size)
                strlist_addf(&added->options, "size=%llu", (unsigned long long)mount->size);
        return 0;
}

/* --- secret --- */

static int prepare_secret(Prepare *p, const DfMount *mount, Error *err)
{
        const char *id = mount->id ? mount->id : mount->source ? mount->source : mount->target ? str_base_name(mount->target) : "";
        _cleanup_free_ char *target = NULL, *path = NULL;
        _cleanup_secret_ Buf value = BUF_INIT(SECRET_SIZE_MAX);
        int found = secret_find(p->stage->build, id, &value, err);

        if (found < 0)
                return -1;
        if (!found) {
                if (mount->required)
                        return error_set(err, ERROR_NOT_FOUND, "secret %s: not found: give it with --secret id=%s,src=FILE or id=%s,env=VARIABLE", id, id, id);
                return 0;
        }
        if (mount->env) {
                strlist_env_set(&p->spec->env, *mount->env ? mount->env : id, buf_str(&value));
                if (!mount->target)
                        return 0;
        }
        target = mount->target ? mount_target(p->stage, mount) : xasprintf("/run/secrets/%s", str_base_name(id));
        path = build_secret_file(p->stage->build, "secret", value.data, value.size, mount->has_mode ? mount->mode : 0400, mount->has_uid ? mount->uid : 0,
                                 mount->has_gid ? mount->gid : 0, err);
        if (!path || stubs_add(p->stubs, target, false, err) < 0)
                return -1;
        run_spec_add_bind(p->spec, path, target, true);
        return 0;
}

/* --- ssh --- */

static int prepare_ssh(Prepare *p, const DfMount *mount, size_t number, Error *err)
{
        const char *id = str_empty(mount->id) ? "default" : mount->id, *agent, *path;
        _cleanup_free_ char *target = mount->target ? mount_target(p->stage, mount) : xasprintf("/run/buildkit/ssh_agent.%zu", number);
        SshForward *forward;

        if (ssh_agent_find(p->stage->build, id, &agent, err) < 0)
                return -1;
        if (!agent) {
                if (mount->required)
                        return error_set(err, ERROR_NOT_FOUND, "no SSH agent '%s' is forwarded: start ssh-agent and give --ssh %s, or a key with --ssh %s=FILE",
                                         id, id, id);
                return 0;
        }
        if (ssh_forward_open(p->stage->build, agent, mount->has_uid ? mount->uid : 0, mount->has_gid ? mount->gid : 0, mount->has_mode ? mount->mode : 0600,
                             &forward, &path, err) < 0)
                return -1;
        GROW(p->held->forwards, p->held->forwards_capacity, p->held->n_forwards + 1);
        p->held->forwards[p->held->n_forwards++] = forward;
        if (stubs_add(p->stubs, target, false, err) < 0)
                return -1;
        run_spec_add_bind(p->spec, path, target, false);
        if (!strlist_env_get(&p->spec->env, "SSH_AUTH_SOCK"))
                strlist_env_set(&p->spec->env, "SSH_AUTH_SOCK", target);
        return 0;
}

/* --- */

static int prepare_one(Prepare *p, const DfMount *mount, size_t number, Error *err)
{
        switch (mount->type) {
        case MOUNT_BIND:
                return mount_prepare_bind(p, mount, err);
        case MOUNT_CACHE:
                return prepare_cache(p, mount, err);
        case MOUNT_TMPFS:
                return prepare_tmpfs(p, mount, err);
        case MOUNT_SECRET:
                return prepare_secret(p, mount, err);
        case MOUNT_SSH:
                return prepare_ssh(p, mount, number, err);
        }
        return error_set(err, ERROR_INTERNAL, "unknown kind of mount");
}

int run_mounts_prepare(BuildStage *stage, Work *work, bool throwaway, RunSpec *spec, Stubs *stubs, RunHeld **ret, Error *err)
{
        _cleanup_(run_held_freep) RunHeld *held = NEW(RunHeld);
        Prepare p = { .stage = stage, .work = work, .throwaway = throwaway, .spec = spec, .stubs = stubs, .held = held };
        const RunInstruction *run = &work->instruction->run;

        for (size_t i = 0; i < run->n_mounts; i++) {
                if (run->mounts[i].type != MOUNT_SECRET && run->mounts[i].type != MOUNT_SSH) {
                        _cleanup_free_ char *target = mount_target(stage, &run->mounts[i]);

                        if (streq(target, "/"))
                                return error_set(err, ERROR_INVALID, "invalid mount target \"/\"");
                }
                if (prepare_one(&p, &run->mounts[i], i, err) < 0)
                        return -1;
        }
        *ret = TAKE_PTR(held);
        return 0;
}
