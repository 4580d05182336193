/*
 * The platform of a container: which image of several it gets, what is said about one that is not this machine's, and whether it can run.
 * The words are docker's (moby's daemon/create.go and daemon/images/image.go).
 */
#include "base/mem.h"
#include "container/private.h"
#include "runtime/foreign.h"
#include "store/image_index.h"

static Platform platform_of(const Image *image)
{
        return (Platform){ .os = image->os, .architecture = image->architecture, .variant = image->variant };
}

static int find_for(Store *store, const char *name, const char *platform, Image **ret, Error *err)
{
        _cleanup_platform_ Platform want = { 0 };

        if (platform_parse(platform, &want, err) < 0)
                return error_wrap(err, "error parsing specified platform");
        return image_find_matching(store, name, &want, ret, err);
}

static void warn_about(const Image *image, StrList *warnings)
{
        _cleanup_platform_ Platform host = { 0 };
        _cleanup_free_ char *wanted = NULL, *detected = NULL;
        Platform have = platform_of(image);

        platform_host_best(&host);
        if (platform_rank(&host, &have) >= 0)
                return;
        wanted = platform_format(&have, false);
        detected = platform_format(&host, false);
        strlist_addf(warnings, "The requested image's platform (%s) does not match the detected host platform (%s) and no specific platform was requested",
                     wanted, detected);
}

/* NULL when this machine's processor runs it by itself, which is not worth a question at each start. */
static char *foreign_text(const Image *image)
{
        _cleanup_platform_ Platform host = { 0 };
        Platform have = platform_of(image);

        platform_host(&host);
        return streq_ptr(have.os, host.os) && streq_ptr(have.architecture, host.architecture) && str_empty(have.variant) ? NULL : platform_format(&have, false);
}

int container_choose_image(Store *store, const ContainerSpec *spec, Image **ret, char **ret_foreign, StrList *warnings, Error *err)
{
        if (str_empty(spec->platform) ? image_find(store, spec->config.image, ret, err) : find_for(store, spec->config.image, spec->platform, ret, err))
                return -1;
        if (str_empty(spec->platform) && warnings)
                warn_about(*ret, warnings);
        *ret_foreign = foreign_text(*ret);
        return 0;
}

int container_check_platform(const Container *container, Error *err)
{
        _cleanup_platform_ Platform platform = { 0 };
        _cleanup_free_ char *why = NULL;
        int r;

        if (str_empty(container->data.foreign))
                return 0;
        if (platform_parse(container->data.foreign, &platform, err) < 0)
                return -1;
        r = platform_runs(&platform, container->dir, err);
        if (r != 0)
                return r < 0 ? -1 : 0;
        why = platform_why_not(&platform);
        error_set(err, ERROR_EXIT, "exec format error: %s", why);
        err->status = 126;
        return -1;
}
