// From what the user wrote to values that cannot be wrong, or one sentence that says what is.

import Driver
import Engine
import Wire

extension Setting {
  /// A number in `range`, of `unit`; `sample` is one for the message.
  func number(
    _ range: ClosedRange<Int>, unit: String, sample: String
  ) throws(StartError) -> Int {
    guard let number = Int(text), range.contains(number) else {
      throw error(
        "is no number of \(unit) from \(range.lowerBound) to \(range.upperBound): "
          + "for example \(example(sample)).")
    }
    return number
  }

  /// A mark of packets, in decimal or with 0x in front.
  func mark() throws(StartError) -> UInt32 {
    let isHexadecimal = text.lowercased().hasPrefix("0x")
    let digits = isHexadecimal ? text.dropFirst(2) : text[...]
    guard digits.first?.isHexDigit == true,
      let mark = UInt32(digits, radix: isHexadecimal ? 16 : 10), mark > 0
    else {
      throw error(
        "is no mark: use a number from 1 to 4294967295, for example \(example("0x51")).")
    }
    return mark
  }

  /// 0 or 1.
  func flag() throws(StartError) -> Bool {
    switch text {
    case "0", "false": return false
    case "1", "true": return true
    default: throw error("is neither 0 nor 1: use \(example("1")) or \(example("0")).")
    }
  }

  /// One of the words of `Word`.
  func word<Word: RawRepresentable & CaseIterable>() throws(StartError) -> Word
  where Word.RawValue == String {
    guard let word = Word(rawValue: text) else {
      let words = Word.allCases.map(\.rawValue)
      throw error("is unknown: use \(words.joined(separator: " or ")).")
    }
    return word
  }

  /// The path of a file.
  func path() throws(StartError) -> String {
    let sample = name == .control ? "/run/rsock/rsock.sock" : "/var/log/rsock.log"
    if text.isEmpty { throw error("is no path: for example \(example(sample)).") }
    return text
  }

  /// The name of a network device.
  func deviceName() throws(StartError) -> String {
    // dev_valid_name() of the kernel: 1 to IFNAMSIZ-1 bytes.
    let isValid =
      (1...15).contains(text.utf8.count) && text != "." && text != ".."
      && !text.contains { $0 == "/" || $0 == ":" || $0.isWhitespace }
    guard isValid else {
      throw error("cannot be a network device: see their names with: ip link")
    }
    return text
  }

  /// The most ranges that ports may be in: with them and a host's addresses the filter of the packet sockets
  /// is full.
  private static let mostPortRanges = 1024

  /// Ports.
  func ports() throws(StartError) -> PortSet {
    let ports: PortSet
    do { ports = try PortSet(parsing: text) } catch { throw self.error(rest(for: error)) }
    guard ports.ranges.count <= Self.mostPortRanges else {
      throw StartError(
        .usage,
        "\(place) has \(ports.ranges.count) ranges of ports: use at most \(Self.mostPortRanges).")
    }
    return ports
  }

  private func rest(for error: PortSet.ParseError) -> String {
    let remedy = "use 1-65535, for example \(example("10001-10010"))."
    switch error {
    case .empty: return "names no port: \(remedy)"
    case .notAPort(let part), .outOfRange(let part):
      if part.isEmpty { return "has a comma without a port: \(remedy)" }
      return part == text
        ? "is not a port: \(remedy)" : "has \"\(part)\", which is not a port: \(remedy)"
    case .reversed(let part):
      let turned = part.split(separator: "-").reversed().joined(separator: "-")
      return "ends before it starts: write \(example(turned))."
    }
  }

  /// The carriers, each once, in the order in which they are tried.
  func carriers() throws(StartError) -> [Carrier] {
    var named: Set<Carrier> = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      switch word.filter({ $0 != " " }) {
      case "tcp": named.insert(.tcp)
      case "udp": named.insert(.udp)
      case "icmp": named.insert(.icmp)
      // What the original has; ICMP is for networks that let nothing else through.
      case "all": named.formUnion([.tcp, .udp])
      default: throw error("is unknown: use tcp, udp, icmp, several as in tcp,udp, or all.")
      }
    }
    return Carrier.allCases.filter(named.contains)
  }
}
