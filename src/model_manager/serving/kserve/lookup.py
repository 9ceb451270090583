"""Objects of the cluster, each read once: many models name the same runtime, claim and secret."""

from model_manager.errors import ModelManagerError
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.kinds import Kind, Object


class Lookup:
    """Lives as long as one look at the cluster. What was refused once is refused again, without being asked."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._objects: dict[tuple[Kind, str], Object | ModelManagerError] = {}
        self._lists: dict[Kind, list[Object] | ModelManagerError] = {}

    async def get(self, kind: Kind, name: str) -> Object:
        if (kind, name) not in self._objects:
            try:
                self._objects[kind, name] = await self._api.get(kind, name)
            except ModelManagerError as error:
                self._objects[kind, name] = error
        answer = self._objects[kind, name]
        if isinstance(answer, ModelManagerError):
            raise answer
        return answer

    async def list_all(self, kind: Kind) -> list[Object]:
        if kind not in self._lists:
            try:
                self._lists[kind] = (await self._api.list_all(kind))[0]
            except ModelManagerError as error:
                self._lists[kind] = error
        answer = self._lists[kind]
        if isinstance(answer, ModelManagerError):
            raise answer
        return answer
