// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meshplan {

/// What to open and what to tell people who do not have it.
struct LibraryNames {
  std::string name;                  // "cuBLASLt", for messages
  std::vector<std::string> sonames;  // the preferred one first
  std::string remedy;                // how to get it
};

/// A shared library opened at run time. It stays open until the process ends: the libraries that we
/// open keep threads and state of the device. Its symbols are not offered to other libraries.
/// Errors are Error(runtime) naming the library, the symbol and the remedy.
class DynamicLibrary {
 public:
  enum class Symbols { own, shared };

  /// The first soname found: where the dynamic linker looks, then in the folders of
  /// MESHPLAN_CUDA_LIBRARIES (separated by ':'; the nvidia folder of a Python environment will do,
  /// for DIRECTORY/PACKAGE/lib counts too), then in a CUDA toolkit in its usual place.
  explicit DynamicLibrary(const LibraryNames& names);

  /// One file or soname; empty, with the linker's reason, when it cannot be opened.
  static std::optional<DynamicLibrary> open(const std::string& file, std::string& reason,
                                            Symbols symbols = Symbols::own);

  /// Null when the library has no such symbol.
  void* find(const char* symbol) const;
  /// `F` is the type of a pointer to the function.
  template <class F>
  F function(const char* symbol) const {
    return reinterpret_cast<F>(required(symbol));
  }

  /// Versions are 10000 major + 100 minor + patch, as cuBLAS, cuDNN, NCCL and CUPTI count.
  void requireVersion(int64_t found, int64_t least) const;

  const std::string& name() const { return names_.name; }
  /// Of the file that was opened, as far as the linker tells.
  const std::string& path() const { return path_; }

 private:
  DynamicLibrary(LibraryNames names, void* handle, std::string path)
      : names_(std::move(names)), handle_(handle), path_(std::move(path)) {}

  void* required(const char* symbol) const;

  LibraryNames names_;
  void* handle_ = nullptr;
  std::string path_;
};

/// "9.19.0" of 91900.
std::string libraryVersionText(int64_t version);

/// Where a soname is looked for, in order.
std::vector<std::string> libraryCandidates(const LibraryNames& names,
                                           std::string_view foldersSeparatedByColons);

}  // namespace meshplan

/// The function of a library by its own name and type: MESHPLAN_SYMBOL(library, cublasLtCreate).
#define MESHPLAN_SYMBOL(library, symbol) (library).function<decltype(&symbol)>(#symbol)
