"""The page as it is served: its modules, their versioned addresses, its policy, and the vendored chart."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import re
from pathlib import Path
from typing import Final

import pytest
from fastapi import FastAPI
from starlette.types import Message

from dashboard import page
from dashboard.page import ASSETS, CLASSIC, ENTRY, MODULES, add_page, assets_version
from local.checkout import ROOT

STATIC: Final = re.compile(r"""^(?:import|export) [^;]*?from '\./([^']+)';$""", re.MULTILINE)


def imports(name: str) -> set[str]:
    return set(STATIC.findall((ASSETS / name).read_text()))


def test_the_entry_imports_every_module_and_no_other_file() -> None:
    reached, waiting = set[str](), [ENTRY]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += imports(name)
    assert reached == set(MODULES)


def test_modules_import_in_one_direction() -> None:
    """No module reaches itself, whichever way."""

    def reach(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        for other in imports(name):
            reach(other, (*path, name))

    reach(ENTRY, ())


def test_only_the_vendored_script_is_no_module() -> None:
    assert (ASSETS / CLASSIC).is_file()
    assert CLASSIC not in MODULES


def test_the_version_follows_from_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ASSETS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    shipped = assets_version()
    monkeypatch.setattr(page, "ASSETS", tmp_path)
    assert assets_version() == shipped
    (tmp_path / "store.js").write_text((tmp_path / "store.js").read_text() + "\n")
    changed = assets_version()
    (tmp_path / "store.js").rename(tmp_path / "shop.js")
    assert len({shipped, changed, assets_version()}) == 3


def get(app: FastAPI, path: str, *sent: tuple[bytes, bytes]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a request."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    scope = {
        **{
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
        },
        **{"path": path, "raw_path": path.encode(), "root_path": "", "query_string": b""},
        **{"headers": [(b"host", b"test"), *sent], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)},
    }
    asyncio.run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], headers, body


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI()
    add_page(app, "BTCUSDT")
    return app


def test_every_module_is_preloaded_from_a_folder_that_browsers_keep(app: FastAPI) -> None:
    status, headers, body = get(app, "/")
    assert status == 200
    assert "immutable" not in headers.get("cache-control", "")
    preloaded = re.findall(r'<link rel="modulepreload" fetchpriority="low" href="([^"]+)">', body.decode())
    assert preloaded == [f"/assets/{assets_version()}/{name}" for name in MODULES]
    for address in preloaded:
        status, headers, content = get(app, address)
        assert (status, content) == (200, (ASSETS / Path(address).name).read_bytes())
        assert headers["content-type"].startswith("text/javascript")
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert headers["x-content-type-options"] == "nosniff"


def test_dash_loads_the_vendored_script_and_no_module_by_itself(app: FastAPI) -> None:
    _, _, body = get(app, "/")
    assert re.findall(r'<script src="/assets/([^/?"]+)/([^?"]+)', body.decode()) == [(assets_version(), CLASSIC)]


def test_the_policy_allows_the_inline_scripts_that_start_the_page_and_no_others(app: FastAPI) -> None:
    _, headers, body = get(app, "/")
    inline = re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", body.decode(), re.DOTALL)
    executed = [script for script in inline if not script.lstrip().startswith("{")]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in executed]
    policy = headers["content-security-policy"]
    assert f'import("/assets/{assets_version()}/{ENTRY}")' in body.decode()
    assert all(f"'sha256-{value}'" in policy for value in hashes)
    assert len(re.findall(r"script-src 'self' ([^;]*)", policy)[0].split()) == len(hashes) == 2


def test_an_unknown_asset_is_missing_and_its_absence_is_not_kept(app: FastAPI) -> None:
    for path in (f"/assets/{assets_version()}/x.js", f"/assets/{assets_version()}/%2e%2e%2fpage.py"):
        status, headers, _ = get(app, path)
        assert (status, "cache-control" in headers) == (404, False)
        assert headers["content-security-policy"].startswith("default-src 'self'")


def test_an_asset_is_compressed_for_browsers_that_accept_it(app: FastAPI) -> None:
    path = f"/assets/{assets_version()}/{CLASSIC}"
    _, plain_headers, plain = get(app, path)
    _, headers, content = get(app, path, (b"accept-encoding", b"gzip, br"))
    assert gzip.decompress(content) == plain == (ASSETS / CLASSIC).read_bytes()
    assert (headers["content-encoding"], plain_headers.get("content-encoding")) == ("gzip", None)
    assert headers["vary"] == "Accept-Encoding"


def test_the_vendored_chart_is_what_its_provenance_says() -> None:
    folder = ROOT / "cloudrun" / "dashboard"
    rows = re.findall(
        r"^\| `(dashboard/assets/\S+)` \|.*`([0-9a-f]{64})`", (folder / "PROVENANCE.md").read_text(), re.MULTILINE
    )
    assert len(rows) == 2
    for name, sha256 in rows:
        assert hashlib.sha256(Path(folder / name).read_bytes()).hexdigest() == sha256
