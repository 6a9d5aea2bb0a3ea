// What libFuzzer calls, the same for all fuzzers.
#include <filesystem>
#include <fstream>

#include "tests/fuzz/fuzz.h"

namespace lockstep::fuzz {
namespace {

// Into the corpus folder, the first argument that is one.
void Sow(int argc, char** argv) {
  const std::vector<Bytes> seeds = Seeds();
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) continue;
    for (size_t n = 0; n < seeds.size(); ++n) {
      std::ofstream file(Format("%s/seed-%zu", argv[i], n), std::ios::binary | std::ios::trunc);
      file.write(seeds[n].data(), static_cast<std::streamsize>(seeds[n].size()));
    }
    break;
  }
}

void Run(BytesView in) {
  static const std::vector<Property> kProperties = Properties();
  if (kProperties.size() == 1) return kProperties.front()(in);
  if (in.empty()) return;
  kProperties[static_cast<uint8_t>(in.front()) % kProperties.size()](in.substr(1));
}

}  // namespace
}  // namespace lockstep::fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  lockstep::fuzz::Sow(*argc, *argv);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockstep::fuzz::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
