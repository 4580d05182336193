/*
 * Where a build goes: --output type=…,key=value,… with BuildKit's and buildx's words, --annotation, --attest.
 *
 * Several outputs may be asked for; each is made from the same stages. An attribute that an output does not know is an error.
 *
 * To add an attribute: a row in the table of output.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "codec/codec.h"
#include "oci/platform.h"

typedef enum BuildOutputType {
        BUILD_OUTPUT_IMAGE,     /* in the store */
        BUILD_OUTPUT_OCI,       /* an OCI layout, as a tar or a directory */
        BUILD_OUTPUT_DOCKER,    /* what `docker load` reads; without a destination: in the store */
        BUILD_OUTPUT_TAR,       /* the files, as one tar */
        BUILD_OUTPUT_LOCAL,     /* the files, in a directory */
        BUILD_OUTPUT_CACHE_ONLY /* nothing but cache records */
} BuildOutputType;

typedef enum AnnotationPlace { ANNOTATION_MANIFEST, ANNOTATION_INDEX, ANNOTATION_MANIFEST_DESCRIPTOR, ANNOTATION_INDEX_DESCRIPTOR } AnnotationPlace;

typedef struct BuildAnnotation {
        AnnotationPlace place;
        char *platform; /* "linux/arm64": of this image only; or NULL */
        char *key, *value;
} BuildAnnotation;

typedef struct BuildAnnotations {
        BuildAnnotation *items;
        size_t n_items, capacity;
} BuildAnnotations;

typedef struct BuildOutput {
        BuildOutputType type;
        char *dest;  /* file or directory; NULL: none, "-": standard output */
        bool no_tar; /* oci, docker: a directory instead of a tar */

        StrList names; /* name=: normalised; none: those of --tag */
        bool no_store; /* image: nothing is recorded */
        bool unpack;   /* image: the merged index that containers mount is made even when nothing ran */
        char *dangling_prefix;
        bool dangling_empty_only, name_canonical;

        bool has_compression; /* else the output's own: gzip, or as they lie in the store for images */
        Codec compression;    /* CODEC_NONE, CODEC_GZIP, CODEC_ZSTD */
        int level;            /* -1: the codec's own */
        bool force_compression;
        bool docker_types;    /* oci-mediatypes=false */
        bool no_oci_artifact; /* attestation manifests with an image config, as BuildKit before 0.20 wrote them */
        bool rewrite_timestamp;
        int64_t epoch; /* source-date-epoch=, or -1: that of the build */
        BuildAnnotations annotations;

        int platform_split; /* tar, local: a directory for each platform: 1, 0, or -1: when there are several */
        bool mirror;        /* local: mode=delete: what is not in the result goes */
        char *attestation_prefix;
} BuildOutput;

/*
 * Reads one --output. "DIR" alone is type=local, "-" alone is type=tar to standard output.
 * Errors: INVALID that names the attribute and the known ones, UNSUPPORTED for what needs a registry.
 */
int build_output_parse(const char *text, BuildOutput *ret, Error *err);
void build_output_done(BuildOutput *output);
void build_outputs_free(BuildOutput *outputs, size_t n_outputs);

bool build_output_is_image(const BuildOutput *output);    /* image, oci, docker */
bool build_output_to_stdout(const BuildOutput *output);   /* dest=- */
const char *build_output_type_name(BuildOutputType type); /* "oci" */

/*
 * Reads --annotation: "key=value", "manifest:key=value", "index,manifest-descriptor[linux/arm64]:key=value". Appends.
 * Errors: INVALID.
 */
int build_annotation_parse(const char *text, BuildAnnotations *to, Error *err);
void build_annotations_done(BuildAnnotations *annotations);

/* --provenance, --attest type=provenance. Off unless asked for: an image in the store stays what it is, byte for byte. */
typedef struct BuildProvenance {
        bool enabled;
        bool min;          /* mode=min: without build arguments, labels, ids of secrets, Dockerfile and steps */
        bool v02;          /* version=v0.2 instead of v1 */
        bool reproducible; /* the user says so */
        bool inline_only;  /* for images only, not beside files */
        char *builder_id;
        char *file_name; /* beside files; NULL: "provenance.json" */
} BuildProvenance;

/* --sbom, --attest type=sbom: from a scanner, from documents that are handed in, or both. */
typedef struct BuildSbom {
        bool enabled;
        char *generator; /* the scanner's image; NULL: BUILD_SBOM_GENERATOR, unless there are files */
        StrList files;   /* SPDX documents of this machine */
        StrList params;  /* "NAME=value": the scanner sees BUILDKIT_SCAN_NAME */
} BuildSbom;

/* What BuildKit takes when nobody says. */
#define BUILD_SBOM_GENERATOR "docker/buildkit-syft-scanner:stable-1"

/* Reads --attest: "type=provenance,mode=max" or "type=sbom,generator=IMAGE". Later ones change earlier ones. Errors: INVALID. */
int build_attest_parse(const char *text, BuildProvenance *provenance, BuildSbom *sbom, Error *err);
void build_provenance_done(BuildProvenance *provenance);
void build_sbom_done(BuildSbom *sbom);
