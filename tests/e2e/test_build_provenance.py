"""Attestations: what a build says about its image, where that lies, and what of it must not be said."""
import base64
import hashlib
import json
import tarfile

import pytest

from conftest import import_busybox, require_tool, skopeo
from git_server import git, make_repository

DOCKERFILE = """FROM busybox AS b
ARG WORD
RUN --network=none --mount=type=secret,id=token echo $WORD >/b
FROM busybox
COPY --from=b /b /c
"""
EPOCH = {"SOURCE_DATE_EPOCH": "1600000000"}


@pytest.fixture
def ctx(context):
    return context({"Dockerfile": DOCKERFILE})


class Archive:
    def __init__(self, path):
        self.tar = tarfile.open(path)
        self.top = json.load(self.tar.extractfile("index.json"))["manifests"][0]
        self.index = self.read(self.top["digest"])

    def bytes(self, digest):
        data = self.tar.extractfile("blobs/" + digest.replace(":", "/")).read()
        assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
        return data

    def read(self, digest):
        return json.loads(self.bytes(digest))

    def statement(self, at=-1):
        self.attestation = self.read(self.index["manifests"][at]["digest"])
        return self.read(self.attestation["layers"][0]["digest"])


def build(mica, ctx, tmp_path, *options, **kwargs):
    out = tmp_path / "o.tar"
    mica("build", "-t", "app:1", "--build-arg", "WORD=magic", "--secret", "id=token,env=TOKEN", "-o", f"type=oci,dest={out}", *options, ctx,
         env={"TOKEN": "canary-value", **kwargs.pop("env", {})}, **kwargs)
    return Archive(out)


def test_the_index_is_laid_out_as_buildkit_does(mica, busybox, ctx, tmp_path):
    archive = build(mica, ctx, tmp_path, "--provenance=mode=min")
    image, attestation = archive.index["manifests"]
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"] == {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
    statement = archive.statement()
    manifest = archive.attestation
    assert manifest["artifactType"] == "application/vnd.docker.attestation.manifest.v1+json" and manifest["subject"]["digest"] == image["digest"]
    assert archive.bytes(manifest["config"]["digest"]) == b"{}"
    layer = manifest["layers"][0]
    assert layer["mediaType"] == "application/vnd.in-toto+json" and layer["annotations"] == {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1" and statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "pkg:docker/app@1?platform=linux%2F" + image["platform"]["architecture"],
                                     "digest": {"sha256": image["digest"][7:]}}]
    skopeo("copy", "--all", f"oci-archive:{tmp_path}/o.tar", f"oci:{tmp_path}/copied:x")
    old = build(mica, ctx, tmp_path, "--provenance=true", "-o", f"type=oci,dest={tmp_path}/old.tar,oci-artifact=false")
    old = Archive(tmp_path / "old.tar")
    old.statement()
    config = old.read(old.attestation["config"]["digest"])
    assert config["os"] == "unknown" and config["rootfs"]["diff_ids"] == [old.attestation["layers"][0]["digest"]] and "artifactType" not in old.attestation


def test_max_tells_the_steps_and_min_tells_no_arguments(mica, busybox, ctx, tmp_path):
    archive = build(mica, ctx, tmp_path, "--provenance=mode=max,builder-id=me,reproducible=true")
    predicate = archive.statement()["predicate"]
    definition, metadata = predicate["buildDefinition"], predicate["runDetails"]["metadata"]
    assert definition["externalParameters"]["request"]["args"]["build-arg:WORD"] == "magic"
    assert definition["externalParameters"]["request"]["secrets"] == [{"id": "token"}]
    assert definition["resolvedDependencies"][0]["uri"].startswith("pkg:docker/busybox@latest?platform=")
    assert definition["resolvedDependencies"][0]["digest"]["sha256"] == mica.image("busybox")["Descriptor"]["digest"][7:]
    assert base64.b64decode(metadata["buildkit_metadata"]["source"]["infos"][0]["data"]).decode() == DOCKERFILE
    steps = {s["id"]: s for s in definition["internalParameters"]["buildConfig"]["llbDefinition"]}
    copy = [s for s in steps.values() if "COPY --from=b" in s["name"]][0]
    assert [steps[i.split(":")[0]]["name"] for i in copy["inputs"]] == ["FROM busybox", "[b 2/2] RUN --network=none --mount=type=secret,id=token echo magic >/b"]
    layers = archive.read(archive.index["manifests"][0]["digest"])["layers"]
    assert metadata["buildkit_metadata"]["layers"][copy["id"] + ":0"] == [layers]
    assert predicate["runDetails"]["builder"]["id"] == "me" and metadata["buildkit_reproducible"] is True
    assert metadata["buildkit_completeness"] == {"request": True, "resolvedDependencies": False}, "the context is a directory that nobody else has"

    archive = build(mica, ctx, tmp_path, "--attest", "type=provenance,mode=min")
    text = json.dumps(archive.statement())
    assert "magic" not in text and "token" not in text and "canary-value" not in text
    assert archive.statement()["predicate"]["runDetails"]["metadata"]["buildkit_completeness"]["request"] is False


