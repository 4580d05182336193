"""The real binary under faults: whatever call of a command fails, or is the last that the process makes, the store stays sound.

After each faulted run: what was acknowledged is there, fsck finds nothing, the same command works when asked again, and nothing is left in tmp/ after the
next collection. A run that fails says why. MICA_FAULT_MOST raises the number of points per sweep (default 40; 100000 is every one).
"""
import itertools
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from conftest import busybox_path, tar_bytes  # noqa: E402
from faults import in_parallel  # noqa: E402

MICA = os.environ.get("MICA", "build/fault/src/cli/mica")
MOST = int(os.environ.get("MICA_FAULT_MOST", "40"))
# Fails once, with the numbers a file system gives; or for good from there on, as a full or dying disk does.
ERRORS = ("{}:ENOSPC", "{}+:ENOSPC", "{}:EIO", "{}:EMFILE", "{}+:EIO")
DOCKERFILE = """FROM busybox AS one
RUN echo built > /built && mkdir -p /srv/x && ln -s /built /srv/link && rm /etc/passwd
COPY d /d
FROM busybox
WORKDIR /app
ADD more.tar /more/
COPY --from=one /built /d ./
ENV A=b
RUN --mount=type=cache,target=/cache --mount=type=bind,source=d,target=/d echo x >> /cache/x && rm -r /more
"""


