#include "runtime/seccomp_profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/encode.h"
#include "json/json.h"

/* Profiles are some 20 KiB; what an administrator hands us may be larger, but not without end. */
#define PROFILE_SIZE_MAX ((size_t)4 << 20)
#define PROGRAM_SIZE_MAX ((size_t)4096 * 8)

#define CACHE_FORMAT "2" /* part of the key: raise it when the way of compiling changes */

/* Machine names of uname(2), of docker's profiles (GOARCH) and of libseccomp, with the 32-bit ones that the same kernel runs. */
static const struct Machine {
        const char *uname, *goarch, *arch, *sub_arch[2];
} machines[] = {
        { "x86_64", "amd64", "SCMP_ARCH_X86_64", { "SCMP_ARCH_X86", "SCMP_ARCH_X32" } },
        { "aarch64", "arm64", "SCMP_ARCH_AARCH64", { "SCMP_ARCH_ARM", NULL } },
        { "armv7l", "arm", "SCMP_ARCH_ARM", { NULL, NULL } },
        { "i686", "386", "SCMP_ARCH_X86", { NULL, NULL } },
        { "ppc64le", "ppc64le", "SCMP_ARCH_PPC64LE", { NULL, NULL } },
        { "riscv64", "riscv64", "SCMP_ARCH_RISCV64", { NULL, NULL } },
        { "s390x", "s390x", "SCMP_ARCH_S390X", { "SCMP_ARCH_S390", NULL } },
};

static const struct ErrnoName {
        const char *name;
        int number;
} errno_names[] = { { "EACCES", EACCES }, { "EINVAL", EINVAL }, { "ENOSYS", ENOSYS }, { "EPERM", EPERM } };

void seccomp_profile_done(SeccompProfile *seccomp)
{
        free(seccomp->default_action);
        strlist_done(&seccomp->architectures);
        strlist_done(&seccomp->flags);
        for (size_t i = 0; i < seccomp->n_rules; i++) {
                SeccompRule *rule = &seccomp->rules[i];

                strlist_done(&rule->names);
                free(rule->action);
                for (size_t k = 0; k < rule->n_args; k++)
                        free(rule->args[k].op);
                free(rule->args);
        }
        free(seccomp->rules);
        *seccomp = (SeccompProfile){ 0 };
}

static const struct Machine *machine_here(const struct utsname *host)
{
        for (size_t i = 0; i < ARRAY_LEN(machines); i++)
                if (streq(machines[i].uname, host->machine))
                        return &machines[i];
        return NULL;
}

static bool array_has(const JsonValue *array, const char *s)
{
        for (size_t i = 0; i < json_value_size(array); i++) {
                const char *item = json_value_string(json_value_at(array, i));

                if (item && streq(item, s))
                        return true;
        }
        return false;
}

static bool has_capability(CapSet set, const char *name)
{
        for (unsigned i = 0; capability_name(i); i++)
                if (name && streq(capability_name(i), name))
                        return set >> i & 1;
        return false;
}

/* "4.8": is this kernel at least that? What cannot be read is not. */
static bool kernel_at_least(const char *release, const char *wanted)
{
        unsigned long have[2] = { 0 }, want[2] = { 0 };

        if (sscanf(release, "%lu.%lu", &have[0], &have[1]) < 1 || sscanf(wanted, "%lu.%lu", &want[0], &want[1]) < 1)
                return false;
        return have[0] > want[0] || (have[0] == want[0] && have[1] >= want[1]);
}

/* moby profiles/seccomp/seccomp_linux.go: every condition of `includes` must hold, none of `excludes` may. */
static bool rule_applies(const JsonValue *rule, CapSet bounding, const struct Machine *machine, const char *release)
{
        const JsonValue *includes = json_value_get(rule, "includes"), *excludes = json_value_get(rule, "excludes");
        const JsonValue *caps = json_value_get(includes, "caps"), *arches = json_value_get(includes, "arches");
        const char *kernel = json_value_string(json_value_get(includes, "minKernel"));

        if (json_value_size(arches) > 0 && !array_has(arches, machine->goarch))
                return false;
        for (size_t i = 0; i < json_value_size(caps); i++)
                if (!has_capability(bounding, json_value_string(json_value_at(caps, i))))
                        return false;
        if (kernel && !kernel_at_least(release, kernel))
                return false;
        if (array_has(json_value_get(excludes, "arches"), machine->goarch))
                return false;
        caps = json_value_get(excludes, "caps");
        for (size_t i = 0; i < json_value_size(caps); i++)
                if (has_capability(bounding, json_value_string(json_value_at(caps, i))))
                        return false;
        kernel = json_value_string(json_value_get(excludes, "minKernel"));
        return !kernel || !kernel_at_least(release, kernel);
}

/* errnoRet, or the errno's name as containers-common also writes it; -1 for neither. */
static int64_t errno_of(const JsonValue *object, const char *number_key, const char *name_key)
{
        int64_t number = json_value_int(json_value_get(object, number_key), -1);
        const char *name = json_value_string(json_value_get(object, name_key));

        for (size_t i = 0; number < 0 && name && i < ARRAY_LEN(errno_names); i++)
                if (streq(errno_names[i].name, name))
                        number = errno_names[i].number;
        return number;
}

