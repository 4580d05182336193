#include "build/export.h"

bool export_has_attestations(const Export *export)
{
        (void)export;
        return false;
}

int export_attest(Export *export, ExportImage *image, Error *err)
{
        (void)export;
        (void)image;
        (void)err;
        return 0;
}
