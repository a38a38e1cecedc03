"""What the tokenizer API can do: loads are jobs, like the registration of workers (http-api 15.4).

A job's key is the id that the tokenizer will have. The registry sees to it that a name is loaded
once, however many jobs ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from smg.core.ids import uuid7
from smg.fleet.jobs import Job, JobFailed, JobQueue
from smg.tokenization.errors import LoadFailed
from smg.tokenization.loader import Source
from smg.tokenization.registry import Entry, TokenizerRegistry

LOAD = "LoadTokenizer"
LIMIT = 600.0  # seconds, downloads and further attempts included


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """How far a load is: `pending`, `processing`, `completed` (`entry` is there) or `failed`."""

    id: str
    status: str
    message: str
    entry: Entry | None = None


class TokenizerService:
    """The registry and the jobs that fill it."""

    def __init__(self, registry: TokenizerRegistry, jobs: JobQueue) -> None:
        self.registry = registry
        self._jobs = jobs

    def start(self, source: Source) -> None:
        """Load a tokenizer at start, under the name of its source."""
        self._submit(source.path, source, always=True)

    def create(self, name: str, source: Source) -> str:
        """Queue a load; the id that the tokenizer will have. QueueFull."""
        return self._submit(name, source, always=False)

    def status(self, name_or_id: str) -> LoadStatus | None:
        """Of a tokenizer, or of the job with this id; None if nothing is known of either."""
        entry = self.registry.get(name_or_id)
        if entry is not None:
            message = f"Tokenizer '{entry.name}' is loaded and ready"
            return LoadStatus(entry.id, "completed", message, entry)
        job = self._jobs.status(name_or_id)
        if job is None or job.job_type != LOAD:
            return None
        return LoadStatus(name_or_id, job.status, job.message or "The tokenizer is being loaded")

    def _submit(self, name: str, source: Source, *, always: bool) -> str:
        entry_id = uuid7()

        async def run(job: Job) -> None:
            try:
                entry = await self.registry.load(name, source, entry_id)
            except LoadFailed as error:
                raise JobFailed(f"Tokenizer '{name}': {error}") from error
            if entry.id != entry_id:
                raise JobFailed(f"Tokenizer '{name}' already exists")

        self._jobs.submit(LOAD, entry_id, run, limit=LIMIT, always=always)
        return entry_id
