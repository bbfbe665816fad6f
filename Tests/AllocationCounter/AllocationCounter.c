/* Takes malloc's place in a test program (malloc(3), "Replacing malloc" in the glibc manual) and
   passes every call on. The counter is per thread: tests run in parallel. */
#include "AllocationCounter.h"

#include <errno.h>
#include <stddef.h>

static __thread uint64_t count;

uint64_t allocation_count(void) { return count; }

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RS_SANITIZED
#endif
#endif

#ifdef RS_SANITIZED

bool allocations_are_counted(void) { return false; }

#else

bool allocations_are_counted(void) { return true; }

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t number, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
  count++;
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count++;
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  count++;
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  count++;
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  void *memory = memalign(alignment, size);
  if (memory == NULL)
    return ENOMEM;
  *result = memory;
  return 0;
}

#endif
