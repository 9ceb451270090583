"""The steps of the quickstart, as a client of the running service: catalog, weights, activation, one chat."""

import time

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.conversation import Conversation
from model_manager.cli.waiting import Pause, wait_for_activation, wait_for_job
from model_manager.errors import NotFound, Unavailable

MODEL = "demo"
QUESTION = "Does this work?"

CATALOG_DEADLINE = 60.0
"""Seconds for the first read of the catalog: it may have to be fetched from a Git URL."""


def step(text: str, began: float) -> None:
    """One line about what was done, and the seconds it took."""
    output.say(f"{time.monotonic() - began:6.2f} s  {text}")


class Walk:
    """From a running service to an answer. What a former run has done already is not done again."""

    def __init__(self, client: "api.Client", pause: Pause) -> None:
        self._client = client
        self._pause = pause

    def all(self) -> None:
        """Raises a ModelManagerError at the first step that cannot be done."""
        self._read_catalog()
        activation = self._wanted()
        if activation is None:
            model = self._choose()
            self._install(model)
            activation = self._client.activate(id=model).activation
        self._await(activation)
        self._chat(activation.model_id)

    def _read_catalog(self) -> None:
        began = time.monotonic()
        while True:
            catalog = self._client.system_info().catalog
            if catalog.revision:
                break
            if time.monotonic() - began > CATALOG_DEADLINE:
                raise Unavailable(
                    f"The catalog could not be read within {CATALOG_DEADLINE:.0f} s"
                    f"{': ' + catalog.error if catalog.error else '.'}",
                    "`model-manager catalog` shows its state.",
                )
            self._pause(0.05)
        step(f"Catalog read at commit {catalog.revision[:12]}: {catalog.count} models", began)

    def _wanted(self) -> "api.types.Activation | None":
        """The attempt that the first slot is at already, as after a restart."""
        desired = self._client.list_slots().slots[0].desired
        return desired if desired and desired.result in (None, "active") else None

    def _choose(self) -> str:
        if not any(model.id == MODEL for model in self._client.list_models()):
            raise NotFound(
                f"This catalog has no model {MODEL!r}, with which the quickstart shows the way.",
                "Choose one of `model-manager models`, then `model-manager run ID`.",
            )
        return MODEL

    def _install(self, model: str) -> None:
        began = time.monotonic()
        job = self._client.install_weights(id=model).job
        result = wait_for_job(self._client, job.id, self._pause).result or {}
        done = "were installed already" if result.get("unchanged") else "installed, every file hashed"
        step(f"Weights of {model} {done}: {output.human_size(result.get('sizeBytes'))}", began)

    def _await(self, activation: "api.types.Activation") -> None:
        began = time.monotonic()
        wait_for_activation(self._client, activation.id, self._pause)
        step(f"{activation.model_id} is active in slot {activation.slot}", began)

    def _chat(self, model: str) -> None:
        began = time.monotonic()
        answer = "".join(Conversation(self._client, model).ask(QUESTION)).strip()
        if not answer:
            raise Unavailable(f"{model} answered nothing.", "See `model-manager logs`.")
        step(f"{model} was asked: {QUESTION}", began)
        output.say(f"\n  {answer}\n")
