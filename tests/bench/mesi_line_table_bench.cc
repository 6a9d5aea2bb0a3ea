// The line table at a million lines: keys of 16 bytes, values of 64. Keys come in random order, so
// each search goes where no cache of the processor's has been lately.
#include <benchmark/benchmark.h>

#include <memory>

#include "cluster/mesi/line_table.h"
#include "src/base/hash.h"
#include "src/base/rng.h"

namespace lockstep::mesi {
namespace {

constexpr size_t kLines = 1'000'000;
constexpr size_t kKeys = size_t{1} << 20;  // Drawn beforehand.

Bytes KeyOf(uint64_t number) { return Format("key:%012lu", static_cast<unsigned long>(number)); }

LineTable& Table() {
  static const std::unique_ptr<LineTable> table = [] {
    auto made = std::make_unique<LineTable>();
    const Bytes value(64, 'v');
    for (size_t i = 0; i < kLines; ++i) made->SetValue(made->Add(KeyOf(i)), value);
    return made;
  }();
  return *table;
}

// Of lines that are there, in random order; with `from` kLines, of lines that are not. They lie
// side by side, as in a client's pipeline.
class Keys {
 public:
  explicit Keys(size_t from) {
    Rng rng(7);
    for (size_t i = 0; i < kKeys; ++i) text_ += KeyOf(from + rng.Below(kLines));
  }
  BytesView operator[](size_t i) const { return BytesView(text_).substr(i % kKeys * 16, 16); }

 private:
  Bytes text_;
};

void HashAlone(benchmark::State& state) {
  const Keys keys(0);
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(KeyedHash(keys[++i]));
}
BENCHMARK(HashAlone);

void FindHit(benchmark::State& state) {
  LineTable& table = Table();
  const Keys keys(0);
  size_t i = 0;
  for (auto _ : state) {
    Line* const line = table.Find(keys[++i]);
    CHECK(line != nullptr);
    table.Touch(line);
  }
}
BENCHMARK(FindHit);

// What the processor's caches hold: a few thousand hot lines.
void FindHitHot(benchmark::State& state) {
  LineTable& table = Table();
  const Keys keys(0);
  size_t i = 0;
  for (auto _ : state) {
    Line* const line = table.Find(keys[++i % 2048]);
    CHECK(line != nullptr);
    table.Touch(line);
  }
}
BENCHMARK(FindHitHot);

void FindMiss(benchmark::State& state) {
  LineTable& table = Table();
  const Keys keys(kLines);
  size_t i = 0;
  for (auto _ : state) CHECK(table.Find(keys[++i]) == nullptr);
}
BENCHMARK(FindMiss);

void FindAndSetValueOfTheSameSize(benchmark::State& state) {
  LineTable& table = Table();
  const Keys keys(0);
  const Bytes value(64, 'w');
  size_t i = 0;
  for (auto _ : state) table.SetValue(table.Find(keys[++i]), value);
}
BENCHMARK(FindAndSetValueOfTheSameSize);

void SetValueOfTheSameSize(benchmark::State& state) {
  LineTable& table = Table();
  const Keys keys(0);
  std::vector<Line*> lines;
  for (size_t i = 0; i < kKeys; ++i) lines.push_back(table.Find(keys[i]));
  const Bytes value(64, 'w');
  size_t i = 0;
  for (auto _ : state) table.SetValue(lines[++i % kKeys], value);
}
BENCHMARK(SetValueOfTheSameSize);

void AddSetValueAndRemove(benchmark::State& state) {
  LineTable& table = Table();
  const Keys keys(kLines);
  const Bytes value(64, 'v');
  size_t i = 0;
  for (auto _ : state) {
    Line* const line = table.Add(keys[++i]);
    table.SetValue(line, value);
    table.Remove(line);
  }
}
BENCHMARK(AddSetValueAndRemove);

// What a full cache does with each key that is new.
void EvictAndAdd(benchmark::State& state) {
  LineTable& table = Table();
  const Bytes value(64, 'v');
  uint64_t next = 2 * kLines;
  for (auto _ : state) {
    if (Line* const victim = table.Victim(1000, [](const Line&) { return true; })) {
      table.Remove(victim);
    }
    table.SetValue(table.Add(KeyOf(next++)), value);
  }
}
BENCHMARK(EvictAndAdd);

void GrowToAMillionLines(benchmark::State& state) {
  const Bytes value(64, 'v');
  std::vector<Bytes> keys;
  for (size_t i = 0; i < kLines; ++i) keys.push_back(KeyOf(i));
  for (auto _ : state) {
    LineTable table;
    for (const Bytes& key : keys) table.SetValue(table.Add(key), value);
    benchmark::DoNotOptimize(table.size());
  }
  state.SetItemsProcessed(static_cast<int64_t>(kLines) * state.iterations());
}
BENCHMARK(GrowToAMillionLines)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lockstep::mesi

BENCHMARK_MAIN();
