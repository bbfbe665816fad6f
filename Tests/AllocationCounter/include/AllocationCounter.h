/* Proves that code allocates nothing: read the counter before and after it. */
#pragma once

#include <stdint.h>

/* How often this thread has allocated heap memory since it started. Stays 0 under the address and
   thread sanitizers, which bring their own malloc. */
uint64_t allocation_count(void);
