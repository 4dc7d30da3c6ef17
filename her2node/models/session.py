"""The only door to onnxruntime: a model's bytes become a function of named double arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

from her2node.errors import PackageRefused

Doubles = npt.NDArray[np.float64]
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
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.enable_cpu_mem_arena = False
        options.log_severity_level = _ERRORS_ONLY
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's many errors share no other base
            raise PackageRefused(f"onnxruntime refuses model.onnx: {error}") from error
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


def _port(argument: onnxruntime.NodeArg) -> Port:
    shape = tuple(size if isinstance(size, int) else None for size in argument.shape)
    return Port(str(argument.name), str(argument.type), shape)
