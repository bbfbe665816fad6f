// 32 secret bytes: keys, seeds, and what is derived from them.

internal import CCrypto

/// 32 secret bytes in memory of their own, which is overwritten before it is freed. They are shared,
/// never copied, and nothing that prints a value prints them.
@safe public final class SecretKey: @unchecked Sendable {
  /// The size of every key, in bytes.
  public static let byteCount = 32
  private let memory: UnsafeMutableRawPointer

  /// A key whose bytes, all zero at first, `body` writes, so that they are nowhere else.
  public init<Failure: Error>(
    filling body: (inout MutableRawSpan) throws(Failure) -> Void
  ) throws(Failure) {
    unsafe memory = .allocate(byteCount: Self.byteCount, alignment: 16)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
    var bytes = unsafe MutableRawSpan(_unsafeStart: memory, byteCount: Self.byteCount)
    try body(&bytes)
  }

  /// A copy of 32 bytes. Whoever passes them has to overwrite the original.
  public convenience init(copying bytes: RawSpan) {
    precondition(bytes.byteCount == Self.byteCount, "a key has 32 bytes")
    self.init { key in
      for offset in 0..<Self.byteCount {
        let byte = unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
        key.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
      }
    }
  }

  deinit {
    unsafe OPENSSL_cleanse(memory, Self.byteCount)
    unsafe memory.deallocate()
  }

  /// The bytes.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get {
      let bytes = unsafe RawSpan(_unsafeStart: memory, byteCount: Self.byteCount)
      return unsafe _overrideLifetime(bytes, borrowing: self)
    }
  }
}

extension SecretKey: Equatable {
  /// Whether two keys are the same; the time that takes tells nothing of where they differ.
  public static func == (left: SecretKey, right: SecretKey) -> Bool {
    unsafe CRYPTO_memcmp(left.memory, right.memory, byteCount) == 0
  }
}

extension SecretKey: CustomStringConvertible, CustomReflectable {
  /// Not the bytes.
  public var description: String { "SecretKey" }
  /// Nothing: `dump` shows no bytes either.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

// MARK: - Base64

extension SecretKey {
  /// How many characters a key has in base64.
  public static let base64Count = 44

  /// A key from its base64 text (RFC 4648, section 4): exactly 44 characters, of which the last is
  /// `=`, and exactly the ones that `base64` gives for that key. Nil for anything else.
  public convenience init?(base64 text: RawSpan) {
    var isValid = false
    self.init { isValid = decode(text, into: &$0) }
    guard isValid else { return nil }
  }

  /// The key as base64 text. The text is an ordinary string: nothing overwrites it.
  public var base64: String {
    let bytes = bytes
    return unsafe String(unsafeUninitializedCapacity: Self.base64Count) { text in
      for group in 0..<11 {
        var bits: UInt32 = 0
        for offset in group * 3..<group * 3 + 3 {
          let byte =
            offset < Self.byteCount
            ? unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self) : 0
          bits = bits << 8 | UInt32(byte)
        }
        for index in 0..<4 {
          unsafe text[group * 4 + index] = character(of: bits >> UInt32(18 - 6 * index) & 63)
        }
      }
      unsafe text[Self.base64Count - 1] = UInt8(ascii: "=")
      return Self.base64Count
    }
  }
}

/// Decodes 43 characters and a `=`. What the last character has beyond the 256 bits must be zero.
private func decode(_ text: RawSpan, into key: inout MutableRawSpan) -> Bool {
  guard text.byteCount == SecretKey.base64Count,
    unsafe text.unsafeLoad(fromByteOffset: text.byteCount - 1, as: UInt8.self) == UInt8(ascii: "=")
  else { return false }
  var bits: UInt32 = 0
  var bitCount = 0
  var offset = 0
  for index in 0..<text.byteCount - 1 {
    let character = unsafe text.unsafeLoad(fromByteOffset: index, as: UInt8.self)
    guard let value = value(of: character) else { return false }
    bits = bits << 6 | value
    bitCount += 6
    guard bitCount >= 8 else { continue }
    bitCount -= 8
    key.storeBytes(
      of: UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)), toByteOffset: offset, as: UInt8.self)
    offset += 1
  }
  return bits & 3 == 0
}

private func value(of character: UInt8) -> UInt32? {
  switch character {
  case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
  case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a")) + 26
  case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0")) + 52
  case UInt8(ascii: "+"): 62
  case UInt8(ascii: "/"): 63
  default: nil
  }
}

private func character(of value: UInt32) -> UInt8 {
  let value = UInt8(truncatingIfNeeded: value)
  return switch value {
  case 0..<26: UInt8(ascii: "A") + value
  case 26..<52: UInt8(ascii: "a") + value - 26
  case 52..<62: UInt8(ascii: "0") + value - 52
  case 62: UInt8(ascii: "+")
  default: UInt8(ascii: "/")
  }
}
