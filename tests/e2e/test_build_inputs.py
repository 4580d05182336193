"""Where the files of a build come from: git repositories, tars, URLs, named contexts. A builder that gets one of these wrong builds something else than was
asked for, or lets a stranger's repository reach into the machine."""
import gzip
import io
import json
import os
import signal
import subprocess
import tarfile
import time

import pytest

from conftest import import_busybox, require_root, require_tool, tar_bytes
from git_server import basic, commit_files, git, git_daemon, make_repository

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture
def as_root():
    require_root()
    require_tool("git")


@pytest.fixture
def box(mica, busybox_tar):
    import_busybox(mica, busybox_tar)
    return mica


def build(mica, *args, **kwargs):
    return mica("build", "--progress", "plain", "-t", "out", *args, **kwargs)


def cat(mica, path):
    return mica("run", "--rm", "--network", "none", "out", "cat", path).out


def listing(mica):
    """{path: TarInfo} of the image."""
    flat = subprocess.run([mica.path, "export", mica("create", "out", "true").out.strip()], env=mica.env, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(flat)) as tar:
        return {m.name: m for m in tar}


# --- git ---


def test_git_context_with_ref_directory_and_cache(box, site):
    work, first = make_repository(site.top, "app", {"Dockerfile": "FROM busybox\nCOPY . /src/\n", "a.txt": "one\n", "run.sh": ("#!/bin/sh\n", 0o755),
                                                   "sub/Dockerfile": "FROM busybox\nCOPY only.txt /\n", "sub/only.txt": "sub\n"})
    git(work, "tag", "-a", "v1", "-m", "v1")
    commit_files(work, {"a.txt": "two\n"})
    url = f"{site.url}/app.git"
    build(box, url)
    files = listing(box)
    assert cat(box, "/src/a.txt") == "two\n"
    assert files["src/run.sh"].mode == 0o755 and files["src/a.txt"].mode == 0o644 and files["src/a.txt"].uid == 0
    assert files["src/a.txt"].mtime == 1704164645, "times are those of the commit, so that the layer is the same everywhere"
    assert not any(".git" in name.split("/") for name in files)
    build(box, f"{url}#v1")
    assert cat(box, "/src/a.txt") == "one\n"
    build(box, f"{url}#{first}")
    assert cat(box, "/src/a.txt") == "one\n"
    build(box, f"{url}?branch=main&subdir=sub")
    assert cat(box, "/only.txt") == "sub\n"
    build(box, f"{url}#main:sub", "-f", "Dockerfile")
    # A known commit costs one question and no file.
    before = len(site.requests)
    result = build(box, f"{url}#v1")
    assert "CACHED" in result.err and not any("git-upload-pack" in path and verb == "POST" and "fetch" in str(h) for verb, path, h in site.requests[before:])
    assert len(site.requests) - before <= 2


def test_git_checksum_and_refs_that_are_not_there(box, site):
    _, commit = make_repository(site.top, "app", {"Dockerfile": "FROM busybox\n"})
    url = f"{site.url}/app.git"
    build(box, f"{url}?checksum={commit[:12]}")
    assert "expected checksum to match" in box.fails(1, "build", f"{url}?checksum={'0' * 40}").err
    assert "does not contain ref 'nope'" in box.fails(1, "build", f"{url}#nope").err
    assert "no directory 'nope'" in box.fails(1, "build", f"{url}#main:nope").err
    assert "not found" in box.fails(1, "build", f"{site.url}/other.git").err
    assert "there is no 'Other' in the build context" in box.fails(1, "build", "-f", "Other", url).err
    assert "invalid git ref" in box.fails(1, "build", f"{url}#--upload-pack=touch /tmp/x").err
    assert "cannot use 'file:///x.git' as a build context" in box.fails(1, "build", "file:///x.git").err


