"""Raw counts against float64 softmax; and samplers that are wrong on purpose, which the same test must catch."""

from __future__ import annotations

from collections.abc import Callable

import chi_square
import numpy as np
import pytest
from draws import AXES, Floats, Parameters, Tokens, kept_by_top_p, model_logits, softmax, truth

COUNT = 60_000
SETTINGS: dict[str, Parameters] = {
    "plain": {},
    "cool": {"temperature": 0.5},
    "hot": {"temperature": 2.0},
    "top_p": {"top_p": 0.5},
    "cool top_p": {"temperature": 0.7, "top_p": 0.6},
    "top_k": {"top_k": 20},
    "min_p": {"min_p": 0.05},
    "all": {"temperature": 0.8, "min_p": 0.02, "top_k": 40, "top_p": 0.9},
}


def p_value(tokens: Tokens, probabilities: Floats) -> float:
    return chi_square.test(np.bincount(tokens, minlength=len(probabilities)), probabilities)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_frequencies(setting: str, axis: str) -> None:
    logits, parameters = model_logits(1), SETTINGS[setting]
    tokens = AXES[axis](logits, COUNT, **parameters)
    assert p_value(tokens, truth(logits, **parameters)) > chi_square.ALARM


@pytest.mark.slow
@pytest.mark.parametrize("vocab", [2, 37, 1000, 50257])
@pytest.mark.parametrize("setting", SETTINGS)
def test_frequencies_of_many_draws(setting: str, vocab: int) -> None:
    logits, parameters = model_logits(vocab, vocab), SETTINGS[setting]
    tokens = AXES["n"](logits, 5_000_000, **parameters)
    assert p_value(tokens, truth(logits, **parameters)) > chi_square.ALARM


# ---- Samplers that are wrong on purpose --------------------------------------------------------------------------


def drops_the_tail(parameters: Parameters) -> Floats:
    """The last 40 per cent of the tokens that are left are never drawn."""
    probabilities = truth(model_logits(1), **parameters)
    ranked = np.argsort(-probabilities, kind="stable")[: np.count_nonzero(probabilities)]
    probabilities[ranked[-int(np.ceil(0.4 * len(ranked))) :]] = 0
    return probabilities


def ignores_the_crossing_token(parameters: Parameters) -> Floats:
    return truth(model_logits(1), **parameters, keep=lambda ranked, p: max(1, kept_by_top_p(ranked, p) - 1))


def keeps_one_token_more(parameters: Parameters) -> Floats:
    if "top_k" in parameters:
        return truth(model_logits(1), **{**parameters, "top_k": parameters["top_k"] + 1})
    return truth(model_logits(1), **parameters, keep=lambda ranked, p: kept_by_top_p(ranked, p) + 1)


def keeps_one_token_less(parameters: Parameters) -> Floats:
    return truth(model_logits(1), **{**parameters, "top_k": parameters["top_k"] - 1})


def is_off_by_one_in_rank(parameters: Parameters) -> Floats:
    """Draws a rank and returns the token after it."""
    probabilities = truth(model_logits(1), **parameters)
    ranked = np.argsort(-probabilities, kind="stable")
    shifted = np.empty_like(probabilities)
    shifted[np.roll(ranked, -1)] = probabilities[ranked]
    return shifted


def is_too_warm(parameters: Parameters) -> Floats:
    """By a tenth."""
    return truth(model_logits(1), **{**parameters, "temperature": 1.1 * parameters.get("temperature", 1.0)})


def ignores_min_p(parameters: Parameters) -> Floats:
    return truth(model_logits(1), **{**parameters, "min_p": 0.0})


def compares_min_p_with_the_probability(parameters: Parameters) -> Floats:
    """Not with the share of the best token."""
    probabilities = softmax(model_logits(1), parameters.get("temperature", 1.0))
    probabilities[probabilities < parameters["min_p"]] = 0
    return probabilities


WRONG: list[tuple[Callable[[Parameters], Floats], list[str]]] = [
    (drops_the_tail, ["plain", "hot", "top_p", "cool top_p", "top_k", "min_p", "all"]),
    (ignores_the_crossing_token, ["top_p", "cool top_p", "all"]),
    (keeps_one_token_more, ["top_p", "cool top_p", "top_k"]),
    (keeps_one_token_less, ["top_k"]),
    (is_off_by_one_in_rank, list(SETTINGS)),
    (is_too_warm, list(SETTINGS)),
    (ignores_min_p, ["min_p", "all"]),
    (compares_min_p_with_the_probability, ["min_p"]),
]


@pytest.mark.parametrize(
    ("wrong", "setting"), [(wrong, setting) for wrong, settings in WRONG for setting in settings],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_a_wrong_sampler_is_caught(wrong: Callable[[Parameters], Floats], setting: str) -> None:
    probabilities = wrong(SETTINGS[setting])
    tokens = np.random.default_rng(5).choice(len(probabilities), COUNT, p=probabilities / probabilities.sum())
    assert p_value(tokens, truth(model_logits(1), **SETTINGS[setting])) < chi_square.ALARM


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_right_sampler_of_another_make_is_not(setting: str) -> None:
    """NumPy's generator passes: what the test above catches is the mistake."""
    probabilities = truth(model_logits(1), **SETTINGS[setting])
    tokens = np.random.default_rng(6).choice(len(probabilities), COUNT, p=probabilities)
    assert p_value(tokens, probabilities) > chi_square.ALARM
