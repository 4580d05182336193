/*
 * Provenance with mode=max: the steps of a target, each with its inputs, name and lines, and the layers that they made.
 */
#include "base/mem.h"
#include "build/provenance_private.h"
#include "crypto/encode.h"

typedef struct Steps {
        JsonValue *definition, *mapping, *layers, *locations;
        Map *numbers; /* BuildStage -> the number of its last step, plus one */
        unsigned n;
} Steps;

static JsonValue *layer_chain(const ExportImage *image, size_t n)
{
        JsonValue *chain = json_value_new_array(), *all = json_value_new_array();

        for (size_t i = 0; i < n && i < image->n_layers; i++) {
                const Descriptor *descriptor = &image->layers[i].descriptor;
                JsonValue *entry = json_value_new_object();
                char text[DIGEST_TEXT_SIZE];

                json_value_set_string(entry, "mediaType", descriptor->media_type);
                json_value_set_string(entry, "digest", digest_format(&descriptor->digest, text));
                json_value_set_int(entry, "size", descriptor->size);
                json_value_append(chain, entry);
        }
        json_value_append(all, chain);
        return all;
}

static JsonValue *location(unsigned start, unsigned end)
{
        JsonValue *locations = json_value_new_object(), *list = json_value_new_array(), *one = json_value_new_object(), *ranges = json_value_new_array(),
                  *range = json_value_new_object(), *from = json_value_new_object(), *to = json_value_new_object();

        json_value_set_int(from, "line", start);
        json_value_set_int(to, "line", end);
        json_value_set(range, "start", from);
        json_value_set(range, "end", to);
        json_value_append(ranges, range);
        json_value_set(one, "ranges", ranges);
        json_value_append(list, one);
        json_value_set(locations, "locations", list);
        return locations;
}

/* One step; `inputs` is taken over. Returns its number. */
static unsigned add_step(Steps *steps, const char *name, JsonValue *inputs, const BuildVertex *vertex)
{
        JsonValue *step = json_value_new_object();
        _cleanup_free_ char *id = xasprintf("step%u", steps->n);
        char text[DIGEST_TEXT_SIZE];

        json_value_set_string(step, "id", id);
        json_value_set_string(step, "name", name);
        if (json_value_size(inputs))
                json_value_set(step, "inputs", inputs);
        else
                json_value_unref(inputs);
        json_value_append(steps->definition, step);
        if (vertex) {
                json_value_set_string(steps->mapping, digest_format(&vertex->digest, text), id);
                if (vertex->line)
                        json_value_set(steps->locations, id, location(vertex->line, vertex->end_line));
        }
        return steps->n++;
}

static void add_input(const Steps *steps, JsonValue *inputs, const BuildStage *stage)
{
        const unsigned *number = map_getn(steps->numbers, &stage, sizeof(stage));

        if (number) {
                _cleanup_free_ char *text = xasprintf("step%u:0", *number);

                json_value_append_string(inputs, text);
        }
}

static void remember(Steps *steps, const BuildStage *stage, unsigned number)
{
        map_setn(steps->numbers, &stage, sizeof(stage), xmemdup(&number, sizeof(number)));
}

/* What a step reads beside what is below it: stages of COPY --from and of mounts. */
static void add_sources(const Steps *steps, JsonValue *inputs, BuildStage *stage, const Instruction *in)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        BuildStage *source = NULL;
        SourceTree *tree;

        if (in && in->kind == INSTRUCTION_COPY && !str_empty(in->copy.from) && build_source(stage, in, in->copy.from, &source, &tree, &ignored) == 0 && source)
                add_input(steps, inputs, source);
        if (!in)
                return;
        for (size_t i = 0; in->kind == INSTRUCTION_RUN && i < in->run.n_mounts; i++) {
                error_done(&ignored);
                if (!str_empty(in->run.mounts[i].from) && !streq(in->run.mounts[i].from, "scratch") &&
                    build_source(stage, in, in->run.mounts[i].from, &source, &tree, &ignored) == 0 && source)
                        add_input(steps, inputs, source);
        }
}

