#include "build/debug_shell.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "build/secret.h"
#include "fs/path.h"

#define ON_ERROR "on-error"
#define LENT_DIR "/.mica-shell"
#define LENT_SIZE_MAX ((size_t)16 << 20)

/* --- which step --- */

static bool can_wait(const Instruction *in)
{
        return in->kind == INSTRUCTION_RUN || in->kind == INSTRUCTION_COPY || in->kind == INSTRUCTION_ADD || in->kind == INSTRUCTION_WORKDIR;
}

/* What the user named: a step of a stage ("builder 2/5"), a line, or a stage. */
typedef struct Wish {
        char *stage;            /* or NULL: any */
        uint32_t step, n_steps; /* 0: none */
        uint32_t line;          /* 0: none */
} Wish;

static void wish_done(Wish *wish)
{
        free(wish->stage);
}

static int parse_wish(const char *text, Wish *ret, Error *err)
{
        _cleanup_free_ char *copy = str_trim(text), *inner = NULL, *number = NULL;
        size_t size = strlen(copy);
        const char *space, *slash;

        if (size > 1 && copy[0] == '[' && copy[size - 1] == ']')
                inner = xstrndup(copy + 1, size - 2);
        else
                inner = xstrdup(copy);
        if (!*inner)
                return error_set(err, ERROR_INVALID,
                                 "--debug-shell: name a step such as '[2/5]' or '[builder 2/5]', a stage, a line of the Dockerfile, or " ON_ERROR);
        if (str_to_u32(inner, &ret->line) == 0 && ret->line)
                return 0;
        ret->line = 0;
        space = strrchr(inner, ' ');
        slash = strchr(space ? space : inner, '/');
        if (slash) {
                number = xstrndup(space ? space + 1 : inner, (size_t)(slash - (space ? space + 1 : inner)));
                if (str_to_u32(number, &ret->step) == 0 && str_to_u32(slash + 1, &ret->n_steps) == 0 && ret->step) {
                        char *end = space ? inner + (space - inner) : inner;

                        while (end > inner && end[-1] == ' ') /* "[builder  2/10]" */
                                end--;
                        ret->stage = end > inner ? xstrndup(inner, (size_t)(end - inner)) : NULL;
                        return 0;
                }
        }
        ret->stage = TAKE_PTR(inner);
        return 0;
}

static bool is_stage(const BuildStage *stage, const char *name)
{
        _cleanup_free_ char *number = xasprintf("stage-%zu", stage->index);

        return (stage->parsed->name && strcasecmp(stage->parsed->name, name) == 0) || streq(number, name);
}

/* The step of this stage that is meant, or NULL. */
static Step *find_step(BuildStage *stage, const Wish *wish)
{
        unsigned counter = stage->n_counted;
        Step *found = NULL;

        if (wish->stage && !is_stage(stage, wish->stage))
                return NULL;
        if (wish->n_steps && wish->n_steps != stage->n_counted)
                return NULL;
        /* From the last to the first: the counter of the last one is n_counted. */
        for (size_t i = stage->n_steps; i-- > 0;) {
                Step *step = &stage->steps[i];

                if (!can_wait(step->instruction))
                        continue;
                if (wish->step ? counter == wish->step : wish->line ? !step->is_trigger && step->instruction->range.end >= wish->line : true)
                        found = step;
                counter--;
        }
        /* A line above the stage is in another one. */
        return found && wish->line && wish->line < stage->parsed->from->range.start ? NULL : found;
}

