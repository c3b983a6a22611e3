// One row from arbitrary bytes: the naive statement of the contract against every target that runs on this machine.
//
// Input: a header of fixed length with the parameters, each a byte that picks from a list of hard values or asks for
// raw bytes; then bias, history and bitmask; what is left makes the logits, over and over where it is short.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "naive.h"
#include "nexttoken/history.h"
#include "nexttoken/sample.h"
#include "targets.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

using nexttoken::DType;
using nexttoken::RowInput;

class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t Byte() { return at_ < size_ ? data_[at_++] : 0; }
  template <class T>
  T Raw() {
    T value{};
    auto* bytes = reinterpret_cast<uint8_t*>(&value);
    for (size_t i = 0; i < sizeof value; ++i) bytes[i] = Byte();
    return value;
  }
  // From here on the bytes that are left come again and again, changed each time around.
  void Loop() { start_ = at_; }
  uint8_t NextLooped() {
    if (start_ >= size_) return ++around_;
    if (at_ >= size_) {
      at_ = start_;
      ++around_;
    }
    return static_cast<uint8_t>(data_[at_++] + around_);
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
  size_t start_ = 0;
  uint8_t around_ = 0;
};

void Require(bool condition, const char* what, const std::string& target) {
  if (condition) return;
  std::fprintf(stderr, "%s differs on %s\n", what, target.c_str());
  std::abort();
}

constexpr float kMax = 3.4028234663852886e38f;

float PickPenalty(Reader* reader) {
  constexpr float kHard[] = {0.0f, 0.0f, -0.0f, 0.5f, -0.5f, 2.0f, 1e-45f, -1e-40f, kMax, -kMax, 3e38f, 1.1f};
  const uint8_t choice = reader->Byte() % 13;
  if (choice < 12) return kHard[choice];
  const float value = reader->Raw<float>();
  return std::isfinite(value) ? value : 0.0f;
}

double PickShare(Reader* reader) {
  constexpr double kHard[] = {1.0,  1.0, 0.0,  -0.0, 5e-324,        1e-300, 0x1p-43, 0x1p-42,
                              1e-9, 0.1, 0.25, 0.5,  0.5 + 0x1p-53, 0.9,    0.95,    1 - 0x1p-53};
  const uint8_t choice = reader->Byte() % 19;
  if (choice < 16) return kHard[choice];
  if (choice == 16) return reader->Byte() / 255.0;
  const double value = std::fabs(reader->Raw<double>());
  return value <= 1.0 ? value : 1.0;
}

float PickTemperature(Reader* reader) {
  constexpr float kHard[] = {1.0f,          1.0f,          1.0f, 0.0f, 1e-6f, 1e-5f,
                             9.9999994e-6f, 1.0000002e-5f, 0.1f, 0.7f, 2.0f,  1e30f};
  const uint8_t choice = reader->Byte() % 13;
  if (choice < 12) return kHard[choice];
  const float value = std::fabs(reader->Raw<float>());
  return value <= 1e30f ? value : 1.0f;
}

// One item's bits. The styles keep different things likely: ties, neighbours in the last place, special values.
uint32_t PickItem(Reader* reader, int style, DType dtype, uint32_t around) {
  const bool wide = dtype == DType::kFloat32;
  const auto shorten = [&](float value) {  // to bfloat16 by cutting, to float16 not at all: those are raw or neighbours
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return wide ? bits : bits >> 16;
  };
  const uint8_t byte = reader->NextLooped();
  switch (style) {
    case 0: {  // anything at all
      uint32_t bits = byte;
      for (int i = wide ? 3 : 1; i > 0; --i) bits = bits << 8 | reader->NextLooped();
      return bits;
    }
    case 1:  // a few equal levels
      return shorten(static_cast<float>(byte % 7 - 3));
    case 2:  // neighbours
      return around + byte % 4;
    case 3: {  // special values, among many ordinary ones
      constexpr float kSpecial[] = {INFINITY, -INFINITY, 0.0f, -0.0f, kMax, -kMax, 1e-45f, -1e-45f};
      return shorten(byte < 8 ? kSpecial[byte] : byte > 253 ? -INFINITY : static_cast<float>(byte) / 16.0f);
    }
    case 4:  // around the halves where rint changes, at temperature 1
      return shorten(static_cast<float>(byte % 92) * -0.34657359f) + reader->NextLooped() % 3;
    default:  // a spread of fine values
      return shorten(static_cast<float>(byte) / 8.0f - static_cast<float>(reader->NextLooped()) / 4096.0f);
  }
}

struct Fuzzed {
  RowInput input;
  std::vector<char> logits;
  std::vector<int32_t> bitmask, bias_tokens, prompt, output;
  std::vector<float> bias_values;
  nexttoken::History history;
};

