"""Where docker 26's own BuildKit (second-opinion/docker-26.json) makes something else of the cases than the BuildKit of expected/: each difference belongs to the first
group that claims it, and each group says whom mica follows there. The groups are the rows of the table in docs/compat.md.
"""
import re


class Group:
    """follows: whom mica may follow: "newer" (the BuildKit of expected/), "docker", "own" (what expectations.py explains)."""

    def __init__(self, name, claims, follows="newer"):
        self.name, self.claims, self.follows = name, claims, follows.split()


def fields(line):
    """(type, mode, owner, time, rest) of an entry that has them."""
    parts = (line or "").split(" ", 4)
    return parts if len(parts) == 5 else parts + [""] * (5 - len(parts))


def only(*positions):
    """An entry of both that differs in nothing but these fields."""
    def claims(case, place, newer, docker):
        if not place.startswith("layer") or newer is None or docker is None:
            return False
        a, b = fields(newer), fields(docker)
        different = {index for index in range(5) if a[index] != b[index]}
        return bool(different) and different <= set(positions)
    return claims


def error(pattern):
    return lambda case, place, newer, docker: place in ("error", "lines") and bool(re.search(pattern, docker if place == "error" and docker else ""))


def history(pattern):
    return lambda case, place, newer, docker: place.startswith("history") and bool(re.search(pattern, newer or ""))


def cases(*names):
    return lambda case, place, newer, docker: case in names


GROUPS = [
    Group("crash", error("the daemon has crashed")),
    Group("empty-save", error("^docker save: .*empty export")),
    Group("newer-flags", lambda case, place, newer, docker: error("unknown flag: (unpack|exclude|parents|security)|unexpected key 'env'")(case, place, newer, docker) or case == "run-insecure-not-allowed"),
    Group("git-queries", lambda case, place, newer, docker: case.startswith("git-query-fails") or error(r"@HTTP@/\w+\.git\?|invalid checksum digest format")(case, place, newer, docker)),
    Group("git-directory", lambda case, place, newer, docker: place.startswith("layer") and "/.git" in place.replace(": ", "/"), "newer own"),
    Group("http-names", cases("named-http", "named-http-tar"), "newer docker own"),
    Group("http-passwords", cases("private-http-header", "private-http-token", "private-http-token-goes-first")),
    Group("oci-layouts", error("unknown scheme oci-layout")),
    Group("context-platforms", lambda case, place, newer, docker: case.startswith(("context-platform", "context-other-platform", "context-only-other"))),
    Group("xz-contexts", cases("http-context.tar.xz", "stdin-tar-xz")),
    Group("link-through-links", lambda case, place, newer, docker: case in ("link-flag", "copy-from-link-flag", "link-flag-over-file"), "newer own"),
    Group("run-etc", lambda case, place, newer, docker: newer is None and re.match(r"layer \d+: etc$", place)),
    Group("whiteouts", lambda case, place, newer, docker: place.startswith("layer") and "/.wh." in place.replace(": ", "/")),
    Group("hard-links", cases("hard-link-to-lower"), "docker"),
    Group("unchanged-files", lambda case, place, newer, docker: place.startswith("layer") and newer is None, "newer docker"),
    Group("directory-times", only(3), "newer docker own"),
    Group("archive-owners", only(2)),
    Group("chmod", only(1, 3), "newer own"),
    Group("epoch-in-dockerfile", cases("epoch-global-arg")),
    Group("defaults", cases("expose-defaults"), "docker own"),
    Group("targetstage", cases("arg-targetstage", "arg-targetstage-default")),
    Group("history-words", history(" (EXPOSE|HEALTHCHECK) ")),
    Group("history-arguments", history(r" ARG |RUN \|\d|COPY --chmod=640")),
    Group("messages", lambda case, place, newer, docker: place == "lines" or place == "error" and newer is not None and docker is not None),
    Group("refused-by-newer", lambda case, place, newer, docker: place == "error" and docker is None, "newer"),
    Group("refused-by-docker", lambda case, place, newer, docker: place == "error" and newer is None, "newer"),
]


def group_of(case, place, newer, docker):
    return next((group for group in GROUPS if group.claims(case, place, newer, docker)), None)
