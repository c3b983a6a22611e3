#include "checks.h"

#include <algorithm>
#include <numeric>

#include "device_batch.h"
#include "plans.h"
#include "thread_pool.h"

namespace nexttoken::parity {
namespace {

constexpr int32_t kNaiveVocab = 600;  // beyond, its sort takes too long

std::vector<size_t> Iota(size_t count) {
  std::vector<size_t> all(count);
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

}  // namespace

void Checks::Compare(const std::string& check, const Batch& batch, const Results& got, const Results& wanted,
                     Logprobs rule, const std::string& plan) {
  std::vector<std::string> differences(batch.rows.size());
  ParallelFor(batch.size(), [&](int64_t row) {
    differences[static_cast<size_t>(row)] = Difference(got, wanted, static_cast<size_t>(row), rule);
  });
  for (size_t row = 0; row < differences.size(); ++row) tally.Add(check, batch, row, plan, differences[row]);
}

void Checks::Parity(const Batch& batch, size_t plans) {
  Random random = Random::Of(seed, batch.number, 99);
  const Results wanted = OnHost(batch);
  tally.CountRows(batch.size());
  if (batch.vocab <= kNaiveVocab) {
    std::vector<std::string> differences(batch.rows.size());
    ParallelFor(batch.size(), [&](int64_t row) {
      differences[static_cast<size_t>(row)] = NaiveDifference(batch, wanted, static_cast<size_t>(row));
    });
    for (size_t row = 0; row < differences.size(); ++row) tally.Add("naive", batch, row, "", differences[row]);
    tally.CountNaive(batch.size());
  }
  std::vector<BatchPlan> legal = LegalPlans(batch, limits);
  for (size_t i = 1; i < legal.size(); ++i) std::swap(legal[i], legal[i + random.Below(legal.size() - i)]);
  if (legal.size() > plans + 1) legal.resize(plans + 1);
  const DeviceInput input(batch);
  Results first;
  first.vocab = 0;  // none yet
  for (const BatchPlan& plan : legal) {
    unsigned results = kAllWanted;
    if (random.Chance(0.5)) results &= ~static_cast<unsigned>(kWeights);  // as a server asks
    if (random.Chance(0.2)) results &= static_cast<unsigned>(random.Bits());
    const Results got = RunStep(batch, input, plan, results);
    Compare("parity", batch, got, wanted, Logprobs::kClose, parity::Told(plan));
    // A plan changes the time and no result: logprobs are the same bits, too.
    if (first.vocab == batch.vocab) Compare("plan to plan", batch, got, first, Logprobs::kEqual, parity::Told(plan));
    if (first.vocab != batch.vocab) first = got;
  }
}

void Checks::Invariance(const Batch& batch, size_t many) {
  Random random = Random::Of(seed, batch.number, 98);
  const size_t rows = batch.rows.size();
  const Results wanted = OnHost(batch);
  const BatchPlan plan = PlanBatch(batch.size(), batch.vocab, limits);
  const DeviceInput input(batch);
  const Results first = RunStep(batch, input, plan);
  Compare("parity", batch, first, wanted, Logprobs::kClose, parity::Told(plan));
  Compare("run to run", batch, RunStep(batch, input, plan), first, Logprobs::kEqual, parity::Told(plan));

  std::vector<size_t> order = Iota(rows);
  for (size_t i = rows; i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
  const Batch permuted = batch.Take(order);
  const Results moved = RunStep(permuted, DeviceInput(permuted), plan);
  Compare("rows in another order", permuted, moved, first.Take(order), Logprobs::kEqual, parity::Told(plan));

  const auto taken = [&](const std::string& check, const std::vector<size_t>& which) {
    const Batch part = batch.Take(which);
    const BatchPlan its = PlanBatch(part.size(), part.vocab, limits);
    const Results got = RunStep(part, DeviceInput(part), its);
    Compare(check, part, got, first.Take(which), Logprobs::kEqual, parity::Told(its));
  };
  const auto middle = order.begin() + static_cast<int64_t>(1 + random.Below(rows));
  if (rows > 1) {
    taken("batch in parts", std::vector<size_t>(order.begin(), middle));
    if (middle != order.end()) taken("batch in parts", std::vector<size_t>(middle, order.end()));
  }
  taken("one row alone", {random.Below(rows)});
  std::vector<size_t> again;
  while (again.size() < std::max(rows + 1, many)) again.push_back(random.Below(rows));
  taken("rows among many", again);
}

void Checks::BadParameters(uint64_t number) {
  struct BadReal {
    Real which;
    double value;
    bool only_float64;
  };
  constexpr double kNan = __builtin_nan(""), kInf = __builtin_inf();
  constexpr BadReal kReals[] = {
      {kTemperature, kNan, false}, {kTemperature, -1.0, false},   {kTemperature, kInf, false},
      {kTemperature, 2e30, false}, {kTemperature, -1e-300, true}, {kTopP, kNan, false},
      {kTopP, -0.5, false},        {kTopP, 1.5, false},           {kTopP, 1 + 0x1p-52, true},
      {kMinP, kNan, false},        {kMinP, -1e-30, false},        {kMinP, 2.0, false},
      {kPresence, kNan, false},    {kPresence, kInf, false},      {kPresence, -1e39, true},
      {kFrequency, kNan, false},   {kFrequency, -kInf, false},    {kFrequency, 1e300, true},
      {kRepetition, kNan, false},  {kRepetition, 0.0, false},     {kRepetition, -1.0, false},
      {kRepetition, 1e7, false},   {kRepetition, 1e-9, false},    {kRepetition, kInf, false},
  };
  constexpr int64_t kLast = std::numeric_limits<int64_t>::min();
  constexpr struct {
    Integer which;
    int64_t value;
  } kIntegers[] = {{kTopK, -1},          {kTopK, kLast},
                   {kSequenceIndex, -1}, {kSequenceIndex, int64_t{1} << 32},
                   {kStep, -1},          {kStep, kLast},
                   {kLogprobs, -2},      {kLogprobs, 21},
                   {kLogprobs, 1 << 20}, {kSequenceIndex, int64_t{1} << 62}};
  constexpr int32_t kVocab = 300;
  constexpr int32_t kTokens[] = {kVocab, std::numeric_limits<int32_t>::max(), -2, std::numeric_limits<int32_t>::min()};

  for (const bool is_float64 : {false, true}) {
    Batch batch =
        MakeBatchOfAllKinds(seed, number + is_float64, kVocab, is_float64 ? DType::kBFloat16 : DType::kFloat32);
    batch.origin = "bad parameters";
    batch.layout = Layout::kDense;
    batch.real_forms.fill(Form::kPerRow);
    batch.real_is_float64.fill(is_float64);
    batch.integer_forms.fill(Form::kPerRow);
    batch.integer_types.fill(Integers::Type::kInt64);
    batch.history_form = ListForm::kNone;
    batch.history_is_split = false;
    batch.matrices_are_shared = false;
    batch.top_capacity = kMaxTopLogprobs;
    for (Row& row : batch.rows) {
      row.reals = {0.8, 0.5, -0.5, 1.5, 0.5, 0.0};
      row.integers = {7, 5, 1, 3, 2};
      row.prompt = {1, 2, 2, 299};
      row.output = {0, 2, 17};
      History history;
      for (const int32_t token : row.prompt) history.AddPrompt(token);
      for (const int32_t token : row.output) history.AddOutput(token);
      row.entries = history.entries();
      row.entries_are_said = true;
    }
    const auto rounded = [&](double value) {
      return is_float64 ? value : static_cast<double>(static_cast<float>(value));
    };
    // One bad row at a time among good ones, then as many as there are.
    Batch many = batch;
    size_t next = 0;
    const auto spoilt = [&](auto spoil) {
      Batch one = batch;
      const size_t place = next % batch.rows.size();
      for (Batch* which : {&one, &many}) {
        if (which == &many && next >= batch.rows.size()) continue;
        Row& row = which->rows[place];
        spoil(&row);
        row.is_bad = true;
      }
      next += 2;  // every other row of `many` stays good
      const BatchPlan plan = PlanBatch(one.size(), one.vocab, limits);
      Compare("bad parameter", one, RunStep(one, DeviceInput(one), plan), OnHost(one), Logprobs::kClose,
              parity::Told(plan));
    };
    for (const BadReal& bad : kReals) {
      if (bad.only_float64 && !is_float64) continue;
      spoilt([&](Row* row) { row->reals[bad.which] = rounded(bad.value); });
    }
    for (const auto& bad : kIntegers) {
      spoilt([&](Row* row) { row->integers[bad.which] = static_cast<uint64_t>(bad.value); });
    }
    for (const int32_t token : kTokens) {
      spoilt([&](Row* row) { row->prompt.push_back(token); });
      spoilt([&](Row* row) { row->output.insert(row->output.begin(), token); });
    }
    for (const BatchPlan& plan : LegalPlans(many, limits)) {
      Compare("bad parameter", many, RunStep(many, DeviceInput(many), plan), OnHost(many), Logprobs::kClose,
              parity::Told(plan));
    }
  }
}

void Checks::Uploads() {
  Random random(seed);
  for (const size_t bytes : {size_t{1}, size_t{2}, size_t{3}, size_t{5}, size_t{255}, size_t{4096}, kMaxCapturedUpload,
                             kMaxCapturedUpload + 1, size_t{1} << 20}) {
    std::vector<char> host(bytes);
    for (char& byte : host) byte = static_cast<char>(random.Bits());
    const std::vector<char> wanted = host;
    DeviceMemory memory(bytes);
    memory.Spoil();
    RequireSuccess(UploadToDevice(memory.data(), host.data(), bytes, Device::Stream()), "UploadToDevice");
    std::fill(host.begin(), host.end(), '\x33');
    const bool is_right = memory.Read<char>() == wanted && memory.IsIntact();
    tally.AddOther("upload", is_right, std::to_string(bytes) + " bytes did not arrive as they were");
  }
  DeviceMemory nothing(size_t{1});
  RequireSuccess(UploadToDevice(nothing.data(), nullptr, 0, Device::Stream()), "UploadToDevice of nothing");
}

}  // namespace nexttoken::parity
