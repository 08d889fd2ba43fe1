// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace meshplan {

/// The exit code of the command line follows from the kind: usage 2, input 3, infeasible 4, runtime
/// 5, internal 1.
enum class ErrorKind { internal, usage, input, infeasible, runtime };

/// Bad input or a failing device: what is wrong, in which file, at which place in it, and what to
/// do about it. One sentence each, no trailing period. "It does not fit" is not an Error but a
/// Rejection (see plan.h). `what()` reads "FILE: PLACE: PROBLEM (REMEDY)" without the parts that
/// are empty.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string problem, std::string remedy = {});

  /// Copies of this error that say where: the innermost file and place stay, so every reader can
  /// add what it knows.
  Error inFile(const std::string& file) const;
  Error at(const std::string& place) const;

  ErrorKind kind() const { return kind_; }
  const std::string& file() const { return file_; }
  const std::string& place() const { return place_; }
  const std::string& problem() const { return problem_; }
  const std::string& remedy() const { return remedy_; }

 private:
  Error(ErrorKind kind, std::string file, std::string place, std::string problem,
        std::string remedy);

  ErrorKind kind_;
  std::string file_, place_, problem_, remedy_;
};

int exitCode(ErrorKind kind);

}  // namespace meshplan
