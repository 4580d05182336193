/*
 * How much disk images, containers, volumes and the build cache take.
 */
#pragma once

#include "base/str.h"
#include "store/maintain.h"

typedef struct DfPart {
        uint64_t n_total, n_active;
        uint64_t size, reclaimable; /* bytes */
} DfPart;

typedef struct DfReport {
        DfPart images, containers, volumes, cache;
        StoreUsage usage; /* per image */
} DfReport;

void df_report_done(DfReport *report);
/* n_active: images that have containers, containers that run, volumes that a container has, cache that running builds use. */
int engine_df(Store *store, DfReport *ret, Error *err);
