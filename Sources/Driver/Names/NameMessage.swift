// What the program and its resolver say to each other.
//
//   question  | number 4 | name …
//   answer    | number 4 | error 1 | address, line feed, address, …

import Glibc
import Kernel
import Wire

/// A question for the addresses of a name.
struct NameQuestion {
  /// The answer repeats it.
  let number: UInt32
  let name: String

  var bytes: [UInt8] { number.bytes + Array(name.utf8) }

  init(number: UInt32, name: String) {
    self.number = number
    self.name = name
  }

  init?(_ bytes: [UInt8]) {
    guard let number = UInt32(bigEndianPrefix: bytes) else { return nil }
    self.number = number
    name = String(decoding: bytes[4...], as: UTF8.self)
  }
}

/// An answer. It comes from a process that talks to name servers, so it may be anything.
struct NameAnswer {
  /// More addresses than these are of no use.
  private static let limit = 16
  /// More are not sent: there may be many of one family in front of the other's.
  private static let sentLimit = 64

  let number: UInt32
  /// In the order in which they are to be tried; none where there is an error.
  let addresses: [IPAddress]
  /// The error of getaddrinfo(3) without its sign; 0 where there is none.
  let error: UInt8

  init?(_ bytes: [UInt8]) {
    guard let number = UInt32(bigEndianPrefix: bytes), bytes.count > 4 else { return nil }
    self.number = number
    error = bytes[4]
    let lines = bytes[5...].split(separator: UInt8(ascii: "\n")).prefix(Self.sentLimit)
    let usable = lines.compactMap { IPAddress(String(decoding: $0, as: UTF8.self)) }
      .filter { $0.isHost && !$0.isLinkLocal }
    addresses = Array(Self.takingTurns(usable).prefix(Self.limit))
  }

  /// The addresses as they are to be tried (RFC 8305, section 4): the families take turns, that of the
  /// first address first.
  private static func takingTurns(_ addresses: [IPAddress]) -> [IPAddress] {
    let family = addresses.first?.family
    let families = [
      addresses.filter { $0.family == family }, addresses.filter { $0.family != family },
    ]
    return addresses.indices.flatMap { index in
      families.compactMap { $0.indices.contains(index) ? $0[index] : nil }
    }
  }

  /// The answer to a question, from the system.
  static func bytes(to question: NameQuestion) -> [UInt8] {
    let (texts, error) = NameLookup.addresses(of: question.name)
    return question.number.bytes + [UInt8(clamping: abs(Int(error)))]
      + Array(texts.prefix(sentLimit).joined(separator: "\n").utf8)
  }

  /// Why there is no address.
  var reason: String {
    switch Int32(error) {
    case -EAI_NONAME: "there is no such name"
    case -EAI_AGAIN: "no name server answers"
    case 0: "it has no address that can be used"
    case let code: "error \(code) of getaddrinfo"
    }
  }
}

extension UInt32 {
  fileprivate var bytes: [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: self >> UInt32($0)) }
  }

  fileprivate init?(bigEndianPrefix bytes: [UInt8]) {
    guard bytes.count >= 4 else { return nil }
    self = bytes[..<4].reduce(0) { $0 << 8 | UInt32($1) }
  }
}

/// Runs this process as the resolver of the one that started it, until that one ends.
public func resolveNames() throws(StartError) {
  do throws(SystemError) {
    try HelperProcess.serve { bytes in
      NameQuestion(bytes).map(NameAnswer.bytes) ?? []
    }
  } catch { throw StartError(error) }
}
