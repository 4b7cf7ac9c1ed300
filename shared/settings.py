"""Settings: `BATON_*` variables or files, checked once at start and frozen; the kernel's own are declared here."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Self, Union, get_args, get_origin

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from shared.errors import Misconfigured

PREFIX: Final = "BATON_"
SECRETS_DIRECTORY: Final = "BATON_SECRETS_DIR"
"""Names a directory with one file per setting, as Kubernetes mounts secrets."""

_FILE_SUFFIX: Final = "_FILE"
_OUTSIDE_OF_CLASSES: Final = frozenset({SECRETS_DIRECTORY, "BATON_FAILPOINTS"})
_REDACTED: Final = "(set)"


class _NamedFiles(PydanticBaseSettingsSource):
    """`BATON_X_FILE=/path`: the value of `BATON_X` is what the file holds."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One field's value, if a file is named for it."""
        del field
        variable = variable_of(field_name)
        path = os.environ.get(variable + _FILE_SUFFIX)
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise Misconfigured(f"{variable} and {variable}{_FILE_SUFFIX} are both set: keep one")
        try:
            return Path(path).read_text("utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{variable}{_FILE_SUFFIX} names {path}, which cannot be read") from error

    def __call__(self) -> dict[str, Any]:
        """Every field for which a file is named."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """What every settings class shares. A variable wins over a file, a file over the default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, variables, named files, the secrets directory."""
        # No file beside the code is read, and pydantic's own secrets directory warns when there is none.
        del dotenv_settings, file_secret_settings
        sources = (init_settings, env_settings, _NamedFiles(settings_cls))
        directory = os.environ.get(SECRETS_DIRECTORY)
        if not directory:
            return sources
        if not Path(directory).is_dir():
            raise Misconfigured(f"{SECRETS_DIRECTORY} names {directory}, which is not a directory")
        return (*sources, SecretsSettingsSource(settings_cls, secrets_dir=directory))

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """From the environment; Misconfigured names every variable that is wrong, and shows no value."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            places = (
                (variable_of(str(item["loc"][0])) if item["loc"] else cls.__name__, item) for item in error.errors()
            )
            problems = (f"{place}: {item['msg']}" for place, item in places)
            raise Misconfigured("; ".join(problems)) from None


def _event_log(value: str) -> str:
    if value == "postgres" or (value.startswith("kafka://") and all(_host_and_port(value))):
        return value
    raise ValueError("must be postgres or kafka://host:port[,host:port...]")


def _host_and_port(value: str) -> list[bool]:
    servers = (server.rpartition(":") for server in value.removeprefix("kafka://").split(","))
    return [bool(host) and port.isdigit() for host, _, port in servers]


def _default_data_dir() -> Path:
    return Path("/var/lib/baton") if os.geteuid() == 0 else Path.home() / ".local" / "share" / "baton"


_Milliseconds = Annotated[int, Field(gt=0)]
_Bytes = Annotated[int, Field(gt=0)]
_Days = Annotated[int, Field(gt=0)]


