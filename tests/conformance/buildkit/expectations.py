"""What mica makes otherwise than BuildKit, on purpose: each rule has its reason in docs/compat.md (the anchor of its name) and the cases that it is seen in.

A rule claims a difference (place, BuildKit's fact, mica's fact). A difference that no rule of the case claims fails the test, and so does a rule that claims nothing.
A rule with `refusal` is for cases that one of the two, "mica" or "BuildKit", does not build, with a message that matches `says`.
"""
import re


class Rule:
    def __init__(self, name, cases, claims=None, refusal=None, says=None):
        self.name, self.cases, self.claims, self.refusal, self.says = name, cases.split(), claims, refusal, says


def without_time(line):
    return re.sub(r"@\S+", "", line, count=1)


def directory_time(place, want, got):
    return bool(want and got and place.startswith("layer") and want.startswith("d ") and without_time(want) == without_time(got))


def git_time(place, want, got):
    """Of a checkout: now, or the time of the commit."""
    return bool(want and got and place.startswith("layer") and "@now " in want and "@1704164645 " in got and without_time(want) == without_time(got))


def epoch_time(place, want, got):
    return bool(want and got and place.startswith("layer") and without_time(want) == without_time(got) and "@1234567890" in got)


def only(kind, side):
    """An entry that only one of the two has."""
    return lambda place, want, got: place.startswith("layer") and (got if side == "mica" else want or "").startswith(kind) and (want if side == "mica" else got) is None


def at(path, difference=lambda want, got: True):
    return lambda place, want, got: place.endswith(": " + path) and difference(want, got)


GIT_TIMES = """
         private-git-token private-git-token-of-host private-git-header private-git-header-of-host
         git-plain git-fragment-annotated-tag git-fragment-light-tag git-fragment-branch git-fragment-branch-with-slash git-fragment-commit
         git-fragment-full-branch git-fragment-full-tag git-fragment-pull-request git-fragment-tag-and-branch-of-one-name
         git-fragment-heads-without-refs git-fragment-empty git-subdir git-ref-and-subdir git-subdir-slashes git-subdir-up git-subdir-ignore
         git-other-file git-target-and-argument git-query-ref git-query-tag git-query-branch git-query-subdir git-query-ref-and-subdir
         git-query-checksum git-query-short-checksum git-query-checksum-of-ref git-query-same-ref-twice git-query-subdir-and-fragment
         git-query-submodules-off git-query-no-keep git-query-fetch-by-commit git-query-commit-alias git-mtime-checkout git-keep git-keep-argument
         git-submodules git-submodules-of-submodules git-without-submodules git-absolute-dockerfile git-dockerfile-from-stdin add-git
         add-git-no-slash add-git-to-workdir add-git-refs add-git-checksum add-git-short-checksum add-git-owner-and-mode add-git-link add-git-exclude
         add-git-submodules add-git-keep add-git-keep-tag add-git-keep-subdir add-git-and-file add-git-two add-git-variable named-git
         named-git-subdir named-git-query named-git-is-base named-git-protocol named-git-protocol-is-base git-protocol policy-convert-git
         """

