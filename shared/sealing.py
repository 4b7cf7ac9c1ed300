"""Secrets at rest: sealed with AES-256-GCM under the first key of a ring, opened with any, each bound to its place."""

import base64
import binascii
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import Misconfigured, Rejected
from shared.settings import KernelSettings

_FORM: Final = b"\x01"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = len(_FORM) + _ID_BYTES
_OTHERS: Final = 0o077


class KeyUnknown(Misconfigured):
    """A secret was sealed under a key that the ring does not hold."""


class SealBroken(Rejected):
    """What should be opened was altered, cut, or sealed for another place."""


class KeyRing:
    """Keys, the first of which seals. A token is: form, id of the key, nonce, ciphertext with its tag."""

    def __init__(self, keys: Sequence[bytes], random: Callable[[int], bytes] = os.urandom) -> None:
        if not keys:
            raise Misconfigured("at least one sealing key is needed")
        if any(len(key) != _KEY_BYTES for key in keys):
            raise Misconfigured(f"a sealing key is {_KEY_BYTES} bytes in base64; `baton keys new` makes one")
        self._random = random
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self._first = _id_of(keys[0])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Keys in base64, plain or for URLs, separated by commas or white space."""
        try:
            return cls([base64.b64decode(part, altchars=b"-_", validate=True) for part in _parts(text)])
        except (binascii.Error, ValueError):
            raise Misconfigured(f"a sealing key is {_KEY_BYTES} bytes in base64; `baton keys new` makes one") from None

    def seal(self, secret: bytes | str, *, context: str) -> bytes:
        """A token that only `open` with the same context turns back: name the row and the column that keep it."""
        data = secret.encode() if isinstance(secret, str) else secret
        header = _FORM + self._first
        nonce = self._random(_NONCE_BYTES)
        return header + nonce + self._ciphers[self._first].encrypt(nonce, data, header + context.encode())

    def open(self, token: bytes, *, context: str) -> bytes:
        """The secret; KeyUnknown or SealBroken when there is none to be had."""
        header, nonce = token[:_HEADER_BYTES], token[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        if header[:1] != _FORM or len(nonce) != _NONCE_BYTES:
            raise SealBroken(f"what is stored for {context} is not a sealed secret")
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            raise KeyUnknown(
                f"the secret of {context} was sealed under key {header[1:].hex()}, which is not on this ring "
                f"({', '.join(key_id.hex() for key_id in self._ciphers)}): add it to BATON_SEALING_KEYS at the end"
            )
        try:
            return cipher.decrypt(nonce, token[_HEADER_BYTES + _NONCE_BYTES :], header + context.encode())
        except InvalidTag:
            raise SealBroken(f"the secret of {context} was altered, or sealed for another place") from None

    def open_text(self, token: bytes, *, context: str) -> str:
        """The same for what was sealed as text."""
        return self.open(token, context=context).decode()

    def is_current(self, token: bytes) -> bool:
        """Whether the first key sealed this; if not, seal it anew before that key is retired."""
        return token[:_HEADER_BYTES] == _FORM + self._first

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(key_id.hex() for key_id in self._ciphers)})"


def new_key() -> str:
    """A fresh key as it stands in BATON_SEALING_KEYS."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def from_settings(settings: KernelSettings) -> KeyRing:
    """The configured ring; with the embedded database, else, one that the data directory keeps."""
    if settings.sealing_keys:
        return KeyRing.parse(settings.sealing_keys.get_secret_value())
    path = settings.data_dir / "keys"
    if settings.database_url and not path.exists():
        # Made silently, it would differ from replica to replica and vanish with the container.
        raise Misconfigured("BATON_SEALING_KEYS is needed beside BATON_DATABASE_URL; `baton keys new` makes one")
    return load_or_create(path)


def load_or_create(path: Path) -> KeyRing:
    """The ring in this file (one key a line, the first one seals); made, readable for us alone, if there is none."""
    if not path.exists():
        _create(path)
    if path.stat().st_mode & _OTHERS:
        raise Misconfigured(
            f"{path} can be read by other accounts: chmod 600, and rotate the keys if they could see it"
        )
    return KeyRing.parse(path.read_text("ascii"))


def _create(path: Path) -> None:
    """Written in full before it gets its name, and never over another starter's: a lost key is a lost secret."""
    # Others may pass through, as root's embedded database has to, but not look.
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".keys-")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(new_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parts(text: str) -> list[str]:
    return text.replace(",", " ").translate(str.maketrans("+/", "-_")).split()


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"baton sealing key" + key).digest()[:_ID_BYTES]