def test_git_passwords_stay_out_of_everything(box, site, tmp_path):
    make_repository(site.top, "private", {"Dockerfile": "FROM busybox\nCOPY f /\n", "f": "private\n"})
    canary = "c4nary-" + os.urandom(6).hex()
    site.passwords["private.git"] = basic("x-access-token", canary)
    url = f"{site.url}/private.git"
    failed = box.fails(1, "build", url)
    assert "git said" in failed.err
    results = [build(box, "--secret", "id=GIT_AUTH_TOKEN,env=TOKEN", url, env={"TOKEN": canary})]
    results.append(build(box, "--secret", f"id=GIT_AUTH_HEADER.{site.host},env=HEADER", url, env={"HEADER": site.passwords["private.git"]}))
    results.append(build(box, url.replace("//", f"//x-access-token:{canary}@")))
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM busybox\nADD --keep-git-dir=true {url} /r/\n")
    results.append(build(box, "--secret", "id=GIT_AUTH_TOKEN,env=TOKEN", "--no-cache", "-f", dockerfile, tmp_path, env={"TOKEN": canary}))
    assert all(canary not in r.out + r.err for r in results)
    assert cat(box, "/r/f") == "private\n"
    found = subprocess.run(["grep", "-rlaF", canary, str(box.root)], stdout=subprocess.PIPE, text=True).stdout
    assert not found, f"the token is in {found}"
    encoded = site.passwords["private.git"].split()[1]
    assert not subprocess.run(["grep", "-rlaF", encoded, str(box.root)], stdout=subprocess.PIPE, text=True).stdout


def test_submodules_and_what_they_must_not_reach(box, site, tmp_path):
    make_repository(site.top, "lib", {"lib.txt": "lib\n"})
    work, _ = make_repository(site.top, "app", {"Dockerfile": "FROM busybox\nCOPY . /src/\n"})
    git(work, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", f"{site.url}/lib.git", "vendor/lib")
    git(work, "commit", "-q", "-m", "submodule")
    url = f"{site.url}/app.git"
    build(box, url)
    assert cat(box, "/src/vendor/lib/lib.txt") == "lib\n"
    assert "src/vendor/lib/.git" not in listing(box)
    build(box, f"{url}?submodules=false")
    assert "src/vendor/lib/lib.txt" not in listing(box)
    # A submodule that is a directory of this machine is not read.
    secret = tmp_path / "host"
    secret.mkdir()
    make_repository(secret, "secret", {"secret.txt": "host\n"})
    git(work, "config", "-f", ".gitmodules", "submodule.vendor/lib.url", f"file://{secret}/secret/.git")
    git(work, "commit", "-qam", "hostile")
    failed = box.fails(1, "build", url)
    assert "submodule" in failed.err and "not allowed" in failed.err


def test_hostile_links_and_hooks_of_a_repository(box, site, tmp_path):
    work, _ = make_repository(site.top, "app", {"Dockerfile": "FROM busybox\nCOPY . /src/\n", "sub/x": "x"})
    os.symlink("/etc", work / "etc")
    os.symlink("../../../../../../etc/passwd", work / "passwd")
    os.symlink("/etc", work / "escape")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "links")
    build(box, f"{site.url}/app.git")
    files = listing(box)
    assert files["src/etc"].issym() and files["src/passwd"].issym(), "links are copied as links, never followed"
    assert "no directory 'escape'" in box.fails(1, "build", f"{site.url}/app.git#main:escape").err
    assert "build context" in box.fails(1, "build", "-f", "passwd", f"{site.url}/app.git").err


def test_add_git(box, site, tmp_path):
    work, first = make_repository(site.top, "app", {"a.txt": "one\n", "sub/b.txt": "b\n"})
    git(work, "tag", "v1")
    url = f"{site.url}/app.git"
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nADD {url} /plain/\nADD --keep-git-dir=true {url}#v1 /kept/\nADD {url}#main:sub /sub/\nADD --checksum={first} {url} /sum/\n")
    build(box, tmp_path)
    files = listing(box)
    assert "plain/a.txt" in files and "plain/.git" not in files and "kept/.git/HEAD" in files and "kept/.git/refs/tags/v1" in files | {"kept/.git/packed-refs": 1}
    assert "sub/b.txt" in files and "sub/a.txt" not in files and "sum/a.txt" in files
    assert "kept/.git/FETCH_HEAD" not in files
    again = build(box, tmp_path)
    assert again.err.count("CACHED") == 5
    commit_files(work, {"a.txt": "two\n"})
    assert "expected checksum to match" in box.fails(1, "build", tmp_path).err
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nADD {url} /plain/\nADD --keep-git-dir=true {url}#v1 /kept/\n")
    build(box, tmp_path)
    assert cat(box, "/plain/a.txt") == "two\n", "a new commit is a new layer"
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nADD --keep-git-dir=true {url}?keep-git-dir=false /x/\n")
    assert "inconsistent keep-git-dir" in box.fails(1, "build", tmp_path).err
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nCOPY {url} /x/\n")
    assert "source can't be a git ref for COPY" in box.fails(1, "build", tmp_path).err


