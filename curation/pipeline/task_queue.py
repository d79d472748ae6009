"""Tasks in dependency order, with their retries: what every executor on this machine or on Ray shares."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from curation.pipeline.errors import CurateError, TaskFailed
from curation.pipeline.plan import State
from curation.pipeline.progress import Progress


@dataclass
class Outcome:
    """What an executor did: tasks that it really executed, and failures with their messages."""

    ran: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass
class TaskQueue:
    """What is ready, what waits for what, what has failed how often."""

    state: State
    progress: Progress
    retries: int
    outcome: Outcome = field(default_factory=Outcome)
    waiting: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    ready: deque[str] = field(default_factory=deque)
    _blocked: set[str] = field(default_factory=set)
    _attempts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, state: State, names: Iterable[str], *, retries: int, progress: Progress) -> TaskQueue:
        """The named tasks; whatever else they depend on must be finished."""
        queue = cls(state, progress, retries)
        for name in names:
            open_ones = {d for d in state.plan.by_name[name].dependencies() if not state.finished(d)}
            queue.waiting[name] = open_ones
            for one in open_ones:
                queue.children.setdefault(one, []).append(name)
            if not open_ones:
                queue.ready.append(name)
        return queue

    def take(self) -> str | None:
        """The next task to execute; None when none is ready now."""
        while self.ready:
            name = self.ready.popleft()
            if not self.state.finished(name):
                return name
            self._done(name)  # known only now: it waited for a barrier's slice, which did not change
        return None

    def succeeded(self, name: str) -> None:
        """A task was executed."""
        self.outcome.ran.add(name)
        self._done(name)

    def went_wrong(self, name: str, error: BaseException, again: Callable[[str], None] | None = None) -> None:
        """A task raised: tried again, or failed for good; raises what no retry can settle."""
        if isinstance(error, CurateError) and not isinstance(error, TaskFailed):
            raise error
        if isinstance(error, TaskFailed):
            message = str(error)
        else:
            notes = "; ".join(getattr(error, "__notes__", []))
            message = f"{name}: {type(error).__name__}: {error}" + (f" ({notes})" if notes else "")
        self.retry_or_fail(name, message, again)

    def retry_or_fail(self, name: str, message: str, again: Callable[[str], None] | None = None) -> None:
        """Put a task back (by `again`, else among the ready ones) while it has attempts left."""
        self._attempts[name] = self._attempts.get(name, 0) + 1
        if self._attempts[name] <= self.retries:
            self.progress.note(f"retry {self._attempts[name]}/{self.retries}: {message}")
            (again or self.ready.append)(name)
        else:
            self.progress.note(f"failed: {message}")
            self.outcome.failures[name] = message
            self._failed(name)

    def _done(self, name: str) -> None:
        """What became ready runs next: its input is still in the page cache."""
        self.progress.task_done(name)
        for child in self.children.get(name, []):
            self.waiting[child].discard(name)
            if not self.waiting[child]:
                self.ready.appendleft(child)

    def _failed(self, name: str) -> None:
        """Everything downstream of a failed task stays undone."""
        for child in self.children.get(name, []):
            if child not in self._blocked:
                self._blocked.add(child)
                self._failed(child)
