/* Compressed layers come from strangers: what is right must come out whole, what is wrong must end in an error, what is a bomb at a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/codec.h"

static int buf_write(void *user, const void *data, size_t size, Error *err)
{
        return buf_add(user, data, size) < 0 ? error_set(err, ERROR_NO_SPACE, "test buffer is full") : 0;
}

static int count_write(void *user, const void *data, size_t size, Error *err)
{
        *(uint64_t *)user += size;
        return 0;
}

static int broken_write(void *user, const void *data, size_t size, Error *err)
{
        return error_set(err, ERROR_NO_SPACE, "disk full");
}

static int decode(Codec codec, const void *data, size_t size, size_t step, Buf *out, Error *err)
{
        const Sink sink = { buf_write, out };
        Decoder *d = decoder_new(codec, &sink, 0, 0);
        int r = 0;

        for (size_t at = 0; at < size && r == 0; at += step) {
                size_t n = MIN(step, size - at);
                char *piece = xmemdup((const char *)data + at, n);

                r = decoder_feed(d, piece, n, err);
                free(piece);
        }
        if (r == 0)
                r = decoder_finish(d, err);
        decoder_free(d);
        return r;
}

static void encode(Codec codec, int level, size_t n_threads, const void *data, size_t size, size_t step, Buf *out)
{
        const Sink sink = { buf_write, out };
        _cleanup_error_ Error err = ERROR_INIT;
        Encoder *e = encoder_new(codec, level, n_threads, &sink, &err);

        assert_non_null(e);
        for (size_t at = 0; at < size; at += step)
                assert_int_equal(encoder_feed(e, (const char *)data + at, MIN(step, size - at), &err), 0);
        assert_int_equal(encoder_finish(e, &err), 0);
        encoder_free(e);
}

/* Half text, half noise; the same each time. */
static char *make_data(size_t size)
{
        char *data = xmalloc(size + 1);
        uint32_t x = 12345;

        for (size_t i = 0; i < size; i++) {
                x = x * 1664525 + 1013904223;
                data[i] = (char)(i / 4096 % 2 ? x >> 24 : (uint32_t) "layers of an image "[(i + (x >> 31)) % 19]);
        }
        return data;
}

/* Runs `script` with the data on its standard input and gives its output. */
static void shell(const char *script, const void *data, size_t size, Buf *out)
{
        int in = fd_memory("in", data, size), result = fd_memory("out", NULL, 0), status = -1;
        char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
        ChildSpec spec = CHILD_SPEC_INIT;
        _cleanup_error_ Error err = ERROR_INIT;
        pid_t pid;

        spec.argv = argv;
        spec.stdin_fd = in;
        spec.stdout_fd = result;
        spec.stderr_fd = 2;
        assert_int_equal(child_start(&spec, &pid, &err), 0);
        assert_int_equal(child_wait(pid, &status, &err), 0);
        assert_int_equal(status, 0);
        assert_int_equal(lseek(result, 0, SEEK_SET), 0);
        assert_int_equal(fd_read_to_buf(result, out), 0);
        close(in);
        close(result);
}

static const struct {
        Codec codec;
        const char *compress, *decompress;
} tools[] = {
        { CODEC_GZIP, "python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))'",
          "python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))'" },
        { CODEC_GZIP, "gzip -1", "gzip -dc" },
        { CODEC_ZSTD, "zstd -q -c", "zstd -q -dc" },
        { CODEC_XZ, "python3 -c 'import lzma,sys; sys.stdout.buffer.write(lzma.compress(sys.stdin.buffer.read()))'",
          "python3 -c 'import lzma,sys; sys.stdout.buffer.write(lzma.decompress(sys.stdin.buffer.read()))'" },
        { CODEC_BZIP2, "python3 -c 'import bz2,sys; sys.stdout.buffer.write(bz2.compress(sys.stdin.buffer.read()))'", NULL },
};

