"""COPY and ADD: a user who copies files must find them where, and as whom, BuildKit would have put them."""
import bz2
import gzip
import io
import lzma
import os
import tarfile

import pytest

from build_helper import add_dir, add_file, base_tar, needs_busybox, needs_root, needs_tool, store  # noqa: F401

pytestmark = [needs_root, needs_tool, needs_busybox]


def test_directory_source_copies_its_content(store):
    store.build("FROM busybox\nCOPY src /opt/dst\n", {"src/a": "a", "src/sub/b": "b"})
    tree = store.tree()
    assert tree["opt/dst/a"].data == b"a" and tree["opt/dst/sub/b"].data == b"b"
    assert "opt/dst/src" not in tree


def test_file_into_existing_directory_and_to_new_name(store):
    store.build("FROM busybox\nCOPY a /srv/dir\nCOPY a /srv/new\nCOPY a /srv/made/\n", {"a": "A"})
    tree = store.tree()
    assert tree["srv/dir/a"].data == tree["srv/new"].data == tree["srv/made/a"].data == b"A"


def test_existing_destination_keeps_its_metadata(store):
    store.build("FROM busybox\nCOPY src/ /srv/dir/\n", {"src/a": "a"})
    entry = store.tree()["srv/dir"]
    assert (entry.mode, entry.uid, entry.gid) == (0o711, 5, 6)


def test_directories_inside_a_copied_tree_take_the_source_mode(store):
    context = store.context({"src/sub/a": "a", "src/dir/x": "x"})
    os.chmod(context / "src/sub", 0o750)
    store.build("FROM busybox\nRUN mkdir -m 700 -p /dst/sub\nCOPY src/ /dst/\n", context=context)
    assert store.tree()["dst/sub"].mode == 0o750


def test_relative_destination_joins_workdir(store):
    store.build("FROM busybox\nWORKDIR /w\nCOPY a b/\nCOPY a .\nCOPY a ./c/d\n", {"a": "1"})
    tree = store.tree()
    assert {"w/b/a", "w/a", "w/c/d"} <= set(tree)


def test_several_sources_need_a_directory(store):
    assert "must be a directory" in store.fail("FROM busybox\nCOPY a b /dst\n", {"a": "", "b": ""})
    store.build("FROM busybox\nCOPY a b /dst/\n", {"a": "", "b": ""})
    assert {"dst/a", "dst/b"} <= set(store.tree())


def test_dotdot_stays_in_the_context(store):
    outside = store.path / "secret.txt"
    outside.write_text("outside")
    message = store.fail("FROM busybox\nCOPY ../secret.txt /x\n", {"a": ""})
    assert "not found" in message
    store.build("FROM busybox\nCOPY ../../a /x\n", {"a": "inside"})
    assert store.tree()["x"].data == b"inside"


def test_links_never_lead_out_of_the_context(store):
    (store.path / "secret.txt").write_text("outside")
    message = store.fail("FROM busybox\nCOPY link /x\n", {"link": ("link", "../secret.txt"), "abs": ("link", "/etc/passwd")})
    assert "not found" in message
    assert "not found" in store.fail("FROM busybox\nCOPY abs/x /x\n", {"abs": ("link", "/etc")})


def test_wildcards(store):
    files = {"a1.txt": "1", "a2.txt": "2", "b.md": "", "d/a3.txt": "3"}
    store.build("FROM busybox\nCOPY a*.txt /w/\nCOPY nothing* /none/\nCOPY */a?.txt /q/\n", files)
    tree = store.tree()
    assert {"w/a1.txt", "w/a2.txt", "q/a3.txt"} <= set(tree) and "w/b.md" not in tree
    assert "not found" in store.fail("FROM busybox\nCOPY nothing /none/\n", files)


def test_named_link_is_followed_inner_link_is_kept(store):
    files = {"real": "R", "link": ("link", "real"), "d/in": ("link", "../real")}
    store.build("FROM busybox\nCOPY link /x\nCOPY d /d\n", files)
    tree = store.tree()
    assert tree["x"].isfile() and tree["x"].data == b"R"
    assert tree["d/in"].issym() and tree["d/in"].linkname == "../real"


def test_links_in_the_destination_are_followed_inside_the_root(store):
    store.build("FROM busybox\nCOPY a /srv/link/x\nCOPY a /srv/out/y\n", {"a": "1"})
    tree = store.tree()
    assert "srv/dir/x" in tree and "etc/y" in tree
    assert tree["srv/link"].issym() and tree["srv/out"].issym()
    assert not os.path.exists("/etc/y")


def test_directory_over_file_and_file_over_directory_are_errors(store):
    assert "not a directory" in store.fail("FROM busybox\nCOPY d /etc/passwd\n", {"d/x": ""})
    assert "cannot replace" in store.fail("FROM busybox\nCOPY d /srv/\n", {"d/dir": "file"})


