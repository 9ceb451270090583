"""A small client of the Kubernetes API for the test cluster: JSON in, JSON out, and no opinion.

The product's own client is what the tests test, so the rig that they stand on does not use it.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx2

Object = dict[str, Any]

GROUPS = {
    "inferenceservices": "apis/serving.kserve.io/v1beta1",
    "servingruntimes": "apis/serving.kserve.io/v1alpha1",
    "clusterservingruntimes": "apis/serving.kserve.io/v1alpha1",
    "services.serving.knative.dev": "apis/serving.knative.dev/v1",
    "deployments": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
    "customresourcedefinitions": "apis/apiextensions.k8s.io/v1",
    "validatingwebhookconfigurations": "apis/admissionregistration.k8s.io/v1",
}
"""Where a resource lives; the core group where it is not named here."""

STRATEGIC, MERGE, APPLY = (
    f"application/{kind}" for kind in ("strategic-merge-patch+json", "merge-patch+json", "apply-patch+yaml")
)


TRIES = 40
"""Of a request that is answered 429: 10 s."""


class Refused(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.retry_after = status, message, retry_after


class Api:
    """One user of one API server; close it, or use it as a context."""

    def __init__(self, url: str, ca: Path, token: str) -> None:
        self.url, self.ca = url, ca
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=str(ca)),
            timeout=httpx2.Timeout(30),
            limits=httpx2.Limits(max_connections=None),
            trust_env=False,
        )
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, resource: str, name: str, namespace: str | None = None) -> Object:
        return await self.ask("GET", path(resource, name, namespace))

    async def find(self, resource: str, name: str, namespace: str | None = None) -> Object | None:
        """`get`, and None for what is not there."""
        try:
            return await self.get(resource, name, namespace)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def list(self, resource: str, namespace: str | None = None, **query: str) -> list[Object]:
        return list((await self.ask("GET", path(resource, None, namespace), query=query))["items"])

    async def create(self, resource: str, body: Object, namespace: str | None = None) -> Object:
        return await self.ask("POST", path(resource, None, namespace), body)

    async def patch(
        self, resource: str, name: str, body: Object, namespace: str | None = None, kind: str = MERGE
    ) -> Object:
        """`resource` may end in a subresource's name: `pods/status`."""
        return await self.ask("PATCH", path(resource, name, namespace), body, kind=kind)

    async def delete(
        self, resource: str, name: str, namespace: str | None = None, options: Object | None = None
    ) -> None:
        """Nothing happens where it is gone already."""
        try:
            await self.ask("DELETE", path(resource, name, namespace), options or {})
        except Refused as refused:
            if refused.status != 404:
                raise

    async def apply(
        self,
        body: Object,
        manager: str = "testcluster",
        patience: float = 0.0,
        force: bool = True,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply. Waits up to `patience` seconds for servers and webhooks that are not up yet."""
        plural, namespaced = await self._plural(body["apiVersion"], body["kind"], patience)
        group = body["apiVersion"]
        root = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        place = f"/namespaces/{body['metadata'].get('namespace', 'default')}" if namespaced else ""
        where = f"{root}{place}/{plural}/{body['metadata']['name']}"
        query = {
            "fieldManager": manager,
            "force": str(force).lower(),
            **({"dryRun": "All"} if dry_run else {}),
        }
        return await self._patiently(patience, "PATCH", where, body, kind=APPLY, query=query)

    async def watch(
        self, resource: str, namespace: str | None = None, version: str | None = None, **query: str
    ) -> AsyncIterator[tuple[str, Object]]:
        """(type, object) until the server ends it; without `version` what is there comes first, as ADDED."""
        query |= {"watch": "1", **({"resourceVersion": version} if version else {})}
        timeout = httpx2.Timeout(30, read=None)
        where = path(resource, None, namespace)
        async with self._http.stream("GET", where, params=query, timeout=timeout) as response:
            if response.status_code != 200:
                raise _refused(response, await response.aread())
            async for line in response.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Refused(event["object"].get("code", 0), event["object"].get("message", ""))
                yield event["type"], event["object"]

    async def log(self, pod: str, namespace: str, **query: str) -> str:
        response = await self._http.get(path("pods/log", pod, namespace), params=query)
        if response.status_code != 200:
            raise _refused(response, response.content)
        return response.text

    async def ask(
        self,
        method: str,
        where: str,
        body: Object | None = None,
        *,
        kind: str = "application/json",
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> Object:
        """One request, one JSON answer. Refused: the server's own words; httpx2's errors: no answer at all.

        429 is waited out: every CRD answers it for a second when it is new and after a restart of the server.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"Accept": accept} | ({"Content-Type": kind} if content else {})
        for left in reversed(range(TRIES)):
            response = await self._http.request(method, where, content=content, headers=headers, params=query)
            if response.status_code != 429 or not left:
                break
            await asyncio.sleep(0.25)
        if response.status_code >= 400:
            raise _refused(response, response.content)
        return dict(response.json()) if response.content.startswith(b"{") else {}

    async def _patiently(
        self, patience: float, method: str, where: str, *body: Object, **rest: Any
    ) -> Object:
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            try:
                return await self.ask(method, where, *body, **rest)
            except (Refused, httpx2.TransportError) as error:
                # 404: the CRD is not served yet. 429: its storage is being made. 500: a webhook does not listen yet.
                lasting = isinstance(error, Refused) and error.status not in (404, 409, 429, 500, 503)
                if lasting or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def _plural(self, group: str, kind: str, patience: float) -> tuple[str, bool]:
        root = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        deadline = asyncio.get_running_loop().time() + patience
        while kind not in self._plurals.get(group, {}):
            try:
                found = (await self.ask("GET", root))["resources"]
                self._plurals[group] = {
                    one["kind"]: (one["name"], one["namespaced"]) for one in found if "/" not in one["name"]
                }
                if kind in self._plurals[group]:
                    break
            except Refused as refused:
                if refused.status not in (404, 503):
                    raise
            if asyncio.get_running_loop().time() > deadline:
                raise Refused(404, f"the server knows no {kind} of {group}")
            await asyncio.sleep(0.1)
        return self._plurals[group][kind]


def path(resource: str, name: str | None, namespace: str | None) -> str:
    """`("pods/log", "x", "ns")` → `/api/v1/namespaces/ns/pods/x/log`."""
    resource, _, part = resource.partition("/")
    parts = [GROUPS.get(resource, "api/v1")]
    if namespace:
        parts += ["namespaces", namespace]
    parts.append(resource.partition(".")[0])
    if name:
        parts.append(name)
    if part:
        parts.append(part)
    return "/" + "/".join(parts)


def _refused(response: httpx2.Response, content: bytes) -> Refused:
    try:
        message = json.loads(content)["message"]
    except (ValueError, KeyError, TypeError):
        message = content.decode(errors="replace")[:500]
    after = response.headers.get("retry-after", "")
    return Refused(response.status_code, message, float(after) if after.isdigit() else None)