/* What others compressed comes out, and others can read what we compress. */
static void test_against_others(void **state)
{
        static const size_t sizes[] = { 0, 1, 1000, 3 << 20 };

        for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
                for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
                        _cleanup_buf_ Buf theirs = BUF_INIT(BUF_MAX_DEFAULT), out = BUF_INIT(BUF_MAX_DEFAULT);
                        _cleanup_free_ char *data = make_data(sizes[k]);
                        _cleanup_error_ Error err = ERROR_INIT;

                        shell(tools[i].compress, data, sizes[k], &theirs);
                        assert_int_equal(codec_sniff(theirs.data, theirs.size), tools[i].codec);
                        if (decode(tools[i].codec, theirs.data, theirs.size, 100000, &out, &err) < 0)
                                fail_msg("%s: %s", tools[i].compress, error_message(&err));
                        assert_int_equal(out.size, sizes[k]);
                        if (out.size)
                                assert_memory_equal(out.data, data, out.size);
                        if (!tools[i].decompress)
                                continue;

                        _cleanup_buf_ Buf ours = BUF_INIT(BUF_MAX_DEFAULT), back = BUF_INIT(BUF_MAX_DEFAULT);

                        encode(tools[i].codec, -1, 2, data, sizes[k], 77777, &ours);
                        shell(tools[i].decompress, ours.data, ours.size, &back);
                        assert_int_equal(back.size, sizes[k]);
                        if (back.size)
                                assert_memory_equal(back.data, data, back.size);
                }
        }
}

/* A small stream of every codec, ours where we can make it. */
static void make_small(Codec codec, Buf *out)
{
        static const char text[] = "hello hello hello hello, and some more that is not the same";

        if (codec == CODEC_BZIP2)
                shell("bzip2 -c", text, sizeof(text) - 1, out);
        else
                encode(codec, -1, 1, text, sizeof(text) - 1, 1000, out);
}

static void expect_decoded(Codec codec, const Buf *in, size_t copies)
{
        for (size_t step = 1; step <= in->size; step++) {
                _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
                _cleanup_error_ Error err = ERROR_INIT;

                if (decode(codec, in->data, in->size, step, &out, &err) < 0)
                        fail_msg("%s, step %zu: %s", codec_name(codec), step, error_message(&err));
                assert_int_equal(out.size, 59 * copies);
                for (size_t i = 0; i < copies; i++)
                        assert_memory_equal(out.data + 59 * i, "hello hello hello hello, and", 28);
        }
}

/* Any split, concatenation, zero padding; and cut or followed by something else. */
static void test_framing(void **state)
{
        for (Codec codec = CODEC_GZIP; codec < _CODEC_MAX; codec++) {
                _cleanup_buf_ Buf one = BUF_INIT(4096), many = BUF_INIT(4096);

                make_small(codec, &one);
                expect_decoded(codec, &one, 1);
                for (int i = 0; i < 3; i++)
                        buf_put(&many, one.data, one.size);
                expect_decoded(codec, &many, 3);
                assert_int_equal(buf_add_zero(&many, 40), 0);
                expect_decoded(codec, &many, 3);

                for (size_t n = 0; n < one.size; n++) {
                        _cleanup_buf_ Buf out = BUF_INIT(4096);
                        _cleanup_error_ Error err = ERROR_INIT;

                        assert_int_equal(decode(codec, one.data, n, 100, &out, &err), -1);
                        assert_int_equal(err.code, ERROR_CORRUPT);
                }
                static const char *const tails[] = { "garbage", "\x1f\x8b", "\0x" };
                static const size_t tail_sizes[] = { 7, 2, 2 };

                for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
                        _cleanup_buf_ Buf tailed = BUF_INIT(4096), out = BUF_INIT(4096);
                        _cleanup_error_ Error err = ERROR_INIT;

                        buf_put(&tailed, one.data, one.size);
                        buf_put(&tailed, tails[i], tail_sizes[i]);
                        assert_int_equal(decode(codec, tailed.data, tailed.size, 10, &out, &err), -1);
                        assert_int_equal(err.code, ERROR_CORRUPT);
                }
        }
}

