#include "build/explain_record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

static const char *const explain_kinds[_EXPLAIN_KINDS] = {
        [EXPLAIN_FILE] = "file",       [EXPLAIN_ARGUMENT] = "argument", [EXPLAIN_VARIABLE] = "variable", [EXPLAIN_INSTRUCTION] = "instruction",
        [EXPLAIN_COMMAND] = "command", [EXPLAIN_OPTION] = "option",     [EXPLAIN_MOUNT] = "mount",       [EXPLAIN_DOWNLOAD] = "download",
        [EXPLAIN_STAGE] = "stage",     [EXPLAIN_BELOW] = "below",       [EXPLAIN_BASE] = "base",
};

const char *explain_kind_name(ExplainKind kind)
{
        return explain_kinds[kind];
}

/* --- the struct --- */

void explain_step_done(ExplainStep *step)
{
        for (size_t k = 0; k < step->n_fields; k++) {
                free(step->fields[k].name);
                free(step->fields[k].value);
        }
        for (size_t k = 0; k < step->n_files; k++)
                free(step->files[k].path);
        free(step->fields);
        free(step->files);
        free(step->stage);
        free(step->text);
        *step = (ExplainStep){ 0 };
}

void explain_record_done(ExplainRecord *record)
{
        for (size_t i = 0; i < record->n_steps; i++)
                explain_step_done(&record->steps[i]);
        free(record->steps);
        *record = (ExplainRecord){ 0 };
}

ExplainStep *explain_record_add(ExplainRecord *record, const char *stage, const char *text)
{
        ExplainStep *step;

        GROW(record->steps, record->capacity, record->n_steps + 1);
        step = &record->steps[record->n_steps++];
        *step = (ExplainStep){ .stage = xstrdup(stage), .text = xstrdup(text) };
        str_cut_passwords(step->text);
        return step;
}

static char *short_value(const char *value)
{
        char hex[DIGEST_TEXT_SIZE];
        Digest digest;

        if (strlen(value) <= EXPLAIN_VALUE_MAX)
                return xstrdup(value);
        digest = digest_of(value, strlen(value));
        return xasprintf("%.*s… (%.12s)", EXPLAIN_VALUE_MAX - 40, value, digest_hex(&digest, hex));
}

void explain_step_add(ExplainStep *step, ExplainKind kind, const char *name, const char *value)
{
        _cleanup_free_ char *shown = xstrdup(value);

        str_cut_passwords(shown);
        GROW(step->fields, step->fields_capacity, step->n_fields + 1);
        step->fields[step->n_fields++] = (ExplainField){ .kind = kind, .name = xstrdup(name), .value = short_value(shown) };
}

void explain_step_add_file(ExplainStep *step, const char *path, uint32_t mode, uint64_t owner, uint64_t content)
{
        GROW(step->files, step->files_capacity, step->n_files + 1);
        step->files[step->n_files++] = (ExplainFile){ .path = xstrdup(path), .mode = mode, .owner = owner, .content = content };
}

static int by_path(const void *a, const void *b)
{
        return strcmp(((const ExplainFile *)a)->path, ((const ExplainFile *)b)->path);
}

void explain_step_finish(ExplainStep *step)
{
        if (step->n_files)
                qsort(step->files, step->n_files, sizeof(*step->files), by_path);
}

Digest explain_record_summary(const ExplainRecord *record)
{
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);

        for (size_t i = 0; i < record->n_steps; i++) {
                const ExplainStep *step = &record->steps[i];

                hash_field_str(hash, step->stage);
                hash_field_str(hash, step->text);
                hash_field_digest(hash, &step->key);
                hash_field_digest(hash, &step->layer);
                hash_field_u64(hash, step->complete);
        }
        return hash_digest(hash);
}

/* --- bytes --- */

static const char magic[8] = "micaEXP1";

static void put_u32(Buf *out, uint32_t n)
{
        const uint8_t bytes[4] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24) };

        buf_put(out, bytes, sizeof(bytes));
}

static void put_u64(Buf *out, uint64_t n)
{
        put_u32(out, (uint32_t)n);
        put_u32(out, (uint32_t)(n >> 32));
}

static void put_string(Buf *out, const char *s)
{
        size_t size = strlen(s);

        put_u32(out, (uint32_t)size);
        buf_put(out, s, size);
}

static void put_digest(Buf *out, const Digest *digest)
{
        buf_put(out, digest->bytes, 32);
}

static size_t files_size(const ExplainStep *step)
{
        size_t size = 0;

        for (size_t i = 0; i < step->n_files; i++)
                size += strlen(step->files[i].path) + 24;
        return size;
}

static void put_step(Buf *out, const ExplainStep *step, bool with_files)
{
        put_string(out, step->stage);
        put_string(out, step->text);
        put_digest(out, &step->key);
        put_digest(out, &step->layer);
        put_u32(out, (uint32_t)step->complete | (uint32_t)(step->files_left_out || !with_files) << 1);
        put_u32(out, (uint32_t)step->n_fields);
        for (size_t i = 0; i < step->n_fields; i++) {
                put_u32(out, step->fields[i].kind);
                put_string(out, step->fields[i].name);
                put_string(out, step->fields[i].value);
        }
        put_u32(out, with_files ? (uint32_t)step->n_files : 0);
        for (size_t i = 0; with_files && i < step->n_files; i++) {
                put_string(out, step->files[i].path);
                put_u32(out, step->files[i].mode);
                put_u64(out, step->files[i].owner);
                put_u64(out, step->files[i].content);
        }
}

