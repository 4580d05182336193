/*
 * The live view of a build on a terminal: one line per step with its elapsed time, bytes where there are any, and the tail of the output of steps that run.
 *
 * The view is drawn at the bottom again and again: the cursor goes up over the last drawing and each line is rewritten. Steps that are complete and would not
 * fit on the screen scroll out at the top: they are printed one last time and are not part of the drawing any more. Drawing happens in a thread of its own, ten
 * times a second; events only change the model under the lock.
 *
 * The size of the terminal is asked for each drawing, so a resize needs no signal. A terminal that became narrower has wrapped the last drawing: it takes more
 * rows than it had lines, and the cursor goes up over all of them. Some terminals (tmux) tell their new size late: nothing wraps while we draw, so that a
 * drawing for the old size takes no more rows than it has lines.
 *
 * BUILDKIT_COLORS, BUILDKIT_TTY_LOG_LINES and NO_COLOR are BuildKit's.
 *
 * On failure the whole output of the step that failed is still in the error of the build; here it is the tail only.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/build_colors.h"
#include "cli/build_progress.h"
#include "cli/terminal.h"

#define FRAME_MS 100
#define TAIL_LINES 6       /* unless BUILDKIT_TTY_LOG_LINES says otherwise … */
#define TAIL_LINES_MAX 200 /* … up to this */
#define TAIL_LINE_SIZE 512
#define WRAP_OFF "\x1b[?7l"
#define WRAP_ON "\x1b[?7h"

typedef struct TtyStep {
        unsigned id;
        char *name;
        Timestamp started, completed;
        bool cached, failed, cancelled, printed;
        char *status;                 /* "transferring context: 12MB / 300MB", or NULL */
        char (*tail)[TAIL_LINE_SIZE]; /* a ring of output lines; NULL before the first */
        unsigned n_tail;
        char partial[TAIL_LINE_SIZE]; /* the line being written */
        size_t partial_size;
} TtyStep;

typedef struct Tty {
        pthread_mutex_t lock;
        pthread_cond_t wake;
        pthread_t thread;
        bool closing, has_thread, suspended;
        BuildColors colors;
        unsigned tail_lines;
        TtyStep **steps;
        size_t n_steps, capacity;
        unsigned drawn, drawn_columns; /* lines of the last drawing, and how wide they were */
        Timestamp started;
        StrList warnings;
} Tty;

/* --- drawing --- */

/* Columns that UTF-8 text takes, counted as code points; control bytes never get here. */
static size_t columns_of(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char)*text & 0xc0) != 0x80;
        return n;
}

/* Cuts text to `width` columns, in place. */
static void cut_columns(char *text, size_t width)
{
        size_t n = 0;

        for (char *p = text; *p; p++) {
                if (((unsigned char)*p & 0xc0) == 0x80)
                        continue;
                if (n++ == width) {
                        *p = '\0';
                        return;
                }
        }
}

/* One line: text at the left, time at the right, colour around both. */
static void draw_line(Buf *out, const Tty *tty, const char *text, const char *right, const char *color, unsigned width)
{
        size_t room = width > strlen(right) + 1 ? width - strlen(right) - 1 : 1;
        _cleanup_free_ char *left = xstrdup(text);
        size_t used;

        cut_columns(left, room);
        used = columns_of(left);
        buf_putf(out, "\r\x1b[2K%s%s%*s%s%s\n", tty->colors.enabled && color ? color : "", left, (int)(room - used + 1), "", right,
                 tty->colors.enabled && !str_empty(color) ? "\x1b[0m" : "");
}

static const char *step_color(const Tty *tty, const TtyStep *step)
{
        return step->cancelled   ? tty->colors.codes[BUILD_COLOR_CANCEL]
               : step->failed    ? tty->colors.codes[BUILD_COLOR_ERROR]
               : step->completed ? tty->colors.codes[BUILD_COLOR_RUN]
                                 : NULL;
}

/* Returns the number of lines. */
static unsigned draw_step(Buf *out, const Tty *tty, const TtyStep *step, Timestamp now, unsigned width, bool with_tail)
{
        _cleanup_free_ char *line = xasprintf(" => %s%s%s",
                                              step->cancelled ? "CANCELED "
                                              : step->failed  ? "ERROR "
                                              : step->cached  ? "CACHED "
                                                              : "",
                                              step->name, step->completed || !step->status ? "" : "  ");
        _cleanup_free_ char *text = step->status && !step->completed ? xasprintf("%s%s", line, step->status) : xstrdup(line);
        unsigned n = 1, shown = MIN(step->n_tail, tty->tail_lines);
        char seconds[24];

        draw_line(out, tty, text, build_seconds(step->cached ? 0 : (step->completed ? step->completed : now) - step->started, seconds), step_color(tty, step),
                  width);
        if (!with_tail || step->completed)
                return n;
        for (unsigned i = step->n_tail - shown; i < step->n_tail; i++, n++) {
                _cleanup_free_ char *tail = xasprintf(" => => # %s", step->tail[i % tty->tail_lines]);

                draw_line(out, tty, tail, "", tty->colors.enabled ? "\x1b[2m" : NULL, width);
        }
        return n;
}

