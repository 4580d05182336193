/*
 * mica build: from the options as typed to a request of the builder.
 */
#include "cli/build_request.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "cli/build_cache_options.h"
#include "cli/build_output.h"
#include "cli/context.h"

/* A Dockerfile on standard input. The builder has its own limit; this one only bounds what is read. */
#define STDIN_DOCKERFILE_MAX ((size_t)64 << 20)

const Option build_options[] = {
        { "add-host", 0, OPTION_LIST, offsetof(BuildFlags, add_hosts), .help = "Add a custom host-to-IP mapping (format: \"host:ip\")" },
        { "allow", 0, OPTION_CSV, offsetof(BuildFlags, allow), "entitlements", .help = "Allow extra privileged entitlement (network.host, security.insecure)" },
        { "annotation", 0, OPTION_LIST, offsetof(BuildFlags, annotations),
          .help = "Add annotation to the image (format: \"[TYPE[,TYPE]:]key=value\"; types: manifest, index, manifest-descriptor, index-descriptor)" },
        { "attest", 0, OPTION_LIST, offsetof(BuildFlags, attests), .help = "Attestation parameters (format: \"type=provenance,mode=max\")" },
        { "build-arg", 0, OPTION_LIST, offsetof(BuildFlags, build_args), .help = "Set build-time variables" },
        { "build-context", 0, OPTION_LIST, offsetof(BuildFlags, contexts),
          .help = "Additional build contexts (e.g., name=path, name=docker-image://image, name=https://….git, name::platform=…)" },
        { "cache-from", 0, OPTION_LIST, offsetof(BuildFlags, cache_from), .help = "External cache to read (\"type=local,src=DIR[,tag=NAME|,digest=DIGEST]\")" },
        { "cache-to", 0, OPTION_LIST, offsetof(BuildFlags, cache_to),
          .help = "Where to write the cache (\"type=local,dest=DIR[,mode=max][,compression=zstd][,cache-mounts=true]\")" },
        { "call", 0, OPTION_STRING, offsetof(BuildFlags, call),
          .help = "Set method for evaluating build (\"check\", \"outline\", \"targets\"), with \",format=json\" and \",ignorestatus=true\"",
          .choices = "build|check|outline|targets|subrequests.describe" },
        { "cgroup-parent", 0, OPTION_STRING, offsetof(BuildFlags, cgroup_parent), .help = "Set the parent cgroup for the \"RUN\" instructions during build" },
        { "check", 0, OPTION_BOOL, offsetof(BuildFlags, check), .help = "Shorthand for \"--call=check\"" },
        { "debug-shell", 0, OPTION_STRING, offsetof(BuildFlags, debug_shell), "on-error|STEP",
          .help = "Open a shell where a step fails, or before a step (\"[stage 2/5]\", a stage, a line of the Dockerfile)", .implied = "on-error" },
        { "explain", 0, OPTION_STRING, offsetof(BuildFlags, explain), .help = "Say for each step why it was or was not cached (text, json)", .implied = "text",
          .choices = "text|json" },
        { "file", 'f', OPTION_STRING, offsetof(BuildFlags, file), .help = "Name of the Dockerfile (default: \"PATH/Dockerfile\")", .flags = OPTION_FILE },
        { "force-rm", 0, OPTION_BOOL, offsetof(BuildFlags, force_rm), .help = "Accepted and without effect: there are no intermediate containers",
          .flags = OPTION_HIDDEN },
        { "format", 0, OPTION_STRING, offsetof(BuildFlags, format), .help = "Format of the result of --check or --call (text, json, sarif, github)",
          .choices = "text|json|sarif|github" },
        { "graph", 0, OPTION_STRING, offsetof(BuildFlags, graph), "form",
          .help = "Print the build graph instead of building: stages, steps, what is needed and what is cached (dot, json)", .implied = "dot",
          .choices = "dot|json" },
        { "host-ca", 0, OPTION_BOOL, offsetof(BuildFlags, host_ca),
          .help = "Let \"RUN\" see this machine's CA bundle; nothing of it stays in the image (MICA_HOST_CA=1)" },
        { "iidfile", 0, OPTION_STRING, offsetof(BuildFlags, iidfile), .help = "Write the image ID to a file", .flags = OPTION_FILE },
        { "jobs", 'j', OPTION_INT, offsetof(BuildFlags, jobs), .help = "Steps that run at the same time (default: as many as there are processors)" },
        { "label", 0, OPTION_LIST, offsetof(BuildFlags, labels), .help = "Set metadata for an image" },
        { "load", 0, OPTION_BOOL, offsetof(BuildFlags, load),
          .help = "Shorthand for \"--output=type=docker\": the image is in the store also when there are other outputs" },
        { "locked", 0, OPTION_STRING, offsetof(BuildFlags, locked), "file",
          .help = "Refuse everything from outside (images, http, git) that is not in the lock with the same digest (default: \"mica.lock\" beside the "
                  "Dockerfile)",
          .implied = "", .flags = OPTION_FILE },
        { "metadata-file", 0, OPTION_STRING, offsetof(BuildFlags, metadata_file), .help = "Write build result metadata to a file", .flags = OPTION_FILE },
        { "network", 0, OPTION_STRING, offsetof(BuildFlags, network), .help = "Set the networking mode for the \"RUN\" instructions during build",
          .value = "default", .choices = "default|host|none" },
        { "no-cache", 0, OPTION_BOOL, offsetof(BuildFlags, no_cache), .help = "Do not use cache when building the image" },
        { "no-cache-filter", 0, OPTION_CSV, offsetof(BuildFlags, no_cache_filter), "stages", .help = "Do not cache specified stages" },
        { "output", 'o', OPTION_LIST, offsetof(BuildFlags, outputs),
          .help = "Output destination (format: \"type=image|oci|docker|tar|local|cacheonly,dest=path\"; default: an image in the store)" },
        { "pin", 0, OPTION_STRING, offsetof(BuildFlags, pin), "file",
          .help = "Write the lock of everything that the build takes from outside (default: \"mica.lock\" beside the Dockerfile)", .implied = "",
          .flags = OPTION_FILE },
        { "platform", 0, OPTION_CSV, offsetof(BuildFlags, platforms), "platforms",
          .help = "Set target platforms for build: an image for each, under one name" },
        { "progress", 0, OPTION_STRING, offsetof(BuildFlags, progress), .help = "Set type of progress output (auto, plain, tty, rawjson, quiet)",
          .value = "auto", .choices = "auto|plain|tty|rawjson|quiet" },
        { "provenance", 0, OPTION_STRING, offsetof(BuildFlags, provenance),
          .help = "Shorthand for \"--attest=type=provenance\" (true, false, mode=min, mode=max)" },
        { "push", 0, OPTION_BOOL, offsetof(BuildFlags, push), .help = "Shorthand for \"--output=type=registry\": an error until there is a registry client",
          .flags = OPTION_HIDDEN },
        { "quiet", 'q', OPTION_BOOL, offsetof(BuildFlags, quiet), .help = "Suppress the build output and print image ID on success" },
        { "rm", 0, OPTION_BOOL, offsetof(BuildFlags, rm), .help = "Accepted and without effect: there are no intermediate containers", .flags = OPTION_HIDDEN },
        { "sbom", 0, OPTION_STRING, offsetof(BuildFlags, sbom),
          .help = "Shorthand for \"--attest=type=sbom\" (true, false, generator=IMAGE, file=FILE.spdx.json)" },
        { "secret", 0, OPTION_LIST, offsetof(BuildFlags, secrets),
          .help = "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret|,env=NAME]\")" },
        { "shm-size", 0, OPTION_SIZE, offsetof(BuildFlags, shm_size), .help = "Shared memory size for build containers" },
        { "squash", 0, OPTION_BOOL, offsetof(BuildFlags, squash), .help = "Squash newly built layers into a single new layer" },
        { "ssh", 0, OPTION_LIST, offsetof(BuildFlags, ssh),
          .help = "SSH agent socket or keys to expose to the build (format: \"default|<id>[=<socket>|<key>[,<key>]]\")" },
        { "tag", 't', OPTION_LIST, offsetof(BuildFlags, tags), .help = "Name and optionally a tag (format: \"name:tag\")", .flags = OPTION_IMAGE },
        { "target", 0, OPTION_STRING, offsetof(BuildFlags, target), .help = "Set the target build stage to build" },
        { "timings", 0, OPTION_STRING, offsetof(BuildFlags, timings), "form",
          .help = "At the end say how long each step took, and which ones the build waited for (text, json)", .implied = "text", .choices = "text|json" },
        { "ulimit", 0, OPTION_LIST, offsetof(BuildFlags, ulimits), "ulimit", .help = "Ulimit options (format: \"nofile=1024:2048\")" },
        { "watch", 0, OPTION_BOOL, offsetof(BuildFlags, watch), .help = "Build again whenever a file changes that the build uses, until Ctrl-C" },
        OPTION_TABLE_END,
};

