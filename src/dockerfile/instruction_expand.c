/* An instruction with its variables replaced: which of its words BuildKit expands, and how each is judged again afterwards. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/chmod.h"
#include "dockerfile/expose.h"
#include "dockerfile/git_url.h"
#include "dockerfile/instruction_private.h"
#include "dockerfile/limits.h"

/* One instruction being expanded. */
typedef struct Expanding {
        const Instruction *in;
        Instruction *out;
        const ExpandEnv *env;
        ExpandOptions options;
        ExpandUse *use;
        size_t total; /* what was made so far */
        Diagnosis *diag;
        Error *err;
} Expanding;

static int fail(const Expanding *e, SourcePos pos, const Error *inner)
{
        if (pos.line == 0)
                pos = e->in->pos;
        return diagnosis_set(e->diag, e->err, inner->code, e->in->filename, pos, e->in->range, "%s", error_message(inner));
}

static int refuse(const Expanding *e, SourcePos pos, const char *message)
{
        _cleanup_error_ Error inner = ERROR_INIT;

        error_set(&inner, ERROR_INVALID, "%s", message);
        return fail(e, pos, &inner);
}

/* Many words may each double a long variable; together they stay bounded. */
static int count(Expanding *e, SourcePos pos, size_t size)
{
        _cleanup_error_ Error inner = ERROR_INIT;

        e->total += size;
        if (e->total <= LIMIT_ENVIRONMENT_SIZE + LIMIT_DOCKERFILE_SIZE)
                return 0;
        error_set(&inner, ERROR_LIMIT, "the expanded instruction is larger than %zu MiB", (LIMIT_ENVIRONMENT_SIZE + LIMIT_DOCKERFILE_SIZE) >> 20);
        return fail(e, pos, &inner);
}

static int expand_text(Expanding *e, const char **text, SourcePos pos)
{
        _cleanup_error_ Error inner = ERROR_INIT;
        _cleanup_free_ char *expanded = NULL;

        if (!*text)
                return 0;
        if (expand_word(&expanded, *text, e->env, &e->options, e->use, &inner) < 0)
                return fail(e, pos, &inner);
        *text = arena_strdup(e->out->arena, expanded);
        return count(e, pos, strlen(expanded));
}

static int expand_dfwords(Expanding *e, DfWord **words, size_t n_words)
{
        DfWord *copy = ARENA_ARRAY(e->out->arena, DfWord, n_words);

        for (size_t i = 0; i < n_words; i++) {
                copy[i] = (*words)[i];
                if (expand_text(e, &copy[i].text, copy[i].pos) < 0)
                        return -1;
        }
        *words = copy;
        return 0;
}

static int expand_pairs(Expanding *e)
{
        size_t n = e->in->pairs.n_items;
        DfPair *copy = ARENA_ARRAY(e->out->arena, DfPair, n);

        for (size_t i = 0; i < n; i++) {
                copy[i] = e->in->pairs.items[i];
                if (expand_text(e, &copy[i].key, copy[i].pos) < 0 || expand_text(e, &copy[i].value, copy[i].pos) < 0)
                        return -1;
        }
        e->out->pairs.items = copy;
        return 0;
}

static int expand_ports(Expanding *e)
{
        _cleanup_strlist_ StrList ports = { 0 };
        _cleanup_error_ Error inner = ERROR_INIT;
        DfWord *words;

        for (size_t i = 0; i < e->in->ports.n_items; i++) {
                const DfWord *word = &e->in->ports.items[i];
                _cleanup_strlist_ StrList parts = { 0 };

                if (expand_words(&parts, word->text, e->env, &e->options, e->use, &inner) < 0)
                        return fail(e, word->pos, &inner);
                for (size_t j = 0; j < parts.n_items; j++) {
                        ExposeFindings ignored;

                        if (expose_parse(&ports, parts.items[j], &ignored, &inner) < 0)
                                return fail(e, word->pos, &inner);
                }
        }
        words = ARENA_ARRAY(e->out->arena, DfWord, ports.n_items);
        for (size_t i = 0; i < ports.n_items; i++)
                words[i] = (DfWord){ arena_strdup(e->out->arena, ports.items[i]), e->in->pos };
        e->out->ports.items = words;
        e->out->ports.n_items = ports.n_items;
        return 0;
}

static int expand_mounts(Expanding *e)
{
        RunInstruction *run = &e->out->run;
        DfMount *mounts = ARENA_ARRAY(e->out->arena, DfMount, run->n_mounts);

        for (size_t i = 0; i < run->n_mounts; i++) {
                _cleanup_error_ Error inner = ERROR_INIT;
                const DfWord *flag = &run->mount_flags[i];

                if (mount_parse(&mounts[i], flag->text, flag->pos, true, e->env, e->in->escape, e->use, e->out->arena, &inner) < 0)
                        return fail(e, flag->pos, &inner);
        }
        run->mounts = mounts;
        return 0;
}

/* Bodies of heredocs: quotes mean nothing, '\' always escapes '$'. */
static int expand_files(Expanding *e)
{
        CopyInstruction *copy = &e->out->copy;
        DfInlineFile *files = ARENA_ARRAY(e->out->arena, DfInlineFile, copy->n_files);
        ExpandOptions saved = e->options;
        int r = 0;

        e->options = (ExpandOptions){ .escape = '\\', .ignore_quotes = true };
        for (size_t i = 0; i < copy->n_files && r == 0; i++) {
                files[i] = copy->files[i];
                if (!files[i].expand)
                        continue;
                r = expand_text(e, &files[i].data, files[i].pos);
                files[i].size = strlen(files[i].data);
        }
        e->options = saved;
        copy->files = files;
        return r;
}

