#include "dockerfile/from.h"

#include "base/mem.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/image_name.h"
#include "dockerfile/text.h"

int from_check_platform(const GlobalScope *scope, const Instruction *from, const char *platform, const ExpandUse *use, Diagnosis *diag, Error *err)
{
        _cleanup_error_ Error inner = ERROR_INIT;
        _cleanup_free_ char *suggestion = NULL;
        PlatformName parsed;

        if (!platform || platform_name_parse(platform, &parsed, &inner) == 0)
                return 0;
        suggestion = use ? global_scope_suggest(scope, &use->undefined) : NULL;
        return diagnosis_set(diag, err, ERROR_INVALID, from->filename, from->from.platform_pos, from->range, "failed to parse platform %s: %s%s",
                             from->from.platform, error_message(&inner), suggestion ? suggestion : "");
}

int from_check_name(const Instruction *from, Diagnosis *diag, Error *err)
{
        const char *name = from->from.name;
        _cleanup_error_ Error inner = ERROR_INIT;

        if (!name || streq(name, "scratch") || streq(name, "context") || image_name_check(name, &inner) == 0)
                return 0;
        return diagnosis_set(diag, err, ERROR_INVALID, from->filename, from->pos, from->range, "invalid context name %s: %s", name, error_message(&inner));
}

int from_check_base(const Instruction *from, const char *base, Diagnosis *diag, Error *err)
{
        _cleanup_error_ Error inner = ERROR_INIT;
        _cleanup_free_ char *quoted = NULL;

        if (streq(base, "scratch") || image_name_check(base, &inner) == 0)
                return 0;
        quoted = text_quoted(base);
        return diagnosis_set(diag, err, ERROR_INVALID, from->filename, from->from.image.pos, from->range, "failed to parse stage name %s: %s", quoted,
                             error_message(&inner));
}
