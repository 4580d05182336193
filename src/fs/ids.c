#include "fs/ids.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* The largest number that docker lets a user ask for: a positive 32-bit int. Files may hold larger ones. */
#define ID_MAX INT64_C(0x7fffffff)
/* More supplementary groups than the kernel's NGROUPS_MAX mean nothing. */
#define GROUPS_MAX 65536

/* One line cut at its colons; the fields are not terminated. */
typedef struct Line {
        struct {
                const char *text;
                size_t size;
        } fields[7];
        size_t n_fields;
} Line;

/* The next line that is neither empty nor a comment. */
static bool line_next(const char **at, const char *end, Line *ret)
{
        while (*at < end) {
                const char *start = *at, *stop = memchr(start, '\n', (size_t)(end - start));

                if (!stop)
                        stop = end;
                *at = stop < end ? stop + 1 : end;
                while (start < stop && strchr(" \t\r", *start) && *start)
                        start++;
                while (stop > start && strchr(" \t\r", stop[-1]) && stop[-1])
                        stop--;
                if (start == stop || *start == '#')
                        continue;
                *ret = (Line){ 0 };
                for (;;) {
                        const char *colon = memchr(start, ':', (size_t)(stop - start));
                        const char *limit = colon ? colon : stop;

                        ret->fields[ret->n_fields].text = start;
                        ret->fields[ret->n_fields++].size = (size_t)(limit - start);
                        if (!colon || ret->n_fields == ARRAY_LEN(ret->fields))
                                return true;
                        start = colon + 1;
                }
        }
        return false;
}

static bool field_is(const Line *line, size_t i, const char *text, size_t size)
{
        return i < line->n_fields && line->fields[i].size == size && memcmp(line->fields[i].text, text, size) == 0;
}

static char *field_dup(const Line *line, size_t i)
{
        return i < line->n_fields ? xstrndup(line->fields[i].text, line->fields[i].size) : NULL;
}

static bool field_id(const Line *line, size_t i, uint32_t *ret)
{
        _cleanup_free_ char *text = field_dup(line, i);

        return text && str_to_u32(text, ret) == 0;
}

/* A number as a user gives it. 1: a number; 0: a name; -1: a number out of range. */
static int given_id(const char *text, uint32_t *ret)
{
        int64_t value;
        size_t digits = strspn(text + (*text == '-' || *text == '+'), "0123456789");
        int r;

        if (digits == 0 || text[digits + (*text == '-' || *text == '+')])
                return 0;
        r = str_to_i64(text + (*text == '+'), &value);
        if (r < 0 || value < 0 || value > ID_MAX)
                return -1;
        *ret = (uint32_t)value;
        return 1;
}

/* The first line named `text`, or with the number, whichever comes first in the file. */
static bool find(const char *file, size_t size, const char *text, bool is_number, uint32_t number, Line *ret, uint32_t *ret_id)
{
        const char *at = file;

        while (line_next(&at, file + size, ret)) {
                if (!field_id(ret, 2, ret_id))
                        continue;
                if (field_is(ret, 0, text, strlen(text)) || (is_number && *ret_id == number))
                        return true;
        }
        return false;
}

int ids_resolve_group(const char *spec, const char *group, size_t group_size, uint32_t *ret, Error *err)
{
        uint32_t number = 0, found;
        int r = given_id(spec, &number);
        Line line;

        if (r < 0)
                return error_set(err, ERROR_INVALID, "group '%s' is out of range: numbers go from 0 to 2147483647", spec);
        if (find(group, group_size, spec, r > 0, number, &line, &found))
                *ret = found;
        else if (r > 0)
                *ret = number;
        else
                return error_set(err, ERROR_NOT_FOUND, "unable to find group '%s': no such line in /etc/group of the image", spec);
        return 0;
}

static bool list_has(const Line *line, size_t i, const char *name)
{
        _cleanup_free_ char *members = field_dup(line, i);
        char *save = NULL;

        for (char *member = members ? strtok_r(members, ",", &save) : NULL; member; member = strtok_r(NULL, ",", &save))
                if (streq(member, name))
                        return true;
        return false;
}

