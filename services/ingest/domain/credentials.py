"""A channel's credentials: which a network takes, and how one replaces another without a gap."""

from collections.abc import Mapping
from typing import Final

from shared.errors import Invalid
from shared.networks.port import Network

PREVIOUS: Final = "_previous"
LONGEST: Final = 8192


def checked(network: Network, given: Mapping[str, str]) -> dict[str, str]:
    """Credentials of a new channel; Invalid names what is missing, strange or empty, and shows no value."""
    problems = _strange(network, given)
    problems += [
        _problem(name, f"{network.name} needs this credential")
        for name in network.required_credentials
        if name not in given
    ]
    _refuse(problems)
    return dict(given)


def merged(network: Network, current: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Credentials after a change: null removes one, and a replaced secret stays valid as the previous one."""
    problems = _strange(network, {name: value for name, value in changes.items() if value is not None})
    problems += [
        _problem(name, f"{network.name} cannot do without this credential")
        for name, value in changes.items()
        if value is None and name in network.required_credentials
    ]
    _refuse(problems)
    result = dict(current)
    for name, value in changes.items():
        previous = name + PREVIOUS
        rotates = previous in network.secret_names and previous not in changes
        if rotates and value is not None and current.get(name) not in (None, value):
            result[previous] = current[name]
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def is_set(network: Network, current: Mapping[str, str]) -> dict[str, bool]:
    """Which credentials a channel has: all that is ever shown of them."""
    return {name: name in current for name in network.secret_names}


def urls(given: Mapping[str, str | None]) -> dict[str, str]:
    """Those credentials that name a place to call, which the address policy has to admit."""
    return {name: value for name, value in given.items() if name.endswith("_url") and value is not None}


def _strange(network: Network, given: Mapping[str, str]) -> list[dict[str, str]]:
    takes = ", ".join(network.secret_names)
    problems = [
        _problem(name, f"{network.name} takes no such credential, but {takes}")
        for name in given
        if name not in network.secret_names
    ]
    problems += [
        _problem(name, f"a credential has 1 to {LONGEST} characters")
        for name, value in given.items()
        if not 0 < len(value) <= LONGEST
    ]
    return problems


def _problem(name: str, detail: str) -> dict[str, str]:
    return {"pointer": "#/credentials/" + name[:100].replace("~", "~0").replace("/", "~1"), "detail": detail}


def _refuse(problems: list[dict[str, str]]) -> None:
    if problems:
        raise Invalid(f"the credentials are not valid: {problems[0]['detail']}", errors=problems)
