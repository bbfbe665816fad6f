/* Proves that code allocates nothing: read the counter before and after it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How often this thread has allocated heap memory since it started. */
uint64_t allocation_count(void);

/* Whether that is counted: not under the address and thread sanitizers, which bring their own
   malloc. */
bool allocations_are_counted(void);