class Bench:
    """A store that was made once (`origin`), copied for each run."""

    def __init__(self, top, driver):
        self.top, self.driver = top, driver
        self.origin, self.written = top / "origin", top / "origin-out"  # and what an earlier command wrote beside the store, if a test makes that
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MICA_")}
        self.env.update(MICA_STORE_DRIVER=driver, HOME=str(top), TZ="UTC")

    def run(self, root, *args, fault=None, count=None, timeout=60):
        env = {**self.env, "MICA_ROOT": str(root)}
        if fault:
            env["MICA_FAULT"] = fault
        if count:
            env["MICA_FAULT_COUNT"] = str(count)
        return subprocess.run([MICA, *map(str, args)], env=env, cwd=self.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=timeout, errors="replace")

    def must(self, root, *args):
        done = self.run(root, *args)
        assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
        return done

    def prepare(self, *commands):
        for command in commands:
            self.must(self.origin, *command)

    def fresh(self, name):
        root = self.top / name
        shutil.rmtree(root, ignore_errors=True)
        for path in self.top.glob(f"{name}-out*"):  # what commands write beside the store: {root}-out
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        subprocess.run(["cp", "-a", self.origin, root], check=True)
        if self.written.exists():
            subprocess.run(["cp", "-a", self.written, self.top / f"{name}-out"], check=True)
        return root

    def names(self, root):
        return set(self.must(root, "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split())

    def sound(self, root, where):
        check = self.run(root, "fsck")
        assert check.returncode == 0 and " 0 problems" in check.stdout, f"{where}\nfsck: {check.stdout}{check.stderr}"


def one(bench, root, command, fault, keeps, makes, loses, check=None):
    command = [str(word).replace("{root}", str(root)) for word in command]
    done = bench.run(root, *command, fault=fault)
    where = f"MICA_FAULT={fault} mica {' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode in (0, 1, -9), where
    if done.returncode == 1:
        assert "mica: " in done.stderr, f"{where}\nno message"
    bench.sound(root, where)
    if check:
        check(root, done.returncode, where)
    names = bench.names(root)
    assert keeps <= names, f"{where}\nlost {keeps - names}"
    if done.returncode == 0:
        assert makes <= names and not loses & names, f"{where}\nsaid it succeeded, and did not: {names}"
    again = bench.run(root, *command)
    if not (loses and again.returncode == 1 and "No such image" in again.stderr):  # the faulted run may have got that far
        assert again.returncode == 0, f"{where}\nagain: exit {again.returncode}\n{again.stderr}"
    bench.sound(root, f"{where}\nafter running it again")
    if check:
        check(root, 0, f"{where}\nagain")
    names = bench.names(root)
    assert keeps | makes <= names and not loses & names, f"{where}\nagain: {names}"
    bench.must(root, "image", "prune", "-f")
    assert not list((root / "tmp").iterdir()), f"{where}\nleft in tmp/ after a collection: {list((root / 'tmp').rglob('*'))}"
    bench.sound(root, f"{where}\nafter a collection")
    return done.returncode


def sweep(bench, command, keeps=(), makes=(), loses=(), most=MOST, check=None):
    """
    Faults all over `command`: errors and kills at evenly spread calls. Returns the exit codes. "{root}" in a word is the store of that run;
    check(root, code, where) looks at what else there should be.
    """
    keeps, makes, loses = set(keeps), set(makes), set(loses)
    bench.top.joinpath("count").unlink(missing_ok=True)
    root = bench.fresh("count-root")
    done = bench.run(root, *(str(word).replace("{root}", str(root)) for word in command), count=bench.top / "count")
    assert done.returncode == 0, done.stderr
    if not bench.top.joinpath("count").exists():
        pytest.skip(f"'{MICA}' is built without -Dfault=true")
    n = int(bench.top.joinpath("count").read_text().split()[1])
    points = [1 + i * n // min(n, most) for i in range(min(n, most))]
    faults = [f"any:{kind.format(at)}" for at, kind in zip(points, itertools.cycle(ERRORS))] + [f"any:{at}:kill" for at in points]
    codes = in_parallel(lambda k, fault: one(bench, bench.fresh(f"root{k}"), command, fault, keeps, makes, loses, check), faults)
    assert codes.count(-9) > len(points) // 2, "most kills must hit"
    return codes


def base_tar():
    members = {name: ("dir", 0o755) for name in ("bin/", "etc/", "proc/", "sys/", "dev/")}
    members["bin/busybox"] = ("file", pathlib.Path(busybox_path()).read_bytes(), 0o755)
    members.update({f"bin/{name}": ("symlink", "busybox") for name in ("sh", "mkdir", "ln", "rm", "echo", "cat", "sleep", "dd", "true")})
    members["etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\n"
    return tar_bytes(members)


def make_bench(top, driver):
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts")
    bench = Bench(top, driver)
    (top / "busybox.tar").write_bytes(base_tar())
    context = top / "context"
    (context / "d").mkdir(parents=True)
    for i in range(3):
        (context / "d" / f"file{i}").write_text(f"{i}\n" * 5000)
    (context / "more.tar").write_bytes(tar_bytes({"x/y": "content", "x/link": ("symlink", "y")}))
    (context / "Dockerfile").write_text(DOCKERFILE)
    bench.prepare(["import", "busybox.tar", "busybox"])
    return bench


@pytest.fixture(params=["erofs", "dir"])
def bench(request, tmp_path):
    return make_bench(tmp_path, request.param)


@pytest.fixture
def erofs_bench(tmp_path):
    """For what does not depend on the driver."""
    return make_bench(tmp_path, "erofs")


BASE = "busybox:latest"


def test_build(bench):
    """Also with half of the points over `dir`, where a build unpacks."""
    codes = sweep(bench, ["build", "-q", "-t", "made", "-t", "made:two", "context"], {BASE}, {"made:latest", "made:two"},
                  most=MOST * 2 if bench.driver == "erofs" else MOST)
    assert codes.count(1) > MOST // 4


def test_import(bench):
    sweep(bench, ["import", "--change", "ENV A=b", "busybox.tar", "again"], {BASE}, {"again:latest"})


def built(bench):
    bench.prepare(["build", "-q", "-t", "made", "context"], ["save", "-o", bench.top / "made.tar", "made"])


def test_load(bench):
    built(bench)
    shutil.rmtree(bench.origin)
    bench.prepare(["import", "busybox.tar", "busybox"])
    sweep(bench, ["load", "-i", "made.tar"], {BASE}, {"made:latest"})


def test_remove_and_tag(bench):
    built(bench)
    sweep(bench, ["rmi", "made"], {BASE}, loses={"made:latest"}, most=MOST // 2)
    sweep(bench, ["tag", "made", "other:x"], {BASE, "made:latest"}, {"other:x"}, most=MOST // 2)


def test_prune(bench):
    built(bench)
    sweep(bench, ["image", "prune", "-af"], loses={"made:latest", BASE})
