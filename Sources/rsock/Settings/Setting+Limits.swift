// --limits NAME=N,...

import Driver
import Engine

/// A limit that the user can set.
enum LimitName: String, CaseIterable {
  case sessions
  case channels
  case flows
  case handshakes
  case queued

  /// What it may be.
  var range: ClosedRange<Int> {
    switch self {
    case .sessions: 1...16_384
    case .channels: 1...1024
    case .flows: 1...16_384
    case .handshakes: 1...100_000
    case .queued: 1 << 10...64 << 20
    }
  }

  /// The field that it sets.
  var field: WritableKeyPath<EngineLimits, Int> {
    switch self {
    case .sessions: \.sessions
    case .channels: \.channelsPerSession
    case .flows: \.flowsPerSession
    case .handshakes: \.handshakesPerSecond
    case .queued: \.queuedBytes
    }
  }

  /// Whether it says nothing to a client.
  var isServers: Bool { self != .flows && self != .queued }

  /// The range for a message.
  fileprivate var rangeText: String {
    self == .queued ? "1k-64m" : "\(range.lowerBound)-\(range.upperBound)"
  }

  /// The number that a text says; bytes may be in k and m.
  fileprivate func number(_ text: Substring) -> Int? {
    var digits = text
    var unit = 1
    if self == .queued, let suffix = text.last, !suffix.isNumber {
      switch suffix {
      case "k": unit = 1 << 10
      case "m": unit = 1 << 20
      default: return nil
      }
      digits = text.dropLast()
    }
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits),
      number <= range.upperBound / unit, range.contains(number * unit)
    else { return nil }
    return number * unit
  }
}

extension Setting {
  /// The limits, and which of them were named.
  func limits() throws(StartError) -> (limits: EngineLimits, named: [LimitName]) {
    var limits = EngineLimits()
    var named: [LimitName] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let (name, value) = try limit(part.filter { $0 != " " })
      if named.contains(name) { throw error("has \(name.rawValue) twice: once is enough.") }
      named.append(name)
      limits[keyPath: name.field] = value
    }
    return (limits, named)
  }

  private func limit(_ part: String) throws(StartError) -> (LimitName, Int) {
    guard let equals = part.firstIndex(of: "=") else {
      let example = example("\(LimitName.sessions.rawValue)=100")
      throw error("has \"\(part)\", which is not NAME=NUMBER: for example \(example).")
    }
    let value = part[part.index(after: equals)...]
    guard let name = LimitName(rawValue: String(part[..<equals])) else {
      let names = LimitName.allCases.map(\.rawValue).joined(separator: " or ")
      throw error("has \"\(part[..<equals])\", which is no limit: use \(names).")
    }
    guard let number = name.number(value) else {
      throw error("has \"\(value)\" for \(name.rawValue): use a number of \(name.rangeText).")
    }
    return (name, number)
  }
}
