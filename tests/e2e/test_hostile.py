"""Input that means harm: in a layer, in an archive, in a Dockerfile. It is refused with a reason, at a bounded cost, or it harms nobody; the host and the store
stay as they were. (Archives whose manifests lie are in test_archives.py, damaged stores in test_store.py.)
"""
import hashlib
import json
import os
import resource
import subprocess
import tarfile
import time

import pytest

from conftest import require_root, require_tool, tar_bytes

both_drivers = pytest.mark.both_drivers
MIB = 1 << 20


def header(name, kind=b"0", size=0, link="", **more):
    """A ustar header with any bytes in it, right in its checksum only."""
    info = tarfile.TarInfo("x")
    info.type, info.size, info.linkname = kind, size, link
    for key, value in more.items():
        setattr(info, key, value)
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    name = name if isinstance(name, bytes) else name.encode()
    block[0:100] = name.ljust(100, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def file(name, data=b"evil"):
    return header(name, size=len(data)) + data + b"\0" * (-len(data) % 512)


def pax(records):
    body = b""
    for key, value in records:
        record = b" " + key.encode() + b"=" + value + b"\n"
        size = len(record) + 1
        while size != len(record) + len(str(size)):
            size = len(record) + len(str(size))
        body += b"%d" % size + record
    return header("pax", b"x", len(body)) + body + b"\0" * (-len(body) % 512)


END = b"\0" * 1024


def joined(*parts):
    """One tar of the members of several."""
    out = b""
    for part in parts:
        part = part.rstrip(b"\0")
        out += part + b"\0" * (-len(part) % 512)
    return out + END


# What must be refused, and a word of the reason.
REFUSED = {
    "dotdot": (file("../evil") + END, "'..'"),
    "dotdot inside": (file("a/../../evil") + END, "'..'"),
    "dotdot absolute": (file("/../../evil") + END, "'..'"),
    "dotdot in a pax path": (pax([("path", b"a/../../evil")]) + file("x") + END, "'..'"),
    "dotdot in a GNU name": (header("././@LongLink", b"L", 11) + b"../../evil\0".ljust(512, b"\0") + file("x") + END, "'..'"),
    "hard link out": (header("a", b"1", link="../../../etc/passwd") + END, "'..'"),
    "hard link to nothing": (header("a", b"1", link="/etc/passwd") + END, "etc/passwd"),
    "hard link to itself": (header("a", b"1", link="a") + END, "itself"),
    "hard link to a directory": (header("d", b"5") + header("a", b"1", link="d") + END, "directory"),
    "file under a file": (file("f") + file("f/evil") + END, "f"),
    "root as a file": (file("./") + END, "root"),
    "root as a link": (header("./", b"2", link="/etc") + END, "root"),
    "whiteout of dot": (file(".wh..", b"") + END, ".wh."),
    "whiteout of dotdot": (file(".wh...", b"") + END, ".wh."),
    "whiteout of nothing": (file("d/.wh.", b"") + END, ".wh."),
    "below a whiteout": (file(".wh.d/evil") + END, ".wh."),
    "link to nothing": (header("l", b"2", link="") + END, "nothing"),
    "unknown type": (header("x", b"Z") + END, "unknown"),
    "pax bomb": (pax([("comment", b"x" * (2 * MIB))]) + file("x") + END, "1048576"),
    "many pax records": (pax([("k%d" % i, b"v") for i in range(5000)]) + file("x") + END, "1024"),
    "many attributes": (pax([("SCHILY.xattr.user.%d" % i, b"v" * 900) for i in range(900)]) + file("x") + END, "attributes"),
    "endless headers": (pax([("comment", b"x")]) * 100 + file("x") + END, "extended headers"),
    "endless long names": ((header("././@LongLink", b"L", 4) + b"aaa\0".ljust(512, b"\0")) * 100 + file("x") + END, "extended headers"),
    "endless global headers": (b"".join(header("g", b"g", 12) + b"12 comment=x".ljust(512, b"\0") for _ in range(100)) + END, ""),
    "global path": (header("g", b"g", 13) + b"13 path=evil\n".ljust(512, b"\0") + file("x") + END, "global"),
    "negative size": (header("x", b"0")[:124] + b"\xff" * 12 + header("x")[136:], ""),
    "size beyond the end": (header("x", size=1 << 30) + b"x" * 512, "ends"),
    "size of 2^62": (pax([("size", b"4611686018427387904")]) + header("x") + END, ""),
    "size of 2^63": (pax([("size", b"9223372036854775808")]) + header("x") + END, ""),
    "long component": (pax([("path", b"n" * 300)]) + file("x") + END, "255"),
    "long path": (pax([("path", b"/".join([b"n" * 250] * 20))]) + file("x") + END, "4095"),
    "NUL in a path": (pax([("path", b"a\0b")]) + file("x") + END, "NUL"),
    "bad checksum": (file("x")[:-1024] + b"\1" * 512 + END, "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_are_refused(mica, name):
    data, words = REFUSED[name]
    result = mica.fails(1, "import", "-", "evil", input=data)
    assert result.err.startswith("mica: ") and words in result.err, result
    assert "\x1b" not in result.err and "\0" not in result.err
    assert mica("images", "-q").out == "" and list((mica.root / "layers").iterdir()) == [] and list((mica.root / "tmp").iterdir()) == []
    assert not os.path.exists("/evil") and not os.path.exists("/etc/evil")


def test_messages_have_no_escape_sequences(mica):
    """A name from an archive must not drive the terminal of who reads the error."""
    result = mica.fails(1, "import", "-", "x", input=file(b"\x1b]0;evil\x07/../../../x\xff\n") + END)
    assert b"\x1b" not in result.raw_err and b"\x07" not in result.raw_err and result.err.count("\n") == 1


@both_drivers
def test_links_lead_nowhere_but_into_the_image(mica, busybox_tar, tmp_path):
    """Links that point out of the image point at the image's own files: for `run`, `cp`, `diff` and for COPY in a build."""
    require_root()
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    up = "../" * 40
    links = tar_bytes({"abs": ("symlink", str(secret)), "rel": ("symlink", up + str(secret)[1:]), "dir": ("symlink", up[:-1]), "etc/loop": ("symlink", "loop"),
                       "out": ("symlink", "/etc"), "out/through": "a link of the same layer"})
    mica("import", "-", "x", input=joined(busybox_tar, links))
    assert not os.path.exists("/etc/through")
    assert mica("run", "--rm", "--network", "none", "x", "cat", "/etc/through").out == "a link of the same layer"
    mica("create", "--name", "cc", "--network", "none", "x", "sh", "-c", "echo inside > /dir/out; cat /abs /rel")
    result = mica.run("start", "-a", "cc")
    assert "of the host" not in result.out + result.err and result.code == 1
    for source in ("/abs", "/rel", f"/dir{secret}", "/etc/loop"):
        result = mica.run("cp", "-L", f"cc:{source}", tmp_path / "copied")
        assert result.code != 0 and not (tmp_path / "copied").exists(), result
    # Into the container: through the link, but never out of the container.
    (tmp_path / "new").write_text("new")
    mica("cp", tmp_path / "new", "cc:/dir/etc/new")
    assert not os.path.exists("/etc/new")
    assert mica("cp", "cc:/etc/new", "-").raw_out.find(b"new") >= 0
    top = tmp_path / "context"
    top.mkdir()
    (top / "Dockerfile").write_text(f"FROM x AS one\nFROM x\nCOPY --from=one /dir{secret} /got\n")
    assert "of the host" not in mica.fails(1, "build", top).err
    (top / "Dockerfile").write_text("FROM x\nCOPY Dockerfile /dir/var/landed\nRUN ls /var/landed\n")
    mica("build", "-q", top)
    assert not os.path.exists("/var/landed") and not os.path.exists("/out")


@both_drivers
def test_a_later_layer_cannot_write_through_a_link(mica, busybox_tar, tmp_path):
    """The classic: one layer makes `l` a link to a directory of the host, the next one writes `l/file`."""
    require_root()
    target = tmp_path / "target"
    target.mkdir()
    lower = tar_bytes({"l": ("symlink", str(target)), "up": ("symlink", "../" * 30 + str(target)[1:])})
    upper = tar_bytes({"l/file": "evil", "up/file": "evil", "up/.wh.x": ""})
    layers = [busybox_tar, lower, upper]
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(x).hexdigest() for x in layers]}})
    members = {"c.json": config, **{f"{i}.tar": layer for i, layer in enumerate(layers)},
               "manifest.json": json.dumps([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["0.tar", "1.tar", "2.tar"]}])}
    (target / "x").write_text("stays")
    mica("load", input=tar_bytes(members))
    assert mica("run", "--rm", "--network", "none", "x:1", "sh", "-c", "cat /l/file; test -d /l && ! test -L /l && echo dir").out == "evildir\n"
    assert sorted(path.name for path in target.iterdir()) == ["x"]


