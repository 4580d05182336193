/* Parsing, understanding, checking and outlining a Dockerfile, and drawing its errors. */
#include <stdint.h>
#include <string.h>

#include "dockerfile/outline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        LintOptions options = { .scope = { .build = { "linux", "amd64" }, .target = { "linux", "amd64" } } };
        LintResult result = LINT_RESULT_INIT;
        Error err = ERROR_INIT;
        Dockerfile *df;
        Buf out = BUF_INIT(SIZE_MAX / 2);

        lint_run(&result, "Dockerfile", data, size, &options, &err);
        diagnosis_render(&result.build_error, "Dockerfile", (const char *)data, size, &out);
        lint_result_sort(&result);
        lint_result_done(&result);
        error_done(&err);
        dockerfile_check_syntax("Dockerfile", data, size, NULL, &err);
        error_done(&err);
        if (dockerfile_parse(&df, "Dockerfile", data, size, NULL, &err) == 0) {
                Outline outline = OUTLINE_INIT;
                Stages *stages;

                dockerfile_dump(df, &out);
                if (stages_parse(&stages, df, NULL, &err) == 0) {
                        outline_make(&outline, stages, &options, NULL, &err);
                        outline_done(&outline);
                        stages_free(stages);
                }
                dockerfile_free(df);
        }
        error_done(&err);
        buf_done(&out);
        return 0;
}
