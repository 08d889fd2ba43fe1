# A folder that runs on another Linux of glibc 2.36 or later: one binary, its tests and benchmarks,
# with what they need beside them. What can be linked statically is; OpenMP comes along as a shared
# library. It is for GPUs: the processor's products and convolutions, in tests the reference, are
# plain loops instead of oneDNN's (39 MB) and OpenBLAS's (30 MB).
option(MESHPLAN_PORTABLE "Build binaries that need nothing of this machine" OFF)
if(MESHPLAN_PORTABLE)
  set(Protobuf_USE_STATIC_LIBS ON)
  find_library(SQLite3_LIBRARY NAMES libsqlite3.a REQUIRED)
  find_library(ZLIB_LIBRARY NAMES libz.a REQUIRED)
  set(MESHPLAN_FMT fmt::fmt-header-only)
  add_link_options(-static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL -s)
  set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
  set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")
  set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
else()
  set(MESHPLAN_FMT fmt::fmt)
endif()

# To be called once all targets are made: `cmake --build ... --target portable` fills the folder.
function(meshplan_portable_folder)
  set(folder ${PROJECT_BINARY_DIR}/portable)
  find_library(MESHPLAN_OPENMP_FILE NAMES libgomp.so.1 REQUIRED)
  set(programs $<TARGET_FILE:meshplan>)
  foreach(program gpu_tests gpu_bench)
    if(TARGET ${program})
      list(APPEND programs $<TARGET_FILE:${program}>)
    endif()
  endforeach()
  add_custom_target(portable
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${folder}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}/bin ${folder}/lib ${folder}/share/meshplan/profiles
    COMMAND ${CMAKE_COMMAND} -E copy ${programs} ${folder}/bin
    COMMAND cp -L --no-preserve=mode ${MESHPLAN_OPENMP_FILE} ${folder}/lib
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${PROJECT_SOURCE_DIR}/profiles/shipped ${folder}/share/meshplan/profiles
    COMMAND ${CMAKE_COMMAND} -E copy ${PROJECT_SOURCE_DIR}/scripts/gpu_check.py
      ${PROJECT_SOURCE_DIR}/tests/bench/pytorch/train_step.py
      ${PROJECT_SOURCE_DIR}/tests/bench/pytorch/loss_curve.py
      ${PROJECT_SOURCE_DIR}/tests/backend/pytorch/make_fixtures.py ${folder}
    COMMAND sh -c "size=$(du -sm ${folder} | cut -f1); echo ${folder}: $size MiB of 60; test $size -le 60"
    DEPENDS meshplan gpu_tests gpu_bench VERBATIM)
endfunction()
