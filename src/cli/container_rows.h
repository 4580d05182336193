/*
 * Containers as rows of a list, for ps and system df -v.
 */
#pragma once

#include "container/container.h"
#include "format/table.h"

extern const ListColumn container_columns[];
int container_row_add(List *list, const ContainerInfo *info, bool no_trunc, Error *err);
