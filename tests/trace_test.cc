// Plays the traces under tests/traces and compares what the engines narrate. A trace is blocks of
// commands, a line "----" and the lines that are expected; blocks are parted by an empty line, and
// lines with '#' are for the reader.
//
//   TRACES=tests/traces trace_test                 from anywhere but the top of the tree
//   REWRITE=1 trace_test                           writes what was narrated into the files
//
// After REWRITE, keep the difference only if you can explain every changed line.
//
// Commands of raft traces; those marked * narrate nothing, they set the scene:
//   nodes V [learners L] [outsiders O] [append-bytes B]   *
//                                        voters, then learners, then nodes that are no members yet;
//                                        1 byte an append makes each entry travel alone
//   elect N                              * N times out and wins
//   timeout N                            N loses patience with its leader, nobody else does
//   run | wait MS | pass MS              all that needs no timeout happens | time passes, with it
//                                        heartbeats and timeouts | time passes and nobody notices
//   propose N "data" | read N            a client's write or linearizable read at N
//   config N voters A B .. [learners C ..]   a change of membership, proposed at N
//   transfer N M                         N is to hand leadership to M
//   cut N [M] | heal [N]                 links fail, one or all of N's | and come back
//   hold TYPE [to M] | release | lose    messages of a type stay on the wire | go on | are lost
//   disk N hold | disk N release | persist N [COUNT]    writes wait | go on | COUNT of them finish
//   crash N [COUNT] | restart N | empty N    power fails, COUNT writes landed | back, without its
//   disk compact N [KEEP]                     N snapshots what it has applied and drops the log
//   before state N ..                           where each of them stands
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/raft_cluster.h"

namespace lockstep::raft::testing {
namespace {

using Words = std::vector<Bytes>;

// Splits at blanks; a part in double quotes is one word, without them.
Words Split(const Bytes& line) {
  Words words;
  std::istringstream in(line);
  Bytes word;
  while (in >> std::ws && !in.eof()) {
    if (in.peek() == '"') {
      in.get();
      std::getline(in, word, '"');
    } else {
      in >> word;
    }
    words.push_back(word);
  }
  return words;
}

class RaftTrace {
 public:
  // What the engines narrate while `commands` are played.
  Words Play(const Words& commands) {
    for (const Bytes& command : commands) {
      if (command.empty() || command[0] == '#') continue;
      words_ = Split(command);
      try {
        Do(words_.at(0));
      } catch (const std::exception& failure) {
        said_.push_back("! " + command + ": " + failure.what());
      }
    }
    return std::exchange(said_, {});
  }

 private:
  // What one node says, with its number in front.
  class Voice final : public Narrator {
   public:
    Voice(RaftTrace* trace, NodeId node) : trace_(trace), node_(node) {}
    bool Narrating() const override { return !trace_->silent_; }
    void Say(Bytes line) override {
      if (Narrating()) trace_->said_.push_back(Format("%lu > ", N(node_)) + line);
    }

   private:
    RaftTrace* trace_;
    NodeId node_;
  };

  uint64_t Number(size_t at, uint64_t otherwise) {
    uint64_t number = otherwise;
    if (at >= words_.size()) return otherwise;
    MUST(ParseUint64(words_[at], &number), "no number: %s", words_[at].c_str());
    return number;
  }
  uint64_t Node(size_t at) {
    const uint64_t n = Number(at, 0);
    MUST(cluster_.has_value() && n >= 1 && n <= cluster_->size(), "no such node");
    return n;
  }
  // The numbers after the word `name`, up to the next word that is none.
  std::vector<uint64_t> After(const Bytes& name) {
    std::vector<uint64_t> numbers;
    auto it = std::find(words_.begin(), words_.end(), name);
    uint64_t number = 0;
    if (it == words_.end()) return numbers;
    while (++it != words_.end() && ParseUint64(*it, &number)) numbers.push_back(number);
    return numbers;
  }
  void Say(uint64_t n, const Bytes& line) {
    said_.push_back(Format("%lu : ", N(NodeId{n})) + line);
  }

