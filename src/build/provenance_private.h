/*
 * Private to provenance.c and provenance_steps.c.
 */
#pragma once

#include "build/provenance.h"

#define INVOCATION_ID_SIZE 26

/* A statement that is being made. */
typedef struct Provenance {
        Export *export;
        const ExportImage *image; /* NULL members when the result is no image */
        const BuildTarget *target;
        bool max;
        bool has_local;     /* something came from a directory of this machine, whose content nobody else can get */
        bool is_incomplete; /* of the request something was left out */
        char id[INVOCATION_ID_SIZE];
} Provenance;

/* mode=max: "buildkit_metadata" with the Dockerfile, and the steps as "buildConfig" in *ret_config. New references. */
JsonValue *provenance_max_metadata(Provenance *provenance, JsonValue **ret_config);
