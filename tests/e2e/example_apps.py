"""The ten applications under examples/, as their test and the benchmark build them."""
import dataclasses


@dataclasses.dataclass
class App:
    name: str
    bases: str  # of examples/bases/make-bases
    size: int  # the image has at most so many megabytes
    change: tuple  # file, text, other text: the change of one line
    url: str = None  # asked inside the container's network
    ask: tuple = None  # a command inside the container, in place of a URL
    run: tuple = None  # the container is a command: its arguments
    answer: str = ""
    changed: str = None  # the answer after the change, where it shows
    kept: int = 1  # so many layers at least are the same after the change
    slow: bool = True


APPS = [
    App("nginx", "debian", 120, ("html/index.html", "hello from nginx", "good day from nginx"), url="http://127.0.0.1:8080/",
        answer="hello from nginx", changed="good day from nginx", kept=3, slow=False),
    App("redis", "debian", 110, ("redis.conf", "64mb", "32mb"), ask=("redis-cli", "config", "get", "maxmemory"), answer="67108864", changed="33554432", kept=2,
        slow=False),
    App("jq", "debian", 3, ("greeting.jq", "hello", "good day"), run=("-rn", 'include "greeting"; {name: "jq"} | greeting'), answer="hello, jq",
        changed="good day, jq", kept=2),
    App("hugo", "debian busybox", 3, ("content/_index.md", "hello from", "good day from"), url="http://127.0.0.1:8080/", answer="hello from <strong>hugo",
        changed="good day from <strong>hugo"),
    App("postgres", "debian", 400, ("entrypoint", "--auth-host=reject", "--auth-host=scram-sha-256"),
        ask=("psql", "-U", "postgres", "-Atc", "select 6 * 7"), answer="42", kept=2),
    App("pillow", "slim", 200, ("app.py", '"navy"', '"green"'), url="http://127.0.0.1:8000/?text=hello", answer="PNG", kept=4),
    App("node-express", "node", 260, ("server.js", "hello from express", "good day from express"), url="http://127.0.0.1:3000/?name=mica",
        answer="hello from express, mica", changed="good day from express, mica", kept=3),
    App("nsq", "golang busybox", 20, ("main.go", "1 << 20", "1 << 21"), url="http://127.0.0.1:4151/ping", answer="OK", kept=1),
    App("ripgrep", "rust", 130, ("ripgreprc", "200", "100"), run=("--no-messages", "-N", "^ID=", "/etc/os-release"), answer="ID=debian", kept=3),
    App("spring-boot", "maven", 230, ("src/main/java/com/example/Service.java", "hello from spring", "good day from spring"), url="http://127.0.0.1:8080/",
        answer="hello from spring", changed="good day from spring", kept=4),
]
