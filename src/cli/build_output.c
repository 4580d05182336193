#include "cli/build_output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "oci/reference.h"
#include "json/writer.h"

#define METADATA_MAX ((size_t)64 << 20)

/* --- where it goes --- */

static int add_output(BuildRequest *request, const char *text, Error *err)
{
        BuildOutput *output = &request->outputs[request->options.n_outputs];

        if (build_output_parse(text, output, err) < 0)
                return -1;
        request->options.n_outputs++;
        return 0;
}

static int check_stdout(const BuildRequest *request, Error *err)
{
        unsigned n = 0;

        for (size_t i = 0; i < request->options.n_outputs; i++) {
                const BuildOutput *output = &request->outputs[i];

                if (!build_output_to_stdout(output))
                        continue;
                if (++n > 1)
                        return error_set(err, ERROR_INVALID, "only one output can go to standard output");
                if (isatty(STDOUT_FILENO))
                        return error_set(err, ERROR_INVALID, "dest file is required for %s exporter: refusing to write to a terminal; redirect, or name a file",
                                         build_output_type_name(output->type));
        }
        return 0;
}

static bool has_image(const BuildRequest *request)
{
        for (size_t i = 0; i < request->options.n_outputs; i++)
                if (request->outputs[i].type == BUILD_OUTPUT_IMAGE || (request->outputs[i].type == BUILD_OUTPUT_DOCKER && !request->outputs[i].dest))
                        return true;
        return false;
}

/* --provenance=true|false|key=value,…: short for --attest type=provenance. */
static int take_short(const char *type, const char *value, BuildRequest *request, Error *err)
{
        bool yes;
        _cleanup_free_ char *text = str_to_bool(value, &yes) == 0 ? xasprintf("type=%s,disabled=%s", type, yes ? "false" : "true")
                                                                  : xasprintf("type=%s,%s", type, value);

        return build_attest_parse(text, &request->options.provenance, &request->options.sbom, err);
}

/* BUILDX_METADATA_PROVENANCE=min|max|disabled: what the metadata file says of it; min when nothing is said, as buildx has it. */
static int metadata_mode(const BuildFlags *flags)
{
        const char *value = getenv("BUILDX_METADATA_PROVENANCE");
        bool yes;

        if (!flags->metadata_file)
                return 0;
        if (str_empty(value) || streq(value, "min"))
                return 1;
        if (streq(value, "max"))
                return 2;
        return str_to_bool(value, &yes) == 0 && yes;
}

static int take_attestations(const BuildFlags *flags, BuildRequest *request, Error *err)
{
        for (size_t i = 0; i < flags->attests.n_items; i++)
                if (build_attest_parse(flags->attests.items[i], &request->options.provenance, &request->options.sbom, err) < 0)
                        return -1;
        if (flags->provenance && take_short("provenance", flags->provenance, request, err) < 0)
                return -1;
        if (flags->sbom && take_short("sbom", flags->sbom, request, err) < 0)
                return -1;
        request->options.metadata_provenance = metadata_mode(flags);
        return 0;
}

int build_take_outputs(const BuildFlags *flags, BuildRequest *request, Error *err)
{
        if (flags->push)
                return error_set(err, ERROR_UNSUPPORTED,
                                 "cannot push: mica has no registry client yet; write an archive with --output type=oci,dest=FILE and push that");
        request->outputs = NEW_ARRAY(BuildOutput, flags->outputs.n_items + 1);
        request->options.outputs = request->outputs;
        for (size_t i = 0; i < flags->outputs.n_items; i++)
                if (add_output(request, flags->outputs.items[i], err) < 0)
                        return -1;
        if (flags->load && request->options.n_outputs && !has_image(request) && add_output(request, "type=image", err) < 0)
                return -1;
        for (size_t i = 0; i < flags->annotations.n_items; i++)
                if (build_annotation_parse(flags->annotations.items[i], &request->options.annotations, err) < 0)
                        return -1;
        return take_attestations(flags, request, err) < 0 ? -1 : check_stdout(request, err);
}

/* --- warnings --- */

static void write_position(JsonWriter *writer, const char *key, unsigned line)
{
        json_writer_key(writer, key);
        json_writer_begin_object(writer);
        json_writer_member_int(writer, "line", line);
        json_writer_end_object(writer);
}

static void write_base64(JsonWriter *writer, const char *text)
{
        _cleanup_free_ char *encoded = base64_encode(BASE64_STANDARD, text, strlen(text));

        json_writer_string(writer, encoded);
}