static int read_rule(const JsonValue *value, SeccompRule *rule, Error *err)
{
        const JsonValue *names = json_value_get(value, "names"), *args = json_value_get(value, "args");
        const char *name = json_value_string(json_value_get(value, "name")), *action = json_value_string(json_value_get(value, "action"));

        if (!action || (!name && json_value_size(names) == 0))
                return error_set(err, ERROR_INVALID, "a rule needs 'names' and 'action'");
        rule->action = xstrdup(action);
        rule->errno_ret = errno_of(value, "errnoRet", "errno");
        if (name)
                strlist_add(&rule->names, name);
        for (size_t i = 0; i < json_value_size(names); i++) {
                name = json_value_string(json_value_at(names, i));
                if (!name)
                        return error_set(err, ERROR_INVALID, "'names' must be strings");
                strlist_add(&rule->names, name);
        }
        rule->args = json_value_size(args) ? NEW_ARRAY(SeccompArg, json_value_size(args)) : NULL;
        for (size_t i = 0; i < json_value_size(args); i++) {
                const JsonValue *arg = json_value_at(args, i);
                const char *op = json_value_string(json_value_get(arg, "op"));
                int64_t index = json_value_int(json_value_get(arg, "index"), -1);

                if (!op || index < 0 || index > 5)
                        return error_set(err, ERROR_INVALID, "an argument needs 'op' and an 'index' of 0 to 5");
                rule->args[rule->n_args++] = (SeccompArg){ .index = (uint64_t)index,
                                                           .value = (uint64_t)json_value_int(json_value_get(arg, "value"), 0),
                                                           .value_two = (uint64_t)json_value_int(json_value_get(arg, "valueTwo"), 0),
                                                           .op = xstrdup(op) };
        }
        return 0;
}

static int resolve(const JsonValue *profile, CapSet bounding, SeccompProfile *seccomp, Error *err)
{
        const JsonValue *rules = json_value_get(profile, "syscalls"), *list;
        const char *action = json_value_string(json_value_get(profile, "defaultAction"));
        const struct Machine *machine;
        struct utsname host;

        uname(&host);
        machine = machine_here(&host);
        if (!machine)
                return error_set(err, ERROR_UNSUPPORTED, "seccomp profiles are not supported on '%s'; use seccomp=unconfined", host.machine);
        if (!action)
                return error_set(err, ERROR_INVALID, "it has no 'defaultAction'");
        seccomp->default_action = xstrdup(action);
        seccomp->default_errno_ret = errno_of(profile, "defaultErrnoRet", "defaultErrno");
        list = json_value_get(profile, "architectures");
        for (size_t i = 0; i < json_value_size(list); i++)
                if (json_value_string(json_value_at(list, i)))
                        strlist_add(&seccomp->architectures, json_value_string(json_value_at(list, i)));
        if (seccomp->architectures.n_items == 0) {
                strlist_add(&seccomp->architectures, machine->arch);
                for (size_t i = 0; i < ARRAY_LEN(machine->sub_arch) && machine->sub_arch[i]; i++)
                        strlist_add(&seccomp->architectures, machine->sub_arch[i]);
        }
        list = json_value_get(profile, "flags");
        for (size_t i = 0; i < json_value_size(list); i++)
                if (json_value_string(json_value_at(list, i)))
                        strlist_add(&seccomp->flags, json_value_string(json_value_at(list, i)));
        seccomp->rules = json_value_size(rules) ? NEW_ARRAY(SeccompRule, json_value_size(rules)) : NULL;
        for (size_t i = 0; i < json_value_size(rules); i++) {
                const JsonValue *rule = json_value_at(rules, i);

                if (!rule_applies(rule, bounding, machine, host.release))
                        continue;
                if (read_rule(rule, &seccomp->rules[seccomp->n_rules++], err) < 0)
                        return -1;
        }
        return 0;
}

/* Opens the profile and says what to do when it is not there. */
static int open_profile(const char *path, Error *err)
{
        int fd;

        path = path ? path : SECCOMP_DEFAULT_PROFILE;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 && errno == ENOENT && streq(path, SECCOMP_DEFAULT_PROFILE))
                return error_set(
                        err, ERROR_NOT_FOUND,
                        "the default seccomp profile '%s' is missing: install the package golang-github-containers-common, or choose seccomp=unconfined", path);
        if (fd < 0)
                return error_errno(err, errno, "cannot open the seccomp profile '%s'", path);
        return fd;
}

