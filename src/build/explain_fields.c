/*
 * What a step's key is made of, by name, for explain_record.h. Says the same as run_step_key(), copy_step_key() and workdir_step_key() put into the hash: who
 * adds something there adds it here, or a step is said to differ in nothing that is known.
 */
#include <stdio.h>

#include "base/mem.h"
#include "build/engine.h"
#include "http/client.h"

static void add_digest(ExplainStep *step, ExplainKind kind, const char *name, const Digest *digest)
{
        char text[DIGEST_TEXT_SIZE];

        explain_step_add(step, kind, name, digest_is_set(digest) ? digest_format(digest, text) : "");
}

static void add_number(ExplainStep *step, const char *name, uint64_t number)
{
        char text[32];

        snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
        explain_step_add(step, EXPLAIN_OPTION, name, text);
}

static void add_bytes(ExplainStep *step, ExplainKind kind, const char *name, const void *data, size_t size)
{
        Digest digest = digest_of(data, size);

        add_digest(step, kind, name, &digest);
}

static void add_option(ExplainStep *step, const char *name, const char *value)
{
        if (!str_empty(value))
                explain_step_add(step, EXPLAIN_OPTION, name, value);
}

/* What a step reads from: another stage (or image), by its layers. */
static void add_source(BuildStage *stage, Work *work, const char *from)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        BuildStage *source = NULL;
        SourceTree *tree;

        if (build_source(stage, work->instruction, from, &source, &tree, &ignored) == 0 && source)
                add_digest(&work->explain, EXPLAIN_STAGE, from, &source->chain);
}

static void add_environment(const BuildStage *stage, ExplainStep *step)
{
        const StrList *env = &stage->stem.scope.env, *persistent = &stage->stem.image.config.env;

        for (size_t i = 0; i < env->n_items; i++) {
                const char *equals = strchr(env->items[i], '=');
                _cleanup_free_ char *name = equals ? xstrndup(env->items[i], (size_t)(equals - env->items[i])) : xstrdup(env->items[i]);
                const char *kept = strlist_env_get(persistent, name), *value = equals ? equals + 1 : "";

                explain_step_add(step, kept && streq(kept, value) ? EXPLAIN_VARIABLE : EXPLAIN_ARGUMENT, name, value);
        }
}

static void add_mounts(BuildStage *stage, Work *work)
{
        static const char *const types[] = {
                [MOUNT_BIND] = "bind", [MOUNT_CACHE] = "cache", [MOUNT_TMPFS] = "tmpfs", [MOUNT_SECRET] = "secret", [MOUNT_SSH] = "ssh"
        };
        const RunInstruction *run = &work->instruction->run;

        for (size_t i = 0; i < run->n_mounts; i++) {
                const DfMount *mount = &run->mounts[i];
                bool hidden = mount->type == MOUNT_SECRET || mount->type == MOUNT_SSH;
                const char *id = mount->id ? mount->id : mount->source, *shown = mount->target ? mount->target : hidden && id ? id : "";
                _cleanup_free_ char *text = xasprintf("%s%s%s%s%s%s", types[mount->type], hidden ? ",id=" : "", hidden && id ? id : "",
                                                      mount->env ? ",env=" : "", mount->env ? mount->env : "", mount->read_only && !hidden ? ",readonly" : "");

                explain_step_add(&work->explain, EXPLAIN_MOUNT, shown, text);
                if (mount->type == MOUNT_BIND && !str_empty(mount->source)) {
                        _cleanup_free_ char *name = xasprintf("%s source", shown);

                        explain_step_add(&work->explain, EXPLAIN_MOUNT, name, mount->source);
                }
                if (!hidden && !str_empty(mount->from) && !streq(mount->from, "scratch"))
                        add_source(stage, work, mount->from);
        }
}

static const char *network_name(const BuildStage *stage, const RunInstruction *run)
{
        static const char *const names[] = { [BUILD_NETWORK_DEFAULT] = "default", [BUILD_NETWORK_NONE] = "none", [BUILD_NETWORK_HOST] = "host" };

        if (run->has_network && run->network != DF_NETWORK_DEFAULT)
                return run->network == DF_NETWORK_NONE ? "none" : "host";
        return names[stage->build->options->network];
}

static void add_run(BuildStage *stage, Work *work)
{
        const RunInstruction *run = &work->instruction->run;
        const BuildOptions *options = stage->build->options;
        _cleanup_free_ char *command = strlist_join(&work->run_args, " "), *dir = stem_work_dir(&stage->stem);
        ExplainStep *step = &work->explain;

        explain_step_add(step, EXPLAIN_COMMAND, "", command);
        if (work->script.file_name)
                add_bytes(step, EXPLAIN_COMMAND, "script", work->script.file_data, work->script.file_size);
        add_environment(stage, step);
        add_option(step, "USER", stage->stem.image.config.user);
        add_option(step, "WORKDIR", dir);
        add_option(step, "network", network_name(stage, run));
        if (run->has_security)
                add_option(step, "security", run->security == RUN_SECURITY_INSECURE ? "insecure" : "sandbox");
        if (options->shm_size)
                add_number(step, "--shm-size", options->shm_size);
        for (size_t i = 0; i < options->n_limits; i++) {
                _cleanup_free_ char *name = xasprintf("--ulimit %s", options->limits[i].name);
                _cleanup_free_ char *value = xasprintf("%llu:%llu", (unsigned long long)options->limits[i].soft, (unsigned long long)options->limits[i].hard);

                add_option(step, name, value);
        }
        add_mounts(stage, work);
}

