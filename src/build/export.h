/*
 * Inside of the exporters: what is on its way out. Private to build/.
 *
 * For each output: export_layers.c says how the layers travel (as they lie in the store, compressed, with other times), export_image.c writes the documents
 * (configs, manifests, attestations, an index when there is more than one manifest), and export_store.c or export_layout.c puts all of it somewhere.
 * export_files.c needs none of that: it writes the files of the stages.
 *
 * Nothing of an output is seen before it is complete, but for standard output and for files in a directory that is written to (each file is complete).
 */
#pragma once

#include "build/engine.h"
#include "build/output.h"
#include "oci/manifest.h"

typedef enum LayerPlace {
        LAYER_PLACE_TAR,  /* the tar of a layer in the store */
        LAYER_PLACE_BLOB, /* a blob in the store */
        LAYER_PLACE_FILE, /* a file of the build's own */
} LayerPlace;

typedef struct ExportLayer {
        Digest diff_id;
        Descriptor descriptor;
        LayerPlace place;
        char *file; /* LAYER_PLACE_FILE: its path */
} ExportLayer;

/* An in-toto statement about an image: provenance, or an SBOM. */
typedef struct ExportStatement {
        const char *predicate_type; /* static */
        char *file_name;            /* beside files: "provenance.json" */
        char *text;                 /* JSON */
} ExportStatement;

typedef struct ExportImage {
        BuildTarget *target;
        ImageConfig config;
        ExportLayer *layers;
        size_t n_layers;
        Digest id; /* of the config */
        Buf config_text, manifest_text;
        Descriptor manifest; /* as it is in an index: with platform and annotations */

        ExportStatement *statements;
        size_t n_statements;
        Buf attestation_config, attestation_text; /* the manifest that holds the statements */
        Digest attestation_config_digest;
        Descriptor attestation;
} ExportImage;

typedef struct Export {
        Build *build;
        const BuildOutput *output;
        BuildVertex *vertex;
        Map *compressed;      /* what other outputs of this build have compressed already; see export_layers.c */
        const StrList *names; /* normalised */
        int64_t epoch;
        bool to_store;
        ExportImage *images; /* one for each target */
        size_t n_images;
        bool has_index;
        Buf index_text;
        Descriptor root; /* what names point to: the one manifest, or the index */
} Export;

/* --- export_layers.c --- */
/* Fills layers and config.rootfs of every image. */
int export_layers(Export *export, Error *err);
Map *export_compressed_new(void);
/* Opens what travels for a layer. Returns the descriptor of the file, or -1. */
int export_layer_open(const Export *export, const ExportLayer *layer, Error *err);

/* --- export_image.c --- */
/* Configs, manifests, attestations and the index, from config and layers of each image. */
int export_documents(Export *export, Error *err);
void export_image_done(ExportImage *image);

/* --- attest.c --- */
/* True when the build says something about its images. */
bool export_has_attestations(const Export *export);
/* Adds what is asked for to an image whose manifest is made (or, for files, to what its stage holds). */
int export_attest(Export *export, ExportImage *image, Error *err);

/* --- export_store.c, export_layout.c, export_files.c --- */
int export_to_store(Export *export, Error *err);
int export_to_layout(Export *export, Error *err);
int export_to_files(Export *export, Error *err);

/* --- finish.c --- */
/* The config of a target's image: history, labels, platform; layers as they were built. */
void target_config(const BuildTarget *target, int64_t epoch, ImageConfig *ret);
