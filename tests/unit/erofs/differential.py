#!/usr/bin/env python3
"""Random layers, mounted through their indexes, against a small model of the OCI image spec's layer.md.

A user whose image fails here sees files that a layer deleted, or loses some. Every round makes a few tars and compares
the walk (types, modes, owners, times, links, devices, attributes, content) of the merged index, and of an overlay of the single-layer
indexes, with the model. It also holds the writer to its word: same bytes from a merge in two steps, and what it writes passes the check.

Usage: differential.py EROFS_TOOL [ROUNDS [SEED]]; ends with 77 where it cannot mount.
"""
import io, os, random, stat, subprocess, sys, tarfile, tempfile

DEFAULT = dict(mode=0o755, uid=0, gid=0, mtime=0, xattrs={})


class Node:
    def __init__(self, kind, **attributes):
        self.kind, self.children = kind, {}
        self.__dict__.update(DEFAULT, **attributes)


def clone(node, seen):
    """A deep copy that keeps hard links."""
    if id(node) not in seen:
        copy = seen[id(node)] = Node(node.kind)
        copy.__dict__.update(node.__dict__)
        copy.children = {name: clone(child, seen) for name, child in node.children.items()}
    return seen[id(node)]


class Model:
    def __init__(self):
        self.root = Node('dir')

    def apply(self, entries):
        for entry in entries:  # whiteouts speak of the layers below only
            if entry['kind'] == 'whiteout':
                parent = self.find(entry['path'].rpartition('/')[0])
                if parent:
                    parent.children.pop(entry['path'].rpartition('/')[2], None)
            elif entry['kind'] == 'opaque':
                node = self.find(entry['path'])
                if node:
                    node.children.clear()
        for entry in entries:
            if entry['kind'] == 'opaque':
                self.parent(entry['path'] + '/x' if entry['path'] else 'x')
                continue
            parent, name = self.parent(entry['path']), entry['path'].rpartition('/')[2]
            if entry['kind'] == 'whiteout':
                continue
            there = parent.children.get(name)
            if entry['kind'] == 'link':
                parent.children[name] = self.find(entry['target'])
            elif entry['kind'] == 'dir' and there and there.kind == 'dir':
                there.__dict__.update(entry['attributes'])
            else:
                node = Node(entry['kind'], **entry['attributes'])
                parent.children[name] = node

    def find(self, path):
        node = self.root
        for name in filter(None, path.split('/')):
            node = node.children.get(name) if node.kind == 'dir' else None
            if node is None:
                return None
        return node

    def parent(self, path):
        node = self.root
        for name in path.split('/')[:-1]:
            child = node.children.get(name)
            if child is None or child.kind != 'dir':
                child = node.children[name] = Node('dir')
            node = child
        return node

    def listing(self):
        names = {}

        def count(node):
            for child in node.children.values():
                names[id(child)] = names.get(id(child), 0) + 1
                count(child)

        count(self.root)
        rows, groups = {}, {}

        def visit(node, path):
            links = 2 + sum(c.kind == 'dir' for c in node.children.values()) if node.kind == 'dir' else names[id(node)]
            what = {'file': lambda: node.content, 'symlink': lambda: node.target, 'char': lambda: node.rdev, 'block': lambda: node.rdev}.get(node.kind, lambda: None)()
            rows[path] = (node.kind, node.mode, node.uid, node.gid, node.mtime, links, what, tuple(sorted(node.xattrs.items())))
            if node.kind != 'dir':
                groups.setdefault(id(node), []).append(path)
            for name, child in node.children.items():
                visit(child, f'{path}/{name}'.lstrip('/'))

        visit(self.root, '')
        return rows, sorted(sorted(g) for g in groups.values() if len(g) > 1)


def real_listing(top, phantoms=False):
    rows, groups = {}, {}

    def visit(path, full):
        try:
            st = os.lstat(full)
        except FileNotFoundError:
            if not phantoms:
                raise
            return  # overlayfs lists a whiteout by name in a directory that only one layer has; it cannot be opened
        kind = {stat.S_IFREG: 'file', stat.S_IFDIR: 'dir', stat.S_IFLNK: 'symlink', stat.S_IFCHR: 'char', stat.S_IFBLK: 'block', stat.S_IFIFO: 'fifo'}[stat.S_IFMT(st.st_mode)]
        what = None
        if kind == 'file':
            with open(full, 'rb') as f:
                what = f.read()
        elif kind == 'symlink':
            what = os.readlink(full)
        elif kind in ('char', 'block'):
            what = (os.major(st.st_rdev), os.minor(st.st_rdev))
        xattrs = tuple(sorted((n, os.getxattr(full, n, follow_symlinks=False)) for n in os.listxattr(full, follow_symlinks=False)))
        rows[path] = (kind, stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, st.st_nlink, what, xattrs)
        if kind != 'dir':
            groups.setdefault(st.st_ino, []).append(path)
        else:
            for name in os.listdir(full):
                visit(f'{path}/{name}'.lstrip('/'), f'{full}/{name}')

    visit('', top)
    return rows, sorted(sorted(g) for g in groups.values() if len(g) > 1)


