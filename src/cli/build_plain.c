/*
 * Plain progress: lines that begin with the number of the step, as BuildKit's `--progress plain` writes them.
 *
 *   #5 [2/3] RUN make
 *   #5 0.312 cc -c main.c
 *   #5 DONE 1.4s
 *
 * When the output of steps that run at the same time mixes, the header of a step is repeated before its next lines. Nothing is cut.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "cli/build_progress.h"

typedef struct PlainStep {
        bool named;   /* the header was printed */
        bool partial; /* output that does not end in a line feed is waiting in `line` */
        Buf line;
} PlainStep;

typedef struct Plain {
        Map *steps;    /* vertex id -> PlainStep */
        unsigned last; /* vertex that the last line was about */
        StrList warnings;
} Plain;

#define LINE_MAX_SIZE ((size_t)64 << 10) /* a longer line is shown in pieces */

static void step_free(void *data)
{
        PlainStep *step = data;

        buf_done(&step->line);
        free(step);
}

static void *plain_open(void)
{
        Plain *plain = NEW(Plain);

        plain->steps = map_new(step_free);
        return plain;
}

static PlainStep *step_of(Plain *plain, unsigned id)
{
        PlainStep *step = map_getn(plain->steps, &id, sizeof(id));

        if (!step) {
                step = NEW(PlainStep);
                step->line = BUF_INIT(LINE_MAX_SIZE);
                map_setn(plain->steps, &id, sizeof(id), step);
        }
        return step;
}

/* Prints the header of a step when the line before was about another one. */
static void turn_to(Plain *plain, PlainStep *step, const BuildVertex *vertex)
{
        if (step->named && plain->last == vertex->id)
                return;
        if (plain->last)
                fputc('\n', stderr);
        if (!step->named || plain->last != vertex->id)
                fprintf(stderr, "#%u %s\n", vertex->id, vertex->name);
        step->named = true;
        plain->last = vertex->id;
}

static void flush_line(Plain *plain, PlainStep *step, const BuildVertex *vertex, Timestamp now)
{
        int64_t since = vertex->started ? now - vertex->started : 0;

        turn_to(plain, step, vertex);
        fprintf(stderr, "#%u %" PRId64 ".%03" PRId64 " ", vertex->id, since / NSEC_PER_SEC, since % NSEC_PER_SEC / NSEC_PER_MSEC);
        fwrite(buf_str(&step->line), 1, step->line.size, stderr);
        fputc('\n', stderr);
        buf_reset(&step->line);
        step->partial = false;
}

static void take_log(Plain *plain, PlainStep *step, const BuildEvent *event)
{
        const char *data = event->data;

        for (size_t i = 0; i < event->size; i++) {
                if (data[i] == '\n') {
                        flush_line(plain, step, event->vertex, event->time);
                        continue;
                }
                if (buf_addc(&step->line, data[i]) < 0) {
                        flush_line(plain, step, event->vertex, event->time);
                        buf_putc(&step->line, data[i]);
                }
                step->partial = true;
        }
}

static void take_done(Plain *plain, PlainStep *step, const BuildEvent *event)
{
        const BuildVertex *vertex = event->vertex;
        char seconds[24];

        if (step->partial)
                flush_line(plain, step, vertex, event->time);
        turn_to(plain, step, vertex);
        if (vertex->error)
                fprintf(stderr, "#%u ERROR: %s\n", vertex->id, vertex->error);
        else if (vertex->cached)
                fprintf(stderr, "#%u CACHED\n", vertex->id);
        else
                fprintf(stderr, "#%u DONE %s\n", vertex->id, build_seconds(vertex->completed - vertex->started, seconds));
}

static void plain_event(void *state, const BuildEvent *event)
{
        Plain *plain = state;
        PlainStep *step = event->vertex ? step_of(plain, event->vertex->id) : NULL;

        switch (event->kind) {
        case BUILD_EVENT_STARTED:
                turn_to(plain, step, event->vertex);
                break;
        case BUILD_EVENT_DONE:
                take_done(plain, step, event);
                break;
        case BUILD_EVENT_LOG:
                take_log(plain, step, event);
                break;
        case BUILD_EVENT_STATUS:
                if (event->done) {
                        _cleanup_free_ char *size = str_from_size(event->current);

                        turn_to(plain, step, event->vertex);
                        /* What has no size is a thing that was done, not bytes that went somewhere. */
                        if (event->current || event->total)
                                fprintf(stderr, "#%u %s %s done\n", event->vertex->id, event->name, size);
                        else
                                fprintf(stderr, "#%u %s done\n", event->vertex->id, event->name);
                }
                break;
        case BUILD_EVENT_WARNING:
                strlist_take(&plain->warnings, build_warning_line(event->warning));
                break;
        }
        fflush(stderr);
}

static void plain_close(void *state)
{
        Plain *plain = state;
        _cleanup_free_ char *warnings = build_warnings_text(&plain->warnings);

        if (warnings)
                fputs(warnings, stderr);
        map_free(plain->steps);
        strlist_done(&plain->warnings);
        free(plain);
}

const BuildView build_view_plain = { "plain", plain_open, plain_event, plain_close, NULL };
