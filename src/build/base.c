/*
 * Base images: from the name in FROM to an image in the store.
 */
#include "base/mem.h"
#include "build/engine.h"
#include "build/intake.h"
#include "oci/reference.h"
#include "store/image_index.h"

static int missing(const char *name, Error *err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_free_ char *familiar = NULL;
        const char *last;

        if (reference_parse_tagged(name, &reference, err) < 0)
                return error_wrap(err, "failed to parse stage name \"%s\"", name);
        familiar = reference_familiar(&reference);
        last = str_base_name(reference.path);
        if (streq(last, "debian") || streq(last, "busybox"))
                return error_set(err, ERROR_NOT_FOUND, "there is no image '%s' in the store: make it with 'mica bootstrap %s', or load one with 'mica load'",
                                 familiar, familiar);
        return error_set(err, ERROR_NOT_FOUND,
                         "there is no image '%s' in the store: load it with 'mica load', import a root file system with 'mica import FILE %s', or make one "
                         "with 'mica bootstrap -t %s …'",
                         familiar, familiar, familiar);
}

static int check_platform(const ImageConfig *config, const char *name, const char *wanted, Error *err)
{
        _cleanup_platform_ Platform want = { 0 };
        _cleanup_free_ char *have = NULL;

        if (!wanted)
                return 0;
        if (platform_parse(wanted, &want, err) < 0)
                return -1;
        if (platform_rank(&want, &config->platform) >= 0)
                return 0;
        have = platform_format(&config->platform, false);
        return error_set(err, ERROR_NOT_FOUND, "the image '%s' in the store is for %s, not for %s", name, have, wanted);
}

static int hold_layers(Build *build, const Image *image, Error *err)
{
        for (size_t i = 0; i < image->n_diff_ids; i++)
                if (lease_hold_layer(build->lease, &image->diff_ids[i], err) < 0)
                        return -1;
        return lease_hold_blob(build->lease, &image->id, err);
}

static int take_source(Build *build, const char *name, const Image *image, const Platform *platform, Error *err)
{
        _cleanup_free_ char *uri = NULL, *shown = platform_format(platform, false), *asked = NULL;
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        SourceRecord record;

        /* An image that was named by its id has no reference: its id is all there is to say. */
        if (reference_parse_tagged(name, &reference, &ignored) == 0 && source_image_uri("docker", name, platform, &uri, &ignored) == 0)
                asked = reference_text(&reference);
        else
                uri = xstrdup(name);
        record = (SourceRecord){ .kind = SOURCE_IMAGE, .uri = uri, .asked = asked ? asked : name, .platform = shown, .digest = image->manifest };
        return intake_take(build, &record, err);
}

/* Of an image for several platforms the one that is wanted. */
static int choose_platform(Build *build, const char *name, const char *platform, Image **image, Error *err)
{
        _cleanup_platform_ Platform want = { 0 };
        Image *chosen;

        if (platform && platform_parse(platform, &want, err) < 0)
                return -1;
        if (image_find_platform(build->store, name, platform ? &want : NULL, &chosen, err) < 0)
                return -1;
        image_free(*image);
        *image = chosen;
        return 0;
}

/* An image of this manifest, whatever it is called: 1, 0. */
static int find_by_digest(Build *build, const Digest *digest, Image **ret, Error *err)
{
        Image **images = NULL;
        size_t n = 0;
        Digest id = { 0 };

        if (image_list(build->store, &images, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++)
                if (digest_equal(&images[i]->manifest, digest))
                        id = images[i]->id;
        image_list_free(images, n);
        if (!digest_is_set(&id))
                return 0;
        return image_get(build->store, &id, ret, err) < 0 ? -1 : 1;
}

/* By name; one with a digest by that, because images that were made or loaded here were never pulled by it. */
static int find_image(Build *build, const char *name, const char *platform, Image **ret, Error *err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        int found = 0;

        if (image_find(build->store, name, ret, err) == 0)
                return choose_platform(build, name, platform, ret, err);
        if (err->code != ERROR_NOT_FOUND)
                return -1;
        error_done(err);
        if (reference_parse(name, &reference, &ignored) == 0 && digest_is_set(&reference.digest))
                found = find_by_digest(build, &reference.digest, ret, err);
        return found < 0 ? -1 : found ? 0 : missing(name, err);
}

int base_resolve(Build *build, const char *asked, const char *platform, ImageConfig *ret, Digest *ret_id, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_free_ char *name = NULL;

        if (intake_image(build, asked, &name, err) < 0 || find_image(build, name, platform, &image, err) < 0)
                return -1;
        if (hold_layers(build, image, err) < 0 || image_config(build->store, image, &text, err) < 0)
                return error_wrap(err, "cannot use the image '%s'", name);
        if (image_config_parse(text.data, text.size, &config, err) < 0)
                return error_wrap(err, "cannot use the image '%s'", name);
        if (check_platform(&config, name, platform, err) < 0 || take_source(build, name, image, &config.platform, err) < 0)
                return -1;
        *ret = config;
        config = (ImageConfig){ 0 };
        *ret_id = image->id;
        return 0;
}