void explain_record_encode(const ExplainRecord *record, Buf *out)
{
        _cleanup_buf_ Buf body = BUF_INIT(SIZE_MAX / 2);
        Digest summary = explain_record_summary(record), digest;
        size_t left = EXPLAIN_SIZE_MAX / 2;

        put_u32(&body, (uint32_t)record->n_steps);
        for (size_t i = 0; i < record->n_steps; i++) {
                size_t size = files_size(&record->steps[i]);
                bool fits = size <= left;

                put_step(&body, &record->steps[i], fits);
                left -= fits ? size : 0;
        }
        digest = digest_of(body.data, body.size);
        buf_put(out, magic, sizeof(magic));
        put_digest(out, &summary);
        put_digest(out, &digest);
        buf_put(out, body.data, body.size);
}

bool explain_head_summary(const void *data, size_t size, Digest *ret)
{
        if (size < EXPLAIN_HEAD_SIZE || memcmp(data, magic, sizeof(magic)) != 0)
                return false;
        *ret = (Digest){ .algorithm = DIGEST_SHA256 };
        memcpy(ret->bytes, (const char *)data + sizeof(magic), 32);
        return true;
}

typedef struct Reader {
        const uint8_t *at;
        size_t left;
        bool failed;
} Reader;

static const uint8_t *take(Reader *reader, size_t size)
{
        const uint8_t *at = reader->at;

        if (reader->failed || reader->left < size) {
                reader->failed = true;
                return NULL;
        }
        reader->at += size;
        reader->left -= size;
        return at;
}

static uint32_t take_u32(Reader *reader)
{
        const uint8_t *p = take(reader, 4);

        return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

static uint64_t take_u64(Reader *reader)
{
        uint64_t low = take_u32(reader);

        return low | (uint64_t)take_u32(reader) << 32;
}

static char *take_string(Reader *reader)
{
        uint32_t size = take_u32(reader);
        const uint8_t *p = take(reader, size);

        return p ? xstrndup((const char *)p, size) : xstrdup("");
}

/* A key or layer that is not there is all zero. */
static Digest take_digest(Reader *reader)
{
        static const uint8_t none[32];
        const uint8_t *p = take(reader, 32);
        Digest digest = { 0 };

        if (p && memcmp(p, none, sizeof(none)) != 0) {
                digest.algorithm = DIGEST_SHA256;
                memcpy(digest.bytes, p, 32);
        }
        return digest;
}

static void take_step(Reader *reader, ExplainRecord *record)
{
        _cleanup_free_ char *stage = take_string(reader), *text = take_string(reader);
        ExplainStep *step = explain_record_add(record, stage, text);
        uint32_t flags, n;

        step->key = take_digest(reader);
        step->layer = take_digest(reader);
        flags = take_u32(reader);
        step->complete = flags & 1;
        step->files_left_out = flags & 2;
        n = take_u32(reader);
        for (uint32_t i = 0; i < n && !reader->failed; i++) {
                uint32_t kind = take_u32(reader);
                _cleanup_free_ char *name = take_string(reader), *value = take_string(reader);

                if (kind >= _EXPLAIN_KINDS)
                        reader->failed = true;
                else
                        explain_step_add(step, (ExplainKind)kind, name, value);
        }
        n = take_u32(reader);
        for (uint32_t i = 0; i < n && !reader->failed; i++) {
                _cleanup_free_ char *path = take_string(reader);
                uint32_t mode = take_u32(reader);
                uint64_t owner = take_u64(reader), content = take_u64(reader);

                explain_step_add_file(step, path, mode, owner, content);
        }
}

int explain_record_decode(const void *data, size_t size, ExplainRecord *ret, Error *err)
{
        Reader reader = { .at = (const uint8_t *)data + EXPLAIN_HEAD_SIZE, .left = size - EXPLAIN_HEAD_SIZE };
        ExplainRecord record = { 0 };
        Digest summary, digest;
        uint32_t n;

        if (!explain_head_summary(data, size, &summary))
                return error_set(err, ERROR_CORRUPT, "it is no record of a build");
        digest = digest_of(reader.at, reader.left);
        if (memcmp(digest.bytes, (const char *)data + EXPLAIN_HEAD_SIZE - 32, 32) != 0)
                return error_set(err, ERROR_CORRUPT, "it does not match its digest");
        n = take_u32(&reader);
        for (uint32_t i = 0; i < n && !reader.failed; i++)
                take_step(&reader, &record);
        if (reader.failed || reader.left) {
                explain_record_done(&record);
                return error_set(err, ERROR_CORRUPT, "it is not complete");
        }
        *ret = record;
        return 0;
}