void ReadLogits(Reader* reader, Fuzzed* row) {
  const uint8_t shape = reader->Byte();
  const auto dtype = static_cast<DType>(shape % 3);
  const int64_t item = dtype == DType::kFloat32 ? 4 : 2;
  constexpr int64_t kStrides[] = {1, 1, 3, -1};
  const int64_t stride = kStrides[shape / 3 % 4];
  // Seldom so long that the kernel guesses where the cut is (csrc/cpu/row_bracket.h): those take long.
  const bool is_long = shape >= 60 && shape < 63;
  const int64_t vocab = is_long               ? 8192 + reader->Raw<uint16_t>() % 2048
                        : shape / 12 % 4 == 0 ? 1 + reader->Raw<uint16_t>() % 1100
                                              : 1 + reader->Byte() % 70;
  const int64_t unaligned = shape & 1;
  const int style = reader->Byte() % 6;
  const uint32_t around = reader->Raw<uint32_t>();
  reader->Loop();
  const int64_t span = (vocab - 1) * std::abs(stride) + 1;
  row->logits.assign(static_cast<size_t>(unaligned + span * item), '\xff');  // NaN between the items
  char* first = row->logits.data() + unaligned + (stride < 0 ? (vocab - 1) * item : 0);
  for (int64_t i = 0; i < vocab; ++i) {
    const uint32_t bits = PickItem(reader, style, dtype, around);
    std::memcpy(first + i * stride * item, &bits, static_cast<size_t>(item));
  }
  row->input.logits = {first, stride, static_cast<int32_t>(vocab), dtype};
}

void ReadParameters(Reader* reader, Fuzzed* row) {
  auto& p = row->input.params;
  const uint8_t flags = reader->Byte();
  p.temperature = PickTemperature(reader);
  p.top_p = PickShare(reader);
  p.min_p = flags & 1 ? PickShare(reader) : 0.0;
  p.top_k = flags & 2 ? reader->Byte() : 0;
  if (flags & 4) {
    p.presence_penalty = PickPenalty(reader);
    p.frequency_penalty = PickPenalty(reader);
    constexpr float kRepetition[] = {1.0f, 1.1f, 0.5f, 2.0f, 1e-6f, 1e6f, 1.0000001f, 1.3f};
    p.repetition_penalty = kRepetition[reader->Byte() % 8];
  }
  p.penalize_prompt = flags & 8;
  p.logprobs_mode = flags & 16 ? nexttoken::LogprobsMode::kProcessed : nexttoken::LogprobsMode::kRaw;
  p.logprobs = static_cast<int8_t>(reader->Byte() % 22 - 1);
  p.seed = reader->Raw<uint64_t>();
  p.sequence_index = reader->Raw<uint32_t>() & 0xfffffff7u;
  row->input.step = reader->Raw<uint64_t>();
  row->input.n = 1 + reader->Byte() % 8;
}

// Token ids, so after the vocabulary is known; from the looped bytes, as the logits are.
void ReadLists(Reader* reader, Fuzzed* row) {
  RowInput& in = row->input;
  const int32_t vocab = in.logits.vocab_size;
  const auto token = [&] {
    const int low =
        reader->NextLooped();  // by itself: the order of two calls in one expression is the compiler's choice
    return (low | reader->NextLooped() << 8) % vocab;
  };
  const uint8_t flags = reader->NextLooped();
  if (flags & 1) {
    const uint8_t density = reader->NextLooped();
    row->bitmask.assign(static_cast<size_t>(vocab + 31) / 32, 0);
    for (int32_t& word : row->bitmask) {
      for (int i = 0; i < 32; ++i) word |= static_cast<int32_t>(uint32_t{reader->NextLooped() <= density} << i);
    }
    in.token_bitmask = row->bitmask.data();
  }
  for (int i = flags & 2 ? reader->NextLooped() % 6 : 0; i > 0; --i) {
    const int32_t biased = token();
    if (std::count(row->bias_tokens.begin(), row->bias_tokens.end(), biased)) continue;
    constexpr float kBias[] = {-INFINITY, -0.0f, 100.0f, -100.0f, kMax, -kMax, 1e-45f, 1.0f};
    row->bias_tokens.push_back(biased);
    row->bias_values.push_back(kBias[reader->NextLooped() % 8]);
  }
  in.bias_tokens = row->bias_tokens.data();
  in.bias_values = row->bias_values.data();
  in.bias_count = static_cast<int32_t>(row->bias_tokens.size());
  for (int i = flags & 4 ? reader->NextLooped() : 0; i > 0; --i) {
    (i & 1 ? row->prompt : row->output).push_back(i % 3 ? token() : vocab - 1);
  }
  for (const int32_t said : row->prompt) row->history.AddPrompt(said);
  for (const int32_t said : row->output) row->history.AddOutput(said);
  in.history = row->history.entries().data();
  in.history_count = static_cast<int32_t>(row->history.entries().size());
}

bool CloseEnough(float got, double wanted) {
  if (std::isnan(wanted)) return std::isnan(got);
  if (std::fabs(wanted) > 3.4e38) return std::fabs(got) > 3.39e38f;
  return std::fabs(static_cast<double>(got) - wanted) <= 2e-6 + 0x1p-23 * std::fabs(wanted);
}

