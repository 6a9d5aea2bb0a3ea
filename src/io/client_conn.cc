#include "src/io/client_conn.h"

#include <algorithm>

namespace lockstep::io {

ClientConn::ClientConn(Loop* loop, NodePort* port, Watcher* watcher, ClientId id,
                       TcpConn::Reads reads)
    : loop_(loop), port_(port), watcher_(watcher), id_(id), reads_(reads), conn_(loop, this) {}

void ClientConn::Enter(State state, MonoTime deadline) {
  state_ = state;
  deadline_ = deadline;
  watcher_->OnChanged(id_);
}

void ClientConn::Open() {
  state_ = State::kServing;
  node_knows_ = true;
  const Endpoint remote = Remote();
  port_->Step(ClientOpened{.id = id_,
                           .address = remote.text,
                           .local_address = Local().text,
                           .loopback = remote.loopback});
  conn_.Read(reads_);
}

void ClientConn::TurnAway(Bytes last_words) {
  conn_.Write(std::move(last_words));
  Finish();
}

std::optional<int> ClientConn::SendsTo() const {
  return state_ == State::kServing ? conn_.SendsTo() : std::nullopt;
}

void ClientConn::Send(Bytes bytes) {
  if (state_ != State::kServing) return;
  conn_.Write(std::move(bytes));
  AfterSend();
}

void ClientConn::SendRest(Bytes bytes, ssize_t sent) {
  conn_.WriteRest(std::move(bytes), sent);
  AfterSend();
}

void ClientConn::AfterSend() {
  last_bytes_ = loop_->Lately();
  if (half_closed_ && port_->Owes(id_) == Node::Owed::kNothing) Part();
}

// Once until it is read, however often libuv says so.
void ClientConn::OnReadable() {
  if (!std::exchange(readable_, true)) watcher_->OnReadable(id_);
}

std::optional<ClientConn::FromTo> ClientConn::BeginRead() {
  readable_ = false;
  const std::optional<int> fd = conn_.ReadsFrom();
  if (!fd || state_ != State::kServing) return std::nullopt;
  return FromTo{*fd, port_->ReadBuffer(id_, kReadBytes)};
}

bool ClientConn::EndRead(const ReadRoom& room, ssize_t got) {
  conn_.HaveRead(got);
  readable_ = got == static_cast<ssize_t>(room.bytes.size());
  return readable_;
}

void ClientConn::StopReading() {
  if (state_ == State::kServing) conn_.StopReading();
}

void ClientConn::ReadAgain() {
  if (state_ == State::kServing) conn_.Read(reads_);
}

// Called again it changes nothing; a deadline ends a client that never takes its last bytes.
void ClientConn::Finish() {
  if (state_ > State::kFlushing || flush_by_ != MonoTime{}) return;
  const MonoTime now = loop_->Now();
  flush_by_ = now + kFlushUsMax;
  Flush(now);
  conn_.StopReading();
  if (conn_.backlog() == 0) Linger();
}

void ClientConn::Drop() {
  if (state_ != State::kGone) Go();
}

void ClientConn::Flush(MonoTime now) {
  unflushed_ = conn_.backlog();
  Enter(State::kFlushing, std::min(now + kFlushStepUsMax, flush_by_));
}

bool ClientConn::ReportBacklog() {
  if (state_ != State::kServing) return false;
  const size_t now = conn_.backlog();
  if (now != backlog_told_) {
    backlog_told_ = now;
    port_->Step(ClientBacklog{.id = id_, .bytes = now});
  }
  return now > 0;
}

// A client on a slow line that goes on taking its last bytes is given more time, but not for ever:
// one byte now and then would keep all of them in our memory.
void ClientConn::OnDeadline(MonoTime now) {
  if (state_ == State::kServing && now < GraceEnds()) return Enter(State::kServing, GraceEnds());
  const bool takes_its_bytes = state_ == State::kFlushing && conn_.backlog() < unflushed_;
  if (!takes_its_bytes || now >= flush_by_) return Go();
  Flush(now);
}

std::span<char> ClientConn::Room() {
  if (state_ == State::kServing) return port_->ReadBuffer(id_, kReadBytes).bytes;
  // Whoever lingers is heard by nobody: all of them on this thread may write over each other.
  static thread_local char nowhere[kReadBytes];
  return nowhere;
}

void ClientConn::OnBytes(size_t bytes) {
  if (state_ != State::kServing) return;
  last_bytes_ = loop_->Lately();
  port_->Step(ClientRead{.id = id_, .bytes = bytes});
}

// An error is final. An orderly end says only that the client will not send: see the header for
// why it gets a moment.
void ClientConn::OnEnd(const Bytes& why) {
  broken_ = !why.empty();
  half_closed_ = why.empty() && state_ <= State::kFlushing;
  if (!half_closed_) return Go();
  if (state_ == State::kFlushing) return;  // Its last words go on leaving.
  if (port_->Owes(id_) == Node::Owed::kNothing) return Part();
  if (GraceEnds() <= loop_->Now()) return Go();
  Enter(State::kServing, GraceEnds());
}

void ClientConn::OnWritten() {
  last_bytes_ = loop_->Lately();
  if (conn_.backlog() > 0) return;
  if (state_ == State::kFlushing) return Linger();
  if (state_ == State::kServing && half_closed_) Enter(State::kServing, GraceEnds());
}

// While answers lie here that it has not taken, it has as long as anybody has over last words.
// While they wait for us, for a disk or for a leader, it is not the client that is silent.
MonoTime ClientConn::GraceEnds() const {
  if (conn_.backlog() > 0) return last_bytes_ + kFlushStepUsMax;
  const bool is_ours = port_->Owes(id_) == Node::Owed::kSoon;
  return (is_ours ? loop_->Now() : last_bytes_) + kHalfClosedGraceUs;
}

// The client will ask no more and all is answered: the node forgets it, the answers leave.
void ClientConn::Part() {
  TellNode();
  Finish();
}

// The node may forget the client now: whatever this socket still does, it is nobody's any more.
// One that has shut its own side sends nothing that would have to be heard out.
void ClientConn::Linger() {
  if (half_closed_) return Go();
  Enter(State::kLingering, loop_->Now() + kLingerUsMax);
  conn_.FinishWriting();
  conn_.Read();
  TellNode();
}

// The watcher takes it out of the table later: we are inside one of its calls, or libuv's.
void ClientConn::Go() {
  Enter(State::kGone, kNeverMono);
  conn_.StopReading();
  TellNode();
}

void ClientConn::TellNode() {
  if (!std::exchange(node_knows_, false)) return;
  port_->Step(ClientClosed{.id = id_, .untaken = broken_ ? SIZE_MAX : conn_.backlog()});
}

}  // namespace lockstep::io
