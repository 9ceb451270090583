"""Values that contradict each other are refused with a sentence that names them."""

import pytest

from tests.chart.rendering import MINIMAL, Object, Refused, render

_ITEM = {"onepasswordVaultID": "v", "onepasswordItemID": "i"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"image": {"repository": ""}}, "image.repository is missing"),
        ({"image": {"repository": "a.example.com:5000/b:1"}}, "image.repository ends with a tag"),
        ({"gitSync": {"repo": ""}}, "gitSync.repo is missing"),
        ({"apiToken": {"enabled": False}}, "no mode without a token"),
        ({"apiToken": {"onepasswordVaultID": "v"}}, "apiToken.onepasswordItemID is not"),
        ({"apiToken": {"onepasswordItemID": "i"}}, "apiToken.onepasswordVaultID is not"),
        ({"apiToken": {"createSecret": True}}, "apiToken.createSecret needs apiToken.value"),
        ({"apiToken": {"value": "t"}}, "set apiToken.createSecret too"),
        ({"apiToken": {"createSecret": True, "value": "op://v/i/f"}}, "nothing in a cluster resolves"),
        ({"apiToken": {"createSecret": True, "value": "t", **_ITEM}}, "from several places"),
        ({"apiToken": {"externalSecretKey": "k", **_ITEM}}, "from several places"),
        ({"apiToken": {"externalSecretKey": "k"}}, "externalSecrets.storeName is missing"),
        (
            {
                "onepassword": {"itemPath": "vaults/v/items/i"},
                "gitSync": {"repo": "https://a.example.com/b", "externalSecretKey": "k"},
            },
            "credentials come from two places",
        ),
        ({"huggingface": {"externalSecretKey": "k", **_ITEM}}, "hub's token comes from two places"),
        ({"huggingface": {"onepasswordVaultID": "v"}}, "huggingface.onepasswordItemID is not"),
        ({"state": {"hostPath": "/srv/state"}}, "state.hostNode is not"),
        ({"weights": {"create": True, "hostPath": "/srv/models"}}, "weights.hostNode is not"),
        ({"mode": "deployment", "route": {"host": "a.example.com"}}, "makes a Knative DomainMapping"),
        ({"settings": {"STATE_PATH": "/elsewhere"}}, "settings.STATE_PATH is set by the chart itself"),
        ({"settings": {"MODEL_MANAGER_API_TOKEN": "t"}}, "settings.MODEL_MANAGER_API_TOKEN"),
        ({"mode": "daemonset"}, "at '/mode'"),
        ({"imgae": {}}, "'imgae' not allowed"),
    ],
)
def test_it_is_refused(values: Object, sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        render({**MINIMAL, **values})
    assert sentence in str(refusal.value)


def test_two_minimal_values_are_enough() -> None:
    assert len(render(MINIMAL)) > 8