@both_drivers
def test_device_nodes_do_not_open(mica, busybox_tar):
    """A layer may hold the node of the host's disk; a container that finds it is not let through."""
    require_root()
    disk = os.stat("/").st_dev
    nodes = header("disk", b"4", devmajor=os.major(disk), devminor=os.minor(disk), mode=0o666) + header("mem", b"3", devmajor=1, devminor=1, mode=0o666)
    mica("import", "-", "x", input=joined(busybox_tar, nodes))
    for node in ("/disk", "/mem"):
        result = mica.run("run", "--rm", "--network", "none", "x", "dd", f"if={node}", "of=/dev/null", "count=1")
        assert result.code == 1 and ("ermission" in result.err or "not permitted" in result.err), result


# --- bombs ---


def limited(mica, *args, input, megabytes=600, seconds=60):
    """Runs mica with little address space and little time."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * MIB, megabytes * MIB))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    return subprocess.run([mica.path, *args], input=input, env=mica.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limit, timeout=120)


def bomb(pack):
    """300 MB of zeros in a tar. Members and frames are one stream, so that the zeros need to be packed only once."""

    def packed(data):
        return subprocess.run([require_tool(pack), "-9", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout

    return packed(header("zeros", size=300 * MIB)) + packed(bytes(4 * MIB)) * 75 + packed(END)


@pytest.mark.parametrize("pack", ["gzip", "zstd", "xz", "bzip2"])
def test_bombs_are_stopped(mica, pack, context):
    """As an import, as an archive and as an ADD: noticed before the disk is full."""
    data = bomb(pack)
    assert len(data) < 600000
    for args in (["import", "-", "x"], ["load"]):
        result = limited(mica, *args, input=data)
        assert result.returncode == 1 and b"400 times" in result.stderr, result
    top = context({"Dockerfile": "FROM scratch\nADD bomb /\n", "bomb": data})
    result = limited(mica, "build", str(top), input=b"")
    assert result.returncode == 1 and b"400 times" in result.stderr and b"ADD" in result.stderr, result.stderr
    assert mica("images", "-q").out == ""
    mica("system", "prune", "-f")
    mica("fsck")
    assert sum(path.stat().st_size for path in mica.root.rglob("*") if path.is_file() and path.name != "db.sqlite-wal") < MIB


def test_endless_input_is_stopped_by_whoever_stops_it(mica):
    """A tar of headers without end takes bounded memory; killing it leaves nothing."""
    job = mica.popen("import", "-", "x", stdin=subprocess.PIPE)
    block = b"".join(header(f"dir{i % 7}/", b"5") for i in range(512))
    deadline = time.monotonic() + 2
    with job.stdin as pipe:
        while time.monotonic() < deadline:
            pipe.write(block)
        peak = int(next(line for line in open(f"/proc/{job.pid}/status") if line.startswith("VmHWM")).split()[1])
        job.kill()
    job.wait()
    assert peak < 64 * 1024
    mica("fsck")
    mica("system", "prune", "-f")
    assert list((mica.root / "tmp").iterdir()) == []


# --- JSON ---


CONFIG = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["DIFF"]}%s}'
BAD_JSON = {
    "duplicate keys": CONFIG % ',"os":"windows"',
    "duplicate keys inside": CONFIG % ',"config":{"User":"a","User":"root"}',
    "wrong type": CONFIG % ',"config":{"Env":"A=1"}',
    "env without name": CONFIG % ',"config":{"Env":[7]}',
    "deep": CONFIG % (',"x":' + "[" * 100000 + "]" * 100000),
    "not UTF-8": CONFIG % ',"author":"\udcff"',
    "trailing": CONFIG % "" + "{}",
    "other digest": CONFIG.replace("DIFF", "sha256:" + "0" * 64) % "",
    "short digest": CONFIG.replace("DIFF", "sha256:00") % "",
    "two layers": CONFIG.replace('["DIFF"]', '["DIFF","DIFF"]') % "",
    "no rootfs": '{"architecture":"amd64","os":"linux"}',
    "huge": CONFIG % (',"author":"' + "x" * (40 * MIB) + '"'),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_configs_that_lie(mica, name):
    text = BAD_JSON[name]
    layer = tar_bytes({"f": "x"})
    config = text.encode("utf-8", "surrogateescape").replace(b"DIFF", b"sha256:" + hashlib.sha256(layer).hexdigest().encode())
    data = tar_bytes({"c.json": config, "l.tar": layer, "manifest.json": json.dumps([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}])})
    result = limited(mica, "load", input=data)
    assert result.returncode == 1 and result.stderr.startswith(b"mica: "), result
    assert mica("images", "-q").out == ""
    mica("fsck")


# --- Dockerfiles ---


DOCKERFILES = {
    "megabytes of comments": (b"FROM scratch\n" + b"# x\n" * (3 * MIB), None),
    "a line of megabytes": (b"FROM scratch\nENV A=" + b"x" * (8 * MIB) + b"\n", None),
    "continuations": (b"FROM scratch\nLABEL a=b" + b"\\\n" * (2 * MIB) + b"\n", None),
    "instructions": (b"FROM scratch\n" + b"LABEL a=b\n" * 200000, None),
    "stages": (b"FROM scratch\n" * 50000, None),
    "nested expansion": (b"FROM scratch\nENV A=" + b"${A:-" * 100000 + b"x" + b"}" * 100000 + b"\n", None),
    "growing variable": (b"FROM scratch\nENV A=xxxxxxxxxxxxxxxx\n" + b"ENV A=$A$A$A$A\n" * 40, b""),
    "heredoc without end": (b"FROM scratch\nCOPY <<E /x\n" + b"y\n" * MIB, b"E"),
    "JSON": (b"FROM scratch\nCMD [" + b"[" * MIB, None),
    "NULs": (b"FROM scratch\nLABEL a=\0\n", None),
    "random": (os.urandom(2 * MIB), b""),
    "escape sequences": (b"FROM scratch\n\x1b]0;evil\x07 x\n", b""),
}


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfiles_of_megabytes(mica, name, tmp_path):
    """Parsed or refused, in bounded time and memory, never a crash."""
    data, words = DOCKERFILES[name]
    (tmp_path / "Dockerfile").write_bytes(data)
    result = limited(mica, "build", "-q", str(tmp_path), input=b"", megabytes=1500)
    assert result.returncode in (0, 1), result.stderr[-2000:]
    if words is not None:
        assert result.returncode == 1 and words in result.stderr, result.stderr[-2000:]
    if result.returncode:
        assert b"mica: " in result.stderr and b"\x1b]" not in result.stderr and len(result.stderr) < 20000, (len(result.stderr), result.stderr[:2000])


def test_ignore_files_of_megabytes(mica, context):
    """Patterns that a careless matcher needs for ever for."""
    top = context({"Dockerfile": "FROM scratch\nCOPY . /\n", ".dockerignore": "**/a*a*a*a*a*a*a*a*a*a*b\n" * 2000 + "!keep\n" * 2000, "a" * 200: "x", "keep": "y"})
    started = time.monotonic()
    result = limited(mica, "build", "-q", str(top), input=b"")
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - started < 20
