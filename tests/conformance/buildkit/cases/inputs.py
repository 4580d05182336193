"""Where a build's files come from: git and http contexts, standard input, ADD from git, named contexts, Dockerfiles elsewhere, source policies."""
import gzip
import hashlib
import json

from casebook import Topic, tar
from repositories import COPY_ALL
from webserver import CONTEXT

case = Topic("inputs")
APP = "@HTTP@/app.git"


def context(name, url, *options, **more):
    case(name, None, None, *options, context=url, **more)


# Git contexts. BuildKit gives files the time of the checkout, which the facts show as "now".
context("git-plain", APP)
for _name, _ref in [("annotated-tag", "v1"), ("light-tag", "light"), ("branch", "dev"), ("branch-with-slash", "feature/x"), ("commit", "@COMMIT:v1@"), ("full-branch", "refs/heads/dev"), ("full-tag", "refs/tags/v1"),
                    ("pull-request", "refs/pull/1/head"), ("tag-and-branch-of-one-name", "both"), ("heads-without-refs", "heads/dev"), ("empty", "")]:
    context("git-fragment-" + _name, f"{APP}#{_ref}")
context("git-ref-head", APP + "#HEAD", fails="HEAD")
context("git-subdir", APP + "#:sub")
context("git-ref-and-subdir", APP + "#dev:sub")
context("git-subdir-slashes", APP + "#main:/sub/")
context("git-subdir-deep-file", APP + "#main:other", "-f", "Dockerfile.other", fails="a.txt")
context("git-subdir-up", APP + "#main:sub/../sub")
context("git-subdir-ignore", APP + "#main:ignored")
context("git-subdir-missing", APP + "#main:nope", fails="nope")
context("git-subdir-without-dockerfile", APP + "#main:nodocker", fails="Dockerfile")
context("git-subdir-is-file", APP + "#main:a.txt", fails="a.txt|not a directory")
context("git-other-file", APP, "-f", "other/Dockerfile.other")
context("git-ref-missing", APP + "#nope", fails="nope")
context("git-commit-missing", APP + "#" + "ab" * 20, fails="ab" * 20 + "|failed to checkout")
context("git-short-commit", APP + "#@COMMIT:v1:8@", fails="c[0-9a-f]*|ref")
context("git-repository-missing", "@HTTP@/missing.git", fails="missing.git")
context("git-target-and-argument", APP + "#main", "--build-arg", "A=1", "--label", "l=1")
for _name, _query in [("ref", "ref=v1"), ("tag", "tag=both"), ("branch", "branch=both"), ("subdir", "subdir=sub"), ("ref-and-subdir", "ref=dev&subdir=sub"), ("checksum", "checksum=@COMMIT:main@"),
                      ("short-checksum", "checksum=@COMMIT:main:7@"), ("checksum-of-ref", "ref=v1&checksum=@COMMIT:v1@"), ("same-ref-twice", "ref=v1#v1"), ("subdir-and-fragment", "subdir=sub#dev"),
                      ("submodules-off", "submodules=false"), ("no-keep", "keep-git-dir=false"), ("fetch-by-commit", "ref=refs/heads/dev&checksum=@COMMIT:dev@&fetch-by-commit=true"),
                      ("commit-alias", "commit=@COMMIT:main@")]:
    context("git-query-" + _name, f"{APP}?{_query}")
context("git-mtime-commit", APP + "?mtime=commit")
context("git-mtime-checkout", APP + "?mtime=checkout")
for _name, _query, _fails in [("checksum-wrong", "checksum=" + "ab" * 20, "checksum"), ("checksum-of-other-ref", "ref=v1&checksum=@COMMIT:main@", "checksum"), ("ref-conflict", "ref=v1#dev", "conflict"),
                              ("tag-and-branch", "tag=v1&branch=dev", "conflict"), ("subdir-conflict", "subdir=sub#main:other", "conflict"), ("unknown", "nosuch=1", "nosuch"), ("ref-twice", "ref=v1&ref=dev", "multiple values"),
                              ("empty-ref", "ref=", "no value"), ("bad-checksum", "checksum=xyz", "checksum"), ("bad-keep", "keep-git-dir=perhaps", "keep-git-dir"), ("bad-mtime", "mtime=never", "mtime")]:
    context("git-query-fails-" + _name, f"{APP}?{_query}", fails=_fails)