n_overlays = 0
NAMES = ['a', 'b', 'c', '-x', '.y', '..z', '!', 'with space', 'ü', 'n' * 255, 'zz', 'm' * 120]


def random_attributes(rnd, kind):
    xattrs = {}
    if kind in ('file', 'dir') and rnd.random() < 0.3:
        for name in rnd.sample(['user.one', 'user.two.three', 'trusted.t', 'security.mica', 'user.' + 'k' * 240], rnd.randint(1, 4)):
            xattrs[name] = bytes(rnd.choice(b'abc') for _ in range(rnd.choice([0, 1, 5, 300, 3000])))
        if rnd.random() < 0.3 and kind == 'file':
            xattrs['security.capability'] = bytes.fromhex('0100000200040000000000000000000000000000')
    return dict(mode=0o777 if kind == 'symlink' else rnd.choice([0o644, 0o755, 0o4755, 0o1777, 0o000]), uid=rnd.choice([0, 1000, 65536, 4294967294]),
                gid=rnd.choice([0, 50, 4294967294]), mtime=rnd.choice([0, 1, 1700000000, -5, 5000000000]) * 10**9 + rnd.choice([0, 1, 999999999]), xattrs=xattrs)


def random_layer(rnd):
    entries, kinds = [], {'': 'dir'}  # kinds: what this layer has made itself so far

    explicit = rnd.random() < 0.8  # whether every directory has an entry

    def blocked(path):
        parts = path.split('/')
        return any(kinds.get('/'.join(parts[:i]), 'dir') != 'dir' for i in range(1, len(parts)))

    def forget_below(path):
        for other in [k for k in kinds if k.startswith(path + '/')]:
            del kinds[other]

    for _ in range(rnd.randint(0, 30)):
        path = '/'.join(rnd.choice(NAMES[:rnd.choice([3, len(NAMES)])]) for _ in range(rnd.randint(1, 4)))
        kind = rnd.choice(['file', 'file', 'dir', 'dir', 'symlink', 'char', 'block', 'fifo', 'link', 'whiteout', 'whiteout', 'opaque'])
        if blocked(path) or (kind == 'opaque' and kinds.get(path, 'dir') != 'dir'):
            continue
        if kind == 'whiteout' and len(path.rpartition('/')[2].encode()) > 251:
            continue
        entry = dict(kind=kind, path=path)
        if kind == 'opaque' and rnd.random() < 0.1:
            entry['path'] = ''
        if kind == 'link':
            targets = [k for k, v in kinds.items() if v not in ('dir', None) and not blocked(k) and k != path and not k.startswith(path + '/')]
            if not targets:
                continue
            entry['target'] = rnd.choice(targets)
            forget_below(path)
            kinds[path] = kinds[entry['target']]
        elif kind not in ('whiteout', 'opaque'):
            entry['attributes'] = random_attributes(rnd, kind)
            if kind == 'file':
                entry['attributes']['content'] = rnd.randbytes(rnd.choice([0, 1, 511, 512, 513, 5000, 70000]))
            elif kind == 'symlink':
                entry['attributes']['target'] = rnd.choice(['a', '/b/c', '../' * 30 + 'x', 't' * rnd.choice([400, 447, 448, 449, 511, 512, 513, 1500, 4095])])
            elif kind in ('char', 'block'):
                entry['attributes']['rdev'] = rnd.choice([(1, 3), (8, 0), (4095, 1048575), (10, 300)])
            if kind != 'dir':
                forget_below(path)
            kinds[path] = kind
        parts = entry['path'].split('/')
        for i in range(1, len(parts)):
            parent = '/'.join(parts[:i])
            if parent not in kinds and explicit:
                entries.append(dict(kind='dir', path=parent, attributes=random_attributes(rnd, 'dir')))
            kinds.setdefault(parent, 'dir')
        if kind == 'opaque':
            if entry['path'] not in kinds and explicit:
                entries.append(dict(kind='dir', path=entry['path'], attributes=random_attributes(rnd, 'dir')))
            kinds.setdefault(entry['path'], 'dir')
        entries.append(entry)
    return entries


TYPES = dict(file=tarfile.REGTYPE, dir=tarfile.DIRTYPE, symlink=tarfile.SYMTYPE, char=tarfile.CHRTYPE, block=tarfile.BLKTYPE, fifo=tarfile.FIFOTYPE, link=tarfile.LNKTYPE)


