"""Kernels that this machine does not have, played by the sys seam: EROFS only from block devices, refused, or wanted attached by overlays."""
import os

import pytest

from test_fault import MICA, Bench, base_tar
from hosts import mica_cgroups  # beside the end-to-end tests, whose directory test_fault adds

REFUSALS = {
    "erofs:1+:ENOTBLK": "only from block devices (files need Linux 6.12 and CONFIG_EROFS_FS_BACKED_BY_FILE)",  # before 6.12
    "erofs:1+:EINVAL": "cannot mount EROFS from files of that file system",
    "erofs:1+:EPERM": "needs CAP_SYS_ADMIN in the initial user namespace",
}


@pytest.fixture
def bench(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts")
    bench = Bench(tmp_path, "auto")
    bench.run(tmp_path / "probe", "images", count=tmp_path / "count")
    if not (tmp_path / "count").exists():
        pytest.skip(f"'{MICA}' is built without -Dfault=true")
    (tmp_path / "busybox.tar").write_bytes(base_tar())
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM busybox\nRUN echo built > /built\n")
    return bench


def driver(bench, root, fault):
    lines = bench.run(root, "info", fault=fault).stdout.splitlines()
    at = lines.index(next(line for line in lines if line.startswith("Storage Driver: ")))
    return lines[at].split(": ")[1], lines[at + 1].strip()


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_kernel_that_refuses_has_the_driver_dir_and_is_told_why(bench, fault):
    root = bench.top / "store"
    assert bench.run(root, "import", "busybox.tar", "busybox", fault=fault).returncode == 0
    kind, reason = driver(bench, root, fault)
    assert kind == "dir" and reason.startswith("Reason: ") and REFUSALS[fault] in reason
    bench.env["MICA_LOG"] = "debug"
    debug = bench.run(root, "run", "--rm", "--network", "none", "busybox", "true", fault=fault)
    del bench.env["MICA_LOG"]
    assert debug.returncode == 0 and debug.stderr.count("store driver 'dir'") == 1 and REFUSALS[fault] in debug.stderr, "found out once, and said"
    built = bench.run(root, "build", "-q", "-t", "made", "context", fault=fault)
    assert built.returncode == 0, built.stderr
    assert bench.run(root, "run", "--rm", "--network", "none", "made", "cat", "/built", fault=fault).stdout == "built\n"
    assert list((root / "layers").glob("*/fs")) and not list((root / "chains").iterdir())
    assert not (root / "driver").exists(), "a bad answer is not kept: the next process may have more privileges"
    bench.sound(root, fault)
    # The next kernel takes it: nothing has to be done for that
    assert driver(bench, root, None)[0] == "erofs"
    assert bench.run(root, "run", "--rm", "--network", "none", "made", "cat", "/built").stdout == "built\n"


def test_a_kernel_that_wants_attached_layers_gets_them(bench):
    """Linux 6.12 to 6.14 refuse an overlay over EROFS mounts that are attached nowhere: asked once, noted, and done the other way."""
    root, fault = bench.top / "store", "overlay:1:EINVAL"
    assert bench.run(root, "import", "busybox.tar", "busybox", fault=fault).returncode == 0
    (root / "driver").unlink(missing_ok=True)
    kind, reason = driver(bench, root, fault)
    assert kind == "erofs" and "attached to be a layer of an overlay (before Linux 6.15)" in reason
    assert (root / "driver").read_text().startswith("erofs-attached ")
    built = bench.run(root, "build", "-q", "-t", "made", "context")
    assert built.returncode == 0, built.stderr
    assert bench.run(root, "run", "--rm", "--network", "none", "made", "cat", "/built").stdout == "built\n"
    assert not list((root / "layers").glob("*/fs"))
    bench.sound(root, None)


def test_a_store_begun_with_erofs_goes_on_when_the_kernel_lacks_it_later(bench):
    """The tars are what a store consists of: both drivers make what they need of them."""
    root = bench.top / "store"
    bench.must(root, "import", "busybox.tar", "busybox")
    bench.must(root, "build", "-q", "-t", "made", "context")
    assert bench.run(root, "run", "--name", "box", "--network", "none", "made", "sh", "-c", "cat /built; echo more > /more").stdout == "built\n"
    assert driver(bench, root, None)[0] == "erofs"
    (root / "driver").unlink()  # as after another boot
    fault = "erofs:1+:ENOTBLK"
    kind, reason = driver(bench, root, fault)
    assert kind == "dir" and REFUSALS[fault] in reason
    assert bench.run(root, "run", "--rm", "--network", "none", "made", "cat", "/built", fault=fault).stdout == "built\n"
    assert bench.run(root, "start", "-a", "box", fault=fault).stdout == "built\n", "containers made with the other driver start"
    assert bench.run(root, "build", "-q", "context", fault=fault).returncode == 0
    bench.sound(root, fault)
    # Who insists is told what to do
    bench.env["MICA_STORE_DRIVER"] = "erofs"
    done = bench.run(root, "run", "--rm", "--network", "none", "made", "true", fault=fault)
    assert done.returncode == 125 and "MICA_STORE_DRIVER" in done.stderr and "'dir'" in done.stderr, done.stderr
    bench.env["MICA_STORE_DRIVER"] = "auto"
    bench.must(root, "rm", "-f", "box")


def cgroups():
    return {name for top in mica_cgroups() if os.path.exists(top) for name in os.listdir(top) if name.startswith("mica-")}


def test_a_cgroup_that_cannot_be_removed_is_removed_later(bench):
    """Not forgotten: what names the cgroup stays until it is gone, and whoever comes next tries again."""
    root = bench.top / "store"
    bench.must(root, "import", "busybox.tar", "busybox")
    fault = "rmcgroup:1+:EIO"
    made = bench.run(root, "create", "--name", "box", "--network", "none", "busybox", "true").stdout.strip()
    assert bench.run(root, "start", "-a", "box", fault=fault).returncode == 0
    assert f"mica-{made}" in cgroups() and os.path.exists(f"/run/mica/bundles/{made}/owner")
    bench.must(root, "rm", "box")
    assert f"mica-{made}" not in cgroups() and not os.path.exists(f"/run/mica/bundles/{made}")
    before = cgroups()
    built = bench.run(root, "build", "-t", "made", "context", fault=fault)
    assert built.returncode == 0 and "the next build tries again" in built.stderr, built.stderr
    left = {name for name in cgroups() - before if os.path.exists(f"/run/mica/once/{name[5:]}")}
    assert left
    bench.must(root, "build", "--no-cache", "context")
    assert not left & cgroups() and not [name for name in left if os.path.exists(f"/run/mica/once/{name[5:]}")]
