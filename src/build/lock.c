#include "build/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/dispatch.h"

#define LOCK_SIZE_MAX ((size_t)16 << 20)
#define LOCK_VERSION 1

static const JsonLimits limits = { .size = LOCK_SIZE_MAX, .depth = 8 };

typedef struct LockSource {
        char *kind, *source, *platform, *digest, *commit;
        StringMap unknown;
} LockSource;

struct Lock {
        int64_t version;
        JSON_ITEMS(LockSource) sources;
        char *path; /* not of the document */
};

static const JsonField source_fields[] = {
        { "kind", JSON_FIELD_STRING, offsetof(LockSource, kind), JSON_MANDATORY },
        { "source", JSON_FIELD_STRING, offsetof(LockSource, source), JSON_MANDATORY },
        { "platform", JSON_FIELD_STRING, offsetof(LockSource, platform), JSON_OMIT_EMPTY },
        { "digest", JSON_FIELD_STRING, offsetof(LockSource, digest), JSON_OMIT_EMPTY },
        { "commit", JSON_FIELD_STRING, offsetof(LockSource, commit), JSON_OMIT_EMPTY },
        { "", JSON_FIELD_UNKNOWN, offsetof(LockSource, unknown) },
        JSON_FIELD_END,
};
static const JsonField lock_fields[] = {
        { "version", JSON_FIELD_INT, offsetof(Lock, version), JSON_MANDATORY },
        { "sources", JSON_FIELD_OBJECTS, offsetof(Lock, sources), 0, source_fields, sizeof(LockSource) },
        JSON_FIELD_END,
};

void lock_free(Lock *lock)
{
        if (!lock)
                return;
        json_object_done(lock_fields, lock);
        free(lock->path);
        free(lock);
}

int lock_load(const char *path, Lock **ret, Error *err)
{
        _cleanup_(lock_freep) Lock *lock = NEW(Lock);
        _cleanup_buf_ Buf text = BUF_INIT(LOCK_SIZE_MAX);
        int r = file_read(AT_FDCWD, path, &text);

        if (r == -ENOENT)
                return error_set(err, ERROR_NOT_FOUND, "there is no lock '%s': build with --pin to make it", path);
        if (r < 0)
                return error_errno(err, r, "cannot read the lock '%s'", path);
        if (json_object_read(text.data ? text.data : "", text.size, &limits, lock_fields, lock, sizeof(*lock), err) < 0)
                return error_wrap(err, "invalid lock '%s'", path);
        if (lock->version != LOCK_VERSION)
                return error_set(err, ERROR_UNSUPPORTED, "the lock '%s' has version %lld, and only %d is known", path, (long long)lock->version, LOCK_VERSION);
        lock->path = xstrdup(path);
        *ret = TAKE_PTR(lock);
        return 0;
}

/* What names a source for people and stays the same when its content changes. */
static const char *name_of(const SourceRecord *record)
{
        return record->kind == SOURCE_IMAGE || record->kind == SOURCE_OCI_LAYOUT ? record->asked : record->uri;
}

/* For messages. */
static const char *const shown_kinds[SOURCE_KINDS] = {
        [SOURCE_IMAGE] = "image", [SOURCE_HTTP] = "file", [SOURCE_GIT] = "repository", [SOURCE_OCI_LAYOUT] = "image", [SOURCE_LOCAL] = "directory",
};

int lock_check(const Lock *lock, const SourceRecord *record, Error *err)
{
        const char *kind = source_kind_name(record->kind), *name = name_of(record), *platform = record->platform;
        char digest[DIGEST_TEXT_SIZE] = "";

        if (record->kind == SOURCE_LOCAL)
                return 0;
        if (digest_is_set(&record->digest))
                digest_format(&record->digest, digest);
        for (size_t i = 0; i < lock->sources.n_items; i++) {
                const LockSource *item = &lock->sources.items[i];
                const char *have = record->kind == SOURCE_GIT ? item->commit : item->digest, *got = record->kind == SOURCE_GIT ? record->commit : digest;

                if (!streq(item->kind, kind) || !streq(item->source, name) || (platform && item->platform && !streq(item->platform, platform)))
                        continue;
                if (have && streq(have, got))
                        return 0;
                return error_set(err, ERROR_DENIED, "--locked: the %s '%s' is %s in '%s', and %s now: build with --pin to take the new one",
                                 shown_kinds[record->kind], name, have ? have : "without a digest", lock->path, got);
        }
        return error_set(err, ERROR_DENIED, "--locked: the %s '%s'%s%s is not in '%s': build with --pin to add it", shown_kinds[record->kind], name,
                         platform ? " for " : "", platform ? platform : "", lock->path);
}

int lock_write(const char *path, Sources *sources, Error *err)
{
        Lock lock = { .version = LOCK_VERSION };
        _cleanup_buf_ Buf text = BUF_INIT(LOCK_SIZE_MAX);
        const SourceRecord *records;
        size_t n;
        int r;

        records = sources_get(sources, &n);
        for (size_t i = 0; i < n; i++) {
                LockSource *item;
                char digest[DIGEST_TEXT_SIZE];

                if (records[i].kind == SOURCE_LOCAL)
                        continue;
                item = json_items_add(&lock.sources, sizeof(LockSource));
                item->kind = xstrdup(source_kind_name(records[i].kind));
                item->source = xstrdup(name_of(&records[i]));
                item->platform = xstrdup_or_null(records[i].platform);
                item->digest = digest_is_set(&records[i].digest) ? xstrdup(digest_format(&records[i].digest, digest)) : NULL;
                item->commit = *records[i].commit ? xstrdup(records[i].commit) : NULL;
        }
        r = json_object_text(lock_fields, &lock, JSON_WRITE_INDENT_2, &text, err);
        json_object_done(lock_fields, &lock);
        if (r < 0)
                return -1;
        buf_putc(&text, '\n');
        r = file_write_atomic(AT_FDCWD, path, text.data, text.size, 0644, false);
        return r < 0 ? error_errno(err, r, "cannot write the lock '%s'", path) : 0;
}
