// UTF-8 read piece by piece, with the replacement rule of Python's bytes.decode("utf-8", errors="replace").
//
// A byte string is a row of units. A unit is either one character (1 to 4 bytes), or a maximal subpart of one: the
// longest run of bytes that begins some character but is not continued as that character (Unicode 15, section 3.9,
// "substitution of maximal subparts"), or a single byte that begins no character. Every unit that is not a
// character reads as one U+FFFD. Surrogates (ED A0..BF), overlong forms (C0, C1, E0 80..9F, F0 80..8F) and values
// above U+10FFFF (F4 90.., F5..FF) are no characters.
#pragma once

#include <cstddef>
#include <string>

namespace nexttoken {

enum class Utf8Kind {
  kCharacter,
  kInvalid,     // one U+FFFD, whatever bytes follow
  kUnfinished,  // the bytes end inside what may still become a character; one U+FFFD if nothing follows
};

struct Utf8Unit {
  Utf8Kind kind;
  size_t size;  // in bytes, at least 1
};

// The unit at the start of bytes[0, size). Requires size >= 1. kUnfinished is given only when the unit reaches the
// end of the bytes.
Utf8Unit NextUtf8Unit(const char* bytes, size_t size);

// Appends bytes[0, size) to *out, every unit that is not a character as U+FFFD. *out is then valid UTF-8 if it was.
void AppendUtf8(const char* bytes, size_t size, std::string* out);

}  // namespace nexttoken
