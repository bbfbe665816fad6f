// Random numbers from the kernel (getrandom(2)).

import CLinux
import Glibc

/// The kernel's random source: fit for secrets. Each draw is a system call, so it is for seeds, keys
/// and identifiers, not for every packet.
public struct SystemRandom: RandomNumberGenerator, Sendable {
  /// The source; it has no state of its own.
  public init() {}

  /// A random 64-bit number.
  public mutating func next() -> UInt64 {
    var number: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &number) { unsafe Self.fill($0) }
    return number
  }

  /// Fills `bytes` with random bytes.
  public func fill(_ bytes: inout MutableRawSpan) {
    unsafe bytes.withUnsafeMutableBytes { unsafe Self.fill($0) }
  }

  private static func fill(_ bytes: UnsafeMutableRawBufferPointer) {
    var rest = unsafe bytes
    while unsafe !rest.isEmpty {
      // Blocks only early in boot; EINTR and short counts come only with large requests.
      let count = retryingInterrupts { unsafe getrandom(rest.baseAddress, rest.count, 0) }
      precondition(count > 0, "getrandom(2) is there since Linux 3.17")
      unsafe rest = UnsafeMutableRawBufferPointer(rebasing: rest[count...])
    }
  }
}
