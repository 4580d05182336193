/*
 * Evaluating a parsed template.
 *
 * Every value is a reference to a JSON value that the evaluation owns, or NULL for nil and for what is missing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/private.h"

typedef struct Variable {
        const char *name; /* belongs to the tree */
        JsonValue *value;
} Variable;

typedef enum Flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE } Flow;

typedef struct Run {
        const TemplateData *data;
        Variable *variables;
        size_t n_variables, capacity;
        size_t n_steps;
        Buf *out;
        Error *err;
} Run;

static int fail(Run *run, const char *format, ...) _printf_(2, 3);
static int fail(Run *run, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        error_setv(run->err, ERROR_INVALID, format, args);
        va_end(args);
        return error_wrap(run->err, "template parsing error: template: :1: executing \"\"");
}

static void push_variable(Run *run, const char *name, const JsonValue *value)
{
        GROW(run->variables, run->capacity, run->n_variables + 1);
        run->variables[run->n_variables++] = (Variable){ name, value ? json_value_ref((JsonValue *)value) : NULL };
}

static void pop_variables(Run *run, size_t to)
{
        while (run->n_variables > to)
                json_value_unref(run->variables[--run->n_variables].value);
}

static Variable *find_variable(Run *run, const char *name)
{
        for (size_t i = run->n_variables; i-- > 0;)
                if (streq(run->variables[i].name, name))
                        return &run->variables[i];
        return NULL;
}

/* The last part of a label's name as docker heads its column. */
static char *label_header(const char *name)
{
        const char *dot = strrchr(name, '.');
        char *text = xstrdup(dot ? dot + 1 : name);

        for (char *p = text; *p; p++)
                if (*p == '-' || *p == '_')
                        *p = ' ';
        return text;
}

/* .Label "name" */
static int eval_label(Run *run, const JsonValue *name, JsonValue **ret)
{
        const char *key = json_value_string(name);
        const char *value;

        if (!key)
                return fail(run, "at <.Label>: wants the name of a label");
        if (run->data->headers) {
                _cleanup_free_ char *header = label_header(key);

                *ret = json_value_new_string(header);
                return 0;
        }
        value = json_value_string(json_value_get(run->data->labels, key));
        *ret = json_value_new_string(value ? value : "");
        return 0;
}

/* What an inspected object has under another name, or leaves out while it is empty; NULL when there is no such member. New reference. */
static JsonValue *get_typed(const JsonValue *object, const char *name)
{
        const TypedMember *typed = typed_member_find(name);
        JsonValue *other = typed && typed->alias ? json_value_get(object, typed->alias) : NULL;

        if (!typed || typed->alias)
                return other ? json_value_ref(other) : NULL;
        return *typed->empty ? json_value_new_null() : json_value_new_string("");
}

/* A map, whose missing keys are no error. */
static bool is_typed_map(const Run *run, const char *name)
{
        const TypedMember *typed = run->data->typed ? typed_member_find(name) : NULL;

        return typed && streq_ptr(typed->empty, "map[]");
}

/* Walks ".A.B"; *ret is a new reference or NULL when the last one is missing. */
static int eval_fields(Run *run, const JsonValue *from, const StrList *fields, bool lenient, JsonValue **ret)
{
        _cleanup_json_ JsonValue *value = from ? json_value_ref((JsonValue *)from) : NULL;

        for (size_t i = 0; i < fields->n_items; i++) {
                bool in_map = i > 0 && is_typed_map(run, fields->items[i - 1]);
                const char *name = fields->items[i];
                JsonValue *next;

                if (json_value_is_null(value)) {
                        if (!lenient && !(value && in_map))
                                return fail(run, "at <.%s>: nil data; no entry for key \"%s\"", name, name);
                        json_value_unref(TAKE_PTR(value));
                        break;
                }
                if (json_value_type(value) != JSON_TYPE_OBJECT)
                        return fail(run, "at <.%s>: can't evaluate field %s in %s", name, name, json_type_name(json_value_type(value)));
                next = json_value_get(value, name);
                next = next ? json_value_ref(next) : run->data->typed && !in_map ? get_typed(value, name) : NULL;
                if (!next && !lenient && !in_map)
                        return fail(run, "at <.%s>: map has no entry for key \"%s\"", name, name);
                json_value_unref(value);
                value = next;
        }
        *ret = TAKE_PTR(value);
        return 0;
}

