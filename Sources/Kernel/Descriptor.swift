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
