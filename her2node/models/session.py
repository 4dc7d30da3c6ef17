"""The only door to onnxruntime: a model's bytes become a function, of named double arrays or of patches of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

from her2node.errors import PackageRefused, ProviderMissing

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class Port:
    """An input or output of the graph: name, onnxruntime's type name, and shape (None: free)."""

    name: str
    type: str
    shape: tuple[int | None, ...]


class Session:
    """One model on the CPU, one thread, deterministic kernels; made from bytes, so that no path is ever followed."""

    def __init__(self, model: bytes) -> None:
        """Raises PackageRefused when onnxruntime cannot use the model."""
        options = _options(threads=1)
        options.enable_cpu_mem_arena = False
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._session = _session(model, options, ("CPUExecutionProvider",))
        self.inputs = tuple(map(_port, self._session.get_inputs()))
        self.outputs = tuple(map(_port, self._session.get_outputs()))

    def run(self, inputs: Mapping[str, Doubles]) -> dict[str, npt.NDArray[np.generic]]:
        """Every output by name. Raises PackageRefused when the graph fails on these values."""
        names = [port.name for port in self.outputs]
        try:
            values = self._session.run(names, dict(inputs))
        except MemoryError:
            raise
        except Exception as error:
            raise PackageRefused(f"model.onnx failed: {error}") from error
        return dict(zip(names, map(np.asarray, values), strict=True))


@dataclass(frozen=True)
class Engine:
    """What networks run on. ``providers`` in order of preference, by onnxruntime's names; ``threads`` 0: as many as
    there are cores."""

    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    threads: int = 1


ENGINE = Engine()


class Network:
    """A network over patches: float32 (n, channels, *patch) in, float32 (n, outputs, *patch) out.

    On the CPU the same number of threads gives the same bits.
    """

    def __init__(self, model: bytes, engine: Engine = ENGINE) -> None:
        """Raises ProviderMissing, and PackageRefused when onnxruntime cannot use the model or it has other ports."""
        there = onnxruntime.get_available_providers()
        missing = [name for name in engine.providers if name not in there]
        if missing:
            raise ProviderMissing(f"{', '.join(missing)}; this onnxruntime has {', '.join(there)}")
        options = _options(engine.threads)
        options.enable_mem_pattern = False  # one block for all that a run needs takes twice the memory
        self._session = _session(model, options, engine.providers)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.inputs, self.outputs = tuple(map(_port, inputs)), tuple(map(_port, outputs))
        kinds = {port.type for port in (*self.inputs, *self.outputs)}
        if len(inputs) != 1 or len(outputs) != 1 or kinds != {"tensor(float)"}:
            raise PackageRefused("a network over patches has one float input and one float output")

    def __call__(self, patches: Floats) -> Floats:
        """The network's answer. Raises PackageRefused when the graph fails on these patches."""
        try:
            (answer,) = self._session.run(None, {self.inputs[0].name: patches})
        except MemoryError:
            raise
        except Exception as error:
            raise PackageRefused(f"the network failed: {error}") from error
        return np.asarray(answer, dtype=np.float32)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _ERRORS_ONLY
    return options


def _session(
    model: bytes, options: onnxruntime.SessionOptions, providers: Sequence[str]
) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(model, options, providers=list(providers))
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime's many errors share no other base
        raise PackageRefused(f"onnxruntime refuses the model: {error}") from error


def _port(argument: onnxruntime.NodeArg) -> Port:
    shape = tuple(size if isinstance(size, int) else None for size in argument.shape)
    return Port(str(argument.name), str(argument.type), shape)
