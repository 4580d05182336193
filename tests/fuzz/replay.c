/*
 * Runs a fuzz target over the files of directories: how the corpus is replayed where there is no fuzzer (gcc, ordinary tests).
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replay(const char *path)
{
        DIR *dir = opendir(path);
        size_t n = 0;

        if (!dir)
                return 0;
        for (struct dirent *entry; (entry = readdir(dir));) {
                _cleanup_buf_ Buf content = BUF_INIT((size_t)16 << 20);
                _cleanup_free_ char *copy = NULL;

                if (*entry->d_name == '.' || file_read(dirfd(dir), entry->d_name, &content) < 0)
                        continue;
                copy = xmemdup(buf_str(&content), content.size + 1);
                LLVMFuzzerTestOneInput((const uint8_t *)copy, content.size);
                n++;
        }
        closedir(dir);
        return n;
}

int main(int argc, char **argv)
{
        size_t n = 0;

        for (int i = 1; i < argc; i++)
                n += replay(argv[i]);
        printf("%zu inputs\n", n);
        return n ? 0 : 1; /* an empty corpus is a mistake in the list of targets */
}
