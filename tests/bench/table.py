"""The figures: printed as they come, and as the rows of a table in markdown."""
import json
import os
import statistics
import sys
import time


def duration(seconds):
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def ratio(value, own):
    return f"{value / own:.1f}x" if value / own < 10 else f"{value / own:.0f}x"


def machine(engines):
    peers = ", ".join(f"{engine.title} {engine.version()}" for engine in engines)
    return f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} processors, Linux {os.uname().release}, load {os.getloadavg()[0]:.1f} at the start; {peers}"


def command_line():
    """The command without what is only of this machine."""
    private = ("--peer", "--shared", "--mica", "--store", "--markdown", "--json", "--tools")
    words, skip = [], False
    for word in sys.argv[1:]:
        if skip or word.startswith(tuple(p + "=" for p in private)):
            skip = False
        elif word in private:
            skip = True
        elif word.startswith("@"):
            continue
        else:
            words.append(word)
    return " ".join(["tests/bench/bench", *words])


def write_markdown(path, name, text):
    """Into `path`: between `<!-- NAME:begin -->` and `<!-- NAME:end -->` when it has them, as a file of its own otherwise."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    old = path.read_text() if path.exists() else ""
    if begin in old and end in old:
        text = old[:old.index(begin) + len(begin)] + "\n" + text + old[old.index(end):]
    path.write_text(text)


class Table:
    """Rows of work by tool; `work` is a key, its title is what the markdown shows."""

    def __init__(self, engines):
        self.engines, self.rows, self.titles, self.machine = engines, [], {}, machine(engines)
        self.extra = []  # other tables, with a markdown() of their own

    def add(self, work, tool, times, floor=False):
        self.rows.append({"work": work, "tool": tool, "seconds": statistics.median(times), "min": min(times), "max": max(times), "runs": len(times), "floor": floor})

    def of(self, work):
        return [row for row in self.rows if row["work"] == work]

    def show(self, work):
        own = next((row["seconds"] for row in self.of(work) if row["tool"] == "mica"), None)
        for row in self.of(work):
            times = f"{row['seconds'] / own:7.1f}x" if own and row["tool"] != "mica" else " " * 8
            print(f"  {row['tool']:<12} {row['seconds'] * 1000:10.1f} ms  ({row['min'] * 1000:.1f} .. {row['max'] * 1000:.1f}, {row['runs']} runs) {times}"
                  f"{' floor' if row['floor'] else ''}", flush=True)

    def markdown(self):
        shown = [engine for engine in self.engines if any(row["tool"] == engine.name for row in self.rows)]
        lines = [f"{self.machine}. Medians of one run of `{command_line()}`, tools in turn; in brackets the ratios to mica.", ""]
        if self.titles:
            lines += self._works(shown)
        for table in self.extra:
            lines += table.markdown().splitlines()
        return "\n".join(lines) + "\n"

    def _works(self, shown):
        lines = ["| work | " + " | ".join(["mica", *(engine.title for engine in shown if engine.name != "mica"), "floor"]) + " |", "|---" * (len(shown) + 2) + "|"]
        for work, title in self.titles.items():
            rows = {row["tool"]: row for row in self.of(work)}
            if "mica" not in rows:
                continue
            own = rows["mica"]["seconds"]
            cells = [duration(own)]
            for engine in shown:
                if engine.name != "mica":
                    cells.append(f"{duration(rows[engine.name]['seconds'])} ({ratio(rows[engine.name]['seconds'], own)})" if engine.name in rows else "")
            cells.append(", ".join(f"{row['tool']} {duration(row['seconds'])}" for row in rows.values() if row["floor"]))
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        return lines

    def json(self):
        return json.dumps({"machine": self.machine, "command": command_line(), "rows": self.rows}, indent=2) + "\n"