// Through the library's own entry, while this thread's float environment is not the default one.
void RunUnder(uint32_t environment, const RowInput& input, const nexttoken::RowOutput& output,
              const std::string& target) {
#if defined(__x86_64__)
  const uint32_t before = _mm_getcsr();
  _mm_setcsr(0x1f80u | environment);
  nexttoken::SampleRows(&input, &output, 1);
  const uint32_t after = _mm_getcsr();
  _mm_setcsr(before);
  Require((after & 0xffc0u) == (0x1f80u | environment), "float environment", target);
#else
  (void)environment;
  (void)target;
  nexttoken::SampleRows(&input, &output, 1);
#endif
}

void Compare(const RowInput& input, const naive::Row& wanted, const std::string& target, uint32_t environment) {
  const auto n = static_cast<size_t>(input.n);
  const auto k = static_cast<size_t>(std::max<int>(0, input.params.logprobs));
  // Exactly as long as the contract says: the sanitizers see what lies beyond.
  std::unique_ptr<uint64_t[]> weights(new uint64_t[static_cast<size_t>(input.logits.vocab_size)]);
  std::unique_ptr<int32_t[]> token_ids(new int32_t[n]), top_token_ids(new int32_t[k]);
  std::unique_ptr<float[]> logprobs(new float[n]), top_logprobs(new float[k]);
  nexttoken::Status status;
  uint64_t mass;
  nexttoken::RowOutput output;
  output.token_ids = token_ids.get();
  output.status = &status;
  output.logprobs = logprobs.get();
  output.top_token_ids = top_token_ids.get();
  output.top_logprobs = top_logprobs.get();
  output.top_capacity = static_cast<int32_t>(k);
  output.weights = weights.get();
  output.mass = &mass;
  nexttoken::SetTarget(target);
  if (environment == 0) {
    // Scratch memory of exactly the size asked for, of no meaning.
    const size_t bytes = nexttoken::WorkspaceBytes(input.logits.vocab_size);
    std::unique_ptr<void, decltype(&std::free)> workspace(std::aligned_alloc(64, bytes), &std::free);
    std::memset(workspace.get(), 0xa5, bytes);
    nexttoken::ActiveRowKernel()(input, output, workspace.get());
  } else {
    RunUnder(environment, input, output, target);
  }
  Require(status == wanted.status, "status", target);
  Require(mass == wanted.mass, "mass", target);
  Require(std::equal(wanted.weights.begin(), wanted.weights.end(), weights.get()), "weights", target);
  Require(std::equal(wanted.token_ids.begin(), wanted.token_ids.end(), token_ids.get()), "token_ids", target);
  if (input.params.logprobs == nexttoken::kNoLogprobs) return;
  for (size_t i = 0; i < n; ++i) Require(CloseEnough(logprobs[i], wanted.logprobs[i]), "logprobs", target);
  for (size_t i = 0; i < k; ++i) {
    const bool used = i < wanted.top.size();
    Require(top_token_ids[i] == (used ? wanted.top[i].first : -1), "top_token_ids", target);
    Require(CloseEnough(top_logprobs[i], used ? wanted.top[i].second : -HUGE_VAL), "top_logprobs", target);
  }
  // Every other result: those that are not wanted change nothing in those that are.
  std::fill_n(logprobs.get(), n, 123.0f);
  std::fill_n(top_logprobs.get(), k, 123.0f);
  output.token_ids = output.top_token_ids = nullptr;
  output.weights = output.mass = nullptr;
  output.status = nullptr;
  RunUnder(environment, input, output, target);
  for (size_t i = 0; i < n; ++i) Require(CloseEnough(logprobs[i], wanted.logprobs[i]), "logprobs alone", target);
  for (size_t i = 0; i < k; ++i) {
    const double value = i < wanted.top.size() ? wanted.top[i].second : -HUGE_VAL;
    Require(CloseEnough(top_logprobs[i], value), "top_logprobs alone", target);
  }
}

}  // namespace

// FNV-1a over all results so far: equal on every machine (parity_main.cc prints it).
uint64_t fuzz_digest = 0xcbf29ce484222325u;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Reader reader(data, size);
  Fuzzed row;
  constexpr uint32_t kEnvironments[] = {0, 0x8040u, 0x2000u, 0x4000u};
  const uint32_t environment = kEnvironments[reader.Byte() % 4];
  ReadParameters(&reader, &row);
  ReadLogits(&reader, &row);
  ReadLists(&reader, &row);
  const naive::Row wanted = naive::Sample(row.input, row.prompt, row.output);
  for (const std::string& target : nexttoken::RunnableTargets()) Compare(row.input, wanted, target, environment);
  const auto fold = [](uint64_t word) { fuzz_digest = (fuzz_digest ^ word) * 0x100000001b3u; };
  fold(static_cast<uint64_t>(wanted.status));
  for (const uint64_t weight : wanted.weights) fold(weight);
  for (const int32_t token : wanted.token_ids) fold(static_cast<uint64_t>(token));
  return 0;
}
