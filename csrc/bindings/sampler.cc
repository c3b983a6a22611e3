#include "nexttoken/sampler.h"

#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <optional>
#include <string>
#include <utility>

#include "arrays.h"
#include "bindings.h"
#include "float_environment.h"

namespace py = pybind11;

namespace nexttoken {
namespace {

// Values are checked in Python (params.py) and rounded here, under the contract's float environment.
std::shared_ptr<Request> MakeRequest(double temperature, double top_p, int64_t top_k, double min_p,
                                     double presence_penalty, double frequency_penalty, double repetition_penalty,
                                     bool penalize_prompt, int logprobs, bool processed,
                                     std::vector<int32_t> bias_tokens, const std::vector<double>& bias_values,
                                     const std::vector<py::bytes>& stop, std::vector<int32_t> stop_tokens,
                                     std::optional<int64_t> max_tokens, int64_t min_tokens, bool ignore_eos) {
  const FloatEnvironment environment;
  auto request = std::make_shared<Request>();
  RowParams& p = request->params;
  p.temperature = static_cast<float>(temperature);
  p.top_p = top_p;
  p.top_k = static_cast<int32_t>(std::min<int64_t>(top_k, kMaxVocabSize));
  p.min_p = min_p;
  p.presence_penalty = static_cast<float>(presence_penalty);
  p.frequency_penalty = static_cast<float>(frequency_penalty);
  p.repetition_penalty = static_cast<float>(repetition_penalty);
  p.penalize_prompt = penalize_prompt;
  p.logprobs = static_cast<int8_t>(logprobs);
  p.logprobs_mode = processed ? LogprobsMode::kProcessed : LogprobsMode::kRaw;
  request->bias_tokens = std::move(bias_tokens);
  for (const double value : bias_values) request->bias_values.push_back(static_cast<float>(value));
  if (!stop.empty()) {
    const std::vector<std::string_view> stops(stop.begin(), stop.end());
    request->stops = std::make_shared<const StopAutomaton>(stops);
  }
  request->stop_tokens = std::move(stop_tokens);
  request->max_tokens = max_tokens.value_or(-1);
  request->min_tokens = min_tokens;
  request->ignore_eos = ignore_eos;
  return request;
}

py::object NameOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return py::str("stop");
    case FinishReason::kLength:
      return py::str("length");
    case FinishReason::kError:
      return py::str("error");
    default:
      return py::none();
  }
}

// In the order of nexttoken.sampler.StepResult.
using StepTuple =
    py::typing::Tuple<py::array_t<int32_t>, py::array_t<int32_t>, py::typing::List<py::typing::Optional<py::str>>,
                      py::typing::Optional<py::typing::List<py::str>>, py::typing::Optional<py::array_t<float>>,
                      py::array_t<int32_t>, py::array_t<float>>;

StepTuple Step(Sampler& sampler, const LogitsArray& logits, const std::vector<int64_t>& rows,
               const std::vector<int64_t>& lines,
               const std::optional<py::array_t<int32_t, py::array::c_style>>& bitmask) {
  const LogitsView& view = logits.view();
  if (view.vocab_size < sampler.vocab_size()) {
    RaiseParameterError("logits must have at least " + std::to_string(sampler.vocab_size()) + " columns, got " +
                        std::to_string(view.vocab_size));
  }
  if (lines.size() != rows.size()) {
    RaiseParameterError("logits_rows must have one entry per row, expected " + std::to_string(rows.size()) + ", got " +
                        std::to_string(lines.size()));
  }
  for (const int64_t line : lines) {
    if (line < 0 || line >= view.batch_size) {
      RaiseParameterError("logits_rows must be in [0, " + std::to_string(view.batch_size) + "), got " +
                          std::to_string(line));
    }
  }
  const auto count = static_cast<py::ssize_t>(rows.size());
  const py::ssize_t words = (sampler.vocab_size() + 31) / 32;
  if (bitmask &&
      (bitmask->ndim() != 2 || bitmask->shape(1) != words || (bitmask->shape(0) != 1 && bitmask->shape(0) != count))) {
    RaiseParameterError("token_bitmask must have the shape (" + std::to_string(words) + ",) or (" +
                        std::to_string(count) + ", " + std::to_string(words) + ")");
  }
  const int64_t bitmask_stride = bitmask && bitmask->shape(0) == 1 ? 0 : words;
  int32_t asked;
  {
    const py::gil_scoped_release released;  // another thread's step may hold the sampler for a while
    asked = sampler.Logprobs(rows);
  }
  const py::ssize_t top = std::max(asked, 0);
  py::array_t<int32_t> token_ids(count);
  py::array_t<int32_t> status(count);
  std::optional<py::array_t<float>> logprobs;
  if (asked != kNoLogprobs) logprobs.emplace(count);
  py::array_t<int32_t> top_token_ids({count, top});
  py::array_t<float> top_logprobs({count, top});
  std::vector<FinishReason> finish(rows.size());
  std::vector<std::string> text(rows.size());
  StepOutput output{};
  output.token_ids = token_ids.mutable_data();
  output.status = reinterpret_cast<Status*>(status.mutable_data());
  output.finish = finish.data();
  output.logprobs = logprobs ? logprobs->mutable_data() : nullptr;
  output.top_token_ids = top_token_ids.mutable_data();
  output.top_logprobs = top_logprobs.mutable_data();
  output.top_capacity = static_cast<int32_t>(top);
  output.text = &text;
  {
    const py::gil_scoped_release released;
    sampler.Step(view, rows, lines, bitmask ? bitmask->data() : nullptr, bitmask_stride, output);
  }
  py::list reasons;
  for (const FinishReason reason : finish) reasons.append(NameOf(reason));
  py::object texts = py::none();
  if (sampler.has_text()) texts = py::cast(text);
  return py::make_tuple(token_ids, status, reasons, texts, logprobs, top_token_ids, top_logprobs);
}