static int eval_pipe(Run *run, const Pipe *pipe, const JsonValue *dot, bool lenient, JsonValue **ret);
static int eval_call(Run *run, const Operation *operation, const JsonValue *dot, JsonValue *piped, bool has_piped, JsonValue **ret);

static int eval_operand(Run *run, const Operand *operand, const JsonValue *dot, bool lenient, JsonValue **ret)
{
        _cleanup_json_ JsonValue *inner = NULL;
        const Variable *variable;

        switch (operand->type) {
        case OPERAND_DOT:
                return eval_fields(run, dot, &operand->fields, lenient, ret);
        case OPERAND_VARIABLE:
                if (!*operand->name)
                        return eval_fields(run, run->data->root, &operand->fields, lenient, ret);
                variable = find_variable(run, operand->name);
                if (!variable)
                        return fail(run, "undefined variable \"$%s\"", operand->name);
                return eval_fields(run, variable->value, &operand->fields, lenient, ret);
        case OPERAND_LITERAL:
                *ret = json_value_ref(operand->literal);
                return 0;
        case OPERAND_PIPE:
                if (eval_pipe(run, operand->pipe, dot, lenient, &inner) < 0)
                        return -1;
                return eval_fields(run, inner, &operand->fields, lenient, ret);
        case OPERAND_FUNCTION: {
                Operation alone = { .operands = (Operand *)operand, .n_operands = 1 };

                return eval_call(run, &alone, dot, NULL, false, ret);
        }
        }
        return fail(run, "bad operand");
}

/* and/or stop at the argument that decides, as Go's do. */
static JsonValue *decide(bool stop_at, JsonValue **args, size_t n_args)
{
        size_t i = 0;

        while (i + 1 < n_args && template_truth(args[i]) != stop_at)
                i++;
        return args[i] ? json_value_ref(args[i]) : NULL;
}

/* Calls a function with evaluated arguments. */
static int apply(Run *run, const char *name, JsonValue **args, size_t n_args, JsonValue **ret)
{
        const TemplateFunction *function = template_function_find(name);
        FunctionCall call = { run->data, args, n_args };
        _cleanup_error_ Error inner = ERROR_INIT;

        if (n_args < function->min_args || (function->max_args && n_args > function->max_args))
                return fail(run, "wrong number of args for %s: want %s%zu got %zu", name, function->min_args == function->max_args ? "" : "at least ",
                            function->min_args, n_args);
        if (streq(name, "and") || streq(name, "or")) {
                *ret = decide(*name == 'o', args, n_args);
                return 0;
        }
        if (run->data->headers && function->header_subject <= n_args && n_args) {
                JsonValue *subject = args[function->header_subject ? function->header_subject - 1 : n_args - 1];

                if (json_value_type(subject) == JSON_TYPE_STRING && !streq(name, "printf") && !streq(name, "println") && !streq(name, "print") &&
                    !streq(name, "eq") && !streq(name, "ne")) {
                        *ret = json_value_ref(subject);
                        return 0;
                }
        }
        if (function->call(&call, ret, &inner) < 0)
                return fail(run, "at <%s>: error calling %s: %s", name, name, error_message(&inner));
        return 0;
}

