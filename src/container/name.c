/* Names of containers: made up, and checked. */
#include <string.h>

#include "base/mem.h"
#include "container/private.h"
#include "crypto/random.h"

/* Made-up names: a property and somebody who found something out about computers, numbers or nature. */
static const char *const properties[] = {
        "able",  "amber",  "apt",    "bold",  "brave",  "bright", "calm",   "clear",   "clever", "cosy",   "crisp", "deft",  "eager", "early", "fair",
        "fleet", "fond",   "free",   "fresh", "gentle", "glad",   "golden", "grand",   "green",  "happy",  "hardy", "keen",  "kind",  "light", "lively",
        "lucid", "mellow", "merry",  "mild",  "neat",   "nimble", "noble",  "patient", "plain",  "polite", "proud", "quick", "quiet", "rapid", "ready",
        "sharp", "shiny",  "silent", "smart", "solid",  "steady", "sunny",  "swift",   "tidy",   "true",   "vivid", "warm",  "wise",  "witty", "young",
};

static const char *const finders[] = {
        "abel",    "agnesi",   "ampere",  "archimedes", "babbage",  "banach", "bohr",     "boole",        "cantor",   "carson",   "cauchy",
        "church",  "curie",    "darwin",  "dedekind",   "dijkstra", "dirac",  "einstein", "erdos",        "euclid",   "euler",    "faraday",
        "fermat",  "fermi",    "fourier", "franklin",   "galilei",  "galois", "gauss",    "germain",      "goedel",   "hamilton", "hertz",
        "hilbert", "hoare",    "hopper",  "huygens",    "hypatia",  "jacobi", "kepler",   "kovalevskaya", "lagrange", "lamarr",   "laplace",
        "leibniz", "lovelace", "maxwell", "meitner",    "mendel",   "newton", "noether",  "pascal",       "planck",   "poincare", "riemann",
        "ritchie", "shannon",  "snow",    "tesla",      "turing",   "volta",  "wing",
};

char *container_make_name(unsigned attempt)
{
        uint32_t number[2];
        char *name;

        random_bytes(number, sizeof(number));
        name = xasprintf("%s_%s", properties[number[0] % ARRAY_LEN(properties)], finders[number[1] % ARRAY_LEN(finders)]);
        if (attempt > 0) { /* taken: a digit, and more of them as the names run out */
                char *longer = xasprintf("%s%u", name, number[0] / 97 % (attempt < 4 ? 10 : 1000000));

                free(name);
                return longer;
        }
        return name;
}

int container_check_name(const char *name, Error *err)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
        size_t n = strspn(name, letters);

        if (n < 2 || name[n] != '\0' || strchr("_.-", name[0]))
                return error_set(err, ERROR_INVALID, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name);
        if (n > 255)
                return error_set(err, ERROR_LIMIT, "the container name '%.20s…' is longer than 255 characters", name);
        return 0;
}
