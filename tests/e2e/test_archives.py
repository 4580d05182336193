"""save and load: what comes out is read by others, what others write is read here, and hostile archives change nothing."""
import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile

import pytest

from conftest import import_busybox, require_tool, skopeo, tar_bytes, umoci


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob(data):
    return "blobs/sha256/" + hashlib.sha256(data).hexdigest()


LAYER = tar_bytes({"hello": "world\n"})


def config_for(*layers, **more):
    return json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]},
                       "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
                       "history": [{"created_by": f"layer {i}"} for i, _ in enumerate(layers)], **more}).encode()


def docker_archive(config=None, layers=None, rows=None, extra=None):
    """An archive as docker save wrote it before 25: <hex>.json, <id>/layer.tar, manifest.json."""
    config = config if config is not None else config_for(LAYER)
    members = dict(extra or {})
    members[hashlib.sha256(config).hexdigest() + ".json"] = config
    names = []
    for i, layer in enumerate(layers if layers is not None else [LAYER]):
        names.append(f"{i:064x}/layer.tar")
        members[names[-1]] = layer
    members["manifest.json"] = json.dumps(rows or [{"Config": hashlib.sha256(config).hexdigest() + ".json", "RepoTags": ["old/style:1"], "Layers": names}])
    return members


def oci_members(layer=LAYER, compress=None, name="docker.io/library/oci:1", config=None, **manifest_more):
    config = config if config is not None else config_for(layer)
    packed = compress(layer) if compress else layer
    kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compress is gzip.compress else "")
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
                           "layers": [{"mediaType": kind, "digest": digest(packed), "size": len(packed)}], **manifest_more}).encode()
    index = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest),
                                                           "size": len(manifest), "annotations": {"io.containerd.image.name": name}}]})
    return {"oci-layout": '{"imageLayoutVersion":"1.0.0"}', "index.json": index, blob(manifest): manifest, blob(config): config, blob(packed): packed}


def load(mica, members, **kwargs):
    data = members if isinstance(members, bytes) else tar_bytes(members)
    return mica.run("load", input=data, **kwargs)


def reverse(members):
    return dict(reversed(list(members.items())))


@pytest.fixture
def saved(mica, busybox, tmp_path):
    mica("save", "-o", tmp_path / "saved.tar", "busybox")
    return tmp_path / "saved.tar"


def test_round_trip(mica, make_mica, busybox, saved):
    other = make_mica()
    assert other("load", "-i", saved).out == "Loaded image: busybox:latest\n"
    assert other.image("busybox")["Id"] == mica.image("busybox")["Id"]
    other("fsck")
    assert other("save", "busybox").raw_out == saved.read_bytes()


def test_several_images_share_blobs(mica, make_mica, busybox):
    mica("tag", "busybox", "second:2")
    archive = mica("save", "busybox", "second:2").raw_out
    names = tarfile.open(fileobj=io.BytesIO(archive)).getnames()
    assert len(names) == len(set(names))
    assert sorted(make_mica()("load", input=archive).lines) == ["Loaded image: busybox:latest", "Loaded image: second:2"]


def test_save_of_a_name_alone_takes_all_its_tags(mica, make_mica, busybox):
    """As docker: whoever saves a repository before he removes it keeps all of it, also where there is no latest."""
    for tag in ("app:1", "app:2", "app/other:1", "app.x:1"):
        mica("tag", busybox, tag)
    other = make_mica()
    assert sorted(other("load", input=mica("save", "app").raw_out).lines) == ["Loaded image: app:1", "Loaded image: app:2"]
    assert other("load", input=mica("save", "app:2").raw_out).lines == ["Loaded image: app:2"]
    assert "No such image: ap:latest" in mica.fails(1, "save", "ap").err


def test_save_by_id_has_no_name(mica, make_mica, busybox):
    image = mica("images", "-q", "--no-trunc").out.strip()
    assert make_mica()("load", input=mica("save", image[7:19]).raw_out).out == f"Loaded image ID: {image}\n"