def write_tar(entries, path):
    with tarfile.open(path, 'w', format=tarfile.PAX_FORMAT) as tar:
        for e in entries:
            directory, _, name = e['path'].rpartition('/')
            if e['kind'] == 'whiteout':
                tar.addfile(tarfile.TarInfo(f'{directory}/.wh.{name}'.lstrip('/')))
                continue
            if e['kind'] == 'opaque':
                tar.addfile(tarfile.TarInfo(f"{e['path']}/.wh..wh..opq".lstrip('/')))
                continue
            info = tarfile.TarInfo(e['path'])
            info.type = TYPES[e['kind']]
            if e['kind'] == 'link':
                info.linkname = e['target']
                tar.addfile(info)
                continue
            a = e['attributes']
            info.mode, info.uid, info.gid = a['mode'], a['uid'], a['gid']
            seconds, nanoseconds = divmod(a['mtime'], 10**9)
            info.mtime = seconds
            info.pax_headers = {f'SCHILY.xattr.{k}': v.decode('utf-8', 'surrogateescape') for k, v in a['xattrs'].items()}
            if nanoseconds or seconds < 0:
                value = a['mtime']
                info.mtime = 0
                info.pax_headers['mtime'] = ('-' if value < 0 else '') + '%d.%09d' % divmod(abs(value), 10**9)
            info.linkname = a.get('target', '')
            info.devmajor, info.devminor = a.get('rdev', (0, 0))
            content = a.get('content', b'')
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def explain(got, want):
    for path in sorted(set(got) | set(want)):
        if got.get(path) != want.get(path):
            print(f'  {path[:80]!r}\n    mounted {str(got.get(path))[:600]}\n    model   {str(want.get(path))[:600]}')


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f'{" ".join(args)[:300]}: {done.stderr}')
    return done.stdout


def one_round(tool, rnd, place):
    tars, singles, model = [], [], Model()
    for i in range(rnd.randint(1, 6)):
        entries = random_layer(rnd)
        tar, index = f'{place}/{i}.tar', f'{place}/{i}.index'
        write_tar(entries, tar)
        run(tool, 'index', tar, index)
        run(tool, 'check', index, tar)
        tars.append(tar)
        singles.append(index)
        model.apply(entries)
    pairs = [x for pair in zip(singles, tars) for x in pair]
    run(tool, 'merge', f'{place}/merged', *pairs)
    run(tool, 'check', f'{place}/merged', *tars)
    cut = rnd.randint(1, len(tars))
    run(tool, 'merge', f'{place}/lower', *pairs[:2 * cut])
    run(tool, 'merge', f'{place}/again', f'{place}/lower', *tars[:cut], *pairs[2 * cut:])
    if open(f'{place}/merged', 'rb').read() != open(f'{place}/again', 'rb').read():
        print('merging in two steps gives other bytes than in one')
        return False
    run(tool, 'mount', f'{place}/mnt', f'{place}/merged', *tars)
    got, got_groups = real_listing(f'{place}/mnt')
    want, want_groups = model.listing()
    ok = (got, got_groups) == (want, want_groups)
    if not ok:
        print('the merged index differs from the model', got_groups == want_groups)
        explain(got, want)
    run('umount', f'{place}/mnt')
    if any('must be merged' in run(tool, 'info', index) for index in singles):
        return ok
    return overlay_round(tool, place, tars, singles, model) and ok


def overlay_round(tool, place, tars, singles, model):
    global n_overlays
    n_overlays += 1
    lower = []
    for i, (tar, index) in enumerate(zip(tars, singles)):
        os.makedirs(f'{place}/l{i}', exist_ok=True)
        run(tool, 'mount', f'{place}/l{i}', index, tar)
        lower.insert(0, f'{place}/l{i}')
    if len(lower) == 1:
        os.makedirs(f'{place}/none', exist_ok=True)
        lower.append(f'{place}/none')
    run(tool, 'overlay', f'{place}/mnt', *lower)

    def plain(rows):
        """Without the root, link counts and hidden attributes, which an overlay has its own of."""
        return {p: r[:5] + r[6:7] + (tuple(x for x in r[7] if not x[0].startswith('trusted.overlay')),) for p, r in rows.items() if p}

    got, want = plain(real_listing(f'{place}/mnt', True)[0]), plain(model.listing()[0])
    run('umount', f'{place}/mnt', *[f'{place}/l{i}' for i in range(len(tars))])
    if got != want:
        print('the overlay of single-layer indexes differs from the model')
        explain(got, want)
    return got == want


def main():
    if os.environ.get('MICA_DIFF_NS') != '1':
        if os.geteuid() != 0 or subprocess.run(['unshare', '-m', 'true'], capture_output=True).returncode:
            print('skipped: mounting needs root')
            sys.exit(77)
        os.environ['MICA_DIFF_NS'] = '1'
        os.execvp('unshare', ['unshare', '-m', '--propagation', 'private', sys.executable] + sys.argv)
    tool, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 25
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(10**9)
    with tempfile.TemporaryDirectory(dir='/var/tmp', prefix='mica-erofs-', ignore_cleanup_errors=True) as place:
        for i in range(rounds):
            inner = f'{place}/{i}'
            os.makedirs(f'{inner}/mnt')
            if not one_round(tool, random.Random(seed + i), inner):
                sys.exit(f'round failed: differential.py {tool} 1 {seed + i}')
    print(f'{rounds} rounds ({n_overlays} also as overlays) agree with the model (seed {seed})')


main()
