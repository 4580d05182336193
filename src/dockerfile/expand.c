/*
 * The scanner walks the word once. Each construct appends its result to a buffer and, when splitting, to the list of words: what came out of a variable splits
 * at white space, what was quoted or escaped does not.
 */
#include "dockerfile/expand.h"

#include <string.h>

#include "base/mem.h"
#include "dockerfile/limits.h"
#include "dockerfile/pattern.h"
#include "dockerfile/text.h"

#define END_OF_WORD 0 /* words hold no NUL */

typedef struct Scanner {
        const char *p, *end;
        const ExpandEnv *env;
        const ExpandOptions *options;
        ExpandUse *use;
        Error *err;
        char escape;
        bool raw_escapes;
        unsigned depth;
        size_t made; /* bytes appended in all buffers together */
        size_t limit;
        size_t n_used, n_undefined; /* in `use` when the word began */
} Scanner;

/* Splitting; `list` is NULL when only one string is wanted. */
typedef struct Words {
        StrList *list;
        Buf word;
        bool in_word;
} Words;

static const char *get_from_list(const void *user, const char *name)
{
        const StrList *env = user;
        size_t n = strlen(name);

        for (size_t i = env->n_items; i-- > 0;)
                if (strncmp(env->items[i], name, n) == 0 && (env->items[i][n] == '=' || env->items[i][n] == '\0'))
                        return env->items[i][n] ? env->items[i] + n + 1 : "";
        return NULL;
}

static const char *get_from_map(const void *user, const char *name)
{
        return map_get(user, name);
}

static const char *get_nothing(const void *user, const char *name)
{
        return NULL;
}

ExpandEnv expand_env_list(const StrList *env)
{
        return (ExpandEnv){ get_from_list, env };
}

ExpandEnv expand_env_map(const Map *map)
{
        return (ExpandEnv){ get_from_map, map };
}

ExpandEnv expand_env_empty(void)
{
        return (ExpandEnv){ get_nothing, NULL };
}

void expand_use_done(ExpandUse *use)
{
        strlist_done(&use->used);
        strlist_done(&use->undefined);
}

static int peek(const Scanner *s)
{
        return s->p < s->end ? (unsigned char)*s->p : END_OF_WORD;
}

static int put(Scanner *s, Buf *out, const char *text, size_t size)
{
        s->made += size;
        if (s->made > s->limit)
                return error_set(s->err, ERROR_LIMIT, "expanded text is longer than %zu bytes", s->limit);
        buf_put(out, text, size);
        return 0;
}

static int put_string(Scanner *s, Buf *out, const char *text)
{
        return put(s, out, text, strlen(text));
}

/* Takes one character and appends it. */
static int take(Scanner *s, Buf *out)
{
        size_t n;

        rune_at(s->p, s->end, &n);
        s->p += n;
        return put(s, out, s->p - n, n);
}

static void words_end(Words *words)
{
        if (words->word.size > 0)
                strlist_addn(words->list, words->word.data, words->word.size);
        buf_reset(&words->word);
}

static void words_put_raw(Words *words, const char *text, size_t size)
{
        if (!words->list || size == 0)
                return;
        buf_put(&words->word, text, size);
        words->in_word = true;
}

static void words_put_split(Words *words, const char *text, size_t size)
{
        const char *end;
        size_t n;

        if (!words->list || size == 0)
                return;
        for (end = text + size; text < end; text += n) {
                uint32_t rune = rune_at(text, end, &n);

                if (!rune_is_space(rune)) {
                        words_put_raw(words, text, n);
                } else if (words->in_word && words->word.size > 0) {
                        words_end(words);
                        words->in_word = false;
                }
        }
}

static const char *look_up(Scanner *s, const char *name)
{
        const char *value = s->env->get(s->env->user, name);

        if (s->use) {
                StrList *list = value ? &s->use->used : &s->use->undefined;
                size_t i = value ? s->n_used : s->n_undefined;

                while (i < list->n_items && !streq(list->items[i], name))
                        i++;
                if (i == list->n_items)
                        strlist_add(list, name);
        }
        return value;
}

