/*
 * The critical path goes from the vertex that ended last back to the beginning: of the vertices that one needs, always the one that ended last is what it
 * waited for. A gap between two of them is time in which a step could have run and did not (all jobs were busy).
 */
#include "cli/build_timings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "json/writer.h"

typedef struct Timing {
        char *name;
        Timestamp started, completed;
        bool cached, failed, critical;
        unsigned *inputs;
        size_t n_inputs;
        unsigned line;
} Timing;

struct BuildTimings {
        Timing *items; /* by id - 1 */
        size_t n_items, capacity;
        Timestamp started;
};

BuildTimings *build_timings_new(void)
{
        BuildTimings *timings = NEW(BuildTimings);

        timings->started = clock_now();
        return timings;
}

void build_timings_free(BuildTimings *timings)
{
        if (!timings)
                return;
        for (size_t i = 0; i < timings->n_items; i++) {
                free(timings->items[i].name);
                free(timings->items[i].inputs);
        }
        free(timings->items);
        free(timings);
}

void build_timings_event(BuildTimings *timings, const BuildEvent *event)
{
        const BuildVertex *vertex = event->vertex;
        Timing *timing;

        if (event->kind != BUILD_EVENT_DONE || !vertex || !vertex->id)
                return;
        GROW(timings->items, timings->capacity, vertex->id);
        for (; timings->n_items < vertex->id; timings->n_items++)
                timings->items[timings->n_items] = (Timing){ 0 };
        timing = &timings->items[vertex->id - 1];
        if (timing->name)
                return;
        *timing = (Timing){
                .name = str_printable(vertex->name, strlen(vertex->name)),
                .started = vertex->started,
                .completed = vertex->completed,
                .cached = vertex->cached,
                .failed = vertex->error != NULL,
                .inputs = vertex->n_inputs ? xmemdup(vertex->inputs, vertex->n_inputs * sizeof(*vertex->inputs)) : NULL,
                .n_inputs = vertex->n_inputs,
                .line = vertex->line,
        };
}

/* --- the critical path --- */

static Timing *last_input(const BuildTimings *timings, const Timing *of)
{
        Timing *last = NULL;

        for (size_t i = 0; i < of->n_inputs; i++) {
                Timing *input = of->inputs[i] && of->inputs[i] <= timings->n_items ? &timings->items[of->inputs[i] - 1] : NULL;

                if (input && input->name && !input->critical && (!last || input->completed > last->completed))
                        last = input;
        }
        return last;
}

/* What a vertex without inputs came after: the builder's own work runs on one thread before (loading) or after (exporting) everything else. */
static Timing *before(const BuildTimings *timings, const Timing *of)
{
        Timing *last = NULL;

        for (size_t i = 0; i < timings->n_items; i++) {
                Timing *item = &timings->items[i];

                if (item != of && item->name && !item->critical && item->completed <= of->started && (!last || item->completed > last->completed))
                        last = item;
        }
        return last;
}

static int64_t mark_critical(const BuildTimings *timings, Timestamp *ret_end)
{
        Timing *at = NULL;
        int64_t sum = 0;

        for (size_t i = 0; i < timings->n_items; i++) {
                timings->items[i].critical = false;
                if (timings->items[i].name && (!at || timings->items[i].completed > at->completed))
                        at = &timings->items[i];
        }
        *ret_end = at ? at->completed : timings->started;
        while (at) {
                Timing *input = last_input(timings, at);

                at->critical = true;
                sum += at->cached ? 0 : at->completed - at->started;
                at = input ? input : before(timings, at);
        }
        return sum;
}

/* --- the report --- */

static void put_seconds(Buf *out, int64_t ns)
{
        buf_putf(out, "%4" PRId64 ".%03" PRId64 "s", ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NSEC_PER_MSEC);
}

static void write_text(const BuildTimings *timings, int64_t critical, int64_t total, Buf *out)
{
        buf_puts(out, "\nTimings (* is on the critical path):\n");
        for (size_t i = 0; i < timings->n_items; i++) {
                const Timing *item = &timings->items[i];

                if (!item->name)
                        continue;
                buf_puts(out, item->critical ? " * " : "   ");
                if (item->cached)
                        buf_puts(out, "  cached");
                else
                        put_seconds(out, MAX(item->completed - item->started, (int64_t)0));
                buf_putf(out, "  %s%s\n", item->name, item->failed ? " (failed)" : "");
        }
        buf_puts(out, "Critical path: ");
        put_seconds(out, critical);
        buf_puts(out, " of ");
        put_seconds(out, total);
        buf_putc(out, '\n');
}

static void write_json(const BuildTimings *timings, int64_t critical, int64_t total, Buf *out)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        JsonWriter json;

        json_writer_init(&json, out, JSON_WRITE_NO_HTML);
        json_writer_begin_object(&json);
        json_writer_key(&json, "timings");
        json_writer_begin_array(&json);
        for (size_t i = 0; i < timings->n_items; i++) {
                const Timing *item = &timings->items[i];
                char text[TIMESTAMP_TEXT_SIZE];

                if (!item->name)
                        continue;
                json_writer_begin_object(&json);
                json_writer_member_string(&json, "name", item->name);
                if (item->line)
                        json_writer_member_int(&json, "line", item->line);
                json_writer_member_string(&json, "started", timestamp_format(item->started, text));
                json_writer_member_int(&json, "durationNs", item->cached ? 0 : MAX(item->completed - item->started, (int64_t)0));
                json_writer_member_bool(&json, "cached", item->cached);
                json_writer_member_bool(&json, "failed", item->failed);
                json_writer_member_bool(&json, "critical", item->critical);
                json_writer_end_object(&json);
        }
        json_writer_end_array(&json);
        json_writer_member_int(&json, "criticalPathNs", critical);
        json_writer_member_int(&json, "totalNs", total);
        json_writer_end_object(&json);
        if (json_writer_finish(&json, &ignored) == 0)
                buf_putc(out, '\n');
}

void build_timings_write(const BuildTimings *timings, bool json, Buf *out)
{
        Timestamp finish;
        int64_t critical = mark_critical(timings, &finish), total = finish - timings->started;

        if (json)
                write_json(timings, critical, total, out);
        else
                write_text(timings, critical, total, out);
}
