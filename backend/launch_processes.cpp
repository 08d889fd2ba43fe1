// SPDX-License-Identifier: Apache-2.0
#include "backend/launch_processes.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "backend/comm/meeting_file.h"
#include "core/error.h"

extern char** environ;

namespace meshplan {
namespace {

using namespace std::chrono_literals;

constexpr auto kGrace = 3s;
constexpr auto kGraceAfterTerm = 1s;

struct RankProcess {
  int rank = 0;
  pid_t pid = -1;
  Fd errors;  // what it writes to its standard error; none for rank 0
  std::string line;
  std::optional<int> exit;  // its exit code once it has ended
};

/// The signals of this process as a file while it lives.
class SignalFile {
 public:
  SignalFile() {
    sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
    fd_ = Fd(signalfd(-1, &set_, SFD_NONBLOCK | SFD_CLOEXEC));
  }
  ~SignalFile() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  int fd() const { return fd_.get(); }
  const sigset_t& before() const { return before_; }
  std::optional<signalfd_siginfo> next() {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != sizeof info) return std::nullopt;
    return info;
  }

 private:
  sigset_t set_{}, before_{};
  Fd fd_;
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

class Launch {
 public:
  Launch(const std::vector<std::string>& command, int ranks) : command_(command), ranks_(ranks) {
    listener_ = listenOnLoopback(&port_);
  }
  ~Launch() { endAll(SIGKILL, true); }

  int run();

 private:
  void start(int rank);
  [[noreturn]] void becomeRank(int rank, char* const* arguments, char* const* environment,
                               int errors, pid_t parent);
  std::vector<std::string> environmentOf(int rank) const;
  void handleSignals();
  void passOnErrors(RankProcess& process);
  void reap();
  void noteEnd(RankProcess& process, int status);
  void endAll(int signal, bool wait);
  void escalate();
  bool allEnded() const;
  int result() const;