int debug_shell_plan(Build *build, Error *err)
{
        const char *text = build->options->debug_shell;
        _cleanup_(wish_done) Wish wish = { 0 };
        bool found = false;

        if (!text || streq(text, ON_ERROR))
                return 0;
        if (parse_wish(text, &wish, err) < 0)
                return -1;
        for (size_t i = 0; i < build->n_stages; i++) {
                BuildStage *stage = build->stages[i];
                const BuildStage *next = i + 1 < build->n_stages ? build->stages[i + 1] : NULL;
                Step *step;

                if (!stage->needed || !stage->parsed)
                        continue;
                /* A line belongs to the stage whose FROM is the last above it. */
                if (wish.line && next && next->parsed && next->target == stage->target && next->parsed->from->range.start <= wish.line)
                        continue;
                step = find_step(stage, &wish);
                if (!step)
                        continue;
                step->debug = true;
                found = true;
        }
        if (found)
                return 0;
        return error_set(
                err, ERROR_NOT_FOUND,
                "--debug-shell: there is no step '%s' in what is to be built; steps are numbered as the progress shows them: [2/5], or [stage 2/5] when there "
                "are several stages; a stage or a line of the Dockerfile names the first step there",
                text);
}

/* --- which shell --- */

static bool is_program(int root_fd, const char *path)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        struct stat st;

        return inroot_stat(root_fd, path, true, &st, &ignored) == 0 && S_ISREG(st.st_mode) && st.st_mode & 0111;
}

/* An ELF file that needs no loader runs in any root. */
static bool is_static_elf(const Buf *file)
{
        const unsigned char *data = (const unsigned char *)file->data;
        Elf64_Ehdr head;

        if (file->size < sizeof(head) || memcmp(data, ELFMAG, SELFMAG) != 0 || data[EI_CLASS] != ELFCLASS64)
                return false;
        memcpy(&head, data, sizeof(head));
        if (head.e_phoff > file->size || (file->size - head.e_phoff) / sizeof(Elf64_Phdr) < head.e_phnum)
                return false;
        for (unsigned i = 0; i < head.e_phnum; i++) {
                Elf64_Phdr part;

                memcpy(&part, data + head.e_phoff + i * sizeof(part), sizeof(part));
                if (part.p_type == PT_INTERP)
                        return false;
        }
        return true;
}

/* The busybox of this machine in a directory of its own, on the tmpfs that ends with the build, with the names that one types most. */
static int make_lent_dir(Build *build, const Buf *busybox, char **ret, Error *err)
{
        static const char *const applets[] = { "ash",  "awk",   "basename", "cat",       "chmod", "chown",  "cp",       "cut",      "date", "dd",
                                               "df",   "diff",  "dirname",  "du",        "echo",  "env",    "expr",     "find",     "free", "grep",
                                               "head", "id",    "kill",     "less",      "ln",    "ls",     "md5sum",   "mkdir",    "more", "mount",
                                               "mv",   "nc",    "od",       "ping",      "ps",    "pwd",    "readlink", "realpath", "rm",   "rmdir",
                                               "sed",  "seq",   "sh",       "sha256sum", "sleep", "sort",   "stat",     "strings",  "tail", "tar",
                                               "tee",  "test",  "touch",    "tr",        "true",  "umount", "uname",    "uniq",     "vi",   "wc",
                                               "wget", "which", "whoami",   "xargs" };
        _cleanup_free_ char *file = build_secret_file(build, "busybox", busybox->data, busybox->size, 0755, 0, 0, err), *dir = NULL, *program = NULL;

        if (!file)
                return -1;
        dir = xasprintf("%s.d", file);
        program = xasprintf("%s/busybox", dir);
        if (sys_mkdirat(AT_FDCWD, dir, 0755) < 0 || chmod(dir, 0755) < 0 || link(file, program) < 0)
                return error_errno(err, errno, "cannot make '%s'", dir);
        for (size_t i = 0; i < ARRAY_LEN(applets); i++) {
                _cleanup_free_ char *path = xasprintf("%s/%s", dir, applets[i]);

                if (symlink("busybox", path) < 0)
                        return error_errno(err, errno, "cannot make '%s'", path);
        }
        *ret = TAKE_PTR(dir);
        return 0;
}

