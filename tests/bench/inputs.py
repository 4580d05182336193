"""What is built, run and loaded: the base image, contexts, archives. The same bytes at every run."""
import dataclasses
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile

from engines import BASE


@dataclasses.dataclass
class Layout:
    """An image as an OCI image layout."""
    path: pathlib.Path
    digest: str


@dataclasses.dataclass
class Base:
    tar: pathlib.Path
    layout: Layout


def base_tar(path):
    """A root file system with a static busybox and a name for each applet, as a tar."""
    busybox = next((p for p in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(p)), None)
    if not busybox:
        sys.exit("bench: busybox-static is not installed")
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "etc", "tmp", "root"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(busybox, "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                info = tarfile.TarInfo(f"bin/{applet}")
                info.type, info.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(info)


def export_layout(mica, image, path):
    """`image` of mica's store as an OCI layout that BuildKit takes as a base."""
    context = path.parent / (path.name + "-from")
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text(f"FROM {image}\n")
    mica.run("build", "-q", "--output", f"type=oci,tar=false,dest={path},compression=uncompressed", context)
    return Layout(path, json.loads((path / "index.json").read_text())["manifests"][0]["digest"])


def random_file(path, size, seed):
    generator = random.Random(seed)
    with open(path, "wb") as file:
        while size > 0:
            chunk = min(size, 8 << 20)
            file.write(generator.randbytes(chunk))
            size -= chunk


def tiny_context(where):
    where.mkdir()
    (where / "app.py").write_text("print('hello')\n")
    (where / "Dockerfile").write_text(f"FROM {BASE}\nRUN echo one >/one\nCOPY app.py /app/\nENV A=1\nCMD [\"sh\"]\n")
    return where


def big_context(where, megabytes, files):
    where.mkdir()
    (where / "big").mkdir()
    for i in range(10):
        random_file(where / "big" / f"data{i}", megabytes * 100_000, i)
    for i in range(files):
        folder = where / "tree" / f"d{i // 100:03}"
        if i % 100 == 0:
            folder.mkdir(parents=True)
        (folder / f"f{i:05}.txt").write_text(f"file {i}\n" * 20)
    lines = [f"FROM {BASE}", "COPY big /big", "COPY tree /tree", *(f"RUN echo {i} >/step{i}" for i in range(10))]
    (where / "Dockerfile").write_text("\n".join(lines) + "\n")
    return where
