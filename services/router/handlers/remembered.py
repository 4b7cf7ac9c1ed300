"""Compiled rulesets, kept for as long as there is room: a version never changes."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from services.router.domain.compile import Ruleset
from services.router.handlers.compiling import compiled
from services.router.store import rulesets
from shared.db.transaction import Transaction

REMEMBER: Final = 200_000
"""Rules and keywords that are kept compiled, one to two kB each; 10,000 rules of a brand are about 30 MB."""


class Remembered:
    """By workspace and version; what was not asked for longest goes first."""

    def __init__(self, most: int = REMEMBER) -> None:
        self._most = most
        self._rulesets: OrderedDict[tuple[str, int], Ruleset] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rulesets)

    def get(self, workspace_id: str, version: int) -> Ruleset | None:
        """The version, if it is still there."""
        found = self._rulesets.get((workspace_id, version))
        if found is not None:
            self._rulesets.move_to_end((workspace_id, version))
        return found

    def keep(self, workspace_id: str, version: int, ruleset: Ruleset) -> None:
        """One more; the last one stays, however large it is."""
        self._rulesets[workspace_id, version] = ruleset
        kept = sum(one.weight for one in self._rulesets.values())
        while kept > self._most and len(self._rulesets) > 1:
            _, forgotten = self._rulesets.popitem(last=False)
            kept -= forgotten.weight


class Versions:
    """What a process has compiled of the versions in force, for all who decide by them."""

    def __init__(self, most: int = REMEMBER) -> None:
        self._compiled = Remembered(most)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._compiled)

    async def rulesets(self, tx: Transaction, versions: Mapping[str, int]) -> dict[str, Ruleset]:
        """These versions, by workspace."""
        found = {
            workspace: known
            for workspace, version in versions.items()
            if (known := self._compiled.get(workspace, version)) is not None
        }
        missing = {workspace: version for workspace, version in versions.items() if workspace not in found}
        if missing:
            for (workspace, version), document in (await rulesets.documents(tx, missing)).items():
                found[workspace] = await compiled(document)
                self._compiled.keep(workspace, version, found[workspace])
        return found
