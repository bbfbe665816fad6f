// libcrypto's headers, and the one question that it does not answer.
#ifndef RSOCK_CCRYPTO_H
#define RSOCK_CCRYPTO_H

#include <stdbool.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

// Whether the processor has instructions for AES and for the multiplication of GCM.
static inline bool rs_has_aes_instructions(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AES) && (c & bit_PCLMUL);
#elif defined(__aarch64__)
  const unsigned long both = HWCAP_AES | HWCAP_PMULL;
  return (getauxval(AT_HWCAP) & both) == both;
#else
  return false;
#endif
}

#endif
