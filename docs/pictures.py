"""Take the pictures of the documentation: `./dev pictures [FOLDER]` writes them into docs/images/, or there.

They show real runs: `pulpo demo` at a terminal of its own, and `pulpo top` on queues that are worked on meanwhile.
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).parent / "images"

PULPO = str(Path(sys.executable).parent / "pulpo")

#: Columns of the terminals.
WIDTH = 100

JOBS = """
import asyncio
import random

from pulpo_core import BuryMessage, Handlers, Policy, Route

handlers = Handlers()
policy = Policy(max_attempts=1)


@handlers("send_email")
async def send_email(payload):
    await asyncio.sleep(random.uniform(0.05, 0.2))
    if payload % 23 == 0:
        raise ConnectionError("smtp.example.com does not answer")
    if payload % 31 == 0:
        raise BuryMessage("no such customer")


@handlers("resize")
async def resize(payload):
    await asyncio.sleep(0.3)


routes = [
    Route("file:///tmp/FOLDER/shop.db?queue=mail", handlers, name="mail", policy=policy, concurrency=4),
    Route("file:///tmp/FOLDER/shop.db?queue=pictures", handlers, name="pictures", concurrency=2),
]
"""


def at_terminal(command: list[str], folder: Path) -> str:
    """What *command* writes where a person looks, colours included."""
    master, slave = pty.openpty()
    terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": str(WIDTH), "LINES": "50"}
    at_hand = os.pathsep.join([str(Path(PULPO).parent), os.environ["PATH"]])
    environment = {**os.environ, **terminal, "TMPDIR": str(folder), "PATH": at_hand}
    environment.pop("UV_RUN_RECURSION_DEPTH", None)  # as those have it who have installed pulpo
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave):
        os.close(slave)
        seen = b""
        try:
            while chunk := os.read(master, 65536):
                seen += chunk
        except OSError:  # that is how a terminal ends
            pass
    os.close(master)
    words = seen.decode().replace(str(folder), "/tmp")
    return words.replace(sys.base_prefix, "/usr")  # where a system has its Python


def picture_of(command: list[str], path: Path, folder: Path) -> None:
    """Run *command*, and draw what it has written."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: PTH123, SIM115 - nowhere
    console.print(Text(f"$ {' '.join(['pulpo', *command[1:]])}", style="bold"))
    console.print(Text.from_ansi(at_terminal(command, folder).replace("\r\n", "\n")))
    console.save_svg(str(path), title="pulpo")


def picture_of_top(path: Path, folder: Path) -> None:
    """Let a worker run on two queues, and watch them for a while."""
    (folder / "jobs.py").write_text(JOBS.replace("/tmp/FOLDER", str(folder)))
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    urls = [f"file://{folder}/shop.db?queue={name}" for name in ("mail", "pictures")]
    for url, request_type, count in ((urls[0], "send_email", 300), (urls[1], "resize", 60)):
        jobs = "".join(f'{{"type": "{request_type}", "payload": {number}}}\n' for number in range(1, count + 1))
        publish = [PULPO, "publish", "-q", "--queue", url, "--from-file", "-"]
        subprocess.run(publish, input=jobs.encode(), check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([PULPO, "run", "-q", "jobs:routes"], cwd=folder, env=environment) as worker:
        queues = [argument for url in urls for argument in ("--queue", url)]
        take = [PULPO, "top", "-q", *queues, "--interval", "0.5s", "--screenshot", str(path)]
        subprocess.run(take, check=True, cwd=folder, env=environment)
        worker.terminate()


def use_fonts_at_hand(path: Path) -> None:
    """Take out of a picture what would be fetched from elsewhere."""
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", path.read_text(), flags=re.DOTALL))


def main() -> None:
    """Take all pictures."""
    folder = Path(sys.argv[1]).absolute() if sys.argv[1:] else IMAGES
    folder.mkdir(exist_ok=True)
    demo, top = folder / "demo.svg", folder / "top.svg"
    with tempfile.TemporaryDirectory(prefix="shop-") as name:
        picture_of([PULPO, "demo"], demo, Path(name))
        picture_of_top(top, Path(name))
    for path in (demo, top):
        use_fonts_at_hand(path)
        print(path)


if __name__ == "__main__":
    main()
