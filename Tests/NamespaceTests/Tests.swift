// The tests of the program between namespaces. All hang under one serialised suite: many measure
// loss, delay or load, and the machine has two cores. What mostly waits runs in parallel within
// its test.

import NamespaceSupport
import Testing
import Wire

/// The program, as a user runs it, with real packets.
@Suite(.serialized, .root) enum NamespaceTests {}

/// Runs bodies that mostly wait, all at once.
func together(_ bodies: [@Sendable () async throws -> Void]) async throws {
  try await withThrowingTaskGroup(of: Void.self) { group in
    for body in bodies { group.addTask { try await body() } }
    try await group.waitForAll()
  }
}

/// Runs `body` between two hosts without a key and between two others with one, at once: for what
/// mostly waits.
func withoutAndWithKey(
  _ body: @escaping @Sendable (Protection, _ client: Host, _ server: Host) throws -> Void
) async throws {
  try await together(
    Protection.allCases.map { protection in
      { try await withTwoHosts { try body(protection, $0, $1) } }
    })
}

extension Receipt {
  /// Whether all of `load` arrived, once and whole.
  func isComplete(_ load: Load) -> Bool {
    received == load.count && duplicated == 0 && damaged == 0
  }
}

extension String {
  /// How many of its lines have a word.
  func count(of word: String) -> Int { split(separator: "\n").count { $0.contains(word) } }
}

extension CapturedPacket {
  /// The packet in these bytes, whose checksums nobody has to make any more.
  static func parsing(_ bytes: [UInt8]) -> CapturedPacket? {
    unsafe CapturedPacket(parsing: bytes.span.bytes)
  }
}

extension CaptureJudge {
  /// Whether there is at most one pure acknowledgement to 100 data segments.
  var acknowledgesSparingly: Bool { pureAcknowledgements * 100 <= dataSegments }
}
