// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"

namespace meshplan {

/// The versions of a profile database: text i (counted from 1) makes version i out of version
/// i - 1; version 0 is an empty file.
using SchemaVersions = std::vector<std::string>;
/// profiles/schema.sql, schema_2.sql ...
const SchemaVersions& profileSchema();

/// What is wrong with a file: `foreign` is not a profile database, `newer` one of a later version,
/// `damaged` was one, `unavailable` cannot be read or written now.
enum class ProfileFault { foreign, newer, damaged, unavailable };

struct ProfileError : Error {
  ProfileError(ProfileFault f, Error e) : Error(std::move(e)), fault(f) {}
  ProfileFault fault;
};

/// A connection to a profile database: opened with the settings that ProfileStore promises, at the
/// newest version, foreign files refused before SQLite could touch them. Include this header in
/// .cpp files only.
class ProfileDatabase {
 public:
  ProfileDatabase(std::string path, bool writable, const SchemaVersions& versions);
  ProfileDatabase(const ProfileDatabase&) = delete;
  ProfileDatabase& operator=(const ProfileDatabase&) = delete;

  const std::string& path() const { return path_; }

  /// What `f` does with the connection is seen by others at once, when it is done, or not at all.
  template <class F>
  auto write(F f) {
    return translate([&] {
      SQLite::Transaction transaction(*connection_, SQLite::TransactionBehavior::IMMEDIATE);
      requireVersion();
      auto result = f(*connection_);
      transaction.commit();
      return result;
    });
  }
  /// `f` sees one state of the database.
  template <class F>
  auto read(F f) const {
    return translate([&] {
      SQLite::Transaction transaction(*connection_);
      return f(*connection_);
    });
  }
  /// Looks at every page and reference. Throws ProfileError(damaged).
  void check() const;

 private:
  template <class F>
  auto translate(F f) const {
    try {
      return f();
    } catch (const SQLite::Exception& e) {
      fail(e);
    } catch (const ProfileError&) {
      throw;
    } catch (const Error& e) {
      throw e.inFile(path_);
    }
  }
  [[noreturn]] void fail(const SQLite::Exception& e) const;
  void identify() const;
  void open(bool writable);
  void configure(bool writable);
  void upgrade();
  void upgradeCopy();
  void applyVersions(SQLite::Database& connection) const;
  int64_t version(SQLite::Database& connection) const;
  void requireVersion() const;

  std::string path_;
  const SchemaVersions& versions_;
  mutable std::chrono::steady_clock::time_point waitingSince_;
  std::unique_ptr<SQLite::Database> connection_;
};

}  // namespace meshplan
