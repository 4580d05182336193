"""The git repositories of the cases, served as @HTTP@/NAME.git and @GIT@/NAME.git: with fixed dates and names, so that their commits are the same wherever they are made.

    app     main: three commits, the second with the tags v1 (annotated) and light; dev: a branch from there; both: a tag there and a branch at the third;
            refs/pull/1/head: a commit that no branch has
    mods    vendor/lib is the submodule lib, vendor/outer is the submodule outer, which has lib below inner/lib
    lib     lib.txt, sub/in.txt
"""
import os
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))

import git_server  # noqa: E402
from git_server import commit_files, git, make_repository  # noqa: E402

COPY_ALL = "FROM busybox\nCOPY . /src/\n"


def submodules(directory, modules):
    """Adds commits of other repositories, by relative URL: the port of the server is not part of a commit."""
    text = "".join(f'[submodule "{path}"]\n\tpath = {path}\n\turl = ../{name}.git\n' for path, (name, _) in modules.items())
    (directory / ".gitmodules").write_text(text)
    git(directory, "add", ".gitmodules")
    for path, (_, sha) in modules.items():
        git(directory, "update-index", "--add", "--cacheinfo", f"160000,{sha},{path}")
    git(directory, "commit", "-q", "-m", "modules")
    return git(directory, "rev-parse", "HEAD")


def make_repositories(top):
    """Makes them below `top`. Returns what cases write as @COMMIT:NAME@: {"v1": sha, …}."""
    top, shas = pathlib.Path(top), {}
    top.mkdir(parents=True)
    app, _ = make_repository(top, "app", {
        "Dockerfile": COPY_ALL, "a.txt": "one\n", "run.sh": ("#!/bin/sh\n", 0o755), "sub/Dockerfile": "FROM busybox\nCOPY . /sub/\n", "sub/only.txt": "only\n", "sub/deep/er": "er\n",
        "other/Dockerfile.other": "FROM busybox\nCOPY a.txt /other\n", "ignored/.dockerignore": "no\n!yes\n", "ignored/no": "no\n", "ignored/yes": "yes\n", "ignored/Dockerfile": "FROM busybox\nCOPY . /i/\n",
        "nodocker/x": "x\n", "kept/Dockerfile": "FROM busybox\nCOPY .git/HEAD /head\n", "head.Dockerfile": "FROM busybox\nCOPY .git/HEAD /head\n",
    })
    os.symlink("sub/only.txt", app / "link")
    os.symlink("/etc", app / "away")
    shas["v1"] = commit_files(app, {})
    git(app, "tag", "-a", "v1", "-m", "v1")
    git(app, "tag", "light")
    git(app, "tag", "both")
    git(app, "checkout", "-q", "-b", "dev")
    shas["dev"] = commit_files(app, {"dev.txt": "dev\n", "a.txt": "dev\n"})
    git(app, "checkout", "-q", "-b", "pull", "main")
    shas["pull"] = commit_files(app, {"a.txt": "pull\n"})
    git(app, "update-ref", "refs/pull/1/head", shas["pull"])
    git(app, "checkout", "-q", "main")
    git(app, "branch", "-q", "-D", "pull")
    shas["main"] = commit_files(app, {"a.txt": "two\n", "new.txt": "new\n"})
    git(app, "branch", "both")
    git(app, "branch", "feature/x", "dev")
    _, shas["lib"] = make_repository(top, "lib", {"lib.txt": "lib\n", "sub/in.txt": "in\n"})
    outer, _ = make_repository(top, "outer", {"outer.txt": "outer\n"})
    shas["outer"] = submodules(outer, {"inner/lib": ("lib", shas["lib"])})
    mods, _ = make_repository(top, "mods", {"Dockerfile": COPY_ALL, "own.txt": "own\n"})
    shas["mods"] = submodules(mods, {"vendor/lib": ("lib", shas["lib"]), "vendor/outer": ("outer", shas["outer"])})
    return shas
