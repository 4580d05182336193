"""--cache-to and --cache-from type=local: what one machine built, another does not build again; a directory that somebody meddled with gives nothing wrong."""
import fcntl
import hashlib
import json
import os
import signal
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import import_busybox, require_tool

pytestmark = pytest.mark.usefixtures("root_only")

DOCKERFILE = """FROM busybox AS build
RUN --mount=type=cache,id=objects,target=/c cat /c/object 2>/dev/null; mkdir -p /c/dir; echo object > /c/object; ln -f /c/object /c/hard; ln -sf object /c/sym; echo made > /made
RUN head -c 100000 /dev/urandom > /out
FROM busybox
COPY f /f
COPY --from=build /out /out
"""
CONFIG = "application/vnd.mica.buildcache.config.v1+json"


@pytest.fixture
def other(make_mica, mica, busybox):
    """Another machine: a store of its own with the same base image."""
    second = make_mica()
    second("load", input=mica("save", "busybox").raw_out)
    return second


def to(directory, *more):
    return ",".join(["type=local", f"dest={directory}", *more])


def build(mica, top, *options, **kwargs):
    return mica("build", "--progress", "plain", "-t", "app", *options, top, **kwargs).err


def ran(text):
    """The steps that were not answered by a cache: their numbers are followed by DONE, and they are no internal ones."""
    names = dict(line[1:].split(" ", 1) for line in text.splitlines() if line.startswith("#") and "[" in line.split(" ", 2)[1][:1])
    done = [line.split()[0][1:] for line in text.splitlines() if line.startswith("#") and line.split()[1:2] == ["DONE"]]
    return [names[n] for n in done if n in names and not names[n].startswith("[internal]") and " FROM " not in names[n]]


def index(directory):
    return json.loads((Path(directory) / "index.json").read_text())


def blob(directory, digest):
    return Path(directory) / "blobs/sha256" / digest.split(":")[1]


