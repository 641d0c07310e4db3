"""Images of brokers: from a registry where one answers, else made of what is installed here."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.servers import ROOT, beanstalkd_program

if TYPE_CHECKING:
    import docker

_BASE: Final = "debian:bookworm-slim"

_DOCKERFILE: Final = f"""
FROM {_BASE}
RUN apt-get update && apt-get install -y --no-install-recommends beanstalkd && rm -rf /var/lib/apt/lists/*
RUN mkdir /data
CMD ["/usr/bin/beanstalkd", "-l", "0.0.0.0", "-p", "11300", "-b", "/data"]
"""

_LIBRARY: Final = re.compile(r"(/\S+) \(0x")


def engine() -> docker.DockerClient:
    """The engine that answers.

    Raises:
        AssertionError: none does; the text says what to do.
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except DockerException as error:
        raise AssertionError(f"no Docker engine answers; ./dev test-docker starts one if it may ({error})") from error
    return client


@cache
def beanstalkd_image() -> str:
    """An image of beanstalkd, with its log in ``/data``: Debian's, or of the program that is installed here."""
    from docker.errors import APIError

    client = engine()
    try:
        client.images.pull(_BASE)
    except APIError as error:
        tell(f"no registry answers ({error.explanation}): an image of {beanstalkd_program()}")
        return _imported("pulpo-beanstalkd:host", _beanstalkd_here())
    image, _ = client.images.build(fileobj=io.BytesIO(_DOCKERFILE.encode()), tag="pulpo-beanstalkd:debian", rm=True)
    tell(f"an image of beanstalkd on {_BASE}")
    return str(image.tags[0])


def _beanstalkd_here() -> bytes:
    program = beanstalkd_program()
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return _tar({program: "/usr/bin/beanstalkd"} | {path: path for path in _LIBRARY.findall(told)}, folders=["/data"])


def _imported(tag: str, root: bytes) -> str:
    command = 'CMD ["/usr/bin/beanstalkd", "-l", "0.0.0.0", "-p", "11300", "-b", "/data"]'
    engine().api.import_image_from_data(
        root, repository=tag.partition(":")[0], tag=tag.partition(":")[2], changes=command
    )
    return tag


@cache
def python_image() -> str:
    """An image with nothing in it: what `HOST_PYTHON` names is to be mounted."""
    tag = "pulpo-python:host"
    links = {
        name: str(Path(name).readlink()) for name in ("/bin", "/lib", "/lib64", "/sbin") if Path(name).is_symlink()
    }
    engine().api.import_image_from_data(
        _tar({}, folders=["/tmp", *_here()], links=links), repository="pulpo-python", tag="host"
    )
    return tag


def _here() -> list[str]:
    """What a Python program of this repository needs, as folders of this machine."""
    folders = {"/usr", str(ROOT), sys.prefix, sys.base_prefix}
    folders |= {name for name in ("/lib", "/lib64") if Path(name).is_dir() and not Path(name).is_symlink()}
    return sorted(
        each for each in folders if not any(each != other and Path(each).is_relative_to(other) for other in folders)
    )


def host_python() -> dict[str, str]:
    """The folders of this machine that a container of `python_image` sees, read only, under their own names."""
    return {folder: folder for folder in _here()}


def _tar(files: dict[str, str], *, folders: list[str], links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", dereference=True) as archive:
        for folder in folders:
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        for source, target in files.items():
            archive.add(source, arcname=target.lstrip("/"))
    return stream.getvalue()


def tell(text: str) -> None:
    """Say where an image came from; pytest shows it with -rA or when a test fails, ./dev test-docker with -s."""
    print(f"[docker] {text}")
