"""What is wrong with built distributions."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Final

from .version import Version

DISTRIBUTIONS: Final = frozenset(
    {"pulpo-core", "pulpo-adapter-file", "pulpo-adapter-beanstalkd", "pulpo-adapter-sqs", "pulpo-cli"}
)

_RELATIVE_LINK: Final = re.compile(r"\]\((?!https?://|#|mailto:)([^)]+)\)")


def complaints(dist: Path, version: Version) -> Iterator[str]:
    """What keeps the files in *dist* from being the release of *version*, one line each."""
    wheels = sorted(dist.glob("*.whl"))
    names = {wheel.name.partition("-")[0].replace("_", "-") for wheel in wheels}
    if names != DISTRIBUTIONS:
        yield f"expected wheels of {', '.join(sorted(DISTRIBUTIONS))}; found {', '.join(sorted(names)) or 'none'}"
    sources = {path.name.removesuffix(f"-{version}.tar.gz").replace("_", "-") for path in dist.glob("*.tar.gz")}
    if sources != names:
        yield f"source distributions and wheels differ: {', '.join(sorted(sources ^ names))}"
    for wheel in wheels:
        yield from (f"{wheel.name}: {each}" for each in _complaints_about(wheel, version))


def _complaints_about(wheel: Path, version: Version) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        [metadata] = [name for name in files if name.endswith(".dist-info/METADATA")]
        told = HeaderParser().parsestr(archive.read(metadata).decode())
    if told["Version"] != str(version):
        yield f"its version is {told['Version']}"
    if not any(name.endswith("/py.typed") for name in files):
        yield "no py.typed"
    if not any("/licenses/" in name for name in files):
        yield "no licence"
    yield from _complaints_about_metadata(told, version)


def _complaints_about_metadata(told: Message, version: Version) -> Iterator[str]:
    for requirement in told.get_all("Requires-Dist", []):
        if requirement.startswith("pulpo-") and version.bounds not in requirement:
            yield f"asks for {requirement}, not within {version.bounds}"
    readme = str(told.get_payload())
    if not readme.strip():
        yield "no read-me for its index page"
    for link in _RELATIVE_LINK.findall(readme):
        yield f"its read-me links to {link}, which leads nowhere from an index page"
