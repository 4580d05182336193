/* The command and option tables: a row that is unsorted, doubled or undocumented is a command that cannot be found or understood. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/command.h"

static void entries_are_sorted_and_unique(void **state)
{
        for (size_t i = 1; i < n_command_entries; i++)
                if (strcmp(command_entries[i - 1].name, command_entries[i].name) >= 0)
                        fail_msg("'%s' must come before '%s'", command_entries[i].name, command_entries[i - 1].name);
}

static void entries_are_documented(void **state)
{
        for (size_t i = 0; i < n_command_entries; i++) {
                const CommandEntry *entry = &command_entries[i];
                const char *summary = entry->command ? entry->command->summary : entry->summary;

                if (!summary || !isupper((unsigned char)summary[0]) || summary[strlen(summary) - 1] == '.')
                        fail_msg("'%s' needs a summary that starts with a capital and has no full stop", entry->name);
                if (entry->command && (!entry->command->run || !entry->command->usage || !entry->command->options[0]))
                        fail_msg("'%s' lacks its function, its usage or its options", entry->name);
                if (!entry->command && !(entry->flags & ENTRY_GROUP))
                        fail_msg("'%s' is neither a command nor a group", entry->name);
        }
}

static void subcommands_have_a_group(void **state)
{
        for (size_t i = 0; i < n_command_entries; i++) {
                const char *space = strrchr(command_entries[i].name, ' ');
                _cleanup_free_ char *group = space ? xstrndup(command_entries[i].name, (size_t)(space - command_entries[i].name)) : NULL;
                const CommandEntry *parent = group ? command_entry_find(group) : NULL;

                if (group && (!parent || !(parent->flags & ENTRY_GROUP)))
                        fail_msg("'%s' is below '%s', which is no group", command_entries[i].name, group);
        }
}

static void check_table(const char *command, const Option *table, size_t size)
{
        for (const Option *option = table; option->type != OPTION_END; option++) {
                if (option != table && strcmp(option[-1].name, option->name) >= 0)
                        fail_msg("'%s': --%s must come before --%s", command, option->name, option[-1].name);
                if (!option->help || !isupper((unsigned char)option->help[0]) || option->help[strlen(option->help) - 1] == '.')
                        fail_msg("'%s': --%s needs a help text that starts with a capital and has no full stop", command, option->name);
                if (option->offset >= size)
                        fail_msg("'%s': --%s writes outside of the option struct", command, option->name);
        }
}

static void options_are_sorted_and_documented(void **state)
{
        for (size_t i = 0; i < n_command_entries; i++) {
                const Command *command = command_entries[i].command;

                for (size_t t = 0; command && t < OPTION_TABLES_MAX && command->options[t]; t++)
                        check_table(command_entries[i].name, command->options[t], command->options_size);
        }
}

static void options_are_unique(void **state)
{
        for (size_t i = 0; i < n_command_entries; i++) {
                const Command *command = command_entries[i].command;
                const Option **all;
                size_t n;

                if (!command)
                        continue;
                assert_null(command->options[OPTION_TABLES_MAX - 1]);
                all = options_sorted(command->options, &n);
                for (size_t a = 0; a < n; a++)
                        for (size_t b = a + 1; b < n; b++) {
                                if (streq(all[a]->name, all[b]->name))
                                        fail_msg("'%s' has --%s twice", command_entries[i].name, all[a]->name);
                                if (all[a]->letter && all[a]->letter == all[b]->letter)
                                        fail_msg("'%s' has -%c twice", command_entries[i].name, all[a]->letter);
                        }
                free(all);
        }
}

static void defaults_can_be_read(void **state)
{
        for (size_t i = 0; i < n_command_entries; i++) {
                const Command *command = command_entries[i].command;
                OptionResult result = { 0 };
                Error err = ERROR_INIT;
                void *options;

                if (!command)
                        continue;
                options = xcalloc(1, command->options_size + 1);
                if (options_parse(command->options, options, false, 0, NULL, &result, &err) < 0)
                        fail_msg("'%s': %s", command_entries[i].name, error_message(&err));
                options_done(command->options, options);
                option_result_done(&result);
                free(options);
        }
}

static void a_close_name_is_suggested(void **state)
{
        assert_string_equal(command_suggest("", "vesion"), "version");
        assert_null(command_suggest("", "zzzzzz"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(entries_are_sorted_and_unique),     cmocka_unit_test(entries_are_documented), cmocka_unit_test(subcommands_have_a_group),
                cmocka_unit_test(options_are_sorted_and_documented), cmocka_unit_test(options_are_unique),     cmocka_unit_test(defaults_can_be_read),
                cmocka_unit_test(a_close_name_is_suggested),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