/* A function, or .Label, with arguments; the piped value comes last. */
static int eval_call(Run *run, const Operation *operation, const JsonValue *dot, JsonValue *piped, bool has_piped, JsonValue **ret)
{
        size_t n_own = operation->n_operands - 1, n_args = n_own + has_piped;
        JsonValue **args = xcalloc(n_args + 1, sizeof(*args));
        const Operand *head = &operation->operands[0];
        bool lenient = head->type == OPERAND_FUNCTION && (streq(head->name, "and") || streq(head->name, "or") || streq(head->name, "not"));
        int r = 0;

        for (size_t i = 0; i < n_own && r >= 0; i++)
                r = eval_operand(run, &operation->operands[i + 1], dot, lenient, &args[i]);
        if (has_piped)
                args[n_own] = piped ? json_value_ref(piped) : NULL;
        if (r >= 0 && head->type == OPERAND_FUNCTION)
                r = apply(run, head->name, args, n_args, ret);
        else if (r >= 0 && head->fields.n_items == 1 && streq(head->fields.items[0], "Label") && n_args == 1)
                r = eval_label(run, args[0], ret);
        else if (r >= 0)
                r = fail(run, "can't give argument to non-function");
        for (size_t i = 0; i < n_args; i++)
                json_value_unref(args[i]);
        free(args);
        return r;
}

static int declare(Run *run, const Pipe *pipe, JsonValue *value)
{
        Variable *variable;

        if (!pipe->assign) {
                push_variable(run, pipe->variables[0], value);
                return 0;
        }
        variable = find_variable(run, pipe->variables[0]);
        if (!variable)
                return fail(run, "undefined variable \"$%s\"", pipe->variables[0]);
        json_value_unref(variable->value);
        variable->value = value ? json_value_ref(value) : NULL;
        return 0;
}

/* The value of the operations, without the declaration. */
static int eval_operations(Run *run, const Pipe *pipe, const JsonValue *dot, bool lenient, JsonValue **ret)
{
        _cleanup_json_ JsonValue *value = NULL;

        for (size_t i = 0; i < pipe->n_operations; i++) {
                const Operation *operation = &pipe->operations[i];
                JsonValue *next = NULL;
                int r;

                if (++run->n_steps > TEMPLATE_STEPS_MAX)
                        return fail(run, "takes too long");
                if (operation->operands[0].type == OPERAND_FUNCTION || operation->n_operands > 1 || i > 0)
                        r = eval_call(run, operation, dot, value, i > 0, &next);
                else
                        r = eval_operand(run, &operation->operands[0], dot, lenient, &next);
                if (r < 0)
                        return -1;
                json_value_unref(value);
                value = next;
        }
        *ret = TAKE_PTR(value);
        return 0;
}

static int eval_pipe(Run *run, const Pipe *pipe, const JsonValue *dot, bool lenient, JsonValue **ret)
{
        if (eval_operations(run, pipe, dot, lenient, ret) < 0)
                return -1;
        return pipe->n_variables ? declare(run, pipe, *ret) : 0;
}

static int run_list(Run *run, const NodeList *list, const JsonValue *dot, Flow *flow);

static int run_item(Run *run, const Node *node, const JsonValue *key, const JsonValue *item, Flow *flow)
{
        size_t mark = run->n_variables;
        int r;

        if (node->pipe->n_variables == 2)
                push_variable(run, node->pipe->variables[0], key);
        if (node->pipe->n_variables)
                push_variable(run, node->pipe->variables[node->pipe->n_variables - 1], item);
        r = run_list(run, &node->body, item, flow);
        pop_variables(run, mark);
        return r;
}

