/*
 * ADD from http and https: the file is fetched before its step has a key, because what it holds is the key.
 */
#pragma once

#include "build/engine.h"

/* Fetches `url` and adds it to the plan of the step: named after the URL, mode 0600, dated by Last-Modified, checked against --checksum. */
int download_add(Build *build, Work *work, const char *url, Error *err);
