// Streamed text against a scan of the whole answer, on arbitrary stop strings, bytes and token boundaries.
//
// Input: one byte for the number of stop strings (0..7) and the leading-space flag (bit 3); per stop string a length
// byte (1..8) and its bytes; then tokens, each a length byte (0..15) and its bytes.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nexttoken/stop.h"
#include "nexttoken/utf8.h"

namespace {

struct Reader {
  const uint8_t* data;
  size_t left;

  uint8_t Byte() {
    if (left == 0) return 0;
    --left;
    return *data++;
  }
  std::string Bytes(size_t size) {
    size = size < left ? size : left;
    std::string bytes(reinterpret_cast<const char*>(data), size);
    data += size;
    left -= size;
    return bytes;
  }
};

// Cuts *answer at the stop string that ends it; returns its index or -1.
int32_t CutNaively(const std::vector<std::string>& stops, std::string* answer) {
  for (size_t end = 1; end <= answer->size(); ++end) {
    int32_t found = -1;
    for (size_t i = 0; i < stops.size(); ++i) {
      const size_t size = stops[i].size();
      if (size > end || answer->compare(end - size, size, stops[i]) != 0) continue;
      if (found < 0 || size > stops[found].size()) found = static_cast<int32_t>(i);
    }
    if (found < 0) continue;
    answer->resize(end - stops[found].size());
    return found;
  }
  return -1;
}

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

// FNV-1a over all text shown so far: equal on every machine (parity_main.cc prints it).
uint64_t fuzz_digest = 0xcbf29ce484222325u;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Reader reader{data, size};
  const uint8_t head = reader.Byte();
  const bool strip_leading_space = (head & 8) != 0;
  std::vector<std::string> stops;
  for (int i = 0; i < (head & 7); ++i) {
    std::string stop = reader.Bytes(size_t{1} + reader.Byte() % 8);
    if (!stop.empty()) stops.push_back(std::move(stop));
  }
  std::vector<std::string> tokens;
  while (reader.left > 0) tokens.push_back(reader.Bytes(reader.Byte() % 16));

  std::string answer;
  for (const std::string& token : tokens) answer += token;
  if (strip_leading_space && !answer.empty() && answer[0] == ' ') answer.erase(0, 1);
  const int32_t stop = CutNaively(stops, &answer);
  std::string expected;
  nexttoken::AppendUtf8(answer.data(), answer.size(), &expected);

  const std::vector<std::string_view> views(stops.begin(), stops.end());
  nexttoken::TextStream stream(std::make_shared<const nexttoken::StopAutomaton>(views), strip_leading_space);
  std::string text;
  for (const std::string& token : tokens) {
    const bool stopped = stream.Push(token.data(), token.size(), &text);
    Require(stopped == stream.closed());
    Require(expected.compare(0, text.size(), text) == 0);  // nothing is released that must be taken back
    if (stopped) break;
  }
  stream.Finish(&text);
  Require(text == expected);
  Require(stream.matched_stop() == stop);
  for (const char byte : text) fuzz_digest = (fuzz_digest ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  return 0;
}
