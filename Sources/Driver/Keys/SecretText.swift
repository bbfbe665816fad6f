// Memory for text that nobody must find later.

import Glibc
import Kernel

/// Text in memory that is overwritten before it is freed.
@safe struct SecretText: ~Copyable {
  private let memory: UnsafeMutableRawBufferPointer
  private var count = 0

  /// Room for so many bytes.
  init(capacity: Int) {
    unsafe memory = .allocate(byteCount: capacity, alignment: 1)
  }

  deinit {
    unsafe explicit_bzero(memory.baseAddress!, memory.count)
    unsafe memory.deallocate()
  }

  /// What was read.
  var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get {
      let bytes = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: memory[..<count]))
      return unsafe _overrideLifetime(bytes, borrowing: self)
    }
  }

  /// Reads to the end of the file, or until there is no more room; false where that fails, with the
  /// reason in `errno`.
  mutating func fill(from file: borrowing Descriptor) -> Bool {
    while unsafe count < memory.count {
      let result = unsafe read(file.rawValue, memory.baseAddress! + count, memory.count - count)
      if result == 0 { return true }
      if result > 0 { count += result } else if errno != EINTR { return false }
    }
    return true
  }
}
