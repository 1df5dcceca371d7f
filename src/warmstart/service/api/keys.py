"""Keys: who may read, write, or administer."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal, get_args

from warmstart.errors import UsageError

Right = Literal["read", "write", "admin"]
RIGHTS: tuple[Right, ...] = get_args(Right)
"""Each right holds those before it."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Keys:
    """This knows the digests of the keys, and what each allows; without any, everything is
    allowed.
    """

    def __init__(self, keys: Mapping[str, Right]) -> None:
        self._rights: dict[str, Right] = {_digest(key): right for key, right in keys.items()}

    @classmethod
    def read(cls, text: str) -> "Keys":
        """The keys of `RIGHT:KEY,RIGHT:KEY`."""
        found: dict[str, Right] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            right, colon, key = part.partition(":")
            if not colon or right not in RIGHTS or len(key) < 16:
                raise UsageError(
                    f'"{right}:..." is no key; write {", ".join(RIGHTS)}, a colon, and at '
                    "least 16 letters, as "
                    "read:2f6c..., several separated by commas"
                )
            found[key] = right
        return cls(found)

    def __bool__(self) -> bool:
        return bool(self._rights)

    def right(self, key: str) -> Right | None:
        """What a key allows; None where it is not known. Takes as long for a wrong key as for a
        right one.
        """
        asked = _digest(key)
        found: Right | None = None
        for digest, right in self._rights.items():
            if hmac.compare_digest(digest, asked):
                found = right
        return found

    def allows(self, key: str, wanted: Right) -> bool:
        """Whether a key allows something."""
        right = self.right(key)
        return right is not None and RIGHTS.index(right) >= RIGHTS.index(wanted)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
