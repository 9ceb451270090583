"""What docs/kubernetes.md promises, held to the code."""

import re
from pathlib import Path

import yaml

from model_manager.serving.kserve.rights import RIGHTS
from model_manager.settings import SETTINGS

PAGE = (Path(__file__).parents[3] / "docs" / "kubernetes.md").read_text()

Granted = set[tuple[str, str, str, str]]
"""The kind of role, API group, resource and verb."""


def test_the_roles_of_the_page_are_the_rights_that_are_used() -> None:
    assert granted() == {
        (
            "Role" if right.kind.namespaced else "ClusterRole",
            right.kind.group,
            "/".join(filter(None, (right.kind.plural, right.subresource))),
            verb,
        )
        for right in RIGHTS
        for verb in right.verbs
    }


def granted() -> Granted:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return {
        (role["kind"], group, resource, verb)
        for role in yaml.safe_load_all(block)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_settings_of_the_page_exist() -> None:
    named = set(re.findall(r"`((?:MODEL_MANAGER|ACTIVE|WEIGHTS)_[A-Z_]+)`", PAGE))
    assert named <= {row.env for row in SETTINGS}
