#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "arrays.h"
#include "batch_params.h"
#include "bindings.h"
#include "errors.h"
#include "nexttoken/sample.h"

namespace py = pybind11;

namespace nexttoken {
namespace {

void Run(const LogitsView& view, const BatchParams& params, const std::vector<RowOutput>& outputs) {
  if (params.batch_size() != view.batch_size) {
    RaiseParameterError("params must be prepared for " + std::to_string(view.batch_size) + " rows, got " +
                        std::to_string(params.batch_size()));
  }
  std::vector<RowInput> inputs;
  for (int64_t row = 0; row < view.batch_size; ++row) inputs.push_back(params.Input(view, row));
  const py::gil_scoped_release released;
  SampleRows(inputs.data(), outputs.data(), view.batch_size);
}

using SampleTuple = py::typing::Tuple<py::array_t<int32_t>, py::array_t<int32_t>, py::array_t<float>,
                                      py::array_t<int32_t>, py::array_t<float>>;

SampleTuple Sample(const LogitsArray& logits, const BatchParams& params) {
  const LogitsView& view = logits.host_view();
  const int64_t batch = view.batch_size;
  const int64_t n = params.n();
  const int64_t top = std::max(0, params.logprobs());
  const bool wants = params.logprobs() != kNoLogprobs;
  py::array_t<int32_t> token_ids({batch, n});
  py::array_t<int32_t> status(batch);
  py::array_t<float> logprobs({wants ? batch : 0, n});
  py::array_t<int32_t> top_token_ids({batch, top});
  py::array_t<float> top_logprobs({batch, top});
  std::vector<RowOutput> outputs(static_cast<size_t>(batch));
  for (int64_t row = 0; row < batch; ++row) {
    RowOutput& out = outputs[static_cast<size_t>(row)];
    out.token_ids = token_ids.mutable_data() + row * n;
    out.status = reinterpret_cast<Status*>(status.mutable_data()) + row;
    if (wants) out.logprobs = logprobs.mutable_data() + row * n;
    if (top) {
      out.top_token_ids = top_token_ids.mutable_data() + row * top;
      out.top_logprobs = top_logprobs.mutable_data() + row * top;
      out.top_capacity = static_cast<int32_t>(top);
    }
  }
  Run(view, params, outputs);
  return py::make_tuple(token_ids, status, logprobs, top_token_ids, top_logprobs);
}

using DistributionTuple = py::typing::Tuple<py::array_t<uint64_t>, py::array_t<uint64_t>, py::array_t<int32_t>>;

DistributionTuple Distribution(const LogitsArray& logits, const BatchParams& params) {
  const LogitsView& view = logits.host_view();
  py::array_t<uint64_t> weights({view.batch_size, view.vocab_size});
  py::array_t<uint64_t> mass(view.batch_size);
  py::array_t<int32_t> status(view.batch_size);
  std::vector<RowOutput> outputs(static_cast<size_t>(view.batch_size));
  for (int64_t row = 0; row < view.batch_size; ++row) {
    RowOutput& out = outputs[static_cast<size_t>(row)];
    out.weights = weights.mutable_data() + row * view.vocab_size;
    out.mass = mass.mutable_data() + row;
    out.status = reinterpret_cast<Status*>(status.mutable_data()) + row;
  }
  Run(view, params, outputs);
  return py::make_tuple(weights, mass, status);
}

}  // namespace

void BindSample(py::module_& module) {
  py::class_<BatchParams>(module, "BatchParams", "The checked parameters of a batch, prepared for the kernels.")
      .def(py::init<const Array<double>&, const Array<double>&, const Array<int64_t>&, const Array<double>&,
                    const Array<double>&, const Array<double>&, const Array<double>&, const Array<uint64_t>&,
                    const Array<uint32_t>&, const Array<uint64_t>&, const Array<int32_t>&, const Array<double>&,
                    const Array<int64_t>&, const Array<int32_t>&, const Array<int64_t>&, const Array<int32_t>&,
                    const Array<int64_t>&, const std::optional<Array<int32_t>>&, bool, int, int, bool, int64_t>(),
           py::arg("temperature"), py::arg("top_p"), py::arg("top_k"), py::arg("min_p"), py::arg("presence_penalty"),
           py::arg("frequency_penalty"), py::arg("repetition_penalty"), py::arg("seed"), py::arg("sequence_index"),
           py::arg("step"), py::arg("bias_tokens"), py::arg("bias_values"), py::arg("bias_offsets"),
           py::arg("prompt_tokens"), py::arg("prompt_offsets"), py::arg("output_tokens"), py::arg("output_offsets"),
           py::arg("token_bitmask"), py::arg("penalize_prompt"), py::arg("n"), py::arg("logprobs"),
           py::arg("processed"), py::arg("batch_size"));
  module.def(
      "sample", &Sample, py::arg("logits"), py::arg("params"),
      "token_ids [batch, n], status [batch], logprobs [batch or 0, n], top_token_ids and top_logprobs [batch, k]");
  module.def("distribution", &Distribution, py::arg("logits"), py::arg("params"),
             "weights [batch, vocab], mass [batch], status [batch]");
}

}  // namespace nexttoken
