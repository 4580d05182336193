/*
 * How a base image is made:
 *   1. `source` and `variant` select a row of suites[] and of variants[]; together they give mmdebstrap's arguments.
 *   2. The variant's hook scripts are written into the lease's temporary directory, which is mmdebstrap's TMPDIR as well: whatever happens, it goes with the
 * lease.
 *   3. mmdebstrap writes a tar to a pipe; the pipe is read straight into a LayerWriter.
 *   4. A config with one history entry is written and the names are set.
 */
#include "assemble/bootstrap.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "assemble/hooks.h"
#include "base/child.h"
#include "base/fd.h"
#include "base/mem.h"
#include "fs/userns.h"
#include "oci/reference.h"
#include "store/image_write.h"

#define MIRROR "http://deb.debian.org/debian"
#define SECURITY_MIRROR "http://deb.debian.org/debian-security"

typedef struct Suite {
        const char *name;    /* in the archive */
        const char *version; /* what people call it too */
} Suite;

/* Newest stable first: it is "stable" and "latest". */
static const Suite suites[] = {
        { "trixie", "13" },
        { "bookworm", "12" },
};

typedef struct Variant {
        const char *name;
        const char *mmdebstrap;                                 /* --variant */
        const char *packages;                                   /* always included */
        const char *setup_hook, *extract_hook, *customize_hook; /* scripts; NULL for none */
        bool whole_system; /* apt and dpkg stay: mmdebstrap cleans up itself; the archive's lines are kept in sources.list */
        bool slim;
        bool only_root;  /* nobody else has a file in it */
        const char *cmd; /* of the image, or NULL */
        const char *user, *working_dir;
} Variant;

static const Variant variants[] = {
        { .name = "full",
          .mmdebstrap = "minbase",
          .packages = "usr-is-merged,iproute2,iputils-ping",
          .customize_hook = hook_slim,
          .whole_system = true,
          .cmd = "bash" },
        { .name = "slim",
          .mmdebstrap = "minbase",
          .packages = "usr-is-merged",
          .customize_hook = hook_slim,
          .whole_system = true,
          .slim = true,
          .cmd = "bash" },
        { .name = "distroless",
          .mmdebstrap = "extract",
          .packages = "base-files,netbase,tzdata,media-types,ca-certificates,libc6",
          .setup_hook = hook_distroless_setup,
          .extract_hook = hook_distroless_finish,
          .user = "65532",
          .working_dir = "/home/nonroot" },
        { .name = "busybox", .mmdebstrap = "extract", .packages = "busybox-static", .extract_hook = hook_busybox, .only_root = true, .cmd = "sh" },
};

/* What dpkg leaves out of slim images; hooks/slim.sh keeps the same for packages installed later. */
static const char *const slim_dpkg_options[] = {
        "path-exclude=/usr/share/doc/*",    "path-include=/usr/share/doc/*/copyright",
        "path-exclude=/usr/share/groff/*",  "path-exclude=/usr/share/info/*",
        "path-exclude=/usr/share/linda/*",  "path-exclude=/usr/share/lintian/*",
        "path-exclude=/usr/share/locale/*", "path-include=/usr/share/locale/locale.alias",
        "path-exclude=/usr/share/man/*",
};

typedef struct Plan {
        const Suite *suite;
        const Variant *variant;
} Plan;

static const Variant *find_variant(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(variants); i++)
                if (streq(variants[i].name, name))
                        return &variants[i];
        return NULL;
}

static const Suite *find_suite(const char *name)
{
        if (streq(name, "stable") || streq(name, "latest") || streq(name, ""))
                return &suites[0];
        for (size_t i = 0; i < ARRAY_LEN(suites); i++)
                if (streq(suites[i].name, name) || streq(suites[i].version, name))
                        return &suites[i];
        return NULL;
}

