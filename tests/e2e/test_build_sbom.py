"""SBOMs: from a scanner that follows BuildKit's protocol, or handed in; laid beside the provenance as BuildKit lays them."""
import json

import pytest

from conftest import skopeo
from test_build_provenance import Archive

pytestmark = pytest.mark.usefixtures("root_only")
SPDX = "https://spdx.dev/Document"

# Tells what it finds, and tries what it must not be able to do.
SCANNER = """FROM busybox
WORKDIR /home
COPY --chmod=755 <<"END" /scan
#!/bin/sh
set -e
touch "$BUILDKIT_SCAN_SOURCE/new" 2>/dev/null && exit 3
[ "$(pwd)" = /home ] && [ -d /tmp ]
statement() {
    printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","subject":[],"predicate":{"spdxVersion":"SPDX-2.3","name":"%s"}}' "$1"
}
statement "$(ls "$BUILDKIT_SCAN_SOURCE" | tr '\\n' ' ')$BUILDKIT_SCAN_DEPTH" >"$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"
for extra in ${BUILDKIT_SCAN_SOURCE_EXTRAS:+"$BUILDKIT_SCAN_SOURCE_EXTRAS"*}; do
    statement "$(ls $extra | tr '\\n' ' ')" >"$BUILDKIT_SCAN_DESTINATION/${extra##*/}.spdx.json"
done
statement other >"$BUILDKIT_SCAN_DESTINATION/a.spdx.json"
END
ENTRYPOINT ["/scan"]
"""


@pytest.fixture
def scanner(mica, busybox, context):
    mica("build", "-t", "scanner", context({"Dockerfile": SCANNER}))
    return "scanner"


def attestation(archive, at=-1):
    manifest = archive.read(archive.index["manifests"][at]["digest"])
    return [(layer["annotations"]["in-toto.io/predicate-type"], archive.read(layer["digest"])) for layer in manifest["layers"]]


