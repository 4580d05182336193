/*
 * What a program needs to be started beside itself: the interpreter of a script ("#!/bin/sh"), the loader of a dynamically linked program ("/lib64/ld-…"). The
 * kernel says "no such file or directory" of the program when that is what is missing.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "fs/path.h"
#include "runtime/private.h"

/* The kernel follows that many scripts whose interpreter is a script, and reads that much of a first line. */
#define SCRIPTS_MAX 5
#define LINE_MAX_SIZE 256
/* A path, with its zero. */
#define LOADER_MAX 4096
#define HEADERS_MAX 256u

/* "#! /bin/sh -e" -> "/bin/sh"; NULL when it is no script, or one that the kernel would not take. New string. */
static char *of_script(const char *line, size_t size)
{
        const char *start = line + 2, *end = line + size;
        size_t n = 0;

        if (size < 3 || line[0] != '#' || line[1] != '!')
                return NULL;
        while (start < end && (*start == ' ' || *start == '\t'))
                start++;
        while (start + n < end && !strchr(" \t\n", start[n])) /* also at a zero */
                n++;
        return n > 0 && start + n < end ? xstrndup(start, n) : NULL;
}

/* Programs of another processor are run by an emulator, which may look elsewhere. */
static bool is_native(uint16_t machine)
{
#if defined(__x86_64__)
        return machine == EM_X86_64 || machine == EM_386;
#elif defined(__aarch64__)
        return machine == EM_AARCH64 || machine == EM_ARM;
#else
        return false;
#endif
}

static char *read_loader(int fd, uint64_t offset, uint64_t size)
{
        char text[LOADER_MAX];

        if (size < 2 || size > sizeof(text) || fd_pread_full(fd, text, size, offset) != (ssize_t)size || text[size - 1] != '\0' || text[0] != '/')
                return NULL;
        return xstrdup(text);
}

/* The path that PT_INTERP has; NULL for static programs and what is no program of this machine. New string. */
static char *of_program(int fd)
{
        Elf64_Ehdr header;
        Elf32_Ehdr narrow_header;
        unsigned n;
        bool wide;

        if (fd_pread_full(fd, &header, sizeof(header), 0) != sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
            header.e_ident[EI_DATA] != ELFDATA2LSB || !is_native(header.e_machine))
                return NULL;
        wide = header.e_ident[EI_CLASS] == ELFCLASS64;
        memcpy(&narrow_header, &header, sizeof(narrow_header));
        n = wide ? header.e_phnum : narrow_header.e_phnum;
        for (unsigned i = 0; i < MIN(n, HEADERS_MAX); i++) {
                Elf32_Phdr narrow;
                Elf64_Phdr entry;

                if (wide) {
                        if (fd_pread_full(fd, &entry, sizeof(entry), header.e_phoff + i * sizeof(entry)) != sizeof(entry))
                                return NULL;
                } else {
                        if (fd_pread_full(fd, &narrow, sizeof(narrow), narrow_header.e_phoff + i * sizeof(narrow)) != sizeof(narrow))
                                return NULL;
                        entry = (Elf64_Phdr){ .p_type = narrow.p_type, .p_offset = narrow.p_offset, .p_filesz = narrow.p_filesz };
                }
                if (entry.p_type == PT_INTERP)
                        return read_loader(fd, entry.p_offset, entry.p_filesz);
        }
        return NULL;
}

static char *needed_by(int root_fd, const char *path)
{
        char line[LINE_MAX_SIZE] = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_close_ int fd = -1;
        char *script;
        struct stat st;
        ssize_t n;

        /* Nothing else is opened: a device would notice, a fifo would wait */
        if (inroot_stat(root_fd, path, true, &st, &ignored) < 0 || !S_ISREG(st.st_mode))
                return NULL;
        fd = inroot_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &ignored);
        if (fd < 0)
                return NULL;
        n = fd_pread_full(fd, line, sizeof(line), 0);
        script = n > 0 ? of_script(line, (size_t)n) : NULL;
        return script ? script : of_program(fd);
}

char *runtime_missing_interpreter(int root_fd, const char *cwd, const char *path)
{
        _cleanup_free_ char *at = xstrdup(path);

        for (int i = 0; i < SCRIPTS_MAX; i++) {
                _cleanup_free_ char *needed = needed_by(root_fd, at), *place = NULL;
                _cleanup_error_ Error failure = ERROR_INIT;
                struct stat st;

                if (!needed)
                        return NULL;
                place = *needed == '/' ? xstrdup(needed) : xasprintf("%s/%s", cwd, needed);
                if (inroot_stat(root_fd, place, true, &st, &failure) < 0)
                        return failure.errnum == ENOENT || failure.errnum == ENOTDIR ? TAKE_PTR(needed) : NULL;
                free(at);
                at = TAKE_PTR(place);
        }
        return NULL;
}
