#include "build/git.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/git_run.h"
#include "build/intake.h"

/* Part of the key of a checkout: raise it when the same commit begins to make another layer. */
#define CHECKOUT_FORMAT 1
/* What ls-remote prints for one ref. */
#define REFS_MAX ((size_t)4 << 20)

void git_source_done(GitSource *source)
{
        git_url_done(&source->url);
        free(source->used_ref);
        *source = (GitSource){ 0 };
}

/* --- what a ref names --- */

typedef struct Answer {
        char object[SOURCE_COMMIT_SIZE], commit[SOURCE_COMMIT_SIZE];
        char *used_ref;
} Answer;

void git_answer_free(void *answer)
{
        if (answer)
                free(((Answer *)answer)->used_ref);
        free(answer);
}

/* The object that ls-remote printed for exactly this name: true and its digits. */
static bool find_line(const char *output, const char *name, char *ret)
{
        for (const char *line = output; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                size_t size = strcspn(line, "\n"), digits = strspn(line, "0123456789abcdef");

                if ((digits == 40 || digits == 64) && line[digits] == '\t' && size - digits - 1 == strlen(name) &&
                    memcmp(line + digits + 1, name, strlen(name)) == 0) {
                        memcpy(ret, line, digits);
                        ret[digits] = '\0';
                        return true;
                }
        }
        return false;
}

/* A name as git reads it: whole, then as a branch, then as a tag. As BuildKit does. */
static bool match_ref(const char *output, const char *ref, Answer *answer)
{
        _cleanup_free_ char *whole = xasprintf("refs/%s", str_starts(ref, "refs/") ? ref + 5 : ref);
        _cleanup_free_ char *head = xasprintf("refs/heads/%s", str_starts(ref, "refs/heads/") ? ref + 11 : ref);
        _cleanup_free_ char *tag = xasprintf("refs/tags/%s", str_starts(ref, "refs/tags/") ? ref + 10 : ref);
        const char *const names[] = { whole, head, tag };

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                _cleanup_free_ char *peeled = xasprintf("%s^{}", names[i]);

                if (!find_line(output, names[i], answer->object))
                        continue;
                if (!find_line(output, peeled, answer->commit))
                        strcpy(answer->commit, answer->object);
                answer->used_ref = xstrdup(names[i]);
                return true;
        }
        return false;
}

/* The branch that HEAD of the repository is. */
static bool match_head(const char *output, Answer *answer)
{
        const char *line = str_starts(output, "ref: refs/heads/") ? output + strlen("ref: ") : NULL;

        if (!find_line(output, "HEAD", answer->object))
                return false;
        strcpy(answer->commit, answer->object);
        if (line)
                answer->used_ref = xstrndup(line, strcspn(line, "\t\n"));
        return true;
}

static int ask_server(Build *build, const GitUrl *url, Answer *answer, Error *err)
{
        _cleanup_git_run_ GitRun run = { 0 };
        _cleanup_buf_ Buf output = BUF_INIT(REFS_MAX);
        _cleanup_free_ char *remote = git_remote(url), *shown = git_url_shown(url), *peeled = url->ref ? xasprintf("%s^{}", url->ref) : NULL;
        int r;

        if (git_run_init(&run, build, NULL, url, err) < 0)
                return -1;
        if (url->ref)
                r = git_run(&run, &output, err, "ls-remote", "--", remote, url->ref, peeled, NULL);
        else
                r = git_run(&run, &output, err, "ls-remote", "--symref", "--", remote, "HEAD", NULL);
        if (r < 0)
                return error_wrap(err, "cannot read the git repository '%s'", shown);
        if (url->ref ? match_ref(buf_str(&output), url->ref, answer) : match_head(buf_str(&output), answer))
                return 0;
        return url->ref ? error_set(err, ERROR_NOT_FOUND, "the git repository '%s' does not contain ref '%s'", shown, url->ref)
                        : error_set(err, ERROR_NOT_FOUND, "the git repository '%s' has no default branch: name one behind '#'", shown);
}

/* Asked once in a build, so that all its steps see the same commit. */
static int find_answer(Build *build, const GitUrl *url, const Answer **ret, Error *err)
{
        _cleanup_free_ char *key = xasprintf("%s\n%s", url->remote, url->ref ? url->ref : "");
        Answer *answer;

        pthread_mutex_lock(&build->lock);
        answer = map_get(build->git_refs, key);
        pthread_mutex_unlock(&build->lock);
        if (!answer) {
                answer = NEW(Answer);
                if (ask_server(build, url, answer, err) < 0) {
                        git_answer_free(answer);
                        return -1;
                }
                pthread_mutex_lock(&build->lock);
                if (map_has(build->git_refs, key)) { /* another stage was faster; its answer counts */
                        git_answer_free(answer);
                        answer = map_get(build->git_refs, key);
                } else {
                        map_set(build->git_refs, key, answer);
                }
                pthread_mutex_unlock(&build->lock);
        }
        *ret = answer;
        return 0;
}

