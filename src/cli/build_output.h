/*
 * mica build: where the result goes (--output, --load, --push, --annotation) and what is told about it afterwards (--iidfile, --metadata-file).
 */
#pragma once

#include "build/build.h"
#include "cli/build_request.h"

/* Fills the outputs of the request. Errors: INVALID, UNSUPPORTED, naming the option. */
int build_take_outputs(const BuildFlags *flags, BuildRequest *request, Error *err);

/* Remembers the warnings of a build for its metadata; called with each event. */
typedef struct BuildNotes {
        Buf warnings; /* JSON objects with commas between */
} BuildNotes;
void build_notes_event(BuildNotes *notes, const BuildEvent *event);
void build_notes_done(BuildNotes *notes);

/* Writes the files that were asked for: --iidfile, --metadata-file. */
int build_write_files(const BuildFlags *flags, const BuildResult *result, const BuildNotes *notes, Error *err);

/* What -q prints: the id of the image, unless standard output has the result itself or there is no image. */
bool build_prints_id(const BuildRequest *request, const BuildResult *result);
