"""The case study: from `run -d` of a Flask service to its first HTTP 200, beside the same gunicorn with the same files and no container."""
import http.client
import json
import pathlib
import shutil
import socket
import subprocess
import time

from floors import BareImage

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
WITH_CONTAINERS = ("docker", "podman")
OVER_BARE = 0.060  # the budget, in seconds


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_200(port, started, limit=30.0):
    """Seconds from `started` to the first HTTP 200."""
    while time.monotonic() - started < limit:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return time.monotonic() - started
        except OSError:
            time.sleep(0.001)
        finally:
            connection.close()
    raise RuntimeError(f"no answer on port {port} within {limit:.0f} s")


def in_container(engine, image):
    port = free_port()
    started = time.monotonic()
    container = engine.output("run", "-d", "--network", "host", "-e", "HOST=127.0.0.1", "-e", f"PORT={port}", image)
    try:
        return first_200(port, started)
    finally:
        engine.run("rm", "-f", container)


def bare(image):
    port = free_port()
    started = time.monotonic()
    process = image.start({"HOST": "127.0.0.1", "PORT": str(port)})
    try:
        return first_200(port, started)
    finally:
        process.terminate()
        process.wait()


def build_image(bench, mica, dockerfile, tag):
    context = bench.scratch / tag
    shutil.copytree(TOP / "examples/flask", context)
    mica.run("build", "-q", "--host-ca", "-t", tag, "-f", context / dockerfile, context)
    archive = bench.scratch / f"{tag}.tar"
    mica.run("save", "-o", archive, tag)

    def load(engine):
        if engine.name in WITH_CONTAINERS:
            engine.run("load", "-i", engine.path(archive))
            engine.tags.add(tag)

    bench.everybody(load)
    archive.unlink()


def flask(bench):
    """Flask and Gunicorn: `run -d` to the first 200"""
    mica = bench.store_with_bases("slim", "distroless")
    for dockerfile, tag in (("Dockerfile", "bench-flask-slim"), ("Dockerfile.distroless", "bench-flask-distroless")):
        build_image(bench, mica, dockerfile, tag)
        floor, times = BareImage(mica, tag, bench.scratch / f"{tag}-files"), []
        bare(floor)  # what is read and compiled once

        def measure(engine, i):
            if engine is not bench.mica:
                return in_container(engine, tag)
            times.append(bare(floor))
            return in_container(mica, tag)

        work, size = tag.removeprefix("bench-"), json.loads(mica.output("inspect", "--type", "image", tag))[0]["Size"]
        bench.compare(work, measure, bench.args.runs * 2, floors={"bare gunicorn": times}, only=("mica", *WITH_CONTAINERS),
                      title=f"{flask.__doc__}, {work.removeprefix('flask-')} base, an image of {size / 1e6:.1f} MB")
        own, least = (next(row["seconds"] for row in bench.table.of(work) if row["tool"] == tool) for tool in ("mica", "bare gunicorn"))
        print(f"  bare + {(own - least) * 1000:.1f} ms; the budget is bare + {OVER_BARE * 1000:.0f} ms: {'met' if own - least <= OVER_BARE else 'NOT met'}")
        subprocess.run(["rm", "-rf", floor.root], check=True)