void build_request_done(BuildRequest *request)
{
        for (size_t i = 0; i < request->options.n_secrets; i++) {
                free(request->secrets[i].id);
                free(request->secrets[i].file);
                free(request->secrets[i].env);
        }
        for (size_t i = 0; i < request->options.n_ssh; i++) {
                free(request->ssh[i].id);
                free(request->ssh[i].socket);
                strlist_done(&request->ssh[i].keys);
        }
        for (size_t i = 0; i < request->options.n_cache_to; i++)
                build_cache_to_done(&request->cache_to[i]);
        for (size_t i = 0; i < request->options.n_cache_from; i++)
                build_cache_from_done(&request->cache_from[i]);
        free(request->cache_to);
        free(request->cache_from);
        for (size_t i = 0; i < request->options.n_contexts; i++) {
                free(request->contexts[i].name);
                free(request->contexts[i].base);
                free(request->contexts[i].platform);
                free(request->contexts[i].value);
        }
        for (size_t i = 0; i < request->options.n_limits; i++)
                free(request->limits[i].name);
        free(request->secrets);
        free(request->ssh);
        free(request->contexts);
        free(request->limits);
        build_outputs_free(request->outputs, request->options.n_outputs);
        buf_done(&request->dockerfile);
        build_options_done(&request->options);
}

