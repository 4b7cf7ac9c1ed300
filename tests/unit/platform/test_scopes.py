"""Scopes are a closed set, and no choice of scopes exceeds its role."""

from shared.platform.scopes import ALL_SCOPES, ROLES, SCOPES, effective


def test_every_scope_is_explained() -> None:
    assert SCOPES.keys() == ALL_SCOPES


def test_only_administrators_manage_keys_and_settings() -> None:
    assert {role for role, scopes in ROLES.items() if scopes & {"keys:manage", "workspace:manage"}} == {"admin"}


def test_machines_never_override_or_supervise() -> None:
    powers = {"tickets:override", "tickets:supervise"}

    assert not powers & (ROLES["bot"] | ROLES["integration"] | ROLES["analyst"] | ROLES["agent"])


def test_a_key_without_a_choice_has_all_of_its_role() -> None:
    assert effective("lead", None) == ROLES["lead"]


def test_a_choice_narrows_and_never_widens() -> None:
    assert effective("agent", ["tickets:read", "keys:manage"]) == {"tickets:read"}
    assert effective("admin", []) == frozenset()
