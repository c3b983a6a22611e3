#include "nexttoken/sampler.h"

#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "errors.h"
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

// What a step needs on its way between Python and the core, kept by each thread for its memory.
struct StepMemory {
  std::vector<int64_t> rows;
  std::vector<int64_t> lines;
  StepOutput output;
};

// Taken while in use: reading the arguments and making the result may run Python code, which may step, too.
class BorrowedMemory {
 public:
  BorrowedMemory() : memory_(std::move(Kept())) {
    if (!memory_) memory_ = std::make_unique<StepMemory>();
  }
  ~BorrowedMemory() { Kept() = std::move(memory_); }
  BorrowedMemory(const BorrowedMemory&) = delete;
  BorrowedMemory& operator=(const BorrowedMemory&) = delete;
  StepMemory* operator->() { return memory_.get(); }
  StepMemory* get() { return memory_.get(); }

 private:
  static std::unique_ptr<StepMemory>& Kept() {
    thread_local std::unique_ptr<StepMemory> kept;
    return kept;
  }
  std::unique_ptr<StepMemory> memory_;
};

std::string Shown(py::handle value) {
  return py::module_::import("nexttoken.params").attr("shown")(value).cast<std::string>();
}

std::string At(Py_ssize_t position) {
  return " at position " + std::to_string(position);
}

// A sequence of Python integers in [0, end), null for 2**63. That is for the message about those that no int64_t holds:
// the others are checked by the core.
void ReadIntegers(const char* name, const int64_t* end, py::handle sequence, std::vector<int64_t>* values) {
  values->clear();
  const Py_ssize_t size = PySequence_Size(sequence.ptr());
  if (size < 0) throw py::error_already_set();
  for (Py_ssize_t i = 0; i < size; ++i) {
    auto item = py::reinterpret_steal<py::object>(PySequence_GetItem(sequence.ptr(), i));
    if (!item) throw py::error_already_set();
    if (!PyLong_Check(item.ptr())) {
      auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(item.ptr()));  // NumPy's integers, too
      if (!integer) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
        PyErr_Clear();
        RaiseParameterTypeError(std::string(name) + " must hold integers, got " + Shown(item) + At(i));
      }
      item = std::move(integer);
    }
    int overflow = 0;
    values->push_back(PyLong_AsLongLongAndOverflow(item.ptr(), &overflow));
    if (overflow) {
      const std::string range = "[0, " + (end ? std::to_string(*end) : "2**63") + ")";
      RaiseParameterError(std::string(name) + " must be in " + range + ", got " + Shown(item) + At(i));
    }
  }
}

template <class T, class U>
py::array_t<T> ToArray(const std::vector<U>& values) {
  static_assert(sizeof(T) == sizeof(U));
  py::array_t<T> array(static_cast<py::ssize_t>(values.size()));
  std::memcpy(array.mutable_data(), values.data(), values.size() * sizeof(T));
  return array;
}

// [rows, top]
template <class T>
py::array_t<T> ToArray(const std::vector<T>& values, size_t rows, int32_t top) {
  py::array_t<T> array({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(top)});
  if (!values.empty()) std::memcpy(array.mutable_data(), values.data(), values.size() * sizeof(T));
  return array;
}

// In the order of nexttoken.sampler.StepResult.
using StepTuple =
    py::typing::Tuple<py::array_t<int32_t>, py::array_t<int32_t>, py::typing::List<py::typing::Optional<py::str>>,
                      py::typing::Optional<py::typing::List<py::str>>, py::typing::Optional<py::array_t<float>>,
                      py::array_t<int32_t>, py::array_t<float>>;

py::list Reasons(const StepOutput& output) {
  py::list reasons(output.finish.size());
  for (size_t i = 0; i < output.finish.size(); ++i) {
    PyList_SET_ITEM(reasons.ptr(), static_cast<Py_ssize_t>(i), NameOf(output.finish[i]).release().ptr());
  }
  return reasons;
}

py::object Texts(const StepOutput& output, bool has_text) {
  return has_text ? py::cast(output.text) : py::none();
}

StepTuple ToTuple(const StepOutput& output, bool has_text) {
  const size_t count = output.token_ids.size();
  py::object logprobs = py::none();
  if (!output.logprobs.empty()) logprobs = ToArray<float>(output.logprobs);
  return py::make_tuple(ToArray<int32_t>(output.token_ids), ToArray<int32_t>(output.status), Reasons(output),
                        Texts(output, has_text), std::move(logprobs),
                        ToArray(output.top_token_ids, count, output.top_count),
                        ToArray(output.top_logprobs, count, output.top_count));
}

