#include "build/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "build/engine.h"

const char *explain_verdict_name(ExplainVerdict verdict)
{
        static const char *const names[] = { [EXPLAIN_CACHED] = "cached", [EXPLAIN_RAN] = "ran", [EXPLAIN_FAILED] = "failed" };

        return names[verdict];
}

typedef struct Explaining {
        Build *build;
        ExplainRecord now, then;
        bool have_then;
        const BuildStage **stages; /* of each step of `now` */
        const Work **works;        /* likewise; NULL for FROM */
        size_t n, capacity, capacity_works;
        size_t *matches, *replaced;
} Explaining;

/* --- what this build did --- */

static char *stage_name(const BuildStage *stage)
{
        return stage->build->n_targets > 1 ? xasprintf("%s %s", stage->target->text, stage->label) : xstrdup(stage->label);
}

static ExplainStep *add_step(Explaining *ex, const BuildStage *stage, const Work *work, const char *text)
{
        _cleanup_free_ char *name = stage_name(stage);
        ExplainStep *step = explain_record_add(&ex->now, name, text);

        GROW(ex->stages, ex->capacity, ex->n + 1);
        GROW(ex->works, ex->capacity_works, ex->n + 1);
        ex->stages[ex->n] = stage;
        ex->works[ex->n++] = work;
        return step;
}

static void add_base(Explaining *ex, const BuildStage *stage)
{
        const DigestList *ids = &stage->image.rootfs.diff_ids;
        ExplainStep *step = add_step(ex, stage, NULL, stage->parsed->from->original);
        Digest chain = { 0 };
        char text[DIGEST_TEXT_SIZE];

        for (size_t i = 0; i < ids->n_items; i++)
                chain = chain_id_next(&chain, &ids->items[i]);
        step->key = step->layer = chain;
        step->complete = true;
        explain_step_add(step, EXPLAIN_BASE, stage->base_name, ids->n_items ? digest_format(&chain, text) : "no layers");
}

/* The key that a build finds first; the other one may not have been needed. */
static const Digest *first_key(const Work *work)
{
        return digest_is_set(&work->fast_key) ? &work->fast_key : &work->key;
}

static void add_work(Explaining *ex, const BuildStage *stage, Work *work, bool complete)
{
        ExplainStep *step = add_step(ex, stage, work, work->written->original);

        step->key = *first_key(work);
        step->complete = complete;
        if (complete)
                step->layer = work->layer.diff_id;
}

/* Keys and layers only: enough to know whether anything is new. */
static void collect(Explaining *ex)
{
        Build *build = ex->build;

        for (size_t i = 0; i < build->n_stages; i++) {
                BuildStage *stage = build->stages[i];

                if (!stage->needed || !stage->begun || !stage->parsed)
                        continue;
                if (!stage->base)
                        add_base(ex, stage);
                for (size_t k = 0; k < stage->n_works; k++)
                        add_work(ex, stage, stage->works[k], true);
                if (stage->work && stage->status == STAGE_FAILED)
                        add_work(ex, stage, stage->work, false);
        }
}

/* Moves what was noted about each step into the record. */
static void collect_details(Explaining *ex)
{
        for (size_t i = 0; i < ex->n; i++) {
                Work *work = (Work *)ex->works[i];
                ExplainStep *step = &ex->now.steps[i];

                if (!work)
                        continue;
                explain_note_files(work);
                step->fields = TAKE_PTR(work->explain.fields);
                step->n_fields = work->explain.n_fields;
                step->files = TAKE_PTR(work->explain.files);
                step->n_files = work->explain.n_files;
                step->files_left_out = work->explain.files_left_out;
                work->explain = (ExplainStep){ 0 };
        }
}

/* --- the file --- */

static char *absolute(const char *path)
{
        char *real = path ? realpath(path, NULL) : NULL;

        return real ? real : xstrdup(path ? path : "");
}

static char *record_name(const Build *build)
{
        const BuildOptions *options = build->options;
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);
        _cleanup_free_ char *context = absolute(options->context), *file = absolute(options->dockerfile);
        char hex[DIGEST_TEXT_SIZE];
        Digest digest;

        hash_field_str(hash, context);
        hash_field_str(hash, options->dockerfile_text ? "-" : file);
        hash_field_str(hash, build->dockerfile_name);
        hash_field_str(hash, options->target);
        for (size_t i = 0; i < build->n_targets; i++)
                hash_field_str(hash, build->targets[i].text);
        digest = hash_digest(hash);
        return xasprintf("cache/explain/%s", digest_hex(&digest, hex));
}

