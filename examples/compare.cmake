# cmake -P compare.cmake PROGRAM FILE: the program writes into FILE what is committed.
execute_process(COMMAND ${CMAKE_ARGV3} ${CMAKE_ARGV4} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${CMAKE_ARGV4} models/resnet50/resnet50.onnx
  COMMAND_ERROR_IS_FATAL ANY)