def test_context_files_belong_to_root_whatever_user_is(store):
    context = store.context({"a": "x"})
    os.chown(context / "a", 1234, 1234)
    store.build("FROM busybox\nUSER app\nCOPY a /a\n", context=context)
    assert (store.tree()["a"].uid, store.tree()["a"].gid) == (0, 0)


@pytest.mark.parametrize("chown, expected", [("1", (1, 1)), ("bin", (1, 7)), ("app:lp", (1000, 7)), ("5:9", (5, 9)), ("nobodyknows", (0, 0)), ("app", (1000, 1001))])
def test_chown(store, chown, expected):
    store.build(f"FROM busybox\nCOPY --chown={chown} d /n/d\n", {"d/a": "x"})
    tree = store.tree()
    assert (tree["n/d/a"].uid, tree["n/d/a"].gid) == expected
    assert (tree["n"].uid, tree["n"].gid) == expected


def test_copy_from_keeps_owner_mode_and_hard_links(store):
    store.build(
        "FROM busybox AS one\nRUN mkdir /o && echo x >/o/a && ln /o/a /o/b && chown 7:8 /o/a && chmod 4750 /o/a\n"
        "FROM busybox\nCOPY --from=one /o /o\n")
    tree = store.tree()
    assert (tree["o/a"].uid, tree["o/a"].gid, tree["o/a"].mode) == (7, 8, 0o4750)
    members = {member.name: member for member in store.layers()[-1]}
    assert members["o/a"].isfile() and members["o/b"].islnk() and members["o/b"].linkname == "o/a"


def test_capabilities_survive_copy_from(store):
    context = store.context({"a": "x"})
    cap = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    os.setxattr(context / "a", "security.capability", cap)
    store.build("FROM busybox AS one\nCOPY a /a\nFROM busybox\nCOPY --from=one /a /b\n", context=context)
    member = store.layers()[-1][0]
    assert "SCHILY.xattr.security.capability" in member.pax_headers


def test_chmod_octal_and_symbolic(store):
    store.build("FROM busybox\nCOPY --chmod=0700 a /a\nCOPY --chmod=u=rwX,go=rX d /d\n", {"a": "", "d/f": "", "d/s/g": ""})
    tree = store.tree()
    assert tree["a"].mode == 0o700 and tree["d/f"].mode == 0o644 and tree["d/s"].mode == 0o755


def test_parents_and_pivot(store):
    files = {"x/a.txt": "", "x/y/b.txt": "", "z/c.md": ""}
    store.build("FROM busybox\nCOPY --parents x/a.txt x/y/b.txt /p/\nCOPY --parents ./x/./y/b.txt /q/\nCOPY --parents **/*.md /r/\n", files)
    tree = store.tree()
    assert {"p/x/a.txt", "p/x/y/b.txt", "q/y/b.txt", "r/z/c.md"} <= set(tree)
    assert "r/x/a.txt" not in tree
    assert "not found" in store.fail("FROM busybox\nCOPY --parents x/none /p/\n", files)


def test_exclude(store):
    store.build("FROM busybox\nCOPY --exclude=*.md --exclude=sub d /d/\nCOPY --exclude=*.md h* /h/\n", {"d/a.md": "", "d/b": "", "d/sub/c": "", "h.md": "", "h.txt": ""})
    tree = store.tree()
    assert "d/b" in tree and "d/a.md" not in tree and "d/sub" not in tree
    assert "h/h.txt" in tree and "h/h.md" not in tree


def test_heredoc_files(store):
    store.build('FROM busybox\nENV N=world\nCOPY <<A <<"B" /d/\nhello $N\nA\nkeep $N\nB\n')
    tree = store.tree()
    assert tree["d/A"].data == b"hello world\n" and tree["d/B"].data == b"keep $N\n" and tree["d/A"].mode == 0o644


def test_link_ignores_the_destination(store):
    store.build("FROM busybox\nCOPY --link a /srv/link/a\n", {"a": "1"})
    assert store.tree()["srv/link"].isdir()


def test_link_layer_survives_another_base(store):
    context = store.context({"a": "1"})
    one = store.build("FROM busybox\nRUN echo 1 >/v\nCOPY --link a /a\n", context=context)
    two = store.build("FROM busybox\nRUN echo 2 >/v\nCOPY --link a /a\n", context=context)
    assert one.steps == two.steps == 2 and two.cached == 1


