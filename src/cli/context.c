#include "cli/context.h"

void cli_context_done(Cli *cli)
{
        cli->store = NULL;
}
