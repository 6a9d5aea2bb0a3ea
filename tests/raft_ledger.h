// What a group of Raft nodes has promised, kept by one who sees all of them: the checker behind the
// tests of the Raft engine. It knows the paper's properties (Raft figure 3) and nothing of the
// code.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cluster/raft/raft.h"
#include "src/base/bytes.h"
#include "src/base/hash.h"

namespace lockstep::raft::testing {

// A promise was broken; what() says which, in one line.
struct Violation : std::runtime_error {
  explicit Violation(const Bytes& what) : std::runtime_error(what) {}
};

#define MUST(condition, ...)                                                           \
  do {                                                                                 \
    if (!(condition)) throw ::lockstep::raft::testing::Violation(Format(__VA_ARGS__)); \
  } while (false)

inline unsigned long N(NodeId node) {
  return static_cast<unsigned long>(node.value);
}
inline unsigned long N(Term term) {
  return static_cast<unsigned long>(term.value);
}
inline unsigned long N(Index index) {
  return static_cast<unsigned long>(index.value);
}

// "2/7": term 2, index 7.
inline Bytes Text(LogId id) {
  return Format("%lu/%lu", N(id.term), N(id.index));
}

// An engine's failed CHECK becomes an exception, so that a test can say with which seed it
// happened.
inline void ThrowOnFailedChecks() {
  SetCheckFailureHook([](const Bytes& what) { throw Violation(what); });
}

class Ledger {
 public:
  // Log Matching: whoever has an entry of this index and term has the same entry after the same
  // predecessor. By induction the two logs are the same up to there.
  void OnLogged(NodeId node, LogId previous, const Entry& entry) {
    const auto [it, is_new] = logged_.try_emplace(entry.id, Logged{previous, entry});
    if (is_new) return;
    MUST(it->second.entry == entry, "node %lu has another entry at %s than the one that was made",
         N(node), Text(entry.id).c_str());
    MUST(it->second.previous == previous, "node %lu has %s after %s, others have it after %s",
         N(node), Text(entry.id).c_str(), Text(previous).c_str(),
         Text(it->second.previous).c_str());
  }

  // State Machine Safety: an index is committed once, with one entry, for all nodes and all time.
  // `term` is the term in which the node learned of it.
  void OnCommitted(NodeId node, Term term, const Entry& entry) {
    const size_t at = entry.id.index.value;
    if (at <= committed_.size()) {
      MUST(committed_[at - 1] == entry, "node %lu commits %s, but %s is committed at that index",
           N(node), Text(entry.id).c_str(), Text(committed_[at - 1].id).c_str());
      return;
    }
    MUST(at == committed_.size() + 1, "node %lu commits index %lu before %lu", N(node),
         N(entry.id.index), static_cast<unsigned long>(committed_.size() + 1));
    MUST(committed_.empty() || committed_.back().time <= entry.time,
         "the stamp of %s is before that of its predecessor", Text(entry.id).c_str());
    committed_.push_back(entry);
    commit_terms_.push_back(term);
    hashes_.push_back(HashOf(entry, at == 1 ? 0 : hashes_[at - 2]));
  }

  // Election Safety and Leader Completeness.
  void OnLeader(NodeId node, const Raft& raft) {
    const auto [it, is_new] = leaders_.try_emplace(raft.term(), node);
    MUST(it->second == node, "nodes %lu and %lu both lead in term %lu", N(it->second), N(node),
         N(raft.term()));
    // A candidate whose votes come late may win an old term, without what newer terms committed.
    size_t needs = committed_.size();
    while (needs > 0 && commit_terms_[needs - 1] >= raft.term()) --needs;
    if (!is_new || needs == 0) return;
    const LogId needed = committed_[needs - 1].id;
    MUST(raft.last().index >= needed.index,
         "leader %lu of term %lu ends at %s without committed %s", N(node), N(raft.term()),
         Text(raft.last()).c_str(), Text(needed).c_str());
    if (needed.index < raft.first_index()) return;  // Compacted: it was applied, thus compared.
    MUST(raft.entry(needed.index).id == needed, "leader %lu of term %lu has %s, committed is %s",
         N(node), N(raft.term()), Text(raft.entry(needed.index).id).c_str(), Text(needed).c_str());
  }

  // One vote a term, whatever was forgotten in between. A node with another disk is another voter.
  void OnVote(Member voter, Term term, NodeId candidate) {
    const auto [it, is_new] = votes_.try_emplace({voter, term}, candidate);
    MUST(it->second == candidate, "node %lu votes for %lu in term %lu after having voted for %lu",
         N(voter.node), N(candidate), N(term), N(it->second));
  }

  Index committed() const { return Index{committed_.size()}; }
  const Entry& entry(Index index) const { return committed_.at(index.value - 1); }
  bool HasCommitted(BytesView data) const {
    for (const Entry& entry : committed_) {
      if (entry.kind == EntryKind::kOp && entry.data == data) return true;
    }
    return false;
  }

  // What a state machine that has applied everything up to `index` must look like.
  uint64_t HashAt(Index index) const { return index.value == 0 ? 0 : hashes_.at(index.value - 1); }
  static uint64_t HashOf(const Entry& entry, uint64_t before) {
    uint64_t hash = HashMix(before, entry.id.index.value);
    hash = HashMix(hash, entry.id.term.value);
    hash = HashMix(hash, static_cast<uint64_t>(entry.time.ms));
    hash = HashMix(hash, static_cast<uint64_t>(entry.kind));
    return HashMix(hash, Hash64(entry.data));
  }

 private:
  struct Logged {
    LogId previous;
    Entry entry;
  };
  std::map<LogId, Logged> logged_;
  std::vector<Entry> committed_;
  std::vector<Term> commit_terms_;
  std::vector<uint64_t> hashes_;
  std::map<Term, NodeId> leaders_;
  std::map<std::pair<Member, Term>, NodeId> votes_;
};

}  // namespace lockstep::raft::testing
