#include "src/base/planted.h"

#ifdef LOCKSTEP_MUTANTS

#include <cstdlib>
#include <iterator>
#include <optional>

#include "src/base/check.h"

namespace lockstep {
namespace {

std::optional<Mutant> NamedMutant() {
  const char* const name = std::getenv("LOCKSTEP_MUTANT");
  if (name == nullptr || *name == '\0') return std::nullopt;
  Bytes list;
  for (size_t i = 0; i < std::size(kMutantNames); ++i) {
    if (kMutantNames[i] == name) return static_cast<Mutant>(i);
    list += "\n  " + Bytes(kMutantNames[i]);
  }
  CheckFailed(__FILE__, __LINE__, "LOCKSTEP_MUTANT",
              Format("there is no '%s'; there are:%s", name, list.c_str()));
}

}  // namespace

bool Planted(Mutant mutant) {
  static const std::optional<Mutant> kNamed = NamedMutant();
  return kNamed == mutant;
}

}  // namespace lockstep

#endif