/* Reads "debian:bookworm-slim" and the like. */
static int plan_make(const char *source, const char *variant, Plan *ret, Error *err)
{
        const char *colon = strchr(source, ':'), *tag = colon ? colon + 1 : "", *dash = strrchr(tag, '-');
        _cleanup_free_ char *name = xstrndup(source, colon ? (size_t)(colon - source) : strlen(source)), *suite = NULL;
        const Variant *by_tag = dash ? find_variant(dash + 1) : NULL;
        Plan plan = { .suite = &suites[1] };

        if (streq(name, "busybox")) {
                if (variant && !streq(variant, "busybox"))
                        return error_set(err, ERROR_INVALID, "busybox has no variant '%s'", variant);
                plan.variant = find_variant("busybox");
                *ret = plan;
                return 0;
        }
        if (!streq(name, "debian"))
                return error_set(err, ERROR_INVALID, "cannot make '%s': known are 'debian:<suite>[-slim|-distroless]' and 'busybox'", source);
        suite = by_tag ? xstrndup(tag, (size_t)(dash - tag)) : xstrdup(tag);
        plan.suite = find_suite(suite);
        if (!plan.suite)
                return error_set(err, ERROR_INVALID, "cannot make '%s': unknown suite '%s'; known are bookworm (12) and trixie (13)", source, suite);
        plan.variant = variant ? find_variant(variant) : by_tag ? by_tag : find_variant("full");
        if (!plan.variant || streq(plan.variant->name, "busybox"))
                return error_set(err, ERROR_INVALID, "unknown variant '%s'; known are slim, full and distroless", variant ? variant : dash + 1);
        if (variant && by_tag && by_tag != plan.variant)
                return error_set(err, ERROR_INVALID, "'%s' and --variant %s contradict each other", source, variant);
        *ret = plan;
        return 0;
}

int bootstrap_describe(const char *source, const char *variant, char **ret, Error *err)
{
        Plan plan;

        if (plan_make(source, variant, &plan, err) < 0)
                return -1;
        *ret = streq(plan.variant->name, "busybox") ? xstrdup("busybox")
                                                    : xasprintf("Debian %s (%s), %s", plan.suite->version, plan.suite->name, plan.variant->name);
        return 0;
}

/* Names of packages go on a command line and into apt's patterns: only what Debian policy allows (5.6.7), with ":arch" and "=version". */
static int check_packages(const StrList *packages, Error *err)
{
        for (size_t i = 0; i < packages->n_items; i++) {
                const char *p = packages->items[i];

                if (!isalnum((unsigned char)*p))
                        return error_set(err, ERROR_INVALID, "invalid package name '%s'", packages->items[i]);
                for (; *p; p++)
                        if (!isalnum((unsigned char)*p) && !strchr("+-.:=~", *p))
                                return error_set(err, ERROR_INVALID, "invalid package name '%s'", packages->items[i]);
        }
        return 0;
}

/* Writes a hook script and adds its option; the script's path has no character that a shell would read differently. */
static int add_hook(StrList *argv, Lease *lease, const char *option, const char *script, Error *err)
{
        const char *directory = lease_tmp_path(lease, err);
        _cleanup_free_ char *name = xasprintf("hook-%zu.sh", argv->n_items);
        int r;

        if (!directory)
                return -1;
        if (!script)
                return 0;
        r = file_write_atomic(lease_tmp_fd(lease, err), name, script, strlen(script), 0700, false);
        if (r < 0)
                return error_errno(err, r, "cannot write the hook script '%s'", name);
        strlist_addf(argv, "%s=sh '%s/%s' \"$1\"", option, directory, name);
        return 0;
}

