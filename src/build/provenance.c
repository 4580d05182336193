/*
 * SLSA provenance of a target's image: what it was built from, with which request, and (mode=max) by which steps.
 *
 * The members are those of BuildKit's build type (docs/attestations/slsa-definitions.md), so that its readers understand them. There is no LLB here: in
 * mode=max "llbDefinition" has a step for each FROM and each step that made a layer, with inputs, name and lines instead of an operation.
 * With SOURCE_DATE_EPOCH nothing depends on the moment: both times are that one and the invocation's id is derived from the rest.
 *
 * Specs: slsa.dev provenance v1 and v0.2.
 */
#include "build/provenance_private.h"

#include <string.h>

#include "base/mem.h"
#include "crypto/random.h"
#include "json/json.h"

#define BUILD_TYPE_1 "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
#define BUILD_TYPE_02 "https://mobyproject.org/buildkit@v1"

/* --- what came from outside --- */

static JsonValue *digest_set(const SourceRecord *source)
{
        JsonValue *set = json_value_new_object();
        char hex[DIGEST_TEXT_SIZE];

        if (*source->commit)
                json_value_set_string(set, strlen(source->commit) == 64 ? "sha256" : "sha1", source->commit);
        else if (digest_is_set(&source->digest))
                json_value_set_string(set, source->digest.algorithm == DIGEST_SHA512 ? "sha512" : "sha256", digest_hex(&source->digest, hex));
        return set;
}

static JsonValue *dependencies(Provenance *provenance)
{
        JsonValue *list = json_value_new_array();
        size_t n;
        const SourceRecord *sources = sources_get(provenance->export->build->sources, &n);

        for (size_t i = 0; i < n; i++) {
                JsonValue *entry;

                if (sources[i].kind == SOURCE_LOCAL)
                        continue;
                entry = json_value_new_object();
                json_value_set_string(entry, "uri", sources[i].uri);
                json_value_set(entry, "digest", digest_set(&sources[i]));
                json_value_append(list, entry);
        }
        return list;
}

/* A context from git or http, which somebody else can fetch too; NULL: a local one. */
static const SourceRecord *context_source(const Provenance *provenance)
{
        const char *context = provenance->export->build->context_asked;
        size_t n;
        const SourceRecord *sources = sources_get(provenance->export->build->sources, &n);

        for (size_t i = 0; context && i < n; i++)
                if ((sources[i].kind == SOURCE_GIT || sources[i].kind == SOURCE_HTTP) && streq(sources[i].asked, context))
                        return &sources[i];
        return NULL;
}

static JsonValue *config_source(const Provenance *provenance)
{
        const SourceRecord *context = context_source(provenance);
        JsonValue *object = json_value_new_object();

        if (context) {
                json_value_set_string(object, "uri", context->uri);
                json_value_set(object, "digest", digest_set(context));
        }
        json_value_set_string(object, "path", provenance->export->build->dockerfile_name);
        return object;
}

/* --- the request --- */

/* "NAME=value" as args["<prefix>NAME"]. */
static void add_args(Provenance *provenance, JsonValue *args, const char *prefix, const StrList *list)
{
        if (!provenance->max && list->n_items)
                provenance->is_incomplete = true;
        for (size_t i = 0; provenance->max && i < list->n_items; i++) {
                const char *equals = strchr(list->items[i], '=');
                _cleanup_free_ char *name = xasprintf("%s%.*s", prefix, (int)(equals ? equals - list->items[i] : (long)strlen(list->items[i])), list->items[i]);

                json_value_set_string(args, name, equals ? equals + 1 : "");
        }
}

static JsonValue *named(const char *key, const char *value)
{
        JsonValue *object = json_value_new_object();

        json_value_set_string(object, key, value);
        return object;
}

static JsonValue *locals(Provenance *provenance)
{
        const BuildOptions *options = provenance->export->build->options;
        JsonValue *list = json_value_new_array();
        bool remote = context_source(provenance) != NULL;

        if (options->context && !remote)
                json_value_append(list, named("name", "context"));
        if (!remote)
                json_value_append(list, named("name", "dockerfile"));
        for (size_t i = 0; i < options->n_contexts; i++)
                if (!strstr(options->contexts[i].value, "://") && !str_starts(options->contexts[i].value, "target:"))
                        json_value_append(list, named("name", options->contexts[i].name));
        provenance->has_local = json_value_size(list) > 0;
        return list;
}