def test_a_scanner_of_buildkits_protocol(mica, scanner, context, tmp_path):
    ctx = context({"Dockerfile": "FROM scratch\nCOPY one two /\n", "one": "1", "two": "2"})
    options = ["--progress", "plain", "-t", "app:1", "--attest", f"type=sbom,generator={scanner},DEPTH=7", "--provenance", "mode=min", "-o", f"type=oci,dest={tmp_path}/o.tar"]
    mica("build", *options, ctx)
    archive = Archive(tmp_path / "o.tar")
    assert archive.index["manifests"][1]["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
    (first, sbom), (second, other), (third, provenance) = attestation(archive)
    assert (first, second) == (SPDX, SPDX) and third.startswith("https://slsa.dev/provenance/")
    assert (sbom["predicate"]["spdxVersion"], sbom["predicate"]["name"]) == ("SPDX-2.3", "one two 7") and other["predicate"]["name"] == "other"
    image = archive.index["manifests"][0]["digest"].split(":")[1]
    assert sbom["predicateType"] == SPDX and sbom["subject"] == provenance["subject"] and sbom["subject"][0]["digest"]["sha256"] == image
    assert any("scanner" in d["uri"] for d in provenance["predicate"]["buildDefinition"]["resolvedDependencies"])
    assert mica("build", *options, ctx).err.count("CACHED") == 4, "what was scanned already is not scanned again"
    (ctx / "one").rename(ctx / "zero")
    (ctx / "Dockerfile").write_text("FROM scratch\nCOPY zero two /\n")
    mica("build", *options, ctx)
    assert attestation(Archive(tmp_path / "o.tar"))[0][1]["predicate"]["name"] == "two zero 7"
    mica("fsck")


@pytest.mark.parametrize("compression", ["gzip", "uncompressed"])
@pytest.mark.parametrize("more", [[], ["--squash"]])
def test_files_name_their_layers(mica, busybox, context, tmp_path, compression, more):
    """As BuildKit's exporter does it: who reads the SBOM wants to know which layer brought the vulnerable file in. The last layer that has it counts."""
    files = [{"fileName": name} for name in ("/one", "two", "./gone", "/bin/busybox", "/nowhere", "/../one")] + [{"fileName": "/one", "comment": "mine"}, "odd", {}]
    predicate = json.dumps({"spdxVersion": "SPDX-2.3", "creationInfo": {"creators": ["Tool: x"]}, "files": files})
    extra = json.dumps({"spdxVersion": "SPDX-2.3", "files": files})
    mica("build", "-t", "scanner", context({"Dockerfile": "FROM busybox\nCOPY doc extra /\nENTRYPOINT [\"/bin/sh\", \"-c\", \"cp /doc /run/out/sbom.spdx.json; cp /extra /run/out/x.spdx.json\"]\n",
                                            "doc": predicate, "extra": extra}))
    ctx = context({"Dockerfile": "FROM busybox\nCOPY one two gone /\nCOPY one /\nRUN rm /gone\n", "one": "1", "two": "2", "gone": "3"})
    mica("build", "--sbom=generator=scanner", *more, "-o", f"type=oci,dest={tmp_path}/o.tar,compression={compression}", ctx)
    archive = Archive(tmp_path / "o.tar")
    (_, sbom), (_, other) = attestation(archive)
    layers = ["layerID: " + layer["digest"] for layer in archive.read(archive.index["manifests"][0]["digest"])["layers"]]
    want = [layers[2], layers[1], layers[1], layers[0]] if not more else [layers[1], layers[1], None, layers[0]]
    found = sbom["predicate"]["files"]
    assert [f.get("comment") for f in found[:4]] == want
    assert found[4:] == files[4:], "what is nowhere, or says something already, stays as it is"
    assert sbom["predicate"]["creationInfo"]["creators"][0] == "Tool: x" and sbom["predicate"]["creationInfo"]["creators"][1].startswith("Tool: mica-")
    assert other["predicate"] == json.loads(extra), "only the SBOM of the result has layers"
    mica("build", "--sbom=generator=scanner", "-o", f"type=local,dest={tmp_path}/l", ctx)
    assert json.loads((tmp_path / "l/sbom.spdx.json").read_text())["predicate"] == json.loads(predicate), "files have no layers"
    (tmp_path / "mine.spdx.json").write_text(predicate)
    mica("build", f"--sbom=file={tmp_path}/mine.spdx.json", "-o", f"type=oci,dest={tmp_path}/m.tar", ctx)
    assert attestation(Archive(tmp_path / "m.tar"))[0][1]["predicate"] == json.loads(predicate), "a document of somebody else is not touched"


def test_each_platform_has_its_own(mica, scanner, context, tmp_path):
    ctx = context({"Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\n", "f": ""})
    mica("build", "--platform", "linux/amd64,linux/arm64", f"--sbom=generator={scanner}", "-t", "app", ctx)
    manifests = mica.image("app")["Manifests"]
    assert [m["Kind"] for m in manifests] == ["image", "image", "attestation", "attestation"]
    skopeo("copy", "--all", f"oci:{mica.root}:app:latest", f"oci:{tmp_path}/copy:x")
    mica("build", "--platform", "linux/amd64,linux/arm64", f"--sbom=generator={scanner}", "-o", f"type=local,dest={tmp_path}/l", ctx)
    for arch in ("amd64", "arm64"):
        statement = json.loads((tmp_path / f"l/linux_{arch}/sbom.spdx.json").read_text())
        assert statement["predicate"]["name"] == f"{arch} " and [s["name"] for s in statement["subject"]] == [arch]


@pytest.mark.parametrize("head, in_stage, options, extras", [
    ("", "", [], {}),
    ("ARG BUILDKIT_SBOM_SCAN_STAGE=true\n", "", [], {"one": "a ", "two": "b "}),
    ("ARG BUILDKIT_SBOM_SCAN_STAGE=two,last\nARG BUILDKIT_SBOM_SCAN_CONTEXT=last\n", "", [], {"two": "b ", "context": "a b "}),
    ("", "ARG BUILDKIT_SBOM_SCAN_STAGE=true\n", [], {"one": "a "}),
    ("", "ARG BUILDKIT_SBOM_SCAN_STAGE\n", ["--build-arg", "BUILDKIT_SBOM_SCAN_STAGE=1"], {"one": "a "}),
    ("ARG BUILDKIT_SBOM_SCAN_STAGE=true\n", "ARG BUILDKIT_SBOM_SCAN_STAGE=false\n", [], {"two": "b "}),
])
def test_stages_and_the_context_are_scanned_when_asked(mica, scanner, context, tmp_path, head, in_stage, options, extras):
    """As BuildKit's arguments say; a stage that is not built is never looked at."""
    ctx = context({"Dockerfile": f"{head}FROM scratch AS unused\nCOPY a /\nFROM scratch AS one\n{in_stage}COPY a /\nFROM scratch AS two\nCOPY b /\n"
                                 "FROM scratch AS last\nCOPY --from=one /a /c\nCOPY --from=two /b /d\n", "a": "a", "b": "b", ".dockerignore": "Dockerfile\n.d*\n"})
    mica("build", f"--sbom=generator={scanner}", *options, "-o", f"type=local,dest={tmp_path}/l", ctx)
    names = {p.name[:-len(".spdx.json")]: json.loads(p.read_text())["predicate"]["name"] for p in (tmp_path / "l").glob("*.spdx.json")}
    assert names == {"sbom": "c d ", "a": "other", **{f"sbom-{k}": v for k, v in dict(extras).items()}}


def test_documents_that_are_handed_in(mica, context, tmp_path):
    document = {"spdxVersion": "SPDX-2.3", "name": "mine", "packages": [{"name": "x"}]}
    (tmp_path / "mine.spdx.json").write_text(json.dumps(document))
    statement = {"_type": "https://in-toto.io/Statement/v1", "predicateType": SPDX, "subject": [{"name": "y", "digest": {"sha256": "0" * 64}}], "predicate": document}
    (tmp_path / "other.spdx.json").write_text(json.dumps(statement))
    ctx = context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    mica("build", f"--sbom=file={tmp_path}/mine.spdx.json", "--attest", f"type=sbom,file={tmp_path}/other.spdx.json", "-o", f"type=oci,dest={tmp_path}/o.tar", ctx)
    (_, other), (_, mine) = attestation(Archive(tmp_path / "o.tar"))
    assert mine["predicate"] == other["predicate"] == document
    assert other["subject"] == statement["subject"] and mine["subject"][0]["name"] == "_"
    (tmp_path / "bad.json").write_text('{"bomFormat": "CycloneDX"}')
    assert "is neither an SPDX document" in mica.fails(1, "build", f"--sbom=file={tmp_path}/bad.json", ctx).err


@pytest.mark.parametrize("script, says", [("exit 5", "exit code: 5"), ("true", "wrote no document"), ("echo x >$BUILDKIT_SCAN_DESTINATION/x", "cannot read the SBOM 'x'"),
                                          ("ln -s /etc/passwd $BUILDKIT_SCAN_DESTINATION/x", "what the scanner"), ("mkdir $BUILDKIT_SCAN_DESTINATION/x", "what the scanner")])
def test_a_scanner_that_fails(mica, busybox, context, script, says):
    mica("build", "-t", "bad", context({"Dockerfile": f"FROM busybox\nENTRYPOINT [\"/bin/sh\", \"-c\", \"{script}\"]\n"}))
    result = mica.fails(1, "build", "-t", "app", "--sbom=generator=bad", context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
    assert says in result.err and "app" not in mica("images").out
