// A client's connection as a client library keeps it: to some node, made anew when it breaks, calls
// answered in the order in which they were made.
#pragma once

#include <deque>
#include <functional>

#include "src/base/ids.h"
#include "tests/sim/resp_reader.h"
#include "tests/sim/wires.h"

namespace lockstep::sim {

class World;

class Session final : public ClientEnd {
 public:
  // What became of a call. No reply and not sent: nothing has happened. No reply though sent: who
  // knows.
  using Done = std::function<void(const Reply* reply, bool sent)>;

  explicit Session(World* world);

  // Connects first if need be. Past `timeout_us` the client loses patience and hangs up, which ends
  // all calls under way.
  void Call(const std::vector<Bytes>& argv, int64_t timeout_us, Done done);
  void HangUp();

  bool idle() const { return calls_.empty(); }
  bool connected() const { return open_; }
  ClientId socket() const { return socket_; }       // 0: none now.
  ClientId last_socket() const { return last_socket_; }
  NodeId node() const { return node_; }
  // From now on what is called at one instant is sent as one, in pieces of at most so many bytes.
  void SendInPieces(size_t bytes_max) { piece_max_ = bytes_max; }
  // The next connection goes there; kNoNode: anywhere.
  void Prefer(NodeId node) { preferred_ = node; }

  void OnOpened(ClientId socket) override;
  void OnBytes(ClientId socket, BytesView bytes) override;
  void OnClosed(ClientId socket) override;

 private:
  struct Call_ {
    uint64_t number;
    Bytes bytes;
    bool sent = false;
    Done done;
  };
  void Connect();
  void SendUnsent();
  void FailAll();

  World* world_;
  ReplyReader reader_;
  std::deque<Call_> calls_;
  uint64_t next_number_ = 1;
  ClientId socket_;
  ClientId last_socket_;
  bool open_ = false;
  NodeId node_;
  NodeId preferred_;
  size_t piece_max_ = 0;  // 0: each call is sent as it comes.
  bool sending_soon_ = false;
};

}  // namespace lockstep::sim