def archive(mode="w", suffix=""):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add_dir(tar, ".", mode=0o700, uid=9, gid=9)
        add_dir(tar, "./sub", mode=0o750, uid=3, gid=4)
        add_file(tar, "./sub/f", b"inside", 0o640, 3, 4)
        add_file(tar, "./sub/hard", type=tarfile.LNKTYPE, linkname="./sub/f")
        add_file(tar, "./sub/soft", type=tarfile.SYMTYPE, linkname="f")
    return out.getvalue()


def zstd(data):
    import subprocess
    return subprocess.run(["zstd", "-q"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, bz2.compress, lzma.compress, zstd], ids=["tar", "gzip", "bzip2", "xz", "zstd"])
def test_add_unpacks_by_content(store, pack):
    store.build("FROM busybox\nADD data.bin /srv/dir\n", {"data.bin": pack(archive())})
    tree = store.tree()
    assert tree["srv/dir/sub/f"].data == b"inside" and (tree["srv/dir/sub/f"].uid, tree["srv/dir/sub"].mode) == (3, 0o750)
    assert tree["srv/dir/sub/soft"].issym()
    # the archive's own "." must not change the destination
    assert (tree["srv/dir"].mode, tree["srv/dir"].uid) == (0o711, 5)
    hard = [member for member in store.layers()[-1] if member.name.endswith("hard")][0]
    assert hard.islnk() and hard.linkname == "srv/dir/sub/f"


def test_add_does_not_unpack_by_name_nor_when_told(store):
    store.build("FROM busybox\nADD fake.tar.gz /x/\nADD --unpack=false real.tar /y/\nCOPY real.tar /z/\n", {"fake.tar.gz": "no archive", "real.tar": archive()})
    tree = store.tree()
    assert tree["x/fake.tar.gz"].data == b"no archive" and tree["y/real.tar"].isfile() and tree["z/real.tar"].isfile()


def test_add_makes_the_destination_a_directory_and_chown_wins(store):
    store.build("FROM busybox\nADD --chown=11:12 a.tar /new\n", {"a.tar": archive()})
    tree = store.tree()
    assert tree["new/sub/f"].uid == 11 and tree["new/sub/f"].gid == 12


def test_archive_cannot_escape(store):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add_file(tar, "../../escape", b"x")
    store.fail("FROM busybox\nADD a.tar /d/\n", {"a.tar": out.getvalue()})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add_file(tar, "l", type=tarfile.SYMTYPE, linkname="/etc")
        add_file(tar, "l/evil-mica", b"x")
    store.build("FROM busybox\nADD a.tar /d/\n", {"a.tar": out.getvalue()})
    assert "etc/evil-mica" in store.tree() and not os.path.exists("/etc/evil-mica")


# --- .dockerignore ---


def test_dockerignore(store):
    files = {".dockerignore": "# comment\n*.md\n!keep.md\nnode_modules\n/top\n**/deep\n", "a.md": "", "keep.md": "", "node_modules/x": "", "top/t": "", "s/top/u": "",
             "s/deep/v": "", "s/w": ""}
    store.build("FROM busybox\nCOPY . /c/\n", files)
    names = set(store.tree())
    assert {"c/keep.md", "c/s/top/u", "c/s/w", "c/.dockerignore"} <= names
    assert not {"c/a.md", "c/node_modules", "c/top", "c/s/deep"} & names
    assert ".dockerignore excludes it" in store.fail("FROM busybox\nCOPY a.md /\n", files)


def test_exception_below_an_excluded_directory(store):
    store.build("FROM busybox\nCOPY . /c/\n", {".dockerignore": "d\n!d/keep\n.dockerignore\n", "d/keep": "", "d/lose": "", "e/f": ""})
    names = set(store.tree())
    assert "c/d/keep" in names and "c/d/lose" not in names and "c/e/f" in names and "c/.dockerignore" not in names


def test_dockerignore_beside_the_dockerfile_wins_and_never_applies_to_from(store):
    context = store.context({".dockerignore": "a\n", "x.Dockerfile": "FROM busybox AS one\nRUN echo 1 >/a; echo 2 >/b\nFROM busybox\nCOPY --from=one /a /b /s/\nCOPY a /\n",
                             "x.Dockerfile.dockerignore": "b\n", "a": "", "b": ""})
    store.tool("build", "-t", "test", "-f", context / "x.Dockerfile", context)
    assert {"s/a", "s/b", "a"} <= set(store.tree())


def test_hard_links_in_the_context(store):
    context = store.context({"d/a": "x"})
    os.link(context / "d/a", context / "d/b")
    store.build("FROM busybox\nCOPY d /d\n", context=context)
    members = {member.name: member for member in store.layers()[-1]}
    assert members["d/b"].islnk() and members["d/b"].linkname == "d/a"


def test_names_that_mean_deletion_are_refused(store):
    assert ".wh." in store.fail("FROM busybox\nCOPY . /d/\n", {".wh.x": ""})
