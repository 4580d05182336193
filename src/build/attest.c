/*
 * What a build says about its results: in-toto statements, for an image in a manifest of their own beside it, for files in files beside them.
 *
 * To add a kind of statement (an SBOM): a row in `attestors`, whose function makes the predicate.
 *
 * Spec: in-toto attestation framework, Statement v1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/csv.h"
#include "base/fd.h"
#include "base/mem.h"
#include "build/provenance.h"
#include "build/sbom.h"
#include "build/sbom_layers.h"
#include "fs/walk.h"
#include "oci/reference.h"

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"

/* --- options --- */

void build_provenance_done(BuildProvenance *provenance)
{
        free(provenance->builder_id);
        free(provenance->file_name);
        *provenance = (BuildProvenance){ 0 };
}

void build_sbom_done(BuildSbom *sbom)
{
        free(sbom->generator);
        strlist_done(&sbom->files);
        strlist_done(&sbom->params);
        *sbom = (BuildSbom){ 0 };
}

static int take_bool(const char *key, const char *value, bool *ret, Error *err)
{
        return str_to_bool(value, ret) < 0 ? error_set(err, ERROR_INVALID, "non-bool value '%s' specified for %s", value, key) : 0;
}

static int take_text(const char *value, char **to)
{
        free(*to);
        *to = xstrdup(value);
        return 0;
}

static int take_provenance(BuildProvenance *to, const char *key, const char *value, Error *err)
{
        if (streq(key, "mode")) {
                if (!streq(value, "min") && !streq(value, "max") && !streq(value, "full"))
                        return error_set(err, ERROR_INVALID, "invalid mode '%s'; known are min and max", value);
                to->min = streq(value, "min");
                return 0;
        }
        if (streq(key, "version")) {
                if (!streq(value, "v1") && !streq(value, "v0.2"))
                        return error_set(err, ERROR_INVALID, "invalid provenance SLSA version '%s'; known are v1 and v0.2", value);
                to->v02 = streq(value, "v0.2");
                return 0;
        }
        if (streq(key, "reproducible"))
                return take_bool(key, value, &to->reproducible, err);
        if (streq(key, "inline-only"))
                return take_bool(key, value, &to->inline_only, err);
        if (streq(key, "builder-id"))
                return take_text(value, &to->builder_id);
        if (streq(key, "filename")) {
                if (!*value || strchr(value, '/') || streq(value, ".") || streq(value, ".."))
                        return error_set(err, ERROR_INVALID, "filename '%s' must be a name without slashes", value);
                return take_text(value, &to->file_name);
        }
        return error_set(err, ERROR_INVALID, "unknown attribute '%s'; known are builder-id, disabled, filename, inline-only, mode, reproducible and version",
                         key);
}

/* Everything that is not ours is the scanner's. */
static int take_sbom(BuildSbom *to, const char *key, const char *value, Error *err)
{
        if (streq(key, "generator"))
                return *value ? take_text(value, &to->generator) : error_set(err, ERROR_INVALID, "generator is empty: it is the name of an image");
        if (streq(key, "file")) {
                strlist_add(&to->files, value);
                return 0;
        }
        if (!*key || strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != strlen(key))
                return error_set(err, ERROR_INVALID, "unknown attribute '%s'; known are disabled, file and generator, and names of variables for the scanner",
                                 key);
        strlist_addf(&to->params, "%s=%s", key, value);
        return 0;
}

static int take_field(bool *enabled, BuildProvenance *provenance, BuildSbom *sbom, const char *key, const char *value, Error *err)
{
        bool disabled = false;

        if (streq(key, "type"))
                return 0;
        if (streq(key, "disabled")) {
                if (take_bool(key, value, &disabled, err) < 0)
                        return -1;
                *enabled = !disabled;
                return 0;
        }
        return sbom ? take_sbom(sbom, key, value, err) : take_provenance(provenance, key, value, err);
}