static size_t count_complete(const Tty *tty)
{
        size_t n = 0;

        for (size_t i = 0; i < tty->n_steps; i++)
                n += tty->steps[i]->completed != 0;
        return n;
}

static void draw(Tty *tty, bool last)
{
        Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        unsigned columns = TERMINAL_WIDTH_DEFAULT, rows = 24, lines = 1, room;
        Timestamp now = clock_now();
        _cleanup_free_ char *head = NULL;
        char seconds[24];
        size_t running = 0, unprinted = 0;

        terminal_size(STDERR_FILENO, &columns, &rows);
        columns = MAX(columns, 20u);
        buf_puts(&out, WRAP_OFF);
        if (tty->drawn) {
                /* Lines are as wide as the terminal was; one that became narrower shows each in several rows. */
                unsigned wrapped = (tty->drawn_columns + columns - 1) / columns, up = MIN(tty->drawn * MAX(wrapped, 1u), rows > 1 ? rows - 1 : 1);

                buf_putf(&out, "\x1b[%uA%s", up, wrapped > 1 ? "\r\x1b[J" : "");
        }
        for (size_t i = 0; i < tty->n_steps; i++) {
                running += tty->steps[i]->completed == 0;
                unprinted += !tty->steps[i]->printed;
        }
        /* The head and running steps stay on the screen; complete ones scroll out, oldest first. */
        room = rows > 3 + running ? rows - 3 - (unsigned)running : 1;
        for (size_t i = 0; i < tty->n_steps && (last || unprinted - running > room / 2); i++) {
                TtyStep *step = tty->steps[i];

                if (step->printed || !step->completed)
                        continue;
                draw_step(&out, tty, step, now, columns, false);
                step->printed = true;
                unprinted--;
        }
        head = xasprintf("[+] Building %s (%zu/%zu)%s", build_seconds(now - tty->started, seconds), count_complete(tty), tty->n_steps,
                         last && running == 0 ? " FINISHED" : "");
        draw_line(&out, tty, head, "", NULL, columns);
        for (size_t i = 0; i < tty->n_steps; i++) {
                const TtyStep *step = tty->steps[i];
                bool with_tail = lines + running + tty->tail_lines + 2 < rows;

                if (!step->printed && lines + 2 < rows)
                        lines += draw_step(&out, tty, step, now, columns, with_tail);
        }
        buf_puts(&out, "\x1b[J" WRAP_ON);
        tty->drawn = lines;
        tty->drawn_columns = columns;
        fwrite(buf_str(&out), 1, out.size, stderr);
        fflush(stderr);
        buf_done(&out);
}

static void *draw_thread(void *data)
{
        Tty *tty = data;

        pthread_mutex_lock(&tty->lock);
        while (!tty->closing) {
                struct timespec until;

                if (!tty->suspended)
                        draw(tty, false);
                clock_gettime(CLOCK_REALTIME, &until);
                until.tv_nsec += FRAME_MS * 1000000L;
                if (until.tv_nsec >= 1000000000L) {
                        until.tv_nsec -= 1000000000L;
                        until.tv_sec++;
                }
                pthread_cond_timedwait(&tty->wake, &tty->lock, &until);
        }
        pthread_mutex_unlock(&tty->lock);
        return NULL;
}

/* --- the model --- */

static unsigned tail_lines_wanted(void)
{
        const char *text = getenv("BUILDKIT_TTY_LOG_LINES");
        uint32_t n;

        return !str_empty(text) && str_to_u32(text, &n) == 0 && n > 0 ? MIN(n, (uint32_t)TAIL_LINES_MAX) : TAIL_LINES;
}

static void *tty_open(void)
{
        Tty *tty = NEW(Tty);
        sigset_t all, old;

        pthread_mutex_init(&tty->lock, NULL);
        pthread_cond_init(&tty->wake, NULL);
        build_colors_init(&tty->colors, terminal_has_color(STDERR_FILENO), getenv("BUILDKIT_COLORS"));
        tty->tail_lines = tail_lines_wanted();
        tty->started = clock_now();
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        tty->has_thread = pthread_create(&tty->thread, NULL, draw_thread, tty) == 0;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return tty;
}

