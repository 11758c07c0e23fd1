"""The user's settings that reach an installer: those that decide from where it downloads, and no others."""

from __future__ import annotations

from pathlib import Path

from local.setup.packages import pip_environ, uv_environ

WHERE = {
    "index-url": "https://mirror.example/simple",
    "extra-index-url": "https://second.example/simple",
    "cert": "/etc/authority.pem",
    "timeout": "180",
}
WHAT = {
    "UV_OVERRIDE": "/elsewhere/overrides.txt",
    "UV_CONSTRAINT": "/elsewhere/constraints.txt",
    "UV_EXCLUDE_NEWER": "2020-01-01",
    "UV_RESOLUTION": "lowest",
    "UV_CONFIG_FILE": "/elsewhere/uv.toml",
    "UV_SYSTEM_PYTHON": "1",
    "PIP_CONSTRAINT": "/elsewhere/constraints.txt",
    "PIP_TARGET": "/elsewhere/elsewhere",
    "PIP_USER": "1",
    "PYTHONPATH": "/elsewhere/modules",
    "VIRTUAL_ENV": "/elsewhere/venv",
}


def test_pip_gets_its_sources_and_no_other_setting(tmp_path: Path) -> None:
    environ = pip_environ({"PATH": "/bin", "HOME": str(tmp_path), **WHAT}, WHERE)
    assert environ == {
        "PATH": "/bin",
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://second.example/simple",
        "PIP_CERT": "/etc/authority.pem",
        "PIP_TIMEOUT": "180",
    }


def test_uv_downloads_from_the_sources_of_pip(tmp_path: Path) -> None:
    environ = uv_environ({"PATH": "/bin", "HOME": str(tmp_path), **WHAT}, WHERE, tmp_path / "cache")
    assert environ == {
        "PATH": "/bin",
        "HOME": str(tmp_path),
        "UV_NO_CONFIG": "1",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://second.example/simple",
        "UV_HTTP_TIMEOUT": "180",
        "SSL_CERT_FILE": "/etc/authority.pem",
        "REQUESTS_CA_BUNDLE": "/etc/authority.pem",
    }


def test_uvs_own_variables_override_pips(tmp_path: Path) -> None:
    own = {"UV_INDEX_URL": "https://own.example/simple", "UV_HTTP_TIMEOUT": "5", "UV_CACHE_DIR": str(tmp_path)}
    environ = uv_environ({"HOME": str(tmp_path), **own}, WHERE, tmp_path / "cache")
    assert {name: value for name, value in environ.items() if name.startswith("UV_")} == {**own, "UV_NO_CONFIG": "1"}


def test_only_links_that_exist_are_passed_on(tmp_path: Path) -> None:
    links = f"{tmp_path} {tmp_path / 'absent'} https://links.example/"
    environ = uv_environ({"HOME": str(tmp_path)}, {"find-links": links}, tmp_path / "cache")
    assert environ["UV_FIND_LINKS"] == f"{tmp_path},https://links.example/"


def test_a_home_that_cannot_be_written_gets_a_cache_elsewhere(tmp_path: Path) -> None:
    for home in ({"HOME": "/dev/null"}, {}):
        assert uv_environ(home, {}, tmp_path / "cache")["UV_CACHE_DIR"] == str(tmp_path / "cache")
    assert "UV_CACHE_DIR" not in uv_environ({"HOME": str(tmp_path)}, {}, tmp_path / "cache")
