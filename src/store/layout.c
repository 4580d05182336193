/*
 * index.json: the names of the store's images for tools that read the store as an OCI layout. Nothing here reads it; it is written anew from the rows after
 * names have changed, and is stale, never wrong in form, when that was interrupted: the next change or fsck writes it again.
 */
#include <stdio.h>
#include <sys/file.h>

#include "base/fd.h"
#include "oci/layout.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "store/internal.h"

#define LAYOUT_MAX (64 * MIB)

static void add_entry(Index *index, DbStmt *stmt)
{
        Descriptor *entry = descriptor_list_add(&index->manifests);
        const char *name = db_column_text(stmt, 3);
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;

        entry->media_type = xstrdup(db_column_text(stmt, 0));
        entry->digest = db_column_digest(stmt, 1);
        entry->size = db_column_int(stmt, 2);
        string_map_set(&entry->annotations, CONTAINERD_ANNOTATION_NAME, name);
        if (reference_parse(name, &reference, &ignored) == 0) {
                _cleanup_free_ char *familiar = reference_familiar(&reference);

                string_map_set(&entry->annotations, OCI_ANNOTATION_REF_NAME, familiar);
        }
}

int layout_text(Store *store, Buf *out, Error *err)
{
        _cleanup_index_ Index index = { 0 };
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        index_init(&index, false);
        if (db_query(store->db,
                     "SELECT coalesce(x.media_type, i.manifest_type), coalesce(x.digest, i.manifest), coalesce(x.size, i.manifest_size), n.name"
                     " FROM name n JOIN image i ON i.id = n.image LEFT JOIN image_index x ON x.digest = n.idx ORDER BY n.name",
                     DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0)
                add_entry(&index, stmt);
        return r < 0 ? -1 : index_text(&index, out, err);
}

int layout_update(Store *store, Error *err)
{
        /* The lock keeps an older list from being written over a newer one. */
        _cleanup_close_ int lock = store_lock_file(store, "index.lock", LOCK_EX, err);
        _cleanup_buf_ Buf text = BUF_INIT(LAYOUT_MAX);
        int r;

        if (lock < 0 || layout_text(store, &text, err) < 0)
                return -1;
        r = file_write_atomic(store->root_fd, "index.json", text.data, text.size, 0644, false);
        return r < 0 ? error_errno(err, r, "cannot write '%s/index.json'", store->root) : 0;
}