@pytest.mark.parametrize("fmt", ["docker-archive", "oci-archive"])
def test_skopeo_reads_it(mica, busybox, tmp_path, fmt):
    mica("save", "--format", fmt, "-o", tmp_path / "a.tar", "busybox")
    assert json.loads(skopeo("inspect", f"{fmt}:{tmp_path}/a.tar").stdout)["Os"] == "linux"
    skopeo("copy", f"{fmt}:{tmp_path}/a.tar", f"oci:{tmp_path}/layout:x")


@pytest.mark.parametrize("fmt,names", [("docker-archive", ["busybox:latest", "second:2"]), ("oci-archive", ["latest", "2"])])
def test_skopeo_finds_each_of_several_images(mica, busybox, tmp_path, fmt, names):
    mica("import", "-", "second:2", input=LAYER)
    mica("save", "--format", fmt, "-o", tmp_path / "a.tar", "busybox", "second:2")
    layers = [json.loads(skopeo("inspect", f"{fmt}:{tmp_path}/a.tar:{name}").stdout)["Layers"] for name in names]
    assert len(layers[0]) == len(layers[1]) == 1 and layers[0] != layers[1]


def test_umoci_unpacks_it(mica, busybox, tmp_path):
    require_tool("umoci")
    mica("save", "--format", "oci-archive", "-o", tmp_path / "a.tar", "busybox")
    layout = tmp_path / "layout"
    layout.mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "a.tar", "-C", layout], check=True)
    umoci("unpack", "--image", f"{layout}:latest", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "bin" / "busybox").exists()


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_what_skopeo_writes_is_loaded(mica, busybox, saved, tmp_path, make_mica, kind):
    target = tmp_path / "skopeo.tar"
    skopeo("copy", f"docker-archive:{saved}", f"{kind}:{target}:from/skopeo:7")
    other = make_mica()
    other("load", "-i", target)
    assert len(other("images", "-q").lines) == 1
    assert other.image(other("images", "-q").out.strip())["RootFS"] == mica.image("busybox")["RootFS"]
    other("fsck")


def test_layout_directory_is_loaded(mica, make_mica, saved, tmp_path):
    skopeo("copy", f"docker-archive:{saved}", f"oci:{tmp_path}/layout:tag")
    other = make_mica()
    assert "Loaded image" in other("load", "-i", tmp_path / "layout").out
    other("fsck")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, "zstd", "bzip2"])