static TtyStep *tty_step(Tty *tty, const BuildVertex *vertex)
{
        TtyStep *step;

        for (size_t i = tty->n_steps; i > 0; i--)
                if (tty->steps[i - 1]->id == vertex->id)
                        return tty->steps[i - 1];
        step = NEW(TtyStep);
        step->id = vertex->id;
        step->name = str_printable(vertex->name, strlen(vertex->name));
        step->started = vertex->started ? vertex->started : clock_now();
        GROW(tty->steps, tty->capacity, tty->n_steps + 1);
        tty->steps[tty->n_steps++] = step;
        return step;
}

/* The line that was being written becomes the newest of the tail; control bytes are made visible. */
static void end_line(const Tty *tty, TtyStep *step)
{
        _cleanup_free_ char *clean = str_printable(step->partial, step->partial_size);

        if (!step->tail)
                step->tail = xcalloc(tty->tail_lines, TAIL_LINE_SIZE);
        snprintf(step->tail[step->n_tail++ % tty->tail_lines], TAIL_LINE_SIZE, "%s", clean);
        step->partial_size = 0;
}

static void take_output(const Tty *tty, TtyStep *step, const char *data, size_t size)
{
        for (size_t i = 0; i < size; i++) {
                if (data[i] == '\n')
                        end_line(tty, step);
                else if (data[i] == '\r')
                        step->partial_size = 0;
                else if (step->partial_size < TAIL_LINE_SIZE - 1)
                        step->partial[step->partial_size++] = data[i];
        }
}

static void take_status(TtyStep *step, const BuildEvent *event)
{
        _cleanup_free_ char *current = str_from_size(event->current), *total = str_from_size(event->total);

        free(step->status);
        step->status = event->total ? xasprintf("%s: %s / %s", event->name, current, total) : xasprintf("%s: %s", event->name, current);
}

static void tty_event(void *state, const BuildEvent *event)
{
        Tty *tty = state;
        TtyStep *step;

        pthread_mutex_lock(&tty->lock);
        step = event->vertex ? tty_step(tty, event->vertex) : NULL;
        switch (event->kind) {
        case BUILD_EVENT_STARTED:
                step->started = event->vertex->started;
                break;
        case BUILD_EVENT_DONE:
                step->started = event->vertex->started ? event->vertex->started : step->started;
                step->completed = event->vertex->completed ? event->vertex->completed : event->time;
                step->cached = event->vertex->cached;
                step->failed = event->vertex->error != NULL;
                step->cancelled = step->failed && str_ends(event->vertex->error, "cancelled");
                break;
        case BUILD_EVENT_LOG:
                take_output(tty, step, event->data, event->size);
                break;
        case BUILD_EVENT_STATUS:
                take_status(step, event);
                break;
        case BUILD_EVENT_WARNING:
                strlist_take(&tty->warnings, build_warning_line(event->warning));
                break;
        }
        pthread_mutex_unlock(&tty->lock);
}

static void tty_close(void *state)
{
        Tty *tty = state;
        _cleanup_free_ char *warnings = build_warnings_text(&tty->warnings);

        pthread_mutex_lock(&tty->lock);
        tty->closing = true;
        pthread_cond_signal(&tty->wake);
        pthread_mutex_unlock(&tty->lock);
        if (tty->has_thread)
                pthread_join(tty->thread, NULL);
        draw(tty, true);
        if (warnings && *tty->colors.codes[BUILD_COLOR_WARNING])
                fprintf(stderr, "%s%s\x1b[0m", tty->colors.codes[BUILD_COLOR_WARNING], warnings);
        else if (warnings)
                fputs(warnings, stderr);
        for (size_t i = 0; i < tty->n_steps; i++) {
                free(tty->steps[i]->name);
                free(tty->steps[i]->tail);
                free(tty->steps[i]->status);
                free(tty->steps[i]);
        }
        free(tty->steps);
        strlist_done(&tty->warnings);
        pthread_mutex_destroy(&tty->lock);
        pthread_cond_destroy(&tty->wake);
        free(tty);
}

static void tty_suspend(void *state, bool suspended)
{
        Tty *tty = state;

        pthread_mutex_lock(&tty->lock);
        if (suspended && !tty->suspended)
                draw(tty, false); /* what is there stays above whatever comes */
        tty->suspended = suspended;
        tty->drawn = 0;
        pthread_mutex_unlock(&tty->lock);
}

const BuildView build_view_tty = { "tty", tty_open, tty_event, tty_close, tty_suspend };