/* A step that is complete may have let its expanded instruction go: the one of the Dockerfile on the same line stands for it. */
static const Instruction *instruction_of(const BuildStage *stage, const Work *work)
{
        for (size_t i = 0; !work->instruction && i < stage->n_steps; i++)
                if (stage->steps[i].instruction->range.start == work->vertex->line)
                        return stage->steps[i].instruction;
        return work->instruction;
}

static void add_layers(const Provenance *provenance, Steps *steps, const BuildStage *stage, unsigned number, size_t n_layers)
{
        _cleanup_free_ char *key = xasprintf("step%u:0", number);

        if (stage == provenance->target->stage && provenance->image->n_layers && n_layers)
                json_value_set(steps->layers, key, layer_chain(provenance->image, n_layers));
}

static void add_stage(Provenance *provenance, Steps *steps, BuildStage *stage)
{
        size_t n_base = stage->n_layers - stage->n_works;
        unsigned number = 0;
        bool any = false;

        if (!stage->base && !str_empty(stage->base_name) && !streq(stage->base_name, "scratch")) {
                _cleanup_free_ char *name = xasprintf("FROM %s", stage->base_name);

                number = add_step(steps, name, json_value_new_array(), NULL);
                add_layers(provenance, steps, stage, number, n_base);
                any = true;
        }
        for (size_t i = 0; i < stage->n_works; i++) {
                const Work *work = stage->works[i];
                JsonValue *inputs = json_value_new_array();

                if (any) {
                        _cleanup_free_ char *below = xasprintf("step%u:0", number);

                        json_value_append_string(inputs, below);
                } else if (stage->base) {
                        add_input(steps, inputs, stage->base);
                }
                add_sources(steps, inputs, stage, instruction_of(stage, work));
                number = add_step(steps, work->title, inputs, work->vertex);
                add_layers(provenance, steps, stage, number, n_base + i + 1);
                any = true;
        }
        if (any)
                remember(steps, stage, number);
        else if (stage->base && map_getn(steps->numbers, &stage->base, sizeof(stage->base)))
                remember(steps, stage, *(unsigned *)map_getn(steps->numbers, &stage->base, sizeof(stage->base)));
}

/* Stages before those that read them. */
static void add_stages(Provenance *provenance, Steps *steps)
{
        Build *build = provenance->export->build;

        for (size_t i = 0; i < build->n_stages; i++) {
                BuildStage *stage = build_stage_in_order(build, i);

                if (stage->needed && stage->target == provenance->target)
                        add_stage(provenance, steps, stage);
        }
}

JsonValue *provenance_max_metadata(Provenance *provenance, JsonValue **ret_config)
{
        Build *build = provenance->export->build;
        Steps steps = { .definition = json_value_new_array(),
                        .mapping = json_value_new_object(),
                        .layers = json_value_new_object(),
                        .locations = json_value_new_object(),
                        .numbers = map_new(free) };
        JsonValue *metadata = json_value_new_object(), *source = json_value_new_object(), *infos = json_value_new_array(), *info = json_value_new_object();
        _cleanup_free_ char *data = base64_encode(BASE64_STANDARD, build->dockerfile_text.data, build->dockerfile_text.size);

        add_stages(provenance, &steps);
        map_free(steps.numbers);
        json_value_set_string(info, "filename", build->dockerfile_name);
        json_value_set_string(info, "language", "Dockerfile");
        json_value_set_string(info, "data", data);
        json_value_append(infos, info);
        json_value_set(source, "infos", infos);
        json_value_set(source, "locations", steps.locations);
        json_value_set(metadata, "source", source);
        json_value_set(metadata, "layers", steps.layers);
        *ret_config = json_value_new_object();
        json_value_set(*ret_config, "llbDefinition", steps.definition);
        json_value_set(*ret_config, "digestMapping", steps.mapping);
        return metadata;
}
