#include "tests/sim/plan.h"

#include <cstdlib>

namespace lockstep::sim {

Plan PlanOf(const std::vector<Bytes>& parts, uint64_t roll) {
  Plan plan;
  plan.all = false;
  plan.kept = {parts.begin(), parts.end()};
  plan.roll = roll;
  return plan;
}

Bytes Text(const Plan& plan) {
  if (plan.all) return "all";
  Bytes text = plan.roll == 0 ? Bytes() : Format("r%lu", plan.roll);
  for (const Bytes& part : plan.kept) text += (text.empty() ? "" : ",") + part;
  return text.empty() ? "none" : text;
}

Plan ParsePlan(BytesView text) {
  Plan plan;
  plan.all = text == "all";
  while (!plan.all && !text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const Bytes part(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool rolls = part.size() > 1 && part[0] == 'r' && part[1] >= '0' && part[1] <= '9';
    if (rolls) {
      plan.roll = std::strtoull(part.c_str() + 1, nullptr, 10);
    } else if (!part.empty() && part != "none") {
      plan.kept.insert(part);
    }
  }
  return plan;
}

}  // namespace lockstep::sim
