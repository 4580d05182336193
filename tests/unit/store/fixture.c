#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fs/features.h"
#include "fs/mount.h"
#include "oci/config.h"
#include "store/image_write.h"

const char *fixture_driver = "erofs";

const char *fixture_no_erofs(void)
{
        const char *base = getenv("TMPDIR"), *reason = NULL;
        _cleanup_close_ int fd = open(base ? base : "/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return feature_erofs_in(fd, NULL, &reason) ? NULL : reason;
}

const char *fixture_no_mounts(void)
{
        static bool asked;
        static char *reason;
        Error err = ERROR_INIT;

        if (asked)
                return reason ? reason : streq(fixture_driver, "erofs") ? fixture_no_erofs() : NULL;
        asked = true;
        if (mount_namespace_enter(&err) < 0)
                reason = xasprintf("%s", error_message(&err));
        else if (!feature_works(FEATURE_OVERLAY))
                reason = xstrdup(feature_reason(FEATURE_OVERLAY));
        error_done(&err);
        return fixture_no_mounts();
}

static void open_store(Fixture *fixture)
{
        const StoreOptions options = { .root = fixture->root, .driver = fixture_driver };
        Error err = ERROR_INIT;

        assert_ok(store_open(&options, &fixture->store, &err));
}

int fixture_setup(void **state)
{
        Fixture *fixture = NEW(Fixture);
        const char *base = getenv("TMPDIR");

        fixture->dir = xasprintf("%s/mica-store-XXXXXX", base ? base : "/var/tmp");
        assert_non_null(mkdtemp(fixture->dir));
        fixture->root = xasprintf("%s/root", fixture->dir);
        open_store(fixture);
        *state = fixture;
        return 0;
}

int fixture_teardown(void **state)
{
        Fixture *fixture = *state;

        store_close(fixture->store);
        tree_remove(AT_FDCWD, fixture->dir);
        free(fixture->dir);
        free(fixture->root);
        free(fixture);
        return 0;
}

void fixture_reopen(Fixture *fixture)
{
        store_close(fixture->store);
        fixture->store = NULL;
        open_store(fixture);
}

void tar_put_entry(Buf *tar, const TarEntry *entry, const void *content)
{
        Error err = ERROR_INIT;

        assert_ok(tar_write_header(entry, tar, &err));
        if (entry->type == TAR_FILE && entry->size) {
                buf_put(tar, content, entry->size);
                assert_int_equal(buf_add_zero(tar, tar_padding(entry->size)), 0);
        }
}

void tar_put_file(Buf *tar, const char *path, const char *content)
{
        tar_put_entry(tar, &(TarEntry){ .type = TAR_FILE, .path = (char *)path, .mode = 0644, .size = strlen(content), .mtime_sec = 1000000000 }, content);
}

void tar_put_sized(Buf *tar, const char *path, size_t size, char fill)
{
        _cleanup_free_ char *content = xmalloc(size + 1);

        memset(content, fill, size);
        tar_put_entry(tar, &(TarEntry){ .type = TAR_FILE, .path = (char *)path, .mode = 0644, .size = size, .mtime_sec = 1000000000 }, content);
}

void tar_put_dir(Buf *tar, const char *path, uint32_t mode)
{
        tar_put_entry(tar, &(TarEntry){ .type = TAR_DIR, .path = (char *)path, .mode = mode, .mtime_sec = 1000000001 }, NULL);
}

void tar_put_link(Buf *tar, TarType type, const char *path, const char *target)
{
        tar_put_entry(tar, &(TarEntry){ .type = type, .path = (char *)path, .link = (char *)target, .mode = 0777, .mtime_sec = 1000000002 }, NULL);
}

void tar_put_whiteout(Buf *tar, const char *path, TarWhiteout kind)
{
        tar_put_entry(tar, &(TarEntry){ .type = TAR_FILE, .path = (char *)path, .whiteout = kind }, NULL);
}

void tar_put_end(Buf *tar)
{
        assert_int_equal(buf_add_zero(tar, TAR_TRAILER_SIZE), 0);
}

LayerInfo fixture_layer(Lease *lease, Buf *tar)
{
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        LayerInfo info;
        Error err = ERROR_INIT;

        tar_put_end(tar);
        assert_ok(layer_writer_open(lease, &writer, &err));
        assert_ok(layer_writer_write(writer, tar->data, tar->size, &err));
        assert_ok(layer_writer_commit(writer, NULL, &info, &err));
        return info;
}

Digest fixture_image(Lease *lease, const LayerInfo *layers, size_t n, const char *name, const char *author)
{
        _cleanup_image_config_ ImageConfig config = { 0 };
        Platform platform = { 0 };
        WrittenImage written;
        Error err = ERROR_INIT;

        platform_host(&platform);
        image_config_init(&config, &platform);
        config.author = xstrdup(author);
        for (size_t i = 0; i < n; i++)
                digest_list_add(&config.rootfs.diff_ids, &layers[i].diff_id);
        assert_ok(image_write_named(lease, &config, &name, name ? 1 : 0, &written, &err));
        platform_done(&platform);
        return written.id;
}

char *read_at(int dir_fd, const char *path)
{
        Buf buf = BUF_INIT(16 * MIB);

        if (file_read(dir_fd, path, &buf) < 0) {
                buf_done(&buf);
                return NULL;
        }
        return buf_detach(&buf);
}
