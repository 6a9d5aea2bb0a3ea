// A node's process and the machine under it: its clock, its disk, its loop. Another src/io, of
// memory.
//
// What comes for the node waits in the inbox until the loop turns; a turn steps the node through
// all of it, then drains once. Between any two events the process may crash, stand still, or be
// told to end; and within a turn it may stand still between any two steps, and between what it
// has decided and what it says.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "src/node.h"
#include "tests/sim/disk.h"

namespace lockstep::sim {

class World;

class Process {
 public:
  enum class State : uint8_t { kDown, kRunning, kPaused };

  Process(World* world, NodeId id, Bytes config_text);
  ~Process();

  void Start();
  void Crash();
  void Pause();
  void Resume();
  void EndStall();  // If it stands still within a turn, it goes on.
  void Terminate();  // SIGTERM. Ends by itself, some time later.
  void EmptyDisk();  // Only while down.
  void JumpClock(int64_t us);

  // What follows is this node's doing: its log lines, its keyed hashes. Before any call into the
  // node that may hash.
  void Enter() const;

  // An input for the next turn. `bytes`: what its views show.
  void Post(Input input, Bytes bytes = {});

  NodeId id() const { return id_; }
  State state() const { return state_; }
  bool up() const { return state_ != State::kDown; }
  bool running() const { return state_ == State::kRunning; }
  bool terminating() const { return terminating_; }
  bool removed() const { return removed_; }
  void MarkRemoved() { removed_ = true; }  // The cluster has thrown it out.
  // Grows with each start; tells what an earlier process had to do with from what this one has.
  uint64_t instance() const { return instance_; }
  Node* node() { return node_.get(); }
  const Node* node() const { return node_.get(); }
  Disk& disk() { return disk_; }
  const Disk& disk() const { return disk_; }
  // As last seen: also of a process that is down. 0: it has none, or an empty one.
  DiskId disk_id() const { return disk_id_; }
  ClusterId cluster_id() const { return cluster_id_; }
  MonoTime LocalNow() const;

 private:
  struct Item {
    Input input;
    Bytes bytes;
  };
  void ScheduleTurn();
  void Turn();
  void GoOn();
  void Finish();
  bool StandsStill(uint64_t times = 1);  // So many times as likely.
  void Feed(Item& item, MonoTime now);
  void FeedLateClients();
  void Take(Output output);
  void ScheduleWakeup();
  void Exit();
  void ExitOnDiskFailure(const char* why);
  void Die();
  NodeOptions Options();
  void NoteIdentity();
  void GuardAgainstSpinning();

  World* world_;
  NodeId id_;
  Bytes config_text_;
  Disk disk_;
  std::unique_ptr<Node> node_;
  State state_ = State::kDown;
  bool terminating_ = false;
  bool removed_ = false;
  uint64_t instance_ = 0;
  uint64_t seed_ = 0;  // The node's own dice; anew with each start.
  DiskId disk_id_;
  ClusterId cluster_id_;

  std::deque<Item> inbox_;
  bool turn_scheduled_ = false;  // Or under way.
  size_t steps_left_ = 0;        // Of the turn under way,
  bool is_ticked_ = false;       // which has done the rest,
  MonoTime turn_now_;             // (When it was to drain.)
  std::optional<Output> output_;  // and has drained.
  bool is_within_ = false;       // It stands still within.
  int64_t wakeup_at_us_ = 0;  // Earliest scheduled, in the world's time; 0: none.
  uint64_t wakeup_number_ = 0;
  int64_t idle_turns_ = 0;
  int64_t idle_since_us_ = 0;

  // The machine's clock: starts anew with each start, runs at its own rate.
  int64_t clock_ppm_ = 0;
  int64_t wall_clock_us_ = 0;
  int64_t started_us_ = 0;
  int64_t clock_base_us_ = 0;
};

}  // namespace lockstep::sim