static int parse_fields(const StrList *fields, BuildProvenance *provenance, BuildSbom *sbom, Error *err)
{
        const char *type = NULL;
        bool *enabled;

        for (size_t i = 0; i < fields->n_items; i++)
                if (str_starts(fields->items[i], "type="))
                        type = fields->items[i] + strlen("type=");
        if (!type)
                return error_set(err, ERROR_INVALID, "attestation type not specified: type=provenance or type=sbom");
        if (!streq(type, "sbom") && !streq(type, "provenance"))
                return error_set(err, ERROR_INVALID, "unknown attestation type '%s'; known are provenance and sbom", type);
        sbom = streq(type, "sbom") ? sbom : NULL;
        enabled = sbom ? &sbom->enabled : &provenance->enabled;
        *enabled = true;
        for (size_t i = 0; i < fields->n_items; i++) {
                const char *equals = strchr(fields->items[i], '=');
                _cleanup_free_ char *key = equals ? xstrndup(fields->items[i], (size_t)(equals - fields->items[i])) : NULL;

                if (!equals)
                        return error_set(err, ERROR_INVALID, "invalid value '%s': must be a key=value pair", fields->items[i]);
                if (take_field(enabled, provenance, sbom, key, equals + 1, err) < 0)
                        return -1;
        }
        return 0;
}

int build_attest_parse(const char *text, BuildProvenance *provenance, BuildSbom *sbom, Error *err)
{
        _cleanup_strlist_ StrList fields = { 0 };

        if (csv_split(text, &fields, err) < 0 || parse_fields(&fields, provenance, sbom, err) < 0)
                return error_wrap(err, "invalid attestation '%s'", text);
        return 0;
}

/* --- what a statement is about --- */

static JsonValue *subject(const char *name, const Digest *digest)
{
        JsonValue *object = json_value_new_object(), *set = json_value_new_object();
        char hex[DIGEST_TEXT_SIZE];

        json_value_set_string(object, "name", name);
        json_value_set_string(set, digest->algorithm == DIGEST_SHA512 ? "sha512" : "sha256", digest_hex(digest, hex));
        json_value_set(object, "digest", set);
        return object;
}

/* The image under each of its names; one without a name is "_", as the framework has it. */
static int image_subjects(const Export *export, const ExportImage *image, JsonValue *to, Error *err)
{
        for (size_t i = 0; i < export->names->n_items; i++) {
                _cleanup_free_ char *uri = NULL;

                if (source_image_uri("docker", export->names->items[i], &image->config.platform, &uri, err) < 0)
                        return -1;
                json_value_append(to, subject(uri, &image->manifest.digest));
        }
        if (!export->names->n_items)
                json_value_append(to, subject("_", &image->manifest.digest));
        return 0;
}

typedef struct FileSubjects {
        Build *build;
        JsonValue *to;
        char *buffer;
} FileSubjects;

#define READ_SIZE ((size_t)1 << 20)

static int add_file(void *user, const WalkEntry *entry, Error *err)
{
        FileSubjects *files = user;
        _cleanup_(hash_freep) Hash *hash = NULL;
        _cleanup_close_ int fd = -1;
        Digest digest;
        ssize_t n;

        if (build_check(files->build, err) < 0)
                return -1;
        if (!S_ISREG(entry->st.st_mode))
                return 0;
        fd = openat(entry->dir_fd, entry->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, errno, "cannot read '%s'", entry->path);
        hash = hash_new(DIGEST_SHA256);
        while ((n = fd_read_full(fd, files->buffer, READ_SIZE)) > 0)
                hash_add(hash, files->buffer, (size_t)n);
        if (n < 0)
                return error_errno(err, (int)n, "cannot read '%s'", entry->path);
        digest = hash_digest(hash);
        json_value_append(files->to, subject(entry->path, &digest));
        return 0;
}

/* Every file of the result. */
static int file_subjects(const Export *export, const ExportImage *image, JsonValue *to, Error *err)
{
        static const WalkOps ops = { .entry = add_file };
        FileSubjects files = { .build = export->build, .to = to };
        SourceTree *tree;
        int r;

        if (stage_tree(image->target->stage, &tree, err) < 0)
                return -1;
        files.buffer = xmalloc(READ_SIZE);
        r = tree_walk(rootfs_fd(image->target->stage->rootfs), ".", &ops, &files, err);
        free(files.buffer);
        return r;
}

/* --- statements --- */

