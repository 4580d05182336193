/*
 * Drives build/ without the command line:
 *   import NAME TAR [CONFIG]         an image from one layer tar; CONFIG is the JSON of its config, with DIFF_ID in place of the layer's digest
 *   build [OPTION VALUE ...] CONTEXT options: -t -f --target --build-arg --label --secret --allow --network --platform --context --jobs --epoch
 * --no-cache-filter
 *                                    --add-host --ssh; and the flags --no-cache --host-ca --plain --stdin. Prints "id=", "manifest=", "cached=N/M"
 *   config NAME                      the image's config
 *   layers NAME                      "digest size" of each layer
 *   tar NAME                         the root file system as a tar
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/build.h"
#include "fs/mount.h"
#include "oci/reference.h"
#include "store/image_write.h"
#include "store/rootfs.h"

static volatile sig_atomic_t cancelled;

static void on_signal(int signal_number)
{
        (void)signal_number;
        cancelled = 1;
}

static void on_event(void *user, const BuildEvent *event)
{
        const BuildVertex *vertex = event->vertex;

        (void)user;
        switch (event->kind) {
        case BUILD_EVENT_STARTED:
                fprintf(stderr, "#%u %s\n", vertex->id, vertex->name);
                break;
        case BUILD_EVENT_DONE:
                if (vertex->error)
                        fprintf(stderr, "#%u ERROR %s\n", vertex->id, vertex->error);
                else if (vertex->cached)
                        fprintf(stderr, "#%u %s\n#%u CACHED\n", vertex->id, vertex->name, vertex->id);
                else
                        fprintf(stderr, "#%u DONE %.3fs\n", vertex->id, (double)(vertex->completed - vertex->started) / 1e9);
                break;
        case BUILD_EVENT_LOG:
                fwrite(event->data, 1, event->size, stderr);
                break;
        case BUILD_EVENT_WARNING:
                fprintf(stderr, "WARNING %s: %s (line %u)\n", event->warning->rule ? event->warning->rule : "", event->warning->message, event->warning->line);
                break;
        case BUILD_EVENT_STATUS:
                break;
        }
}

static int do_import(Store *store, char **args, Error *err)
{
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_(layer_import_freep) LayerImport *import = NULL;
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_platform_ Platform host = { 0 };
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_free_ char *name = NULL, *buffer = xmalloc(MIB);
        _cleanup_close_ int fd = open(args[1], O_RDONLY | O_CLOEXEC);
        WrittenImage written;
        LayerInfo info;
        char id[DIGEST_TEXT_SIZE];
        ssize_t n;

        if (fd < 0)
                return error_errno(err, errno, "cannot open '%s'", args[1]);
        if (lease_new(store, "import", &lease, err) < 0 || layer_import_open(lease, false, &import, err) < 0)
                return -1;
        while ((n = read(fd, buffer, MIB)) > 0)
                if (layer_import_write(import, buffer, (size_t)n, err) < 0)
                        return -1;
        if (layer_import_commit(import, NULL, NULL, NULL, NULL, &info, err) < 0)
                return -1;
        platform_host(&host);
        if (args[2]) {
                _cleanup_free_ char *text = str_replace(args[2], "DIFF_ID", digest_format(&info.diff_id, id));

                if (image_config_parse(text, strlen(text), &config, err) < 0)
                        return -1;
        } else {
                Timestamp created = 1700000000 * NSEC_PER_SEC;

                image_config_init(&config, &host);
                config.created = (ConfigTime){ .set = true, .time = created };
                image_config_add_history(&config, &created, NULL, "imported", false);
                digest_list_add(&config.rootfs.diff_ids, &info.diff_id);
        }
        if (reference_parse_target(args[0], &reference, err) < 0)
                return -1;
        name = reference_text(&reference);
        return image_write_named(lease, &config, (const char *const *)&name, 1, &written, err);
}

/* "id=x,src=y,env=z" */
static void parse_secret(char *text, BuildSecret *ret)
{
        char *save = NULL;

        for (char *part = strtok_r(text, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
                if (str_starts(part, "id="))
                        ret->id = part + 3;
                else if (str_starts(part, "src="))
                        ret->file = part + 4;
                else if (str_starts(part, "env="))
                        ret->env = part + 4;
        }
}

static int do_build(Store *store, char **args, Error *err)
{
        BuildOptions options = BUILD_OPTIONS_INIT;
        BuildSecret secrets[16] = { 0 };
        BuildNamedContext contexts[16] = { 0 };
        BuildSsh ssh[4] = { 0 };
        _cleanup_(build_result_done) BuildResult result = { 0 };
        char text[DIGEST_TEXT_SIZE];
        _cleanup_buf_ Buf in = BUF_INIT(BUF_MAX_DEFAULT);
        int done;

        for (; args[0] && args[0][0] == '-' && args[0][1]; args++) {
                const char *option = args[0];
                char *value = args[1];

                if (streq(option, "--no-cache")) {
                        options.no_cache = true;
                        continue;
                }
                if (streq(option, "--host-ca")) {
                        options.host_ca = true;
                        continue;
                }
                if (streq(option, "--plain")) {
                        options.event = on_event;
                        continue;
                }
                if (streq(option, "--stdin")) {
                        if (fd_read_to_buf(STDIN_FILENO, &in) < 0)
                                return error_set(err, ERROR_IO, "cannot read stdin");
                        options.dockerfile_text = buf_str(&in);
                        options.dockerfile_size = in.size;
                        continue;
                }
                if (!value)
                        return error_set(err, ERROR_INVALID, "%s needs a value", option);
                if (streq(option, "-t"))
                        strlist_add(&options.tags, value);
                else if (streq(option, "-f"))
                        options.dockerfile = value;
                else if (streq(option, "--target"))
                        options.target = value;
                else if (streq(option, "--build-arg"))
                        strlist_add(&options.build_args, value);
                else if (streq(option, "--label"))
                        strlist_add(&options.labels, value);
                else if (streq(option, "--allow"))
                        strlist_add(&options.allow, value);
                else if (streq(option, "--add-host"))
                        strlist_add(&options.add_hosts, value);
                else if (streq(option, "--no-cache-filter"))
                        strlist_add(&options.no_cache_filter, value);
                else if (streq(option, "--network"))
                        options.network = streq(value, "none") ? BUILD_NETWORK_NONE : streq(value, "host") ? BUILD_NETWORK_HOST : BUILD_NETWORK_DEFAULT;
                else if (streq(option, "--platform"))
                        strlist_add(&options.platforms, value);
                else if (streq(option, "--jobs"))
                        options.jobs = (unsigned)atoi(value);
                else if (streq(option, "--epoch"))
                        options.epoch = atoll(value);
                else if (streq(option, "--secret"))
                        parse_secret(value, &secrets[options.n_secrets++]);
                else if (streq(option, "--ssh"))
                        ssh[options.n_ssh++] = (BuildSsh){ .id = (char *)"default", .socket = value };
                else if (streq(option, "--context")) {
                        char *equals = strchr(value, '=');

                        *equals = '\0';
                        contexts[options.n_contexts++] = (BuildNamedContext){ .name = value, .base = value, .value = equals + 1 };
                } else
                        return error_set(err, ERROR_INVALID, "unknown option %s", option);
                args++;
        }
        options.context = args[0];
        options.secrets = secrets;
        options.contexts = contexts;
        options.ssh = ssh;
        options.cancel = &cancelled;
        done = build_run(store, &options, &result, err);
        build_options_done(&options);
        if (done < 0)
                return -1;
        printf("id=%s\n", digest_format(&result.id, text));
        printf("manifest=%s\n", digest_format(&result.manifest, text));
        printf("cached=%u/%u\n", result.n_cached, result.n_steps);
        return 0;
}

static int do_config(Store *store, char **args, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);

        if (image_find(store, args[0], &image, err) < 0 || image_config(store, image, &text, err) < 0)
                return -1;
        puts(buf_str(&text));
        return 0;
}