RULES = [
    Rule("directory-times", """
         private-git-token private-git-token-of-host private-git-header private-git-header-of-host
         workdir-env workdir-through-link workdir-on-rich copy-file-to-existing-dir copy-file-over-file copy-file-over-hard-link
         copy-file-over-setuid copy-file-over-link-to-dir copy-file-over-dangling-link copy-file-through-link copy-link-leaves-root
         copy-file-over-fifo copy-dir-contents copy-everything copy-everything-workdir copy-dotdot-source copy-dest-dot copy-to-root
         copy-wildcard-dirs copy-wildcard-star-crosses-no-slash copy-hidden-files copy-latin1-name copy-odd-names copy-long-names copy-fifo
         copy-socket copy-times chmod-symbolic chmod-existing-dir chown-names chown-scratch chown-passwd-changed copy-ignores-user copy-links
         copy-link-named copy-link-wildcard link-flag-false link-flag-over-file parents parents-pivot parents-wildcard parents-dir parents-modes
         parents-stage exclude exclude-deep exclude-except exclude-wildcard copy-after-copy exclude-parents ignore-basic ignore-deep ignore-all-but
         ignore-odd-lines ignore-dockerfile ignore-of-dockerfile ignore-question-class ignore-trailing-slash-and-star ignore-not-from-stage
         ignore-named-dir ignore-add add-tar-existing-dir add-tar-over-things copy-capability cache-deep-target copy-from-wildcard context-dir
         git-plain git-fragment-annotated-tag git-fragment-light-tag git-fragment-branch git-fragment-branch-with-slash git-fragment-commit
         git-fragment-full-branch git-fragment-full-tag git-fragment-pull-request git-fragment-tag-and-branch-of-one-name
         git-fragment-heads-without-refs git-fragment-empty git-subdir git-ref-and-subdir git-subdir-slashes git-subdir-up git-subdir-ignore
         git-target-and-argument git-query-ref git-query-tag git-query-branch git-query-subdir git-query-ref-and-subdir git-query-checksum
         git-query-short-checksum git-query-checksum-of-ref git-query-same-ref-twice git-query-subdir-and-fragment git-query-submodules-off
         git-query-no-keep git-query-fetch-by-commit git-query-commit-alias git-mtime-commit git-mtime-checkout git-submodules
         git-submodules-of-submodules git-without-submodules git-absolute-dockerfile git-dockerfile-from-stdin http-absolute-dockerfile
         http-context.tar http-context.tgz http-context.tar.xz http-context.tar.bz2 http-moved.tar http-query stdin-tar stdin-tgz stdin-tar-bz2
         stdin-tar-xz stdin-tar-with-dots outside outside-own-ignore outside-both-ignores outside-ignore-of-context outside-other-name
         inside-own-ignore inside-empty-own-ignore add-git add-git-no-slash add-git-to-workdir add-git-refs add-git-checksum add-git-short-checksum
         add-git-owner-and-mode add-git-link add-git-exclude add-git-submodules add-git-keep add-git-keep-tag add-git-keep-subdir add-git-and-file
         add-git-two add-git-variable named-directory named-directory-ignore named-git named-git-subdir named-git-query named-git-protocol git-protocol named-http named-http-tar
         policy-convert-git ignore-class-of-wildcards parents-link-in-middle-of-wildcard
         """, directory_time),
    Rule("epoch", "epoch-config epoch-scratch epoch-not-declared epoch-heredoc epoch-http", epoch_time),
    Rule("scratch-mount-points", "user-no-passwd scratch-leaves", lambda place, want, got: got is None and place.split(": ")[-1] in ("dev", "proc", "sys")),
    Rule("copied-again", "copy-same-twice copy-after-copy", lambda place, want, got: place.startswith("layer 1: d") and want is None),
    Rule("excluded-sources", "exclude-named exclude-wildcard", lambda place, want, got: place.endswith(": a/top.txt") and got is None),
    Rule("sockets", "copy-socket", at("d/s", lambda want, got: got is None)),
    Rule("link-headers", "add-tar-link-header", at("x/a")),
    Rule("capabilities", "copy-capability", lambda place, want, got: "security.capability" in (got or "") and got.startswith(want)),
    Rule("hard-links", "hard-link-to-lower", lambda place, want, got: place in ("layer 0: srv/other", "layer 0: srv/third")),
    Rule("block-devices", "copy-from-device", lambda place, want, got: want == got.replace("b ", "c ", 1)),
    Rule("ssh-agent-variable", "ssh-missing-is-fine", at("o")),
    Rule("parents-destination", "parents-stage", lambda place, want, got: place == "layer 0: p"),
    Rule("line-numbers", "twice-directive line-too-long", lambda place, want, got: place == "lines"),
    Rule("defaults", "expose-defaults", lambda place, want, got: place == ".config.config.ExposedPorts" or place.startswith((".config.config.ExposedPorts", "history"))),
    Rule("git-times", GIT_TIMES, git_time),
    Rule("git-links-of-submodules", "git-submodules git-submodules-of-submodules add-git-submodules", lambda place, want, got: place.endswith("/.git") and got is None),
    Rule("git-directory", "add-git-keep add-git-keep-tag", lambda place, want, got: "/.git/" in place),
    Rule("archive-contexts", "named-http-tar", lambda place, want, got: place.startswith("layer 0: h/")),
    Rule("directory-as-base", "named-replaces-image-by-directory named-git-is-base named-git-protocol-is-base", lambda place, want, got: place.startswith("history")),
    Rule("capital-names", "named-upper-case from-stage-capitals", refusal="BuildKit", says="must be lowercase"),
    Rule("several-to-one", "copy-many-without-slash", refusal="mica", says="must be a directory and end with '/'"),
    Rule("large-ids", "chown-numbers", refusal="mica", says="out of range"),
    Rule("archive-escapes", "add-tar-escapes", refusal="mica", says="leads out of the root"),
    Rule("whiteout-names", "add-tar-whiteouts", refusal="mica", says="a name that begins with '.wh.'"),
    Rule("target-index", "option-target-index", refusal="BuildKit", says="could not be found"),
    Rule("stage-as-context", "named-target named-target-as-base", refusal="BuildKit", says="failed to find target a for context n"),
    Rule("context-platform-words", "context-platform-short", refusal="BuildKit", says="base"),
    Rule("flag-letters", "exclude-letters", lambda place, want, got: place == "layer 0: p/ü.txt" and got is None),
    Rule("platform-of-scratch", "platform-of-scratch", lambda place, want, got: place.startswith(".config.") and (want, got) in (("amd64", "arm64"), (None, "v8"))),
    Rule("nothing-over-directory", "copy-nothing-over-dir", only("d ", "mica")),
    Rule("classes", "ignore-class-of-wildcards", lambda place, want, got: place == "layer 0: p/a*" and got is None),
    Rule("empty-wildcards", "wildcard-nothing-in-dir", refusal="BuildKit", says="lstat /d: no such file"),
    Rule("parents-of-everything", "parents-everything", refusal="BuildKit", says="\"/\": not found"),
    Rule("dangling-links", "parents-dangling exclude-dangling", refusal="BuildKit", says="/link\": not found"),
    Rule("pattern-names", "copy-bang", refusal="BuildKit", says="/!a\": not found"),
    Rule("archive-links", "add-tar-through-link", refusal="BuildKit", says="no such file"),
]


def rules_of(case):
    return [rule for rule in RULES if case in rule.cases]
