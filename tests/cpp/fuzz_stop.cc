// Streamed text against a scan of the whole answer, on arbitrary stop strings, bytes and token boundaries.
//
// Input: one byte for the number of stop strings (0..7), the leading-space flag (bit 3) and few letters (bit 4: all
// bytes become one of four, so that stop strings overlap); per stop string a length byte (1..8) and its bytes; then
// tokens, each a length byte (0..15) and its bytes. The text may end after each token: a copy of the stream tells.
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
  std::string Bytes(size_t size, bool few_letters) {
    size = size < left ? size : left;
    std::string bytes(reinterpret_cast<const char*>(data), size);
    for (char& byte : bytes) {
      if (few_letters) byte = "ab \xC3"[byte & 3];
    }
    data += size;
    left -= size;
    return bytes;
  }
};

struct Cut {
  size_t at;     // npos: nowhere
  int32_t stop;  // -1: none
};

// Where text that ends here is cut.
Cut FindNaively(const std::vector<std::string>& stops, const std::string& text) {
  Cut cut{std::string::npos, -1};
  for (size_t i = 0; i < stops.size(); ++i) {
    const size_t at = text.find(stops[i]);
    if (at == std::string::npos) continue;
    if (at < cut.at || (at == cut.at && stops[i].size() < stops[static_cast<size_t>(cut.stop)].size())) {
      cut = {at, static_cast<int32_t>(i)};
    }
  }
  return cut;
}

// Whether no more text can bring a stop string that begins further left than `at`.
bool Decided(const std::vector<std::string>& stops, const std::string& text, size_t at) {
  for (size_t start = 0; start < at && start < text.size(); ++start) {
    const std::string_view tail = std::string_view(text).substr(start);
    for (const std::string& stop : stops) {
      if (tail.size() < stop.size() && stop.compare(0, tail.size(), tail) == 0) return false;
    }
  }
  return at != std::string::npos;
}

// Where whole characters end, if half a one follows.
size_t WholeEnd(const std::string& bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    const nexttoken::Utf8Unit unit = nexttoken::NextUtf8Unit(bytes.data() + at, bytes.size() - at);
    if (unit.kind == nexttoken::Utf8Kind::kUnfinished) break;
    at += unit.size;
  }
  return at;
}

size_t End(const Cut& cut, const std::string& text) {
  return cut.stop < 0 ? WholeEnd(text) : cut.at;
}

std::string Decode(const std::string& bytes, size_t size) {
  std::string text;
  nexttoken::AppendUtf8(bytes.data(), size < bytes.size() ? size : bytes.size(), &text);
  return text;
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
  const bool strip_leading_space = (head & 8) != 0, few_letters = (head & 16) != 0;
  std::vector<std::string> stops;
  for (int i = 0; i < (head & 7); ++i) {
    std::string stop = reader.Bytes(size_t{1} + reader.Byte() % 8, few_letters);
    if (!stop.empty()) stops.push_back(std::move(stop));
  }
  std::vector<std::string> tokens;
  while (reader.left > 0) tokens.push_back(reader.Bytes(reader.Byte() % 16, few_letters));

  std::string whole;
  for (const std::string& token : tokens) whole += token;
  const size_t dropped = strip_leading_space && !whole.empty() && whole[0] == ' ' ? 1 : 0;
  const std::string answer = whole.substr(dropped);
  const Cut cut = FindNaively(stops, answer);
  const std::string expected = Decode(answer, End(cut, answer));

  const std::vector<std::string_view> views(stops.begin(), stops.end());
  nexttoken::TextStream stream(std::make_shared<const nexttoken::StopAutomaton>(views), strip_leading_space);
  std::string text;
  size_t read = 0;
  for (const std::string& token : tokens) {
    nexttoken::TextStream ends_here = stream;
    std::string text_here = text;
    ends_here.Finish(&text_here);
    const std::string answer_here = read > dropped ? answer.substr(0, read - dropped) : "";
    const Cut cut_here = FindNaively(stops, answer_here);
    Require(text_here == Decode(answer_here, End(cut_here, answer_here)));
    Require(ends_here.matched_stop() == cut_here.stop);

    const bool stopped = stream.Push(token.data(), token.size(), &text);
    read += token.size();
    const std::string said = read > dropped ? answer.substr(0, read - dropped) : "";
    Require(stopped == stream.closed());
    Require(stopped == Decided(stops, said, FindNaively(stops, said).at));
    Require(expected.compare(0, text.size(), text) == 0);  // nothing is released that must be taken back
    const size_t shown = stream.shown_bytes();
    Require(text == Decode(answer, shown > dropped ? shown - dropped : 0));
    if (stopped) break;
    Require(stream.matched_stop() == -1);
  }
  stream.Finish(&text);
  Require(text == expected);
  Require(stream.matched_stop() == cut.stop);
  Require(stream.shown_bytes() == dropped + End(cut, answer));
  for (const char byte : text) fuzz_digest = (fuzz_digest ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  return 0;
}
