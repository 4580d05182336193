/*
 * Instructions with their flags and arguments understood: one tagged union for all eighteen.
 *
 * An Instruction read from a Dockerfile holds its words unexpanded. instruction_expand() gives a copy in which exactly the fields that BuildKit expands are
 * expanded:
 *
 *   ADD, COPY     sources, destination, --chown, --chmod, ADD --checksum, bodies of heredocs whose delimiter is not quoted; not --from, --exclude
 *   ENV, LABEL    keys and values, all with the environment before the instruction
 *   RUN           --mount values (not from=); never the command
 *   EXPOSE        each word, which may then split into several
 *   USER, WORKDIR, VOLUME, STOPSIGNAL   the argument
 *   ARG           by scope.h, one pair after the other; instruction_expand() returns it as it is
 *   FROM          by scope.h, with global ARGs only
 *   CMD, ENTRYPOINT, HEALTHCHECK, MAINTAINER, ONBUILD, SHELL   nothing
 *
 * Ownership: an Instruction inside a Stage belongs to the Stages; one made by instruction_expand() or instruction_parse() is freed by instruction_free().
 *
 * To add an instruction: a kind in InstructionKind, a row in the table of instruction.c (name, parser), a line parser in line.c's table, its fields here,
 * its expansion in instruction_expand.c, golden cases in tests/golden/dockerfile/.
 */
#pragma once

#include "dockerfile/ast.h"
#include "dockerfile/expand.h"

typedef enum InstructionKind {
        INSTRUCTION_ADD,
        INSTRUCTION_ARG,
        INSTRUCTION_CMD,
        INSTRUCTION_COPY,
        INSTRUCTION_ENTRYPOINT,
        INSTRUCTION_ENV,
        INSTRUCTION_EXPOSE,
        INSTRUCTION_FROM,
        INSTRUCTION_HEALTHCHECK,
        INSTRUCTION_LABEL,
        INSTRUCTION_MAINTAINER,
        INSTRUCTION_ONBUILD,
        INSTRUCTION_RUN,
        INSTRUCTION_SHELL,
        INSTRUCTION_STOPSIGNAL,
        INSTRUCTION_USER,
        INSTRUCTION_VOLUME,
        INSTRUCTION_WORKDIR,
        INSTRUCTION_KINDS
} InstructionKind;

/* "ADD", "ARG", …; static. */
const char *instruction_kind_name(InstructionKind kind);

/* A flag that may be absent. */
typedef enum Tristate { TRISTATE_UNSET, TRISTATE_FALSE, TRISTATE_TRUE } Tristate;

/* ENV, LABEL: key and value. ARG: value is NULL when there is no default. */
typedef struct DfPair {
        const char *key;
        const char *value;
        bool legacy;     /* `ENV key value` */
        const char *doc; /* ARG: "# key text" above it; or NULL */
        SourcePos pos;
} DfPair;

/* RUN, CMD, ENTRYPOINT, HEALTHCHECK CMD. */
typedef struct CommandLine {
        bool shell_form;   /* one string in args[0], to be run by SHELL; else exec form */
        const char **args; /* may be empty for `CMD []`; args[n_args] is NULL */
        size_t n_args;
} CommandLine;

typedef enum MountType { MOUNT_BIND, MOUNT_CACHE, MOUNT_TMPFS, MOUNT_SECRET, MOUNT_SSH } MountType;
typedef enum MountSharing { SHARING_UNSET, SHARING_SHARED, SHARING_PRIVATE, SHARING_LOCKED } MountSharing; /* unset means shared */

typedef struct DfMount {
        MountType type;
        const char *from;   /* stage, image or named context; NULL: the build context (bind), an empty directory (cache) */
        const char *source; /* or NULL; secret: the id when `id` is NULL */
        const char *target; /* or NULL; relative to WORKDIR */
        bool read_only;
        uint64_t size;  /* tmpfs; bytes, 0 = no limit */
        const char *id; /* cache, secret, ssh; or NULL (cache: the cleaned target is the id) */
        MountSharing sharing;
        bool required;
        const char *env; /* secret as this variable; NULL: no env= given; "" is possible */
        bool has_mode, has_uid, has_gid;
        uint32_t mode, uid, gid;
        SourcePos pos;
} DfMount;

typedef enum DfNetwork { DF_NETWORK_DEFAULT, DF_NETWORK_NONE, DF_NETWORK_HOST } DfNetwork; /* RunNetwork is runtime/runtime.h's */
typedef enum RunSecurity { RUN_SECURITY_SANDBOX, RUN_SECURITY_INSECURE } RunSecurity;

typedef struct RunInstruction {
        CommandLine command;
        DfWord *mount_flags; /* the values of --mount as written */
        DfMount *mounts;     /* as written only `from` is known; all fields after instruction_expand() */
        size_t n_mounts;
        DfNetwork network;
        RunSecurity security;
        bool has_network, has_security; /* the flag was given */
} RunInstruction;