  std::vector<std::string> command_;
  const int ranks_;
  const std::string token_ = randomToken();
  int port_ = 0;
  Fd listener_;
  SignalFile signals_;
  std::vector<RankProcess> processes_;
  std::optional<Clock::time_point> failed_;
  int received_ = 0;  // SIGINT or SIGTERM
  int sent_ = 0;      // what we ended the ranks with
};

std::vector<std::string> Launch::environmentOf(int rank) const {
  std::vector<std::string> all;
  for (char** variable = environ; *variable; ++variable) all.push_back(*variable);
  std::erase_if(all, [](const std::string& v) {
    for (const char* name : {"MESHPLAN_RANK=", "MESHPLAN_SIZE=", "MESHPLAN_PORT=",
                             "MESHPLAN_TOKEN=", "MESHPLAN_LISTENER="})
      if (v.rfind(name, 0) == 0) return true;
    return false;
  });
  all.push_back(fmt::format("MESHPLAN_RANK={}", rank));
  all.push_back(fmt::format("MESHPLAN_SIZE={}", ranks_));
  all.push_back(fmt::format("MESHPLAN_PORT={}", port_));
  all.push_back(fmt::format("MESHPLAN_TOKEN={}", token_));
  if (rank == 0) all.push_back(fmt::format("MESHPLAN_LISTENER={}", listener_.get()));
  return all;
}

// Between fork and exec only what POSIX allows there.
void Launch::becomeRank(int rank, char* const* arguments, char* const* environment, int errors,
                        pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  pthread_sigmask(SIG_SETMASK, &signals_.before(), nullptr);
  if (rank == 0) {
    fcntl(listener_.get(), F_SETFD, 0);
  } else {
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
  }
  execve(arguments[0], arguments, environment);
  const char* message = std::strerror(errno);
  const char start[] = "error: cannot start a rank: ";
  [[maybe_unused]] auto n = ::write(STDERR_FILENO, start, sizeof start - 1);
  n = ::write(STDERR_FILENO, message, std::strlen(message));
  n = ::write(STDERR_FILENO, "\n", 1);
  _exit(exitCode(ErrorKind::runtime));
}

void Launch::start(int rank) {
  int ends[2] = {-1, -1};
  if (rank > 0 && pipe2(ends, O_CLOEXEC) != 0)
    throw Error(ErrorKind::runtime, "no more files can be opened", "raise `ulimit -n`");
  Fd readEnd(ends[0]), writeEnd(ends[1]);
  std::vector<std::string> environment = environmentOf(rank);
  const std::vector<char*> arguments = pointers(command_), variables = pointers(environment);
  const pid_t parent = getpid(), pid = fork();
  if (pid == 0) becomeRank(rank, arguments.data(), variables.data(), writeEnd.get(), parent);
  if (pid < 0)
    throw Error(ErrorKind::runtime,
                fmt::format("cannot start rank {}: {}", rank, std::strerror(errno)),
                "raise `ulimit -u` or start fewer ranks");
  if (readEnd.open()) setNonBlocking(readEnd.get());
  processes_.push_back({rank, pid, std::move(readEnd), {}, std::nullopt});
}

void Launch::passOnErrors(RankProcess& process) {
  char buffer[4096];
  while (process.errors.open()) {
    const ssize_t n = ::read(process.errors.get(), buffer, sizeof buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      process.errors.close();
      break;
    }
    process.line.append(buffer, size_t(n));
    for (size_t end; (end = process.line.find('\n')) != std::string::npos;) {
      fmt::print(stderr, "[rank {}] {}\n", process.rank, process.line.substr(0, end));
      process.line.erase(0, end + 1);
    }
  }
  if (!process.line.empty()) fmt::print(stderr, "[rank {}] {}\n", process.rank, process.line);
  process.line.clear();
}

void Launch::noteEnd(RankProcess& process, int status) {
  passOnErrors(process);
  process.exit = WIFEXITED(status) ? WEXITSTATUS(status) : exitCode(ErrorKind::runtime);
  const bool ours = sent_ != 0 || received_ != 0;
  if (WIFSIGNALED(status) && !ours)
    fmt::print(stderr, "{}rank {} was killed by signal {} ({})\n",
               process.rank == 0 ? "error: " : "", process.rank, WTERMSIG(status),
               strsignal(WTERMSIG(status)));
  if (*process.exit != 0 && !failed_) failed_ = Clock::now();
}

void Launch::reap() {
  for (RankProcess& process : processes_) {
    int status = 0;
    if (!process.exit && waitpid(process.pid, &status, WNOHANG) == process.pid)
      noteEnd(process, status);
  }
}

void Launch::handleSignals() {
  while (const auto info = signals_.next()) {
    const int signal = int(info->ssi_signo);
    if (signal == SIGCHLD) continue;
    const bool again = received_ != 0;
    received_ = signal;
    if (!failed_ && (again || signal != SIGINT)) failed_ = Clock::now();
    // The terminal sends Ctrl-C to all processes itself.
    if (info->ssi_code != SI_KERNEL) endAll(signal, false);
  }
}

void Launch::endAll(int signal, bool wait) {
  for (RankProcess& process : processes_) {
    if (process.exit) continue;
    kill(process.pid, signal);
    if (wait) waitpid(process.pid, nullptr, 0);
  }
}

void Launch::escalate() {
  if (!failed_ || sent_ == SIGKILL) return;
  const auto since = Clock::now() - *failed_;
  const int signal = since > kGrace + kGraceAfterTerm ? SIGKILL
                     : since > kGrace && sent_ == 0   ? SIGTERM
                                                      : 0;
  if (signal == 0) return;
  sent_ = signal;
  endAll(signal, false);
}

bool Launch::allEnded() const {
  for (const RankProcess& process : processes_)
    if (!process.exit) return false;
  return true;
}

int Launch::result() const {
  int result = 0;
  for (const RankProcess& process : processes_)
    if (*process.exit != 0 && (result == 0 || result == exitCode(ErrorKind::runtime)))
      result = *process.exit;
  return result != 0 && received_ != 0 ? 128 + received_ : result;
}

int Launch::run() {
  for (int rank = 0; rank < ranks_; ++rank) start(rank);
  listener_.close();
  while (!allEnded()) {
    std::vector<pollfd> waits{{signals_.fd(), POLLIN, 0}};
    for (const RankProcess& process : processes_)
      if (process.errors.open()) waits.push_back({process.errors.get(), POLLIN, 0});
    poll(waits.data(), waits.size(), 100);
    handleSignals();
    for (RankProcess& process : processes_) passOnErrors(process);
    reap();
    escalate();
  }
  return result();
}

}  // namespace

std::vector<std::string> ownCommand() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> command;
  for (std::string argument; std::getline(in, argument, '\0');) command.push_back(argument);
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  // A program that was replaced since it started has no path any more.
  const bool there = std::filesystem::exists(program, ignored);
  command.at(0) = there ? program.string() : "/proc/self/exe";
  return command;
}

int launchProcesses(const std::vector<std::string>& command, int ranks) {
  if (ranks < 1)
    throw Error(ErrorKind::usage, fmt::format("{} ranks", ranks), "start at least one rank");
  return Launch(command, ranks).run();
}

}  // namespace meshplan
