"""The `pulpo` of the pages: a fork of a process that has imported everything, instead of a new one each time.

Pages have hundreds of commands, and half a second of imports for each would be most of the time of their tests. What a
command does is the same: arguments, environment, directory, the three streams, signals and the exit status are those of
whoever calls it. That the installed script itself works is told by the tests that run it, `tests/e2e` and
`tests/packaging`, the page to production included.

The process that forks is a child of the tests and ends with them::

    caller ──connects──► server ──fork──► keeper, waits and tells the status ──fork──► the command
"""

import atexit
import functools
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_READY = b"ready\n"
_LOOK_AGAIN = 0.01  # seconds

#: What stands in a page's folder under the name `pulpo`.
_CALLER = f"""#!{sys.executable} -IS
import json, os, signal, socket, sys
SIGNALS = {[int(each) for each in _SIGNALS]}
connection = socket.socket(socket.AF_UNIX)
connection.connect({{server!r}})
ignored = [each for each in SIGNALS if signal.getsignal(each) is signal.SIG_IGN]
request = dict(arguments=sys.argv[1:], environment=dict(os.environ), folder=os.getcwd(), ignored=ignored)
socket.send_fds(connection, [b"!"], [0, 1, 2])
stream = connection.makefile("rwb", buffering=0)
stream.write(json.dumps(request).encode() + b"\\n")
command = int(stream.readline())
for each in set(SIGNALS) - set(ignored):
    signal.signal(each, lambda number, _: os.kill(command, number))
status = int(stream.readline() or -9)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if status != -9 else None
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def write_caller(path: Path) -> None:
    """Put a `pulpo` at *path*; the process that forks is started if it is the first."""
    path.write_text(_CALLER.format(server=str(_server())))
    path.chmod(0o755)


@functools.cache
def _server() -> Path:
    """The socket of the process that forks."""
    folder = tempfile.TemporaryDirectory(prefix="pulpo-quick-")
    address = Path(folder.name) / "socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.docs.quick", str(address)],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    if process.stdout.readline() != _READY:
        raise RuntimeError("the process that forks commands did not start; what it said is above")
    process.stdout.close()
    atexit.register(folder.cleanup)
    atexit.register(process.wait, timeout=10)
    atexit.register(process.stdin.close)  # is done first, and tells it to end
    return address


# --- the server


def serve(address: str) -> None:
    """Fork a keeper for each caller, until whoever has started this is gone."""
    _import_everything()
    gc.freeze()  # what is there now is looked at by no collection in a fork
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are nobody's concern
    os.write(1, _READY)
    os.dup2(2, 1)
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        if 0 in ready:
            return
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _keep(connection)
        connection.close()


def _import_everything() -> None:
    import pulpo_core
    from pulpo_cli import main

    for name in main._MODULES.values():
        importlib.import_module(name)
    for name in pulpo_core.__all__:
        getattr(pulpo_core, name)
    for installed in pulpo_core.installed_adapters():
        pulpo_core.adapter_for(f"{installed.scheme}://")
    for name in ("aiobotocore.session", "rich.progress", "rich.table", "rich.traceback", "sqlite3"):
        importlib.import_module(name)


def _keep(connection: socket.socket) -> None:
    """Run one command in a child, tell its status, and kill it if its caller is gone."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rwb", buffering=0) as caller:
        request = json.loads(caller.readline())
        command = os.fork()
        if command == 0:
            caller.close()
            connection.close()
            _become(request, streams)
            return
        for stream in streams:
            os.close(stream)
        caller.write(b"%d\n" % command)
        _wait_for(command, caller)
    os._exit(0)


def _wait_for(command: int, caller: socket.SocketIO) -> None:
    while True:
        ended, status = os.waitpid(command, os.WNOHANG)
        if ended:
            caller.write(b"%d\n" % os.waitstatus_to_exitcode(status))
            return
        if select.select([caller], [], [], _LOOK_AGAIN)[0]:  # it says nothing more: it is gone
            os.killpg(command, signal.SIGKILL)


def _become(request: dict[str, object], streams: list[int]) -> None:
    """Be the command, as if it had been started anew."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    time.tzset()
    for each in _SIGNALS:
        default = signal.default_int_handler if each is signal.SIGINT else signal.SIG_DFL
        signal.signal(each, signal.SIG_IGN if each in request["ignored"] else default)
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb"), encoding="utf-8")
    sys.stdout = _unbuffered(1)
    sys.stderr = _unbuffered(2)
    sys.argv = [str(Path(sys.executable).parent / "pulpo"), *request["arguments"]]
    sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != ROOT]
    sys.modules["__main__"] = ModuleType("__main__")
    main = importlib.import_module("pulpo_cli.main").main
    _end_with(main)


def _end_with(main: Callable[[], None]) -> NoReturn:
    """Run *main* to the end of the process; what was imported before the fork is not taken apart: it takes long."""
    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - here ends the process
        status = 1
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]  # joins threads, as any process does at its end
    atexit._run_exitfuncs()
    os._exit(status)


def _unbuffered(stream: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(os.fdopen(stream, "wb", buffering=0), encoding="utf-8", write_through=True)


if __name__ == "__main__":
    serve(sys.argv[1])
