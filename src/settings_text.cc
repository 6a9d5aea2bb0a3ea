// Settings as text: how the words of a line become a value, and a value words again.
#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>

#include "src/base/limits.h"
#include "src/settings_table.h"

namespace lockstep {
namespace {

using Unit = SettingRow::Unit;

constexpr int64_t kSecondsMax = std::numeric_limits<int32_t>::max();
constexpr size_t kHostBytesMax = 255;     // RFC 1035, 3.1.
constexpr size_t kBindAddressesMax = 16;  // As in Redis.

// Words for the values of an enumeration. The first one for a value is how it is printed; the
// others are what people also write.
template <class E>
struct Word {
  const char* text;
  E value;
};
constexpr auto WordsFor(DebugAccess) {
  return std::to_array<Word<DebugAccess>>(
      {{"no", DebugAccess::kNo}, {"local", DebugAccess::kLocal}, {"yes", DebugAccess::kYes}});
}
constexpr auto WordsFor(LogLevel) {  // Redis's words first: tools set and compare them.
  return std::to_array<Word<LogLevel>>({{"trace", LogLevel::kTrace},
                                        {"debug", LogLevel::kDebug},
                                        {"verbose", LogLevel::kDebug},
                                        {"notice", LogLevel::kInfo},
                                        {"info", LogLevel::kInfo},
                                        {"warning", LogLevel::kWarn},
                                        {"warn", LogLevel::kWarn},
                                        {"error", LogLevel::kError}});
}
constexpr auto WordsFor(LogFormat) {
  return std::to_array<Word<LogFormat>>(
      {{"auto", LogFormat::kAuto}, {"text", LogFormat::kText}, {"json", LogFormat::kJson}});
}

// How each type of field is read. `words` is never empty; an overload changes *out only when it
// succeeds.

Result<void> WantOneWord(std::span<const Bytes> words) {
  if (words.size() == 1) return {};
  return Error{"wrong number of arguments"};
}

// A number with Redis's units: 1k is 1000, 1kb is 1024, and so on.
bool ParseByteCount(BytesView text, int64_t* out) {
  struct Scale {
    const char* unit;
    int64_t factor;
  };
  constexpr Scale kScales[] = {
      {"", 1},          {"b", 1},        {"k", 1000},          {"kb", 1 << 10},
      {"m", 1'000'000}, {"mb", 1 << 20}, {"g", 1'000'000'000}, {"gb", 1 << 30}};
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t number = 0;
  if (!ParseUint64(text.substr(0, digits), &number)) return false;
  for (const Scale& scale : kScales) {
    if (!EqualsIgnoreCase(text.substr(digits), scale.unit)) continue;
    const auto max = static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / scale.factor);
    if (number > max) return false;
    *out = static_cast<int64_t>(number) * scale.factor;
    return true;
  }
  return false;
}

Result<void> Read(const SettingRow& row, std::span<const Bytes> words, int64_t* out) {
  if (auto one = WantOneWord(words); !one) return one;
  int64_t value = 0;
  if (row.unit == Unit::kBytes) {
    if (!ParseByteCount(words[0], &value)) return Error{"argument must be a memory value"};
  } else if (!ParseInt64(words[0], &value)) {
    return Error{"argument couldn't be parsed into an integer"};
  }
  if (value < row.low || value > row.high) {
    return Error{Format("argument must be between %lld and %lld inclusive",
                        static_cast<long long>(row.low), static_cast<long long>(row.high))};
  }
  *out = value;
  return {};
}

Result<void> Read(const SettingRow&, std::span<const Bytes> words, bool* out) {
  if (auto one = WantOneWord(words); !one) return one;
  const bool yes = EqualsIgnoreCase(words[0], "yes");
  if (!yes && !EqualsIgnoreCase(words[0], "no")) return Error{"argument must be 'yes' or 'no'"};
  *out = yes;
  return {};
}

Result<void> Read(const SettingRow& row, std::span<const Bytes> words, Bytes* out) {
  if (auto one = WantOneWord(words); !one) return one;
  const Bytes& text = words[0];
  const auto size = static_cast<int64_t>(text.size());
  if (size < row.low || size > row.high) {
    return Error{Format("argument must be between %lld and %lld bytes long",
                        static_cast<long long>(row.low), static_cast<long long>(row.high))};
  }
  if (text.find('\0') != Bytes::npos) return Error{"argument must not hold a zero byte"};
  if (row.field == SettingRow::Field(&Settings::storage) && text != "rocksdb") {
    return Error{"argument must be rocksdb, the one storage there is"};
  }
  *out = text;
  return {};
}

template <class E>
requires std::is_enum_v<E> Result<void> Read(const SettingRow&, std::span<const Bytes> words,
                                             E* out) {
  if (auto one = WantOneWord(words); !one) return one;
  Bytes known;
  for (const auto& word : WordsFor(E{})) {
    if (EqualsIgnoreCase(words[0], word.text)) {
      *out = word.value;
      return {};
    }
    known += known.empty() ? "" : ", ";
    known += word.text;
  }
  return Error{"argument(s) must be one of the following: " + known};
}

// A list may stand as several words or, quoted, as one.
std::vector<Bytes> SplitAtBlanks(std::span<const Bytes> words) {
  std::vector<Bytes> out;
  for (BytesView word : words) {
    while (true) {
      const size_t begin = word.find_first_not_of(" \t");
      if (begin == BytesView::npos) break;
      const size_t end = std::min(word.find_first_of(" \t", begin), word.size());
      out.emplace_back(word.substr(begin, end - begin));
      word.remove_prefix(end);
    }
  }
  return out;
}

Result<void> Read(const SettingRow&, std::span<const Bytes> words, std::vector<Bytes>* out) {
  std::vector<Bytes> addresses = SplitAtBlanks(words);
  if (addresses.empty()) return Error{"at least one address is needed; * is every one"};
  if (addresses.size() > kBindAddressesMax) return Error{"too many addresses, 16 are allowed"};
  *out = std::move(addresses);
  return {};
}

// "id=host:bus-port", an IPv6 address in brackets.
Result<NodeAddress> ReadNodeAddress(BytesView text) {
  const Error malformed{"'" + Printable(text) + "' is not of the form id=host:bus-port"};
  const size_t equals = text.find('=');
  const size_t colon = text.rfind(':');
  if (equals == BytesView::npos || colon == BytesView::npos || colon < equals) return malformed;

  NodeAddress node;
  uint64_t port = 0;
  if (!ParseUint64(text.substr(0, equals), &node.id.value)) return malformed;
  if (!ParseUint64(text.substr(colon + 1), &port)) return malformed;
  if (node.id.value < 1 || node.id.value > kNodeIdMax) {
    return Error{Format("node id in '%s' must be between 1 and %llu", Printable(text).c_str(),
                        static_cast<unsigned long long>(kNodeIdMax))};
  }
  if (port < 1 || port > 65535) return Error{"port in '" + Printable(text) + "' is out of range"};
  node.bus_port = static_cast<uint16_t>(port);

  BytesView host = text.substr(equals + 1, colon - equals - 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool stray = host.find_first_of(bracketed ? "[]" : "[]:") != BytesView::npos;
  if (host.empty() || host.size() > kHostBytesMax || stray) return malformed;
  node.host = Bytes(host);
  return node;
}

Result<void> Read(const SettingRow&, std::span<const Bytes> words, std::vector<NodeAddress>* out) {
  std::vector<NodeAddress> nodes;
  for (const Bytes& word : SplitAtBlanks(words)) {
    if (nodes.size() == kNodesMax) return Error{Format("more than %zu nodes", kNodesMax)};
    auto node = ReadNodeAddress(word);
    if (!node) return node.error();
    for (const NodeAddress& other : nodes) {
      if (other.id == node->id) return Error{"node id twice: '" + Printable(word) + "'"};
      if (other.host == node->host && other.bus_port == node->bus_port) {
        return Error{"address twice: '" + Printable(word) + "'"};
      }
    }
    nodes.push_back(std::move(*node));
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const NodeAddress& a, const NodeAddress& b) { return a.id < b.id; });
  *out = std::move(nodes);
  return {};
}

// "class hard soft seconds", once or more; a class that is not named keeps its limits.
Result<void> Read(const SettingRow&, std::span<const Bytes> words, OutputLimits* out) {
  const std::vector<Bytes> parts = SplitAtBlanks(words);
  if (parts.empty() || parts.size() % 4 != 0) {
    return Error{"Wrong number of arguments in buffer limit configuration."};
  }
  OutputLimits limits = *out;
  for (size_t i = 0; i < parts.size(); i += 4) {
    OutputLimit limit;
    if (!ParseByteCount(parts[i + 1], &limit.hard_bytes) ||
        !ParseByteCount(parts[i + 2], &limit.soft_bytes) ||
        !ParseInt64(parts[i + 3], &limit.soft_seconds) || limit.soft_seconds < 0 ||
        limit.soft_seconds > kSecondsMax) {
      return Error{"Error in hard, soft or soft_seconds setting in buffer limit configuration."};
    }
    if (EqualsIgnoreCase(parts[i], "normal")) {
      limits.normal = limit;
    } else if (EqualsIgnoreCase(parts[i], "slave") || EqualsIgnoreCase(parts[i], "replica")) {
      limits.replica = limit;
    } else if (EqualsIgnoreCase(parts[i], "pubsub")) {
      limits.pubsub = limit;
    } else {
      return Error{"Invalid client class specified in buffer limit configuration."};
    }
  }
  *out = limits;
  return {};
}

// How each type of field is printed.

Bytes Print(int64_t v) { return std::to_string(v); }
Bytes Print(bool v) { return v ? "yes" : "no"; }
Bytes Print(const Bytes& v) { return v; }

template <class E>
requires std::is_enum_v<E> Bytes Print(E v) {
  for (const auto& word : WordsFor(v)) {
    if (word.value == v) return word.text;
  }
  CHECK(false);
}

Bytes Print(const std::vector<Bytes>& words) {
  Bytes out;
  for (const Bytes& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

Bytes Print(const std::vector<NodeAddress>& nodes) {
  Bytes out;
  for (const NodeAddress& node : nodes) {
    const bool brackets = node.host.find(':') != Bytes::npos;
    const Bytes host = brackets ? "[" + node.host + "]" : node.host;
    out += (out.empty() ? "" : " ") + std::to_string(node.id.value) + "=" + host + ":" +
           std::to_string(node.bus_port);
  }
  return out;
}

Bytes Print(const OutputLimits& limits) {
  const auto print = [](const char* name, const OutputLimit& limit) {
    return Format("%s %lld %lld %lld", name, static_cast<long long>(limit.hard_bytes),
                  static_cast<long long>(limit.soft_bytes),
                  static_cast<long long>(limit.soft_seconds));
  };
  return print("normal", limits.normal) + " " + print("slave", limits.replica) + " " +
         print("pubsub", limits.pubsub);
}

Result<void> ReadFixed(const SettingRow& row, std::span<const Bytes> words) {
  const bool same = words.size() == 1 && EqualsIgnoreCase(words[0], row.fixed_value);
  if (same) return {};
  return Error{Format("it is always '%s': %s", row.fixed_value, row.fixed_because)};
}

}  // namespace

Bytes SettingText(const SettingRow& row, const Settings& settings) {
  return std::visit(
      [&](auto field) -> Bytes {
        if constexpr (std::is_same_v<decltype(field), std::monostate>) {
          return row.fixed_value;
        } else {
          return Print(settings.*field);
        }
      },
      row.field);
}

Result<void> ReadSetting(const SettingRow& row, std::span<const Bytes> words, Settings* settings) {
  if (words.empty()) return Error{"wrong number of arguments"};
  return std::visit(
      [&](auto field) -> Result<void> {
        if constexpr (std::is_same_v<decltype(field), std::monostate>) {
          return ReadFixed(row, words);
        } else {
          return Read(row, words, &(settings->*field));
        }
      },
      row.field);
}

Bytes ByteCountText(int64_t bytes) {
  constexpr const char* kUnits[] = {"", "kb", "mb", "gb"};
  size_t unit = 0;
  for (; bytes != 0 && bytes % 1024 == 0 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1024;
  return std::to_string(bytes) + kUnits[unit];
}

}  // namespace lockstep