using Bitmask = std::optional<py::array_t<int32_t, py::array::c_style>>;

// rows and lines: sequences, or None; the kinds are checked in Python. All of it is borrowed.
StepInput ReadInput(const LogitsView& logits, py::handle rows, py::handle lines, const Bitmask& bitmask,
                    StepMemory* memory) {
  StepInput input;
  input.logits = logits;
  if (!rows.is_none()) {
    ReadIntegers("rows", nullptr, rows, &memory->rows);
    input.rows = memory->rows.data();
    input.row_count = static_cast<int64_t>(memory->rows.size());
  }
  if (!lines.is_none()) {
    ReadIntegers("logits_rows", &input.logits.batch_size, lines, &memory->lines);
    input.lines = memory->lines.data();
    input.line_count = static_cast<int64_t>(memory->lines.size());
  }
  if (bitmask) {
    if (bitmask->ndim() != 1 && bitmask->ndim() != 2) {
      RaiseParameterError("token_bitmask must have the shape (words,) or (rows, words), got " +
                          std::to_string(bitmask->ndim()) + " dimensions");
    }
    input.bitmask = bitmask->data();
    input.bitmask_rows = bitmask->ndim() == 2 ? bitmask->shape(0) : kOneLineForAll;
    input.bitmask_words = bitmask->shape(bitmask->ndim() - 1);
  }
  return input;
}

StepTuple Step(Sampler& sampler, py::handle logits, py::handle rows, py::handle lines, const Bitmask& bitmask) {
  BorrowedMemory memory;
  const LogitsArray array(logits, Memory::kHost);
  const StepInput input = ReadInput(array.view(), rows, lines, bitmask, memory.get());
  {
    const py::gil_scoped_release released;
    sampler.Step(input, &memory->output);
  }
  return ToTuple(memory->output, sampler.has_text());
}

// Rows whose tokens are drawn on a device: between Look and Take.
struct Draws {
  std::vector<Sampler::Draw> rows;
};

std::unique_ptr<Draws> Look(Sampler& sampler, const LogitsArray& logits, py::handle rows, py::handle lines,
                            const Bitmask& bitmask) {
  BorrowedMemory memory;
  const StepInput input = ReadInput(logits.view(), rows, lines, bitmask, memory.get());
  const py::gil_scoped_release released;
  return std::make_unique<Draws>(Draws{sampler.Look(input)});
}

template <class T, class Get>
py::array_t<T> Column(const Draws& draws, Get get) {
  py::array_t<T> column(static_cast<py::ssize_t>(draws.rows.size()));
  T* out = column.mutable_data();
  for (const Sampler::Draw& draw : draws.rows) *out++ = static_cast<T>(get(draw));
  return column;
}