static int compare_keys(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Members in the order of their keys, as Go ranges over maps. */
static int range_object(Run *run, const Node *node, const JsonValue *value, Flow *flow)
{
        size_t n = json_value_size(value), i = 0;
        const char **keys = xcalloc(n + 1, sizeof(*keys));
        JsonValue *member;
        int r = 0;

        for (void *at = NULL; i < n && json_value_next(value, &at, &keys[i], &member);)
                i++;
        qsort(keys, n, sizeof(*keys), compare_keys);
        for (i = 0; i < n && r >= 0 && *flow != FLOW_BREAK; i++) {
                _cleanup_json_ JsonValue *key = json_value_new_string(keys[i]);

                *flow = FLOW_NEXT;
                r = run_item(run, node, key, json_value_get(value, keys[i]), flow);
        }
        free(keys);
        return r;
}

static int run_range(Run *run, const Node *node, const JsonValue *dot)
{
        _cleanup_json_ JsonValue *value = NULL;
        Flow flow = FLOW_NEXT;
        size_t n;

        if (eval_operations(run, node->pipe, dot, true, &value) < 0)
                return -1;
        n = json_value_size(value);
        if (json_value_type(value) == JSON_TYPE_INT)
                n = (size_t)MAX(json_value_int(value, 0), 0);
        else if (!json_value_is_null(value) && json_value_type(value) != JSON_TYPE_ARRAY && json_value_type(value) != JSON_TYPE_OBJECT)
                return fail(run, "range can't iterate over %s", json_type_name(json_value_type(value)));
        if (n == 0)
                return run_list(run, &node->otherwise, dot, &flow);
        if (json_value_type(value) == JSON_TYPE_OBJECT)
                return range_object(run, node, value, &flow);
        for (size_t i = 0; i < n && flow != FLOW_BREAK; i++) {
                _cleanup_json_ JsonValue *key = json_value_new_int((int64_t)i);

                if (++run->n_steps > TEMPLATE_STEPS_MAX)
                        return fail(run, "takes too long");
                flow = FLOW_NEXT;
                if (run_item(run, node, key, json_value_type(value) == JSON_TYPE_ARRAY ? json_value_at(value, i) : key, &flow) < 0)
                        return -1;
        }
        return 0;
}

static int run_condition(Run *run, const Node *node, const JsonValue *dot, Flow *flow)
{
        _cleanup_json_ JsonValue *value = NULL;
        size_t mark = run->n_variables;
        int r;

        if (eval_pipe(run, node->pipe, dot, true, &value) < 0)
                return -1;
        if (template_truth(value))
                r = run_list(run, &node->body, node->type == NODE_WITH ? value : dot, flow);
        else
                r = run_list(run, &node->otherwise, dot, flow);
        pop_variables(run, mark);
        return r;
}

/* "[]" and the like for a member that is null; NULL when the pipe is more than a member. */
static const char *typed_null(const Run *run, const Pipe *pipe, const JsonValue *value)
{
        const Operand *operand = &pipe->operations[0].operands[0];
        const TypedMember *member;

        if (!run->data->typed || !value || json_value_type(value) != JSON_TYPE_NULL || pipe->n_operations != 1 || pipe->operations[0].n_operands != 1 ||
            operand->fields.n_items == 0)
                return NULL;
        member = typed_member_find(operand->fields.items[operand->fields.n_items - 1]);
        return member ? member->empty : NULL;
}

static int run_node(Run *run, const Node *node, const JsonValue *dot, Flow *flow)
{
        _cleanup_json_ JsonValue *value = NULL;

        switch (node->type) {
        case NODE_TEXT:
                return buf_add(run->out, node->text, node->text_size) < 0 ? fail(run, "the output is too large") : 0;
        case NODE_ACTION:
                if (eval_pipe(run, node->pipe, dot, false, &value) < 0)
                        return -1;
                if (!node->pipe->n_variables) {
                        const char *text = typed_null(run, node->pipe, value);

                        if (!text)
                                template_print(value, run->out);
                        else if (buf_adds(run->out, text) < 0)
                                return fail(run, "the output is too large");
                }
                return run->out->size >= run->out->max ? fail(run, "the output is too large") : 0;
        case NODE_IF:
        case NODE_WITH:
                return run_condition(run, node, dot, flow);
        case NODE_RANGE:
                return run_range(run, node, dot);
        case NODE_BREAK:
                *flow = FLOW_BREAK;
                return 0;
        case NODE_CONTINUE:
                *flow = FLOW_CONTINUE;
                return 0;
        }
        return 0;
}

static int run_list(Run *run, const NodeList *list, const JsonValue *dot, Flow *flow)
{
        size_t mark = run->n_variables;
        int r = 0;

        for (size_t i = 0; i < list->n_nodes && r >= 0 && *flow == FLOW_NEXT; i++)
                r = run_node(run, &list->nodes[i], dot, flow);
        pop_variables(run, mark);
        return r;
}

int template_execute(const Template *template, const TemplateData *data, Buf *out, Error *err)
{
        Run run = { .data = data, .out = out, .err = err };
        Flow flow = FLOW_NEXT;
        int r = run_list(&run, &template->nodes, data->root, &flow);

        free(run.variables);
        return r;
}
