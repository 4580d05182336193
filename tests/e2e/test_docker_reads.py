"""What `mica build -o` writes is what docker loads: Debian's, unpacked and started for the tests, or the daemon that DOCKER_HOST names (docker 26, its containerd store).

docker's classic store (docker 26 by default) reads manifest.json, its containerd store index.json too."""
import functools
import hashlib
import io
import json
import subprocess
import tarfile

import pytest

from conftest import require_tool, tar_bytes

pytestmark = pytest.mark.usefixtures("root_only")

SCRATCH = "FROM scratch\nCOPY hello /hello\nENV B=1\n"
PLATFORMS = ["--platform", "linux/amd64,linux/arm64", "-f", "scratch.Dockerfile"]
OUTPUTS = {  # name: (output, options, whether the classic store takes it)
    "docker": ("type=docker", [], True),
    "docker-zstd": ("type=docker,compression=zstd,force-compression=true", [], True),
    "docker-uncompressed": ("type=docker,compression=uncompressed,force-compression=true", [], True),
    "docker-oci-types": ("type=docker,oci-mediatypes=true", [], True),
    "docker-annotation": ("type=docker", ["--annotation", "a.b=c"], True),
    "docker-squash": ("type=docker", ["--squash"], True),
    "docker-other-platform": ("type=docker", ["--platform", "linux/arm64", "-f", "scratch.Dockerfile"], True),
    "docker-no-layer": ("type=docker", ["-f", "empty.Dockerfile"], True),
    "oci": ("type=oci", [], False),
    "oci-zstd": ("type=oci,compression=zstd,force-compression=true", [], False),
    "oci-annotation": ("type=oci", ["--annotation", "a.b=c"], False),
    "oci-provenance": ("type=oci", ["--provenance=mode=max"], False),
    "oci-platforms": ("type=oci", PLATFORMS, False),
}


@pytest.fixture
def top(context):
    return context({"Dockerfile": "FROM busybox\nCOPY hello /hello\nRUN cat /hello > /ran\nCMD [\"cat\", \"/ran\"]\n", "scratch.Dockerfile": SCRATCH, "empty.Dockerfile": "FROM scratch\nENV A=1\n", "hello": "hello\n"})


@pytest.fixture(scope="module")
def docker(readers):
    """docker(arguments) -> CompletedProcess; docker.classic, docker.zstd: what kind of store it has, and whether that unpacks zstd."""
    ask = functools.partial(readers.docker)
    ask.classic = "io.containerd.snapshotter" not in ask("info", "-f", "{{.DriverStatus}}").stdout
    ask.zstd = int(ask("version", "-f", "{{.Server.Version}}").stdout.split(".")[0]) >= 23
    return ask


def unpacked(data):
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run([require_tool("zstd"), "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    if data[:2] == b"\x1f\x8b":
        import gzip
        return gzip.decompress(data)
    return data


@pytest.mark.parametrize("name", OUTPUTS)
def test_output(mica, busybox, top, tmp_path, docker, name):
    output, options, classic = OUTPUTS[name]
    tag, archive, iid = f"mica-reads-{name}:1", tmp_path / "out.tar", tmp_path / "iid"
    mica("build", "-t", tag, "--iidfile", iid, "-o", f"{output},dest={archive}", *options, ".", cwd=top)
    with tarfile.open(archive) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}
    assert b'"imageLayoutVersion"' in members["oci-layout"] and len(json.loads(members["index.json"])["manifests"]) == 1
    assert ("manifest.json" in members) == classic
    if classic:
        row, = json.loads(members["manifest.json"])
        config = json.loads(members[row["Config"]])
        assert row["RepoTags"] == [tag] and "sha256:" + hashlib.sha256(members[row["Config"]]).hexdigest() == iid.read_text()
        assert ["sha256:" + hashlib.sha256(unpacked(members[path])).hexdigest() for path in row["Layers"]] == config["rootfs"]["diff_ids"]
    loaded = docker("load", "-i", archive)
    try:
        if docker.classic and not classic:
            assert loaded.returncode and "no such file or directory" in loaded.stderr  # as with BuildKit's own type=oci
            return
        if "zstd" in name and not docker.zstd:
            assert loaded.returncode and "invalid tar header" in loaded.stderr
            return
        assert loaded.returncode == 0 and f"Loaded image: {tag}" in loaded.stdout, loaded
        if docker.classic:
            assert docker("image", "inspect", "-f", "{{.Id}}", tag).stdout.strip() == iid.read_text()
        if not {"-f"} & set(options):
            assert docker("run", "--rm", "--network", "none", tag).stdout == "hello\n"
    finally:
        docker("rmi", "-f", tag)


def test_what_has_no_docker_archive(mica, busybox, top, tmp_path):
    """docker's format holds one image: several platforms and attestations are refused in BuildKit's words, and nothing is left."""
    for options in (PLATFORMS, ["--provenance=mode=max"]):
        assert "docker exporter does not support exporting manifest lists" in mica.fails(1, "build", "-o", f"type=docker,dest={tmp_path}/out.tar", *options, ".", cwd=top).err
    assert not (tmp_path / "out.tar").exists()


def test_buildkits_image_without_layers(mica):
    """Go writes an empty list as null."""
    def blob(document):
        data = json.dumps(document).encode()
        return hashlib.sha256(data).hexdigest(), data

    config, config_data = blob({"architecture": "amd64", "os": "linux", "config": {"Env": ["A=1"]}, "rootfs": {"type": "layers", "diff_ids": None}, "history": [{"created_by": "ENV A=1", "empty_layer": True}]})
    manifest, manifest_data = blob({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + config, "size": len(config_data)}, "layers": None})
    index = {"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + manifest, "size": len(manifest_data),
                                                "annotations": {"io.containerd.image.name": "docker.io/library/none:1"}}]}
    rows = [{"Config": "blobs/sha256/" + config, "RepoTags": ["none:1"], "Layers": None}]
    files = {"blobs/sha256/" + config: config_data, "blobs/sha256/" + manifest: manifest_data}
    for more in ({"oci-layout": '{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index)}, {"manifest.json": json.dumps(rows)}):
        assert mica("load", input=tar_bytes({**files, **more})).lines == ["Loaded image: none:1"]
        assert mica.inspect("none:1")["Config"]["Env"] == ["A=1"]
        with tarfile.open(fileobj=io.BytesIO(mica("save", "none:1").raw_out)) as tar:
            assert json.load(tar.extractfile("manifest.json"))[0]["Layers"] == []
        mica("rmi", "none:1")
