#include "build/download.h"

int download_add(Build *build, Work *work, const char *url, Error *err)
{
        (void)build;
        (void)work;
        return error_set(err, ERROR_UNSUPPORTED, "cannot fetch '%s': this build of mica has no HTTP client", url);
}
