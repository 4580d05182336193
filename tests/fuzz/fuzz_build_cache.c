/*
 * What the builder reads back: configs of exported caches, which anybody may have written, and its own records of steps. What is accepted must be written and
 * read again to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "build/cache_document.h"
#include "build/explain_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
        if (!holds)
                abort();
}

static void try_document(const uint8_t *data, size_t size)
{
        CacheDocument document = { 0 }, again = { 0 };
        _cleanup_buf_ Buf one = BUF_INIT(BUF_MAX_DEFAULT), two = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;

        if (cache_document_parse(data, size, &document, &err) < 0)
                return;
        must(cache_document_text(&document, &one, &err) >= 0);
        must(cache_document_parse(buf_str(&one), one.size, &again, &err) >= 0);
        must(cache_document_text(&again, &two, &err) >= 0);
        must(one.size == two.size && memcmp(one.data, two.data, one.size) == 0);
        cache_document_done(&document);
        cache_document_done(&again);
}

/* The input is the body: its head is made to fit. */
static void try_record(const uint8_t *data, size_t size)
{
        _cleanup_buf_ Buf file = BUF_INIT(BUF_MAX_DEFAULT), one = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;
        Digest digest = digest_of(data, size);
        ExplainRecord record = { 0 }, again = { 0 };
        ExplainChanges changes = { 0 };

        buf_puts(&file, "micaEXP1");
        buf_put(&file, digest.bytes, 32);
        buf_put(&file, digest.bytes, 32);
        buf_put(&file, data, size);
        if (explain_record_decode(file.data, file.size, &record, &err) < 0)
                return;
        explain_record_encode(&record, &one);
        must(explain_record_decode(one.data, one.size, &again, &err) == 0 && again.n_steps == record.n_steps);
        if (record.n_steps > 1)
                explain_compare(&record.steps[0], &record.steps[1], &changes);
        explain_changes_done(&changes);
        explain_record_done(&record);
        explain_record_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        try_document(data, size);
        try_record(data, size);
        return 0;
}
