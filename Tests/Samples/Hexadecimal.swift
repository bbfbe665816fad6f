// Bytes as people read them.

/// The bytes of hexadecimal digits in pairs; anything else between the pairs is skipped, so that
/// dumps can be pasted as they are.
public func bytes(hex text: String) -> [UInt8] {
  let digits = text.utf8.compactMap { character in
    Character(UnicodeScalar(character)).hexDigitValue.map { UInt8($0) }
  }
  precondition(digits.count % 2 == 0, "half a byte")
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
