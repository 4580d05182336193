#include "build/sbom.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "fs/mount.h"
#include "fs/path.h"

#define SCAN_SOURCE "/run/src/core/sbom"
#define SCAN_EXTRAS "/run/src/extras/"
#define SCAN_DESTINATION "/run/out"
/* The largest known, of images with tens of thousands of packages, have some 50 MB. */
#define DOCUMENT_MAX ((size_t)64 << 20)
#define DOCUMENTS_MAX 100

void target_sboms_done(BuildTarget *target)
{
        for (size_t i = 0; i < target->n_sboms; i++) {
                free(target->sboms[i].file_name);
                json_value_unref(target->sboms[i].predicate);
                json_value_unref(target->sboms[i].subject);
        }
        free(target->sboms);
        target->sboms = NULL;
        target->n_sboms = 0;
}

/* --- documents --- */

/* SPDX by itself, or in a statement, which is what scanners of BuildKit's write. */
static int parse_document(const char *name, const Buf *text, Sbom *ret, Error *err)
{
        _cleanup_json_ JsonValue *value = NULL;
        const JsonValue *subject;
        const char *type;

        if (json_value_parse(text->data, text->size, &(JsonLimits){ .size = DOCUMENT_MAX, .depth = 64 }, &value, err) < 0)
                return error_wrap(err, "cannot read the SBOM '%s'", name);
        if (json_value_get(value, "spdxVersion")) {
                *ret = (Sbom){ .file_name = xstrdup(name), .predicate = TAKE_PTR(value) };
                return 0;
        }
        type = json_value_string(json_value_get(value, "predicateType"));
        if (!type || !streq(type, SBOM_TYPE) || !json_value_get(json_value_get(value, "predicate"), "spdxVersion"))
                return error_set(
                        err, ERROR_INVALID,
                        "the SBOM '%s' is neither an SPDX document as JSON (it has no spdxVersion) nor an in-toto statement of the type '" SBOM_TYPE "'", name);
        subject = json_value_get(value, "subject");
        *ret = (Sbom){ .file_name = xstrdup(name),
                       .predicate = json_value_copy(json_value_get(value, "predicate")),
                       .subject = json_value_size(subject) ? json_value_copy(subject) : NULL };
        return 0;
}

static int add_document(BuildTarget *target, const char *name, const Buf *text, Error *err)
{
        Sbom sbom;

        if (target->n_sboms == DOCUMENTS_MAX)
                return error_set(err, ERROR_LIMIT, "there are more than %d SBOMs", DOCUMENTS_MAX);
        if (parse_document(name, text, &sbom, err) < 0)
                return -1;
        target->sboms = xreallocarray(target->sboms, target->n_sboms + 1, sizeof(*target->sboms));
        target->sboms[target->n_sboms++] = sbom;
        return 0;
}

static int take_file(Build *build, const char *path, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(DOCUMENT_MAX);
        const char *name = str_base_name(path);
        int r = file_read(AT_FDCWD, path, &text);

        if (r < 0)
                return error_errno(err, r, "cannot read the SBOM '%s'", path);
        for (size_t i = 0; i < build->n_targets; i++)
                if (add_document(&build->targets[i], name, &text, err) < 0)
                        return -1;
        return 0;
}

/* --- the scanner --- */

BuildStage *sbom_scanned(const BuildStage *reader, const char *from)
{
        const char *number = reader->scans ? str_after(from, SBOM_SCANNED) : NULL;
        uint32_t at;

        return number && str_to_u32(number, &at) == 0 && at < reader->build->n_stages ? reader->build->stages[at] : NULL;
}

/* "true", or the names of stages: BuildKit's isEnabledForStage. */
static bool enables(const char *value, const char *stage)
{
        _cleanup_strlist_ StrList names = { 0 };
        bool yes;

        if (!value)
                return false;
        if (str_to_bool(value, &yes) == 0)
                return yes;
        strlist_split(&names, value, ',');
        return strlist_has(&names, stage);
}

/* Whether BUILDKIT_SBOM_SCAN_STAGE or _CONTEXT is on for a stage: as an ARG of the stage or of those it starts from, else before the first FROM. */
static bool wants(const BuildStage *stage, const BuildStage *asked, const char *name)
{
        const GlobalScope *global = stage->target->global;
        const char *given = global_scope_build_arg(global, name);
        bool on = stage->base ? wants(stage->base, asked, name) : enables(global_scope_get(global, name), asked->label);

        for (size_t i = 0; stage->parsed && i < stage->parsed->n_instructions; i++) {
                const Instruction *in = &stage->parsed->instructions[i];

                for (size_t k = 0; in->kind == INSTRUCTION_ARG && k < in->pairs.n_items; k++)
                        if (streq(in->pairs.items[k].key, name) && (given || in->pairs.items[k].value))
                                on = enables(given ? given : in->pairs.items[k].value, asked->label);
        }
        return on;
}

