"""`moorage demo` as a process: facts for scripts, a folder that survives kill -9, an end on a signal."""

import signal
from pathlib import Path

import msgspec
import pytest

from tests.support.demo import DemoProcess, demo_client

pytestmark = pytest.mark.e2e


async def test_killed_and_started_again_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The same folder: the connection, the lead, the login and the secrets are still there."""
    demo = DemoProcess(data=tmp_path / "data")
    facts = await demo.start()
    try:
        assert (demo.data / "demo.json").stat().st_mode & 0o077 == 0
        async with demo_client(facts) as client:
            await client.connect()
            form = facts.pages[0].forms[0]
            answers = {"email": "ada@customer.example", "full_name": "Ada Reed"}
            lead = {"pageId": facts.pages[0].id, "formId": form.id, "answers": answers}
            assert (await client.control("leads", lead)).status_code == 200
            await client.wait_for_leads(1, deadline=5)
        first = msgspec.json.decode((demo.data / "demo.json").read_bytes(), type=dict[str, object])

        await demo.kill()
        facts = await demo.start()
        again = msgspec.json.decode((demo.data / "demo.json").read_bytes(), type=dict[str, object])
        async with demo_client(facts) as client:
            assert len(await client.leads()) == 1
            assert (await client.control("leads", lead)).status_code == 200
            await client.wait_for_leads(2, deadline=5)

        assert {name: again[name] for name in first if name != "token"} == {
            name: first[name] for name in first if name != "token"
        }
        assert demo.process is not None
        demo.process.send_signal(signal.SIGTERM)
        assert await demo.wait_dead(deadline=15) == 0
    finally:
        await demo.kill()


async def test_its_settings_serve_a_host_of_their_own(tmp_path: Path) -> None:
    """`settings.toml` is what `--config` takes."""
    demo = DemoProcess(data=tmp_path / "data")
    await demo.start()
    await demo.kill()

    from moorage.commands import check_config

    assert check_config(config=demo.data / "settings.toml") == 0
