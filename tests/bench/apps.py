"""The ten applications under examples/: cold, warm and after a change of one line, beside BuildKit, from the same bases with the same network.

Bases are variants of those of examples/bases: they hold this host's CA bundle and name it in the environment variables that `mica build --host-ca` sets, because
BuildKit has nothing like it. Both engines have them before the clock starts. Cold is `--no-cache` with empty cache mounts; the packages come from the network. The
engines are first in turn, because whoever comes second finds the caches of the network and of the disk warm.
"""
import json
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tarfile

from engines import Buildctl, Engine
from inputs import export_layout
from table import duration, ratio

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests/e2e"))
from example_apps import APPS  # noqa: E402

MANIFEST_MAX = 4 << 20
PLACE = "/etc/host-ca"
VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE")
JAVA_VARIABLES = ("MAVEN_OPTS", "GRADLE_OPTS")
KINDS = {"cold": 2, "warm": 4, "change": 4}  # and how often each: every engine is first in half of them


def base_names(app):
    """The images of the FROM lines that are not stages of the same file."""
    text = (TOP / "examples" / app.name / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.M))
    return [name for name in re.findall(r"^FROM (\S+)", text, re.M) if name not in stages and name != "scratch"]


def image_size(engine, *command):
    """The bytes of the layers, not compressed, of the OCI layout that the command writes to its standard output."""
    process = subprocess.Popen([*engine.command, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    small = {}
    with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
        for member in tar:
            if member.isfile() and member.size <= MANIFEST_MAX:
                small[member.name] = tar.extractfile(member).read()
    process.stdout.read()
    if process.wait():
        raise RuntimeError(f"{engine.name}: cannot export the image")
    found = json.loads(small["index.json"])["manifests"][0]
    while True:
        document = json.loads(small[f"blobs/sha256/{found['digest'].split(':')[1]}"])
        if "layers" in document:
            return sum(layer["size"] for layer in document["layers"])
        found = document["manifests"][0]


class Mica(Engine):
    """mica on the store that has the variants."""

    def forget_mounts(self):
        self.run("builder", "prune", "-a", "-f", "--filter", "type=exec.cachemount")

    def size(self, context, tag):
        return image_size(self, "build", "-q", "--output", "type=oci,dest=-,compression=uncompressed", context)


class BuildKit(Buildctl):
    def forget_mounts(self):
        self.run("prune", "--all", "--filter", "type==exec.cachemount")

    def size(self, context, tag):
        return image_size(self, *self.command_of(context, False, "type=oci,dest=-,compression=uncompressed"))


class Bases:
    """The variants in a store of this run, and as layouts."""

    def __init__(self, bench, apps):
        plain = bench.store_with_bases(*sorted({base for app in apps for base in app.bases.split()}))
        self.names = sorted({name for app in apps for name in base_names(app)})
        self.scratch = bench.scratch / "variants"
        self.mica = Mica("mica", [bench.mica.command[0], "--root", str(self.scratch / "store")])
        self.scratch.mkdir()
        save = subprocess.Popen([*plain.command, "save", *self.names], stdout=subprocess.PIPE)
        subprocess.run([*self.mica.command, "load", "-q"], stdin=save.stdout, check=True, stdout=subprocess.DEVNULL)
        if save.wait():
            raise RuntimeError(f"cannot save {' '.join(self.names)}")
        self._write_authorities()
        self.layouts = {name: self._variant(name) for name in self.names}

    def _write_authorities(self):
        """The host's bundle and, for Java, the key store that mica makes of it."""
        bundle = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile
        folder = self.scratch / "context"
        folder.mkdir()
        shutil.copy(bundle if pathlib.Path(bundle).exists() else "/etc/ssl/certs/ca-certificates.crt", folder / "host-ca.crt")
        (folder / "Dockerfile").write_text(f"FROM {self.names[0]} AS a\nRUN mkdir /out && cp /run/mica/host-ca.jks /out/\nFROM scratch\nCOPY --from=a /out /\n")
        self.mica.run("build", "-q", "--host-ca", "--output", f"type=local,dest={folder}", folder)

    def _variant(self, name):
        folder = self.scratch / "context"
        (folder / "Dockerfile").write_text("\n".join([
            f"FROM {name}", f"COPY host-ca.crt host-ca.jks {PLACE}/", "COPY host-ca.crt /etc/ssl/certs/ca-certificates.crt",
            "ENV " + " ".join(f"{variable}={PLACE}/host-ca.crt" for variable in VARIABLES),
            "ENV " + " ".join(f"{variable}=-Djavax.net.ssl.trustStore={PLACE}/host-ca.jks" for variable in JAVA_VARIABLES)]) + "\n")
        self.mica.run("build", "-q", "-t", name, folder)
        return export_layout(self.mica, name, self.scratch / re.sub(r"\W", "-", name))


def change(app, context, original, i):
    """The i-th version of the file that the application's one-line change is made in: none was built before."""
    path, text, other = app.change
    (context / path).write_text((original.replace(text, other) if i % 2 == 0 else original) + "\n" * (i // 2 + i % 2))


def measure(bench, app, engines):
    context = bench.scratch / "apps" / app.name
    shutil.copytree(TOP / "examples" / app.name, context)
    tag, row = f"bench-app-{app.name}", {}
    original = (context / app.change[0]).read_text()
    for kind, runs in KINDS.items():
        times = {engine.name: [] for engine in engines}
        for i in range(runs):
            if kind == "change":
                change(app, context, original, i)
            for engine in engines if i % 2 == 0 else reversed(engines):
                if kind == "cold":
                    engine.forget_mounts()
                times[engine.name].append(engine.build(context, tag, no_cache=kind == "cold"))
                if kind == "cold":
                    row[engine.name] = engine.size(context, tag)
        for name, values in times.items():
            bench.table.add(f"{app.name} {kind}", name, values)
    return row


class AppTable:
    """One line for each application: the three times of each engine with their ratios, and the sizes."""

    def __init__(self, table, engines, sizes):
        self.table, self.engines, self.sizes = table, engines, sizes

    def markdown(self):
        about = (f"The applications of `examples/`, from the same bases: {KINDS['cold']} cold builds (no cache, packages from the network, "
                 f"compilers), {KINDS['warm']} builds with nothing changed and {KINDS['change']} with a line of the code changed each. Sizes: layers, not compressed.")
        head = ["application: cold, warm, one line changed", *(engine.title for engine in self.engines), *(f"{engine.title} size" for engine in self.engines)]
        lines = [about, "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for app, size in self.sizes.items():
            seconds = {(row["tool"], kind): row["seconds"] for kind in KINDS for row in self.table.of(f"{app} {kind}")}
            cells = [app]
            for engine in self.engines:
                times = ", ".join(duration(seconds[engine.name, kind]) for kind in KINDS)
                ratios = ", ".join(ratio(seconds[engine.name, kind], seconds["mica", kind]) for kind in KINDS)
                cells.append(times if engine.name == "mica" else f"{times} ({ratios})")
            cells += [f"{size[engine.name] / 1e6:.1f} MB" for engine in self.engines]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def applications(bench):
    """ten applications of examples/: cold, warm, and after a change of one line"""
    chosen = [app for app in APPS if not bench.args.apps or app.name in bench.args.apps.split(",")]
    bases = Bases(bench, chosen)
    engines = [bases.mica]
    for engine in bench.engines:
        if isinstance(engine, Buildctl):
            engines.append(BuildKit(engine.name, engine.command, engine.path))
            engines[-1].bases = bases.layouts
    folder = bench.scratch / "apps" / "bases"
    folder.mkdir(parents=True)
    for name in bases.names:
        (folder / "Dockerfile").write_text(f"FROM {name}\nRUN true\n")
        for engine in engines:
            engine.build(folder, "bench-base-ready")
    sizes = {}
    for app in chosen:
        sizes[app.name] = measure(bench, app, engines)
        print("  " + AppTable(bench.table, engines, {app.name: sizes[app.name]}).markdown().splitlines()[-1], flush=True)
    bench.table.extra.append(AppTable(bench.table, engines, sizes))
