"""docker, podman and skopeo read what `mica save` writes, several images in one archive, and mica reads what they write: the same images, under the same names.

docker and podman are Debian's, unpacked and started beside the tests (readers.py); nothing is installed."""
import json
import os

import pytest

from conftest import skopeo

pytestmark = pytest.mark.usefixtures("root_only")

DOCKERFILE = "FROM busybox\nRUN echo {0} > /{0} && ln /{0} /link && ln -s {0} /symlink && rm /etc/group && chmod 4711 /{0}\nCMD [\"cat\", \"/link\"]\n"
NAMES = ["first:1", "host.example:5000/second:2"]
TEXTS = {"first:1": "one\n", "host.example:5000/second:2": "two\n"}


# What podman calls images of a docker-archive: names without a registry are its own, also in an archive that docker wrote (test_what_docker_saves_is_loaded).
PODMANS = {name: name if "/" in name else f"localhost/{name}" for name in NAMES}


@pytest.fixture
def images(mica, busybox, context):
    """{name: id} of two images that share a base."""
    for name, text in TEXTS.items():
        mica("build", "-q", "-t", name, context({"Dockerfile": DOCKERFILE.format(text.strip())}))
    return {name: mica.image(name)["Id"] for name in NAMES}


@pytest.fixture
def clean(readers):
    """Their stores, without the images of other tests; nothing of these is left either."""
    yield readers
    if readers.daemon or os.environ.get("DOCKER_HOST"):
        readers.docker("rmi", "-f", *NAMES)
    readers.podman("rmi", "-f", "-a")


def ids(tool, names):
    return {name: "sha256:" + tool("image", "inspect", "-f", "{{.Id}}", name).stdout.strip().removeprefix("sha256:") for name in names}


def save(mica, tmp_path, kind, *names):
    mica("save", "--format", kind, "-o", tmp_path / "saved.tar", *names)
    return tmp_path / "saved.tar"


def must(done):
    assert done.returncode == 0, done
    return done.stdout


def runs(tool, name, *options):
    return must(tool("run", "--rm", "--network", "none", *options, name))


def test_docker_loads_and_runs_several(mica, images, clean, tmp_path):
    loaded = must(clean.docker("load", "-i", save(mica, tmp_path, "docker-archive", *NAMES)))
    assert sorted(loaded.splitlines()) == sorted(f"Loaded image: {name}" for name in NAMES)
    assert ids(clean.docker, NAMES) == images
    assert {name: runs(clean.docker, name) for name in NAMES} == TEXTS


def test_docker_runs_its_platform_of_several(mica, busybox_tar, busybox, clean, context, tmp_path):
    """An archive of an index: docker's classic store has one platform of an image, this machine's."""
    mica("build", "-q", "--platform", "linux/amd64,linux/arm64", "-t", NAMES[0], context({"Dockerfile": f"FROM scratch\nARG TARGETARCH\nADD bb.tar /\nCOPY t /t\nLABEL arch=$TARGETARCH\nCMD [\"/bin/cat\", \"/t\"]\n", "bb.tar": busybox_tar, "t": "t\n"}))
    loaded = must(clean.docker("load", "-i", save(mica, tmp_path, "docker-archive", NAMES[0])))
    assert loaded == f"Loaded image: {NAMES[0]}\n"
    host = "arm64" if os.uname().machine == "aarch64" else "amd64"
    assert must(clean.docker("image", "inspect", "-f", "{{.Architecture}} {{.Config.Labels.arch}}", NAMES[0])) == f"{host} {host}\n"
    assert runs(clean.docker, NAMES[0]) == "t\n"


def test_podman_loads_and_runs_several(mica, images, clean, tmp_path):
    loaded = must(clean.podman("load", "-i", save(mica, tmp_path, "docker-archive", *NAMES)))
    assert sorted(loaded.splitlines()) == sorted(f"Loaded image: {name}" for name in PODMANS.values())
    assert ids(clean.podman, PODMANS.values()) == {PODMANS[name]: images[name] for name in NAMES}
    assert {name: runs(clean.podman, PODMANS[name]) for name in NAMES} == TEXTS


