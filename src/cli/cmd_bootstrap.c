/*
 * mica bootstrap: base images from Debian's archive.
 */
#include "assemble/bootstrap.h"
#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "cli/interrupt.h"

typedef struct BootstrapFlags {
        StrList include;
        const char *mirror;
        bool quiet;
        StrList tags;
        const char *variant;
} BootstrapFlags;

static const Option bootstrap_options[] = {
        { "include", 0, OPTION_CSV, offsetof(BootstrapFlags, include), "packages", .help = "Debian packages to put in beside those of the variant" },
        { "mirror", 0, OPTION_STRING, offsetof(BootstrapFlags, mirror), "url", .help = "Debian archive to use instead of deb.debian.org" },
        { "quiet", 'q', OPTION_BOOL, offsetof(BootstrapFlags, quiet), .help = "Print the image ID only" },
        { "tag", 't', OPTION_LIST, offsetof(BootstrapFlags, tags), .help = "Name and optionally a tag for the image (format: \"name:tag\"); default: SOURCE" },
        { "variant", 0, OPTION_STRING, offsetof(BootstrapFlags, variant), .help = "What goes in", .choices = "slim|full|distroless" },
        OPTION_TABLE_END,
};

static void show_progress(void *user, const char *line)
{
        fprintf(stderr, " => %s\n", line);
}

static int run_bootstrap(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const BootstrapFlags *flags = data;
        _cleanup_(bootstrap_result_done) BootstrapResult result = { 0 };
        BootstrapOptions options = BOOTSTRAP_OPTIONS_INIT;
        _cleanup_free_ char *what = NULL, *size = NULL;
        char id[DIGEST_TEXT_SIZE];
        Store *store = NULL;

        options.source = args->items[0];
        options.variant = flags->variant;
        options.include = flags->include;
        options.mirror = flags->mirror;
        options.tags = flags->tags;
        options.progress = flags->quiet ? NULL : show_progress;
        options.cancel = interrupt_flag();
        if (cli_source_date_epoch(&options.epoch, err) < 0 || bootstrap_describe(options.source, options.variant, &what, err) < 0 ||
            cli_store(cli, &store, err) < 0)
                return -1;
        if (!flags->quiet)
                fprintf(stderr, "Making %s from Debian's archive\n", what);
        if (bootstrap_run(store, &options, &result, err) < 0)
                return -1;
        size = str_from_size(result.layer.content_size);
        if (!flags->quiet)
                for (size_t i = 0; i < result.names.n_items; i++)
                        fprintf(stderr, "Made %s, %s\n", result.names.items[i], size);
        fprintf(cli->out, "%s\n", digest_format(&result.id, id));
        return 0;
}

const Command command_bootstrap = {
        .usage = "[OPTIONS] SOURCE",
        .summary = "Make a base image from Debian's archive, without a registry",
        .details = "SOURCE is debian:SUITE, debian:SUITE-slim, debian:SUITE-distroless, or busybox. Suites are bookworm (12) and trixie (13).\n\n"
                   "slim leaves out documentation, manual pages, translations and apt's lists, as the official slim images do; apt-get works inside. "
                   "distroless has no shell and no package manager, runs as a user that is not root (65532), and keeps dpkg's status so that scanners see the "
                   "packages; --include names what runs. With SOURCE_DATE_EPOCH the same packages give the same digest.\n\n"
                   "Packages come through mmdebstrap, which checks the archive's signatures.",
        .example = "mica bootstrap debian:bookworm-slim\n"
                   "mica bootstrap --include python3.11,python3-minimal -t python:3.11-distroless debian:bookworm-distroless\n"
                   "mica bootstrap -t alpine:latest busybox",
        .options = { bootstrap_options },
        .options_size = sizeof(BootstrapFlags),
        .min_args = 1,
        .max_args = 1,
        .flags = COMMAND_NAMESPACE,
        .run = run_bootstrap,
};