template <class T>
py::array_t<T> Flat(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// The parameters by the names of _cuda.Batch, as per_row.batch_arguments gives those of a call; without what is one
// for all rows there.
py::typing::Dict<py::str, py::array> Arguments(const Draws& draws) {
  std::vector<int32_t> bias_tokens, prompt_tokens, output_tokens;
  std::vector<double> bias_values;
  std::vector<int64_t> bias_offsets{0}, prompt_offsets{0}, output_offsets{0};
  for (const Sampler::Draw& draw : draws.rows) {
    const Request& bias = *draw.bias;
    bias_tokens.insert(bias_tokens.end(), bias.bias_tokens.begin(), bias.bias_tokens.end());
    bias_values.insert(bias_values.end(), bias.bias_values.begin(), bias.bias_values.end());
    bias_offsets.push_back(static_cast<int64_t>(bias_tokens.size()));
    // Rows differ in what their penalties count, a batch does not: where they count the prompt, it is output.
    std::vector<int32_t>& read = draw.params.penalize_prompt ? output_tokens : prompt_tokens;
    for (const HistoryEntry& entry : draw.history) {
      read.insert(read.end(), entry.prompt_count, entry.token);
      output_tokens.insert(output_tokens.end(), entry.output_count, entry.token);
    }
    prompt_offsets.push_back(static_cast<int64_t>(prompt_tokens.size()));
    output_offsets.push_back(static_cast<int64_t>(output_tokens.size()));
  }
  using Draw = Sampler::Draw;
  py::typing::Dict<py::str, py::array> arguments;
  arguments["temperature"] = Column<double>(draws, [](const Draw& d) { return d.params.temperature; });
  arguments["top_p"] = Column<double>(draws, [](const Draw& d) { return d.params.top_p; });
  arguments["top_k"] = Column<int64_t>(draws, [](const Draw& d) { return d.params.top_k; });
  arguments["min_p"] = Column<double>(draws, [](const Draw& d) { return d.params.min_p; });
  arguments["presence_penalty"] = Column<double>(draws, [](const Draw& d) { return d.params.presence_penalty; });
  arguments["frequency_penalty"] = Column<double>(draws, [](const Draw& d) { return d.params.frequency_penalty; });
  arguments["repetition_penalty"] = Column<double>(draws, [](const Draw& d) { return d.params.repetition_penalty; });
  arguments["seed"] = Column<uint64_t>(draws, [](const Draw& d) { return d.params.seed; });
  arguments["sequence_index"] = Column<int64_t>(draws, [](const Draw& d) { return d.params.sequence_index; });
  arguments["step"] = Column<uint64_t>(draws, [](const Draw& d) { return d.step; });
  arguments["bias_tokens"] = Flat(bias_tokens);
  arguments["bias_values"] = Flat(bias_values);
  arguments["bias_offsets"] = Flat(bias_offsets);
  arguments["prompt_tokens"] = Flat(prompt_tokens);
  arguments["prompt_offsets"] = Flat(prompt_offsets);
  arguments["output_tokens"] = Flat(output_tokens);
  arguments["output_offsets"] = Flat(output_offsets);
  return arguments;
}

// Finish reasons and text.
using TakenTuple =
    py::typing::Tuple<py::typing::List<py::typing::Optional<py::str>>, py::typing::Optional<py::typing::List<py::str>>>;

TakenTuple Take(Sampler& sampler, const Draws& draws, const py::array_t<int32_t, py::array::c_style>& token_ids,
                const py::array_t<int32_t, py::array::c_style>& status) {
  const auto count = static_cast<py::ssize_t>(draws.rows.size());
  if (token_ids.size() != count || status.size() != count) {
    RaiseParameterError("token_ids and status must have one entry per row (" + std::to_string(count) + "), got " +
                        std::to_string(token_ids.size()) + " and " + std::to_string(status.size()));
  }
  static_assert(sizeof(Status) == sizeof(int32_t));
  BorrowedMemory memory;
  {
    const py::gil_scoped_release released;
    sampler.Take(draws.rows, token_ids.data(), reinterpret_cast<const Status*>(status.data()), &memory->output);
  }
  return py::make_tuple(Reasons(memory->output), Texts(memory->output, sampler.has_text()));
}

// In the order of nexttoken.sampler.RowInfo.
using InfoTuple = py::typing::Tuple<py::int_, py::int_, py::int_, py::typing::Optional<py::str>,
                                    py::typing::Optional<py::int_>, py::int_>;

InfoTuple Info(const Sampler& sampler, int64_t row) {
  Sampler::RowInfo info;
  {
    const py::gil_scoped_release released;
    info = sampler.Info(row);
  }
  py::object matched = py::none();
  if (info.matched_stop >= 0) matched = py::int_(info.matched_stop);
  return py::make_tuple(info.seed, info.sequence_index, info.step, NameOf(info.finish), matched, info.shown_bytes);
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
  py::class_<Draws>(module, "Draws", "Rows of a step whose tokens are drawn elsewhere: between Sampler.look and take.")
      .def_property_readonly("arguments", &Arguments, "The rows' parameters, by the names of _cuda.Batch.")
      .def_property_readonly(
          "logprobs",
          [](const Draws& d) { return Column<int32_t>(d, [](const auto& r) { return r.params.logprobs; }); },
          "int32 [rows]: -1 where a row asks for none.")
      .def_property_readonly(
          "processed",
          [](const Draws& d) {
            return Column<bool>(d, [](const auto& r) { return r.params.logprobs_mode == LogprobsMode::kProcessed; });
          },
          "bool [rows]: of which logits.");
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
      .def("step", &Step, py::arg("logits"), py::arg("rows"), py::arg("lines"), py::arg("bitmask"))
      .def("look", &Look, py::arg("logits"), py::arg("rows"), py::arg("lines"), py::arg("bitmask"))
      .def("take", &Take, py::arg("draws"), py::arg("token_ids"), py::arg("status"));
}

}  // namespace nexttoken
