// The words of a command, and the quantities among them.

import Wire

/// What is wrong with a command, in a sentence.
public struct CommandError: Error, Equatable, CustomStringConvertible {
  /// The sentence.
  public let description: String
}

struct Words {
  private var rest: ArraySlice<Substring>
  private let command: String

  init(_ command: String) {
    self.command = command
    rest = command.split(separator: " ")[...]
  }

  /// Whether this is a blackhole that has no direction: every one but that of large packets.
  var isBlackholeOfBothWays: Bool {
    rest.first == "blackhole" && rest.dropFirst().first != "larger"
  }

  func error(_ expected: String) -> CommandError {
    let found = rest.first.map { "\"\($0)\"" } ?? "the end"
    return CommandError(description: "\"\(command)\": \(found) stands where \(expected) should")
  }

  /// Takes the next word where it is `word`.
  mutating func skip(_ word: String) -> Bool {
    guard rest.first == word[...] else { return false }
    rest.removeFirst()
    return true
  }

  mutating func require(_ word: String) throws {
    guard skip(word) else { throw error("\"\(word)\"") }
  }

  mutating func end() throws {
    guard rest.isEmpty else { throw error("the end") }
  }

  mutating func direction() -> Direction? {
    if skip("up") { return .up }
    return skip("down") ? .down : nil
  }

  mutating func transport() throws -> Transport {
    guard let transport = optionalTransport() else { throw error("tcp, udp or icmp") }
    return transport
  }

  mutating func optionalTransport() -> Transport? {
    for transport in [Transport.tcp, .udp, .icmp] where skip(transport.rawValue) {
      return transport
    }
    return nil
  }

  mutating func rate() throws -> Rate {
    let units = [("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3), ("bit", 1)]
    let bits = try quantity("a rate like 100mbit", units, 1...1e12)
    return Rate(bitsPerSecond: bits)
  }

  mutating func bytes() throws -> Int {
    let units = [("k", 1e3), ("M", 1e6), ("", 1)]
    return try quantity("a number of bytes like 1400, 64k or 1M", units, 0...1e12)
  }

  mutating func duration() throws -> Duration {
    let units = [("us", 1e3), ("ms", 1e6), ("s", 1e9)]
    return .nanoseconds(Int64(try quantity("a time like 40ms or 2s", units, 0...1e13)))
  }

  mutating func share() throws -> Share {
    Share(millionths: try quantity("a share like 0.5%", [("%", 1e4)], 0...1e6))
  }

  mutating func port() throws -> UInt16 {
    UInt16(try quantity("a port", [("", 1)], 1...65_535))
  }

  private mutating func quantity(
    _ expected: String, _ units: [(name: String, factor: Double)], _ range: ClosedRange<Double>
  ) throws -> Int {
    guard let word = rest.first, let unit = units.first(where: { word.hasSuffix($0.name) }),
      let number = Double(word.dropLast(unit.name.count)),
      range.contains((number * unit.factor).rounded())
    else { throw error(expected) }
    rest.removeFirst()
    return Int((number * unit.factor).rounded())
  }
}
