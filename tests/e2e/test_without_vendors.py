"""The host without any vendor: built as wheels, installed without the plugin, started."""

import asyncio
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import httpx
import pytest

from tests.support.demo import free_port
from tests.support.hosting import HostPlan

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def vendorless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with every dependency, the three host distributions as wheels, and no plugin."""
    folder = tmp_path_factory.mktemp("wheels")
    wheels, installed, libraries = folder / "built", folder / "installed", folder / "libraries"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    sources = [str(ROOT / name) for name in ("ports", "adapters", "host")]
    subprocess.run(
        [
            *pip,
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--wheel-dir",
            str(wheels),
            *sources,
        ],
        check=True,
    )
    built = [str(wheel) for wheel in wheels.glob("*.whl")]
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(installed), *built], check=True
    )
    libraries.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "moorage" not in entry.name.lower() and not entry.name.endswith(".pth"):
            (libraries / entry.name).symlink_to(entry)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (installed, libraries)))}


def _moorage(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as somebody without our checkout would run it (no site-packages of ours)."""
    return subprocess.run(
        [sys.executable, "-S", "-P", "-m", "moorage", *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_wheels_carry_everything_but_a_vendor(vendorless: dict[str, str]) -> None:
    """`moorage vendors` runs from the wheels and says that none is installed."""
    answer = _moorage(vendorless, "vendors")
    assert answer.returncode == 0, answer.stderr
    assert "no vendor is installed" in answer.stdout.lower()


def test_the_plugin_is_really_absent(vendorless: dict[str, str]) -> None:
    """The check above could not fail if the plugin were importable after all."""
    probe = [sys.executable, "-S", "-P", "-c", "import moorage_facebook"]
    answer = subprocess.run(probe, env=vendorless, cwd="/", capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in answer.stderr


async def test_the_host_serves_without_a_vendor_and_says_so(
    vendorless: dict[str, str], tmp_path: Path
) -> None:
    """Migrated, started, ready; what it prints and what it lists both say that there is none."""
    plan = HostPlan(folder=tmp_path, database_url=f"sqlite:///{tmp_path / 'moorage.sqlite3'}")
    port = free_port()
    own = {key: value for key, value in plan.environment(port).items() if "_FACEBOOK_" not in key}
    environment = {**vendorless, **own}
    assert _moorage(environment, "migrate").returncode == 0
    token = _moorage(environment, "token", "--org", "org-a").stdout.strip()
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "moorage", "serve"],
            env=environment,
            cwd="/",
            stdout=output,
            stderr=output,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            await _ready(http)
            headers = {"authorization": f"Bearer {token}", "orgid": "org-a"}
            listed = await http.get("/upstream/integration-types", headers=headers)
            assert listed.status_code == 200, listed.text
            unknown = await http.post("/upstream/call/facebook-provider/get-auth-url", headers=headers)
            assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_vendor")
    finally:
        process.kill()
        process.wait()
    assert "no vendor is installed" in log.read_text().lower()
    assert "no vendor is installed" in listed.text.lower()


async def _ready(http: httpx.AsyncClient) -> None:
    for _ in range(300):
        try:
            if (await http.get("/readyz")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    pytest.fail("the host did not become ready")
