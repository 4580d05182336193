/*
 * SBOMs of a build: documents that the user hands in, and those that a scanner makes, an image that follows BuildKit's protocol (docs/attestations/
 * sbom-protocol.md there): it finds the finished files at BUILDKIT_SCAN_SOURCE and writes SPDX as JSON into BUILDKIT_SCAN_DESTINATION.
 *
 * The scanner runs as a step of a stage of its own, so its result is cached by what it reads, cancelled, and shown as any other.
 */
#pragma once

#include "build/engine.h"
#include "json/json.h"

#define SBOM_TYPE "https://spdx.dev/Document"

/* What a scanner's mount names as its source, instead of a stage, with the stage's number in the build behind it. No name of a stage has a slash. */
#define SBOM_SCANNED "mica/scanned/"

/* The stage that it means. NULL: it is an ordinary name, or of no scanner's. */
BuildStage *sbom_scanned(const BuildStage *reader, const char *from);

/* One document. */
typedef struct Sbom {
        char *file_name;      /* "sbom.spdx.json" */
        JsonValue *predicate; /* the SPDX document */
        JsonValue *subject;   /* what it says that it is about; NULL: the result */
        bool is_core;         /* the scanner's own of the result: "sbom.…" */
} Sbom;

/* Reads the documents that were handed in and finds the scanner. NOT_FOUND says what to do when it is not in the store. After build_plan(). */
int build_sbom_plan(Build *build, Error *err);
/* Runs the scanner over each target's finished stage. After build_execute(). */
int build_sbom_scan(Build *build, Error *err);
void target_sboms_done(BuildTarget *target);