def test_what_git_says_of_the_context(mica, tmp_path):
    """As buildx: commit, remote without its password, and where in the repository the context lies; nothing that the repository names is run."""
    require_tool("git")
    top, commit = make_repository(tmp_path, "repository", {"app/docker/Dockerfile": "FROM scratch\nCOPY f /f\n", "app/f": "x"})
    git(top, "remote", "add", "upstream", "https://upstream.invalid/x.git")
    git(top, "remote", "add", "origin", "https://me:s3cret@host.invalid:8443/p@th/x.git")
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(top, "config", "core.fsmonitor", trap)

    def vcs(*options, **env):
        mica("build", "-f", top / "app/docker/Dockerfile", "-o", f"type=oci,dest={tmp_path}/o.tar", *options, top / "app", env=env)
        metadata = Archive(tmp_path / "o.tar").statement()["predicate"]["runDetails"]["metadata"]
        return metadata["buildkit_metadata"].get("vcs")

    told = {"revision": commit, "source": "https://host.invalid:8443/p@th/x.git", "localdir:context": "app", "localdir:dockerfile": "app/docker"}
    assert vcs("--provenance=mode=min") == vcs("--provenance=mode=max") == told
    assert vcs("--provenance=true", BUILDX_GIT_INFO="false") is None
    (top / "app/f").write_text("changed")
    assert vcs("--provenance=true") == told and vcs("--provenance=true", BUILDX_GIT_CHECK_DIRTY="1") == {**told, "revision": commit + "-dirty"}
    assert not (tmp_path / "sprung").exists()
    mica("build", "-t", "l", "-f", top / "app/docker/Dockerfile", "--label", "org.opencontainers.image.source=mine", top / "app", env={"BUILDX_GIT_LABELS": "1"})
    assert mica.image("l")["Config"]["Labels"] == {"org.opencontainers.image.revision": commit, "org.opencontainers.image.source": "mine",
                                                   "com.docker.image.source.entrypoint": "app/docker/Dockerfile"}
    mica("build", "-t", "l", "-f", top / "app/docker/Dockerfile", top / "app")
    assert not mica.image("l")["Config"]["Labels"]
    (top / "f").write_text("x")
    (top / ".git/HEAD").write_text("nonsense")
    done = mica("build", "--provenance=true", "-f", top / "app/docker/Dockerfile", "-o", f"type=oci,dest={tmp_path}/o.tar", top)
    assert "WARNING: current commit information was not captured by the build" in done.err


def test_complete_and_hermetic(mica, busybox, site, tmp_path):
    """A context that others can get is complete; without the network, too, what was built depends on nothing else."""
    _, commit = make_repository(site.top, "r", {"Dockerfile": "FROM busybox\nRUN --network=none echo hello >/f\n", "Online": "FROM busybox\nRUN echo hello >/f\n"})

    def metadata(*options):
        mica("build", "--provenance=true", "-o", f"type=oci,dest={tmp_path}/o.tar", *options, f"{site.url}/r.git")
        predicate = Archive(tmp_path / "o.tar").statement()["predicate"]
        assert predicate["buildDefinition"]["externalParameters"]["configSource"]["digest"] == {"sha1": commit}
        return predicate["runDetails"]["metadata"]

    assert metadata()["buildkit_completeness"] == {"request": True, "resolvedDependencies": True} and metadata()["buildkit_hermetic"] is True
    online = metadata("-f", "Online")
    assert online["buildkit_completeness"]["resolvedDependencies"] is True and "buildkit_hermetic" not in online
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    local = metadata("-f", "Online", "--network", "none", "--build-context", f"more={tmp_path}/d")
    assert local["buildkit_completeness"]["resolvedDependencies"] is False and "buildkit_hermetic" not in local


def test_version_02(mica, busybox, ctx, tmp_path):
    statement = build(mica, ctx, tmp_path, "--provenance=version=v0.2").statement()
    assert statement["predicateType"] == "https://slsa.dev/provenance/v0.2"
    predicate = statement["predicate"]
    assert predicate["invocation"]["configSource"]["entryPoint"] == "Dockerfile" and predicate["materials"][0]["uri"].startswith("pkg:docker/busybox")
    assert set(predicate["metadata"]["completeness"]) == {"parameters", "environment", "materials"}


