#include "build/host_ca.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "build/host_ca_java.h"
#include "build/secret.h"

#define BUNDLE_SIZE_MAX ((size_t)16 << 20)
#define BUNDLE_TARGET "/run/mica/host-ca.crt"
#define JAVA_TARGET "/run/mica/host-ca.jks"

/* Where distributions keep the bundle, on the host and in images. */
static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
};

/* Programs that take another bundle from their environment. */
static const char *const variables[] = {
        "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE",
};

/* Options of the JVM, for the build tools that fetch; one variable for all of Java would print a notice into every output. */
static const char *const java_variables[] = { "MAVEN_OPTS", "GRADLE_OPTS" };

static const char *find_bundle(void)
{
        for (size_t i = 0; i < ARRAY_LEN(places); i++)
                if (access(places[i], R_OK) == 0)
                        return places[i];
        return NULL;
}

/* Makes `data` visible at `target`, read-only, from memory. */
static int show(Build *build, RunSpec *spec, Stubs *stubs, const char *name, const Buf *data, const char *target, Error *err)
{
        _cleanup_free_ char *path = build_secret_file(build, name, data->data, data->size, 0444, 0, 0, err);

        if (!path || stubs_add(stubs, target, false, err) < 0)
                return -1;
        run_spec_add_bind(spec, path, target, true);
        return 0;
}

static int show_java(Build *build, RunSpec *spec, Stubs *stubs, const Buf *bundle, Error *err)
{
        _cleanup_buf_ Buf java = BUF_INIT(BUNDLE_SIZE_MAX);

        if (host_ca_java_store(bundle->data, bundle->size, &java, err) < 0 || show(build, spec, stubs, "ca-java", &java, JAVA_TARGET, err) < 0)
                return -1;
        for (size_t i = 0; i < ARRAY_LEN(java_variables); i++)
                if (!strlist_env_get(&spec->env, java_variables[i]))
                        strlist_env_set(&spec->env, java_variables[i], "-Djavax.net.ssl.trustStore=" JAVA_TARGET);
        return 0;
}

/*
 * Beside the variables, the file is lent to the place where Debian and its relatives look, for programs that take no variable (apt, wget). It is an ordinary
 * file there, no mount: a RUN that installs ca-certificates must be able to replace it, and then keeps its own.
 */
int host_ca_prepare(Build *build, RunSpec *spec, Stubs *stubs, Error *err)
{
        const char *source = find_bundle();
        _cleanup_buf_ Buf bundle = BUF_INIT(BUNDLE_SIZE_MAX);
        int r;

        if (!source)
                return error_set(err, ERROR_NOT_FOUND, "--host-ca: this host has no CA bundle (looked for '%s' and others): install ca-certificates",
                                 places[0]);
        r = file_read(AT_FDCWD, source, &bundle);
        if (r < 0)
                return error_errno(err, r, "cannot read the CA bundle '%s'", source);
        if (show(build, spec, stubs, "ca", &bundle, BUNDLE_TARGET, err) < 0 || show_java(build, spec, stubs, &bundle, err) < 0)
                return -1;
        for (size_t i = 0; i < ARRAY_LEN(variables); i++)
                if (!strlist_env_get(&spec->env, variables[i]))
                        strlist_env_set(&spec->env, variables[i], BUNDLE_TARGET);
        return stubs_lend(stubs, places[0], bundle.data, bundle.size, err);
}
