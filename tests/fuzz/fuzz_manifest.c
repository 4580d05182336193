/*
 * Manifests, indexes, configs and archive lists from hostile text. What is accepted must be written and read again to the same text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/config.h"
#include "oci/layout.h"
#include "oci/limits.h"
#include "oci/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
        if (!holds)
                abort();
}

static void try_config(const uint8_t *data, size_t size)
{
        _cleanup_image_config_ ImageConfig config = { 0 }, copy = { 0 }, again = { 0 };
        _cleanup_buf_ Buf one = BUF_INIT(BUF_MAX_DEFAULT), two = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;

        if (image_config_parse(data, size, &config, &err) < 0)
                return;
        image_config_copy(&copy, &config);
        must(image_config_text(&copy, &one, &err) >= 0);
        must(image_config_parse(buf_str(&one), one.size, &again, &err) >= 0);
        must(image_config_text(&again, &two, &err) >= 0);
        must(one.size == two.size && memcmp(one.data, two.data, one.size) == 0);
        image_config_normalize_history(&config, 0, 1);
}

static void try_manifest(const uint8_t *data, size_t size)
{
        _cleanup_manifest_ Manifest manifest = { 0 }, again = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;

        if (manifest_parse(data, size, &manifest, &err) < 0)
                return;
        must(manifest_text(&manifest, &text, &err) >= 0);
        must(text.size > OCI_MANIFEST_SIZE_MAX || manifest_parse(buf_str(&text), text.size, &again, &err) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_docker_archive_ DockerArchive archive = { 0 };
        _cleanup_index_ Index index = { 0 };
        _cleanup_platform_ Platform host = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;
        const Descriptor *found;

        try_config(data, size);
        try_manifest(data, size);
        if (index_parse(data, size, &index, &err) >= 0) {
                platform_host(&host);
                (void)index_select(&index, &host, &found, &err);
                (void)oci_layout_find(&index, "a:1");
        }
        (void)docker_archive_parse(data, size, &archive, &err);
        (void)oci_layout_check(data, size, &err);
        return 0;
}
