#include "cli/docker_commands.h"

#include "base/macros.h"
#include "base/str.h"

#define NO_REGISTRIES "registries are not there yet: 'mica load', 'mica import', 'mica bootstrap' and 'mica build' make images"
#define NO_NETWORKS "networks are not there yet: containers have --network host or none"
#define NO_CLUSTERS "mica runs on one machine and has no daemon to name"

/* Sorted by name. */
static const struct {
        const char *word, *hint;
} commands[] = {
        { "compose", "applications of several containers are not there yet: 'mica run' starts each" },
        { "context", NO_CLUSTERS },
        { "events", "it is not there: 'mica wait' and 'mica logs -f' follow a container" },
        { "login", NO_REGISTRIES },
        { "logout", NO_REGISTRIES },
        { "manifest", NO_REGISTRIES },
        { "network", NO_NETWORKS },
        { "node", NO_CLUSTERS },
        { "plugin", "there are no plugins" },
        { "pull", NO_REGISTRIES },
        { "push", NO_REGISTRIES },
        { "search", NO_REGISTRIES },
        { "service", NO_CLUSTERS },
        { "stack", NO_CLUSTERS },
        { "stats", "it is not there: 'mica top' shows the processes, and their cgroup counts what they use" },
        { "swarm", NO_CLUSTERS },
        { "trust", NO_REGISTRIES },
        { "update", "limits are given when a container is created" },
};

const char *docker_command_hint(const char *word)
{
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (streq(commands[i].word, word))
                        return commands[i].hint;
        return NULL;
}