def test_compressed_archives(mica, pack):
    data = tar_bytes(docker_archive())
    if isinstance(pack, str):
        data = subprocess.run([require_tool(pack), "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    else:
        data = pack(data)
    assert load(mica, data).out == "Loaded image: old/style:1\n"


@pytest.mark.parametrize("order", [dict, reverse])
def test_order_of_members_does_not_matter(make_mica, order):
    for members in (docker_archive(), oci_members(), oci_members(compress=gzip.compress)):
        mica = make_mica()
        assert load(mica, order(members)).code == 0
        mica("fsck")


def test_gzip_layers_keep_their_manifest(mica):
    members = oci_members(compress=gzip.compress)
    assert load(mica, members).out == "Loaded image: oci:1\n"
    again = tarfile.open(fileobj=io.BytesIO(mica("save", "--format", "oci-archive", "oci:1").raw_out))
    assert set(members) - {"index.json", "oci-layout"} <= set(again.getnames())


def test_legacy_links_between_layers(mica):
    members = docker_archive(config=config_for(LAYER, LAYER), layers=[LAYER])
    members[f"{1:064x}/layer.tar"] = ("symlink", f"../{0:064x}/layer.tar")
    rows = json.loads(members["manifest.json"])
    rows[0]["Layers"].append(f"{1:064x}/layer.tar")
    members["manifest.json"] = json.dumps(rows)
    assert load(mica, members).code == 0
    assert len(mica.image("old/style:1")["RootFS"]["Layers"]) == 2


def bad_digest():
    members = oci_members()
    members[blob(LAYER)] = LAYER[:-1] + b"\1"
    return members


def bad_config_size():
    return oci_members(config=b'{"os":"linux"}')


def missing_layer():
    members = docker_archive()
    del members[f"{0:064x}/layer.tar"]
    return members


def missing_blob():
    members = oci_members()
    del members[blob(config_for(LAYER))]
    return members


def duplicate_keys():
    members = docker_archive()
    members["manifest.json"] = members["manifest.json"].replace('"RepoTags"', '"Config": "x", "RepoTags"')
    return members


HOSTILE = {
    "empty": lambda: b"",
    "no tar": lambda: b"\x00\x01\x02rubbish" * 500,
    "no manifest": lambda: {"etc/passwd": "root"},
    "truncated": lambda: tar_bytes(docker_archive())[:4096],
    "truncated gzip": lambda: gzip.compress(tar_bytes(docker_archive()))[:-40],
    "escape": lambda: {**docker_archive(), "../../escape": "x"},
    "link out": lambda: {"a": ("symlink", "../../../etc/passwd"), **docker_archive()},
    "absolute link": lambda: {"a": ("symlink", "/etc/passwd"), **docker_archive()},
    "wrong layer": lambda: docker_archive(layers=[tar_bytes({"other": "x"})]),
    "too few layers": lambda: docker_archive(config=config_for(LAYER, LAYER)),
    "missing layer": missing_layer,
    "missing blob": missing_blob,
    "digest": bad_digest,
    "config": bad_config_size,
    "duplicate keys": duplicate_keys,
    "config is a layer": lambda: docker_archive(rows=[{"Config": f"{0:064x}/layer.tar", "RepoTags": [], "Layers": [f"{0:064x}/layer.tar"]}]),
    "escaping layer": lambda: docker_archive(config=config_for(tar_bytes({"../x": "y"})), layers=[tar_bytes({"../x": "y"})]),
    "not JSON": lambda: {**docker_archive(), "manifest.json": "{"},
    "other layout version": lambda: {**oci_members(), "oci-layout": '{"imageLayoutVersion":"2.0.0"}'},
    "both manifest and index": lambda: oci_members(manifests=[]),
    "link loop": lambda: docker_archive(rows=[{"Config": "a", "RepoTags": [], "Layers": []}], extra={"a": ("symlink", "b"), "b": ("symlink", "a")}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_change_nothing(mica, name):
    result = load(mica, HOSTILE[name]())
    assert result.code == 1 and result.err.startswith("mica: "), result
    assert mica("images", "-q", "-a").out == ""
    mica("system", "prune", "-f")
    mica("fsck")
    assert list((mica.root / "layers").iterdir()) == []


def test_names_that_are_no_references_are_left_out(mica):
    config = config_for(LAYER)
    rows = [{"Config": hashlib.sha256(config).hexdigest() + ".json", "RepoTags": ["UPPER//x", "good:1"], "Layers": [f"{0:064x}/layer.tar"]}]
    assert load(mica, docker_archive(rows=rows)).out == "Loaded image: good:1\n"


def test_bomb_is_stopped(mica):
    result = load(mica, gzip.compress(b"\0" * (1 << 26), 9) + gzip.compress(b"\0" * (1 << 28), 9))
    assert result.code == 1, result


def test_save_to_a_full_disk_leaves_nothing(mica, busybox, tmp_path):
    result = mica.fails(1, "save", "-o", "/dev/full", "busybox")
    assert "No space left" in result.err
    mica.fails(1, "save", "-o", tmp_path / "no" / "dir.tar", "busybox")
    mica.fails(1, "save", "-o", tmp_path / "x.tar", "busybox", "nope")
    assert not (tmp_path / "x.tar").exists() and list(tmp_path.iterdir()) == []


def test_kill_while_loading(mica, busybox_tar, make_mica, saved):
    other = make_mica()
    data = saved.read_bytes()
    for cut in (0, len(data) // 2, len(data) - 2048):
        job = other.popen("load", stdin=subprocess.PIPE)
        job.stdin.write(data[:cut])
        job.stdin.flush()
        job.kill()
        job.wait()
        job.stdin.close()
    other("fsck")
    other("load", "-i", saved)
    other("fsck")


def test_big_layer_in_bounded_memory(mica, tmp_path):
    """256 MB through import: the resident set stays below 64 MB."""
    path = tmp_path / "big.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("big")
        info.size = 256 << 20
        with open("/dev/zero", "rb") as zeros:
            tar.addfile(info, zeros)
    time = require_tool("time")
    done = subprocess.run([time, "-f", "%M", mica.path, "import", path, "big"], env=mica.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[-1]) < 64 * 1024
