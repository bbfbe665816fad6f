// Commands from standard input.

import Glibc
import NamespaceSupport

/// Splits standard input into lines.
struct LineInput {
  private static let limit = 4096
  private var rest: [UInt8] = []

  /// The whole lines that have come, to be called where input is ready; nil at the end of input.
  mutating func read() throws -> [String]? {
    var chunk = [UInt8](repeating: 0, count: Self.limit)
    let count = unsafe Glibc.read(STDIN_FILENO, &chunk, chunk.count)
    if count < 0, errno == EINTR || errno == EAGAIN { return [] }
    guard try check(count, "read standard input") > 0 else { return nil }
    rest += chunk[..<count]
    var lines: [String] = []
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      lines.append(String(decoding: rest[..<end], as: UTF8.self))
      rest.removeSubrange(...end)
    }
    guard rest.count < Self.limit else { throw Failure("a command is at most \(Self.limit) bytes") }
    return lines
  }
}
