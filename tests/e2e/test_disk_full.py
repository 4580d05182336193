"""A disk that fills up during a build, an import or a load: a clear error, nothing half-made, and the space is there again.

The store lies on a file system of its own: ext4 in a file (the driver erofs) and tmpfs (where that driver cannot be, so that `dir` is chosen).
"""
import os
import subprocess
import time

import pytest

from conftest import Mica, import_busybox, require_root, require_tool, tar_bytes

MIB = 1 << 20
SIZE = 40 * MIB


@pytest.fixture(params=["ext4", "tmpfs"])
def small(request, tmp_path, mica_path):
    """A mica whose store is alone on a file system of 40 MiB."""
    require_root()
    mount = tmp_path / "mount"
    mount.mkdir()
    if request.param == "ext4":
        image = tmp_path / "disk"
        with open(image, "wb") as file:
            file.truncate(SIZE)
        subprocess.run([require_tool("mkfs.ext4"), "-q", "-m", "0", image], check=True)
        done = subprocess.run(["mount", "-o", "loop", image, mount], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            pytest.skip(f"no loop devices: {done.stderr.strip()}")
    else:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "none", mount], check=True)
    (tmp_path / "home").mkdir()
    mica = Mica(mica_path, mount / "store", tmp_path / "home")
    yield mica
    mica.clean()
    for _ in range(100):  # the monitor of the last container cleans up after it has answered
        if subprocess.run(["umount", mount], stderr=subprocess.DEVNULL).returncode == 0:
            break
        time.sleep(0.05)
    else:
        subprocess.run(["umount", "-l", mount], check=True)
        pytest.fail("something still uses the file system of the store")


def start(mica, busybox_tar):
    """The base image, run once so that what a driver unpacks is there; returns what the store takes."""
    import_busybox(mica, busybox_tar)
    mica("run", "--rm", "--network", "none", "busybox", "true")
    return used(mica)


def used(mica):
    st = os.statvfs(mica.root)
    return (st.f_blocks - st.f_bfree) * st.f_frsize


def sound(mica, before, result):
    """The error names the reason; the store is whole; what was taken is given back; and the store still works."""
    assert result.code == 1, result
    assert "No space left on device" in result.err, result
    mica("fsck")
    assert list((mica.root / "tmp").iterdir()) == []
    mica("system", "prune", "-f")
    assert used(mica) < before + MIB
    assert mica("images", "--format", "{{.Repository}}").lines == ["busybox"]
    assert mica("run", "--rm", "--network", "none", "busybox", "echo", "fine").out == "fine\n"


def noise(size):
    return os.urandom(MIB) * (size // MIB)


def test_build(small, busybox_tar, context):
    before = start(small, busybox_tar)
    # In RUN the error is the program's own; in COPY and in the making of the layer it is ours.
    top = context({"Dockerfile": "FROM busybox\nRUN echo one > /one\nRUN dd if=/dev/zero of=/big bs=1M count=60\n"})
    sound(small, before, small.run("build", "-t", "big", top))
    # The files fit once, and their layer beside them does not.
    top = context({"Dockerfile": "FROM busybox\nRUN dd if=/dev/urandom of=/big bs=1M count=22 2>/dev/null\n"})
    sound(small, before, small.run("build", "-t", "big", top))
    top = context({"Dockerfile": "FROM busybox\nCOPY big /\n", "big": noise(45 * MIB)})
    sound(small, before, small.run("build", "-t", "big", top))
    # Once there is room, what did not fit is built.
    small("build", "-t", "big", context({"Dockerfile": "FROM busybox\nCOPY big /\n", "big": noise(10 * MIB)}))
    assert small("run", "--rm", "--network", "none", "big", "wc", "-c", "/big").out.split()[0] == str(10 * MIB)


def test_import(small, busybox_tar, tmp_path):
    before = start(small, busybox_tar)
    sound(small, before, small.run("import", "-", "big", input=tar_bytes({"big": noise(45 * MIB)})))
    # Compressed, and full while it is inflated.
    packed = subprocess.run([require_tool("zstd"), "-1", "-c"], input=tar_bytes({"big": noise(45 * MIB)}), stdout=subprocess.PIPE, check=True).stdout
    sound(small, before, small.run("import", "-", "big", input=packed))


def test_load(small, make_mica, busybox_tar):
    before = start(small, busybox_tar)
    other = make_mica()
    other("import", "-", "big", input=tar_bytes({"big": noise(45 * MIB)}))
    sound(small, before, small.run("load", input=other("save", "big").raw_out))


def test_cache_import_and_export(small, make_mica, busybox_tar, context, tmp_path):
    before = start(small, busybox_tar)
    other = make_mica()
    import_busybox(other, busybox_tar)
    top = context({"Dockerfile": "FROM busybox\nCOPY big /\nRUN echo x > /y\n", "big": noise(45 * MIB)})
    other("build", "-q", "--cache-to", f"type=local,dest={tmp_path}/cache,mode=max", top)
    sound(small, before, small.run("build", "--cache-from", f"type=local,src={tmp_path}/cache", "-t", "big", top))
    # An export without space says so, and the build's own result is there; what was written is no cache that anybody takes for one.
    little = context({"Dockerfile": "FROM busybox\nCOPY big /\n", "big": noise(25 * MIB)})
    full = small.root / "cache" / "exported"
    result = other.run("build", "-q", "--cache-to", f"type=local,dest={full},mode=max,compression=uncompressed", "-t", "fits", context(
        {"Dockerfile": "FROM busybox\nCOPY big /\n", "big": noise(48 * MIB)}))
    assert result.code == 1 and "No space left on device" in result.err, result
    assert not (full / "index.json").exists()
    subprocess.run(["rm", "-rf", full], check=True)
    other("fsck")
    other("build", "-q", "--cache-to", f"type=local,dest={full},mode=max", little)
    assert (full / "index.json").exists()


def test_a_disk_without_a_byte_left(small, busybox_tar):
    """Listing works, naming works or says why not, and nothing is damaged."""
    start(small, busybox_tar)
    fill = small.root / "cache" / "fill"
    with open(fill, "wb", buffering=0) as file:
        size = MIB
        while size >= 512:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
    tag = small.run("tag", "busybox", "other")
    assert tag.code == 0 or "No space left on device" in tag.err or "full" in tag.err, tag
    small("images")
    fill.unlink()
    small("fsck")
    small("rmi", "-f", "busybox", *(["other"] if tag.code == 0 else []))
    small("fsck")
