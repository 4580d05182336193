#include "build/output.h"

#include <stdlib.h>
#include <strings.h>

#include "base/csv.h"
#include "base/mem.h"
#include "oci/reference.h"

#define TYPE(name) (1u << BUILD_OUTPUT_##name)
#define IMAGES (TYPE(IMAGE) | TYPE(OCI) | TYPE(DOCKER))
#define LAYOUTS (TYPE(OCI) | TYPE(DOCKER))
#define FILES (TYPE(TAR) | TYPE(LOCAL))

static const char *const type_names[] = {
        [BUILD_OUTPUT_IMAGE] = "image", [BUILD_OUTPUT_OCI] = "oci",     [BUILD_OUTPUT_DOCKER] = "docker",
        [BUILD_OUTPUT_TAR] = "tar",     [BUILD_OUTPUT_LOCAL] = "local", [BUILD_OUTPUT_CACHE_ONLY] = "cacheonly",
};

const char *build_output_type_name(BuildOutputType type)
{
        return type_names[type];
}

bool build_output_is_image(const BuildOutput *output)
{
        return (1u << output->type) & IMAGES;
}

bool build_output_to_stdout(const BuildOutput *output)
{
        return output->dest && streq(output->dest, "-");
}

void build_annotations_done(BuildAnnotations *annotations)
{
        for (size_t i = 0; i < annotations->n_items; i++) {
                free(annotations->items[i].platform);
                free(annotations->items[i].key);
                free(annotations->items[i].value);
        }
        free(annotations->items);
        *annotations = (BuildAnnotations){ 0 };
}

void build_output_done(BuildOutput *output)
{
        free(output->dest);
        free(output->dangling_prefix);
        free(output->attestation_prefix);
        strlist_done(&output->names);
        build_annotations_done(&output->annotations);
        *output = (BuildOutput){ .epoch = -1 };
}

void build_outputs_free(BuildOutput *outputs, size_t n_outputs)
{
        for (size_t i = 0; i < n_outputs; i++)
                build_output_done(&outputs[i]);
        free(outputs);
}

/* --- annotations --- */

static void add_annotation(BuildAnnotations *to, AnnotationPlace place, const char *platform, const char *key, const char *value)
{
        GROW(to->items, to->capacity, to->n_items + 1);
        to->items[to->n_items++] = (BuildAnnotation){ place, xstrdup_or_null(platform), xstrdup(key), xstrdup(value) };
}

/* "", "manifest", "index-descriptor[linux/arm64]": where an annotation goes. The platform is normalised; new string or NULL. */
static int parse_place(const char *text, AnnotationPlace *ret, char **ret_platform, Error *err)
{
        static const char *const places[] = { [ANNOTATION_MANIFEST] = "manifest",
                                              [ANNOTATION_INDEX] = "index",
                                              [ANNOTATION_MANIFEST_DESCRIPTOR] = "manifest-descriptor",
                                              [ANNOTATION_INDEX_DESCRIPTOR] = "index-descriptor" };
        size_t size = strcspn(text, "[");
        const char *open = text[size] ? text + size : NULL, *close = open ? strchr(open, ']') : NULL;
        _cleanup_platform_ Platform platform = { 0 };
        _cleanup_free_ char *written = NULL;

        if (open && (!close || close[1]))
                return error_set(err, ERROR_INVALID, "invalid annotation type '%s': expected a type and an optional platform in square brackets", text);
        *ret_platform = NULL;
        *ret = ANNOTATION_MANIFEST;
        for (size_t i = 0; size && i <= ARRAY_LEN(places); i++) {
                if (i == ARRAY_LEN(places))
                        return error_set(err, ERROR_INVALID, "unknown annotation type '%.*s'; known are index, index-descriptor, manifest, manifest-descriptor",
                                         (int)size, text);
                if (strlen(places[i]) == size && strncmp(places[i], text, size) == 0) {
                        *ret = (AnnotationPlace)i;
                        break;
                }
        }
        if (!open)
                return 0;
        written = xstrndup(open + 1, (size_t)(close - open) - 1);
        if (platform_parse(written, &platform, err) < 0)
                return error_wrap(err, "invalid annotation type '%s'", text);
        *ret_platform = platform_format(&platform, false);
        return 0;
}

