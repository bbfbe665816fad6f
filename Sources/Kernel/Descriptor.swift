// A file descriptor that closes itself.

import Glibc

/// Owns a file descriptor.
public struct Descriptor: ~Copyable {
  /// The descriptor's number. It must not be used after the owner is gone.
  public let rawValue: Int32

  /// Takes over an open descriptor.
  public init(owning rawValue: Int32) { self.rawValue = rawValue }

  // Not repeated on EINTR: Linux has freed the number by then (close(2)).
  deinit { _ = close(rawValue) }
}

extension Descriptor {
  /// Raises the number of descriptors that this process may have to the hard limit
  /// (RLIMIT_NOFILE), and gives it.
  public static func raiseLimit() throws(SystemError) -> Int {
    var limit = rlimit()
    try check("read RLIMIT_NOFILE") {
      unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
    limit.rlim_cur = limit.rlim_max
    try check("raise RLIMIT_NOFILE") {
      unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
    return Int(clamping: limit.rlim_cur)
  }
}
