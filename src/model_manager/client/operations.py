"""One method for each operation of the API, for the sync and the async client.

Written by `python -m tools.client_code` from the API's description: change the routes, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from model_manager.client import calls

if TYPE_CHECKING:
    from model_manager.client.call import Call
    from model_manager.client.types import (
        Accepted,
        Activated,
        Activation,
        ActivationList,
        Active,
        CatalogView,
        CurrentToken,
        Deactivated,
        Deleted,
        Entry,
        EnvVar,
        EventPage,
        Examination,
        Forecast,
        Health,
        History,
        IssuedToken,
        JobList,
        JobLog,
        JobView,
        ManifestOf,
        MetricsHistory,
        ModelSummary,
        OriginalEvent,
        OriginalJob,
        Preview,
        Problems,
        Queued,
        Readiness,
        Received,
        Refreshed,
        Resources,
        SettingList,
        Slot,
        SlotList,
        SlotLog,
        Source,
        SystemInfo,
        TakenOver,
        Tested,
        TokenInfo,
        TokenList,
        Toleration,
        Usage,
        Validation,
        Vllm,
        WeightDetails,
        WeightList,
        Why,
    )

T = TypeVar("T")


class SyncOperations:
    """The methods of `Client`. Each raises ApiError for a refusal and NotReachable when nobody answers."""

    def send(self, call: Call[T]) -> T:
        """Ask, and return the decoded answer."""
        raise NotImplementedError

    def healthz(self) -> Health:
        """Whether the process answers."""
        return self.send(calls.healthz())

    def readyz(self) -> Readiness:
        """Whether the service can do its work."""
        return self.send(calls.readyz())

    def metrics(self) -> str:
        """The service's numbers, as Prometheus reads them."""
        return self.send(calls.metrics())

    def metrics_history(self, *, since: float | None = None, step: int | None = None) -> MetricsHistory:
        """The last six hours, a sample each half minute: kept in memory, so a restart begins anew."""
        return self.send(calls.metrics_history(since=since, step=step))

    def system_info(self) -> SystemInfo:
        """What runs here, with what, and what happened lately."""
        return self.send(calls.system_info())

    def doctor(self) -> Examination:
        """Look whether the service has what it needs: folders, catalog, platform, and what the catalog's models need."""
        return self.send(calls.doctor())

    def list_models(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        task: Literal["chat", "embed"] | None = None,
        tag: str | None = None,
        q: str | None = None,
        active: bool | None = None,
        installed: bool | None = None,
    ) -> list[ModelSummary]:
        """Models of the catalog, by id."""
        return self.send(
            calls.list_models(
                limit=limit, cursor=cursor, task=task, tag=tag, q=q, active=active, installed=installed
            )
        )

    def preview_entry(
        self,
        *,
        id: str,
        slot: str | None = None,
        display_name: str | None = None,
        hf_model_id: str | None = None,
        served_model_name: str | None = None,
        storage_uri: str | None = None,
        runtime: str | None = None,
        node_selector: dict[str, str] | None = None,
        tolerations: list[Toleration] | None = None,
        resources: Resources | None = None,
        env: list[EnvVar] | None = None,
        storage: dict[str, Any] | None = None,
        volumes: list[dict[str, Any]] | None = None,
        volume_mounts: list[dict[str, Any]] | None = None,
        vllm: Vllm | None = None,
        description: str | None = None,
        license: str | None = None,
        tags: list[str] | None = None,
        aliases: list[str] | None = None,
        hf_revision: str | None = None,
        files: list[str] | None = None,
        args: list[str] | None = None,
        context_length: int | None = None,
        parameters: dict[str, Any] | None = None,
        task: Literal["chat", "embed"] | None = None,
        pooling: Literal["cls", "last", "mean", "none", "rank"] | None = None,
        source: Source | None = None,
    ) -> Preview:
        """The InferenceService that an entry would become, and what was found in looking at it."""
        return self.send(
            calls.preview_entry(
                slot=slot,
                id=id,
                display_name=display_name,
                hf_model_id=hf_model_id,
                served_model_name=served_model_name,
                storage_uri=storage_uri,
                runtime=runtime,
                node_selector=node_selector,
                tolerations=tolerations,
                resources=resources,
                env=env,
                storage=storage,
                volumes=volumes,
                volume_mounts=volume_mounts,
                vllm=vllm,
                description=description,
                license=license,
                tags=tags,
                aliases=aliases,
                hf_revision=hf_revision,
                files=files,
                args=args,
                context_length=context_length,
                parameters=parameters,
                task=task,
                pooling=pooling,
                source=source,
            )
        )

    def test_model(
        self,
        *,
        id: str,
        slot: str | None = None,
        readiness_url: str | None = None,
        timeout_seconds: int | None = None,
    ) -> Tested:
        """Look whether a model could be served, without serving it."""
        return self.send(
            calls.test_model(id=id, slot=slot, readiness_url=readiness_url, timeout_seconds=timeout_seconds)
        )

    def validate_entry(
        self,
        *,
        id: str,
        slot: str | None = None,
        display_name: str | None = None,
        hf_model_id: str | None = None,
        served_model_name: str | None = None,
        storage_uri: str | None = None,
        runtime: str | None = None,
        node_selector: dict[str, str] | None = None,
        tolerations: list[Toleration] | None = None,
        resources: Resources | None = None,
        env: list[EnvVar] | None = None,
        storage: dict[str, Any] | None = None,
        volumes: list[dict[str, Any]] | None = None,
        volume_mounts: list[dict[str, Any]] | None = None,
        vllm: Vllm | None = None,
        description: str | None = None,
        license: str | None = None,
        tags: list[str] | None = None,
        aliases: list[str] | None = None,
        hf_revision: str | None = None,
        files: list[str] | None = None,
        args: list[str] | None = None,
        context_length: int | None = None,
        parameters: dict[str, Any] | None = None,
        task: Literal["chat", "embed"] | None = None,
        pooling: Literal["cls", "last", "mean", "none", "rank"] | None = None,
        source: Source | None = None,
    ) -> Validation:
        """Whether an entry could be served as it is: 200 if it could, else 400 with the same form of answer."""
        return self.send(
            calls.validate_entry(
                slot=slot,
                id=id,
                display_name=display_name,
                hf_model_id=hf_model_id,
                served_model_name=served_model_name,
                storage_uri=storage_uri,
                runtime=runtime,
                node_selector=node_selector,
                tolerations=tolerations,
                resources=resources,
                env=env,
                storage=storage,
                volumes=volumes,
                volume_mounts=volume_mounts,
                vllm=vllm,
                description=description,
                license=license,
                tags=tags,
                aliases=aliases,
                hf_revision=hf_revision,
                files=files,
                args=args,
                context_length=context_length,
                parameters=parameters,
                task=task,
                pooling=pooling,
                source=source,
            )
        )

    def activate(self, *, id: str, wait: int | None = None, slot: str | None = None) -> Accepted | Activated:
        """Make a slot serve a model."""
        return self.send(calls.activate(wait=wait, id=id, slot=slot))

    def deactivate(self, *, slot: str | None = None) -> Deactivated:
        """Empty a slot, also for the time after every restart."""
        return self.send(calls.deactivate(slot=slot))

    def get_model(self, model_id: str) -> Entry:
        """One model's entry, as it stands in the catalog."""
        return self.send(calls.get_model(model_id))

    def get_manifest(self, model_id: str, *, slot: str | None = None) -> ManifestOf:
        """The InferenceService that activating a model would want."""
        return self.send(calls.get_manifest(model_id, slot=slot))

    def get_active(self, *, slot: str | None = None) -> Active:
        """What a slot serves now; nothing is active before it was verified."""
        return self.send(calls.get_active(slot=slot))

    def get_catalog(self) -> CatalogView:
        """How the catalog is doing: its source, revision and age, and what is wrong."""
        return self.send(calls.get_catalog())

    def refresh(self) -> Refreshed:
        """Read the catalog again now."""
        return self.send(calls.refresh())

    def catalog_problems(self) -> Problems:
        """What is wrong in the catalog: file, line, field, sentence and hint."""
        return self.send(calls.catalog_problems())

    def list_weights(self) -> WeightList:
        """Installed weights, the largest first, and what else lies on the volume."""
        return self.send(calls.list_weights())

    def weights_usage(self) -> Usage:
        """How full the volume is, and how much of it is ours."""
        return self.send(calls.weights_usage())

    def install_weights(
        self,
        *,
        id: str | None = None,
        hf_model_id: str | None = None,
        revision: str | None = None,
        target: str | None = None,
        files: list[str] | None = None,
        overwrite: bool | None = None,
    ) -> Queued:
        """Install weights, in a job. The same installation asked for twice is one job."""
        return self.send(
            calls.install_weights(
                id=id,
                hf_model_id=hf_model_id,
                revision=revision,
                target=target,
                files=files,
                overwrite=overwrite,
            )
        )

    def weights_info(self, name: str) -> WeightDetails:
        """One installed folder with its files and their SHA-256."""
        return self.send(calls.weights_info(name))

    def delete_weights(self, name: str) -> Deleted:
        """Delete installed weights; refused while anything uses them."""
        return self.send(calls.delete_weights(name))

    def list_jobs(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        status: Literal["cancelled", "completed", "failed", "pending", "running"] | None = None,
        type: str | None = None,
    ) -> JobList:
        """Jobs, newest first."""
        return self.send(calls.list_jobs(limit=limit, cursor=cursor, status=status, type=type))

    def get_job(self, job_id: str) -> JobView:
        """One job."""
        return self.send(calls.get_job(job_id))

    def cancel_job(self, job_id: str) -> JobView:
        """Cancel a job; what it has staged is cleaned up."""
        return self.send(calls.cancel_job(job_id))

    def retry_job(self, job_id: str) -> JobView:
        """Run a failed or cancelled job again."""
        return self.send(calls.retry_job(job_id))

    def job_log(self, job_id: str, *, lines: int | None = None) -> JobLog:
        """The last lines that a job's worker logged, oldest first."""
        return self.send(calls.job_log(job_id, lines=lines))

    def get_history(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        before: int | None = None,
        event: str | None = None,
        subject: str | None = None,
        actor: str | None = None,
        since: str | None = None,
    ) -> History:
        """What happened, newest first."""
        return self.send(
            calls.get_history(
                limit=limit,
                cursor=cursor,
                before=before,
                event=event,
                subject=subject,
                actor=actor,
                since=since,
            )
        )

    def get_events(self, *, limit: int | None = None, after: int | None = None) -> EventPage:
        """Events, oldest first: a page of JSON, or a stream for those who accept `text/event-stream`."""
        return self.send(calls.get_events(limit=limit, after=after))

    def list_slots(self) -> SlotList:
        """All slots."""
        return self.send(calls.list_slots())

    def get_slot(self, slot: str) -> Slot:
        """One slot: what is desired, what serves."""
        return self.send(calls.get_slot(slot))

    def put_slot(self, slot: str, *, model: str, wait: int | None = None) -> Activation:
        """Make a slot want a model; the same wish again changes nothing."""
        return self.send(calls.put_slot(slot, wait=wait, model=model))

    def empty_slot(self, slot: str) -> Slot:
        """Make a slot want nothing, now and after every restart."""
        return self.send(calls.empty_slot(slot))

    def adopt_slot(self, slot: str, *, model: str | None = None) -> Activation:
        """Take over the InferenceService that somebody else made under a slot's name; none of its pods is restarted."""
        return self.send(calls.adopt_slot(slot, model=model))

    def why_slot(self, slot: str) -> Why:
        """Why a slot serves what it serves: one cause, one next step, and what they were read from."""
        return self.send(calls.why_slot(slot))

    def slot_activations(
        self, slot: str, *, limit: int | None = None, cursor: str | None = None
    ) -> ActivationList:
        """The slot's activations, newest first."""
        return self.send(calls.slot_activations(slot, limit=limit, cursor=cursor))

    def slot_logs(self, slot: str, *, lines: int | None = None) -> SlotLog:
        """The last log lines of a slot's model server, oldest first."""
        return self.send(calls.slot_logs(slot, lines=lines))

    def list_activations(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        slot: str | None = None,
        model: str | None = None,
        result: Literal["active", "cancelled", "failed", "restored", "superseded"] | None = None,
    ) -> ActivationList:
        """Activations, newest first."""
        return self.send(
            calls.list_activations(limit=limit, cursor=cursor, slot=slot, model=model, result=result)
        )

    def forecast_activation(self, *, model: str | None = None, slot: str | None = None) -> Forecast:
        """How long activating a model would take, how much would be fetched, and how long the slot would serve nothing."""
        return self.send(calls.forecast_activation(model=model, slot=slot))

    def get_activation(self, activation_id: str, *, wait: int | None = None) -> Activation:
        """One activation; with `wait`, as soon as it has ended or the seconds are over."""
        return self.send(calls.get_activation(activation_id, wait=wait))

    def cancel_activation(self, activation_id: str) -> Activation:
        """Give up an activation that is under way; the last good model serves again."""
        return self.send(calls.cancel_activation(activation_id))

    def list_tokens(self, *, limit: int | None = None, cursor: str | None = None) -> TokenList:
        """Issued tokens, newest first, without their secrets."""
        return self.send(calls.list_tokens(limit=limit, cursor=cursor))

    def create_token(
        self,
        *,
        name: str,
        scope: Literal["admin", "chat", "read"],
        models: list[str] | None = None,
        expires: str | int | None = None,
    ) -> IssuedToken:
        """Issue a token. Its secret is in this answer alone: the service keeps only a hash of it."""
        return self.send(calls.create_token(name=name, scope=scope, models=models, expires=expires))

    def current_token(self) -> CurrentToken:
        """What the token of this request may do; answers every valid token, whatever its scope."""
        return self.send(calls.current_token())

    def revoke_token(self, token: str) -> TokenInfo:
        """End a token, named by its id or name: from now on it is refused, and its open streams end."""
        return self.send(calls.revoke_token(token))

    def list_settings(self) -> SettingList:
        """All settings, in the order of the documentation."""
        return self.send(calls.list_settings())

    def import_state(
        self, *, file: str, jobs: list[OriginalJob] | None = None, events: list[OriginalEvent] | None = None
    ) -> TakenOver:
        """Take over the original's jobs and history. What is there already is left as it is."""
        return self.send(calls.import_state(file=file, jobs=jobs, events=events))

    def catalog_webhook(self) -> Received:
        """Tell that something was pushed, as GitHub, GitLab, Gitea and Forgejo do."""
        return self.send(calls.catalog_webhook())

    def support_bundle(self) -> bytes:
        """Everything that helps to find out what is wrong here, as a zip; secrets are taken out of it."""
        return self.send(calls.support_bundle())


