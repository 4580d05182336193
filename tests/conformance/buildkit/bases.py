"""The base images of the cases: a static busybox and images on it, made here so that the recorder and the test start from the same layers.

    busybox   users root, bin, app and groups; some directories, links and files to copy over
    rich      every field of a config is set
    two       a second layer that removes, replaces and makes opaque
    trigger   ONBUILD COPY, RUN and ENV
    nopasswd  busybox and nothing else: no /etc, no config
"""
import gzip
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile

from casebook import tar

BUSYBOX = "/bin/busybox"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CREATED = "2020-01-02T03:04:05.678901234Z"


def rootfs():
    applets = subprocess.run([BUSYBOX, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    members = [(name, ("dir", 0o755)) for name in ("bin", "dev", "etc", "home", "proc", "sys", "usr", "var")]
    members += [("root", ("dir", 0o700)), ("tmp", ("dir", 0o1777)), ("bin/busybox", ("file", pathlib.Path(BUSYBOX).read_bytes(), 0o755))]
    members += [("bin/" + applet, ("symlink", "busybox")) for applet in applets if applet != "busybox"]
    owner = {"uid": 1000, "gid": 1001}
    members += [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbin:x:1:7:bin:/bin:/bin/false\napp:x:1000:1001::/home/app:/bin/sh\n"),
        ("etc/group", "root:x:0:\nlp:x:7:\napp:x:1001:\nextra:x:2000:app\n"),
        ("home/app", ("dir", 0o755, owner)),
        ("srv", ("dir", 0o755)), ("srv/dir", ("dir", 0o711, {"uid": 5, "gid": 6})), ("srv/dir/below", "below\n"), ("srv/dir/sub", ("dir", 0o755)), ("srv/dir/sub/leaf", "leaf\n"),
        ("srv/file", ("file", "file\n", 0o640, {"uid": 3, "gid": 4})), ("srv/other", "other\n"),
        ("srv/hard", ("link", "srv/file", {"mode": 0o640, "uid": 3, "gid": 4})), ("srv/link", ("symlink", "/srv/dir")), ("srv/relative", ("symlink", "dir")), ("srv/out", ("symlink", "../../../../../etc")),
        ("srv/dangling", ("symlink", "nowhere")), ("srv/setuid", ("file", "s", 0o4755)), ("srv/sticky", ("dir", 0o1777)), ("srv/fifo", ("fifo",)),
    ]
    return tar(members)


def second():
    return tar([("srv", ("dir", 0o755)), ("srv/.wh.other", ""), ("srv/dir", ("dir", 0o755)), ("srv/dir/.wh..wh..opq", ""), ("srv/dir/fresh", "fresh\n"), ("srv/file", ("dir", 0o700)),
                ("srv/file/inside", "inside\n"), ("srv/setuid", ("symlink", "hard"))])


RICH = {
    "User": "app", "WorkingDir": "/srv/dir", "Env": [PATH, "RICH=yes", "EMPTY=", "SPACE=a b"], "Cmd": ["base-cmd"], "Entrypoint": ["/bin/base-entry"],
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/data": {}}, "Labels": {"base": "1", "over": "base"}, "StopSignal": "SIGQUIT",
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5000000000}, "Shell": ["/bin/sh", "-ec"],
}


def images():
    """[(name, config, [layer])], each layer an uncompressed tar."""
    base, over = rootfs(), second()
    only = tar([("bin", ("dir", 0o755)), ("bin/busybox", ("file", pathlib.Path(BUSYBOX).read_bytes(), 0o755)), ("bin/sh", ("symlink", "busybox"))])
    plain = {"Env": [PATH], "Cmd": ["sh"]}
    triggers = {**plain, "OnBuild": ["COPY one /onbuild/", "RUN echo trigger >>/onbuild/ran", "ENV TRIGGERED=1", "ARG WITH=default"]}
    return [("busybox", plain, [base]), ("rich", RICH, [base]), ("two", plain, [base, over]), ("trigger", triggers, [base]), ("nopasswd", {}, [only])]


def config_of(config, layers):
    history = [{"created": CREATED, "created_by": f"made layer {n}", "comment": "from nothing"} for n in range(len(layers))]
    history.append({"created": CREATED, "created_by": "CMD [\"sh\"]", "empty_layer": True, "author": "somebody"})
    return {"architecture": "amd64", "os": "linux", "created": CREATED, "author": "somebody", "config": config, "history": history,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]}}


def make_layout(directory):
    """An OCI layout with all base images, each tagged NAME:latest. Returns {name: manifest digest}."""
    directory = pathlib.Path(directory)
    (directory / "blobs/sha256").mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def put(data, media_type, **more):
        digest = hashlib.sha256(data).hexdigest()
        (directory / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data), **more}

    manifests = []
    for name, config, layers in images():
        described = [put(gzip.compress(layer, 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers]
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": put(json.dumps(config_of(config, layers)).encode(), "application/vnd.oci.image.config.v1+json"), "layers": described}
        manifests.append(put(json.dumps(manifest).encode(), manifest["mediaType"], platform={"architecture": "amd64", "os": "linux"},
                             annotations={"io.containerd.image.name": f"docker.io/library/{name}:latest", "org.opencontainers.image.ref.name": "latest"}))
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}))
    return {m["annotations"]["io.containerd.image.name"].split("/")[-1].split(":")[0]: m["digest"] for m in manifests}


def layout_tar(directory):
    """The layout as one archive that `mica load` takes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(pathlib.Path(directory).rglob("*")):
            archive.add(path, path.relative_to(directory), recursive=False)
    return out.getvalue()


def docker_tar():
    """The base images as one archive that `docker load` takes."""
    out, manifest = io.BytesIO(), []
    with tarfile.open(fileobj=out, mode="w") as archive:
        def put(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            return name

        for name, config, layers in images():
            manifest.append({"Config": put(name + ".json", json.dumps(config_of(config, layers)).encode()), "RepoTags": [f"{name}:latest"],
                             "Layers": [put(f"{name}-{n}.tar", layer) for n, layer in enumerate(layers)]})
        put("manifest.json", json.dumps(manifest).encode())
    return out.getvalue()
