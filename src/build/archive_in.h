/*
 * A stream that is either an archive or a small text, told apart by its first bytes: an archive (tar, plain or compressed with gzip, bzip2, xz or zstd) goes
 * into the store as a layer while it comes, a text is kept.
 */
#pragma once

#include "build/engine.h"

typedef struct ArchiveIn ArchiveIn;

/* `max_text`: bytes of a text; more is LIMIT. */
ArchiveIn *archive_in_new(Build *build, size_t max_text);
void archive_in_free(ArchiveIn *in);
DEFINE_CLEANUP(ArchiveIn *, archive_in_free)

/* The next bytes of the stream; the sink does the same. Errors: LIMIT (a long text), and those of layer_import_write(). */
int archive_in_write(ArchiveIn *in, const void *data, size_t size, Error *err);
Sink archive_in_sink(ArchiveIn *in);

/* The end of the stream. Returns 1 with the layer of an archive, 0 for a text. INVALID for an archive with names that only layers may have. */
int archive_in_finish(ArchiveIn *in, Digest *ret_diff_id, Error *err);

/* The text; empty for an archive. Belongs to it. */
const Buf *archive_in_text(const ArchiveIn *in);