int seccomp_profile_load(const char *path, CapSet bounding, SeccompProfile *ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(PROFILE_SIZE_MAX);
        _cleanup_json_ JsonValue *profile = NULL;
        _cleanup_close_ int fd = open_profile(path, err);
        int r;

        if (fd < 0)
                return -1;
        r = fd_read_to_buf(fd, &text);
        if (r < 0)
                return error_errno(err, r, "cannot read the seccomp profile '%s'", path ? path : SECCOMP_DEFAULT_PROFILE);
        if (json_value_parse(text.data, text.size, NULL, &profile, err) < 0 || resolve(profile, bounding, ret, err) < 0) {
                seccomp_profile_done(ret);
                return error_wrap(err, "cannot use the seccomp profile '%s'", path ? path : SECCOMP_DEFAULT_PROFILE);
        }
        if (!path)
                seccomp_profile_tighten(ret, bounding);
        return 0;
}

void seccomp_profile_write(const SeccompProfile *seccomp, JsonWriter *writer)
{
        json_writer_begin_object(writer);
        json_writer_member_string(writer, "defaultAction", seccomp->default_action);
        if (seccomp->default_errno_ret >= 0)
                json_writer_member_int(writer, "defaultErrnoRet", seccomp->default_errno_ret);
        json_writer_key(writer, "architectures");
        json_writer_strings(writer, &seccomp->architectures);
        if (seccomp->flags.n_items > 0) {
                json_writer_key(writer, "flags");
                json_writer_strings(writer, &seccomp->flags);
        }
        json_writer_key(writer, "syscalls");
        json_writer_begin_array(writer);
        for (size_t i = 0; i < seccomp->n_rules; i++) {
                const SeccompRule *rule = &seccomp->rules[i];

                json_writer_begin_object(writer);
                json_writer_key(writer, "names");
                json_writer_strings(writer, &rule->names);
                json_writer_member_string(writer, "action", rule->action);
                if (rule->errno_ret >= 0)
                        json_writer_member_int(writer, "errnoRet", rule->errno_ret);
                if (rule->n_args > 0) {
                        json_writer_key(writer, "args");
                        json_writer_begin_array(writer);
                        for (size_t k = 0; k < rule->n_args; k++) {
                                json_writer_begin_object(writer);
                                json_writer_member_int(writer, "index", (int64_t)rule->args[k].index);
                                json_writer_key(writer, "value");
                                json_writer_uint(writer, rule->args[k].value);
                                json_writer_key(writer, "valueTwo");
                                json_writer_uint(writer, rule->args[k].value_two);
                                json_writer_member_string(writer, "op", rule->args[k].op);
                                json_writer_end_object(writer);
                        }
                        json_writer_end_array(writer);
                }
                json_writer_end_object(writer);
        }
        json_writer_end_array(writer);
        json_writer_end_object(writer);
}

/* Everything that the program depends on, as a file name: a profile that was changed, another kernel or other capabilities never find an old program. New
 * string. */
static char *cache_key(const struct stat *st, CapSet bounding, bool tightened)
{
        struct utsname host;
        char *key;

        uname(&host);
        key = xasprintf("%s%s-%" PRIx64 "-%jx-%jx-%jx-%jx.%09lx-%jx.%09lx-%s-%s", CACHE_FORMAT, tightened ? "d" : "", bounding, (uintmax_t)st->st_dev,
                        (uintmax_t)st->st_ino, (uintmax_t)st->st_size, (uintmax_t)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
                        (uintmax_t)st->st_ctim.tv_sec, (unsigned long)st->st_ctim.tv_nsec, host.machine, host.release);
        for (char *p = key; *p; p++)
                if (*p == '/')
                        *p = '_';
        return key;
}

int seccomp_profile_program(const char *path, CapSet bounding, const char *cache_dir, char **ret, Error *err)
{
        _cleanup_buf_ Buf program = BUF_INIT(PROGRAM_SIZE_MAX), text = BUF_INIT(PROGRAM_SIZE_MAX * 2);
        _cleanup_close_ int fd = open_profile(path, err), dir_fd = -1;
        _cleanup_seccomp_profile_ SeccompProfile seccomp = { 0 };
        _cleanup_free_ char *key = NULL;
        struct stat st;
        int r;

        if (fd < 0)
                return -1;
        if (fstat(fd, &st) < 0)
                return error_errno(err, errno, "cannot look at the seccomp profile '%s'", path ? path : SECCOMP_DEFAULT_PROFILE);
        key = cache_key(&st, bounding, path == NULL);
        dir_fd = open(cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd >= 0 && file_read(dir_fd, key, &text) == 0 && text.size > 0) {
                *ret = buf_detach(&text);
                return 0;
        }
        if (seccomp_profile_load(path, bounding, &seccomp, err) < 0 || seccomp_profile_compile(&seccomp, &program, err) < 0)
                return -1;
        *ret = base64_encode(BASE64_STANDARD, program.data, program.size);
        if (dir_fd < 0 && dir_make(AT_FDCWD, cache_dir, 0700) == 0)
                dir_fd = open(cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = dir_fd < 0 ? -errno : file_write_atomic(dir_fd, key, *ret, strlen(*ret), 0600, false);
        if (r < 0)
                log_debug("cannot keep a seccomp program in '%s': %s", cache_dir, strerror(-r));
        return 0;
}
