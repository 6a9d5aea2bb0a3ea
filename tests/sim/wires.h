// Connections between clients and nodes: bytes in order, cut up anywhere, late, and ended by either
// side at any time without the other knowing at once.
#pragma once

#include <map>
#include <set>

#include "src/node.h"

namespace lockstep::sim {

class World;

// The client's end. Called from events, never from within a call to Wires.
class ClientEnd {
 public:
  virtual ~ClientEnd() = default;
  virtual void OnOpened(ClientId socket) = 0;
  virtual void OnBytes(ClientId socket, BytesView bytes) = 0;
  virtual void OnClosed(ClientId socket) = 0;  // Also if it never opened. Nothing follows.
};

class Wires {
 public:
  explicit Wires(World* world) : world_(world) {}

  // The client's side. After Close nothing more is heard of the socket.
  ClientId Open(NodeId to, ClientEnd* end);
  // In pieces of at most `piece_max`; 0: mostly whole.
  void Send(ClientId socket, BytesView bytes, size_t piece_max = 0);
  void Close(ClientId socket);
  // When it broke first, by World::FastUs; kNotYet while both sides have it open.
  int64_t closed_at_fast_us(ClientId socket) const;
  static constexpr int64_t kNotYet = INT64_MAX;

  // The node's side.
  void FromNode(ClientId socket, Bytes bytes, bool close);
  void StopReading(ClientId socket);
  void ReadAgain(ClientId socket);
  void OnDeath(NodeId id);

  // No client reaches the node any more, and those that did are cut off; the node notices late.
  void CutOff(NodeId id);
  void Mend(NodeId id) { cut_off_.erase(id); }
  // And from now on every client reads what it is sent.
  void MendAll() {
    cut_off_.clear();
    calm_ = true;
  }

 private:
  struct Socket {
    NodeId node;
    uint64_t instance = 0;   // Of the process that accepted it.
    ClientEnd* end = nullptr;
    bool client_open = true;
    bool node_open = false;
    bool closing = false;    // By the node's side.
    bool reading = true;
    bool lazy = false;       // Its client reads slowly.
    bool cut = false;        // Bytes were lost on it, so none that follow arrive.
    Bytes unread;            // In the kernel: the node has stopped reading.
    size_t backlog = 0;      // Given by the node, not taken by the client yet.
    int64_t to_node_at_us = 0;
    int64_t to_client_at_us = 0;
    int64_t closed_at_fast_us = kNotYet;
  };
  void Accept(ClientId id);
  void ToNode(ClientId id, Bytes bytes);
  void ToClient(ClientId id, Bytes bytes, bool close);
  void CloseNodeSide(ClientId id, int64_t after_us);
  void CloseClientSide(ClientId id, int64_t after_us);
  void NoteClosed(Socket* socket);
  int64_t InOrder(int64_t* last_us, int64_t delay_us);
  bool NodeHas(const Socket& socket) const;

  World* world_;
  std::map<ClientId, Socket> sockets_;
  std::set<NodeId> cut_off_;
  bool calm_ = false;
  uint64_t next_ = 1;
};

}  // namespace lockstep::sim
