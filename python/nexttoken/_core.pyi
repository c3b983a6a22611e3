"""
The compiled core of nexttoken. Private: use the names of the package.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing
__all__: list[str] = ['BatchParams', 'DeviceArray', 'Draws', 'Logits', 'Request', 'Sampler', 'StopAutomaton', 'TextStream', 'active_target', 'build_info', 'distribution', 'num_threads', 'sample', 'set_num_threads', 'set_target', 'targets', 'time_one_pass_max', 'time_rows']
class Logits:
    """
    A borrowed view of a caller's logits: [batch_size, vocab_size].
    """
    def __init__(self, logits: typing.Any) -> None:
        ...
    def current_stream(self) -> int | None:
        """
        The stream their library queues work on now; None where it cannot be asked through DLPack.
        """
    @property
    def batch_size(self) -> int:
        ...
    @property
    def cuda_device(self) -> int | None:
        """
        The CUDA device that holds them, or None in host memory.
        """
    @property
    def is_one_row(self) -> bool:
        ...
    @property
    def layout(self) -> tuple[int, int, int, int, int, int]:
        """
        address, batch_size, vocab_size, row_stride, element_stride, dtype
        """
    @property
    def vocab_size(self) -> int:
        ...
class DeviceArray:
    """
    Where a parameter's array in device memory lies. Nothing is read.
    """
    def __init__(self, name: str, source: typing.Any, stream: typing.SupportsInt | typing.SupportsIndex | None) -> None:
        """
        stream: made to wait for the producer's; None orders nothing.
        """
    @property
    def address(self) -> int:
        ...
    @property
    def device(self) -> int:
        ...
    @property
    def dtype(self) -> str:
        ...
    @property
    def shape(self) -> tuple[int, ...]:
        ...
    @property
    def strides(self) -> tuple[int, ...]:
        ...
class BatchParams:
    """
    The checked parameters of a batch, prepared for the kernels.
    """
    def __init__(self, temperature: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], top_p: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], top_k: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], min_p: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], presence_penalty: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], frequency_penalty: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], repetition_penalty: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], seed: typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], sequence_index: typing.Annotated[numpy.typing.ArrayLike, numpy.uint32], step: typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], bias_tokens: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], bias_values: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], bias_offsets: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], prompt_tokens: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], prompt_offsets: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], output_tokens: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], output_offsets: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], token_bitmask: typing.Annotated[numpy.typing.ArrayLike, numpy.int32] | None, penalize_prompt: bool, n: typing.SupportsInt | typing.SupportsIndex, logprobs: typing.SupportsInt | typing.SupportsIndex, processed: bool, batch_size: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
class Request:
    """
    A request's checked parameters, shared by its rows.
    """
    def __init__(self, temperature: typing.SupportsFloat | typing.SupportsIndex, top_p: typing.SupportsFloat | typing.SupportsIndex, top_k: typing.SupportsInt | typing.SupportsIndex, min_p: typing.SupportsFloat | typing.SupportsIndex, presence_penalty: typing.SupportsFloat | typing.SupportsIndex, frequency_penalty: typing.SupportsFloat | typing.SupportsIndex, repetition_penalty: typing.SupportsFloat | typing.SupportsIndex, penalize_prompt: bool, logprobs: typing.SupportsInt | typing.SupportsIndex, processed: bool, bias_tokens: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], bias_values: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], stop: collections.abc.Sequence[bytes], stop_tokens: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], max_tokens: typing.SupportsInt | typing.SupportsIndex | None, min_tokens: typing.SupportsInt | typing.SupportsIndex, ignore_eos: bool) -> None:
        ...
class Draws:
    """
    Rows of a step whose tokens are drawn elsewhere: between Sampler.look and take.
    """
    @property
    def arguments(self) -> dict[str, numpy.ndarray]:
        """
        The rows' parameters, by the names of _cuda.Batch.
        """
    @property
    def logprobs(self) -> numpy.typing.NDArray[numpy.int32]:
        """
        int32 [rows]: -1 where a row asks for none.
        """
    @property
    def processed(self) -> numpy.typing.NDArray[numpy.bool]:
        """
        bool [rows]: of which logits.
        """
class Sampler:
    """
    Rows and their state; see nexttoken.Sampler.
    """
    def __init__(self, vocab_size: typing.SupportsInt | typing.SupportsIndex, token_bytes: collections.abc.Sequence[bytes] | None, eos_tokens: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], strip_leading_space: bool) -> None:
        ...
    def active_rows(self) -> list[int]:
        ...
    def add(self, request: Request, prompt: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], output: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], seed: typing.SupportsInt | typing.SupportsIndex, sequence_index: typing.SupportsInt | typing.SupportsIndex) -> int:
        ...
    def fork(self, row: typing.SupportsInt | typing.SupportsIndex, n: typing.SupportsInt | typing.SupportsIndex, sequence_index: typing.SupportsInt | typing.SupportsIndex) -> list[int]:
        ...
    def info(self, row: typing.SupportsInt | typing.SupportsIndex) -> tuple[int, int, int, str | None, int | None, int]:
        ...
    def look(self, logits: Logits, rows: typing.Any, lines: typing.Any, bitmask: typing.Annotated[numpy.typing.ArrayLike, numpy.int32] | None) -> Draws:
        ...
    def remove(self, row: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def step(self, logits: typing.Any, rows: typing.Any, lines: typing.Any, bitmask: typing.Annotated[numpy.typing.ArrayLike, numpy.int32] | None) -> tuple[numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int32], list[str | None], list[str] | None, numpy.typing.NDArray[numpy.float32] | None, numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.float32]]:
        ...
    def take(self, draws: Draws, token_ids: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], status: typing.Annotated[numpy.typing.ArrayLike, numpy.int32]) -> tuple[list[str | None], list[str] | None]:
        ...
class StopAutomaton:
    """
    Stop strings prepared for matching over bytes. Immutable: any number of streams and threads may share one.
    
    An answer is cut at the leftmost occurrence of any of them in the whole text.
    """
    def __init__(self, stops: collections.abc.Sequence[bytes]) -> None:
        """
        Raises ValueError for an empty stop string.
        """
class TextStream:
    """
    One answer: the exact bytes of its tokens in, text that is safe to show out.
    
    What push() and finish() return concatenates to the answer's bytes, cut at the stop string
    and decoded with errors="replace", however the bytes were split; half a character at the
    end of a text that no stop string cuts is left out.
    """
    def __init__(self, automaton: StopAutomaton | None, *, strip_leading_space: bool = False) -> None:
        """
        automaton None: no stop strings. strip_leading_space drops the answer's first byte if it is a space.
        """
    def copy(self) -> TextStream:
        """
        A stream that continues from the same state.
        """
    def finish(self) -> str:
        """
        The text ends here: returns what is held back, up to the leftmost stop string if one is complete, and
        closes the stream. Returns "" on a closed one.
        """
    def push(self, token_bytes: bytes) -> tuple[str, bool]:
        """
        Feed one token's bytes. Returns the text now safe to show, and whether it is certain which stop string ends
        the answer: that closes the stream. Raises ValueError on a closed stream.
        """
    @property
    def closed(self) -> bool:
        """
        Whether the answer has ended.
        """
    @property
    def matched_stop(self) -> int | None:
        """
        Index of the stop string that the answer is cut at; None if there is none, or none for certain yet.
        """
    @property
    def shown_bytes(self) -> int:
        """
        How many of the bytes pushed the text returned so far covers; in the end, the position
        of the cut.
        """
def active_target() -> str:
    ...
def build_info() -> dict[str, typing.Any]:
    ...
def distribution(logits: Logits, params: BatchParams) -> tuple[numpy.typing.NDArray[numpy.uint64], numpy.typing.NDArray[numpy.uint64], numpy.typing.NDArray[numpy.int32]]:
    """
    weights [batch, vocab], mass [batch], status [batch]
    """
def num_threads() -> int:
    ...
def sample(logits: Logits, params: BatchParams) -> tuple[numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.float32], numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.float32]]:
    """
    token_ids [batch, n], status [batch], logprobs [batch or 0, n], top_token_ids and top_logprobs [batch, k]
    """
def set_num_threads(threads: typing.SupportsInt | typing.SupportsIndex) -> None:
    ...
def set_target(name: str) -> None:
    ...
def targets() -> list[str]:
    ...
def time_one_pass_max(logits: Logits, *, sweep: bool) -> numpy.typing.NDArray[numpy.uint64]:
    """
    CPU time in ns [batch] of the one-pass floor, less the clock's own cost.
    """
def time_rows(logits: Logits, params: BatchParams, *, sweep: bool) -> tuple[numpy.typing.NDArray[numpy.uint64], numpy.typing.NDArray[numpy.int32], int]:
    """
    CPU time in ns [batch, 2] of the one-pass floor and of the kernel, row after row; the drawn tokens
    [batch, n]; the clock's own cost in ns, which is already taken off.
    """
