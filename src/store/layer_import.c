/*
 * Takes a layer as it travels, compressed or not: bytes -> blob file and its digest -> decoder -> layer writer.
 */
#include <stdio.h>

#include "base/fd.h"
#include "store/hash_file.h"
#include "store/internal.h"

/*
 * What a compressed layer may grow to. Real layers inflate 2 to 20 times, and even logs stay below 100; a gzip bomb reaches 1000 and a zstd bomb far more. The
 * decoder allows 64 MiB beyond the ratio, so that a small layer may be all zeros.
 */
#define IMPORT_MAX_RATIO 400
#define IMPORT_MAX_SIZE (UINT64_C(1) << 42)
#define READ_SIZE ((size_t)1 << 20)

struct LayerImport {
        Lease *lease;
        BlobWriter *blob; /* NULL: the compressed bytes are not kept */
        Hash *hash;       /* of the bytes as they come, when there is no blob writer */
        LayerWriter *layer;
        Decoder *decoder; /* NULL until the compression is known, and while it is none */
        Codec codec;
        bool sniffed;
        uint8_t head[512]; /* the first bytes, until there are enough to know the compression */
        size_t n_head;
        uint8_t *buffer; /* layer_import_read()'s, for what does not go straight into the layer */
};

int layer_import_open(Lease *lease, bool keep_blob, LayerImport **ret, Error *err)
{
        _cleanup_(layer_import_freep) LayerImport *import = NEW(LayerImport);

        import->lease = lease;
        if (layer_writer_open(lease, &import->layer, err) < 0)
                return -1;
        layer_writer_go_direct(import->layer);
        if (keep_blob && blob_writer_open(lease, DIGEST_SHA256, &import->blob, err) < 0)
                return -1;
        if (!keep_blob)
                import->hash = hash_new(DIGEST_SHA256);
        *ret = TAKE_PTR(import);
        return 0;
}

void layer_import_free(LayerImport *import)
{
        if (!import)
                return;
        decoder_free(import->decoder);
        layer_writer_free(import->layer);
        blob_writer_free(import->blob);
        hash_free(import->hash);
        free(import->buffer);
        free(import);
}

static int feed(LayerImport *import, const void *data, size_t size, Error *err)
{
        if (import->codec == CODEC_NONE)
                return layer_writer_write(import->layer, data, size, err);
        if (import->blob ? blob_writer_write(import->blob, data, size, err) < 0 : (hash_add(import->hash, data, size), 0))
                return -1;
        return decoder_feed(import->decoder, data, size, err);
}

/* The compression is known: an uncompressed layer needs neither a blob of its own nor a second digest. */
static int begin(LayerImport *import, Error *err)
{
        import->sniffed = true;
        import->codec = codec_sniff(import->head, import->n_head);
        if (import->codec != CODEC_NONE) {
                Sink sink = layer_writer_sink(import->layer);

                import->decoder = decoder_new(import->codec, &sink, IMPORT_MAX_SIZE, IMPORT_MAX_RATIO);
                if (!import->decoder)
                        return error_set(err, ERROR_UNSUPPORTED, "cannot read layers compressed with %s", codec_name(import->codec));
        }
        return feed(import, import->head, import->n_head, err);
}

int layer_import_write(LayerImport *import, const void *data, size_t size, Error *err)
{
        const uint8_t *from = data;

        if (!import->sniffed) {
                size_t n = MIN(size, sizeof(import->head) - import->n_head);

                memcpy(import->head + import->n_head, from, n);
                import->n_head += n;
                from += n;
                size -= n;
                if (import->n_head < sizeof(import->head))
                        return 0;
                if (begin(import, err) < 0)
                        return -1;
        }
        return size ? feed(import, from, size, err) : 0;
}

ssize_t layer_import_read(LayerImport *import, int fd, Error *err)
{
        void *to;
        size_t room;
        ssize_t n;

        if (import->sniffed && import->codec == CODEC_NONE) {
                n = layer_writer_read(import->layer, fd, err);
        } else {
                if (!import->buffer)
                        import->buffer = xmalloc(READ_SIZE);
                to = import->buffer;
                room = import->sniffed ? READ_SIZE : sizeof(import->head);
                n = fd_read_full(fd, to, room);
                if (n < 0)
                        return error_errno(err, (int)n, "cannot read the archive");
                if (n > 0 && layer_import_write(import, to, (size_t)n, err) < 0)
                        return -1;
        }
        return n;
}

static int check_blob(const Digest *have, const Digest *expected, Error *err)
{
        char want[DIGEST_TEXT_SIZE], got[DIGEST_TEXT_SIZE];

        if (!expected || !digest_is_set(expected) || digest_equal(have, expected))
                return 0;
        return error_set(err, ERROR_CORRUPT, "cannot store the layer: the bytes have the digest '%s' and not '%s' as expected", digest_format(have, got),
                         digest_format(expected, want));
}

int layer_import_commit(LayerImport *import, const Digest *expected_blob, const Digest *expected_diff_id, Digest *ret_blob, Codec *ret_codec, LayerInfo *ret,
                        Error *err)
{
        LayerInfo info;
        Digest blob = { 0 };

        if (!import->sniffed && begin(import, err) < 0)
                return -1;
        if (import->decoder && decoder_finish(import->decoder, err) < 0)
                return error_wrap(err, "cannot store the layer");
        if (import->codec != CODEC_NONE && !import->blob) {
                blob = hash_digest(import->hash);
                if (check_blob(&blob, expected_blob, err) < 0)
                        return -1;
        }
        if (import->codec != CODEC_NONE && import->blob && blob_writer_commit(import->blob, expected_blob, &blob, err) < 0)
                return -1;
        if (layer_writer_commit(import->layer, import->codec == CODEC_NONE && expected_blob && digest_is_set(expected_blob) ? expected_blob : expected_diff_id,
                                &info, err) < 0)
                return -1;
        if (import->codec == CODEC_NONE) {
                blob = info.diff_id;
                if (expected_diff_id && digest_is_set(expected_diff_id) && !digest_equal(expected_diff_id, &blob))
                        return error_set(err, ERROR_CORRUPT, "cannot store the layer: its manifest and its config name different digests for it");
        } else if (import->blob) {
                lease_set_blob_layer(import->lease, &blob, &info.diff_id);
        }
        if (ret_blob)
                *ret_blob = blob;
        if (ret_codec)
                *ret_codec = import->codec;
        if (ret)
                *ret = info;
        return 0;
}