class AsyncOperations:
    """The methods of `AsyncClient`. Each raises ApiError for a refusal and NotReachable when nobody answers."""

    async def send(self, call: Call[T]) -> T:
        """Ask, and return the decoded answer."""
        raise NotImplementedError

    async def healthz(self) -> Health:
        """Whether the process answers."""
        return await self.send(calls.healthz())

    async def readyz(self) -> Readiness:
        """Whether the service can do its work."""
        return await self.send(calls.readyz())

    async def metrics(self) -> str:
        """The service's numbers, as Prometheus reads them."""
        return await self.send(calls.metrics())

    async def metrics_history(self, *, since: float | None = None, step: int | None = None) -> MetricsHistory:
        """The last six hours, a sample each half minute: kept in memory, so a restart begins anew."""
        return await self.send(calls.metrics_history(since=since, step=step))

    async def system_info(self) -> SystemInfo:
        """What runs here, with what, and what happened lately."""
        return await self.send(calls.system_info())

    async def doctor(self) -> Examination:
        """Look whether the service has what it needs: folders, catalog, platform, and what the catalog's models need."""
        return await self.send(calls.doctor())

    async def list_models(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        task: Literal["chat", "embed"] | None = None,
        tag: str | None = None,
        q: str | None = None,
        active: bool | None = None,
        installed: bool | None = None,
    ) -> list[ModelSummary]:
        """Models of the catalog, by id."""
        return await self.send(
            calls.list_models(
                limit=limit, cursor=cursor, task=task, tag=tag, q=q, active=active, installed=installed
            )
        )

    async def preview_entry(
        self,
        *,
        id: str,
        slot: str | None = None,
        display_name: str | None = None,
        hf_model_id: str | None = None,
        served_model_name: str | None = None,
        storage_uri: str | None = None,
        runtime: str | None = None,
        node_selector: dict[str, str] | None = None,
        tolerations: list[Toleration] | None = None,
        resources: Resources | None = None,
        env: list[EnvVar] | None = None,
        storage: dict[str, Any] | None = None,
        volumes: list[dict[str, Any]] | None = None,
        volume_mounts: list[dict[str, Any]] | None = None,
        vllm: Vllm | None = None,
        description: str | None = None,
        license: str | None = None,
        tags: list[str] | None = None,
        aliases: list[str] | None = None,
        hf_revision: str | None = None,
        files: list[str] | None = None,
        args: list[str] | None = None,
        context_length: int | None = None,
        parameters: dict[str, Any] | None = None,
        task: Literal["chat", "embed"] | None = None,
        pooling: Literal["cls", "last", "mean", "none", "rank"] | None = None,
        source: Source | None = None,
    ) -> Preview:
        """The InferenceService that an entry would become, and what was found in looking at it."""
        return await self.send(
            calls.preview_entry(
                slot=slot,
                id=id,
                display_name=display_name,
                hf_model_id=hf_model_id,
                served_model_name=served_model_name,
                storage_uri=storage_uri,
                runtime=runtime,
                node_selector=node_selector,
                tolerations=tolerations,
                resources=resources,
                env=env,
                storage=storage,
                volumes=volumes,
                volume_mounts=volume_mounts,
                vllm=vllm,
                description=description,
                license=license,
                tags=tags,
                aliases=aliases,
                hf_revision=hf_revision,
                files=files,
                args=args,
                context_length=context_length,
                parameters=parameters,
                task=task,
                pooling=pooling,
                source=source,
            )
        )

    async def test_model(
        self,
        *,
        id: str,
        slot: str | None = None,
        readiness_url: str | None = None,
        timeout_seconds: int | None = None,
    ) -> Tested:
        """Look whether a model could be served, without serving it."""
        return await self.send(
            calls.test_model(id=id, slot=slot, readiness_url=readiness_url, timeout_seconds=timeout_seconds)
        )

    async def validate_entry(
        self,
        *,
        id: str,
        slot: str | None = None,
        display_name: str | None = None,
        hf_model_id: str | None = None,
        served_model_name: str | None = None,
        storage_uri: str | None = None,
        runtime: str | None = None,
        node_selector: dict[str, str] | None = None,
        tolerations: list[Toleration] | None = None,
        resources: Resources | None = None,
        env: list[EnvVar] | None = None,
        storage: dict[str, Any] | None = None,
        volumes: list[dict[str, Any]] | None = None,
        volume_mounts: list[dict[str, Any]] | None = None,
        vllm: Vllm | None = None,
        description: str | None = None,
        license: str | None = None,
        tags: list[str] | None = None,
        aliases: list[str] | None = None,
        hf_revision: str | None = None,
        files: list[str] | None = None,
        args: list[str] | None = None,
        context_length: int | None = None,
        parameters: dict[str, Any] | None = None,
        task: Literal["chat", "embed"] | None = None,
        pooling: Literal["cls", "last", "mean", "none", "rank"] | None = None,
        source: Source | None = None,
    ) -> Validation:
        """Whether an entry could be served as it is: 200 if it could, else 400 with the same form of answer."""
        return await self.send(
            calls.validate_entry(
                slot=slot,
                id=id,
                display_name=display_name,
                hf_model_id=hf_model_id,
                served_model_name=served_model_name,
                storage_uri=storage_uri,
                runtime=runtime,
                node_selector=node_selector,
                tolerations=tolerations,
                resources=resources,
                env=env,
                storage=storage,
                volumes=volumes,
                volume_mounts=volume_mounts,
                vllm=vllm,
                description=description,
                license=license,
                tags=tags,
                aliases=aliases,
                hf_revision=hf_revision,
                files=files,
                args=args,
                context_length=context_length,
                parameters=parameters,
                task=task,
                pooling=pooling,
                source=source,
            )
        )

    async def activate(
        self, *, id: str, wait: int | None = None, slot: str | None = None
    ) -> Accepted | Activated:
        """Make a slot serve a model."""
        return await self.send(calls.activate(wait=wait, id=id, slot=slot))

    async def deactivate(self, *, slot: str | None = None) -> Deactivated:
        """Empty a slot, also for the time after every restart."""
        return await self.send(calls.deactivate(slot=slot))

    async def get_model(self, model_id: str) -> Entry:
        """One model's entry, as it stands in the catalog."""
        return await self.send(calls.get_model(model_id))

    async def get_manifest(self, model_id: str, *, slot: str | None = None) -> ManifestOf:
        """The InferenceService that activating a model would want."""
        return await self.send(calls.get_manifest(model_id, slot=slot))

    async def get_active(self, *, slot: str | None = None) -> Active:
        """What a slot serves now; nothing is active before it was verified."""
        return await self.send(calls.get_active(slot=slot))

    async def get_catalog(self) -> CatalogView:
        """How the catalog is doing: its source, revision and age, and what is wrong."""
        return await self.send(calls.get_catalog())

    async def refresh(self) -> Refreshed:
        """Read the catalog again now."""
        return await self.send(calls.refresh())

    async def catalog_problems(self) -> Problems:
        """What is wrong in the catalog: file, line, field, sentence and hint."""
        return await self.send(calls.catalog_problems())

    async def list_weights(self) -> WeightList:
        """Installed weights, the largest first, and what else lies on the volume."""
        return await self.send(calls.list_weights())

    async def weights_usage(self) -> Usage:
        """How full the volume is, and how much of it is ours."""
        return await self.send(calls.weights_usage())

    async def install_weights(
        self,
        *,
        id: str | None = None,
        hf_model_id: str | None = None,
        revision: str | None = None,
        target: str | None = None,
        files: list[str] | None = None,
        overwrite: bool | None = None,
    ) -> Queued:
        """Install weights, in a job. The same installation asked for twice is one job."""
        return await self.send(
            calls.install_weights(
                id=id,
                hf_model_id=hf_model_id,
                revision=revision,
                target=target,
                files=files,
                overwrite=overwrite,
            )
        )

    async def weights_info(self, name: str) -> WeightDetails:
        """One installed folder with its files and their SHA-256."""
        return await self.send(calls.weights_info(name))

    async def delete_weights(self, name: str) -> Deleted:
        """Delete installed weights; refused while anything uses them."""
        return await self.send(calls.delete_weights(name))

    async def list_jobs(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        status: Literal["cancelled", "completed", "failed", "pending", "running"] | None = None,
        type: str | None = None,
    ) -> JobList:
        """Jobs, newest first."""
        return await self.send(calls.list_jobs(limit=limit, cursor=cursor, status=status, type=type))

    async def get_job(self, job_id: str) -> JobView:
        """One job."""
        return await self.send(calls.get_job(job_id))

    async def cancel_job(self, job_id: str) -> JobView:
        """Cancel a job; what it has staged is cleaned up."""
        return await self.send(calls.cancel_job(job_id))

    async def retry_job(self, job_id: str) -> JobView:
        """Run a failed or cancelled job again."""
        return await self.send(calls.retry_job(job_id))

    async def job_log(self, job_id: str, *, lines: int | None = None) -> JobLog:
        """The last lines that a job's worker logged, oldest first."""
        return await self.send(calls.job_log(job_id, lines=lines))

    async def get_history(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        before: int | None = None,
        event: str | None = None,
        subject: str | None = None,
        actor: str | None = None,
        since: str | None = None,
    ) -> History:
        """What happened, newest first."""
        return await self.send(
            calls.get_history(
                limit=limit,
                cursor=cursor,
                before=before,
                event=event,
                subject=subject,
                actor=actor,
                since=since,
            )
        )

    async def get_events(self, *, limit: int | None = None, after: int | None = None) -> EventPage:
        """Events, oldest first: a page of JSON, or a stream for those who accept `text/event-stream`."""
        return await self.send(calls.get_events(limit=limit, after=after))

    async def list_slots(self) -> SlotList:
        """All slots."""
        return await self.send(calls.list_slots())

    async def get_slot(self, slot: str) -> Slot:
        """One slot: what is desired, what serves."""
        return await self.send(calls.get_slot(slot))

    async def put_slot(self, slot: str, *, model: str, wait: int | None = None) -> Activation:
        """Make a slot want a model; the same wish again changes nothing."""
        return await self.send(calls.put_slot(slot, wait=wait, model=model))

    async def empty_slot(self, slot: str) -> Slot:
        """Make a slot want nothing, now and after every restart."""
        return await self.send(calls.empty_slot(slot))

    async def adopt_slot(self, slot: str, *, model: str | None = None) -> Activation:
        """Take over the InferenceService that somebody else made under a slot's name; none of its pods is restarted."""
        return await self.send(calls.adopt_slot(slot, model=model))

    async def why_slot(self, slot: str) -> Why:
        """Why a slot serves what it serves: one cause, one next step, and what they were read from."""
        return await self.send(calls.why_slot(slot))

    async def slot_activations(
        self, slot: str, *, limit: int | None = None, cursor: str | None = None
    ) -> ActivationList:
        """The slot's activations, newest first."""
        return await self.send(calls.slot_activations(slot, limit=limit, cursor=cursor))

    async def slot_logs(self, slot: str, *, lines: int | None = None) -> SlotLog:
        """The last log lines of a slot's model server, oldest first."""
        return await self.send(calls.slot_logs(slot, lines=lines))

    async def list_activations(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        slot: str | None = None,
        model: str | None = None,
        result: Literal["active", "cancelled", "failed", "restored", "superseded"] | None = None,
    ) -> ActivationList:
        """Activations, newest first."""
        return await self.send(
            calls.list_activations(limit=limit, cursor=cursor, slot=slot, model=model, result=result)
        )

    async def forecast_activation(self, *, model: str | None = None, slot: str | None = None) -> Forecast:
        """How long activating a model would take, how much would be fetched, and how long the slot would serve nothing."""
        return await self.send(calls.forecast_activation(model=model, slot=slot))

    async def get_activation(self, activation_id: str, *, wait: int | None = None) -> Activation:
        """One activation; with `wait`, as soon as it has ended or the seconds are over."""
        return await self.send(calls.get_activation(activation_id, wait=wait))

    async def cancel_activation(self, activation_id: str) -> Activation:
        """Give up an activation that is under way; the last good model serves again."""
        return await self.send(calls.cancel_activation(activation_id))

    async def list_tokens(self, *, limit: int | None = None, cursor: str | None = None) -> TokenList:
        """Issued tokens, newest first, without their secrets."""
        return await self.send(calls.list_tokens(limit=limit, cursor=cursor))

    async def create_token(
        self,
        *,
        name: str,
        scope: Literal["admin", "chat", "read"],
        models: list[str] | None = None,
        expires: str | int | None = None,
    ) -> IssuedToken:
        """Issue a token. Its secret is in this answer alone: the service keeps only a hash of it."""
        return await self.send(calls.create_token(name=name, scope=scope, models=models, expires=expires))

    async def current_token(self) -> CurrentToken:
        """What the token of this request may do; answers every valid token, whatever its scope."""
        return await self.send(calls.current_token())

    async def revoke_token(self, token: str) -> TokenInfo:
        """End a token, named by its id or name: from now on it is refused, and its open streams end."""
        return await self.send(calls.revoke_token(token))

    async def list_settings(self) -> SettingList:
        """All settings, in the order of the documentation."""
        return await self.send(calls.list_settings())

    async def import_state(
        self, *, file: str, jobs: list[OriginalJob] | None = None, events: list[OriginalEvent] | None = None
    ) -> TakenOver:
        """Take over the original's jobs and history. What is there already is left as it is."""
        return await self.send(calls.import_state(file=file, jobs=jobs, events=events))

    async def catalog_webhook(self) -> Received:
        """Tell that something was pushed, as GitHub, GitLab, Gitea and Forgejo do."""
        return await self.send(calls.catalog_webhook())

    async def support_bundle(self) -> bytes:
        """Everything that helps to find out what is wrong here, as a zip; secrets are taken out of it."""
        return await self.send(calls.support_bundle())
