// A whole server in this process: the real node, disk, loop and sockets; the client a plain one.
#include "src/io/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "src/io/file.h"

namespace lockstep::io {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

uint16_t FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  CHECK(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

// Waits for its replies, twenty seconds at most.
class WaitingClient {
 public:
  explicit WaitingClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const sockaddr_in address = Loopback(port);
    CHECK(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  ~WaitingClient() {
    if (fd_ >= 0) ::close(fd_);
  }
  WaitingClient(WaitingClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

  void Send(BytesView bytes) {
    CHECK(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
  }
  void Reset() {
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    ::close(std::exchange(fd_, -1));
  }
  void FinishSending() { ::shutdown(fd_, SHUT_WR); }
  Bytes Receive(size_t bytes) {
    Bytes got(bytes, '\0');
    const ssize_t size = ::recv(fd_, got.data(), bytes, MSG_WAITALL);
    got.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return got;
  }
  Bytes Line() {
    Bytes line;
    char byte = 0;
    while (::recv(fd_, &byte, 1, 0) == 1) {
      line += byte;
      if (line.ends_with("\r\n")) break;
    }
    return line;
  }
  Bytes Ask(const Bytes& command) {
    Send(command + "\r\n");
    return Line();
  }

 private:
  int fd_;
};

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/lockstep-server-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    port_ = FreePort();
    bus_port_ = FreePort();
    SetConfigFile("# The test's own.\nloglevel warning\n");
  }
  void TearDown() override {
    if (thread_.joinable()) Stop();
    std::filesystem::remove_all(folder_);
  }
  Bytes ConfigFile() const { return folder_ + "/test.conf"; }
  void SetConfigFile(const Bytes& text) { std::ofstream(ConfigFile()) << text; }

  Result<std::unique_ptr<Server>> Open(std::vector<Bytes> more = {}) {
    std::vector<Bytes> arguments{"--port",     std::to_string(port_),
                                 "--bus-port", std::to_string(bus_port_),
                                 "--dir",      folder_ + "/data"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Server::Start start;
    if (has_config_file_) start.config_file = ConfigFile();
    const Bytes text = *ReadFile(ConfigFile(), Config::kTextBytesMax);
    const auto line = ParseCommandLine(arguments);
    CHECK(line.ok());
    CHECK(start.config.ReadFile("test.conf", text, nullptr).ok());
    CHECK(start.config.ReadCommandLine(*line).ok());
    CHECK(start.config.Check().ok());
    return Server::Open(std::move(start));
  }
  void StartServer(std::vector<Bytes> more = {}) {
    auto opened = Open(std::move(more));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    server_ = std::move(*opened);
    thread_ = std::thread([this] { server_->Run(); });
  }
  void Stop() {
    ::kill(::getpid(), SIGTERM);
    thread_.join();
    server_.reset();
  }

  Bytes folder_;
  bool has_config_file_ = true;  // Else its text came from standard input.
  uint16_t port_ = 0;
  uint16_t bus_port_ = 0;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

TEST_F(ServerTest, ACommandThatComesByteByByteIsAnswered) {
  StartServer();
  WaitingClient client(port_);
  for (const char byte : BytesView("*2\r\n$4\r\nPING\r\n$5\r\nhello\r\n")) {
    client.Send(BytesView(&byte, 1));
  }
  EXPECT_EQ(client.Line(), "$5\r\n");
  EXPECT_EQ(client.Line(), "hello\r\n");
}

TEST_F(ServerTest, ManyCommandsInOnePieceAreAnsweredInOrder) {
  StartServer();
  WaitingClient client(port_);
  Bytes commands;
  for (int i = 0; i < 1000; ++i) commands += Format("ECHO %d\r\n", i);
  client.Send(commands);
  for (int i = 0; i < 1000; ++i) {
    const Bytes number = std::to_string(i);
    ASSERT_EQ(client.Line(), Format("$%zu\r\n", number.size()));
    ASSERT_EQ(client.Line(), number + "\r\n");
  }
}

// With io-threads --------------------------------------------------------------------------------

class ServerOfThreadsTest : public ServerTest, public ::testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    StartServer({"--io-threads", std::to_string(GetParam()), "--enable-debug-command", "yes"});
    driver_ = std::make_unique<WaitingClient>(port_);
    EXPECT_EQ(driver_->Ask("SET warm up"), "+OK\r\n");
  }
  std::vector<WaitingClient> Connect(size_t clients) {
    std::vector<WaitingClient> all;
    for (size_t i = 0; i < clients; ++i) {
      EXPECT_EQ(all.emplace_back(port_).Ask("PING"), "+PONG\r\n");
    }
    return all;
  }
  // What is sent until it ends is there at one look at the sockets.
  void LetItSleep() { driver_->Send("DEBUG SLEEP 0.05\r\n"); }
  void ExpectAwake() { EXPECT_EQ(driver_->Line(), "+OK\r\n"); }
  // Told once a second.
  bool IsReadTogether() {
    Bytes info = driver_->Ask("INFO stats");
    info = driver_->Receive(std::stoul(info.substr(1)) + 2);
    return info.find("io_threaded_reads_processed:0\r\n") == Bytes::npos;
  }

  std::unique_ptr<WaitingClient> driver_;
};
INSTANTIATE_TEST_SUITE_P(IoThreads, ServerOfThreadsTest, ::testing::Values(1, 2, 4));

Bytes Request(const std::vector<Bytes>& words) {
  Bytes out = Format("*%zu\r\n", words.size());
  for (const Bytes& word : words) out += Format("$%zu\r\n", word.size()) + word + "\r\n";
  return out;
}
Bytes Bulk(const Bytes& text) { return Format("$%zu\r\n", text.size()) + text + "\r\n"; }

TEST_P(ServerOfThreadsTest, ManyWithPipelinesAreAnsweredInOrder) {
  std::vector<WaitingClient> clients = Connect(16);
  for (int round = 0; round < 10; ++round) {
    std::vector<Bytes> expected(clients.size());
    LetItSleep();
    for (size_t i = 0; i < clients.size(); ++i) {
      Bytes commands;
      for (int n = 0; n < 40; ++n) {
        const Bytes value = Format("%d.%zu.%d", round, i, n) + Bytes(i * 20, 'v');
        const Bytes key = Format("key-%zu-%d", i, n % 3);
        commands += Request({"SET", key, value}) + Request({"GET", key}) + "ECHO inline\r\n";
        expected[i] += "+OK\r\n" + Bulk(value) + "$6\r\ninline\r\n";
      }
      clients[i].Send(commands);
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      ASSERT_EQ(clients[i].Receive(expected[i].size()), expected[i]);
    }
    ExpectAwake();
  }
  const int asks = GetParam() == 1 ? 0 : 100'000;
  for (int asked = 0; asked < asks && !IsReadTogether(); ++asked) continue;
  EXPECT_EQ(IsReadTogether(), GetParam() > 1);
}

TEST_P(ServerOfThreadsTest, WhereTheirCommandsAreCutMakesNoDifference) {
  const Bytes commands = Request({"SET", "a", "1"}) + Request({"ECHO", "xy"}) + "PING\r\n" +
                         Request({"GET", "a"}) + "*1\r\n$4\r\nPIN";
  const Bytes end = "G\r\n*1\r\n:";
  const Bytes expected = "+OK\r\n$2\r\nxy\r\n+PONG\r\n$1\r\n1\r\n+PONG\r\n"
                         "-ERR Protocol error: expected '$', got ':'\r\n";
  std::vector<WaitingClient> clients = Connect(commands.size());
  LetItSleep();
  for (size_t i = 0; i < clients.size(); ++i) clients[i].Send(commands.substr(0, i));
  ExpectAwake();
  LetItSleep();
  for (size_t i = 0; i < clients.size(); ++i) clients[i].Send(commands.substr(i));
  ExpectAwake();
  for (WaitingClient& client : clients) client.Send(end);
  for (size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i].Receive(expected.size() + 1), expected) << "cut at " << i;
  }
}

TEST_P(ServerOfThreadsTest, WhoEndsOrIsKilledAmongOthersHarmsNoneOfThem) {
  for (int round = 0; round < 5; ++round) {
    std::vector<WaitingClient> clients = Connect(12);
    const Bytes id = clients[6].Ask("CLIENT ID").substr(1);
    LetItSleep();
    clients[0].Send("CLIENT KILL ID " + id + "ECHO 0\r\n");
    for (size_t i = 1; i < clients.size(); ++i) clients[i].Send(Format("ECHO %zu\r\n", i));
    clients[3].FinishSending();
    clients[9].Reset();
    ExpectAwake();
    EXPECT_EQ(clients[0].Line(), ":1\r\n");
    for (size_t i = 0; i < clients.size(); ++i) {
      if (i == 9) continue;
      const Bytes number = std::to_string(i);
      const Bytes got = clients[i].Receive(Bulk(number).size());
      if (i != 6 || !got.empty()) {
        EXPECT_EQ(got, Bulk(number));
      }
      if (i == 3 || i == 6) {
        EXPECT_EQ(clients[i].Line(), "");  // The end.
      }
    }
  }
}

TEST_F(ServerTest, SigtermEndsInOrderAndALockOutlivesIt) {
  StartServer();
  Bytes token;
  {
    WaitingClient client(port_);
    token = client.Ask("LOCK.ACQUIRE jobs alice TTL 600000");
    EXPECT_EQ(token.front(), ':') << token;
  }
  Stop();

  StartServer();
  WaitingClient client(port_);
  EXPECT_EQ(client.Ask("LOCK.ACQUIRE jobs bob"), "$-1\r\n");
  EXPECT_EQ(client.Ask("LOCK.ACQUIRE jobs alice TTL 600000"), token);
}

TEST_F(ServerTest, AClientThatShutItsSideGetsTheReplyThatTheDiskDelays) {
  StartServer();
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(port_);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  WaitingClient warm(port_);  // There is a leader when this one has its answer.
  EXPECT_EQ(warm.Ask("LOCK.ACQUIRE warm me").front(), ':');

  const BytesView command = "LOCK.ACQUIRE jobs alice\r\n";
  ASSERT_EQ(::send(fd, command.data(), command.size(), 0), static_cast<ssize_t>(command.size()));
  ::shutdown(fd, SHUT_WR);
  Bytes got;
  char piece[64];
  for (ssize_t size = 0; (size = ::recv(fd, piece, sizeof piece, 0)) > 0;) {
    got.append(piece, static_cast<size_t>(size));
  }
  ::close(fd);
  EXPECT_EQ(got.substr(0, 1), ":") << got;
}

TEST_F(ServerTest, ConfigRewriteReplacesTheFileAndKeepsItsComments) {
  StartServer();
  WaitingClient client(port_);
  EXPECT_EQ(client.Ask("CONFIG SET slowlog-max-len 77"), "+OK\r\n");
  EXPECT_EQ(client.Ask("CONFIG REWRITE"), "+OK\r\n");
  Stop();
  const Bytes text = *ReadFile(ConfigFile(), Config::kTextBytesMax);
  EXPECT_NE(text.find("# The test's own."), Bytes::npos) << text;
  EXPECT_NE(text.find("slowlog-max-len 77"), Bytes::npos) << text;
  EXPECT_FALSE(std::filesystem::exists(ConfigFile() + ".new"));
}

TEST_F(ServerTest, ConfigRewriteKeepsWhatWasEditedSinceTheStart) {
  StartServer();
  WaitingClient client(port_);
  EXPECT_EQ(client.Ask("CONFIG SET slowlog-max-len 77"), "+OK\r\n");
  SetConfigFile("# Edited meanwhile.\nloglevel warning\ntimeout 9\n");
  EXPECT_EQ(client.Ask("CONFIG REWRITE"), "+OK\r\n");
  const Bytes text = *ReadFile(ConfigFile(), Config::kTextBytesMax);
  EXPECT_EQ(text.find("# Edited meanwhile.\nloglevel warning\ntimeout 9\n"), 0u) << text;
  EXPECT_NE(text.find("slowlog-max-len 77"), Bytes::npos) << text;
}

TEST_F(ServerTest, ConfigRewriteSaysWhyItFailed) {
  StartServer();
  WaitingClient client(port_);
  std::filesystem::remove(ConfigFile());
  const Bytes unreadable = client.Ask("CONFIG REWRITE");
  EXPECT_EQ(unreadable.find("-ERR Rewriting config file: cannot "), 0u) << unreadable;
  EXPECT_NE(unreadable.find("No such file or directory"), Bytes::npos) << unreadable;
  EXPECT_FALSE(std::filesystem::exists(ConfigFile()));

  SetConfigFile("loglevel warning\n");
  std::filesystem::create_directories(ConfigFile() + ".new/in the way");
  const Bytes unwritable = client.Ask("CONFIG REWRITE");
  EXPECT_EQ(unwritable.find("-ERR Rewriting config file: cannot "), 0u) << unwritable;
  EXPECT_EQ(*ReadFile(ConfigFile(), Config::kTextBytesMax), "loglevel warning\n");
}

TEST_F(ServerTest, WithoutAFileConfigRewriteIsRefused) {
  has_config_file_ = false;
  StartServer();
  WaitingClient client(port_);
  EXPECT_EQ(client.Ask("CONFIG REWRITE"),
            "-ERR The server is running without a config file\r\n");
}

TEST_F(ServerTest, APortInUseStopsTheStartWithASentence) {
  StartServer();
  const auto second = Open({"--dir", folder_ + "/other"});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(Format("port %u", bus_port_)), Bytes::npos)
      << second.error().message;
}

TEST_F(ServerTest, AFolderOfAnotherNodeStopsTheStart) {
  StartServer();
  Stop();
  const auto other = Open({"--node-id", "2"});
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message.find("node 1"), Bytes::npos) << other.error().message;
}

}  // namespace
}  // namespace lockstep::io
