/*
 * Lock files: what a build took from outside, and the digest it had (docs/formats/lock.md). `--pin` writes one, `--locked` compares with one.
 * Stable: the same sources give the same bytes.
 */
#pragma once

#include "build/sources.h"

#define LOCK_NAME "mica.lock"

typedef struct Lock Lock;

/* Errors: NOT_FOUND, INVALID, UNSUPPORTED (a newer version), LIMIT. */
int lock_load(const char *path, Lock **ret, Error *err);
void lock_free(Lock *lock);
DEFINE_CLEANUP(Lock *, lock_free)

/* DENIED when the lock does not have the source, or with another digest. Local directories are not locked. */
int lock_check(const Lock *lock, const SourceRecord *record, Error *err);

/* Replaces the file, atomically. */
int lock_write(const char *path, Sources *sources, Error *err);