/* Each flipped bit is found (or changes only what no checksum covers: the header's time, name and flags), and none crashes the decoder. */
static void test_bit_flips(void **state)
{
        for (Codec codec = CODEC_GZIP; codec < _CODEC_MAX; codec++) {
                _cleanup_buf_ Buf one = BUF_INIT(4096);

                make_small(codec, &one);
                for (size_t bit = 0; bit < one.size * 8; bit++) {
                        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
                        _cleanup_error_ Error err = ERROR_INIT;

                        one.data[bit / 8] ^= (char)(1 << bit % 8);
                        if (decode(codec, one.data, one.size, 1000, &out, &err) == 0) {
                                assert_int_equal(out.size, 59);
                                assert_memory_equal(out.data, "hello hello hello hello, and", 28);
                        } else {
                                assert_in_range(err.code, ERROR_INVALID, ERROR_LIMIT);
                        }
                        one.data[bit / 8] ^= (char)(1 << bit % 8);
                }
        }
}

static int decode_bomb(Codec codec, const Buf *bomb, uint64_t max_size, uint64_t max_ratio, uint64_t *total, Error *err)
{
        const Sink sink = { count_write, total };
        Decoder *d = decoder_new(codec, &sink, max_size, max_ratio);
        int r = decoder_feed(d, bomb->data, bomb->size, err);

        if (r == 0)
                r = decoder_finish(d, err);
        decoder_free(d);
        return r;
}