def test_podman_takes_each_from_an_oci_archive(mica, images, clean, tmp_path):
    path = save(mica, tmp_path, "oci-archive", *NAMES)
    assert "more than one image in oci, choose an image" in clean.podman("load", "-i", path).stderr
    for name in NAMES:
        found = must(clean.podman("pull", "-q", f"oci-archive:{path}:{name.split(':')[-1]}")).strip()
        assert "sha256:" + found == images[name]
        assert runs(clean.podman, found) == TEXTS[name]


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_podman_loads_one(mica, images, clean, tmp_path, kind):
    assert NAMES[1] in must(clean.podman("load", "-i", save(mica, tmp_path, kind, NAMES[1])))
    assert ids(clean.podman, NAMES[1:]) == {NAMES[1]: images[NAMES[1]]}


def test_what_docker_saves_is_loaded(mica, images, clean, make_mica, tmp_path):
    must(clean.docker("load", "-i", save(mica, tmp_path, "docker-archive", *NAMES)))
    must(clean.docker("save", "-o", tmp_path / "docker.tar", *NAMES))
    other = make_mica()
    assert sorted(other("load", "-i", tmp_path / "docker.tar").lines) == sorted(f"Loaded image: {name}" for name in NAMES)
    assert {name: other.image(name)["Id"] for name in NAMES} == images
    assert other("run", "--rm", "--network", "none", NAMES[1]).out == TEXTS[NAMES[1]]
    other("fsck")
    must(clean.podman("load", "-i", tmp_path / "docker.tar"))
    assert ids(clean.podman, PODMANS.values()) == {PODMANS[name]: images[name] for name in NAMES}, "as it takes mica's"


@pytest.mark.parametrize("kind, options, names", [("docker-archive", ["-m"], NAMES), ("docker-archive", [], NAMES[1:]), ("oci-archive", [], NAMES[1:])])
def test_what_podman_saves_is_loaded(mica, images, clean, make_mica, tmp_path, kind, options, names):
    must(clean.podman("load", "-i", save(mica, tmp_path, kind, *names)))
    names = {PODMANS[name]: name for name in names}
    must(clean.podman("save", "--format", kind, *options, "-o", tmp_path / "podman.tar", *names))
    other = make_mica()
    assert sorted(other("load", "-i", tmp_path / "podman.tar").lines) == sorted(f"Loaded image: {name}" for name in names)
    for name, own in names.items():
        assert other.image(name)["Id"] == images[own]
        assert other("run", "--rm", "--network", "none", name).out == TEXTS[own]
    other("fsck")


def test_what_podman_turns_into_oci_is_loaded(mica, images, clean, make_mica, tmp_path):
    """From a docker-archive it writes an oci-archive with a config of its own, hence with another id: mica and podman agree on that."""
    must(clean.podman("load", "-i", save(mica, tmp_path, "docker-archive", NAMES[1])))
    must(clean.podman("save", "--format", "oci-archive", "-o", tmp_path / "podman.tar", NAMES[1]))
    other = make_mica()
    other("load", "-i", tmp_path / "podman.tar")
    must(clean.podman("rmi", "-f", NAMES[1]))
    must(clean.podman("load", "-i", tmp_path / "podman.tar"))
    assert other.image(NAMES[1])["Id"] == ids(clean.podman, NAMES[1:])[NAMES[1]]
    assert other("run", "--rm", "--network", "none", NAMES[1]).out == runs(clean.podman, NAMES[1]) == TEXTS[NAMES[1]]


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_skopeo_reads_each_of_several(mica, images, tmp_path, kind):
    path = save(mica, tmp_path, kind, *NAMES)
    for name in NAMES:
        reference = f"{kind}:{path}:{name if kind == 'docker-archive' else name.split(':')[-1]}"
        config = json.loads(skopeo("inspect", "--raw", reference).stdout)["config"]["digest"]
        assert config == images[name]
        skopeo("copy", reference, f"dir:{tmp_path}/{name.split(':')[-1]}")