/* One statement that an attestor makes of an image. */
typedef struct Predicate {
        const char *file_name; /* beside files; borrowed */
        JsonValue *value;
        const JsonValue *subject; /* borrowed; NULL: the image, or the files */
} Predicate;

typedef struct Attestor {
        bool (*is_wanted)(const Export *export);
        const char *(*type)(const Export *export);                                                             /* predicateType */
        size_t (*n)(const ExportImage *image);                                                                 /* how many statements; NULL: one */
        int (*predicate)(Export *export, const ExportImage *image, size_t number, Predicate *ret, Error *err); /* the value is a new reference */
} Attestor;

static bool sbom_is_wanted(const Export *export)
{
        return export->build->options->sbom.enabled;
}

static const char *sbom_type(const Export *export)
{
        return SBOM_TYPE;
}

static size_t n_sboms(const ExportImage *image)
{
        return image->target->n_sboms;
}

static int sbom(Export *export, const ExportImage *image, size_t number, Predicate *ret, Error *err)
{
        const Sbom *found = &image->target->sboms[number];
        bool has_layers = found->is_core && build_output_is_image(export->output);

        *ret = (Predicate){ found->file_name, has_layers ? json_value_copy(found->predicate) : json_value_ref(found->predicate), found->subject };
        return has_layers ? sbom_add_layers(export, image, ret->value, err) : 0;
}

static bool provenance_is_wanted(const Export *export)
{
        const BuildProvenance *options = &export->build->options->provenance;

        return options->enabled && (build_output_is_image(export->output) || !options->inline_only);
}

static const char *provenance_type(const Export *export)
{
        return export->build->options->provenance.v02 ? PROVENANCE_TYPE_02 : PROVENANCE_TYPE_1;
}

static int provenance(Export *export, const ExportImage *image, size_t number, Predicate *ret, Error *err)
{
        const BuildProvenance *options = &export->build->options->provenance;

        *ret = (Predicate){ options->file_name ? options->file_name : "provenance.json", provenance_predicate(export, image, !options->min, options->v02),
                            NULL };
        return 0;
}

/* In BuildKit's order. */
static const Attestor attestors[] = {
        { sbom_is_wanted, sbom_type, n_sboms, sbom },
        { provenance_is_wanted, provenance_type, NULL, provenance },
};

static int add_statement(Export *export, ExportImage *image, const Attestor *attestor, size_t number, Error *err)
{
        _cleanup_json_ JsonValue *statement = json_value_new_object();
        Predicate predicate = { 0 };
        int r = attestor->predicate(export, image, number, &predicate, err);
        JsonValue *subjects = predicate.subject ? json_value_copy(predicate.subject) : json_value_new_array();
        bool is_image = build_output_is_image(export->output);
        ExportStatement *entry;

        json_value_set_string(statement, "_type", STATEMENT_TYPE);
        json_value_set_string(statement, "predicateType", attestor->type(export));
        json_value_set(statement, "subject", subjects);
        json_value_set(statement, "predicate", predicate.value);
        if (r < 0)
                return -1;
        if (!predicate.subject && (is_image ? image_subjects(export, image, subjects, err) : file_subjects(export, image, subjects, err)) < 0)
                return -1;
        image->statements = xreallocarray(image->statements, image->n_statements + 1, sizeof(*image->statements));
        entry = &image->statements[image->n_statements++];
        *entry = (ExportStatement){ .predicate_type = attestor->type(export), .file_name = xstrdup(predicate.file_name) };
        entry->text = json_value_text(statement, JSON_WRITE_SORTED | (is_image ? 0 : JSON_WRITE_INDENT_2));
        return 0;
}

bool export_has_attestations(const Export *export)
{
        for (size_t i = 0; i < ARRAY_LEN(attestors); i++)
                if (attestors[i].is_wanted(export))
                        return true;
        return false;
}

int export_attest(Export *export, ExportImage *image, Error *err)
{
        for (size_t i = 0; i < ARRAY_LEN(attestors); i++) {
                size_t n = !attestors[i].is_wanted(export) ? 0 : attestors[i].n ? attestors[i].n(image) : 1;

                for (size_t k = 0; k < n; k++)
                        if (add_statement(export, image, &attestors[i], k, err) < 0)
                                return -1;
        }
        return 0;
}