/* A name: digits, or one special parameter, or letters, digits and '_'. May be empty. */
static char *take_name(Scanner *s)
{
        const char *start = s->p;
        size_t n;

        if (s->p < s->end && rune_is_digit(rune_at(s->p, s->end, &n))) {
                while (s->p < s->end && rune_is_digit(rune_at(s->p, s->end, &n)))
                        s->p += n;
                return xstrndup(start, (size_t)(s->p - start));
        }
        if (s->p < s->end && strchr("@*#?-$!", *s->p)) {
                s->p++;
                return xstrndup(start, 1);
        }
        while (s->p < s->end) {
                uint32_t rune = rune_at(s->p, s->end, &n);

                if (rune != '_' && !rune_is_letter(rune) && !rune_is_digit(rune))
                        break;
                s->p += n;
        }
        return xstrndup(start, (size_t)(s->p - start));
}

static int scan_until(Scanner *s, int stop, bool raw_escapes, Buf *out, Words *words);

/* The part of ${…} up to `stop`, with its own expansions. At the end of the word `missing` says what is not there. */
static int take_operand(Scanner *s, int stop, bool raw_escapes, Buf *out, const char *missing)
{
        Words none = { 0 };

        if (scan_until(s, stop, raw_escapes, out, &none) < 0) {
                if (peek(s) == END_OF_WORD && s->err->code == ERROR_INVALID)
                        return error_set(s->err, ERROR_INVALID, "syntax error: missing %s", missing);
                return -1;
        }
        return 0;
}

static int unset_or_empty(Scanner *s, const char *name, const char *word, const char *message)
{
        return error_set(s->err, ERROR_INVALID, "%s: %s", name, *word ? word : message);
}

static int apply_modifier(Scanner *s, Buf *out, const char *name, const char *modifier, const char *word, const char *value)
{
        bool colon = *modifier == ':', empty = !value || (colon && !*value), longest;
        char op = modifier[colon];

        switch (op) {
        case '-':
                return put_string(s, out, empty ? word : value);
        case '+':
                return empty ? 0 : put_string(s, out, word);
        case '?':
                if (!value)
                        return unset_or_empty(s, name, word, "is not allowed to be unset");
                if (empty)
                        return unset_or_empty(s, name, word, "is not allowed to be empty");
                return put_string(s, out, value);
        case '#':
        case '%': {
                Buf text = BUF_INIT(SIZE_MAX / 2);
                int r;

                longest = *word == op;
                if (op == '#')
                        r = pattern_trim_prefix(&text, word + longest, value ? value : "", longest, s->err);
                else
                        r = pattern_trim_suffix(&text, word + longest, value ? value : "", longest, s->err);
                if (r == 0)
                        r = put(s, out, text.data, text.size);
                buf_done(&text);
                return r;
        }
        default:
                return error_set(s->err, ERROR_INVALID, "unsupported modifier (%s) in substitution", modifier);
        }
}

static int take_replacement(Scanner *s, Buf *out, const char *name)
{
        Buf pattern = BUF_INIT(SIZE_MAX / 2), replacement = BUF_INIT(SIZE_MAX / 2), text = BUF_INIT(SIZE_MAX / 2);
        bool all = peek(s) == '/';
        const char *value;
        int r = -1;

        s->p += all;
        if (take_operand(s, '/', true, &pattern, "'/' in ${}") < 0 || take_operand(s, '}', true, &replacement, "'}'") < 0)
                goto finish;
        value = look_up(s, name);
        if (!value && s->options->skip_unset) {
                buf_putf(&text, "${%s/%s/%s}", name, buf_str(&pattern), buf_str(&replacement));
                r = put(s, out, text.data, text.size);
                goto finish;
        }
        r = pattern_replace(&text, buf_str(&pattern), buf_str(&replacement), value ? value : "", all, s->err);
        if (r == 0)
                r = put(s, out, text.data, text.size);
finish:
        buf_done(&pattern);
        buf_done(&replacement);
        buf_done(&text);
        return r;
}