int build_annotation_parse(const char *text, BuildAnnotations *to, Error *err)
{
        const char *equals = strchr(text, '='), *colon = memchr(text, ':', equals ? (size_t)(equals - text) : 0);
        _cleanup_free_ char *types = NULL, *key = NULL;
        _cleanup_strlist_ StrList places = { 0 };

        if (!equals)
                return error_set(err, ERROR_INVALID, "invalid annotation '%s', expected key=value", text);
        types = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup("");
        key = colon ? xstrndup(colon + 1, (size_t)(equals - colon) - 1) : xstrndup(text, (size_t)(equals - text));
        if (!*key)
                return error_set(err, ERROR_INVALID, "invalid annotation '%s', expected key=value", text);
        strlist_split(&places, types, ',');
        for (size_t i = 0; i < places.n_items; i++) {
                _cleanup_free_ char *platform = NULL;
                AnnotationPlace place;

                if (parse_place(places.items[i], &place, &platform, err) < 0)
                        return -1;
                add_annotation(to, place, platform, key, equals + 1);
        }
        return 0;
}

/* annotation.KEY, annotation-index.KEY, annotation-manifest[linux/arm64].KEY: 1 when it is one. */
static int take_annotation(BuildOutput *output, const char *key, const char *value, Error *err)
{
        const char *rest = str_after(key, "annotation"), *close, *dot;
        _cleanup_free_ char *type = NULL, *platform = NULL;
        AnnotationPlace place;

        if (!rest || (*rest != '.' && *rest != '[' && *rest != '-'))
                return 0;
        close = strchr(rest, ']');
        dot = strchr(close && close < strchr(rest, '.') ? close : rest, '.');
        if (!dot || !dot[1])
                return error_set(err, ERROR_INVALID, "invalid annotation key '%s': write annotation.KEY or annotation-TYPE.KEY", key);
        rest += *rest == '-';
        type = xstrndup(rest, (size_t)(dot - rest));
        if (parse_place(type, &place, &platform, err) < 0)
                return -1;
        add_annotation(&output->annotations, place, platform, dot + 1, value);
        return 1;
}

/* --- the attributes --- */

static int take_names(BuildOutput *output, const char *value, Error *err)
{
        _cleanup_strlist_ StrList names = { 0 };

        if (streq(value, "*") || !*value)
                return 0; /* those of --tag, which is also what none means */
        strlist_split(&names, value, ',');
        for (size_t i = 0; i < names.n_items; i++) {
                _cleanup_reference_ Reference reference = { 0 };
                _cleanup_free_ char *text = NULL;

                if (reference_parse_target(names.items[i], &reference, err) < 0)
                        return error_wrap(err, "invalid name '%s'", names.items[i]);
                text = reference_text(&reference);
                if (!strlist_has(&output->names, text))
                        strlist_add(&output->names, text);
        }
        return 0;
}

static int take_compression(BuildOutput *output, const char *value, Error *err)
{
        static const struct {
                const char *name;
                Codec codec;
        } known[] = { { "uncompressed", CODEC_NONE }, { "gzip", CODEC_GZIP }, { "zstd", CODEC_ZSTD } };

        for (size_t i = 0; i < ARRAY_LEN(known); i++)
                if (streq(value, known[i].name)) {
                        output->compression = known[i].codec;
                        output->has_compression = true;
                        return 0;
                }
        return error_set(err, ERROR_INVALID, "unsupported compression type '%s'; known are uncompressed, gzip and zstd", value);
}

static int take_level(BuildOutput *output, const char *value, Error *err)
{
        uint32_t level;

        if (str_to_u32(value, &level) < 0 || level > 22)
                return error_set(err, ERROR_INVALID, "compression-level '%s' must be a number: 0 to 9 for gzip, 0 to 22 for zstd", value);
        output->level = (int)level;
        return 0;
}

static int take_epoch(BuildOutput *output, const char *value, Error *err)
{
        if (*value && (str_to_i64(value, &output->epoch) < 0 || output->epoch < 0))
                return error_set(err, ERROR_INVALID, "source-date-epoch '%s' is not a number of seconds since 1970", value);
        return 0;
}

static int take_mode(BuildOutput *output, const char *value, Error *err)
{
        if (*value && strcasecmp(value, "copy") != 0 && strcasecmp(value, "delete") != 0)
                return error_set(err, ERROR_INVALID, "invalid local exporter mode '%s'; known are copy and delete", value);
        output->mirror = strcasecmp(value, "delete") == 0;
        return 0;
}

static int take_split(BuildOutput *output, const char *value, Error *err)
{
        bool yes = true;

        if (*value && str_to_bool(value, &yes) < 0)
                return error_set(err, ERROR_INVALID, "non-bool value '%s' for platform-split", value);
        output->platform_split = yes;
        return 0;
}

