#include "bench/time_rows.h"

#include <pybind11/numpy.h>
#include <pybind11/typing.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "arrays.h"
#include "batch_params.h"
#include "bindings.h"
#include "errors.h"

namespace py = pybind11;

namespace nexttoken {
namespace {

// Results of one row after the other, which nobody reads but the drawn tokens and the status.
struct RowScratch {
  explicit RowScratch(const BatchParams& params)
      : logprobs(static_cast<size_t>(params.n())),
        top_token_ids(static_cast<size_t>(std::max(0, params.logprobs()))),
        top_logprobs(top_token_ids.size()) {}

  RowOutput Output(const BatchParams& params, int32_t* token_ids, Status* status) {
    RowOutput out;
    out.token_ids = token_ids;
    out.status = status;
    if (params.logprobs() != kNoLogprobs) out.logprobs = logprobs.data();
    if (!top_token_ids.empty()) {
      out.top_token_ids = top_token_ids.data();
      out.top_logprobs = top_logprobs.data();
      out.top_capacity = static_cast<int32_t>(top_token_ids.size());
    }
    return out;
  }

  std::vector<float> logprobs;
  std::vector<int32_t> top_token_ids;
  std::vector<float> top_logprobs;
};

using TimesTuple = py::typing::Tuple<py::array_t<uint64_t>, py::array_t<int32_t>, py::int_>;

TimesTuple TimeRowsOf(const LogitsArray& logits, const BatchParams& params, bool sweep) {
  const LogitsView& view = logits.host_view();
  if (params.batch_size() != view.batch_size) {
    RaiseParameterError("params must be prepared for " + std::to_string(view.batch_size) + " rows, got " +
                        std::to_string(params.batch_size()));
  }
  py::array_t<uint64_t> times({view.batch_size, int64_t{2}});
  py::array_t<int32_t> token_ids({view.batch_size, int64_t{params.n()}});
  RowScratch scratch(params);
  std::vector<RowInput> inputs;
  std::vector<RowOutput> outputs;
  std::vector<Status> statuses(static_cast<size_t>(view.batch_size), Status::kOk);
  for (int64_t row = 0; row < view.batch_size; ++row) {
    inputs.push_back(params.Input(view, row));
    int32_t* const drawn = token_ids.mutable_data() + row * params.n();
    outputs.push_back(scratch.Output(params, drawn, &statuses[static_cast<size_t>(row)]));
  }
  static_assert(sizeof(RowTime) == 2 * sizeof(uint64_t), "times are handed out as [batch, 2]");
  RowTime* const out = reinterpret_cast<RowTime*>(times.mutable_data());
  uint64_t clock_ns;
  {
    const py::gil_scoped_release released;
    clock_ns = TimeRows(inputs.data(), outputs.data(), view.batch_size, sweep, out);
  }
  // A bad row is given up early: its time would be of no use, and quick.
  const auto bad = std::find_if(statuses.begin(), statuses.end(), [](Status status) { return status != Status::kOk; });
  if (bad != statuses.end()) {
    RaiseParameterError("logits of a timed row must have a token to draw and no NaN, got status " +
                        std::to_string(static_cast<int32_t>(*bad)) + " at row " +
                        std::to_string(bad - statuses.begin()));
  }
  return py::make_tuple(times, token_ids, clock_ns);
}

py::array_t<uint64_t> TimeOnePassMaxOf(const LogitsArray& logits, bool sweep) {
  py::array_t<uint64_t> times(logits.host_view().batch_size);
  uint64_t* const out = times.mutable_data();
  const py::gil_scoped_release released;
  TimeOnePassMax(logits.host_view(), sweep, out);
  return times;
}

}  // namespace

void BindBench(py::module_& module) {
  module.def("time_rows", &TimeRowsOf, py::arg("logits"), py::arg("params"), py::kw_only(), py::arg("sweep"),
             "CPU time in ns [batch, 2] of the one-pass floor and of the kernel, row after row; the drawn tokens\n"
             "[batch, n]; the clock's own cost in ns, which is already taken off.");
  module.def("time_one_pass_max", &TimeOnePassMaxOf, py::arg("logits"), py::kw_only(), py::arg("sweep"),
             "CPU time in ns [batch] of the one-pass floor, less the clock's own cost.");
}

}  // namespace nexttoken
