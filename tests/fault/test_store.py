"""The store under faults: whatever fails or dies in import, remove and gc, what was there before is still there and fsck finds nothing."""
import os
import pathlib
import sys
import tarfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import faults  # noqa: E402

TOOL = pathlib.Path(os.environ.get("MICA_STORE_TOOL") or pathlib.Path(os.environ.get("MICA", "build/fault/src/cli/mica")).parents[2] / "tests/store_tool")
MOST = int(os.environ.get("MICA_FAULT_MOST", "60"))


def counts_faults(tmp_path):
    if not TOOL.exists():
        return False
    faults.run([TOOL, "gc", tmp_path / "probe"], count=tmp_path / "probe-count")
    return (tmp_path / "probe-count").exists()


def make_tar(path, names, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name in names:
            file = path.parent / "content"
            file.write_bytes(name.encode() * 1000)
            tar.add(file, arcname=name)
    return path


@pytest.fixture(params=["erofs", "dir"])
def tars(request, tmp_path, monkeypatch):
    if not counts_faults(tmp_path):
        pytest.skip(f"'{TOOL}' is not there or built without -Dfault=true")
    monkeypatch.setenv("MICA_STORE_DRIVER", request.param)
    return (make_tar(tmp_path / "a.tar", ["etc/a", "etc/b"]), make_tar(tmp_path / "b.tar.gz", ["usr/c"], "w:gz"), make_tar(tmp_path / "c.tar", ["usr/d"]))


def names(root):
    done = faults.run([TOOL, "names", root])
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def sound(root, fault, result, keeps):
    """fsck is content, and what was acknowledged is there."""
    where = f"{fault}: exit {result.returncode}: {result.stderr}"
    if not root.exists():
        return
    check = faults.run([TOOL, "check", root])
    assert check.returncode == 0, f"{where}\n{check.stdout}{check.stderr}"
    assert keeps <= names(root), where
    collected = faults.run([TOOL, "gc", root])
    assert collected.returncode == 0, f"{where}\n{collected.stderr}"
    check = faults.run([TOOL, "check", root])
    assert check.returncode == 0, f"{where}\nafter gc: {check.stdout}{check.stderr}"
    assert not list((root / "tmp").iterdir()), where


OLD = "docker.io/library/old:latest"
NEW = "docker.io/library/new:latest"


def test_import(tmp_path, tars):
    a, b, c = tars

    def prepare(root):
        assert faults.run([TOOL, "import", root, "old", a]).returncode == 0

    def verify(root, fault, result):
        keeps = {OLD} | ({NEW} if result.returncode == 0 else set())
        sound(root, fault, result, keeps)
        if result.returncode == 1:
            assert result.stderr.startswith("store_tool: "), fault
        again = faults.run([TOOL, "import", root, "new", a, b, c])
        assert again.returncode == 0, f"{fault}: {again.stderr}"
        sound(root, fault, again, {OLD, NEW})

    assert faults.sweep(tmp_path, prepare, lambda root: [TOOL, "import", root, "new", a, b, c], verify, MOST) > 0


def test_first_use(tmp_path, tars):
    """A store that is being made."""
    a, _, _ = tars
    faults.sweep(tmp_path, lambda root: None, lambda root: [TOOL, "import", root, "new", a], lambda root, fault, result: sound(root, fault, result, set()), MOST)


def test_remove_and_gc(tmp_path, tars):
    a, b, c = tars

    def prepare(root):
        assert faults.run([TOOL, "import", root, "old", a]).returncode == 0
        assert faults.run([TOOL, "import", root, "new", a, b, c]).returncode == 0

    faults.sweep(tmp_path, prepare, lambda root: [TOOL, "remove", root, "new"], lambda root, fault, result: sound(root, fault, result, {OLD}), MOST)

    def prepare_removed(root):
        prepare(root)
        assert faults.run([TOOL, "remove", root, "new"]).returncode == 0

    (tmp_path / "gc").mkdir()
    faults.sweep(tmp_path / "gc", prepare_removed, lambda root: [TOOL, "gc", root], lambda root, fault, result: sound(root, fault, result, {OLD}), MOST)
