#include "dockerfile/chmod.h"

#include <string.h>

#include "base/error.h"
#include "base/str.h"

#define ALL_BITS 07777
#define SET_IDS 06000
#define STICKY 01000
#define WHO_ALL 06777
#define WHO_USER 04700
#define WHO_GROUP 02070
#define WHO_OTHER 00007

typedef struct Clause {
        mode_t who;
        char op;
        bool cleared; /* "=" has emptied the classes already */
} Clause;

static int bad_symbolic(const char *text, Error *err)
{
        return error_set(err, ERROR_INVALID, "invalid chmod parameter: '%s': invalid syntax", text);
}

static int bad_octal(const char *text, Error *err)
{
        return error_set(err, ERROR_INVALID, "invalid chmod parameter: '%s'. it should be octal string and between 0 and 07777", text);
}

static int add(Chmod *c, ChmodOp op, Error *err)
{
        if (c->n_ops == CHMOD_OPS_MAX)
                return error_set(err, ERROR_LIMIT, "chmod parameter has more than %d parts", CHMOD_OPS_MAX);
        c->ops[c->n_ops++] = op;
        return 0;
}

/* Sets, clears or (X) conditionally sets what was gathered. With no class named, all are meant. */
static int add_bits(Chmod *c, const Clause *clause, char op, mode_t bits, Error *err)
{
        if (op == '=') {
                if (add(c, (ChmodOp){ .op = '-', .bits = clause->who ? clause->who : WHO_ALL }, err) < 0)
                        return -1;
                op = '+';
        }
        return add(c, (ChmodOp){ .op = op, .bits = clause->who ? clause->who & bits : bits }, err);
}

/* Copies the bits of one class to the classes named. */
static int add_copy(Chmod *c, const Clause *clause, char from, Error *err)
{
        mode_t to = 0;

        to |= !clause->who || clause->who & 0400 ? 0700 : 0;
        to |= !clause->who || clause->who & 0040 ? 0070 : 0;
        to |= !clause->who || clause->who & 0004 ? 0007 : 0;
        return add(c, (ChmodOp){ .op = from, .set = clause->op != '-', .clear = clause->op != '+', .bits = to }, err);
}

/* Behind one operator: permissions up to the next operator or comma. */
static int parse_permissions(Chmod *c, Clause *clause, const char **text, Error *err)
{
        mode_t bits = 0, conditional = 0;
        bool only_other = clause->who && !(clause->who & ~(mode_t)WHO_OTHER);

        for (;; (*text)++) {
                switch (**text) {
                case 'r':
                        bits |= 0444;
                        continue;
                case 'w':
                        bits |= 0222;
                        continue;
                case 'x':
                        bits |= 0111;
                        continue;
                case 'X':
                        if (clause->op == '-')
                                bits |= 0111;
                        else
                                conditional = 0111;
                        continue;
                case 's':
                        bits |= only_other ? 0 : SET_IDS;
                        continue;
                case 't':
                        if (!only_other) {
                                clause->who |= STICKY;
                                bits |= STICKY;
                        }
                        continue;
                case 'u':
                case 'g':
                case 'o':
                        if (bits && add_bits(c, clause, clause->op, bits, err) < 0)
                                return -1;
                        bits = 0;
                        if (clause->op == '=')
                                clause->cleared = true;
                        if (conditional && add_bits(c, clause, 'X', conditional, err) < 0)
                                return -1;
                        conditional = 0;
                        if (add_copy(c, clause, **text, err) < 0)
                                return -1;
                        continue;
                }
                break;
        }
        if (bits || (clause->op == '=' && !clause->cleared)) {
                if (clause->op == '=')
                        clause->cleared = true;
                if (add_bits(c, clause, clause->op, bits, err) < 0)
                        return -1;
        }
        return conditional ? add_bits(c, clause, 'X', conditional, err) : 0;
}

static int parse_symbolic(Chmod *c, const char *text, const char *whole, Error *err)
{
        Clause clause = { 0 };

        for (;;) {
                for (clause.who = 0; *text && strchr("augo", *text); text++)
                        clause.who |= *text == 'a' ? WHO_ALL : *text == 'u' ? WHO_USER : *text == 'g' ? WHO_GROUP : WHO_OTHER;
                do {
                        if (!*text || !strchr("+-=", *text))
                                return bad_symbolic(whole, err);
                        clause.op = *text++;
                        if (clause.op == '=')
                                clause.cleared = false;
                        clause.who &= ~(mode_t)STICKY;
                        if (parse_permissions(c, &clause, &text, err) < 0)
                                return -1;
                } while (*text && *text != ',');
                if (!*text)
                        return 0;
                text++;
        }
}

int chmod_parse(Chmod *ret, const char *text, Error *err)
{
        Chmod c = { 0 };
        uint64_t mode;

        if (*text >= '0' && *text <= '9') {
                if (str_to_u64_base(text, 8, &mode) < 0 || mode > ALL_BITS)
                        return bad_octal(text, err);
                c.octal = true;
                c.mode = (mode_t)mode;
        } else if (!*text) {
                return bad_octal(text, err);
        } else if (parse_symbolic(&c, text, text, err) < 0) {
                return -1;
        }
        *ret = c;
        return 0;
}

static mode_t copy_class(const ChmodOp *op, mode_t mode)
{
        mode_t from = op->op == 'u' ? mode >> 6 & 7 : op->op == 'g' ? mode >> 3 & 7 : mode & 7;
        mode_t spread = (from << 6 | from << 3 | from) & op->bits;

        if (op->clear && op->set)
                mode &= ~op->bits;
        else if (op->clear)
                mode &= ~spread;
        return op->set ? mode | spread : mode;
}

mode_t chmod_apply(const Chmod *chmod, mode_t mode, bool is_directory)
{
        mode_t before = mode & ALL_BITS, now = before;

        if (chmod->octal)
                return chmod->mode;
        for (size_t i = 0; i < chmod->n_ops; i++) {
                const ChmodOp *op = &chmod->ops[i];

                switch (op->op) {
                case '+':
                        now |= op->bits;
                        break;
                case '-':
                        now &= ~op->bits;
                        break;
                case 'X':
                        if (is_directory || before & 0111)
                                now |= op->bits;
                        break;
                default:
                        now = copy_class(op, now);
                }
        }
        return now;
}