static void add_copy(BuildStage *stage, Work *work)
{
        const CopyInstruction *copy = &work->instruction->copy;
        ExplainStep *step = &work->explain;
        _cleanup_strlist_ StrList words = { 0 };
        _cleanup_free_ char *sources = NULL, *destination = stem_path(&stage->stem, copy->destination.text);

        for (size_t i = 0; i < copy->n_sources; i++)
                strlist_add(&words, copy->sources[i].text);
        sources = strlist_join(&words, " ");
        add_option(step, "sources", sources);
        add_option(step, "destination", destination);
        add_option(step, "--chown", copy->chown);
        add_option(step, "--chmod", copy->chmod);
        add_option(step, "--link", copy->link ? "true" : NULL);
        add_option(step, "--parents", copy->parents ? "true" : NULL);
        add_option(step, "--checksum", copy->checksum);
        for (size_t i = 0; i < copy->n_exclude; i++)
                explain_step_add(step, EXPLAIN_OPTION, "--exclude", copy->exclude[i]);
        for (size_t i = 0; i < copy->n_files; i++) {
                _cleanup_free_ char *name = xasprintf("heredoc %s", copy->files[i].name);

                add_bytes(step, EXPLAIN_OPTION, name, copy->files[i].data, copy->files[i].size);
        }
        if (!str_empty(copy->from))
                add_source(stage, work, copy->from);
}

void explain_note_step(BuildStage *stage, Work *work)
{
        ExplainStep *step = &work->explain;
        InstructionKind kind = work->instruction->kind;
        bool alone = (kind == INSTRUCTION_COPY || kind == INSTRUCTION_ADD) && work->instruction->copy.link && str_empty(work->instruction->copy.chmod);

        if (step->n_fields)
                return;
        add_option(step, "platform", stage_platform(stage));
        if (stage->build->epoch >= 0)
                add_number(step, "SOURCE_DATE_EPOCH", (uint64_t)stage->build->epoch);
        if (!alone)
                add_digest(step, EXPLAIN_BELOW, "", &stage->chain);
        switch (kind) {
        case INSTRUCTION_RUN:
                add_run(stage, work);
                break;
        case INSTRUCTION_WORKDIR: {
                _cleanup_free_ char *path = stem_path(&stage->stem, work->instruction->word.text);

                add_option(step, "path", path);
                add_option(step, "USER", stage->stem.image.config.user);
                break;
        }
        default:
                add_copy(stage, work);
                break;
        }
}

/* --- when the build is over: the files, which the nodes of the trees still know --- */

static uint64_t content_of(const TreeNode *node)
{
        Digest digest;
        uint64_t content = 0;

        if (node->digested)
                digest = node->digest;
        else if (node->link)
                digest = digest_of(node->link, strlen(node->link));
        else
                return node->dev_major ^ (uint64_t)node->dev_minor << 32;
        memcpy(&content, digest.bytes, sizeof(content));
        return content;
}

/* Beyond this many files the record would be cut anyway. */
#define FILES_MAX 200000

static int add_file(void *user, const TreeNode *node, Error *err)
{
        ExplainStep *step = user;
        _cleanup_free_ char *path = source_tree_node_path(node);

        if (step->n_files >= FILES_MAX)
                step->files_left_out = true;
        else
                explain_step_add_file(step, path, node->mode, (uint64_t)node->uid << 32 | node->gid, content_of(node));
        return 0;
}

void explain_note_files(Work *work)
{
        ExplainStep *step = &work->explain;
        _cleanup_error_ Error ignored = ERROR_INIT;

        for (size_t i = 0; i < work->plan.n_items; i++) {
                const CopyItem *item = &work->plan.items[i];
                _cleanup_free_ char *shown = item->url ? http_url_shown(item->url) : NULL;

                if (item->version)
                        explain_step_add(step, EXPLAIN_DOWNLOAD, shown, item->version);
                else if (item->kind == COPY_FILE && shown)
                        add_digest(step, EXPLAIN_DOWNLOAD, shown, &item->digest);
        }
        (void)copy_plan_each_file(&work->plan, add_file, step, &ignored);
        for (size_t i = 0; i < work->n_mount_plans; i++)
                (void)copy_plan_each_file(&work->mount_plans[i], add_file, step, &ignored);
        explain_step_finish(step);
}
