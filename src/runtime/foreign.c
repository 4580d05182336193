#include "runtime/foreign.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"

#define BINFMT "/proc/sys/fs/binfmt_misc"
#define PROBE_NAME "probe"
/* Far more than an emulator needs to start. */
#define PROBE_TIMEOUT_MS 10000

/* exit(0) in the words of each processor. */
typedef struct Machine {
        const char *architecture; /* GOARCH */
        const char *emulator;     /* qemu's name of it */
        uint16_t machine;
        uint8_t bits;
        bool big_endian;
        uint32_t flags;
        uint8_t code[16];
        uint8_t code_size;
} Machine;

#define CODE(...) { __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })

static const Machine machines[] = {
        { "386", "i386", EM_386, 32, false, 0, CODE(0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80) },
        { "amd64", "x86_64", EM_X86_64, 64, false, 0, CODE(0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05) },
        { "arm", "arm", EM_ARM, 32, false, 0x05000000, CODE(0x00, 0x00, 0xa0, 0xe3, 0x01, 0x70, 0xa0, 0xe3, 0x00, 0x00, 0x00, 0xef) },
        { "arm64", "aarch64", EM_AARCH64, 64, false, 0, CODE(0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4) },
        { "loong64", "loongarch64", 258, 64, false, 0x43, CODE(0x04, 0x00, 0x80, 0x02, 0x0b, 0x74, 0x81, 0x02, 0x00, 0x00, 0x2b, 0x00) },
        { "mips64le", "mips64el", EM_MIPS, 64, false, 0x80000007, CODE(0x00, 0x00, 0x04, 0x24, 0xc2, 0x13, 0x02, 0x24, 0x0c, 0x00, 0x00, 0x00) },
        { "ppc64le", "ppc64le", EM_PPC64, 64, false, 2, CODE(0x00, 0x00, 0x60, 0x38, 0x01, 0x00, 0x00, 0x38, 0x02, 0x00, 0x00, 0x44) },
        { "riscv64", "riscv64", EM_RISCV, 64, false, 0, CODE(0x13, 0x05, 0x00, 0x00, 0x93, 0x08, 0xd0, 0x05, 0x73, 0x00, 0x00, 0x00) },
        { "s390x", "s390x", EM_S390, 64, true, 0, CODE(0xa7, 0x29, 0x00, 0x00, 0x0a, 0x01) },
};

static const Machine *find_machine(const char *architecture)
{
        for (size_t i = 0; architecture && i < ARRAY_LEN(machines); i++)
                if (streq(machines[i].architecture, architecture))
                        return &machines[i];
        return NULL;
}

/* --- the program --- */

static void put(Buf *out, const Machine *machine, uint64_t value, unsigned size)
{
        for (unsigned i = 0; i < size; i++)
                buf_putc(out, (char)(value >> 8 * (machine->big_endian ? size - 1 - i : i)));
}

/* An ELF file of one segment: headers and code. */
static void write_program(const Machine *machine, Buf *out)
{
        unsigned word = machine->bits / 8, header = machine->bits == 64 ? 64 : 52, segment = machine->bits == 64 ? 56 : 32;
        const uint64_t base = 0x400000, size = header + segment + machine->code_size;
        const uint8_t ident[16] = { 0x7f, 'E', 'L', 'F', machine->bits == 64 ? ELFCLASS64 : ELFCLASS32, machine->big_endian ? ELFDATA2MSB : ELFDATA2LSB, 1 };

        buf_put(out, ident, sizeof(ident));
        put(out, machine, ET_EXEC, 2);
        put(out, machine, machine->machine, 2);
        put(out, machine, 1, 4);
        put(out, machine, base + header + segment, word);
        put(out, machine, header, word); /* program headers */
        put(out, machine, 0, word);      /* no sections */
        put(out, machine, machine->flags, 4);
        put(out, machine, header, 2);
        put(out, machine, segment, 2);
        put(out, machine, 1, 2);
        put(out, machine, 0, 6);
        put(out, machine, PT_LOAD, 4);
        if (word == 8)
                put(out, machine, PF_R | PF_X, 4);
        put(out, machine, 0, word);
        put(out, machine, base, word);
        put(out, machine, base, word);
        put(out, machine, size, word);
        put(out, machine, size, word);
        if (word == 4)
                put(out, machine, PF_R | PF_X, 4);
        put(out, machine, 0x10000, word);
        buf_put(out, machine->code, machine->code_size);
}

/* --- trying it --- */

_noreturn_ static void run_program(const char *directory)
{
        char *const argv[] = { (char *)"/" PROBE_NAME, NULL }, *const envp[] = { NULL };
        int null = open("/dev/null", O_RDWR);

        /* What an emulator has to say about it is for nobody. */
        if (null >= 0) {
                dup2(null, STDOUT_FILENO);
                dup2(null, STDERR_FILENO);
        }
        if (chroot(directory) == 0 && chdir("/") == 0)
                execve(argv[0], argv, envp);
        _exit(126);
}

