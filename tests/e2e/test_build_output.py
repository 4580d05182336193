"""mica build --output: where a build goes, what is written there, and what is left when it fails."""
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

from conftest import import_busybox, require_tool, skopeo, tar_bytes, umoci

EPOCH = {"SOURCE_DATE_EPOCH": "1600000000"}
DOCKERFILE = """FROM busybox
RUN mkdir -p /d/sub && echo hello > /d/f && ln /d/f /d/g && ln -s f /d/l && chmod 4755 /d/f
COPY Dockerfile /copied
LABEL a=b
"""


@pytest.fixture
def ctx(context):
    return context({"Dockerfile": DOCKERFILE})


def layout_json(archive, path="index.json"):
    with tarfile.open(archive) as tar:
        return json.load(tar.extractfile(path))


def blob(archive, digest):
    with tarfile.open(archive) as tar:
        data = tar.extractfile("blobs/" + digest.replace(":", "/")).read()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
    return data


def check_layout(archive):
    """Every blob is what it is called and is named by something; returns (index, manifest, config) of the first image."""
    with tarfile.open(archive) as tar:
        members = {m.name: m for m in tar.getmembers()}
        for name in members:
            if name.startswith("blobs/sha256/"):
                assert hashlib.sha256(tar.extractfile(name).read()).hexdigest() == name.rsplit("/", 1)[1]
    index = layout_json(archive)
    manifest = json.loads(blob(archive, index["manifests"][0]["digest"]))
    return index, manifest, json.loads(blob(archive, manifest["config"]["digest"]))


