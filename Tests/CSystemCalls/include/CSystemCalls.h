// System calls that glibc has no function for, or none that imports into Swift.
#ifndef CSYSTEMCALLS_H
#define CSYSTEMCALLS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

// syscall(2) is variadic.
static inline long cs_call(long number, unsigned long a, unsigned long b, unsigned long c,
                           unsigned long d) {
  return syscall(number, a, b, c, d);
}

#if defined(__x86_64__)
// getpid(2) as a 32-bit program calls it.
static inline long cs_getpid_of_i386(void) {
  long result = 20;
  __asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
  return result;
}
#endif

#endif
