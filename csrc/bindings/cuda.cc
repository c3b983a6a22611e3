// _cuda: batches in device memory for Python. Addresses come in as integers: cuda.py has looked at the arrays, and
// allocates through their library what a step needs. Loaded at the first CUDA tensor.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>

#include "device_batch.h"
#include "errors.h"
#include "float_environment.h"
#include "nexttoken/device_runtime.h"
#include "nexttoken/sample_batch.h"

#ifndef NEXTTOKEN_CUDA_MODULE
#define NEXTTOKEN_CUDA_MODULE _cuda
#endif

namespace py = pybind11;

namespace nexttoken {
namespace {

void Check(int error, const std::string& what) {
  if (error) RaiseDeviceError(what + " failed: " + ErrorText(error));
}

template <class T>
T* Pointer(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

// Asked once a device. Errors are raised without the lock: making one runs Python, which may let another thread go on.
DeviceLimits KnownLimits(int device) {
  static std::mutex mutex;
  static std::map<int, DeviceLimits> known;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = known.find(device);
    if (found != known.end()) return found->second;
  }
  int count = 0;
  if (const int error = CountDevices(&count)) RaiseDeviceError("no CUDA device: " + ErrorText(error));
  if (device < 0 || device >= count) {
    RaiseDeviceError("no CUDA device " + std::to_string(device) + ": there are " + std::to_string(count));
  }
  DeviceLimits limits;
  Check(ReadDeviceLimits(device, &limits), "asking cuda:" + std::to_string(device) + " for its limits");
  const std::lock_guard<std::mutex> lock(mutex);
  return known[device] = limits;
}

// address, batch_size, vocab_size, row_stride, element_stride, dtype: _core.Logits.layout
using Layout = std::tuple<uintptr_t, int64_t, int64_t, int64_t, int64_t, int>;

LogitsView ViewOf(const Layout& layout) {
  const auto& [address, batch_size, vocab_size, row_stride, element_stride, dtype] = layout;
  return {Pointer<const void>(address), batch_size, vocab_size, row_stride, element_stride, static_cast<DType>(dtype)};
}

// A batch on its way: made, placed, uploaded, then run.
class Batch {
 public:
  Batch(const Layout& logits, int device, const RealArgument& temperature, const RealArgument& top_p,
        const IntegerArgument& top_k, const RealArgument& min_p, const RealArgument& presence_penalty,
        const RealArgument& frequency_penalty, const RealArgument& repetition_penalty, const UnsignedArgument& seed,
        const IntegerArgument& sequence_index, const UnsignedArgument& step, const Array<int32_t>& bias_tokens,
        const Array<double>& bias_values, const Array<int64_t>& bias_offsets, const Array<int32_t>& prompt_tokens,
        const Array<int64_t>& prompt_offsets, const Array<int32_t>& output_tokens, const Array<int64_t>& output_offsets,
        const std::optional<TokensOnDevice>& prompt_matrix, const std::optional<TokensOnDevice>& output_matrix,
        const std::optional<BitmaskArgument>& token_bitmask, bool penalize_prompt, int n, int logprobs, bool processed)
      : batch_(ViewOf(logits)), device_(device) {
    BatchInput& input = batch_.input();
    plan_ = PlanBatch(std::max<int64_t>(1, batch_.rows()), input.logits.vocab_size, KnownLimits(device));
    batch_.SetSeeds(seed);
    batch_.Set(&input.temperature, temperature);
    batch_.Set(&input.top_p, top_p);
    batch_.Set(&input.top_k, top_k);
    batch_.Set(&input.min_p, min_p);
    batch_.Set(&input.presence_penalty, presence_penalty);
    batch_.Set(&input.frequency_penalty, frequency_penalty);
    batch_.Set(&input.repetition_penalty, repetition_penalty);
    batch_.Set(&input.sequence_index, sequence_index);
    batch_.Set(&input.step, step);
    input.logprobs.value = static_cast<uint64_t>(int64_t{logprobs});
    batch_.SetBias(bias_tokens, bias_values, bias_offsets);
    if (token_bitmask) batch_.SetBitmask(*token_bitmask);
    batch_.SetHistory(prompt_tokens, prompt_offsets, output_tokens, output_offsets);
    if (prompt_matrix) batch_.SetTokens(&input.prompt, *prompt_matrix);
    if (output_matrix) batch_.SetTokens(&input.output, *output_matrix);
    input.penalize_prompt = penalize_prompt;
    input.logprobs_mode = processed ? LogprobsMode::kProcessed : LogprobsMode::kRaw;
    input.n = n;
    top_capacity_ = std::max(0, logprobs);
  }

  size_t block_bytes() const { return batch_.block_bytes(); }

  void Place(uintptr_t block) { batch_.Place(Pointer<void>(block)); }

  void Upload(uintptr_t stream) {
    int error;
    {
      const py::gil_scoped_release released;
      const CurrentDevice current(device_);
      error = current.error() ? current.error() : batch_.Upload(Pointer<void>(stream));
    }
    if (!error) return;
    std::string what = "copying " + std::to_string(block_bytes()) + " bytes of parameters to the device";
    constexpr int kNotInCapture = 900;  // cudaErrorStreamCaptureUnsupported
    if (error == kNotInCapture && block_bytes() > kMaxCapturedUpload) {
      what += " (within a graph capture at most " + std::to_string(kMaxCapturedUpload) + ")";
    }
    Check(error, what);
  }

