// SPDX-License-Identifier: Apache-2.0
#include "profiles/profile_database.h"

#include <SQLiteCpp/Backup.h>
#include <fmt/core.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <thread>

#include "profiles/embedded_text.h"

namespace meshplan {
namespace {

using std::chrono::steady_clock;

constexpr uint32_t kApplicationId = 0x4D455348;  // as in schema.sql
constexpr std::chrono::seconds kPatience(60);
constexpr const char* kElsewhere = "name another file with --profiles";

using Header = std::array<uint8_t, 100>;  // https://www.sqlite.org/fileformat2.html, 1.3

uint32_t bigEndian(const Header& header, size_t offset) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4; ++i) v = v << 8 | header[offset + i];
  return v;
}

/// A name that SQLite takes for a file whatever it looks like.
std::string uriOf(const std::string& path) {
  std::string uri = "file:";
  for (char c : std::filesystem::absolute(path).string()) {
    if (c == '%' || c == '?' || c == '#')
      uri += fmt::format("%{:02x}", static_cast<unsigned>(c));
    else
      uri += c;
  }
  return uri;
}

struct Message {
  ProfileFault fault;
  ErrorKind kind;
  std::string problem, remedy;
};

Message messageOf(int code, const std::string& text) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return {ProfileFault::unavailable, ErrorKind::runtime, "cannot be written: the disk is full",
              "free some space; nothing was lost"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {ProfileFault::unavailable, ErrorKind::runtime,
              "cannot be written: the file or its folder is read-only", kElsewhere};
    case SQLITE_CANTOPEN:
      return {ProfileFault::unavailable, ErrorKind::runtime, "cannot be opened",
              "check that its folder exists and may be read and written"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return {ProfileFault::unavailable, ErrorKind::runtime,
              fmt::format("is locked by another program for more than {} s", kPatience.count()),
              "close programs that have it open and try again"};
    case SQLITE_IOERR:
    case SQLITE_NOLFS:
      return {ProfileFault::unavailable, ErrorKind::runtime, "cannot be read or written: " + text,
              "check the disk; what was acknowledged before is still there"};
    case SQLITE_NOMEM:
      return {ProfileFault::unavailable, ErrorKind::runtime, "needs more memory than there is",
              "close other programs"};
    case SQLITE_CONSTRAINT:
      return {ProfileFault::unavailable, ErrorKind::input, "a row cannot be kept: " + text,
              "check the figures of what was measured"};
    default:
      return {ProfileFault::damaged, ErrorKind::input, "the profile database is damaged: " + text,
              "move it away; the sqlite3 tool's .recover may save its rows"};
  }
}

ProfileError errorOf(int code, const std::string& text, const std::string& path) {
  const Message m = messageOf(code, text);
  return {m.fault, Error(m.kind, m.problem, m.remedy).inFile(path)};
}

ProfileError foreign(const std::string& path) {
  return {ProfileFault::foreign,
          Error(ErrorKind::input, "not a profile database of Meshplan", std::string(kElsewhere))
              .inFile(path)};
}

/// SQLite's own wait is up to 100 ms between tries, which starves one of many writers.
int waitForLock(void* since, int tries) {
  auto& waitingSince = *static_cast<steady_clock::time_point*>(since);
  const auto now = steady_clock::now();
  if (tries == 0) waitingSince = now;
  if (now - waitingSince > kPatience) return 0;
  const int spread = (getpid() + tries * 7) % 8;
  std::this_thread::sleep_for(std::chrono::microseconds(200 * (1 + std::min(tries, 8) + spread)));
  return 1;
}

int64_t pragma(SQLite::Database& connection, const std::string& name) {
  return connection.execAndGet("PRAGMA " + name).getInt64();
}

}  // namespace

const SchemaVersions& profileSchema() {
  static const SchemaVersions versions = [] {
    SchemaVersions texts{schemaText("schema")};
    for (std::string next;
         !(next = schemaText(fmt::format("schema_{}", texts.size() + 1))).empty();)
      texts.push_back(next);
    return texts;
  }();
  return versions;
}

ProfileDatabase::ProfileDatabase(std::string path, bool writable, const SchemaVersions& versions)
    : path_(std::move(path)), versions_(versions) {
  if (path_.empty()) throw Error(ErrorKind::usage, "no profile database is named", kElsewhere);
  std::error_code unknown;  // then SQLite will say why
  const bool exists = std::filesystem::exists(path_, unknown);
  if (!exists && !unknown && !writable)
    throw ProfileError(
        ProfileFault::unavailable,
        Error(ErrorKind::input, "there is no such profile database", "`meshplan measure` makes one")
            .inFile(path_));
  translate([&] {
    if (exists) identify();
    open(writable);
    configure(writable);
    if (version(*connection_) < static_cast<int64_t>(versions_.size())) {
      if (writable)
        upgrade();
      else
        upgradeCopy();
    }
    return 0;
  });
}

