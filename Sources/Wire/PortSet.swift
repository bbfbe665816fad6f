// The ports of a server, as the user writes them: `80,443,10000-10005`.

/// A set of ports as sorted ranges that neither overlap nor touch.
public struct PortSet: Hashable, Sendable {
  /// The ranges, ascending, with a gap between any two.
  public let ranges: [ClosedRange<UInt16>]

  /// A set from any ranges; those that overlap or touch become one.
  public init(_ ranges: some Sequence<ClosedRange<UInt16>>) {
    var merged: [ClosedRange<UInt16>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = merged.last, Int(range.lowerBound) <= Int(last.upperBound) + 1 {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    self.ranges = merged
  }

  /// How many ports there are.
  public var count: Int { ranges.reduce(0) { $0 + $1.count } }

  /// Whether `port` is one of them.
  public func contains(_ port: UInt16) -> Bool { ranges.contains { $0.contains(port) } }

  /// The set without these ports.
  public func subtracting(_ ports: Set<UInt16>) -> PortSet {
    var rest: [ClosedRange<UInt16>] = []
    for range in ranges {
      var first = Int(range.lowerBound)
      for port in ports.filter(range.contains).sorted() {
        if first < port { rest.append(UInt16(first)...port - 1) }
        first = Int(port) + 1
      }
      if first <= range.upperBound { rest.append(UInt16(first)...range.upperBound) }
    }
    return PortSet(rest)
  }

  /// The port at `index` in ascending order; traps where `index` is not below `count`.
  public subscript(index: Int) -> UInt16 {
    var rest = index
    for range in ranges {
      if rest < range.count { return range.lowerBound + UInt16(rest) }
      rest -= range.count
    }
    preconditionFailure("port index out of range")
  }
}

extension PortSet: CustomStringConvertible {
  /// The set in the form that `init(parsing:)` reads.
  public var description: String {
    ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      .joined(separator: ",")
  }
}

extension PortSet {
  /// Why a text is no set of ports; the texts name the part that is wrong.
  public enum ParseError: Error, Hashable {
    /// No port at all.
    case empty
    /// This part is neither a port nor a range of ports.
    case notAPort(String)
    /// The port in this part is 0 or over 65535.
    case outOfRange(String)
    /// The range in this part ends before it starts.
    case reversed(String)
  }

  /// Parses a comma-separated list of ports and ranges; `a-a` is one port. Spaces are allowed around
  /// each number, not inside: "80 81" is no port 8081.
  public init(parsing text: String) throws(ParseError) {
    var ranges: [ClosedRange<UInt16>] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let trimmed = String(Self.trim(part))
      if trimmed.isEmpty && text.allSatisfy({ $0 == " " }) { throw .empty }
      var bounds: [UInt16] = []
      for bound in trimmed.split(separator: "-", omittingEmptySubsequences: false) {
        bounds.append(try Self.port(Self.trim(bound), in: trimmed))
      }
      guard bounds.count <= 2 else { throw .notAPort(trimmed) }
      guard bounds[0] <= bounds[bounds.count - 1] else { throw .reversed(trimmed) }
      ranges.append(bounds[0]...bounds[bounds.count - 1])
    }
    self.init(ranges)
  }

  private static func port(_ digits: Substring, in part: String) throws(ParseError) -> UInt16 {
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      throw .notAPort(part)
    }
    guard let number = decimal(digits.utf8, upTo: 65535), number != 0 else {
      throw .outOfRange(part)
    }
    return UInt16(number)
  }

  private static func trim(_ text: Substring) -> Substring {
    guard let last = text.lastIndex(where: { $0 != " " }) else { return "" }
    return text[...last].drop { $0 == " " }
  }
}