/* --secret id=x,src=path | id=x,env=NAME | id=x,type=env; "type" is file unless said otherwise. */
static int parse_secret(const char *text, BuildSecret *ret, Error *err)
{
        _cleanup_strlist_ StrList fields = { 0 };
        const char *type = NULL, *source = NULL;

        strlist_split(&fields, text, ',');
        for (size_t i = 0; i < fields.n_items; i++) {
                char *value = strchr(fields.items[i], '=');

                if (!value)
                        return error_set(err, ERROR_INVALID, "invalid secret '%s': '%s' must be a key=value pair", text, fields.items[i]);
                *value++ = '\0';
                if (streq(fields.items[i], "id")) {
                        free(ret->id);
                        ret->id = xstrdup(value);
                } else if (streq(fields.items[i], "src") || streq(fields.items[i], "source")) {
                        source = value;
                } else if (streq(fields.items[i], "env")) {
                        free(ret->env);
                        ret->env = xstrdup(value);
                } else if (streq(fields.items[i], "type")) {
                        type = value;
                } else {
                        return error_set(err, ERROR_INVALID, "invalid secret '%s': unexpected key '%s'; known are id, src, env and type", text,
                                         fields.items[i]);
                }
        }
        if (type && !streq(type, "file") && !streq(type, "env"))
                return error_set(err, ERROR_INVALID, "invalid secret '%s': unsupported type '%s'; known are file and env", text, type);
        if (str_empty(ret->id)) {
                if (!source && !ret->env)
                        return error_set(err, ERROR_INVALID, "invalid secret '%s': id is missing", text);
                free(ret->id);
                ret->id = xstrdup(source ? source : ret->env);
        }
        if (type && streq(type, "env") && !ret->env)
                ret->env = xstrdup(source ? source : ret->id);
        else if (source)
                ret->file = xstrdup(source);
        return 0;
}

/* --ssh default | id | id=socket | id=key,key */
static int parse_ssh(const char *text, BuildSsh *ret, Error *err)
{
        const char *value = strchr(text, '=');
        struct stat st;

        ret->id = value ? xstrndup(text, (size_t)(value - text)) : xstrdup(text);
        if (!*ret->id)
                return error_set(err, ERROR_INVALID, "invalid --ssh '%s': id is missing", text);
        if (!value || !value[1])
                return 0;
        if (!strchr(value, ',') && stat(value + 1, &st) == 0 && S_ISSOCK(st.st_mode))
                ret->socket = xstrdup(value + 1);
        else
                strlist_split(&ret->keys, value + 1, ',');
        return 0;
}