// In the order of nexttoken.sampler.RowInfo.
using InfoTuple =
    py::typing::Tuple<py::int_, py::int_, py::int_, py::typing::Optional<py::str>, py::typing::Optional<py::int_>>;

InfoTuple Info(const Sampler& sampler, int64_t row) {
  Sampler::RowInfo info;
  {
    const py::gil_scoped_release released;
    info = sampler.Info(row);
  }
  py::object matched = py::none();
  if (info.matched_stop >= 0) matched = py::int_(info.matched_stop);
  return py::make_tuple(info.seed, info.sequence_index, info.step, NameOf(info.finish), matched);
}

std::unique_ptr<Sampler> MakeSampler(int32_t vocab_size, const std::optional<std::vector<py::bytes>>& token_bytes,
                                     std::vector<int32_t> eos_tokens, bool strip_leading_space) {
  std::vector<std::string> table;
  if (token_bytes) table.assign(token_bytes->begin(), token_bytes->end());
  return std::make_unique<Sampler>(vocab_size, std::move(table), std::move(eos_tokens), strip_leading_space);
}

}  // namespace

void BindSampler(py::module_& module) {
  py::class_<Request, std::shared_ptr<Request>>(module, "Request",
                                                "A request's checked parameters, shared by its rows.")
      .def(py::init(&MakeRequest), py::arg("temperature"), py::arg("top_p"), py::arg("top_k"), py::arg("min_p"),
           py::arg("presence_penalty"), py::arg("frequency_penalty"), py::arg("repetition_penalty"),
           py::arg("penalize_prompt"), py::arg("logprobs"), py::arg("processed"), py::arg("bias_tokens"),
           py::arg("bias_values"), py::arg("stop"), py::arg("stop_tokens"), py::arg("max_tokens"),
           py::arg("min_tokens"), py::arg("ignore_eos"));
  const auto released = py::call_guard<py::gil_scoped_release>();
  py::class_<Sampler>(module, "Sampler", "Rows and their state; see nexttoken.Sampler.")
      .def(py::init(&MakeSampler), py::arg("vocab_size"), py::arg("token_bytes"), py::arg("eos_tokens"),
           py::arg("strip_leading_space"))
      .def(
          "add",
          [](Sampler& s, const std::shared_ptr<Request>& request, const std::vector<int32_t>& prompt,
             const std::vector<int32_t>& output, uint64_t seed,
             uint32_t sequence_index) { return s.Add(request, prompt, output, seed, sequence_index); },
          py::arg("request"), py::arg("prompt"), py::arg("output"), py::arg("seed"), py::arg("sequence_index"),
          released)
      .def("fork", &Sampler::Fork, py::arg("row"), py::arg("n"), py::arg("sequence_index"), released)
      .def("remove", &Sampler::Remove, py::arg("row"), released)
      .def("active_rows", &Sampler::ActiveRows, released)
      .def("info", &Info, py::arg("row"))
      .def("step", &Step, py::arg("logits"), py::arg("rows"), py::arg("lines"), py::arg("bitmask"));
}

}  // namespace nexttoken
