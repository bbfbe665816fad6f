// What became of a batch that was sent.

import Glibc

/// What became of a batch that was sent. A loss is no error: the tunnel's users tolerate it.
public struct SendResult: Hashable, Sendable {
  /// Segments, or datagrams, that the kernel took.
  public var segments = 0
  /// Segments, or datagrams, that it did not take.
  public var lost = 0
  /// The `errno` of the newest loss; 0 where there is none. ENOBUFS and EAGAIN mean a full queue;
  /// EPERM a firewall's OUTPUT policy; others that the way out has changed.
  public var lastError: Int32 = 0

  /// Whether the newest loss has another cause than a queue that was full for a moment: the link
  /// refuses what it is given, and may go on to.
  public var isRefused: Bool {
    lastError != 0 && lastError != ENOBUFS && lastError != EAGAIN && lastError != EINTR
  }

  /// Nothing sent yet.
  public init() {}

  /// Counts a loss.
  mutating func lose(_ segments: Int, _ code: Int32) {
    lost &+= segments
    lastError = code
  }
}
