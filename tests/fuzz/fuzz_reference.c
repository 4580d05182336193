/*
 * References, platforms and id prefixes from hostile text. What is accepted must read back as the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "oci/platform.h"
#include "oci/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = xstrndup((const char *)data, size);
        _cleanup_reference_ Reference reference = { 0 }, again = { 0 };
        _cleanup_platform_ Platform platform = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;

        if (reference_parse(text, &reference, &err) >= 0) {
                _cleanup_free_ char *familiar = reference_familiar(&reference);

                if (reference_parse(familiar, &again, &err) < 0 || !reference_equal(&reference, &again))
                        abort();
        }
        if (platform_parse(text, &platform, &err) >= 0 && !platform_equal(&platform, &platform))
                abort();
        (void)reference_id_prefix(text);
        return 0;
}