def diff_id(data):
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        data = subprocess.run([require_tool("zstd"), "-dc"], input=data, check=True, stdout=subprocess.PIPE).stdout
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("options, media", [
    ("", "application/vnd.oci.image.layer.v1.tar+gzip"),
    (",compression=gzip,compression-level=9", "application/vnd.oci.image.layer.v1.tar+gzip"),
    (",compression=zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
    (",compression=zstd,compression-level=0", "application/vnd.oci.image.layer.v1.tar+zstd"),
    (",compression=uncompressed", "application/vnd.oci.image.layer.v1.tar"),
    (",oci-mediatypes=false", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
])
def test_oci_archive_has_the_layers_as_asked(mica, busybox, ctx, tmp_path, options, media):
    out = tmp_path / "o.tar"
    mica("build", "-t", "app:1", "-o", f"type=oci,dest={out}{options}", ctx)
    index, manifest, config = check_layout(out)
    assert [layer["mediaType"] for layer in manifest["layers"]] == [media] * 3
    assert [diff_id(blob(out, layer["digest"])) for layer in manifest["layers"]] == config["rootfs"]["diff_ids"]
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/app:1"
    assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == "1"
    assert mica.fails(1, "image", "inspect", "app:1"), "an output that is not the store leaves no name in it"
    if "docker" not in media:
        assert skopeo("inspect", f"oci-archive:{out}").returncode == 0


def test_docker_archive_is_loaded_by_skopeo_and_by_mica(mica, make_mica, busybox, ctx, tmp_path):
    out = tmp_path / "d.tar"
    mica("build", "-t", "app:1", "-t", "other:2", "-o", f"type=docker,dest={out}", ctx)
    rows = layout_json(out, "manifest.json")
    assert rows[0]["RepoTags"] == ["app:1", "other:2"]
    skopeo("copy", f"docker-archive:{out}:app:1", f"oci:{tmp_path}/copied:x")
    other = make_mica()
    assert "Loaded image: app:1" in other("load", "-i", out).out
    assert other("run", "--rm", "--network", "none", "app:1", "cat", "/d/g").out == "hello\n"


def test_oci_directory_keeps_other_images_and_is_unpacked_by_umoci(mica, busybox, ctx, tmp_path):
    out = tmp_path / "layout"
    mica("build", "-t", "app:1", "-o", f"type=oci,dest={out},tar=false", ctx)
    mica("build", "-t", "app:2", "--label", "second=yes", "-o", f"type=oci,dest={out},tar=false", ctx)
    mica("build", "-t", "app:2", "--label", "third=yes", "-o", f"type=oci,dest={out},tar=false", ctx)
    index = json.loads((out / "index.json").read_text())
    assert [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]] == ["1", "2"]
    umoci("unpack", "--image", f"{out}:2", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/d/f").read_text() == "hello\n"
    assert not [p for p in out.rglob("*.tmp")]


def test_tar_and_local_have_the_files(mica, busybox, ctx, tmp_path):
    mica("build", "-o", f"type=tar,dest={tmp_path}/t.tar", "-o", tmp_path / "local", ctx, env=EPOCH)
    with tarfile.open(tmp_path / "t.tar") as tar:
        members = {m.name: m for m in tar.getmembers()}
        assert tar.extractfile("d/f").read() == b"hello\n"
    assert members["d/g"].linkname == "d/f" and members["d/g"].islnk()
    assert members["d/l"].linkname == "f"
    assert {m.mtime for m in members.values()} == {1600000000}, "with SOURCE_DATE_EPOCH every file has that time"
    local = tmp_path / "local"
    assert (local / "d/f").read_text() == "hello\n"
    assert (local / "d/f").stat().st_ino == (local / "d/g").stat().st_ino
    assert (local / "d/f").stat().st_mode & 0o7777 == 0o4755
    assert os.readlink(local / "d/l") == "f"
    assert (local / "d/f").stat().st_mtime == 1600000000
    assert not list(local.rglob(".mica-*"))


def test_standard_output_carries_an_archive(mica, busybox, ctx):
    done = mica("build", "-q", "-o", "-", ctx)
    with tarfile.open(fileobj=io.BytesIO(done.raw_out)) as tar:
        assert "d/sub" in tar.getnames()
    done = mica("build", "-t", "x", "-o", "type=oci,dest=-", ctx)
    with tarfile.open(fileobj=io.BytesIO(done.raw_out)) as tar:
        assert "index.json" in tar.getnames()
    assert "only one output" in mica.fails(1, "build", "-o", "-", "-o", "type=oci,dest=-", ctx).err


def test_a_terminal_is_no_place_for_a_tar(mica, busybox, ctx):
    script = require_tool("script")
    done = subprocess.run([script, "-qec", f"{mica.path} build -o - {ctx}", "/dev/null"], env=mica.env, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert done.returncode != 0 and b"refusing to write to a terminal" in done.stdout


def test_several_outputs_and_the_store(mica, busybox, ctx, tmp_path):
    mica("build", "-t", "app:1", "--load", "-o", f"type=oci,dest={tmp_path}/o.tar", "-o", "type=cacheonly", "-o", f"type=local,dest={tmp_path}/l", ctx)
    assert (tmp_path / "o.tar").exists() and (tmp_path / "l/copied").exists()
    assert mica.image("app:1")["Config"]["Labels"] == {"a": "b"}
    mica("fsck")


def test_image_with_compressed_layers_runs_and_is_saved_as_it_is(mica, busybox, ctx, tmp_path):
    mica("build", "-t", "app:1", "-o", "type=image,compression=zstd,name-canonical=true", ctx)
    assert mica("run", "--rm", "--network", "none", "app:1", "cat", "/d/f").out == "hello\n"
    mica("save", "--format", "oci-archive", "-o", tmp_path / "s.tar", "app:1")
    _, manifest, _ = check_layout(tmp_path / "s.tar")
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    inspected = mica.image("app:1")
    assert inspected["RepoDigests"] == ["app@" + inspected["Descriptor"]["digest"]]
    mica("fsck")


def test_a_base_keeps_the_blobs_it_came_with_unless_forced(mica, make_mica, busybox, ctx, tmp_path):
    mica("build", "-t", "base:z", "-o", f"type=oci,dest={tmp_path}/base.tar,compression=zstd", ctx)
    other = make_mica()
    other("load", "-i", tmp_path / "base.tar")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/Dockerfile").write_text("FROM base:z\nCOPY Dockerfile /new\n")

    def codecs(options):
        out = tmp_path / "o.tar"
        other("build", "-o", f"type=oci,dest={out}{options}", tmp_path / "c")
        _, manifest, config = check_layout(out)
        assert [diff_id(blob(out, layer["digest"])) for layer in manifest["layers"]] == config["rootfs"]["diff_ids"]
        return [layer["mediaType"].rsplit("+", 1)[-1] for layer in manifest["layers"]]

    assert codecs("") == ["zstd"] * 3 + ["gzip"]
    assert codecs(",force-compression=true") == ["gzip"] * 4


@pytest.mark.parametrize("output, message", [
    ("type=oci", "needs a destination"),
    ("type=local", "needs a directory"),
    ("type=oci,dest=x,colour=red", "unknown attribute 'colour' for type=oci; known are: "),
    ("type=tar,dest=x,compression=gzip", "unknown attribute 'compression' for type=tar"),
    ("type=oci,dest=x,compression=estargz", "known are uncompressed, gzip and zstd"),
    ("type=oci,dest=x,compression=zstd,oci-mediatypes=false", "conflicts"),
    ("type=oci,dest=x,compression-level=12", "too high for gzip"),
    ("type=oci,dest=x,force-compression=perhaps", "non-bool value 'perhaps'"),
    ("type=flat,dest=x", "unknown output type 'flat'"),
    ("dest=x", "type is required"),
    ("type=image,push=true", "no registry client"),
    ("type=registry", "no registry client"),
    ("type=image,name=UPPER", "invalid name"),
    ('type=oci,"dest=x', "parse error"),
    ("type=local,dest=x,mode=swap", "known are copy and delete"),
    ("type=image,annotation-index.a=b", "index annotations not supported"),
    ("type=image,annotation[linux/riscv64].a=b", "not for the platform 'linux/riscv64'"),
    ("", "write a directory"),
])
def test_what_is_wrong_with_an_output_is_said(mica, busybox, ctx, output, message):
    done = mica.fails(1, "build", "--output", output, ctx)
    assert message in done.err
    assert not os.path.exists(mica.home / "x")


def test_push_needs_a_registry_client(mica, ctx):
    assert "no registry client" in mica.fails(1, "build", "--push", ctx).err


def test_local_never_writes_outside_of_its_directory(mica, busybox, context, tmp_path):
    """A link in the destination, and links in the image, lead nowhere."""
    ctx = context({"Dockerfile": "FROM scratch\nCOPY f /a/b/f\nCOPY f /g\nCOPY --from=busybox /bin /a/bin\n", "f": "new\n"})
    outside, dest = tmp_path / "outside", tmp_path / "dest"
    (outside / "b").mkdir(parents=True)
    (outside / "b/f").write_text("old\n")
    dest.mkdir()
    (dest / "a").symlink_to(outside)
    (dest / "g").symlink_to(outside / "b/f")
    (dest / "mine").write_text("mine\n")
    mica("build", "-o", dest, ctx)
    assert (outside / "b/f").read_text() == "old\n" and os.listdir(outside) == ["b"]
    assert not (dest / "a").is_symlink() and (dest / "a/b/f").read_text() == "new\n"
    assert not (dest / "g").is_symlink() and (dest / "g").read_text() == "new\n"
    assert (dest / "mine").exists()
    mica("build", "-o", f"type=local,dest={dest},mode=delete", ctx)
    assert sorted(os.listdir(dest)) == ["a", "g"]


def test_files_of_the_destination_change_kind(mica, busybox, context, tmp_path):
    dest = tmp_path / "dest"
    (dest / "f/deep").mkdir(parents=True)
    (dest / "dir").write_text("a file\n")
    mica("build", "-o", dest, context({"Dockerfile": "FROM scratch\nCOPY f /f\nCOPY f /dir/f\n", "f": "x"}))
    assert (dest / "f").read_text() == "x" and (dest / "dir/f").read_text() == "x"


def test_iidfile_and_metadata(mica, busybox, context, tmp_path):
    ctx = context({"Dockerfile": "FROM busybox as Build\nRUN true\n"})
    iid, meta = tmp_path / "iid", tmp_path / "meta.json"
    mica("build", "-t", "app:1", "-t", "app:2", "--iidfile", iid, "--metadata-file", meta, ctx, env={"BUILDX_METADATA_WARNINGS": "1"})
    told, image = json.loads(meta.read_text()), mica.image("app:1")
    assert iid.read_text() == image["Id"] == told["containerimage.config.digest"]
    assert told["containerimage.digest"] == image["Descriptor"]["digest"] == told["containerimage.descriptor"]["digest"]
    assert told["containerimage.descriptor"]["platform"]["os"] == "linux"
    assert told["image.name"] == "docker.io/library/app:1,docker.io/library/app:2"
    assert told["buildx.build.ref"].count("/") == 2
    assert {w["range"][0]["start"]["line"] for w in told["buildx.build.warnings"]} == {1}
    mica("build", "-o", "type=cacheonly", "--iidfile", iid, "--metadata-file", meta, ctx)
    assert iid.read_text() == "" and set(json.loads(meta.read_text())) == {"buildx.build.provenance", "buildx.build.ref"}


def test_annotations(mica, busybox, ctx, tmp_path):
    out = tmp_path / "o.tar"
    mica("build", "--annotation", "a=1", "--annotation", "manifest,manifest-descriptor:b=2", "-o", f"type=oci,dest={out},annotation.c=3,annotation-manifest-descriptor[linux/amd64].d=4",
         "--platform", "linux/amd64", ctx)
    index, manifest, _ = check_layout(out)
    assert manifest["annotations"] == {"a": "1", "b": "2", "c": "3"}
    assert {k: v for k, v in index["manifests"][0]["annotations"].items() if "." not in k} == {"b": "2", "d": "4"}
    for wrong in ("novalue", "shelf:a=b", "manifest[linux:a=b", "=x"):
        assert "annotation" in mica.fails(1, "build", "--annotation", wrong, ctx).err


def test_two_stores_write_the_same_bytes(make_mica, busybox_tar, ctx, tmp_path):
    """With SOURCE_DATE_EPOCH an archive depends on what was built only, not on the store, the time or the number of threads."""
    outputs = ["type=oci,dest={}/o.tar", "type=docker,dest={}/d.tar", "type=oci,dest={}/z.tar,compression=zstd", "type=tar,dest={}/t.tar"]
    seen = []
    for n in range(2):
        mica, top = make_mica(), tmp_path / str(n)
        top.mkdir()
        mica.env.update(EPOCH)
        import_busybox(mica, busybox_tar)
        args = [a for o in outputs for a in ("-o", o.format(top))]
        command = ["build", "-t", "app:1", *args, ctx]
        if n:
            done = subprocess.run(["taskset", "-c", "0", mica.path, *map(str, command)], env=mica.env, stderr=subprocess.PIPE)
            assert done.returncode == 0, done.stderr
        else:
            mica(*command)
        seen.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(top.iterdir())})
    assert seen[0] == seen[1] and len(seen[0]) == 4


def test_rewrite_timestamp_clamps_the_times_of_new_layers(mica, busybox, ctx, tmp_path):
    out = tmp_path / "o.tar"
    mica("build", "-t", "app:1", "-o", f"type=oci,dest={out},rewrite-timestamp=true,source-date-epoch=1000000000,compression=uncompressed", ctx)
    _, manifest, config = check_layout(out)
    layers = [blob(out, layer["digest"]) for layer in manifest["layers"]]
    assert [diff_id(layer) for layer in layers] == config["rootfs"]["diff_ids"]
    with tarfile.open(fileobj=io.BytesIO(layers[1])) as tar:
        assert {m.mtime for m in tar.getmembers()} == {1000000000}
    with tarfile.open(fileobj=io.BytesIO(layers[0])) as tar:
        assert 1700000000 in {m.mtime for m in tar.getmembers()}, "layers of the base are not ours to change"
    mica("build", "-t", "app:2", "-o", "type=image,rewrite-timestamp=true,source-date-epoch=1000000000", ctx)
    assert mica("run", "--rm", "--network", "none", "app:2", "stat", "-c", "%Y", "/d/f").out == "1000000000\n"
    mica("fsck")


def big_context(context):
    return context({"Dockerfile": "FROM busybox\nCOPY big /\n", "big": os.urandom(48 << 20)})


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("output", ["type=oci,dest={}/x,compression=zstd,compression-level=19", "type=local,dest={}/x"])
def test_what_is_stopped_leaves_no_half_file(mica, busybox, context, tmp_path, output, signum):
    ctx = big_context(context)
    mica("build", "-o", "type=cacheonly", ctx)
    for delay in (0.15, 0.02, 0.04):  # after the first: over what is there, of which a killed one may leave one file under a temporary name
        build = mica.popen("build", "-o", output.format(tmp_path), ctx)
        time.sleep(delay)
        build.send_signal(signum)
        build.communicate()
        if "oci" in output:
            assert not os.path.exists(tmp_path / "x"), "an archive appears when it is complete"
        elif (tmp_path / "x/big").exists():
            assert (tmp_path / "x/big").stat().st_size == 48 << 20
        assert len(list(tmp_path.rglob(".mica-*"))) <= (signum == signal.SIGKILL and delay < 0.1 and "local" in output), "else not one"
        mica("fsck")
    mica("build", "-o", output.replace("level=19", "level=1").format(tmp_path), ctx)
    assert not list(tmp_path.rglob(".mica-*"))


def test_a_full_disk_leaves_no_archive(mica, busybox, context, tmp_path, root_only):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", small], check=True)
    try:
        for output in (f"type=oci,dest={small}/x.tar", f"type=tar,dest={small}/x.tar", f"type=oci,dest={small}/d,tar=false", f"type=local,dest={small}/l"):
            done = mica.fails(1, "build", "-o", output, big_context(context))
            assert "No space left" in done.err, done
            left = [p for p in small.rglob("*") if p.is_file()]
            assert not [p for p in left if p.suffix == ".tmp" or p.name in ("x.tar", "big", "index.json")], f"{output} leaves a half file"
            assert all(hashlib.sha256(p.read_bytes()).hexdigest() == p.name for p in left if "sha256" in str(p))
            shutil.rmtree(small / "d", ignore_errors=True)
    finally:
        subprocess.run(["umount", small], check=True)
    mica("fsck")


def test_big_exports_take_little_memory(mica, busybox, context, tmp_path):
    ctx = context({"Dockerfile": "FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=512\n"})
    mica("build", "-o", "type=cacheonly", ctx)
    for output in (f"type=oci,dest={tmp_path}/o.tar", f"type=tar,dest={tmp_path}/t.tar"):
        done = subprocess.run([require_tool("time"), "-f", "%M", mica.path, "build", "-q", "-o", output, ctx], env=mica.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        assert int(done.stderr.split()[-1]) < 96 << 10, "kilobytes at most, for half a gigabyte"


SQUASHED = """FROM busybox
RUN mkdir -p /a/b && echo 1 >/a/b/f && echo 1 >/a/g && rm -rf /etc/group /var && mkdir /var && echo new >/var/n
RUN rm -r /a/b && echo 2 >/a/g && ln /a/g /a/h && ln -s g /a/l && rm /bin/vi && mkdir /bin/vi && echo x >/bin/vi/x
RUN chmod 700 /home && rm -rf /usr && echo usr >/usr && mkdir -p /gone/deep && rmdir /gone/deep /gone
WORKDIR /w
COPY f /w/
"""


def tree(archive):
    with tarfile.open(archive) as tar:
        return {m.name: (m.type, m.mode, m.uid, m.gid, m.size, m.linkname, m.mtime, tar.extractfile(m).read() if m.isreg() else b"") for m in tar}


def test_squash_is_one_layer_with_the_same_files(mica, make_mica, busybox, context, tmp_path):
    ctx = context({"Dockerfile": SQUASHED, "f": "f"})
    mica("build", "-t", "plain:1", ctx)
    mica("build", "--squash", "-t", "squashed:1", "-o", f"type=docker,dest={tmp_path}/s.tar", "--load", ctx)
    plain, squashed, base = mica.image("plain:1"), mica.image("squashed:1"), mica.image("busybox")
    assert len(squashed["RootFS"]["Layers"]) == len(base["RootFS"]["Layers"]) + 1 < len(plain["RootFS"]["Layers"])
    assert squashed["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"] and squashed["Config"] == plain["Config"]
    trees = []
    for n, name in enumerate(("plain:1", "squashed:1")):
        mica("create", "--name", f"c{n}", name)
        mica("export", "-o", tmp_path / f"{n}.tar", f"c{n}")
        trees.append(tree(tmp_path / f"{n}.tar"))
    assert trees[0] == trees[1] and "usr" in trees[1] and "gone" not in trees[1] and "etc/group" not in trees[1]
    history = mica("history", "--format", "json", "--no-trunc", "squashed:1").out
    assert "squashed from 5 layers" in history and "WORKDIR /w" in history
    mica("fsck")
    skopeo("copy", f"docker-archive:{tmp_path}/s.tar", f"oci:{tmp_path}/layout:x")
    umoci("unpack", "--image", f"{tmp_path}/layout:x", tmp_path / "bundle")
    root = tmp_path / "bundle/rootfs"
    assert (root / "usr").read_text() == "usr\n" and not (root / "etc/group").exists() and os.listdir(root / "var") == ["n"]
    assert (root / "a/g").stat().st_ino == (root / "a/h").stat().st_ino
    once = mica("build", "-q", "--squash", "-t", "again:1", ctx).out
    assert once.strip() == squashed["Id"], "squashing the same layers gives the same image"
    assert mica("build", "-q", "--squash", context({"Dockerfile": "FROM busybox\nCMD x\n"})).code == 0


def test_names_that_come_of_the_digest(mica, context, tmp_path):
    """dangling-name-prefix and name-canonical: an image that can be asked for by its digest under a name."""
    ctx = context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /f\n"})
    mica("build", "-t", "app:1", "-o", "type=image,name-canonical=true,dangling-name-prefix=left", ctx)
    digests = mica.image("app:1")["RepoDigests"]
    assert [d.split("@")[0] for d in sorted(digests)] == ["app", "left"] and len({d.split("@")[1] for d in digests}) == 1
    for digest in digests:
        assert mica.image(digest)["Id"] == mica.image("app:1")["Id"]
    (ctx / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /g\n")
    mica("build", "-t", "app:2", "-o", "type=image,danging-name-empty-only=true,dangling-name-prefix=left", ctx)
    assert mica.image("app:2")["RepoDigests"] == [], "it has a name"
    mica("build", "-o", "type=image,danging-name-empty-only=true,dangling-name-prefix=left", ctx)
    assert [d.split("@")[0] for d in mica.image("app:2")["RepoDigests"]] == ["left"]
    assert "dangling-name-prefix" in mica.fails(1, "build", "-o", "type=image,dangling-name-prefix=UPPER", ctx).err
    mica("fsck")


def test_store_false_records_nothing(mica, context, tmp_path):
    ctx = context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /f\n"})
    mica("build", "-t", "app:1", "--iidfile", tmp_path / "id", "-o", "type=image,store=false", ctx)
    assert mica("images", "-aq").out == "" and mica.fails(1, "image", "inspect", (tmp_path / "id").read_text()).json == []
    mica("build", "-t", "app:1", "--iidfile", tmp_path / "id2", ctx)
    assert (tmp_path / "id2").read_text() == (tmp_path / "id").read_text() == mica.image("app:1")["Id"], "it is the same image"
    mica("fsck")


def test_unpack_makes_the_merged_index(mica, context, tmp_path):
    """Without it, a build that only repeats what is known leaves the merging to the first container."""
    if os.environ.get("MICA_TEST_STORE") == "dir":
        pytest.skip("this driver merges nothing")
    ctx = context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /f\nCOPY Dockerfile /g\n"})

    def chains():
        return sorted(p.name for p in (mica.root / "chains").iterdir()) if (mica.root / "chains").exists() else []

    mica("build", "-o", "type=cacheonly", ctx)
    assert chains() == []
    mica("build", "-t", "app:1", "-o", "type=image", ctx)
    assert chains() == []
    mica("build", "-t", "app:1", "-o", "type=image,unpack=true", ctx)
    assert len(chains()) == 1
    mica("fsck")