void ProfileDatabase::fail(const SQLite::Exception& e) const {
  if ((e.getErrorCode() & 0xff) == SQLITE_CONSTRAINT)
    throw Error(errorOf(e.getErrorCode(), e.what(), path_));
  throw errorOf(e.getErrorCode(), e.what(), path_);
}

// Through SQLite's file and not a stream: closing any other descriptor of the file would drop the
// locks that this process has on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
void ProfileDatabase::identify() const {
  const SQLite::Database connection(uriOf(path_), SQLite::OPEN_READONLY | SQLite::OPEN_URI);
  sqlite3_file* file = nullptr;
  sqlite3_file_control(connection.getHandle(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  sqlite3_int64 size = 0;
  if (!file || !file->pMethods || file->pMethods->xFileSize(file, &size) != SQLITE_OK)
    throw errorOf(SQLITE_IOERR, "its size is unknown", path_);
  if (size == 0) return;
  Header header{};
  const int code = file->pMethods->xRead(file, header.data(), header.size(), 0);
  if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ)
    throw errorOf(code, sqlite3_errstr(code), path_);
  static constexpr char kMagic[] = "SQLite format 3";
  if (!std::equal(kMagic, kMagic + sizeof kMagic, header.begin()) ||
      bigEndian(header, 68) != kApplicationId)
    throw foreign(path_);
}

// Readers may write too if the file's rights allow it: the journal of a writer that was killed must
// be rolled back by whoever comes next.
void ProfileDatabase::open(bool writable) {
  if (const auto folder = std::filesystem::path(path_).parent_path(); writable && !folder.empty()) {
    std::error_code ignored;  // SQLite will say that it cannot open the file
    std::filesystem::create_directories(folder, ignored);
  }
  const int flags =
      SQLite::OPEN_READWRITE | SQLite::OPEN_URI | (writable ? SQLite::OPEN_CREATE : 0);
  connection_ = std::make_unique<SQLite::Database>(uriOf(path_), flags);
}

// EXTRA is FULL and syncs the folder too when the journal is removed: without that a power failure
// could bring the journal back and take an acknowledged transaction away.
void ProfileDatabase::configure(bool writable) {
  sqlite3* handle = connection_->getHandle();
  sqlite3_busy_handler(handle, waitForLock, &waitingSince_);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  connection_->exec(
      "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
      "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON; PRAGMA synchronous = EXTRA;");
  connection_->exec(writable ? "PRAGMA journal_mode = DELETE" : "PRAGMA query_only = ON");
}

int64_t ProfileDatabase::version(SQLite::Database& connection) const {
  const int64_t found = pragma(connection, "user_version");
  if (found > static_cast<int64_t>(versions_.size()))
    throw ProfileError(ProfileFault::newer,
                       Error(ErrorKind::input,
                             fmt::format("a newer Meshplan has written this profile database "
                                         "(version {}, this one reads up to {})",
                                         found, versions_.size()),
                             fmt::format("use the newer Meshplan, or {}", kElsewhere))
                           .inFile(path_));
  return found;
}

void ProfileDatabase::requireVersion() const {
  if (version(*connection_) != static_cast<int64_t>(versions_.size()))
    throw errorOf(SQLITE_CORRUPT, "its version went back", path_);
}

void ProfileDatabase::applyVersions(SQLite::Database& connection) const {
  const int64_t from = version(connection);
  if (from == 0 && connection.execAndGet("SELECT count(*) FROM sqlite_schema").getInt64() > 0)
    throw foreign(path_);
  if (from == static_cast<int64_t>(versions_.size())) return;  // somebody else was first
  for (auto i = static_cast<size_t>(from); i < versions_.size(); ++i) connection.exec(versions_[i]);
  connection.exec(fmt::format("PRAGMA user_version = {}", versions_.size()));
}

void ProfileDatabase::upgrade() {
  SQLite::Transaction transaction(*connection_, SQLite::TransactionBehavior::IMMEDIATE);
  applyVersions(*connection_);
  transaction.commit();
}

void ProfileDatabase::upgradeCopy() {
  auto copy = std::make_unique<SQLite::Database>(":memory:", SQLite::OPEN_READWRITE);
  if (SQLite::Backup(*copy, *connection_).executeStep() != SQLITE_DONE)
    throw errorOf(SQLITE_BUSY, "", path_);
  connection_ = std::move(copy);
  applyVersions(*connection_);
}

void ProfileDatabase::check() const {
  translate([&] {
    const std::string found = connection_->execAndGet("PRAGMA integrity_check(1)").getString();
    if (found != "ok") throw errorOf(SQLITE_CORRUPT, found, path_);
    SQLite::Statement dangling(*connection_, "PRAGMA foreign_key_check");
    if (dangling.executeStep())
      throw errorOf(SQLITE_CORRUPT, "rows refer to rows that are missing", path_);
    return 0;
  });
}

}  // namespace meshplan
