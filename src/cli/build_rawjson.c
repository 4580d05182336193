/*
 * `--progress rawjson`: one line for each event, as BuildKit's client writes its SolveStatus.
 *
 *   {"vertexes":[{"digest":"sha256:…","inputs":["sha256:…"],"name":"[2/3] RUN make","started":"2024-01-31T12:00:00.5Z"}]}
 *   {"statuses":[{"id":"transferring context:","vertex":"sha256:…","current":120,"timestamp":"…","started":"…","completed":"…"}]}
 *   {"logs":[{"vertex":"sha256:…","stream":1,"data":"aGkK","timestamp":"…"}]}
 *   {"warnings":[{"vertex":"sha256:…","level":1,"short":"…","detail":["…"],"url":"…","sourceInfo":{…},"range":[…]}]}
 *
 * Field names and order, base64 and times are those of Go's encoding of that struct. Differs: sourceInfo has no data (the Dockerfile's text).
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/build_progress.h"
#include "crypto/encode.h"
#include "json/writer.h"

#define LINE_SIZE_MAX ((size_t)16 << 20)

typedef struct RawVertex {
        Digest digest;
        bool known;
} RawVertex;

typedef struct Raw {
        RawVertex *vertices; /* by id */
        size_t n_vertices, capacity;
        unsigned definition; /* the vertex that warnings about the Dockerfile belong to, or 0 */
        Buf line;
        JsonWriter json;
} Raw;

static void *raw_open(void)
{
        Raw *raw = NEW(Raw);

        raw->line = BUF_INIT(LINE_SIZE_MAX);
        return raw;
}

/* A reader tells vertices apart by their digests, so two that would have the same (an identical step twice) get different ones. */
static const char *digest_text(Raw *raw, const BuildVertex *vertex, char *buffer)
{
        RawVertex *item;

        GROW(raw->vertices, raw->capacity, vertex->id + 1);
        for (; raw->n_vertices <= vertex->id; raw->n_vertices++)
                raw->vertices[raw->n_vertices] = (RawVertex){ 0 };
        item = &raw->vertices[vertex->id];
        if (!item->known) {
                item->known = true;
                item->digest = vertex->digest;
                for (size_t i = 0; i < raw->n_vertices; i++)
                        if (i != vertex->id && raw->vertices[i].known && digest_equal(&raw->vertices[i].digest, &item->digest)) {
                                _cleanup_free_ char *seed = xasprintf("%s#%u", digest_format(&vertex->digest, buffer), vertex->id);

                                item->digest = digest_of(seed, strlen(seed));
                                break;
                        }
        }
        return digest_format(&item->digest, buffer);
}

static void begin(Raw *raw, const char *kind)
{
        buf_reset(&raw->line);
        json_writer_init(&raw->json, &raw->line, JSON_WRITE_COMPACT);
        json_writer_begin_object(&raw->json);
        json_writer_key(&raw->json, kind);
        json_writer_begin_array(&raw->json);
        json_writer_begin_object(&raw->json);
}

static void end(Raw *raw)
{
        _cleanup_error_ Error too_long = ERROR_INIT;

        json_writer_end_object(&raw->json);
        json_writer_end_array(&raw->json);
        json_writer_end_object(&raw->json);
        /* Output comes in pieces of 64 KiB, so nothing is as long as a line may be. */
        if (json_writer_finish(&raw->json, &too_long) < 0)
                return;
        buf_putc(&raw->line, '\n');
        fwrite(raw->line.data, 1, raw->line.size, stderr);
        fflush(stderr);
}

static void put_time(Raw *raw, const char *key, Timestamp t)
{
        char text[TIMESTAMP_TEXT_SIZE];

        json_writer_member_string(&raw->json, key, timestamp_format(t, text));
}

static void put_bytes(Raw *raw, const char *key, const void *data, size_t size)
{
        _cleanup_free_ char *text = base64_encode(BASE64_STANDARD, data, size);

        json_writer_member_string(&raw->json, key, text);
}

