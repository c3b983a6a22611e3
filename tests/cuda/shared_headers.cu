// The shared headers on a GPU: every function that both devices use gives the host's bits.
//
//   shared_headers            runs the comparison; exit status 0 if all is equal, 1 if not, 77 without a GPU
//
// Compile as the contract says: --fmad=false -ftz=false -prec-div=true (tests/cuda/gpu/CMakeLists.txt does).
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "nexttoken/adjust.h"
#include "nexttoken/filter.h"
#include "nexttoken/philox.h"
#include "nexttoken/views.h"
#include "nexttoken/weight.h"

namespace nexttoken {

// All results of one input, as bits.
struct Results {
  uint64_t draw;
  uint64_t weight;
  uint64_t min_weight;
  uint64_t needed;
  uint64_t target;
  uint32_t scale;
  uint32_t adjusted;
  uint32_t key;
  uint32_t half;
  uint32_t brain;
  uint32_t padding;
};

// Inputs come from Philox itself, so that host and device agree on them by the first thing that is compared.
NEXTTOKEN_HD Results Evaluate(uint64_t index) {
  Results r{};
  r.draw = DrawBits(index * 0x9E3779B97F4A7C15u, static_cast<uint32_t>(index), ~index);
  const Philox4x32 x = Philox(index, {{1, 2, 3, 4}});
  // Any bits are a float32; NaN is not an input of these functions.
  float z = FloatFromBits(x.word[0]);
  if (!(z == z)) z = 0.0f;
  const float max = z + FloatFromBits(0x3f800000u | (x.word[1] >> 9)) * static_cast<float>(x.word[1] & 31u);
  const float temperature = 1e-5f + FloatFromBits(0x3f800000u | (x.word[2] >> 9)) * static_cast<float>(index % 7);
  r.scale = BitsOfFloat(ScaleOf(temperature));
  r.weight = WeightOf(Canonical(z < max ? z : max), Canonical(max), ScaleOf(temperature));
  float a = AddBias(z, FloatFromBits(x.word[3] & 0xbfffffffu));
  a = PenalizeRepetition(a, 1.3f);
  a = PenalizeFrequency(a, x.word[1] >> (x.word[2] & 31u), 0.1f);
  a = PenalizePresence(a, x.word[1] & 1u, -0.7f);
  a = Canonical(a);
  r.adjusted = a == a ? BitsOfFloat(a) : 0x7fc00000u;  // NaN payloads are nobody's promise
  r.key = OrderKey(Canonical(z));
  const float half = WidenFloat16(static_cast<uint16_t>(index));
  r.half = half == half ? BitsOfFloat(half) : 0x7fc00000u;
  r.brain = BitsOfFloat(WidenBFloat16(static_cast<uint16_t>(index)));
  const double fraction = static_cast<double>(x.word[0]) / 4294967296.0;
  r.min_weight = MinWeight(fraction * fraction * fraction);
  const uint64_t mass = r.draw >> (2 + index % 60);
  r.needed = NeededMass(fraction, mass);
  r.target = DrawTarget(~r.draw, mass);
  return r;
}

__global__ void EvaluateAll(uint64_t count, Results* results) {
  for (uint64_t i = blockIdx.x * uint64_t{blockDim.x} + threadIdx.x; i < count; i += uint64_t{gridDim.x} * blockDim.x) {
    results[i] = Evaluate(i);
  }
}

}  // namespace nexttoken

int main() {
  using nexttoken::Results;
  constexpr uint64_t kCount = 4u << 20;
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no CUDA device\n");
    return 77;
  }
  Results* on_device = nullptr;
  std::vector<Results> device(kCount);
  if (cudaMalloc(&on_device, kCount * sizeof(Results)) != cudaSuccess) return 1;
  nexttoken::EvaluateAll<<<1024, 256>>>(kCount, on_device);
  if (cudaMemcpy(device.data(), on_device, kCount * sizeof(Results), cudaMemcpyDeviceToHost) != cudaSuccess) return 1;
  uint64_t different = 0;
  for (uint64_t i = 0; i < kCount; ++i) {
    const Results host = nexttoken::Evaluate(i);
    if (std::memcmp(&host, &device[i], sizeof host) != 0 && different++ < 5) {
      std::printf("different at %llu\n", static_cast<unsigned long long>(i));
    }
  }
  std::printf("%llu inputs compared, %llu different\n", static_cast<unsigned long long>(kCount),
              static_cast<unsigned long long>(different));
  return different != 0;
}