/* As BuildKit's client writes a warning: texts in base64. */
static void write_warning(JsonWriter *writer, const BuildWarning *warning)
{
        _cleanup_free_ char *text = warning->rule ? xasprintf("%s: %s", warning->rule, warning->message) : xstrdup(warning->message);

        json_writer_begin_object(writer);
        json_writer_member_int(writer, "level", 1);
        json_writer_key(writer, "short");
        write_base64(writer, text);
        if (warning->description) {
                json_writer_key(writer, "detail");
                json_writer_begin_array(writer);
                write_base64(writer, warning->description);
                json_writer_end_array(writer);
        }
        if (warning->url)
                json_writer_member_string(writer, "url", warning->url);
        if (warning->file) {
                json_writer_key(writer, "sourceInfo");
                json_writer_begin_object(writer);
                json_writer_member_string(writer, "filename", warning->file);
                json_writer_end_object(writer);
        }
        if (warning->line) {
                json_writer_key(writer, "range");
                json_writer_begin_array(writer);
                json_writer_begin_object(writer);
                write_position(writer, "start", warning->line);
                write_position(writer, "end", warning->end_line ? warning->end_line : warning->line);
                json_writer_end_object(writer);
                json_writer_end_array(writer);
        }
        json_writer_end_object(writer);
}

void build_notes_event(BuildNotes *notes, const BuildEvent *event)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_buf_ Buf text = BUF_INIT(MIB);
        JsonWriter writer;

        if (event->kind != BUILD_EVENT_WARNING)
                return;
        if (!notes->warnings.max)
                notes->warnings = BUF_INIT(METADATA_MAX);
        json_writer_init(&writer, &text, 0);
        write_warning(&writer, event->warning);
        if (json_writer_finish(&writer, &ignored) == 0)
                buf_putf(&notes->warnings, "%s%s", notes->warnings.size ? "," : "", buf_str(&text));
}

void build_notes_done(BuildNotes *notes)
{
        buf_done(&notes->warnings);
}

/* --- what is told --- */

static bool wanted(const char *variable)
{
        const char *value = getenv(variable);
        bool yes;

        return !str_empty(value) && str_to_bool(value, &yes) == 0 && yes;
}

static void write_members(JsonWriter *writer, const BuildResult *result, const BuildNotes *notes)
{
        _cleanup_free_ char *names = strlist_join(&result->names, ",");
        char text[DIGEST_TEXT_SIZE], id[26];

        if (result->provenance.n_items) {
                for (size_t i = 0; i < result->provenance.n_items; i++) {
                        json_writer_key(writer, result->provenance.items[i].key);
                        json_writer_raw(writer, result->provenance.items[i].value);
                }
        }
        random_hex(id, sizeof(id) - 1);
        json_writer_key(writer, "buildx.build.ref");
        {
                _cleanup_free_ char *reference = xasprintf("mica/mica0/%s", id);

                json_writer_string(writer, reference);
        }
        if (wanted("BUILDX_METADATA_WARNINGS") && notes->warnings.size) {
                _cleanup_free_ char *list = xasprintf("[%s]", buf_str(&notes->warnings));

                json_writer_key(writer, "buildx.build.warnings");
                json_writer_raw(writer, list);
        }
        if (!digest_is_set(&result->digest))
                return;
        if (!result->is_index)
                json_writer_member_string(writer, "containerimage.config.digest", digest_format(&result->id, text));
        json_writer_key(writer, "containerimage.descriptor");
        json_writer_raw(writer, result->descriptor);
        json_writer_member_string(writer, "containerimage.digest", digest_format(&result->digest, text));
        if (result->names.n_items)
                json_writer_member_string(writer, "image.name", names);
}

static int write_metadata(const char *path, const BuildResult *result, const BuildNotes *notes, Error *err)
{
        _cleanup_buf_ Buf compact = BUF_INIT(METADATA_MAX), text = BUF_INIT(METADATA_MAX);
        JsonWriter writer;
        int r;

        json_writer_init(&writer, &compact, 0);
        json_writer_begin_object(&writer);
        write_members(&writer, result, notes);
        json_writer_end_object(&writer);
        if (json_writer_finish(&writer, err) < 0)
                return error_wrap(err, "cannot write the metadata to '%s'", path);
        r = json_text_indent(compact.data, compact.size, 2, &text);
        if (r == 0)
                r = file_write_atomic(AT_FDCWD, path, text.data, text.size, 0644, false);
        return r < 0 ? error_errno(err, r, "cannot write the metadata to '%s'", path) : 0;
}

int build_write_files(const BuildFlags *flags, const BuildResult *result, const BuildNotes *notes, Error *err)
{
        char id[DIGEST_TEXT_SIZE] = "";
        int r;

        if (flags->iidfile) {
                /* Without an image the file is empty, as buildx has it: scripts find no id of an earlier build in it. */
                if (digest_is_set(&result->id))
                        digest_format(&result->id, id);
                r = file_write_atomic(AT_FDCWD, flags->iidfile, id, strlen(id), 0644, false);
                if (r < 0)
                        return error_errno(err, r, "cannot write the image ID to '%s'", flags->iidfile);
        }
        return flags->metadata_file ? write_metadata(flags->metadata_file, result, notes, err) : 0;
}

bool build_prints_id(const BuildRequest *request, const BuildResult *result)
{
        for (size_t i = 0; i < request->options.n_outputs; i++)
                if (build_output_to_stdout(&request->outputs[i]))
                        return false;
        return digest_is_set(&result->id);
}
