"""Close words."""

import time

from model_manager.catalog.suggest import close, did_you_mean


def test_close_words() -> None:
    assert close("maxModelLn", ["maxModelLen", "dtype"]) == ["maxModelLen"]
    assert close("max_model_len", ["maxModelLen", "dtype"]) == ["maxModelLen"]
    assert close("xyz", ["maxModelLen", "dtype"]) == []
    assert did_you_mean("dtpe", ["dtype"]) == "did you mean `dtype`?"
    assert did_you_mean("", []) == ""


def test_ten_thousand_words_do_not_hold_up_the_event_loop() -> None:
    words = [f"model-{index}-instruct" for index in range(10_000)]
    started = time.process_time()
    found = close("model-42-instrct", words)
    assert time.process_time() - started < 0.5
    assert found
