"""Settings come from variables and files, are checked at start, and never show a secret."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from shared.errors import Misconfigured
from shared.settings import KernelSettings, Settings, redacted, reference, unknown_variables

CANARY = "canary-7f3a"


class ServiceSettings(Settings):
    """A service's own."""

    batch: int = Field(100, description="Events per batch.")
    token: SecretStr | None = Field(None, description="A token.")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KernelSettings.model_fields, *ServiceSettings.model_fields):
        monkeypatch.delenv(f"BATON_{name.upper()}", raising=False)
        monkeypatch.delenv(f"BATON_{name.upper()}_FILE", raising=False)


def test_without_any_variable_it_is_embedded() -> None:
    settings = KernelSettings.load()

    assert settings.database_url is None
    assert settings.event_log == "postgres"
    assert settings.kafka_servers == ()
    assert (settings.host, settings.port) == ("127.0.0.1", 8123)


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_EVENT_LOG", "kafka://one:9092,two:9092")
    monkeypatch.setenv("BATON_SHUTDOWN_GRACE_MS", "200")
    settings = KernelSettings.load()

    assert settings.kafka_servers == ("one:9092", "two:9092")
    assert settings.shutdown_grace_ms == 200


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_DATABASE_URL", "")
    monkeypatch.setenv("BATON_PORT", "")

    assert KernelSettings.load().database_url is None
    assert KernelSettings.load().port == 8123


def test_a_named_file_holds_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("postgresql://db/baton\n")
    monkeypatch.setenv("BATON_DATABASE_URL_FILE", str(tmp_path / "url"))
    settings = KernelSettings.load()

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://db/baton"


def test_a_variable_and_its_file_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_PG_USER", "postgres")
    monkeypatch.setenv("BATON_PG_USER_FILE", str(tmp_path / "user"))

    with pytest.raises(Misconfigured, match="BATON_PG_USER and BATON_PG_USER_FILE are both set"):
        KernelSettings.load()


def test_a_named_file_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_PG_USER_FILE", str(tmp_path / "missing"))

    with pytest.raises(Misconfigured, match=r"BATON_PG_USER_FILE names .*missing"):
        KernelSettings.load()


def test_the_secrets_directory_comes_after_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "BATON_TOKEN").write_text(CANARY)
    (tmp_path / "baton_batch").write_text("7")
    monkeypatch.setenv("BATON_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("BATON_BATCH", "8")
    settings = ServiceSettings.load()

    assert settings.token is not None
    assert settings.token.get_secret_value() == CANARY
    assert settings.batch == 8


def test_a_secrets_directory_that_is_missing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_SECRETS_DIR", str(tmp_path / "missing"))

    with pytest.raises(Misconfigured, match="BATON_SECRETS_DIR"):
        ServiceSettings.load()


def test_every_wrong_variable_is_named_and_no_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_PORT", CANARY)
    monkeypatch.setenv("BATON_EVENT_LOG", CANARY)

    with pytest.raises(Misconfigured) as caught:
        KernelSettings.load()

    assert "BATON_PORT" in str(caught.value)
    assert "BATON_EVENT_LOG" in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("value", ["kafka://", "kafka://host", "kafka://one:9092,", "kafka://:9092", "rabbit://one:1"])
def test_an_event_log_that_names_no_server_is_refused(value: str) -> None:
    with pytest.raises(Misconfigured, match="BATON_EVENT_LOG"):
        KernelSettings.load(event_log=value)


def test_settings_cannot_be_changed() -> None:
    settings = KernelSettings.load()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


def test_neither_repr_nor_the_redacted_form_shows_a_secret() -> None:
    settings = KernelSettings.load(database_url=f"postgresql://baton:{CANARY}@db/baton", sealing_keys=CANARY)

    assert CANARY not in repr(settings)
    assert CANARY not in str(redacted(settings))
    assert redacted(settings)["BATON_DATABASE_URL"] == "(set)"
    assert redacted(settings)["BATON_PG_USER"] is None
    assert redacted(settings)["BATON_PORT"] == 8123


def test_unknown_variables_are_listed_with_what_they_resemble() -> None:
    environ = {
        "BATON_DATABSE_URL": "x",
        "BATON_XYZZY": "x",
        "BATON_PORT": "1",
        "BATON_TOKEN_FILE": "x",
        "BATON_SECRETS_DIR": "x",
        "HOME": "/",
    }

    assert unknown_variables((KernelSettings, ServiceSettings), environ) == {
        "BATON_DATABSE_URL": "BATON_DATABASE_URL",
        "BATON_XYZZY": None,
    }


def test_the_reference_names_every_setting_and_does_not_depend_on_the_machine() -> None:
    page = reference(KernelSettings, ServiceSettings)

    assert all(f"| `BATON_{name.upper()}` |" in page for name in KernelSettings.model_fields)
    assert "| `BATON_BATCH` | whole number | `100` | Events per batch. |" in page
    assert "| `BATON_TOKEN` | secret | unset | A token. |" in page
    assert "| `BATON_LOG_FORMAT` | `auto`, `json`, `console` | `auto` |" in page
    assert "/var/lib/baton for root, else ~/.local/share/baton" in page


def test_every_kernel_setting_is_described() -> None:
    assert [name for name, field in KernelSettings.model_fields.items() if not field.description] == []