context("git-keep", APP + "?keep-git-dir=1&ref=dev", "-f", "head.Dockerfile")
context("git-keep-argument", APP + "#v1", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", "-f", "head.Dockerfile")
context("git-keep-subdir", APP + "?keep-git-dir=1&subdir=kept", fails="HEAD")
context("git-not-kept", APP, "-f", "head.Dockerfile", fails="HEAD")
context("git-submodules", "@HTTP@/mods.git")
context("git-submodules-of-submodules", "@HTTP@/outer.git", "-f", "@BESIDE@/Dockerfile", beside={"Dockerfile": COPY_ALL})
context("git-without-submodules", "@HTTP@/mods.git?submodules=false")
context("git-subdir-in-submodule", "@HTTP@/mods.git#main:vendor/lib", fails="Dockerfile")

case("git-absolute-dockerfile", None, {}, "-f", "@BESIDE@/Dockerfile", context=APP + "#main:sub", beside={"Dockerfile": COPY_ALL})
case("git-absolute-dockerfile-missing", None, {}, "-f", "@BESIDE@/Dockerfile", context=APP, beside={"other": ""}, fails="no such file|cannot read")
case("git-dockerfile-from-stdin", None, {}, "-f", "-", context=APP + "#main:sub", stdin=COPY_ALL.encode())
case("http-absolute-dockerfile", None, {}, "-f", "@BESIDE@/Dockerfile", context="@HTTP@/context.tar", beside={"Dockerfile": COPY_ALL})
case("stdin-absolute-dockerfile", None, {}, "-f", "@BESIDE@/Dockerfile", context="-", stdin=tar(CONTEXT), beside={"Dockerfile": COPY_ALL}, fails="no such file|in the build context")

# Archives and Dockerfiles from http and from standard input.
for _name in ("context.tar", "context.tgz", "context.tar.xz", "context.tar.bz2", "moved.tar", "Dockerfile", "itself"):
    context("http-" + _name.lower(), "@HTTP@/" + _name)
context("http-tar-other-file", "@HTTP@/context.tar", "-f", "Other")
context("http-tar-file-below", "@HTTP@/context.tar", "-f", "sub/Dockerfile")
context("http-tar-missing-file", "@HTTP@/context.tar", "-f", "Missing", fails="Missing")
context("http-missing", "@HTTP@/missing.tar", fails="404")
context("http-query", "@HTTP@/context.tar?token=1")
for _name, _data in [("tar", tar(CONTEXT)), ("tgz", gzip.compress(tar(CONTEXT), mtime=0)), ("tar-bz2", tar(CONTEXT, "w:bz2")), ("tar-xz", tar(CONTEXT, "w:xz")), ("dockerfile", b"FROM busybox\nRUN echo stdin >/s\n"),
                     ("tar-with-dots", tar([("./" + _member, _content) for _member, _content in CONTEXT if _member != "h"]))]:
    context("stdin-" + _name, "-", stdin=_data)
context("stdin-tar-other-file", "-", "-f", "Other", stdin=tar(CONTEXT))
context("stdin-tar-without-dockerfile", "-", stdin=tar([("a", "a")]), fails="Dockerfile")
context("stdin-dockerfile-has-no-context", "-", stdin=b"FROM busybox\nCOPY Dockerfile /\n", fails="Dockerfile|context")
context("stdin-empty", "-", stdin=b"", fails="empty|no local sources")
case("stdin-dockerfile-and-directory", None, {"f": "f\n"}, "-f", "-", stdin=b"FROM busybox\nCOPY f /\n")
case("remote-dockerfile-and-directory", None, {"f": "f\n"}, "-f", "@HTTP@/itself")

# Dockerfiles outside of the context, and whose ignore file counts.
_TREE = {"a": "a\n", "b": "b\n", "d/a": "da\n", "d/b": "db\n"}
case("outside", None, _TREE, "-f", "@BESIDE@/Dockerfile", beside={"Dockerfile": COPY_ALL})
case("outside-own-ignore", None, _TREE, "-f", "@BESIDE@/Dockerfile", beside={"Dockerfile": COPY_ALL, "Dockerfile.dockerignore": "a\n"})
case("outside-both-ignores", None, {**_TREE, ".dockerignore": "b\n"}, "-f", "@BESIDE@/Dockerfile", beside={"Dockerfile": COPY_ALL, "Dockerfile.dockerignore": "**/a\n"})
case("outside-ignore-of-context", None, {**_TREE, ".dockerignore": "b\n"}, "-f", "@BESIDE@/Dockerfile", beside={"Dockerfile": COPY_ALL, ".dockerignore": "**/a\n"})
case("outside-other-name", None, {**_TREE, ".dockerignore": "b\n"}, "-f", "@BESIDE@/x/My.file", beside={"x/My.file": COPY_ALL, "x/My.file.dockerignore": "d\n", "x/Dockerfile.dockerignore": "a\n"})
case("inside-own-ignore", COPY_ALL, {**_TREE, ".dockerignore": "b\n", "build/Containerfile.dockerignore": "d\n*.dockerignore\n"}, dockerfile_name="build/Containerfile")
case("inside-empty-own-ignore", COPY_ALL, {**_TREE, ".dockerignore": "b\n", "Dockerfile.dockerignore": ""})

# ADD from git.
case("add-git", f"FROM busybox\nADD {APP} /r/\n")
case("add-git-no-slash", f"FROM busybox\nADD {APP} /r\n")
case("add-git-to-workdir", f"FROM busybox\nWORKDIR /w\nADD {APP} .\n")
case("add-git-refs", f"FROM busybox\nADD {APP}#v1 /t/\nADD {APP}#dev:sub /s/\nADD {APP}?tag=both&subdir=sub /q/\nADD {APP}#@COMMIT:v1@ /c/\n")
case("add-git-checksum", f"FROM busybox\nADD --checksum=@COMMIT:main@ {APP} /r/\nADD --checksum=@COMMIT:v1@ {APP}#v1 /v/\n")
case("add-git-short-checksum", f"FROM busybox\nADD --checksum=@COMMIT:main:10@ {APP} /r/\n")
case("add-git-wrong-checksum", f"FROM busybox\nADD --checksum=@COMMIT:v1@ {APP} /r/\n", fails="checksum")
case("add-git-checksums-conflict", f"FROM busybox\nADD --checksum=@COMMIT:v1@ {APP}?checksum=@COMMIT:main@ /r/\n", fails="checksum")
case("add-git-owner-and-mode", f"FROM busybox\nADD --chown=1000:app {APP}#main:sub /r/\nADD --chmod=750 {APP}#main:sub /m/\n")
case("add-git-link", f"FROM busybox\nADD --link {APP}#main:sub /r/\n")
case("add-git-exclude", f"FROM busybox\nADD --exclude=*.txt --exclude=sub/deep {APP}#v1 /r/\n")
case("add-git-submodules", "FROM busybox\nADD @HTTP@/mods.git /r/\nADD @HTTP@/mods.git?submodules=false /n/\n")
case("add-git-keep", f"FROM busybox\nADD --keep-git-dir=true {APP} /r/\nRUN cp /r/.git/HEAD /head && rm -r /r\n")
case("add-git-keep-tag", f"FROM busybox\nADD --keep-git-dir {APP}#v1 /r/\nRUN cp /r/.git/HEAD /head; ls /r >/files; rm -r /r\n")
case("add-git-keep-subdir", f"FROM busybox\nADD --keep-git-dir=true {APP}#main:sub /r/\nRUN ls -a /r >/files; rm -r /r\n")
case("add-git-keep-twice", f"FROM busybox\nADD --keep-git-dir=true {APP}?keep-git-dir=false /r/\n", fails="keep-git-dir")
case("add-git-and-file", f"FROM busybox\nADD f {APP}#main:sub /r/\n", {"f": "f\n"})
case("add-git-two", f"FROM busybox\nADD {APP}#main:sub @HTTP@/lib.git /r/\n")
case("add-git-missing-subdir", f"FROM busybox\nADD {APP}#main:nope /r/\n", fails="nope")
case("copy-git", f"FROM busybox\nCOPY {APP} /r/\n", fails="COPY")
case("keep-git-dir-of-file", "FROM busybox\nADD --keep-git-dir=true f /r/\n", {"f": "f\n"})
case("copy-keep-git-dir", "FROM busybox\nCOPY --keep-git-dir f /r/\n", {"f": "f\n"}, fails="unknown flag")
case("add-git-variable", f"FROM busybox\nARG V=v1\nARG D=sub\nADD {APP}#$V:$D /r/\n")

# ADD --unpack.
_ARCHIVE = {"a.tgz": gzip.compress(tar(CONTEXT), mtime=0), "f": "f\n"}
case("unpack-local", "FROM busybox\nADD --unpack=true a.tgz /y/\nADD --unpack=false a.tgz /n/\nADD --unpack a.tgz /p/\n", _ARCHIVE)
case("unpack-no-archive", "FROM busybox\nADD --unpack=true f /y/\n", _ARCHIVE)
case("unpack-http", "FROM busybox\nADD --unpack=true --chown=1000:app @HTTP@/archive.tar /y/\nADD --unpack=false @HTTP@/archive.tar /n/\n")
case("unpack-http-no-archive", "FROM busybox\nADD --unpack=true @HTTP@/file.txt /y/\n")
case("unpack-bad-value", "FROM busybox\nADD --unpack=perhaps f /y/\n", _ARCHIVE, fails="unpack")
case("unpack-copy", "FROM busybox\nCOPY --unpack=true f /y/\n", _ARCHIVE, fails="unknown flag")

# Passwords.
def private(name, dockerfile, *secrets, **more):
    beside = {f"secret{n}": value for n, (_, value) in enumerate(secrets)}
    options = [word for n, (id_, _) in enumerate(secrets) for word in ("--secret", f"id={id_},src=@BESIDE@/secret{n}")]
    case("private-" + name, dockerfile.replace("/private/", f"/private/{name}/"), {}, *options, beside=beside, **more)


_ADD, _GIT = "FROM busybox\nADD @HTTP@/private/file.txt /f\n", "FROM busybox\nADD @HTTP@/private/app.git#v1 /r/\n"
private("http-none", _ADD, fails="401")
private("http-token", _ADD, ("HTTP_AUTH_TOKEN_127.0.0.1", "letmein"))
private("http-token-with-port", _ADD, ("HTTP_AUTH_TOKEN_@HOST@", "letmein"), fails="401")
private("http-header", _ADD, ("HTTP_AUTH_HEADER_127.0.0.1", "Bearer letmein"))
private("http-token-goes-first", _ADD, ("HTTP_AUTH_TOKEN_127.0.0.1", "letmein"), ("HTTP_AUTH_HEADER_127.0.0.1", "Bearer wrong"))
private("http-header-is-not-tried", _ADD, ("HTTP_AUTH_TOKEN_127.0.0.1", "wrong"), ("HTTP_AUTH_HEADER_127.0.0.1", "Bearer letmein"), fails="401")
private("http-wrong", _ADD, ("HTTP_AUTH_TOKEN_127.0.0.1", "wrong"), fails="401")
private("http-other-host", _ADD, ("HTTP_AUTH_TOKEN_localhost", "letmein"), fails="401")
private("http-git-token", _ADD, ("GIT_AUTH_TOKEN", "letmein"), fails="401")
private("git-none", _GIT, fails="failed to fetch remote|cannot read the git repository")
private("git-token", _GIT, ("GIT_AUTH_TOKEN", "letmein"))
private("git-token-of-host", _GIT, ("GIT_AUTH_TOKEN.@HOST@", "letmein"))
private("git-token-of-host-without-port", _GIT, ("GIT_AUTH_TOKEN.127.0.0.1", "letmein"), fails="failed to fetch remote|cannot read the git repository")
private("git-header", _GIT, ("GIT_AUTH_HEADER", "basic eC1hY2Nlc3MtdG9rZW46bGV0bWVpbg=="))
private("git-header-of-host", _GIT, ("GIT_AUTH_HEADER.@HOST@", "basic eC1hY2Nlc3MtdG9rZW46bGV0bWVpbg=="))
private("git-wrong", _GIT, ("GIT_AUTH_TOKEN", "wrong"), fails="failed to fetch remote|cannot read the git repository")
private("git-http-token", _GIT, ("HTTP_AUTH_TOKEN_127.0.0.1", "letmein"), fails="failed to fetch remote|cannot read the git repository")

# Named contexts.
_NAMED = {"n/a": "na\n", "n/d/b": "nb\n"}
case("named-directory", "FROM busybox\nCOPY --from=n . /n/\nCOPY --from=n a d /m/\n", {}, "--build-context", "n=@BESIDE@/n", beside=_NAMED)
case("named-directory-ignore", "FROM busybox\nCOPY --from=n . /n/\n", {".dockerignore": "d\n"}, "--build-context", "n=@BESIDE@/n", beside={**_NAMED, "n/.dockerignore": "a\n"})
case("named-mount", "FROM busybox\nRUN --mount=from=n,target=/m,source=d cp /m/b /b\n", {}, "--build-context", "n=@BESIDE@/n", beside=_NAMED)
case("named-replaces-image", "FROM base\nCOPY f /\n", {"f": "f\n"}, "--build-context", "base=docker-image://busybox")
case("named-replaces-image-with-tag", "FROM base:1.0\nCOPY f /\n", {"f": "f\n"}, "--build-context", "base:1.0=docker-image://busybox")
case("named-replaces-full-name", "FROM docker.io/library/base:latest\nCOPY f /\n", {"f": "f\n"}, "--build-context", "base=docker-image://busybox:latest")
case("named-replaces-image-by-directory", "FROM base\nCOPY f /\n", {"f": "f\n"}, "--build-context", "base=@BESIDE@/n", beside=_NAMED)
case("named-replaces-stage", "FROM busybox AS s\nRUN false\nFROM busybox\nCOPY --from=s a /\n", {}, "--build-context", "s=@BESIDE@/n", beside=_NAMED)
case("named-replaces-from-stage", "FROM busybox AS s\nRUN false\nFROM s\nCOPY f /\n", {"f": "f\n"}, "--build-context", "s=docker-image://rich")
case("named-image-copied-from", "FROM busybox\nCOPY --from=i /srv/dir /s\n", {}, "--build-context", "i=docker-image://two")
case("named-with-config", "FROM i\nRUN env | grep RICH >/tmp/r\n", {}, "--build-context", "i=docker-image://rich")
case("named-git", "FROM busybox\nCOPY --from=g . /g/\n", {}, "--build-context", f"g={APP}#v1")
case("named-git-subdir", "FROM busybox\nCOPY --from=g . /g/\n", {}, "--build-context", f"g={APP}#dev:sub")
case("named-git-query", "FROM busybox\nCOPY --from=g . /g/\n", {}, "--build-context", f"g={APP}?tag=both&subdir=sub")
case("named-git-is-base", "FROM g\nCOPY f /f\n", {"f": "f\n"}, "--build-context", f"g={APP}#v1")
case("named-git-protocol", "FROM busybox\nCOPY --from=g . /g/\n", {}, "--build-context", "g=@GIT@/app.git#v1")
case("named-git-protocol-is-base", "FROM g\nCOPY f /f\n", {"f": "f\n"}, "--build-context", "g=@GIT@/app.git#dev:sub")
case("git-protocol", None, context="@GIT@/app.git#light")
case("named-image-with-tag", "FROM i\nCOPY f /f\n", {"f": "f\n"}, "--build-context", "i=docker-image://docker.io/library/busybox:latest")
case("named-image-scratch", "FROM i\nCOPY f /f\n", {"f": "f\n"}, "--build-context", "i=docker-image://scratch")
case("named-target", "FROM busybox AS a\nRUN echo a >/a\nFROM busybox\nCOPY --from=n /a /\n", {}, "--build-context", "n=target:a", fails="failed to find target a for context n")
case("named-target-as-base", "FROM busybox AS a\nRUN echo a >/a\nFROM n\n", {}, "--build-context", "n=target:a", fails="failed to find target a for context n")
case("named-input", "FROM busybox\nCOPY --from=n a /\n", {}, "--build-context", "n=input:x", fails="input:x")
case("named-unknown-scheme", "FROM busybox\nCOPY --from=n a /\n", {}, "--build-context", "n=s3://bucket/x", fails="s3://bucket/x")
case("named-http", "FROM busybox\nCOPY --from=h . /h/\n", {}, "--build-context", "h=@HTTP@/file.txt")
case("named-http-tar", "FROM busybox\nCOPY --from=h . /h/\n", {}, "--build-context", "h=@HTTP@/context.tar")
case("named-scratch", "FROM scratch\nCOPY f /\n", {"f": "f\n"}, "--build-context", "scratch=docker-image://busybox")
case("named-unused", "FROM busybox\nCOPY f /\n", {"f": "f\n"}, "--build-context", "unused=docker-image://nosuch")
case("named-trigger", "FROM t\n", {"one": "1\n"}, "--build-context", "t=docker-image://trigger")
case("named-upper-case", "FROM busybox\nCOPY --from=Named a /\n", {}, "--build-context", "Named=@BESIDE@/n", beside=_NAMED, fails="lowercase|invalid")
case("named-context", "FROM busybox\nCOPY a /\n", {"a": "own\n"}, "--build-context", "context=@BESIDE@/n", beside=_NAMED)
case("named-no-such-image", "FROM i\n", {}, "--build-context", "i=docker-image://nosuch", fails="nosuch")
case("named-no-such-directory", "FROM busybox\nCOPY --from=n a /\n", {}, "--build-context", "n=@BESIDE@/missing", beside=_NAMED, fails="missing")


def layout(directory, tags):
    """The files of an OCI layout: {tag: text of the file "who" in its image}. Returns (files, {tag: digest of the manifest})."""
    files, manifests, digests = {directory + "/oci-layout": '{"imageLayoutVersion":"1.0.0"}'}, [], {}

    def put(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        files[f"{directory}/blobs/sha256/{digest}"] = data
        return {"mediaType": "application/vnd.oci.image." + media_type, "digest": "sha256:" + digest, "size": len(data)}

    for tag, text in tags.items():
        layer = tar([("who", text)])
        config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["WHO=" + text]}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
                                 "history": [{"created": "2020-01-02T03:04:05.678901234Z", "created_by": "who"}], "created": "2020-01-02T03:04:05.678901234Z"}).encode(), "config.v1+json")
        manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [put(layer, "layer.v1.tar")]}).encode(), "manifest.v1+json")
        manifests.append({**manifest, "annotations": {"org.opencontainers.image.ref.name": tag}})
        digests[tag] = manifest["digest"]
    files[directory + "/index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests})
    return files, digests


_LAYOUT, _DIGESTS = layout("l", {"latest": "latest\n", "v1": "one\n"})
for _name, _tail in [("default", ""), ("tag", ":v1"), ("digest", "@" + _DIGESTS["v1"]), ("tag-and-digest", ":v1@" + _DIGESTS["v1"])]:
    case("layout-" + _name, "FROM base\nCOPY f /\n", {"f": "f\n"}, "--build-context", f"base=oci-layout://@BESIDE@/l{_tail}", beside=_LAYOUT)
case("layout-copied-from", "FROM busybox\nCOPY --from=l /who /\n", {}, "--build-context", "l=oci-layout://@BESIDE@/l:v1", beside=_LAYOUT)
case("layout-mount", "FROM busybox\nRUN --mount=from=l,target=/m cp /m/who /w\n", {}, "--build-context", "l=oci-layout://@BESIDE@/l:v1", beside=_LAYOUT)
case("layout-replaces-stage", "FROM busybox AS s\nRUN false\nFROM s\nCOPY f /\n", {"f": "f\n"}, "--build-context", "s=oci-layout://@BESIDE@/l", beside=_LAYOUT)
case("layout-missing-tag", "FROM base\n", {}, "--build-context", "base=oci-layout://@BESIDE@/l:nope", beside=_LAYOUT, fails="nope")
case("layout-missing-digest", "FROM base\n", {}, "--build-context", "base=oci-layout://@BESIDE@/l@sha256:" + "0" * 64, beside=_LAYOUT, fails="0000|not found")
case("layout-missing", "FROM base\n", {}, "--build-context", "base=oci-layout://@BESIDE@/nothing", beside=_LAYOUT, fails="nothing|index.json|not found")


# Source policies. environment= sends a case through buildx, which reads the file.
def policy(name, dockerfile, rules, files=None, *options, **more):
    case("policy-" + name, dockerfile, files, *options, beside={"policy.json": json.dumps({"rules": rules})}, environment={"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": "@BESIDE@/policy.json"}, **more)


def rule(action, identifier, match_type=None, updates=None, constraints=None):
    selector = {"identifier": identifier}
    if match_type:
        selector["match_type"] = match_type
    if constraints:
        selector["constraints"] = constraints
    return {"action": action, "selector": selector, **({"updates": updates} if updates else {})}


FILE = "FROM busybox\nADD @HTTP@/file.txt /f\n"
policy("empty", FILE, [])
policy("allow", FILE, [rule("ALLOW", "docker-image://*")])
policy("deny-http", FILE, [rule("DENY", "@HTTP@/file.txt")], fails="denied|not allowed")
policy("deny-wildcard", FILE, [rule("DENY", "http://*")], fails="denied|not allowed")
policy("deny-one-star", FILE, [rule("DENY", "http*")], fails="denied|not allowed")
policy("deny-exact-is-not-wildcard", FILE, [rule("DENY", "http://*", "EXACT")])
policy("deny-exact", FILE, [rule("DENY", "@HTTP@/file.txt", "EXACT")], fails="denied|not allowed")
policy("deny-regex", FILE, [rule("DENY", "^http://.*/file", "REGEX")], fails="denied|not allowed")
policy("deny-regex-of-part", FILE, [rule("DENY", "file.txt", "REGEX")], fails="denied|not allowed")
policy("deny-image", FILE, [rule("DENY", "docker-image://docker.io/library/busybox*")], fails="denied|not allowed")
policy("deny-image-tag", FILE, [rule("DENY", "docker-image://docker.io/library/busybox:latest", "EXACT")], fails="denied|not allowed")
policy("deny-other-image", FILE, [rule("DENY", "docker-image://docker.io/library/alpine*")])
policy("deny-then-allow", FILE, [rule("DENY", "*"), rule("ALLOW", "*")])
policy("allow-then-deny", FILE, [rule("ALLOW", "*"), rule("DENY", "@HTTP@/*")], fails="denied|not allowed")
policy("deny-all-allow-some", FILE, [rule("DENY", "*"), rule("ALLOW", "docker-image://*")], fails="denied|not allowed")
policy("deny-git", f"FROM busybox\nADD {APP} /r/\n", [rule("DENY", "git://*")], fails="denied|not allowed")
policy("deny-git-exact", f"FROM busybox\nADD {APP}#v1 /r/\n", [rule("DENY", "git://@HOST@/app.git#v1", "EXACT")], fails="denied|not allowed")
policy("deny-local", "FROM busybox\nCOPY f /\n", [rule("DENY", "local://*")], {"f": "f\n"}, fails="denied|not allowed")
policy("deny-context", "FROM busybox\nCOPY f /\n", [rule("DENY", "local://context", "EXACT")], {"f": "f\n"}, fails="denied|not allowed")
policy("deny-context-unused", "FROM busybox\nRUN true\n", [rule("DENY", "local://context", "EXACT")])
policy("deny-unused-stage", "FROM rich AS unused\nFROM busybox\n", [rule("DENY", "docker-image://docker.io/library/rich*")])
policy("convert-image", "FROM rich\nRUN true\n", [rule("CONVERT", "docker-image://docker.io/library/rich:latest", None, {"identifier": "docker-image://docker.io/library/busybox:latest"})])
policy("convert-wildcard", "FROM rich\n", [rule("CONVERT", "docker-image://docker.io/library/*:latest", "WILDCARD", {"identifier": "docker-image://docker.io/library/two:latest"})])
policy("convert-groups", "FROM rich\n", [rule("CONVERT", "docker-image://docker.io/*/rich:latest", "WILDCARD", {"identifier": "docker-image://docker.io/${1}/two:latest"})])
policy("convert-regex-groups", "FROM nosuch/two:latest\n", [rule("CONVERT", "docker-image://docker.io/nosuch/(.*)", "REGEX", {"identifier": "docker-image://docker.io/library/$1"})])
policy("convert-twice", "FROM rich\n", [rule("CONVERT", "docker-image://docker.io/library/rich:latest", None, {"identifier": "docker-image://docker.io/library/two:latest"}),
                                        rule("CONVERT", "docker-image://docker.io/library/two:latest", None, {"identifier": "docker-image://docker.io/library/busybox:latest"})])
policy("convert-circle", "FROM rich\n", [rule("CONVERT", "docker-image://docker.io/library/rich:latest", None, {"identifier": "docker-image://docker.io/library/two:latest"}),
                                         rule("CONVERT", "docker-image://docker.io/library/two:latest", None, {"identifier": "docker-image://docker.io/library/rich:latest"})], fails="loop|too many|circle|attempts|converge")
policy("convert-then-deny", "FROM rich\n", [rule("CONVERT", "docker-image://docker.io/library/rich:latest", None, {"identifier": "docker-image://docker.io/library/two:latest"}),
                                            rule("DENY", "docker-image://docker.io/library/two*")], fails="denied|not allowed")
policy("convert-http", FILE, [rule("CONVERT", "@HTTP@/file.txt", None, {"identifier": "@HTTP@/undated"})])
policy("http-checksum", FILE, [rule("CONVERT", "@HTTP@/file.txt", None, {"attrs": {"http.checksum": "sha256:451f3e8714562111c7fc96b639f49f404507d4436dcd0ec3d539defcc2577d86"}})])
policy("http-wrong-checksum", FILE, [rule("CONVERT", "@HTTP@/file.txt", None, {"attrs": {"http.checksum": "sha256:" + "0" * 64}})], fails="digest mismatch|checksum")
policy("convert-git", f"FROM busybox\nADD {APP}#v1 /r/\n", [rule("CONVERT", "git://@HOST@/app.git#v1", None, {"identifier": "git://@HOST@/app.git#dev", "attrs": {"git.fullurl": APP}})])
policy("git-context", None, [rule("DENY", "git://*")], None, context=APP, fails="denied|not allowed")
policy("named-context", "FROM busybox\nCOPY --from=n a /\n", [rule("DENY", "docker-image://docker.io/library/two*")], None, "--build-context", "n=docker-image://two", fails="denied|not allowed")
policy("unknown-action", FILE, [rule("PERHAPS", "*")], fails="PERHAPS|policy|action")
policy("bad-regex", FILE, [rule("DENY", "(", "REGEX")], fails="pars|regex|expression")