static int refuse_when_true(const char *key, const char *value, const char *why, Error *err)
{
        bool yes = true;

        if (*value && str_to_bool(value, &yes) < 0)
                return error_set(err, ERROR_INVALID, "non-bool value '%s' specified for %s", value, key);
        return yes ? error_set(err, ERROR_UNSUPPORTED, "%s", why) : 0;
}

static int take_push(BuildOutput *output, const char *value, Error *err)
{
        return refuse_when_true("push", value, "cannot push: mica has no registry client yet; write an archive with --output type=oci,dest=FILE and push that",
                                err);
}

static int take_push_by_digest(BuildOutput *output, const char *value, Error *err)
{
        return refuse_when_true("push-by-digest", value, "cannot push by digest: mica has no registry client yet", err);
}

static int take_insecure(BuildOutput *output, const char *value, Error *err)
{
        return refuse_when_true("registry.insecure", value, "registry.insecure has no meaning: mica has no registry client yet", err);
}

/* Layers that must not be distributed cannot get into the store: whether to keep their type is no question. */
static int take_nondist(BuildOutput *output, const char *value, Error *err)
{
        bool ignored;

        return *value && str_to_bool(value, &ignored) < 0 ? error_set(err, ERROR_INVALID, "non-bool value '%s' specified for prefer-nondist-layers", value) : 0;
}

typedef struct Attribute {
        const char *name;
        unsigned types; /* of outputs that know it */
        /* One of these: a string, a bool (and its value when the attribute is true), or a function. */
        size_t string, flag;
        bool when_true;
        int (*take)(BuildOutput *output, const char *value, Error *err);
} Attribute;

#define STRING(member) .string = offsetof(BuildOutput, member)
#define FLAG(member) .flag = offsetof(BuildOutput, member), .when_true = true
#define FLAG_OFF(member) .flag = offsetof(BuildOutput, member), .when_true = false

/* Sorted. */
static const Attribute attributes[] = {
        { "attestation-prefix", FILES, STRING(attestation_prefix) },
        { "compression", IMAGES, .take = take_compression },
        { "compression-level", IMAGES, .take = take_level },
        { "danging-name-empty-only", TYPE(IMAGE), FLAG(dangling_empty_only) }, /* BuildKit's spelling */
        { "dangling-name-prefix", TYPE(IMAGE), STRING(dangling_prefix) },
        { "dest", LAYOUTS | FILES, STRING(dest) },
        { "force-compression", IMAGES, FLAG(force_compression) },
        { "mode", TYPE(LOCAL), .take = take_mode },
        { "name", IMAGES, .take = take_names },
        { "name-canonical", TYPE(IMAGE), FLAG(name_canonical) },
        { "oci-artifact", IMAGES, FLAG_OFF(no_oci_artifact) },
        { "oci-mediatypes", IMAGES, FLAG_OFF(docker_types) },
        { "platform-split", FILES, .take = take_split },
        { "prefer-nondist-layers", IMAGES, .take = take_nondist },
        { "push", TYPE(IMAGE), .take = take_push },
        { "push-by-digest", TYPE(IMAGE), .take = take_push_by_digest },
        { "registry.insecure", TYPE(IMAGE), .take = take_insecure },
        { "rewrite-timestamp", IMAGES, FLAG(rewrite_timestamp) },
        { "source-date-epoch", IMAGES | FILES, .take = take_epoch },
        { "store", TYPE(IMAGE), FLAG_OFF(no_store) },
        { "tar", LAYOUTS, FLAG_OFF(no_tar) },
        { "unpack", TYPE(IMAGE), FLAG(unpack) },
};

static int unknown_attribute(const BuildOutput *output, const char *key, Error *err)
{
        _cleanup_strlist_ StrList known = { 0 };
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
                if (attributes[i].types & (1u << output->type))
                        strlist_add(&known, attributes[i].name);
        if (build_output_is_image(output))
                strlist_add(&known, "annotation.KEY");
        text = known.n_items ? strlist_join(&known, ", ") : xstrdup("none");
        return error_set(err, ERROR_INVALID, "unknown attribute '%s' for type=%s; known are: %s", key, type_names[output->type], text);
}

static int take_attribute(BuildOutput *output, const char *key, const char *value, Error *err)
{
        int r = build_output_is_image(output) ? take_annotation(output, key, value, err) : 0;

        if (r)
                return r < 0 ? -1 : 0;
        for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
                const Attribute *attribute = &attributes[i];
                bool yes = true;

                if (!streq(key, attribute->name) || !(attribute->types & (1u << output->type)))
                        continue;
                if (attribute->take)
                        return attribute->take(output, value, err);
                if (attribute->string) {
                        char **field = (char **)((char *)output + attribute->string);

                        free(*field);
                        *field = xstrdup(value);
                        return 0;
                }
                if (*value && str_to_bool(value, &yes) < 0)
                        return error_set(err, ERROR_INVALID, "non-bool value '%s' specified for %s", value, key);
                *(bool *)((char *)output + attribute->flag) = yes == attribute->when_true;
                return 0;
        }
        return unknown_attribute(output, key, err);
}

