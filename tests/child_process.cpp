// SPDX-License-Identifier: Apache-2.0
#include "tests/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

namespace meshplan {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

bool waitUntil(const std::function<bool()>& condition, std::chrono::seconds within) {
  const auto until = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

ChildProcess::ChildProcess(const std::filesystem::path& folder, const std::string& name,
                           const std::vector<std::string>& command,
                           const std::vector<std::string>& environment)
    : out_(folder / (name + ".out")), err_(folder / (name + ".err")) {
  std::vector<const char*> arguments;
  for (const auto& a : command) arguments.push_back(a.c_str());
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  for (const auto& [path, fd] : {std::pair(out_, 1), std::pair(err_, 2)})
    dup2(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), fd);
  setenv("MESHPLAN_PROFILES", "none", 0);  // not the store of whoever runs the tests
  for (const auto& v : environment) putenv(const_cast<char*>(v.c_str()));
  execvp(arguments[0], const_cast<char**>(arguments.data()));
  _exit(127);
}

ChildProcess::~ChildProcess() {
  if (exit_ >= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string ChildProcess::output() const {
  return contents(out_);
}

std::string ChildProcess::errors() const {
  return contents(err_);
}

int ChildProcess::wait(std::chrono::seconds within) {
  int status = 0;
  if (!waitUntil([&] { return waitpid(pid_, &status, WNOHANG) == pid_; }, within)) return -1;
  return exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace meshplan