static int do_layers(Store *store, char **args, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        char text[DIGEST_TEXT_SIZE];

        if (image_find(store, args[0], &image, err) < 0)
                return -1;
        for (size_t i = 0; i < image->n_diff_ids; i++) {
                LayerInfo info;

                if (layer_info(store, &image->diff_ids[i], &info, err) < 0)
                        return -1;
                printf("%s %s/layers/%s/tar\n", digest_format(&image->diff_ids[i], text), store_root(store), text + 7);
        }
        return 0;
}

static int write_stdout(void *user, const void *data, size_t size, Error *err)
{
        (void)user;
        return fwrite(data, 1, size, stdout) == size ? 0 : error_set(err, ERROR_IO, "cannot write");
}

static int do_tar(Store *store, char **args, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_(rootfs_freep) Rootfs *rootfs = NULL;
        Sink sink = { .write = write_stdout };

        if (mount_namespace_enter(err) < 0 || image_find(store, args[0], &image, err) < 0 || lease_new(store, "tar", &lease, err) < 0)
                return -1;
        if (rootfs_mount(lease, image->diff_ids, image->n_diff_ids, NULL, &rootfs, err) < 0)
                return -1;
        return rootfs_export(rootfs_fd(rootfs), &sink, err);
}

int main(int argc, char **argv)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_(store_closep) Store *store = NULL;
        static const struct {
                const char *name;
                int (*run)(Store *store, char **args, Error *err);
        } commands[] = {
                { "import", do_import }, { "build", do_build }, { "config", do_config }, { "layers", do_layers }, { "tar", do_tar },
        };

        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
        if (argc < 2)
                return 2;
        if (store_open(NULL, &store, &err) < 0)
                goto failed;
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (streq(commands[i].name, argv[1])) {
                        if (commands[i].run(store, argv + 2, &err) < 0)
                                goto failed;
                        return 0;
                }
        error_set(&err, ERROR_INVALID, "unknown command %s", argv[1]);
failed:
        fprintf(stderr, "%s: %s\n", error_code_name(err.code), error_message(&err));
        return err.status ? err.status : 1;
}
