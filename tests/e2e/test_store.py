"""The store from outside: what tars may hold, images of many layers, sharing, verification and repair, versions, many processes at once."""
import hashlib
import io
import json
import os
import re
import sqlite3
import struct
import subprocess
import tarfile
import threading

import pytest

from conftest import import_busybox, require_root, tar_bytes

both_drivers = pytest.mark.both_drivers
# Version 2 of the structure in linux/capability.h, effective, CAP_NET_BIND_SERVICE permitted.
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def member(tar, name, data=b"", **more):
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(data), 1700000000
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def tar_of(fill, fmt=tarfile.PAX_FORMAT, base=None):
    """A tar that `fill` puts members into, after those of `base`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt, encoding="utf-8", errors="surrogateescape") as tar:
        if base:
            with tarfile.open(fileobj=io.BytesIO(base)) as old:
                for info in old.getmembers():
                    tar.addfile(info, old.extractfile(info) if info.isreg() else None)
        fill(tar)
    return out.getvalue()


def sh(mica, image, script, *options):
    return mica("run", "--rm", "--network", "none", *options, image, "sh", "-c", script).out


# --- tar ---


@both_drivers
@pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["ustar", "gnu", "pax"])
def test_formats(mica, busybox_tar, fmt):
    """Names, owners, times and links of every format arrive in the container as they were written."""
    require_root()
    long_name = "long/" + "n" * (90 if fmt == tarfile.USTAR_FORMAT else 250)

    def fill(tar):
        member(tar, "long", type=tarfile.DIRTYPE, mode=0o751, uid=7, gid=8)
        member(tar, long_name, b"content", mode=0o4640, uid=1234, gid=4321)
        member(tar, "hard", type=tarfile.LNKTYPE, linkname=long_name)
        member(tar, "soft", type=tarfile.SYMTYPE, linkname="t" * 95 if fmt == tarfile.USTAR_FORMAT else "t" * 3000)
        member(tar, "old", mtime=1)

    mica("import", "-", "x", input=tar_of(fill, fmt, busybox_tar))
    out = sh(mica, "x", f"stat -c '%a %u %g %Y %h' /{long_name}; stat -c '%a %u %g' /long; readlink /soft; cat /hard; stat -c ' %Y' /old").splitlines()
    assert out == ["4640 1234 4321 1700000000 2", "751 7 8", "t" * (95 if fmt == tarfile.USTAR_FORMAT else 3000), "content 1"]


@both_drivers
def test_special_files_and_attributes(mica, busybox_tar):
    """A layer that sets a capability, a device or a fifo would otherwise give a program that fails only when it runs."""
    require_root()

    def fill(tar):
        member(tar, "null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
        member(tar, "disk", type=tarfile.BLKTYPE, devmajor=259, devminor=70000, mode=0o600)
        member(tar, "fifo", type=tarfile.FIFOTYPE, mode=0o622)
        records = {"SCHILY.xattr.security.capability": CAPABILITY.decode("latin-1"), "SCHILY.xattr.user.note": "a=b\nc", "SCHILY.xattr.trusted.own": "t"}
        info = tarfile.TarInfo("ping")
        info.mode, info.size = 0o755, 3
        # tarfile encodes values as UTF-8; a capability is bytes.
        tar.fileobj.write(pax_header(records))
        tar.offset = tar.fileobj.tell()
        tar.addfile(info, io.BytesIO(b"abc"))

    mica("import", "-", "x", input=tar_of(fill, base=busybox_tar))
    assert sh(mica, "x", "stat -c '%F %t %T %a' /null /disk /fifo").splitlines() == [
        "character special file 1 3 666", "block special file 103 11170 600", "fifo 0 0 622"]
    mica("run", "-d", "--name", "cc", "--network", "none", "x", "sleep", "60")
    root = f"/proc/{mica.inspect('cc')['State']['Pid']}/root"
    assert os.getxattr(f"{root}/ping", "security.capability") == CAPABILITY
    assert os.getxattr(f"{root}/ping", "user.note") == b"a=b\nc"
    assert os.getxattr(f"{root}/ping", "trusted.own") == b"t"


def pax_header(records):
    body = b""
    for key, value in records.items():
        record = f" {key}=".encode() + value.encode("latin-1") + b"\n"
        size = len(record) + 1
        while size != len(record) + len(str(size)):
            size = len(record) + len(str(size))
        body += str(size).encode() + record
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + b"\0" * (-len(body) % 512)


@both_drivers
def test_names_up_to_path_max(mica, busybox_tar):
    require_root()
    parts = ["d" * 255] * 15 + ["f" * 254]
    deep = "/".join(parts)
    assert len(deep) == 4094

    def fill(tar):
        member(tar, deep, b"deep")

    mica("import", "-", "x", input=tar_of(fill, base=busybox_tar))
    assert sh(mica, "x", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do cd d*; done; cat f*") == "deep"
    mica("create", "--name", "cc", "x", "sh")
    assert deep in tarfile.open(fileobj=io.BytesIO(mica("export", "cc").raw_out)).getnames()
    result = mica.run("import", "-", "y", input=tar_of(lambda tar: member(tar, "/".join(["d" * 255] * 16) + "/f", b"x")))
    assert result.code == 1 and "4095" in result.err, result
    result = mica.run("import", "-", "y", input=tar_of(lambda tar: member(tar, "n" * 256, b"x")))
    assert result.code == 1 and "255" in result.err, result


@both_drivers
def test_directory_of_100000_entries(mica, busybox_tar):
    require_root()

    def fill(tar):
        # By hand: tarfile takes longer for this than everything else.
        header = tarfile.TarInfo("many/000000").tobuf(tarfile.USTAR_FORMAT)
        checksum = int(header[148:154], 8)
        for i in range(100000):
            digits = b"%06d" % i
            total = b"%06o" % (checksum + sum(digits) - 6 * ord("0"))
            tar.fileobj.write(header[:5] + digits + header[11:148] + total + header[154:])

    mica("import", "-", "x", input=tar_of(fill, base=busybox_tar))
    assert sh(mica, "x", "ls /many | wc -l; ls /many | tail -1; test -e /many/054321 && echo there").split() == ["100000", "099999", "there"]


@both_drivers
def test_ids_of_32_bits(mica, busybox_tar):
    """Ids up to what the kernel has are kept. What it does not have is an error: the file would belong to somebody else."""
    require_root()

    def owned(uid, gid, fmt=tarfile.PAX_FORMAT):
        return tar_of(lambda tar: member(tar, "file", uid=uid, gid=gid), fmt, busybox_tar)

    mica("import", "-", "x", input=owned(4294967294, 3000000000))
    assert sh(mica, "x", "stat -c '%u %g' /file") == "4294967294 3000000000\n"
    for fmt in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        for uid, gid in ((1 << 32, 0), (0, (1 << 32) + 7), ((1 << 32) - 1, 0), (0, (1 << 32) - 1)):
            result = mica.run("import", "-", "y", input=owned(uid, gid, fmt))
            assert result.code == 1 and str(max(uid, gid)) in result.err and "32 bits" in result.err and "file" in result.err, result
    assert mica("images", "--format", "{{.Repository}}").lines == ["x"]


def test_file_over_8_gib(mica, busybox_tar):
    """Sizes that need base-256 or a pax record. Zeros take no space in the store."""
    require_root()
    size = (8 << 30) + 4096
    end = b"the end."
    info = tarfile.TarInfo("huge")
    info.size = size
    zeros = bytes(1 << 20)
    job = mica.popen("import", "-", "huge", stdin=subprocess.PIPE)
    with job.stdin as pipe:
        head = tar_of(lambda tar: None, base=busybox_tar).rstrip(b"\0")
        pipe.write(head + bytes(-len(head) % 512))
        pipe.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(size >> 20):
            pipe.write(zeros)
        pipe.write(bytes((size & ((1 << 20) - 1)) - len(end)) + end + bytes(1024))
    assert job.wait(timeout=300) == 0, job.stderr.read()
    assert sh(mica, "huge", f"stat -c %s /huge; dd if=/huge bs=512 skip={size // 512 - 1} 2>/dev/null | tail -c 8").splitlines() == [str(size), "the end."]
    layer, = (mica.root / "layers").iterdir()
    assert (layer / "tar").stat().st_blocks * 512 < 64 << 20


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=pax", "--sparse-version=0.0"], ["--format=pax", "--sparse-version=0.1"],
                                     ["--format=pax", "--sparse-version=1.0"]], ids=lambda value: value[-1])
def test_sparse_members_are_refused(mica, tmp_path, options):
    """Read as if they were whole, they would be files of the wrong content."""
    with open(tmp_path / "holes", "wb") as file:
        file.seek(1 << 20)
        file.write(b"x")
    subprocess.run(["tar", "-C", tmp_path, *options, "--sparse", "-cf", tmp_path / "t.tar", "holes"], check=True)
    result = mica.fails(1, "import", tmp_path / "t.tar", "x")
    assert "sparse" in result.err and "--sparse" in result.err, result


# --- many layers ---


def archive_of(layers, name="many:1"):
    """A docker-archive of these layers."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]}}).encode()
    members = {"config.json": config}
    names = []
    for i, layer in enumerate(layers):
        names.append(f"{i}/layer.tar")
        members[names[-1]] = layer
    members["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}])
    return tar_bytes(members)


@both_drivers
def test_more_than_128_layers(mica, make_mica, busybox_tar):
    """The kernel's overlay takes some hundred lower directories and a mount's options one page; an image may have more layers than either."""
    require_root()
    n = 200
    layers = [busybox_tar] + [tar_bytes({f"l/{i}": f"{i}\n", "l/last": f"{i}\n", **({f"l/.wh.{i - 1}": ""} if i % 2 else {})}) for i in range(1, n)]
    archive = archive_of(layers)
    mica("load", input=archive)
    assert sh(mica, "many:1", "cat /l/last; ls /l | wc -l") == f"{n - 1}\n{n // 2 + 1}\n"
    assert len(mica.image("many:1")["RootFS"]["Layers"]) == n
    # And a build on top of it.
    top = mica.home / "context"
    top.mkdir()
    (top / "Dockerfile").write_text("FROM many:1\nRUN rm /l/last && echo new > /l/new\n")
    mica("build", "-q", "-t", "more", top)
    assert sh(mica, "more", "ls /l | grep -v '[0-9]'; cat /l/new") == "new\nnew\n"
    other = make_mica()
    other("load", input=mica("save", "more").raw_out)
    assert sh(other, "more", "cat /l/new") == "new\n"
    other("fsck")


# --- sharing ---


def test_two_images_share_their_base(mica, busybox_tar, context):
    import_busybox(mica, busybox_tar, "base")
    for name, size in (("one", 3000000), ("two", 5000000)):
        mica("build", "-q", "-t", name, context({"Dockerfile": "FROM base\nCOPY file /\n", "file": os.urandom(size)}))
    lines = [re.split(r"  +", line) for line in mica("system", "df", "-v").lines[2:6]]
    assert lines[0] == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]
    assert sorted(line[0] for line in lines[1:]) == ["base", "one", "two"]
    whole = mica("system", "df", "-v", "--format", "json").json
    assert list(whole) == ["Images", "Containers", "Volumes", "BuildCache"] and len(whole["BuildCache"]) == 2
    rows = {row["Repository"]: row for row in whole["Images"]}
    base = mica("images", "--format", "{{.VirtualSize}}", "base").out.strip()
    assert rows["base"]["SharedSize"] == rows["one"]["SharedSize"] == rows["two"]["SharedSize"] == base
    assert rows["base"]["UniqueSize"] == "0B" and rows["one"]["UniqueSize"] == "3MB" and rows["two"]["UniqueSize"] == "5MB"
    template = "{{range .Images}}{{.Repository}} {{.UniqueSize}}{{println}}{{end}}"
    assert sorted(mica("system", "df", "-v", "--format", template).out.split()) == sorted("base 0B one 3MB two 5MB".split())
    assert len(list((mica.root / "layers").iterdir())) == 3
    total = sum((path / "tar").stat().st_size for path in (mica.root / "layers").iterdir())
    assert total < os.stat("/bin/busybox").st_size + 8.3e6
    mica("rmi", "one")
    mica("builder", "prune", "-f")
    mica("image", "prune", "-f")
    assert len(list((mica.root / "layers").iterdir())) == 2


