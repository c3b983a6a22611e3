"""A model of transformers and its tokenizer, by name or as they are, with errors that say what was expected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from nexttoken.exceptions import DeviceError, ModelFileError, ParameterError, ParameterTypeError
from nexttoken.text import TokenizerFile, read_tokenizer

# What configurations call the most tokens that a sequence may hold.
_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", "n_ctx")

# For models without such a limit.
_NO_LIMIT = 2**31 - 1


def load_model(name: str | os.PathLike[str], device: Any, dtype: Any) -> Any:
    """The model of a directory, or of a repository on the hub, ready to compute.

    Raises
    ------
    ModelFileError
        There is no such model, its files are not complete, or transformers itself does not know the architecture.
    DeviceError
        The device asked for is not there.
    ParameterError
        There is no such dtype.
    """
    where = _where(name)
    device = check_device(device)
    dtype = _check_dtype(dtype, device)
    try:
        # Code that a repository brings along is not run: what is chosen here are the classes of transformers.
        model, report = AutoModelForCausalLM.from_pretrained(
            where, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:  # of many kinds: OSError, ValueError, safetensors' own, huggingface_hub's own
        raise ModelFileError(f"expected a causal language model of transformers at {where}: {error}") from error
    if report["missing_keys"]:
        names = sorted(report["missing_keys"])
        raise ModelFileError(f"expected {names[0]} among the weights of {where}: {len(names)} tensors are missing")
    return model.to(device)


def load_tokenizer(name: Any) -> Any:
    """The tokenizer of a directory, or of a repository on the hub, or the one that was given.

    Raises
    ------
    ModelFileError
        There is none, or it has no description in the format of the tokenizers package.
    """
    if isinstance(name, PreTrainedTokenizerBase):
        tokenizer, where = name, name.name_or_path or "the tokenizer"
    elif isinstance(name, (str, os.PathLike)):
        where = _where(name)
        try:
            tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        except Exception as error:
            raise ModelFileError(f"expected a tokenizer (tokenizer.json) at {where}: {error}") from error
    else:
        raise ParameterTypeError(f"tokenizer must be a tokenizer of transformers or a directory, got {name!r}")
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ModelFileError(
            f"expected a fast tokenizer (tokenizer.json) at {where}, got a {type(tokenizer).__name__}: "
            "the exact bytes of its tokens are not known"
        )
    return tokenizer


def read_bytes(tokenizer: Any) -> TokenizerFile:
    """The exact bytes of each token."""
    return read_tokenizer(tokenizer.backend_tokenizer.to_str(), tokenizer.name_or_path or "the tokenizer")


def read_chat_template(tokenizer: Any) -> str:
    """The tokenizer's chat template, the one named ``default`` of several.

    Raises
    ------
    ModelFileError
        There is none.
    """
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not isinstance(template, str):
        raise ModelFileError(
            "expected a chat template (chat_template.jinja, or in tokenizer_config.json one, or one named 'default') "
            f"with the tokenizer of {tokenizer.name_or_path or 'this model'}, got none: pass chat_template="
        )
    return template


def read_special_token_names(tokenizer: Any) -> dict[str, str]:
    """What chat templates call special tokens by: ``bos_token``, ``eos_token`` and the like, and their text."""
    names = tokenizer.special_tokens_map.items()
    return {name: str(text) for name, text in names if name.endswith("_token") and text is not None}


def read_eos_token_ids(model: Any, vocab_size: int) -> tuple[int, ...]:
    """The tokens that end an answer: of the generation configuration if it says, else of the model's own.

    Raises
    ------
    ModelFileError
        One is no token of the vocabulary.
    """
    for config in (model.generation_config, model.config.get_text_config(decoder=True)):
        ids = getattr(config, "eos_token_id", None)
        if ids is None:
            continue
        found = tuple(ids) if isinstance(ids, (list, tuple)) else (ids,)
        for i in found:
            if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < vocab_size:
                raise ModelFileError(
                    f"expected eos_token_id in the {type(config).__name__} of {model.name_or_path} to be of tokens in "
                    f"[0, {vocab_size}), as the tokenizer has, got {i!r}"
                )
        return found
    return ()


def read_context_length(model: Any) -> int:
    """The most tokens that a sequence of this model may hold."""
    config = model.config.get_text_config(decoder=True)
    for name in _CONTEXT_NAMES:
        length = getattr(config, name, None)
        if isinstance(length, int) and length > 0:
            return length
    return _NO_LIMIT


def logit_columns(model: Any) -> int:
    """How many columns the model's logits have."""
    head = model.get_output_embeddings()
    if head is not None and getattr(head, "weight", None) is not None and not getattr(model, "hf_quantizer", None):
        return int(head.weight.shape[0])
    return int(model.config.get_text_config(decoder=True).vocab_size)


def check_model(model: Any) -> None:
    """Refuse what is no decoder with a cache.

    Raises
    ------
    ParameterTypeError
        It is no model of transformers.
    ModelFileError
        It is one of another kind.
    """
    if not isinstance(model, PreTrainedModel):
        raise ParameterTypeError(
            f"model must be a directory, a name on the hub or a model of transformers, got a {type(model).__name__}"
        )
    kind = type(model).__name__
    if model.config.is_encoder_decoder:
        raise ModelFileError(f"expected a model that only decodes, got a {kind}, which has an encoder")
    if not model.can_generate():
        raise ModelFileError(f"expected a model that generates text, got a {kind}")


def check_device(device: Any) -> Any:
    """A torch device that is there; without a name a GPU if there is one, else the CPU.

    Raises
    ------
    DeviceError
        The one that was named is not there.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found).tolist()  # a device without memory of its own (meta) has nothing to read
    except Exception as error:  # AssertionError, RuntimeError, NotImplementedError, by kind of device
        raise DeviceError(f"expected a device that torch can use here, got {device!r}: {error}") from error
    return found


def _check_dtype(dtype: Any, device: Any) -> Any:
    if dtype is None:
        return "auto" if device.type != "cpu" else torch.float32
    if isinstance(dtype, str) and dtype != "auto":
        dtype = getattr(torch, dtype, dtype)
    if dtype != "auto" and dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise ParameterError(f"dtype must be float32, float16, bfloat16 or 'auto', got {dtype!r}")
    return dtype


def _where(name: str | os.PathLike[str]) -> str:
    """`name` as transformers takes it: a directory with a configuration, or a name on the hub."""
    path = Path(os.fsdecode(name))
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ModelFileError(f"expected config.json in {path}: No such file or directory")
        return str(path.resolve())
    if isinstance(name, os.PathLike) or path.is_absolute() or path.exists() or len(path.parts) > 2:
        raise ModelFileError(f"expected a directory of model files at {path}")
    try:
        AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        raise ModelFileError(
            f"expected a directory of model files, or the name of a model on the hub, got {name!r}: {error}"
        ) from error
    return os.fsdecode(name)
