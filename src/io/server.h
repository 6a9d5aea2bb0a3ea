// The running server: one node, its loop, its store, its clients and peers. The shell that
// src/node.h speaks of.
//
// One turn: what came in has been stepped into the node; Turn ticks it if it is time, hands out
// what it gives, and lets the loop sleep until it wants to be woken.
#pragma once

#include "src/io/clients.h"
#include "src/io/loop.h"
#include "src/io/node_port.h"
#include "src/io/peer_door.h"
#include "src/io/peer_links.h"
#include "src/io/spare_memory.h"
#include "src/io/storage_rocksdb.h"

namespace lockstep::io {

class Server final : private NodePort {
 public:
  struct Start {
    Config config;
    Bytes config_file;  // Absolute; empty: none, or one that cannot be written back.
  };
  // An error is a sentence for the operator.
  static Result<std::unique_ptr<Server>> Open(Start start);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Until the node says that everything is said and written.
  void Run();

 private:
  explicit Server(Start start);
  Result<void> OpenStore();
  Result<void> OpenNode();
  Result<void> Listen();
  void LimitClients();
  void WatchSignals();
  void SayHowItStarts() const;

  void Step(const Input& input) override;
  ReadRoom ReadBuffer(ClientId id, size_t bytes) override;
  Node::Owed Owes(ClientId id) const override { return node_->Owes(id); }
  bus::Identity identity() const override;

  MonoTime Turn();
  void HandOut(Output output);
  static void CloseLeased(Output* output);
  void HandOutPeers(Output* output);
  void TellFigures(MonoTime now);
  void OnPersisted();
  void OnStopSignal(const char* name);
  void Leave(MonoTime now);

  const Settings& settings() const { return node_->config().settings(); }

  // Destroyed from the last to the first: nothing wakes a loop that is gone.
  Start start_;
  Loop loop_;
  Waker persisted_;
  std::unique_ptr<StorageRocksdb> storage_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<Clients> clients_;
  std::unique_ptr<PeerLinks> links_;
  std::unique_ptr<PeerDoor> door_;
  std::vector<std::unique_ptr<SignalWatch>> signals_;

  bool stepped_ = false;  // Since the last Drain.
  bool asked_to_stop_ = false;
  uint64_t persisted_told_ = 0;
  MonoTime next_figures_;
  SpareMemory spare_memory_;
  MonoTime leave_by_ = kNeverMono;  // Set: the node is done, its last words are on their way.
};

}  // namespace lockstep::io
