/* What comes from outside: compressed layers, wrong digests, hostile tars, chains of many layers. */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/image_write.h"

static int to_buf(void *user, const void *data, size_t size, Error *err)
{
        return buf_add(user, data, size) < 0 ? error_set(err, ERROR_LIMIT, "too much") : 0;
}

static void compress_to(Codec codec, const Buf *from, Buf *to)
{
        Sink sink = { .write = to_buf, .user = to };
        Error err = ERROR_INIT;
        Encoder *encoder = encoder_new(codec, -1, 1, &sink, &err);

        assert_non_null(encoder);
        assert_ok(encoder_feed(encoder, from->data, from->size, &err));
        assert_ok(encoder_finish(encoder, &err));
        encoder_free(encoder);
}

static int import_all(Lease *lease, const Buf *bytes, const Digest *blob, const Digest *diff_id, Digest *ret_blob, Codec *ret_codec, LayerInfo *ret, Error *err)
{
        _cleanup_(layer_import_freep) LayerImport *import = NULL;

        if (layer_import_open(lease, true, &import, err) < 0)
                return -1;
        /* Odd pieces, as a socket gives them. */
        for (size_t at = 0; at < bytes->size; at += 317)
                if (layer_import_write(import, bytes->data + at, MIN((size_t)317, bytes->size - at), err) < 0)
                        return -1;
        return layer_import_commit(import, blob, diff_id, ret_blob, ret_codec, ret, err);
}

static void test_compressed(void **state)
{
        static const Codec codecs[] = { CODEC_NONE, CODEC_GZIP, CODEC_ZSTD };
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf tar = BUF_INIT(64 * MIB);
        Digest diff_id, wrong = { .algorithm = DIGEST_SHA256 };
        Error err = ERROR_INIT;

        tar_put_sized(&tar, "big", 5 << 20, 'b');
        tar_put_end(&tar);
        diff_id = digest_of(tar.data, tar.size);
        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
                _cleanup_buf_ Buf bytes = BUF_INIT(64 * MIB);
                Digest blob, want;
                Codec codec;
                LayerInfo info;

                if (codecs[i] == CODEC_NONE)
                        buf_put(&bytes, tar.data, tar.size);
                else
                        compress_to(codecs[i], &tar, &bytes);
                want = digest_of(bytes.data, bytes.size);
                assert_ok(import_all(lease, &bytes, &want, &diff_id, &blob, &codec, &info, &err));
                assert_int_equal(codec, codecs[i]);
                assert_true(digest_equal(&info.diff_id, &diff_id) && digest_equal(&blob, &want));
                assert_int_equal(blob_exists(fixture->store, &blob), codecs[i] != CODEC_NONE);
                assert_fails(import_all(lease, &bytes, &wrong, NULL, NULL, NULL, NULL, &err), ERROR_CORRUPT);
                assert_fails(import_all(lease, &bytes, NULL, &wrong, NULL, NULL, NULL, &err), ERROR_CORRUPT);
                bytes.size /= 2; /* the connection broke */
                assert_fails(import_all(lease, &bytes, NULL, NULL, NULL, NULL, NULL, &err), ERROR_CORRUPT);
        }
}

static void test_hostile(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf escape = BUF_INIT(MIB), noise = BUF_INIT(MIB);
        LayerWriter *writer;
        Error err = ERROR_INIT;

        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        /* Written by hand: the writer does not write such names. */
        tar_put_file(&escape, "aa/bb/evil", "x");
        memcpy(escape.data, "../../evil", 10);
        unsigned sum = 8 * ' ';
        for (size_t i = 0; i < 512; i++)
                if (i < 148 || i >= 156)
                        sum += (uint8_t)escape.data[i];
        snprintf(escape.data + 148, 8, "%06o", sum);
        tar_put_end(&escape);
        assert_fails(import_all(lease, &escape, NULL, NULL, NULL, NULL, NULL, &err), ERROR_INVALID);
        for (int i = 0; i < 2000; i++)
                buf_putc(&noise, (char)(i * 7 + 1));
        assert_fails(import_all(lease, &noise, NULL, NULL, NULL, NULL, NULL, &err), ERROR_CORRUPT);
        assert_ok(layer_writer_open(lease, &writer, &err));
        assert_int_equal(layer_writer_write(writer, noise.data, noise.size, &err), -1);
        error_done(&err);
        layer_writer_free(writer);
}

/* 160 MiB of nothing in 160 KiB. */
static void test_bomb(void **state)
{
        static const Codec codecs[] = { CODEC_GZIP, CODEC_ZSTD };
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_free_ char *zeros = xcalloc(1, MIB);
        Error err = ERROR_INIT;

        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
                _cleanup_buf_ Buf header = BUF_INIT(MIB), bomb = BUF_INIT(16 * MIB);
                Sink sink = { .write = to_buf, .user = &bomb };
                Encoder *encoder = encoder_new(codecs[i], -1, 1, &sink, &err);

                assert_ok(tar_write_header(&(TarEntry){ .type = TAR_FILE, .path = (char *)"zeros", .mode = 0644, .size = 160 * MIB }, &header, &err));
                assert_ok(encoder_feed(encoder, header.data, header.size, &err));
                for (int k = 0; k < 161; k++)
                        assert_ok(encoder_feed(encoder, zeros, MIB, &err));
                assert_ok(encoder_finish(encoder, &err));
                encoder_free(encoder);
                assert_fails(import_all(lease, &bomb, NULL, NULL, NULL, NULL, NULL, &err), ERROR_LIMIT);
        }
}

