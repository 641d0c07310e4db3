"""One page while its blocks run: a folder, a namespace, a shell, and the servers it names."""

import asyncio
import contextlib
import importlib
import os
import re
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType

from tests.servers import AWS_ENVIRONMENT, BeanstalkdServer, free_port

from .quick import write_caller
from .shell import Shell

#: Where the reader of a page is at home, and works.
HOME = "/home/you"

#: Folders of the reader's machine that stand in the page's folder here.
_PLACES = ("/etc/", f"{HOME}/", "/opt/", "/run/", "/srv/", "/tmp/", "/var/lib/", "/var/spool/")
_PLACE = re.compile(rf"(?<![\w.~<>-])(?={'|'.join(_PLACES)})")
_PORT = re.compile(r"(?:127\.0\.0\.1|localhost):(\d{4,5})\b")

_BEANSTALKD_PORT = "11300"
_STARTS_BEANSTALKD = re.compile(r"^\$ beanstalkd ", re.MULTILINE)
_USES_AWS = re.compile(r"sqs://|open_topic|publish-sns")


def _free_ports(ports: set[int]) -> dict[str, str]:
    """A free port for each of *ports*; those that follow each other still do."""
    free: dict[int, int] = {}
    for port in sorted(ports):
        free[port] = free[port - 1] + 1 if port - 1 in free else free_port()
    return {str(theirs): str(ours) for theirs, ours in free.items()}


class Page:
    """A page whose text is *text*. Everything is made when it is first needed, and ends with `close`.

    Attributes:
        broken: whether a block has failed, so that those after it have nothing to stand on.
        programs: the folder of its `pulpo`.
    """

    def __init__(self, text: str, *, example: Path | None = None) -> None:
        """Begin a page.

        Args:
            example: a folder in whose copy the commands run.
        """
        self._text = text
        self._ports = _free_ports({int(port) for port in _PORT.findall(text)})
        self.broken = False
        self._stack = contextlib.ExitStack()
        self.root = Path(tempfile.mkdtemp(prefix="pulpo-page-"))  # short: names of sockets have 107 bytes
        self._stack.callback(shutil.rmtree, self.root, ignore_errors=True)
        for place in (*_PLACES, f"{HOME}/shop/"):
            (self.root / place.strip("/")).mkdir(parents=True)
        (self.root / "run").chmod(0o700)
        if example is not None:
            shutil.copytree(example, self.folder, dirs_exist_ok=True)
            for settings in self.folder.glob("*.toml"):
                settings.write_text(self.to_here(settings.read_text()))
        self.programs = self.root / "bin"
        self.programs.mkdir()
        self.module = ModuleType("page")

    @property
    def folder(self) -> Path:
        """Where its commands and programs run."""
        return self.root / HOME.strip("/") / "shop"

    # --- its words and ours

    def to_here(self, text: str) -> str:
        """*text* of the page with the places and ports of this machine."""
        for theirs, ours in self._ports.items():
            text = re.sub(rf"\b{theirs}\b", ours, text)
        return _PLACE.sub(str(self.root), text)

    def to_page(self, text: str) -> str:
        """What was printed, with the places and ports of the page."""
        for theirs, ours in self._ports.items():
            text = re.sub(rf"\b{ours}\b", theirs, text)
        return text.replace(str(self.root), "")

    # --- what it runs in

    @cached_property
    def environment(self) -> dict[str, str]:
        """The variables of its commands and programs; the servers that it names are started."""
        self._start_beanstalkd()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULPO_", "XDG_"))}
        return {**kept, **self._settled(), **self._aws()}

    def _settled(self) -> dict[str, str]:
        return {
            "COLUMNS": "100",
            "HOME": str(self.root / HOME.strip("/")),
            "LC_ALL": "C.UTF-8",
            "PATH": os.pathsep.join(map(str, (self.programs, *self._more_programs(), os.environ["PATH"]))),
            "PYTHONDONTWRITEBYTECODE": "1",  # a page may write a module twice within a second
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.root / "tmp"),
            "XDG_RUNTIME_DIR": str(self.root / "run"),
        }

    def _more_programs(self) -> list[Path]:
        """Further folders of programs; a `pulpo` is put into its own."""
        write_caller(self.programs / "pulpo")
        return [Path(sys.executable).parent]

    def _start_beanstalkd(self) -> None:
        if _BEANSTALKD_PORT in self._ports and not _STARTS_BEANSTALKD.search(self._text):
            server = BeanstalkdServer()
            server.port = int(self._ports[_BEANSTALKD_PORT])
            self._stack.enter_context(server)

    def _aws(self) -> dict[str, str]:
        if not _USES_AWS.search(self._text):
            return {}
        from tests.moto import MotoServer  # a second that other pages need not wait

        server = self._stack.enter_context(MotoServer())
        urllib.request.urlopen(f"{server.url}/moto-api/reset", data=b"", timeout=10).close()
        return {**AWS_ENVIRONMENT, "AWS_ENDPOINT_URL": server.url}

    @cached_property
    def shell(self) -> Shell:
        """Its shell."""
        shell = self.open_shell()
        self._stack.callback(shell.close)
        return shell

    def open_shell(self) -> Shell:
        """A shell of its own."""
        return Shell(self.folder, self.environment, logs=self.root)

    @cached_property
    def runner(self) -> asyncio.Runner:
        """Its event loop."""
        return self._stack.enter_context(asyncio.Runner())

    @contextlib.contextmanager
    def lived_in(self) -> Iterator[None]:
        """Have its folder, its variables and its modules in this process for a while."""
        here, environment, path, bytecode = Path.cwd(), dict(os.environ), list(sys.path), sys.dont_write_bytecode
        os.environ.update(self.environment)
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        sys.dont_write_bytecode = True  # as in the variable of its commands: this process has read it long ago
        sys.modules["page"] = self.module
        importlib.invalidate_caches()
        try:
            yield
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(environment)
            sys.path[:] = path
            sys.dont_write_bytecode = bytecode

    def write(self, name: str, source: str) -> Path:
        """Write a file, named as the page names it."""
        path = Path(self.to_here(name)) if name.startswith("/") else self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_here(source))
        return path

    def forget_modules(self) -> None:
        """Let what was imported from its folder be imported anew."""
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(self.root)):
                del sys.modules[name]

    def close(self) -> None:
        """End all that it has started, and remove its folder."""
        self.forget_modules()
        sys.modules.pop("page", None)
        self._stack.close()