static int take_braces(Scanner *s, Buf *out)
{
        _cleanup_free_ char *name = NULL, *modifier = NULL;
        Buf word = BUF_INIT(SIZE_MAX / 2);
        const char *value, *start;
        size_t n = 0;
        int r;

        switch (peek(s)) {
        case END_OF_WORD:
                return error_set(s->err, ERROR_INVALID, "syntax error: missing '}'");
        case '{':
        case '}':
        case ':':
                return error_set(s->err, ERROR_INVALID, "syntax error: bad substitution");
        }
        name = take_name(s);
        start = s->p;
        for (int i = 0; i < 1 + (*start == ':') && s->p < s->end; i++, s->p += n)
                rune_at(s->p, s->end, &n);
        modifier = xstrndup(start, (size_t)(s->p - start));

        if (streq(modifier, "}")) {
                value = look_up(s, name);
                if (!value && s->options->skip_unset) {
                        _cleanup_free_ char *same = xasprintf("${%s}", name);

                        return put_string(s, out, same);
                }
                return value ? put_string(s, out, value) : 0;
        }
        if (*modifier == '/')
                return take_replacement(s, out, name);
        if (!*modifier || !strchr(":+-?#%", *modifier))
                return error_set(s->err, ERROR_INVALID, "unsupported modifier (%s) in substitution", *modifier ? modifier : "\xef\xbf\xbd");
        if (streq(modifier, ":#") || streq(modifier, ":%"))
                return error_set(s->err, ERROR_INVALID, "unsupported modifier (%s) in substitution", modifier);

        if (take_operand(s, '}', *modifier == '#' || *modifier == '%', &word, "'}'") < 0) {
                buf_done(&word);
                return -1;
        }
        value = look_up(s, name);
        if (!value && s->options->skip_unset) {
                _cleanup_free_ char *same = xasprintf("${%s%s%s}", name, modifier, buf_str(&word));

                r = put_string(s, out, same);
        } else {
                r = apply_modifier(s, out, name, modifier, buf_str(&word), value);
        }
        buf_done(&word);
        return r;
}

static int take_dollar(Scanner *s, Buf *out)
{
        _cleanup_free_ char *name = NULL;
        const char *value;
        int r;

        s->p++;
        if (peek(s) == '{') {
                if (++s->depth > LIMIT_EXPANSION_DEPTH)
                        return error_set(s->err, ERROR_LIMIT, "substitutions are nested deeper than %d", LIMIT_EXPANSION_DEPTH);
                s->p++;
                r = take_braces(s, out);
                s->depth--;
                return r;
        }
        name = take_name(s);
        if (!*name)
                return put(s, out, "$", 1);
        value = look_up(s, name);
        if (!value && s->options->skip_unset) {
                r = put(s, out, "$", 1);
                return r < 0 ? r : put_string(s, out, name);
        }
        return value ? put_string(s, out, value) : 0;
}

static int take_single_quotes(Scanner *s, Buf *out)
{
        const char *close = memchr(s->p + 1, '\'', (size_t)(s->end - s->p - 1)), *start = s->p;
        bool raw = s->options->raw_quotes;

        if (!close) {
                s->p = s->end;
                return error_set(s->err, ERROR_INVALID, "unexpected end of statement while looking for matching single-quote");
        }
        s->p = close + 1;
        return raw ? put(s, out, start, (size_t)(close - start) + 1) : put(s, out, start + 1, (size_t)(close - start) - 1);
}

static int take_double_quotes(Scanner *s, Buf *out)
{
        bool raw = s->options->raw_quotes;
        int r = raw ? put(s, out, "\"", 1) : 0;

        s->p++;
        while (r == 0) {
                int c = peek(s);

                if (c == END_OF_WORD) {
                        return error_set(s->err, ERROR_INVALID, "unexpected end of statement while looking for matching double-quote");
                } else if (c == '"') {
                        s->p++;
                        return raw ? put(s, out, "\"", 1) : 0;
                } else if (c == '$') {
                        r = take_dollar(s, out);
                } else if (c == s->escape) {
                        s->p++;
                        if (s->raw_escapes)
                                r = put(s, out, &s->escape, 1);
                        c = peek(s);
                        if (r < 0 || c == END_OF_WORD)
                                continue; /* ends with "no closing quote" */
                        /* In front of anything else the escape character stays itself. */
                        if (c == '"' || c == '$' || c == s->escape)
                                r = take(s, out);
                        else
                                r = put(s, out, &s->escape, 1);
                } else {
                        r = take(s, out);
                }
        }
        return r;
}