  void Do(const Bytes& verb) {
    if (verb == "nodes") return Nodes();
    if (verb == "elect") return Elect(Node(1));
    if (verb == "run") return Run(0);
    if (verb == "wait") return Run(static_cast<int64_t>(Number(1, 0)));
    if (verb == "pass") return cluster_->Pass(static_cast<int64_t>(Number(1, 0)) * kUsPerMs);
    if (verb == "timeout") return cluster_->LosePatience(Node(1));
    if (verb == "propose") return Propose(Node(1), words_.at(2));
    if (verb == "read") return Read(Node(1));
    if (verb == "config") return Configure(Node(1));
    if (verb == "transfer") return Transfer(Node(1), Node(2));
    if (verb == "compact") return cluster_->Compact(Node(1), Number(2, 0));
    if (verb == "state") return State();
    MUST(DoFault(verb), "no such command");
  }
  bool DoFault(const Bytes& verb) {
    if (verb == "cut") {
      words_.size() > 2 ? cluster_->Cut(Node(1), Node(2)) : cluster_->Isolate(Node(1));
    } else if (verb == "heal") {
      words_.size() > 1 ? cluster_->Heal(Node(1)) : cluster_->Heal();
    } else if (verb == "hold") {
      Hold(words_.at(1), words_.size() > 3 ? Node(3) : 0);
    } else if (verb == "release") {
      cluster_->Release();
    } else if (verb == "lose") {
      cluster_->LoseAll();
    } else if (verb == "disk") {
      words_.at(2) == "hold" ? cluster_->HoldDisk(Node(1)) : cluster_->ReleaseDisk(Node(1));
    } else if (verb == "persist") {
      for (uint64_t left = Number(2, 1); left > 0; --left) cluster_->FinishWrite(Node(1));
    } else if (verb == "crash") {
      cluster_->Crash(Node(1), Number(2, 0));
    } else if (verb == "restart") {
      cluster_->Restart(Node(1));
    } else if (verb == "empty") {
      cluster_->RestartEmptied(Node(1));
    } else {
      return false;
    }
    return true;
  }

  void Nodes() {
    Cluster::Setup setup;
    setup.voters = Number(1, 3);
    for (const uint64_t learners : After("learners")) setup.learners = learners;
    for (const uint64_t bytes : After("append-bytes")) setup.options.append_bytes_max = bytes;
    for (const uint64_t outsiders : After("outsiders")) setup.outsiders = outsiders;
    setup.narrator = [this](NodeId node) {
      voices_.push_back(std::make_unique<Voice>(this, node));
      return voices_.back().get();
    };
    cluster_.emplace(std::move(setup));
    reads_.clear();
  }
  void Elect(uint64_t n) {
    silent_ = true;
    cluster_->Elect(n);
    silent_ = false;
  }
  void Run(int64_t ms) {
    ms == 0 ? cluster_->Settle() : cluster_->RunForMs(ms);
    std::erase_if(reads_, [this](const auto& read) { return Answered(read.first, read.second); });
  }
  void Propose(uint64_t n, const Bytes& data) { SayIfRefused(n, cluster_->Propose(n, data)); }
  void Configure(uint64_t n) {
    SayIfRefused(n, cluster_->Configure(n, Members("voters"), Members("learners")));
  }
  // By its name, or the disk that it has by now.
  std::vector<Member> Members(const Bytes& name) {
    std::vector<Member> members;
    for (const uint64_t n : After(name)) members.push_back(cluster_->host(n).self());
    return members;
  }
  void SayIfRefused(uint64_t n, const Raft::Proposal& proposal) {
    static const char* const kWhy[] = {"",     "not the leader",      "handing over leadership",
                                       "full", "a change is pending", "no usable configuration"};
    if (proposal.refusal == Raft::Refusal::kNone) return;
    Say(n, Format("refused: %s", kWhy[static_cast<size_t>(proposal.refusal)]));
  }
  void Read(uint64_t n) {
    const uint64_t position = cluster_->Read(n);
    if (position == 0) return Say(n, "read refused: not the leader");
    reads_.emplace_back(n, position);
  }
  bool Answered(uint64_t n, uint64_t position) {
    if (!cluster_->host(n).up()) return true;
    const std::optional<Index> index = cluster_->host(n).Confirmed(position);
    const auto number = static_cast<unsigned long>(position);
    if (index.has_value()) {
      Say(n, Format("read %lu may be answered at %lu", number, N(*index)));
    } else if (cluster_->host(n).reads_waiting() == 0) {
      Say(n, Format("read %lu is lost", number));
    } else {
      return false;
    }
    return true;
  }
  void Transfer(uint64_t from, uint64_t to) {
    if (!cluster_->Transfer(from, to)) Say(from, "transfer refused");
  }
  void Hold(const Bytes& type, uint64_t to) {
    cluster_->Hold([=](const Message& message) {
      return TypeName(message.body) == type && (to == 0 || message.to == NodeId{to});
    });
  }
  void State() {
    for (size_t i = 1; i < words_.size(); ++i) {
      const uint64_t n = Node(i);
      if (!cluster_->host(n).up()) {
        Say(n, "down");
        continue;
      }
      const Raft& raft = (*cluster_)[n];
      Say(n, Format("%s in term %lu, log %s, commit %lu", RoleName(raft.role()), N(raft.term()),
                    Text(raft.last()).c_str(), N(raft.commit())));
    }
  }

