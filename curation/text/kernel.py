"""How a numba kernel is compiled and cached on disk.

Numba keys its cache by the file that defines the kernel, not by the files of the functions it
calls; a changed helper would silently keep serving old machine code.  So an entry kernel is
built by a factory that closes over `source_digest(its modules)`: numba hashes closure values
into the key.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import xxhash
from numba import njit
from numba.core import event

from curation.pipeline.compiling import tell

OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}


class _Compiling(event.Listener):  # type: ignore[misc]
    def on_start(self, event: Any) -> None:
        tell(True)

    def on_end(self, event: Any) -> None:
        tell(False)


event.register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]


def kernel_function(function: Callable[..., Any]) -> Any:
    """`function` compiled as a part of the kernels that call it, inlined wherever it is called.

    An array is some seven arguments, so a call of a small function costs more than its work: inlining
    all of them made `measure` 12 % faster for a sixth more time to compile.  Without numba's
    reference counts (private option `_nrt`, so it cannot allocate): every call would
    otherwise count the references of every array it passes, which took most of the time.
    """
    return njit(forceinline=True, **OPTIONS)(function)


def source_digest(*modules: ModuleType) -> int:
    """63 bits of the source text of the modules that a kernel is compiled from."""
    text = b"\0".join(Path(str(module.__file__)).read_bytes() for module in modules)
    return int(xxhash.xxh3_64_intdigest(text) >> 1)


def cached_kernel(function: Callable[..., Any]) -> Any:
    """`function` compiled without the GIL and cached beside its file, or in the user's cache directory.

    Where neither can be written (a container without a home), it is compiled anew in each process,
    with a warning that says how to avoid it.
    """
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError as error:  # numba: "no locator available"
        warnings.warn(
            f"{function.__name__} is compiled in every process ({error}); "
            "set NUMBA_CACHE_DIR to a directory that can be written",
            stacklevel=2,
        )
        return njit(**OPTIONS)(function)