static void test_empty_layer(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        LayerInfo info;
        char text[DIGEST_TEXT_SIZE];
        Error err = ERROR_INIT;

        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        assert_ok(layer_empty(lease, &info, &err));
        assert_string_equal(digest_format(&info.diff_id, text), "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
        assert_int_equal(info.tar_size, 1024);
}

/* The manifest says one thing and the config another: whoever trusts either would run something else than was checked. */
static void test_manifest_and_config_disagree(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf one = BUF_INIT(MIB), two = BUF_INIT(MIB), config_text = BUF_INIT(MIB), text = BUF_INIT(MIB);
        _cleanup_image_config_ ImageConfig config = { 0 };
        Platform platform = { 0 };
        LayerInfo a, b;
        Digest config_digest, manifest;
        char config_name[DIGEST_TEXT_SIZE], layer_name[DIGEST_TEXT_SIZE];
        Error err = ERROR_INIT;

        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        tar_put_file(&one, "one", "1");
        tar_put_file(&two, "two", "2");
        a = fixture_layer(lease, &one);
        b = fixture_layer(lease, &two);
        platform_host(&platform);
        image_config_init(&config, &platform);
        digest_list_add(&config.rootfs.diff_ids, &a.diff_id);
        assert_ok(image_config_text(&config, &config_text, &err));
        assert_ok(blob_put(lease, config_text.data, config_text.size, &config_digest, &err));
        buf_putf(&text,
                 "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":"
                 "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":\"application/"
                 "vnd.oci.image.layer.v1.tar\","
                 "\"digest\":\"%s\",\"size\":%llu}]}",
                 digest_format(&config_digest, config_name), config_text.size, digest_format(&b.diff_id, layer_name), (unsigned long long)b.tar_size);
        assert_ok(blob_put(lease, text.data, text.size, &manifest, &err));
        assert_fails(image_put(lease, &manifest, NULL, &err), ERROR_CORRUPT);
        platform_done(&platform);
}

static void test_wrong_driver_name(void **state)
{
        Fixture *fixture = *state;
        const StoreOptions options = { .root = fixture->root, .driver = "overlay2" };
        Store *store;
        Error err = ERROR_INIT;

        assert_fails(store_open(&options, &store, &err), ERROR_INVALID);
}

/* One driver's store is the other's, too. */
static void test_other_driver(void **state)
{
        Fixture *fixture = *state;
        const StoreOptions options = { .root = fixture->root, .driver = streq(fixture_driver, "dir") ? "erofs" : "dir" };
        _cleanup_buf_ Buf base = BUF_INIT(MIB), top = BUF_INIT(MIB);
        Digest chain[2];
        Lease *lease;
        Rootfs *rootfs;
        _cleanup_free_ char *content = NULL;
        FsckResult result;
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        if (fixture_no_erofs()) {
                print_message("skipped: %s\n", fixture_no_erofs());
                skip();
        }
        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        tar_put_file(&base, "a", "below");
        tar_put_file(&base, "b", "b");
        tar_put_file(&top, "a", "above");
        tar_put_whiteout(&top, "b", TAR_WHITEOUT_REMOVE);
        chain[0] = fixture_layer(lease, &base).diff_id;
        chain[1] = fixture_layer(lease, &top).diff_id;
        assert_ok(lease_sync(lease, &err));
        lease_free(lease);
        store_close(TAKE_PTR(fixture->store));
        assert_ok(store_open(&options, &fixture->store, &err));
        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        assert_ok(lease_hold_layer(lease, &chain[1], &err));
        assert_ok(rootfs_mount(lease, chain, 2, &(RootfsOptions){ .merge = true }, &rootfs, &err));
        content = read_at(rootfs_fd(rootfs), "a");
        assert_string_equal(content, "above");
        assert_int_equal(faccessat(rootfs_fd(rootfs), "b", F_OK, AT_SYMLINK_NOFOLLOW), -1);
        rootfs_free(rootfs);
        lease_free(lease);
        assert_ok(store_fsck(fixture->store, false, NULL, NULL, NULL, &result, &err));
        assert_int_equal(result.n_problems, 0);
}

/* A build of many steps: each a layer of its own, mounted over the ones before, without ever costing the whole image. */
static void test_long_chain(void **state)
{
        enum { N = 150 };
        Fixture *fixture = *state;
        Digest chain[N];
        Lease *lease;
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        for (size_t i = 0; i < N; i++) {
                _cleanup_buf_ Buf tar = BUF_INIT(MIB);
                _cleanup_free_ char *name = xasprintf("f%zu", i), *content = NULL;
                Rootfs *rootfs;

                tar_put_file(&tar, name, name);
                tar_put_file(&tar, "last", name);
                chain[i] = fixture_layer(lease, &tar).diff_id;
                if (i % 10 != 9)
                        continue;
                assert_ok(rootfs_mount(lease, chain, i + 1, NULL, &rootfs, &err));
                content = read_at(rootfs_fd(rootfs), "last");
                assert_string_equal(content, name);
                assert_int_equal(faccessat(rootfs_fd(rootfs), "f0", F_OK, 0), 0);
                rootfs_free(rootfs);
        }
        lease_free(lease);
}

static int run_group(const char *driver)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_compressed, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_hostile, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_bomb, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_empty_layer, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_manifest_and_config_disagree, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_wrong_driver_name, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_other_driver, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_long_chain, fixture_setup, fixture_teardown),
        };

        fixture_driver = driver;
        return cmocka_run_group_tests_name(driver, tests, NULL, NULL);
}

int main(void)
{
        const char *only = getenv("MICA_TEST_STORE");

        if (only)
                return run_group(only);
        return run_group("erofs") + run_group("dir");
}
