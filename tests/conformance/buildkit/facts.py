"""What an image is, in facts that two builders can be compared by: config, history, and for every layer its entries.

An entry is one line: type, mode, owner, time, content and name, so that a difference is readable:
    f 644 0:0 @1700000000 5:2cf24dba d/file        d 755 0:0 @now d        l 777 0:0 @now a -> b        h a => b  (a hard link)
A time is "now" when it is the time of the build.
"""
import hashlib
import io
import json
import re
import tarfile

from bases import BUSYBOX, CREATED
from casebook import NOW_FROM

ERROR_LINES = re.compile(r"^(?:error: |ERROR: )", re.M)

_busybox = None


def busybox_digest():
    """Of the program of this machine: cases copy it, and its version must not matter."""
    global _busybox
    if _busybox is None:
        with open(BUSYBOX, "rb") as file:
            _busybox = hashlib.sha256(file.read()).hexdigest()
    return _busybox


def instant(text):
    """A time in a config: "now", or as it is written."""
    import datetime
    try:
        seconds = datetime.datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    except (TypeError, ValueError):
        return text
    return "now" if seconds > NOW_FROM else text


def content_of(file):
    digest, size = hashlib.sha256(), 0
    for block in iter(lambda: file.read(1 << 20), b""):
        digest.update(block)
        size += len(block)
    return "busybox" if digest.hexdigest() == busybox_digest() else f"{size}:{digest.hexdigest()[:8]}"


def entry(archive, member):
    name = member.name.rstrip("/")
    when = "now" if member.mtime > NOW_FROM else f"{member.mtime:g}" if member.mtime != int(member.mtime) else str(int(member.mtime))
    head = f"{member.mode & 0o7777:o} {member.uid}:{member.gid} @{when}"
    xattrs = {key[len("SCHILY.xattr."):]: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    tail = "".join(f" [{key}={value.encode('utf-8', 'surrogateescape').hex()}]" for key, value in sorted(xattrs.items()))
    if member.islnk():
        return f"h {name} => {member.linkname.rstrip('/')}"
    if member.issym():
        return f"l {head} {name} -> {member.linkname}{tail}"
    if member.isdir():
        return f"d {head} {name}{tail}"
    if member.ischr() or member.isblk():
        return f"{'c' if member.ischr() else 'b'} {head} {member.devmajor},{member.devminor} {name}{tail}"
    if member.isfifo():
        return f"p {head} {name}{tail}"
    return f"f {head} {content_of(archive.extractfile(member))} {name}{tail}"


def layer_facts(data):
    with tarfile.open(fileobj=io.BytesIO(data) if isinstance(data, bytes) else data, mode="r:*") as archive:
        return sorted((entry(archive, member) for member in archive), key=lambda line: name_of(line).encode("utf-8", "surrogateescape"))


def name_of(line):
    """The path of an entry's line."""
    kind, rest = line.split(" ", 1)
    if kind == "h":
        return rest.split(" => ")[0]
    rest = rest.split(" ", 3 if kind == "d" or kind == "l" or kind == "p" else 4)[-1]
    return rest.split(" -> ")[0] if kind == "l" else rest.split(" [security.")[0]


def clean(value, http):
    """A config without what no two builds share."""
    return json.loads(json.dumps(value).replace(http, "@HTTP@")) if http else value


def image_facts(config, layers, http=None):
    """config: the parsed image config. layers: the tars above the base."""
    config = clean(json.loads(json.dumps(config)), http)
    history = config.pop("history", [])
    rootfs = config.pop("rootfs", {})
    lines = []
    for item in history:
        item = dict(item)
        if item.get("created") == CREATED and "buildkit" not in item.get("comment", ""):
            lines.append("base: " + item.get("created_by", ""))
            continue
        line = [f"created {instant(item.pop('created', None))}", "empty" if item.pop("empty_layer", False) else "layer", item.pop("comment", ""), item.pop("created_by", "")]
        lines.append(" | ".join(line) + ("" if not item else " | " + json.dumps(item, sort_keys=True)))
    config["created"] = instant(config.get("created"))
    return {"config": config, "history": lines, "n_layers": len(rootfs.get("diff_ids") or []), "layers": layers}


def differences(want, got, where=""):
    """Every place where two facts differ: [(path, wanted, got)]."""
    if type(want) is not type(got):
        return [(where, want, got)]
    if isinstance(want, dict):
        out = []
        for key in sorted(set(want) | set(got)):
            if key not in want or key not in got:
                out.append((f"{where}.{key}", want.get(key), got.get(key)))
            else:
                out += differences(want[key], got[key], f"{where}.{key}")
        return out
    return [] if want == got else [(where, want, got)]


def layer_differences(want, got):
    """Entries of one layer that are not the same: [(name, wanted line or None, got line or None)]."""
    def by_name(lines):
        out = {}
        for line in lines:
            name = name_of(line)
            assert name not in out, f"'{name}' is twice in one layer"
            out[name] = line
        return out

    want, got = by_name(want), by_name(got)
    return [(name, want.get(name), got.get(name)) for name in sorted(set(want) | set(got)) if want.get(name) != got.get(name)]


def all_differences(want, got):
    """[(place, wanted, got)] over config, history, number of layers, entries of every layer."""
    found = differences({k: v for k, v in want.items() if k not in ("layers", "history")}, {k: v for k, v in got.items() if k not in ("layers", "history")})
    for index in range(max(len(want["history"]), len(got["history"]))):
        a, b = (side["history"][index] if index < len(side["history"]) else None for side in (want, got))
        if a != b:
            found.append((f"history {index}", a, b))
    for index, (a, b) in enumerate(zip(want["layers"], got["layers"])):
        found += [(f"layer {index}: {name}", x, y) for name, x, y in layer_differences(a, b)]
    return found


def error_of(log, directory):
    """The message, and the lines of the Dockerfile that BuildKit points at."""
    text = ERROR_LINES.split(log)[-1].strip().replace(str(directory), "@CONTEXT@")
    text = re.sub(r"^failed to solve: ", "", text.splitlines()[0] if text else "")
    text = re.sub(r"/\S*/(?:cachemounts/buildkit\d+|overlay2/\w+/merged)", "", text).replace(str(directory.parent.parent), "@WORK@")
    text = re.sub(r"http://127\.0\.0\.1:\d+", "@HTTP@", text)
    shown = [int(n) for n in re.findall(r"^\s*(\d+) \| >>> ", log, re.M)]
    place = re.search(r"on line (\d+)", text)
    return {"error": text, "lines": shown or ([int(place.group(1))] if place else [])}