static void collect_groups(Ids *ids, const char *group, size_t size)
{
        const char *at = group;
        size_t capacity = 0;
        uint32_t gid;
        Line line;

        while (ids->n_groups < GROUPS_MAX && line_next(&at, group + size, &line)) {
                if (!field_id(&line, 2, &gid) || !list_has(&line, 3, ids->name))
                        continue;
                GROW(ids->groups, capacity, ids->n_groups + 1);
                ids->groups[ids->n_groups++] = gid;
        }
}

static int resolve_user(const char *user, const char *passwd, size_t passwd_size, Ids *ids, Error *err)
{
        uint32_t number = 0, found;
        int r = *user ? given_id(user, &number) : 1; /* nobody named: root */
        Line line;

        if (r < 0)
                return error_set(err, ERROR_INVALID, "user '%s' is out of range: numbers go from 0 to 2147483647", user);
        if (!find(passwd, passwd_size, user, r > 0, number, &line, &found)) {
                if (r == 0)
                        return error_set(err, ERROR_NOT_FOUND, "unable to find user '%s': no such line in /etc/passwd of the image", user);
                ids->uid = number;
                return 0;
        }
        ids->uid = found;
        if (!field_id(&line, 3, &ids->gid))
                return error_set(err, ERROR_INVALID, "user '%s' has no group number in /etc/passwd of the image", user);
        ids->name = field_dup(&line, 0);
        ids->home = field_dup(&line, 5);
        return 0;
}

int ids_resolve(const char *spec, const char *passwd, size_t passwd_size, const char *group, size_t group_size, Ids *ret, Error *err)
{
        const char *colon = strchr(spec, ':');
        _cleanup_free_ char *user = colon ? xstrndup(spec, (size_t)(colon - spec)) : xstrdup(spec);
        const char *wanted = colon ? colon + 1 : "";
        Ids ids = { 0 };

        passwd = passwd ? passwd : "";
        group = group ? group : "";
        if (strchr(wanted, ':'))
                return error_set(err, ERROR_INVALID, "user '%s' is malformed: write 'user', 'user:group' or numbers", spec);
        if (resolve_user(user, passwd, passwd_size, &ids, err) < 0) {
                ids_done(&ids);
                return -1;
        }
        if (*wanted) {
                if (ids_resolve_group(wanted, group, group_size, &ids.gid, err) < 0) {
                        ids_done(&ids);
                        return -1;
                }
        } else if (ids.name) {
                collect_groups(&ids, group, group_size);
        }
        *ret = ids;
        return 0;
}

/* The named line's numbers. A line whose numbers cannot be read is passed over. */
static bool find_name(const char *file, size_t size, const char *name, uint32_t *ret_id, uint32_t *ret_group)
{
        const char *at = file;
        Line line;

        while (line_next(&at, file + size, &line))
                if (field_is(&line, 0, name, strlen(name)) && field_id(&line, 2, ret_id) && (!ret_group || field_id(&line, 3, ret_group)))
                        return true;
        return false;
}

int ids_resolve_owner(const char *spec, const char *passwd, size_t passwd_size, const char *group, size_t group_size, uint32_t *ret_uid, uint32_t *ret_gid,
                      Error *err)
{
        const char *colon = strchr(spec, ':');
        _cleanup_free_ char *user = colon ? xstrndup(spec, (size_t)(colon - spec)) : xstrdup(spec);
        uint32_t uid = 0, gid = 0, found;
        int r = streq(user, "root") ? 0 : given_id(user, &uid);

        if (r < 0)
                return error_set(err, ERROR_INVALID, "user '%s' is out of range: numbers go from 0 to 2147483647", user);
        if (r > 0)
                gid = uid;
        else if (!streq(user, "root") && !find_name(passwd ? passwd : "", passwd_size, user, &uid, &gid))
                uid = gid = 0;
        if (colon) {
                r = streq(colon + 1, "root") ? 0 : given_id(colon + 1, &found);
                if (r < 0)
                        return error_set(err, ERROR_INVALID, "group '%s' is out of range: numbers go from 0 to 2147483647", colon + 1);
                if (streq(colon + 1, "root") || !colon[1])
                        gid = 0;
                else if (r > 0 || find_name(group ? group : "", group_size, colon + 1, &found, NULL))
                        gid = found;
        }
        *ret_uid = uid;
        *ret_gid = gid;
        return 0;
}

void ids_done(Ids *ids)
{
        free(ids->groups);
        free(ids->name);
        free(ids->home);
        *ids = (Ids){ 0 };
}