static int wait_for(pid_t pid)
{
        const struct timespec pause = { .tv_nsec = NSEC_PER_MSEC };
        int status;

        for (int waited = 0;; waited++) {
                pid_t r = waitpid(pid, &status, WNOHANG);

                if (r == pid)
                        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
                if ((r < 0 && errno != EINTR) || waited > PROBE_TIMEOUT_MS) {
                        kill(pid, SIGKILL);
                        (void)waitpid(pid, &status, 0);
                        return 0;
                }
                nanosleep(&pause, NULL);
        }
}

static int try_program(const Machine *machine, const char *directory, Error *err)
{
        _cleanup_buf_ Buf program = BUF_INIT(KIB);
        _cleanup_free_ char *path = xasprintf("%s/" PROBE_NAME, directory);
        int fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0700), r;
        pid_t pid;

        if (fd < 0)
                return error_errno(err, errno, "cannot make '%s'", path);
        write_program(machine, &program);
        r = fd_write_all(fd, program.data, program.size);
        close(fd);
        if (r < 0) {
                (void)sys_unlinkat(AT_FDCWD, path, 0);
                return error_errno(err, r, "cannot write '%s'", path);
        }
        pid = fork();
        if (pid == 0)
                run_program(directory);
        r = pid < 0 ? error_errno(err, errno, "cannot start a process") : wait_for(pid);
        (void)sys_unlinkat(AT_FDCWD, path, 0);
        return r;
}

/* What the kernel does not ask of a program and the processor may lack. */
static bool has_level(const char *variant)
{
#ifdef __x86_64__
        if (streq_ptr(variant, "v4"))
                return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
        if (streq_ptr(variant, "v3"))
                return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
        if (streq_ptr(variant, "v2"))
                return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
#endif
        return true;
}

void platform_host_best(Platform *ret)
{
        static const char *const levels[] = { "v4", "v3", "v2" };

        platform_host(ret);
        if (streq_ptr(ret->architecture, "arm64") && !ret->variant)
                ret->variant = xstrdup("v8");
        for (size_t i = 0; i < ARRAY_LEN(levels) && streq_ptr(ret->architecture, "amd64") && !ret->variant; i++)
                if (has_level(levels[i]))
                        ret->variant = xstrdup(levels[i]);
}

int platform_runs(const Platform *platform, const char *directory, Error *err)
{
        _cleanup_platform_ Platform host = { 0 };
        const Machine *machine = find_machine(platform->architecture);

        platform_host(&host);
        if (!streq_ptr(platform->os, host.os))
                return 0;
        if (streq_ptr(platform->architecture, host.architecture) && (!platform->variant || streq_ptr(platform->variant, host.variant)))
                return 1;
        if (streq_ptr(platform->architecture, "amd64") && streq_ptr(host.architecture, "amd64"))
                return has_level(platform->variant);
        return machine ? try_program(machine, directory, err) : 0;
}

/* --- saying why not --- */

/* An entry of binfmt_misc: its "interpreter", "flags", "enabled". False when it cannot be read. */
static bool read_entry(const char *name, Buf *text)
{
        _cleanup_free_ char *path = xasprintf(BINFMT "/%s", name);

        buf_reset(text);
        return file_read(AT_FDCWD, path, text) == 0 && text->size;
}

/* The entry that names the emulator. New string, or NULL. */
static char *find_entry(const char *emulator, Buf *text)
{
        _cleanup_free_ char *wanted = xasprintf("qemu-%s", emulator);
        DIR *dir = opendir(BINFMT);
        char *found = NULL;
        struct dirent *entry;

        while (dir && !found && (entry = readdir(dir)))
                if (entry->d_name[0] != '.' && strstr(entry->d_name, wanted) && read_entry(entry->d_name, text))
                        found = xstrdup(entry->d_name);
        if (dir)
                closedir(dir);
        return found;
}

static bool has_flag(const Buf *entry, char flag)
{
        const char *line = strstr(buf_str(entry), "\nflags:");

        return line && memchr(line + 7, flag, strcspn(line + 1, "\n") - 6);
}

char *platform_why_not(const Platform *platform)
{
        const Machine *machine = find_machine(platform->architecture);
        _cleanup_free_ char *text = platform_format(platform, false), *name = NULL;
        _cleanup_buf_ Buf entry = BUF_INIT(64 * KIB);

        if (!streq_ptr(platform->os, "linux") || !machine)
                return xasprintf("programs of %s cannot run on this machine, and no emulator for them is known", text);
        if (streq_ptr(platform->architecture, "amd64") && platform->variant)
                return xasprintf("this processor lacks what %s asks for", text);
        if (access(BINFMT "/status", F_OK) < 0)
                return xasprintf("programs of %s cannot run on this machine: emulators are not available (" BINFMT " is not mounted)", text);
        name = find_entry(machine->emulator, &entry);
        if (!name)
                return xasprintf("programs of %s cannot run on this machine: no emulator is registered; install qemu-user-static and binfmt-support", text);
        if (!str_starts(buf_str(&entry), "enabled"))
                return xasprintf("programs of %s cannot run on this machine: the emulator '%s' is switched off (echo 1 > " BINFMT "/%s)", text, name, name);
        if (!has_flag(&entry, 'F'))
                return xasprintf("programs of %s cannot run in a container: the emulator '%s' is registered without the flag F (fix binary), so that it is not "
                                 "found there",
                                 text, name);
        return xasprintf("programs of %s cannot run on this machine: the emulator '%s' does not work", text, name);
}
