// --rotate AGE,BYTES

import Driver
import Engine

/// One bound of `--rotate`, by its unit.
private enum Bound {
  case seconds(Int)
  case bytes(Int)

  static let ages = 10...30 * 86_400
  static let sizes = 16 << 10...30 << 30

  /// The bound that a part says; nil where it is none.
  init?(_ part: Substring) {
    let digits = part.dropLast()
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits) else {
      return nil
    }
    switch part.last {
    case "s": self = .seconds(number)
    case "m": self = .seconds(number.multiplied(by: 60))
    case "h": self = .seconds(number.multiplied(by: 3600))
    case "k": self = .bytes(number.multiplied(by: 1 << 10))
    case "M": self = .bytes(number.multiplied(by: 1 << 20))
    case "G": self = .bytes(number.multiplied(by: 1 << 30))
    default: return nil
    }
  }
}

extension Int {
  /// The product, or the largest number there is.
  fileprivate func multiplied(by factor: Int) -> Int {
    let (product, isTooLarge) = multipliedReportingOverflow(by: factor)
    return isTooLarge ? .max : product
  }
}

extension Setting {
  /// When another channel takes the place of one that lives.
  func rotation() throws(StartError) -> Rotation {
    var rotation = Rotation()
    if text == "off" { return rotation }
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      switch Bound(part) {
      case .seconds(let age) where Bound.ages.contains(age):
        guard rotation.age == nil else { throw error("has two times: one is enough.") }
        rotation.age = .seconds(age)
      case .bytes(let count) where Bound.sizes.contains(count):
        guard rotation.bytes == nil else { throw error("has two numbers of bytes: one is enough.") }
        rotation.bytes = UInt64(count)
      case .seconds: throw error("\(naming(part)) out of range: use a time from 10s to 720h.")
      case .bytes:
        throw error("\(naming(part)) out of range: use a number of bytes from 16k to 30G.")
      case nil:
        throw error(
          "\(naming(part)) neither a time (s, m, h) nor a number of bytes (k, M, G): "
            + "for example \(example("10m,1G")), or off.")
      }
    }
    return rotation
  }

  /// The beginning of a sentence about a part.
  private func naming(_ part: Substring) -> String {
    part == text ? "is" : "has \"\(part)\", which is"
  }
}
