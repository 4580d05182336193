"""Fixtures of the end-to-end tests: the real binary, a private store, a small base image, and the neighbours' tools.

Run with:  MICA=/path/to/mica /usr/bin/python3 -m pytest tests/e2e
MICA_TEST_TMP names the directory for stores (it must be on a file system that overlayfs takes as an upper directory); the default is pytest's own.
"""
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from git_server import Site
from readers import Readers

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 120


def find_mica():
    candidates = [os.environ.get("MICA")] + [str(p) for p in sorted(ROOT.glob("build/*/src/cli/mica"))]
    for path in candidates:
        if path and os.access(path, os.X_OK):
            return os.path.abspath(path)
    pytest.exit("no mica executable: set MICA=/path/to/mica or run make", returncode=2)


def require_root():
    """Skips unless the test can mount and run containers."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts and containers")


def require_tool(name):
    """The path of a program from Debian, or a skip that names it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


def wait_for(check, seconds=120):
    """Whether the check comes true; the time is for a slow machine, not a claim."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return False


class Result:
    def __init__(self, args, code, out, err):
        self.args, self.code, self.raw_out, self.raw_err = args, code, out, err

    @property
    def out(self):
        return self.raw_out.decode("utf-8", "replace")

    @property
    def err(self):
        return self.raw_err.decode("utf-8", "replace")

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def json(self):
        return json.loads(self.raw_out)

    def __repr__(self):
        return f"<{' '.join(map(str, self.args))}: exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}>"


class Mica:
    """Runs the binary on one private store. m("images", "-q") must succeed; m.run(...) may fail; m.fails(code, ...) must fail so."""

    def __init__(self, path, root, home):
        self.path, self.root, self.home = path, Path(root), Path(home)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("MICA_", "DOCKER_", "BUILDKIT_")) or k in ("MICA_HOST_CA",)}
        self.env.pop("SOURCE_DATE_EPOCH", None)
        self.env.update(MICA_ROOT=str(root), HOME=str(home), NO_COLOR="1", TZ="UTC")
        for name in ("MICA_STORE_DRIVER", "MICA_RUNTIME", "MICA_FAULT", "MICA_LOG"):
            if os.environ.get(name):
                self.env[name] = os.environ[name]
        if os.environ.get("MICA_TEST_STORE"):
            self.env["MICA_STORE_DRIVER"] = os.environ["MICA_TEST_STORE"]

    def run(self, *args, input=None, env=None, cwd=None, timeout=TIMEOUT):
        if isinstance(input, str):
            input = input.encode()
        argv = [self.path, *map(str, args)]
        done = subprocess.run(argv, input=input if input is not None else b"", env={**self.env, **(env or {})}, cwd=cwd or self.home,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
        return Result(argv[1:], done.returncode, done.stdout, done.stderr)

    def __call__(self, *args, **kwargs):
        result = self.run(*args, **kwargs)
        assert result.code == 0, result
        return result

    def fails(self, code, *args, **kwargs):
        result = self.run(*args, **kwargs)
        assert result.code == code, result
        return result

    def popen(self, *args, env=None, **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([self.path, *map(str, args)], env={**self.env, **(env or {})}, cwd=self.home, **kwargs)

    def inspect(self, name, *options):
        return self("inspect", *options, name).json[0]

    def image(self, name):
        return self("image", "inspect", name).json[0]

    def clean(self):
        """Stops and removes what a test left running, so that its directory can go."""
        ids = self.run("ps", "-aq").out.split()
        if ids:
            self.run("rm", "-f", "-v", *ids)


@pytest.fixture(scope="session")
def mica_path():
    return find_mica()


@pytest.fixture
def make_mica(mica_path, tmp_path_factory):
    """Makes further stores: make_mica() -> Mica."""
    made = []

    def make():
        base = Path(os.environ["MICA_TEST_TMP"]) if os.environ.get("MICA_TEST_TMP") else None
        if base:
            base.mkdir(parents=True, exist_ok=True)
            top = Path(subprocess.run(["mktemp", "-d", "-p", str(base)], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
        else:
            top = tmp_path_factory.mktemp("mica")
        (top / "home").mkdir()
        made.append((Mica(mica_path, top / "store", top / "home"), top))
        return made[-1][0]

    yield make
    for mica, top in made:
        mica.clean()
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def mica(make_mica):
    """The binary with a store of its own that is gone after the test."""
    return make_mica()


def tar_bytes(members, mode="w"):
    """A tar from {path: bytes | str | ("symlink", target) | ("dir", mode) | ("file", bytes, mode)}; parents are made as they are named."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as tar:
        for path, content in members.items():
            info = tarfile.TarInfo(path)
            info.mtime = 1700000000
            data = None
            if isinstance(content, tuple) and content[0] == "symlink":
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, content[1], 0o777
            elif isinstance(content, tuple) and content[0] == "link":
                info.type, info.linkname = tarfile.LNKTYPE, content[1]
            elif isinstance(content, tuple) and content[0] == "dir":
                info.type, info.mode = tarfile.DIRTYPE, content[1]
            else:
                mode_bits = 0o644
                if isinstance(content, tuple):
                    _, content, mode_bits = content
                data = content.encode() if isinstance(content, str) else content
                info.size, info.mode = len(data), mode_bits
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def busybox_path():
    for path in ("/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/busybox-static"):
        if os.path.exists(path):
            return path
    pytest.skip("busybox-static is not installed")


