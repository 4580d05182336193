/*
 * Image references: "[domain/]path[:tag][@digest]", in docker's grammar and with docker's defaults.
 *
 *   reference = name [ ":" tag ] [ "@" digest ]           name   = [ domain "/" ] path
 *   domain    = host [ ":" digits ]                       host   = labels joined by "." (letters, digits, inner "-") | "[" IPv6 "]"
 *   path      = component { "/" component }               component = [a-z0-9]+ { ("." | "_" | "__" | "-"+) [a-z0-9]+ }
 *   tag       = [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}        digest = sha256 or sha512, see crypto/digest.h
 *
 * The first component is a domain when it has a '.' or ':' or an upper-case letter, or is "localhost"; otherwise the domain is docker.io, and a path of one
 * component there gets "library/" in front. index.docker.io becomes docker.io. The path has at most 255 characters.
 *
 * Spec: github.com/distribution/reference. Differs: digests of other algorithms are refused, as everywhere here; and so is a first component that must be
 * a domain but cannot be one ("my_host.io/x"), which there becomes a name without a domain that nothing can pull.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"
#include "crypto/digest.h"

#define REFERENCE_DEFAULT_DOMAIN "docker.io"
#define REFERENCE_DEFAULT_TAG "latest"

typedef struct Reference {
        char *domain; /* "docker.io", "127.0.0.1:5000"; never NULL after a parse */
        char *path;   /* "library/ubuntu" */
        char *tag;    /* NULL when there is none */
        Digest digest;
} Reference;

void reference_done(Reference *reference);
#define _cleanup_reference_ _cleanup_(reference_done)

/*
 * Reads what a user types ("ubuntu", "Host:5000/x/y:1@sha256:…") into the full form. No default tag is added.
 * Errors: INVALID with docker's words: "invalid reference format", "invalid reference format: repository name (library/Foo) must be lowercase",
 * "invalid repository name (…), cannot specify 64-byte hexadecimal strings".
 */
int reference_parse(const char *s, Reference *ret, Error *err);

/* reference_parse() and, when it has neither tag nor digest, the tag "latest". */
int reference_parse_tagged(const char *s, Reference *ret, Error *err);

/* reference_parse() for the target of a tag or build -t: a digest is refused ("refusing to create a tag with a digest reference"), "latest" is added. */
int reference_parse_target(const char *s, Reference *ret, Error *err);

/* All new strings. Full: "docker.io/library/ubuntu:22.04"; familiar: what docker prints, "ubuntu:22.04"
 * (a path that would then read as a domain keeps "docker.io/"). */
char *reference_text(const Reference *reference);
char *reference_name(const Reference *reference); /* without tag and digest */
char *reference_familiar(const Reference *reference);
char *reference_familiar_name(const Reference *reference); /* without tag and digest */

bool reference_equal(const Reference *a, const Reference *b);

/*
 * Whether `s` can be an image id or the beginning of one: "sha256:" may be in front of 1..64 lower-case hexadecimal digits. Returns the digits (inside `s`)
 * or NULL. A name such as "cafe" is one as well: names come first when both exist, as in docker.
 */
const char *reference_id_prefix(const char *s);