/* A file written out in the Dockerfile: COPY <<name dest. */
typedef struct DfInlineFile {
        const char *name;
        const char *data; /* after "<<-" removed the tabs */
        size_t size;
        bool expand;
        SourcePos pos;
} DfInlineFile;

/* ADD and COPY. */
typedef struct CopyInstruction {
        DfWord *sources;
        size_t n_sources;
        DfInlineFile *files;
        size_t n_files;
        DfWord destination;
        const char *from; /* COPY; NULL: the build context */
        SourcePos from_pos;
        const char *chown; /* or NULL; "user[:group]" */
        const char *chmod; /* or NULL; checked with chmod_parse() by instruction_expand() */
        bool link;
        bool parents; /* COPY */
        const char **exclude;
        size_t n_exclude;
        const char *checksum;  /* ADD; or NULL */
        Tristate keep_git_dir; /* ADD */
        Tristate unpack;       /* ADD; unset: local archives yes, URLs no */
} CopyInstruction;

typedef struct HealthInstruction {
        bool none;         /* HEALTHCHECK NONE: test is {"NONE"} */
        const char **test; /* as in the image config: {"CMD", …} or {"CMD-SHELL", text}; NULL-terminated */
        size_t n_test;
        int64_t interval, timeout, start_period, start_interval; /* nanoseconds; 0 = not given */
        int32_t retries;
} HealthInstruction;

typedef struct FromInstruction {
        DfWord image;     /* image reference, stage name or "scratch"; unexpanded */
        const char *name; /* after AS, in lower case; NULL without */
        const char *name_written;
        const char *as;       /* the word AS as written, or NULL */
        const char *platform; /* unexpanded; NULL without --platform */
        SourcePos platform_pos;
        const char *doc; /* "# name text" above it; or NULL */
} FromInstruction;

typedef struct Instruction {
        InstructionKind kind;
        const char *keyword;  /* as written */
        const char *original; /* the trimmed logical line, for history and progress */
        const char *filename;
        SourcePos pos;
        SourceRange range;
        const char **comments;
        size_t n_comments;
        const DfHeredoc *heredocs;
        size_t n_heredocs;
        char escape; /* of the file it came from */
        union {
                CopyInstruction copy; /* ADD, COPY */
                struct {
                        DfPair *items;
                        size_t n_items;
                } pairs;             /* ENV, LABEL, ARG */
                CommandLine command; /* CMD, ENTRYPOINT */
                struct {
                        DfWord *items; /* as written: words, sorted. Expanded: "80/tcp", ranges resolved, in that order */
                        size_t n_items;
                } ports;
                FromInstruction from;
                HealthInstruction health;
                struct {
                        const char *expression; /* what goes into the image config, with heredoc bodies */
                        InstructionKind kind;   /* of the trigger */
                } onbuild;
                RunInstruction run;
                struct {
                        const char **args;
                        size_t n_args;
                } shell;
                struct {
                        DfWord *items;
                        size_t n_items;
                } volumes;
                DfWord word; /* MAINTAINER, STOPSIGNAL, USER, WORKDIR */
        };
        Arena *arena; /* NULL when it belongs to Stages */
} Instruction;

/*
 * Understands one node. `RUN --device` is refused: UNSUPPORTED.
 * Errors: INVALID, with BuildKit's sentences and suggestions. Ownership: *ret is freed with instruction_free() and must not outlive the Dockerfile.
 */
int instruction_parse(Instruction **ret, const Dockerfile *df, const DfNode *node, Diagnosis *diag, Error *err);
void instruction_free(Instruction *instruction);
DEFINE_CLEANUP(Instruction *, instruction_free)

/*
 * The expanded copy; see the table above. Also checks what can only be checked then: mounts, --chmod, --checksum rules, ports, signals.
 * `use` (may be NULL) collects the names met. Ownership: *ret is freed with instruction_free(); it may not outlive the source instruction.
 */
int instruction_expand(Instruction **ret, const Instruction *instruction, const ExpandEnv *env, ExpandUse *use, Diagnosis *diag, Error *err);

/*
 * How a RUN with heredocs is to be run. Without heredocs, `command` is args[0] (shell form) or NULL (exec form: use command.args).
 * A single heredoc as the whole command is a script: with "#!" it is a file to execute, else its text is the command.
 * Several, or a command around them: the text is put together again for the shell.
 */
typedef struct RunScript {
        char *command;         /* for SHELL; NULL: exec form, or `file_name` is to be executed */
        const char *file_name; /* "EOF": the file to make, mode 0755, run as /dev/pipes/EOF */
        char *file_data;
        size_t file_size;
} RunScript;

int run_script_make(RunScript *ret, const Instruction *run, Error *err);
void run_script_done(RunScript *script);

/* Whether `name` is a signal that STOPSIGNAL takes ("SIGTERM", "term", "15"). */
bool dockerfile_signal_is_valid(const char *name);
