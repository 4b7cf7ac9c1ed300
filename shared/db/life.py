"""Which life of the server this is: after a crash it may give ids again."""

from typing import Final

from shared.db.pool import Database

_BEGIN: Final = "INSERT INTO log.life (id) SELECT $1 WHERE NOT EXISTS (SELECT FROM log.life)"


class Life:
    """The life of the server that somebody knows: what was learnt in it, of ids that are behind, holds in no other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name: str | None = None

    async def is_new(self, told: str | None) -> bool:
        """Whether a look was told of another one than before; one that has no name yet gets one."""
        if told is not None and told == self.name:
            return False
        if told is None:
            # Or somebody else has named it meanwhile: then the next look is told theirs.
            told = self._database.ids.new("life")
            await self._database.look(_BEGIN, told)
        self.name = told
        return True
