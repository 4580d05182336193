#include "fs/subid.h"

#include "base/mem.h"
#include "base/str.h"

static bool is_owner(const char *word, uint32_t uid, const char *name)
{
        uint32_t number;

        return (name && streq(word, name)) || (str_to_u32(word, &number) == 0 && number == uid);
}

static bool parse_line(const char *line, uint32_t uid, const char *name, SubidRange *ret)
{
        _cleanup_strlist_ StrList words = { 0 };

        strlist_split(&words, line, ':');
        return words.n_items == 3 && is_owner(words.items[0], uid, name) && str_to_u32(words.items[1], &ret->first) == 0 &&
               str_to_u32(words.items[2], &ret->count) == 0 && ret->count > 0 && ret->count <= UINT32_MAX - ret->first;
}

size_t subid_parse(const char *text, uint32_t uid, const char *name, SubidRange ret[SUBID_RANGES_MAX])
{
        _cleanup_strlist_ StrList lines = { 0 };
        size_t n = 0;

        strlist_split(&lines, text, '\n');
        for (size_t i = 0; i < lines.n_items && n < SUBID_RANGES_MAX; i++)
                n += parse_line(lines.items[i], uid, name, &ret[n]);
        return n;
}
