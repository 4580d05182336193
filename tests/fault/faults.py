"""Fault runs: the n-th system call that changes something fails, or is the last that the process makes.

sweep() runs a command once with counting to learn how many such calls it makes, then once for each of them (or for an even choice of at most `most`)
and each kind of fault, every time on a fresh copy of what `prepare` made; afterwards `verify` must be content. Builds with -Dfault=true only.
"""
import concurrent.futures
import itertools
import os
import pathlib
import shutil
import subprocess

KINDS = ("kill", "ENOSPC", "EIO")


def run(argv, fault=None, count=None, timeout=60):
    env = dict(os.environ)
    env.pop("MICA_FAULT", None)
    if fault:
        env["MICA_FAULT"] = fault
    if count:
        env["MICA_FAULT_COUNT"] = str(count)
    return subprocess.run([str(a) for a in argv], env=env, capture_output=True, text=True, timeout=timeout)


def count_calls(argv, where):
    done = run(argv, count=where)
    assert done.returncode == 0, done.stderr
    if not where.exists():
        return 0
    for line in where.read_text().splitlines():
        name, n = line.split()
        if name == "any":
            return int(n)
    return 0


def points(n, most):
    step = max(1, -(-n // most))
    return range(1, n + 1, step)


def in_parallel(work, items):
    """work(k, item) for each item, on all processors; k numbers the worker, for what each has of its own. The results, in no order that says anything."""
    workers = os.cpu_count() or 1

    def some(k):
        return [work(k, item) for item in items[k::workers]]

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(itertools.chain(*pool.map(some, range(workers))))


def sweep(tmp, prepare, command, verify, most=400, kinds=KINDS):
    """prepare(root), command(root) -> argv, verify(root, fault, result). Returns how many runs were made."""
    tmp = pathlib.Path(tmp)
    origin = tmp / "origin"
    prepare(origin)

    def fresh(name="root"):
        root = tmp / name
        shutil.rmtree(root, ignore_errors=True)
        if origin.exists():
            subprocess.run(["cp", "-a", str(origin), str(root)], check=True)
        return root

    n = count_calls(command(fresh()), tmp / "count")

    def work(k, fault):
        root = fresh(f"root{k}")
        verify(root, fault, run(command(root), fault=fault))

    return len(in_parallel(work, [f"any:{at}:{kind}" for kind in kinds for at in points(n, most)]))
