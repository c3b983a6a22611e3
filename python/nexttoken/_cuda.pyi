"""
The CUDA kernels of nexttoken. Private: nexttoken.cuda finds and uses it.
"""
from __future__ import annotations
import numpy
import numpy.typing
import typing
__all__: list[str] = ['Batch', 'device_count', 'device_of', 'order']
class Batch:
    """
    A batch on its way: made, placed, uploaded, then run.
    """
    def __init__(self, logits: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex], device: typing.SupportsInt | typing.SupportsIndex, *, temperature: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.float64], top_p: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.float64], top_k: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.int64], min_p: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.float64], presence_penalty: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.float64], frequency_penalty: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.float64], repetition_penalty: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.float64], seed: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], sequence_index: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.int64], step: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], bias_tokens: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], bias_values: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], bias_offsets: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], prompt_tokens: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], prompt_offsets: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], output_tokens: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], output_offsets: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], prompt_matrix: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | None, output_matrix: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | None, token_bitmask: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, str] | typing.Annotated[numpy.typing.ArrayLike, numpy.int32] | None, penalize_prompt: bool, n: typing.SupportsInt | typing.SupportsIndex, logprobs: typing.SupportsInt | typing.SupportsIndex, processed: bool) -> None:
        ...
    def distribution(self, workspace: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex, weights: typing.SupportsInt | typing.SupportsIndex, mass: typing.SupportsInt | typing.SupportsIndex, status: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def place(self, block: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Device memory for them.
        """
    def sample(self, workspace: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex, token_ids: typing.SupportsInt | typing.SupportsIndex, status: typing.SupportsInt | typing.SupportsIndex, logprobs: typing.SupportsInt | typing.SupportsIndex, top_token_ids: typing.SupportsInt | typing.SupportsIndex, top_logprobs: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Addresses of results; 0: not wanted.
        """
    def upload(self, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def workspace_bytes(self) -> int:
        """
        Once placed.
        """
    @property
    def block_bytes(self) -> int:
        """
        What the host's parameters take on the device, its seeds (if any) first.
        """
def device_count() -> int:
    """
    0 where there is no card, or no driver for it.
    """
def device_of(address: typing.SupportsInt | typing.SupportsIndex) -> int | None:
    """
    The device that holds an address; None: the host.
    """
def order(device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex, before: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    What is queued on `stream` from now on runs after what is queued on `before` by now.
    """
