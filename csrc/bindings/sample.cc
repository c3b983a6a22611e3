#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "float_environment.h"
#include "nexttoken/sample.h"

namespace py = pybind11;

namespace nexttoken {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

// One value for all rows (size 1) or one per row.
template <class T>
T At(const Array<T>& values, int64_t row) {
  return values.data()[values.size() == 1 ? 0 : row];
}

// Lists of different lengths, one after the other: list i is values[offsets[i], offsets[i + 1]). One list serves all
// rows.
struct Lists {
  int64_t Begin(int64_t row) const { return offsets.data()[offsets.size() == 2 ? 0 : row]; }
  int64_t End(int64_t row) const { return offsets.data()[offsets.size() == 2 ? 1 : row + 1]; }
  Array<int64_t> offsets;
};

// The parameters of a batch, prepared once: checked in Python (params.py), rounded here, under the contract's float
// environment. Immutable, so several threads may sample with one.
class BatchParams {
 public:
  BatchParams(const Array<double>& temperature, const Array<double>& top_p, const Array<int64_t>& top_k,
              const Array<double>& min_p, const Array<double>& presence_penalty, const Array<double>& frequency_penalty,
              const Array<double>& repetition_penalty, const Array<uint64_t>& seed,
              const Array<uint32_t>& sequence_index, const Array<uint64_t>& step, const Array<int32_t>& bias_tokens,
              const Array<double>& bias_values, const Array<int64_t>& bias_offsets, const Array<int32_t>& prompt_tokens,
              const Array<int64_t>& prompt_offsets, const Array<int32_t>& output_tokens,
              const Array<int64_t>& output_offsets, const std::optional<Array<int32_t>>& token_bitmask,
              bool penalize_prompt, int n, int logprobs, bool processed, int64_t batch_size)
      : bias_offsets_{bias_offsets},
        bias_tokens_(bias_tokens.data(), bias_tokens.data() + bias_tokens.size()),
        token_bitmask_(token_bitmask),
        n_(n),
        logprobs_(logprobs) {
    const FloatEnvironment environment;
    for (py::ssize_t i = 0; i < bias_values.size(); ++i) {
      bias_values_.push_back(static_cast<float>(bias_values.data()[i]));
    }
    const Lists prompts{prompt_offsets};
    const Lists outputs{output_offsets};
    for (int64_t row = 0; row < batch_size; ++row) {
      RowParams p;
      p.temperature = static_cast<float>(At(temperature, row));
      p.top_p = At(top_p, row);
      p.min_p = At(min_p, row);
      p.top_k = static_cast<int32_t>(std::min<int64_t>(At(top_k, row), kMaxVocabSize));
      p.presence_penalty = static_cast<float>(At(presence_penalty, row));
      p.frequency_penalty = static_cast<float>(At(frequency_penalty, row));
      p.repetition_penalty = static_cast<float>(At(repetition_penalty, row));
      p.seed = At(seed, row);
      p.sequence_index = At(sequence_index, row);
      p.penalize_prompt = penalize_prompt;
      p.logprobs = static_cast<int8_t>(logprobs);
      p.logprobs_mode = processed ? LogprobsMode::kProcessed : LogprobsMode::kRaw;
      rows_.push_back(p);
      steps_.push_back(At(step, row));
      histories_.emplace_back();
      if (!p.HasPenalties()) continue;
      for (int64_t i = prompts.Begin(row); i < prompts.End(row); ++i) {
        histories_.back().AddPrompt(prompt_tokens.data()[i]);
      }
      for (int64_t i = outputs.Begin(row); i < outputs.End(row); ++i) {
        histories_.back().AddOutput(output_tokens.data()[i]);
      }
    }
  }

  RowInput Input(const LogitsView& logits, int64_t row) const {
    const size_t i = static_cast<size_t>(row);
    RowInput input;
    input.logits = logits.Row(row);
    input.params = rows_[i];
    if (token_bitmask_) {
      input.token_bitmask =
          token_bitmask_->data() + (token_bitmask_->shape(0) == 1 ? 0 : row) * token_bitmask_->shape(1);
    }
    input.bias_tokens = bias_tokens_.data() + bias_offsets_.Begin(row);
    input.bias_values = bias_values_.data() + bias_offsets_.Begin(row);
    input.bias_count = static_cast<int32_t>(bias_offsets_.End(row) - bias_offsets_.Begin(row));
    input.history = histories_[i].entries().data();
    input.history_count = static_cast<int32_t>(histories_[i].entries().size());
    input.step = steps_[i];
    input.n = n_;
    return input;
  }

  int n() const { return n_; }
  int logprobs() const { return logprobs_; }
  int64_t batch_size() const { return static_cast<int64_t>(rows_.size()); }

 private:
  std::vector<RowParams> rows_;
  std::vector<uint64_t> steps_;
  std::vector<History> histories_;
  Lists bias_offsets_;
  std::vector<int32_t> bias_tokens_;
  std::vector<float> bias_values_;
  std::optional<Array<int32_t>> token_bitmask_;
  int n_;
  int logprobs_;
};

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
  const LogitsView& view = logits.view();
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
  const LogitsView& view = logits.view();
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
  py::class_<LogitsArray>(module, "Logits", "A borrowed view of a caller's logits: [batch_size, vocab_size].")
      .def(py::init<py::handle>(), py::arg("logits"))
      .def_property_readonly("batch_size", [](const LogitsArray& l) { return l.view().batch_size; })
      .def_property_readonly("vocab_size", [](const LogitsArray& l) { return l.view().vocab_size; })
      .def_property_readonly("is_one_row", &LogitsArray::is_one_row);
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