/* "<<" and the blanks behind it stay together with the word that follows. */
static int take_less_than(Scanner *s, Buf *out)
{
        const char *start = s->p++;

        if (peek(s) == '<')
                for (s->p++; peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\r'; s->p++)
                        ;
        return put(s, out, start, (size_t)(s->p - start));
}

static int take_escaped(Scanner *s, Buf *out)
{
        s->p++;
        if (s->raw_escapes && put(s, out, &s->escape, 1) < 0)
                return -1;
        return peek(s) == END_OF_WORD ? 0 : take(s, out);
}

static int scan_until(Scanner *s, int stop, bool raw_escapes, Buf *out, Words *words)
{
        bool saved = s->raw_escapes, quotes = !s->options->ignore_quotes;
        int r = 0;

        s->raw_escapes = raw_escapes;
        while (r == 0 && peek(s) != END_OF_WORD) {
                size_t before = out->size;
                int c = peek(s);

                if (c == stop) {
                        s->p++;
                        s->raw_escapes = saved;
                        return 0;
                }
                if (c == '$')
                        r = take_dollar(s, out);
                else if (c == '<')
                        r = take_less_than(s, out);
                else if (c == '\'' && quotes)
                        r = take_single_quotes(s, out);
                else if (c == '"' && quotes)
                        r = take_double_quotes(s, out);
                else if (c == s->escape)
                        r = take_escaped(s, out);
                else
                        r = take(s, out);
                if (r < 0)
                        break;
                if (c == '$' || !(c == '<' || (quotes && (c == '\'' || c == '"')) || c == s->escape))
                        words_put_split(words, buf_str(out) + before, out->size - before);
                else
                        words_put_raw(words, buf_str(out) + before, out->size - before);
        }
        s->raw_escapes = saved;
        if (r == 0 && stop != -1)
                return error_set(s->err, ERROR_INVALID, "unexpected end of statement while looking for matching %c", stop);
        return r;
}

static int process(const char *word, const ExpandEnv *env, const ExpandOptions *options, ExpandUse *use, Buf *out, Words *words, Error *err)
{
        static const ExpandOptions plain = { 0 };
        Scanner s = { .p = word, .end = word + strlen(word), .env = env, .options = options ? options : &plain, .use = use, .err = err };

        s.escape = s.options->escape ? s.options->escape : '\\';
        s.n_used = use ? use->used.n_items : 0;
        s.n_undefined = use ? use->undefined.n_items : 0;
        s.limit = LIMIT_EXPANSION_SIZE + 2 * strlen(word);
        if (scan_until(&s, -1, s.options->raw_escapes, out, words) < 0) {
                _cleanup_free_ char *quoted = text_quoted(word);

                return error_wrap(err, "failed to process %s", quoted);
        }
        return 0;
}

int expand_word(char **ret, const char *word, const ExpandEnv *env, const ExpandOptions *options, ExpandUse *use, Error *err)
{
        Buf out = BUF_INIT(SIZE_MAX / 2);
        Words none = { 0 };

        if (process(word, env, options, use, &out, &none, err) < 0) {
                buf_done(&out);
                return -1;
        }
        *ret = buf_detach(&out);
        return 0;
}

int expand_words(StrList *words, const char *word, const ExpandEnv *env, const ExpandOptions *options, ExpandUse *use, Error *err)
{
        _cleanup_strlist_ StrList list = { 0 };
        Words split = { .list = &list, .word = BUF_INIT(SIZE_MAX / 2) };
        Buf out = BUF_INIT(SIZE_MAX / 2);
        int r;

        r = process(word, env, options, use, &out, &split, err);
        if (r == 0) {
                words_end(&split);
                for (size_t i = 0; i < list.n_items; i++)
                        strlist_take(words, TAKE_PTR(list.items[i]));
                list.n_items = 0;
        }
        buf_done(&split.word);
        buf_done(&out);
        return r;
}
