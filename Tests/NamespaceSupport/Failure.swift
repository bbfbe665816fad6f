// How the tools of the namespace tests fail: with a sentence.

import Glibc

/// Something that a test relies on did not work.
public struct Failure: Error, CustomStringConvertible {
  /// What failed, and why.
  public let description: String

  /// A failure in words.
  public init(_ description: String) { self.description = description }

  /// The failure of a C call, with the reason that `errno` gives now.
  public init(call: String) {
    let reason = unsafe String(cString: strerror(errno))
    self.init("\(call): \(reason)")
  }
}

/// Passes on a C call's result, or throws where it is negative.
@discardableResult
public func check<Number: SignedInteger>(_ result: Number, _ call: String) throws -> Number {
  guard result >= 0 else { throw Failure(call: call) }
  return result
}