static int parse_context(const char *text, BuildNamedContext *ret, Error *err)
{
        const char *value = strchr(text, '='), *platform;

        if (!value || value == text || !value[1])
                return error_set(err, ERROR_INVALID, "invalid context value: %s, expected key=value", text);
        ret->name = xstrndup(text, (size_t)(value - text));
        ret->value = xstrdup(value + 1);
        platform = strstr(ret->name, "::");
        ret->base = platform ? xstrndup(ret->name, (size_t)(platform - ret->name)) : xstrdup(ret->name);
        ret->platform = platform ? xstrdup(platform + 2) : NULL;
        if (!*ret->base)
                return error_set(err, ERROR_INVALID, "invalid context name %s: there is nothing before the platform", ret->name);
        return 0;
}

/* One half of "soft:hard"; "-1" and "unlimited" have no limit. */
static int parse_limit_value(const char *text, uint64_t *ret)
{
        if (streq(text, "-1") || streq(text, "unlimited")) {
                *ret = UINT64_MAX;
                return 0;
        }
        return str_to_u64(text, ret);
}

static int parse_ulimit(const char *text, RunLimit *ret, Error *err)
{
        _cleanup_strlist_ StrList values = { 0 };
        const char *value = strchr(text, '=');

        if (!value || value == text)
                return error_set(err, ERROR_INVALID, "invalid ulimit argument: %s", text);
        strlist_split(&values, value + 1, ':');
        if (values.n_items > 2 || parse_limit_value(values.items[0], &ret->soft) < 0 || parse_limit_value(values.items[values.n_items - 1], &ret->hard) < 0)
                return error_set(err, ERROR_INVALID, "invalid ulimit argument: %s; write name=soft[:hard]", text);
        if (ret->soft > ret->hard)
                return error_set(err, ERROR_INVALID, "ulimit soft limit must be less than or equal to hard limit: %s", text);
        ret->name = xstrndup(text, (size_t)(value - text));
        return 0;
}

/* "NAME" alone takes its value from the environment, and is left out when it has none there. */
static void take_build_args(const StrList *from, StrList *to)
{
        for (size_t i = 0; i < from->n_items; i++) {
                const char *value = strchr(from->items[i], '=') ? NULL : getenv(from->items[i]);

                if (strchr(from->items[i], '='))
                        strlist_add(to, from->items[i]);
                else if (value)
                        strlist_addf(to, "%s=%s", from->items[i], value);
        }
}

static int take_lists(const BuildFlags *flags, BuildRequest *request, Error *err)
{
        BuildOptions *options = &request->options;

        options->secrets = request->secrets = NEW_ARRAY(BuildSecret, flags->secrets.n_items);
        options->ssh = request->ssh = NEW_ARRAY(BuildSsh, flags->ssh.n_items);
        options->contexts = request->contexts = NEW_ARRAY(BuildNamedContext, flags->contexts.n_items);
        options->limits = request->limits = NEW_ARRAY(RunLimit, flags->ulimits.n_items);
        for (; options->n_secrets < flags->secrets.n_items; options->n_secrets++)
                if (parse_secret(flags->secrets.items[options->n_secrets], &request->secrets[options->n_secrets], err) < 0)
                        return -1;
        for (; options->n_ssh < flags->ssh.n_items; options->n_ssh++)
                if (parse_ssh(flags->ssh.items[options->n_ssh], &request->ssh[options->n_ssh], err) < 0)
                        return -1;
        options->cache_to = request->cache_to = NEW_ARRAY(BuildCacheTo, flags->cache_to.n_items);
        options->cache_from = request->cache_from = NEW_ARRAY(BuildCacheFrom, flags->cache_from.n_items);
        while (options->n_cache_to < flags->cache_to.n_items) {
                size_t at = options->n_cache_to++;

                if (build_cache_to_parse(flags->cache_to.items[at], &request->cache_to[at], err) < 0)
                        return -1;
        }
        while (options->n_cache_from < flags->cache_from.n_items) {
                size_t at = options->n_cache_from++;

                if (build_cache_from_parse(flags->cache_from.items[at], &request->cache_from[at], err) < 0)
                        return -1;
        }
        for (; options->n_contexts < flags->contexts.n_items; options->n_contexts++)
                if (parse_context(flags->contexts.items[options->n_contexts], &request->contexts[options->n_contexts], err) < 0)
                        return -1;
        for (; options->n_limits < flags->ulimits.n_items; options->n_limits++)
                if (parse_ulimit(flags->ulimits.items[options->n_limits], &request->limits[options->n_limits], err) < 0)
                        return -1;
        return 0;
}

