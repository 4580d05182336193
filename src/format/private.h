/*
 * The tree of a parsed template, and what its evaluation and its functions share.
 */
#pragma once

#include "base/str.h"
#include "format/template.h"

typedef enum OperandType { OPERAND_DOT, OPERAND_VARIABLE, OPERAND_LITERAL, OPERAND_FUNCTION, OPERAND_PIPE } OperandType;

typedef struct Pipe Pipe;

typedef struct Operand {
        OperandType type;
        char *name;         /* of the variable (without "$", "" for "$") or the function */
        JsonValue *literal; /* OPERAND_LITERAL */
        Pipe *pipe;         /* OPERAND_PIPE */
        StrList fields;     /* ".A.B" behind it */
} Operand;

typedef struct Operation {
        Operand *operands;
        size_t n_operands, capacity;
} Operation;

struct Pipe {
        char *variables[2]; /* "$i, $v :=" */
        size_t n_variables;
        bool assign; /* "=" and not ":=" */
        Operation *operations;
        size_t n_operations, capacity;
};

typedef enum NodeType { NODE_TEXT, NODE_ACTION, NODE_IF, NODE_RANGE, NODE_WITH, NODE_BREAK, NODE_CONTINUE } NodeType;

typedef struct Node Node;

typedef struct NodeList {
        Node *nodes;
        size_t n_nodes, capacity;
} NodeList;

struct Node {
        NodeType type;
        char *text;
        size_t text_size;
        Pipe *pipe;
        NodeList body, otherwise;
};

struct Template {
        NodeList nodes;
};

/* --- functions.c --- */

typedef struct FunctionCall {
        const TemplateData *data;
        JsonValue *const *args; /* borrowed; NULL entries are nil */
        size_t n_args;
} FunctionCall;

typedef struct TemplateFunction {
        const char *name;
        size_t min_args, max_args; /* max_args 0: any number */
        int (*call)(const FunctionCall *call, JsonValue **ret, Error *err);
        size_t header_subject; /* which argument is the subject in a header line: 1 for the first, 0 for the last */
} TemplateFunction;

const TemplateFunction *template_function_find(const char *name);

/* Go's idea of an empty value: nil, false, 0, "", no items. */
bool template_truth(const JsonValue *value);
/* As fmt.Print shows it: strings raw, arrays "[a b]", objects "map[k:v]". */
void template_print(const JsonValue *value, Buf *out);

/* --- typed.c --- */

typedef struct TypedMember {
        const char *name;
        const char *empty; /* what it prints when it is null or not there; NULL: it is another name */
        const char *alias; /* of the member that it is */
} TypedMember;

/* NULL when nothing is known of that name. */
const TypedMember *typed_member_find(const char *name);