static JsonValue *request(Provenance *provenance)
{
        const BuildOptions *options = provenance->export->build->options;
        JsonValue *object = json_value_new_object(), *args = json_value_new_object(), *list = locals(provenance);

        json_value_set_string(object, "frontend", "dockerfile.v0");
        add_args(provenance, args, "build-arg:", &options->build_args);
        add_args(provenance, args, "label:", &options->labels);
        if (options->target)
                json_value_set_string(args, "target", options->target);
        if (options->no_cache)
                json_value_set_string(args, "no-cache", "");
        json_value_set(object, "args", args);
        if (json_value_size(list))
                json_value_set(object, "locals", list);
        else
                json_value_unref(list);
        if (provenance->max && options->n_secrets) {
                list = json_value_new_array();
                for (size_t i = 0; i < options->n_secrets; i++)
                        json_value_append(list, named("id", options->secrets[i].id));
                json_value_set(object, "secrets", list);
        }
        if (provenance->max && options->n_ssh) {
                list = json_value_new_array();
                for (size_t i = 0; i < options->n_ssh; i++)
                        json_value_append(list, named("id", options->ssh[i].id));
                json_value_set(object, "ssh", list);
        }
        return object;
}

/* --- how it went --- */

/* No RUN of the target's stages can have reached the network. */
static bool is_offline(const Provenance *provenance)
{
        const Build *build = provenance->export->build;

        for (size_t i = 0; i < build->n_stages; i++) {
                const BuildStage *stage = build->stages[i];

                for (size_t k = 0; stage->needed && stage->target == provenance->target && k < stage->n_steps; k++) {
                        const Instruction *in = stage->steps[k].instruction;
                        bool none = build->options->network == BUILD_NETWORK_NONE;

                        if (in->kind != INSTRUCTION_RUN)
                                continue;
                        if (in->run.has_network && in->run.network != DF_NETWORK_DEFAULT)
                                none = in->run.network == DF_NETWORK_NONE;
                        if (!none)
                                return false;
                }
        }
        return true;
}

static void set_time(JsonValue *object, const char *key, Timestamp time)
{
        char text[TIMESTAMP_TEXT_SIZE];

        json_value_set_string(object, key, timestamp_format(time, text));
}

/* --- the predicate, v1 and as v0.2 has it --- */

static JsonValue *metadata_1(Provenance *provenance, JsonValue *details)
{
        const Build *build = provenance->export->build;
        const BuildProvenance *options = &build->options->provenance;
        JsonValue *metadata = json_value_new_object(), *completeness = json_value_new_object();

        json_value_set_string(metadata, "invocationId", provenance->id);
        set_time(metadata, "startedOn", build->epoch >= 0 ? build->epoch * NSEC_PER_SEC : build->started);
        set_time(metadata, "finishedOn", clock_now_or_epoch(build->epoch));
        json_value_set_bool(completeness, "request", !provenance->is_incomplete);
        json_value_set_bool(completeness, "resolvedDependencies", !provenance->has_local);
        json_value_set(metadata, "buildkit_completeness", completeness);
        if (!provenance->has_local && is_offline(provenance))
                json_value_set_bool(metadata, "buildkit_hermetic", true);
        if (options->reproducible)
                json_value_set_bool(metadata, "buildkit_reproducible", true);
        json_value_set(metadata, "buildkit_metadata", details);
        return metadata;
}

static void add_vcs(const BuildOptions *options, JsonValue *details)
{
        JsonValue *vcs = json_value_new_object();

        for (size_t i = 0; i < options->vcs.n_items; i++)
                json_value_set_string(vcs, options->vcs.items[i].key, options->vcs.items[i].value);
        if (options->vcs.n_items)
                json_value_set(details, "vcs", vcs);
        else
                json_value_unref(vcs);
}