/*
 * Where the Dockerfile and the context come from: PATH, a URL, `-` (standard input: a tar, or a Dockerfile alone), `-f -` (a Dockerfile on standard input
 * beside a context).
 */
static int take_input(const BuildFlags *flags, const char *path, BuildRequest *request, Error *err)
{
        BuildOptions *options = &request->options;
        bool alone = streq(path, "-"), from_stdin = flags->file && streq(flags->file, "-");
        int r;

        if (alone && from_stdin)
                return error_set(err, ERROR_INVALID, "invalid argument: can't use stdin for both build context and dockerfile");
        options->context = path;
        options->context_fd = STDIN_FILENO;
        if (!from_stdin) {
                options->dockerfile = flags->file;
                return 0;
        }
        request->dockerfile = BUF_INIT(STDIN_DOCKERFILE_MAX);
        r = fd_read_to_buf(STDIN_FILENO, &request->dockerfile);
        if (r < 0)
                return error_errno(err, r, "cannot read the Dockerfile from standard input");
        options->dockerfile_text = buf_str(&request->dockerfile);
        options->dockerfile_size = request->dockerfile.size;
        return 0;
}

int build_request_make(const BuildFlags *flags, const char *path, BuildRequest *request, Error *err)
{
        static const struct {
                const char *name;
                BuildNetwork network;
        } networks[] = { { "default", BUILD_NETWORK_DEFAULT }, { "host", BUILD_NETWORK_HOST }, { "none", BUILD_NETWORK_NONE } };
        BuildOptions *options = &request->options;
        const char *host_ca = getenv("MICA_HOST_CA");
        bool known = false;

        *options = BUILD_OPTIONS_INIT;
        for (size_t i = 0; i < ARRAY_LEN(networks); i++)
                if (streq(flags->network, networks[i].name)) {
                        options->network = networks[i].network;
                        known = true;
                }
        if (!known)
                return error_set(err, ERROR_INVALID, "network mode '%s' is not supported by build; known are default, host and none", flags->network);
        for (size_t i = 0; i < flags->allow.n_items; i++)
                if (!streq(flags->allow.items[i], "network.host") && !streq(flags->allow.items[i], "security.insecure"))
                        return error_set(err, ERROR_INVALID, "invalid entitlement '%s': known are network.host and security.insecure", flags->allow.items[i]);
        if (flags->jobs < 0 || flags->jobs > 1024)
                return error_set(err, ERROR_INVALID, "--jobs must be between 1 and 1024");
        options->target = flags->target;
        options->debug_shell = flags->debug_shell;
        strlist_copy(&options->platforms, &flags->platforms);
        options->cgroup_parent = flags->cgroup_parent;
        options->pin = flags->pin;
        options->locked = flags->locked;
        options->no_cache = flags->no_cache;
        options->squash = flags->squash;
        options->host_ca = flags->host_ca || (host_ca && streq(host_ca, "1"));
        options->shm_size = flags->shm_size > 0 ? (uint64_t)flags->shm_size : 0;
        options->jobs = (unsigned)flags->jobs;
        strlist_copy(&options->tags, &flags->tags);
        strlist_copy(&options->labels, &flags->labels);
        strlist_copy(&options->add_hosts, &flags->add_hosts);
        strlist_copy(&options->allow, &flags->allow);
        strlist_copy(&options->no_cache_filter, &flags->no_cache_filter);
        take_build_args(&flags->build_args, &options->build_args);
        if (cli_source_date_epoch(&options->epoch, err) < 0 || take_lists(flags, request, err) < 0 || build_take_outputs(flags, request, err) < 0)
                return -1;
        return take_input(flags, path, request, err);
}
