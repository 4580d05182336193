/* One word; the first byte chooses the options. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "dockerfile/expand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        ExpandOptions options = { 0 };
        _cleanup_strlist_ StrList env = { 0 }, words = { 0 };
        _cleanup_free_ char *word = NULL, *result = NULL;
        _cleanup_expand_use_ ExpandUse use = EXPAND_USE_INIT;
        Error err = ERROR_INIT;
        ExpandEnv getter;

        if (size == 0)
                return 0;
        options.escape = data[0] & 16 ? '`' : '\\';
        options.raw_quotes = data[0] & 1;
        options.raw_escapes = data[0] & 2;
        options.ignore_quotes = data[0] & 4;
        options.skip_unset = data[0] & 8;
        word = xstrndup((const char *)data + 1, strnlen((const char *)data + 1, size - 1));
        strlist_add(&env, "A=abc/def.tar.gz");
        strlist_add(&env, "B=a*b\nc\xc3\xa9");
        strlist_add(&env, "N=");
        getter = expand_env_list(&env);
        expand_word(&result, word, &getter, &options, &use, &err);
        error_done(&err);
        expand_words(&words, word, &getter, &options, NULL, &err);
        error_done(&err);
        return 0;
}
