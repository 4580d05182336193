"""Floors: what the work costs before any engine adds to it. They are measured in the same run, in turn with the engines."""
import ctypes
import json
import multiprocessing
import os
import subprocess
import tarfile
import time


class BareRuntime:
    """The OCI runtime alone on a prepared bundle: what a container costs before anybody adds to it."""

    def __init__(self, runtime, scratch, base_tar):
        self.name, self.runtime, self.bundle = f"bare {runtime}", runtime, scratch / f"bundle-{runtime}"
        root = self.bundle / "rootfs"
        root.mkdir(parents=True)
        with tarfile.open(base_tar) as tar:
            tar.extractall(root)
        subprocess.run([runtime, "spec"], cwd=self.bundle, check=True)
        config = json.loads((self.bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["true"], rlimits=[])
        (self.bundle / "config.json").write_text(json.dumps(config))

    def _runs(self, n, pipe):
        """In a mount namespace of its own, without the empty cgroup2 mount of hybrid hosts, beside which crun refuses to start."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x00020000):
            raise OSError(ctypes.get_errno(), "unshare")
        libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None)
        libc.umount2(b"/sys/fs/cgroup/unified", 2)
        times = []
        for i in range(n):
            started = time.monotonic()
            subprocess.run([self.runtime, "run", "--bundle", str(self.bundle), f"mica-bench-{os.getpid()}-{i}"], check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)
            times.append(time.monotonic() - started)
        pipe.send(times)

    def times(self, n):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=self._runs, args=(n, theirs))
        process.start()
        theirs.close()
        try:
            return ours.recv()
        except EOFError:
            return []
        finally:
            process.join()


class BareImage:
    """The command of an image in its own files, through chroot alone: no namespace, no overlay, no other user than the image's."""

    def __init__(self, engine, image, root):
        self.root = root
        self.config = json.loads(engine.output("inspect", "--type", "image", image))[0]["Config"]
        container = engine.output("create", image)
        root.mkdir()
        export = subprocess.Popen([*engine.command, "export", container], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", root], stdin=export.stdout, check=True)
        if export.wait():
            raise RuntimeError(f"cannot export '{image}'")
        engine.run("rm", container)
        (root / "dev/shm").mkdir(parents=True, exist_ok=True)
        (root / "dev/shm").chmod(0o1777)
        if not (root / "dev/null").exists():
            os.mknod(root / "dev/null", 0o666 | 0o020000, os.makedev(1, 3))
            (root / "dev/null").chmod(0o666)
        self.user, self.group = self._ids(self.config.get("User") or "0")

    def _ids(self, user):
        if user.isdigit():
            return int(user), int(user)
        for line in (self.root / "etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if fields[0] == user:
                return int(fields[2]), int(fields[3])
        raise RuntimeError(f"no user '{user}' in the image")

    def _enter(self):
        os.chroot(self.root)
        os.chdir(self.config.get("WorkingDir") or "/")
        os.setgroups([])
        os.setgid(self.group)
        os.setuid(self.user)

    def start(self, environment):
        """The process; its environment is the image's and `environment`."""
        of_image = dict(entry.split("=", 1) for entry in self.config.get("Env") or [])
        command = [*(self.config.get("Entrypoint") or []), *(self.config.get("Cmd") or [])]
        return subprocess.Popen(command, env={**of_image, **environment}, preexec_fn=self._enter, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