def test_git_protocol(box, site):
    """git:// and repositories whose server is old enough to give only what its refs name."""
    _, first = make_repository(site.top, "app", {"Dockerfile": "FROM busybox\nCOPY f /\n", "f": "one\n"})
    commit_files(site.top / "app", {"f": "two\n"})
    with git_daemon(site.top) as url:
        build(box, f"{url}/app.git#main")
        assert cat(box, "/f") == "two\n"
        build(box, f"{url}/app.git#{first}")
        assert cat(box, "/f") == "one\n", "a commit that is no longer the tip of anything"


def test_git_over_ssh_uses_the_agent_of_the_build(box, site, tmp_path):
    """The ssh program is replaced by one that shows what it was given and runs git here."""
    require_tool("ssh-keygen")
    make_repository(site.top, "app", {"Dockerfile": "FROM busybox\nCOPY f /\n", "f": "ssh\n"})
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "ssh"
    fake.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/calls\nssh-add -l >> {tmp_path}/keys 2>&1\n[ \"$1\" = -G ] && exit 1\n"
                    f"for last; do :; done\ncd {site.top}\neval \"git -c safe.directory='*' ${{last#git-}}\"\n")
    fake.chmod(0o755)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "build-key", "-f", tmp_path / "key"], check=True)
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "SSH_AUTH_SOCK": ""}
    build(box, "--ssh", f"default={tmp_path}/key", "git@host.invalid:app.git#main", env=env)
    assert cat(box, "/f") == "ssh\n"
    assert "BatchMode=yes" in (tmp_path / "calls").read_text() and "git@host.invalid" in (tmp_path / "calls").read_text()
    assert "build-key" in (tmp_path / "keys").read_text()


def test_provenance_names_the_repository(box, site, tmp_path):
    _, commit = make_repository(site.top, "app", {"Dockerfile": "FROM busybox\nCOPY f /\n", "f": "f\n"})
    url = f"{site.url}/app.git"
    metadata = tmp_path / "metadata.json"
    box("build", "--metadata-file", metadata, "--provenance=mode=max", f"{url.replace('//', '//user:s3cret@')}#main")
    text = metadata.read_text()
    assert f"{url}#main" in text and commit in text and "s3cret" not in text


def test_lfs_is_left_alone_with_a_note(box, site):
    make_repository(site.top, "app", {"Dockerfile": "FROM busybox\nCOPY big.bin /\n", ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
                                      "big.bin": "version https://git-lfs.github.com/spec/v1\n"})
    result = build(box, f"{site.url}/app.git")
    assert "git LFS" in result.err and cat(box, "/big.bin").startswith("version https://git-lfs")


def test_interrupt_while_a_repository_does_not_answer(box, site):
    process = box.popen("build", f"{site.url}/slow/x.git", start_new_session=True)
    deadline = time.time() + 20
    while not site.requests and time.time() < deadline:
        time.sleep(0.05)
    assert site.requests
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    left = subprocess.run(["pgrep", "-f", f"{site.url}/slow/x.git"], stdout=subprocess.PIPE, text=True).stdout
    assert not left, "git goes with the build"


# --- archives ---

CONTEXT = {"Dockerfile": "FROM busybox\nCOPY a.txt sub /d/\nRUN cat /d/a.txt\n", "a.txt": "tar\n", "sub/": ("dir", 0o755), "sub/b.txt": ("file", "b\n", 0o640),
           "other/Containerfile": "FROM busybox\nCOPY a.txt /elsewhere\n"}


