#include "store/image_write.h"

#include "oci/limits.h"
#include "oci/manifest.h"
#include "store/internal.h"

/* Describes one layer as it lies in the store: its tar, whose digest is the diffID. */
static int add_layer(Lease *lease, Manifest *manifest, const Digest *diff_id, Error *err)
{
        LayerInfo info;

        if (lease_layer_info(lease, diff_id, &info, err) < 0)
                return -1;
        descriptor_set(descriptor_list_add(&manifest->layers), MEDIA_OCI_LAYER, diff_id, info.tar_size);
        return 0;
}

int image_write_named(Lease *lease, const ImageConfig *config, const char *const *names, size_t n_names, WrittenImage *ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(OCI_CONFIG_SIZE_MAX), manifest_bytes = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        _cleanup_manifest_ Manifest manifest = { 0 };
        WrittenImage written = { 0 };

        if (image_config_validate(config, err) < 0 || image_config_text(config, &text, err) < 0)
                return -1;
        manifest_init(&manifest, false);
        for (size_t i = 0; i < config->rootfs.diff_ids.n_items; i++)
                if (add_layer(lease, &manifest, &config->rootfs.diff_ids.items[i], err) < 0)
                        return -1;
        if (blob_put(lease, text.data, text.size, &written.id, err) < 0)
                return -1;
        descriptor_set(&manifest.config, MEDIA_OCI_CONFIG, &written.id, text.size);
        if (manifest_text(&manifest, &manifest_bytes, err) < 0 || blob_put(lease, manifest_bytes.data, manifest_bytes.size, &written.manifest, err) < 0)
                return -1;
        written.config_size = text.size;
        written.manifest_size = manifest_bytes.size;
        if (image_put_named(lease, &written.manifest, names, n_names, NULL, err) < 0)
                return -1;
        *ret = written;
        return 0;
}

int image_write(Lease *lease, const ImageConfig *config, WrittenImage *ret, Error *err)
{
        return image_write_named(lease, config, NULL, 0, ret, err);
}
