/*
 * ADD from http and https. With --checksum the file is fetched only when its step has to run; without one it is fetched before the step has a key, because what
 * it holds is the key.
 */
#pragma once

#include "build/engine.h"

/* Adds `url` to the plan of the step: named after the URL, mode 0600, dated by Last-Modified. */
int download_add(Build *build, Work *work, const char *url, Error *err);

/* Fetches what download_add() left for later. */
int download_missing(Build *build, Work *work, Error *err);