  std::vector<std::unique_ptr<Voice>> voices_;
  std::optional<Cluster> cluster_;
  std::vector<std::pair<uint64_t, uint64_t>> reads_;  // Node and position.
  Words words_;
  Words said_;
  bool silent_ = false;
};

struct Block {
  Words commands;
  Words expected;
};

std::vector<Block> Parse(std::istream& in) {
  std::vector<Block> blocks(1);
  bool expects = false;
  for (Bytes line; std::getline(in, line);) {
    if (line.empty() && !expects) {
      blocks.back().commands.push_back(line);  // An empty line among the commands or comments.
    } else if (line.empty()) {
      blocks.emplace_back();
      expects = false;
    } else if (line == "----") {
      expects = true;
    } else {
      (expects ? blocks.back().expected : blocks.back().commands).push_back(line);
    }
  }
  if (!expects) blocks.pop_back();  // What follows the last expectation: nothing.
  return blocks;
}

Bytes Joined(const Words& lines) {
  Bytes joined;
  for (const Bytes& line : lines) joined += line + "\n";
  return joined;
}

bool Rewriting() {
  return std::getenv("REWRITE") != nullptr;
}
std::filesystem::path TracesOf(const char* engine) {
  const char* at = std::getenv("TRACES");
  return std::filesystem::path(at != nullptr ? at : "tests/traces") / engine;
}

void CheckTrace(const std::filesystem::path& path) {
  SCOPED_TRACE(path.string());
  std::ifstream in(path);
  ASSERT_TRUE(in.good());
  const std::vector<Block> blocks = Parse(in);
  EXPECT_FALSE(blocks.empty());
  RaftTrace trace;
  Bytes rewritten;
  for (const Block& block : blocks) {
    const Words said = trace.Play(block.commands);
    rewritten += (rewritten.empty() ? "" : "\n") + Joined(block.commands) + "----\n" + Joined(said);
    if (Rewriting()) continue;
    EXPECT_EQ(Joined(said), Joined(block.expected)) << "after\n" << Joined(block.commands);
  }
  if (Rewriting()) std::ofstream(path) << rewritten;
}

TEST(Traces, EveryRaftTraceIsNarratedAsItIsWritten) {
  std::vector<std::filesystem::path> paths;
  ASSERT_TRUE(std::filesystem::is_directory(TracesOf("raft"))) << "set TRACES to tests/traces";
  for (const auto& entry : std::filesystem::directory_iterator(TracesOf("raft"))) {
    if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  EXPECT_GE(paths.size(), 10u);
  for (const auto& path : paths) CheckTrace(path);
}

}  // namespace
}  // namespace lockstep::raft::testing
