"""Frozen values at the price of plain ones.

`@dataclass(frozen=True, slots=True)` means here what it means in the standard library, and mypy holds everybody to it. At run time
freezing makes each field of each new value a call of its own; a settlement makes some thirty values, and that was a tenth of
the time to decide it. So at run time they are plain: equal and hashable by their fields, and not guarded once more.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, slots: bool) -> Any:
        assert frozen, "values do not change; what does is a dataclass of the standard library"
        return dataclasses.dataclass(slots=slots, unsafe_hash=True)


__all__ = ["dataclass"]
