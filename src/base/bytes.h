// Byte strings. Everything that a client or a peer names or sends is bytes, never text: it may hold
// zero, CR, LF and any other byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

using Bytes = std::string;           // Owns.
using BytesView = std::string_view;  // Borrows; the owner is named where it is not plain.

// `in` with every byte outside printable ASCII written as \n, \r, \t, \a, \b, \xNN, and quotes and
// backslashes escaped: fit for a log line, a narration, redis-cli. At most `max` bytes are read;
// what is left out shows as "...".
Bytes Printable(BytesView in, size_t max = 128);

// ASCII only: the locale decides nothing here.
Bytes Lower(BytesView in);
Bytes Upper(BytesView in);
bool EqualsIgnoreCase(BytesView a, BytesView b);

// printf into a string; the compiler checks the arguments.
Bytes Format(const char* format, ...) __attribute__((format(printf, 1, 2)));

// The whole of `in` as a decimal integer, as Redis's string2ll reads it: optional '-', no '+', no
// blanks, no leading zeros but "0" itself, no overflow. False leaves *out untouched.
bool ParseInt64(BytesView in, int64_t* out);
bool ParseUint64(BytesView in, uint64_t* out);
void AppendUint64(uint64_t value, Bytes* out);  // What that reads.

// Redis's glob: * ? [a-z] [^x] \x. Runs in O(pattern * text) at worst, never exponential
// (CVE-2022-36021, CVE-2024-31228 were recursive matchers).
bool GlobMatch(BytesView pattern, BytesView text, bool ignore_case = false);

// Edits that turn `a` into `b`, at most `max` + 1. For "did you mean".
size_t EditDistance(BytesView a, BytesView b, size_t max = 3);

}  // namespace lockstep