/* What else the scanner is to look at: "--mount=…" for each. */
static void add_extras(const BuildTarget *target, StrList *mounts)
{
        const Build *build = target->build;

        if (wants(target->stage, target->stage, "BUILDKIT_SBOM_SCAN_CONTEXT"))
                strlist_add(mounts, "--mount=type=bind,target=" SCAN_EXTRAS "sbom-context");
        for (size_t i = 0; i < build->n_stages; i++) {
                const BuildStage *stage = build->stages[i];

                if (stage->needed && stage->parsed && stage != target->stage && stage->target == target && wants(stage, stage, "BUILDKIT_SBOM_SCAN_STAGE"))
                        strlist_addf(mounts, "--mount=type=bind,from=" SBOM_SCANNED "%zu,target=" SCAN_EXTRAS "sbom-%s", i, stage->label);
        }
}

static size_t number_of(const Build *build, const BuildStage *stage)
{
        size_t at = 0;

        while (build->stages[at] != stage)
                at++;
        return at;
}

static char *scan_instruction(const BuildStage *scan, const BuildTarget *target, const StrList *extras, const StrList *args)
{
        _cleanup_json_ JsonValue *words = json_value_new_array();
        _cleanup_free_ char *text = NULL, *more = strlist_join(extras, " ");

        for (size_t i = 0; i < args->n_items; i++)
                json_value_append_string(words, args->items[i]);
        text = json_value_text(words, 0);
        return xasprintf("RUN --mount=type=tmpfs,target=/tmp --mount=type=bind,from=" SBOM_SCANNED "%zu,target=" SCAN_SOURCE " %s %s",
                         number_of(scan->build, target->stage), more, text);
}

static int add_step(BuildStage *stage, const char *text, Error *err)
{
        _cleanup_(dockerfile_freep) Dockerfile *parsed = NULL;
        Instruction *instruction = NULL;

        if (dockerfile_parse_trigger(&parsed, "sbom", text, (SourceRange){ 0 }, &stage->diagnosis, err) < 0 ||
            instruction_parse(&instruction, parsed, parsed->nodes[0], &stage->diagnosis, err) < 0)
                return error_wrap(err, "cannot run the scanner '%s'", stage->base_name);
        stage->triggers[stage->n_triggers] = TAKE_PTR(parsed);
        stage->trigger_instructions[stage->n_triggers++] = instruction;
        stage->steps[stage->n_steps++] = (Step){ .instruction = instruction };
        return 0;
}

/* They belong to the stage as the triggers of a base image do: the directory that it writes into, the one that it runs in, and the program. */
static int add_steps(BuildStage *stage, const BuildTarget *target, const StrList *extras, Error *err)
{
        const RunConfig *config = &stage->image.config;
        _cleanup_strlist_ StrList args = { 0 };
        _cleanup_free_ char *run = NULL, *cwd = xasprintf("WORKDIR %s", str_empty(config->working_dir) ? "/" : config->working_dir);

        strlist_copy(&args, &config->entrypoint);
        strlist_copy(&args, &config->cmd);
        if (!args.n_items)
                return error_set(err, ERROR_INVALID, "the scanner '%s' has neither an entrypoint nor a command", stage->base_name);
        run = scan_instruction(stage, target, extras, &args);
        stage->triggers = NEW_ARRAY(Dockerfile *, 3);
        stage->trigger_instructions = NEW_ARRAY(Instruction *, 3);
        stage->steps = NEW_ARRAY(Step, 3);
        stage->n_counted = 3;
        return add_step(stage, "WORKDIR " SCAN_DESTINATION, err) < 0 || add_step(stage, cwd, err) < 0 || add_step(stage, run, err) < 0 ? -1 : 0;
}

static void set_environment(BuildStage *stage, const BuildSbom *options, bool extras)
{
        StrList *env = &stage->image.config.env;

        strlist_env_set(env, "BUILDKIT_SCAN_DESTINATION", SCAN_DESTINATION);
        strlist_env_set(env, "BUILDKIT_SCAN_SOURCE", SCAN_SOURCE);
        if (extras)
                strlist_env_set(env, "BUILDKIT_SCAN_SOURCE_EXTRAS", SCAN_EXTRAS);
        for (size_t i = 0; i < options->params.n_items; i++) {
                const char *equals = strchr(options->params.items[i], '=');
                _cleanup_free_ char *name = xasprintf("BUILDKIT_SCAN_%.*s", (int)(equals - options->params.items[i]), options->params.items[i]);

                strlist_env_set(env, name, equals + 1);
        }
}