static JsonValue *predicate_1(Provenance *provenance)
{
        const Build *build = provenance->export->build;
        const char *builder_id = build->options->provenance.builder_id;
        JsonValue *predicate = json_value_new_object(), *definition = json_value_new_object(), *external = json_value_new_object(),
                  *internal = json_value_new_object(), *run = json_value_new_object(), *config = NULL, *details;

        details = provenance->max ? provenance_max_metadata(provenance, &config) : json_value_new_object();
        add_vcs(build->options, details);
        json_value_set(external, "configSource", config_source(provenance));
        json_value_set(external, "request", request(provenance));
        json_value_set_string(internal, "builderPlatform", build->host_text);
        if (config)
                json_value_set(internal, "buildConfig", config);
        json_value_set_string(definition, "buildType", BUILD_TYPE_1);
        json_value_set(definition, "externalParameters", external);
        json_value_set(definition, "internalParameters", internal);
        json_value_set(definition, "resolvedDependencies", dependencies(provenance));
        json_value_set(run, "builder", named("id", builder_id ? builder_id : ""));
        json_value_set(run, "metadata", metadata_1(provenance, details));
        json_value_set(predicate, "buildDefinition", definition);
        json_value_set(predicate, "runDetails", run);
        return predicate;
}

/* Where what is at a path of the one predicate is in the other: v0.2 has the same facts under other names. */
typedef struct Place {
        const char *object; /* "": the predicate itself; made when it is not there */
        const char *key;
        const char *from;
} Place;

static const Place places_02[] = {
        { "invocation.configSource", "uri", "buildDefinition.externalParameters.configSource.uri" },
        { "invocation.configSource", "digest", "buildDefinition.externalParameters.configSource.digest" },
        { "invocation.configSource", "entryPoint", "buildDefinition.externalParameters.configSource.path" },
        { "invocation.environment", "platform", "buildDefinition.internalParameters.builderPlatform" },
        { "invocation", "parameters", "buildDefinition.externalParameters.request" },
        { "", "builder", "runDetails.builder" },
        { "", "materials", "buildDefinition.resolvedDependencies" },
        { "", "buildConfig", "buildDefinition.internalParameters.buildConfig" },
        { "metadata", "buildInvocationID", "runDetails.metadata.invocationId" },
        { "metadata", "buildStartedOn", "runDetails.metadata.startedOn" },
        { "metadata", "buildFinishedOn", "runDetails.metadata.finishedOn" },
        { "metadata.completeness", "parameters", "runDetails.metadata.buildkit_completeness.request" },
        { "metadata.completeness", "materials", "runDetails.metadata.buildkit_completeness.resolvedDependencies" },
        { "metadata", "https://mobyproject.org/buildkit@v1#metadata", "runDetails.metadata.buildkit_metadata" },
        { "metadata", "https://mobyproject.org/buildkit@v1#hermetic", "runDetails.metadata.buildkit_hermetic" },
};

/* The object at a path, made with all above it when it is not there. Borrowed. */
static JsonValue *object_at(JsonValue *root, const char *path)
{
        _cleanup_strlist_ StrList names = { 0 };

        if (*path)
                strlist_split(&names, path, '.');
        for (size_t i = 0; i < names.n_items; i++) {
                if (!json_value_get(root, names.items[i]))
                        json_value_set(root, names.items[i], json_value_new_object());
                root = json_value_get(root, names.items[i]);
        }
        return root;
}

static JsonValue *predicate_02(const JsonValue *from)
{
        JsonValue *predicate = json_value_new_object();

        for (size_t i = 0; i < ARRAY_LEN(places_02); i++) {
                JsonValue *value = json_value_find(from, places_02[i].from), *object = object_at(predicate, places_02[i].object);

                if (value)
                        json_value_set(object, places_02[i].key, json_value_copy(value));
        }
        json_value_set_string(predicate, "buildType", BUILD_TYPE_02);
        json_value_set_bool(object_at(predicate, "metadata.completeness"), "environment", true);
        json_value_set_bool(object_at(predicate, "metadata"), "reproducible",
                            json_value_bool(json_value_find(from, "runDetails.metadata.buildkit_reproducible")));
        return predicate;
}

JsonValue *provenance_predicate(Export *export, const ExportImage *image, bool max, bool v02)
{
        Provenance provenance = { .export = export, .image = image, .target = image->target, .max = max };
        const Digest *about = digest_is_set(&image->manifest.digest) ? &image->manifest.digest : &image->target->stage->chain;
        char hex[DIGEST_TEXT_SIZE];
        JsonValue *predicate, *old;

        if (export->build->epoch < 0) {
                random_hex(provenance.id, INVOCATION_ID_SIZE - 1);
        } else {
                digest_hex(about, hex);
                memcpy(provenance.id, hex, INVOCATION_ID_SIZE - 1);
        }
        predicate = predicate_1(&provenance);
        if (!v02)
                return predicate;
        old = predicate_02(predicate);
        json_value_unref(predicate);
        return old;
}