def test_the_same_bytes_with_an_epoch(make_mica, busybox_tar, ctx, tmp_path):
    seen = set()
    for n in range(2):
        mica = make_mica()
        mica.env.update(EPOCH)
        import_busybox(mica, busybox_tar)
        build(mica, ctx, tmp_path, "--provenance=mode=max")
        seen.add(hashlib.sha256((tmp_path / "o.tar").read_bytes()).hexdigest())
    assert len(seen) == 1


def test_in_the_store_it_is_an_index_of_one_image(mica, make_mica, busybox, ctx, tmp_path):
    mica("build", "-t", "app:1", "-q", ctx)
    assert "Manifests" not in mica.image("app:1"), "off unless asked for: the image stays what it is"
    mica("build", "-t", "app:1", "--provenance=true", ctx)
    image = mica.image("app:1")
    assert [m["Kind"] for m in image["Manifests"]] == ["image", "attestation"]
    assert image["Manifests"][1]["AttestationData"]["For"] == image["Manifests"][0]["ID"]
    assert mica("run", "--rm", "--network", "none", "app:1", "cat", "/c").out == "\n"
    mica("save", "-o", tmp_path / "s.tar", "app:1")
    copy = make_mica()
    copy("load", "-i", tmp_path / "s.tar")
    assert copy.image("app:1")["Descriptor"] == image["Descriptor"]
    copy("fsck")
    mica("image", "prune", "-f")
    mica("fsck")
    mica("rmi", "app:1")
    mica("fsck")


def test_beside_files(mica, busybox, context, tmp_path):
    ctx = context({"Dockerfile": "FROM scratch\nCOPY f /dir/f\n", "f": "content"})
    mica("build", "--provenance=mode=min", "-o", tmp_path / "l", "-o", f"type=tar,dest={tmp_path}/t.tar,attestation-prefix=x-", ctx)
    statement = json.loads((tmp_path / "l/provenance.json").read_text())
    assert statement["subject"] == [{"name": "dir/f", "digest": {"sha256": hashlib.sha256(b"content").hexdigest()}}]
    with tarfile.open(tmp_path / "t.tar") as tar:
        assert json.load(tar.extractfile("x-provenance.json"))["predicateType"] == "https://slsa.dev/provenance/v1"
    mica("build", "--provenance=inline-only=true", "-o", tmp_path / "l2", ctx)
    assert not (tmp_path / "l2/provenance.json").exists()


def test_metadata_has_provenance_as_buildx(mica, busybox, ctx, tmp_path):
    meta = tmp_path / "m.json"

    def told(mode, *options):
        mica("build", "--build-arg", "WORD=magic", "--metadata-file", meta, *options, ctx, env={"BUILDX_METADATA_PROVENANCE": mode})
        return json.loads(meta.read_text())

    assert "magic" not in json.dumps(told("")["buildx.build.provenance"])
    assert told("max")["buildx.build.provenance"]["buildDefinition"]["externalParameters"]["request"]["args"] == {"build-arg:WORD": "magic"}
    assert "buildx.build.provenance" not in told("disabled")
    assert "buildx.build.provenance" in told("min", "-o", "type=cacheonly")


@pytest.mark.parametrize("options, message", [
    (["--provenance=mode=medium"], "known are min and max"),
    (["--provenance=version=v2"], "known are v1 and v0.2"),
    (["--provenance=colour=red"], "unknown attribute 'colour'"),
    (["--attest", "mode=max"], "attestation type not specified"),
    (["--attest", "type=horoscope"], "unknown attestation type 'horoscope'"),
    (["--sbom=true"], "there is no image 'docker/buildkit-syft-scanner:stable-1' in the store"),
    (["--attest", "type=sbom,generator=nowhere"], "an SBOM needs a scanner, an image that follows BuildKit's protocol (--sbom=generator=IMAGE), or a document"),
    (["--attest", "type=sbom,generator="], "generator is empty"),
    (["--attest", "type=sbom,foo-bar=1"], "unknown attribute 'foo-bar'"),
    (["--sbom=file=/nowhere.json"], "cannot read the SBOM '/nowhere.json': No such file"),
    (["--sbom=file=/etc/passwd"], "invalid JSON"),
    (["--sbom=generator=busybox"], "the scanner 'busybox' wrote no document into /run/out"),
    (["--provenance=filename=../x"], "without slashes"),
    (["--provenance=true", "-o", "type=docker,dest=x"], "does not support exporting manifest lists"),
])
def test_what_is_wrong_is_said(mica, busybox, ctx, options, message):
    assert message in mica.fails(1, "build", *options, ctx).err
