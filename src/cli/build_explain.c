#include "cli/build_explain.h"

#include <stdlib.h>

#include "base/mem.h"
#include "json/writer.h"

/* Lines of changes below a step; JSON has all. */
#define CHANGES_SHOWN 12

int explain_view_parse(const char *format, ExplainView *ret, Error *err)
{
        ret->json = streq(format, "json");
        if (!ret->json && !streq(format, "text"))
                return error_set(err, ERROR_INVALID, "--explain=%s: known are text and json", format);
        return 0;
}

/* --- text --- */

static char *change_text(const ExplainChange *change)
{
        const char *kind = explain_kind_name(change->kind), *space = *change->name ? " " : "";
        bool long_value = change->kind == EXPLAIN_STAGE || change->kind == EXPLAIN_DOWNLOAD;

        if (change->kind == EXPLAIN_FILE && change->before)
                return xasprintf("%s: %s %s -> %s", change->name, change->change, change->before, change->after);
        if (change->kind == EXPLAIN_FILE)
                return xasprintf("%s: %s", change->name, change->change);
        if (change->kind == EXPLAIN_INSTRUCTION)
                return xasprintf("it was: %s", change->before);
        if (long_value || !change->before || !change->after)
                return xasprintf("%s%s%s: %s%s%s%s", kind, space, change->name, change->change, !long_value && change->after ? " (\"" : "",
                                 !long_value && change->after ? change->after : "", !long_value && change->after ? "\")" : "");
        return xasprintf("%s%s%s: \"%s\" -> \"%s\"", kind, space, change->name, change->before, change->after);
}

static void print_step(FILE *out, const ExplainedStep *step)
{
        size_t shown = 0, hidden = step->changes.n_more;

        fprintf(out, "%-7s %s\n        %s\n", explain_verdict_name(step->verdict), step->name, step->reason);
        for (size_t i = 0; i < step->changes.n_items; i++) {
                _cleanup_free_ char *text = NULL, *clean = NULL;

                if (step->changes.items[i].kind == EXPLAIN_BELOW) /* the sentence has it */
                        continue;
                if (shown == CHANGES_SHOWN) {
                        hidden++;
                        continue;
                }
                shown++;
                text = change_text(&step->changes.items[i]);
                clean = str_printable(text, strlen(text));
                fprintf(out, "          - %s\n", clean);
        }
        if (hidden)
                fprintf(out, "          - and %zu more (--explain=json has them)\n", hidden);
        for (size_t i = 0; i < step->notes.n_items; i++)
                fprintf(out, "          note: %s\n", step->notes.items[i]);
}

/* --- JSON --- */

static void write_change(JsonWriter *writer, const ExplainChange *change)
{
        json_writer_begin_object(writer);
        json_writer_member_string(writer, "kind", explain_kind_name(change->kind));
        if (*change->name)
                json_writer_member_string(writer, "name", change->name);
        json_writer_member_string(writer, "change", change->change);
        if (change->before)
                json_writer_member_string(writer, "before", change->before);
        if (change->after)
                json_writer_member_string(writer, "after", change->after);
        json_writer_end_object(writer);
}

static void write_step(JsonWriter *writer, const ExplainedStep *step)
{
        json_writer_begin_object(writer);
        json_writer_member_string(writer, "step", step->name);
        json_writer_member_string(writer, "stage", step->stage);
        json_writer_member_int(writer, "line", step->line);
        json_writer_member_string(writer, "result", explain_verdict_name(step->verdict));
        json_writer_member_string(writer, "reason", step->reason);
        json_writer_key(writer, "changes");
        json_writer_begin_array(writer);
        for (size_t i = 0; i < step->changes.n_items; i++)
                write_change(writer, &step->changes.items[i]);
        json_writer_end_array(writer);
        if (step->changes.n_more)
                json_writer_member_int(writer, "moreChanges", (int64_t)step->changes.n_more);
        json_writer_key(writer, "notes");
        json_writer_strings(writer, &step->notes);
        json_writer_end_object(writer);
}

static void print_json(FILE *out, const ExplainedStep *steps, size_t n_steps)
{
        _cleanup_buf_ Buf text = BUF_INIT((size_t)1 << 30);
        _cleanup_error_ Error err = ERROR_INIT;
        JsonWriter writer;

        json_writer_init(&writer, &text, JSON_WRITE_NO_HTML);
        json_writer_begin_object(&writer);
        json_writer_key(&writer, "steps");
        json_writer_begin_array(&writer);
        for (size_t i = 0; i < n_steps; i++)
                write_step(&writer, &steps[i]);
        json_writer_end_array(&writer);
        json_writer_end_object(&writer);
        if (json_writer_finish(&writer, &err) == 0)
                fprintf(out, "%s\n", buf_str(&text));
}

void explain_view_take(void *user, const ExplainedStep *steps, size_t n_steps)
{
        ExplainView *view = user;
        size_t size;
        FILE *out = open_memstream(&view->text, &size);

        if (!out)
                return;
        if (view->json)
                print_json(out, steps, n_steps);
        for (size_t i = 0; i < n_steps && !view->json; i++)
                print_step(out, &steps[i]);
        fclose(out);
}

void explain_view_done(ExplainView *view)
{
        free(view->text);
        *view = (ExplainView){ 0 };
}
