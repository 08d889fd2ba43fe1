// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <utility>

namespace meshplan {
namespace {

std::string compose(const std::string& file, const std::string& place, const std::string& problem,
                    const std::string& remedy) {
  std::string text;
  if (!file.empty()) text += file + ": ";
  if (!place.empty()) text += place + ": ";
  text += problem;
  if (!remedy.empty()) text += " (" + remedy + ")";
  return text;
}

}  // namespace

Error::Error(ErrorKind kind, std::string problem, std::string remedy)
    : Error(kind, {}, {}, std::move(problem), std::move(remedy)) {}

Error::Error(ErrorKind kind, std::string file, std::string place, std::string problem,
             std::string remedy)
    : std::runtime_error(compose(file, place, problem, remedy)),
      kind_(kind),
      file_(std::move(file)),
      place_(std::move(place)),
      problem_(std::move(problem)),
      remedy_(std::move(remedy)) {}

Error Error::inFile(const std::string& file) const {
  return Error(kind_, file_.empty() ? file : file_, place_, problem_, remedy_);
}

Error Error::at(const std::string& place) const {
  return Error(kind_, file_, place_.empty() ? place : place_, problem_, remedy_);
}

int exitCode(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return 2;
    case ErrorKind::input:
      return 3;
    case ErrorKind::infeasible:
      return 4;
    case ErrorKind::runtime:
      return 5;
    case ErrorKind::internal:
      break;
  }
  return 1;
}

}  // namespace meshplan