@pytest.fixture(scope="session")
def busybox_tar():
    """A root file system with a static busybox, its applets as symbolic links, and passwd/group."""
    path = busybox_path()
    applets = subprocess.run([path, "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    members = {name: ("dir", 0o755) for name in ("bin/", "etc/", "home/", "root/", "usr/", "usr/bin/", "var/", "proc/", "sys/", "dev/")}
    members["tmp/"] = ("dir", 0o1777)
    members["bin/busybox"] = ("file", Path(path).read_bytes(), 0o755)
    members.update({f"bin/{a}": ("symlink", "busybox") for a in applets if a != "busybox"})
    members["etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\nuser:x:1000:1000::/home:/bin/sh\n"
    members["etc/group"] = "root:x:0:\nstaff:x:50:user\nnogroup:x:65534:\nuser:x:1000:\n"
    return tar_bytes(members)


@pytest.fixture
def busybox(mica, busybox_tar):
    """The image busybox:latest in the store of `mica`, with CMD sh and a PATH. Returns its name."""
    return import_busybox(mica, busybox_tar)


def import_busybox(mica, busybox_tar, name="busybox:latest"):
    mica("import", "--change", 'CMD ["sh"]', "--change", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "-", name, input=busybox_tar)
    return name


@pytest.fixture
def context(tmp_path):
    """Makes a build context: context({"Dockerfile": "FROM x", "dir/file": b"..."}) -> its path."""
    count = [0]

    def make(files):
        count[0] += 1
        top = tmp_path / f"context{count[0]}"
        top.mkdir()
        for name, content in files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content)
        return top

    return make


@pytest.fixture
def site(tmp_path):
    """A web server on loopback for files and for git repositories (git_server.make_repository(site.top, …))."""
    require_tool("git")
    site = Site(tmp_path / "repositories")
    yield site
    site.close()


@pytest.fixture(scope="session")
def readers(tmp_path_factory):
    """docker and podman of Debian, in namespaces of their own."""
    require_root()
    build = Path(os.environ["MICA_BUILD_DIR"]).parent if os.environ.get("MICA_BUILD_DIR") else ROOT / "build"
    readers = Readers(tmp_path_factory.mktemp("readers"), build / "readers")
    try:
        readers.start()
        yield readers
    finally:
        readers.close()


@pytest.fixture
def root_only():
    require_root()


def skopeo(*args, check=True):
    """Runs skopeo with no policy and no registries of the host; skips when it is not there."""
    return subprocess.run([require_tool("skopeo"), "--insecure-policy", *map(str, args)], check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=TIMEOUT)


def umoci(*args, check=True):
    return subprocess.run([require_tool("umoci"), *map(str, args)], check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