static int check_checksum(const GitSource *source, const char *checksum, Error *err)
{
        if (!checksum || str_starts(source->commit, checksum) || str_starts(source->object, checksum))
                return 0;
        return error_set(err, ERROR_CORRUPT, "expected checksum to match %s, got %s", checksum, source->commit);
}

static int find_commit(Build *build, GitSource *source, Error *err)
{
        const GitUrl *url = &source->url;
        const Answer *answer;

        if (url->ref && git_is_commit(url->ref)) {
                strcpy(source->object, url->ref);
                strcpy(source->commit, url->ref);
                return 0;
        }
        if (url->fetch_by_commit) {
                if (!url->checksum || !git_is_commit(url->checksum))
                        return error_set(err, ERROR_INVALID, "fetch-by-commit needs the whole commit as checksum=");
                strcpy(source->object, url->checksum);
                strcpy(source->commit, url->checksum);
                return 0;
        }
        if (find_answer(build, url, &answer, err) < 0)
                return -1;
        strcpy(source->object, answer->object);
        strcpy(source->commit, answer->commit);
        source->used_ref = xstrdup_or_null(answer->used_ref);
        return 0;
}

/* The instruction and the URL may both say it, but the same. */
static int merge_options(GitSource *source, Tristate keep_git_dir, const char *checksum, Error *err)
{
        GitUrl *url = &source->url;

        if (keep_git_dir && url->keep_git_dir && keep_git_dir != url->keep_git_dir)
                return error_set(err, ERROR_INVALID, "inconsistent keep-git-dir configuration");
        source->keep_git_dir = keep_git_dir == TRISTATE_TRUE || url->keep_git_dir == TRISTATE_TRUE;
        if (!checksum)
                return 0;
        if (url->checksum && !streq(url->checksum, checksum))
                return error_set(err, ERROR_INVALID, "checksum mismatch \"%s\" != \"%s\"", checksum, url->checksum);
        if (!*checksum || checksum[strspn(checksum, "0123456789abcdefABCDEF")])
                return error_set(err, ERROR_INVALID, "invalid checksum %s for Git URL, expected hex commit hash", checksum);
        if (!url->checksum)
                url->checksum = str_lower(checksum);
        return 0;
}

char *git_source_asked(const GitSource *source)
{
        const GitUrl *url = &source->url;
        _cleanup_free_ char *shown = git_url_shown(url);

        if (!url->ref && !url->sub_dir)
                return xstrdup(shown);
        return xasprintf("%s#%s%s%s", shown, url->ref ? url->ref : "", url->sub_dir ? ":" : "", url->sub_dir ? url->sub_dir : "");
}

static int take_source(Build *build, const GitSource *source, Error *err)
{
        const GitUrl *url = &source->url;
        _cleanup_free_ char *shown = git_url_shown(url), *uri = url->ref ? xasprintf("%s#%s", shown, url->ref) : xstrdup(shown);
        _cleanup_free_ char *asked = git_source_asked(source);
        SourceRecord record = { .kind = SOURCE_GIT, .uri = uri, .asked = asked };

        strcpy(record.commit, source->commit);
        return intake_take(build, &record, err);
}

int git_resolve(Build *build, const char *text, Tristate keep_git_dir, const char *checksum, GitSource *ret, Error *err)
{
        _cleanup_git_source_ GitSource source = { 0 };
        int is_git = git_url_parse(text, &source.url, err);

        if (is_git <= 0)
                return is_git;
        if (merge_options(&source, keep_git_dir, checksum, err) < 0 || intake_git(build, &source.url, &source.keep_git_dir, err) < 0 ||
            find_commit(build, &source, err) < 0 || check_checksum(&source, source.url.checksum, err) < 0 || take_source(build, &source, err) < 0)
                return -1;
        *ret = source;
        source = (GitSource){ 0 };
        return 1;
}

Digest git_source_key(const GitSource *source)
{
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);
        _cleanup_free_ char *shown = git_url_shown(&source->url);

        hash_field_str(hash, "mica git checkout");
        hash_field_u64(hash, CHECKOUT_FORMAT);
        hash_field_str(hash, shown); /* where relative submodules are, and what .git/config says */
        hash_field_str(hash, source->keep_git_dir ? source->object : source->commit);
        hash_field_str(hash, source->url.sub_dir);
        hash_field_u64(hash, (uint64_t)source->keep_git_dir << 2 | (uint64_t)(source->url.submodules == TRISTATE_FALSE) << 1 | source->url.mtime_checkout);
        hash_field_str(hash, source->keep_git_dir ? source->used_ref : NULL);
        return hash_digest(hash);
}
