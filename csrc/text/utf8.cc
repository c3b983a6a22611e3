#include "nexttoken/utf8.h"

#include <cstdint>

namespace nexttoken {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD

// What a lead byte promises. Only the second byte's range depends on the lead; the later ones are always 80..BF.
struct Lead {
  uint8_t size;  // bytes of the whole character; 0: begins none
  uint8_t second_low, second_high;
};

Lead ReadLead(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};  // a continuation byte, or C0 and C1: overlong
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};  // below: overlong
  if (byte == 0xED) return {3, 0x80, 0x9F};  // above: surrogates
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};  // below: overlong
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // above: beyond U+10FFFF
  return {0, 0, 0};
}

}  // namespace

Utf8Unit NextUtf8Unit(const char* bytes, size_t size) {
  const Lead lead = ReadLead(static_cast<uint8_t>(bytes[0]));
  if (lead.size == 0) return {Utf8Kind::kInvalid, 1};
  for (size_t i = 1; i < lead.size; ++i) {
    if (i == size) return {Utf8Kind::kUnfinished, i};
    const uint8_t byte = static_cast<uint8_t>(bytes[i]);
    const uint8_t low = i == 1 ? lead.second_low : 0x80;
    const uint8_t high = i == 1 ? lead.second_high : 0xBF;
    if (byte < low || byte > high) return {Utf8Kind::kInvalid, i};
  }
  return {Utf8Kind::kCharacter, lead.size};
}

void AppendUtf8(const char* bytes, size_t size, std::string* out) {
  // Characters are copied in runs, since nearly all text is valid.
  size_t run = 0;
  for (size_t at = 0; at < size;) {
    const Utf8Unit unit = NextUtf8Unit(bytes + at, size - at);
    if (unit.kind != Utf8Kind::kCharacter) {
      out->append(bytes + run, at - run);
      out->append(kReplacement);
      run = at + unit.size;
    }
    at += unit.size;
  }
  out->append(bytes + run, size - run);
}

}  // namespace nexttoken
