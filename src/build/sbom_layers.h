#pragma once

#include "build/export.h"
#include "json/json.h"

/*
 * Adds to the files of an SPDX document the layers of the image that they come from ("comment": "layerID: sha256:…", unless there is a comment), and the
 * creator to the document. The layers are in the store. Complexity: reads the headers of the layers, from the top to where the last file is found. Spec:
 * BuildKit, exporter/containerimage supplementSBOM().
 */
int sbom_add_layers(const Export *export, const ExportImage *image, JsonValue *document, Error *err);
