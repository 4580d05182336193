/*
 * The host's CA bundle as Java reads it: a JKS key store of trusted certificates. Java takes no PEM file as its trust store.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/*
 * Appends a key store with every certificate of `pem` (a bundle of PEM blocks; text between them is ignored) to `out`. It has no password: its closing digest,
 * which Java checks only when given one, is zeros. Errors: INVALID for a block that does not end or is not base64, LIMIT when `out` is full.
 */
int host_ca_java_store(const char *pem, size_t size, Buf *out, Error *err);