  size_t WorkspaceBytes() { return BatchWorkspaceBytes(batch_.input(), plan_); }

  void Sample(uintptr_t workspace, uintptr_t stream, uintptr_t token_ids, uintptr_t status, uintptr_t logprobs,
              uintptr_t top_token_ids, uintptr_t top_logprobs) {
    BatchOutput output;
    output.token_ids = Pointer<int32_t>(token_ids);
    output.status = Pointer<Status>(status);
    output.logprobs = Pointer<float>(logprobs);
    output.top_token_ids = Pointer<int32_t>(top_token_ids);
    output.top_logprobs = Pointer<float>(top_logprobs);
    output.top_capacity = top_capacity_;
    Run(output, workspace, stream);
  }

  void Distribution(uintptr_t workspace, uintptr_t stream, uintptr_t weights, uintptr_t mass, uintptr_t status) {
    BatchOutput output;
    output.weights = Pointer<uint64_t>(weights);
    output.mass = Pointer<uint64_t>(mass);
    output.status = Pointer<Status>(status);
    Run(output, workspace, stream);
  }

 private:
  void Run(const BatchOutput& output, uintptr_t workspace, uintptr_t stream) {
    if (batch_.rows() == 0) return;
    int error;
    {
      const py::gil_scoped_release released;
      const FloatEnvironment environment;  // values of the host are rounded on the way
      const CurrentDevice current(device_);
      error = current.error()
                  ? current.error()
                  : SampleBatch(batch_.input(), output, plan_, Pointer<void>(workspace), Pointer<void>(stream));
    }
    Check(error, "launching the step on cuda:" + std::to_string(device_));
  }

  DeviceBatch batch_;
  int device_;
  BatchPlan plan_;
  int32_t top_capacity_ = 0;
};

int DeviceCount() {
  int count = 0;
  CountDevices(&count);
  return count;
}

std::optional<int> DeviceOfAddress(uintptr_t address) {
  int device = -1;
  Check(DeviceOf(Pointer<const void>(address), &device), "asking which device holds an address");
  return device < 0 ? std::nullopt : std::optional<int>(device);
}

void Order(int device, uintptr_t stream, uintptr_t before) {
  const CurrentDevice current(device);
  Check(current.error() ? current.error() : QueueAfter(Pointer<void>(stream), Pointer<void>(before)),
        "ordering two streams of cuda:" + std::to_string(device));
}

}  // namespace
}  // namespace nexttoken

PYBIND11_MODULE(NEXTTOKEN_CUDA_MODULE, module, py::mod_gil_not_used()) {
  using namespace nexttoken;
  module.doc() = "The CUDA kernels of nexttoken. Private: nexttoken.cuda finds and uses it.";
  module.def("device_count", &DeviceCount, "0 where there is no card, or no driver for it.");
  module.def("device_of", &DeviceOfAddress, py::arg("address"), "The device that holds an address; None: the host.");
  module.def("order", &Order, py::arg("device"), py::arg("stream"), py::arg("before"),
             "What is queued on `stream` from now on runs after what is queued on `before` by now.");
  py::class_<Batch>(module, "Batch", "A batch on its way: made, placed, uploaded, then run.")
      .def(
          py::init<const Layout&, int, const RealArgument&, const RealArgument&, const IntegerArgument&,
                   const RealArgument&, const RealArgument&, const RealArgument&, const RealArgument&,
                   const UnsignedArgument&, const IntegerArgument&, const UnsignedArgument&, const Array<int32_t>&,
                   const Array<double>&, const Array<int64_t>&, const Array<int32_t>&, const Array<int64_t>&,
                   const Array<int32_t>&, const Array<int64_t>&, const std::optional<TokensOnDevice>&,
                   const std::optional<TokensOnDevice>&, const std::optional<BitmaskArgument>&, bool, int, int, bool>(),
          py::arg("logits"), py::arg("device"), py::kw_only(), py::arg("temperature"), py::arg("top_p"),
          py::arg("top_k"), py::arg("min_p"), py::arg("presence_penalty"), py::arg("frequency_penalty"),
          py::arg("repetition_penalty"), py::arg("seed"), py::arg("sequence_index"), py::arg("step"),
          py::arg("bias_tokens"), py::arg("bias_values"), py::arg("bias_offsets"), py::arg("prompt_tokens"),
          py::arg("prompt_offsets"), py::arg("output_tokens"), py::arg("output_offsets"), py::arg("prompt_matrix"),
          py::arg("output_matrix"), py::arg("token_bitmask"), py::arg("penalize_prompt"), py::arg("n"),
          py::arg("logprobs"), py::arg("processed"))
      .def_property_readonly("block_bytes", &Batch::block_bytes,
                             "What the host's parameters take on the device, its seeds (if any) first.")
      .def("place", &Batch::Place, py::arg("block"), "Device memory for them.")
      .def("workspace_bytes", &Batch::WorkspaceBytes, "Once placed.")
      .def("upload", &Batch::Upload, py::arg("stream"))
      .def("sample", &Batch::Sample, py::arg("workspace"), py::arg("stream"), py::arg("token_ids"), py::arg("status"),
           py::arg("logprobs"), py::arg("top_token_ids"), py::arg("top_logprobs"),
           "Addresses of results; 0: not wanted.")
      .def("distribution", &Batch::Distribution, py::arg("workspace"), py::arg("stream"), py::arg("weights"),
           py::arg("mass"), py::arg("status"));
}