/* One that names a repository in a wrong way is one too: what is wrong is said when it is used. */
bool source_is_git(const char *source)
{
        _cleanup_git_url_ GitUrl url = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;

        /* Only a build context can be written so; for ADD and COPY it is a path. */
        return !str_starts(source, "github.com/") && git_url_parse(source, &url, &ignored) != 0;
}

bool source_is_url(const char *source)
{
        return (str_starts(source, "http://") || str_starts(source, "https://")) && !source_is_git(source);
}

/* What is wrong with a digest, in go-digest's words, or NULL. */
static const char *digest_fault(const char *digest)
{
        static const struct {
                const char *name;
                size_t n_digits;
        } algorithms[] = { { "sha256:", 64 }, { "sha384:", 96 }, { "sha512:", 128 } };
        const char *colon = strchr(digest, ':');

        if (!colon || colon == digest || !colon[1])
                return "invalid checksum digest format";
        for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
                const char *digits = str_after(digest, algorithms[i].name);

                if (!digits)
                        continue;
                if (strlen(digits) != algorithms[i].n_digits)
                        return "invalid checksum digest length";
                return digits[strspn(digits, "0123456789abcdef")] ? "invalid checksum digest format" : NULL;
        }
        return "unsupported digest algorithm";
}

static int expand_copy(Expanding *e)
{
        CopyInstruction *copy = &e->out->copy;
        _cleanup_error_ Error inner = ERROR_INIT;
        Chmod mode;

        if (expand_text(e, &copy->chown, e->in->pos) < 0 || expand_text(e, &copy->chmod, e->in->pos) < 0 || expand_text(e, &copy->checksum, e->in->pos) < 0 ||
            expand_dfwords(e, &copy->sources, copy->n_sources) < 0 || expand_text(e, &copy->destination.text, copy->destination.pos) < 0 || expand_files(e) < 0)
                return -1;
        /* A flag that expands to nothing was not given. */
        copy->chown = copy->chown && *copy->chown ? copy->chown : NULL;
        copy->chmod = copy->chmod && *copy->chmod ? copy->chmod : NULL;
        copy->checksum = copy->checksum && *copy->checksum ? copy->checksum : NULL;
        if (copy->chmod && chmod_parse(&mode, copy->chmod, &inner) < 0)
                return fail(e, e->in->pos, &inner);
        if (copy->checksum) {
                if (copy->n_sources != 1)
                        return refuse(e, e->in->pos, "checksum can't be specified for multiple sources");
                if (!source_is_url(copy->sources[0].text) && !source_is_git(copy->sources[0].text))
                        return refuse(e, e->in->pos, "checksum requires HTTP(S) or Git sources");
                if (!source_is_git(copy->sources[0].text) && digest_fault(copy->checksum))
                        return refuse(e, e->in->pos, digest_fault(copy->checksum));
        }
        for (size_t i = 0; e->in->kind == INSTRUCTION_COPY && i < copy->n_sources; i++) {
                if (source_is_git(copy->sources[i].text))
                        return refuse(e, copy->sources[i].pos, "source can't be a git ref for COPY");
                if (source_is_url(copy->sources[i].text))
                        return refuse(e, copy->sources[i].pos, "source can't be a URL for COPY");
        }
        return 0;
}

static int expand_stop_signal(Expanding *e)
{
        _cleanup_free_ char *message = NULL;

        if (expand_text(e, &e->out->word.text, e->in->word.pos) < 0)
                return -1;
        if (dockerfile_signal_is_valid(e->out->word.text))
                return 0;
        message = xasprintf("invalid signal: %s", e->out->word.text);
        return refuse(e, e->in->word.pos, message);
}

static int expand_volumes(Expanding *e)
{
        if (expand_dfwords(e, &e->out->volumes.items, e->out->volumes.n_items) < 0)
                return -1;
        for (size_t i = 0; i < e->out->volumes.n_items; i++)
                if (!*e->out->volumes.items[i].text)
                        return refuse(e, e->out->volumes.items[i].pos, "VOLUME specified can not be an empty string");
        return 0;
}

static int expand(Expanding *e)
{
        switch (e->in->kind) {
        case INSTRUCTION_ENV:
        case INSTRUCTION_LABEL:
                return expand_pairs(e);
        case INSTRUCTION_ADD:
        case INSTRUCTION_COPY:
                return expand_copy(e);
        case INSTRUCTION_RUN:
                return expand_mounts(e);
        case INSTRUCTION_EXPOSE:
                return expand_ports(e);
        case INSTRUCTION_VOLUME:
                return expand_volumes(e);
        case INSTRUCTION_STOPSIGNAL:
                return expand_stop_signal(e);
        case INSTRUCTION_USER:
        case INSTRUCTION_WORKDIR:
                return expand_text(e, &e->out->word.text, e->in->word.pos);
        default:
                return 0;
        }
}

int instruction_expand(Instruction **ret, const Instruction *instruction, const ExpandEnv *env, ExpandUse *use, Diagnosis *diag, Error *err)
{
        _cleanup_(arena_freep) Arena *arena = arena_new();
        Instruction *out = ARENA_NEW(arena, Instruction);
        Expanding e = { .in = instruction, .out = out, .env = env, .options = { .escape = instruction->escape }, .use = use, .diag = diag, .err = err };

        *out = *instruction;
        out->arena = arena;
        if (expand(&e) < 0)
                return -1;
        (void)TAKE_PTR(arena);
        *ret = out;
        return 0;
}
