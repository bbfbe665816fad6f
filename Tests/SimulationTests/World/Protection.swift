// Whether the hosts of a test have a key: each test of a suite with this trait runs without one, then
// with one.

import Crypto
import Engine
import Testing
import Wire

/// The key of all hosts that are given no other.
enum Protection {
  /// Nil where a test runs without a key.
  @TaskLocal static var key: NamedKey?

  /// What a frame has beside its datagram, in bytes.
  static var overhead: Int { key == nil ? FrameHeader.byteCount : SealedFrame.overhead }

  /// The largest datagram that fits a packet of 1500 bytes.
  static var largestDatagram: Int { 1460 - overhead }

  /// A key that is made from one byte.
  static func key(_ byte: UInt8, name: String = "key") -> NamedKey {
    NamedKey(name: name, key: SecretKey { $0.set(byte, at: 0) })
  }

  /// Runs `body` with hosts that have no key.
  static func withoutKey(_ body: () -> Void) { $key.withValue(nil) { body() } }
}

/// Runs each test twice.
struct WithoutAndWithKey: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true

  func provideScope(
    for test: Test, testCase: Test.Case?,
    performing function: @concurrent @Sendable () async throws -> Void
  ) async throws {
    guard testCase != nil else { return try await function() }
    try await function()
    try await Protection.$key.withValue(Protection.key(42)) { try await function() }
  }
}

extension Trait where Self == WithoutAndWithKey {
  /// Runs each test twice: without a key and with one.
  static var withoutAndWithKey: Self { WithoutAndWithKey() }
}
