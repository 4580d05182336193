/*
 * From the text of a template to its tree: one recursive descent over the characters.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/private.h"

typedef struct Parser {
        const char *start, *p;
        bool in_action; /* between "{{" and "}}" */
        unsigned depth, loops;
        Error *err;
} Parser;

static void pipe_free(Pipe *pipe)
{
        if (!pipe)
                return;
        for (size_t i = 0; i < pipe->n_operations; i++) {
                Operation *operation = &pipe->operations[i];

                for (size_t k = 0; k < operation->n_operands; k++) {
                        Operand *operand = &operation->operands[k];

                        free(operand->name);
                        json_value_unref(operand->literal);
                        pipe_free(operand->pipe);
                        strlist_done(&operand->fields);
                }
                free(operation->operands);
        }
        free(pipe->operations);
        free(pipe->variables[0]);
        free(pipe->variables[1]);
        free(pipe);
}

DEFINE_CLEANUP(Pipe *, pipe_free)

static void node_list_done(NodeList *list)
{
        for (size_t i = 0; i < list->n_nodes; i++) {
                free(list->nodes[i].text);
                pipe_free(list->nodes[i].pipe);
                node_list_done(&list->nodes[i].body);
                node_list_done(&list->nodes[i].otherwise);
        }
        free(list->nodes);
        *list = (NodeList){ 0 };
}

void template_free(Template *template)
{
        if (!template)
                return;
        node_list_done(&template->nodes);
        free(template);
}

static int fail(Parser *parser, const char *format, ...) _printf_(2, 3);
static int fail(Parser *parser, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        unsigned line = 1;
        va_list args;

        for (const char *p = parser->start; p < parser->p && *p; p++)
                line += *p == '\n';
        va_start(args, format);
        text = xvasprintf(format, args);
        va_end(args);
        return error_set(parser->err, ERROR_INVALID, "template parsing error: template: :%u: %s", line, text);
}

static void skip_space(Parser *parser)
{
        while (isspace((unsigned char)*parser->p))
                parser->p++;
}

static bool at_close(const Parser *parser)
{
        if (str_starts(parser->p, "}}"))
                return true;
        return *parser->p == '-' && str_starts(parser->p + 1, "}}");
}

/* Ends an action; "-}}" also eats the white space that follows. */
static int close_action(Parser *parser)
{
        bool trim;

        skip_space(parser);
        if (!at_close(parser))
                return *parser->p ? fail(parser, "unexpected \"%c\" in operand", *parser->p) : fail(parser, "unclosed action");
        trim = *parser->p == '-';
        parser->p += trim ? 3 : 2;
        parser->in_action = false;
        if (trim)
                skip_space(parser);
        return 0;
}

