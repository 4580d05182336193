"""Builds for several platforms: what runs, what runs once, what cannot run, and the index that the store keeps."""
import json
import os
import subprocess
import tarfile

import pytest

from conftest import import_busybox, require_root, require_tool, skopeo

FILES = "FROM scratch\nARG TARGETPLATFORM TARGETARCH TARGETVARIANT\nCOPY Dockerfile /$TARGETARCH\nLABEL platform=$TARGETPLATFORM\n"

# open("/out"), write its own name, exit: programs that need nothing, for both kinds of system call of this processor.
PROGRAMS = {
    "386": ("--32", "elf_i386", """
.globl _start
_start: mov $5,%eax; mov $path,%ebx; mov $0x41,%ecx; mov $0644,%edx; int $0x80
 mov %eax,%ebx; mov $4,%eax; mov $text,%ecx; mov $4,%edx; int $0x80
 mov $1,%eax; xor %ebx,%ebx; int $0x80
.data
path: .asciz "/out"
text: .ascii "386\\n"
"""),
    "amd64": ("--64", "elf_x86_64", """
.globl _start
_start: mov $2,%eax; lea path(%rip),%rdi; mov $0x41,%esi; mov $0644,%edx; syscall
 mov %eax,%edi; mov $1,%eax; lea text(%rip),%rsi; mov $6,%edx; syscall
 mov $60,%eax; xor %edi,%edi; syscall
.data
path: .asciz "/out"
text: .ascii "amd64\\n"
"""),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A directory with wamd64 and w386, or a skip on a processor that has no such pair."""
    if os.uname().machine != "x86_64":
        pytest.skip("needs a processor that runs amd64 and 386")
    top = tmp_path_factory.mktemp("programs")
    for arch, (flag, emulation, text) in PROGRAMS.items():
        subprocess.run([require_tool("as"), flag, "-o", top / "o", "-"], input=text.encode(), check=True)
        subprocess.run([require_tool("ld"), "-m", emulation, "-o", top / f"w{arch}", top / "o"], check=True)
    return {f"w{arch}": (top / f"w{arch}").read_bytes() for arch in PROGRAMS}


def foreign():
    """An architecture whose programs nothing runs here, not even the emulators that Debian registers where systemd is."""
    return next((arch for arch in ("s390x", "riscv64", "ppc64le") if not os.path.exists(f"/proc/sys/fs/binfmt_misc/qemu-{arch}")), "sparc64")


def platforms(mica, name):
    return ["/".join(filter(None, (m["ImageData"]["Platform"][k] if k in m["ImageData"]["Platform"] else "" for k in ("os", "architecture", "variant"))))
            for m in mica.image(name)["Manifests"] if m["Kind"] == "image"]


def test_programs_of_two_platforms_run_and_equal_steps_run_once(mica, context, programs, tmp_path, root_only):
    ctx = context({**programs, "Dockerfile": """FROM --platform=$BUILDPLATFORM scratch AS build
COPY wamd64 /w
RUN ["/w"]
FROM scratch
ARG TARGETARCH
COPY w$TARGETARCH /w
RUN ["/w"]
COPY --from=build /out /built
"""})
    for p in programs:
        (ctx / p).chmod(0o755)
    done = mica("build", "--platform", "linux/amd64,linux/386", "-t", "m:1", "--load", "-o", f"type=local,dest={tmp_path}/l", ctx)
    assert (tmp_path / "l/linux_386/out").read_text() == "386\n" and (tmp_path / "l/linux_386/built").read_text() == "amd64\n"
    assert (tmp_path / "l/linux_amd64/out").read_text() == "amd64\n"
    ran = [line for line in done.err.splitlines() if "build 2/2] RUN" in line]
    assert any("[linux/amd64 build 2/2]" in line for line in ran) and any("[linux/amd64->386 build 2/2]" in line for line in ran)
    ids = {line.split()[0] for line in ran}
    assert sum(f"{i} CACHED" in done.err for i in ids) == 1, "the stage that both share runs once"
    assert platforms(mica, "m:1") == ["linux/amd64", "linux/386"]
    assert mica.image("m:1")["Architecture"] == "amd64", "without a platform a name means this machine's"
    mica("fsck")


def test_a_platform_that_cannot_run_is_told_before_the_first_run(mica, busybox, context, tmp_path):
    arch = foreign()
    ctx = context({"Dockerfile": "FROM --platform=$BUILDPLATFORM busybox AS b\nRUN touch /ran && sleep 1\nFROM scratch\nCOPY --from=b /bin /bin\nRUN true\n"})
    done = mica.fails(1, "build", "--platform", f"linux/{arch}", ctx)
    assert f"programs of linux/{arch} cannot run" in done.err and ">>> RUN true" in done.err
    assert "RUN touch" not in done.err, "nothing was started"
    assert "FROM --platform=$BUILDPLATFORM" in done.err


def test_files_alone_need_no_processor_and_cross_stages_neither(mica, busybox, context, tmp_path, root_only):
    ctx = context({"Dockerfile": "FROM --platform=$BUILDPLATFORM busybox AS b\nARG TARGETARCH\nRUN echo $TARGETARCH >/made\nFROM scratch\nCOPY --from=b /made /made\n"})
    mica("build", "--platform", "linux/arm64", "--platform", "linux/s390x,linux/arm/v7", "-o", f"type=tar,dest={tmp_path}/t.tar", "-t", "m:1", "--load", ctx)
    with tarfile.open(tmp_path / "t.tar") as tar:
        assert {n: tar.extractfile(n + "/made").read().decode() for n in ("linux_arm64", "linux_s390x", "linux_arm_v7")} == {
            "linux_arm64": "arm64\n", "linux_s390x": "s390x\n", "linux_arm_v7": "arm\n"}
    assert platforms(mica, "m:1") == ["linux/arm64", "linux/s390x", "linux/arm/v7"]


def test_the_store_keeps_an_index_and_every_command_copes(mica, make_mica, context, tmp_path):
    ctx = context({"Dockerfile": FILES})
    iid = tmp_path / "iid"
    mica("build", "--platform", "linux/amd64,linux/arm64", "-t", "m:1", "--iidfile", iid, ctx)
    image = mica.image("m:1")
    assert image["Descriptor"]["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert iid.read_text() == image["Descriptor"]["digest"], "the id of what has several platforms is that of the index"
    assert mica.image(iid.read_text())["Id"] == image["Id"] == mica.image(iid.read_text()[7:19])["Id"]
    assert len(mica("images", "-q").lines) == 1 and len(mica("images", "-aq").lines) == 2
    other = [i for i in mica("images", "-aq", "--no-trunc").lines if i != image["Id"]][0]
    assert "one platform of the image" in mica.fails(1, "rmi", other).err
    assert mica("image", "prune", "-f").out.count("deleted") == 0
    index = json.loads((mica.root / "index.json").read_text())
    assert index["manifests"][0]["digest"] == iid.read_text(), "other tools see the index in the store too"
    assert skopeo("inspect", "--raw", f"oci:{mica.root}:m:1").stdout.count("platform") == 2

    for form in ("docker-archive", "oci-archive"):
        mica("save", "--format", form, "-o", tmp_path / "s.tar", "m:1")
        copy = make_mica()
        copy("load", "-i", tmp_path / "s.tar")
        assert copy.image("m:1")["Descriptor"] == image["Descriptor"]
        copy("fsck")
        copy("system", "df")
        assert copy("load", "--platform", "linux/arm64", "-i", tmp_path / "s.tar").code == 0
        assert copy.image("m:1")["Architecture"] == "arm64" or form == "docker-archive"
        copy("rmi", "-f", *copy("images", "-q").lines)
        copy("image", "prune", "-af")
        assert copy("images", "-aq").out == ""
        copy("fsck")

    mica("tag", image["Id"], "single:1")
    mica("rmi", "m:1")
    assert "Manifests" not in mica.image("single:1"), "what was tagged by its own id is one image"
    mica("rmi", "single:1")
    mica("image", "prune", "-f")
    assert mica("images", "-aq").out == ""
    mica("fsck")


def test_a_tag_of_an_index_is_for_all_platforms(mica, context, tmp_path, make_mica):
    """What is tagged and shipped under the new name is not less than what was built."""
    mica("build", "--platform", "linux/amd64,linux/arm64", "--provenance", "mode=min", "-t", "m:1", context({"Dockerfile": FILES}))
    image = mica.image("m:1")
    mica("tag", "m:1", "second:2")
    mica("tag", image["Descriptor"]["digest"], "third:3")
    for name in ("second:2", "third:3"):
        assert mica.image(name)["Descriptor"] == image["Descriptor"] and mica.image(name)["Manifests"] == image["Manifests"]
    assert len(mica("images", "-q").lines) == 3 and len(set(mica("images", "-q").lines)) == 1
    assert mica("rmi", "m:1").out == "Untagged: m:1\n"
    assert mica.image("second:2")["Descriptor"] == image["Descriptor"]
    assert len(mica("images", "-aq").lines) == 3, "the other platform is still there"
    mica("save", "-o", tmp_path / "s.tar", "second:2")
    copy = make_mica()
    copy("load", "-i", tmp_path / "s.tar")
    assert copy.image("second:2")["Descriptor"] == image["Descriptor"]
    assert skopeo("inspect", "--raw", f"oci:{mica.root}:second:2").stdout.count('"platform"') == image_count(image)
    mica("tag", mica("images", "-q", "--no-trunc", "third").out.strip(), "third:3")
    assert "Manifests" not in mica.image("third:3") and mica.image("second:2")["Descriptor"] == image["Descriptor"], "a tag moves; others stay"
    mica("rmi", "third:3", "second:2")
    assert mica("images", "-aq").out == ""
    mica("fsck")


def image_count(image):
    return len(image["Manifests"])


def test_a_base_of_several_platforms_gives_each_build_its_own(mica, context, tmp_path):
    mica("build", "--platform", "linux/amd64,linux/arm64", "-t", "base:1", context({"Dockerfile": FILES}))
    ctx = context({"Dockerfile": "FROM base:1\nCOPY Dockerfile /more\n"})
    mica("build", "--platform", "linux/arm64,linux/amd64", "-o", f"type=local,dest={tmp_path}/l", ctx)
    assert (tmp_path / "l/linux_arm64/arm64").exists() and (tmp_path / "l/linux_amd64/amd64").exists()
    done = mica.fails(1, "build", "--platform", "linux/arm64,linux/riscv64", ctx)
    assert "does not provide the specified platform (linux/riscv64): it is for linux/amd64, linux/arm64" in done.err


def test_stages_of_one_base_for_several_platforms(mica, context, tmp_path):
    """Each stage gets its own image of the index, and is judged by it."""
    mica("build", "--platform", "linux/amd64,linux/arm64,linux/arm/v6", "-t", "base:1", context({"Dockerfile": FILES}))
    host = "arm64" if os.uname().machine == "aarch64" else "amd64"
    ctx = context({"Dockerfile": f"FROM --platform=linux/arm64 base:1 AS a\nFROM --platform=linux/arm/v7 base:1 AS b\nFROM base:1\n"
                                 f"COPY --from=a /arm64 /a\nCOPY --from=b /arm /b\nCOPY --from=base:1 /{host} /c\n"})
    done = mica("build", "--progress", "plain", "-o", f"type=local,dest={tmp_path}/l", ctx)
    assert {p.name for p in (tmp_path / "l").iterdir()} == {"a", "b", "c", host}
    assert "InvalidBaseImagePlatform" not in done.err and "FromPlatformFlagConstDisallowed" in done.err


def test_run_takes_the_platform_that_is_asked_for(mica, context, programs, root_only):
    ctx = context({**programs, "Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY --chmod=755 w$TARGETARCH /w\nCMD [\"/w\"]\n"})
    mica("build", "--platform", "linux/amd64,linux/386", "-t", "m:1", ctx)
    for platform in ("386", "linux/386", "linux/amd64", "amd64"):
        name = platform.replace("/", "-")
        done = mica("run", "--network", "none", "--name", name, "--platform", platform, "m:1")
        assert done.err == "" and mica("cp", f"{name}:/out", "-").raw_out.count(platform.split("/")[-1].encode() + b"\n") == 1
        image = mica("image", "inspect", "--platform", platform, "m:1").json[0]
        assert image["Architecture"] == platform.split("/")[-1] and mica.inspect(name)["Image"] == image["Id"] and mica.inspect(name)["Platform"] == "linux"
    assert "does not provide the specified platform (linux/arm64): it is for linux/amd64, linux/386" in mica.fails(125, "run", "--platform", "linux/arm64", "m:1").err
    assert "error parsing specified platform: 'a/b/c/d'" in mica.fails(1, "create", "--platform", "a/b/c/d", "m:1").err
    assert mica.fails(1, "image", "inspect", "--platform", "linux/arm64", "m:1").json == []


def test_an_image_of_another_platform_in_dockers_words(mica, context, root_only):
    """As docker 26 says it: a warning when nobody asked for a platform, an error when it is not the one that was asked for."""
    arch = foreign()
    mica("build", "--platform", f"linux/{arch}", "-t", "other:1", context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /f\nCMD [\"/f\"]\n"}))
    done = mica.fails(126, "run", "--name", "cc", "--network", "none", "other:1")
    warning, error = done.err.splitlines()
    assert warning.startswith(f"WARNING: The requested image's platform (linux/{arch}) does not match the detected host platform (linux/")
    assert warning.endswith(") and no specific platform was requested") and f"exec format error: programs of linux/{arch} cannot run on this machine" in error
    assert mica.inspect("cc")["State"]["Status"] == "created", "nothing was started"
    assert "WARNING" not in mica.fails(1, "start", "cc").err
    assert mica("create", "--platform", f"linux/{arch}", "other:1").err == ""
    host = "arm64" if os.uname().machine == "aarch64" else "amd64"
    assert f"image with reference other:1 was found but does not match the specified platform: wanted linux/{host}, actual: linux/{arch}" in mica.fails(
        1, "create", "--platform", f"linux/{host}", "other:1").err


def test_rebuilding_leaves_no_old_platform_behind(mica, context):
    ctx = context({"Dockerfile": FILES + "COPY f /f\n", "f": "1"})
    mica("build", "--platform", "linux/amd64,linux/arm64", "-t", "m:1", ctx)
    first = mica.image("m:1")["Descriptor"]["digest"]
    (ctx / "f").write_text("2")
    mica("build", "--platform", "linux/amd64,linux/arm64", "-t", "m:1", ctx)
    assert mica.image("m:1")["Descriptor"]["digest"] != first
    mica("image", "prune", "-f")
    assert len(mica("images", "-aq").lines) == 2
    mica("fsck")


def test_oci_archive_of_several_platforms(mica, context, tmp_path):
    out = tmp_path / "o.tar"
    mica("build", "--platform", "linux/amd64,linux/arm/v7", "-t", "m:1", "-o", f"type=oci,dest={out}", "--annotation", "index:a=1", "--annotation",
         "index-descriptor:b=2", "--annotation", "manifest[linux/arm/v7]:c=3", context({"Dockerfile": FILES}))
    with tarfile.open(out) as tar:
        def read(digest):
            return json.load(tar.extractfile("blobs/" + digest.replace(":", "/")))
        top = json.load(tar.extractfile("index.json"))["manifests"][0]
        index = read(top["digest"])
        manifests = [read(m["digest"]) for m in index["manifests"]]
        assert read(manifests[1]["config"]["digest"])["variant"] == "v7"
    assert top["annotations"]["b"] == "2" and index["annotations"] == {"a": "1"}
    assert "annotations" not in manifests[0] and manifests[1]["annotations"] == {"c": "3"}
    skopeo("copy", "--all", f"oci-archive:{out}", f"oci:{tmp_path}/copied:x")
    assert "does not support exporting manifest lists" in mica.fails(
        1, "build", "--platform", "linux/amd64,linux/arm64", "-o", f"type=docker,dest={out}", context({"Dockerfile": FILES})).err


def test_platforms_that_are_none(mica, context):
    ctx = context({"Dockerfile": FILES})
    assert mica.fails(1, "build", "--platform", "linux/amd64,linux/a!b", ctx).err
    assert len(mica("build", "-q", "--platform", "linux/amd64,linux/x86_64", ctx).lines) == 1
    assert "Manifests" not in mica.image(mica("build", "-q", "--platform", "amd64", ctx).out.strip())