static void put_vertex(Raw *raw, const BuildVertex *vertex)
{
        char text[DIGEST_TEXT_SIZE];

        if (!raw->definition && str_starts(vertex->name, "[internal] load build definition"))
                raw->definition = vertex->id;
        begin(raw, "vertexes");
        json_writer_member_string(&raw->json, "digest", digest_text(raw, vertex, text));
        if (vertex->n_inputs) {
                json_writer_key(&raw->json, "inputs");
                json_writer_begin_array(&raw->json);
                for (size_t i = 0; i < vertex->n_inputs; i++)
                        if (vertex->inputs[i] < raw->n_vertices && raw->vertices[vertex->inputs[i]].known)
                                json_writer_string(&raw->json, digest_format(&raw->vertices[vertex->inputs[i]].digest, text));
                json_writer_end_array(&raw->json);
        }
        json_writer_member_string(&raw->json, "name", vertex->name);
        if (vertex->started)
                put_time(raw, "started", vertex->started);
        if (vertex->completed)
                put_time(raw, "completed", vertex->completed);
        if (vertex->cached)
                json_writer_member_bool(&raw->json, "cached", true);
        if (vertex->error)
                json_writer_member_string(&raw->json, "error", vertex->error);
        end(raw);
}

static void put_status(Raw *raw, const BuildEvent *event)
{
        char text[DIGEST_TEXT_SIZE];

        begin(raw, "statuses");
        json_writer_member_string(&raw->json, "id", event->name);
        json_writer_member_string(&raw->json, "vertex", digest_text(raw, event->vertex, text));
        if (event->total)
                json_writer_member_int(&raw->json, "total", (int64_t)event->total);
        json_writer_member_int(&raw->json, "current", (int64_t)event->current);
        put_time(raw, "timestamp", event->time);
        put_time(raw, "started", event->vertex->started ? event->vertex->started : event->time);
        if (event->done)
                put_time(raw, "completed", event->time);
        end(raw);
}

static void put_log(Raw *raw, const BuildEvent *event)
{
        char text[DIGEST_TEXT_SIZE];

        begin(raw, "logs");
        json_writer_member_string(&raw->json, "vertex", digest_text(raw, event->vertex, text));
        json_writer_member_int(&raw->json, "stream", event->stream);
        put_bytes(raw, "data", event->data, event->size);
        put_time(raw, "timestamp", event->time);
        end(raw);
}

static void put_warning(Raw *raw, const BuildWarning *warning)
{
        _cleanup_free_ char *where = warning->line ? xasprintf(" (line %u)", warning->line) : xstrdup("");
        _cleanup_free_ char *message = xasprintf("%s%s%s%s", warning->rule ? warning->rule : "", warning->rule ? ": " : "", warning->message, where);
        char text[DIGEST_TEXT_SIZE];
        JsonWriter *json = &raw->json;

        begin(raw, "warnings");
        if (raw->definition)
                json_writer_member_string(json, "vertex", digest_format(&raw->vertices[raw->definition].digest, text));
        json_writer_member_int(json, "level", 1);
        put_bytes(raw, "short", message, strlen(message));
        if (warning->description) {
                _cleanup_free_ char *detail = base64_encode(BASE64_STANDARD, warning->description, strlen(warning->description));

                json_writer_key(json, "detail");
                json_writer_begin_array(json);
                json_writer_string(json, detail);
                json_writer_end_array(json);
        }
        if (warning->url)
                json_writer_member_string(json, "url", warning->url);
        if (warning->file) {
                json_writer_key(json, "sourceInfo");
                json_writer_begin_object(json);
                json_writer_member_string(json, "filename", warning->file);
                json_writer_member_string(json, "language", "Dockerfile");
                json_writer_end_object(json);
        }
        if (warning->line) {
                json_writer_key(json, "range");
                json_writer_begin_array(json);
                for (unsigned line = warning->line; line <= MAX(warning->line, warning->end_line); line++) {
                        json_writer_begin_object(json);
                        for (int last = 0; last < 2; last++) {
                                json_writer_key(json, last ? "end" : "start");
                                json_writer_begin_object(json);
                                json_writer_member_int(json, "line", line);
                                json_writer_end_object(json);
                        }
                        json_writer_end_object(json);
                }
                json_writer_end_array(json);
        }
        end(raw);
}

static void raw_event(void *state, const BuildEvent *event)
{
        Raw *raw = state;

        switch (event->kind) {
        case BUILD_EVENT_STARTED:
        case BUILD_EVENT_DONE:
                put_vertex(raw, event->vertex);
                break;
        case BUILD_EVENT_LOG:
                put_log(raw, event);
                break;
        case BUILD_EVENT_STATUS:
                put_status(raw, event);
                break;
        case BUILD_EVENT_WARNING:
                put_warning(raw, event->warning);
                break;
        }
}

static void raw_close(void *state)
{
        Raw *raw = state;

        buf_done(&raw->line);
        free(raw->vertices);
        free(raw);
}

const BuildView build_view_rawjson = { "rawjson", raw_open, raw_event, raw_close, NULL };