/* --- one --output --- */

static int take_type(BuildOutput *output, const StrList *fields, Error *err)
{
        const char *type = NULL;
        _cleanup_free_ char *known = NULL;

        for (size_t i = 0; i < fields->n_items; i++) {
                const char *value = str_after(fields->items[i], "type=");

                type = value ? value : type;
        }
        if (!type)
                return error_set(err, ERROR_INVALID, "type is required for output");
        if (streq(type, "registry"))
                return take_push(output, "", err);
        for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
                if (streq(type, type_names[i])) {
                        output->type = (BuildOutputType)i;
                        return 0;
                }
        known = str_join((char *const *)type_names, ARRAY_LEN(type_names), ", ");
        return error_set(err, ERROR_INVALID, "unknown output type '%s'; known are %s", type, known);
}

/* What only makes sense together, or not. */
static int check(const BuildOutput *output, Error *err)
{
        const char *type = type_names[output->type];

        if ((output->type == BUILD_OUTPUT_OCI || output->type == BUILD_OUTPUT_TAR) && str_empty(output->dest))
                return error_set(err, ERROR_INVALID, "type=%s needs a destination: dest=FILE, or dest=- for standard output", type);
        if (output->type == BUILD_OUTPUT_LOCAL && (str_empty(output->dest) || streq(output->dest, "-")))
                return error_set(err, ERROR_INVALID, "type=local needs a directory: dest=DIRECTORY");
        if (output->no_tar && (str_empty(output->dest) || streq(output->dest, "-")))
                return error_set(err, ERROR_INVALID, "type=%s,tar=false needs a directory: dest=DIRECTORY", type);
        if (output->docker_types && output->has_compression && output->compression == CODEC_ZSTD)
                return error_set(err, ERROR_INVALID, "exporter option 'compression=zstd' conflicts with 'oci-mediatypes=false'");
        if (output->docker_types && output->annotations.n_items)
                return error_set(err, ERROR_INVALID, "cannot export annotations with 'oci-mediatypes=false'");
        if (output->rewrite_timestamp && output->unpack)
                return error_set(err, ERROR_INVALID, "exporter option 'rewrite-timestamp' conflicts with 'unpack'");
        if (output->level > 9 && output->compression != CODEC_ZSTD)
                return error_set(err, ERROR_INVALID, "compression-level %d is too high for gzip: 0 to 9", output->level);
        return 0;
}

static int parse_fields(const StrList *fields, BuildOutput *output, Error *err)
{
        if (take_type(output, fields, err) < 0)
                return -1;
        for (size_t i = 0; i < fields->n_items; i++) {
                const char *field = fields->items[i], *equals = strchr(field, '=');
                _cleanup_free_ char *written = NULL, *key = NULL;

                if (!equals)
                        return error_set(err, ERROR_INVALID, "invalid value '%s': must be a key=value pair", field);
                written = xstrndup(field, (size_t)(equals - field));
                key = str_starts(written, "annotation") ? xstrdup(written) : str_lower(written);
                if (!streq(key, "type") && take_attribute(output, key, equals + 1, err) < 0)
                        return -1;
        }
        return check(output, err);
}

int build_output_parse(const char *text, BuildOutput *ret, Error *err)
{
        BuildOutput output = { .level = -1, .epoch = -1, .platform_split = -1 };
        _cleanup_strlist_ StrList fields = { 0 };

        if (csv_split(text, &fields, err) < 0)
                return error_wrap(err, "invalid output '%s'", text);
        if (fields.n_items == 1 && !strchr(text, '=')) {
                output.type = streq(text, "-") ? BUILD_OUTPUT_TAR : BUILD_OUTPUT_LOCAL;
                output.dest = xstrdup(text);
                if (!*text)
                        strlist_done(&fields);
        } else if (parse_fields(&fields, &output, err) < 0) {
                build_output_done(&output);
                return error_wrap(err, "invalid output '%s'", text);
        }
        if (!fields.n_items) {
                build_output_done(&output);
                return error_set(err, ERROR_INVALID, "invalid output '': write a directory, '-' or type=…");
        }
        *ret = output;
        return 0;
}
