/*
 * The /etc/hosts that a RUN sees.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/*
 * "127.0.0.1 localhost NAME", its IPv6 fellow, and a line for each of --add-host: "name:address" or "name=address", IPv6 with or without brackets.
 * "host-gateway" is the loopback address, as a RUN has the host's network. INVALID names the option. `to` may be NULL: only looked at.
 */
int hosts_write(const char *host_name, const StrList *add_hosts, Buf *to, Error *err);
