// Steps that are captured once and replayed, and steps on two streams at once.
#include <cuda_runtime_api.h>

#include <deque>

#include "checks.h"
#include "device_batch.h"
#include "plans.h"

namespace nexttoken::parity {
namespace {

constexpr int32_t kVocab = 8193;

cudaStream_t TheStream() {
  return static_cast<cudaStream_t>(Device::Stream());
}

// A few rows whose seeds and steps lie in device memory, one a row.
Batch MakeBatch(uint64_t seed, uint64_t number, DType dtype) {
  Batch batch = MakeBatchOfAllKinds(seed, number, kVocab, dtype).Take({0, 1, 2, 3, 4, 6, 7, 14, 20});
  batch.origin = "replay";
  batch.n = 1;
  for (const Integer which : {kSeed, kStep}) {
    batch.integer_forms[which] = Form::kPerRow;
    batch.integer_types[which] = Integers::Type::kInt64;
  }
  for (Row& row : batch.rows) row.integers[kSequenceIndex] &= 0xffff;
  // Some of them must draw, whatever the batch's random parameters are.
  batch.real_forms[kTemperature] = Form::kPerRow;
  batch.real_is_float64[kTemperature] = true;
  for (size_t r = 0; r < batch.rows.size(); ++r) batch.rows[r].reals[kTemperature] = r == 2 ? 0.0 : 0.7;
  return batch;
}

void SetSteps(Batch* batch, uint64_t step) {
  for (size_t r = 0; r < batch->rows.size(); ++r) {
    batch->rows[r].integers[kStep] = step + r * 1000;
    batch->rows[r].integers[kSeed] = r;
  }
}

std::vector<int64_t> Steps(const Batch& batch) {
  std::vector<int64_t> steps;
  for (const Row& row : batch.rows) steps.push_back(static_cast<int64_t>(row.integers[kStep]));
  return steps;
}

struct Graph {
  cudaGraphExec_t graph = nullptr;
  ~Graph() {
    if (graph) cudaGraphExecDestroy(graph);
  }
  template <class Queue>
  void Capture(Queue queue) {
    cudaGraph_t captured;
    RequireSuccess(cudaStreamBeginCapture(TheStream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    queue();
    RequireSuccess(cudaStreamEndCapture(TheStream(), &captured), "cudaStreamEndCapture");
    RequireSuccess(cudaGraphInstantiate(&graph, captured, 0), "cudaGraphInstantiate");
    RequireSuccess(cudaGraphDestroy(captured), "cudaGraphDestroy");
  }
  void Launch() const { RequireSuccess(cudaGraphLaunch(graph, TheStream()), "cudaGraphLaunch"); }
};

}  // namespace

void Checks::Replays(uint64_t number, int replays) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    Batch batch = MakeBatch(seed, number++, dtype);
    SetSteps(&batch, 0);
    DeviceInput input(batch);
    DeviceOutput output(batch, kAllWanted);
    const BatchPlan plan = PlanBatch(batch.size(), batch.vocab, limits);
    DeviceMemory workspace(BatchWorkspaceBytes(input.view(), plan));
    workspace.Spoil();
    const auto step = [&] {
      RequireSuccess(SampleBatch(input.view(), output.view(), plan, workspace.data(), TheStream()), "SampleBatch");
    };
    Graph graph;
    graph.Capture(step);
    for (int i = 0; i < replays; ++i) {
      SetSteps(&batch, static_cast<uint64_t>(i));
      input.memory_of(kStep)->Upload(Steps(batch).data());
      graph.Launch();
      Compare("replay", batch, output.Read(), OnHost(batch), Logprobs::kClose, parity::Told(plan));
    }

    // An upload that is captured takes its bytes with it.
    SetSteps(&batch, 5);
    std::vector<int64_t> steps = Steps(batch);
    Graph with_upload;
    with_upload.Capture([&] {
      const size_t bytes = steps.size() * sizeof(int64_t);
      RequireSuccess(UploadToDevice(input.memory_of(kStep)->data(), steps.data(), bytes, TheStream()),
                     "UploadToDevice");
      step();
    });
    std::fill(steps.begin(), steps.end(), -1);
    for (int i = 0; i < 3; ++i) {
      input.memory_of(kStep)->Upload(steps.data());
      with_upload.Launch();
      Compare("replayed upload", batch, output.Read(), OnHost(batch), Logprobs::kClose, parity::Told(plan));
    }
  }

  const std::vector<char> large(kMaxCapturedUpload + 1);
  const DeviceMemory memory(large.size());
  cudaGraph_t captured = nullptr;
  RequireSuccess(cudaStreamBeginCapture(TheStream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  const int error = UploadToDevice(memory.data(), large.data(), large.size(), TheStream());
  cudaStreamEndCapture(TheStream(), &captured);
  if (captured) cudaGraphDestroy(captured);
  cudaGetLastError();
  tally.AddOther("upload", error == cudaErrorStreamCaptureUnsupported, "too large an upload was captured");
}

void Checks::TwoStreams(uint64_t number, int repeats) {
  Batch batches[2] = {MakeBatch(seed, number, DType::kFloat32), MakeBatch(seed, number + 1, DType::kBFloat16)};
  std::deque<DeviceInput> inputs;
  std::deque<DeviceOutput> outputs;
  std::deque<DeviceMemory> workspaces;
  std::vector<BatchPlan> plans;
  std::vector<Results> wanted;
  cudaStream_t streams[2];
  for (size_t i = 0; i < 2; ++i) {
    SetSteps(&batches[i], 40 + i);
    inputs.emplace_back(batches[i]);
    outputs.emplace_back(batches[i], kAllWanted);
    plans.push_back(PlanBatch(batches[i].size(), kVocab, limits));
    workspaces.emplace_back(BatchWorkspaceBytes(inputs[i].view(), plans[i]));
    workspaces[i].Spoil();
    wanted.push_back(OnHost(batches[i]));
    RequireSuccess(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking), "cudaStreamCreate");
  }
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (DeviceOutput& output : outputs) output.Spoil();
    Device::Synchronize();
    for (int queued = 0; queued < 8; ++queued) {
      for (size_t i = 0; i < 2; ++i) {
        RequireSuccess(SampleBatch(inputs[i].view(), outputs[i].view(), plans[i], workspaces[i].data(), streams[i]),
                       "SampleBatch");
      }
    }
    for (size_t i = 0; i < 2; ++i) RequireSuccess(cudaStreamSynchronize(streams[i]), "cudaStreamSynchronize");
    for (size_t i = 0; i < 2; ++i) {
      Compare("two streams", batches[i], outputs[i].Read(), wanted[i], Logprobs::kClose, parity::Told(plans[i]));
    }
  }
  for (cudaStream_t stream : streams) RequireSuccess(cudaStreamDestroy(stream), "cudaStreamDestroy");
}

}  // namespace nexttoken::parity
