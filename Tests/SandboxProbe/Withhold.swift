// An old kernel, or a container's own filter.

import CLinux
import Glibc
import Kernel

/// Lets a system call not exist for this process and what it starts.
func withhold(_ number: Int32) throws {
  var filter = FilterAssembler()
  let missing = filter.label()
  filter.load(wordAt: 0)
  filter.jump(if: .equal, UInt32(number), then: missing)
  filter.finish(with: SECCOMP_RET_ALLOW)
  filter.place(missing)
  filter.finish(with: SECCOMP_RET_ERRNO | UInt32(ENOSYS))
  var instructions = try filter.instructions()
  let result = unsafe instructions.withUnsafeMutableBufferPointer { buffer in
    var program = unsafe sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
    return unsafe rs_seccomp(UInt32(SECCOMP_SET_MODE_FILTER), 0, &program)
  }
  guard result == 0 else { fatalError("withhold \(number): errno \(errno)") }
}

/// Becomes another program.
func execute(_ command: [String]) -> Never {
  var words = unsafe command.map { unsafe strdup($0) } + [nil]
  unsafe execvp(command[0], &words)
  fatalError("\(command[0]): errno \(errno)")
}
