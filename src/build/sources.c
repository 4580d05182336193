#include "build/sources.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "oci/reference.h"

struct Sources {
        pthread_mutex_t lock;
        SourceRecord *items;
        size_t n_items, capacity;
};

static const char *const kind_names[SOURCE_KINDS] = {
        [SOURCE_IMAGE] = "image", [SOURCE_HTTP] = "http", [SOURCE_GIT] = "git", [SOURCE_OCI_LAYOUT] = "oci-layout", [SOURCE_LOCAL] = "local",
};

const char *source_kind_name(SourceKind kind)
{
        return kind_names[kind];
}

Sources *sources_new(void)
{
        Sources *sources = NEW(Sources);

        pthread_mutex_init(&sources->lock, NULL);
        return sources;
}

void sources_free(Sources *sources)
{
        if (!sources)
                return;
        for (size_t i = 0; i < sources->n_items; i++) {
                free((char *)sources->items[i].uri);
                free((char *)sources->items[i].asked);
                free((char *)sources->items[i].platform);
        }
        free(sources->items);
        pthread_mutex_destroy(&sources->lock);
        free(sources);
}

static int compare(const void *a, const void *b)
{
        const SourceRecord *x = a, *y = b;
        int order = (int)x->kind - (int)y->kind;

        if (order == 0)
                order = strcmp(x->uri, y->uri);
        if (order == 0)
                order = strcmp(x->platform ? x->platform : "", y->platform ? y->platform : "");
        return order;
}

void sources_add(Sources *sources, const SourceRecord *source)
{
        bool known = false;

        pthread_mutex_lock(&sources->lock);
        for (size_t i = 0; i < sources->n_items && !known; i++)
                known = compare(&sources->items[i], source) == 0;
        if (!known) {
                SourceRecord *item;

                GROW(sources->items, sources->capacity, sources->n_items + 1);
                item = &sources->items[sources->n_items++];
                *item = *source;
                item->uri = xstrdup(source->uri);
                item->asked = xstrdup(source->asked ? source->asked : source->uri);
                item->platform = xstrdup_or_null(source->platform);
        }
        pthread_mutex_unlock(&sources->lock);
}

const SourceRecord *sources_get(Sources *sources, size_t *ret_n)
{
        pthread_mutex_lock(&sources->lock);
        if (sources->n_items)
                qsort(sources->items, sources->n_items, sizeof(*sources->items), compare);
        *ret_n = sources->n_items;
        pthread_mutex_unlock(&sources->lock);
        return sources->items;
}

/* --- package URLs --- */

/* Everything but letters, digits and `plain` as %XX. */
static void put_escaped(Buf *out, const char *s, const char *plain)
{
        for (; *s; s++) {
                unsigned char c = (unsigned char)*s;

                if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr(plain, c))
                        buf_putc(out, (char)c);
                else
                        buf_putf(out, "%%%02X", c);
        }
}

#define PLAIN_IN_QUERY "-_.~"
#define PLAIN_IN_PATH "-_.~$&+=:@"

int source_image_uri(const char *type, const char *reference, const Platform *platform, char **ret, Error *err)
{
        _cleanup_reference_ Reference parsed = { 0 };
        _cleanup_free_ char *name = NULL, *shown = NULL;
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        char digest[DIGEST_TEXT_SIZE];
        char separator = '?';

        if (reference_parse_tagged(reference, &parsed, err) < 0)
                return -1;
        name = reference_familiar_name(&parsed);
        buf_putf(&out, "pkg:%s/", type);
        for (char *at = name, *slash;; at = slash + 1) {
                slash = strchr(at, '/');
                if (slash)
                        *slash = '\0';
                put_escaped(&out, at, PLAIN_IN_QUERY);
                if (!slash)
                        break;
                buf_putc(&out, '/');
        }
        if (parsed.tag) {
                buf_putc(&out, '@');
                put_escaped(&out, parsed.tag, PLAIN_IN_PATH);
        }
        if (digest_is_set(&parsed.digest)) {
                buf_putf(&out, "%cdigest=", separator);
                put_escaped(&out, digest_format(&parsed.digest, digest), PLAIN_IN_PATH);
                separator = '&';
        }
        if (platform) {
                shown = platform_format(platform, false);
                buf_putf(&out, "%cplatform=", separator);
                put_escaped(&out, shown, PLAIN_IN_PATH);
        }
        *ret = buf_detach(&out);
        return 0;
}
