"""The workloads that need no network: builds, runs, archives. Each is a function of the Bench; its first line of text is its title."""
import shutil
import subprocess
import tarfile
import time

from engines import Engine
from floors import BareRuntime
from inputs import big_context, random_file, tiny_context


def noop_tiny(bench):
    """no-op cached build, tiny context"""
    context = tiny_context(bench.scratch / "tiny")
    bench.everybody(lambda engine: engine.build(context, "bench-tiny"))
    bench.compare("noop-tiny", lambda engine, i: engine.build(context, "bench-tiny"), bench.args.runs * 2)


def big(bench):
    if not (bench.scratch / "big").exists():
        big_context(bench.scratch / "big", 300, 10_000)
    return bench.scratch / "big"


def cold(bench):
    """cold build: COPY 300 MB, COPY 10,000 files, 10 RUN"""
    context = big(bench)
    bench.compare("cold", lambda engine, i: engine.build(context, "bench-big", no_cache=True), (bench.args.runs + 1) // 2)


def noop_big(bench):
    """no-op cached build, 300 MB and 10,000 files"""
    context = big(bench)
    bench.everybody(lambda engine: engine.build(context, "bench-big"))
    bench.compare("noop-big", lambda engine, i: engine.build(context, "bench-big"), bench.args.runs)


def run(bench):
    """`run --rm --network none true`"""
    floors = [BareRuntime(name, bench.scratch, bench.base.tar) for name in ("crun", "runc") if shutil.which(name)]
    times = {floor.name: [] for floor in floors}

    def measure(engine, i):
        if engine is bench.mica:
            for floor in floors:
                times[floor.name] += floor.times(1)
        return engine.run_true("none")

    bench.compare("run", measure, bench.args.runs * 3, floors=times)


def floor_of(bench, tar):
    """sha256 and cp of a file: no import that verifies and keeps the bytes can be faster on one thread."""
    started = time.monotonic()
    subprocess.run(["openssl", "dgst", "-sha256", str(tar)], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["cp", str(tar), str(bench.scratch / "copy")], check=True)
    elapsed = time.monotonic() - started
    (bench.scratch / "copy").unlink()
    return elapsed


def taking_in(bench, work, tar, verb, tag):
    """One archive into fresh stores of mica and into the stores of docker and podman, and the floor before each round; then mica's peak memory."""
    floor = []

    def fresh(name):
        return Engine("mica", [bench.mica.command[0], "--root", str(bench.scratch / name)])

    def measure(engine, i):
        if engine is not bench.mica:
            elapsed = engine.run(*verb(engine))
            engine.run("rmi", "-f", tag)
            return elapsed
        floor.append(floor_of(bench, tar))
        elapsed = fresh(f"{work}-{i}").run(*verb(engine))
        shutil.rmtree(bench.scratch / f"{work}-{i}")
        return elapsed

    bench.compare(work, measure, max(3, bench.args.runs // 2), floors={"sha256 + cp": floor}, only=("mica", "docker", "podman"))
    if shutil.which("time"):
        command = [*fresh(f"{work}-peak").command, *map(str, verb(bench.mica))]
        done = subprocess.run(["/usr/bin/time", "-f", "%M", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        print(f"  mica's peak memory: {int(done.stderr.split()[-1]) / 1024:.1f} MiB")
        shutil.rmtree(bench.scratch / f"{work}-peak")


def import_1g(bench):
    """`import` of a tar of 1 GB"""
    tar = bench.scratch / "1g.tar"
    with tarfile.open(tar, "w") as out:
        for i in range(10):
            random_file(bench.scratch / "part", 100_000_000, 1000 + i)
            out.add(bench.scratch / "part", f"data/part{i}")
    (bench.scratch / "part").unlink()
    taking_in(bench, "import-1g", tar, lambda engine: ("import", engine.path(tar), "bench-1g:latest"), "bench-1g:latest")
    tar.unlink()


def load_1g(bench):
    """`load` of an image of 1 GB"""
    context, archive = bench.scratch / "load", bench.scratch / "1g-image.tar"
    context.mkdir()
    for i in range(10):
        random_file(context / f"part{i}", 100_000_000, 2000 + i)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY part* /data/\n")
    bench.mica.build(context, "bench-load:latest")
    bench.mica.run("save", "-o", archive, "bench-load:latest")
    shutil.rmtree(context)
    taking_in(bench, "load-1g", archive, lambda engine: ("load", "-i", engine.path(archive)), "bench-load:latest")
    archive.unlink()


def index_180m(bench):
    """`import` of a layer of 180 MB, 9,500 files"""
    tree, tar = bench.scratch / "layer", bench.scratch / "layer.tar"
    tree.mkdir()
    for i in range(9_500):
        folder = tree / f"d{i // 100:03}"
        folder.mkdir(exist_ok=True)
        random_file(folder / f"f{i:05}", 19_000, i)
    subprocess.run(["tar", "-cf", tar, "-C", tree, "."], check=True)
    shutil.rmtree(tree)
    times = {"tar -x": [], "cp": []}

    def measure(engine, i):
        target, copy = bench.scratch / "unpacked", bench.scratch / "copy"
        target.mkdir()
        for name, command in (("tar -x", ["tar", "-xf", tar, "-C", target]), ("cp", ["cp", tar, copy])):
            started = time.monotonic()
            subprocess.run(command, check=True)
            times[name].append(time.monotonic() - started)
        copy.unlink()
        shutil.rmtree(target)
        return engine.run("import", engine.path(tar), f"bench-layer:{i}")

    bench.compare("index-180m", measure, bench.args.runs, floors=times, only=("mica",))
    tool = bench.args.tools / "erofs_tool" if bench.args.tools else None
    if tool and tool.exists():
        alone = []
        for _ in range(bench.args.runs):
            started = time.monotonic()
            subprocess.run([tool, "index", tar, bench.scratch / "index"], check=True, stdout=subprocess.DEVNULL)
            alone.append(time.monotonic() - started)
        bench.table.titles["index-alone"] = "the index of that layer alone"
        bench.table.add("index-alone", "mica", alone)
        print("  the index alone: read, parse, write")
        bench.table.show("index-alone")
    tar.unlink()