static int make_argv(const Plan *plan, const BootstrapOptions *options, Lease *lease, StrList *argv, Error *err)
{
        const Variant *variant = plan->variant;
        const char *mirror = options->mirror ? options->mirror : MIRROR;
        _cleanup_free_ char *include = strlist_join(&options->include, ",");

        strlist_add(argv, "mmdebstrap");
        strlist_add(argv, "--mode=root");
        strlist_add(argv, "--format=tar");
        strlist_addf(argv, "--variant=%s", variant->mmdebstrap);
        if (variant->packages || *include)
                strlist_addf(argv, "--include=%s%s%s", variant->packages ? variant->packages : "", variant->packages && *include ? "," : "", include);
        if (variant->slim)
                for (size_t i = 0; i < ARRAY_LEN(slim_dpkg_options); i++)
                        strlist_addf(argv, "--dpkgopt=%s", slim_dpkg_options[i]);
        /*
         * The hooks clean up, and remove what the clean-up of mmdebstrap would need: without its own configuration, which lies in the root's /tmp, its apt-get
         * empties the lists and the cache of this machine.
         */
        strlist_add(argv, "--skip=cleanup/apt");
        if (!variant->whole_system)
                strlist_add(argv, "--skip=cleanup/mmdebstrap,cleanup/reproducible");
        strlist_add(argv, "--skip=output/dev");
        if (add_hook(argv, lease, "--setup-hook", hook_merged_usr, err) < 0 || add_hook(argv, lease, "--setup-hook", variant->setup_hook, err) < 0 ||
            add_hook(argv, lease, "--extract-hook", variant->extract_hook, err) < 0 ||
            add_hook(argv, lease, "--customize-hook", variant->customize_hook, err) < 0)
                return -1;
        strlist_add(argv, plan->suite->name);
        strlist_add(argv, "-");
        strlist_addf(argv, "deb %s %s main", mirror, plan->suite->name);
        if (!options->mirror) {
                strlist_addf(argv, "deb %s %s-updates main", mirror, plan->suite->name);
                strlist_addf(argv, "deb %s %s-security main", SECURITY_MIRROR, plan->suite->name);
        }
        return 0;
}

