# Generated from service/client/synchronous/admin.py by `python -m tools.asynchronous_client`: change that file.
"""What an administrator asks of the service: the part of the client that has nothing to do with people."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import BinaryIO

from service.client.answers import if_match, parse, segment
from service.client.asynchronous.sending import AsyncSender
from service.client.bodies import AsyncPieces, announced
from service.client.errors import JobTimeoutError
from service.client.wire import (
    Generation,
    GenerationPage,
    Integrity,
    Job,
    JobPage,
    Key,
    KeyPage,
    ModelPage,
    NewKey,
    RegisteredModel,
)


class AsyncAdminMethods(AsyncSender):
    """Mixed into `AsyncTfclipClient`, which sends."""

    async def reindex(self, gallery: str | None = None, model_id: str | None = None) -> Job:
        """Start to build a gallery's next generation, under its present model or another one."""
        given = {"gallery": gallery, "model_id": model_id}
        body = {name: value for name, value in given.items() if value is not None}
        return parse(Job, await self._send("POST", "/admin/reindex", once=True, json=body))

    async def list_generations(self, gallery: str | None = None) -> AsyncIterator[Generation]:
        """Yield generations, newest first, of one gallery or of all."""
        async for item in self._pages(GenerationPage, "/admin/generations", gallery):
            yield item

    async def activate_generation(self, generation_id: int) -> Job:
        """Start to make a generation the serving one."""
        path = f"/admin/generations/{segment(generation_id)}/activate"
        return parse(Job, await self._send("POST", path, once=True))

    async def purge_generation(self, generation_id: int) -> Job:
        """Start to remove a generation that does not serve."""
        path = f"/admin/generations/{segment(generation_id)}"
        return parse(Job, await self._send("DELETE", path, repeatable=False))

    async def add_model(self, weights: BinaryIO, name: str | None = None) -> RegisteredModel:
        """Register a weights file: `weights` is open for reading, and is sent in pieces."""
        response = await self._send(
            "POST",
            "/admin/models",
            repeatable=False,
            params=[("name", name)] if name else [],
            # A file that has a length is announced with it, so that a refusal comes before the weights go.
            headers={"Content-Type": "application/octet-stream"} | announced(weights),
            content=AsyncPieces(weights),
        )
        return parse(RegisteredModel, response)

    async def add_model_at(self, path: str, name: str | None = None) -> RegisteredModel:
        """Register a weights file that lies in the service's `models/` already, by its name there."""
        parameters = [("name", name)] if name else []
        return parse(RegisteredModel, await self._send("POST", "/admin/models", params=parameters, json={"path": path}))

    async def list_models(self) -> list[RegisteredModel]:
        """Return every model, newest first."""
        return parse(ModelPage, await self._send("GET", "/admin/models")).items

    async def get_model(self, model_id: str) -> RegisteredModel:
        """Return one model."""
        return parse(RegisteredModel, await self._send("GET", f"/admin/models/{segment(model_id)}"))

    async def remove_model(self, model_id: str) -> None:
        """Remove a model that nothing is of."""
        await self._send("DELETE", f"/admin/models/{segment(model_id)}", gone_is_done=True)

    async def check_integrity(self, gallery: str | None = None, *, full: bool = False) -> Integrity:
        """Compare rows, descriptors, frames and index of a gallery; `full` reads every frame file."""
        parameters = [("gallery", gallery)] if gallery else []
        parameters += [("full", "true")] if full else []
        return parse(Integrity, await self._send("GET", "/admin/integrity", params=parameters))

    async def repair(self, gallery: str | None = None) -> Job:
        """Start to compare everything of a gallery and to mend what can be."""
        body = {} if gallery is None else {"gallery": gallery}
        return parse(Job, await self._send("POST", "/admin/repair", once=True, json=body))

    async def list_jobs(self, gallery: str | None = None) -> AsyncIterator[Job]:
        """Yield jobs, newest first, of one gallery or of all."""
        async for item in self._pages(JobPage, "/jobs", gallery):
            yield item

    async def cancel_job(self, job_id: str) -> Job:
        """Ask a job to stop."""
        return parse(Job, await self._send("DELETE", f"/jobs/{segment(job_id)}"))

    async def job(self, job_id: str) -> Job:
        """Return how far a job is."""
        return parse(Job, await self._send("GET", f"/jobs/{segment(job_id)}"))

    async def wait_for_job(
        self,
        job_id: str,
        *,
        timeout_seconds: float = 3600.0,
        poll_seconds: float = 0.5,
        on_progress: Callable[[Job], None] = lambda _: None,
    ) -> Job:
        """Return the job when it has come to an end, good or bad; `on_progress` sees every state on the way.

        Raises:
            JobTimeoutError: it was still running after `timeout_seconds`.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            job = await self.job(job_id)
            on_progress(job)
            if job.finished:
                return job
            if time.monotonic() + poll_seconds > deadline:
                raise JobTimeoutError(f"job {job_id} was still {job.status} after {timeout_seconds:g} s")
            await asyncio.sleep(poll_seconds)

    async def create_key(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        requests_per_minute: int | None = None,
        max_tracklets: int | None = None,
    ) -> NewKey:
        """Make an API key; the answer is the only place where its secret ever appears.

        Args:
            requests_per_minute, max_tracklets: its limits; None leaves the service's default, 0 is no limit.
        """
        limits = {"requests_per_minute": requests_per_minute, "max_tracklets": max_tracklets}
        body = {"name": name, "scopes": list(scopes)} | {
            limit: value for limit, value in limits.items() if value is not None
        }
        return parse(NewKey, await self._send("POST", "/admin/keys", once=True, json=body))

    async def list_keys(self) -> list[Key]:
        """Return all keys, revoked ones too."""
        keys: list[Key] = []
        cursor: str | None = None
        while True:
            page = parse(KeyPage, await self._send("GET", "/admin/keys", params=[("cursor", cursor)] if cursor else []))
            keys += page.items
            cursor = page.next_cursor
            if cursor is None:
                return keys

    async def get_key(self, key_id: str) -> Key:
        """Return one key and what it has stored."""
        return parse(Key, await self._send("GET", f"/admin/keys/{segment(key_id)}"))

    async def change_key(self, key_id: str, *, version: int | None = None, **changes: str | int | None) -> Key:
        """Change `name`, `requests_per_minute` or `max_tracklets` of a key; None takes the service's default again.

        Args:
            version: change nothing, and raise `ApiProblem`, when the key is of another version by now.
        """
        path = f"/admin/keys/{segment(key_id)}"
        response = await self._send("PATCH", path, repeatable=version is None, json=changes, headers=if_match(version))
        return parse(Key, response)

    async def revoke_key(self, key_id: str, *, version: int | None = None) -> None:
        """Take a key out of force.

        Args:
            version: change nothing, and raise `ApiProblem`, when the key is of another version by now.
        """
        # A revoked key has another version: the second of two requests would be refused.
        path = f"/admin/keys/{segment(key_id)}"
        await self._send("DELETE", path, repeatable=version is None, gone_is_done=True, headers=if_match(version))
