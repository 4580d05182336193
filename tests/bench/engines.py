"""The engines that are compared: how to build, run, load and clean with each. Commands are lists; paths are translated for engines that live in another root."""
import os
import re
import shlex
import shutil
import subprocess
import time

BASE = "bench-base:latest"
ENVIRONMENT = {**os.environ, "DOCKER_BUILDKIT": "1"}  # docker before 23 builds with BuildKit when it is told to


class Engine:
    """mica, and what every engine does in docker's words."""

    title = "mica"

    def __init__(self, name, command, seen=str):
        self.name, self.command, self.path, self.tags = name, command, seen, set()

    def _call(self, *args, check=True, stderr=subprocess.STDOUT):
        command = [*self.command, *(str(arg) for arg in args)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, errors="replace", env=ENVIRONMENT)
        except OSError as error:
            raise RuntimeError(f"{shlex.join(command)}: {error.strerror}") from error
        if check and done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: exit status {done.returncode}: {(done.stdout + (done.stderr or ''))[-2000:]}")
        return done.stdout

    def run(self, *args, check=True):
        """Seconds that the command took."""
        started = time.monotonic()
        self._call(*args, check=check)
        return time.monotonic() - started

    def output(self, *args):
        return self._call(*args, stderr=subprocess.PIPE).strip()

    def version(self):
        return re.search(r"Version: *(\S+)", self.output("version")).group(1)

    def setup(self, base):
        """`base` is the base image as a tar and as an OCI layout with its digest."""
        self.run("import", self.path(base.tar), BASE)
        self.tags.add(BASE)

    def build(self, context, tag, no_cache=False):
        self.tags.add(tag)
        return self.run("build", "-q", *self.build_options(), *(["--no-cache"] if no_cache else []), "-t", tag, self.path(context))

    def build_options(self):
        return []

    def run_true(self, network):
        return self.run("run", "--rm", "--network", network, BASE, "true")

    def forget(self):
        """Removes the images of the bench; an engine's other images and its build cache are its owner's."""
        for tag in self.tags:
            self.run("rmi", "-f", tag, check=False)


class Peer(Engine):
    def build_options(self):
        return ["--network", "host"]  # as mica does: no bridge is set up for a RUN


class Docker(Peer):
    title = "docker"

    def version(self):
        return self.output("version", "--format", "{{.Server.Version}}")


class Podman(Peer):
    title = "podman"

    def version(self):
        return self.output("version", "--format", "{{.Client.Version}}")

    def build_options(self):
        return ["--network", "host", "--layers"]


class Buildah(Podman):
    """Builds only. Its base is a scratch build: it may or may not share podman's store."""

    title = "buildah"

    def version(self):
        return self.output("--version").split()[2]

    def setup(self, base):
        context = base.tar.parent / "buildah-base"
        context.mkdir(exist_ok=True)
        shutil.copy(base.tar, context / "base.tar")
        (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        self.build(context, BASE)

    def run_true(self, network):
        return None


class Buildctl(Peer):
    """BuildKit alone: buildctl against a running buildkitd that allows network.host. Bases are OCI layouts; the result stays in its content store, not compressed."""

    title = "BuildKit"

    def __init__(self, *args):
        super().__init__(*args)
        self.bases = {}  # image -> Layout

    def version(self):
        return self.output("--version").split()[2]

    def setup(self, base):
        self.bases[BASE] = base.layout

    def sources(self, context):
        """The options that lend the bases of the Dockerfile's FROM lines, each named as the frontend looks it up: without ':latest'."""
        text, options = (context / "Dockerfile").read_text(), []
        for i, (image, layout) in enumerate(self.bases.items()):
            if re.search(rf"^FROM {re.escape(image)}(\s|$)", text, re.M) or re.search(rf"^FROM {re.escape(image.removesuffix(':latest'))}(\s|$)", text, re.M):
                options += ["--oci-layout", f"bench{i}={self.path(layout.path)}",
                            "--opt", f"context:{image.removesuffix(':latest')}=oci-layout://bench{i}@{layout.digest}"]
        return options

    def command_of(self, context, no_cache, output):
        return ["build", "--progress", "plain", "--frontend", "dockerfile.v0", "--allow", "network.host", "--opt", "force-network-mode=host",
                *(["--no-cache"] if no_cache else []), *self.sources(context), "--local", f"context={self.path(context)}",
                "--local", f"dockerfile={self.path(context)}", "--output", output]

    def build(self, context, tag, no_cache=False):
        return self.run(*self.command_of(context, no_cache, f"type=image,name={tag},compression=uncompressed"))

    def run_true(self, network):
        return None

    def forget(self):
        pass


KINDS = {"docker": Docker, "podman": Podman, "buildah": Buildah, "buildctl": Buildctl}


def find_peers(named, seen, search):
    """The peers given as NAME=COMMAND; when there are none and `search` is set, those of PATH that answer `info`."""
    commands = dict(peer.split("=", 1) for peer in named)
    unknown = set(commands) - set(KINDS)
    if unknown:
        raise SystemExit(f"bench: unknown peer '{unknown.pop()}'; known are {', '.join(KINDS)}")
    if not commands and search:
        for name, probe in (("docker", "info"), ("podman", "info"), ("buildah", "info"), ("buildctl", "debug workers")):
            if shutil.which(name) and not subprocess.run([name, *probe.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
                commands[name] = name
    return [KINDS[name](name, shlex.split(command), seen) for name, command in commands.items()]
