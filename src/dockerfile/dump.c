/* A syntax tree as text, in the form that BuildKit's parser tests have theirs: what the golden tests compare. */
#include <string.h>

#include "base/str.h"
#include "dockerfile/ast.h"
#include "dockerfile/text.h"

static void dump_node(const DfNode *node, Buf *out)
{
        _cleanup_free_ char *keyword = str_lower(node->keyword);

        buf_puts(out, keyword);
        for (size_t i = 0; i < node->n_flags; i++) {
                buf_puts(out, i == 0 ? " [" : " ");
                text_quote(out, node->flags[i].text, strlen(node->flags[i].text));
        }
        if (node->n_flags > 0)
                buf_putc(out, ']');
        if (node->child) {
                buf_puts(out, " (");
                dump_node(node->child, out);
                buf_putc(out, ')');
        }
        for (size_t i = 0; i < node->n_args; i++) {
                if (i > 0 || *node->keyword)
                        buf_putc(out, ' ');
                text_quote(out, node->args[i].text, strlen(node->args[i].text));
        }
}

void dockerfile_dump(const Dockerfile *df, Buf *out)
{
        for (size_t i = 0; i < df->n_nodes; i++) {
                buf_putc(out, '(');
                dump_node(df->nodes[i], out);
                buf_puts(out, ")\n");
        }
}
