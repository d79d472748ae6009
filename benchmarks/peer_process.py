"""A peer in its own process and environment that answers one command a line with one line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Peer:
    """`versions` is what the script prints first."""

    def __init__(
        self, python: str, script: str, *arguments: Path | str, environment: Mapping[str, str] | None = None
    ) -> None:
        command = [python, str(Path(__file__).with_name(script)), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.versions = self.read()

    def ask(self, command: str) -> Any:
        """The answer to one command."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> Any:
        """The next line; raises RuntimeError when the process ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the peer process ended; its error is above")
        return json.loads(line)

    def close(self) -> None:
        """End of commands; waits for the process to end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