static int lend_busybox(RunRoot *running, Error *err)
{
        static const char *const places[] = { "/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox", "/usr/lib/busybox/busybox-static" };

        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
                _cleanup_buf_ Buf busybox = BUF_INIT(LENT_SIZE_MAX);
                _cleanup_free_ char *dir = NULL, *path = NULL;
                const char *old;

                if (file_read(AT_FDCWD, places[i], &busybox) < 0 || !is_static_elf(&busybox))
                        continue;
                if (make_lent_dir(running->stage->build, &busybox, &dir, err) < 0 || stubs_add(running->stubs, LENT_DIR, true, err) < 0)
                        return -1;
                run_spec_add_bind(&running->spec, dir, LENT_DIR, true);
                old = strlist_env_get(&running->spec.env, "PATH");
                path = xasprintf("%s%s" LENT_DIR, old ? old : "", old ? ":" : "");
                strlist_env_set(&running->spec.env, "PATH", path);
                return 0;
        }
        return error_set(err, ERROR_NOT_FOUND, "the image has no shell, and this machine has no static busybox to lend it one: install busybox-static");
}

/* Sets the command. *ret_lent: the shell is not the image's. */
static int choose_shell(RunRoot *running, bool *ret_lent, Error *err)
{
        static const char *const shells[] = { "/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/busybox/sh" };
        const char *found = NULL;

        for (size_t i = 0; !found && i < ARRAY_LEN(shells); i++)
                if (is_program(rootfs_fd(running->rootfs), shells[i]))
                        found = shells[i];
        *ret_lent = !found;
        if (!found && lend_busybox(running, err) < 0)
                return -1;
        strlist_done(&running->spec.args);
        strlist_add(&running->spec.args, found ? found : LENT_DIR "/sh");
        return 0;
}

/* --- the shell --- */

static int run_shell(void *data, const RunIo *wish, const char *term, Error *err)
{
        RunRoot *running = data;
        Build *build = running->stage->build;
        RunIo io = *wish;
        RunResult result;

        io.cancel_fd = build->stop_fd;
        running->spec.terminal = term != NULL;
        if (term && *term)
                strlist_env_set(&running->spec.env, "TERM", term);
        return run_once(build->runtime, &running->spec, &io, &result, err);
}

/* The file system is mounted, its spec is made: what is missing is the command. */
static int open_shell(RunRoot *running, const char *title, const char *failure, Error *err)
{
        Build *build = running->stage->build;
        BuildShell shell = { .title = title, .failure = failure, .run = run_shell, .data = running };
        int result;

        if (!build->options->shell)
                return error_set(err, ERROR_INVALID, "--debug-shell: nobody can open a shell here");
        if (choose_shell(running, &shell.lent, err) < 0 || run_root_runtime(build, err) < 0)
                return -1;
        shell.program = running->spec.args.items[0];
        progress_hold(build->progress);
        result = build->options->shell(build->options->user, &shell, err);
        progress_release(build->progress);
        return result;
}

int debug_shell_before(BuildStage *stage, Work *work, Error *err)
{
        Step *step = &stage->steps[stage->next];
        _cleanup_(run_root_done) RunRoot running = { .stage = stage, .work = work, .throwaway = true, .upper_fd = -1 };

        step->debug = false;
        if (run_root_mount(&running, err) < 0 || run_root_spec(&running, err) < 0 ||
            open_shell(&running, work ? work->title : step->instruction->original, NULL, err) < 0)
                return error_wrap(err, "cannot open a shell before '%s'", work ? work->title : step->instruction->original);
        return build_check(stage->build, err);
}

void debug_shell_after(RunRoot *running, const Error *err)
{
        const char *wish = running->stage->build->options->debug_shell;
        _cleanup_error_ Error failure = ERROR_INIT;

        if (!wish || !streq(wish, ON_ERROR) || err->code != ERROR_EXIT)
                return;
        /* The mounts again, so that nothing done in the shell reaches a cache. */
        run_held_free(TAKE_PTR(running->held));
        run_spec_done(&running->spec);
        running->spec = (RunSpec){ 0 };
        running->throwaway = true;
        if (run_root_spec(running, &failure) < 0 || open_shell(running, running->work->title, error_message(err), &failure) < 0)
                log_warning("no shell after the failure: %s", error_message(&failure));
}