static bool is_word(char c)
{
        return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

static char *take_word(Parser *parser)
{
        const char *from = parser->p;

        while (is_word(*parser->p))
                parser->p++;
        return xstrndup(from, (size_t)(parser->p - from));
}

/* Appends a code point as UTF-8. */
static void put_rune(Buf *to, unsigned long code)
{
        if (code < 0x80) {
                buf_putc(to, (char)code);
        } else if (code < 0x800) {
                buf_putc(to, (char)(0xc0 | code >> 6));
                buf_putc(to, (char)(0x80 | (code & 0x3f)));
        } else if (code < 0x10000) {
                buf_putc(to, (char)(0xe0 | code >> 12));
                buf_putc(to, (char)(0x80 | (code >> 6 & 0x3f)));
                buf_putc(to, (char)(0x80 | (code & 0x3f)));
        } else {
                buf_putc(to, (char)(0xf0 | code >> 18));
                buf_putc(to, (char)(0x80 | (code >> 12 & 0x3f)));
                buf_putc(to, (char)(0x80 | (code >> 6 & 0x3f)));
                buf_putc(to, (char)(0x80 | (code & 0x3f)));
        }
}

/* One escape of a Go string literal, behind its backslash. */
static int take_escape(Parser *parser, Buf *to)
{
        static const char names[] = "abfnrtv\\\"'", values[] = "\a\b\f\n\r\t\v\\\"'";
        const char *at = *parser->p ? strchr(names, *parser->p) : NULL;
        size_t digits = *parser->p == 'x' ? 2 : *parser->p == 'u' ? 4 : *parser->p == 'U' ? 8 : 0;
        char hex[9] = "";

        if (at) {
                buf_putc(to, values[at - names]);
                parser->p++;
                return 0;
        }
        if (!digits)
                return fail(parser, "invalid syntax in string");
        parser->p++;
        for (size_t i = 0; i < digits; i++) {
                if (!isxdigit((unsigned char)parser->p[i]))
                        return fail(parser, "invalid syntax in string");
                hex[i] = parser->p[i];
        }
        parser->p += digits;
        put_rune(to, strtoul(hex, NULL, 16) & 0x1fffff);
        return 0;
}

static int take_string(Parser *parser, JsonValue **ret)
{
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        char quote = *parser->p++;

        for (; *parser->p && *parser->p != quote; parser->p++) {
                if (*parser->p == '\n' && quote == '"')
                        return fail(parser, "unterminated quoted string");
                if (*parser->p == '\\' && quote == '"') {
                        parser->p++;
                        if (take_escape(parser, &text) < 0)
                                return -1;
                        parser->p--;
                        continue;
                }
                buf_putc(&text, *parser->p);
        }
        if (!*parser->p++)
                return fail(parser, quote == '"' ? "unterminated quoted string" : "unterminated raw quoted string");
        *ret = json_value_new_string(buf_str(&text));
        return 0;
}

static int take_number(Parser *parser, JsonValue **ret)
{
        char *end;
        long long whole;
        double number;

        errno = 0;
        whole = strtoll(parser->p, &end, 0);
        if (*end == '.' || *end == 'e' || *end == 'E') {
                number = strtod(parser->p, &end);
                *ret = json_value_new_double(number);
        } else {
                *ret = json_value_new_int(whole);
        }
        if (errno || is_word(*end)) {
                json_value_unref(*ret);
                *ret = NULL;
                return fail(parser, "bad number syntax: \"%.*s\"", (int)strcspn(parser->p, " |)}"), parser->p);
        }
        parser->p = end;
        return 0;
}

static int parse_pipe(Parser *parser, Pipe **ret);

static void take_fields(Parser *parser, Operand *operand)
{
        while (*parser->p == '.' && is_word(parser->p[1])) {
                parser->p++;
                strlist_take(&operand->fields, take_word(parser));
        }
}

static int take_parenthesised(Parser *parser, Operand *operand)
{
        operand->type = OPERAND_PIPE;
        parser->p++;
        if (parse_pipe(parser, &operand->pipe) < 0)
                return -1;
        skip_space(parser);
        if (*parser->p != ')')
                return fail(parser, "unclosed left paren");
        parser->p++;
        take_fields(parser, operand);
        return 0;
}

static int take_named(Parser *parser, Operand *operand)
{
        _cleanup_free_ char *word = take_word(parser);

        if (streq(word, "true") || streq(word, "false") || streq(word, "nil")) {
                operand->type = OPERAND_LITERAL;
                operand->literal = streq(word, "nil") ? json_value_new_null() : json_value_new_bool(*word == 't');
                return 0;
        }
        if (!template_function_find(word))
                return fail(parser, "function \"%s\" not defined", word);
        operand->type = OPERAND_FUNCTION;
        operand->name = TAKE_PTR(word);
        return 0;
}

static int take_operand(Parser *parser, Operand *operand)
{
        char c = *parser->p;

        if (c == '.') {
                operand->type = OPERAND_DOT;
                if (is_word(parser->p[1]))
                        take_fields(parser, operand);
                else
                        parser->p++;
                return 0;
        }
        if (c == '$') {
                operand->type = OPERAND_VARIABLE;
                parser->p++;
                operand->name = take_word(parser);
                take_fields(parser, operand);
                return 0;
        }
        if (c == '(')
                return take_parenthesised(parser, operand);
        operand->type = OPERAND_LITERAL;
        if (c == '"' || c == '`')
                return take_string(parser, &operand->literal);
        if (c == '\'') {
                return fail(parser, "character constants are not supported: write a string in double quotes");
        }
        if (isdigit((unsigned char)c) || ((c == '-' || c == '+') && isdigit((unsigned char)parser->p[1])))
                return take_number(parser, &operand->literal);
        if (isalpha((unsigned char)c) || c == '_')
                return take_named(parser, operand);
        return fail(parser, "unexpected \"%c\" in operand", c);
}

static bool at_operation_end(const Parser *parser)
{
        return !*parser->p || *parser->p == '|' || *parser->p == ')' || at_close(parser);
}

static int parse_operation(Parser *parser, Operation *operation)
{
        for (skip_space(parser); !at_operation_end(parser); skip_space(parser)) {
                GROW(operation->operands, operation->capacity, operation->n_operands + 1);
                operation->operands[operation->n_operands] = (Operand){ 0 };
                if (take_operand(parser, &operation->operands[operation->n_operands++]) < 0)
                        return -1;
        }
        if (operation->n_operands == 0)
                return fail(parser, "missing value for command");
        if (operation->n_operands > 1 && operation->operands[0].type == OPERAND_LITERAL)
                return fail(parser, "can't give argument to non-function");
        return 0;
}

/* "$i, $v :=" or "$x =" in front of a pipe; nothing is taken when there is none. */
static void take_declaration(Parser *parser, Pipe *pipe)
{
        const char *back = parser->p;
        char *names[2] = { NULL, NULL };
        size_t n = 0;

        for (;;) {
                skip_space(parser);
                if (*parser->p != '$' || n == 2)
                        break;
                parser->p++;
                names[n++] = take_word(parser);
                skip_space(parser);
                if (*parser->p != ',')
                        break;
                parser->p++;
        }
        if (n && (str_starts(parser->p, ":=") || (*parser->p == '=' && n == 1))) {
                pipe->assign = *parser->p == '=';
                parser->p += pipe->assign ? 1 : 2;
                pipe->variables[0] = names[0];
                pipe->variables[1] = names[1];
                pipe->n_variables = n;
                return;
        }
        free(names[0]);
        free(names[1]);
        parser->p = back;
}

static int parse_pipe(Parser *parser, Pipe **ret)
{
        _cleanup_(pipe_freep) Pipe *pipe = NEW(Pipe);

        if (++parser->depth > TEMPLATE_DEPTH_MAX)
                return fail(parser, "too deeply nested");
        take_declaration(parser, pipe);
        for (;;) {
                GROW(pipe->operations, pipe->capacity, pipe->n_operations + 1);
                pipe->operations[pipe->n_operations] = (Operation){ 0 };
                if (parse_operation(parser, &pipe->operations[pipe->n_operations++]) < 0)
                        return -1;
                if (*parser->p != '|')
                        break;
                parser->p++;
        }
        parser->depth--;
        *ret = TAKE_PTR(pipe);
        return 0;
}

/* Reads text up to the next action and adds it; applies "{{-". The parser stands inside the action afterwards, or at the end. */
static void take_text(Parser *parser, NodeList *list)
{
        const char *from = parser->p, *open = strstr(from, "{{"), *end = open ? open : from + strlen(from);
        bool trim = open && open[2] == '-' && isspace((unsigned char)open[3]);

        parser->p = open ? open + (trim ? 3 : 2) : end;
        parser->in_action = open != NULL;
        if (trim)
                while (end > from && isspace((unsigned char)end[-1]))
                        end--;
        if (end == from)
                return;
        GROW(list->nodes, list->capacity, list->n_nodes + 1);
        list->nodes[list->n_nodes++] = (Node){ .type = NODE_TEXT, .text = xstrndup(from, (size_t)(end - from)), .text_size = (size_t)(end - from) };
}

static int skip_comment(Parser *parser)
{
        const char *end = strstr(parser->p, "*/");

        if (!end)
                return fail(parser, "unclosed comment");
        parser->p = end + 2;
        return close_action(parser);
}

/* How a list of nodes ended. */
typedef enum ListEnd { LIST_END_OF_TEXT, LIST_END, LIST_ELSE } ListEnd;

static int parse_list(Parser *parser, NodeList *list, ListEnd *ret_end);

/* The rest of if/range/with behind its keyword. */
static int parse_block(Parser *parser, Node *node)
{
        ListEnd end;

        if (node->type == NODE_RANGE)
                parser->loops++;
        if (parse_pipe(parser, &node->pipe) < 0 || close_action(parser) < 0 || parse_list(parser, &node->body, &end) < 0)
                return -1;
        if (node->type == NODE_RANGE)
                parser->loops--;
        if (end == LIST_ELSE) {
                skip_space(parser);
                /* "{{else if x}}" is an if inside the else that shares its end. */
                if (!at_close(parser)) {
                        _cleanup_free_ char *word = take_word(parser);
                        Node *inner;

                        if (!streq(word, node->type == NODE_WITH ? "with" : "if") || node->type == NODE_RANGE)
                                return fail(parser, "unexpected \"%s\" in else", word);
                        GROW(node->otherwise.nodes, node->otherwise.capacity, 1);
                        inner = &node->otherwise.nodes[node->otherwise.n_nodes++];
                        *inner = (Node){ .type = node->type };
                        return parse_block(parser, inner);
                }
                if (close_action(parser) < 0 || parse_list(parser, &node->otherwise, &end) < 0)
                        return -1;
        }
        if (end == LIST_ELSE)
                return fail(parser, "unexpected {{else}}");
        if (end != LIST_END)
                return fail(parser, "unexpected EOF");
        return close_action(parser);
}

/* The keyword that the parser stands at; what is behind it is left. NULL when it is none. */
static const char *take_keyword(Parser *parser)
{
        static const char *const keywords[] = { "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with" };

        for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
                const char *rest = str_after(parser->p, keywords[i]);

                if (rest && !is_word(*rest)) {
                        parser->p = rest;
                        return keywords[i];
                }
        }
        return NULL;
}

