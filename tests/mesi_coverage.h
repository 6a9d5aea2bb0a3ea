// Which rows of the tables a search has used, and the directory's as a text to compare.
#pragma once

#include <array>

#include "cluster/mesi/agent_table.h"
#include "cluster/mesi/directory.h"
#include "src/base/bytes.h"

namespace lockstep::mesi {

struct Coverage {
  enum Op : uint8_t { kRequest, kInvAck, kRecallAck, kWriteBack, kGone, kGrant };
  static constexpr size_t kOps = 6, kVariants = 8;

  std::array<std::array<bool, kAgentEvents>, kCopies> agent{};
  std::array<std::array<uint16_t, kDirs>, kOps> home{};  // Variants, by bit (NameOfVariant).
  uint8_t reports = 0;                                   // Kinds of them, by bit.

  void Add(const Coverage& other) {
    for (size_t state = 0; state < kCopies; ++state) {
      for (size_t event = 0; event < kAgentEvents; ++event)
        agent[state][event] |= other.agent[state][event];
    }
    for (size_t op = 0; op < kOps; ++op) {
      for (size_t state = 0; state < kDirs; ++state) home[op][state] |= other.home[op][state];
    }
    reports |= other.reports;
  }

  // One line for each operation and state: what was met.
  Bytes SayHome() const {
    Bytes text;
    for (size_t op = 0; op < kOps; ++op) {
      for (size_t state = 0; state < kDirs; ++state) {
        if (home[op][state] == 0) continue;
        static constexpr const char* kNames[] = {"request",   "InvAck", "RecallAck",
                                                 "WriteBack", "gone",   "granted, then"};
        text += Format("%s %s:", kNames[op], NameOf(static_cast<Dir>(state)));
        for (size_t variant = 0; variant < kVariants; ++variant) {
          if ((home[op][state] >> variant & 1) != 0) text += NameOfVariant(op, variant);
        }
        text += "\n";
      }
    }
    return text;
  }

 private:
  static const char* NameOfVariant(size_t op, size_t variant) {
    static constexpr const char* kNames[kOps][kVariants] = {
        {" read", " read(others)", " read(owner)", " write", " write(others)", " write(owner)"},
        {" more", " last"},
        {" drops", " keeps"},
        {" evict", " demote"},
        {" other", " reader", " last-reader", " owner", " requester"},
        {" S", " S-home", " X", " X-home", " upgrade", " ?", " S-nobody", " X-nobody"},
    };
    return kNames[op][variant];
  }
};

}  // namespace lockstep::mesi