def read(directory, tag="latest"):
    """Manifest and config of a cache."""
    entry = next(m for m in index(directory)["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == tag)
    manifest = json.loads(blob(directory, entry["digest"]).read_bytes())
    return manifest, json.loads(blob(directory, manifest["config"]["digest"]).read_bytes())


def rewrite(directory, change):
    """Changes manifest and config of a cache so that all digests fit again: what somebody hostile would do."""
    manifest, config = read(directory)
    change(manifest, config)

    def put(document):
        data = json.dumps(document).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        blob(directory, digest).write_bytes(data)
        return digest, len(data)

    manifest["config"]["digest"], manifest["config"]["size"] = put(config)
    top = index(directory)
    top["manifests"][0]["digest"], top["manifests"][0]["size"] = put(manifest)
    (Path(directory) / "index.json").write_text(json.dumps(top))


def test_max(mica, other, context, tmp_path):
    top = context({"Dockerfile": DOCKERFILE, "f": "f"})
    cache = tmp_path / "cache"
    build(mica, top, "--cache-to", to(cache, "mode=max"))
    manifest, config = read(cache)
    assert manifest["config"]["mediaType"] == CONFIG and len(manifest["layers"]) == 3  # COPY --from made the same layer as the RUN
    assert {d["mediaType"] for d in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar"}
    assert len(config["records"]) == 5 and "mounts" not in config  # COPY --from is known by two keys
    copy = next(r for r in config["records"] if "COPY --from" in r["description"] and r.get("source"))
    assert len(copy["inputs"]) == 2
    text = build(other, top, "--cache-from", f"type=local,src={cache}")
    assert ran(text) == [] and "importing layer sha256:" in text
    assert other.image("app")["RootFS"] == mica.image("app")["RootFS"] and other.image("app")["Id"] == mica.image("app")["Id"]
    assert other("run", "--rm", "app", "sha256sum", "/out").out == mica("run", "--rm", "app", "sha256sum", "/out").out
    # It is in the store now: the cache is not looked at any more.
    shutil.rmtree(cache)
    text = build(other, top, "--cache-from", f"type=local,src={cache}")
    assert ran(text) == [] and "importing" not in text
    assert other("fsck").code == 0


def test_min_has_the_result_only(mica, other, context, tmp_path):
    top = context({"Dockerfile": "FROM busybox AS build\nRUN head -c 5 /dev/zero > /out\nFROM busybox\nCOPY --from=build /out /out\nRUN echo x > /x\n"})
    build(mica, top, "--cache-to", to(tmp_path / "cache"))
    manifest, config = read(tmp_path / "cache")
    assert len(manifest["layers"]) == 2 and not any("head" in r["description"] for r in config["records"])
    # The other stage runs; what it made is the same, so what follows is known by content.
    assert [s.split("] ", 1)[1].split()[1] for s in ran(build(other, top, "--cache-from", f"type=local,src={tmp_path}/cache"))] == ["head"]


@pytest.mark.parametrize("compression, kind", [("gzip", "tar+gzip"), ("zstd", "tar+zstd")])
def test_compression(mica, other, context, tmp_path, compression, kind):
    top = context({"Dockerfile": DOCKERFILE, "f": "f" * 100000})
    cache = tmp_path / "cache"
    build(mica, top, "--cache-to", to(cache, "mode=max", f"compression={compression}", "compression-level=3", "cache-mounts=true"))
    manifest, config = read(cache)
    assert {d["mediaType"] for d in manifest["layers"]} == {f"application/vnd.oci.image.layer.v1.{kind}"}
    assert all(la["blob"] != la["annotations"]["diffID"] for la in config["layers"])
    before = {p.name: p.stat().st_mtime_ns for p in (cache / "blobs/sha256").iterdir()}
    build(mica, top, "--cache-to", to(cache, "mode=max", "cache-mounts=true"))  # not forced: stays as it is
    assert {p.name: p.stat().st_mtime_ns for p in (cache / "blobs/sha256").iterdir()} == before
    assert ran(build(other, top, "--cache-from", f"type=local,src={cache}")) == []
    build(mica, top, "--cache-to", to(cache, "mode=max", "force-compression=true"))
    assert {d["mediaType"] for d in read(cache)[0]["layers"]} == {"application/vnd.oci.image.layer.v1.tar"}


def test_cache_mounts(mica, other, context, tmp_path):
    top = context({"Dockerfile": DOCKERFILE, "f": "f"})
    cache = tmp_path / "cache"
    build(mica, top)
    source = next(p for p in (mica.root / "cache/mounts").iterdir() if p.is_dir())
    os.utime(source / "object", ns=(1600000000123456789, 1600000000123456789))
    os.chown(source / "object", 12, 34)
    os.setxattr(source / "object", "user.note", b"kept")
    os.chmod(source / "dir", 0o3711)
    os.chown(source, 56, 78)
    build(mica, top, "--cache-to", to(cache, "mode=max", "cache-mounts=true"))
    (mount,) = read(cache)[1]["mounts"]
    assert mount["id"] == "objects" and (mount["uid"], mount["gid"]) == (56, 78)

    # The RUN has to run (its text changed), and finds what the other machine left.
    changed = context({"Dockerfile": DOCKERFILE.replace("echo made", "echo made again"), "f": "f"})
    text = build(other, changed, "--cache-from", f"type=local,src={cache}")
    assert "importing cache mount objects" in text and " object\n" in text
    target = next(p for p in (other.root / "cache/mounts").iterdir() if p.is_dir())
    st = (target / "hard").stat()
    assert st.st_ino == (target / "object").stat().st_ino and st.st_nlink == 2
    assert os.readlink(target / "sym") == "object" and (target / "dir").stat().st_mode & 0o7777 == 0o3711
    assert (target.stat().st_uid, target.stat().st_gid) == (56, 78)
    assert os.getxattr(target / "object", "user.note") == b"kept"
    assert (st.st_uid, st.st_gid) == (12, 34)
    # What is there is not replaced.
    (target / "object").write_text("newer\n")
    text = build(other, context({"Dockerfile": DOCKERFILE.replace("echo made", "echo thrice"), "f": "f"}), "--cache-from", f"type=local,src={cache}")
    assert "importing cache mount" not in text and " newer\n" in text


def test_cache_mount_times_are_exact(mica, other, context, tmp_path):
    """Cargo and make compare times: those that lost their fraction build everything anew."""
    text = "FROM busybox\nRUN --mount=type=cache,id=m,target=/m touch /m/x && echo %s\n"
    build(mica, context({"Dockerfile": text % 1}))
    source = next(p for p in (mica.root / "cache/mounts").iterdir() if p.is_dir())
    os.utime(source / "x", ns=(1600000000123456789, 1600000000123456789))
    build(mica, context({"Dockerfile": text % 1}), "--cache-to", to(tmp_path / "cache", "cache-mounts=m"))
    build(other, context({"Dockerfile": text.replace("touch /m/x &&", "") % 2}), "--cache-from", f"type=local,src={tmp_path}/cache")
    target = next(p for p in (other.root / "cache/mounts").iterdir() if p.is_dir())
    assert (target / "x").stat().st_mtime_ns == 1600000000123456789


def test_only_the_mounts_asked_for(mica, busybox, context, tmp_path):
    text = "FROM busybox\nRUN --mount=type=cache,id=a,target=/a --mount=type=cache,id=b,sharing=private,target=/b touch /a/x /b/y\n"
    top = context({"Dockerfile": text})
    build(mica, top, "--cache-to", to(tmp_path / "one", "cache-mounts=b"), "--cache-to", to(tmp_path / "all", "cache-mounts=true"))
    assert [m["id"] for m in read(tmp_path / "one")[1]["mounts"]] == ["b\nprivate 0"]
    assert [m["id"] for m in read(tmp_path / "all")[1]["mounts"]] == ["a", "b\nprivate 0"]
    result = mica.fails(1, "build", "--cache-to", to(tmp_path / "none", "cache-mounts=nothing"), top)
    assert "there is no cache mount with the id 'nothing'" in result.err and not (tmp_path / "none/index.json").exists()


def test_incremental_and_orphans(mica, busybox, context, tmp_path):
    cache = tmp_path / "cache"
    top = context({"Dockerfile": DOCKERFILE, "f": "f"})
    build(mica, top, "--cache-to", to(cache, "mode=max", "cache-mounts=true"))
    before = {p.name: p.stat().st_mtime_ns for p in (cache / "blobs/sha256").iterdir()}
    stamp = (cache / "index.json").stat().st_mtime_ns
    build(mica, top, "--cache-to", to(cache, "mode=max", "cache-mounts=true"))
    assert {p.name: p.stat().st_mtime_ns for p in (cache / "blobs/sha256").iterdir()} == before and (cache / "index.json").stat().st_mtime_ns == stamp
    (top / "f").write_text("changed")
    build(mica, top, "--cache-to", to(cache, "mode=max", "cache-mounts=true"))
    after = {p.name: p.stat().st_mtime_ns for p in (cache / "blobs/sha256").iterdir()}
    kept = set(before) & set(after)
    # 4 layers and a mount: COPY f and what stands on it, config and manifest are new; the rest was not touched, and nothing old is left over.
    assert len(after) == len(before) and len(kept) >= 3 and all(before[n] == after[n] for n in kept)
    # Another tag shares what is the same and keeps what it needs.
    build(mica, context({"Dockerfile": "FROM busybox\nRUN echo other > /x\n"}), "--cache-to", to(cache, "tag=second"))
    assert sorted(m["annotations"]["org.opencontainers.image.ref.name"] for m in index(cache)["manifests"]) == ["latest", "second"]
    assert set(after) < {p.name for p in (cache / "blobs/sha256").iterdir()}
    mica.fails(1, "build", "--cache-from", f"type=local,src={cache},tag=", top)
    assert "there are: latest, second" in build(mica, context({"Dockerfile": "FROM busybox\nRUN echo third\n"}), "--cache-from", f"type=local,src={cache},tag=x")


def test_is_an_oci_layout(mica, busybox, context, tmp_path):
    skopeo = require_tool("skopeo")
    build(mica, context({"Dockerfile": DOCKERFILE, "f": "f"}), "--cache-to", to(tmp_path / "cache", "mode=max", "cache-mounts=true", "compression=gzip"))
    subprocess.run([skopeo, "--insecure-policy", "copy", f"oci:{tmp_path}/cache:latest", f"oci:{tmp_path}/copy:latest"], check=True, capture_output=True)
    assert read(tmp_path / "copy") == read(tmp_path / "cache")


def test_several_sources(mica, other, context, tmp_path):
    """The first one that has a step answers; one that is not there is told and does no harm."""
    one, two = (context({"Dockerfile": f"FROM busybox\nRUN head -c 9 /dev/urandom > /{n}\n"}) for n in "ab")
    build(mica, one, "--cache-to", to(tmp_path / "a"))
    build(mica, two, "--cache-to", to(tmp_path / "b"))
    sources = [a for n in ("none", "a", "b") for a in ("--cache-from", f"type=local,src={tmp_path}/{n}")]
    text = build(other, two, *sources)
    assert ran(text) == [] and "ERROR" in text and "none" in text
    digest = index(tmp_path / "a")["manifests"][0]["digest"]
    assert ran(build(other, one, "--cache-from", f"type=local,src={tmp_path}/a,digest={digest}")) == []


def hostile_cases():
    def parent(m, c):
        c["layers"][0]["parent"] = 99

    def negative(m, c):
        c["layers"][0]["annotations"]["size"] = -1

    def no_layer(m, c):
        c["records"][0]["layers"][0]["layer"] = 1000

    def twice(m, c):
        c["records"].append(c["records"][0])

    def version(m, c):
        c["version"] = 2

    def kind(m, c):
        m["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"

    def escape(m, c):
        c["layers"][0]["blob"] = "sha256:../../../../etc/passwd"

    def swapped(m, c):
        for la in c["layers"]:
            la["blob"] = la["annotations"]["diffID"] = "sha256:" + "0" * 64

    return [parent, negative, no_layer, twice, version, kind, escape, swapped]


@pytest.mark.parametrize("change", hostile_cases(), ids=lambda f: f.__name__)
def test_hostile_documents(mica, other, context, tmp_path, change):
    top = context({"Dockerfile": "FROM busybox\nRUN echo x > /x\n"})
    build(mica, top, "--cache-to", to(tmp_path / "cache"))
    rewrite(tmp_path / "cache", change)
    text = build(other, top, "--cache-from", f"type=local,src={tmp_path}/cache")
    assert len(ran(text)) == 1 and ("ERROR" in text or "cannot use a layer" in text)
    assert other("run", "--rm", "app", "cat", "/x").out == "x\n" and other("fsck").code == 0


@pytest.mark.parametrize("damage", ["flip", "short", "link", "fifo", "gone", "zero"])
def test_damaged_layers(mica, other, context, tmp_path, damage):
    """A layer that is not what it is called never gets into an image."""
    top = context({"Dockerfile": "FROM busybox\nRUN echo x > /x\nRUN echo y > /y\n"})
    cache = tmp_path / "cache"
    build(mica, top, "--cache-to", to(cache, "compression=gzip" if damage == "flip" else "compression=uncompressed"))
    path = blob(cache, read(cache)[0]["layers"][1]["digest"])
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "short":
        path.write_bytes(data[:-1])
    elif damage == "zero":
        path.write_bytes(b"\0" * len(data))
    else:
        path.unlink()
    if damage == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        path.symlink_to(tmp_path / "elsewhere")
    if damage == "fifo":
        os.mkfifo(path)
    text = build(other, top, "--cache-from", f"type=local,src={cache}")
    assert len(ran(text)) == 1 and "cannot use a layer of the cache" in text
    assert other("run", "--rm", "app", "cat", "/x", "/y").out == "x\ny\n" and other("fsck").code == 0


def test_damaged_among_many(mica, other, context, tmp_path):
    """Layers are taken side by side while the build goes on as if they were there: what was built on damaged ones is built again, the others are kept."""
    names = "abcdef"
    text = "FROM busybox AS one\n" + "".join(f"COPY {n} /{n}\n" for n in names[:3]) + "FROM busybox\n" + "".join(f"COPY {n} /{n}\n" for n in names[3:]) + \
           "COPY --from=one /a /b /c /\n"
    top = context({"Dockerfile": text, **{n: n * 2000 for n in names}})
    cache = tmp_path / "cache"
    build(mica, top, "--cache-to", to(cache, "mode=max"))
    config = read(cache)[1]
    damaged = [r["layers"][0]["layer"] for r in config["records"] if "COPY b" in r["description"] or "COPY e" in r["description"]]
    for number in damaged:
        path = blob(cache, config["layers"][number]["blob"])
        data = bytearray(path.read_bytes())
        data[700] ^= 1
        path.write_bytes(data)
    text = build(other, top, "--cache-from", f"type=local,src={cache}")
    again = {line.split("] ")[1] for line in ran(text)}
    assert len(set(damaged)) == 2 and {"COPY b /b", "COPY e /e"} <= again and not {"COPY a /a", "COPY d /d"} & again, text
    assert text.count("cannot use a layer of the cache") == 2
    assert other("run", "--rm", "app", "cat", *(f"/{n}" for n in names)).out == "".join(n * 2000 for n in names)
    assert other("fsck").code == 0 and ran(build(other, top)) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_stopped_import(mica, other, context, tmp_path, how):
    """A build that is stopped while it takes layers leaves a sound store, and the next one takes them."""
    top = context({"Dockerfile": "FROM scratch\n" + "".join(f"COPY {n} /{n}\n" for n in "abcd"), **{n: os.urandom(4) * 10000000 for n in "abcd"}})
    cache = tmp_path / "cache"
    build(mica, top, "--cache-to", to(cache, "compression=gzip", "compression-level=1"))
    process = other.popen("build", "-t", "app", "--cache-from", f"type=local,src={cache}", top)
    while process.poll() is None and not list((other.root / "tmp").glob("*/layer*/tar")):
        time.sleep(0.005)
    process.send_signal(how)
    assert process.wait(20) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert other("fsck").code == 0 and other("images", "-q").out.split() == [other.image("busybox")["Id"].split(":")[1][:12]]
    assert ran(build(other, top, "--cache-from", f"type=local,src={cache}")) == [] and other("fsck").code == 0


def test_hostile_mount(mica, other, context, tmp_path):
    """A tar that climbs out of its directory touches nothing outside; the build goes on without it."""
    import io
    import tarfile

    top = context({"Dockerfile": "FROM busybox\nRUN --mount=type=cache,id=m,target=/m touch /m/x\n"})
    cache, victim = tmp_path / "cache", tmp_path / "victim"
    build(mica, top, "--cache-to", to(cache, "cache-mounts=true"))
    victim.mkdir()
    for members in ([("up", tarfile.SYMTYPE, str(victim)), ("up/owned", tarfile.REGTYPE, "")], [("../../owned", tarfile.REGTYPE, "")],
                    [("l", tarfile.LNKTYPE, "../../../../etc/passwd")]):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, kind, link in members:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, link
                tar.addfile(info)
        digest = "sha256:" + hashlib.sha256(out.getvalue()).hexdigest()
        blob(cache, digest).write_bytes(out.getvalue())

        def change(manifest, config):
            layer = config["layers"][config["mounts"][0]["layer"]]
            layer["blob"] = layer["annotations"]["diffID"] = digest
            layer["annotations"]["size"] = len(out.getvalue())
            config["records"] = []

        rewrite(cache, change)
        other("builder", "prune", "-af")
        build(other, top, "--no-cache", "--cache-from", f"type=local,src={cache}")
        assert list(victim.iterdir()) == [] and [p for p in other.root.rglob("owned") if p.parent.parent != other.root / "cache/mounts"] == []


def test_killed_export(mica, other, context, tmp_path):
    """kill -9 while a cache is written leaves the one before."""
    cache = tmp_path / "cache"
    top = context({"Dockerfile": "FROM scratch\nCOPY f /f\n", "f": os.urandom(20000000)})
    build(mica, top, "--cache-to", to(cache))
    old = (cache / "index.json").read_bytes()
    digest = read(cache)[0]["layers"][0]["digest"]
    (top / "f").write_bytes(os.urandom(60000000))
    build(mica, top)
    for delay in (0.01, 0.03, 0.06, 0.1):
        export = mica.popen("build", "--cache-to", to(cache, "compression=gzip", "compression-level=9"), top)
        time.sleep(delay)
        export.send_signal(signal.SIGKILL)
        export.wait()
        if (cache / "index.json").read_bytes() == old:
            assert blob(cache, digest).stat().st_size > 20000000
    build(mica, top, "--cache-to", to(cache))
    assert list((cache / "ingest").iterdir()) == [] and len(list((cache / "blobs/sha256").iterdir())) == 3


def test_stopped_export(mica, busybox, context, tmp_path):
    top = context({"Dockerfile": "FROM scratch\nCOPY f /f\n", "f": "f"})
    (tmp_path / "cache").mkdir()
    with open(tmp_path / "cache/index.json.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        export = mica.popen("build", "--cache-to", to(tmp_path / "cache"), top)
        time.sleep(0.5)
        assert export.poll() is None  # waits for the other exporter …
        export.send_signal(signal.SIGINT)
        assert export.wait(10) == 130  # … and can be stopped meanwhile


def test_two_exporters(mica, other, context, tmp_path):
    cache = tmp_path / "cache"
    tops = [context({"Dockerfile": f"FROM busybox\nRUN head -c 3000000 /dev/urandom > /{n}\n"}) for n in range(4)]
    running = [(mica if n % 2 else other).popen("build", "--cache-to", to(cache, f"tag=t{n}"), top) for n, top in enumerate(tops)]
    assert [p.wait(60) for p in running] == [0] * 4
    for n, top in enumerate(tops):
        target = other if n % 2 else mica
        assert ran(build(target, top, "--cache-from", f"type=local,src={cache},tag=t{n}")) == []


def test_errors(mica, busybox, context, tmp_path):
    top = context({"Dockerfile": "FROM busybox\nRUN echo x > /x\n"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full/precious").write_text("x")
    for option, text, says in (
            ("--cache-to", "type=registry,ref=x/y", "registry client"), ("--cache-to", "type=inline", "type=local"), ("--cache-to", "type=gha", "actions/cache"),
            ("--cache-to", "type=s3,bucket=x", "type=local"), ("--cache-to", "type=azblob", "type=local"), ("--cache-from", "user/app:cache", "registry client"),
            ("--cache-to", "type=locl,dest=x", "unknown type"), ("--cache-to", "dest=x", "type is required"), ("--cache-to", "type=local", "dest is required"),
            ("--cache-to", "type=local,dest=x,mod=max", "did you mean 'mode'"), ("--cache-to", "type=local,dest=x,mode=all", "known are min and max"),
            ("--cache-to", "type=local,dest=x,compression=xz", "uncompressed, gzip and zstd"), ("--cache-to", "type=local,dest=x,compression-level=5", "needs compression"),
            ("--cache-to", "type=local,dest=x,compression=gzip,compression-level=12", "levels 0 to 9"), ("--cache-from", "type=local", "src is required"),
            ("--cache-from", "type=local,src=x,digest=abc", "digest"), ("--cache-to", "type=local,dest", "key=value"),
            ("--cache-to", '"type=local,dest=x', "quoted-field"), ("--cache-to", f"type=local,dest={tmp_path}/full", "which is not empty")):
        result = mica.fails(1, "build", option, text, top)
        assert says in result.err, (text, result)
    assert sorted(p.name for p in (tmp_path / "full").iterdir()) == ["index.json.lock", "precious"]
    text = build(mica, top, "--cache-to", f"type=local,dest={tmp_path}/full,ignore-error=true")
    assert "ERROR" in text and "not empty" in text
    build(mica, top, "--cache-to", f'type=local,"dest={tmp_path}/with,comma"')
    assert (tmp_path / "with,comma/index.json").exists()