/* One action that is not else or end. */
static int parse_action(Parser *parser, const char *keyword, NodeList *list)
{
        Node *node;

        GROW(list->nodes, list->capacity, list->n_nodes + 1);
        node = &list->nodes[list->n_nodes++];
        *node = (Node){ .type = NODE_ACTION };
        if (!keyword)
                return parse_pipe(parser, &node->pipe) < 0 ? -1 : close_action(parser);
        if (streq(keyword, "if") || streq(keyword, "range") || streq(keyword, "with")) {
                node->type = *keyword == 'i' ? NODE_IF : *keyword == 'r' ? NODE_RANGE : NODE_WITH;
                return parse_block(parser, node);
        }
        if (streq(keyword, "break") || streq(keyword, "continue")) {
                node->type = *keyword == 'b' ? NODE_BREAK : NODE_CONTINUE;
                if (!parser->loops)
                        return fail(parser, "{{%s}} outside {{range}}", keyword);
                return close_action(parser);
        }
        return fail(parser, "{{%s}} is not supported in a format", keyword);
}

static int parse_list(Parser *parser, NodeList *list, ListEnd *ret_end)
{
        if (++parser->depth > TEMPLATE_DEPTH_MAX)
                return fail(parser, "too deeply nested");
        for (;;) {
                const char *keyword;

                take_text(parser, list);
                if (!parser->in_action) {
                        *ret_end = LIST_END_OF_TEXT;
                        break;
                }
                skip_space(parser);
                if (str_starts(parser->p, "/*")) {
                        if (skip_comment(parser) < 0)
                                return -1;
                        continue;
                }
                keyword = take_keyword(parser);
                if (keyword && (streq(keyword, "end") || streq(keyword, "else"))) {
                        *ret_end = streq(keyword, "end") ? LIST_END : LIST_ELSE;
                        break;
                }
                if (parse_action(parser, keyword, list) < 0)
                        return -1;
        }
        parser->depth--;
        return 0;
}

int template_parse(const char *text, Template **ret, Error *err)
{
        _cleanup_(template_freep) Template *template = NEW(Template);
        Parser parser = { .start = text, .p = text, .err = err };
        ListEnd end;

        if (parse_list(&parser, &template->nodes, &end) < 0)
                return -1;
        if (end != LIST_END_OF_TEXT)
                return fail(&parser, "unexpected {{%s}}", end == LIST_END ? "end" : "else");
        *ret = TAKE_PTR(template);
        return 0;
}