# --- verification ---


@pytest.fixture
def two_images(mica, busybox, context):
    mica("build", "-q", "-t", "top", context({"Dockerfile": "FROM busybox\nCOPY file /file\n", "file": "content"}))
    mica("fsck")
    return mica


def layers_of(mica, name):
    return [mica.root / "layers" / digest[7:] for digest in mica.image(name)["RootFS"]["Layers"]]


def flip(path):
    with open(path, "r+b") as file:
        file.seek(-600, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def damage_layer(mica):
    flip(layers_of(mica, "top")[1] / "tar")


def damage_layer_gone(mica):
    (layers_of(mica, "top")[1] / "tar").unlink()


def damage_config(mica):
    path = mica.root / "blobs" / "sha256" / mica.image("top")["Id"][7:]
    path.write_bytes(path.read_bytes().replace(b"linux", b"linus"))


def damage_manifest(mica):
    for path in (mica.root / "blobs" / "sha256").iterdir():
        if path.stat().st_size < 5000 and mica.image("top")["Id"].encode() in path.read_bytes():
            path.write_bytes(b"{}")


def damage_row(mica):
    with sqlite3.connect(mica.root / "db.sqlite") as db:
        db.execute("PRAGMA foreign_keys = 0")
        db.execute("DELETE FROM layer WHERE diff_id = ?", (b"\1" + bytes.fromhex(layers_of(mica, "top")[1].name),))
    db.close()


DAMAGES = {"layer": damage_layer, "layer gone": damage_layer_gone, "config": damage_config, "manifest": damage_manifest, "row": damage_row}


@pytest.mark.parametrize("name", DAMAGES)
def test_fsck_finds_what_is_broken_and_repairs(two_images, name):
    mica = two_images
    DAMAGES[name](mica)
    result = mica.fails(1, "fsck")
    assert ("sha256:" in result.out or mica.image("top")["Id"][7:19] in result.out) and " 0 repaired" in result.out, result
    result = mica("fsck", "--repair")
    assert "(repaired)" in result.out and " 0 repaired" not in result.out, result
    mica("fsck")
    # What is broken went with what needs it, and nothing else.
    assert mica("images", "--format", "{{.Repository}}").lines == ["busybox"]


def test_fsck_removes_files_that_nothing_names_and_makes_indexes_again(two_images):
    mica = two_images
    stray = mica.root / "blobs" / "sha256" / ("0" * 64)
    stray.write_text("x")
    index = layers_of(mica, "top")[1] / "index"
    if index.exists():
        index.write_bytes(b"\0" * index.stat().st_size)
    result = mica.fails(1, "fsck")
    assert "0" * 64 in result.out
    mica("fsck", "--repair")
    assert not stray.exists()
    mica("fsck")
    assert sorted(mica("images", "--format", "{{.Repository}}").lines) == ["busybox", "top"]


def test_indexes_of_older_stores(two_images, root_only):
    """They end with their last block; newer kernels want whole pages of the file, so what is mounted is padded. Both are sound."""
    mica = two_images
    if mica.env.get("MICA_STORE_DRIVER") == "dir":
        pytest.skip("the driver dir has no indexes")
    sh(mica, "top", "true")
    files = [*mica.root.glob("layers/*/index"), *mica.root.glob("chains/*")]
    assert len(files) == 3 and all(file.stat().st_size % 4096 == 0 for file in files)
    whole = {file: file.read_bytes() for file in files}
    for file in files:
        os.truncate(file, 512 * struct.unpack_from("<I", whole[file], 1024 + 36)[0])
    assert any(file.stat().st_size % 4096 for file in files)
    assert " 0 problems" in mica("fsck").out
    assert sh(mica, "top", "cat /file") == "content"
    assert (chain := next(mica.root.glob("chains/*"))).read_bytes() == whole[chain]
    assert " 0 problems" in mica("fsck").out


def unpacked(mica, context):
    """Images of the driver dir whose layers lie unpacked in fs/."""
    mica.env["MICA_STORE_DRIVER"] = "dir"
    files = {"Dockerfile": "FROM busybox\nCOPY d /d\nRUN ln -s file /d/link && ln /d/file /d/second && mkfifo /d/pipe && chmod 640 /d/file && rm /etc/group\n",
             "d/file": "content", "d/other": "x"}
    mica("build", "-q", "-t", "top", context(files))
    assert sh(mica, "top", "cat /d/link") == "content"
    mica("fsck")
    return [path / "fs" for path in layers_of(mica, "top")]


def set_xattr(path):
    os.setxattr(path, "user.new", b"x")


FS_DAMAGES = {
    "content": lambda fs: (fs / "d/file").write_bytes(b"c0ntent"), "size": lambda fs: (fs / "d/file").write_bytes(b"content more"),
    "mode": lambda fs: (fs / "d/file").chmod(0o4755), "owner": lambda fs: os.chown(fs / "d/file", 1, 0), "time": lambda fs: os.utime(fs / "d/pipe", (1, 1)),
    "target": lambda fs: ((fs / "d/link").unlink(), (fs / "d/link").symlink_to("fila")), "type": lambda fs: ((fs / "d/pipe").unlink(), (fs / "d/pipe").touch()),
    "missing": lambda fs: (fs / "d/second").unlink(), "added": lambda fs: (fs / "d/new").touch(), "xattr": lambda fs: set_xattr(fs / "d/file"),
    "whiteout": lambda fs: (fs / "etc/group").unlink(),
}


def test_fsck_compares_directories_of_layers_with_their_tars(mica, busybox, context, root_only):
    """A file that changed below fs/ would be in every container and in every later layer, and nothing else would notice."""
    fs = unpacked(mica, context)[2]
    before = [(str(p), p.lstat().st_mode) for p in sorted(fs.rglob("*"))]
    for name, damage in FS_DAMAGES.items():
        damage(fs)
        result = mica.fails(1, "fsck")
        assert "in its directory" in result.out and " 1 problems" in result.out, (name, result)
        assert "(repaired)" in mica("fsck", "--repair").out, name
        assert [(str(p), p.lstat().st_mode) for p in sorted(fs.rglob("*"))] == before, name
    assert " 0 problems" in mica("fsck").out
    assert sh(mica, "top", "cat /d/link; test -e /etc/group || echo gone") == "contentgone\n"


def test_fsck_leaves_directories_in_use_where_they_are(mica, busybox, context, root_only):
    fs = unpacked(mica, context)[2]
    mica("run", "-d", "--name", "user", "--network", "none", "top", "sleep", "300")
    (fs / "d/other").chmod(0o600) if (fs / "d/other").exists() else (fs / "d/file").chmod(0o600)
    assert "stop the containers" in mica.fails(1, "fsck", "--repair").out
    assert mica("exec", "user", "cat", "/d/file").out == "content"
    mica("rm", "-f", "user")
    mica("fsck", "--repair")
    assert " 0 problems" in mica("fsck").out


def test_fsck_compares_merged_indexes_with_their_layers(two_images, context, root_only):
    """An index that is well formed and of other layers shows other files: only writing it again tells."""
    mica = two_images
    if mica.env.get("MICA_STORE_DRIVER") == "dir":
        pytest.skip("the driver dir has no merged indexes")
    mica("build", "-q", "-t", "other", context({"Dockerfile": "FROM busybox\nCOPY file /file\n", "file": "CONTENT"}))
    for image in ("top", "other"):
        sh(mica, image, "true")
    one, two = list((mica.root / "chains").iterdir())
    was = one.read_bytes()
    one.write_bytes(two.read_bytes())
    if was != two.read_bytes():
        assert "not the index of its layers" in mica.fails(1, "fsck").out
        assert "(repaired)" in mica("fsck", "--repair").out
    assert one.read_bytes() == was
    assert " 0 problems" in mica("fsck").out
    assert sh(mica, "top", "cat /file") == "content" and sh(mica, "other", "cat /file") == "CONTENT"


# --- versions ---


def test_layers_are_attached_where_the_kernel_wants_that(mica, busybox, context, root_only):
    """Linux 6.12 to 6.14 take only attached mounts as layers. What a store has noted of its kernel is believed, and that way works on every later one, too."""
    mica("run", "--rm", "--network", "none", "busybox", "true")
    note = mica.root / "driver"
    if not note.exists():
        assert mica("info", "--format", "{{.Driver}}").out == "dir\n"
        return
    note.write_text("erofs-attached " + note.read_text().partition(" ")[2])
    dockerfile = "FROM busybox AS one\nRUN echo 1 >/f && rm /bin/vi\nFROM busybox\nCOPY --from=one /f /g\nRUN --mount=type=bind,from=one,target=/m,rw cat /m/f >/h && echo >/m/new\n"
    mica("build", "-q", "-t", "made", context({"Dockerfile": dockerfile}))
    mica("run", "--network", "none", "--name", "box", "made", "sh", "-c", "cat /g /h; echo >/i")
    assert mica("logs", "box").out == "1\n1\n" and "A /i" in mica("diff", "box").out
    assert note.read_text().startswith("erofs-attached ")
    assert not [line for line in open("/proc/self/mountinfo") if str(mica.root) in line]
    assert " 0 problems" in mica("fsck").out


def test_a_newer_store_is_refused(mica, busybox):
    with sqlite3.connect(mica.root / "db.sqlite") as db:
        db.execute("PRAGMA user_version = 9999")
    db.close()
    for command in (["images"], ["build", "."], ["fsck"], ["system", "prune", "-f"]):
        result = mica.run(*command)
        assert result.code == 1 and "has version 9999" in result.err and "use a newer mica" in result.err, result


def test_another_programs_database_is_left_alone(mica):
    mica.root.mkdir()
    with sqlite3.connect(mica.root / "db.sqlite") as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = (mica.root / "db.sqlite").read_bytes()
    assert "another program" in mica.fails(1, "images").err
    assert (mica.root / "db.sqlite").read_bytes() == before


# --- many at once ---


def test_ten_builds_beside_collections(mica, busybox, context):
    """Builds that share steps, while others prune, verify, tag and remove."""
    tops = [context({"Dockerfile": f"FROM busybox\nCOPY same /same\nCOPY file /file\nRUN echo {i % 3} > /n\n", "same": "same", "file": str(i)}) for i in range(10)]
    stop = threading.Event()
    failures = []

    def churn(*args):
        while not stop.is_set():
            result = mica.run(*args)
            if result.code:
                failures.append(result)
                return

    others = [threading.Thread(target=churn, args=args) for args in (("image", "prune", "-f"), ("builder", "prune", "-f"), ("fsck",))]
    for thread in others:
        thread.start()
    jobs = [mica.popen("build", "-t", f"b{i}", top) for i, top in enumerate(tops)]
    outputs = [job.communicate(timeout=100) for job in jobs]
    stop.set()
    for thread in others:
        thread.join()
    assert not failures, failures
    assert [job.returncode for job in jobs] == [0] * 10, b"\n".join(err for _, err in outputs).decode()
    mica("fsck")
    for i in range(10):
        assert sh(mica, f"b{i}", "cat /same /file /n") == f"same{i}{i % 3}\n"
    mica("rmi", *(f"b{i}" for i in range(10)))
    mica("builder", "prune", "-f", "-a")
    assert len(list((mica.root / "layers").iterdir())) == 1
    mica("fsck")
