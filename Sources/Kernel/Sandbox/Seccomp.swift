// The kernel's part of the system call filter (seccomp(2)).

import CLinux
import Glibc

/// The filter of this thread's system calls; threads started later inherit it.
enum Seccomp {
  /// Throws where the kernel cannot end a process for a system call: it was built without that
  /// (EINVAL), or a container's own filter withholds it.
  static func probe() throws(SystemError) {
    var action = SECCOMP_RET_KILL_PROCESS
    try check("filter system calls with seccomp") {
      unsafe rs_seccomp(UInt32(SECCOMP_GET_ACTION_AVAIL), 0, &action)
    }
  }

  /// Puts the filter in force, for good. Needs no_new_privs.
  static func install(_ filter: SystemCallFilter) throws(SystemError) {
    var instructions = filter.instructions
    // Before Linux 5.16 a filter also switched off the processor's guesses at stores, for programs
    // that run foreign code (JIT) in their own memory. We run none; it would cost a few percent.
    let flags = UInt32(SECCOMP_FILTER_FLAG_SPEC_ALLOW)
    try check("filter system calls with seccomp") {
      unsafe instructions.withUnsafeMutableBufferPointer { buffer in
        var program = unsafe sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
        return unsafe rs_seccomp(UInt32(SECCOMP_SET_MODE_FILTER), flags, &program)
      }
    }
  }
}