static void test_bombs(void **state)
{
        static const size_t size = 100 << 20;
        _cleanup_free_ char *zeros = xcalloc(1, size);

        for (Codec codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
                _cleanup_buf_ Buf bomb = BUF_INIT(BUF_MAX_DEFAULT);
                _cleanup_error_ Error err = ERROR_INIT;
                uint64_t total = 0;

                encode(codec, 1, 1, zeros, size, size, &bomb);
                assert_int_equal(decode_bomb(codec, &bomb, 0, 0, &total, &err), 0);
                assert_int_equal(total, size);
                total = 0;
                assert_int_equal(decode_bomb(codec, &bomb, 1 << 20, 0, &total, &err), -1);
                assert_int_equal(err.code, ERROR_LIMIT);
                assert_true(total <= 1 << 20);
                total = 0;
                assert_int_equal(decode_bomb(codec, &bomb, 0, 50, &total, &err), -1);
                assert_int_equal(err.code, ERROR_LIMIT);
                assert_true(total <= (64 << 20) + 50 * bomb.size + 50);
                total = 0;
                assert_int_equal(decode_bomb(codec, &bomb, size, 100000, &total, &err), 0);
        }

        uint64_t total = 0;
        const Sink sink = { count_write, &total };
        _cleanup_error_ Error err = ERROR_INIT;
        Decoder *plain = decoder_new(CODEC_NONE, &sink, 10, 0);

        assert_int_equal(decoder_feed(plain, "0123456789", 10, &err), 0);
        assert_int_equal(decoder_feed(plain, "x", 1, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        assert_int_equal(total, 10);
        decoder_free(plain);
}

/* A frame that asks for a window of gigabytes must not get them. */
static void test_memory_limits(void **state)
{
        /* zstd: magic, no single segment, window descriptor 2^31; then a raw last block of one byte */
        static const char zstd[] = "\x28\xb5\x2f\xfd\x00\xa8\x09\x00\x00x";
        _cleanup_buf_ Buf out = BUF_INIT(4096), big = BUF_INIT(1 << 20);
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(decode(CODEC_ZSTD, zstd, sizeof(zstd) - 1, 100, &out, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        error_done(&err);
        /* xz: a stream header, a block whose LZMA2 dictionary is 1.5 GiB, one uncompressed chunk */
        shell("python3 -c 'import sys,zlib,struct; h=b\"\\0\\4\"; b=bytes([2,0,0x21,1,0x25,0,0,0]); "
              "sys.stdout.buffer.write(b\"\\xfd7zXZ\\0\"+h+struct.pack(\"<I\",zlib.crc32(h))+b+struct.pack(\"<I\",zlib.crc32(b))+b\"\\1\\0\\0x\\0\")'",
              "", 0, &big);
        assert_int_equal(decode(CODEC_XZ, big.data, big.size, 100, &out, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
}

/* Zstandard's skippable frames (zstd:chunked puts its table of contents there) carry nothing. */
static void test_skippable(void **state)
{
        _cleanup_buf_ Buf in = BUF_INIT(4096);

        buf_put(&in, "\x5a\x2a\x4d\x18\x05\0\0\0skip!", 13);
        assert_int_equal(codec_sniff(in.data, in.size), CODEC_ZSTD);
        make_small(CODEC_ZSTD, &in);
        buf_put(&in, "\x50\x2a\x4d\x18\x00\0\0\0", 8);
        expect_decoded(CODEC_ZSTD, &in, 1);
}

/* The same layer must have the same compressed digest on every machine. */
static void test_deterministic(void **state)
{
        static const size_t size = (9 << 20) + 12345;
        _cleanup_free_ char *data = make_data(size);

        for (Codec codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
                _cleanup_buf_ Buf first = BUF_INIT(BUF_MAX_DEFAULT);

                encode(codec, -1, 1, data, size, size, &first);
                for (size_t n = 2; n <= 4; n++) {
                        _cleanup_buf_ Buf other = BUF_INIT(BUF_MAX_DEFAULT);

                        encode(codec, -1, n, data, size, 100001, &other);
                        assert_int_equal(other.size, first.size);
                        assert_memory_equal(other.data, first.data, first.size);
                }
                if (codec == CODEC_GZIP)
                        assert_memory_equal(first.data, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
        }
}

static void test_errors(void **state)
{
        const Sink broken = { broken_write, NULL };
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf in = BUF_INIT(4096);

        assert_null(encoder_new(CODEC_BZIP2, -1, 1, &broken, &err));
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        assert_null(encoder_new(CODEC_GZIP, 13, 1, &broken, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_null(encoder_new(CODEC_XZ, -5, 1, &broken, &err));
        error_done(&err);

        /* Threads still at work when the disk is full must not outlive the encoder. */
        _cleanup_free_ char *data = make_data(5 << 20);
        Encoder *e = encoder_new(CODEC_GZIP, -1, 2, &broken, &err);
        int r = encoder_feed(e, data, 5 << 20, &err);

        if (r == 0)
                r = encoder_finish(e, &err);
        assert_int_equal(r, -1);
        assert_int_equal(err.code, ERROR_NO_SPACE);
        encoder_free(e);
        encoder_free(NULL);
        decoder_free(NULL);

        make_small(CODEC_GZIP, &in);
        Decoder *d = decoder_new(CODEC_GZIP, &broken, 0, 0);
        assert_int_equal(decoder_feed(d, in.data, in.size, &err), -1);
        assert_int_equal(err.code, ERROR_NO_SPACE);
        assert_int_equal(decoder_feed(d, in.data, in.size, &err), -1);
        assert_int_equal(decoder_finish(d, &err), -1);
        decoder_free(d);
}

static void test_sniff(void **state)
{
        assert_int_equal(codec_sniff("", 0), CODEC_NONE);
        assert_int_equal(codec_sniff("\x1f\x8b", 2), CODEC_NONE);
        assert_int_equal(codec_sniff("\x1f\x8b\x08", 3), CODEC_GZIP);
        assert_int_equal(codec_sniff("BZh9", 4), CODEC_BZIP2);
        assert_int_equal(codec_sniff("BZhx", 4), CODEC_NONE);
        assert_int_equal(codec_sniff("\xfd"
                                     "7zXZ",
                                     6),
                         CODEC_XZ);
        assert_int_equal(codec_sniff("etc/passwd", 10), CODEC_NONE);
        assert_string_equal(codec_name(CODEC_ZSTD), "zstd");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_against_others), cmocka_unit_test(test_framing),       cmocka_unit_test(test_bit_flips),
                cmocka_unit_test(test_bombs),          cmocka_unit_test(test_memory_limits), cmocka_unit_test(test_skippable),
                cmocka_unit_test(test_deterministic),  cmocka_unit_test(test_errors),        cmocka_unit_test(test_sniff),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
