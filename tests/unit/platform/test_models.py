"""Settings change as a whole or not at all, and a refusal says which one was wrong."""

from typing import Any

import pytest

from shared.errors import Invalid
from shared.platform.models import WorkspaceSettings, changed


def test_named_settings_change_and_the_others_stay() -> None:
    result = changed(WorkspaceSettings(heartbeat=5_000), {"lease_ttl": 20_000, "lease_scope": "ticket"})

    assert result == WorkspaceSettings(heartbeat=5_000, lease_ttl=20_000, lease_scope="ticket")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"unheard_of": 1}, "#/unheard_of"),
        ({"lease_ttl": 0}, "#/lease_ttl"),
        ({"lease_ttl": "30"}, "#/lease_ttl"),
        ({"lease_ttl": True}, "#/lease_ttl"),
        ({"lease_scope": "team"}, "#/lease_scope"),
        ({"reopen_within_hours": 9000}, "#/reopen_within_hours"),
        ({"heartbeat": 30_000}, "#/lease_ttl"),
        ({"presence_ttl": 10_000}, "#/presence_ttl"),
        ({"lease_max": 30_000}, "#/lease_max"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        changed(WorkspaceSettings(), changes)
    assert [error["pointer"] for error in refused.value.fields["errors"]] == [pointer]