static bool is_same(Store *store, const char *name, const Digest *summary)
{
        _cleanup_close_ int fd = openat(store_root_fd(store), name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        char head[EXPLAIN_HEAD_SIZE];
        Digest found;

        return fd >= 0 && fd_read_full(fd, head, sizeof(head)) == sizeof(head) && explain_head_summary(head, sizeof(head), &found) &&
               digest_equal(&found, summary);
}

static void load(Explaining *ex, const char *name)
{
        _cleanup_buf_ Buf data = BUF_INIT(EXPLAIN_SIZE_MAX * 2);
        _cleanup_error_ Error err = ERROR_INIT;
        int r = file_read(store_root_fd(ex->build->store), name, &data);

        if (r == -ENOENT)
                return;
        if (r < 0)
                error_errno(&err, r, "cannot read '%s'", name);
        else if (data.size >= EXPLAIN_HEAD_SIZE && explain_record_decode(data.data, data.size, &ex->then, &err) == 0)
                ex->have_then = true;
        if (!ex->have_then)
                log_debug("explain: %s", error_message(&err));
}

/* A build that failed has not reached all steps: of those the earlier ones are still the last that is known. */
static void keep_unreached(Explaining *ex)
{
        for (size_t i = 0; i < ex->then.n_steps; i++) {
                ExplainStep *old = &ex->then.steps[i];
                bool reached = false;

                for (size_t k = 0; k < ex->n && !reached; k++)
                        reached = ex->matches[k] == i || ex->replaced[k] == i;
                if (reached)
                        continue;
                {
                        ExplainStep *kept = explain_record_add(&ex->now, old->stage, old->text);
                        char *stage = kept->stage, *text = kept->text;

                        *kept = *old;
                        kept->stage = stage;
                        kept->text = text;
                        old->fields = NULL;
                        old->files = NULL;
                        old->n_fields = old->n_files = 0;
                }
        }
}

static void save(const Explaining *ex, const char *name)
{
        _cleanup_buf_ Buf data = BUF_INIT(SIZE_MAX / 2);
        int dir = store_root_fd(ex->build->store), r;

        explain_record_encode(&ex->now, &data);
        if (data.size > EXPLAIN_SIZE_MAX)
                return;
        r = dir_make(dir, "cache/explain", 0700);
        if (r == 0)
                r = file_write_atomic(dir, name, data.data, data.size, 0600, false);
        if (r < 0)
                log_debug("cannot write '%s': %s", name, strerror(-r));
}

/* --- telling --- */

static const ExplainStep *before_of(const Explaining *ex, size_t at)
{
        return ex->have_then && ex->matches[at] != SIZE_MAX ? &ex->then.steps[ex->matches[at]] : NULL;
}

/* Which step, or base image, made the layers below different: the first of the stage, or of those it starts from, whose layer differs. */
static char *changed_below(const Explaining *ex, size_t at)
{
        const BuildStage *stage = ex->stages[at];

        for (const BuildStage *in = stage; in; in = in->base)
                for (size_t i = 0; i < ex->n; i++) {
                        const ExplainStep *before = before_of(ex, i);

                        if (ex->stages[i] != in || (in == stage && i >= at) || (before && digest_equal(&before->layer, &ex->now.steps[i].layer)))
                                continue;
                        if (!ex->works[i])
                                return xasprintf("the base image %s", in->base_name);
                        return xstrdup(ex->works[i]->title);
                }
        return NULL;
}

/* As much of "sha256:0123…" and "commit 0123…" as people compare. */
#define SHORT_VALUE (strlen("sha256:") + 12)

/* What a URL or a repository gave then, and what now. */
static void add_download(const ExplainChange *change, StrList *parts)
{
        if (str_empty(change->before) || str_empty(change->after))
                strlist_addf(parts, "what %s gives changed", change->name);
        else
                strlist_addf(parts, "what %s gives changed (%.*s before, %.*s now)", change->name, (int)SHORT_VALUE, change->before, (int)SHORT_VALUE,
                             change->after);
}

static char *sentence(const Explaining *ex, size_t at, const ExplainChanges *changes)
{
        size_t counts[_EXPLAIN_KINDS] = { 0 };
        const ExplainChange *first[_EXPLAIN_KINDS] = { 0 };
        _cleanup_strlist_ StrList parts = { 0 };

        for (size_t i = 0; i < changes->n_items; i++) {
                ExplainKind kind = changes->items[i].kind;

                if (!counts[kind]++)
                        first[kind] = &changes->items[i];
        }
        if (counts[EXPLAIN_BASE])
                strlist_addf(&parts, "the base image changed");
        if (counts[EXPLAIN_INSTRUCTION])
                strlist_addf(&parts, "the instruction changed");
        if (counts[EXPLAIN_FILE] == 1 && !changes->n_more)
                strlist_addf(&parts, "the file %s changed", first[EXPLAIN_FILE]->name);
        else if (counts[EXPLAIN_FILE])
                strlist_addf(&parts, "%zu files changed", counts[EXPLAIN_FILE] + changes->n_more);
        for (ExplainKind kind = EXPLAIN_ARGUMENT; kind <= EXPLAIN_VARIABLE; kind++)
                if (counts[kind])
                        strlist_addf(&parts, "the %s %s changed%s", kind == EXPLAIN_ARGUMENT ? "build argument" : "variable", first[kind]->name,
                                     counts[kind] > 1 ? " (and others)" : "");
        if (counts[EXPLAIN_COMMAND] && !counts[EXPLAIN_ARGUMENT] && !counts[EXPLAIN_VARIABLE])
                strlist_addf(&parts, "the command changed");
        if (counts[EXPLAIN_OPTION])
                strlist_addf(&parts, "%s changed", first[EXPLAIN_OPTION]->name);
        if (counts[EXPLAIN_MOUNT])
                strlist_addf(&parts, "the mount %s changed", first[EXPLAIN_MOUNT]->name);
        if (counts[EXPLAIN_DOWNLOAD])
                add_download(first[EXPLAIN_DOWNLOAD], &parts);
        if (counts[EXPLAIN_STAGE])
                strlist_addf(&parts, "what it reads from (%s) changed", first[EXPLAIN_STAGE]->name);
        if (counts[EXPLAIN_BELOW]) {
                _cleanup_free_ char *below = changed_below(ex, at);

                if (below)
                        strlist_addf(&parts, "the layers below changed, first by %s", below);
                else
                        strlist_addf(&parts, "the layers below changed");
        }
        return parts.n_items ? strlist_join(&parts, "; ") : xstrdup("its key changed");
}

static char *why_not(const Explaining *ex, size_t at, const ExplainStep *before, const ExplainChanges *changes)
{
        const BuildStage *stage = ex->stages[at];
        const ExplainStep *now = &ex->now.steps[at];

        if (ex->build->options->no_cache)
                return xstrdup("--no-cache: the cache was not asked");
        if (stage->no_cache)
                return xasprintf("--no-cache-filter names the stage '%s': the cache was not asked", stage->label);
        if (!ex->have_then)
                return xstrdup("there is no earlier build of this Dockerfile, target and context to compare with");
        if (!before && ex->replaced[at] == SIZE_MAX)
                return xstrdup("the instruction is new");
        if (before && digest_equal(&before->key, &now->key))
                return xstrdup(before->complete ? "nothing changed, but its record is not in the cache any more (pruned)"
                                                : "nothing changed, but it did not complete the last time");
        return sentence(ex, at, changes);
}

static char *why_cached(const Explaining *ex, size_t at, const ExplainStep *before, const ExplainChanges *changes)
{
        const ExplainStep *now = &ex->now.steps[at];
        _cleanup_free_ char *what = NULL;

        if (ex->works[at] && ex->works[at]->imported)
                return xstrdup("found in a cache that was given with --cache-from");
        if (before && digest_equal(&before->key, &now->key))
                return xstrdup("nothing changed since the last build");
        if (!ex->have_then || (!before && ex->replaced[at] == SIZE_MAX))
                return xstrdup("an earlier build made the same");
        what = sentence(ex, at, changes);
        return xasprintf("%s; but an earlier build made the same", what);
}

static char *why_base(const ExplainStep *before, const ExplainStep *now)
{
        if (!before)
                return xstrdup("the base image is there");
        return xstrdup(digest_equal(&before->layer, &now->layer) ? "the same base image as in the last build"
                                                                 : "the base image is another one than in the last build");
}

static void add_notes(ExplainedStep *to, const ExplainStep *step)
{
        for (size_t i = 0; i < step->n_fields; i++) {
                const ExplainField *field = &step->fields[i];

                if (field->kind != EXPLAIN_MOUNT)
                        continue;
                if (str_starts(field->value, "secret"))
                        strlist_addf(&to->notes, "the value of the secret '%s' is no part of the key: another value does not run the step again", field->name);
                if (str_starts(field->value, "cache"))
                        strlist_addf(&to->notes, "the content of the cache mount '%s' is no part of the key", field->name);
        }
}

static void compare(const Explaining *ex, size_t at, ExplainChanges *changes)
{
        const ExplainStep *before = before_of(ex, at), *now = &ex->now.steps[at];

        if (!before && ex->have_then && ex->replaced[at] != SIZE_MAX) {
                before = &ex->then.steps[ex->replaced[at]];
                explain_changes_add(changes, EXPLAIN_INSTRUCTION, "", "changed", before->text, now->text);
        }
        if (before)
                explain_compare(before, now, changes);
}

static void explain_step(const Explaining *ex, size_t at, ExplainedStep *to)
{
        const Work *work = ex->works[at];
        const ExplainStep *before = before_of(ex, at), *now = &ex->now.steps[at];

        to->stage = now->stage;
        to->line = work ? work->vertex->line : ex->stages[at]->parsed->from->range.start;
        to->verdict = !work || work->cached ? EXPLAIN_CACHED : now->complete ? EXPLAIN_RAN : EXPLAIN_FAILED;
        to->name = work ? xstrdup(work->title ? work->title : now->text)
                        : xasprintf("%s%sFROM %s", now->stage, *now->stage ? ": " : "", ex->stages[at]->base_name);
        compare(ex, at, &to->changes);
        to->reason = !work                           ? why_base(before, now)
                     : to->verdict == EXPLAIN_CACHED ? why_cached(ex, at, before, &to->changes)
                                                     : why_not(ex, at, before, &to->changes);
        if (work)
                add_notes(to, now);
}

static void tell(const Explaining *ex)
{
        const BuildOptions *options = ex->build->options;
        ExplainedStep *steps = NEW_ARRAY(ExplainedStep, ex->n + 1);

        for (size_t i = 0; i < ex->n; i++)
                explain_step(ex, i, &steps[i]);
        options->explain(options->explain_user, steps, ex->n);
        for (size_t i = 0; i < ex->n; i++) {
                free(steps[i].name);
                free(steps[i].reason);
                explain_changes_done(&steps[i].changes);
                strlist_done(&steps[i].notes);
        }
        free(steps);
}

void explain_build(Build *build)
{
        Explaining ex = { .build = build };
        _cleanup_free_ char *name = NULL;
        bool same, failed = false;
        Digest summary;

        collect(&ex);
        for (size_t i = 0; i < ex.n; i++)
                failed |= !ex.now.steps[i].complete;
        if (ex.n) {
                name = record_name(build);
                summary = explain_record_summary(&ex.now);
                same = is_same(build->store, name, &summary);
                if (!same || build->options->explain) {
                        collect_details(&ex);
                        load(&ex, name);
                        ex.matches = NEW_ARRAY(size_t, ex.n);
                        ex.replaced = NEW_ARRAY(size_t, ex.n);
                        explain_match(&ex.then, &ex.now, ex.matches, ex.replaced);
                }
                if (build->options->explain)
                        tell(&ex);
                if (!same && failed)
                        keep_unreached(&ex);
                if (!same)
                        save(&ex, name);
        } else if (build->options->explain) {
                build->options->explain(build->options->explain_user, NULL, 0);
        }
        explain_record_done(&ex.now);
        explain_record_done(&ex.then);
        free(ex.stages);
        free(ex.works);
        free(ex.matches);
        free(ex.replaced);
}
