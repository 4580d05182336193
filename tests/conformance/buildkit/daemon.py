"""The BuildKit that the recorders talk to."""
import os
import subprocess
import sys
import time


def start(programs, work, registry):
    """Starts the BuildKit of `programs` with its root and socket in `work`, and with images from `registry` (host:port). Returns the process."""
    (work / "buildkitd.toml").write_text(f'[registry."docker.io"]\n  mirrors = ["{registry}"]\n[registry."{registry}"]\n  http = true\n')
    log = open(work / "buildkitd.log", "wb")
    process = subprocess.Popen([programs / "buildkitd", "--root", work / "root", "--addr", f"unix://{work}/socket", "--config", work / "buildkitd.toml", "--oci-worker=true",
                               "--containerd-worker=false", "--oci-worker-net=host", "--oci-worker-binary=runc", "--oci-worker-gc=false",
                               "--allow-insecure-entitlement=network.host", "--allow-insecure-entitlement=security.insecure"], stdout=log, stderr=log)
    for _ in range(200):
        if subprocess.run([programs / "buildctl", "--addr", f"unix://{work}/socket", "debug", "workers"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return process
        time.sleep(0.1)
    sys.exit(f"buildkitd does not answer: see {work}/buildkitd.log")


def make_builder(docker, work):
    """buildx as a client of it: `buildx --builder recorder` with BUILDX_CONFIG=work/buildx."""
    subprocess.run([docker, "buildx", "create", "--name", "recorder", "--driver", "remote", f"unix://{work}/socket"], env={**os.environ, "BUILDX_CONFIG": str(work / "buildx")},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
