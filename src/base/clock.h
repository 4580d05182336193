/*
 * Time: clocks, RFC 3339 stamps and Go-style durations, as image configs and docker's command line write them.
 * A Timestamp counts nanoseconds since 1970-01-01 UTC (range 1678..2262).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

typedef int64_t Timestamp;

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)

Timestamp clock_now(void); /* wall clock */
int64_t clock_monotonic_ns(void);

/*
 * The wall clock, or SOURCE_DATE_EPOCH (seconds) when `epoch` is not negative. Whatever ends up in an image uses this.
 */
Timestamp clock_now_or_epoch(int64_t epoch);

/* RFC 3339 in UTC with up to nine fractional digits, trailing zeros dropped, "Z" at the end, as Go writes it. `buffer` has at least 40 bytes. Returns it. */
#define TIMESTAMP_TEXT_SIZE 40
char *timestamp_format(Timestamp t, char *buffer);

/* Reads RFC 3339 with any offset and any fraction. 0 or -EINVAL. */
int timestamp_parse(const char *s, Timestamp *ret);

/*
 * What --since/--until/--filter until= take: RFC 3339 and its shorter forms (local time), Unix seconds with a fraction, or a duration back from `now`. 0 or
 * -EINVAL.
 */
int timestamp_parse_any(const char *s, Timestamp now, Timestamp *ret);

/* "2 hours ago", "About a minute ago", "Less than a second ago": docker's words. New string. */
char *timestamp_ago(Timestamp t, Timestamp now);

/* "2 hours", "About a minute": docker's words for a span. New string. */
char *duration_words(int64_t ns);

/* Go durations: "1h30m", "1.5s", "300ms", "-2us"; "0" alone is allowed. Nanoseconds. 0, -EINVAL, -ERANGE. */
int duration_parse(const char *s, int64_t *ret);

/* As Go prints them: "1h30m0s", "1.5s", "300ms", "0s". `buffer` has at least 40 bytes. Returns it. */
char *duration_format(int64_t ns, char *buffer);