def compressed(data, how):
    if how == "none":
        return data
    return subprocess.run([require_tool(how), "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("how", ["none", "gzip", "bzip2", "xz", "zstd"])
def test_tar_on_standard_input(box, how):
    data = compressed(tar_bytes(CONTEXT), how)
    build(box, "-", input=data)
    assert cat(box, "/d/a.txt") == "tar\n" and listing(box)["d/b.txt"].mode == 0o640
    assert build(box, "-", input=data).err.count("CACHED") == 3
    build(box, "-f", "other/Containerfile", "-", input=data)
    assert cat(box, "/elsewhere") == "tar\n"


def test_dockerfile_on_standard_input(box):
    build(box, "-", input="FROM busybox\nRUN echo hi > /hi\n")
    assert cat(box, "/hi") == "hi\n"
    assert "ambiguous Dockerfile source" in box.fails(1, "build", "-f", "x", "-", input="FROM busybox\n").err
    assert "cannot be empty" in box.fails(1, "build", "-", input="").err
    assert "no context directory" in box.fails(1, "build", "-", input="FROM busybox\nCOPY x /\n").err


@pytest.mark.parametrize("members, word", [
    ({"Dockerfile": "FROM busybox\n", "../../evil": "x"}, "evil"),
    ({"Dockerfile": "FROM busybox\n", "a/../../../evil": "x"}, "evil"),
    ({"Dockerfile": "FROM busybox\n", ".wh.other": ""}, ".wh."),
    ({"Dockerfile": "FROM busybox\n", "l": ("link", "../../../etc/shadow")}, "shadow"),
])
def test_hostile_tars_are_refused(box, members, word):
    failed = box.fails(1, "build", "-", input=tar_bytes(members))
    assert word in failed.err, failed


def test_links_in_a_tar_stay_inside(box):
    members = {"Dockerfile": ("symlink", "/etc/passwd"), "up": ("symlink", "../../../../etc")}
    assert "build context" in box.fails(1, "build", "-", input=tar_bytes(members)).err
    members = {"Dockerfile": "FROM busybox\nCOPY up/hostname /x\n", "up": ("symlink", "../../../../etc"), "etc/": ("dir", 0o755), "etc/hostname": "inside\n"}
    build(box, "-", input=tar_bytes(members))
    assert cat(box, "/x") == "inside\n"


def test_cut_and_bomb(box):
    data = gzip.compress(tar_bytes(CONTEXT))
    assert box.fails(1, "build", "-", input=data[: len(data) // 2]).err
    zeros = io.BytesIO()
    with tarfile.open(fileobj=zeros, mode="w") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 160 << 20
        tar.addfile(info, open("/dev/zero", "rb"))
    assert "times" in box.fails(1, "build", "-", input=gzip.compress(zeros.getvalue(), 9)).err


# --- http ---


def test_http_contexts(box, site):
    site.files["ctx.tar.gz"] = gzip.compress(tar_bytes(CONTEXT))
    site.files["dockerfile.txt"] = b"FROM busybox\nCOPY context /itself\n"
    build(box, f"{site.url}/ctx.tar.gz")
    assert cat(box, "/d/a.txt") == "tar\n"
    build(box, "-f", "other/Containerfile", f"{site.url}/redirect/ctx.tar.gz")
    build(box, f"{site.url}/dockerfile.txt")
    assert cat(box, "/itself").startswith("FROM busybox")
    assert "404" in box.fails(1, "build", f"{site.url}/missing.tar").err
    assert box.fails(1, "build", f"{site.url}/cut/x").err
    assert "ambiguous" in box.fails(1, "build", "-f", "x", f"{site.url}/dockerfile.txt").err


def test_remote_dockerfile_with_a_local_context(box, site, tmp_path):
    site.files["remote"] = b"FROM busybox\nCOPY here /here\n"
    (tmp_path / "here").write_text("here\n")
    build(box, "-f", f"{site.url}/remote", tmp_path)
    assert cat(box, "/here") == "here\n"


def test_dockerfile_outside_of_the_context(box, tmp_path):
    context, elsewhere = tmp_path / "context", tmp_path / "elsewhere"
    context.mkdir(), elsewhere.mkdir()
    (context / "f").write_text("f\n"), (context / "g").write_text("g\n")
    (elsewhere / "My.Dockerfile").write_text("FROM busybox\nCOPY . /c/\n")
    (elsewhere / "My.Dockerfile.dockerignore").write_text("g\n")
    build(box, "-f", elsewhere / "My.Dockerfile", context)
    files = listing(box)
    assert "c/f" in files and "c/g" not in files


def test_add_url_validators_and_credentials(box, site, tmp_path):
    site.files["f"] = b"one\n"
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nADD {site.url}/f /f\n")
    build(box, tmp_path)
    again = build(box, tmp_path)
    assert again.err.count("CACHED") == 2
    assert site.requests[-1][2].get("If-None-Match"), "the server can say that nothing changed"
    site.files["f"] = b"two\n"
    build(box, tmp_path)
    assert cat(box, "/f") == "two\n"
    build(box, "--no-cache", tmp_path)
    assert cat(box, "/f") == "two\n", "what was only revalidated is fetched when the step runs"
    canary = "t0ken-" + os.urandom(6).hex()
    site.passwords["f"] = f"Bearer {canary}"
    assert "401" in box.fails(1, "build", "--no-cache", tmp_path).err
    result = build(box, "--no-cache", "--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,env=T", tmp_path, env={"T": canary})
    build(box, "--no-cache", "--secret", "id=HTTP_AUTH_HEADER_127.0.0.1,env=T", tmp_path, env={"T": f"Bearer {canary}"})
    assert canary not in result.err
    assert not subprocess.run(["grep", "-rlaF", canary, str(box.root)], stdout=subprocess.PIPE, text=True).stdout


def test_interrupt_while_a_server_is_slow(box, site, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nADD {site.url}/slow/f /f\n")
    process = box.popen("build", tmp_path)
    deadline = time.time() + 20
    while not site.requests and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_add_unpack(box, site, tmp_path):
    archive = gzip.compress(tar_bytes({"in.txt": "in\n"}))
    site.files["a.tgz"] = archive
    (tmp_path / "local.tgz").write_bytes(archive)
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nADD --unpack=true {site.url}/a.tgz /url/\nADD {site.url}/a.tgz /url-kept/\nADD local.tgz /local/\n"
                                         "ADD --unpack=false local.tgz /local-kept/\n")
    build(box, tmp_path)
    files = listing(box)
    assert {"url/in.txt", "url-kept/a.tgz", "local/in.txt", "local-kept/local.tgz"} <= set(files)
    # The same from a context that is a tar.
    members = {"Dockerfile": "FROM busybox\nADD local.tgz /local/\nADD --unpack=false local.tgz /local-kept/\n", "local.tgz": archive}
    build(box, "-", input=tar_bytes(members))
    files = listing(box)
    assert {"local/in.txt", "local-kept/local.tgz"} <= set(files)


# --- named contexts ---


def test_named_directories(box, tmp_path):
    context, other = tmp_path / "context", tmp_path / "other"
    context.mkdir(), other.mkdir()
    (other / "f").write_text("f\n"), (other / "hidden").write_text("h\n"), (other / ".dockerignore").write_text("hidden\n")
    (context / "Dockerfile").write_text("FROM busybox\nCOPY --from=other . /o/\nRUN --mount=type=bind,from=other,target=/m cat /m/f > /seen; test ! -e /m/hidden\n")
    build(box, "--build-context", f"other={other}", context)
    files = listing(box)
    assert "o/f" in files and "o/hidden" not in files and cat(box, "/seen") == "f\n"
    assert build(box, "--build-context", f"other={other}", context).err.count("CACHED") == 3
    (context / "Dockerfile").write_text("FROM other\nCOPY Dockerfile /d\n")
    build(box, "--build-context", f"other={other}", context)
    files = listing(box)
    assert "f" in files and "d" in files and "hidden" not in files, "a directory can be what a stage starts from"
    assert "is not a directory" in box.fails(1, "build", "--build-context", f"other={tmp_path}/none", context).err
    assert "unsupported context source" in box.fails(1, "build", "--build-context", "other=s3://x", context).err


def test_named_contexts_replace_images_and_stages(box, busybox_tar, tmp_path):
    box("import", "-", "replacement:1", input=tar_bytes({"replaced": "yes\n"}))
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM alpine:3.20 AS base\nFROM scratch\nCOPY --from=base /replaced /r\nCOPY --from=docker.io/library/alpine:3.20 /replaced /s\n")
    for name in ("alpine:3.20", "docker.io/library/alpine:3.20"):
        build(box, "--build-context", f"{name}=docker-image://replacement:1", tmp_path)
        assert {"r", "s"} <= _names(box)
    dockerfile.write_text("FROM nosuchimage AS base\nRUN false\nFROM scratch\nCOPY --from=base /replaced /r\n")
    build(box, "--build-context", "base=docker-image://replacement:1", tmp_path)
    assert "r" in _names(box), "a context with the name of a stage stands in its place"
    dockerfile.write_text("FROM scratch AS a\nCOPY Dockerfile /from-a\nFROM other\nCOPY --from=other /from-a /again\n")
    build(box, "--build-context", "other=target:a", tmp_path)
    assert {"from-a", "again"} <= _names(box)
    dockerfile.write_text("FROM base\n")
    build(box, "--build-context", "base=docker-image://scratch", tmp_path)
    assert "no image 'none:latest'" in box.fails(1, "build", "--build-context", "base=docker-image://none", tmp_path).err


def test_named_contexts_by_platform(box, tmp_path):
    """`name::platform` stands for the name where a stage is for that platform, and nowhere else."""
    context, outs = tmp_path / "context", 0
    context.mkdir()
    for name in ("all", "arm", "amd", "v7"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(name + "\n")

    def contexts(*pairs):
        return [word for name, directory in pairs for word in ("--build-context", f"{name}={tmp_path}/{directory}")]

    def built(dockerfile, *args):
        """{platform: what its files say}"""
        nonlocal outs
        outs += 1
        (context / "Dockerfile").write_text(dockerfile)
        box("build", "--platform", "linux/amd64,linux/arm64,linux/arm/v7", "-o", f"type=local,dest={tmp_path}/{outs}", *args, context)
        return {p.name[6:]: {f.name: f.read_text().strip() for f in p.iterdir()} for p in (tmp_path / str(outs)).iterdir()}

    three = contexts(("base", "all"), ("base::linux/arm64", "arm"), ("base::linux/arm/v7", "v7"))
    want = {"amd64": "all", "arm64": "arm", "arm_v7": "v7"}
    found = built("FROM base\nCOPY --from=base /which /copied\n", *three)
    assert {k: (v["which"], v["copied"]) for k, v in found.items()} == {k: (v, v) for k, v in want.items()}
    # Names are as without a platform, and other ways to write a platform count.
    found = built("FROM docker.io/library/base:latest\n", *contexts(("base::linux/arm64/v8", "arm"), ("base:latest::arm", "v7"), ("docker.io/library/base", "all")))
    assert {k: v["which"] for k, v in found.items()} == want
    # It is the stage's own platform that counts, and for what no stage is the target's.
    found = built("FROM --platform=linux/arm64 base AS a\nFROM --platform=linux/amd64 scratch\nCOPY --from=a /which /a\nCOPY --from=base /which /b\n", *three)
    assert {k: (v["a"], v["b"]) for k, v in found.items()} == {k: ("arm", v) for k, v in want.items()}
    # A stage is replaced for one platform; for the others it is built.
    found = built("FROM scratch AS s\nCOPY Dockerfile /which\nFROM s\nCOPY --from=s /which /copied\n", *contexts(("s::linux/arm64", "arm")))
    assert found["arm64"] == {"which": "arm", "copied": "arm"} and found["amd64"]["copied"] == found["arm_v7"]["which"] != "arm"
    # The last one of a name counts, and what no platform of the build has is not looked at.
    found = built("FROM base\n", *three, *contexts(("base::linux/arm64", "amd"), ("base::linux/s390x", "v7")))
    assert {k: v["which"] for k, v in found.items()} == {**want, "arm64": "amd"}
    (context / "Dockerfile").write_text("FROM base\n")
    text = box.fails(1, "build", "--platform", "linux/arm64", *contexts(("base::linux/s390x", "all")), context).err
    assert "the build context 'base::linux/s390x' is not for linux/arm64: there is no image 'base:latest'" in text
    for wrong in ("base::a/b/c/d", "base::", "base::/"):
        assert f"invalid context name {wrong}" in box.fails(1, "build", *contexts((wrong, "all")), context).err
    assert "invalid context name ::linux/arm64" in box.fails(1, "build", *contexts(("::linux/arm64", "all")), context).err
    # A check looks at the image that the name stands for.
    box("import", "--platform", "linux/s390x", "-", "far:1", input=tar_bytes({"f": ""}))
    (context / "Dockerfile").write_text("FROM base\n")
    check = ["build", "--check", "--platform", "linux/s390x"]
    assert "InvalidBaseImagePlatform" not in box(*check, "--build-context", "base::linux/s390x=docker-image://far:1", "--build-context", "base=docker-image://busybox", context).out
    assert "InvalidBaseImagePlatform" in box.run(*check, "--build-context", "base::linux/arm64=docker-image://far:1", "--build-context", "base=docker-image://busybox", context).out


def _names(mica):
    flat = subprocess.run([mica.path, "save", "out"], env=mica.env, stdout=subprocess.PIPE, check=True).stdout
    names = set()
    with tarfile.open(fileobj=io.BytesIO(flat)) as outer:
        for member in outer:
            if not member.isfile():
                continue
            data = outer.extractfile(member).read()
            try:
                names |= set(tarfile.open(fileobj=io.BytesIO(data)).getnames())
            except tarfile.TarError:
                pass
    return names


def test_named_oci_layout(box, mica_path, tmp_path):
    box("import", "-", "layered:1", input=tar_bytes({"oci": "one\n"}))
    layout = tmp_path / "layout"
    layout.mkdir()
    archive = tmp_path / "a.tar"
    box("save", "-o", archive, "layered:1")
    subprocess.run(["tar", "-C", layout, "-xf", archive], check=True)
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0].setdefault("annotations", {})["org.opencontainers.image.ref.name"] = "v1"
    digest = index["manifests"][0]["digest"]
    (layout / "index.json").write_text(json.dumps(index))
    box("rmi", "layered:1")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM base\nCOPY --from=base /oci /copied\n")
    for reference in (f"{layout}:v1", f"{layout}", f"{layout}@{digest}", f"{layout}:v1@{digest}"):
        build(box, "--build-context", f"base=oci-layout://{reference}", context)
        assert {"oci", "copied"} <= _names(box)
    assert "no image with the tag 'v2'" in box.fails(1, "build", "--build-context", f"base=oci-layout://{layout}:v2", context).err
    assert "has no" in box.fails(1, "build", "--build-context", f"base=oci-layout://{layout}@sha256:{'0' * 64}", context).err
    assert "cannot" in box.fails(1, "build", "--build-context", f"base=oci-layout://{context}", context).err
    blob = layout / "blobs" / "sha256" / digest.split(":")[1]
    blob.write_bytes(blob.read_bytes() + b" ")
    assert "not what its name says" in box.fails(1, "build", "--no-cache", "--build-context", f"base=oci-layout://{layout}:v1", context).err


def test_named_git_and_http(box, site, tmp_path):
    make_repository(site.top, "app", {"g.txt": "git\n"})
    site.files["x.tar"] = tar_bytes({"h.txt": "http\n"})
    site.files["plain"] = b"plain\n"
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY --from=g g.txt /\nCOPY --from=h h.txt /\nCOPY --from=p context /p.txt\n"
                                         "RUN --mount=type=bind,from=g,target=/m,ro cat /m/g.txt > /seen\n")
    args = ["--build-context", f"g={site.url}/app.git#main", "--build-context", f"h={site.url}/x.tar", "--build-context", f"p={site.url}/plain", tmp_path]
    build(box, *args)
    assert [cat(box, p) for p in ("/g.txt", "/h.txt", "/p.txt", "/seen")] == ["git\n", "http\n", "plain\n", "git\n"]
    assert build(box, *args).err.count("CACHED") == 5