class KernelSettings(Settings):
    """What every process of Baton reads, whichever services it runs."""

    database_url: SecretStr | None = Field(
        None, description="Postgres to use, as `postgresql://user:password@host:port/database`. Unset: an embedded one."
    )
    event_log: Annotated[str, AfterValidator(_event_log)] = Field(
        "postgres", description="Where events travel: `postgres`, or `kafka://host:port[,host:port...]`."
    )
    data_dir: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default_factory=_default_data_dir,
        description="Where the embedded database, the sealing keys and the demo's keys live.",
        json_schema_extra={"default": "/var/lib/baton for root, else ~/.local/share/baton"},
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8123, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    pg_bin: Path | None = Field(
        None, description="Directory with the programs of Postgres 15 or newer, for the embedded database."
    )
    pg_user: str | None = Field(
        None, description="Account that the embedded database runs as when Baton is root. Unset: postgres, else nobody."
    )
    pool_size: int = Field(
        16, ge=2, le=500, description="Connections to Postgres that this process keeps at most, besides 4 to look."
    )
    allow_private_egress: bool = Field(
        default=False,
        description="Lets webhooks and network calls reach private addresses and plain HTTP. For tests and local use.",
    )
    sealing_keys: SecretStr | None = Field(
        None,
        description="Keys that seal stored secrets: base64 of 32 bytes each, comma-separated, the first one seals. "
        "Unset: one is made in the data directory.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level to log.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Form of log lines on stderr; `auto` is `console` on a terminal, else `json`."
    )
    webhook_body_limit: _Bytes = Field(1024 * 1024, description="Largest webhook body, in bytes.")
    api_body_limit: _Bytes = Field(256 * 1024, description="Largest API request body, in bytes.")
    json_depth: int = Field(32, ge=4, le=500, description="Deepest nesting of JSON that is taken from outside.")
    log_partitions: int = Field(
        8,
        ge=1,
        le=256,
        description="Partitions of each topic; fixed once events exist on Postgres, grown by `baton migrate` on Kafka.",
    )
    log_lease_ms: int = Field(
        10_000,
        ge=500,
        description="After this long without a sign of life, by the database's clock, what a process reads of the "
        "event log on Postgres moves.",
    )
    relay_lease_ms: int = Field(
        4_000,
        ge=500,
        description="After this long without a sign of life, by the database's clock, others relay to Kafka what a "
        "process had to relay.",
    )
    log_retention_days: _Days = Field(7, description="How long events stay in the event log.")
    kafka_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = Field(
        "", description="In front of every topic and group on Kafka, so that several systems may share a cluster."
    )
    kafka_member: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Static membership on Kafka: a name that this replica keeps over restarts, such as its pod's. "
        "Unset: partitions move as soon as a process leaves.",
    )
    kafka_session_ms: int = Field(
        6_000, ge=1_000, le=1_800_000, description="After this long without a sign of life a consumer's work moves."
    )
    kafka_replication: int | None = Field(
        None,
        ge=1,
        le=9,
        description="Copies of each topic that `baton migrate` creates. Unset: three, or one a broker.",
    )
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="How to speak to Kafka."
    )
    kafka_ca_file: Path | None = Field(None, description="Authorities that Kafka's certificate may come from; PEM.")
    kafka_cert_file: Path | None = Field(None, description="Our certificate for Kafka; PEM.")
    kafka_key_file: Path | None = Field(None, description="The key of our certificate; PEM.")
    kafka_sasl_mechanism: Literal["plain", "scram-sha-256", "scram-sha-512"] = Field(
        "scram-sha-512", description="How to prove who we are where BATON_KAFKA_SECURITY is sasl_plaintext or sasl_ssl."
    )
    kafka_username: str | None = Field(None, description="User on Kafka.")
    kafka_password: SecretStr | None = Field(None, description="Password on Kafka.")
    inbox_retention_days: _Days = Field(30, description="How long raw deliveries can be inspected and replayed.")
    shutdown_grace_ms: _Milliseconds = Field(
        20_000, description="How long running work may take to finish after a stop signal."
    )

    @property
    def kafka_servers(self) -> tuple[str, ...]:
        """Bootstrap servers; empty where the event log is Postgres."""
        _, scheme, servers = self.event_log.rpartition("kafka://")
        return tuple(servers.split(",")) if scheme else ()


def variable_of(field_name: str) -> str:
    """The environment variable of a field."""
    return f"{PREFIX}{field_name.upper()}"


def redacted(settings: Settings) -> dict[str, Any]:
    """Every setting by its variable, fit to be shown: a secret only says that it is set."""
    dumped = settings.model_dump(mode="json")
    secret = {name for name in dumped if isinstance(getattr(settings, name), SecretStr)}
    return {variable_of(name): _REDACTED if name in secret else value for name, value in dumped.items()}


def unknown_variables(classes: tuple[type[Settings], ...], environ: Mapping[str, str]) -> dict[str, str | None]:
    """Variables with our prefix that nothing reads, each with the known name that it resembles."""
    known = {variable_of(name) for settings in classes for name in settings.model_fields} | _OUTSIDE_OF_CLASSES
    readable = known | {variable + _FILE_SUFFIX for variable in known}
    strange = sorted(name for name in environ if name.startswith(PREFIX) and name not in readable)
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), None) for name in strange}


def reference(*classes: type[Settings]) -> str:
    """The settings as markdown: one table per class."""
    parts = [
        "# Settings",
        (
            f"Every setting is an environment variable. `<VARIABLE>{_FILE_SUFFIX}` may name a file that holds it, "
            f"and `{SECRETS_DIRECTORY}` a directory with one file per variable. An empty variable counts as unset."
        ),
    ]
    for settings in classes:
        rows = [_row(name, field) for name, field in settings.model_fields.items()]
        table = ["| variable | value | default | meaning |", "|---|---|---|---|", *rows]
        parts += [f"## {settings.__name__}", (settings.__doc__ or "").strip(), "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{variable_of(name)}` | {_kind(field.annotation)} | {_default(field)} | {field.description} |"


def _kind(annotation: Any) -> str:
    inner = annotation
    if get_origin(annotation) in (Union, UnionType):
        inner = next(each for each in get_args(annotation) if each is not type(None))
    if get_origin(inner) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(inner))
    names = {
        SecretStr: "secret",
        Path: "path",
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
    }
    return names.get(inner, getattr(inner, "__name__", str(inner)))


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default" in extra:
        return str(extra["default"])
    if field.default is None:
        return "unset"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
