/*
 * SLSA provenance as JSON. Private to the exporters.
 */
#pragma once

#include "build/export.h"
#include "json/json.h"

#define PROVENANCE_TYPE_1 "https://slsa.dev/provenance/v1"
#define PROVENANCE_TYPE_02 "https://slsa.dev/provenance/v0.2"

/*
 * The predicate for an image (or, when it has no manifest, for the files of its stage). With `max`: build arguments, labels, ids of secrets, the Dockerfile
 * and the steps. A new reference.
 */
JsonValue *provenance_predicate(Export *export, const ExportImage *image, bool max, bool v02);