/* Our environment without what would change the result, and with what the hooks read. */
static int make_env(const Plan *plan, const BootstrapOptions *options, Lease *lease, Timestamp when, StrList *env, Error *err)
{
        const char *directory = lease_tmp_path(lease, err);
        _cleanup_free_ char *include = strlist_join(&options->include, " ");
        _cleanup_free_ char *epoch = xasprintf("%lld", (long long)(when / NSEC_PER_SEC));

        if (!directory)
                return -1;
        for (char **item = environ; *item; item++)
                strlist_add(env, *item);
        strlist_env_set(env, "SOURCE_DATE_EPOCH", epoch);
        strlist_env_set(env, "LC_ALL", "C.UTF-8");
        strlist_env_set(env, "TMPDIR", directory);
        strlist_env_set(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        strlist_env_set(env, "MICA_SLIM", plan->variant->slim ? "1" : "");
        strlist_env_set(env, "MICA_INCLUDE", include);
        strlist_env_unset(env, "APT_CONFIG");
        return 0;
}

/* --- running mmdebstrap --- */

#define KEPT_ERRORS 4096

typedef struct Output {
        const BootstrapOptions *options;
        Buf line;   /* of standard error, so far */
        Buf errors; /* the last lines that began with "E:" */
} Output;

static void take_line(Output *output)
{
        const char *line = buf_str(&output->line), *text;

        if ((text = str_after(line, "I: "))) {
                /* Steps only ("downloading packages with apt..."), not remarks on mmdebstrap's own doings. */
                if (output->options->progress && str_ends(text, "...") && !strchr(text, '/') && !str_starts(text, "main()"))
                        output->options->progress(output->options->user, text);
        } else if (str_starts(line, "E: ")) {
                if (output->errors.size + output->line.size + 1 > KEPT_ERRORS)
                        buf_reset(&output->errors);
                if (buf_adds(&output->errors, line) < 0 || buf_addc(&output->errors, '\n') < 0)
                        buf_reset(&output->errors);
        }
        buf_reset(&output->line);
}

static void take_stderr(Output *output, const char *data, size_t size)
{
        for (size_t i = 0; i < size; i++) {
                if (data[i] == '\n' || data[i] == '\r')
                        take_line(output);
                else if (buf_addc(&output->line, data[i]) < 0)
                        take_line(output); /* a line without end is cut */
        }
}

/* Moves standard output into the layer and standard error into `output` until both end. */
static int pump(int out_fd, int err_fd, LayerWriter *writer, Output *output, Error *err)
{
        struct pollfd polls[2] = { { .fd = out_fd, .events = POLLIN }, { .fd = err_fd, .events = POLLIN } };
        size_t chunk = 256 * KIB;
        _cleanup_free_ char *data = xmalloc(chunk);

        while (polls[0].fd >= 0 || polls[1].fd >= 0) {
                if (output->options->cancel && *output->options->cancel)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (poll(polls, 2, 200) < 0 && errno != EINTR)
                        return error_errno(err, errno, "cannot wait for mmdebstrap");
                for (int i = 0; i < 2; i++) {
                        ssize_t n;

                        if (polls[i].fd < 0 || !polls[i].revents)
                                continue;
                        n = read(polls[i].fd, data, chunk);
                        if (n < 0 && errno == EINTR)
                                continue;
                        if (n < 0)
                                return error_errno(err, errno, "cannot read from mmdebstrap");
                        if (n == 0)
                                polls[i].fd = -1;
                        else if (i == 1)
                                take_stderr(output, data, (size_t)n);
                        else if (layer_writer_write(writer, data, (size_t)n, err) < 0)
                                return -1;
                }
        }
        return 0;
}

/* What apt says of its own command line adds nothing to what it said before. */
static bool is_noise(const char *line)
{
        static const char *const starts[] = { "apt", "mmdebstrap failed", "Some index files", "Unable to fetch some archives", "Unable to correct problems" };

        for (size_t i = 0; i < ARRAY_LEN(starts); i++)
                if (str_starts(line, starts[i]))
                        return true;
        return false;
}

/* From the lines that begin with "E: ", what went wrong and what to do. */
static int explain(const Suite *suite, const char *errors, int status, Error *err)
{
        _cleanup_strlist_ StrList lines = { 0 };
        _cleanup_free_ char *text = NULL;

        for (const char *p = errors; *p;) {
                size_t n = strcspn(p, "\n");
                _cleanup_free_ char *line = xstrndup(p, n);
                const char *said = str_after(line, "E: ") ? str_after(line, "E: ") : line, *name = str_after(said, "Unable to locate package ");

                if (name)
                        return error_set(err, ERROR_INVALID, "Debian %s (%s) has no package '%s': see https://packages.debian.org/%s/ for the names",
                                         suite->version, suite->name, name, suite->name);
                if (str_starts(said, "Failed to fetch") || str_starts(said, "Could not resolve"))
                        return error_set(err, ERROR_NETWORK, "the archive cannot be read: %s (--mirror names another one)", said);
                if (!is_noise(said))
                        strlist_add(&lines, said);
                p += n + (p[n] == '\n');
        }
        text = strlist_join(&lines, "\n");
        error_set(err, ERROR_EXIT, "mmdebstrap ended with status %d%s%s", status, *text ? ": " : "", text);
        err->status = status;
        return -1;
}

static int run_mmdebstrap(const Suite *suite, const StrList *argv, const StrList *env, LayerWriter *writer, const BootstrapOptions *options, Error *err)
{
        _cleanup_close_ int out_read = -1, err_read = -1;
        Output output = { .options = options, .line = BUF_INIT(KEPT_ERRORS), .errors = BUF_INIT(KEPT_ERRORS) };
        ChildSpec spec = CHILD_SPEC_INIT;
        int status, r;
        pid_t pid;

        spec.argv = strlist_argv(argv);
        spec.env = strlist_argv(env);
        spec.new_session = true; /* Ctrl-C reaches us only; we stop its whole session */
        spec.die_with_parent = true;
        spec.own_mounts = true; /* it needs time to unmount; when we are killed it does not have it */
        if (child_start_piped(&spec, &pid, &out_read, &err_read, err) < 0) {
                if (err->code == ERROR_NOT_FOUND)
                        return error_set(err, ERROR_UNSUPPORTED, "mmdebstrap is not installed: run 'apt-get install mmdebstrap'");
                return -1;
        }
        r = pump(out_read, err_read, writer, &output, err);
        if (r < 0)
                kill(-pid, SIGTERM); /* it unmounts what it mounted */
        close(TAKE_FD(out_read));
        if (r < 0) {
                Error ignored = ERROR_INIT;

                child_wait(pid, &status, &ignored);
                error_done(&ignored);
        } else if (child_wait(pid, &status, err) < 0) {
                r = -1;
        } else if (status != 0) {
                r = explain(suite, buf_str(&output.errors), status, err);
        }
        buf_done(&output.line);
        buf_done(&output.errors);
        return r;
}

/* --- the image --- */

static int write_image(Lease *lease, const Plan *plan, const BootstrapOptions *options, const LayerInfo *layer, Timestamp when, Digest *ret_id, Error *err)
{
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_platform_ Platform platform = { 0 };
        _cleanup_free_ char *include = strlist_join(&options->include, ",");
        _cleanup_free_ char *made_by = xasprintf("mica bootstrap%s%s %s", *include ? " --include " : "", include, options->source);
        WrittenImage written;

        platform_host(&platform);
        image_config_init(&config, &platform);
        config.created = (ConfigTime){ .set = true, .time = when };
        if (plan->variant->cmd)
                strlist_add(&config.config.cmd, plan->variant->cmd);
        if (plan->variant->user)
                config.config.user = xstrdup(plan->variant->user);
        if (plan->variant->working_dir) {
                free(config.config.working_dir);
                config.config.working_dir = xstrdup(plan->variant->working_dir);
        }
        if (!plan->variant->whole_system && !streq(plan->variant->name, "busybox"))
                strlist_env_set(&config.config.env, "SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
        digest_list_add(&config.rootfs.diff_ids, &layer->diff_id);
        image_config_add_history(&config, &when, made_by, NULL, false);
        if (image_write(lease, &config, &written, err) < 0)
                return -1;
        *ret_id = written.id;
        return 0;
}

/* The normalised names, checked before any work is done. */
static int names_parse(const BootstrapOptions *options, StrList *ret, Error *err)
{
        for (size_t i = 0; i < MAX(options->tags.n_items, (size_t)1); i++) {
                _cleanup_reference_ Reference reference = { 0 };

                if (reference_parse_target(options->tags.n_items ? options->tags.items[i] : options->source, &reference, err) < 0)
                        return -1;
                strlist_take(ret, reference_text(&reference));
        }
        return 0;
}

/* Debian's base has files of these groups: shadow, mail, staff; and the first user that a package may make. */
static int check_ids(const Plan *plan, const BootstrapOptions *options, Error *err)
{
        static const uint32_t groups[] = { 42, 8, 50, 999 };
        _cleanup_free_ char *advice = NULL;

        if (geteuid() != 0)
                return error_set(err, ERROR_DENIED, "cannot make '%s': installing packages into a new root needs root, or a user namespace", options->source);
        if (plan->variant->only_root && options->include.n_items == 0)
                return 0;
        for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
                if (userns_has_gid(groups[i]))
                        continue;
                advice = userns_advice();
                return error_set(err, ERROR_UNSUPPORTED, "cannot make '%s': its packages have files of groups that are not among your ids: %s", options->source,
                                 advice);
        }
        return 0;
}

void bootstrap_result_done(BootstrapResult *result)
{
        strlist_done(&result->names);
}

int bootstrap_run(Store *store, const BootstrapOptions *options, BootstrapResult *ret, Error *err)
{
        _cleanup_strlist_ StrList names = { 0 }, argv = { 0 }, env = { 0 };
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        /* Whole seconds: the tar has no finer times, and mmdebstrap clamps to this one. */
        Timestamp when = clock_now_or_epoch(options->epoch) / NSEC_PER_SEC * NSEC_PER_SEC;
        Plan plan;

        if (plan_make(options->source, options->variant, &plan, err) < 0 || check_packages(&options->include, err) < 0 || names_parse(options, &names, err) < 0)
                return -1;
        if (check_ids(&plan, options, err) < 0)
                return -1;
        if (lease_new(store, "bootstrap", &lease, err) < 0 || make_argv(&plan, options, lease, &argv, err) < 0 ||
            make_env(&plan, options, lease, when, &env, err) < 0 || layer_writer_open(lease, &writer, err) < 0)
                return -1;
        if (run_mmdebstrap(plan.suite, &argv, &env, writer, options, err) < 0 || layer_writer_commit(writer, NULL, &ret->layer, err) < 0)
                return error_wrap(err, "cannot make '%s'", options->source);
        if (write_image(lease, &plan, options, &ret->layer, when, &ret->id, err) < 0)
                return -1;
        for (size_t i = 0; i < names.n_items; i++)
                if (image_tag(store, names.items[i], &ret->id, err) < 0)
                        return -1;
        ret->names = names;
        names = (StrList){ 0 };
        return 0;
}
