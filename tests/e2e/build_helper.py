"""What the tests of the build engine share: a store of their own, a busybox base image, building from a few lines, looking into images.

They drive tests/tools/build_tool.c, which is build/ without a command line. BUILD_TOOL names it; otherwise it is looked for in the usual build directories.
"""
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
BASE_TIME = 1600000000


def find_tool():
    given = os.environ.get("BUILD_TOOL")
    candidates = [given] if given else [os.path.join(os.environ.get("MICA_BUILD_DIR", str(REPO / "build")), "tests", "build_tool")]
    for path in candidates:
        if os.path.exists(path):
            return path
    return None


def find_mica():
    """The real binary beside the tool, for what the tool does not do."""
    given = os.environ.get("MICA")
    tool = find_tool()
    path = given or (tool and os.path.join(os.path.dirname(os.path.dirname(tool)), "src", "cli", "mica"))
    return path if path and os.path.exists(path) else None


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="RUN and mounts need root")
needs_tool = pytest.mark.skipif(find_tool() is None, reason="build_tool was not built (set BUILD_TOOL or MICA_BUILD_DIR)")
needs_busybox = pytest.mark.skipif(not os.path.exists("/bin/busybox"), reason="needs busybox-static")


def add_file(tar, name, data=b"", mode=0o644, uid=0, gid=0, mtime=BASE_TIME, **more):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.uid, info.gid, info.mtime = len(data), mode, uid, gid, mtime
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def add_dir(tar, name, mode=0o755, uid=0, gid=0):
    add_file(tar, name, mode=mode, uid=uid, gid=gid, type=tarfile.DIRTYPE)


def busybox_tar(path):
    """A small root file system: busybox with its links, users root, bin, app; no /run, no /proc, no /etc/resolv.conf."""
    applets = subprocess.run(["/bin/busybox", "--list"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("home", 0o755), ("root", 0o700), ("tmp", 0o1777), ("srv", 0o755)):
            add_dir(tar, name, mode)
        add_file(tar, "bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), 0o755)
        for applet in applets:
            if applet != "busybox":
                add_file(tar, "bin/" + applet, mode=0o777, type=tarfile.SYMTYPE, linkname="busybox")
        add_file(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nbin:x:1:7:bin:/bin:/bin/false\napp:x:1000:1001::/home/app:/bin/sh\n")
        add_file(tar, "etc/group", b"root:x:0:\nlp:x:7:\napp:x:1001:\nextra:x:2000:app\n")
        add_dir(tar, "home/app", uid=1000, gid=1001)
        add_dir(tar, "srv/dir", mode=0o711, uid=5, gid=6)
        add_file(tar, "srv/dir/below", b"below\n")
        add_file(tar, "srv/link", mode=0o777, type=tarfile.SYMTYPE, linkname="/srv/dir")
        add_file(tar, "srv/out", mode=0o777, type=tarfile.SYMTYPE, linkname="../../../../../etc")


class Member(tarfile.TarInfo):
    """An entry with its content."""
    __slots__ = ("data",)


class Built:
    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout.decode()
        self.err = process.stderr.decode(errors="replace")
        values = dict(line.split("=", 1) for line in self.out.splitlines() if "=" in line)
        self.id = values.get("id")
        self.manifest = values.get("manifest")
        self.cached, self.steps = (int(n) for n in values.get("cached", "0/0").split("/"))


class Store:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.root = self.path / "store"
        self.env = dict(os.environ, MICA_ROOT=str(self.root))
        self.n = 0

    def tool(self, *args, check=True, **more):
        process = subprocess.run([find_tool(), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(self.env, **more.pop("env", {})), **more)
        if check and process.returncode:
            raise AssertionError(process.stderr.decode(errors="replace"))
        return process

    def import_tar(self, name, tar, config=None):
        self.tool("import", name, tar, *([json.dumps(config)] if config else []))

    def context(self, files):
        """A directory with these files: bytes or text; None is a directory; ("link", target) a symbolic link."""
        self.n += 1
        base = self.path / f"context-{self.n}"
        base.mkdir()
        for name, content in files.items():
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif isinstance(content, tuple):
                os.symlink(content[1], path)
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return base

    def build(self, dockerfile, files=None, *options, tag="test", check=True, context=None, env=None):
        if context is None:
            context = self.context(files or {})
        process = self.tool("build", "--plain", "--stdin", "-t", tag, *options, context, check=check, input=dockerfile.encode(), env=env or {})
        return Built(process)

    def fail(self, dockerfile, files=None, *options, **more):
        built = self.build(dockerfile, files, *options, check=False, **more)
        assert built.code != 0, "the build should have failed"
        return built.err

    def config(self, name="test"):
        return json.loads(self.tool("config", name).stdout)

    def layers(self, name="test"):
        """For each layer a list of (name, TarInfo) as written."""
        result = []
        for line in self.tool("layers", name).stdout.decode().splitlines():
            with tarfile.open(line.split()[1]) as tar:
                result.append(tar.getmembers())
        return result

    def layer_names(self, index=-1, name="test"):
        return [member.name for member in self.layers(name)[index]]

    def tree(self, name="test"):
        """Path -> TarInfo with .data."""
        result = {}
        with tarfile.open(fileobj=io.BytesIO(self.tool("tar", name).stdout), tarinfo=Member) as tar:
            for member in tar.getmembers():
                file = tar.extractfile(member) if member.isfile() else None
                member.data = file.read() if file else None
                result[member.name] = member
        return result

    def fsck(self):
        """The store must verify: every layer and blob against its digest, every row against its file."""
        mica = find_mica()
        if mica is None:
            pytest.skip("the mica binary was not built")
        process = subprocess.run([mica, "fsck"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env)
        assert process.returncode == 0, process.stdout.decode(errors="replace")

    def created_by(self, name="test"):
        return [entry.get("created_by") for entry in self.config(name)["history"]]


@pytest.fixture(scope="session")
def base_tar(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "busybox.tar"
    busybox_tar(path)
    return path


@pytest.fixture
def store(tmp_path, base_tar):
    store = Store(tmp_path)
    store.import_tar("busybox", base_tar)
    yield store
    shutil.rmtree(tmp_path, ignore_errors=True)
