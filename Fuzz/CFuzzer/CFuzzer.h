// The way into libFuzzer for a program that has a main function of its own (FuzzerInterface.h of
// LLVM's compiler-rt); -sanitize=fuzzer links it.
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv,
                        int (*callback)(const uint8_t *data, size_t size));
