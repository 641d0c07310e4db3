"""Large letters at the start of a worker."""

from pathlib import Path

from pulpo_cli.banner import banner
from pulpo_core.config import BannerSettings

from .conftest import Pulpo


def test_a_banner_is_its_name_in_large_letters() -> None:
    assert banner(BannerSettings(name="hi!")).splitlines() == [
        "█   █  ███",
        "█   █   █",
        "█████   █",
        "█   █   █",
        "█   █  ███",
    ]


def test_a_plain_banner_is_its_name() -> None:
    assert banner(BannerSettings(name="Shop worker", font="plain")) == "Shop worker"


def test_a_worker_shows_its_banner_only_when_it_is_told_to(pulpo: Pulpo, url: str, tmp_path: Path) -> None:
    file = tmp_path / "with.toml"
    file.write_text("[pulpo.banner]\nenabled = true\nname = 'kessel'\nfont = 'plain'\n")
    work = ("run", "--queue", url, "--handler", f"{__name__}:nothing", "--burst")

    assert "kessel" in pulpo(*work, "--settings", str(file)).err.splitlines()
    assert "kessel" not in pulpo(*work).err
    assert "kessel" not in pulpo(*work, "--settings", str(file), "-q").err
    assert "kessel" not in pulpo(*work, "--settings", str(file), "--log-format", "json").err


def nothing(body: object) -> None: ...
