/*
 * The tables of the store's database. docs/formats/store.md explains them; a script is never changed once released, a new version adds one.
 */
#include "store/internal.h"

/* Digests are blobs of one byte of algorithm and the digest's bytes (db_arg_digest). Times are nanoseconds since 1970. */
static const char version_1[] = "CREATE TABLE layer ("
                                "  diff_id BLOB PRIMARY KEY,"
                                "  tar_size INTEGER NOT NULL,"
                                "  content_size INTEGER NOT NULL,"
                                "  n_entries INTEGER NOT NULL,"
                                "  n_whiteouts INTEGER NOT NULL,"
                                "  disk_size INTEGER NOT NULL,"
                                "  created INTEGER NOT NULL"
                                ") WITHOUT ROWID;"

                                "CREATE TABLE blob ("
                                "  digest BLOB PRIMARY KEY,"
                                "  size INTEGER NOT NULL,"
                                "  diff_id BLOB," /* the layer that it holds, when it is one */
                                "  created INTEGER NOT NULL"
                                ") WITHOUT ROWID;"

                                "CREATE TABLE image ("
                                "  id BLOB PRIMARY KEY,"
                                "  id_text TEXT NOT NULL UNIQUE," /* hexadecimal digits, for prefixes */
                                "  manifest BLOB NOT NULL,"
                                "  manifest_size INTEGER NOT NULL,"
                                "  manifest_type TEXT NOT NULL,"
                                "  created INTEGER NOT NULL,"
                                "  last_tagged INTEGER NOT NULL,"
                                "  os TEXT NOT NULL,"
                                "  architecture TEXT NOT NULL,"
                                "  variant TEXT"
                                ") WITHOUT ROWID;"

                                "CREATE TABLE image_layer ("
                                "  image BLOB NOT NULL REFERENCES image(id) ON DELETE CASCADE,"
                                "  position INTEGER NOT NULL,"
                                "  diff_id BLOB NOT NULL,"
                                "  PRIMARY KEY (image, position)"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX image_layer_diff_id ON image_layer(diff_id);"

                                /* What an image needs in blobs/: kind 0 manifest, 1 config, 2 layer as it travels. */
                                "CREATE TABLE image_blob ("
                                "  image BLOB NOT NULL REFERENCES image(id) ON DELETE CASCADE,"
                                "  digest BLOB NOT NULL,"
                                "  kind INTEGER NOT NULL,"
                                "  PRIMARY KEY (image, digest)"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX image_blob_digest ON image_blob(digest);"

                                "CREATE TABLE name ("
                                "  name TEXT PRIMARY KEY,"
                                "  image BLOB NOT NULL REFERENCES image(id) ON DELETE CASCADE,"
                                "  tagged INTEGER NOT NULL"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX name_image ON name(image);"

                                "CREATE TABLE repo_digest ("
                                "  name TEXT PRIMARY KEY,"
                                "  image BLOB NOT NULL REFERENCES image(id) ON DELETE CASCADE"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX repo_digest_image ON repo_digest(image);"

                                "CREATE TABLE cache ("
                                "  key BLOB PRIMARY KEY,"
                                "  diff_id BLOB,"
                                "  source_key BLOB,"
                                "  description TEXT,"
                                "  kind TEXT,"
                                "  size INTEGER NOT NULL,"
                                "  created INTEGER NOT NULL,"
                                "  last_used INTEGER NOT NULL,"
                                "  n_used INTEGER NOT NULL"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX cache_diff_id ON cache(diff_id);"

                                "CREATE TABLE container ("
                                "  id TEXT PRIMARY KEY,"
                                "  name TEXT NOT NULL UNIQUE,"
                                "  image BLOB," /* not a reference: a container outlives its image's record */
                                "  created INTEGER NOT NULL,"
                                "  config TEXT NOT NULL,"
                                "  state TEXT NOT NULL"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX container_image ON container(image);"

                                "CREATE TABLE container_layer ("
                                "  container TEXT NOT NULL REFERENCES container(id) ON DELETE CASCADE,"
                                "  position INTEGER NOT NULL,"
                                "  diff_id BLOB NOT NULL,"
                                "  PRIMARY KEY (container, position)"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX container_layer_diff_id ON container_layer(diff_id);"

                                /* Times of upkeep. Also what is written before files are removed, see store_db_settle(). */
                                "CREATE TABLE upkeep ("
                                "  name TEXT PRIMARY KEY,"
                                "  time INTEGER NOT NULL"
                                ") WITHOUT ROWID;"

                                "CREATE TABLE volume ("
                                "  name TEXT PRIMARY KEY,"
                                "  created INTEGER NOT NULL,"
                                "  anonymous INTEGER NOT NULL,"
                                "  labels TEXT NOT NULL"
                                ") WITHOUT ROWID;";

/* A container that goes with the end of its process (run --rm): its row may be lost in a power cut. */
static const char version_2[] = "ALTER TABLE container ADD COLUMN transient INTEGER NOT NULL DEFAULT 0;";

/* Which steps a step stands on, for listings and for the order of removal; removing a record with those that lead to it. */
static const char version_3[] = "ALTER TABLE cache ADD COLUMN parents BLOB;"
                                "CREATE INDEX cache_source_key ON cache(source_key) WHERE source_key IS NOT NULL;";

/* Images for several platforms, and with attestations (image_index.h). */
static const char version_4[] = "CREATE TABLE image_index ("
                                "  digest BLOB PRIMARY KEY,"
                                "  digest_text TEXT NOT NULL UNIQUE," /* hexadecimal digits, for prefixes */
                                "  size INTEGER NOT NULL,"
                                "  media_type TEXT NOT NULL,"
                                "  image BLOB NOT NULL REFERENCES image(id) ON DELETE CASCADE," /* what its names mean without a platform */
                                "  created INTEGER NOT NULL"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX image_index_image ON image_index(image);"

                                "CREATE TABLE index_image ("
                                "  idx BLOB NOT NULL REFERENCES image_index(digest) ON DELETE CASCADE,"
                                "  position INTEGER NOT NULL,"
                                "  image BLOB NOT NULL,"
                                "  manifest BLOB NOT NULL,"
                                "  PRIMARY KEY (idx, position)"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX index_image_image ON index_image(image);"

                                /* What an index needs in blobs/: kind 0 documents, 1 layers as they travel, which can be done without. */
                                "CREATE TABLE index_blob ("
                                "  idx BLOB NOT NULL REFERENCES image_index(digest) ON DELETE CASCADE,"
                                "  digest BLOB NOT NULL,"
                                "  kind INTEGER NOT NULL,"
                                "  PRIMARY KEY (idx, digest)"
                                ") WITHOUT ROWID;"
                                "CREATE INDEX index_blob_digest ON index_blob(digest);"

                                "ALTER TABLE name ADD COLUMN idx BLOB;"; /* the index that the name points to; null: the image alone */

static const char *const scripts[] = { version_1, version_2, version_3, version_4 };

const DbSchema store_schema = {
        .application_id = 0x4d494341 /* "MICA" */, .what = "store", .scripts = scripts, .n_scripts = sizeof(scripts) / sizeof(scripts[0])
};