static int plan_scan(BuildTarget *target, Error *err)
{
        Build *build = target->build;
        const BuildSbom *options = &build->options->sbom;
        BuildStage *stage = stage_new(target);
        _cleanup_strlist_ StrList extras = { 0 };

        stage->base_name = xstrdup(options->generator ? options->generator : BUILD_SBOM_GENERATOR);
        stage->platform = xstrdup(build->host_text);
        free(stage->label);
        stage->label = xstrdup("sbom");
        stage->no_cache = build->options->no_cache;
        stage->scans = true;
        if (base_resolve(build, stage->base_name, build->host_text, &stage->image, &stage->image_id, err) < 0)
                return error_wrap(err, "an SBOM needs a scanner, an image that follows BuildKit's protocol (--sbom=generator=IMAGE), or a document "
                                       "(--sbom=file=FILE.spdx.json)");
        add_extras(target, &extras);
        set_environment(stage, options, extras.n_items > 0);
        target->scan = stage;
        return add_steps(stage, target, &extras, err);
}

int build_sbom_plan(Build *build, Error *err)
{
        const BuildSbom *options = &build->options->sbom;

        if (!options->enabled)
                return 0;
        for (size_t i = 0; i < options->files.n_items; i++)
                if (take_file(build, options->files.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < build->n_targets && (options->generator || !options->files.n_items); i++)
                if (plan_scan(&build->targets[i], err) < 0)
                        return -1;
        return 0;
}

/* --- what it found --- */

/* "sbom.…" first: that is the result's own, the others are of what went into it. */
static int compare_names(const void *a, const void *b)
{
        const char *x = *(char *const *)a, *y = *(char *const *)b;
        bool x_core = str_starts(x, "sbom."), y_core = str_starts(y, "sbom.");

        return x_core != y_core ? y_core - x_core : strcmp(x, y);
}

static int list_results(int dir_fd, StrList *ret, Error *err)
{
        int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
        struct dirent *entry;

        if (!dir)
                return error_errno(err, errno, "cannot read what the scanner wrote");
        while ((entry = readdir(dir)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        strlist_add(ret, entry->d_name);
        closedir(dir);
        qsort(ret->items, ret->n_items, sizeof(*ret->items), compare_names);
        return 0;
}

static int collect(BuildTarget *target, Error *err)
{
        _cleanup_strlist_ StrList names = { 0 };
        _cleanup_close_ int dir_fd = -1;
        SourceTree *tree;

        if (stage_tree(target->scan, &tree, err) < 0)
                return -1;
        dir_fd = inroot_try_open(rootfs_fd(target->scan->rootfs), SCAN_DESTINATION, O_RDONLY | O_DIRECTORY, 0);
        if (dir_fd < 0 || list_results(dir_fd, &names, err) < 0 || !names.n_items) {
                error_done(err);
                return error_set(err, ERROR_INVALID, "the scanner '%s' wrote no document into " SCAN_DESTINATION, target->scan->base_name);
        }
        for (size_t i = 0; i < names.n_items; i++) {
                _cleanup_buf_ Buf text = BUF_INIT(DOCUMENT_MAX);

                if (inroot_read(dir_fd, names.items[i], &text, err) < 0 || add_document(target, names.items[i], &text, err) < 0)
                        return error_wrap(err, "cannot take what the scanner '%s' wrote", target->scan->base_name);
                target->sboms[target->n_sboms - 1].is_core = str_starts(names.items[i], "sbom.");
        }
        return 0;
}

int build_sbom_scan(Build *build, Error *err)
{
        _cleanup_free_ BuildStage **stages = NEW_ARRAY(BuildStage *, build->n_targets);
        size_t n = 0;

        for (size_t i = 0; i < build->n_targets; i++)
                if (build->targets[i].scan)
                        stages[n++] = build->targets[i].scan;
        if (!n)
                return 0;
        if (build_execute_stages(build, stages, n, err) < 0 || mount_namespace_enter(err) < 0)
                return -1;
        for (size_t i = 0; i < build->n_targets; i++)
                if (collect(&build->targets[i], err) < 0)
                        return -1;
        return 0;
}
